/* Seals the store's activities into a ledger that only the signer can write. */
#include "control/signer/signer_seal.h"

#include "base/fs.h"
#include "base/mem.h"
#include "ledger/leaf.h"

#define CHECKPOINT_MS 10000
#define CHECKPOINT_LEAVES 1000
#define KIND "activities"

/* ---- opening ---- */

static int read_last(struct signer_seal *s, struct err *err)
{
    autofree char *text = NULL;
    autojson json_t *leaf = NULL;
    json_t *body = NULL;
    size_t len = 0;
    uint64_t size = ledger_size(s->ledger);
    s->last = 0;
    if (size == 0)
        return 0;
    int r = ledger_leaf(s->ledger, size - 1, &text, &len, err);
    if (r == 0)
        r = js_parse(text, len, len, &leaf, err);
    if (r == 0)
        r = js_object(leaf, "", "body", &body, err);
    return r < 0 ? r : js_int(body, "body", "last", 1, INT64_MAX, &s->last, err);
}

/* After a failed write only the disk knows what is on it: it is opened anew. */
static int need(struct signer_seal *s, struct err *err)
{
    autofree char *dir = mem_printf("%s/log", s->dir);
    struct ledger_config c = {.dir = dir, .origin = s->origin, .key = s->key, .clock = s->clock};
    if (s->ledger)
        return 0;
    int r = ledger_open(&c, &s->ledger, err);
    if (r == 0 && (r = read_last(s, err)) < 0) {
        ledger_close(s->ledger);
        s->ledger = NULL;
    }
    return r < 0 ? err_wrap(err, r, "the ledger of activities") : 0;
}

int signer_seal_open(const char *keys_dir, const struct clock *clock, struct signer_seal *ret, struct err *err)
{
    struct signer_seal s = {.dir = mem_printf("%s/activities", keys_dir), .clock = clock};
    int r = ledger_key(s.dir, KIND, s.origin, &s.key, err);
    if (r < 0)
        signer_seal_close(&s);
    else
        *ret = s;
    return r;
}

/* ---- checkpoints ---- */

static int checkpoint(struct signer_seal *s, struct err *err)
{
    autofree char *published = mem_printf("%s/published", s->dir);
    int r = ledger_checkpoint(s->ledger, err);
    if (r == 0)
        r = fs_mkdirs(published, 0700, err);
    if (r == 0)
        r = ledger_publish(s->ledger, published, err);
    s->signed_ms = clock_mono_ms(s->clock);
    return r;
}

static int checkpoint_if_due(struct signer_seal *s, struct err *err)
{
    uint64_t behind = ledger_size(s->ledger) - ledger_signed_size(s->ledger);
    if (behind == 0 ||
        (behind < CHECKPOINT_LEAVES && s->signed_ms && clock_mono_ms(s->clock) < s->signed_ms + CHECKPOINT_MS))
        return 0;
    return checkpoint(s, err);
}

void signer_seal_close(struct signer_seal *s)
{
    if (s->ledger && ledger_size(s->ledger) > ledger_signed_size(s->ledger))
        (void)!checkpoint(s, NULL);
    ledger_close(s->ledger);
    signing_key_free(s->key);
    free(s->dir);
    *s = (struct signer_seal){0};
}

/* ---- sealing ---- */

static int check_row(const json_t *row, int64_t after, int64_t *ret_seq, struct err *err)
{
    static const char *const keys[] = {"seq", "id", "type", "organization", "time", "sha256", NULL};
    static const char *const texts[] = {"id", "type", "organization", "time", "sha256"};
    int r =
        json_is_object(row) ? js_only(row, "rows", keys, err) : err_set(err, -EINVAL, "rows: each must be an object");
    if (r == 0)
        r = js_int(row, "rows", "seq", 1, INT64_MAX, ret_seq, err);
    for (size_t i = 0; r == 0 && i < ARRAY_SIZE(texts); i++) {
        const char *text;
        r = js_string(row, "rows", texts[i], 100, &text, err);
    }
    if (r == 0 && *ret_seq <= after)
        r = err_set(err, -EPERM,
                    "activity %lld is not above %lld, the last one sealed: the store has less than was sealed, it was "
                    "rolled back or altered",
                    (long long)*ret_seq, (long long)after);
    return r;
}

