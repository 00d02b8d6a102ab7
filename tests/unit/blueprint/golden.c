/* Reads golden cases and shows workloads in their form. */
#include "golden.h"

#include <dirent.h>

static json_t *read_json(const char *path)
{
    autofree char *text = NULL;
    size_t len = 0;
    struct err err = ERR_INIT;
    json_t *v = NULL;
    if (fs_read(path, MIB(4), &text, &len, &err) < 0 || js_parse(text, len, MIB(4), &v, &err) < 0)
        fail_msg("%s: %s", path, err.message);
    return v;
}

static int number(const json_t *env, const char *key)
{
    return (int)json_integer_value(json_object_get(env, key));
}

static const char *text(const json_t *env, const char *key)
{
    return json_string_value(json_object_get(env, key));
}

static void read_env(const json_t *env, struct golden *g)
{
    static const unsigned char key[32] = {1};
    static const char *const known[] = {"publicAddress",    "httpsPort",   "nativePort",    "servicePortBase",
                                        "servicePortCount", "proxyFrom",   "clientAddress", "engine",
                                        "bucket",           "replication", "logLevel",      "certificates",
                                        "maxConnections",   NULL};
    struct err err = ERR_INIT;
    if (js_only(env, "env", known, &err) < 0)
        fail_msg("%s: %s", g->path, err.message);
    const json_t *proxies = json_object_get(env, "proxyFrom"), *certificates = json_object_get(env, "certificates");
    const char **from = arena_alloc(g->arena, (json_array_size(proxies) + 1) * sizeof(*from));
    for (size_t i = 0; i < json_array_size(proxies); i++)
        from[i] = json_string_value(json_array_get(proxies, i));
    struct blueprint_certificate *certs = arena_alloc(g->arena, (json_array_size(certificates) + 1) * sizeof(*certs));
    for (size_t i = 0; i < json_array_size(certificates); i++) {
        const char *name = json_string_value(json_array_get(certificates, i));
        certs[i] = (struct blueprint_certificate){name, arena_printf(g->arena, "chain and key of %s\n", name)};
    }
    g->env = (struct blueprint_env){
        .public_address = text(env, "publicAddress"),
        .https_port = number(env, "httpsPort"),
        .native_port = number(env, "nativePort"),
        .service_port_base = number(env, "servicePortBase"),
        .service_port_count = number(env, "servicePortCount"),
        .proxy_from = from,
        .n_proxy_from = json_array_size(proxies),
        .client_address = text(env, "clientAddress"),
        .engine = strcmp(text(env, "engine"), "server") ? BLUEPRINT_EMBEDDED : BLUEPRINT_SERVER,
        .replication_key = json_is_true(json_object_get(env, "replication")) ? key : NULL,
        .bucket = text(env, "bucket"),
        .certificates = certs,
        .n_certificates = json_array_size(certificates),
        .log_level = text(env, "logLevel"),
        .max_connections = number(env, "maxConnections"),
    };
}

void golden_load(const char *path, struct golden *ret)
{
    struct err err = ERR_INIT;
    *ret = (struct golden){.path = mem_strdup(path), .root = read_json(path), .arena = arena_new()};
    autofree char *document = js_text(json_object_get(ret->root, "desired"));
    if (desired_parse(document, strlen(document), &ret->desired, &err) < 0)
        fail_msg("%s: desired: %s", path, err.message);
    read_env(json_object_get(ret->root, "env"), ret);
}

void golden_free(struct golden *g)
{
    desired_free(g->desired);
    arena_free(g->arena);
    json_decref(g->root);
    free(g->path);
}

static json_t *lines_of(const char *content)
{
    json_t *lines = json_array();
    while (*content) {
        size_t len = strcspn(content, "\n");
        json_array_append_new(lines, json_stringn(content, len + (content[len] == '\n')));
        content += len + (content[len] == '\n');
    }
    return lines;
}

json_t *golden_show(const struct workload_list *l)
{
    json_t *all = json_array();
    for (size_t i = 0; i < l->n; i++) {
        json_t *w = workload_to_json(&l->items[i]), *file;
        size_t k;
        assert_non_null(w);
        json_array_foreach(json_object_get(w, "files"), k, file)
        {
            json_object_set_new(file, "lines", lines_of(json_string_value(json_object_get(file, "content"))));
            json_object_del(file, "content");
        }
        json_array_append_new(all, w);
    }
    return all;
}

static int compare(const void *a, const void *b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

int golden_each(const char *folder, void (*f)(const char *path, void *data), void *data)
{
    char *names[256];
    size_t n = 0;
    DIR *d = opendir(folder);
    assert_non_null(d);
    for (struct dirent *e; (e = readdir(d)) && n < ARRAY_SIZE(names);) {
        size_t len = strlen(e->d_name);
        if (len > 5 && !strcmp(e->d_name + len - 5, ".json"))
            names[n++] = mem_printf("%s/%s", folder, e->d_name);
    }
    closedir(d);
    if (n)
        qsort(names, n, sizeof(*names), compare);
    for (size_t i = 0; i < n; i++) {
        f(names[i], data);
        free(names[i]);
    }
    return (int)n;
}
