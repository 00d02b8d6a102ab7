/* Agents. */
#include "control/api/handlers.h"

static json_t *view(struct store_rows *rows)
{
    bool connected = !strcmp(store_column_text(rows, 3), "enrolled") && !store_column_is_null(rows, 8);
    json_t *trip =
        store_column_is_null(rows, 10) ? json_null() : json_real((double)store_column_int(rows, 10) / 1000.0);
    return json_pack("{s:s,s:s,s:s,s:s,s:b,s:s,s:s,s:o,s:o,s:o,s:o,s:o}", "id", store_column_text(rows, 0),
                     "infrastructureId", store_column_text(rows, 1), "name", store_column_text(rows, 2), "state",
                     store_column_text(rows, 3), "connected", connected, "version", store_column_text(rows, 4),
                     "address", store_column_text(rows, 5), "roundTripMs", trip, "certificateNotAfter",
                     api_time(store_column_int(rows, 6)), "enrolledAt", api_time(store_column_int(rows, 7)),
                     "connectedSince", api_time_or_null(rows, 8), "lastSeen", api_time_or_null(rows, 9));
}

int agent_views(struct api_request *q, const char *infrastructure, const char *agent, json_t **ret, struct err *err)
{
    autorows struct store_rows *rows = NULL;
    autojson json_t *list = json_array();
    int r = store_query(q->store,
                        "SELECT g.id, g.infrastructure_id, g.name, g.state, g.version, g.address, "
                        "g.certificate_not_after, g.enrolled_at, g.connected_since, g.last_seen, g.round_trip_us "
                        "FROM agent g JOIN infrastructure i ON i.id = g.infrastructure_id WHERE i.organization_id = $1 "
                        "AND ($2 = '' OR g.infrastructure_id = $2) AND ($3 = '' OR g.id = $3) "
                        "ORDER BY g.enrolled_at, g.id",
                        STORE_ARGS(store_text(q->who.organization), store_text(infrastructure ? infrastructure : ""),
                                   store_text(agent ? agent : "")),
                        &rows, err);
    while (r == 0 && (r = store_next(rows, err)) == 1) {
        json_array_append_new(list, view(rows));
        r = 0;
    }
    if (r == 0)
        *ret = TAKE_PTR(list);
    return r;
}

int agent_list(struct api_request *q, struct err *err)
{
    return agent_views(q, api_query(q, "infrastructureId"), NULL, &q->result, err);
}

int agent_get(struct api_request *q, struct err *err)
{
    autojson json_t *list = NULL;
    int r = agent_views(q, NULL, q->match.path[1], &list, err);
    if (r < 0)
        return r;
    if (!json_array_size(list))
        return api_missing(q, "agent");
    q->result = json_incref(json_array_get(list, 0));
    return 0;
}
