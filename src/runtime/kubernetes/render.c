/* Makes the objects of a workload: their names, labels, digests and order, and the small ones themselves. */
#include "runtime/kubernetes/render_internal.h"

#include <openssl/evp.h>
#include <openssl/hmac.h>

void kube_objects_free(struct kube_objects *o)
{
    for (size_t i = 0; i < o->n; i++)
        json_decref(o->items[i].body);
    arena_free(o->arena);
    *o = (struct kube_objects){0};
}

void kube_mask(const struct kube_place *p, const char *name, const char *digest, char ret[65])
{
    unsigned char mask[32], plain[32];
    unsigned int len = sizeof(mask);
    if (!HMAC(EVP_sha256(), p->key, sizeof(p->key), (const unsigned char *)name, strlen(name), mask, &len) ||
        hex_decode(strlen(digest) == 64 ? digest : "", plain, sizeof(plain)) < 0) {
        *ret = '\0';
        return;
    }
    for (size_t i = 0; i < sizeof(plain); i++)
        plain[i] ^= mask[i];
    hex_encode(plain, sizeof(plain), ret);
}

static void add_pairs(struct buf *b, const struct workload_env *list, size_t n)
{
    for (size_t i = 0; i < n; i++)
        buf_printf(b, "%s=%s\n", list[i].name, list[i].value);
    buf_addc(b, '\n');
}

void kube_place_mark(const struct kube_place *p, char ret[32])
{
    autobuf struct buf b = BUF_INIT;
    char digest[65];
    buf_printf(&b, "%s\n%s\n%s\n%s\n%s\n%lld\n%s\n%d %d\n", p->namespace, p->account, p->cluster_domain,
               p->listen_address, p->storage_class ? p->storage_class : "", (long long)p->volume_bytes,
               p->priority_class ? p->priority_class : "", p->balancer, p->ingress_replicas);
    add_pairs(&b, p->account_annotations, p->n_account_annotations);
    add_pairs(&b, p->balancer_annotations, p->n_balancer_annotations);
    add_pairs(&b, p->params, p->n_params);
    if (p->private_balancer) {
        buf_adds(&b, "private\n");
        add_pairs(&b, p->private_annotations, p->n_private_annotations);
    }
    sha256_hex(b.data, b.len, digest);
    snprintf(ret, 32, "%d-%.12s", p->renderer ? p->renderer : KUBE_RENDERER, digest);
}

static const char *service_namespace(const char *service, const struct kube_place *p, struct arena *a)
{
    return service ? arena_printf(a, "ownhouse-%s", service) : p->namespace;
}

const char *kube_namespace(const struct workload *w, const struct kube_place *p, struct arena *a)
{
    return service_namespace(workload_label(w, "service"), p, a);
}

/* ---- references ---- */

static const struct workload *find(const struct workload_list *all, const char *name)
{
    for (size_t i = 0; i < all->n; i++)
        if (!strcmp(all->items[i].name, name))
            return &all->items[i];
    return NULL;
}

static const char *address_of(struct render *r, const char *name, const char *suffix)
{
    const struct workload *other = find(r->all, name);
    if (!other)
        return NULL;
    return arena_printf(r->a, "%s%s.%s.svc.%s", name, suffix, kube_namespace(other, r->p, r->a), r->p->cluster_domain);
}

static const char *volume_of(struct render *r, const char *name)
{
    for (size_t i = 0; i < r->w->n_volumes; i++)
        if (!strcmp(r->w->volumes[i].name, name))
            return arena_printf(r->a, "/ownhouse/volumes/%s", name);
    return NULL;
}

static const char *lookup(const char *name, void *data)
{
    struct render *r = data;
    if (!strcmp(name, "files") || !strcmp(name, "run") || !strcmp(name, "logs"))
        return arena_printf(r->a, "/ownhouse/%s", name);
    if (!strcmp(name, "address"))
        return r->p->listen_address;
    if (!strncmp(name, "volume:", 7))
        return volume_of(r, name + 7);
    if (!strncmp(name, "address:", 8))
        return address_of(r, name + 8, "");
    if (!strncmp(name, "ready:", 6))
        return address_of(r, name + 6, READY);
    for (size_t i = 0; i < r->p->n_params && !strncmp(name, "param:", 6); i++)
        if (!strcmp(r->p->params[i].name, name + 6))
            return r->p->params[i].value;
    return NULL;
}

