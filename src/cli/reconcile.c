/* ownhouse reconcile: joins what the ledger says was allowed with what other records say was done. */
#include "base/buf.h"
#include "base/clock.h"
#include "base/fs.h"
#include "base/mem.h"
#include "cli/commands.h"
#include "cli/install.h"
#include "ledger/verify.h"

#define FILE_MAX MIB(256)
#define SLACK_MS 120000             /* clocks of different records */
#define OPERATION_MS (15 * 60000LL) /* an operation without an outcome is taken to last so long */
#define QUERY_ENGINEERS "ownhouse_"
#define QUERY_OPERATOR "ownhouse_operator" /* the agent's own duties at the engine: no approval is asked for them */

/* Something allowed, from a signed record: an interval in which acts of some kinds are expected. */
struct allowed {
    int64_t from_ms, to_ms;
    char *id;
    json_t *targets; /* of a grant; NULL: an operation */
    bool plan;       /* cloud calls */
};

struct join {
    struct cli *c;
    struct allowed *list;
    size_t n, cap;
    json_t *queries; /* id of a statement that the gate passed on -> true once it was found */
    json_t *found;   /* acts without an approval, and approvals without an act */
    int64_t acts, covered, own;
    const char *principal;
};

static void add(struct join *j, int64_t from, int64_t to, const char *id, json_t *targets, bool plan)
{
    if (j->n == j->cap)
        j->list = mem_realloc(j->list, (j->cap = j->cap ? 2 * j->cap : 32) * sizeof(*j->list));
    j->list[j->n++] = (struct allowed){from, to, mem_strdup(id), json_incref(targets), plan};
}

static void end(struct join *j, const char *id, int64_t at)
{
    for (size_t i = 0; i < j->n; i++)
        if (!strcmp(j->list[i].id, id) && at < j->list[i].to_ms)
            j->list[i].to_ms = at;
}

static void on_leaf(const struct leaf *leaf, const struct merkle_hash *hash OH_UNUSED, void *data)
{
    struct join *j = data;
    const json_t *b = leaf->body;
    if (!strcmp(leaf->kind, "access.grant")) {
        int64_t seconds = json_integer_value(json_object_get(b, "seconds"));
        add(j, leaf->time_ms, leaf->time_ms + seconds * 1000, js_text_at(b, "grant"), json_object_get(b, "targets"),
            false);
    } else if (!strcmp(leaf->kind, "access.end")) {
        end(j, js_text_at(b, "grant"), leaf->time_ms);
    } else if (!strcmp(leaf->kind, "access.request")) {
        json_object_set_new(j->queries, js_text_at(b, "id"), json_false());
    } else if (!strcmp(leaf->kind, "access.user")) {
        json_object_set_new(j->queries, js_text_at(b, "id"),
                            json_true()); /* an engine that is gone takes its users along */
    } else if (!strcmp(leaf->kind, "operation")) {
        add(j, leaf->time_ms, leaf->time_ms + OPERATION_MS, js_text_at(b, "request"), NULL, false);
    } else if (!strcmp(leaf->kind, "outcome")) {
        end(j, js_text_at(b, "request"), leaf->time_ms);
    }
}

/* ---- files ---- */

static void report(struct join *j, const char *source, const char *time, const char *who, const char *what)
{
    json_t *one = json_pack("{ss ss ss ss}", "source", source, "time", time, "who", who, "what", what);
    if (one)
        json_array_append_new(j->found, one);
    ui_line(&j->c->ui, "NO APPROVAL  %s  %s  %s  %s", source, time, who, what);
}

static bool covers(const struct allowed *a, int64_t at, bool plan, const char *target)
{
    if (at < a->from_ms - SLACK_MS || at > a->to_ms + SLACK_MS || a->plan != plan)
        return false;
    if (!target)
        return !a->targets;
    for (size_t i = 0; i < json_array_size(a->targets); i++) {
        const char *t = json_string_value(json_array_get(a->targets, i));
        if (t && !strcmp(t, target))
            return true;
    }
    return false;
}

/* An act at this time: is there an approval that it could be under? target: an access grant for it counts too. */
static void judge(struct join *j, const char *source, const char *time, const char *who, const char *what, bool plan,
                  const char *target)
{
    int64_t at = 0;
    bool ok = false;
    j->acts++;
    if (clock_iso_parse(time, &at) == 0)
        for (size_t i = 0; i < j->n && !ok; i++)
            ok = covers(&j->list[i], at, plan, NULL) || (target && covers(&j->list[i], at, false, target));
    if (ok)
        j->covered++;
    else
        report(j, source, time, who, what);
}

