/* What an infrastructure would take of an account, against its quotas. */
#include "base/mem.h"
#include "cloud/aws/inspect.h"
#include "cloud/aws/xml.h"

/* Service Quotas' families of running on-demand instances. `letters`: what types of it begin with, before the number.
 */
static const struct {
    const char *name, *letters, *code;
    int headroom;
} families[] = {
    {"standard", " a c d h i im is m r t z ", "L-1216C47A", 100},
    {"G and VT", " g gr vt ", "L-DB2E81BA", 0},
    {"P", " p ", "L-417A185B", 0},
    {"X", " x ", "L-7295265B", 0},
    {"F", " f ", "L-74FC7D96", 0},
};

struct sheet {
    const struct aws_inspect *i;
    const struct plan_graph *g;
    struct aws_client *c;
    json_t *rows;
};

static int64_t number(const json_t *v, const char *key, int64_t otherwise)
{
    const json_t *n = json_object_get(v, key);
    return json_is_integer(n) ? json_integer_value(n) : otherwise;
}

int64_t aws_planned_replicas(const json_t *account)
{
    return number(account, "plannedReplicas", 3);
}

/* "m7g.4xlarge" 16, "c7a.large" 2, "c7a.medium" 1 (T's smallest have 2, which no node group of ours takes). */
int aws_instance_vcpus(const char *type)
{
    const char *size = strchr(type, '.');
    char *end;
    if (!size)
        return 0;
    size++;
    if (!strcmp(size, "medium") || !strcmp(size, "small"))
        return 1;
    if (!strcmp(size, "large"))
        return 2;
    if (!strcmp(size, "xlarge"))
        return 4;
    long times = strtol(size, &end, 10);
    return end > size && times > 0 && times <= 1000 && !strcmp(end, "xlarge") ? (int)times * 4 : 0;
}

int aws_instance_family(const char *type)
{
    size_t n = strcspn(type, "0123456789.");
    char word[16];
    if (!n || n > sizeof(word) - 3 || type[n] == '.' || !type[n])
        return -1;
    snprintf(word, sizeof(word), " %.*s ", (int)n, type);
    for (size_t k = 0; k < ARRAY_SIZE(families); k++)
        if (strstr(families[k].letters, word))
            return (int)k;
    return -1;
}

static int ask(struct sheet *s, const char *service, const char *code, int *ret, struct err *err)
{
    autojson json_t *params = json_pack("{s:s, s:s}", "ServiceCode", service, "QuotaCode", code), *answer = NULL;
    struct aws_request q = {.service = "servicequotas", .action = "GetServiceQuota", .params = params};
    int r = aws_call(s->c, &q, &answer, NULL, err);
    const json_t *value = json_object_get(json_object_get(answer, "Quota"), "Value");
    if (r == 0 && !json_is_number(value))
        r = err_set(err, -EPROTO, "servicequotas GetServiceQuota: no value for %s", code);
    if (r == 0)
        *ret = (int)MIN(json_number_value(value), 1e9);
    return r;
}

/* `used` < 0: how much of it is taken is not known. */
static void judge(struct sheet *s, const char *check, int limit, int used, int64_t needed, const char *why)
{
    static const char *const more = "Ask AWS for more before you begin.";
    autofree char *found = used < 0 ? mem_printf("%d in all, of which an unknown number is used", limit)
                                    : mem_printf("%d of %d used", used, limit),
                  *want = mem_printf("%lld free%s", (long long)needed, why);
    if (limit - MAX(used, 0) < needed)
        aws_inspect_row(s->rows, "wrong", check, found, want, more);
    else if (used < 0)
        aws_inspect_row(s->rows, "unknown", check, found, want, "Look at it in the Service Quotas console.");
    else
        aws_inspect_row(s->rows, "ok", check, found, want, "");
}

static void unseen(struct sheet *s, const char *check, const char *message, int64_t needed)
{
    autofree char *want = mem_printf("%lld free", (long long)needed);
    aws_inspect_row(s->rows, "unknown", check, message, want, "Look at it in the Service Quotas console.");
}

static int list(struct sheet *s, const char *action, const char *field, json_t **ret, struct err *err)
{
    const struct aws_pages pages = {"NextToken", "nextToken", field, NULL};
    struct aws_request q = {.service = "ec2", .action = action};
    return aws_call_all(s->c, &q, &pages, ret, err);
}

/* How many nodes a group has when all that is planned runs: a replica has a node of its own, a service three of Keeper;
 * the rest grows to what its group allows. */
