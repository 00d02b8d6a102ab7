/* The kinds of Kubernetes objects that we make or look at: one table line each, and the paths of the API.
 *
 * Paths follow the API conventions: /api/v1 for the core group, /apis/GROUP/VERSION for the others, then
 * namespaces/NS/PLURAL/NAME. Every part of a path is escaped, whatever it holds. */
#pragma once

#include "base/buf.h"

#define KUBE_NAME_MAX 253 /* bytes of an object's name */

enum kube_kind {
    KUBE_NAMESPACE,
    KUBE_ROLE_BINDING,
    KUBE_SERVICE_ACCOUNT,
    KUBE_NETWORK_POLICY,
    KUBE_CONFIG_MAP,
    KUBE_SECRET,
    KUBE_SERVICE,
    KUBE_CLAIM, /* PersistentVolumeClaim */
    KUBE_DISRUPTION_BUDGET,
    KUBE_STATEFUL_SET,
    KUBE_DEPLOYMENT,
    KUBE_POD,
    KUBE_LEASE,
    KUBE_EVENT,
    KUBE_KIND_COUNT
};

struct kube_kind_info {
    const char *group_version; /* "v1", "apps/v1" */
    const char *kind, *plural;
    bool namespaced;
    /* Kept under watch over all namespaces. Secrets and ConfigMaps are not: nobody who only runs databases needs to
     * read those of others, and RBAC knows no selector. */
    bool watched;
    bool whole; /* the watch carries whole objects (status matters); else metadata only */
    int stage;  /* of applying: all of a stage stand before the next begins; -1 = never applied by the renderer */
};
extern const struct kube_kind_info kube_kinds[KUBE_KIND_COUNT];

/* By apiVersion and kind; -1: not one of ours. */
int kube_kind_find(const char *api_version, const char *kind);

/* Appends the path of one object, or of the collection when name is NULL (ns NULL: over all namespaces). */
void kube_path(enum kube_kind kind, const char *ns, const char *name, struct buf *out);
/* Appends text with everything but RFC 3986's unreserved characters percent-encoded. */
void kube_escape(const char *text, struct buf *out);
