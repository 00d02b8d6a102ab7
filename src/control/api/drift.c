/* Drift of an infrastructure: what differs, looking now, and deciding of it. The controller acts (controller/drift.h).
 */
#include "control/api/handlers.h"

#define EVERY_SECONDS_LOCAL 5
#define EVERY_SECONDS_REMOTE 300
#define IGNORE_MAX_MS (366LL * 24 * 3600 * 1000)

/* A plan's reasons in words for who decides: the value now, and the one that was settled. */
static json_t *differences(const json_t *why)
{
    json_t *list = json_array(), *one;
    size_t i;
    json_array_foreach(why, i, one)
    {
        json_t *now = json_object_get(one, "before"), *settled = json_object_get(one, "after");
        json_array_append_new(list, json_pack("{s:s, s:O?, s:O?}", "attribute", js_text_at(one, "attribute"), "now",
                                              now ? now : json_null(), "settled", settled ? settled : json_null()));
    }
    return list;
}

#define COLUMNS                                                                                              \
    "d.id, d.resource, d.action, d.why, d.destroys_data, d.needs, d.needed_by, d.digest, d.state, d.until, " \
    "d.decided_at, d.decided_by, d.seen_at"

static json_t *view(struct store_rows *rows)
{
    autojson json_t *why = api_column_json(rows, 3);
    const char *by = store_column_text(rows, 11);
    json_t *v = json_object();
    json_object_set_new(v, "id", json_string(store_column_text(rows, 0)));
    json_object_set_new(v, "resource", json_string(store_column_text(rows, 1)));
    json_object_set_new(v, "action", json_string(store_column_text(rows, 2)));
    json_object_set_new(v, "differences", differences(why));
    json_object_set_new(v, "destroysData", json_boolean(store_column_int(rows, 4)));
    json_object_set_new(v, "needs", api_column_json(rows, 5));
    json_object_set_new(v, "neededBy", api_column_json(rows, 6));
    json_object_set_new(v, "digest", json_string(store_column_text(rows, 7)));
    json_object_set_new(v, "state", json_string(store_column_text(rows, 8)));
    json_object_set_new(v, "until", api_time_or_null(rows, 9));
    json_object_set_new(v, "decidedAt", api_time_or_null(rows, 10));
    json_object_set_new(v, "decidedBy", by ? json_string(by) : json_null());
    json_object_set_new(v, "seenAt", api_time(store_column_int(rows, 12)));
    return v;
}

static int items(struct api_request *q, const char *infrastructure, json_t **ret, struct err *err)
{
    autorows struct store_rows *rows = NULL;
    autojson json_t *list = json_array();
    int r = store_query(
        q->store, "SELECT " COLUMNS " FROM drift d WHERE d.infrastructure_id = $1 ORDER BY d.resource, d.accepted",
        STORE_ARGS(store_text(infrastructure)), &rows, err);
    while (r == 0 && (r = store_next(rows, err)) == 1) {
        json_array_append_new(list, view(rows));
        r = 0;
    }
    if (r == 0)
        *ret = TAKE_PTR(list);
    return r;
}

int drift_list(struct api_request *q, struct err *err)
{
    autorows struct store_rows *rows = NULL;
    const char *id = q->match.path[1];
    json_t *list = NULL;
    int r =
        store_query(q->store,
                    "SELECT i.drift_checked_at, i.drift_asked_at, a.provider FROM infrastructure i JOIN account a ON "
                    "a.id = i.account_id WHERE i.id = $1 AND i.organization_id = $2",
                    STORE_ARGS(store_text(id), store_text(q->who.organization)), &rows, err);
    if (r == 0)
        r = store_next(rows, err);
    if (r <= 0)
        return r < 0 ? r : api_missing(q, "infrastructure");
    r = items(q, id, &list, err);
    if (r < 0)
        return r;
    int64_t checked = store_column_int(rows, 0), asked = store_column_int(rows, 1);
    q->result = json_pack("{s:o, s:o, s:i, s:o}", "checkedAt", checked ? api_time(checked) : json_null(), "askedAt",
                          asked ? api_time(asked) : json_null(), "everySeconds",
                          strcmp(store_column_text(rows, 2), "aws") ? EVERY_SECONDS_LOCAL : EVERY_SECONDS_REMOTE,
                          "items", list);
    return 0;
}