static int64_t nodes_at_peak(const struct sheet *s, const char *key, const json_t *group)
{
    int64_t min = number(group, "min", 0), max = number(group, "max", 0), planned = max;
    if (!strcmp(key, "aws_node_group.server"))
        planned = aws_planned_replicas(s->i->account);
    if (!strcmp(key, "aws_node_group.keeper"))
        planned = 3 * number(s->i->account, "plannedServices", 1);
    return MAX(min, MIN(planned, max));
}

static void add_group(struct sheet *s, const char *key, const json_t *group, int64_t peak[])
{
    const char *type = json_string_value(json_array_get(json_object_get(group, "instances"), 0));
    int family = aws_instance_family(type ? type : ""), each = aws_instance_vcpus(type ? type : "");
    if (family >= 0 && each) {
        peak[family] += each * nodes_at_peak(s, key, group);
        return;
    }
    autofree char *check = mem_printf("quota: vCPUs of %s", type ? type : key);
    aws_inspect_row(s->rows, "unknown", check, "no family of instances that is known here", "enough for its nodes",
                    "Look at it in the Service Quotas console.");
}

static int running(struct sheet *s, int used[], struct err *err)
{
    autojson json_t *found = NULL;
    size_t i, k;
    json_t *reservation, *one;
    int r = list(s, "DescribeInstances", "reservationSet", &found, err);
    json_array_foreach(found, i, reservation)
    {
        autojson json_t *instances = aws_xml_list(reservation, "instancesSet", NULL);
        json_array_foreach(instances, k, one)
        {
            const char *state = js_text_at(json_object_get(one, "instanceState"), "name"),
                       *type = js_text_at(one, "instanceType");
            const json_t *cpu = json_object_get(one, "cpuOptions");
            int family = aws_instance_family(type),
                of = atoi(js_text_at(cpu, "coreCount")) * atoi(js_text_at(cpu, "threadsPerCore"));
            bool counts = !strcmp(state, "running") || !strcmp(state, "pending");
            if (counts && family >= 0 && strcmp(js_text_at(one, "instanceLifecycle"), "spot"))
                used[family] += of > 0 && of < 10000 ? of : aws_instance_vcpus(type);
        }
    }
    return r;
}

static void check_vcpus(struct sheet *s)
{
    int64_t peak[ARRAY_SIZE(families)] = {0};
    int used[ARRAY_SIZE(families)] = {0}, limit;
    struct err err = ERR_INIT;
    const char *key;
    const json_t *v;
    for (size_t i = 0; (v = plan_graph_at(s->g, i, &key)); i++)
        if (!strncmp(key, "aws_node_group.", 15))
            add_group(s, key, v, peak);
    int counted = running(s, used, &err);
    for (size_t k = 0; k < ARRAY_SIZE(families); k++) {
        if (!peak[k])
            continue;
        autofree char *check = mem_printf("quota: vCPUs on demand, %s", families[k].name),
                      *why = mem_printf(" (peak %lld)", (long long)peak[k]);
        int64_t needed = (peak[k] * 3 + 1) / 2 + families[k].headroom;
        struct err no = ERR_INIT;
        if (ask(s, "ec2", families[k].code, &limit, &no) < 0)
            unseen(s, check, no.message, needed);
        else if (counted < 0 && limit >= needed)
            unseen(s, check, err.message, needed);
        else
            judge(s, check, limit, counted < 0 ? -1 : used[k], needed, why);
    }
}

static int64_t of_type(const struct sheet *s, const char *type)
{
    int64_t n = 0;
    const char *key;
    size_t len = strlen(type);
    for (size_t i = 0; plan_graph_at(s->g, i, &key); i++)
        n += !strncmp(key, type, len) && key[len] == '.';
    return n;
}

/* --- how many an account has already: *ret, or -1 where that is not known --- */

struct quota;
typedef int (*count_fn)(struct sheet *s, const struct quota *q, int *ret, struct err *err);

/* As many as the graph has of a type, at least `least` where it has any (what the cluster makes by itself comes on
 * top), at most `most` (a gateway in each of three zones is one a zone). Zero: not bounded. Codes of Service Quotas.
 * `action` and `list` are what count_listed asks EC2. */
struct quota {
    const char *check, *service, *code, *type;
    int least, most;
    count_fn count;
    const char *action, *list;
};

static int count_listed(struct sheet *s, const struct quota *q, int *ret, struct err *err)
{
    autojson json_t *found = NULL;
    int r = list(s, q->action, q->list, &found, err);
    *ret = (int)json_array_size(found);
    return r;
}

/* EC2 does not cut this list into pages. */
static int count_addresses(struct sheet *s, const struct quota *q OH_UNUSED, int *ret, struct err *err)
{
    struct aws_request all = {.service = "ec2", .action = "DescribeAddresses"};
    autojson json_t *answer = NULL;
    int r = aws_call(s->c, &all, &answer, NULL, err);
    autojson json_t *found = aws_xml_list(answer, "addressesSet", NULL);
    *ret = (int)json_array_size(found);
    return r;
}

