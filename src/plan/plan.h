/* The plan engine: what should be (a graph of resources), what is (observed by identity), the difference as a document
 * that a person can approve, and its application, step by step, so that a crash anywhere resumes without a lost or
 * doubled resource. It knows no cloud; src/cloud gives it resource types.
 *
 * The life of a change:
 *   graph = desired (pure)  ->  plan_make() observes and diffs  ->  a document, named by its digest
 *   -> approval of that digest  ->  plan_apply() observes again, refuses if the world has moved, and acts.
 *
 * Threads: provider calls (struct plan_type) run on up to `threads` workers at once. Everything else, that is the
 * journal, the remembered state and the progress callback, is called only on the thread that called plan_*(), one call
 * at a time. Two plans of one infrastructure must not be applied at the same time: the caller holds the lease.
 *
 * Attributes are JSON objects without reals. Secret attributes never appear in documents, records, journals or
 * messages: their place is taken by a mark, "secret:" and 32 hex digits of a SHA-256 that tells equal from changed. */
#pragma once

#include "base/clock.h"
#include "base/js.h"

#include <stdatomic.h>

#define PLAN_DOCUMENT_MAX MIB(16)
#define PLAN_NAME_MAX 63 /* of a type or a resource: [a-z][a-z0-9_-]* */
#define PLAN_KEY_SIZE (2 * PLAN_NAME_MAX + 2)
#define PLAN_TOKEN_SIZE 33 /* 32 hex digits and NUL */
#define PLAN_RESOURCES_MAX 4096

/* --- resource types: what a cloud fills in ------------------------------------------------------------------- */

enum {
    PLAN_REPLACE = 1 << 0,  /* a changed value needs a new resource */
    PLAN_SECRET = 1 << 1,   /* see above; observe() may leave it out, then what was set last is compared */
    PLAN_COMPUTED = 1 << 2, /* given by the cloud, never desired; may be referred to as ${type.name.attribute} */
    PLAN_VOLATILE = 1 << 3, /* with COMPUTED: changes by itself (a pid); not part of fingerprints */
    PLAN_SET = 1 << 4,      /* an array whose order means nothing: compared as a set; observe() gives it sorted */
};

struct plan_attribute {
    const char *name;
    unsigned flags;
};

/* What every provider call is handed. Borrowed for the call. */
struct plan_call {
    void *provider;             /* of struct plan_context */
    const char *infrastructure; /* the identity tag's value */
    const char *type, *name;    /* with the above: the whole identity; also what tags carry */
    /* Client token: the same for the same step of the same plan, over repetitions and resumes, and another one when a
     * plan of the same bytes begins that step again (after a removal, say); "" in observe. */
    const char *token;
    const json_t *remembered;  /* attributes as last saved (secrets as marks), or NULL; a hint, never the truth */
    bool delete_data;          /* destroy() of a type that holds data is called only with this true */
    const atomic_bool *cancel; /* long calls look at it and return -ECANCELED */
    unsigned look; /* the same in all observe() of one look at everything: they may share the cloud's answers, which
                      were asked for since the look began. 0: this one asks for itself */
};

/* Calls block. Return 0 or negative errno with a message. -EAGAIN marks an error transient (throttled, answer lost, not
 * yet consistent, a dependent still leaving): the engine waits and tries again; before it repeats a create it observes,
 * so an answer that was lost does not make a second resource. All are idempotent. */
struct plan_type {
    const char *name;
    const struct plan_attribute
        *attributes;                     /* ends with a NULL name; anything else in a desired resource is an error */
    bool holds_data;                     /* destroying or replacing it destroys the customer's data */
    int ready_timeout_ms, ready_poll_ms; /* 0 = 60 s, 200 ms; also bound the wait for a destroyed one to be gone. It is
                                            looked at every ready_poll_ms / 10 at first, 5 * ready_poll_ms at last */
    /* Finds it by identity tags. *ret = attributes (new reference), or NULL when absent. A half-made resource is
     * present, with the attributes it has. */
    int (*observe)(const struct plan_call *c, json_t **ret, struct err *err);
    /* `want` is resolved: no references left. *ret = all attributes, computed ones too. */
    int (*create)(const struct plan_call *c, const json_t *want, json_t **ret, struct err *err);
    /* `have` as observed. NULL function: every difference replaces. */
    int (*change)(const struct plan_call *c, const json_t *have, const json_t *want, json_t **ret, struct err *err);
    int (*destroy)(const struct plan_call *c, const json_t *have, struct err *err);
    /* 1 ready, 0 not yet, negative: will not become ready. May set computed attributes. NULL: ready at once. */
    int (*ready)(const struct plan_call *c, json_t *attributes, struct err *err);
    /* Until what was made is surely seen. Before it repeats a creation of which it does not know what became (a crash,
     * an answer that was lost), the engine looks for so long. 0: seen at once, or a token or name forbids a second one.
     */
    int settle_ms;
};