/* The vendor's principals; the customer's own people and programs are not ours to judge. */
static bool is_vendor(const struct join *j, const char *who)
{
    return strstr(who, j->principal) != NULL;
}

static void cloudtrail_record(struct join *j, const json_t *r)
{
    const char *who = js_text_at(json_object_get(r, "userIdentity"), "arn");
    autofree char *what = mem_printf("%s %s", js_text_at(r, "eventSource"), js_text_at(r, "eventName"));
    if (is_vendor(j, who))
        judge(j, "cloudtrail", js_text_at(r, "eventTime"), who, what, true, NULL);
}

static void kubernetes_record(struct join *j, const json_t *r)
{
    const char *who = js_text_at(json_object_get(r, "user"), "username"), *verb = js_text_at(r, "verb"),
               *stage = js_text_at(r, "stage"), *time = js_text_at(r, "requestReceivedTimestamp");
    bool reads = !strcmp(verb, "get") || !strcmp(verb, "list") || !strcmp(verb, "watch");
    autofree char *what = mem_printf("%s %s", verb, js_text_at(r, "requestURI"));
    if (!is_vendor(j, who) || (*stage && strcmp(stage, "ResponseComplete")))
        return;
    judge(j, "kubernetes", time, who, what, false, reads && !strstr(what, "/secrets") ? "cluster.view" : NULL);
}

/* Rows of system.query_log or of the embedded engine's log, as JSON lines. */
static void query_record(struct join *j, const json_t *r)
{
    const char *who = js_text_at(r, "user"), *id = js_text_at(r, "query_id"),
               *time = *js_text_at(r, "time") ? js_text_at(r, "time") : js_text_at(r, "event_time");
    if (!strcmp(who, QUERY_OPERATOR)) {
        j->own++;
        return;
    }
    if (strncmp(who, QUERY_ENGINEERS, strlen(QUERY_ENGINEERS)) && !is_vendor(j, who) &&
        !json_object_get(j->queries, id))
        return;
    j->acts++;
    if (json_object_get(j->queries, id)) {
        json_object_set_new(j->queries, id, json_true());
        j->covered++;
    } else {
        autofree char *what = mem_printf("query %s", id);
        report(j, "query log", time, who, what);
    }
}

static int each_line(struct join *j, char *body, const char *path, void (*take)(struct join *, const json_t *),
                     struct err *err)
{
    char *rest = body, *line;
    int64_t number = 0;
    while ((line = strsep(&rest, "\n"))) {
        autojson json_t *r = NULL;
        number++;
        if (!line[strspn(line, " \t\r")])
            continue;
        int code = js_parse(line, strlen(line), MIB(4), &r, err);
        if (code < 0)
            return err_wrap(err, code, "%s, line %lld", path, (long long)number);
        take(j, r);
    }
    return 0;
}

/* CloudTrail's files are one object; the others are an object a line, and so may this one be. */
static int read_records(struct join *j, const char *option, void (*take)(struct join *, const json_t *),
                        struct err *err)
{
    const char *path = cli_option(j->c, option);
    autofree char *body = NULL;
    autojson json_t *whole = NULL;
    size_t len = 0;
    if (!path)
        return 0;
    int r = fs_read(path, FILE_MAX, &body, &len, err);
    if (r < 0)
        return r;
    if (js_parse(body, len, FILE_MAX, &whole, NULL) == 0 && json_is_array(json_object_get(whole, "Records"))) {
        const json_t *records = json_object_get(whole, "Records");
        for (size_t i = 0; i < json_array_size(records); i++)
            take(j, json_array_get(records, i));
        return 0;
    }
    return each_line(j, body, path, take, err);
}

/* Plans as GET /plans gives them: approved cloud changes. */
static int read_plans(struct join *j, struct err *err)
{
    const char *path = cli_option(j->c, "plans");
    autofree char *body = NULL;
    autojson json_t *whole = NULL;
    size_t len = 0;
    if (!path)
        return 0;
    int r = fs_read(path, FILE_MAX, &body, &len, err);
    if (r == 0)
        r = js_parse(body, len, FILE_MAX, &whole, err);
    if (r < 0)
        return err_wrap(err, r, "%s", path);
    const json_t *list = json_is_array(whole) ? whole : json_object_get(whole, "result");
    for (size_t i = 0; i < json_array_size(list); i++) {
        const json_t *p = json_array_get(list, i);
        int64_t from = 0, to = 0;
        if (clock_iso_parse(js_text_at(p, "approvedAt"), &from) < 0)
            continue;
        if (clock_iso_parse(js_text_at(p, "finishedAt"), &to) < 0)
            to = from + OPERATION_MS;
        add(j, from, to, js_text_at(p, "id"), NULL, true);
    }
    return 0;
}