/* The gateways of one zone; AWS counts those that come and go, too. */
static int gateways_in(const json_t *gateways, const json_t *subnets, const char *zone)
{
    size_t i, k;
    json_t *gateway, *subnet;
    int n = 0;
    json_array_foreach(gateways, i, gateway)
    {
        if (!strcmp(js_text_at(gateway, "state"), "deleted") || !strcmp(js_text_at(gateway, "state"), "failed"))
            continue;
        json_array_foreach(subnets, k, subnet) n +=
            !strcmp(js_text_at(subnet, "subnetId"), js_text_at(gateway, "subnetId")) &&
            !strcmp(js_text_at(subnet, "availabilityZone"), zone);
    }
    return n;
}

/* The most that a zone has of those in which one is planned: each gateway of the graph is named by its zone's letter.
 */
static int count_gateways(struct sheet *s, const struct quota *q, int *ret, struct err *err)
{
    autojson json_t *gateways = NULL, *subnets = NULL;
    const char *key;
    size_t skip = strlen(q->type) + 1;
    int r = list(s, "DescribeNatGateways", "natGatewaySet", &gateways, err);
    if (r == 0)
        r = list(s, "DescribeSubnets", "subnetSet", &subnets, err);
    *ret = 0;
    for (size_t i = 0; plan_graph_at(s->g, i, &key); i++) {
        if (strncmp(key, q->type, skip - 1) || key[skip - 1] != '.')
            continue;
        autofree char *zone = mem_printf("%s%s", s->i->region, key + skip);
        *ret = MAX(*ret, gateways_in(gateways, subnets, zone));
    }
    return r;
}

static int count_clusters(struct sheet *s, const struct quota *q OH_UNUSED, int *ret, struct err *err)
{
    static const struct aws_pages pages = {"nextToken", "nextToken", "clusters", NULL};
    struct aws_request all = {.service = "eks", .action = "ListClusters", .method = "GET", .path = "/clusters"};
    autojson json_t *found = NULL;
    int r = aws_call_all(s->c, &all, &pages, &found, err);
    *ret = (int)json_array_size(found);
    return r;
}

/* What counts for each cluster counts for one that is still to be made. */
static int count_none(struct sheet *s OH_UNUSED, const struct quota *q OH_UNUSED, int *ret, struct err *err OH_UNUSED)
{
    *ret = 0;
    return 0;
}

/* The account's, of all regions. */
static int count_buckets(struct sheet *s, const struct quota *q OH_UNUSED, int *ret, struct err *err)
{
    static const struct aws_pages pages = {"continuation-token", "ContinuationToken", "Buckets", "Bucket"};
    autojson json_t *query = json_pack("{s:s}", "max-buckets", "1000"), *found = NULL;
    struct aws_request all = {.service = "s3", .action = "ListBuckets", .method = "GET", .path = "/", .query = query};
    int r = aws_call_all(s->c, &all, &pages, &found, err);
    *ret = (int)json_array_size(found);
    return r;
}

static int count_balancers(struct sheet *s, const struct quota *q OH_UNUSED, int *ret, struct err *err)
{
    static const struct aws_pages pages = {"Marker", "NextMarker", "LoadBalancers", "member"};
    struct aws_request all = {.service = "elasticloadbalancing", .action = "DescribeLoadBalancers"};
    autojson json_t *found = NULL;
    size_t i;
    json_t *v;
    int r = aws_call_all(s->c, &all, &pages, &found, err);
    *ret = 0;
    json_array_foreach(found, i, v) *ret += !strcmp(js_text_at(v, "Type"), "network");
    return r;
}

/* AWS shows fifty at a time and gives a million: past these pages it is left at that. */
static int count_log_groups(struct sheet *s, const struct quota *q OH_UNUSED, int *ret, struct err *err)
{
    enum { PAGES = 40 };
    autojson json_t *params = json_pack("{s:i}", "limit", 50);
    struct aws_request one = {.service = "logs", .action = "DescribeLogGroups", .params = params};
    *ret = 0;
    for (int page = 0; page < PAGES; page++) {
        autojson json_t *answer = NULL;
        int r = aws_call(s->c, &one, &answer, NULL, err);
        if (r < 0)
            return r;
        *ret += (int)json_array_size(json_object_get(answer, "logGroups"));
        if (!*js_text_at(answer, "nextToken"))
            return 0;
        json_object_set(params, "nextToken", json_object_get(answer, "nextToken"));
    }
    *ret = -1;
    return 0;
}

