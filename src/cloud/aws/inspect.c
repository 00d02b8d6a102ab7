/* verify and preflight of an AWS account. */
#include "cloud/aws/inspect.h"

#include "base/mem.h"
#include "cloud/aws/artefact.h"
#include "cloud/aws/cidr.h"
#include "cloud/aws/resource.h"
#include "cloud/aws/xml.h"

#define PEERS_MAX 64

struct table {
    const struct aws_inspect *i;
    json_t *rows;
};

void aws_inspect_row(json_t *rows, const char *outcome, const char *check, const char *found, const char *needed,
                     const char *advice)
{
    json_array_append_new(rows, json_pack("{s:s, s:s, s:s, s:s, s:s}", "check", check, "outcome", outcome, "found",
                                          found, "needed", needed, "advice", advice));
}

static void row(struct table *t, const char *outcome, const char *check, const char *found, const char *needed,
                const char *advice)
{
    aws_inspect_row(t->rows, outcome, check, found, needed, advice);
}

/* --- verify --- */

static int whoami(struct aws_client *c, char account[16], struct err *err)
{
    struct aws_request q = {.service = "sts", .action = "GetCallerIdentity"};
    autojson json_t *answer = NULL;
    int r = aws_call(c, &q, &answer, NULL, err);
    snprintf(account, 16, "%s", js_text_at(json_object_get(answer, "GetCallerIdentityResult"), "Account"));
    return r;
}

/* "arn:aws:sts::1:assumed-role/NAME/SESSION" is the session; its role is what a trust can name. The role's path is not
 * in it: role_with_path asks for it. Heap. */
static char *trusted_arn(const char *arn)
{
    const char *mark = ":assumed-role/", *at = strstr(arn, mark), *service = strstr(arn, ":sts::");
    if (!at || !service || service > at)
        return mem_strdup(arn);
    const char *name = at + strlen(mark), *account = service + strlen(":sts::");
    return mem_printf("%.*s:iam::%.*s:role/%.*s", (int)(service - arn), arn, (int)(at - account), account,
                      (int)strcspn(name, "/"), name);
}

/* The session's role as IAM knows it, with its path; NULL where IAM may not be asked. Heap. */
static char *role_with_path(struct aws_client *c, const char *trusted)
{
    const char *mark = ":role/", *at = strstr(trusted, mark);
    autojson json_t *params = json_pack("{s:s}", "RoleName", at ? at + strlen(mark) : ""), *answer = NULL;
    struct aws_request q = {.service = "iam", .action = "GetRole", .params = params};
    struct err err = ERR_INIT;
    if (!at || aws_call(c, &q, &answer, NULL, &err) < 0)
        return NULL;
    const char *arn = js_text_at(json_object_get(json_object_get(answer, "GetRoleResult"), "Role"), "Arn");
    return *arn ? mem_strdup(arn) : NULL;
}

json_t *aws_whoami(struct aws_client *c)
{
    struct aws_request q = {.service = "sts", .action = "GetCallerIdentity"};
    struct table t = {.rows = json_array()};
    struct err err = ERR_INIT;
    autojson json_t *answer = NULL;
    int r = aws_call(c, &q, &answer, NULL, &err);
    const char *arn = js_text_at(json_object_get(answer, "GetCallerIdentityResult"), "Arn");
    autofree char *trusted = trusted_arn(arn);
    if (r < 0 || !*arn) {
        row(&t, "unknown", "controller", r < 0 ? err.message : "no ARN", "keys that AWS knows",
            "The operator of the control plane gives the controller keys (docs/onboarding-aws.md).");
        return t.rows;
    }
    bool session = strcmp(trusted, arn) != 0;
    autofree char *whole = session ? role_with_path(c, trusted) : NULL;
    row(&t, "ok", "controller", whole ? whole : trusted, "the principal that the roles trust",
        session && !whole ? "The role's path is not seen from here: add it if the role has one." : "");
    return t.rows;
}

