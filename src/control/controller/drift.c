/* Notes what drifts and carries out what was decided of it. */
#include "control/controller/drift.h"

#include "base/keys.h"
#include "base/mem.h"
#include "control/activity.h"

#define CHECKED_STEP_MS (4 * 60 * 1000)
#define ROW_MAX MIB(4)

static bool is_state(const json_t *row, const char *state)
{
    return !strcmp(js_text_at(row, "state"), state);
}

static json_t *column_json(struct store_rows *rows, int column)
{
    const char *text = store_column_text(rows, column);
    json_t *v = NULL;
    return js_parse(text, strlen(text), ROW_MAX, &v, NULL) == 0 ? v : json_array();
}

static int read_rows(struct drift *d, struct err *err)
{
    autorows struct store_rows *rows = NULL;
    int64_t now = clock_wall_ms(d->clock);
    int r = store_query(d->store,
                        "SELECT id, resource, action, why, digest, state, until, decided_by FROM drift WHERE "
                        "infrastructure_id = $1 ORDER BY resource, accepted",
                        STORE_ARGS(store_text(d->infrastructure)), &rows, err);
    while (r == 0 && (r = store_next(rows, err)) == 1) {
        const char *state = store_column_text(rows, 5), *by = store_column_text(rows, 7);
        bool over = !strcmp(state, "ignored") && store_column_int(rows, 6) <= now;
        json_array_append_new(d->rows,
                              json_pack("{s:s, s:s, s:s, s:o, s:s, s:s, s:s}", "id", store_column_text(rows, 0),
                                        "resource", store_column_text(rows, 1), "action", store_column_text(rows, 2),
                                        "why", column_json(rows, 3), "digest", store_column_text(rows, 4), "state",
                                        over ? "open" : state, "by", by ? by : ""));
        r = 0;
    }
    return r;
}

/* The world's values as wanted ones. A resource that is gone leaves the graph; what cannot be done any more, since the
 * graph has changed, is left out: the difference then shows again. */
static int accept(struct plan_graph *g, const json_t *row, struct plan_state *state, struct err *err)
{
    const char *key = js_text_at(row, "resource"), *dot = strchr(key, '.');
    const json_t *why;
    size_t i;
    if (!strcmp(js_text_at(row, "action"), "create")) {
        autofree char *type = mem_printf("%.*s", dot ? (int)(dot - key) : 0, key);
        return plan_graph_drop(g, key, NULL) == 0 && dot ? state->forget(state, type, dot + 1, err) : 0;
    }
    json_array_foreach(json_object_get(row, "why"), i, why)
    {
        const json_t *now = json_object_get(why, "before");
        if (plan_graph_set(g, key, js_text_at(why, "attribute"), json_is_null(now) ? NULL : now, NULL) < 0)
            return 0;
    }
    return 0;
}

static int read_settled(struct drift *d, struct err *err)
{
    autorows struct store_rows *rows = NULL;
    int r = store_query(
        d->store, "SELECT settled, state, want, drift_checked_at, drift_asked_at FROM infrastructure WHERE id = $1",
        STORE_ARGS(store_text(d->infrastructure)), &rows, err);
    if (r == 0)
        r = store_next(rows, err);
    d->settled = r == 1 && !strcmp(store_column_text(rows, 0), d->wanted) &&
                 !strcmp(store_column_text(rows, 1), "infra-ready") && !strcmp(store_column_text(rows, 2), "present");
    if (r == 1) {
        int64_t checked = store_column_int(rows, 3);
        d->due = checked < clock_wall_ms(d->clock) - CHECKED_STEP_MS || checked < store_column_int(rows, 4);
    }
    return MIN(r, 0);
}

int drift_open(struct drift *d, struct store *s, const struct clock *clock, const char *infrastructure,
               const char *organization, const struct plan_type *const *types, const struct plan_graph *g,
               struct err *err)
{
    *d = (struct drift){.store = s,
                        .clock = clock,
                        .infrastructure = infrastructure,
                        .organization = organization,
                        .rows = json_array()};
    int r = plan_graph_digest(g, types, infrastructure, d->wanted, err);
    if (r == 0)
        r = read_settled(d, err);
    return r < 0 ? r : read_rows(d, err);
}

int drift_accept(const struct drift *d, struct plan_graph *g, struct plan_state *state, struct err *err)
{
    const json_t *row;
    size_t i;
    int r = 0;
    json_array_foreach(d->rows, i, row)
    {
        if (r == 0 && is_state(row, "accepted"))
            r = accept(g, row, state, err);
    }
    return r;
}

void drift_close(struct drift *d)
{
    json_decref(d->rows);
    d->rows = NULL;
}

/* --- noting --- */

