/* Reads, writes, signs and checks signed notes that carry checkpoints. */
#include "ledger/note.h"

#include "base/mem.h"

#define DASH "\xe2\x80\x94 "

static void key_id(const struct note_verifier *v, unsigned char out[4])
{
    unsigned char hash[SHA256_SIZE];
    autobuf struct buf b = BUF_INIT;
    buf_adds(&b, v->name);
    buf_addc(&b, '\n');
    buf_addc(&b, (char)v->type);
    buf_add(&b, v->key, sizeof(v->key));
    sha256(b.data, b.len, hash);
    memcpy(out, hash, 4);
}

/* Key names and origins: printable, without blanks and plus signs, so that they can stand in a line. */
static bool name_valid(const char *s, size_t len)
{
    if (len == 0 || len > NOTE_NAME_MAX)
        return false;
    for (size_t i = 0; i < len; i++)
        if (s[i] <= ' ' || s[i] == '+' || s[i] == 0x7f)
            return false;
    return true;
}

int note_verifier_parse(const char *text, struct note_verifier *ret, struct err *err)
{
    struct note_verifier v = {0};
    autofree unsigned char *key = NULL;
    unsigned char id[4], claimed[4];
    size_t len = 0;
    const char *hex = strchr(text, '+'), *b64 = hex ? strchr(hex + 1, '+') : NULL;
    autofree char *digits = mem_strndup(hex ? hex + 1 : "", b64 ? (size_t)(b64 - hex) - 1 : 0);
    if (!b64 || !name_valid(text, (size_t)(hex - text)) || strlen(digits) != 8 || hex_decode(digits, claimed, 4) < 0 ||
        base64_decode(b64 + 1, 64, &key, &len) < 0 || len != 1 + ED25519_PUBLIC_SIZE)
        return err_set(err, -EINVAL, "a verifier key must be NAME+KEYID+BASE64, as `ownhouse ledger show --keys` says");
    memcpy(v.name, text, (size_t)(hex - text));
    v.type = key[0] == NOTE_COSIGNATURE ? NOTE_COSIGNATURE : NOTE_ED25519;
    memcpy(v.key, key + 1, ED25519_PUBLIC_SIZE);
    key_id(&v, id);
    if ((key[0] != NOTE_ED25519 && key[0] != NOTE_COSIGNATURE) || memcmp(id, claimed, 4))
        return err_set(err, -EINVAL, "the verifier key of %s has another key id than its own, or an unknown type",
                       v.name);
    *ret = v;
    return 0;
}

char *note_verifier_text(const struct note_verifier *v)
{
    unsigned char raw[1 + ED25519_PUBLIC_SIZE] = {(unsigned char)v->type}, id[4];
    char hex[9];
    memcpy(raw + 1, v->key, ED25519_PUBLIC_SIZE);
    autofree char *b64 = base64_encode(raw, sizeof(raw));
    key_id(v, id);
    hex_encode(id, 4, hex);
    return mem_printf("%s+%s+%s", v->name, hex, b64);
}

static void signed_bytes(const struct note_verifier *v, const char *text, size_t len, int64_t seconds, struct buf *out)
{
    if (v->type == NOTE_COSIGNATURE)
        buf_printf(out, "cosignature/v1\ntime %lld\n", (long long)seconds);
    buf_add(out, text, len);
}

void note_sign(const struct note_verifier *v, const struct signing_key *key, const char *text, size_t len,
               int64_t seconds, struct buf *out)
{
    unsigned char raw[4 + 8 + ED25519_SIGNATURE_SIZE];
    size_t at = 4;
    autobuf struct buf b = BUF_INIT;
    key_id(v, raw);
    if (v->type == NOTE_COSIGNATURE)
        for (int i = 7; i >= 0; i--)
            raw[at++] = (unsigned char)((uint64_t)seconds >> (8 * i));
    signed_bytes(v, text, len, seconds, &b);
    signing_key_sign(key, b.data, b.len, raw + at);
    autofree char *b64 = base64_encode(raw, at + ED25519_SIGNATURE_SIZE);
    buf_printf(out, DASH "%s %s\n", v->name, b64);
}

char *checkpoint_sign(const struct note_verifier *v, const struct signing_key *key, const struct checkpoint *c)
{
    struct buf b = BUF_INIT;
    autofree char *root = base64_encode(c->root.b, MERKLE_HASH_SIZE);
    buf_printf(&b, "%s\n%llu\n%s\n", c->origin, (unsigned long long)c->size, root);
    size_t len = b.len;
    autofree char *text = mem_strndup(b.data, len);
    buf_addc(&b, '\n');
    note_sign(v, key, text, len, 0, &b);
    return buf_take(&b);
}

/* ---- reading ---- */

static int parse_size(const char *s, size_t len, uint64_t *ret)
{
    uint64_t v = 0;
    if (len == 0 || len > 18 || (len > 1 && s[0] == '0'))
        return -EINVAL;
    for (size_t i = 0; i < len; i++) {
        if (s[i] < '0' || s[i] > '9')
            return -EINVAL;
        v = 10 * v + (uint64_t)(s[i] - '0');
    }
    *ret = v;
    return 0;
}

