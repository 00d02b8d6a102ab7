/* ownhouse ledger activities: each sealed activity is looked for in the store, as it was when it was sealed. */
#include "cli/ledger_activities.h"

#include "base/fs.h"
#include "base/mem.h"
#include "cli/install.h"
#include "ledger/verify.h"
#include "store/activity_rows.h"

#define BATCH 500

const struct cli_option ledger_activities_options[] = {
    {"key", 0, "KEY", "the record's verifier key, or a file with it; default: the laptop's control plane's"},
    {"witness", 0, "KEY", "an agent's witness key, or a file with it; default: the laptop's agent's"},
    {"checkpoint", 0, "FILE", "the checkpoint that the agent cosigned last; default: the laptop's agent's"},
    {"store", 0, "FILE", "the control plane's database; default: the laptop's"},
    {0}};

struct comparing {
    struct cli *c;
    json_t *sealed; /* seq as text -> digest */
    json_t *findings;
    int64_t last, rows;
    uint64_t cosigned;
};

static void finding(struct comparing *x, const char *what)
{
    json_array_append_new(x->findings, json_string(what));
    ui_line(&x->c->ui, "FINDING %s", what);
}

static void on_finding(enum ledger_finding kind, uint64_t index OH_UNUSED, const char *sentence, void *data)
{
    const struct comparing *x = data;
    if (kind < LEDGER_LATE)
        finding(data, sentence);
    else if (kind == LEDGER_UNSEEN || kind == LEDGER_LATE)
        ui_line(&x->c->ui, "note    %s", sentence);
}

/* What a customer's agent keeps beside its own ledger; on a laptop it is at hand. */
static char *agents(const struct cli *c, const char *option, const char *file)
{
    const char *given = cli_option(c, option);
    autofree char *own = cli_path(c, "accounts/%s/%s/agent/ledger/%s", INSTALL_ACCOUNT, INSTALL_INFRASTRUCTURE, file);
    if (given)
        return mem_strdup(given);
    return fs_exists(own) ? TAKE_PTR(own) : NULL;
}

static int read_witness(const struct cli *c, struct note_verifier *ret, bool *ret_there, struct err *err)
{
    autofree char *path = agents(c, "witness", "witness.pub"), *text = NULL;
    int r = 0;
    if (!path)
        return 0;
    *ret_there = true;
    if (note_verifier_parse(path, ret, NULL) == 0)
        return 0;
    r = fs_read(path, KIB(4), &text, NULL, err);
    if (r < 0)
        return err_wrap(err, r, "the witness's key");
    text[strcspn(text, "\r\n")] = '\0';
    return note_verifier_parse(text, ret, err);
}

static void on_leaf(const struct leaf *leaf, const struct merkle_hash *hash OH_UNUSED, void *data)
{
    struct comparing *x = data;
    const json_t *row;
    size_t i;
    json_array_foreach(json_object_get(leaf->body, "rows"), i, row)
    {
        int64_t seq = json_integer_value(json_object_get(row, "seq"));
        autofree char *key = mem_printf("%lld", (long long)seq);
        json_object_set(x->sealed, key, json_object_get(row, "sha256"));
        x->last = MAX(x->last, seq);
    }
}

static int read_record(struct comparing *x, struct err *err)
{
    const char *key = cli_option(x->c, "key");
    autofree char *own_key = cli_path(x->c, "control/keys/activities/verifier"),
                  *dir = x->c->n_arguments ? mem_strdup(x->c->arguments[0])
                                           : cli_path(x->c, "control/keys/activities/published"),
                  *text = NULL;
    struct ledger_verify v = {.dir = dir, .on_finding = on_finding, .on_leaf = on_leaf, .data = x};
    autofree char *kept = agents(x->c, "checkpoint", "witness/activities.note"), *other = NULL;
    struct note_verifier witness;
    struct ledger_verdict verdict = {0};
    bool witnessed = false;
    int r = 0;
    if (!key || strchr(key, '/'))
        r = fs_read(key ? key : own_key, KIB(4), &text, NULL, err);
    else
        text = mem_strdup(key);
    if (r < 0)
        return err_wrap(err, r, "the record's verifier key");
    text[strcspn(text, "\r\n")] = '\0';
    r = note_verifier_parse(text, &v.log, err);
    if (r == 0)
        r = read_witness(x->c, &witness, &witnessed, err);
    if (r == 0 && kept && (r = fs_read(kept, NOTE_MAX, &other, NULL, err)) < 0)
        err_wrap(err, r, "the checkpoint that the agent cosigned");
    if (r < 0)
        return r;
    v.witness = witnessed ? &witness : NULL;
    v.others = (const char *const *)&other;
    v.n_others = other ? 1 : 0;
    r = ledger_verify(&v, &verdict, err);
    x->cosigned = verdict.cosigned;
    return r;
}

/* Takes each row that is in the store off the list of what was sealed. */
static void compare(struct comparing *x, const json_t *row)
{
    int64_t seq = json_integer_value(json_object_get(row, "seq"));
    autofree char *key = mem_printf("%lld", (long long)seq), *what = NULL;
    const char *id = json_string_value(json_object_get(row, "id"));
    const json_t *sealed = json_object_get(x->sealed, key);
    x->rows++;
    if (!sealed && seq <= x->last)
        what = mem_printf("activity %s %s was put in later: it was never sealed", key, id);
    else if (sealed && !json_equal(sealed, json_object_get(row, "sha256")))
        what = mem_printf("activity %s %s is not what was sealed", key, id);
    if (what)
        finding(x, what);
    json_object_del(x->sealed, key);
}

static int read_store(struct comparing *x, struct err *err)
{
    const char *given = cli_option(x->c, "store");
    autofree char *path = given ? mem_strdup(given) : cli_path(x->c, "control/store/control.db");
    autostore struct store *store = NULL;
    int64_t after = 0;
    size_t n = 1;
    int r = store_open(path, STORE_EXISTING, &store, err);
    while (r == 0 && n > 0) {
        autojson json_t *rows = NULL;
        if ((r = activity_rows(store, after, BATCH, &rows, err)) < 0)
            break;
        n = json_array_size(rows);
        for (size_t i = 0; i < n; i++)
            compare(x, json_array_get(rows, i));
        if (n)
            after = json_integer_value(json_object_get(json_array_get(rows, n - 1), "seq"));
    }
    return r;
}

int ledger_activities_run(struct cli *c, struct err *err)
{
    struct comparing x = {.c = c, .sealed = json_object(), .findings = json_array()};
    const char *key;
    json_t *digest;
    int r = read_record(&x, err);
    size_t sealed = json_object_size(x.sealed);
    if (r == 0)
        r = read_store(&x, err);
    json_object_foreach(x.sealed, key, digest)
    {
        autofree char *what = mem_printf("activity %s was sealed and is not in the store any more", key);
        if (r == 0)
            finding(&x, what);
    }
    json_decref(x.sealed);
    size_t n = json_array_size(x.findings);
    c->answer = json_pack("{sI sI sI so}", "sealed", (json_int_t)sealed, "rows", (json_int_t)x.rows, "cosigned",
                          (json_int_t)x.cosigned, "findings", x.findings);
    if (r < 0)
        return r;
    ui_line(&c->ui, "%zu activities are sealed, %lld are in the store; %llu checkpoints are cosigned by the agent",
            sealed, (long long)x.rows, (unsigned long long)x.cosigned);
    return n ? err_set(err, -EBADMSG, "the activities do not hold: %zu findings", n) : 0;
}
