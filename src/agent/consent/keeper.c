/* Keeps policy, requests and approvals on the agent's disk, and remembers what was carried out. */
#include "agent/consent/keeper.h"

#include "base/fs.h"
#include "base/mem.h"

#define STATE_MAX MIB(16)
#define KEEP_MS (8 * 24 * 3600000LL) /* after a request's end: longer than any request may live */

struct keeper {
    char *dir, *policy_path, *infrastructure;
    const struct clock *clock;
    struct policy *policy;
    json_t *state; /* {"v","policyVersion","requests":{id:{...}},"approvals":[...],"preapprovals":{id:{...}}} */
};

static json_t *part(const struct keeper *k, const char *name)
{
    return json_object_get(k->state, name);
}

static int save(struct keeper *k, struct err *err)
{
    autofree char *path = mem_printf("%s/state.json", k->dir), *text = js_text(k->state);
    return fs_write_atomic(path, text, strlen(text), 0600, err);
}

/* ---- opening ---- */

static int load_state(struct keeper *k, struct err *err)
{
    autofree char *path = mem_printf("%s/state.json", k->dir), *text = NULL;
    size_t len = 0;
    if (!fs_exists(path)) {
        k->state =
            json_pack("{si si s{} s[] s{}}", "v", 1, "policyVersion", 0, "requests", "approvals", "preapprovals");
        return 0;
    }
    int r = fs_read(path, STATE_MAX, &text, &len, err);
    if (r == 0)
        r = js_parse(text, len, STATE_MAX, &k->state, err);
    if (r == 0 && (!json_is_object(part(k, "requests")) || !json_is_array(part(k, "approvals")) ||
                   !json_is_object(part(k, "preapprovals")) || !json_is_integer(part(k, "policyVersion"))))
        r = err_set(err, -EINVAL, "a part is missing");
    return r < 0 ? err_wrap(err, r, "%s", path) : 0;
}

static int load_policy(struct keeper *k, struct err *err)
{
    const char *path = k->policy_path;
    autofree char *text = NULL;
    size_t len = 0;
    int64_t highest = json_integer_value(part(k, "policyVersion"));
    if (fs_exists(path)) {
        struct policy *later = NULL;
        int r = fs_read(path, POLICY_MAX_BYTES, &text, &len, err);
        if (r == 0)
            r = policy_parse(text, len, &later, err);
        if (r < 0)
            return err_wrap(err, r, "%s", path);
        policy_free(k->policy);
        k->policy = later;
    }
    if (k->policy->version < highest)
        return err_set(err, -ESTALE, "%s: the policy was rolled back: version %lld was in force, this is %lld", path,
                       (long long)highest, (long long)k->policy->version);
    if (k->policy->version == highest)
        return 0;
    json_object_set_new(k->state, "policyVersion", json_integer(k->policy->version));
    return save(k, err);
}

int keeper_open(const struct keeper_config *config, struct keeper **ret, struct err *err)
{
    struct keeper *k = mem_alloc(sizeof(*k));
    *k = (struct keeper){.dir = mem_strdup(config->dir),
                         .policy_path = mem_strdup(config->policy_path),
                         .infrastructure = mem_strdup(config->infrastructure),
                         .clock = config->clock,
                         .policy = config->first};
    int r = fs_mkdirs(k->dir, 0700, err);
    if (r == 0)
        r = load_state(k, err);
    if (r == 0)
        r = load_policy(k, err);
    if (r < 0)
        keeper_free(k);
    else
        *ret = k;
    return r;
}

void keeper_free(struct keeper *k)
{
    if (!k)
        return;
    policy_free(k->policy);
    json_decref(k->state);
    free(k->dir);
    free(k->policy_path);
    free(k->infrastructure);
    free(k);
}

const struct policy *keeper_policy(const struct keeper *k)
{
    return k->policy;
}

/* ---- taking ---- */

