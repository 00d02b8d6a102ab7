/* Makes the report of a removal out of the journal and a last look. */
#include "control/controller/removal.h"

#include "cloud/aws/inspect.h"
#include "cloud/estimate.h"

#define DETAIL_MAX MIB(4)
#define NO_CENTS (-1)

struct maker {
    struct store *store;
    const struct infrastructure_row *row;
    const struct plan_context *c;
    json_t *items; /* in the order in which they were made */
    json_t *keys;  /* key -> true */
    json_t *notes;
    json_t *under; /* keys of what resources that hold data and are remembered stand on */
    bool complete;
};

static const struct plan_type *type_of(const struct plan_context *c, const char *key)
{
    size_t n = strcspn(key, ".");
    for (const struct plan_type *const *t = c->types; *t; t++)
        if (strlen((*t)->name) == n && !strncmp((*t)->name, key, n))
            return *t;
    return NULL;
}

/* What the cloud calls it. */
static json_t *identity_of(const char *detail)
{
    static const char *const names[] = {"arn", "id", "name", "bucket", "path"};
    autojson json_t *v = NULL;
    if (js_parse(detail, strlen(detail), DETAIL_MAX, &v, NULL) == 0)
        for (size_t i = 0; i < ARRAY_SIZE(names); i++)
            if (*js_text_at(v, names[i]))
                return json_string(js_text_at(v, names[i]));
    return json_string("");
}

/* The last item of that resource, or NULL. */
static json_t *last_item(const struct maker *m, const char *resource)
{
    for (size_t i = json_array_size(m->items); i-- > 0;) {
        json_t *v = json_array_get(m->items, i);
        if (!strcmp(js_text_at(v, "resource"), resource))
            return v;
    }
    return NULL;
}

static json_t *time_json(int64_t ms)
{
    char text[CLOCK_ISO_SIZE];
    clock_iso(ms, text);
    return json_string(text);
}

/* A create that began may have made something, whatever became of the answer: it counts from there. */
static void note_step(struct maker *m, const char *resource, const char *action, const char *phase, const char *detail,
                      int64_t at)
{
    json_t *v = last_item(m, resource);
    bool open = v && json_is_null(json_object_get(v, "removedAt"));
    if (!strcmp(action, "create") && !strcmp(phase, "begin") && !open) {
        json_array_append_new(m->items, json_pack("{s:s, s:s, s:o, s:n, s:s}", "resource", resource, "identity", "",
                                                  "madeAt", time_json(at), "removedAt", "failure", ""));
        json_object_set_new(m->keys, resource, json_true());
    } else if (!strcmp(action, "create") && !strcmp(phase, "done") && v) {
        json_object_set_new(v, "identity", identity_of(detail));
    } else if (!strcmp(action, "destroy") && v) {
        if (!strcmp(phase, "done"))
            json_object_set_new(v, "removedAt", time_json(at));
        json_object_set_new(v, "failure", json_string(!strcmp(phase, "failed") ? detail : ""));
    }
}

static int read_journal(struct maker *m, struct err *err)
{
    autorows struct store_rows *rows = NULL;
    int r = store_query(
        m->store, "SELECT resource, action, phase, detail, at FROM journal WHERE infrastructure_id = $1 ORDER BY seq",
        STORE_ARGS(store_text(m->row->id)), &rows, err);
    while (r == 0 && (r = store_next(rows, err)) == 1) {
        note_step(m, store_column_text(rows, 0), store_column_text(rows, 1), store_column_text(rows, 2),
                  store_column_text(rows, 3), store_column_int(rows, 4));
        r = 0;
    }
    return r;
}

static void judge(struct maker *m, json_t *item, const char *state, const char *why, int64_t cents)
{
    json_object_set_new(item, "state", json_string(state));
    json_object_set_new(item, "why", json_string(why));
    json_object_set_new(item, "monthly", cents == NO_CENTS ? json_null() : json_integer(cents));
    json_object_del(item, "failure");
    m->complete = m->complete && !strcmp(state, "gone");
}

static void judge_there(struct maker *m, json_t *item, const struct plan_type *t, const json_t *attributes)
{
    struct cloud_price price = aws_price(m->row->region, t->name, attributes);
    int64_t cents = price.charge == CLOUD_PRICED ? (price.micros + 5000) / 10000
                    : price.charge == CLOUD_FREE ? 0
                                                 : NO_CENTS;
    autofree char *failed = mem_printf("its removal failed: %s", js_text_at(item, "failure"));
    /* What is kept on purpose may have failed to go in an earlier removal, which was to take the data too. */
    const char *why = t->holds_data && !m->row->delete_data ? "it holds data, which was to be kept"
                      : *js_text_at(item, "failure")        ? failed
                      : json_object_get(m->under, js_text_at(item, "resource"))
                          ? "what was to be kept stands on it"
                          : "what had to go before it is still there";
    judge(m, item, "there", why, cents);
}

