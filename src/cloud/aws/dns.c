/* Route 53: the infrastructure's zone and records in it. */
#include "cloud/aws/resource.h"

static int r53(const struct plan_call *c, enum aws_phase phase, const char *action, const char *method,
               const char *path, const char *body, json_t **ret, struct err *err)
{
    struct aws_request q = {
        .service = "route53", .action = action, .method = method, .path = path, .body = body, .repeatable = true};
    return aws_do(c, phase, &q, ret, err);
}

/* "/hostedzone/Z1" -> "Z1" */
static const char *bare(const char *id)
{
    const char *slash = strrchr(id, '/');
    return slash ? slash + 1 : id;
}

int aws_zones_named(struct aws_client *c, const char *name, json_t **ret, struct err *err)
{
    autojson json_t *answer = NULL, *query OH_CLEANUP(js_decrefp) = json_pack("{s:s}", "dnsname", name);
    struct aws_request q = {.service = "route53",
                            .action = "ListHostedZonesByName",
                            .method = "GET",
                            .path = "/2013-04-01/hostedzonesbyname",
                            .query = query};
    autofree char *full = mem_printf("%s.", name);
    size_t i;
    json_t *z;
    int r = aws_call(c, &q, &answer, NULL, err);
    if (r < 0)
        return r;
    autojson json_t *zones = aws_xml_list(answer, "HostedZones", "HostedZone");
    *ret = json_array();
    json_array_foreach(zones, i, z) /* all from that name on, sorted */
    {
        if (strcmp(js_text_at(z, "Name"), full))
            continue;
        autofree char *id = mem_strdup(bare(js_text_at(z, "Id")));
        json_object_set_new(z, "Id", json_string(id));
        json_array_append(*ret, z);
    }
    return 0;
}

int aws_zone_tags(struct aws_client *c, const char *id, json_t **ret, struct err *err)
{
    autofree char *path = mem_printf("/2013-04-01/tags/hostedzone/%s", id);
    autojson json_t *answer = NULL;
    struct aws_request q = {.service = "route53", .action = "ListTagsForResource", .method = "GET", .path = path};
    int r = aws_absent_is_fine(aws_call(c, &q, &answer, NULL, err), err);
    if (r == 0)
        *ret = aws_xml_list(json_object_get(answer, "ResourceTagSet"), "Tags", "Tag");
    return r;
}

/* The zone of that name with our tags; "" if there is none. */
static int zone_id(const struct plan_call *c, const char *name, char ret[64], struct err *err)
{
    struct aws_client *client = aws_phase_client(c, AWS_INSPECT, err);
    autojson json_t *zones = NULL;
    size_t i;
    json_t *z;
    ret[0] = 0;
    int r = client ? aws_zones_named(client, name, &zones, err) : -EACCES;
    json_array_foreach(zones, i, z)
    {
        autojson json_t *tags = NULL;
        if (*ret || (r = aws_zone_tags(client, js_text_at(z, "Id"), &tags, err)) < 0)
            break;
        if (aws_is_ours(c, tags))
            snprintf(ret, 64, "%s", js_text_at(z, "Id"));
    }
    return r;
}

static json_t *zone_view(const char *id, const char *name, const json_t *servers)
{
    return json_pack("{s:s, s:s, s:o}", "id", id, "name", name, "name_servers", aws_sorted(servers));
}

static const char *zone_name(const struct plan_call *c, const json_t *want)
{
    const char *name = js_text_at(want ? want : c->remembered, "name");
    return *name ? name : aws_env_of(c)->local.domain ? aws_env_of(c)->local.domain : "";
}

static int zone_look(const struct plan_call *c, const char *name, json_t **ret, struct err *err)
{
    char id[64];
    autojson json_t *answer = NULL;
    *ret = NULL;
    int r = *name ? zone_id(c, name, id, err) : 0;
    if (r < 0 || !*name || !*id)
        return r;
    autofree char *path = mem_printf("/2013-04-01/hostedzone/%s", id);
    r = r53(c, AWS_INSPECT, "GetHostedZone", "GET", path, NULL, &answer, err);
    if (r < 0)
        return aws_absent_is_fine(r, err);
    autojson json_t *servers = aws_xml_list(json_object_get(answer, "DelegationSet"), "NameServers", "NameServer");
    *ret = zone_view(id, name, servers);
    return 0;
}