static const struct quota quotas[] = {
    {"VPCs", "vpc", "L-F678F1CE", "aws_vpc", 0, 0, count_listed, "DescribeVpcs", "vpcSet"},
    {"Elastic IPs", "ec2", "L-0263D0A3", "aws_elastic_ip", 0, 0, count_addresses, NULL, NULL},
    {"NAT gateways a zone", "vpc", "L-FE5A380F", "aws_nat_gateway", 0, 1, count_gateways, NULL, NULL},
    {"internet gateways", "vpc", "L-A4707A72", "aws_internet_gateway", 0, 0, count_listed, "DescribeInternetGateways",
     "internetGatewaySet"},
    {"security groups", "vpc", "L-E79EC296", "aws_security_group", 10, 0, count_listed, "DescribeSecurityGroups",
     "securityGroupInfo"},
    {"EKS clusters", "eks", "L-1194D53C", "aws_eks_cluster", 0, 0, count_clusters, NULL, NULL},
    {"node groups a cluster", "eks", "L-6D54EA21", "aws_node_group", 0, 0, count_none, NULL, NULL},
    {"S3 buckets", "s3", "L-DC2B2D3D", "aws_bucket", 0, 0, count_buckets, NULL, NULL},
    {"network load balancers", "elasticloadbalancing", "L-69A177A2", "aws_eks_cluster", 0, 0, count_balancers, NULL,
     NULL},
    {"log groups", "logs", "L-C7B9AAAB", "aws_log_group", 0, 0, count_log_groups, NULL, NULL},
};

static void check_quota(struct sheet *s, const struct quota *q)
{
    autofree char *check = mem_printf("quota: %s", q->check);
    struct err err = ERR_INIT;
    int64_t needed = of_type(s, q->type);
    int limit, taken;
    if (!needed)
        return;
    needed = MAX(needed, q->least);
    needed = q->most ? MIN(needed, q->most) : needed;
    if (ask(s, q->service, q->code, &limit, &err) < 0) {
        unseen(s, check, err.message, needed);
        return;
    }
    /* A role of an older artefact may not list everything; the limit itself may still be too low. */
    bool counted = q->count(s, q, &taken, &err) == 0;
    if (!counted && limit >= needed)
        unseen(s, check, err.message, needed);
    else
        judge(s, check, limit, counted ? taken : -1, needed, "");
}

/* A network may be joined to so many; ours is new, the other one's count where it is in this account and region. */
static void check_peerings(struct sheet *s)
{
    static const char *const check = "quota: active peerings of a network";
    const json_t *want = plan_graph_attributes(s->g, "aws_vpc_peering.main");
    autojson json_t *found = NULL;
    struct err err = ERR_INIT;
    const char *peer = js_text_at(want, "peer_vpc");
    int limit, used = 0;
    size_t i;
    json_t *v;
    if (!want)
        return;
    int r = ask(s, "vpc", "L-7E9ECCDB", &limit, &err);
    if (r == 0)
        r = list(s, "DescribeVpcPeeringConnections", "vpcPeeringConnectionSet", &found, &err);
    json_array_foreach(found, i, v) used +=
        !strcmp(js_text_at(json_object_get(v, "status"), "code"), "active") &&
        (!strcmp(js_text_at(json_object_get(v, "requesterVpcInfo"), "vpcId"), peer) ||
         !strcmp(js_text_at(json_object_get(v, "accepterVpcInfo"), "vpcId"), peer));
    if (r < 0)
        unseen(s, check, err.message, 1);
    else
        judge(s, check, limit, used, 1, "");
}

/* Service Quotas has no code for these that is known here; AWS gives this many unless it was asked for more. */
static void check_endpoint_services(struct sheet *s)
{
    enum { USUAL = 20 };
    static const char *const check = "quota: endpoint services";
    autojson json_t *found = NULL;
    struct err err = ERR_INIT;
    if (!of_type(s, "aws_endpoint_service"))
        return;
    if (list(s, "DescribeVpcEndpointServiceConfigurations", "serviceConfigurationSet", &found, &err) < 0) {
        unseen(s, check, err.message, 1);
        return;
    }
    size_t n = json_array_size(found);
    autofree char *said = mem_printf("%zu, of %d that AWS gives unasked", n, USUAL);
    aws_inspect_row(s->rows, n < USUAL ? "ok" : "unknown", check, said, "1 free",
                    n < USUAL ? "" : "Look in the Service Quotas console whether you were given more.");
}

void aws_quotas(const struct aws_inspect *i, const struct plan_graph *g, struct aws_client *c, json_t *rows)
{
    struct sheet s = {i, g, c, rows};
    check_vcpus(&s);
    for (size_t k = 0; k < ARRAY_SIZE(quotas); k++)
        check_quota(&s, &quotas[k]);
    check_peerings(&s);
    check_endpoint_services(&s);
}
