/* ownhouse ledger and egress: the record, read and checked without asking anybody. */
#include "base/clock.h"
#include "base/fs.h"
#include "base/mem.h"
#include "cli/commands.h"
#include "cli/egress.h"
#include "cli/install.h"
#include "cli/ledger_activities.h"
#include "ledger/verify.h"

struct reading {
    struct cli *c;
    const char *kind; /* only leaves of this kind; NULL: all */
    int64_t from, shown;
    json_t *leaves, *findings;
    FILE *file; /* export */
    /* of egress */
    json_t *totals;
};

/* ---- where ---- */

static char *default_dir(const struct cli *c)
{
    return cli_path(c, "accounts/%s/%s/buckets/ledger", INSTALL_ACCOUNT, INSTALL_INFRASTRUCTURE);
}

/* A verifier key as text, or a file that holds one. */
static int take_verifier(const char *given, const char *fallback, struct note_verifier *ret, struct err *err)
{
    autofree char *text = NULL;
    const char *value = given;
    /* Names of keys have slashes too, so that a slash makes no file. */
    if (given && note_verifier_parse(given, ret, NULL) == 0)
        return 0;
    if (!given || strchr(given, '/') || fs_exists(given)) {
        int r = fs_read(given ? given : fallback, KIB(4), &text, NULL, err);
        if (r < 0)
            return err_wrap(err, r, "a verifier key");
        text[strcspn(text, "\r\n")] = '\0';
        value = text;
    }
    return note_verifier_parse(value, ret, err);
}

static int prepare(struct cli *c, struct ledger_verify *v, struct note_verifier *witness, char **ret_dir,
                   struct err *err)
{
    autofree char *key = cli_path(c, "accounts/%s/%s/agent/ledger/verifier", INSTALL_ACCOUNT, INSTALL_INFRASTRUCTURE),
                  *seen_by = cli_path(c, "control/keys/witness.pub");
    const char *given = cli_option(c, "witness");
    *ret_dir = c->n_arguments && strcmp(c->command->name, "prove") ? mem_strdup(c->arguments[0]) : default_dir(c);
    v->dir = *ret_dir;
    int r = take_verifier(cli_option(c, "key"), key, &v->log, err);
    if (r == 0 && (given || fs_exists(seen_by))) {
        r = take_verifier(given, seen_by, witness, err);
        v->witness = witness;
    }
    return r;
}

/* ---- verify ---- */

static void on_finding(enum ledger_finding kind, uint64_t index, const char *sentence, void *data)
{
    struct reading *r = data;
    json_array_append_new(r->findings,
                          json_pack("{ss sb sI ss}", "finding", ledger_finding_names[kind], "notice",
                                    (int)(kind >= LEDGER_LATE), "leaf", (json_int_t)index, "what", sentence));
}

static void tell_findings(struct cli *c, const json_t *findings)
{
    const json_t *one;
    size_t i;
    json_array_foreach(findings, i, one)
    {
        const char *name = json_string_value(json_object_get(one, "finding")),
                   *what = json_string_value(json_object_get(one, "what"));
        bool notice = json_is_true(json_object_get(one, "notice"));
        ui_line(&c->ui, "%s %-8s %s", notice ? "note   " : "FINDING", name ? name : "", what ? what : "");
    }
}

static int load_others(const char *path, char **ret, struct err *err)
{
    return path ? fs_read(path, NOTE_MAX, ret, NULL, err) : 0;
}

/* A copy that is being written to while it is read may look bent: its newest checkpoint then is another afterwards, and
 * it is read again, a few times. */
