/* Names that an infrastructure would take and that do not carry its id: what has them already. */
#include "base/mem.h"
#include "cloud/aws/inspect.h"
#include "cloud/aws/xml.h"

static const char *tag_of(const json_t *tags, const char *key)
{
    size_t i;
    json_t *t;
    json_array_foreach(tags, i, t)
    {
        if (!strcmp(js_text_at(t, "Key"), key))
            return js_text_at(t, "Value");
    }
    return "";
}

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
    const char *owner = tag_of(tags, "ownhouse:account");
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

/* Of the zones with that name the first that no infrastructure of OwnHouse made, else the first; "" if there is none.
 * Route 53 lists from that name on, sorted. */
static int find_zone(struct aws_client *c, const char *domain, char ret[64], bool *ret_ours, struct err *err)
{
    autojson json_t *query = json_pack("{s:s}", "dnsname", domain), *answer = NULL;
    autofree char *full = mem_printf("%s.", domain);
    struct aws_request q = {.service = "route53",
                            .action = "ListHostedZonesByName",
                            .method = "GET",
                            .path = "/2013-04-01/hostedzonesbyname",
                            .query = query};
    size_t i;
    json_t *z;
    *ret = 0;
    *ret_ours = true;
    int r = aws_call(c, &q, &answer, NULL, err);
    autojson json_t *zones = aws_xml_list(answer, "HostedZones", "HostedZone");
    json_array_foreach(zones, i, z)
    {
        const char *slash = strrchr(js_text_at(z, "Id"), '/'), *id = slash ? slash + 1 : js_text_at(z, "Id");
        autofree char *path = mem_printf("/2013-04-01/tags/hostedzone/%s", id);
        autojson json_t *said = NULL;
        struct aws_request ask = {.service = "route53", .action = "ListTagsForResource", .method = "GET", .path = path};
        if (r < 0 || !*ret_ours || strcmp(js_text_at(z, "Name"), full))
            continue;
        r = aws_call(c, &ask, &said, NULL, err);
        autojson json_t *tags = aws_xml_list(json_object_get(said, "ResourceTagSet"), "Tags", "Tag");
        *ret_ours = *tag_of(tags, AWS_TAG_INFRASTRUCTURE) != 0;
        snprintf(ret, 64, "%s", id);
    }
    return r;
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
    const json_t *zone = plan_graph_attributes(g, "aws_hosted_zone.main");
    if (plan_graph_attributes(g, "aws_pod_identity.data"))
        check_role(i, c, "dataRole", "data", rows);
    if (plan_graph_attributes(g, "aws_access_entry.bootstrap") || plan_graph_attributes(g, "aws_bootstrap.agent"))
        check_role(i, c, "bootstrapRole", "bootstrap", rows);
    if (zone)
        check_zone(zone, c, rows);
}
