/* From a workload to Kubernetes objects. Pure: the same input gives the same objects, byte for byte.
 *
 * A workload with a volume becomes a StatefulSet of one replica (each replica has its own configuration, version and
 * disk), any other a Deployment. Beside it: a headless Service, a ConfigMap and a Secret, PersistentVolumeClaims of our
 * own (a claim template could not be resized), a NetworkPolicy. A service of ours has a namespace, whose objects are
 * shared by its workloads: RoleBinding, ServiceAccount, default-deny NetworkPolicy, PodDisruptionBudget.
 *
 * - Files with on_change RESTART lie in an immutable ConfigMap (Secret) named by its content, so that a pod never sees
 *   a mixture and an old pod keeps the old files. The others lie in NAME-live, which is changed in place; a program
 *   with a reload signal runs under `ownhouse-pod`, which sends it when the kubelet has swapped the files.
 * - References: ${files} ${run} ${logs} ${volume:X} are mount points below /ownhouse; ${address} is listen_address;
 *   ${address:X} is the DNS name of X's Service; ${ready:X} that of the Service X-ready, made where somebody names it,
 *   in which X's pod is only while it is ready and not going; ${param:X} comes from the place.
 * - NetworkPolicies allow what is declared: whoever's texts name ${address:X} may reach X's ports, and X's namespace is
 *   closed to all else but the agent. Name resolution is open; engines reach object storage (443), never the link-local
 *   network of the node's credentials.
 * - Pods pass the Pod Security standard "restricted".
 *
 * Objects named by content carry the label ownhouse/content, by which those of earlier contents are found.
 * Each object carries app.kubernetes.io/managed-by=ownhouse, ownhouse/infrastructure and either ownhouse/workload or
 * ownhouse/shared; the annotation ownhouse/digest is the SHA-256 of its canonical JSON before that annotation.
 * The StatefulSet or Deployment also says ownhouse/workload-digest (masked by the place's key, so that nobody can try
 * passwords against it), ownhouse/objects (the other objects that must stand: Kind/name@first 12 digits of the digest)
 * and ownhouse/renderer, the revision of these rules and of the place (kube_place_mark). */
#pragma once

#include "blueprint/workload.h"
#include "runtime/kubernetes/kinds.h"

#define KUBE_MANAGER "ownhouse" /* field manager */
#define KUBE_RENDERER 2         /* raised when workloads' objects change though workloads do not */
#define KUBE_CONFIG_MAX 1000000 /* bytes of files in one ConfigMap or Secret; the API refuses over 1 MiB */
#define KUBE_WORKLOAD_ROLE "ownhouse-workloads" /* ClusterRole bound to the agent in each service's namespace */

#define KUBE_PRIVATE_FRONT "ingress-private" /* Service */

struct kube_place {
    const char *infrastructure;
    const char *namespace;                          /* the agent's own; workloads of no service run there */
    const char *account;                            /* the agent's ServiceAccount */
    const char *cluster_domain;                     /* "cluster.local" */
    const char *listen_address;                     /* "0.0.0.0" or "::" */
    const char *storage_class;                      /* NULL: the cluster's default */
    int64_t volume_bytes;                           /* of volumes that say no size */
    const char *priority_class;                     /* NULL: none */
    const struct workload_env *account_annotations; /* cloud identity of the engines' ServiceAccounts */
    size_t n_account_annotations;
    const struct workload_env *balancer_annotations;
    size_t n_balancer_annotations;
    bool balancer;         /* the ingress has a Service of type LoadBalancer; else ClusterIP */
    bool private_balancer; /* and a second one, KUBE_PRIVATE_FRONT, which its annotations keep inside the network */
    const struct workload_env *private_annotations;
    size_t n_private_annotations;
    int ingress_replicas; /* 0 = 2 */
    const struct workload_env *params;
    size_t n_params;
    unsigned char key[32]; /* masks digests */
    int renderer;          /* 0 = KUBE_RENDERER */
};

struct kube_object {
    enum kube_kind kind;
    const char *namespace; /* NULL: of the cluster */
    const char *name;
    json_t *body; /* owned */
    char digest[65];
    bool shared;
};

#define KUBE_OBJECTS_MAX 24

struct kube_objects {
    struct arena *arena;
    struct kube_object items[KUBE_OBJECTS_MAX]; /* in order of applying; the last is StatefulSet or Deployment */
    size_t n;
};
void kube_objects_free(struct kube_objects *o);
#define autoobjects OH_CLEANUP(kube_objects_free)

/* -EINVAL: an unknown reference or too many objects; -EMSGSIZE: files over KUBE_CONFIG_MAX. Messages name workload and
 * place. */
OH_MUST_CHECK int kube_render(const struct workload *w, const struct workload_list *all, const struct kube_place *p,
                              struct kube_objects *ret, struct err *err);

/* The namespace of a workload: ownhouse-SERVICE, or the agent's own. */
const char *kube_namespace(const struct workload *w, const struct kube_place *p, struct arena *a);

/* "REVISION-HASH": what objects depend on beside the workload. Another mark is no reason to restart pods. */
void kube_place_mark(const struct kube_place *p, char ret[32]);

/* Masks a digest of 64 hex digits for that workload name, and takes the mask off again (it is its own inverse). */
void kube_mask(const struct kube_place *p, const char *name, const char *digest, char ret[65]);
