/* Names that an infrastructure would take, or needs, and that do not carry its id: what has them. */
#include "cloud/aws/inspect.h"
#include "cloud/aws/resource.h"

/* A role that the customer's artefact makes under a name of the account's in OwnHouse. Another's, named by hand in the
 * settings, is not looked at. */
static void check_role(const struct aws_inspect *i, struct aws_client *c, const char *key, const char *what,
                       json_t *rows)
{
    autofree char *name = mem_printf("ownhouse-%s-%s", i->name, what), *check = mem_printf("name: %s", name);
    const char *arn = js_text_at(json_object_get(i->account, "artefact"), key), *slash = strrchr(arn, '/');
    autojson json_t *params = json_pack("{s:s}", "RoleName", name), *answer = NULL;
    struct aws_request q = {.service = "iam", .action = "GetRole", .params = params};
    struct err err = ERR_INIT;
    if (!slash || strcmp(slash + 1, name))
        return;
    int r = aws_call(c, &q, &answer, NULL, &err);
    const json_t *role = json_object_get(json_object_get(answer, "GetRoleResult"), "Role");
    autojson json_t *tags = aws_xml_list(role, "Tags", NULL);
    const char *owner = aws_tag(tags, "ownhouse:account");
    if (r == -ENOENT)
        aws_inspect_row(rows, "wrong", check, "no such role", "the artefact's role",
                        "Apply the artefact; see `ownhouse account verify`.");
    else if (r < 0)
        aws_inspect_row(rows, "unknown", check, err.message, "the artefact's role", "");
    else if (strcmp(owner, i->name) || strcmp(js_text_at(role, "Arn"), arn))
        aws_inspect_row(rows, "wrong", check, js_text_at(role, "Arn"), arn,
                        "Another role has this name: remove it, or connect the account under another name.");
    else
        aws_inspect_row(rows, "ok", check, arn, "the artefact's role", "");
}

/* Of the zones with that name the first that no infrastructure of OwnHouse made, else the last; "" if there is none. */
static int find_zone(struct aws_client *c, const char *domain, char ret[64], bool *ret_ours, struct err *err)
{
    autojson json_t *zones = NULL;
    size_t i;
    json_t *z;
    *ret = 0;
    *ret_ours = true;
    int r = aws_zones_named(c, domain, &zones, err);
    json_array_foreach(zones, i, z)
    {
        autojson json_t *tags = NULL;
        if (!*ret_ours || (r = aws_zone_tags(c, js_text_at(z, "Id"), &tags, err)) < 0)
            break;
        *ret_ours = *aws_tag(tags, AWS_TAG_INFRASTRUCTURE) != 0;
        snprintf(ret, 64, "%s", js_text_at(z, "Id"));
    }
    return r;
}

/* The fence without which no role of ours can be made. Another than the artefact's may be hidden from us. */
static void check_boundary(const struct plan_graph *g, struct aws_client *c, json_t *rows)
{
    const char *arn = "", *key;
    const json_t *v;
    struct err err = ERR_INIT;
    for (size_t i = 0; !*arn && (v = plan_graph_at(g, i, &key)); i++)
        if (!strncmp(key, "aws_role.", 9))
            arn = js_text_at(v, "boundary");
    if (!*arn)
        return;
    autojson json_t *params = json_pack("{s:s}", "PolicyArn", arn);
    struct aws_request q = {.service = "iam", .action = "GetPolicy", .params = params};
    int r = aws_call(c, &q, NULL, NULL, &err);
    if (r == 0)
        aws_inspect_row(rows, "ok", "permissions boundary", arn, "there, since each role is made within it", "");
    else if (r == -ENOENT)
        aws_inspect_row(rows, "wrong", "permissions boundary", "no such policy", arn,
                        "Apply the artefact, or name your own boundary in the account's settings (boundary).");
    else
        aws_inspect_row(rows, "unknown", "permissions boundary", err.message, arn, "");
}

/* What the bootstrap instance starts from, the artefact's or the customer's own. */
static void check_template(const json_t *bootstrap, struct aws_client *c, json_t *rows)
{
    const char *name = js_text_at(bootstrap, "launch_template");
    autofree char *check = mem_printf("launch template: %s", name);
    autojson json_t *params = json_pack("{s:[s]}", "LaunchTemplateName", name), *answer = NULL;
    struct aws_request q = {.service = "ec2", .action = "DescribeLaunchTemplates", .params = params};
    struct err err = ERR_INIT;
    int r = aws_call(c, &q, &answer, NULL, &err);
    autojson json_t *found = aws_xml_list(answer, "launchTemplates", NULL);
    if (r == -ENOENT || (r == 0 && !json_array_size(found)))
        aws_inspect_row(rows, "wrong", check, "no such template in this region", "one that starts the bootstrap",
                        "Apply the artefact in this region, or name your own (artefact.launchTemplate).");
    else if (r < 0)
        aws_inspect_row(rows, "unknown", check, err.message, "one that starts the bootstrap", "");
    else
        aws_inspect_row(rows, "ok", check, js_text_at(json_array_get(found, 0), "launchTemplateId"),
                        "one that starts the bootstrap", "");
}

static void check_zone(const json_t *zone, struct aws_client *c, json_t *rows)
{
    const char *domain = js_text_at(zone, "name");
    autofree char *check = mem_printf("zone: %s", domain);
    struct err err = ERR_INIT;
    bool ours;
    char id[64];
    if (find_zone(c, domain, id, &ours, &err) < 0)
        aws_inspect_row(rows, "unknown", check, err.message, "no zone of this name", "");
    else if (!*id)
        aws_inspect_row(rows, "ok", check, "none", "no zone of this name", "");
    else if (ours)
        aws_inspect_row(rows, "unknown", check, id, "no zone of this name, or this infrastructure's",
                        "An infrastructure of OwnHouse made it: another one needs another domain.");
    else
        aws_inspect_row(rows, "wrong", check, id, "no zone of this name",
                        "A second zone of this name would be made, and resolvers ask only one: set another domain, or "
                        "turn hostedZone off and give the agent this one (the artefact's AgentZone).");
}

void aws_names(const struct aws_inspect *i, const struct plan_graph *g, struct aws_client *c, json_t *rows)
{
    const json_t *zone = plan_graph_attributes(g, "aws_hosted_zone.main"),
                 *bootstrap = plan_graph_attributes(g, "aws_bootstrap.agent");
    if (plan_graph_attributes(g, "aws_pod_identity.data"))
        check_role(i, c, "dataRole", "data", rows);
    if (plan_graph_attributes(g, "aws_access_entry.bootstrap") || bootstrap)
        check_role(i, c, "bootstrapRole", "bootstrap", rows);
    check_boundary(g, c, rows);
    if (bootstrap)
        check_template(bootstrap, c, rows);
    if (zone)
        check_zone(zone, c, rows);
}
