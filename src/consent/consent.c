/* Decides whether a request may be carried out. */
#include "consent/consent.h"

#include <stdarg.h>

static void say(struct consent_verdict *v, enum consent_state state, const char *fmt, ...) OH_PRINTF(3, 4);

static void say(struct consent_verdict *v, enum consent_state state, const char *fmt, ...)
{
    va_list ap;
    v->state = state;
    va_start(ap, fmt);
    vsnprintf(v->why, sizeof(v->why), fmt, ap);
    va_end(ap);
}

/* What no signature can mend. */
static bool refused(const struct consent_input *in, struct consent_verdict *v)
{
    const struct consent_request *q = in->request;
    int64_t longest = (int64_t)in->policy->max_hours * 3600000;
    if (strcmp(q->infrastructure, in->infrastructure))
        say(v, CONSENT_REFUSED, "the request is for infrastructure %s, not for this one", q->infrastructure);
    else if (in->used)
        say(v, CONSENT_REFUSED, "the request was carried out before: a request is good for one time");
    else if (q->created_ms > in->now_ms + CONSENT_SKEW_MS)
        say(v, CONSENT_REFUSED, "the request is from the future: one of the clocks is wrong by %lld s",
            (long long)((q->created_ms - in->now_ms) / 1000));
    else if (q->not_after_ms <= in->now_ms)
        say(v, CONSENT_REFUSED, "the request has expired");
    else if (q->not_after_ms - q->created_ms > longest)
        say(v, CONSENT_REFUSED, "the request lives longer than the %d h of the policy", in->policy->max_hours);
    else if (*q->state && in->state && strcmp(q->state, in->state))
        say(v, CONSENT_REFUSED, "the state is no longer the one that the request was made from: ask anew");
    else
        return false;
    return true;
}

/* The most that any of the operations asks for. False: one is denied for ever. */
static bool add_up(const struct consent_input *in, struct consent_verdict *v)
{
    for (size_t i = 0; i < in->request->n_operations; i++) {
        const struct policy_need *n = policy_need(in->policy, in->request->operations[i]);
        if (n->denied) {
            say(v, CONSENT_REFUSED, "the policy denies %s for ever", in->request->operations[i]->name);
            return false;
        }
        v->need_customer = MAX(v->need_customer, n->customer);
        v->need_vendor = MAX(v->need_vendor, n->vendor);
        if (in->request->operations[i]->class == OPERATION_TRUST)
            v->need_customer = MAX(v->need_customer, in->policy->quorum);
    }
    return true;
}

static bool counts(const struct consent_input *in, const struct approval *a)
{
    return !strcmp(a->request, in->request->id) && !strcmp(a->digest, in->request->digest) &&
           !strcmp(a->infrastructure, in->request->infrastructure) && a->not_after_ms > in->now_ms;
}

static void add_signer(struct consent_verdict *v, const struct policy_key *k)
{
    snprintf(v->signers[v->n_signers++], POLICY_NAME_MAX + 1, "%s", k->name);
}

/* How many of the vendor's signatures that count this approval's signer had seen. */
static int seen(const struct approval *a, const char (*digests)[65], int n)
{
    int found = 0;
    for (int i = 0; i < n; i++)
        for (size_t k = 0; k < a->n_seen; k++)
            if (!strcmp(a->seen[k], digests[i])) {
                found++;
                break;
            }
    return found;
}

static bool count_signatures(const struct consent_input *in, struct consent_verdict *v)
{
    const struct policy *p = in->policy;
    bool customer[POLICY_MAX_KEYS] = {false}, vendor[POLICY_MAX_KEYS] = {false};
    char vendor_digests[POLICY_MAX_KEYS][65];
    for (size_t i = 0; i < in->n_approvals; i++) {
        const struct approval *a = &in->approvals[i];
        int c = policy_key_find(p->approvers, p->n_approvers, a->by),
            s = policy_key_find(p->vendors, p->n_vendors, a->by);
        if (!counts(in, a) || (c < 0 && s < 0))
            continue;
        if (a->deny) {
            say(v, CONSENT_REFUSED, "%s has denied it", c >= 0 ? p->approvers[c].name : p->vendors[s].name);
            return false;
        }
        if (s >= 0 && !vendor[s]) {
            vendor[s] = true;
            memcpy(vendor_digests[v->have_vendor++], a->signature_digest, 65);
            add_signer(v, &p->vendors[s]);
        }
    }
    for (size_t i = 0; i < in->n_approvals; i++) {
        const struct approval *a = &in->approvals[i];
        int c = policy_key_find(p->approvers, p->n_approvers, a->by);
        /* The customer decides last: who signed before the vendor had is asked again. */
        if (!counts(in, a) || c < 0 || customer[c] ||
            seen(a, (const char(*)[65])vendor_digests, v->have_vendor) < v->need_vendor)
            continue;
        customer[c] = true;
        v->have_customer++;
        add_signer(v, &p->approvers[c]);
    }
    return true;
}