static int append(struct signer_seal *s, json_t *rows, struct err *err)
{
    int64_t first = 0, seq = s->last;
    for (size_t i = 0; i < json_array_size(rows); i++) {
        int r = check_row(json_array_get(rows, i), seq, &seq, err);
        if (r < 0)
            return r;
        first = i ? first : seq;
    }
    autojson json_t *body = json_pack("{sI sI sO}", "first", (json_int_t)first, "last", (json_int_t)seq, "rows", rows);
    int r = ledger_append(s->ledger, KIND, body, NULL, err);
    if (r == 0)
        s->last = seq;
    if (r < 0 && r != -EINVAL && r != -EMSGSIZE && r != -ENOSPC && r != -EDQUOT && r != -EFBIG) {
        ledger_close(s->ledger);
        s->ledger = NULL;
    }
    return r;
}

int signer_seal_rows(struct signer_seal *s, const json_t *question, int64_t *ret_last, struct err *err)
{
    json_t *rows = NULL;
    int r = js_array(question, "", "rows", SIGNER_SEAL_ROWS, &rows, err);
    if (r == 0)
        r = need(s, err);
    if (r == 0 && json_array_size(rows))
        r = append(s, rows, err);
    if (r == 0)
        r = checkpoint_if_due(s, err);
    if (r == 0)
        *ret_last = s->last;
    return r;
}

bool signer_seal_signed(const struct signer_seal *s)
{
    return s->ledger && ledger_size(s->ledger) == ledger_signed_size(s->ledger);
}

/* ---- outside witnesses ---- */

int signer_seal_checkpoint(struct signer_seal *s, uint64_t from, json_t *answer, struct err *err)
{
    struct merkle_proof p = {0};
    struct note_verifier v;
    int r = need(s, err);
    if (r < 0)
        return r;
    uint64_t size = ledger_signed_size(s->ledger);
    json_object_set_new(answer, "size", json_integer((json_int_t)size));
    if (from >= size)
        return 0;
    if (from && (r = ledger_consistency(s->ledger, from, size, &p, err)) < 0)
        return r;
    json_t *list = json_array();
    for (size_t i = 0; i < p.n; i++) {
        autofree char *text = base64_encode(p.hashes[i].b, MERKLE_HASH_SIZE);
        json_array_append_new(list, json_string(text));
    }
    ledger_verifier(s->ledger, &v);
    autofree char *verifier = note_verifier_text(&v);
    json_object_set_new(answer, "verifier", json_string(verifier));
    json_object_set_new(answer, "note", json_string(ledger_note(s->ledger)));
    json_object_set_new(answer, "from", json_integer((json_int_t)from));
    return json_object_set_new(answer, "proof", list);
}

/* The first key that an agent shows is its key from then on. */
static int pin(const struct signer_seal *s, const char *infrastructure, const char *verifier, struct err *err)
{
    autofree char *dir = mem_printf("%s/witnesses", s->dir), *path = mem_printf("%s/%s", dir, infrastructure),
                  *line = mem_printf("%s\n", verifier), *known = NULL;
    int r = fs_mkdirs(dir, 0700, err);
    if (r == 0 && !fs_exists(path))
        return fs_write_atomic(path, line, strlen(line), 0644, err);
    if (r == 0)
        r = fs_read(path, KIB(4), &known, NULL, err);
    if (r == 0 && strcmp(known, line))
        r = err_set(err, -EBADMSG, "the witness's key is another than before: the agent's ledger folder was replaced");
    return r;
}

int signer_seal_cosigned(struct signer_seal *s, const char *infrastructure, const json_t *question, struct err *err)
{
    const char *verifier = NULL, *text = NULL;
    struct note_verifier v;
    struct note note;
    int r = js_string(question, "", "verifier", 400, &verifier, err);
    if (r == 0)
        r = js_string(question, "", "note", NOTE_MAX, &text, err);
    if (r == 0)
        r = note_verifier_parse(verifier, &v, err);
    if (r == 0)
        r = note_parse(text, strlen(text), &note, err);
    if (r == 0 && (v.type != NOTE_COSIGNATURE || !note_signed_by(&note, &v, NULL)))
        r = err_set(err, -EBADMSG, "the checkpoint is not cosigned by the key that is named");
    if (r == 0)
        r = pin(s, infrastructure, verifier, err);
    if (r == 0)
        r = need(s, err);
    if (r == 0)
        r = ledger_witnessed(s->ledger, &v, text, strlen(text), SIGNER_SEAL_WITNESSES, err);
    if (r < 0)
        return r;
    autofree char *published = mem_printf("%s/published", s->dir);
    return ledger_publish(s->ledger, published, err);
}