/* ---- the command ---- */

static int read_ledger(struct join *j, struct err *err)
{
    struct cli *c = j->c;
    autofree char *standard = cli_path(c, "accounts/%s/%s/buckets/ledger", INSTALL_ACCOUNT, INSTALL_INFRASTRUCTURE);
    autofree char *verifier =
        cli_path(c, "accounts/%s/%s/agent/ledger/verifier", INSTALL_ACCOUNT, INSTALL_INFRASTRUCTURE);
    autofree char *key = NULL;
    struct ledger_verdict verdict;
    struct ledger_verify v = {.dir = c->n_arguments ? c->arguments[0] : standard, .on_leaf = on_leaf, .data = j};
    int r = fs_read(cli_option(c, "key") ? cli_option(c, "key") : verifier, KIB(4), &key, NULL, err);
    if (r < 0)
        return err_wrap(err, r, "the ledger's verifier key");
    key[strcspn(key, "\r\n")] = '\0';
    r = note_verifier_parse(key, &v.log, err);
    if (r == 0)
        r = ledger_verify(&v, &verdict, err);
    if (r == 0 && verdict.findings)
        r = err_set(err, -EBADMSG,
                    "the ledger does not hold, so nothing can be joined with it: `ownhouse ledger verify`");
    return r;
}

/* What the gate says it sent must have been seen by the engine. */
static void missing_queries(struct join *j)
{
    const char *id;
    json_t *seen;
    if (!cli_option(j->c, "query-log"))
        return;
    json_object_foreach(j->queries, id, seen)
    {
        if (json_is_true(seen) || !*id)
            continue;
        json_array_append_new(j->found, json_pack("{ss ss}", "source", "ledger", "what", id));
        ui_line(&j->c->ui, "NO ACT       ledger  statement %s was recorded and is not in the query log", id);
    }
}

static int reconcile_run(struct cli *c, struct err *err)
{
    struct join j = {.c = c, .queries = json_object(), .found = json_array()};
    j.principal = cli_option(c, "principal") ? cli_option(c, "principal") : "ownhouse";
    int r = read_ledger(&j, err);
    if (r == 0)
        r = read_plans(&j, err);
    if (r == 0)
        r = read_records(&j, "cloudtrail", cloudtrail_record, err);
    if (r == 0)
        r = read_records(&j, "kubernetes", kubernetes_record, err);
    if (r == 0)
        r = read_records(&j, "query-log", query_record, err);
    if (r == 0)
        missing_queries(&j);
    size_t found = json_array_size(j.found);
    for (size_t i = 0; i < j.n; i++) {
        free(j.list[i].id);
        json_decref(j.list[i].targets);
    }
    free(j.list);
    json_decref(j.queries);
    c->answer = json_pack("{sI sI sI so}", "acts", (json_int_t)j.acts, "covered", (json_int_t)j.covered, "operator",
                          (json_int_t)j.own, "unapproved", j.found);
    if (r < 0)
        return r;
    ui_line(&c->ui, "%lld acts, %lld with an approval", (long long)j.acts, (long long)j.covered);
    if (j.own)
        ui_line(&c->ui, "%lld statements of " QUERY_OPERATOR ", the agent's own duties, which need none",
                (long long)j.own);
    return found ? err_set(err, -EPERM, "%zu acts have no approval, or approvals no act", found) : 0;
}

static const struct cli_option options[] = {
    {"cloudtrail", 0, "FILE", "CloudTrail records ({\"Records\": [...]}, or one a line)"},
    {"kubernetes", 0, "FILE", "Kubernetes audit events, one JSON object a line"},
    {"query-log", 0, "FILE", "rows of system.query_log or of the embedded engine's log, one JSON object a line"},
    {"plans", 0, "FILE", "approved plans, as GET /plans answers"},
    {"principal", 0, "TEXT", "what the vendor's principals have in their names (default: ownhouse)"},
    {"key", 0, "FILE", "the ledger's verifier key; default: the laptop's agent's"},
    {0}};

const struct cli_command reconcile_command = {
    .name = "reconcile",
    .arguments = "[DIR]",
    .summary = "Joins approvals in the ledger with records of what was done, and names every act without one.",
    .max_arguments = 1,
    .options = options,
    .run = reconcile_run,
};