/* The role must not be had this way. */
static void must_refuse(struct table *t, enum aws_phase phase, const char *external_id, const char *how)
{
    struct aws_client *c = NULL;
    struct err err = ERR_INIT;
    struct aws_keys keys OH_CLEANUP(aws_keys_free) = {0};
    autofree char *check = mem_printf("%s role: %s", aws_phase_names[phase], how);
    int r = t->i->client(t->i->data, phase, external_id, &c, &err);
    if (r == 0)
        r = aws_client_keys(c, &keys, &err);
    if (r == -EACCES)
        row(t, "ok", check, "refused", "refused", "");
    else if (r == 0)
        row(t, "wrong", check, "let in", "refused",
            "The role's trust does not demand sts:ExternalId: apply the artefact again, unchanged.");
    else
        row(t, "unknown", check, err.message, "refused", "");
    aws_client_free(c);
}

static void verify_artefact(struct table *t, struct aws_client *c, enum aws_phase phase)
{
    autofree char *role = mem_printf("ownhouse-%s-%s", t->i->name, aws_phase_names[phase]),
                  *check = mem_printf("%s role: artefact", aws_phase_names[phase]);
    autojson json_t *params = json_pack("{s:s}", "RoleName", role), *answer = NULL;
    struct aws_request q = {.service = "iam", .action = "GetRole", .params = params};
    struct err err = ERR_INIT;
    if (aws_call(c, &q, &answer, NULL, &err) < 0) {
        row(t, "unknown", check, err.message, "version " AWS_ARTEFACT_VERSION, "");
        return;
    }
    autojson json_t *tags =
        aws_xml_list(json_object_get(json_object_get(answer, "GetRoleResult"), "Role"), "Tags", NULL);
    const char *version = aws_tag(tags, "ownhouse:artefact");
    bool good = !strcmp(version, AWS_ARTEFACT_VERSION);
    row(t, good ? "ok" : "wrong", check, *version ? version : "no version", AWS_ARTEFACT_VERSION,
        good ? "" : "Apply the artefact of this release; `ownhouse policy diff` says what changes.");
}

/* The artefact's boundary as it is applied; -ENOENT: there is none. */
static int read_boundary(struct aws_client *c, const char *arn, json_t **ret, struct err *err)
{
    autojson json_t *which = json_pack("{s:s}", "PolicyArn", arn), *policy = NULL, *version = NULL;
    struct aws_request q = {.service = "iam", .action = "GetPolicy", .params = which};
    int r = aws_call(c, &q, &policy, NULL, err);
    const json_t *found = json_object_get(json_object_get(policy, "GetPolicyResult"), "Policy");
    autojson json_t *one =
        json_pack("{s:s, s:s}", "PolicyArn", arn, "VersionId", js_text_at(found, "DefaultVersionId"));
    q = (struct aws_request){.service = "iam", .action = "GetPolicyVersion", .params = one};
    if (r == 0)
        r = aws_call(c, &q, &version, NULL, err);
    if (r == 0)
        *ret = aws_iam_document(js_text_at(
            json_object_get(json_object_get(version, "GetPolicyVersionResult"), "PolicyVersion"), "Document"));
    return r;
}

/* What bounds the roles that OwnHouse makes, against what this release would have the customer apply. */
static void verify_boundary(struct table *t, struct aws_client *c)
{
    static const char *const again = "Apply the artefact of this release again, unchanged.";
    const char *arn = js_text_at(t->i->account, "boundary"), *path = js_text_at(t->i->account, "rolePath");
    struct aws_policy_for f = aws_policy_whole(t->i->name, js_text_at(t->i->account, "accountId"),
                                               aws_client_partition(c), *path ? path : "/ownhouse/");
    autojson json_t *want = aws_policy_boundary(&f), *have = NULL;
    struct err err = ERR_INIT;
    int r = read_boundary(c, arn, &have, &err);
    if (r == 0 && json_equal(have, want))
        row(t, "ok", "boundary", arn, "as in the artefact", "");
    else if (r == 0)
        row(t, "wrong", "boundary", "another policy than the artefact's", "as in the artefact", again);
    else
        row(t, r == -ENOENT ? "wrong" : "unknown", "boundary", r == -ENOENT ? "none" : err.message, arn,
            r == -ENOENT ? again : "");
}