static bool differs(const json_t *change)
{
    const char *action = js_text_at(change, "action");
    return !strcmp(action, "create") || !strcmp(action, "change") || !strcmp(action, "replace");
}

/* Gone, or about to be: what refers to it cannot be left alone on its own. */
static bool is_missing(const json_t *change)
{
    return !strcmp(js_text_at(change, "action"), "create") || !strcmp(js_text_at(change, "action"), "replace");
}

static const json_t *change_of(const json_t *document, const char *key)
{
    size_t i;
    const json_t *c;
    json_array_foreach(json_object_get(document, "changes"), i, c)
    {
        if (!strcmp(js_text_at(c, "resource"), key))
            return c;
    }
    return NULL;
}

static json_t *needs_of(const json_t *document, const json_t *change)
{
    json_t *list = json_array(), *key;
    size_t i;
    json_array_foreach(json_object_get(change, "depends_on"), i, key)
    {
        const json_t *below = change_of(document, json_string_value(key));
        if (below && is_missing(below))
            json_array_append(list, key);
    }
    return list;
}

static json_t *needed_by(const json_t *document, const json_t *change)
{
    json_t *list = json_array(), *above, *key;
    size_t i, k;
    if (!is_missing(change))
        return list;
    json_array_foreach(json_object_get(document, "changes"), i, above)
    {
        json_array_foreach(json_object_get(above, "depends_on"), k, key)
        {
            if (!strcmp(json_string_value(key), js_text_at(change, "resource")))
                json_array_append(list, json_object_get(above, "resource"));
        }
    }
    return list;
}

static int digest_of(const json_t *change, char ret[65], struct err *err)
{
    autojson json_t *v = json_pack("{s:O, s:O, s:O, s:O}", "resource", json_object_get(change, "resource"), "action",
                                   json_object_get(change, "action"), "observed", json_object_get(change, "observed"),
                                   "why", json_object_get(change, "why"));
    return js_digest(v, ret, err);
}

static json_t *row_of(const struct drift *d, const char *key)
{
    size_t i;
    json_t *row;
    json_array_foreach(d->rows, i, row)
    {
        if (!is_state(row, "accepted") && !strcmp(js_text_at(row, "resource"), key))
            return row;
    }
    return NULL;
}

/* Accepted while the plan was made from what was wanted before. */
static bool just_accepted(const struct drift *d, const char *digest)
{
    size_t i;
    const json_t *row;
    json_array_foreach(d->rows, i, row)
    {
        if (is_state(row, "accepted") && !strcmp(js_text_at(row, "digest"), digest))
            return true;
    }
    return false;
}

/* New, or other than it was. 1 when it is new. */
static int note_one(struct drift *d, const json_t *document, const json_t *change, struct err *err)
{
    char digest[65], id[UUID_SIZE];
    json_t *row = row_of(d, js_text_at(change, "resource"));
    autojson json_t *needs = needs_of(document, change), *by OH_CLEANUP(js_decrefp) = needed_by(document, change);
    autofree char *why = js_text(json_object_get(change, "why")), *needs_text OH_CLEANUP(oh_freep) = js_text(needs),
                  *by_text OH_CLEANUP(oh_freep) = js_text(by);
    int r = digest_of(change, digest, err);
    if (r < 0 || just_accepted(d, digest))
        return r;
    /* What was to be put back is not what was looked at any more: somebody must look again. */
    const char *state = !row                                        ? "open"
                        : !is_state(row, "reverting")               ? js_text_at(row, "state")
                        : strcmp(js_text_at(row, "digest"), digest) ? "open"
                                                                    : "reverting";
    if (row)
        snprintf(id, sizeof(id), "%s", js_text_at(row, "id"));
    else
        uuid_new(id);
    r = store_exec(d->store,
                   "INSERT INTO drift (id, infrastructure_id, resource, action, why, destroys_data, needs, needed_by, "
                   "digest, state, seen_at) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11) ON CONFLICT (id) DO "
                   "UPDATE SET action = $4, why = $5, destroys_data = $6, needs = $7, needed_by = $8, digest = $9, "
                   "state = $10, until = CASE WHEN $10 = 'ignored' THEN until ELSE NULL END WHERE digest <> $9 OR "
                   "state <> $10 OR needs <> $7 OR needed_by <> $8",
                   STORE_ARGS(store_text(id), store_text(d->infrastructure), store_text(js_text_at(change, "resource")),
                              store_text(js_text_at(change, "action")), store_text(why),
                              store_int(json_is_true(json_object_get(change, "destroys_data"))), store_text(needs_text),
                              store_text(by_text), store_text(digest), store_text(state),
                              store_int(clock_wall_ms(d->clock))),
                   NULL, err);
    if (r == 0 && row) {
        json_object_set_new(row, "state", json_string(state));
        json_object_set_new(row, "digest", json_string(digest));
        json_object_set(row, "why", json_object_get(change, "why"));
    }
    return r < 0 ? r : !row;
}