static int zone_observe(const struct plan_call *c, json_t **ret, struct err *err)
{
    return zone_look(c, zone_name(c, NULL), ret, err);
}

static char *zone_tags(const struct plan_call *c, const json_t *want)
{
    autojson json_t *tags = aws_tags(c, want, "Key", "Value");
    struct buf b = BUF_INIT;
    size_t i;
    json_t *t;
    buf_adds(&b, "<ChangeTagsForResourceRequest xmlns=\"https://route53.amazonaws.com/doc/2013-04-01/\"><AddTags>");
    json_array_foreach(tags, i, t)
    {
        buf_adds(&b, "<Tag><Key>");
        aws_xml_escape(&b, js_text_at(t, "Key"));
        buf_adds(&b, "</Key><Value>");
        aws_xml_escape(&b, js_text_at(t, "Value"));
        buf_adds(&b, "</Value></Tag>");
    }
    buf_adds(&b, "</AddTags></ChangeTagsForResourceRequest>");
    return buf_take(&b);
}

/* The zone that an earlier attempt of this very step made, if its answer was lost; "" else. */
static int zone_by_reference(const struct plan_call *c, const char *name, char ret[64], struct err *err)
{
    struct aws_client *client = aws_phase_client(c, AWS_INSPECT, err);
    autojson json_t *zones = NULL;
    size_t i;
    json_t *z;
    ret[0] = 0;
    int r = client ? aws_zones_named(client, name, &zones, err) : -EACCES;
    json_array_foreach(zones, i, z)
    {
        if (!strncmp(js_text_at(z, "CallerReference"), c->token, strlen(c->token)))
            snprintf(ret, 64, "%s", js_text_at(z, "Id"));
    }
    return r;
}

static int zone_make(const struct plan_call *c, const char *name, const char *reference, char ret[64], struct err *err)
{
    autojson json_t *answer = NULL;
    autobuf struct buf body = BUF_INIT;
    buf_adds(&body, "<CreateHostedZoneRequest xmlns=\"https://route53.amazonaws.com/doc/2013-04-01/\"><Name>");
    aws_xml_escape(&body, name);
    buf_printf(&body, "</Name><CallerReference>%s</CallerReference></CreateHostedZoneRequest>", reference);
    struct aws_request q = {.service = "route53",
                            .action = "CreateHostedZone",
                            .method = "POST",
                            .path = "/2013-04-01/hostedzone",
                            .body = body.data};
    int r = aws_do(c, AWS_PROVISION, &q, &answer, err);
    snprintf(ret, 64, "%s", bare(js_text_at(json_object_get(answer, "HostedZone"), "Id")));
    return r;
}

/* Its tags are a second call: a zone without them is known by the reference that carries this step's token. */
static int zone_create(const struct plan_call *c, const json_t *want, json_t **ret, struct err *err)
{
    const char *name = js_text_at(want, "name");
    char id[64];
    int r = zone_by_reference(c, name, id, err);
    if (r == 0 && !*id) {
        /* A reference is never taken twice, not even after its zone is gone. */
        autofree char *reference = mem_printf("%s-%lld", c->token, (long long)clock_wall_ms(&clock_system) / 1000);
        r = zone_make(c, name, reference, id, err);
    }
    if (r < 0)
        return r;
    autofree char *path = mem_printf("/2013-04-01/tags/hostedzone/%s", id), *tags = zone_tags(c, want);
    r = r53(c, AWS_PROVISION, "ChangeTagsForResource", "POST", path, tags, NULL, err);
    if (r == 0)
        r = zone_look(c, name, ret, err);
    return r == 0 && !*ret ? err_set(err, -EAGAIN, "Route 53 does not show the zone %s yet", name) : r;
}

