/* Makes the ConfigMaps and Secrets of a workload's files: those of a restart named by content, the others in place. */
#include "runtime/kubernetes/render_internal.h"

/* A key of a ConfigMap: a path's slashes are not allowed there. */
static const char *key_of(struct render *r, const char *path)
{
    autobuf struct buf key = BUF_INIT;
    for (const char *p = path; *p; p++)
        buf_adds(&key, *p == '/' ? "__" : (char[]){*p, 0});
    return arena_strdup(r->a, key.data);
}

static bool chosen(const struct workload_file *f, bool secret, bool live)
{
    return f->secret == secret && (f->on_change != WORKLOAD_RESTART) == live;
}

static int gather(struct render *r, bool secret, bool live, json_t *data)
{
    size_t total = 0;
    for (size_t i = 0; i < r->w->n_files; i++) {
        const struct workload_file *f = &r->w->files[i];
        if (!chosen(f, secret, live))
            continue;
        const char *text = render_text(r, f->content), *key = key_of(r, f->path);
        if (!text)
            return -EINVAL;
        if (json_object_get(data, key))
            return err_set(r->err, -EINVAL, "workload %s: two files have the name %s", r->w->name, key);
        total += strlen(text) + strlen(key);
        if (total > KUBE_CONFIG_MAX)
            return err_set(r->err, -EMSGSIZE,
                           "workload %s: its files are over %d bytes, which Kubernetes does not keep in one object",
                           r->w->name, KUBE_CONFIG_MAX);
        autofree char *encoded = secret ? base64_encode(text, strlen(text)) : NULL;
        json_object_set_new(data, key, json_string(encoded ? encoded : text));
    }
    return 0;
}

static int add(struct render *r, bool secret, bool live, const char **ret)
{
    autojson json_t *data = json_object();
    char digest[65];
    int n = gather(r, secret, live, data);
    if (n < 0 || !json_object_size(data))
        return n;
    if ((n = js_digest(data, digest, r->err)) < 0)
        return n;
    /* The content's name is at most 63 + 1 + 10 bytes; an object's name may have 253. */
    const char *name =
        live ? arena_printf(r->a, "%s-live", r->w->name) : arena_printf(r->a, "%s-%.10s", r->w->name, digest);
    json_t *body = render_object(r, secret ? KUBE_SECRET : KUBE_CONFIG_MAP, r->namespace, name, false);
    if (!body)
        return -EINVAL;
    json_object_set(body, "data", data);
    if (!live) {
        json_object_set_new(body, "immutable", json_true());
        json_object_set_new(json_object_get(json_object_get(body, "metadata"), "labels"), "ownhouse/content",
                            json_sprintf("%.10s", digest));
    }
    if (secret)
        json_object_set_new(body, "type", json_string("Opaque"));
    *ret = name;
    return 0;
}

int render_files(struct render *r)
{
    int n;
    if ((n = add(r, false, false, &r->config_map)) < 0 || (n = add(r, true, false, &r->secret)) < 0 ||
        (n = add(r, false, true, &r->config_map_live)) < 0)
        return n;
    return add(r, true, true, &r->secret_live);
}
