/* What the files of the plan engine share; nobody else includes it. */
#pragma once

#include "plan/plan.h"

#include "base/mem.h"

/* --- graph.c --- */

struct plan_node {
    char key[PLAN_KEY_SIZE];
    char *type, *name;
    json_t *attributes;
    json_t *depends_on; /* array of keys: explicit and by reference, sorted, each once */
};

struct plan_graph {
    struct plan_node *nodes;
    size_t n, cap;
    json_t *index; /* key -> position */
    json_t *notes;
};

bool plan_name_valid(const char *name);
/* Splits "type.name"; false if it is not that. Both have PLAN_NAME_MAX + 1 bytes. */
bool plan_key_split(const char *key, char *type, char *name);
const struct plan_node *plan_graph_find(const struct plan_graph *g, const char *key); /* NULL if absent */
const struct plan_type *plan_type_find(const struct plan_type *const *types, const char *name);
/* Positions in an order where dependencies come first; ties by position. `ret` has g->n places. -ELOOP as in
 * plan_graph_check. */
OH_MUST_CHECK int plan_graph_order(const struct plan_graph *g, size_t *ret, struct err *err);
/* Adds to an array of texts what it lacks. */
void plan_keys_add(json_t *array, const char *key);
bool plan_keys_has(const json_t *array, const char *key);
void plan_keys_sort(json_t *array);

/* --- refs.c --- */

struct plan_ref {
    char key[PLAN_KEY_SIZE];
    char attribute[PLAN_NAME_MAX + 1];
};

/* Calls fn for each reference in a value, at any depth; stops at the first negative answer. -EINVAL: bad syntax. */
typedef int (*plan_ref_fn)(const struct plan_ref *r, void *data, struct err *err);
OH_MUST_CHECK int plan_refs_each(const json_t *v, plan_ref_fn fn, void *data, struct err *err);

/* Gives the value of a reference (borrowed) or NULL when it is known only later. Negative: error. */
typedef int (*plan_ref_lookup)(const struct plan_ref *r, void *data, const json_t **ret, struct err *err);
/* Replaces all references in the attributes of a resource (new reference); an attribute with an unknown in it becomes
 * plan_unknown(). */
OH_MUST_CHECK int plan_refs_resolve(const json_t *attributes, plan_ref_lookup lookup, void *data, json_t **ret,
                                    struct err *err);
json_t *plan_unknown(void); /* new reference to {"known":"after apply"} */
bool plan_is_unknown(const json_t *v);

/* --- attrs.c --- */

const struct plan_attribute *plan_attribute_find(const struct plan_type *t, const char *name);
/* A copy with secrets as marks; -EINVAL for an attribute the type's table lacks. NULL or null gives NULL. */
OH_MUST_CHECK int plan_attrs_mask(const struct plan_type *t, const char *infrastructure, const char *key,
                                  const json_t *attributes, json_t **ret, struct err *err);
bool plan_is_mark(const json_t *v);
/* SHA-256 of masked attributes without volatile ones; "" for NULL. */
OH_MUST_CHECK int plan_attrs_digest(const struct plan_type *t, const json_t *masked, char ret[65], struct err *err);
/* What differs between masked attributes as they are and as they should be; `record` (may be NULL) helps with secrets
 * that cannot be read back and with attributes no longer desired. *ret_why is a new array as in the document.
 * Answers PLAN_NONE, PLAN_CREATE (have is NULL), PLAN_CHANGE or PLAN_REPLACE_BOTH. */
enum plan_action plan_attrs_diff(const struct plan_type *t, const json_t *have, const json_t *want,
                                 const json_t *record, json_t **ret_why);

/* --- records: what plan_state keeps --- */

json_t *plan_record_new(const json_t *masked_attributes, const json_t *depends_on, const json_t *want);
const json_t *plan_record_attributes(const json_t *record); /* borrowed, NULL if none */
const json_t *plan_record_depends(const json_t *record);    /* borrowed array, NULL if none */

/* --- observe.c --- */

/* Observes every key of `keys` (an array); *ret maps key to attributes or null, in clear. `records` maps key to record.
 */
OH_MUST_CHECK int plan_observe(const struct plan_context *c, const json_t *keys, const json_t *records, json_t **ret,
                               struct err *err);
