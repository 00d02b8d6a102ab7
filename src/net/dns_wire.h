/* DNS messages as bytes: what an update or a transfer needs, no more. Pure.
 *
 * Names are texts without the last dot, in lower case; a byte other than a letter, a digit, '-', '_' or '*' stands as
 * \DDD. RFC 1035 (messages), 2136 (updates), 3597 (unknown types are passed over). Everything read comes from a peer: a
 * function that reads fails with -EBADMSG at the first byte that does not fit, and never looks beyond `len`. */
#pragma once

#include "base/buf.h"
#include "base/err.h"

#define DNS_MESSAGE_MAX 65535
#define DNS_NAME_TEXT 1024  /* bytes of a name's text, with NUL */
#define DNS_VALUE_TEXT 2048 /* of a record's value: longer texts are not ours, and count as unknown */

enum dns_type {
    DNS_A = 1,
    DNS_CNAME = 5,
    DNS_SOA = 6,
    DNS_TXT = 16,
    DNS_AAAA = 28,
    DNS_TSIG = 250,
    DNS_AXFR = 252,
    DNS_ANY_TYPE = 255,
};
enum dns_class { DNS_IN = 1, DNS_NONE = 254, DNS_ANY = 255 };
enum dns_opcode { DNS_QUERY = 0, DNS_UPDATE = 5 };

struct dns_head {
    uint16_t id, flags, counts[4]; /* questions, answers, authority, additional (updates: zone, prerequisites, ...) */
};
static inline int dns_rcode(const struct dns_head *h)
{
    return h->flags & 15;
}
/* "NOERROR", "REFUSED" ...; a number in words for what has no name. */
const char *dns_rcode_name(int rcode);

struct dns_record {
    char name[DNS_NAME_TEXT];
    uint16_t type, class;
    uint32_t ttl;
    size_t start, data, len; /* in the message: the record's first byte, its data, bytes of it */
};

OH_MUST_CHECK int dns_read_head(const unsigned char *m, size_t len, struct dns_head *ret);
/* From *at on, which moves behind it. */
OH_MUST_CHECK int dns_read_name(const unsigned char *m, size_t len, size_t *at, char ret[DNS_NAME_TEXT]);
OH_MUST_CHECK int dns_read_question(const unsigned char *m, size_t len, size_t *at, char ret[DNS_NAME_TEXT],
                                    uint16_t *ret_type);
OH_MUST_CHECK int dns_read_record(const unsigned char *m, size_t len, size_t *at, struct dns_record *ret);
/* The value as text: an address, a CNAME's name, a TXT's strings put together (bytes beyond ASCII as \DDD). -ENOTSUP:
 * another type, or too long. */
OH_MUST_CHECK int dns_read_value(const unsigned char *m, size_t len, const struct dns_record *r,
                                 char ret[DNS_VALUE_TEXT]);

void dns_add16(struct buf *b, unsigned v);
void dns_add32(struct buf *b, uint32_t v);
void dns_add_head(struct buf *b, uint16_t id, enum dns_opcode opcode, const uint16_t counts[4]);
/* -EINVAL: no name (an empty or long label, a byte that is not allowed). Nothing is added then. */
OH_MUST_CHECK int dns_add_name(struct buf *b, const char *name, struct err *err);
OH_MUST_CHECK int dns_add_question(struct buf *b, const char *name, unsigned type, struct err *err);
/* A record; `value` as dns_read_value() gives it, NULL: no data. -EINVAL: the value is none of its type. */
OH_MUST_CHECK int dns_add_record(struct buf *b, const char *name, unsigned type, unsigned class, uint32_t ttl,
                                 const char *value, struct err *err);

/* DNS_A for "A" and so on; 0 for what is not kept here. */
unsigned dns_type_of(const char *name);
const char *dns_type_name(unsigned type); /* NULL for others */
/* 1..255 bytes, labels of 1..63 of [a-z0-9_-] (the first may be "*"). */
bool dns_name_valid(const char *name);
/* Whether `name` is `zone` or below it. */
bool dns_name_within(const char *name, const char *zone);
