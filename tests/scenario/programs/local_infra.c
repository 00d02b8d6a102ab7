/* local-infra: plans, applies and removes one infrastructure of the local cloud, with state and journal in a file, so
 * that scenarios can be rough with it without a control plane.
 *
 * usage: local-infra plan|apply|remove|purge|preflight FOLDER     (reads FOLDER/env.json, keeps FOLDER/state.json) */
#include "base/keys.h"
#include "cloud/local/local.h"
#include "keeper.h"

static const char *text(const json_t *v, const char *key)
{
    const char *s = json_string_value(json_object_get(v, key));
    return s ? s : "";
}

static int number(const json_t *v, const char *key)
{
    return (int)json_integer_value(json_object_get(v, key));
}

static int mint(void *data, char **ret, struct err *err)
{
    unsigned char raw[32];
    char hex[65];
    (void)data;
    (void)err;
    random_bytes(raw, sizeof(raw));
    hex_encode(raw, sizeof(raw), hex);
    *ret = mem_strdup(hex);
    return 0;
}

static struct local_env env_of(const json_t *v, const char **outbound)
{
    const json_t *list = json_object_get(v, "outbound");
    for (size_t i = 0; i < json_array_size(list); i++)
        outbound[i] = json_string_value(json_array_get(list, i));
    return (struct local_env){.infrastructure = text(v, "infrastructure"),
                              .name = text(v, "name"),
                              .domain = text(v, "domain"),
                              .account_dir = text(v, "account_dir"),
                              .cidr = text(v, "cidr"),
                              .isolated = json_is_true(json_object_get(v, "isolated")),
                              .https_port = number(v, "https_port"),
                              .native_port = number(v, "native_port"),
                              .service_port_base = number(v, "service_port_base"),
                              .service_port_count = number(v, "service_port_count"),
                              .control_state_dir = text(v, "control_state_dir"),
                              .control_address = text(v, "control_address"),
                              .bundle = text(v, "bundle"),
                              .agent_program = text(v, "agent_program"),
                              .haproxy_program = text(v, "haproxy_program"),
                              .engine_program = "",
                              .engine_library = "",
                              .clickhouse_program = text(v, "clickhouse_program"),
                              .knot_program = "",
                              .log_level = *text(v, "log_level") ? text(v, "log_level") : "info",
                              .outbound = outbound,
                              .mint_token = mint};
}

static int run(struct keeper *k, const struct local_env *e, const char *verb, struct err *err)
{
    struct plan_context c = {.infrastructure = e->infrastructure,
                             .types = cloud_local_types,
                             .provider = (void *)(uintptr_t)e,
                             .state = &k->state,
                             .clock = &clock_system,
                             .retry_total_ms = 20000};
    bool purge = !strcmp(verb, "purge"), remove = purge || !strcmp(verb, "remove");
    char digest[65];
    autograph struct plan_graph *g = NULL;
    autojson json_t *doc = NULL, *result OH_CLEANUP(js_decrefp) = NULL;
    if (!strcmp(verb, "preflight"))
        return cloud_local_preflight(e, err);
    int r = cloud_local_graph(e, &g, err);
    if (r == 0)
        r = plan_make(&c, g, remove ? PLAN_REMOVE : PLAN_APPLY, purge, &doc, err);
    if (r == 0)
        r = plan_digest(doc, digest, err);
    if (r == 0 && strcmp(verb, "plan"))
        r = plan_apply(&c, g, doc, digest, &k->journal, &result, err);
    autofree char *said = doc ? js_text(strcmp(verb, "plan") ? result : doc) : mem_strdup("null");
    printf("%s\n", said);
    return r;
}

int main(int argc, char **argv)
{
    struct err err = ERR_INIT;
    struct keeper k = {0};
    const char *outbound[65] = {NULL};
    autojson json_t *v = NULL;
    if (argc != 3) {
        fprintf(stderr, "usage: local-infra plan|apply|remove|purge|preflight FOLDER\n");
        return 2;
    }
    int r = keeper_load(argv[2], "env.json", &v, &err);
    if (r == 0)
        r = keeper_open(&k, argv[2], &err);
    if (r == 0) {
        struct local_env e = env_of(v, outbound);
        r = run(&k, &e, argv[1], &err);
    }
    if (r < 0)
        fprintf(stderr, "local-infra: %s\n", err.message);
    keeper_close(&k);
    return r < 0 ? 1 : 0;
}