static void verify_role(struct table *t, enum aws_phase phase, struct aws_client **inspect)
{
    const char *external = js_text_at(t->i->account, "externalId"), *wanted = js_text_at(t->i->account, "accountId");
    autofree char *check = mem_printf("%s role", aws_phase_names[phase]);
    struct aws_client *c = NULL;
    struct err err = ERR_INIT;
    char account[16] = "";
    int r = t->i->client(t->i->data, phase, external, &c, &err);
    if (r == 0)
        r = whoami(c, account, &err);
    if (r < 0)
        row(t, "wrong", check, err.message, "can be taken up",
            "Apply the artefact, or attach the role again; without it this phase cannot be done.");
    else
        row(t, strcmp(account, wanted) ? "wrong" : "ok", check, account, wanted,
            strcmp(account, wanted) ? "The role is in another account: name the right one when connecting." : "");
    if (r == 0) {
        must_refuse(t, phase, NULL, "without external id");
        must_refuse(t, phase, "00000000000000000000000000000000", "with a wrong external id");
    }
    if (phase == AWS_INSPECT && r == 0)
        *inspect = c;
    else if (r == 0 && *inspect)
        verify_artefact(t, *inspect, phase);
    if (c != *inspect)
        aws_client_free(c);
}

json_t *aws_verify(const struct aws_inspect *i)
{
    struct table t = {i, json_array()};
    struct aws_client *inspect = NULL;
    for (enum aws_phase p = 0; p < AWS_PHASES; p++)
        verify_role(&t, p, &inspect);
    if (inspect) {
        verify_artefact(&t, inspect, AWS_INSPECT);
        verify_boundary(&t, inspect);
    }
    aws_client_free(inspect);
    return t.rows;
}

int aws_tagged(struct aws_client *c, const char *infrastructure, json_t **ret, struct err *err)
{
    static const struct aws_pages pages = {"PaginationToken", "PaginationToken", "ResourceTagMappingList", NULL};
    autojson json_t *params = infrastructure ? json_pack("{s:[{s:s, s:[s]}]}", "TagFilters", "Key",
                                                         AWS_TAG_INFRASTRUCTURE, "Values", infrastructure)
                                             : json_pack("{s:[{s:s}]}", "TagFilters", "Key", AWS_TAG_INFRASTRUCTURE);
    autojson json_t *found = NULL;
    struct aws_request q = {.service = "tagging", .action = "GetResources", .params = params};
    size_t i;
    json_t *v;
    int r = aws_call_all(c, &q, &pages, &found, err);
    if (r < 0)
        return r;
    *ret = json_array();
    json_array_foreach(found, i, v) json_array_append_new(*ret, json_string(js_text_at(v, "ResourceARN")));
    return 0;
}

/* --- preflight --- */

static int ec2(struct aws_client *c, const char *action, const json_t *params, const char *list, json_t **ret,
               struct err *err)
{
    struct aws_request q = {.service = "ec2", .action = action, .params = params};
    autojson json_t *answer = NULL;
    int r = aws_call(c, &q, &answer, NULL, err);
    if (r == 0)
        *ret = aws_xml_list(answer, list, NULL);
    return r;
}

