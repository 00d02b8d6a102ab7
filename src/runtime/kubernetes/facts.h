/* What is remembered of the objects in the cluster: a few facts each, never the objects themselves.
 *
 * Facts come from watches and from the answers to our own writes; the one with the higher resourceVersion counts.
 * Kinds that are not watched (ConfigMap, Secret) have no facts. Not thread-safe. */
#pragma once

#include "runtime/kubernetes/kinds.h"
#include "runtime/runtime.h"

#define KUBE_DIGEST_SHOWN 12 /* digits of a digest that facts keep */

/* One block of memory with its texts. What only one kind has shares its place with what others have: ask for the kind
 * before reading it. */
struct kube_fact {
    enum kube_kind kind;
    unsigned mark;         /* of the last list that held it */
    const char *namespace; /* "" for objects of the cluster */
    const char *name;
    const char *workload;        /* "" for shared ones */
    const char *uid;             /* StatefulSet, Deployment; "" for others */
    const char *detail;          /* StatefulSet's updateRevision; claim: its phase; Service: its outside address; "" */
    uint64_t identity;           /* hash of the uid */
    int64_t version, generation; /* resourceVersion */
    uint64_t owners;             /* hash over who owns which fields, status and the cluster's own controllers aside */
    uint64_t accepted;           /* owners as of our last write; 0 = none since we started */
    char digest[KUBE_DIGEST_SHOWN + 1];
    bool foreign; /* somebody else owns fields */
    bool deleting;

    union {
        struct {                         /* StatefulSet, Deployment */
            struct workload_env *labels; /* those with ownhouse/, without it */
            size_t n_labels;
            const char *objects;                  /* "Kind/name@digest ..." */
            const char *renderer;                 /* mark of the place and the rules that made it */
            const char *workload_digest;          /* masked */
            int wanted, replicas, ready, updated; /* spec.replicas, status... */
            int64_t observed_generation;
        };
        struct {                                    /* Pod */
            const char *address, *error, *revision; /* error: "" or why it does not run; revision: of its template */
            int64_t since_ms;
            int restarts;
            bool pod_ready, was_ready, failed;
        };
    };
};

struct kube_facts {
    struct kube_fact **items; /* sorted by kind, namespace, name */
    size_t n, cap;
};

/* From an object of the API (metadata alone is enough where the table of kinds says so). -EINVAL: it has no name or
 * version. Free with kube_fact_free(). */
OH_MUST_CHECK int kube_fact_parse(enum kube_kind kind, const json_t *object, struct kube_fact **ret, struct err *err);
void kube_fact_free(struct kube_fact *f);

/* Takes the fact over. false: what was known is as new. `ours`: the answer to a write of ours. */
bool kube_facts_put(struct kube_facts *l, struct kube_fact *fact, bool ours);
bool kube_facts_drop(struct kube_facts *l, enum kube_kind kind, const char *ns, const char *name, int64_t version);
/* Drops those of the kind that bear another mark; true if there were any. */
bool kube_facts_sweep(struct kube_facts *l, enum kube_kind kind, unsigned mark);
struct kube_fact *kube_facts_find(const struct kube_facts *l, enum kube_kind kind, const char *ns, const char *name);
/* The first of a kind (and namespace, unless NULL); n if none. Those of one kind stand side by side. */
size_t kube_facts_first(const struct kube_facts *l, enum kube_kind kind, const char *ns);
void kube_facts_free(struct kube_facts *l);

/* Somebody changed what is ours. */
bool kube_fact_drifted(const struct kube_fact *f);
/* The object is as the renderer made it: nothing has to be written. */
bool kube_fact_stands(const struct kube_fact *f, const char *digest);
