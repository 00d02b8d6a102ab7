/* Reads an account's and an infrastructure's configuration into what the graph needs. */
#include "base/mem.h"
#include "cloud/aws/aws.h"
#include "cloud/aws/cidr.h"

static void fill(json_t *object, const char *key, json_t *value)
{
    if (json_object_get(object, key))
        json_decref(value);
    else
        json_object_set_new(object, key, value);
}

static json_t *child(json_t *object, const char *key)
{
    if (!json_is_object(json_object_get(object, key)))
        json_object_set_new(object, key, json_object());
    return json_object_get(object, key);
}

json_t *aws_account_complete(const char *name, const json_t *config)
{
    json_t *all = json_deep_copy(config), *roles = child(all, "roles"), *artefact = child(all, "artefact");
    const char *account = json_string_value(json_object_get(all, "accountId"));
    const char *path = json_string_value(json_object_get(all, "rolePath"));
    autofree char *iam = mem_printf("arn:aws:iam::%s", account ? account : "");
    path = path ? path : "/ownhouse/";
    for (int i = 0; i < AWS_PHASES; i++)
        fill(roles, aws_phase_names[i], json_sprintf("%s:role%sownhouse-%s-%s", iam, path, name, aws_phase_names[i]));
    fill(artefact, "dataRole", json_sprintf("%s:role%sownhouse-%s-data", iam, path, name));
    fill(artefact, "bootstrapRole", json_sprintf("%s:role%sownhouse-%s-bootstrap", iam, path, name));
    fill(artefact, "launchTemplate", json_sprintf("ownhouse-%s-bootstrap", name));
    fill(all, "boundary", json_sprintf("%s:policy%sownhouse-%s-boundary", iam, path, name));
    return all;
}

static int text(const json_t *v, const char *path, const char *key, const char **ret, struct err *err)
{
    return js_string_opt(v, path, key, 512, ret, err);
}

static int flag(const json_t *v, const char *key, bool *ret, struct err *err)
{
    return js_bool_opt(v, "account.config.features", key, ret, err);
}

/* What preflight holds the range against. */
static int check_peers(const json_t *account, struct err *err)
{
    json_t *list, *v;
    struct cidr c;
    size_t i;
    if (!json_object_get(account, "peerRanges"))
        return 0;
    int r = js_array(account, "account.config", "peerRanges", 64, &list, err);
    json_array_foreach(r == 0 ? list : NULL, i, v)
    {
        if (!json_is_string(v))
            return err_set(err, -EINVAL, "account.config.peerRanges[%zu]: must be a range such as 10.0.0.0/16", i);
        if ((r = cidr_parse(json_string_value(v), &c, err)) < 0)
            return err_wrap(err, r, "account.config.peerRanges[%zu]", i);
    }
    return r;
}

static int read_features(const json_t *account, struct aws_settings *s, struct err *err)
{
    const json_t *f = json_object_get(account, "features");
    static const char *const known[] = {"cluster",   "addons",     "podIdentities",      "accessEntry",
                                        "bootstrap", "hostedZone", "interfaceEndpoints", "flowLogs",
                                        NULL};
    bool *const flags[] = {&s->cluster,   &s->addons,      &s->pod_identities,      &s->access_entry,
                           &s->bootstrap, &s->hosted_zone, &s->interface_endpoints, &s->flow_logs};
    int r = f ? js_only(f, "account.config.features", known, err) : 0;
    for (size_t i = 0; i < ARRAY_SIZE(flags) && r == 0; i++) {
        *flags[i] = i < 5; /* the cluster and what belongs to it are on unless turned off */
        r = f ? flag(f, known[i], flags[i], err) : 0;
    }
    return r;
}