/* For providers: sleeps, but not past a cancel. -ECANCELED with a message. */
OH_MUST_CHECK int plan_pause(const struct plan_call *c, int64_t ms, struct err *err);

/* --- the desired graph ----------------------------------------------------------------------------------------- */

struct plan_graph;

struct plan_graph *plan_graph_new(void);
void plan_graph_free(struct plan_graph *g); /* NULL is fine */
static inline void plan_graph_freep(struct plan_graph **g)
{
    plan_graph_free(*g);
}
#define autograph OH_CLEANUP(plan_graph_freep)

/* Adds a resource. `attributes` (reference is stolen, also on failure): values may hold "${type.name.attribute}"; a
 * text that is only a reference takes the referred value with its JSON type, otherwise texts are joined; "$${" is a
 * literal "${". References are dependencies; `depends_on` (keys "type.name", NULL-terminated, may be NULL) adds more.
 * -EEXIST: twice; -EINVAL: bad name or reference; -E2BIG: more than PLAN_RESOURCES_MAX. */
OH_MUST_CHECK int plan_graph_add(struct plan_graph *g, const char *type, const char *name, json_t *attributes,
                                 const char *const *depends_on, struct err *err);
/* What a resource of the graph should have, references unresolved: borrowed; NULL if the graph has none of that key. */
const json_t *plan_graph_attributes(const struct plan_graph *g, const char *key);
/* The same of the resource at a place, and its key; borrowed. NULL past the last. */
const json_t *plan_graph_at(const struct plan_graph *g, size_t place, const char **ret_key);
/* Before a graph is checked: an attribute's value becomes this one, taken literally; NULL takes the attribute away.
 * -ENOENT: no such resource. */
OH_MUST_CHECK int plan_graph_set(struct plan_graph *g, const char *key, const char *attribute, const json_t *value,
                                 struct err *err);
/* Takes a resource out. -ENOENT: there is none; -EBUSY: another depends on it, which the message names. */
OH_MUST_CHECK int plan_graph_drop(struct plan_graph *g, const char *key, struct err *err);
/* A sentence that everybody who approves must have read; part of the document and of the desired digest. */
void plan_graph_note(struct plan_graph *g, const char *sentence);

/* Checks types, attribute names, references and dependencies. -ELOOP: the message names the cycle in order.
 * plan_make and plan_apply call it. `types` ends with NULL. */
OH_MUST_CHECK int plan_graph_check(const struct plan_graph *g, const struct plan_type *const *types, struct err *err);
/* SHA-256 over the canonical JSON of the desired graph (secrets as marks); needs a checked graph. */
OH_MUST_CHECK int plan_graph_digest(const struct plan_graph *g, const struct plan_type *const *types,
                                    const char *infrastructure, char ret[65], struct err *err);

/* --- what the caller keeps ------------------------------------------------------------------------------------- */

/* The remembered state, one record (an object, opaque to the keeper, no secrets) a resource. save() must be durable
 * when it returns. A failing call ends the plan with its error. */
struct plan_state {
    int (*load)(struct plan_state *s, const char *type, const char *name, json_t **ret, struct err *err); /* or NULL */
    int (*save)(struct plan_state *s, const char *type, const char *name, const json_t *record, struct err *err);
    int (*forget)(struct plan_state *s, const char *type, const char *name, struct err *err); /* absent is fine */
    /* New reference to an array of {"type","name","record"}, in any order. */
    int (*list)(struct plan_state *s, json_t **ret, struct err *err);
};

enum plan_action { PLAN_NONE, PLAN_CREATE, PLAN_CHANGE, PLAN_REPLACE_BOTH, PLAN_DESTROY };
extern const char *const plan_action_names[]; /* "none" "create" "change" "replace" "destroy" */

/* One step: a replacement is two (destroy, create). */
struct plan_step {
    const char *plan; /* digest of the plan's document */
    const char *type, *name;
    const char *key;         /* "type.name" */
    enum plan_action action; /* CREATE, CHANGE or DESTROY */
    const char *token;       /* names this step for ever: SHA-256 of plan, key and action */
};

enum plan_phase { PLAN_PHASE_NONE, PLAN_PHASE_BEGIN, PLAN_PHASE_DONE, PLAN_PHASE_FAILED };
extern const char *const plan_phase_names[]; /* "" "begin" "done" "failed" */

/* The journal, by token; begin() must be durable when it returns. A step may begin again after a failure or a crash. */
struct plan_journal {
    /* The last phase written for this token. */
    int (*phase)(struct plan_journal *j, const struct plan_step *step, enum plan_phase *ret, struct err *err);
    int (*begin)(struct plan_journal *j, const struct plan_step *step, struct err *err);
    int (*done)(struct plan_journal *j, const struct plan_step *step, const json_t *attributes, struct err *err);
    int (*failed)(struct plan_journal *j, const struct plan_step *step, const struct err *why, struct err *err);
};

/* --- plan and apply -------------------------------------------------------------------------------------------- */