/* What has ended long ago goes; so the limits are of what is alive. */
static void forget_old(struct keeper *k)
{
    int64_t now = clock_wall_ms(k->clock);
    const char *id;
    json_t *entry;
    void *next;
    json_object_foreach_safe(part(k, "requests"), next, id, entry)
    {
        autorequest struct consent_request q = {0};
        if (request_from_json(json_object_get(entry, "request"), &q, NULL) < 0 || q.not_after_ms + KEEP_MS < now)
            json_object_del(part(k, "requests"), id);
    }
    json_t *approvals = part(k, "approvals");
    for (size_t i = json_array_size(approvals); i-- > 0;) {
        const char *request = json_string_value(json_object_get(json_array_get(approvals, i), "request"));
        if (!request || !json_object_get(part(k, "requests"), request))
            json_array_remove(approvals, i);
    }
}

static bool full(const struct keeper *k)
{
    const char *id;
    json_t *entry;
    size_t waiting = 0;
    json_object_foreach(part(k, "requests"), id, entry) waiting += !json_object_get(entry, "used");
    return waiting >= KEEPER_MAX_REQUESTS || json_object_size(part(k, "requests")) >= 20 * KEEPER_MAX_REQUESTS;
}

static bool add_request(struct keeper *k, const json_t *o, struct consent_request *ret)
{
    if (request_from_json(o, ret, NULL) < 0)
        return false;
    if (strcmp(ret->infrastructure, k->infrastructure) || json_object_get(part(k, "requests"), ret->id) ||
        ret->not_after_ms <= clock_wall_ms(k->clock) || full(k)) {
        request_free(ret);
        return false;
    }
    json_object_set_new(part(k, "requests"), ret->id, json_pack("{sO}", "request", o));
    return true;
}

static const char *signer_name(const struct keeper *k, const unsigned char key[ED25519_PUBLIC_SIZE])
{
    int c = policy_key_find(k->policy->approvers, k->policy->n_approvers, key),
        v = policy_key_find(k->policy->vendors, k->policy->n_vendors, key);
    return c >= 0 ? k->policy->approvers[c].name : v >= 0 ? k->policy->vendors[v].name : NULL;
}

static bool add_approval(struct keeper *k, const json_t *o, struct approval *ret, const char **ret_signer)
{
    json_t *list = part(k, "approvals");
    if (json_array_size(list) >= KEEPER_MAX_APPROVALS || approval_from_json(o, ret, NULL) < 0 ||
        !json_object_get(part(k, "requests"), ret->request) || !(*ret_signer = signer_name(k, ret->by)))
        return false;
    for (size_t i = 0; i < json_array_size(list); i++)
        if (json_equal(json_array_get(list, i), o))
            return false;
    json_array_append(list, (json_t *)(uintptr_t)o);
    return true;
}

static bool add_preapproval(struct keeper *k, const json_t *o)
{
    struct preapproval p;
    if (json_object_size(part(k, "preapprovals")) >= KEEPER_MAX_PREAPPROVALS ||
        preapproval_from_json(o, &p, NULL) < 0 || strcmp(p.infrastructure, k->infrastructure) ||
        json_object_get(part(k, "preapprovals"), p.id))
        return false;
    /* Only what a customer's key has signed takes up room. */
    for (size_t i = 0; i < p.n_signers; i++)
        if (policy_key_find(k->policy->approvers, k->policy->n_approvers, p.signers[i].by) >= 0) {
            json_object_set_new(part(k, "preapprovals"), p.id, json_pack("{sO si}", "document", o, "used", 0));
            return true;
        }
    return false;
}

