/* Turns rows and configuration into a cloud's desired graph. */
#include "control/controller/provider.h"

#include "base/buf.h"
#include "base/clock.h"
#include "base/keys.h"
#include "cloud/cloud.h"

#define TOKEN_LIFE_MS (3600 * 1000LL)

int infrastructure_read(struct store *s, const char *id, struct arena *arena, struct infrastructure_row *ret,
                        struct err *err)
{
    autorows struct store_rows *rows = NULL;
    int r = store_query(
        s,
        "SELECT i.id, i.organization_id, a.name, a.config, i.name, a.provider, i.cidr, i.domain, i.state, i.want, "
        "i.delete_data, i.region, i.zones FROM infrastructure i JOIN account a ON a.id = i.account_id WHERE i.id = $1",
        STORE_ARGS(store_text(id)), &rows, err);
    if (r == 0)
        r = store_next(rows, err);
    if (r <= 0)
        return r < 0 ? r : err_set(err, -ENOENT, "infrastructure %s does not exist", id);
    const char **fields[] = {&ret->id,           &ret->organization_id,
                             &ret->account_name, &ret->account_config,
                             &ret->name,         &ret->provider,
                             &ret->cidr,         &ret->domain,
                             &ret->state,        &ret->want};
    for (size_t i = 0; i < ARRAY_SIZE(fields); i++)
        *fields[i] = arena_strdup(arena, store_column_text(rows, (int)i));
    ret->delete_data = store_column_int(rows, (int)ARRAY_SIZE(fields)) != 0;
    ret->region = arena_strdup(arena, store_column_text(rows, (int)ARRAY_SIZE(fields) + 1));
    ret->zones = arena_strdup(arena, store_column_text(rows, (int)ARRAY_SIZE(fields) + 2));
    return 0;
}

/* A single-use enrolment token: the store keeps its hash, the machine the text. */
static int mint_token(void *data, char **ret, struct err *err)
{
    struct provider *p = data;
    autostore struct store *s = NULL;
    unsigned char raw[32];
    char text[65], hash[65];
    int64_t now = clock_wall_ms(&clock_system);
    int r = store_open(p->database, STORE_EXISTING, &s, err);
    if (r < 0)
        return r;
    random_bytes(raw, sizeof(raw));
    hex_encode(raw, sizeof(raw), text);
    sha256_hex(text, 64, hash);
    r = store_exec(
        s, "INSERT INTO enrolment_token (hash, infrastructure_id, created_at, expires_at) VALUES ($1, $2, $3, $4)",
        STORE_ARGS(store_text(hash), store_text(p->infrastructure_id), store_int(now), store_int(now + TOKEN_LIFE_MS)),
        NULL, err);
    if (r == 0)
        *ret = mem_strdup(text);
    mem_wipe(raw, sizeof(raw));
    mem_wipe(text, sizeof(text));
    return r;
}

static int ports(const json_t *config, struct local_env *e, struct err *err)
{
    int64_t https = 8444, native = 9444, base = 8500, count = 100;
    int r = js_int_opt(config, "account.config", "httpsPort", 1, 65535, &https, err);
    if (r == 0)
        r = js_int_opt(config, "account.config", "nativePort", 1, 65535, &native, err);
    if (r == 0)
        r = js_int_opt(config, "account.config", "servicePortBase", 1, 65535, &base, err);
    if (r == 0)
        r = js_int_opt(config, "account.config", "servicePortCount", 0, 1024, &count, err);
    e->https_port = (int)https;
    e->native_port = (int)native;
    e->service_port_base = (int)base;
    e->service_port_count = (int)count;
    return r;
}

static int outbound(const json_t *config, struct arena *arena, struct local_env *e, struct err *err)
{
    json_t *list;
    if (!json_object_get(config, "outbound"))
        return 0;
    int r = js_array(config, "account.config", "outbound", 64, &list, err);
    if (r < 0)
        return r;
    const char **out = arena_alloc(arena, (json_array_size(list) + 1) * sizeof(*out));
    for (size_t i = 0; i < json_array_size(list); i++) {
        const char *text = json_string_value(json_array_get(list, i));
        if (!text)
            return err_set(err, -EINVAL, "account.config.outbound[%zu]: must be a string", i);
        out[i] = arena_strdup(arena, text);
    }
    e->outbound = out;
    return 0;
}