const char *render_text(struct render *r, const char *text)
{
    autobuf struct buf out = BUF_INIT_MAX(WORKLOAD_MAX_BYTES);
    if (workload_expand(text, lookup, r, &out, r->err) < 0) {
        err_wrap(r->err, -EINVAL, "workload %s", r->w->name);
        return NULL;
    }
    return arena_strdup(r->a, out.data ? out.data : "");
}

static bool text_names(const char *text, const char *reference)
{
    return text && strstr(text, reference);
}

static bool names(const struct workload *w, const char *what, const char *name)
{
    autofree char *reference = mem_printf("${%s:%s}", what, name);
    for (size_t i = 0; i < w->n_files; i++)
        if (text_names(w->files[i].content, reference))
            return true;
    for (size_t i = 0; i < w->n_arguments; i++)
        if (text_names(w->arguments[i], reference))
            return true;
    for (size_t i = 0; i < w->n_environment; i++)
        if (text_names(w->environment[i].value, reference))
            return true;
    return false;
}

bool render_names(const struct workload *w, const char *name)
{
    return names(w, "address", name) || names(w, "ready", name);
}

/* ---- objects ---- */

json_t *render_labels(const struct render *r, bool shared)
{
    json_t *labels = json_pack("{s:s, s:s}", "app.kubernetes.io/managed-by", KUBE_MANAGER, "ownhouse/infrastructure",
                               r->p->infrastructure);
    if (shared) {
        json_object_set_new(labels, "ownhouse/shared", json_string(r->service ? r->service : r->role));
        return labels;
    }
    json_object_set_new(labels, "app.kubernetes.io/name", json_string(r->role));
    json_object_set_new(labels, "ownhouse/workload", json_string(r->w->name));
    for (size_t i = 0; i < r->w->n_labels; i++) {
        const char *key = arena_printf(r->a, "ownhouse/%s", r->w->labels[i].name);
        json_object_set_new(labels, key, json_string(r->w->labels[i].value));
    }
    return labels;
}

json_t *render_selector(const char *key, const char *value)
{
    return json_pack("{s:{s:s}}", "matchLabels", key, value);
}

json_t *render_object(struct render *r, enum kube_kind kind, const char *namespace, const char *name, bool shared)
{
    const struct kube_kind_info *k = &kube_kinds[kind];
    if (r->out->n == KUBE_OBJECTS_MAX) {
        err_set(r->err, -EINVAL, "workload %s: needs more than %d objects", r->w->name, KUBE_OBJECTS_MAX);
        return NULL;
    }
    json_t *body = json_pack("{s:s, s:s, s:{s:s, s:o}}", "apiVersion", k->group_version, "kind", k->kind, "metadata",
                             "name", name, "labels", render_labels(r, shared));
    if (k->namespaced)
        json_object_set_new(json_object_get(body, "metadata"), "namespace", json_string(namespace));
    r->out->items[r->out->n++] = (struct kube_object){.kind = kind,
                                                      .namespace = k->namespaced ? arena_strdup(r->a, namespace) : NULL,
                                                      .name = arena_strdup(r->a, name),
                                                      .body = body,
                                                      .shared = shared};
    return body;
}

/* Pod Security is judged by the API server itself; the newest rules that it knows. */
static int add_namespace(struct render *r)
{
    static const char *const modes[] = {"enforce", "warn", "audit"};
    json_t *body = render_object(r, KUBE_NAMESPACE, NULL, r->namespace, true);
    if (!body)
        return r->err ? r->err->code : -EINVAL;
    json_t *labels = json_object_get(json_object_get(body, "metadata"), "labels");
    for (size_t i = 0; i < ARRAY_SIZE(modes); i++)
        json_object_set_new(labels, arena_printf(r->a, "pod-security.kubernetes.io/%s", modes[i]),
                            json_string("restricted"));
    const char *slug = workload_label(r->w, "slug");
    if (slug)
        json_object_set_new(labels, "ownhouse/slug", json_string(slug));
    return 0;
}

static int add_binding(struct render *r)
{
    json_t *body = render_object(r, KUBE_ROLE_BINDING, r->namespace, "ownhouse-agent", true);
    if (!body)
        return r->err ? r->err->code : -EINVAL;
    json_object_set_new(body, "roleRef",
                        json_pack("{s:s, s:s, s:s}", "apiGroup", "rbac.authorization.k8s.io", "kind", "ClusterRole",
                                  "name", KUBE_WORKLOAD_ROLE));
    json_object_set_new(
        body, "subjects",
        json_pack("[{s:s, s:s, s:s}]", "kind", "ServiceAccount", "name", r->p->account, "namespace", r->p->namespace));
    return 0;
}

