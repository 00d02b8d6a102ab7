/* ownhouse render: what a desired document would make, offline, for review and diff. */
#include "runtime/kubernetes/render.h"
#include "base/fs.h"
#include "base/keys.h"
#include "base/mem.h"
#include "blueprint/blueprint.h"
#include "cli/commands.h"

#define FILE_MAX (DESIRED_MAX_BYTES + KIB(64))
#define HIDDEN "(not shown)"
#define ZEROS "0000000000000000000000000000000000000000000000000000000000000000"

static const char *option(const struct cli *c, const char *name, const char *fallback)
{
    const char *v = cli_option(c, name);
    return v && *v ? v : fallback;
}

/* A document as it is signed, or a list of services, which is given the head of one. */
static int read_document(const char *path, struct desired **ret, struct err *err)
{
    autofree char *text = NULL, *whole = NULL;
    autojson json_t *v = NULL;
    size_t len = 0;
    int r = fs_read(path, FILE_MAX, &text, &len, err);
    if (r < 0)
        return r == -ENOENT ? err_set(err, r, "there is no file %s", path) : r;
    if ((r = js_parse(text, len, FILE_MAX, &v, err)) < 0)
        return err_wrap(err, r, "%s", path);
    if (json_is_object(v) && !json_object_get(v, "type")) {
        autojson json_t *services =
            json_object_get(v, "services") ? json_incref(json_object_get(v, "services")) : json_pack("[O]", v);
        json_decref(v);
        v = json_pack("{s:s, s:i, s:s, s:i, s:s, s:s, s:O}", "type", "ownhouse/desired", "v", 1, "infrastructure",
                      "00000000-0000-4000-8000-000000000000", "version", 1, "issuedAt", "2026-01-01T00:00:00.000Z",
                      "domain", "example.org", "services", services);
    }
    whole = js_text(v);
    r = desired_parse(whole, strlen(whole), ret, err);
    return r < 0 ? err_wrap(err, r, "%s", path) : 0;
}

/* ---- secrets ---- */

static void hide_files(struct workload_list *l)
{
    for (size_t i = 0; i < l->n; i++)
        for (size_t k = 0; k < l->items[i].n_files; k++)
            if (l->items[i].files[k].secret)
                l->items[i].files[k].content = HIDDEN;
}

/* What an agent makes for itself at its first start and renders into what it makes. Without its state folder zeros
 * stand there: the result has the same shape, and no password that anybody knows. */
struct own {
    unsigned char key[32]; /* masks digests, and joins replicas */
    char reader[65];       /* SHA-256 of the gate's password at the engines */
    char operator[65];     /* and of the operator's */
};

static int read_operator(const char *state, struct own *ret, struct err *err)
{
    autofree char *path = mem_printf("%s/operator.secret", state), *text = NULL;
    size_t len = 0;
    int r = fs_read_secret(path, KIB(1), &text, &len, err);
    if (r < 0)
        return r == -ENOENT ? err_wrap(err, r, "--state: must be the state folder of an agent that has run") : r;
    sha256_hex(text, len, ret->operator);
    mem_wipe(text, len);
    return 0;
}

static int read_own(const char *state, struct own *ret, struct err *err)
{
    autofree char *key_path = mem_printf("%s/kubernetes.key", state),
                  *reader_path = mem_printf("%s/gate-reader", state), *key = NULL, *reader = NULL;
    size_t key_len = 0, reader_len = 0;
    int r = fs_read_secret(key_path, 64, &key, &key_len, err);
    if (r == 0 && key_len != sizeof(ret->key))
        r = err_set(err, -EINVAL, "%s: must hold 32 bytes", key_path);
    if (r < 0 || (r = fs_read_secret(reader_path, KIB(1), &reader, &reader_len, err)) < 0)
        return r == -ENOENT ? err_wrap(err, r, "--state: must be the state folder of an agent that has run") : r;
    memcpy(ret->key, key, sizeof(ret->key));
    sha256_hex(reader, reader_len, ret->reader);
    mem_wipe(key, key_len);
    mem_wipe(reader, reader_len);
    return read_operator(state, ret, err);
}

/* ---- the two runtimes ---- */

static int render_process(const struct workload_list *l, json_t *items, struct err *err)
{
    for (size_t i = 0; i < l->n; i++) {
        json_t *v = workload_to_json(&l->items[i]);
        if (!v)
            return err_set(err, -EINVAL, "workload %s holds text that is not UTF-8", l->items[i].name);
        json_array_append_new(items, v);
    }
    return 0;
}

static void add_once(json_t *items, json_t *object)
{
    json_t *v;
    size_t i;
    json_array_foreach(items, i, v)
    {
        if (json_equal(v, object))
            return;
    }
    json_array_append(items, object);
}

