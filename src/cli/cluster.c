/* Requests to a cluster's API server, one at a time. */
#include "cli/cluster.h"

#include "base/fs.h"

struct answer {
    bool done;
    int error, status;
    json_t *body;
    char message[CLUSTER_MESSAGE];
};

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

static void on_answer(const struct kube_reply *reply, void *data)
{
    struct answer *a = data;
    a->done = true;
    a->error = reply->error;
    a->status = reply->status;
    snprintf(a->message, sizeof(a->message), "%s", reply->message);
    if (reply->error == 0 && reply->len && js_parse(reply->body, reply->len, KUBE_ANSWER_MAX, &a->body, NULL) < 0)
        a->body = NULL;
}

int cluster_ask(struct cluster *c, const char *method, const char *path, const char *content_type, const json_t *body,
                json_t **ret, char *message, struct err *err)
{
    struct answer a = {0};
    autofree char *text = body ? js_text(body) : NULL;
    kube_client_send(c->client, &(struct kube_request){.method = method,
                                                       .path = path,
                                                       .content_type = content_type,
                                                       .body = text,
                                                       .len = text ? strlen(text) : 0,
                                                       .done = on_answer,
                                                       .data = &a});
    while (!a.done)
        kube_client_poll(c->client, 1000);
    if (text)
        mem_wipe(text, strlen(text));
    if (message)
        snprintf(message, CLUSTER_MESSAGE, "%s", a.message);
    if (ret)
        *ret = a.body;
    else
        json_decref(a.body);
    return a.error < 0 ? err_set(err, a.error, "%s", a.message) : a.status;
}

int cluster_get(struct cluster *c, const char *path, json_t **ret, struct err *err)
{
    char message[CLUSTER_MESSAGE];
    json_t *body = NULL;
    int r = cluster_ask(c, "GET", path, NULL, NULL, &body, message, err);
    if (r == 200 && body) {
        *ret = body;
        return 1;
    }
    json_decref(body);
    if (r == 404)
        return 0;
    return r < 0 ? r : err_set(err, r == 401 || r == 403 ? -EACCES : -EIO, "GET %s: %s", path, message);
}
