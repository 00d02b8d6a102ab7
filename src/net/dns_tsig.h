/* Signed DNS messages: TSIG, RFC 8945, with HMAC-SHA256, -SHA384 or -SHA512 (the older ones are not offered).
 *
 * A key's file is one line "ALGORITHM:NAME:BASE64", as Knot's and BIND's tools take it with -y and from files, mode
 * 0600. Secrets are wiped and never part of a message. */
#pragma once

#include "net/dns_wire.h"

#define DNS_TSIG_FUDGE 300 /* seconds that the clocks may differ */
#define DNS_TSIG_MAC_MAX 64

struct dns_key;
/* -EINVAL with a sentence; blanks around the line are fine. */
OH_MUST_CHECK int dns_key_parse(const char *text, size_t len, struct dns_key **ret, struct err *err);
/* -EPERM: group or others may read the file; one of root's that only our own group may read is fine (a cluster's
 * Secret).
 */
OH_MUST_CHECK int dns_key_load(const char *path, struct dns_key **ret, struct err *err);
void dns_key_free(struct dns_key *k); /* NULL is fine */
static inline void dns_key_freep(struct dns_key **k)
{
    dns_key_free(*k);
}
#define autodnskey OH_CLEANUP(dns_key_freep)
const char *dns_key_name(const struct dns_key *k);

/* One exchange: the question's MAC, then that of each answer, make the next one's. Zero it first. */
struct dns_tsig {
    unsigned char mac[DNS_TSIG_MAC_MAX];
    size_t mac_len;
    bool answered;                    /* the first answer was checked: what follows is signed in short form */
    unsigned char *unsigned_messages; /* of a transfer, since the last signed one */
    size_t unsigned_len, unsigned_count;
};
void dns_tsig_clear(struct dns_tsig *t);

/* Signs the message in `m` (a head and its sections) and adds the TSIG record. */
void dns_tsig_sign(struct dns_tsig *t, const struct dns_key *k, int64_t now_ms, struct buf *m);

/* Checks one message of the answer. 0: its signature holds. 1: it bears none; of a transfer's later messages up to 99
 * in a row may come so (RFC 8945, 5.3.1), and hold only once a signed one follows. Otherwise -EACCES: the key is not
 * known there, the signature does not hold, the clocks differ, or there is none where there must be; -EBADMSG. */
OH_MUST_CHECK int dns_tsig_check(struct dns_tsig *t, const struct dns_key *k, int64_t now_ms, const unsigned char *m,
                                 size_t len, struct err *err);