/* Whether the named pre-approval stands in for the customer's signatures; the sentence says why not. */
static bool preapproved(const struct consent_input *in, const struct consent_verdict *v, char why[200])
{
    const struct preapproval *t = in->preapproval;
    const struct consent_request *q = in->request;
    int signers = 0, vendors = 0;
    bool seen_vendor[POLICY_MAX_KEYS] = {false}, device = false;
    *why = '\0';
    if (!*q->preapproval)
        return false;
    snprintf(why, 200, "the pre-approval %s is not known here", q->preapproval);
    if (!t || strcmp(t->id, q->preapproval) || strcmp(t->infrastructure, in->infrastructure))
        return false;
    for (size_t i = 0; i < t->n_signers; i++)
        signers += policy_key_find(in->policy->approvers, in->policy->n_approvers, t->signers[i].by) >= 0;
    for (size_t i = 0; i < t->n_devices; i++)
        device |= q->has_device_key && bytes_equal(t->devices[i], q->device_key, ED25519_PUBLIC_SIZE);
    for (size_t i = 0; i < in->n_approvals; i++)
        for (size_t k = 0; k < t->n_vendors; k++)
            if (counts(in, &in->approvals[i]) && !seen_vendor[k] &&
                bytes_equal(t->vendors[k], in->approvals[i].by, ED25519_PUBLIC_SIZE)) {
                seen_vendor[k] = true;
                vendors++;
            }
    for (size_t i = 0; i < q->n_operations; i++)
        if (!(t->operations >> (q->operations[i] - operations) & 1)) {
            snprintf(why, 200, "the pre-approval does not cover %s", q->operations[i]->name);
            return false;
        }
    if (signers < v->need_customer)
        snprintf(why, 200, "the pre-approval has %d of %d customer signatures", signers, v->need_customer);
    else if (in->now_ms < t->not_before_ms || in->now_ms >= t->not_after_ms)
        snprintf(why, 200, "the pre-approval does not hold at this time");
    else if (in->preapproval_used >= t->count)
        snprintf(why, 200, "the pre-approval was used %lld times, which is all", (long long)t->count);
    else if (t->severity && (q->severity == 0 || q->severity > t->severity))
        snprintf(why, 200, "the pre-approval is for severity %d or worse", t->severity);
    else if (q->minutes == 0 || q->minutes > t->minutes)
        snprintf(why, 200, "the pre-approval is for at most %d minutes", t->minutes);
    else if (!device)
        snprintf(why, 200, "the pre-approval does not name the engineer's device key");
    else if (vendors < t->vendor_signatures)
        snprintf(why, 200, "the pre-approval waits for %d of %d vendor signatures", t->vendor_signatures - vendors,
                 t->vendor_signatures);
    else
        return true;
    return false;
}

void consent_check(const struct consent_input *in, struct consent_verdict *ret)
{
    struct consent_verdict v = {.state = CONSENT_ALLOWED};
    char why[200] = "";
    if (!refused(in, &v) && add_up(in, &v) && count_signatures(in, &v)) {
        v.by_preapproval = v.have_customer < v.need_customer && preapproved(in, &v, why);
        if (v.have_vendor < v.need_vendor)
            say(&v, CONSENT_WAITING, "waits for %d of %d vendor signatures", v.need_vendor - v.have_vendor,
                v.need_vendor);
        else if (!v.by_preapproval && v.have_customer < v.need_customer)
            say(&v, CONSENT_WAITING, "waits for %d of %d customer signatures%s%s", v.need_customer - v.have_customer,
                v.need_customer, *why ? "; " : "", why);
        for (size_t i = 0; i < in->request->n_operations && v.state == CONSENT_ALLOWED; i++)
            if (!policy_may_now(in->policy, in->request->operations[i], in->now_ms, why))
                say(&v, CONSENT_WAITING, "%s", why);
    }
    *ret = v;
}

int consent_new_policy(const struct policy *now, const struct consent_request *r, struct policy **ret, struct err *err)
{
    autopolicy struct policy *p = NULL;
    const json_t *o = json_object_get(r->arguments, "policy");
    if (r->n_operations != 1 || strcmp(r->operations[0]->name, "policy.change") || !o)
        return err_set(err, -EINVAL, "the request is not one to change the policy");
    int code = policy_from_json(o, &p, err);
    if (code < 0)
        return code;
    if (p->version <= now->version)
        return err_set(err, -ESTALE, "the policy's version %lld is not above %lld, the one in force",
                       (long long)p->version, (long long)now->version);
    *ret = TAKE_PTR(p);
    return 0;
}