/* A bucket elsewhere for the backups, and the file of keys to it on the data plane's machine. */
static int backups(const json_t *config, struct arena *arena, struct local_env *e, struct err *err)
{
    static const char *const known[] = {"s3Url", "s3Region", "s3KeysFile", NULL};
    static const char at[] = "account.config.backups";
    const char *url, *region = "us-east-1", *keys;
    json_t *v;
    int r;
    if (!json_object_get(config, "backups"))
        return 0;
    if ((r = js_object(config, "account.config", "backups", &v, err)) < 0 || (r = js_only(v, at, known, err)) < 0 ||
        (r = js_string(v, at, "s3Url", 511, &url, err)) < 0 ||
        (r = js_string_opt(v, at, "s3Region", 63, &region, err)) < 0 ||
        (r = js_string(v, at, "s3KeysFile", 3000, &keys, err)) < 0)
        return r;
    e->backup_s3_url = arena_strdup(arena, url);
    e->backup_s3_region = arena_strdup(arena, region);
    e->backup_s3_keys = arena_strdup(arena, keys);
    return 0;
}

static int local_env(const struct control_config *c, const struct infrastructure_row *row, struct arena *arena,
                     struct local_env *e, struct err *err)
{
    autojson json_t *config = NULL;
    const char *isolation = "auto";
    const char *account_dir = arena_printf(arena, "%s/%s", c->accounts_dir, row->account_name);
    int r = js_parse(row->account_config, strlen(row->account_config), MIB(1), &config, err);
    if (r < 0)
        return err_wrap(err, r, "account %s", row->account_name);
    if (!*c->accounts_dir || !*c->agent_program)
        return err_set(err, -EINVAL, "control.conf sets no accounts_dir or agent_program: the local cloud is off here");
    *e = (struct local_env){
        .infrastructure = row->id,
        .name = row->name,
        .domain = row->domain,
        .account_dir = account_dir,
        .cidr = row->cidr,
        .control_state_dir = c->state_dir,
        .control_address = arena_printf(arena, "%s:%lld", c->listen_address, (long long)c->listen_port),
        .bundle = arena_printf(arena, "%s/customer/bundle.json", account_dir),
        .agent_program = c->agent_program,
        .haproxy_program = c->haproxy_program,
        .engine_program = c->engine_program,
        .engine_library = c->engine_library,
        .clickhouse_program = c->clickhouse_program,
        .knot_program = c->knot_program,
        .log_level = c->log_level,
    };
    r = ports(config, e, err);
    if (r == 0)
        r = outbound(config, arena, e, err);
    if (r == 0)
        r = backups(config, arena, e, err);
    if (r == 0)
        r = js_string_opt(config, "account.config", "isolation", 32, &isolation, err);
    if (r == 0)
        e->isolated = strcmp(isolation, "none") && cloud_local_can_isolate(NULL, 0);
    return r;
}

static int open_local(const struct control_config *c, const struct infrastructure_row *row, struct arena *arena,
                      struct provider *p, struct err *err)
{
    int r = local_env(c, row, arena, &p->local, err);
    if (r == 0)
        r = cloud_local_check(&p->local, err);
    if (r == 0)
        r = cloud_local_graph_add(&p->local, p->graph, err);
    p->has_local = r == 0;
    p->local.mint_token = mint_token;
    p->local.mint_data = p;
    return r;
}

int provider_open(const struct control_config *c, const struct infrastructure_row *row, struct arena *arena,
                  const struct clock *clock, const atomic_bool *cancel, struct provider *ret, struct err *err)
{
    bool aws = !strcmp(row->provider, "aws");
    *ret = (struct provider){.types = cloud_types(row->provider, err), .clock = clock, .cancel = cancel};
    if (!ret->types)
        return -ENOTSUP;
    ret->graph = plan_graph_new();
    ret->database = control_database(c);
    ret->infrastructure_id = row->id;
    ret->cloud = &ret->local;
    int r = aws ? provider_aws_open(c, row, arena, ret, err) : 0;
    if (r == 0 && (!aws || provider_aws_data_plane_here(ret)))
        r = open_local(c, row, arena, ret, err);
    if (r == 0 && aws) {
        ret->aws.local = ret->local;
        ret->aws.local.domain = row->domain;
        ret->cloud = &ret->aws;
    }
    if (r == 0)
        r = plan_graph_check(ret->graph, ret->types, err);
    if (r < 0)
        provider_close(ret);
    return r;
}

void provider_close(struct provider *p)
{
    provider_aws_close(p);
    plan_graph_free(p->graph);
    free(p->database);
    *p = (struct provider){0};
}