static int verify_settled(const struct ledger_verify *v, struct ledger_verdict *ret, struct err *err)
{
    autofree char *path = mem_printf("%s/checkpoint", v->dir);
    struct reading *reading = v->data;
    int r = 0;
    for (int tries = 0; tries < 5; tries++) {
        autofree char *before = NULL, *after = NULL;
        bool there = fs_exists(path) && fs_read(path, NOTE_MAX, &before, NULL, NULL) == 0;
        json_array_clear(reading->findings);
        r = ledger_verify(v, ret, err);
        if (r < 0 || ret->findings == 0 || !there || fs_read(path, NOTE_MAX, &after, NULL, NULL) < 0 ||
            !strcmp(before, after))
            break;
    }
    tell_findings(reading->c, reading->findings);
    return r;
}

static int verify_run(struct cli *c, struct err *err)
{
    struct reading reading = {.c = c, .findings = json_array()};
    struct note_verifier witness;
    struct ledger_verdict verdict = {0};
    struct ledger_verify v = {.on_finding = on_finding, .data = &reading};
    autofree char *dir = NULL, *other = NULL;
    int r = prepare(c, &v, &witness, &dir, err);
    if (r == 0)
        r = load_others(cli_option(c, "checkpoint"), &other, err);
    if (r == 0 && other) {
        v.others = (const char *const *)&other;
        v.n_others = 1;
    }
    if (r == 0)
        r = verify_settled(&v, &verdict, err);
    char root[65];
    hex_encode(verdict.root.b, MERKLE_HASH_SIZE, root);
    c->answer = json_pack("{ss sI sI sI sI sI ss so}", "folder", dir ? dir : "", "leaves", (json_int_t)verdict.leaves,
                          "signed", (json_int_t)verdict.signed_size, "checkpoints", (json_int_t)verdict.checkpoints,
                          "cosigned", (json_int_t)verdict.cosigned, "findingCount", (json_int_t)verdict.findings,
                          "root", root, "findings", reading.findings);
    if (r < 0)
        return r;
    ui_line(&c->ui, "%llu leaves, %llu of them under %llu checkpoints, %llu cosigned",
            (unsigned long long)verdict.leaves, (unsigned long long)verdict.signed_size,
            (unsigned long long)verdict.checkpoints, (unsigned long long)verdict.cosigned);
    ui_line(&c->ui, "root %s", root);
    if (verdict.findings == 0 && verdict.signed_size > 0) {
        ui_line(&c->ui, "nothing was removed, reordered, altered or forked");
        return 0;
    }
    return err_set(err, -EBADMSG, "the ledger in %s does not hold: %llu findings", dir,
                   (unsigned long long)verdict.findings);
}

/* ---- show, export ---- */

static void on_leaf(const struct leaf *leaf, const struct merkle_hash *hash OH_UNUSED, void *data)
{
    struct reading *r = data;
    char time[CLOCK_ISO_SIZE];
    if ((int64_t)leaf->index < r->from || (r->kind && strcmp(r->kind, leaf->kind)))
        return;
    autofree char *text = js_text(r->file ? leaf->json : leaf->body);
    clock_iso(leaf->time_ms, time);
    r->shown++;
    if (r->file) {
        fprintf(r->file, "%s\n", text);
        return;
    }
    json_array_append(r->leaves, leaf->json);
    ui_line(&r->c->ui, "%6llu %s %-10s %s", (unsigned long long)leaf->index, time, leaf->kind, text);
}

static int read_all(struct cli *c, struct reading *reading, struct err *err)
{
    struct note_verifier witness;
    struct ledger_verdict verdict;
    struct ledger_verify v = {.on_leaf = on_leaf, .data = reading};
    autofree char *dir = NULL;
    int r = prepare(c, &v, &witness, &dir, err);
    v.witness = NULL;
    if (r == 0)
        r = ledger_verify(&v, &verdict, err);
    if (r == 0 && verdict.findings)
        ui_warn(&c->ui, "this ledger does not hold: `ownhouse ledger verify` says why");
    return r;
}

static int show_run(struct cli *c, struct err *err)
{
    struct reading reading = {.c = c, .kind = cli_option(c, "kind"), .leaves = json_array()};
    int r = cli_option_int(c, "from", 0, INT64_MAX, &reading.from, err);
    if (r == 0)
        r = read_all(c, &reading, err);
    c->answer = reading.leaves;
    return r;
}

