/* Checks that ledgers only grow, and cosigns their checkpoints. */
#include "ledger/witness.h"

#include "base/fs.h"
#include "base/mem.h"

int witness_open(const char *dir, const char *name, const struct clock *clock, struct witness *ret, struct err *err)
{
    struct witness w = {.dir = mem_printf("%s/witness", dir), .own.type = NOTE_COSIGNATURE, .clock = clock};
    autofree char *key = mem_printf("%s/witness.key", dir), *pub = mem_printf("%s/witness.pub", dir);
    char digest[65];
    int r = fs_mkdirs(w.dir, 0700, err);
    if (r == 0)
        r = signing_key_keep(key, &w.key, err);
    if (r == 0) {
        signing_key_public(w.key, w.own.key);
        sha256_hex(w.own.key, sizeof(w.own.key), digest);
        if (name)
            snprintf(w.own.name, sizeof(w.own.name), "%s", name);
        else
            snprintf(w.own.name, sizeof(w.own.name), "ownhouse/witness/%.16s", digest);
        autofree char *text = note_verifier_text(&w.own), *line = mem_printf("%s\n", text);
        if (!fs_exists(pub))
            r = fs_write_atomic(pub, line, strlen(line), 0644, err);
    }
    if (r < 0)
        witness_close(&w);
    else
        *ret = w;
    return r;
}

void witness_close(struct witness *w)
{
    free(w->dir);
    signing_key_free(w->key);
    *w = (struct witness){0};
}

struct seen {
    char *verifier; /* NULL: nothing yet */
    int64_t size;
    struct merkle_hash root;
};

static int load_seen(const char *path, struct seen *ret, struct err *err)
{
    autofree char *text = NULL;
    autojson json_t *o = NULL;
    const char *verifier = NULL, *root = NULL;
    size_t len = 0;
    if (!fs_exists(path))
        return 0;
    int r = fs_read(path, KIB(4), &text, &len, err);
    if (r == 0)
        r = js_parse(text, len, KIB(4), &o, err);
    if (r == 0)
        r = js_string(o, "", "verifier", 400, &verifier, err);
    if (r == 0)
        r = js_int(o, "", "size", 0, INT64_MAX, &ret->size, err);
    if (r == 0)
        r = js_string(o, "", "root", 64, &root, err);
    if (r == 0 && (strlen(root) != 64 || hex_decode(root, ret->root.b, MERKLE_HASH_SIZE) < 0))
        r = err_set(err, -EIO, "root is damaged");
    if (r < 0)
        return err_wrap(err, -EIO, "%s: restore it from a backup", path);
    ret->verifier = mem_strdup(verifier);
    return 0;
}

static int save_seen(const char *path, const char *verifier, const struct checkpoint *c, struct err *err)
{
    char root[65];
    hex_encode(c->root.b, MERKLE_HASH_SIZE, root);
    autojson json_t *o = json_pack("{ss sI ss}", "verifier", verifier, "size", (json_int_t)c->size, "root", root);
    autofree char *text = js_text(o);
    return fs_write_atomic(path, text, strlen(text), 0600, err);
}

static int take_proof(const json_t *question, struct merkle_proof *ret, struct err *err)
{
    json_t *list = NULL;
    int r = js_array(question, "", "proof", MERKLE_PROOF_MAX, &list, err);
    *ret = (struct merkle_proof){0};
    for (size_t i = 0; r == 0 && i < json_array_size(list); i++) {
        autofree unsigned char *raw = NULL;
        const char *text = json_string_value(json_array_get(list, i));
        size_t len = 0;
        if (!text || base64_decode(text, MERKLE_HASH_SIZE, &raw, &len) < 0 || len != MERKLE_HASH_SIZE)
            return err_set(err, -EINVAL, "proof[%zu]: must be 32 bytes in base64", i);
        memcpy(ret->hashes[ret->n++].b, raw, len);
    }
    return r;
}

static int check(const struct seen *seen, const json_t *question, const char *verifier, const struct note *note,
                 uint64_t *ret_size, struct err *err)
{
    struct note_verifier v;
    struct merkle_proof proof;
    const struct checkpoint *c = &note->checkpoint;
    int64_t from = 0;
    *ret_size = (uint64_t)seen->size;
    int r = note_verifier_parse(verifier, &v, err);
    if (r == 0 && seen->verifier && strcmp(seen->verifier, verifier))
        r = err_set(err, -EBADMSG, "the ledger's key is another than before: the ledger was replaced");
    if (r == 0 && (v.type != NOTE_ED25519 || strcmp(v.name, c->origin) || !note_signed_by(note, &v, NULL)))
        r = err_set(err, -EBADMSG, "the checkpoint is not signed by the ledger's key");
    if (r == 0)
        r = js_int(question, "", "from", 0, INT64_MAX, &from, err);
    if (r == 0 && from != seen->size)
        r = err_set(err, -ERANGE, "the proof is from %lld leaves, %lld were cosigned", (long long)from,
                    (long long)seen->size);
    if (r == 0)
        r = take_proof(question, &proof, err);
    if (r == 0 && (c->size < (uint64_t)seen->size ||
                   !merkle_check_consistency(&proof, (uint64_t)seen->size, c->size, &seen->root, &c->root)))
        r = err_set(err, -EBADMSG, "the checkpoint of %llu leaves does not continue the one of %lld: a fork",
                    (unsigned long long)c->size, (long long)seen->size);
    return r;
}

int witness_cosign(const struct witness *w, const char *subject, const json_t *question, char **ret_note,
                   uint64_t *ret_size, struct err *err)
{
    const char *verifier = NULL, *text = NULL;
    struct seen seen = {0};
    struct note note;
    int r = 0;
    if (!*subject || strlen(subject) > 64 || strspn(subject, "abcdefghijklmnopqrstuvwxyz0123456789-") < strlen(subject))
        r = err_set(err, -EINVAL, "whose ledger it is: must be lower-case letters, digits and hyphens");
    if (r == 0)
        r = js_string(question, "", "verifier", 400, &verifier, err);
    if (r == 0)
        r = js_string(question, "", "note", NOTE_MAX, &text, err);
    if (r == 0)
        r = note_parse(text, strlen(text), &note, err);
    if (r < 0)
        return r;
    autofree char *path = mem_printf("%s/%s", w->dir, subject);
    r = load_seen(path, &seen, err);
    if (r == 0)
        r = check(&seen, question, verifier, &note, ret_size, err);
    /* Remembered before it is signed: a crash in between costs a cosignature, never allows two histories. */
    if (r == 0 && (!seen.verifier || note.checkpoint.size > (uint64_t)seen.size))
        r = save_seen(path, verifier, &note.checkpoint, err);
    free(seen.verifier);
    if (r < 0)
        return r;
    struct buf out = BUF_INIT;
    buf_adds(&out, text);
    note_sign(&w->own, w->key, note.text, note.text_len, clock_wall_ms(w->clock) / 1000, &out);
    *ret_note = buf_take(&out);
    *ret_size = note.checkpoint.size;
    return 0;
}
