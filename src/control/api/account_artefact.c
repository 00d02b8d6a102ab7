/* What the owner of an AWS account applies there, for the console and the command line alike. */
#include "cloud/aws/artefact.h"

#include "control/api/handlers.h"

static void add_actions(json_t *set, const json_t *value)
{
    const json_t *one;
    size_t i;
    if (json_is_string(value))
        json_object_set_new(set, json_string_value(value), json_true());
    json_array_foreach(value, i, one) json_object_set_new(set, json_string_value(one), json_true());
}

static int by_text(const void *a, const void *b)
{
    return strcmp(*(const char *const *)a, *(const char *const *)b);
}

/* What the policies allow, sorted, each once. */
static json_t *actions_of(const json_t *policies)
{
    autojson json_t *set = json_object();
    json_t *list = json_array(), *policy, *statement;
    size_t i, k, n = 0;
    const char *key;
    json_array_foreach(policies, i, policy)
    {
        json_array_foreach(json_object_get(json_object_get(policy, "document"), "Statement"), k, statement)
        {
            if (!strcmp(json_string_value(json_object_get(statement, "Effect")), "Allow"))
                add_actions(set, json_object_get(statement, "Action"));
        }
    }
    autofree const char **names = mem_alloc((json_object_size(set) + 1) * sizeof(*names));
    json_object_foreach(set, key, policy) names[n++] = key;
    qsort(names, n, sizeof(*names), by_text);
    for (i = 0; i < n; i++)
        json_array_append_new(list, json_string(names[i]));
    return list;
}

static json_t *roles_of(const struct aws_policy_for *f)
{
    json_t *roles = json_array();
    for (enum aws_phase i = 0; i < AWS_PHASES; i++) {
        json_t *policies = aws_policy_generate(f, i);
        json_array_append_new(roles, json_pack("{s:s, s:o, s:o, s:o}", "phase", aws_phase_names[i], "name",
                                               json_sprintf("ownhouse-%s-%s", f->name, aws_phase_names[i]), "actions",
                                               actions_of(policies), "policies", policies));
    }
    return roles;
}

int account_artefact_get(struct api_request *q, struct err *err)
{
    autorows struct store_rows *rows = NULL;
    int r = store_query(q->store, "SELECT name, provider, config FROM account WHERE id = $1 AND organization_id = $2",
                        STORE_ARGS(store_text(q->match.path[1]), store_text(q->who.organization)), &rows, err);
    if (r == 0)
        r = store_next(rows, err);
    if (r <= 0)
        return r < 0 ? r : api_missing(q, "account");
    if (strcmp(store_column_text(rows, 1), "aws"))
        return api_refuse(q, 400, "accountId: only an account on AWS has an artefact; this one needs none");
    autojson json_t *config = api_column_json(rows, 2);
    const char *name = store_column_text(rows, 0), *arn = api_query(q, "controllerArn");
    const char *external = json_string_value(json_object_get(config, "externalId"));
    const char *path = json_string_value(json_object_get(config, "rolePath"));
    struct aws_policy_for f = aws_policy_whole(name, json_string_value(json_object_get(config, "accountId")), "aws",
                                               path ? path : "/ownhouse/");
    q->result = json_pack("{s:s, s:s, s:s, s:o, s:o, s:{s:o, s:o}, s:o, s:o, s:o}", "version", AWS_ARTEFACT_VERSION,
                          "externalId", external, "controllerArn", arn, "cloudformation",
                          aws_artefact_cloudformation(name, external, arn), "terraform",
                          aws_artefact_terraform(name, external, arn), "buckets", "cloudformation",
                          aws_artefact_buckets_cloudformation(name), "terraform", aws_artefact_buckets_terraform(name),
                          "roles", roles_of(&f), "boundary", aws_policy_boundary(&f), "data", aws_policy_data(&f));
    return 0;
}
