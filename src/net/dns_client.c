/* Exchanges signed messages with a DNS server over one TCP connection. */
#include "net/dns_client.h"

#include "base/keys.h"
#include "base/mem.h"

#include <netdb.h>
#include <poll.h>
#include <sys/socket.h>

#define DEFAULT_TIMEOUT_MS 10000

struct dns_client {
    struct dns_server server;
    char *host;
    int fd;
    unsigned char *message; /* the last one read */
    size_t len;
};

void dns_change_free(struct dns_change *c)
{
    buf_free(&c->prerequisites);
    buf_free(&c->updates);
}

void dns_client_close(struct dns_client *c)
{
    if (!c)
        return;
    if (c->fd >= 0)
        close(c->fd);
    free(c->message);
    free(c->host);
    free(c);
}

static int trouble(const struct dns_client *c, int code, struct err *err)
{
    return err_set_errno(err, code, "DNS server %s port %d", c->host, c->server.port);
}

/* ---- bytes ---- */

static int wait_for(const struct dns_client *c, short events, int64_t deadline)
{
    struct pollfd p = {c->fd, events, 0};
    for (;;) {
        int64_t left = deadline - clock_mono_ms(&clock_system);
        if (left <= 0)
            return -ETIMEDOUT;
        int n = poll(&p, 1, (int)left);
        if (n > 0)
            return 0;
        if (n < 0 && errno != EINTR)
            return -errno;
    }
}