/* Letters differ from account to account; ids name the place. */
static void check_zones(struct table *t, struct aws_client *c)
{
    autojson json_t *zones = NULL;
    autobuf struct buf found = BUF_INIT_MAX(400);
    struct err err = ERR_INIT;
    size_t i, n = 0;
    json_t *z;
    if (ec2(c, "DescribeAvailabilityZones", NULL, "availabilityZoneInfo", &zones, &err) < 0) {
        row(t, "unknown", "zones", err.message, "3", "");
        return;
    }
    json_array_foreach(zones, i, z)
    {
        const char *kind = js_text_at(z, "zoneType");
        if (strcmp(js_text_at(z, "zoneState"), "available") || (*kind && strcmp(kind, "availability-zone")))
            continue;
        buf_printf(&found, "%s%s=%s", n++ ? " " : "", js_text_at(z, "zoneName"), js_text_at(z, "zoneId"));
    }
    row(t, n >= 3 ? "ok" : "wrong", "zones", found.data ? found.data : "", "3",
        n >= 3 ? "" : "Choose a region with three zones.");
}

/* Ranges that the account's owner has declared, of networks to be peered and of overlays (account.config.peerRanges),
 * and AWS's own rules. */
static int check_declared(struct table *t, const struct cidr *range, struct err *err)
{
    struct cidr_taken taken[PEERS_MAX + 1] = {{NULL, NULL}};
    size_t i = 0;
    json_t *v;
    json_array_foreach(json_object_get(t->i->account, "peerRanges"), i, v)
    {
        if (i < PEERS_MAX && json_is_string(v))
            taken[i] = (struct cidr_taken){json_string_value(v), "declared as a peer's or an overlay's"};
    }
    const char *peer = json_string_value(json_object_get(json_object_get(t->i->account, "peering"), "cidr"));
    if (peer && i < PEERS_MAX)
        taken[i] = (struct cidr_taken){peer, "the network to be peered with has it"};
    return cidr_check(range, taken, err);
}

/* Whether the range itself will do. */
static bool check_range(struct table *t, struct aws_client *c)
{
    autojson json_t *vpcs = NULL;
    struct cidr range, other;
    struct cidr_plan plan;
    struct cidr_capacity capacity;
    struct err err = ERR_INIT;
    size_t i;
    json_t *v;
    int r = cidr_parse(t->i->cidr, &range, &err);
    if (r == 0)
        r = check_declared(t, &range, &err);
    row(t, r == 0 ? "ok" : "wrong", "range", r == 0 ? t->i->cidr : err.message, "/16 to /23, overlapping nothing",
        r == 0 ? "" : "Choose another range; it cannot be changed later.");
    if (r < 0 || cidr_plan(&range, &plan, NULL) < 0)
        return false;
    cidr_capacity(&plan, &capacity);
    int64_t planned = aws_planned_replicas(t->i->account);
    autofree char *carries = mem_printf("%d nodes, %d replicas", capacity.nodes, capacity.replicas),
                  *needed = mem_printf("at least %lld replicas (plannedReplicas)", (long long)planned);
    row(t, capacity.replicas >= planned ? "ok" : "wrong", "capacity", carries, needed,
        capacity.replicas >= planned ? "" : "Choose a larger range.");
    const struct cidr overlays = {0x64400000, 10};
    if (cidr_overlap(&range, &overlays))
        row(t, "unknown", "overlay", "in 100.64.0.0/10", "apart from overlay networks",
            "Overlay networks such as Tailscale's hand these addresses out: choose another range if you run one.");
    if (ec2(c, "DescribeVpcs", NULL, "vpcSet", &vpcs, NULL) < 0)
        return true;
    json_array_foreach(vpcs, i, v)
    {
        if (cidr_parse(js_text_at(v, "cidrBlock"), &other, NULL) == 0 && cidr_overlap(&range, &other)) {
            autofree char *found = mem_printf("%s has %s", js_text_at(v, "vpcId"), js_text_at(v, "cidrBlock"));
            row(t, "unknown", "peers", found, "no overlap with networks to be peered",
                "The two can live side by side, but never be peered.");
        }
    }
    return true;
}

