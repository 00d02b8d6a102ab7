/* Renders a desired document for scenarios: {"desired": ..., "env": ...} on standard input, as in
 * tests/golden/blueprint (certificates as {"name", "pem"}), a list of workloads on standard output. */
#include "base/mem.h"
#include "blueprint/blueprint.h"

static const char *text(const json_t *env, const char *key)
{
    return json_string_value(json_object_get(env, key));
}

static int number(const json_t *env, const char *key)
{
    return (int)json_integer_value(json_object_get(env, key));
}

static void read_env(const json_t *env, struct arena *a, struct blueprint_env *ret)
{
    const json_t *proxies = json_object_get(env, "proxyFrom"), *certificates = json_object_get(env, "certificates");
    const char **from = arena_alloc(a, (json_array_size(proxies) + 1) * sizeof(*from));
    struct blueprint_certificate *certs = arena_alloc(a, (json_array_size(certificates) + 1) * sizeof(*certs));
    for (size_t i = 0; i < json_array_size(proxies); i++)
        from[i] = json_string_value(json_array_get(proxies, i));
    for (size_t i = 0; i < json_array_size(certificates); i++)
        certs[i] = (struct blueprint_certificate){text(json_array_get(certificates, i), "name"),
                                                  text(json_array_get(certificates, i), "pem")};
    static const unsigned char key[32];
    const char *engine = text(env, "engine");
    *ret = (struct blueprint_env){
        .public_address = text(env, "publicAddress"),
        .service_port_base = number(env, "servicePortBase"),
        .service_port_count = number(env, "servicePortCount"),
        .proxy_from = from,
        .n_proxy_from = json_array_size(proxies),
        .client_address = text(env, "clientAddress"),
        .engine = engine && !strcmp(engine, "server") ? BLUEPRINT_SERVER : BLUEPRINT_EMBEDDED,
        .certificates = certs,
        .n_certificates = json_array_size(certificates),
        .replication_key = json_is_true(json_object_get(env, "joined")) ? key : NULL,
    };
}

static int render(const json_t *input, struct err *err)
{
    autofree char *document = js_text(json_object_get(input, "desired"));
    autodesired struct desired *d = NULL;
    autoarena struct arena *a = arena_new();
    autoworkloads struct workload_list list;
    struct blueprint_env env;
    workload_list_init(&list);
    read_env(json_object_get(input, "env"), a, &env);
    int r = desired_parse(document, strlen(document), &d, err);
    if (r < 0 || (r = blueprint_render(d, &env, &list, err)) < 0)
        return r;
    autojson json_t *all = json_array();
    for (size_t i = 0; i < list.n; i++)
        json_array_append_new(all, workload_to_json(&list.items[i]));
    return json_dumpf(all, stdout, JSON_COMPACT) < 0 ? err_set(err, -EIO, "cannot write") : 0;
}

int main(void)
{
    struct err err = ERR_INIT;
    autojson json_t *input = json_loadf(stdin, 0, NULL);
    if (!input)
        err_set(&err, -EINVAL, "standard input is not JSON");
    if (err.code < 0 || render(input, &err) < 0) {
        fprintf(stderr, "blueprint-render: %s\n", err.message);
        return 1;
    }
    return 0;
}