/* A zone goes only empty; what is in it beside its own NS and SOA is ours or was put there by the cluster's DNS. */
static int zone_empty(const struct plan_call *c, const char *id, struct err *err)
{
    autojson json_t *answer = NULL;
    autobuf struct buf b = BUF_INIT;
    autofree char *list = mem_printf("/2013-04-01/hostedzone/%s/rrset", id),
                  *path OH_CLEANUP(oh_freep) = mem_printf("%s/", list);
    size_t i, k, n = 0;
    json_t *set, *one;
    int r = r53(c, AWS_REMOVE, "ListResourceRecordSets", "GET", list, NULL, &answer, err);
    if (r < 0)
        return aws_absent_is_fine(r, err);
    autojson json_t *sets = aws_xml_list(answer, "ResourceRecordSets", "ResourceRecordSet");
    buf_adds(&b, "<ChangeResourceRecordSetsRequest "
                 "xmlns=\"https://route53.amazonaws.com/doc/2013-04-01/\"><ChangeBatch><Changes>");
    json_array_foreach(sets, i, set)
    {
        autojson json_t *records = aws_xml_list(set, "ResourceRecords", "ResourceRecord");
        if (!strcmp(js_text_at(set, "Type"), "NS") || !strcmp(js_text_at(set, "Type"), "SOA"))
            continue;
        buf_adds(&b, "<Change><Action>DELETE</Action><ResourceRecordSet><Name>");
        aws_xml_escape(&b, js_text_at(set, "Name"));
        buf_printf(&b, "</Name><Type>%s</Type><TTL>%d</TTL><ResourceRecords>", js_text_at(set, "Type"),
                   atoi(js_text_at(set, "TTL")));
        json_array_foreach(records, k, one)
        {
            buf_adds(&b, "<ResourceRecord><Value>");
            aws_xml_escape(&b, js_text_at(one, "Value"));
            buf_adds(&b, "</Value></ResourceRecord>");
        }
        buf_adds(&b, "</ResourceRecords></ResourceRecordSet></Change>");
        n++;
    }
    buf_adds(&b, "</Changes></ChangeBatch></ChangeResourceRecordSetsRequest>");
    return n ? r53(c, AWS_REMOVE, "ChangeResourceRecordSets", "POST", path, b.data, NULL, err) : 0;
}

static int zone_destroy(const struct plan_call *c, const json_t *have, struct err *err)
{
    autofree char *path = mem_printf("/2013-04-01/hostedzone/%s", js_text_at(have, "id"));
    int r = zone_empty(c, js_text_at(have, "id"), err);
    return r < 0 ? r : aws_absent_is_fine(r53(c, AWS_REMOVE, "DeleteHostedZone", "DELETE", path, NULL, NULL, err), err);
}

static const struct plan_attribute zone_attributes[] = {
    {"name", PLAN_REPLACE}, {"id", PLAN_COMPUTED}, {"name_servers", PLAN_COMPUTED}, {NULL, 0}};
const struct plan_type aws_hosted_zone_type = {.name = "aws_hosted_zone",
                                               .settle_ms = AWS_SETTLE_MS,
                                               .attributes = zone_attributes,
                                               .observe = zone_observe,
                                               .create = zone_create,
                                               .destroy = zone_destroy};

/* --- record --- */

