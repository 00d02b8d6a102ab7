/* The Kubernetes runtime: workloads as objects of a cluster (render.h says which), kept so by one thread of its own.
 *
 * The thread holds a watch for each kind over the objects that bear our label, and makes what apply() and remove() ask
 * for by server-side apply as field manager "ownhouse". A lease in the agent's namespace says who may write; another
 * agent's apply() gets -EBUSY meanwhile. Calls of the runtime take a lock and return at once.
 *
 * - What stands is not written: an object is applied only when its digest differs, it is missing, or somebody else
 *   changed fields of ours. A StatefulSet or Deployment whose workload is unchanged is left alone even when a newer
 *   agent would render it otherwise, so an agent's upgrade restarts nothing; its other objects follow.
 * - Only what bears our labels is ever removed. Claims go only with delete_data, and with the last claim of a service
 *   its namespace; otherwise namespace and claims stay.
 * - observe() fails with -EAGAIN until the cluster has been read once. Without the API server it keeps answering what
 *   was last seen. */
#pragma once

#include "base/clock.h"
#include "runtime/kubernetes/access.h"
#include "runtime/kubernetes/client.h"
#include "runtime/kubernetes/release.h"
#include "runtime/kubernetes/render.h"
#include "runtime/runtime.h"

/* A kubelet brings a changed ConfigMap or Secret into its pods within its sync period (a minute) and its cache's time.
 */
#define KUBE_FILES_TAKE_MS 120000

struct runtime_kubernetes_config {
    struct kube_place place;   /* texts are copied */
    struct kube_access access; /* taken over */
    const struct clock *clock; /* borrowed */
    const char *identity;      /* of this agent in the lease; NULL: host name and a random part */
};

OH_MUST_CHECK int runtime_kubernetes_new(struct runtime_kubernetes_config *config, struct runtime **ret,
                                         struct err *err);

/* For status and measurements. */
struct kube_state {
    bool leading, synced;
    char leader[128];           /* who holds the lease, "" = nobody or not known */
    char balancer[254];         /* outside address of the ingress, "" = none (yet) */
    char private_balancer[254]; /* and inside */
    char trouble[400];          /* of talking to the API, "" = none */
    size_t facts;
    struct kube_counts counts;
};
void runtime_kubernetes_state(struct runtime *rt, struct kube_state *ret);

/* The agent's own image (release.h). Given again and again: what changed is acted on. While it is not given, nothing is
 * read. Only the leader changes anything, and only while it is healthy. */
struct kube_wish {
    const char *workload; /* the agent's StatefulSet, in its own namespace */
    const char *account;  /* the guard's ServiceAccount */
    const char *pod;      /* uid of the agent's own pod */
    const char *image;    /* that the signed list asks for; "": none */
    const char *list;     /* digest of the list */
    int patience_s;
    bool healthy; /* linked, leading, and a pass was made */
};
void runtime_kubernetes_wish(struct runtime *rt, const struct kube_wish *w);
/* What is known of it; false: nothing yet. `ret_trouble`: of the last request for it, "" = none. */
bool runtime_kubernetes_release(struct runtime *rt, struct kube_release *ret, char *ret_trouble, size_t size);
