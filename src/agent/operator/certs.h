/* Certificates of the data plane: its own authority, and the one certificate that the ingress shows.
 *
 * The authority is made at the first start and lives 10 years; its key never leaves the state folder. The ingress's
 * certificate lives 30 days and is made anew at two thirds of them, when the names change, when the authority changes,
 * and when the clock says that it is not valid yet. The authority itself is replaced 60 days before its end: clients
 * then have to take the new one, which `observed` carries. RFC 5280. */
#pragma once

#include "base/err.h"

#define CERTS_CA_DAYS 3650
#define CERTS_CA_RENEW_DAYS 60
#define CERTS_LEAF_DAYS 30
#define CERTS_BACKDATE_MS (INT64_C(3600) * 1000) /* clients' clocks may be behind ours */

struct certs;

/* Loads the authority from `state_dir`, or makes it. -EACCES, -EINVAL, -EIO: it is there and cannot be used; it is
 * never replaced for that. */
OH_MUST_CHECK int certs_open(const char *state_dir, int64_t now_ms, struct certs **ret, struct err *err);
void certs_free(struct certs *c); /* NULL is fine; secrets are wiped */

/* Brings the certificate to these names (lists end with NULL; one name at least) and to the time. *ret_changed: there
 * is a new one, already on disk. After a failure the one of before stands. */
OH_MUST_CHECK int certs_update(struct certs *c, const char *const *dns, const char *const *ip, int64_t now_ms,
                               bool *ret_changed, struct err *err);

const char *certs_ca_pem(const struct certs *c);
/* Certificate, authority, key: what HAProxy reads. NULL before the first certs_update(). Secret. */
const char *certs_bundle(const struct certs *c);
/* Wall time at which certs_update() has something to do, if the names stay. */
int64_t certs_renew_ms(const struct certs *c);
/* Of the certificate in use. */
int64_t certs_from_ms(const struct certs *c);
int64_t certs_until_ms(const struct certs *c);

static inline void certs_freep(struct certs **c)
{
    certs_free(*c);
}
#define autocerts OH_CLEANUP(certs_freep)
