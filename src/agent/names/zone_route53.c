/* A hosted zone of Route 53. Changes are batches that are carried out whole or not at all; a record set is replaced by
 * deleting it as it was read and putting it anew, so that a batch fails where somebody else was faster. */
#include "agent/names/zone.h"
#include "cloud/aws/client.h"
#include "cloud/aws/xml.h"
#include "net/dns_wire.h"

#define NAMESPACE "https://route53.amazonaws.com/doc/2013-04-01/"
#define PAGES_MAX 1000
#define SETTLE_MS 180000
#define SETTLE_LOOK_US 3000000

struct zone_route53 {
    struct zone zone;
    struct aws_client *client;
    char *id;
};

static struct zone_route53 *of(struct zone *z)
{
    return CONTAINER_OF(z, struct zone_route53, zone);
}

/* ---- reading ---- */

/* "\052.x.example." -> "*.x.example"; another escape stays, and is then no name of ours. */
static char *plain_name(const char *name)
{
    bool wild = !strncmp(name, "\\052", 4);
    char *out = mem_printf("%s%s", wild ? "*" : "", wild ? name + 4 : name);
    size_t n = strlen(out);
    if (n && out[n - 1] == '.')
        out[n - 1] = '\0';
    for (char *p = out; *p; p++)
        if (*p >= 'A' && *p <= 'Z')
            *p = (char)(*p + 32);
    return out;
}

/* "\"one\" \"two\"" -> onetwo; octal escapes are left as they stand: such a value is none of ours. */
static char *plain_text(const char *value)
{
    struct buf out = BUF_INIT;
    bool inside = false;
    for (; *value; value++) {
        if (*value == '"')
            inside = !inside;
        else if (inside && *value == '\\' && (value[1] == '"' || value[1] == '\\'))
            buf_addc(&out, *++value);
        else if (inside)
            buf_addc(&out, *value);
    }
    return buf_take(&out);
}

static int take_set(const json_t *set, const char *domain, struct zone_sets *into, struct err *err)
{
    autofree char *name = plain_name(js_text_at(set, "Name"));
    const char *type = js_text_at(set, "Type");
    int64_t ttl = strtoll(js_text_at(set, "TTL"), NULL, 10);
    int r = 0;
    size_t i;
    json_t *one;
    if (!dns_type_of(type) || !dns_name_within(name, domain))
        return 0;
    autojson json_t *records = aws_xml_list(set, "ResourceRecords", "ResourceRecord");
    if (!json_array_size(records) || json_object_get(set, "SetIdentifier"))
        return zone_sets_add(into, name, type, ttl, "(an alias or a set by policy)", err);
    json_array_foreach(records, i, one)
    {
        const char *value = js_text_at(one, "Value");
        autofree char *plain = !strcmp(type, "TXT")     ? plain_text(value)
                               : !strcmp(type, "CNAME") ? plain_name(value)
                                                        : mem_strdup(value);
        if (r == 0)
            r = zone_sets_add(into, name, type, ttl, plain, err);
    }
    return r;
}

static int page(struct zone_route53 *z, const json_t *from, json_t **ret, struct err *err)
{
    autofree char *path = mem_printf("/2013-04-01/hostedzone/%s/rrset", z->id);
    struct aws_request q = {
        .service = "route53", .action = "ListResourceRecordSets", .method = "GET", .path = path, .query = from};
    return aws_call(z->client, &q, ret, NULL, err);
}

/* Names come sorted by their labels from the right, so all of the domain stand together, behind the domain itself. */
static int list(struct zone *zone, const char *domain, struct zone_sets *ret, struct err *err)
{
    struct zone_route53 *z = of(zone);
    json_t *from = json_pack("{s:s}", "name", domain);
    int r = 0;
    bool more = true, outside = false;
    for (int i = 0; r == 0 && more && !outside; i++) {
        autojson json_t *answer = NULL, *sent OH_CLEANUP(js_decrefp) = TAKE_PTR(from);
        size_t k;
        json_t *set;
        r = i == PAGES_MAX ? err_set(err, -EMSGSIZE, "the hosted zone is too large") : page(z, sent, &answer, err);
        if (r < 0)
            break;
        autojson json_t *sets = aws_xml_list(answer, "ResourceRecordSets", "ResourceRecordSet");
        json_array_foreach(sets, k, set)
        {
            autofree char *name = plain_name(js_text_at(set, "Name"));
            outside = !dns_name_within(name, domain);
            if (r == 0)
                r = take_set(set, domain, ret, err);
        }
        more = !strcmp(js_text_at(answer, "IsTruncated"), "true");
        from = json_pack("{s:s, s:s}", "name", js_text_at(answer, "NextRecordName"), "type",
                         js_text_at(answer, "NextRecordType"));
        if (*js_text_at(answer, "NextRecordIdentifier"))
            json_object_set(from, "identifier", json_object_get(answer, "NextRecordIdentifier"));
    }
    json_decref(from);
    zone_sets_group(ret);
    return r;
}