int drift_check(struct api_request *q, struct err *err)
{
    const char *id = q->match.path[1];
    int64_t changed = 0;
    int r =
        store_exec(q->store,
                   "UPDATE infrastructure SET drift_asked_at = $3 WHERE id = $1 AND organization_id = $2 AND state <> "
                   "'infra-terminated'",
                   STORE_ARGS(store_text(id), store_text(q->who.organization), store_int(q->now)), &changed, err);
    if (r == 0 && !changed)
        return api_missing(q, "infrastructure");
    if (r == 0)
        r = api_activity(q, "infrastructure_drift_check", NULL, id, "", err);
    return r < 0 ? r : drift_list(q, err);
}

/* --- deciding --- */

static int load(struct api_request *q, json_t **ret, struct err *err)
{
    autorows struct store_rows *rows = NULL;
    int r = store_query(
        q->store,
        "SELECT " COLUMNS " FROM drift d JOIN infrastructure i ON i.id = d.infrastructure_id WHERE d.id = "
        "$1 AND d.infrastructure_id = $2 AND i.organization_id = $3",
        STORE_ARGS(store_text(q->match.path[2]), store_text(q->match.path[1]), store_text(q->who.organization)), &rows,
        err);
    if (r == 0)
        r = store_next(rows, err);
    if (r <= 0)
        return r < 0 ? r : api_missing(q, "drift");
    *ret = view(rows);
    return 0;
}

/* The first of `keys` whose item is not in `state`; NULL: none. In the arena. */
static int other_than(struct api_request *q, const json_t *keys, const char *state, const char **ret, struct err *err)
{
    size_t i;
    const json_t *key;
    *ret = NULL;
    json_array_foreach(keys, i, key)
    {
        int64_t n = 0;
        int r = api_number(
            q,
            "SELECT count(*) FROM drift WHERE infrastructure_id = $1 AND resource = $2 AND accepted = 0 AND "
            "state <> $3",
            STORE_ARGS(store_text(q->match.path[1]), store_text(json_string_value(key)), store_text(state)), &n, err);
        if (r < 0)
            return r;
        if (n && !*ret)
            *ret = arena_strdup(q->arena, json_string_value(key));
    }
    return 0;
}

static int may_accept(struct api_request *q, const json_t *item)
{
    size_t i;
    const json_t *one;
    const char *above = json_string_value(json_array_get(json_object_get(item, "neededBy"), 0));
    if (!strcmp(js_text_at(item, "action"), "create") && above)
        return api_refuse(q, 409, "%s is gone and %s needs it: it can be put back, but not be done without",
                          js_text_at(item, "resource"), above);
    json_array_foreach(json_object_get(item, "differences"), i, one)
    {
        const char *now = json_string_value(json_object_get(one, "now"));
        if (now && !strncmp(now, "secret:", 7))
            return api_refuse(q, 409,
                              "%s of %s is a secret: its new value is not known here, so it cannot become the "
                              "wanted one",
                              js_text_at(one, "attribute"), js_text_at(item, "resource"));
        if (json_object_get(json_object_get(one, "settled"), "known"))
            return api_refuse(q, 409, "%s of %s follows from a resource that is gone: decide of that one first",
                              js_text_at(one, "attribute"), js_text_at(item, "resource"));
    }
    return 0;
}

static int may_revert(struct api_request *q, const json_t *item, struct err *err)
{
    const char *below;
    if (json_is_true(json_object_get(item, "destroysData")))
        return api_refuse(q, 409, "putting %s back would destroy the data in it: nothing may do that but a removal",
                          js_text_at(item, "resource"));
    int r = other_than(q, json_object_get(item, "needs"), "reverting", &below, err);
    return r < 0 || !below ? r
                           : api_refuse(q, 409, "%s stands on %s, which has to be put back first",
                                        js_text_at(item, "resource"), below);
}

