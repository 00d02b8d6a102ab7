/* Reads activity rows and digests each. */
#include "store/activity_rows.h"

#include "base/buf.h"

/* In the order of the query's columns; seq is the first of them. */
static const char *const columns[] = {
    "seq",        "id",         "organization_id",   "type",
    "actor_type", "actor_id",   "actor_details",     "actor_address",
    "user_agent", "service_id", "infrastructure_id", "details",
    "request_id", "created_at",
};

#define SEQ 0
#define ID 1
#define ORGANIZATION 2
#define TYPE 3
#define CREATED 13

static json_t *column(struct store_rows *rows, int i)
{
    if (store_column_is_null(rows, i))
        return json_null();
    return i == SEQ || i == CREATED ? json_sprintf("%lld", (long long)store_column_int(rows, i))
                                    : js_string_of(store_column_text(rows, i));
}

static int one(struct store_rows *rows, json_t **ret, struct err *err)
{
    autojson json_t *whole = json_object();
    char digest[65];
    for (size_t i = 0; i < ARRAY_SIZE(columns); i++)
        json_object_set_new(whole, columns[i], column(rows, (int)i));
    int r = js_digest(whole, digest, err);
    if (r < 0)
        return r;
    *ret = json_pack("{sI ss ss ss sO ss}", "seq", (json_int_t)store_column_int(rows, SEQ), "id",
                     store_column_text(rows, ID), "type", store_column_text(rows, TYPE), "organization",
                     store_column_text(rows, ORGANIZATION), "time", json_object_get(whole, "created_at"), "sha256",
                     digest);
    return *ret ? 0 : err_set(err, -EIO, "an activity is not text");
}

int activity_rows(struct store *s, int64_t after, int max, json_t **ret, struct err *err)
{
    autorows struct store_rows *rows = NULL;
    autojson json_t *list = json_array();
    int r = store_query(s,
                        "SELECT seq, id, organization_id, type, actor_type, actor_id, actor_details, actor_address, "
                        "user_agent, service_id, infrastructure_id, details, request_id, created_at FROM activity "
                        "WHERE seq > $1 ORDER BY seq LIMIT $2",
                        STORE_ARGS(store_int(after), store_int(max)), &rows, err);
    while (r == 0 && (r = store_next(rows, err)) == 1) {
        json_t *row = NULL;
        if ((r = one(rows, &row, err)) == 0)
            json_array_append_new(list, row);
    }
    if (r == 0)
        *ret = json_incref(list);
    return r;
}
