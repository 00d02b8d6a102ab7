/* Which services have had several replicas. Their replicated tables are registered in their Keeper and cannot be
 * written without it, so a service that becomes one of one replica keeps Keeper (desired_service.joined). Learnt from
 * what is seen: who has a Keeper; and kept in a file, so that nothing is lost when Keeper's objects are. Of a service
 * that the document names no more nothing is kept. */
#pragma once

#include "base/js.h"
#include "blueprint/desired.h"
#include "runtime/runtime.h"

struct joined {
    char *path;
    json_t *services; /* id -> true */
    bool dirty;       /* not written yet */
};

/* A file that cannot be read counts as empty: what is seen fills it again. */
void joined_open(struct joined *j, const char *path);
void joined_free(struct joined *j);
/* Says so of the document's services, before they are rendered. */
void joined_mark(const struct joined *j, struct desired *d);
/* Takes what is seen. *ret_changed: joined_mark() would say something else now. <0: it could not be written, and will
 * be tried again with the next call; it holds nevertheless. */
OH_MUST_CHECK int joined_look(struct joined *j, const struct desired *d, const struct runtime_status_list *observed,
                              bool *ret_changed, struct err *err);
