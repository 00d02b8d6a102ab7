/* Requests to a cluster's API server, one at a time. */
#include "cli/cluster.h"

#include "base/fs.h"

/* Kinds that the agent itself never touches. */
static const char *const more_kinds[][3] = {
    {"rbac.authorization.k8s.io/v1", "ClusterRole", "clusterroles"},
    {"rbac.authorization.k8s.io/v1", "ClusterRoleBinding", "clusterrolebindings"},
    {"rbac.authorization.k8s.io/v1", "Role", "roles"},
    {"admissionregistration.k8s.io/v1", "ValidatingAdmissionPolicy", "validatingadmissionpolicies"},
    {"admissionregistration.k8s.io/v1", "ValidatingAdmissionPolicyBinding", "validatingadmissionpolicybindings"},
};

void cluster_path(const json_t *object, struct buf *out)
{
    const json_t *metadata = json_object_get(object, "metadata");
    const char *version = js_text_at(object, "apiVersion"), *kind = js_text_at(object, "kind"),
               *name = js_text_at(metadata, "name"), *namespace = js_text_at(metadata, "namespace");
    int known = kube_kind_find(version, kind);
    if (known >= 0) {
        kube_path((enum kube_kind)known, *namespace ? namespace : NULL, name, out);
        return;
    }
    for (size_t i = 0; i < ARRAY_SIZE(more_kinds); i++) {
        if (strcmp(more_kinds[i][0], version) || strcmp(more_kinds[i][1], kind))
            continue;
        buf_printf(out, "/apis/%s/", version);
        if (*namespace) {
            buf_adds(out, "namespaces/");
            kube_escape(namespace, out);
            buf_addc(out, '/');
        }
        buf_printf(out, "%s/", more_kinds[i][2]);
        kube_escape(name, out);
    }
}

int cluster_open(const char *kubeconfig, const char *context, struct cluster *ret, struct err *err)
{
    struct kube_access access = {0};
    const char *from = getenv("KUBECONFIG"), *home = getenv("HOME");
    autofree char *usual = mem_printf("%s/.kube/config", home ? home : "/root");
    const char *path = kubeconfig ? kubeconfig : from && *from ? from : usual;
    if (!fs_exists(path))
        return err_set(err, -ENOENT, "--kubeconfig: there is no file %s", path);
    int r = kube_access_file(path, context, &access, err);
    if (r < 0)
        return r;
    ret->client = kube_client_new(&access, &clock_system);
    return 0;
}

void cluster_close(struct cluster *c)
{
    kube_client_free(c->client);
    c->client = NULL;
}

int cluster_get(struct cluster *c, const char *path, json_t **ret, struct err *err)
{
    char message[KUBE_MESSAGE];
    json_t *body = NULL;
    int r = kube_client_ask(c->client, "GET", path, NULL, NULL, &body, message, err);
    if (r == 200 && body) {
        *ret = body;
        return 1;
    }
    json_decref(body);
    if (r == 404)
        return 0;
    return r < 0 ? r : err_set(err, r == 401 || r == 403 ? -EACCES : -EIO, "GET %s: %s", path, message);
}
