/* Decides who leads. */
#include "runtime/kubernetes/lease.h"

static enum kube_lease_do ask(struct kube_lease *l, int64_t now_ms, enum kube_lease_do what)
{
    l->asked = true;
    l->asked_ms = now_ms;
    return what;
}

static bool may_take(const struct kube_lease *l, int64_t now_ms)
{
    return !*l->holder || !strcmp(l->holder, l->self) || now_ms - l->seen_ms > l->lasts_ms;
}

enum kube_lease_do kube_lease_next(struct kube_lease *l, int64_t now_ms, int64_t *ret_due_ms)
{
    if (l->leading && now_ms - l->renewed_ms >= KUBE_LEASE_GIVE_UP_MS)
        l->leading = false;
    *ret_due_ms = l->leading ? MIN(l->due_ms, l->renewed_ms + KUBE_LEASE_GIVE_UP_MS) : l->due_ms;
    if (l->asked || now_ms < l->due_ms) {
        *ret_due_ms = MAX(*ret_due_ms, now_ms + 1);
        return KUBE_LEASE_WAIT;
    }
    if (!l->known)
        return ask(l, now_ms, KUBE_LEASE_READ);
    if (l->absent)
        return ask(l, now_ms, KUBE_LEASE_CREATE);
    if (l->leading || may_take(l, now_ms))
        return ask(l, now_ms, KUBE_LEASE_UPDATE);
    return ask(l, now_ms, KUBE_LEASE_READ);
}

void kube_lease_seen(struct kube_lease *l, int64_t now_ms, const char *holder, const char *version, int64_t lasts_ms,
                     int transitions)
{
    if (!l->known || l->absent || strcmp(l->version, version))
        l->seen_ms = now_ms;
    l->asked = false;
    l->known = true;
    l->absent = false;
    l->lasts_ms = lasts_ms;
    l->transitions = transitions;
    snprintf(l->holder, sizeof(l->holder), "%s", holder);
    snprintf(l->version, sizeof(l->version), "%s", version);
    if (strcmp(l->holder, l->self))
        l->leading = false;
    l->due_ms = may_take(l, now_ms) ? now_ms : now_ms + KUBE_LEASE_RETRY_MS;
}

void kube_lease_missing(struct kube_lease *l, int64_t now_ms)
{
    l->asked = false;
    l->known = l->absent = true;
    l->leading = false;
    *l->holder = '\0';
    l->transitions = 0;
    l->due_ms = now_ms;
}

void kube_lease_written(struct kube_lease *l, const char *version)
{
    l->asked = false;
    l->known = true;
    l->absent = false;
    l->leading = true;
    l->transitions += strcmp(l->holder, l->self) != 0; /* as it was written */
    snprintf(l->holder, sizeof(l->holder), "%s", l->self);
    snprintf(l->version, sizeof(l->version), "%s", version);
    /* Counted from before the request: the server may have taken it then. */
    l->renewed_ms = l->seen_ms = l->asked_ms;
    l->due_ms = l->asked_ms + KUBE_LEASE_RENEW_MS;
}

void kube_lease_failed(struct kube_lease *l, int64_t now_ms, bool conflict)
{
    l->asked = false;
    l->known = l->known && !conflict; /* somebody wrote: read again */
    l->due_ms = now_ms + (conflict ? 0 : KUBE_LEASE_RETRY_MS);
}
