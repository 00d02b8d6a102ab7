/* local-infra: plans, applies and removes one infrastructure of the local cloud, with state and journal in a file, so
 * that scenarios can be rough with it without a control plane.
 *
 * usage: local-infra plan|apply|remove|purge|preflight FOLDER     (reads FOLDER/env.json, keeps FOLDER/state.json) */
#include "base/fs.h"
#include "base/keys.h"
#include "base/mem.h"
#include "cloud/local/local.h"

struct keeper {
    char *path;
    json_t *all; /* {"records":{KEY:RECORD},"journal":{TOKEN:PHASE}} */
    struct plan_state state;
    struct plan_journal journal;
};

static int save(struct keeper *k, struct err *err)
{
    autofree char *text = js_text(k->all);
    return fs_write_atomic(k->path, text, strlen(text), 0600, err);
}

static json_t *records(struct plan_state *s)
{
    return json_object_get(CONTAINER_OF(s, struct keeper, state)->all, "records");
}

static int state_load(struct plan_state *s, const char *type, const char *name, json_t **ret, struct err *err)
{
    autofree char *key = mem_printf("%s.%s", type, name);
    (void)err;
    *ret = json_incref(json_object_get(records(s), key));
    return 0;
}

static int state_save(struct plan_state *s, const char *type, const char *name, const json_t *record, struct err *err)
{
    autofree char *key = mem_printf("%s.%s", type, name);
    json_object_set_new(records(s), key, json_deep_copy(record));
    return save(CONTAINER_OF(s, struct keeper, state), err);
}

static int state_forget(struct plan_state *s, const char *type, const char *name, struct err *err)
{
    autofree char *key = mem_printf("%s.%s", type, name);
    json_object_del(records(s), key);
    return save(CONTAINER_OF(s, struct keeper, state), err);
}

static int state_list(struct plan_state *s, json_t **ret, struct err *err)
{
    const char *key;
    json_t *v;
    (void)err;
    *ret = json_array();
    json_object_foreach(records(s), key, v)
    {
        const char *dot = strchr(key, '.');
        json_array_append_new(
            *ret, json_pack("{s:s%, s:s, s:O}", "type", key, (int)(dot - key), "name", dot + 1, "record", v));
    }
    return 0;
}

static int journal_phase(struct plan_journal *j, const struct plan_step *s, enum plan_phase *ret, struct err *err)
{
    const json_t *all = CONTAINER_OF(j, struct keeper, journal)->all;
    (void)err;
    *ret = (enum plan_phase)json_integer_value(json_object_get(json_object_get(all, "journal"), s->token));
    return 0;
}

static int journal_write(struct plan_journal *j, const struct plan_step *s, enum plan_phase phase, struct err *err)
{
    struct keeper *k = CONTAINER_OF(j, struct keeper, journal);
    json_object_set_new(json_object_get(k->all, "journal"), s->token, json_integer(phase));
    return save(k, err);
}

static int journal_begin(struct plan_journal *j, const struct plan_step *s, struct err *err)
{
    return journal_write(j, s, PLAN_PHASE_BEGIN, err);
}

static int journal_done(struct plan_journal *j, const struct plan_step *s, const json_t *attributes, struct err *err)
{
    (void)attributes;
    return journal_write(j, s, PLAN_PHASE_DONE, err);
}

static int journal_failed(struct plan_journal *j, const struct plan_step *s, const struct err *why, struct err *err)
{
    (void)why;
    return journal_write(j, s, PLAN_PHASE_FAILED, err);
}

static int load(const char *folder, const char *name, json_t **ret, struct err *err)
{
    autofree char *path = mem_printf("%s/%s", folder, name);
    autofree char *text = NULL;
    size_t len;
    int r = fs_read(path, MIB(4), &text, &len, err);
    return r < 0 ? r : js_parse(text, len, MIB(4), ret, err);
}

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
    struct keeper k = {.state = {state_load, state_save, state_forget, state_list},
                       .journal = {journal_phase, journal_begin, journal_done, journal_failed}};
    const char *outbound[65] = {NULL};
    autojson json_t *v = NULL;
    if (argc != 3) {
        fprintf(stderr, "usage: local-infra plan|apply|remove|purge|preflight FOLDER\n");
        return 2;
    }
    int r = load(argv[2], "env.json", &v, &err);
    k.path = mem_printf("%s/state.json", argv[2]);
    if (r == 0 && fs_exists(k.path))
        r = load(argv[2], "state.json", &k.all, &err);
    else
        k.all = json_pack("{s:{}, s:{}}", "records", "journal");
    if (r == 0) {
        struct local_env e = env_of(v, outbound);
        r = run(&k, &e, argv[1], &err);
    }
    if (r < 0)
        fprintf(stderr, "local-infra: %s\n", err.message);
    json_decref(k.all);
    free(k.path);
    return r < 0 ? 1 : 0;
}