static int may_ignore(struct api_request *q, const json_t *item, int64_t *ret_until, struct err *err)
{
    const char *until = api_body_text(q, "until"), *above;
    if (!until)
        return api_refuse(q, 400, "until: must be set to say how long it is ignored");
    if (clock_iso_parse(until, ret_until) < 0 || *ret_until <= q->now || *ret_until > q->now + IGNORE_MAX_MS)
        return api_refuse(q, 400, "until: must be a time within the next 366 days");
    int r = other_than(q, json_object_get(item, "neededBy"), "ignored", &above, err);
    return r < 0 || !above ? r
                           : api_refuse(q, 409, "%s stands on %s, which is gone: ignore that one first", above,
                                        js_text_at(item, "resource"));
}

/* What was accepted of the resource before stays accepted: the reasons are put together. */
static int accept(struct api_request *q, const json_t *item, const char *by, struct err *err)
{
    return store_exec(
        q->store,
        "UPDATE drift SET state = 'accepted', accepted = (SELECT 1 + COALESCE(max(accepted), 0) FROM drift "
        "WHERE infrastructure_id = $4 AND resource = $5), until = NULL, decided_at = $2, decided_by = $3 "
        "WHERE id = $1",
        STORE_ARGS(store_text(js_text_at(item, "id")), store_int(q->now), store_text(by), store_text(q->match.path[1]),
                   store_text(js_text_at(item, "resource"))),
        NULL, err);
}

static int reopen(struct api_request *q, const json_t *item, struct err *err)
{
    /* An accepted one shows again once the controller has looked; its neighbour, if there is one, then holds both. */
    if (!strcmp(js_text_at(item, "state"), "accepted"))
        return store_exec(q->store, "DELETE FROM drift WHERE id = $1", STORE_ARGS(store_text(js_text_at(item, "id"))),
                          NULL, err);
    return store_exec(
        q->store, "UPDATE drift SET state = 'open', until = NULL, decided_at = NULL, decided_by = NULL WHERE id = $1",
        STORE_ARGS(store_text(js_text_at(item, "id"))), NULL, err);
}

static int decide(struct api_request *q, const json_t *item, const char *decision, struct err *err)
{
    autofree char *by = mem_printf("%s %s", *q->who.key ? "API key" : "user", q->who.name);
    bool accepted = !strcmp(js_text_at(item, "state"), "accepted");
    int64_t until = 0;
    int r = 0;
    if (!strcmp(decision, "reopen"))
        return reopen(q, item, err);
    if (accepted)
        return api_refuse(q, 409, "%s was accepted; reopen it to decide anew", js_text_at(item, "resource"));
    if (!strcmp(decision, "accept")) {
        r = may_accept(q, item);
        return r < 0 ? r : accept(q, item, by, err);
    }
    bool ignore = !strcmp(decision, "ignore");
    r = ignore ? may_ignore(q, item, &until, err) : may_revert(q, item, err);
    if (r < 0)
        return r;
    return store_exec(q->store,
                      "UPDATE drift SET state = $2, until = $3, decided_at = $4, decided_by = $5 WHERE id = $1",
                      STORE_ARGS(store_text(js_text_at(item, "id")), store_text(ignore ? "ignored" : "reverting"),
                                 ignore ? store_int(until) : store_null(), store_int(q->now), store_text(by)),
                      NULL, err);
}

int drift_decide(struct api_request *q, struct err *err)
{
    autojson json_t *item = NULL;
    const char *decision = api_body_text(q, "decision");
    int r = load(q, &item, err);
    if (r < 0)
        return r;
    if (strcmp(js_text_at(item, "digest"), api_body_text(q, "digest")))
        return api_refuse(q, 409, "digest: the resource has changed since; look at it again");
    r = decide(q, item, decision, err);
    autofree char *type = mem_printf("infrastructure_drift_%s", decision);
    if (r == 0)
        r = api_activity(q, type, NULL, q->match.path[1], js_text_at(item, "resource"), err);
    return r < 0 ? r : drift_list(q, err);
}