enum plan_event { PLAN_EVENT_BEGIN, PLAN_EVENT_WAITING, PLAN_EVENT_RETRY, PLAN_EVENT_DONE, PLAN_EVENT_FAILED };

struct plan_progress {
    enum plan_event event;
    const char *key;
    enum plan_action action;
    const char *message; /* RETRY, FAILED: why; else "" */
    int64_t elapsed_ms;  /* since the step began */
    size_t finished, total;
};

struct plan_context {
    const char *infrastructure;
    const struct plan_type *const *types; /* ends with NULL */
    void *provider;
    struct plan_state *state;
    const struct clock *clock;
    int threads;                      /* 0 = 16: most of them wait for the cloud */
    int retry_first_ms, retry_max_ms; /* back-off of transient errors; 0 = 500 ms doubling to 20 s */
    int retry_total_ms;               /* give up on a step after this; 0 = 10 minutes */
    int poll_max_ms;                  /* look at least this often whether something is ready; 0 = as its type says */
    int settle_max_ms;                /* bounds the types' settle_ms; 0 = as the type says */
    const atomic_bool *cancel;        /* may be NULL; when it turns true nothing new begins: -ECANCELED */
    void (*progress)(void *data, const struct plan_progress *p); /* may be NULL */
    void *progress_data;
};

enum plan_kind { PLAN_APPLY, PLAN_REMOVE };

/* Observes everything in the graph and everything remembered, and says the difference. Changes nothing. *ret (new
 * reference) is the document:
 *   {"type":"ownhouse/plan","v":1,"infrastructure":ID,"kind":"apply"|"destroy","delete_data":BOOL,
 *    "desired":DIGEST,"state":FINGERPRINT,"notes":[SENTENCE...],
 *    "summary":{"create":N,"change":N,"replace":N,"destroy":N,"none":N},
 *    "changes":[{"resource":"type.name","action":ACTION,"destroys_data":BOOL,"observed":DIGEST|null,
 *                "depends_on":[KEY...],"why":[{"attribute":A,"before":V|null,"after":V|null,"replaces":BOOL}...],
 *                "kept":SENTENCE (only when something is left standing on purpose)}...]}
 * to which a caller may add members of his own before he takes the digest ("estimate": cloud/estimate.h),
 * in the order of the graph, what is remembered but no longer desired last. "after" of a value that is known only later
 * is {"known":"after apply"}. Kind destroy without delete_data keeps what holds data, and what that stands on.
 * Same graph, same observations: the same bytes in canonical form. */
OH_MUST_CHECK int plan_make(const struct plan_context *c, const struct plan_graph *g, enum plan_kind kind,
                            bool delete_data, json_t **ret, struct err *err);

/* The pure half: `observed` maps "type.name" to attributes (null or missing = absent); `records` is what
 * plan_state.list gives. */
OH_MUST_CHECK int plan_diff(const struct plan_context *c, const struct plan_graph *g, enum plan_kind kind,
                            bool delete_data, const json_t *observed, const json_t *records, json_t **ret,
                            struct err *err);

/* Leaves a change of a document out: its action becomes "none" and `sentence` says why it is kept as it is; counts are
 * mended. Applying then leaves the resource alone, though it is not as it should be. False if nothing was to be left
 * out. Before the digest is taken. */
bool plan_hold(json_t *document, const char *key, const char *sentence);
/* Looks at the resources named by an array of keys, whether remembered or not: *ret (new reference) maps each key to
 * its attributes (secrets in clear), or null where there is none. */
OH_MUST_CHECK int plan_look(const struct plan_context *c, const json_t *keys, json_t **ret, struct err *err);
/* SHA-256 of the document's canonical JSON: what an approval names. */
OH_MUST_CHECK int plan_digest(const json_t *document, char ret[65], struct err *err);
/* True when the plan would do nothing. */
bool plan_is_empty(const json_t *document);

/* Applies an approved document. `approved` is the digest that was approved; the document must have it (-EINVAL). The
 * graph must be the one the plan was made from, and each resource must be as the document saw it, or, where this plan's
 * own steps have begun, on the way to what it wants: else -ESTALE, with what differs, and nothing is done. -EPERM: it
 * would destroy data and the document was not made with delete_data. -ECANCELED: cancelled. After a crash, a failure or
 * a cancel, calling it again with the same arguments goes on. Independent branches go on after a failure; then the code
 * and message are the first failure's.
 * *ret (new reference, also set when steps failed, NULL if nothing was begun; `ret` may be NULL):
 *   {"done":[KEY...],"failed":[{"resource":KEY,"error":TEXT}...],"blocked":[KEY...],
 *    "leftovers":[{"resource":KEY,"why":SENTENCE}...]} */
OH_MUST_CHECK int plan_apply(const struct plan_context *c, const struct plan_graph *g, const json_t *document,
                             const char *approved, struct plan_journal *journal, json_t **ret, struct err *err);
