/* From an AWS account's rows to settings, graph and the clients of its roles. */
#include "base/fs.h"
#include "cloud/aws/policy.h"
#include "control/controller/provider.h"

#define CONFIG_MAX KIB(256)

int provider_aws_config(const struct control_config *c, json_t **ret, struct err *err)
{
    static const char *const known[] = {"endpoints", "credentialsFile", "profile", NULL};
    autofree char *text = NULL;
    size_t len;
    if (!c->aws_config || !*c->aws_config) {
        *ret = json_object();
        return 0;
    }
    int r = fs_read(c->aws_config, CONFIG_MAX, &text, &len, err);
    if (r < 0)
        return err_set(err, r, "aws_config: cannot read %s", c->aws_config);
    r = js_parse(text, len, CONFIG_MAX, ret, err);
    if (r == 0 && (r = js_only(*ret, c->aws_config, known, err)) < 0) {
        json_decref(*ret);
        *ret = NULL;
    }
    return r;
}

static void own_keys(const json_t *cloud_config, const char *region, struct aws_source *ret)
{
    const char *file = json_string_value(json_object_get(cloud_config, "credentialsFile"));
    const char *profile = json_string_value(json_object_get(cloud_config, "profile"));
    aws_source_environment(ret);
    ret->region = region;
    if (file)
        ret->credentials_file = file;
    if (profile)
        ret->profile = profile;
}

int provider_aws_client(const json_t *account, const json_t *cloud_config, enum aws_phase phase, const char *region,
                        const char *session, const char *policy, const struct clock *clock, const atomic_bool *cancel,
                        struct aws_client **ret, struct err *err)
{
    const json_t *roles = json_object_get(account, "roles");
    const char *arn = json_string_value(json_object_get(roles, aws_phase_names[phase]));
    struct aws_config k = {.region = region,
                           .endpoints = json_object_get(cloud_config, "endpoints"),
                           .role_arn = arn,
                           .external_id = json_string_value(json_object_get(account, "externalId")),
                           .session_name = session,
                           .session_policy = policy,
                           .clock = clock,
                           .cancel = cancel};
    if (!arn)
        return err_set(err, -EACCES, "account.config.roles.%s: this role is detached; attach it to go on",
                       aws_phase_names[phase]);
    own_keys(cloud_config, region, &k.source);
    *ret = aws_client_new(&k);
    return 0;
}

struct aws_client *provider_aws_own_client(const json_t *cloud_config, const char *region, const struct clock *clock,
                                           const atomic_bool *cancel)
{
    struct aws_config k = {
        .region = region, .endpoints = json_object_get(cloud_config, "endpoints"), .clock = clock, .cancel = cancel};
    own_keys(cloud_config, region, &k.source);
    return aws_client_new(&k);
}

/* ["a","b","c"] as "abc". */
static const char *zones_of(const struct infrastructure_row *row, struct arena *arena)
{
    autojson json_t *list = NULL;
    char text[AWS_ZONES + 1] = "";
    size_t i, n = 0;
    json_t *v;
    if (js_parse(row->zones, strlen(row->zones), KIB(4), &list, NULL) < 0 || !json_array_size(list))
        return "abc";
    json_array_foreach(list, i, v)
    {
        if (n < AWS_ZONES && json_string_length(v) == 1)
            text[n++] = *json_string_value(v);
    }
    return arena_strdup(arena, text);
}

int provider_aws_open(const struct control_config *c, const struct infrastructure_row *row, struct arena *arena,
                      struct provider *p, struct err *err)
{
    autojson json_t *config = NULL;
    int r = js_parse(row->account_config, strlen(row->account_config), MIB(1), &config, err);
    if (r < 0)
        return err_wrap(err, r, "account %s", row->account_name);
    p->remote = true;
    p->account = aws_account_complete(row->account_name, config);
    p->infrastructure = json_pack("{s:s, s:s, s:s, s:s, s:s, s:s}", "id", row->id, "name", row->name, "region",
                                  row->region, "cidr", row->cidr, "domain", row->domain, "zones", zones_of(row, arena));
    r = provider_aws_config(c, &p->cloud_config, err);
    if (r == 0)
        r = aws_settings_read(p->account, p->infrastructure, &p->settings, err);
    p->settings.removal = !strcmp(row->want, "absent");
    if (r == 0)
        r = cloud_aws_graph_add(&p->settings, p->graph, err);
    if (r < 0)
        return r;
    p->aws.infrastructure = row->id;
    p->aws.name = row->name;
    p->aws.account = p->settings.account;
    p->aws.region = row->region;
    return provider_aws_client(p->account, p->cloud_config, AWS_INSPECT, row->region, "ownhouse-inspect", NULL,
                               p->clock, p->cancel, &p->aws.clients[AWS_INSPECT], err);
}

bool provider_aws_data_plane_here(const struct provider *p)
{
    const char *where = json_string_value(json_object_get(p->account, "dataPlane"));
    return where && !strcmp(where, "local");
}

int provider_arm(struct provider *p, const char *digest, const json_t *document, struct err *err)
{
    for (enum aws_phase i = AWS_PROVISION; p->account && i < AWS_PHASES; i++) {
        autofree char *policy = NULL;
        struct err why = ERR_INIT;
        int r = aws_session_policy(&p->settings, document, i, &policy, err);
        if (r < 0)
            return r;
        /* A role that this plan has no use for may be detached. */
        if (policy && (r = provider_aws_client(p->account, p->cloud_config, i, p->aws.region, digest, policy, p->clock,
                                               p->cancel, &p->aws.clients[i], &why)) < 0)
            return err_set(err, r, "%s", why.message);
    }
    return 0;
}

void provider_aws_close(struct provider *p)
{
    for (int i = 0; i < AWS_PHASES; i++)
        aws_client_free(p->aws.clients[i]);
    json_decref(p->account);
    json_decref(p->infrastructure);
    json_decref(p->cloud_config);
}
