/* The table of kinds and the paths of the API. */
#include "runtime/kubernetes/kinds.h"

#include <ctype.h>

const struct kube_kind_info kube_kinds[KUBE_KIND_COUNT] = {
    [KUBE_NAMESPACE] = {"v1", "Namespace", "namespaces", false, true, false, 0},
    [KUBE_ROLE_BINDING] = {"rbac.authorization.k8s.io/v1", "RoleBinding", "rolebindings", true, true, false, 1},
    [KUBE_SERVICE_ACCOUNT] = {"v1", "ServiceAccount", "serviceaccounts", true, true, false, 2},
    [KUBE_NETWORK_POLICY] = {"networking.k8s.io/v1", "NetworkPolicy", "networkpolicies", true, true, false, 2},
    [KUBE_CONFIG_MAP] = {"v1", "ConfigMap", "configmaps", true, false, false, 2},
    [KUBE_SECRET] = {"v1", "Secret", "secrets", true, false, false, 2},
    [KUBE_SERVICE] = {"v1", "Service", "services", true, true, true, 2},
    [KUBE_CLAIM] = {"v1", "PersistentVolumeClaim", "persistentvolumeclaims", true, true, true, 2},
    [KUBE_DISRUPTION_BUDGET] = {"policy/v1", "PodDisruptionBudget", "poddisruptionbudgets", true, true, false, 2},
    [KUBE_STATEFUL_SET] = {"apps/v1", "StatefulSet", "statefulsets", true, true, true, 3},
    [KUBE_DEPLOYMENT] = {"apps/v1", "Deployment", "deployments", true, true, true, 3},
    [KUBE_POD] = {"v1", "Pod", "pods", true, true, true, -1},
    [KUBE_LEASE] = {"coordination.k8s.io/v1", "Lease", "leases", true, false, false, -1},
    [KUBE_EVENT] = {"events.k8s.io/v1", "Event", "events", true, false, false, -1},
};

int kube_kind_find(const char *api_version, const char *kind)
{
    for (int i = 0; i < KUBE_KIND_COUNT; i++)
        if (!strcmp(kube_kinds[i].kind, kind) && !strcmp(kube_kinds[i].group_version, api_version))
            return i;
    return -1;
}

void kube_escape(const char *text, struct buf *out)
{
    for (const unsigned char *p = (const unsigned char *)text; *p; p++) {
        if (isalnum(*p) || strchr("-._~", *p))
            buf_addc(out, (char)*p);
        else
            buf_printf(out, "%%%02X", *p);
    }
}

void kube_path(enum kube_kind kind, const char *ns, const char *name, struct buf *out)
{
    const struct kube_kind_info *k = &kube_kinds[kind];
    buf_printf(out, "/%s/%s", strchr(k->group_version, '/') ? "apis" : "api", k->group_version);
    if (k->namespaced && ns) {
        buf_adds(out, "/namespaces/");
        kube_escape(ns, out);
    }
    buf_printf(out, "/%s", k->plural);
    if (name) {
        buf_addc(out, '/');
        kube_escape(name, out);
    }
}
