/* Asks one authoritative DNS server, over TCP, signed with TSIG: transfers of a zone (RFC 5936) and updates of it
 * (RFC 2136). Blocking, for work threads and commands. The answers are a peer's: sizes, counts and times are bounded.
 */
#pragma once

#include "base/clock.h"
#include "net/dns_tsig.h"

#define DNS_ZONE_RECORDS_MAX 100000
#define DNS_ZONE_BYTES_MAX MIB(32)

struct dns_server {
    const char *host; /* name or address */
    int port;
    const struct dns_key *key;
    const struct clock *clock;
    int timeout_ms; /* of a connection, and of each message; 0 = 10 s */
};

/* A connection; it may be used for many questions, one after the other, until one fails. */
struct dns_client;
OH_MUST_CHECK int dns_client_open(const struct dns_server *server, struct dns_client **ret, struct err *err);
void dns_client_close(struct dns_client *c); /* NULL is fine */
static inline void dns_client_closep(struct dns_client **c)
{
    dns_client_close(*c);
}
#define autodns OH_CLEANUP(dns_client_closep)

/* Every record of the zone goes to `take`, whose non-zero result ends it. They may be believed only once this returns
 * 0: the last message's signature covers those before. -EACCES: refused, or the key is not accepted; -ENOENT: the
 * server has no such zone; -EMSGSIZE: over the limits; -ETIMEDOUT, -ECONNREFUSED, -EHOSTUNREACH, -EBADMSG, -EIO. */
OH_MUST_CHECK int dns_transfer(struct dns_client *c, const char *zone,
                               int (*take)(const unsigned char *message, size_t len, const struct dns_record *record,
                                           void *data),
                               void *data, struct err *err);

/* One update, all or nothing: prerequisites and updates as records of dns_add_record(). -EEXIST, -ENOENT: a
 * prerequisite does not hold (something is there, or is not); otherwise as dns_transfer(). */
struct dns_change {
    const char *zone;
    struct buf prerequisites, updates;
    uint16_t n_prerequisites, n_updates;
};
void dns_change_free(struct dns_change *c);
#define autodnschange OH_CLEANUP(dns_change_free)
OH_MUST_CHECK int dns_update(struct dns_client *c, const struct dns_change *change, struct err *err);