static int add_account(struct render *r)
{
    json_t *body = render_object(r, KUBE_SERVICE_ACCOUNT, r->namespace, r->role, true);
    if (!body)
        return r->err ? r->err->code : -EINVAL;
    json_object_set_new(body, "automountServiceAccountToken", json_false());
    if (!r->service || !r->p->n_account_annotations)
        return 0;
    json_t *annotations = json_object();
    for (size_t i = 0; i < r->p->n_account_annotations; i++)
        json_object_set_new(annotations, r->p->account_annotations[i].name,
                            json_string(r->p->account_annotations[i].value));
    json_object_set_new(json_object_get(body, "metadata"), "annotations", annotations);
    return 0;
}

/* The ingress is what the outside reaches: client addresses are kept (Local), and cloud settings come from the place.
 */
static void front(json_t *body, json_t *spec, bool balancer, const struct workload_env *list, size_t n)
{
    json_object_set_new(spec, "type", json_string(balancer ? "LoadBalancer" : "ClusterIP"));
    if (!balancer)
        return;
    json_object_set_new(spec, "externalTrafficPolicy", json_string("Local"));
    if (!n)
        return;
    json_t *annotations = json_object();
    for (size_t i = 0; i < n; i++)
        json_object_set_new(annotations, list[i].name, json_string(list[i].value));
    json_object_set_new(json_object_get(body, "metadata"), "annotations", annotations);
}

static json_t *service_ports(struct render *r, bool ingress)
{
    json_t *ports = json_array();
    for (size_t i = 0; i < r->w->n_ports; i++) {
        const struct workload_port *port = &r->w->ports[i];
        if (ingress && !strcmp(port->name, "health"))
            continue; /* for us and the probes, not for the outside */
        const char *protocol = !strcmp(r->role, "dns") && strstr(port->name, "udp") ? "UDP" : "TCP";
        json_array_append_new(ports, json_pack("{s:s, s:i, s:i, s:s}", "name", port->name, "port", port->port,
                                               "targetPort", port->port, "protocol", protocol));
    }
    return ports;
}

bool render_is_awaited(const struct render *r)
{
    for (size_t i = 0; i < r->all->n; i++)
        if (names(&r->all->items[i], "ready", r->w->name))
            return true;
    return false;
}

/* By this name a replica is found only while it is ready and not on its way out: whoever sends customers there leaves
 * it when its pod is told to go, LEAVE_S before the program is. */
static int add_ready_service(struct render *r)
{
    if (!render_is_awaited(r))
        return 0;
    json_t *body = render_object(r, KUBE_SERVICE, r->namespace, arena_printf(r->a, "%s%s", r->w->name, READY), false);
    if (!body)
        return r->err ? r->err->code : -EINVAL;
    json_object_set_new(body, "spec",
                        json_pack("{s:{s:s}, s:o, s:s}", "selector", "ownhouse/workload", r->w->name, "ports",
                                  service_ports(r, false), "clusterIP", "None"));
    return 0;
}

/* The same ingress from inside the network as well. */
static int add_private_front(struct render *r)
{
    const struct kube_place *p = r->p;
    if (!p->private_balancer)
        return 0;
    json_t *body = render_object(r, KUBE_SERVICE, r->namespace, KUBE_PRIVATE_FRONT, false);
    if (!body)
        return r->err ? r->err->code : -EINVAL;
    json_t *spec =
        json_pack("{s:{s:s}, s:o}", "selector", "ownhouse/workload", r->w->name, "ports", service_ports(r, true));
    front(body, spec, true, p->private_annotations, p->n_private_annotations);
    json_object_set_new(body, "spec", spec);
    return 0;
}

