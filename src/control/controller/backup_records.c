/* Brings the table of backups to what an agent reports. */
#include "control/controller/backup_records.h"

#include "base/keys.h"
#include "base/mem.h"

#define TOLD_MAX 500 /* an agent with more tells of the newest only */

static int64_t number(const json_t *one, const char *name)
{
    return json_integer_value(json_object_get(one, name));
}

static bool state_known(const char *state)
{
    return !strcmp(state, "in_progress") || !strcmp(state, "done") || !strcmp(state, "error");
}

/* What the store has, by id, as one text each that changes when anything does. */
static int stored(struct store *s, const char *infrastructure, json_t *into, struct err *err)
{
    autorows struct store_rows *rows = NULL;
    int r =
        store_query(s, "SELECT id, state, finished_at, bytes, drill, error FROM backup WHERE infrastructure_id = $1",
                    STORE_ARGS(store_text(infrastructure)), &rows, err);
    while (r == 0 && (r = store_next(rows, err)) == 1) {
        autofree char *mark =
            mem_printf("%s %lld %lld %s %s", store_column_text(rows, 1), (long long)store_column_int(rows, 2),
                       (long long)store_column_int(rows, 3), store_column_text(rows, 4), store_column_text(rows, 5));
        json_object_set_new(into, store_column_text(rows, 0), json_string(mark));
        r = 0;
    }
    return r;
}

/* An id that another infrastructure has is not taken over; a service of somebody else's gets no backups from here. */
static int put(struct store *s, const char *infrastructure, const json_t *one, struct err *err)
{
    int64_t finished = number(one, "finishedMs");
    return store_exec(
        s,
        "INSERT INTO backup (id, organization_id, infrastructure_id, service_id, state, base, started_at, finished_at, "
        "bytes, drill, error) SELECT $1, i.organization_id, i.id, $3, $4, $5, $6, $7, $8, $9, $10 FROM infrastructure "
        "i "
        "WHERE i.id = $2 AND NOT EXISTS (SELECT 1 FROM service o WHERE o.id = $3 AND o.infrastructure_id <> $2) "
        "ON CONFLICT (id) DO UPDATE SET state = excluded.state, base = excluded.base, "
        "started_at = excluded.started_at, finished_at = excluded.finished_at, bytes = excluded.bytes, "
        "drill = excluded.drill, error = excluded.error WHERE backup.infrastructure_id = excluded.infrastructure_id "
        "AND "
        "backup.service_id = excluded.service_id",
        STORE_ARGS(store_text(js_text_at(one, "id")), store_text(infrastructure),
                   store_text(js_text_at(one, "service")), store_text(js_text_at(one, "state")),
                   store_text(js_text_at(one, "base")), store_int(number(one, "startedMs")),
                   finished ? store_int(finished) : store_null(), store_int(number(one, "bytes")),
                   store_text(js_text_at(one, "drill")), store_text(js_text_at(one, "error"))),
        NULL, err);
}

static int put_changed(struct store *s, const char *infrastructure, const json_t *list, json_t *known, struct err *err)
{
    const json_t *one;
    size_t i;
    int r = 0;
    json_array_foreach(list, i, one)
    {
        autofree char *mark =
            mem_printf("%s %lld %lld %s %s", js_text_at(one, "state"), (long long)number(one, "finishedMs"),
                       (long long)number(one, "bytes"), js_text_at(one, "drill"), js_text_at(one, "error"));
        const char *before = json_string_value(json_object_get(known, js_text_at(one, "id")));
        bool same = before && !strcmp(before, mark);
        if (r == 0 && !same && uuid_valid(js_text_at(one, "id")) && state_known(js_text_at(one, "state")))
            r = put(s, infrastructure, one, err);
        json_object_del(known, js_text_at(one, "id"));
    }
    return r;
}

/* One that was asked for waits for its agent, as long as its service is there. */
static int remove_gone(struct store *s, const json_t *gone, struct err *err)
{
    const char *id;
    json_t *mark;
    int r = 0;
    json_object_foreach((json_t *)(uintptr_t)gone, id, mark)
    {
        if (r == 0)
            r = store_exec(s,
                           "DELETE FROM backup WHERE id = $1 AND (state <> 'asked' OR NOT EXISTS "
                           "(SELECT 1 FROM service o WHERE o.id = backup.service_id AND o.want <> 'deleted'))",
                           STORE_ARGS(store_text(id)), NULL, err);
    }
    return r;
}

int backup_records_apply(struct store *s, const char *infrastructure, const json_t *list, struct err *err)
{
    autojson json_t *known = json_object();
    if (!list)
        return 0;
    int r = stored(s, infrastructure, known, err);
    if (r == 0)
        r = put_changed(s, infrastructure, list, known, err);
    if (r == 0 && json_array_size(list) < TOLD_MAX && json_object_size(known))
        r = remove_gone(s, known, err);
    return r;
}