static int parse_root(const char *s, size_t len, struct merkle_hash *ret)
{
    autofree char *text = mem_strndup(s, len);
    autofree unsigned char *raw = NULL;
    size_t n = 0;
    if (base64_decode(text, MERKLE_HASH_SIZE, &raw, &n) < 0 || n != MERKLE_HASH_SIZE)
        return -EINVAL;
    memcpy(ret->b, raw, n);
    return 0;
}

static int parse_checkpoint(const char *text, size_t len, struct checkpoint *ret, struct err *err)
{
    const char *end = text + len, *line[3];
    size_t lens[3];
    for (int i = 0; i < 3; i++) {
        const char *nl = memchr(text, '\n', (size_t)(end - text));
        if (!nl)
            return err_set(err, -EINVAL, "the checkpoint must have an origin, a size and a root, a line each");
        line[i] = text;
        lens[i] = (size_t)(nl - text);
        text = nl + 1;
    }
    if (!name_valid(line[0], lens[0]))
        return err_set(err, -EINVAL, "the checkpoint's origin must be 1 to %d bytes without blanks", NOTE_NAME_MAX);
    if (parse_size(line[1], lens[1], &ret->size) < 0)
        return err_set(err, -EINVAL, "the checkpoint's size must be a decimal number without leading zeros");
    if (parse_root(line[2], lens[2], &ret->root) < 0)
        return err_set(err, -EINVAL, "the checkpoint's root must be 32 bytes in base64");
    memcpy(ret->origin, line[0], lens[0]);
    ret->origin[lens[0]] = '\0';
    return 0;
}

static int parse_line(const char *s, size_t len, struct note *n, struct err *err)
{
    size_t dash = strlen(DASH);
    const char *blank = len > dash ? memchr(s + dash, ' ', len - dash) : NULL;
    autofree unsigned char *raw = NULL;
    size_t raw_len = 0;
    if (!blank || memcmp(s, DASH, dash) || !name_valid(s + dash, (size_t)(blank - s) - dash))
        return err_set(err, -EINVAL, "a signature line must be a dash, a key's name and base64");
    autofree char *b64 = mem_strndup(blank + 1, len - (size_t)(blank - s) - 1);
    if (base64_decode(b64, KIB(4), &raw, &raw_len) < 0 || raw_len < 5)
        return err_set(err, -EINVAL, "a signature line's base64 is malformed");
    if (raw_len != 4 + 64 && raw_len != 4 + 72)
        return 0; /* of a kind that we do not know */
    if (n->n_lines == NOTE_SIGNATURES_MAX)
        return err_set(err, -EINVAL, "the note has more than %d signatures", NOTE_SIGNATURES_MAX);
    struct note_line *l = &n->lines[n->n_lines++];
    size_t name_len = (size_t)(blank - s) - dash;
    memcpy(l->name, s + dash, name_len);
    l->name[name_len] = '\0';
    memcpy(l->id, raw, 4);
    l->len = raw_len - 4;
    memcpy(l->signature, raw + 4, l->len);
    return 0;
}

int note_parse(const char *text, size_t len, struct note *ret, struct err *err)
{
    struct note n = {.text = text};
    if (len > NOTE_MAX)
        return err_set(err, -EINVAL, "the note of %zu bytes is over the limit of %zu", len, (size_t)NOTE_MAX);
    if (len == 0 || text[len - 1] != '\n' || memchr(text, '\0', len))
        return err_set(err, -EINVAL, "the note must be text that ends with a newline");
    const char *gap = memmem(text, len, "\n\n", 2);
    if (!gap)
        return err_set(err, -EINVAL, "the note has no empty line before its signatures");
    n.text_len = (size_t)(gap - text) + 1;
    int r = parse_checkpoint(text, n.text_len, &n.checkpoint, err);
    const char *p = gap + 2, *end = text + len;
    if (r == 0 && p == end)
        r = err_set(err, -EINVAL, "the note has no signature");
    while (r == 0 && p < end) {
        const char *nl = memchr(p, '\n', (size_t)(end - p));
        r = parse_line(p, (size_t)(nl - p), &n, err);
        p = nl + 1;
    }
    if (r == 0)
        *ret = n;
    return r;
}

bool note_signed_by(const struct note *n, const struct note_verifier *v, int64_t *ret_seconds)
{
    unsigned char id[4];
    bool found = false;
    size_t skip = v->type == NOTE_COSIGNATURE ? 8 : 0;
    key_id(v, id);
    for (size_t i = 0; i < n->n_lines; i++) {
        const struct note_line *l = &n->lines[i];
        autobuf struct buf b = BUF_INIT;
        uint64_t seconds = 0;
        if (memcmp(l->id, id, 4) || strcmp(l->name, v->name))
            continue;
        if (l->len != skip + ED25519_SIGNATURE_SIZE)
            return false;
        for (size_t k = 0; k < skip; k++)
            seconds = seconds << 8 | l->signature[k];
        if (seconds > INT64_MAX)
            return false;
        signed_bytes(v, n->text, n->text_len, (int64_t)seconds, &b);
        if (!signature_valid(v->key, b.data, b.len, l->signature + skip))
            return false;
        found = true;
        if (ret_seconds)
            *ret_seconds = (int64_t)seconds;
    }
    return found;
}
