/* Reads the last hour's failed attempts to sign in out of the activity record. */
#include "control/identity/throttle_history.h"

#define HOUR_MS (3600 * 1000LL)

int throttle_history(struct throttle *t, struct store *s, const struct clock *clock, struct err *err)
{
    autorows struct store_rows *rows = NULL;
    int64_t now = clock_wall_ms(clock);
    /* A person of several organizations has an activity in each; the request is one. */
    int r = store_query(s,
                        "SELECT actor_address, min(created_at) AS at FROM activity WHERE "
                        "seq > (SELECT coalesce(max(seq), 0) FROM activity) - $1 AND created_at > $2 AND "
                        "type = 'user_login_failed' GROUP BY request_id, actor_address UNION ALL "
                        "SELECT address, created_at FROM unknown_sign_in WHERE created_at > $2 ORDER BY 2",
                        STORE_ARGS(store_int(THROTTLE_HISTORY_ROWS), store_int(now - HOUR_MS)), &rows, err);
    while (r == 0 && (r = store_next(rows, err)) == 1) {
        throttle_recall(t, store_column_text(rows, 0), now - store_column_int(rows, 1));
        r = 0;
    }
    return r;
}