static int export_run(struct cli *c, struct err *err)
{
    const char *to = cli_option(c, "to");
    struct reading reading = {.c = c, .kind = cli_option(c, "kind")};
    int r = cli_option_int(c, "from", 0, INT64_MAX, &reading.from, err);
    if (r < 0)
        return r;
    if (!to)
        return err_set(err, CLI_BAD_USAGE, "--to FILE is missing");
    reading.file = fopen(to, "wx");
    if (!reading.file)
        return err_set_errno(err, -errno, "cannot make %s", to);
    r = read_all(c, &reading, err);
    if (fclose(reading.file) && r == 0)
        r = err_set_errno(err, -errno, "cannot write %s", to);
    if (r == 0)
        ui_line(&c->ui, "%lld leaves in %s", (long long)reading.shown, to);
    c->answer = json_pack("{ss sI}", "file", to, "leaves", (json_int_t)reading.shown);
    return r;
}

/* ---- prove ---- */

struct proving {
    struct merkle_hash *hashes;
    size_t n, cap;
    char *text; /* of the leaf asked for */
    uint64_t index;
};

static void collect(const struct leaf *leaf, const struct merkle_hash *hash, void *data)
{
    struct proving *p = data;
    if (p->n == p->cap)
        p->hashes = mem_realloc(p->hashes, (p->cap = p->cap ? 2 * p->cap : 1024) * sizeof(*p->hashes));
    if (p->n == p->index)
        p->text = js_text(leaf->json);
    p->hashes[p->n++] = *hash;
}

static int subtree(unsigned level, uint64_t index, void *data, struct merkle_hash *ret, struct err *err)
{
    struct proving *p = data;
    struct merkle_hash right;
    if (level == 0) {
        if (index >= p->n)
            return err_set(err, -ENOENT, "leaf %llu is not there", (unsigned long long)index);
        *ret = p->hashes[index];
        return 0;
    }
    int r = subtree(level - 1, 2 * index, data, ret, err);
    if (r == 0)
        r = subtree(level - 1, 2 * index + 1, data, &right, err);
    if (r == 0)
        merkle_node(ret, &right, ret);
    return r;
}

static int prove(struct cli *c, const struct ledger_verify *v, struct proving *p, struct err *err)
{
    struct ledger_verdict verdict;
    struct merkle_source source = {subtree, p};
    struct merkle_proof proof;
    autofree char *path = NULL, *note = NULL;
    char hex[65];
    int r = ledger_verify(v, &verdict, err);
    if (r == 0 && verdict.findings)
        r = err_set(err, -EBADMSG, "the ledger does not hold: `ownhouse ledger verify` says why");
    if (r == 0)
        r = merkle_prove_inclusion(&source, p->index, verdict.signed_size, &proof, err);
    if (r == 0 && !merkle_check_inclusion(&proof, p->index, verdict.signed_size, &p->hashes[p->index], &verdict.root))
        r = err_set(err, -EBADMSG, "leaf %llu is not under the checkpoint", (unsigned long long)p->index);
    if (r == 0) {
        path = mem_printf("%s/checkpoints/%012llu", v->dir, (unsigned long long)verdict.signed_size);
        r = fs_read(path, NOTE_MAX, &note, NULL, err);
    }
    if (r < 0)
        return r;
    json_t *hashes = json_array();
    for (size_t i = 0; i < proof.n; i++) {
        hex_encode(proof.hashes[i].b, MERKLE_HASH_SIZE, hex);
        json_array_append_new(hashes, json_string(hex));
    }
    hex_encode(verdict.root.b, MERKLE_HASH_SIZE, hex);
    ui_line(&c->ui, "leaf %llu of %llu under root %s", (unsigned long long)p->index,
            (unsigned long long)verdict.signed_size, hex);
    ui_line(&c->ui, "%s", p->text);
    c->answer = json_pack("{sI sI ss ss so ss}", "index", (json_int_t)p->index, "size", (json_int_t)verdict.signed_size,
                          "leaf", p->text, "root", hex, "proof", hashes, "checkpoint", note);
    return 0;
}

