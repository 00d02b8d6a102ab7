/* Signs DNS messages and checks signed ones. */
#include "net/dns_tsig.h"

#include "base/fs.h"
#include "base/keys.h"
#include "base/mem.h"

#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <sys/stat.h>

#define KEY_FILE_MAX KIB(4)
#define SECRET_MIN 16 /* bytes; RFC 8945 wants the hash's size, and old keys of 16 are about */
#define SECRET_MAX 512
#define UNSIGNED_IN_A_ROW 99

struct algorithm {
    const char *name;
    const EVP_MD *(*md)(void);
};
static const struct algorithm algorithms[] = {
    {"hmac-sha256", EVP_sha256}, {"hmac-sha384", EVP_sha384}, {"hmac-sha512", EVP_sha512}};

struct dns_key {
    const struct algorithm *algorithm;
    char *name;
    unsigned char *secret;
    size_t len;
};

/* ---- keys ---- */

void dns_key_free(struct dns_key *k)
{
    if (!k)
        return;
    if (k->secret)
        mem_wipe(k->secret, k->len);
    free(k->secret);
    free(k->name);
    free(k);
}

const char *dns_key_name(const struct dns_key *k)
{
    return k->name;
}

static const struct algorithm *find_algorithm(const char *name)
{
    for (size_t i = 0; i < ARRAY_SIZE(algorithms); i++)
        if (!strcmp(algorithms[i].name, name))
            return &algorithms[i];
    return NULL;
}

static int take_parts(char *line, struct dns_key *k, struct err *err)
{
    char *rest = line, *algorithm = strsep(&rest, ":"), *name = strsep(&rest, ":");
    size_t len = name ? strlen(name) : 0;
    if (!name || !rest)
        return err_set(err, -EINVAL, "a key is one line ALGORITHM:NAME:BASE64");
    if (!(k->algorithm = find_algorithm(algorithm)))
        return err_set(err, -EINVAL, "the key's algorithm must be hmac-sha256, hmac-sha384 or hmac-sha512");
    if (len && name[len - 1] == '.')
        name[len - 1] = '\0';
    for (char *p = name; *p; p++)
        if (*p >= 'A' && *p <= 'Z')
            *p = (char)(*p + 32);
    if (!dns_name_valid(name))
        return err_set(err, -EINVAL, "the key's name must be a DNS name");
    k->name = mem_strdup(name);
    if (base64_decode(rest, SECRET_MAX, &k->secret, &k->len) < 0 || k->len < SECRET_MIN)
        return err_set(err, -EINVAL, "the key's secret must be base64 of %d to %d bytes", SECRET_MIN, SECRET_MAX);
    return 0;
}

int dns_key_parse(const char *text, size_t len, struct dns_key **ret, struct err *err)
{
    static const char blanks[] = " \t\r\n";
    if (len > KEY_FILE_MAX || memchr(text, '\0', len))
        return err_set(err, -EINVAL, "a key is one line ALGORITHM:NAME:BASE64");
    char *copy = mem_strndup(text, len), *line = copy + strspn(copy, blanks);
    line[strcspn(line, blanks)] = '\0';
    autodnskey struct dns_key *k = mem_alloc(sizeof(*k));
    int r = take_parts(line, k, err);
    mem_wipe(copy, len);
    free(copy);
    if (r == 0)
        *ret = TAKE_PTR(k);
    return r;
}

/* As a cluster mounts a Secret: root's, for our group to read. */
static bool mounted(const char *path)
{
    struct stat st;
    return stat(path, &st) == 0 && st.st_uid == 0 && geteuid() != 0 && st.st_gid == getegid() && !(st.st_mode & 0027);
}

int dns_key_load(const char *path, struct dns_key **ret, struct err *err)
{
    char *text = NULL;
    size_t len = 0;
    int r = mounted(path) ? fs_read(path, KEY_FILE_MAX, &text, &len, err)
                          : fs_read_secret(path, KEY_FILE_MAX, &text, &len, err);
    if (r == -ENOENT)
        return err_set(err, r, "the DNS server's key %s is missing", path);
    if (r < 0)
        return r;
    r = dns_key_parse(text, len, ret, err);
    mem_wipe(text, len);
    free(text);
    return r < 0 ? err_wrap(err, r, "%s", path) : 0;
}

/* ---- what is signed ---- */

struct stamp {
    uint64_t seconds;
    unsigned fudge, error;
    const unsigned char *other;
    size_t other_len;
};

