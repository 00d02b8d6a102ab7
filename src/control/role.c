/* The descriptors that join role processes, and the doorbell. */
#include "control/role.h"

#include "control/parent.h"

#include "base/buf.h"
#include "base/mem.h"

#include <sys/eventfd.h>

const char *const role_names[ROLE_COUNT] = {
    [ROLE_API] = "api",       [ROLE_LINK] = "link",       [ROLE_CONTROLLER] = "controller",
    [ROLE_SIGNER] = "signer", [ROLE_OUTWARD] = "outward",
};

#define ROLE_FDS_VARIABLE "OWNHOUSE_ROLE_FDS"
#define ROLE_FDS (3 * ROLE_COUNT + 2)

void role_ring(const struct role *r, enum role_id whom)
{
    uint64_t one = 1;
    (void)!write(r->bell[whom], &one, sizeof(one));
}

void role_bell_clear(const struct role *r)
{
    uint64_t count;
    (void)!read(r->bell[r->id], &count, sizeof(count));
}

/* The order in which descriptors are written to and read from the environment. */
static void each_fd(struct role *r, int *slots[ROLE_FDS])
{
    for (int i = 0; i < ROLE_COUNT; i++) {
        slots[i] = &r->bell[i];
        slots[ROLE_COUNT + 1 + i] = &r->askers[i];
        slots[2 * ROLE_COUNT + 2 + i] = &r->outward_askers[i];
    }
    slots[ROLE_COUNT] = &r->signer;
    slots[2 * ROLE_COUNT + 1] = &r->outward;
}

char *role_fds_export(const struct role *r)
{
    struct role copy = *r;
    int *slots[ROLE_FDS];
    struct buf text = BUF_INIT;
    each_fd(&copy, slots);
    buf_adds(&text, ROLE_FDS_VARIABLE "=");
    for (int i = 0; i < ROLE_FDS; i++) {
        if (*slots[i] >= 0)
            fcntl(*slots[i], F_SETFD, 0);
        buf_printf(&text, "%s%d", i ? "," : "", *slots[i]);
    }
    return buf_take(&text);
}

int role_fds_import(struct role *r, struct err *err)
{
    const char *p = getenv(ROLE_FDS_VARIABLE);
    int *slots[ROLE_FDS];
    if (!p)
        return err_set(err, -EINVAL, "--role is for the parent process: start ownhouse-control without it");
    each_fd(r, slots);
    for (int i = 0; i < ROLE_FDS; i++) {
        char *end;
        long v = strtol(p, &end, 10);
        if (end == p || v < -1 || v > 1 << 20 || *end != (i < ROLE_FDS - 1 ? ',' : 0))
            return err_set(err, -EINVAL, "%s is malformed", ROLE_FDS_VARIABLE);
        *slots[i] = (int)v;
        if (v >= 0)
            fcntl((int)v, F_SETFD, FD_CLOEXEC);
        p = *end ? end + 1 : end;
    }
    unsetenv(ROLE_FDS_VARIABLE);
    return 0;
}