static int prove_run(struct cli *c, struct err *err)
{
    struct proving p = {0};
    struct note_verifier witness;
    struct ledger_verify v = {.on_leaf = collect, .data = &p};
    autofree char *dir = NULL;
    char *end;
    p.index = strtoull(c->arguments[0], &end, 10);
    if (*end || !*c->arguments[0])
        return err_set(err, CLI_BAD_USAGE, "%.40s is not a leaf's number", c->arguments[0]);
    int r = prepare(c, &v, &witness, &dir, err);
    v.witness = NULL;
    if (r == 0 && cli_option(c, "dir"))
        v.dir = cli_option(c, "dir");
    if (r == 0)
        r = prove(c, &v, &p, err);
    free(p.hashes);
    free(p.text);
    return r;
}

/* ---- egress ---- */

/* Messages that have no leaf of their own, or there would be one for each leaf. */
static void add_counted(struct reading *r, const json_t *totals, const char *message)
{
    autofree char *key = mem_printf("%s (uncounted by leaf)", message), *many = mem_printf("egress.%s", message),
                  *size = mem_printf("egress.%s.bytes", message);
    json_t *old = json_object_get(r->totals, key);
    int64_t n = json_integer_value(json_object_get(totals, many)),
            b = json_integer_value(json_object_get(totals, size));
    if (n)
        json_object_set_new(r->totals, key,
                            json_pack("{sI sI}", "messages",
                                      (json_int_t)(n + json_integer_value(json_object_get(old, "messages"))), "bytes",
                                      (json_int_t)(b + json_integer_value(json_object_get(old, "bytes")))));
}

static void on_egress(const struct leaf *leaf, const struct merkle_hash *hash OH_UNUSED, void *data)
{
    struct reading *r = data;
    const char *message = json_string_value(json_object_get(leaf->body, "message")),
               *to = json_string_value(json_object_get(leaf->body, "destination"));
    int64_t bytes = json_integer_value(json_object_get(leaf->body, "bytes"));
    add_counted(r, leaf->totals, "checkpoint");
    add_counted(r, leaf->totals, "activities-cosigned");
    if (strcmp(leaf->kind, "egress") || !message || !to)
        return;
    autofree char *key = mem_printf("%s to %s", message, to);
    json_t *old = json_object_get(r->totals, key);
    json_object_set_new(r->totals, key,
                        json_pack("{sI sI}", "messages",
                                  (json_int_t)(1 + json_integer_value(json_object_get(old, "messages"))), "bytes",
                                  (json_int_t)(bytes + json_integer_value(json_object_get(old, "bytes")))));
}

static int egress_show_run(struct cli *c, struct err *err)
{
    struct reading reading = {.c = c, .totals = json_object()};
    struct note_verifier witness;
    struct ledger_verdict verdict;
    struct ledger_verify v = {.on_leaf = on_egress, .data = &reading};
    autofree char *dir = NULL;
    const char *key;
    json_t *one;
    int r = prepare(c, &v, &witness, &dir, err);
    v.witness = NULL;
    if (r == 0)
        r = ledger_verify(&v, &verdict, err);
    c->answer = reading.totals;
    if (r < 0)
        return r;
    struct ui_table *t = ui_table_new((const char *const[]){"MESSAGE", "COUNT", "BYTES", NULL});
    json_object_foreach(reading.totals, key, one)
    {
        char count[24], bytes[24];
        snprintf(count, sizeof(count), "%lld", (long long)json_integer_value(json_object_get(one, "messages")));
        snprintf(bytes, sizeof(bytes), "%lld", (long long)json_integer_value(json_object_get(one, "bytes")));
        ui_table_row(t, key, count, bytes);
    }
    ui_table_print(&c->ui, t);
    if (verdict.findings)
        ui_warn(&c->ui, "this ledger does not hold: `ownhouse ledger verify` says why");
    return 0;
}