static void add48(struct buf *b, uint64_t v)
{
    dns_add16(b, (unsigned)(v >> 32) & 0xffff);
    dns_add32(b, (uint32_t)v);
}

static void add_variables(struct buf *b, const struct dns_key *k, const struct stamp *s, bool short_form)
{
    if (!short_form) {
        (void)!dns_add_name(b, k->name, NULL);
        dns_add16(b, DNS_ANY);
        dns_add32(b, 0);
        (void)!dns_add_name(b, k->algorithm->name, NULL);
    }
    add48(b, s->seconds);
    dns_add16(b, s->fudge);
    if (short_form)
        return;
    dns_add16(b, s->error);
    dns_add16(b, (unsigned)s->other_len);
    buf_add(b, s->other, s->other_len);
}

static size_t hmac(const struct dns_key *k, const struct buf *b, unsigned char ret[EVP_MAX_MD_SIZE])
{
    unsigned int n = 0;
    HMAC(k->algorithm->md(), k->secret, (int)k->len, (const unsigned char *)b->data, b->len, ret, &n);
    return n;
}

void dns_tsig_clear(struct dns_tsig *t)
{
    free(t->unsigned_messages);
    *t = (struct dns_tsig){0};
}

void dns_tsig_sign(struct dns_tsig *t, const struct dns_key *k, int64_t now_ms, struct buf *m)
{
    struct stamp s = {.seconds = (uint64_t)(now_ms / 1000), .fudge = DNS_TSIG_FUDGE};
    autobuf struct buf all = BUF_INIT, data = BUF_INIT;
    unsigned char mac[EVP_MAX_MD_SIZE];
    struct dns_head h = {0};
    (void)!dns_read_head((const unsigned char *)m->data, m->len, &h);
    buf_add(&all, m->data, m->len);
    add_variables(&all, k, &s, false);
    dns_tsig_clear(t);
    t->mac_len = hmac(k, &all, mac);
    memcpy(t->mac, mac, t->mac_len);
    (void)!dns_add_name(&data, k->algorithm->name, NULL);
    add48(&data, s.seconds);
    dns_add16(&data, s.fudge);
    dns_add16(&data, (unsigned)t->mac_len);
    buf_add(&data, mac, t->mac_len);
    dns_add16(&data, h.id);
    dns_add16(&data, 0);
    dns_add16(&data, 0);
    (void)!dns_add_name(m, k->name, NULL);
    dns_add16(m, DNS_TSIG);
    dns_add16(m, DNS_ANY);
    dns_add32(m, 0);
    dns_add16(m, (unsigned)data.len);
    buf_add(m, data.data, data.len);
    m->data[10] = (char)((h.counts[3] + 1) >> 8);
    m->data[11] = (char)(h.counts[3] + 1);
}

/* ---- checking ---- */

struct signature {
    struct stamp stamp;
    const unsigned char *mac;
    size_t mac_len, start; /* start: where the record begins */
    unsigned id;
    char key[DNS_NAME_TEXT], algorithm[DNS_NAME_TEXT];
};

static unsigned get16(const unsigned char *p)
{
    return (unsigned)p[0] << 8 | p[1];
}

static int read_data(const unsigned char *m, size_t len, const struct dns_record *r, struct signature *ret)
{
    size_t at = r->data, end = r->data + r->len;
    if (r->class != DNS_ANY || r->ttl || dns_read_name(m, len, &at, ret->algorithm) < 0 || at > end || end - at < 10)
        return -EBADMSG;
    ret->stamp.seconds = (uint64_t)get16(m + at) << 32 | (uint64_t)get16(m + at + 2) << 16 | get16(m + at + 4);
    ret->stamp.fudge = get16(m + at + 6);
    ret->mac_len = get16(m + at + 8);
    at += 10;
    if (ret->mac_len > end - at || end - at - ret->mac_len < 6)
        return -EBADMSG;
    ret->mac = m + at;
    at += ret->mac_len;
    ret->id = get16(m + at);
    ret->stamp.error = get16(m + at + 2);
    ret->stamp.other_len = get16(m + at + 4);
    ret->stamp.other = m + at + 6;
    return ret->stamp.other_len == end - at - 6 ? 0 : -EBADMSG;
}