static int add_service(struct render *r)
{
    bool ingress = !strcmp(r->role, "ingress");
    if (!r->w->n_ports)
        return 0;
    json_t *body = render_object(r, KUBE_SERVICE, r->namespace, r->w->name, false);
    if (!body)
        return r->err ? r->err->code : -EINVAL;
    json_t *spec =
        json_pack("{s:{s:s}, s:o}", "selector", "ownhouse/workload", r->w->name, "ports", service_ports(r, ingress));
    json_object_set_new(body, "spec", spec);
    if (ingress) {
        front(body, spec, r->p->balancer, r->p->balancer_annotations, r->p->n_balancer_annotations);
        return add_private_front(r);
    }
    /* Replicas find each other before they are ready. */
    json_object_set_new(spec, "clusterIP", json_string("None"));
    json_object_set_new(spec, "publishNotReadyAddresses", json_true());
    return add_ready_service(r);
}

static int add_claims(struct render *r)
{
    for (size_t i = 0; i < r->w->n_volumes; i++) {
        const struct workload_volume *v = &r->w->volumes[i];
        const char *name = arena_printf(r->a, "%s-%s", v->name, r->w->name);
        json_t *body = render_object(r, KUBE_CLAIM, r->namespace, name, false);
        if (!body)
            return r->err ? r->err->code : -EINVAL;
        int64_t bytes = v->bytes ? v->bytes : r->p->volume_bytes;
        json_t *spec = json_pack("{s:[s], s:{s:{s:o}}}", "accessModes", "ReadWriteOnce", "resources", "requests",
                                 "storage", json_sprintf("%lld", (long long)bytes));
        if (r->p->storage_class)
            json_object_set_new(spec, "storageClassName", json_string(r->p->storage_class));
        json_object_set_new(body, "spec", spec);
    }
    return 0;
}

/* ---- digests ---- */

static int sign(struct render *r, struct kube_object *o)
{
    int n = js_digest(o->body, o->digest, r->err);
    if (n < 0)
        return err_wrap(r->err, n, "%s %s", kube_kinds[o->kind].kind, o->name);
    json_t *metadata = json_object_get(o->body, "metadata"), *annotations = json_object_get(metadata, "annotations");
    if (!annotations) {
        annotations = json_object();
        json_object_set_new(metadata, "annotations", annotations);
    }
    json_object_set_new(annotations, "ownhouse/digest", json_string(o->digest));
    return 0;
}

static int finish(struct render *r)
{
    autobuf struct buf objects = BUF_INIT;
    char digest[65], masked[65], mark[32];
    int n = runtime_digest(r->w, digest, r->err);
    for (size_t i = 0; n == 0 && i < r->out->n; i++) {
        struct kube_object *o = &r->out->items[i];
        n = sign(r, o);
        if (n == 0 && kube_kinds[o->kind].watched && i + 1 < r->out->n)
            buf_printf(&objects, "%s%s/%s@%.12s", objects.len ? " " : "", kube_kinds[o->kind].kind, o->name, o->digest);
    }
    if (n < 0)
        return n;
    kube_mask(r->p, r->w->name, digest, masked);
    kube_place_mark(r->p, mark);
    json_t *body = r->out->items[r->out->n - 1].body;
    json_t *annotations = json_object_get(json_object_get(body, "metadata"), "annotations");
    json_object_set_new(annotations, "ownhouse/workload-digest", json_string(masked));
    json_object_set_new(annotations, "ownhouse/objects", json_string(objects.data ? objects.data : ""));
    json_object_set_new(annotations, "ownhouse/renderer", json_string(mark));
    return 0;
}

static int build(struct render *r)
{
    int n;
    if (r->service && ((n = add_namespace(r)) < 0 || (n = add_binding(r)) < 0))
        return n;
    if ((n = add_account(r)) < 0 || (n = render_policy(r)) < 0 || (n = render_files(r)) < 0 ||
        (n = add_service(r)) < 0 || (n = add_claims(r)) < 0 || (n = render_pods(r)) < 0)
        return n;
    return finish(r);
}

int kube_render(const struct workload *w, const struct workload_list *all, const struct kube_place *p,
                struct kube_objects *ret, struct err *err)
{
    struct kube_objects out = {.arena = arena_new()};
    struct err own = ERR_INIT;
    struct render r = {.w = w, .all = all, .p = p, .out = &out, .a = out.arena, .err = err ? err : &own};
    r.role = workload_label(w, "role");
    r.service = workload_label(w, "service");
    r.namespace = kube_namespace(w, p, out.arena);
    int n = r.role ? build(&r) : err_set(err, -EINVAL, "workload %s: has no label `role`", w->name);
    if (n < 0) {
        kube_objects_free(&out);
        return n;
    }
    *ret = out;
    return 0;
}