static int record_look(const struct plan_call *c, const json_t *where, json_t **ret, struct err *err)
{
    const char *zone = js_text_at(where, "zone"), *name = js_text_at(where, "name"), *type = js_text_at(where, "type");
    autojson json_t *answer = NULL, *query OH_CLEANUP(js_decrefp) =
                                        json_pack("{s:s, s:s, s:s}", "name", name, "type", type, "maxitems", "1");
    autofree char *path = mem_printf("/2013-04-01/hostedzone/%s/rrset", zone),
                  *full OH_CLEANUP(oh_freep) = mem_printf("%s.", name);
    *ret = NULL;
    if (!*zone || !*name)
        return 0;
    struct aws_request q = {
        .service = "route53", .action = "ListResourceRecordSets", .method = "GET", .path = path, .query = query};
    int r = aws_do(c, AWS_INSPECT, &q, &answer, err);
    if (r < 0)
        return aws_absent_is_fine(r, err);
    autojson json_t *sets = aws_xml_list(answer, "ResourceRecordSets", "ResourceRecordSet");
    const json_t *set = json_array_get(sets, 0);
    if (!set || strcmp(js_text_at(set, "Name"), full) || strcmp(js_text_at(set, "Type"), type))
        return 0;
    autojson json_t *records = aws_xml_list(set, "ResourceRecords", "ResourceRecord"),
                    *values OH_CLEANUP(js_decrefp) = json_array();
    size_t i;
    json_t *one;
    json_array_foreach(records, i, one) json_array_append(values, json_object_get(one, "Value"));
    *ret = json_pack("{s:s, s:s, s:s, s:i, s:o}", "zone", zone, "name", name, "type", type, "ttl",
                     atoi(js_text_at(set, "TTL")), "values", aws_sorted(values));
    return 0;
}

static int record_observe(const struct plan_call *c, json_t **ret, struct err *err)
{
    return record_look(c, c->remembered, ret, err);
}

static int record_do(const struct plan_call *c, enum aws_phase phase, const char *action, const json_t *what,
                     struct err *err)
{
    autobuf struct buf b = BUF_INIT;
    autofree char *path = mem_printf("/2013-04-01/hostedzone/%s/rrset/", js_text_at(what, "zone"));
    size_t i;
    json_t *v;
    buf_printf(&b,
               "<ChangeResourceRecordSetsRequest xmlns=\"https://route53.amazonaws.com/doc/2013-04-01/\"><ChangeBatch>"
               "<Changes><Change><Action>%s</Action><ResourceRecordSet><Name>",
               action);
    aws_xml_escape(&b, js_text_at(what, "name"));
    buf_printf(&b, "</Name><Type>%s</Type><TTL>%lld</TTL><ResourceRecords>", js_text_at(what, "type"),
               (long long)json_integer_value(json_object_get(what, "ttl")));
    json_array_foreach(json_object_get(what, "values"), i, v)
    {
        buf_adds(&b, "<ResourceRecord><Value>");
        aws_xml_escape(&b, json_string_value(v));
        buf_adds(&b, "</Value></ResourceRecord>");
    }
    buf_adds(
        &b,
        "</ResourceRecords></ResourceRecordSet></Change></Changes></ChangeBatch></ChangeResourceRecordSetsRequest>");
    return r53(c, phase, "ChangeResourceRecordSets", "POST", path, b.data, NULL, err);
}

static int record_create(const struct plan_call *c, const json_t *want, json_t **ret, struct err *err)
{
    int r = record_do(c, aws_service_phase(c, AWS_PROVISION), "UPSERT", want, err);
    if (r == 0)
        *ret = json_deep_copy(want);
    return r;
}

static int record_change(const struct plan_call *c, const json_t *have OH_UNUSED, const json_t *want, json_t **ret,
                         struct err *err)
{
    int r = record_do(c, AWS_OPERATE, "UPSERT", want, err);
    if (r == 0)
        *ret = json_deep_copy(want);
    return r;
}

static int record_destroy(const struct plan_call *c, const json_t *have, struct err *err)
{
    return aws_absent_is_fine(record_do(c, aws_service_phase(c, AWS_REMOVE), "DELETE", have, err), err);
}

static const struct plan_attribute record_attributes[] = {{"zone", PLAN_REPLACE}, {"name", PLAN_REPLACE},
                                                          {"type", PLAN_REPLACE}, {"ttl", 0},
                                                          {"values", PLAN_SET},   {NULL, 0}};
const struct plan_type aws_dns_record_type = {.name = "aws_dns_record",
                                              .attributes = record_attributes,
                                              .observe = record_observe,
                                              .create = record_create,
                                              .change = record_change,
                                              .destroy = record_destroy};