static int forget_gone(struct drift *d, const json_t *document, struct err *err)
{
    size_t i;
    const json_t *row;
    int r = 0;
    json_array_foreach(d->rows, i, row)
    {
        const json_t *change = change_of(document, js_text_at(row, "resource"));
        if (r == 0 && !is_state(row, "accepted") && (!change || !differs(change)))
            r = store_exec(d->store, "DELETE FROM drift WHERE id = $1", STORE_ARGS(store_text(js_text_at(row, "id"))),
                           NULL, err);
    }
    return r;
}

static int note_all(struct drift *d, const json_t *document, struct err *err)
{
    autobuf struct buf names = BUF_INIT_MAX(400);
    size_t i, n = 0;
    const json_t *change;
    int64_t now = clock_wall_ms(d->clock);
    /* What was decided while the plan was made counts. */
    json_array_clear(d->rows);
    int r = read_rows(d, err);
    if (r == 0)
        r = forget_gone(d, document, err);
    json_array_foreach(json_object_get(document, "changes"), i, change)
    {
        if (r < 0 || !differs(change))
            continue;
        r = note_one(d, document, change, err);
        if (r == 1 && n++ < 4)
            buf_printf(&names, "%s%s", n > 1 ? ", " : "", js_text_at(change, "resource"));
    }
    if (n > 4)
        buf_printf(&names, " and %zu more", n - 4);
    if (r >= 0 && n)
        r = activity_system(d->store, d->clock, d->organization, "infrastructure_drift", NULL, d->infrastructure,
                            names.data, err);
    /* Not at each look: a write wakes whoever watches the store. */
    if (r >= 0)
        r = store_exec(d->store,
                       "UPDATE infrastructure SET drift_checked_at = $2 WHERE id = $1 AND (drift_checked_at < $3 OR "
                       "drift_checked_at < drift_asked_at)",
                       STORE_ARGS(store_text(d->infrastructure), store_int(now), store_int(now - CHECKED_STEP_MS)),
                       NULL, err);
    return r;
}

int drift_note(struct drift *d, const json_t *document, struct err *err)
{
    if (!d->settled || (!d->due && plan_is_empty(document) && !json_array_size(d->rows)))
        return 0;
    int r = store_begin(d->store, err);
    if (r == 0)
        r = note_all(d, document, err);
    if (r == 0)
        r = store_commit(d->store, err);
    if (r < 0)
        store_rollback(d->store);
    return r;
}

/* --- holding --- */

/* Whether all that differs is what was ignored; other values of it are too. */
static bool covers(const json_t *row, const json_t *change)
{
    size_t i, k;
    const json_t *one, *other;
    if (!strcmp(js_text_at(change, "action"), "create") || !strcmp(js_text_at(row, "action"), "create"))
        return !strcmp(js_text_at(change, "action"), js_text_at(row, "action"));
    json_array_foreach(json_object_get(change, "why"), i, one)
    {
        bool found = false;
        json_array_foreach(json_object_get(row, "why"), k, other)
        {
            found = found || !strcmp(js_text_at(one, "attribute"), js_text_at(other, "attribute"));
        }
        if (!found)
            return false;
    }
    return true;
}

void drift_hold(struct drift *d, json_t *document)
{
    size_t i;
    const json_t *change;
    bool reverting = false;
    json_array_foreach(json_object_get(document, "changes"), i, change)
    {
        const json_t *row = differs(change) ? row_of(d, js_text_at(change, "resource")) : NULL;
        reverting = reverting || (d->settled && row && is_state(row, "reverting"));
    }
    json_array_foreach(json_object_get(document, "changes"), i, change)
    {
        const json_t *row = differs(change) ? row_of(d, js_text_at(change, "resource")) : NULL;
        if (row && is_state(row, "ignored") && covers(row, change))
            plan_hold(document, js_text_at(change, "resource"),
                      "somebody has decided to ignore what differs for a while");
        else if (reverting && row && is_state(row, "reverting"))
            snprintf(d->reverted_by, sizeof(d->reverted_by), "%s", js_text_at(row, "by"));
        else if (reverting && differs(change))
            plan_hold(document, js_text_at(change, "resource"), "only what somebody decided to put back is put back");
    }
}

int drift_settle(struct drift *d, struct err *err)
{
    return store_exec(d->store, "UPDATE infrastructure SET settled = $2 WHERE id = $1 AND settled <> $2",
                      STORE_ARGS(store_text(d->infrastructure), store_text(d->wanted)), NULL, err);
}