static int connect_to(struct dns_client *c, const struct addrinfo *to, int64_t deadline)
{
    int error = 0, r;
    socklen_t size = sizeof(error);
    c->fd = socket(to->ai_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (c->fd < 0)
        return -errno;
    if (connect(c->fd, to->ai_addr, to->ai_addrlen) == 0)
        return 0;
    r = errno == EINPROGRESS ? wait_for(c, POLLOUT, deadline) : -errno;
    if (r == 0 && getsockopt(c->fd, SOL_SOCKET, SO_ERROR, &error, &size) == 0)
        r = -error;
    if (r < 0) {
        close(c->fd);
        c->fd = -1;
    }
    return r;
}

int dns_client_open(const struct dns_server *server, struct dns_client **ret, struct err *err)
{
    struct addrinfo hints = {.ai_socktype = SOCK_STREAM}, *list = NULL;
    autodns struct dns_client *c = mem_alloc(sizeof(*c));
    char port[8];
    c->server = *server;
    c->server.timeout_ms = server->timeout_ms ? server->timeout_ms : DEFAULT_TIMEOUT_MS;
    c->host = mem_strdup(server->host);
    c->fd = -1;
    snprintf(port, sizeof(port), "%d", server->port);
    int found = getaddrinfo(server->host, port, &hints, &list);
    if (found)
        return err_set(err, -EHOSTUNREACH, "the DNS server's name %s: %s", server->host, gai_strerror(found));
    int r = -EHOSTUNREACH;
    for (const struct addrinfo *a = list; a && c->fd < 0; a = a->ai_next)
        r = connect_to(c, a, clock_mono_ms(&clock_system) + c->server.timeout_ms);
    freeaddrinfo(list);
    if (r < 0)
        return trouble(c, r, err);
    c->message = mem_alloc(DNS_MESSAGE_MAX);
    *ret = TAKE_PTR(c);
    return 0;
}

static int send_all(struct dns_client *c, const char *p, size_t len, int64_t deadline)
{
    while (len) {
        ssize_t n = send(c->fd, p, len, MSG_NOSIGNAL);
        if (n > 0) {
            p += n;
            len -= (size_t)n;
            continue;
        }
        int r = n < 0 && errno != EAGAIN && errno != EINTR ? -errno : wait_for(c, POLLOUT, deadline);
        if (r < 0)
            return r;
    }
    return 0;
}

static int read_all(struct dns_client *c, unsigned char *p, size_t len, int64_t deadline)
{
    while (len) {
        ssize_t n = recv(c->fd, p, len, 0);
        if (n > 0) {
            p += n;
            len -= (size_t)n;
            continue;
        }
        if (n == 0)
            return -ECONNRESET;
        int r = errno != EAGAIN && errno != EINTR ? -errno : wait_for(c, POLLIN, deadline);
        if (r < 0)
            return r;
    }
    return 0;
}

/* ---- messages ---- */

static int ask(struct dns_client *c, struct dns_tsig *t, struct buf *m, struct err *err)
{
    autobuf struct buf framed = BUF_INIT;
    dns_tsig_sign(t, c->server.key, clock_wall_ms(c->server.clock), m);
    if (m->len > DNS_MESSAGE_MAX)
        return err_set(err, -EMSGSIZE, "the message to the DNS server is too large");
    dns_add16(&framed, (unsigned)m->len);
    buf_add(&framed, m->data, m->len);
    int r = send_all(c, framed.data, framed.len, clock_mono_ms(&clock_system) + c->server.timeout_ms);
    return r < 0 ? trouble(c, r, err) : 0;
}

static int refusal(const struct dns_client *c, int rcode, struct err *err)
{
    static const int codes[] = {[1] = -EBADMSG, [2] = -EAGAIN, [3] = -ENOENT, [4] = -EACCES, [5] = -EACCES,
                                [6] = -EEXIST,  [7] = -EEXIST, [8] = -ENOENT, [9] = -EACCES, [10] = -EACCES};
    int code = (size_t)rcode < ARRAY_SIZE(codes) ? codes[rcode] : -EIO;
    return err_set(err, code, "DNS server %s port %d answers %s", c->host, c->server.port, dns_rcode_name(rcode));
}

/* The next message of the answer, its signature and code checked; *ret_signed: whether it bears one. */
static int next_message(struct dns_client *c, struct dns_tsig *t, uint16_t id, struct dns_head *ret, bool *ret_signed,
                        struct err *err)
{
    int64_t deadline = clock_mono_ms(&clock_system) + c->server.timeout_ms;
    unsigned char size[2];
    struct err why = ERR_INIT;
    int r = read_all(c, size, 2, deadline);
    c->len = (size_t)size[0] << 8 | size[1];
    if (r == 0)
        r = read_all(c, c->message, c->len, deadline);
    if (r < 0)
        return trouble(c, r, err);
    if (dns_read_head(c->message, c->len, ret) < 0 || ret->id != id || !(ret->flags & 0x8000))
        return err_set(err, -EBADMSG, "DNS server %s port %d: what came is no answer", c->host, c->server.port);
    r = dns_tsig_check(t, c->server.key, clock_wall_ms(c->server.clock), c->message, c->len, &why);
    /* A refusal without a signature is only a reason to fail, which anybody on the way can give anyhow. */
    if (r < 0 && dns_rcode(ret) && dns_rcode(ret) != 9)
        return refusal(c, dns_rcode(ret), err);
    if (r < 0)
        return err_set(err, r, "DNS server %s port %d: %s", c->host, c->server.port, why.message);
    *ret_signed = r == 0;
    return dns_rcode(ret) ? refusal(c, dns_rcode(ret), err) : 0;
}

struct transfer {
    size_t records, bytes;
    int ends; /* SOA records seen: the second is the end */
};

static int take_records(struct dns_client *c, const struct dns_head *h, const char *zone, struct transfer *t,
                        int (*take)(const unsigned char *, size_t, const struct dns_record *, void *), void *data,
                        struct err *err)
{
    struct dns_record r;
    size_t at = 12;
    uint16_t type;
    for (unsigned i = 0; i < h->counts[0]; i++)
        if (dns_read_question(c->message, c->len, &at, r.name, &type) < 0)
            return err_set(err, -EBADMSG, "the transfer of %s is no DNS message", zone);
    for (unsigned i = 0; i < h->counts[1]; i++) {
        if (dns_read_record(c->message, c->len, &at, &r) < 0 || (t->records == 0 && r.type != DNS_SOA) || t->ends > 1)
            return err_set(err, -EBADMSG, "the transfer of %s does not read as one", zone);
        t->ends += r.type == DNS_SOA && !strcmp(r.name, zone);
        if (++t->records > DNS_ZONE_RECORDS_MAX)
            return err_set(err, -EMSGSIZE, "the zone %s has more than %d records", zone, DNS_ZONE_RECORDS_MAX);
        int n = r.class == DNS_IN && r.type != DNS_SOA ? take(c->message, c->len, &r, data) : 0;
        if (n)
            return n;
    }
    t->bytes += c->len;
    return t->bytes > DNS_ZONE_BYTES_MAX ? err_set(err, -EMSGSIZE, "the zone %s is too large", zone) : 0;
}

int dns_transfer(struct dns_client *c, const char *zone,
                 int (*take)(const unsigned char *message, size_t len, const struct dns_record *record, void *data),
                 void *data, struct err *err)
{
    static const uint16_t counts[4] = {1, 0, 0, 0};
    autobuf struct buf m = BUF_INIT;
    struct dns_tsig tsig = {0};
    struct transfer t = {0};
    struct dns_head h;
    bool is_signed = false;
    uint16_t id = (uint16_t)random_below(65536);
    dns_add_head(&m, id, DNS_QUERY, counts);
    int r = dns_add_question(&m, zone, DNS_AXFR, err);
    if (r == 0)
        r = ask(c, &tsig, &m, err);
    while (r == 0 && t.ends < 2) {
        r = next_message(c, &tsig, id, &h, &is_signed, err);
        if (r == 0)
            r = take_records(c, &h, zone, &t, take, data, err);
    }
    if (r == 0 && !is_signed)
        r = err_set(err, -EACCES, "the end of the transfer of %s is not signed", zone);
    dns_tsig_clear(&tsig);
    return r == -EACCES || r == -ENOENT ? err_wrap(err, r, "transfer of the zone %s", zone) : r;
}

int dns_update(struct dns_client *c, const struct dns_change *change, struct err *err)
{
    uint16_t counts[4] = {1, change->n_prerequisites, change->n_updates, 0}, id = (uint16_t)random_below(65536);
    autobuf struct buf m = BUF_INIT;
    struct dns_tsig tsig = {0};
    struct dns_head h;
    bool is_signed = false;
    dns_add_head(&m, id, DNS_UPDATE, counts);
    int r = dns_add_question(&m, change->zone, DNS_SOA, err);
    if (r < 0)
        return r;
    buf_add(&m, change->prerequisites.data, change->prerequisites.len);
    buf_add(&m, change->updates.data, change->updates.len);
    if ((r = ask(c, &tsig, &m, err)) == 0)
        r = next_message(c, &tsig, id, &h, &is_signed, err);
    dns_tsig_clear(&tsig);
    return r;
}
