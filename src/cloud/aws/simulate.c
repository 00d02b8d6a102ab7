/* What the roles would be denied, asked of IAM itself (SimulatePrincipalPolicy): boundaries and organizations' policies
 * are not seen in the artefact. */
#include "base/mem.h"
#include "cloud/aws/inspect.h"
#include "cloud/aws/policy.h"
#include "cloud/aws/xml.h"

#define NAMED_MAX 6 /* actions named in one row; more are counted */

struct simulation {
    struct aws_client *c;
    const char *role;
    size_t asked, denied;
    struct buf named;
};

static bool turned(const json_t *account, const char *feature, bool otherwise)
{
    const json_t *v = json_object_get(json_object_get(account, "features"), feature);
    return json_is_boolean(v) ? json_is_true(v) : otherwise;
}

/* The rights that this account's wishes need; deleting data is asked for when it is meant, not before. */
static struct aws_policy_for wishes(const struct aws_inspect *i, const struct aws_client *c)
{
    const json_t *a = i->account;
    const char *path = json_string_value(json_object_get(a, "rolePath"));
    return (struct aws_policy_for){.name = i->name,
                                   .account = js_text_at(a, "accountId"),
                                   .partition = aws_client_partition(c),
                                   .role_path = path ? path : "/ownhouse/",
                                   .network = !json_object_get(a, "network"),
                                   .identities = !json_object_get(a, "identities"),
                                   .key = !json_object_get(a, "kmsKey"),
                                   .cluster = turned(a, "cluster", true),
                                   .hosted_zone = turned(a, "hostedZone", false),
                                   .interface_endpoints = turned(a, "interfaceEndpoints", false),
                                   .connections = json_object_get(a, "peering") || json_object_get(a, "privateLink") ||
                                                  turned(a, "flowLogs", false)};
}

/* A value that the pattern allows: something stands where it has a star. Heap. */
static char *instance_of(const char *pattern, const char *region)
{
    autobuf struct buf b = BUF_INIT;
    int field = 0;
    bool arn = !strncmp(pattern, "arn:", 4);
    buf_adds(&b, "");
    for (; *pattern; pattern++) {
        field += *pattern == ':';
        if (*pattern == '*')
            buf_adds(&b, arn && field == 3 ? region : "preflight");
        else
            buf_addc(&b, *pattern);
    }
    return buf_take(&b);
}

static const char *first_text(const json_t *v)
{
    const char *s = json_string_value(json_is_array(v) ? json_array_get(v, 0) : v);
    return s ? s : "";
}

/* {"Null":{KEY:"false"},"StringEquals":{KEY:[VALUES]}} as a request that meets it. */
static json_t *context_of(const json_t *condition, const char *region)
{
    json_t *list = json_array(), *keys, *v;
    const char *op, *key;
    json_object_foreach((json_t *)(uintptr_t)condition, op, keys)
    {
        json_object_foreach(keys, key, v)
        {
            autofree char *value = instance_of(strcmp(op, "Null") ? first_text(v) : "*", region);
            json_array_append_new(list, json_pack("{s:s, s:[s], s:s}", "ContextKeyName", key, "ContextKeyValues", value,
                                                  "ContextKeyType",
                                                  !strcmp(op, "Bool")       ? "boolean"
                                                  : !strncmp(op, "ForA", 4) ? "stringList"
                                                                            : "string"));
        }
    }
    return list;
}

static const char *who_denies(const json_t *result)
{
    if (!strcmp(js_text_at(json_object_get(result, "OrganizationsDecisionDetail"), "AllowedByOrganizations"), "false"))
        return "the organization's policies";
    if (!strcmp(
            js_text_at(json_object_get(result, "PermissionsBoundaryDecisionDetail"), "AllowedByPermissionsBoundary"),
            "false"))
        return "the role's boundary";
    return strcmp(js_text_at(result, "EvalDecision"), "explicitDeny") ? "no policy allows it" : "a policy denies it";
}

