/* A list of workloads to remember: everything that is compared and told, but of long files only a digest and whom they
 * name (${address:...}, ${ready:...}), and each text once. A tenth of the whole list or less. It can be the `all` of
 * runtime_ops.apply(); what is applied itself is rendered again. */
#pragma once

#include "blueprint/workload.h"

#define SLIM_CONTENT_MAX 80 /* contents up to this length are kept as they are */

/* *ret is a list of its own (workload_list_free). Names, order and everything but the contents are as in `from`; equal
 * contents stay equal. */
void slim_copy(const struct workload_list *from, struct workload_list *ret);

/* The same of a list that comes in parts, none of which has to outlive its call. */
struct slim;
struct slim *slim_new(void);
void slim_add(struct slim *s, const struct workload_list *part);
void slim_end(struct slim *s, struct workload_list *ret); /* frees s; ret NULL: nothing is kept */
