/* The record of changes. */
#include "control/api/handlers.h"

#define COLUMNS                                                                                               \
    "id, created_at, type, actor_type, actor_id, actor_details, actor_address, organization_id, service_id, " \
    "infrastructure_id, user_agent, request_id, details"

static void set_text(json_t *v, const char *name, const char *text)
{
    if (text && *text)
        json_object_set_new(v, name, json_string(text));
}

static json_t *view(struct store_rows *rows)
{
    static const char *const of_details[] = {"targetKeyId", "keyUpdateType"};
    const char *details = store_column_text(rows, 12);
    autojson json_t *parsed = NULL;
    json_t *v = json_pack("{s:s,s:o,s:s,s:s,s:s,s:s,s:s}", "id", store_column_text(rows, 0), "createdAt",
                          api_time(store_column_int(rows, 1)), "type", store_column_text(rows, 2), "actorType",
                          store_column_text(rows, 3), "actorId", store_column_text(rows, 4), "actorDetails",
                          store_column_text(rows, 5), "organizationId", store_column_text(rows, 7));
    set_text(v, "actorIpAddress", store_column_text(rows, 6));
    set_text(v, "serviceId", store_column_text(rows, 8));
    set_text(v, "infrastructureId", store_column_text(rows, 9));
    set_text(v, "userAgent", store_column_text(rows, 10));
    set_text(v, "requestId", store_column_text(rows, 11));
    if (*details == '{')
        parsed = api_column_json(rows, 12);
    else
        set_text(v, "details", details);
    for (size_t i = 0; i < ARRAY_SIZE(of_details); i++)
        set_text(v, of_details[i], json_string_value(json_object_get(parsed, of_details[i])));
    return v;
}

/* A bare date, as the official command line sends it, is a whole day in UTC: of_day says which moment of it is meant.
 */
static int64_t time_of(const struct api_request *q, const char *name, const char *of_day, int64_t fallback)
{
    const char *text = api_query(q, name);
    int64_t ms;
    if (text && strlen(text) == strlen("2026-11-22"))
        text = arena_printf(q->arena, "%sT%s", text, of_day);
    return text && clock_iso_parse(text, &ms) == 0 ? ms : fallback;
}

int activity_list(struct api_request *q, struct err *err)
{
    autorows struct store_rows *rows = NULL;
    q->result = json_array();
    int r = store_query(q->store,
                        "SELECT " COLUMNS " FROM activity WHERE organization_id = $1 AND created_at >= $2 AND "
                        "created_at <= $3 ORDER BY created_at DESC, seq DESC LIMIT 1000",
                        STORE_ARGS(store_text(q->who.organization), store_int(time_of(q, "from_date", "00:00:00Z", 0)),
                                   store_int(time_of(q, "to_date", "23:59:59.999Z", INT64_MAX))),
                        &rows, err);
    while (r == 0 && (r = store_next(rows, err)) == 1) {
        json_array_append_new(q->result, view(rows));
        r = 0;
    }
    return r;
}

int activity_get(struct api_request *q, struct err *err)
{
    autorows struct store_rows *rows = NULL;
    int r = store_query(q->store, "SELECT " COLUMNS " FROM activity WHERE id = $1 AND organization_id = $2",
                        STORE_ARGS(store_text(q->match.path[1]), store_text(q->who.organization)), &rows, err);
    if (r == 0)
        r = store_next(rows, err);
    if (r <= 0)
        return r < 0 ? r : api_missing(q, "activity");
    q->result = view(rows);
    return 0;
}