static void judge(struct simulation *s, const json_t *results)
{
    size_t i;
    json_t *result;
    json_array_foreach(results, i, result)
    {
        s->asked++;
        if (!strcmp(js_text_at(result, "EvalDecision"), "allowed"))
            continue;
        if (s->denied++ < NAMED_MAX)
            buf_printf(&s->named, "%s%s (%s)", s->denied > 1 ? ", " : "", js_text_at(result, "EvalActionName"),
                       who_denies(result));
    }
}

static int ask(struct simulation *s, const json_t *statement, struct err *err)
{
    static const struct aws_pages pages = {"Marker", "Marker", "EvaluationResults", NULL};
    const json_t *actions = json_object_get(statement, "Action");
    const char *resource = first_text(json_object_get(statement, "Resource"));
    const char *region = aws_client_region(s->c);
    autojson json_t *params = json_pack("{s:s, s:o}", "PolicySourceArn", s->role, "ActionNames",
                                        json_is_array(actions) ? json_deep_copy(actions) : json_pack("[O]", actions)),
                    *results OH_CLEANUP(js_decrefp) = NULL;
    if (strcmp(resource, "*")) {
        autofree char *arn = instance_of(resource, region);
        json_object_set_new(params, "ResourceArns", json_pack("[s]", arn));
    }
    json_t *context = context_of(json_object_get(statement, "Condition"), region);
    json_object_set_new(params, "ContextEntries", context);
    if (!json_array_size(context))
        json_object_del(params, "ContextEntries");
    struct aws_request q = {.service = "iam", .action = "SimulatePrincipalPolicy", .params = params};
    int r = aws_call_all(s->c, &q, &pages, &results, err);
    if (r == 0)
        judge(s, results);
    return r;
}

static int ask_all(struct simulation *s, const json_t *policies, struct err *err)
{
    size_t i, k;
    json_t *policy, *statement;
    json_array_foreach(policies, i, policy)
    {
        json_array_foreach(json_object_get(json_object_get(policy, "document"), "Statement"), k, statement)
        {
            int r = strcmp(js_text_at(statement, "Effect"), "Allow") ? 0 : ask(s, statement, err);
            if (r < 0)
                return r;
        }
    }
    return 0;
}

static void tell(const struct simulation *s, const char *check, int r, const struct err *err, json_t *rows)
{
    autofree char *needed = mem_printf("%zu actions allowed", s->asked), *found OH_CLEANUP(oh_freep) = NULL;
    if (r == -EACCES) {
        aws_inspect_row(rows, "unknown", check, "the inspect role may not ask", "iam:SimulatePrincipalPolicy",
                        "Apply the artefact of this release to have the role's rights looked at; nothing else needs "
                        "it.");
    } else if (r < 0) {
        aws_inspect_row(rows, r == -ENOENT ? "wrong" : "unknown", check, err->message, "rights that can be looked at",
                        r == -ENOENT ? "Apply the artefact, or attach the role again." : "");
    } else if (s->denied) {
        autofree char *more =
            s->denied > NAMED_MAX ? mem_printf(" and %zu more", s->denied - NAMED_MAX) : mem_strdup("");
        found = mem_printf("denied: %s%s", s->named.data, more);
        aws_inspect_row(rows, "wrong", check, found, needed,
                        "Apply the artefact with the parts that are wished for; what an organization's policy or a "
                        "boundary denies, its owner must allow.");
    } else {
        aws_inspect_row(rows, "ok", check, "nothing would be denied", needed, "");
    }
}

void aws_simulate(const struct aws_inspect *i, struct aws_client *c, json_t *rows)
{
    struct aws_policy_for f = wishes(i, c);
    struct err err = ERR_INIT;
    int r = 0;
    for (enum aws_phase phase = 0; phase < AWS_PHASES; phase++) {
        const char *name = aws_phase_names[phase];
        autofree char *check = mem_printf("%s role: rights", name);
        autojson json_t *policies = aws_policy_generate(&f, phase);
        struct simulation s = {
            .c = c, .role = js_text_at(json_object_get(i->account, "roles"), name), .named = BUF_INIT_MAX(4000)};
        /* Where IAM does not simulate for one role it does not for the next. */
        if (r == 0 || r == -ENOENT) {
            err = ERR_INIT;
            r = ask_all(&s, policies, &err);
        }
        tell(&s, check, r, &err, rows);
        buf_free(&s.named);
    }
}