static int read_network(const json_t *account, struct aws_settings *s, struct err *err)
{
    const json_t *network = json_object_get(account, "network");
    json_t *subnets;
    if (!network)
        return 0;
    int r = js_string(network, "account.config.network", "vpc", 64, &s->vpc, err);
    if (r == 0)
        r = js_array(network, "account.config.network", "privateSubnets", AWS_ZONES, &subnets, err);
    if (r == 0 && json_array_size(subnets) != AWS_ZONES)
        r = err_set(err, -EINVAL, "account.config.network.privateSubnets: must name three subnets, one a zone");
    for (size_t i = 0; i < AWS_ZONES && r == 0; i++) {
        s->private_subnets[i] = json_string_value(json_array_get(subnets, i));
        if (!s->private_subnets[i])
            r = err_set(err, -EINVAL, "account.config.network.privateSubnets[%zu]: must be a string", i);
    }
    return r;
}

static bool digits(const char *text_, size_t n)
{
    return strlen(text_) == n && strspn(text_, "0123456789") == n;
}

static int read_peering(const json_t *account, struct aws_settings *s, struct err *err)
{
    static const char *const path = "account.config.peering";
    const json_t *v = json_object_get(account, "peering");
    struct cidr ours, theirs;
    if (!v)
        return 0;
    s->peer_account = s->account;
    s->peer_region = s->region;
    int r = js_string(v, path, "vpcId", 64, &s->peer_vpc, err);
    if (r == 0)
        r = js_string(v, path, "cidr", CIDR_TEXT, &s->peer_cidr, err);
    if (r == 0)
        r = text(v, path, "accountId", &s->peer_account, err);
    if (r == 0)
        r = text(v, path, "region", &s->peer_region, err);
    if (r == 0)
        r = js_bool_opt(v, path, "dns", &s->peer_dns, err);
    if (r == 0 && s->vpc)
        r = err_set(err, -EINVAL, "%s: your own network is not changed; join it to others yourself", path);
    if (r == 0 && !digits(s->peer_account, 12))
        r = err_set(err, -EINVAL, "%s.accountId: must be the 12 digits of an AWS account", path);
    if (r == 0)
        r = cidr_parse(s->peer_cidr, &theirs, err);
    if (r == 0)
        r = cidr_parse(s->cidr, &ours, err);
    if (r == 0 && cidr_overlap(&ours, &theirs))
        r = err_set(err, -EINVAL, "%s.cidr: %s overlaps the infrastructure's %s; AWS joins no such networks", path,
                    s->peer_cidr, s->cidr);
    return r;
}

static int read_link(const json_t *account, struct aws_settings *s, struct err *err)
{
    static const char *const path = "account.config.privateLink";
    const json_t *v = json_object_get(account, "privateLink");
    json_t *list = NULL, *one;
    size_t i;
    if (!v)
        return 0;
    s->link_acceptance = true;
    int r = js_string(v, path, "loadBalancer", 512, &s->load_balancer, err);
    if (r == 0)
        r = js_bool_opt(v, path, "acceptance", &s->link_acceptance, err);
    if (r == 0 && json_object_get(v, "principals"))
        r = js_array(v, path, "principals", 100, &list, err);
    json_array_foreach(list, i, one)
    {
        if (r == 0 && (!json_is_string(one) || strncmp(json_string_value(one), "arn:", 4)))
            r = err_set(err, -EINVAL, "%s.principals[%zu]: must be the ARN of an account, role or user", path, i);
    }
    s->link_principals = list;
    return r;
}