/* ---- changing ---- */

static void add_change(struct buf *b, const char *action, const struct zone_set *s)
{
    buf_printf(b, "<Change><Action>%s</Action><ResourceRecordSet><Name>", action);
    aws_xml_escape(b, s->name);
    buf_printf(b, ".</Name><Type>%s</Type><TTL>%lld</TTL><ResourceRecords>", s->type, (long long)s->ttl);
    for (size_t i = 0; i < s->n; i++) {
        autofree char *value = !strcmp(s->type, "TXT") ? mem_printf("\"%s\"", s->values[i]) : mem_strdup(s->values[i]);
        buf_adds(b, "<ResourceRecord><Value>");
        aws_xml_escape(b, value);
        buf_adds(b, "</Value></ResourceRecord>");
    }
    buf_adds(b, "</ResourceRecords></ResourceRecordSet></Change>");
}

static int settle(struct zone_route53 *z, const char *change, struct err *err)
{
    autofree char *path = mem_printf("/2013-04-01/change/%s", change);
    int64_t deadline = clock_mono_ms(&clock_system) + SETTLE_MS;
    for (;;) {
        autojson json_t *answer = NULL;
        struct aws_request q = {.service = "route53", .action = "GetChange", .method = "GET", .path = path};
        int r = aws_call(z->client, &q, &answer, NULL, err);
        if (r < 0 || !strcmp(js_text_at(json_object_get(answer, "ChangeInfo"), "Status"), "INSYNC"))
            return r;
        if (clock_mono_ms(&clock_system) > deadline)
            return err_set(err, -ETIMEDOUT, "Route 53 has not brought the change to all its servers within 3 minutes");
        usleep(SETTLE_LOOK_US);
    }
}

static int change(struct zone *zone, const struct zone_change *c, bool settled, struct err *err)
{
    struct zone_route53 *z = of(zone);
    autojson json_t *answer = NULL;
    autobuf struct buf b = BUF_INIT;
    autofree char *path = mem_printf("/2013-04-01/hostedzone/%s/rrset/", z->id);
    buf_adds(&b, "<ChangeResourceRecordSetsRequest xmlns=\"" NAMESPACE "\"><ChangeBatch><Changes>");
    if (c->marked)
        add_change(&b, "DELETE", c->mark);
    if (c->have)
        add_change(&b, "DELETE", c->have);
    if (c->want)
        add_change(&b, c->have ? "UPSERT" : "CREATE", c->want);
    if (c->want)
        add_change(&b, c->marked ? "UPSERT" : "CREATE", c->mark);
    buf_adds(&b, "</Changes></ChangeBatch></ChangeResourceRecordSetsRequest>");
    struct aws_request q = {
        .service = "route53", .action = "ChangeResourceRecordSets", .method = "POST", .path = path, .body = b.data};
    int r = aws_call(z->client, &q, &answer, NULL, err);
    if (r < 0 || !settled)
        return r;
    const char *id = js_text_at(json_object_get(answer, "ChangeInfo"), "Id"), *slash = strrchr(id, '/');
    return settle(z, slash ? slash + 1 : id, err);
}

static void zone_free(struct zone *zone)
{
    struct zone_route53 *z = of(zone);
    aws_client_free(z->client);
    free(z->id);
    free(z);
}

static const struct zone_ops ops = {.list = list, .change = change, .free = zone_free};

int zone_route53_open(const struct agent_config *c, const struct clock *clock, struct zone **ret, struct err *err)
{
    struct aws_config config = {.region = "us-east-1", .clock = clock};
    autojson json_t *endpoints = *c->dns_endpoint ? json_pack("{s:s}", "route53", c->dns_endpoint) : NULL;
    config.endpoints = endpoints;
    aws_source_environment(&config.source);
    struct zone_route53 *z = mem_alloc(sizeof(*z));
    z->zone = (struct zone){&ops, c->dns_zone};
    z->id = mem_strdup(c->dns_zone_id);
    z->client = aws_client_new(&config);
    *ret = &z->zone;
    return z->client ? 0 : err_set(err, -EINVAL, "no client for Route 53 could be made");
}