int keeper_take(struct keeper *k, const json_t *message, const struct keeper_news *news, struct err *err)
{
    const json_t *requests = json_object_get(message, "requests"), *approvals = json_object_get(message, "approvals"),
                 *templates = json_object_get(message, "preapprovals");
    bool changed = false;
    forget_old(k);
    for (size_t i = 0; i < json_array_size(requests) && i < 2 * KEEPER_MAX_REQUESTS; i++) {
        autorequest struct consent_request q = {0};
        if (!add_request(k, json_array_get(requests, i), &q))
            continue;
        changed = true;
        if (news)
            news->on_request(&q, news->data);
    }
    for (size_t i = 0; i < json_array_size(approvals) && i < KEEPER_MAX_APPROVALS; i++) {
        struct approval a;
        const char *signer = NULL;
        if (!add_approval(k, json_array_get(approvals, i), &a, &signer))
            continue;
        changed = true;
        if (news)
            news->on_approval(&a, signer, news->data);
    }
    for (size_t i = 0; i < json_array_size(templates) && i < KEEPER_MAX_PREAPPROVALS; i++)
        changed |= add_preapproval(k, json_array_get(templates, i));
    return changed ? save(k, err) : 0;
}

int keeper_add(struct keeper *k, const json_t *request, struct err *err)
{
    autorequest struct consent_request q = {0};
    int r = request_from_json(request, &q, err);
    if (r < 0)
        return r;
    forget_old(k);
    json_object_set_new(part(k, "requests"), q.id, json_pack("{sO sb}", "request", request, "own", 1));
    return save(k, err);
}

/* ---- deciding ---- */

static json_t *entry_of(const struct keeper *k, const char *id)
{
    return json_object_get(part(k, "requests"), id);
}

size_t keeper_open_requests(const struct keeper *k, char (*ids)[UUID_SIZE], size_t n)
{
    const char *id;
    json_t *entry;
    size_t count = 0;
    json_object_foreach(part(k, "requests"), id, entry)
    {
        if (count < n && !json_object_get(entry, "used"))
            snprintf(ids[count++], UUID_SIZE, "%s", id);
    }
    return count;
}

static size_t load_approvals(const struct keeper *k, const char *id, struct approval *ret)
{
    json_t *list = part(k, "approvals");
    size_t n = 0;
    for (size_t i = 0; i < json_array_size(list) && n < CONSENT_MAX_APPROVALS; i++) {
        const char *request = json_string_value(json_object_get(json_array_get(list, i), "request"));
        if (request && !strcmp(request, id) && approval_from_json(json_array_get(list, i), &ret[n], NULL) == 0)
            n++;
    }
    return n;
}

int keeper_check(const struct keeper *k, const char *id, const char *state, struct consent_request *ret,
                 struct consent_verdict *ret_verdict, struct err *err)
{
    json_t *entry = entry_of(k, id), *template = NULL;
    struct preapproval t;
    autofree struct approval *approvals = mem_alloc(CONSENT_MAX_APPROVALS * sizeof(*approvals));
    if (!entry)
        return err_set(err, -ENOENT, "there is no request %s", id);
    int r = request_from_json(json_object_get(entry, "request"), ret, err);
    if (r < 0)
        return r;
    template = *ret->preapproval ? json_object_get(part(k, "preapprovals"), ret->preapproval) : NULL;
    bool known = template && preapproval_from_json(json_object_get(template, "document"), &t, NULL) == 0;
    struct consent_input in = {
        .policy = k->policy,
        .request = ret,
        .infrastructure = k->infrastructure,
        .approvals = approvals,
        .n_approvals = load_approvals(k, id, approvals),
        .preapproval = known ? &t : NULL,
        .preapproval_used = json_integer_value(json_object_get(template, "used")),
        .used = json_object_get(entry, "used") != NULL,
        .state = state,
        .now_ms = clock_wall_ms(k->clock),
    };
    consent_check(&in, ret_verdict);
    return 0;
}

int keeper_use(struct keeper *k, const struct consent_request *q, bool by_preapproval, struct err *err)
{
    json_t *entry = entry_of(k, q->id), *template = json_object_get(part(k, "preapprovals"), q->preapproval);
    char now[CLOCK_ISO_SIZE];
    if (!entry || json_object_get(entry, "used"))
        return err_set(err, -EALREADY, "the request %s was carried out before", q->id);
    clock_iso(clock_wall_ms(k->clock), now);
    json_object_set_new(entry, "used", json_string(now));
    json_object_set_new(entry, "outcome", json_string("running"));
    if (by_preapproval && template)
        json_object_set_new(template, "used", json_integer(json_integer_value(json_object_get(template, "used")) + 1));
    int r = save(k, err);
    /* What is not on the disk was not used up; it must not be done either. */
    if (r < 0) {
        json_object_del(entry, "used");
        json_object_del(entry, "outcome");
    }
    return r;
}