static int check(const struct aws_settings *s, struct err *err)
{
    struct cidr range;
    if (!digits(s->account, 12))
        return err_set(err, -EINVAL, "account.config.accountId: must be the 12 digits of the AWS account");
    if (strlen(s->zones) != AWS_ZONES || strspn(s->zones, "abcdef") != AWS_ZONES)
        return err_set(err, -EINVAL, "availabilityZoneSuffixes: must be three letters of zones, such as a, b, c");
    if (s->role_path[0] != '/' || s->role_path[strlen(s->role_path) - 1] != '/')
        return err_set(err, -EINVAL, "account.config.rolePath: must begin and end with /");
    if (s->cluster && s->bootstrap && (!*s->launch_template || !*s->bootstrap_role))
        return err_set(err, -EINVAL,
                       "account.config.artefact: the bootstrap needs bootstrapRole and launchTemplate, which the "
                       "customer's artefact gives out");
    if (s->cluster && s->access_entry && !*s->bootstrap_role)
        return err_set(err, -EINVAL, "account.config.artefact.bootstrapRole: must be set, or turn accessEntry off");
    if (s->cluster && s->pod_identities && !*s->data_role)
        return err_set(err, -EINVAL, "account.config.artefact.dataRole: must be set, or turn podIdentities off");
    if (s->flow_logs && !s->vpc && !*s->flow_log_role && (*s->cluster_role || *s->node_role))
        return err_set(err, -EINVAL,
                       "account.config.identities.flowLogRole: must be set where identities are your own, or turn "
                       "flowLogs off");
    int r = cidr_parse(s->cidr, &range, err);
    return r < 0 || s->vpc ? r : cidr_check(&range, NULL, err);
}

int aws_settings_read(const json_t *account, const json_t *infrastructure, struct aws_settings *ret, struct err *err)
{
    const json_t *artefact = json_object_get(account, "artefact"), *own = json_object_get(account, "identities");
    const char *nat = "per-zone";
    *ret = (struct aws_settings){.role_path = "/ownhouse/",
                                 .kubernetes = "1.33",
                                 .zones = "abc",
                                 .kms_key = "",
                                 .boundary = "",
                                 .cluster_role = "",
                                 .node_role = "",
                                 .flow_log_role = "",
                                 .data_role = "",
                                 .bootstrap_role = "",
                                 .launch_template = "",
                                 .domain = ""};
    const struct {
        const json_t *from;
        const char *path, *key;
        const char **to;
        bool required;
    } texts[] = {
        {account, "account.config", "accountId", &ret->account, true},
        {account, "account.config", "rolePath", &ret->role_path, false},
        {account, "account.config", "boundary", &ret->boundary, false},
        {account, "account.config", "kmsKey", &ret->kms_key, false},
        {account, "account.config", "kubernetesVersion", &ret->kubernetes, false},
        {account, "account.config", "nat", &nat, false},
        {artefact, "account.config.artefact", "dataRole", &ret->data_role, false},
        {artefact, "account.config.artefact", "bootstrapRole", &ret->bootstrap_role, false},
        {artefact, "account.config.artefact", "launchTemplate", &ret->launch_template, false},
        {own, "account.config.identities", "clusterRole", &ret->cluster_role, false},
        {own, "account.config.identities", "nodeRole", &ret->node_role, false},
        {own, "account.config.identities", "flowLogRole", &ret->flow_log_role, false},
        {infrastructure, "infrastructure", "id", &ret->infrastructure, true},
        {infrastructure, "infrastructure", "name", &ret->name, true},
        {infrastructure, "infrastructure", "region", &ret->region, true},
        {infrastructure, "infrastructure", "cidr", &ret->cidr, true},
        {infrastructure, "infrastructure", "domain", &ret->domain, false},
        {infrastructure, "infrastructure", "zones", &ret->zones, false},
    };
    int r = 0;
    for (size_t i = 0; i < ARRAY_SIZE(texts) && r == 0; i++)
        r = !texts[i].from      ? 0
            : texts[i].required ? js_string(texts[i].from, texts[i].path, texts[i].key, 512, texts[i].to, err)
                                : text(texts[i].from, texts[i].path, texts[i].key, texts[i].to, err);
    if (r == 0 && strcmp(nat, "per-zone") && strcmp(nat, "single"))
        r = err_set(err, -EINVAL, "account.config.nat: must be per-zone or single");
    ret->single_nat = !strcmp(nat, "single");
    if (r == 0)
        r = read_features(account, ret, err);
    if (r == 0)
        r = check_peers(account, err);
    if (r == 0)
        r = read_network(account, ret, err);
    if (r == 0)
        r = read_peering(account, ret, err);
    if (r == 0)
        r = read_link(account, ret, err);
    return r < 0 ? r : check(ret, err);
}