static int render_kubernetes(const struct cli *c, const struct desired *d, const struct own *own,
                             const struct workload_list *l, json_t *items, struct err *err)
{
    const struct workload_env params[] = {{"engine_library", "/usr/lib/ownhouse/libchdb.so"}, {"public_address", ""}};
    int64_t gib = 100;
    int r = cli_option_int(c, "volume-gib", 1, 65536, &gib, err);
    struct kube_place place = {
        .infrastructure = d->infrastructure,
        .namespace = option(c, "namespace", "ownhouse"),
        .account = "ownhouse-agent",
        .cluster_domain = "cluster.local",
        .listen_address = "0.0.0.0",
        .volume_bytes = gib << 30,
        .balancer = true,
        .ingress_replicas = 2,
        .params = params,
        .n_params = ARRAY_SIZE(params),
    };
    memcpy(place.key, own->key, sizeof(place.key));
    for (size_t i = 0; r == 0 && i < l->n; i++) {
        autoobjects struct kube_objects objects = {0};
        r = kube_render(&l->items[i], l, &place, &objects, err);
        for (size_t k = 0; r == 0 && k < objects.n; k++)
            add_once(items, objects.items[k].body);
    }
    return r;
}

static int place_of(const struct cli *c, const struct own *own, struct blueprint_env *ret, struct err *err)
{
    static const struct blueprint_certificate certificate = {"service", HIDDEN};
    const char *runtime = option(c, "runtime", "process"), *engine = option(c, "engine", "clickhouse");
    bool kubernetes = !strcmp(runtime, "kubernetes");
    if (!kubernetes && strcmp(runtime, "process"))
        return err_set(err, CLI_BAD_USAGE, "--runtime: must be kubernetes or process");
    if (strcmp(engine, "clickhouse") && strcmp(engine, "chdb"))
        return err_set(err, CLI_BAD_USAGE, "--engine: must be clickhouse or chdb");
    *ret = (struct blueprint_env){
        .engine = strcmp(engine, "chdb") ? BLUEPRINT_SERVER : BLUEPRINT_EMBEDDED,
        .certificates = &certificate,
        .n_certificates = 1,
        .names_change = kubernetes,
        .reader_sha256 = own->reader,
        .operator_sha256 = kubernetes ? own->operator: NULL,
        .operator_only_looks = true,
        .log_level = option(c, "log-level", NULL),
        .replication_key = kubernetes ? own->key : NULL,
        .clickhouse_image = kubernetes ? option(c, "clickhouse-image", "clickhouse/clickhouse-server") : NULL,
        .haproxy_image = kubernetes ? option(c, "haproxy-image", "ownhouse/haproxy") : NULL, };
    return 0;
}

static int render_run(struct cli *c, struct err *err)
{
    autodesired struct desired *d = NULL;
    autoworkloads struct workload_list list;
    autojson json_t *items = json_array();
    struct blueprint_env env;
    struct own own = {.reader = ZEROS, .operator= ZEROS };
    const char *state = cli_option(c, "state");
    bool kubernetes = !strcmp(option(c, "runtime", "process"), "kubernetes");
    workload_list_init(&list);
    int r = state ? read_own(state, &own, err) : 0;
    if (r < 0 || (r = place_of(c, &own, &env, err)) < 0 || (r = read_document(c->arguments[0], &d, err)) < 0 ||
        (r = blueprint_render(d, &env, &list, err)) < 0)
        return r;
    if (!cli_option(c, "secrets"))
        hide_files(&list);
    r = kubernetes ? render_kubernetes(c, d, &own, &list, items, err) : render_process(&list, items, err);
    if (r < 0)
        return r;
    json_t *answer = kubernetes ? json_pack("{s:s, s:s, s:O}", "apiVersion", "v1", "kind", "List", "items", items)
                                : json_incref(items);
    if (c->json) {
        c->answer = answer;
        return 0;
    }
    r = json_dumpf(answer, stdout, JSON_INDENT(2)) < 0 || putchar('\n') < 0 ? err_set(err, -EIO, "cannot write") : 0;
    json_decref(answer);
    return r;
}

const struct cli_command render_command = {
    .name = "render",
    .arguments = "FILE",
    .summary = "Shows what a service document makes, offline: objects of Kubernetes, or processes.",
    .details = "FILE holds a desired document as it is signed, or {\"services\": [...]}, or one service. Nothing is "
               "asked and nothing is changed. Contents of secret files are left out unless --secrets says otherwise.",
    .min_arguments = 1,
    .max_arguments = 1,
    .options = (const struct cli_option[]){{"runtime", 0, "NAME", "kubernetes or process (default)"},
                                           {"engine", 0, "NAME", "clickhouse (default) or chdb"},
                                           {"namespace", 0, "NAME", "the agent's namespace (ownhouse)"},
                                           {"volume-gib", 0, "N", "size of a service's disk (100)"},
                                           {"clickhouse-image", 0, "IMAGE", "image of the engine"},
                                           {"haproxy-image", 0, "IMAGE", "image of the ingress"},
                                           {"log-level", 0, "LEVEL", "of agent.conf (info)"},
                                           {"state", 0, "DIR", "an agent's state folder: its own keys, not zeros"},
                                           {"secrets", 0, NULL, "show the contents of secret files too"},
                                           {NULL}},
    .run = render_run,
};