/* `observed` NULL: nothing could be looked at, and `reason` says why. */
static void judge_all(struct maker *m, const json_t *observed, const char *reason)
{
    size_t i;
    json_t *item;
    json_array_foreach(m->items, i, item)
    {
        const char *key = js_text_at(item, "resource");
        const struct plan_type *t = type_of(m->c, key);
        const json_t *now = json_object_get(observed, key);
        bool newest = last_item(m, key) == item;
        if (!t)
            judge(m, item, "unknown", "this release does not know resources of this type", NO_CENTS);
        else if (!observed)
            judge(m, item, "unknown", reason, NO_CENTS);
        else if (json_is_object(now) && newest)
            judge_there(m, item, t, now);
        else if (json_is_object(now))
            judge(m, item, "gone", "replaced; what carries its identity now is the next one", 0);
        else if (!strcmp(t->name, "aws_kms_key"))
            judge(m, item, "gone", "scheduled for deletion: AWS deletes the key 30 days after that, free of charge", 0);
        else
            judge(m, item, "gone", "looked for by its identity and not found", 0);
    }
}

static void add_below(json_t *under, const json_t *records, const json_t *record)
{
    size_t i;
    json_t *key;
    json_array_foreach(json_object_get(record, "depends_on"), i, key)
    {
        const char *name = json_string_value(key);
        if (!name || json_object_get(under, name))
            continue;
        json_object_set_new(under, name, json_true());
        add_below(under, records, json_object_get(records, name));
    }
}

/* With the data kept, what they stand on stays too. */
static int find_under(struct maker *m, struct err *err)
{
    autojson json_t *list = NULL, *records OH_CLEANUP(js_decrefp) = json_object();
    size_t i;
    const char *key;
    json_t *v;
    int r = m->row->delete_data ? 0 : m->c->state->list(m->c->state, &list, err);
    json_array_foreach(list, i, v)
    {
        autofree char *name = mem_printf("%s.%s", js_text_at(v, "type"), js_text_at(v, "name"));
        json_object_set(records, name, json_object_get(v, "record"));
    }
    json_object_foreach(records, key, v)
    {
        const struct plan_type *t = type_of(m->c, key);
        if (t && t->holds_data)
            add_below(m->under, records, v);
    }
    return r;
}

static int look(struct maker *m, struct err *err)
{
    autojson json_t *keys = json_array(), *observed OH_CLEANUP(js_decrefp) = NULL;
    struct err why = ERR_INIT;
    const char *key;
    json_t *v;
    json_object_foreach(m->keys, key, v)
    {
        if (type_of(m->c, key))
            json_array_append_new(keys, json_string(key));
    }
    int r = plan_look(m->c, keys, &observed, &why);
    if (r == -ECANCELED)
        return err_set(err, r, "%s", why.message);
    judge_all(m, r == 0 ? observed : NULL, why.message);
    return 0;
}

/* What still carries the tag: AWS lists things for a while after they are gone. */
static json_t *explain(struct maker *m, const json_t *arns)
{
    json_t *list = json_array(), *arn, *item;
    size_t i, k;
    json_array_foreach(arns, i, arn)
    {
        const char *text = json_string_value(arn);
        autofree char *why = NULL;
        json_array_foreach(m->items, k, item)
        {
            const char *identity = js_text_at(item, "identity");
            if (!why && *identity && strstr(text, identity))
                why = mem_printf("%s, %s: see above", js_text_at(item, "resource"), js_text_at(item, "state"));
        }
        m->complete = m->complete && why;
        json_array_append_new(list,
                              json_pack("{s:s, s:s}", "arn", text, "why",
                                        why ? why : "carries the infrastructure's tag but is not in the journal"));
    }
    return list;
}

static int tagged(struct maker *m, struct provider *p, json_t **ret, struct err *err)
{
    autojson json_t *arns = NULL;
    struct err why = ERR_INIT;
    *ret = json_array();
    if (!p->remote)
        return 0;
    int r = aws_tagged(p->aws.clients[AWS_INSPECT], m->row->id, &arns, &why);
    if (r == -ECANCELED)
        return err_set(err, r, "%s", why.message);
    if (r < 0) {
        m->complete = false;
        json_array_append_new(m->notes, json_sprintf("What else carries the tag could not be listed: %s", why.message));
        return 0;
    }
    json_decref(*ret);
    *ret = explain(m, arns);
    return 0;
}

int removal_report(struct store *s, const struct infrastructure_row *row, struct provider *p,
                   const struct plan_context *c, struct err *err)
{
    autojson json_t *items = json_array(), *keys OH_CLEANUP(js_decrefp) = json_object(),
                    *notes OH_CLEANUP(js_decrefp) = json_array(), *under OH_CLEANUP(js_decrefp) = json_object(),
                    *list OH_CLEANUP(js_decrefp) = NULL;
    struct maker m = {s, row, c, items, keys, notes, under, true};
    int r = read_journal(&m, err);
    if (r == 0)
        r = find_under(&m, err);
    if (r == 0)
        r = look(&m, err);
    if (r == 0)
        r = tagged(&m, p, &list, err);
    if (r < 0)
        return r;
    autojson json_t *report =
        json_pack("{s:b, s:O, s:O, s:O}", "complete", m.complete, "items", items, "tagged", list, "notes", notes);
    autofree char *text = js_text(report);
    return store_exec(
        s,
        "INSERT INTO removal_report (infrastructure_id, organization_id, report, made_at) VALUES ($1, $2, "
        "$3, $4) ON CONFLICT (infrastructure_id) DO UPDATE SET report = $3, made_at = $4",
        STORE_ARGS(store_text(row->id), store_text(row->organization_id), store_text(text),
                   store_int(clock_wall_ms(c->clock))),
        NULL, err);
}
