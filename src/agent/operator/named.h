/* Between the operator and the names role (agent/names/names.h): what is wanted goes down as a file, what came of it
 * comes back as two. The names role runs foreign programs and talks to foreign servers, so what it leaves is read as a
 * stranger's: bounded, checked, and passed on word by word only where it is ours.
 *
 * And the watch over the certificate that the ingress shows, whoever issued it. */
#pragma once

#include "agent/names/acme.h"
#include "base/js.h"
#include "blueprint/blueprint.h"

struct named;
/* Folders of the two sides; both NULL: nobody keeps names here. `acme`: certificates are to come from there. */
struct named *named_new(const char *wanted_dir, const char *names_dir, bool acme);
void named_free(struct named *n); /* NULL is fine; secrets are wiped */

/* Writes what is wanted, if it has changed: `targets` are addresses or one name, separated by blanks, "" = none yet. */
OH_MUST_CHECK int named_want(struct named *n, const char *infrastructure, const struct desired *d, const char *targets,
                             struct err *err);

/* Looks at what is there. True: named_pem() has another answer than before. */
bool named_look(struct named *n, const char *domain, int64_t now_ms);
/* The certificate by ACME while it is valid; NULL: there is none. Secret. */
const char *named_pem(const struct named *n);

/* How a certificate stands: "ok"; "late": less than a sixth of its life is left, so renewals have failed for long;
 * "expired"; "clock": it begins in the future, so the clock is wrong. Pure. */
const char *named_certificate_state(int64_t not_before_ms, int64_t not_after_ms, int64_t now_ms);

/* For `observed` (api/link.md): {"state","records","conflicts","error"}; NULL where nobody keeps names. */
json_t *named_dns(const struct named *n);
/* {"source","state","notAfterMs","error"}; `own_*`: of the own authority's certificate, which is shown without another.
 */
json_t *named_certificate(const struct named *n, int64_t own_not_before_ms, int64_t own_not_after_ms, int64_t now_ms);
