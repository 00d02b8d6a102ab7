/* Leases with fencing on infrastructures. */
#include "control/controller/lease.h"

int lease_take(struct store *s, const struct clock *clock, const char *infrastructure, const char *holder,
               struct lease *ret, struct err *err)
{
    autorows struct store_rows *rows = NULL;
    int64_t now = clock_wall_ms(clock), changed = 0;
    int r = store_exec(
        s,
        "INSERT INTO infrastructure_lease (infrastructure_id, holder, epoch, expires_at) VALUES ($1, $2, 1, $3) "
        "ON CONFLICT (infrastructure_id) DO UPDATE SET holder = $2, epoch = infrastructure_lease.epoch + 1, "
        "expires_at = $3 WHERE infrastructure_lease.expires_at < $4 OR infrastructure_lease.holder = $2",
        STORE_ARGS(store_text(infrastructure), store_text(holder), store_int(now + LEASE_MS), store_int(now)), &changed,
        err);
    if (r == 0)
        r = store_query(s, "SELECT holder, epoch, expires_at FROM infrastructure_lease WHERE infrastructure_id = $1",
                        STORE_ARGS(store_text(infrastructure)), &rows, err);
    if (r == 0)
        r = store_next(rows, err);
    if (r < 0)
        return r;
    if (!changed)
        return err_set(err, -EBUSY, "another controller (%.36s) works on this infrastructure for %lld s more",
                       store_column_text(rows, 0), (long long)(store_column_int(rows, 2) - now) / 1000);
    *ret = (struct lease){.infrastructure = infrastructure, .epoch = store_column_int(rows, 1)};
    snprintf(ret->holder, sizeof(ret->holder), "%s", holder);
    return 0;
}

int lease_renew(struct store *s, const struct clock *clock, const struct lease *l, struct err *err)
{
    int64_t changed = 0;
    int r =
        store_exec(s,
                   "UPDATE infrastructure_lease SET expires_at = $4 WHERE infrastructure_id = $1 AND holder = $2 AND "
                   "epoch = $3",
                   STORE_ARGS(store_text(l->infrastructure), store_text(l->holder), store_int(l->epoch),
                              store_int(clock_wall_ms(clock) + LEASE_MS)),
                   &changed, err);
    return r < 0 || changed
               ? r
               : err_set(err, -ESTALE, "another controller has taken this infrastructure over: nothing more is begun");
}

void lease_give_back(struct store *s, const struct lease *l)
{
    (void)!store_exec(
        s, "UPDATE infrastructure_lease SET expires_at = 0 WHERE infrastructure_id = $1 AND holder = $2 AND epoch = $3",
        STORE_ARGS(store_text(l->infrastructure), store_text(l->holder), store_int(l->epoch)), NULL, NULL);
}