int keeper_result(struct keeper *k, const char *id, const char *outcome, const char *message, struct err *err)
{
    json_t *entry = entry_of(k, id), *text = json_string(message);
    if (!entry) {
        json_decref(text);
        return err_set(err, -ENOENT, "there is no request %s", id);
    }
    json_object_set_new(entry, "outcome", json_string(outcome));
    json_object_set_new(entry, "message", text ? text : json_string(""));
    return save(k, err);
}

int keeper_change_policy(struct keeper *k, const struct consent_request *q, struct err *err)
{
    const char *path = k->policy_path;
    struct policy *later = NULL;
    int r = consent_new_policy(k->policy, q, &later, err);
    if (r == 0)
        r = fs_write_atomic(path, later->canonical, strlen(later->canonical), 0600, err);
    if (r < 0) {
        policy_free(later);
        return r;
    }
    policy_free(k->policy);
    k->policy = later;
    json_object_set_new(k->state, "policyVersion", json_integer(later->version));
    return save(k, err);
}

/* ---- telling ---- */

json_t *keeper_evidence(const struct keeper *k, const char *id)
{
    json_t *entry = entry_of(k, id), *all = part(k, "approvals");
    autojson json_t *approvals = json_array();
    if (!entry)
        return NULL;
    for (size_t i = 0; i < json_array_size(all); i++) {
        const char *request = json_string_value(json_object_get(json_array_get(all, i), "request"));
        if (request && !strcmp(request, id))
            json_array_append(approvals, json_array_get(all, i));
    }
    const char *named = json_string_value(json_object_get(json_object_get(entry, "request"), "preapproval"));
    json_t *template = named ? json_object_get(part(k, "preapprovals"), named) : NULL;
    json_t *o = json_pack("{sO sO}", "request", json_object_get(entry, "request"), "approvals", approvals);
    if (template) {
        json_object_set(o, "preapproval", json_object_get(template, "document"));
        json_object_set(o, "preapprovalUsed", json_object_get(template, "used"));
    }
    return o;
}

static json_t *report_one(const struct keeper *k, const char *id, json_t *entry)
{
    static const char *const states[] = {"allowed", "waiting", "refused"};
    autorequest struct consent_request q = {0};
    struct consent_verdict v = {0};
    const char *outcome = json_string_value(json_object_get(entry, "outcome")),
               *message = json_string_value(json_object_get(entry, "message"));
    if (keeper_check(k, id, NULL, &q, &v, NULL) < 0)
        return NULL;
    json_t *o = json_pack("{ss ss ss si si si si}", "id", id, "state", outcome ? outcome : states[v.state], "why",
                          outcome ? (message ? message : "") : v.why, "needCustomer", v.need_customer, "haveCustomer",
                          v.have_customer, "needVendor", v.need_vendor, "haveVendor", v.have_vendor);
    if (json_object_get(entry, "own"))
        json_object_set(o, "request", json_object_get(entry, "request"));
    return o;
}

json_t *keeper_report(const struct keeper *k)
{
    json_t *list = json_array(), *entry;
    autojson json_t *policy = NULL;
    const char *id;
    json_object_foreach(part(k, "requests"), id, entry)
    {
        json_t *one = json_array_size(list) < 2 * KEEPER_MAX_REQUESTS ? report_one(k, id, entry) : NULL;
        if (one)
            json_array_append_new(list, one);
    }
    (void)!js_parse(k->policy->canonical, strlen(k->policy->canonical), POLICY_MAX_BYTES, &policy, NULL);
    return json_pack("{ss sO ss so}", "type", "consent-state", "policy", policy, "policyDigest", k->policy->digest,
                     "requests", list);
}