/* 0: the message's last record is a TSIG; 1: it has none. A TSIG elsewhere is no message. */
static int find_signature(const unsigned char *m, size_t len, struct signature *ret)
{
    struct dns_head h;
    struct dns_record r;
    size_t at = 12;
    int found = 1;
    if (dns_read_head(m, len, &h) < 0)
        return -EBADMSG;
    for (unsigned i = 0; i < h.counts[0]; i++) {
        uint16_t type;
        if (dns_read_question(m, len, &at, r.name, &type) < 0)
            return -EBADMSG;
    }
    size_t records = (size_t)h.counts[1] + h.counts[2] + h.counts[3];
    for (size_t i = 0; i < records; i++) {
        if (dns_read_record(m, len, &at, &r) < 0)
            return -EBADMSG;
        if (r.type != DNS_TSIG)
            continue;
        if (i + 1 < records || !h.counts[3] || read_data(m, len, &r, ret) < 0)
            return -EBADMSG;
        memcpy(ret->key, r.name, sizeof(ret->key));
        ret->start = r.start;
        found = 0;
    }
    return at == len ? found : -EBADMSG;
}

/* The server's own word for what it does not accept; such answers bear no signature or one nobody can check. */
static int refused(const struct signature *s, int64_t now_ms, const struct dns_key *k, struct err *err)
{
    static const char *const why[] = {"the signature does not hold there: the key's secret or algorithm is another",
                                      "the server does not know the key"};
    if (s->stamp.error == 16 || s->stamp.error == 17)
        return err_set(err, -EACCES, "key %s: %s", k->name, why[s->stamp.error - 16]);
    if (s->stamp.error == 18)
        return err_set(err, -EACCES,
                       "key %s: the server's clock and this machine's differ by more than %d s (here it is %lld)",
                       k->name, DNS_TSIG_FUDGE, (long long)(now_ms / 1000));
    return err_set(err, -EACCES, "key %s: the server refused the signature (error %u)", k->name, s->stamp.error);
}

static void add_signed_part(struct buf *b, const unsigned char *m, const struct signature *s)
{
    unsigned n = get16(m + 10) - 1;
    dns_add16(b, s->id);
    buf_add(b, m + 2, 8);
    dns_add16(b, n);
    buf_add(b, m + 12, s->start - 12);
}

static int keep_unsigned(struct dns_tsig *t, const unsigned char *m, size_t len, struct err *err)
{
    if (!t->answered || ++t->unsigned_count > UNSIGNED_IN_A_ROW)
        return err_set(err, -EACCES, "the server's answer is not signed");
    t->unsigned_messages = mem_realloc(t->unsigned_messages, t->unsigned_len + len);
    memcpy(t->unsigned_messages + t->unsigned_len, m, len);
    t->unsigned_len += len;
    return 1;
}

int dns_tsig_check(struct dns_tsig *t, const struct dns_key *k, int64_t now_ms, const unsigned char *m, size_t len,
                   struct err *err)
{
    struct signature s = {0};
    autobuf struct buf all = BUF_INIT;
    unsigned char mac[EVP_MAX_MD_SIZE];
    int r = find_signature(m, len, &s);
    if (r < 0)
        return err_set(err, r, "the server's answer is no DNS message");
    if (r > 0)
        return keep_unsigned(t, m, len, err);
    if (s.stamp.error)
        return refused(&s, now_ms, k, err);
    if (strcmp(s.key, k->name) || strcmp(s.algorithm, k->algorithm->name))
        return err_set(err, -EACCES, "the server signed with another key than %s", k->name);
    dns_add16(&all, (unsigned)t->mac_len);
    buf_add(&all, t->mac, t->mac_len);
    buf_add(&all, t->unsigned_messages, t->unsigned_len);
    add_signed_part(&all, m, &s);
    add_variables(&all, k, &s.stamp, t->answered);
    size_t n = hmac(k, &all, mac);
    if (n != s.mac_len || !bytes_equal(mac, s.mac, n))
        return err_set(err, -EACCES, "key %s: the signature of the server's answer does not hold", k->name);
    int64_t apart = now_ms / 1000 - (int64_t)s.stamp.seconds;
    if (apart > DNS_TSIG_FUDGE || apart < -DNS_TSIG_FUDGE)
        return err_set(err, -EACCES, "key %s: the server's clock and this machine's differ by %lld s", k->name,
                       (long long)apart);
    memcpy(t->mac, mac, n);
    t->mac_len = n;
    t->answered = true;
    free(TAKE_PTR(t->unsigned_messages));
    t->unsigned_len = t->unsigned_count = 0;
    return 0;
}
