/* Leadership by a Lease object: at most one agent writes. Pure: times are handed in, answers are told.
 *
 * Times are monotonic; the clocks of machines are never compared. Whoever leads renews each KUBE_LEASE_RENEW_MS and
 * stops leading when it could not for KUBE_LEASE_GIVE_UP_MS. Another takes over when it has seen the lease unchanged
 * for the duration that the lease itself says. The scheme is the one of client-go's leader election. */
#pragma once

#include "base/util.h"

#define KUBE_LEASE_SECONDS 30
#define KUBE_LEASE_RENEW_MS 10000
#define KUBE_LEASE_GIVE_UP_MS 20000 /* less than KUBE_LEASE_SECONDS: we stop before another may begin */
#define KUBE_LEASE_RETRY_MS 3000

enum kube_lease_do { KUBE_LEASE_WAIT, KUBE_LEASE_READ, KUBE_LEASE_CREATE, KUBE_LEASE_UPDATE };

struct kube_lease {
    bool leading, asked;      /* asked: an answer is awaited */
    bool known, absent;       /* the last read stands; there is no lease */
    char holder[128];         /* of the last read, "" = nobody */
    char version[32];         /* resourceVersion of the last read or write */
    int64_t seen_ms;          /* since when it has that version */
    int64_t lasts_ms;         /* as it says itself */
    int64_t renewed_ms;       /* begin of our last write that succeeded */
    int64_t asked_ms, due_ms; /* begin of what is awaited; when to ask next */
    int transitions;
    const char *self;
};

/* What to do now; *ret_due_ms: when to look again at the latest. */
enum kube_lease_do kube_lease_next(struct kube_lease *l, int64_t now_ms, int64_t *ret_due_ms);
/* Answers. A read that failed (not: found nothing) is told by kube_lease_failed(). */
void kube_lease_seen(struct kube_lease *l, int64_t now_ms, const char *holder, const char *version, int64_t lasts_ms,
                     int transitions);
void kube_lease_missing(struct kube_lease *l, int64_t now_ms);
void kube_lease_written(struct kube_lease *l, const char *version);
void kube_lease_failed(struct kube_lease *l, int64_t now_ms, bool conflict);
