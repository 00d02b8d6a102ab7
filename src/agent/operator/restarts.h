/* How often a service was asked to restart: a number in its workloads' environment, so that another number is another
 * workload and the rules of rolling changes hold. Kept in a file, or an agent's restart would restart everything. */
#pragma once

#include "base/js.h"
#include "blueprint/workload.h"

#define RESTARTS_VARIABLE "OWNHOUSE_RESTARTS" /* of an engine: another value, another process */

struct restarts {
    char *path;
    json_t *counts; /* service id -> integer */
};

/* A file that cannot be read counts as empty: one more restart is no harm. */
void restarts_open(struct restarts *r, const char *path);
void restarts_free(struct restarts *r);
/* One more for this service; durable on return. */
OH_MUST_CHECK int restarts_add(struct restarts *r, const char *service, struct err *err);
/* Puts the numbers into the engines' environment. */
void restarts_apply(const struct restarts *r, struct workload_list *list);
