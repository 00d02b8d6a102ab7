/* A zone at a server that takes transfers and updates signed with TSIG (Knot, BIND, PowerDNS, NSD's primaries ...). */
#include "agent/names/zone.h"
#include "net/dns_client.h"

struct zone_rfc2136 {
    struct zone zone;
    struct dns_server server;
    char *host;
    struct dns_key *key;
    struct dns_client *client; /* NULL: none, or the last one failed */
    int64_t used_ms;           /* monotonic */
};

#define IDLE_MS 2000 /* servers close connections that rest */

static struct zone_rfc2136 *of(struct zone *z)
{
    return CONTAINER_OF(z, struct zone_rfc2136, zone);
}

static int client(struct zone_rfc2136 *z, struct err *err)
{
    int64_t now = clock_mono_ms(&clock_system);
    if (z->client && now - z->used_ms > IDLE_MS)
        dns_client_close(TAKE_PTR(z->client));
    z->used_ms = now;
    return z->client ? 0 : dns_client_open(&z->server, &z->client, err);
}

/* A connection is kept only after a whole answer. */
static int after(struct zone_rfc2136 *z, int r)
{
    if (r < 0 && r != -EEXIST && r != -ENOENT)
        dns_client_close(TAKE_PTR(z->client));
    return r;
}

struct listing {
    const char *domain;
    struct zone_sets *into;
    struct err *err;
};

/* What is of another type or not readable as ours is left out: a change that it stands against is refused there. */
static int take(const unsigned char *m, size_t len, const struct dns_record *r, void *data)
{
    struct listing *l = data;
    char value[DNS_VALUE_TEXT];
    const char *type = dns_type_name(r->type);
    if (!type || !dns_name_within(r->name, l->domain))
        return 0;
    int n = dns_read_value(m, len, r, value);
    if (n == -EBADMSG)
        return err_set(l->err, n, "the record %s %s of the zone does not read as one", r->name, type);
    return zone_sets_add(l->into, r->name, type, r->ttl, n < 0 ? "(too long)" : value, l->err);
}

static int list(struct zone *z, const char *domain, struct zone_sets *ret, struct err *err)
{
    struct zone_rfc2136 *own = of(z);
    struct listing l = {domain, ret, err};
    int r = client(own, err);
    if (r == 0)
        r = after(own, dns_transfer(own->client, z->name, take, &l, err));
    if (r == 0)
        zone_sets_group(ret);
    return r;
}

/* RFC 2136, 2.4: class NONE: there must be no such set (type ANY: no such name); a record with class of the zone: the
 * set must be exactly this. */
static int must_be_free(struct dns_change *c, const char *name, unsigned type, struct err *err)
{
    c->n_prerequisites++;
    return dns_add_record(&c->prerequisites, name, type, DNS_NONE, 0, NULL, err);
}

static int must_be(struct dns_change *c, const struct zone_set *s, struct err *err)
{
    int r = 0;
    for (size_t i = 0; r == 0 && i < s->n; i++, c->n_prerequisites++)
        r = dns_add_record(&c->prerequisites, s->name, dns_type_of(s->type), DNS_IN, 0, s->values[i], err);
    return r;
}

static int drop(struct dns_change *c, const struct zone_set *s, struct err *err)
{
    c->n_updates++;
    return dns_add_record(&c->updates, s->name, dns_type_of(s->type), DNS_ANY, 0, NULL, err);
}

static int put(struct dns_change *c, const struct zone_set *s, struct err *err)
{
    int r = 0;
    for (size_t i = 0; r == 0 && i < s->n; i++, c->n_updates++)
        r = dns_add_record(&c->updates, s->name, dns_type_of(s->type), DNS_IN, (uint32_t)s->ttl, s->values[i], err);
    return r;
}

static int write_change(const struct zone_change *in, struct dns_change *c, struct err *err)
{
    const struct zone_set *set = in->want ? in->want : in->have;
    bool alias = in->want && !strcmp(in->want->type, "CNAME");
    int r = in->marked ? must_be(c, in->mark, err) : must_be_free(c, in->mark->name, DNS_TXT, err);
    if (r == 0 && in->have)
        r = must_be(c, in->have, err);
    else if (r == 0 && set)
        r = must_be_free(c, set->name, alias ? DNS_ANY_TYPE : dns_type_of(set->type), err);
    if (r == 0 && in->want && !alias)
        r = must_be_free(c, set->name, DNS_CNAME, err);
    if (r == 0 && in->have)
        r = drop(c, in->have, err);
    if (r == 0 && in->want)
        r = put(c, in->want, err);
    if (r == 0 && in->marked)
        r = drop(c, in->mark, err);
    return r == 0 && in->want ? put(c, in->mark, err) : r;
}

static int change(struct zone *z, const struct zone_change *in, bool settled OH_UNUSED, struct err *err)
{
    struct zone_rfc2136 *own = of(z);
    autodnschange struct dns_change c = {.zone = z->name};
    int r = write_change(in, &c, err);
    if (r == 0)
        r = client(own, err);
    return r == 0 ? after(own, dns_update(own->client, &c, err)) : r;
}

static void zone_free(struct zone *z)
{
    struct zone_rfc2136 *own = of(z);
    dns_client_close(own->client);
    dns_key_free(own->key);
    free(own->host);
    free(own);
}

static const struct zone_ops ops = {.list = list, .change = change, .free = zone_free};

int zone_rfc2136_open(const struct agent_config *c, const struct clock *clock, struct zone **ret, struct err *err)
{
    struct zone_rfc2136 *z = mem_alloc(sizeof(*z));
    z->zone = (struct zone){&ops, c->dns_zone};
    /* "host:port", "host", "[address]:port" */
    const char *colon = strrchr(c->dns_server, ':'), *close = strrchr(c->dns_server, ']');
    bool port = colon && (close ? colon > close : strchr(c->dns_server, ':') == colon);
    size_t len = port ? (size_t)(colon - c->dns_server) : strlen(c->dns_server);
    z->host =
        close ? mem_strndup(c->dns_server + 1, (size_t)(close - c->dns_server) - 1) : mem_strndup(c->dns_server, len);
    z->server = (struct dns_server){.host = z->host, .port = port ? atoi(colon + 1) : 53, .clock = clock};
    int r = dns_key_load(c->dns_key_file, &z->key, err);
    z->server.key = z->key;
    if (r < 0) {
        zone_free(&z->zone);
        return r;
    }
    *ret = &z->zone;
    return 0;
}