static void check_endpoint(struct table *t, struct aws_client *c, const char *service, const char *action,
                           const char *path)
{
    struct aws_request q = {.service = service, .action = action, .method = path ? "GET" : NULL, .path = path};
    struct err err = ERR_INIT;
    autofree char *check = mem_printf("endpoint: %s", service);
    int r = aws_call(c, &q, NULL, NULL, &err);
    row(t,
        r == 0         ? "ok"
        : r == -EACCES ? "wrong"
                       : "unknown",
        check, r == 0 ? "answers" : err.message, "answers",
        r == 0 ? "" : "Let the controller reach it, and the inspect role read there.");
}

/* Most names, and all tags, of OwnHouse begin with an infrastructure's id, so what is there is not in the way (of other
 * names: aws_names); but it costs, and may be what an earlier removal left. */
static void check_existing(struct table *t, struct aws_client *c)
{
    autojson json_t *arns = NULL;
    struct err err = ERR_INIT;
    int r = aws_tagged(c, NULL, &arns, &err);
    autofree char *found = r == 0 ? mem_printf("%zu resources carry ownhouse:infrastructure, the first %s",
                                               json_array_size(arns), json_string_value(json_array_get(arns, 0)))
                                  : mem_strdup(err.message);
    if (r == 0 && !json_array_size(arns))
        row(t, "ok", "existing tags", "none", "none, or your other infrastructures'", "");
    else
        row(t, "unknown", "existing tags", found, "none, or your other infrastructures'",
            r < 0 ? "" : "They are left alone. If none of yours is there, see what is left: `ownhouse plan report`.");
}

/* What would be planned in this account. A range that is wrong has a row of its own, and all else is looked at. */
static int desired(struct table *t, const char *cidr, struct plan_graph **ret, struct err *err)
{
    const char *domain = js_text_at(t->i->account, "domain");
    autofree char *usual = mem_printf("%s.ownhouse.localhost", t->i->name);
    autojson json_t *infrastructure =
        json_pack("{s:s, s:s, s:s, s:s, s:s}", "id", "00000000-0000-4000-8000-000000000000", "name", t->i->name,
                  "region", t->i->region, "cidr", cidr, "domain", *domain ? domain : usual);
    struct aws_settings s;
    int r = aws_settings_read(t->i->account, infrastructure, &s, err);
    return r < 0 ? r : cloud_aws_graph(&s, ret, err);
}

static void check_desired(struct table *t, struct aws_client *c, const char *cidr)
{
    autograph struct plan_graph *g = NULL;
    struct err err = ERR_INIT;
    if (desired(t, cidr, &g, &err) < 0) {
        row(t, "wrong", "settings", err.message, "settings that a plan can be made of",
            "Change the account's settings; quotas and names were not looked at.");
        return;
    }
    aws_quotas(t->i, g, c, t->rows);
    aws_names(t->i, g, c, t->rows);
}

json_t *aws_preflight(const struct aws_inspect *i)
{
    struct table t = {i, json_array()};
    struct aws_client *c = NULL;
    struct err err = ERR_INIT;
    if (i->client(i->data, AWS_INSPECT, js_text_at(i->account, "externalId"), &c, &err) < 0) {
        row(&t, "wrong", "inspect role", err.message, "can be taken up", "Run `ownhouse account verify`.");
        return t.rows;
    }
    check_zones(&t, c);
    const json_t *own = json_object_get(i->account, "network");
    bool good = true;
    if (own)
        aws_own_network(c, own, i->region, t.rows);
    else
        good = check_range(&t, c);
    check_desired(&t, c, good ? i->cidr : "10.0.0.0/16");
    check_endpoint(&t, c, "eks", "ListClusters", "/clusters");
    check_endpoint(&t, c, "iam", "ListOpenIDConnectProviders", NULL);
    check_endpoint(&t, c, "logs", "DescribeLogGroups", NULL);
    check_existing(&t, c);
    aws_simulate(i, c, t.rows);
    aws_client_free(c);
    return t.rows;
}