/* The records as an object by key; -EBADMSG for what is not a record, -ENOTSUP for an unknown type. */
OH_MUST_CHECK int plan_records(const struct plan_context *c, const json_t *list, json_t **ret, struct err *err);
/* One observation on the calling (worker) thread, with retries of transient errors. */
OH_MUST_CHECK int plan_observe_one(const struct plan_context *c, const struct plan_type *t,
                                   const struct plan_call *call, json_t **ret, struct err *err);

/* --- pool.c: workers, and a queue of what they report --- */

struct plan_pool;
struct plan_job {
    void (*run)(struct plan_job *j); /* on a worker */
    struct plan_pool *pool;          /* set by plan_pool_submit */
    struct plan_job *next;
};
/* A report from a running job; `finished` is the job's last one, made by the pool. */
struct plan_report {
    struct plan_job *job;
    bool finished;
    enum plan_event event;
    char message[ERR_MESSAGE_MAX];
    struct plan_report *next;
};

#define PLAN_THREADS 16 /* when the context names none; a blocked call costs a stack and no more */
struct plan_pool *plan_pool_new(int threads);
void plan_pool_free(struct plan_pool *p); /* waits for running jobs; NULL is fine */
void plan_pool_submit(struct plan_pool *p, struct plan_job *j);
void plan_pool_report(struct plan_job *j, enum plan_event event, const char *message); /* on a worker */
/* Blocks until there is a report; free() it. NULL when no job is queued or running. */
struct plan_report *plan_pool_next(struct plan_pool *p);

static inline void plan_pool_freep(struct plan_pool **p)
{
    plan_pool_free(*p);
}
#define autopool OH_CLEANUP(plan_pool_freep)

/* Sleeps in slices, looking at cancel; -ECANCELED. */
OH_MUST_CHECK int plan_sleep(const struct plan_context *c, int64_t ms);
bool plan_cancelled(const struct plan_context *c);
/* Wait before attempt n (0 = first repetition): doubling, half of it spread by the token, so it is the same each time.
 */
int64_t plan_backoff(const struct plan_context *c, const char *token, int attempt);

/* --- step.c: the worker's half of one step --- */

struct plan_task {
    struct plan_job job; /* first: tasks are jobs */
    const struct plan_context *c;
    const struct plan_type *type;
    char key[PLAN_KEY_SIZE];
    char type_name[PLAN_NAME_MAX + 1], name[PLAN_NAME_MAX + 1];
    char token[PLAN_TOKEN_SIZE];
    enum plan_action action; /* CREATE, CHANGE, DESTROY */
    bool again;              /* the step began before: look first */
    bool unsure;             /* and nobody saw its end */
    bool delete_data;
    int64_t doubt_ms; /* until then (clock_mono_ms) something made may not be seen */
    json_t *have;     /* as observed, in clear; NULL = absent */
    json_t *want;     /* resolved, in clear; NULL for DESTROY */
    json_t *record;   /* or NULL */
    /* the outcome */
    int result;
    struct err err;
    json_t *outcome; /* attributes in clear, NULL when gone */
};
void plan_task_run(struct plan_job *j);
void plan_task_free(struct plan_task *t);

/* --- schedule.c: steps and what each waits for --- */

struct plan_unit {
    char key[PLAN_KEY_SIZE];
    enum plan_action action; /* NONE: nothing to do, but others take its attributes */
    size_t *before;          /* units that must end first */
    size_t n_before, cap_before;
    size_t rank; /* steps in the longest chain that waits for this one */
    enum { UNIT_WAITING, UNIT_RUNNING, UNIT_DONE, UNIT_FAILED, UNIT_BLOCKED } state;
};
struct plan_schedule {
    struct plan_unit *units;
    size_t n;
};
/* Units of a document's changes. Hard order: dependencies of the graph. Soft, where it makes no circle: what the
 * records say depended on what is destroyed. */
void plan_schedule_build(const struct plan_graph *g, const json_t *document, const json_t *records,
                         struct plan_schedule *ret);
void plan_schedule_free(struct plan_schedule *s);
/* Of the units that may begin now the one with the highest rank, the first of several; or -1. Marks as BLOCKED what
 * waits for a failure. */
ssize_t plan_schedule_next(struct plan_schedule *s);
