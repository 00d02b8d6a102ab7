/* Keeps how far each service is with becoming another size (surge.h), in a file that is written before anything is done
 * by it. Of a service that the document names no more, or as deleted, nothing is kept. */
#pragma once

#include "agent/operator/reconcile.h"
#include "agent/operator/surge.h"
#include "base/clock.h"

struct surges {
    char *path;
    struct surges_item {
        char id[64];
        struct surge surge;
    } * items; /* beside the services of the document that was marked last */
    size_t n;
};

/* A file that cannot be read counts as empty: every service is settled at the size asked for. */
void surges_open(struct surges *g, const char *path);
void surges_free(struct surges *g);

/* Takes what the document asks for and says in it what to render; durable on return. <0: it could not be written, and
 * the document says what was kept before: what is new in it is not begun. */
OH_MUST_CHECK int surges_mark(struct surges *g, struct desired *d, const struct blueprint_env *env, bool can_ask,
                              int64_t wall_ms, struct err *err);
/* True when something that was refused is to be tried again. */
bool surges_due(const struct surges *g, int64_t wall_ms);

struct surges_place {
    const struct desired *desired; /* as marked and rendered */
    const struct blueprint_env *env;
    const struct workload_list *wanted;
    const char (*digests)[65];
    const struct runtime_status_list *observed;
    struct reconcile_plan *plan; /* what goes on is said there, where it has nothing else to say */
    const struct replica_view *(*view)(const char *service, void *data); /* NULL from it: nobody is asked */
    void (*on_event)(bool error, const char *message, void *data);       /* of what people should read in the log */
    void *data;
    int64_t wall_ms, now_ms;
};
/* Takes what is seen. *ret_changed: surges_mark() would say something else now. <0: as above; tried again next time. */
OH_MUST_CHECK int surges_look(struct surges *g, const struct surges_place *p, bool *ret_changed, struct err *err);
