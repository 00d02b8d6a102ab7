/* Typed operations that take their time (api/consent.md): begun by an allowed request, carried on by the operator's
 * passes, over its own restarts, until they are done or have failed.
 *
 *   service.drain, service.undrain {service, replica}: the ingress sends nothing more to one replica of several, or
 *     does again. Done when the ingress in effect says so. Never the last one.
 *   service.rebuild-replica {service, replica}: it is drained, then removed with its data, placed anew and filled by
 *     the others. Only where every other replica serves and is in step, looked at again right before the removal.
 *   service.reattach {service, replica}: tables that it cannot write are registered anew in Keeper, though nobody else
 *     can write them either: theirs become the rows to go on with. Done when it can write all.
 *   service.upgrade {service}: the image that waits for a window is taken up now. Done when every part runs it.
 *   service.backup {service}: a backup with the request's id. Done when it is made and its drill has not failed.
 *
 * One at a time for each service, backups aside. orders.json (0600) has them, and which replicas are drained. */
#pragma once

#include "agent/operator/backups.h"
#include "agent/operator/replicas.h"
#include "agent/operator/upgrades.h"
#include "base/js.h"
#include "runtime/runtime.h"

#define ORDERS_MAX 100               /* at a time */
#define ORDERS_QUIET_MS 60000        /* so long queries of a drained replica are let end before it is rebuilt */
#define ORDERS_TOLD_MS 600000        /* the ingress has so long to take up its files */
#define ORDERS_REMOVE_MS 1800000     /* the runtime to remove a replica */
#define ORDERS_REMOVE_AGAIN_MS 30000 /* it is asked again */
#define ORDERS_REATTACH_MS 900000
#define ORDERS_UPGRADE_MS 7200000

/* What the operator knows in a pass. */
struct order_place {
    const struct desired *desired; /* NULL: none */
    const struct blueprint_env *env;
    const struct workload_list *wanted;
    const char (*digests)[65];                  /* beside wanted->items */
    const struct runtime_status_list *observed; /* not needed by orders_begin() */
    bool ingress_told;                          /* it has taken up the files that are wanted now */
    bool locked;                                /* nothing is taken away */
    struct runtime *runtime;
    struct upgrades *upgrades;
    struct backups *backups; /* NULL: none here */
    int64_t now_ms;          /* monotonic */
    /* Of a service of several; NULL: nobody is asked. */
    const struct replica_view *(*view)(const char *service, void *data);
    void (*reattach)(const char *service, unsigned replicas, void *data);
    int64_t (*queries)(const char *workload, void *data); /* that run in it; -1: not known */
    void *data;
};

struct orders {
    char *path;
    json_t *all; /* {"orders": {request: {operation, service, replica, phase, sinceMs, state, why}}, "drained": {}} */
    json_t *removal; /* workload -> when its removal was asked for, in this process's life */
    bool dirty;
};

/* A file that cannot be read counts as empty: requests that were under way are then not reported again. */
void orders_open(struct orders *o, const char *path);
void orders_free(struct orders *o);

/* Durable on return. -ENOTSUP, -EINVAL (names the argument), -ENOENT, -EBUSY, -EPERM: refused, and the sentence says
 * why. */
OH_MUST_CHECK int orders_begin(struct orders *o, const struct order_place *p, const char *request,
                               const char *operation, const json_t *arguments, struct err *err);
/* Carries on what is under way; true: what is wanted of the ingress is another. */
bool orders_step(struct orders *o, const struct order_place *p);
/* Writes what the last steps changed; tried again with the next call. */
OH_MUST_CHECK int orders_keep(struct orders *o, struct err *err);
/* Sets `drained` of each service, and forgets services that are no more. */
void orders_mark(struct orders *o, struct desired *d);
/* Not to be placed now: its removal is under way. */
bool orders_holds(const struct orders *o, const char *workload);

/* One that has ended and was not told yet: its request's id, NULL: none. Borrowed until the next call. */
const char *orders_settled(const struct orders *o, const char **ret_operation, bool *ret_done, const char **ret_why);
/* It was told. */
void orders_told(struct orders *o, const char *request);
/* {"orders": [...], "drained": {...}} for the status file; new reference. */
json_t *orders_describe(const struct orders *o);