#define KEY_OPTIONS                                                                                                 \
    {"key", 0, "KEY", "the ledger's verifier key, or a file with it; default: the laptop's agent's"},               \
    {                                                                                                               \
        "witness", 0, "KEY", "the witness's verifier key, or a file with it; default: the laptop's control plane's" \
    }

static const struct cli_option verify_options[] = {
    KEY_OPTIONS, {"checkpoint", 0, "FILE", "a checkpoint kept elsewhere, which must fit too"}, {0}};
static const struct cli_option show_options[] = {
    KEY_OPTIONS, {"kind", 'k', "KIND", "only leaves of this kind"}, {"from", 0, "N", "from this leaf on"}, {0}};
static const struct cli_option export_options[] = {KEY_OPTIONS,
                                                   {"kind", 'k', "KIND", "only leaves of this kind"},
                                                   {"from", 0, "N", "from this leaf on"},
                                                   {"to", 0, "FILE", "a new file, one leaf a line"},
                                                   {0}};
static const struct cli_option prove_options[] = {KEY_OPTIONS, {"dir", 0, "DIR", "the copy to read"}, {0}};
static const struct cli_option egress_options[] = {KEY_OPTIONS, {0}};

static const struct cli_command ledger_subcommands[] = {
    {.name = "show",
     .arguments = "[DIR]",
     .summary = "Shows the leaves of a ledger or of a copy of its bucket.",
     .max_arguments = 1,
     .options = show_options,
     .run = show_run},
    {.name = "verify",
     .arguments = "[DIR]",
     .summary = "Checks a copy offline: gaps, edits, forks, forged signatures, late cosignatures.",
     .max_arguments = 1,
     .options = verify_options,
     .run = verify_run},
    {.name = "activities",
     .arguments = "[DIR]",
     .summary = "Compares the control plane's activities with the record that they were sealed into.",
     .max_arguments = 1,
     .options = ledger_activities_options,
     .run = ledger_activities_run},
    {.name = "prove",
     .arguments = "LEAF",
     .summary = "Proves that one leaf is under the last checkpoint.",
     .min_arguments = 1,
     .max_arguments = 1,
     .options = prove_options,
     .run = prove_run},
    {.name = "export",
     .arguments = "[DIR]",
     .summary = "Writes leaves to a file, one JSON object a line.",
     .max_arguments = 1,
     .options = export_options,
     .run = export_run},
    {0},
};

static const struct cli_command egress_subcommands[] = {
    {.name = "show",
     .arguments = "[DIR]",
     .summary = "Sums up what left the account, by message and destination, from the ledger.",
     .max_arguments = 1,
     .options = egress_options,
     .run = egress_show_run},
    {.name = "fields",
     .arguments = "",
     .summary = "Lists each field that may leave, and whether the customer's list lets it.",
     .options = egress_list_options,
     .run = egress_fields_run},
    {.name = "narrow",
     .arguments = "[FIELD...]",
     .summary = "Writes a list that withholds these fields; none: all may leave again.",
     .max_arguments = EGRESS_FIELDS_MAX,
     .options = egress_list_options,
     .run = egress_narrow_run},
    {.name = "hosts",
     .arguments = "",
     .summary =
         "Lists the hosts and ports that must be open for the data plane, and that its packet rules let through.",
     .run = egress_hosts_run},
    {0},
};

const struct cli_command ledger_command = {
    .name = "ledger",
    .arguments = "",
    .summary = "Shows, checks, proves and exports the record of what was done and what left.",
    .subcommands = ledger_subcommands,
};

const struct cli_command egress_command = {
    .name = "egress",
    .arguments = "",
    .summary = "Says what left the account.",
    .subcommands = egress_subcommands,
    .default_subcommand = "show",
};
