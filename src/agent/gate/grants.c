/* Judges requests for access, and keeps what was opened and what was ended. */
#include "agent/gate/grants.h"

#include "base/fs.h"
#include "base/mem.h"
#include "consent/device.h"
#include "net/tls.h"

#define FILE_MAX MIB(4)
#define MINUTE_MS 60000
#define KEEP_MS (INT64_C(30) * 24 * 3600 * 1000)

const char *const gate_target_names[GATE_TARGETS] = {"clickhouse.diag", "clickhouse.querytext", "prometheus.read",
                                                     "cluster.view"};

/* What is kept of a grant on disk. */
struct record {
    char id[UUID_SIZE], boot[UUID_SIZE], preapproval[UUID_SIZE];
    int64_t opened_ms, ends_ms, opened_wall_ms;
    bool ended;
};

struct grants {
    struct grants_config config;
    char *path, *infrastructure, *pin, *boot_id;
    struct record *records;
    size_t n_records;
    struct grant *open;
    size_t n_open;
};

/* ---- the file ---- */

static int take_record(const json_t *o, struct record *r, struct err *err)
{
    static const char *const known[] = {"id", "boot", "preapproval", "opened", "ends", "wall", "ended", NULL};
    const char *id = NULL, *boot = NULL, *pre = NULL;
    int result = js_only(o, "", known, err);
    if (result == 0)
        result = js_string(o, "", "id", UUID_SIZE - 1, &id, err);
    if (result == 0)
        result = js_string(o, "", "boot", UUID_SIZE - 1, &boot, err);
    if (result == 0)
        result = js_string(o, "", "preapproval", UUID_SIZE - 1, &pre, err);
    if (result == 0)
        result = js_int(o, "", "opened", 0, INT64_MAX, &r->opened_ms, err);
    if (result == 0)
        result = js_int(o, "", "ends", 0, INT64_MAX, &r->ends_ms, err);
    if (result == 0)
        result = js_int(o, "", "wall", 0, INT64_MAX, &r->opened_wall_ms, err);
    if (result == 0)
        result = js_bool_opt(o, "", "ended", &r->ended, err);
    if (result < 0)
        return result;
    snprintf(r->id, sizeof(r->id), "%s", id);
    snprintf(r->boot, sizeof(r->boot), "%s", boot);
    snprintf(r->preapproval, sizeof(r->preapproval), "%s", pre);
    return 0;
}

static int load(struct grants *g, struct err *err)
{
    autofree char *text = NULL;
    autojson json_t *list = NULL;
    size_t len = 0;
    int r = fs_read(g->path, FILE_MAX, &text, &len, err);
    if (r == -ENOENT)
        return 0;
    if (r == 0)
        r = js_parse(text, len, FILE_MAX, &list, err);
    if (r == 0 && (!json_is_array(list) || json_array_size(list) > GRANTS_KEPT_MAX))
        r = err_set(err, -EINVAL, "must be a list");
    if (r == 0)
        g->records = mem_alloc((json_array_size(list) + 1) * sizeof(*g->records));
    for (size_t i = 0; r == 0 && i < json_array_size(list); i++)
        if ((r = take_record(json_array_get(list, i), &g->records[i], err)) == 0)
            g->n_records++;
    return r < 0 ? err_wrap(err, r, "%s", g->path) : 0;
}

static int save(const struct grants *g, struct err *err)
{
    autojson json_t *list = json_array();
    for (size_t i = 0; i < g->n_records; i++) {
        const struct record *r = &g->records[i];
        json_array_append_new(list, json_pack("{ss ss ss sI sI sI sb}", "id", r->id, "boot", r->boot, "preapproval",
                                              r->preapproval, "opened", (json_int_t)r->opened_ms, "ends",
                                              (json_int_t)r->ends_ms, "wall", (json_int_t)r->opened_wall_ms, "ended",
                                              (int)r->ended));
    }
    autofree char *text = js_text(list);
    return fs_write_atomic(g->path, text, strlen(text), 0600, err);
}

static struct record *find_record(const struct grants *g, const char *id)
{
    for (size_t i = 0; i < g->n_records; i++)
        if (!strcmp(g->records[i].id, id))
            return &g->records[i];
    return NULL;
}

/* No request lives longer than a week, so that what is a month old can never be opened again; what was revoked before
 * it was ever opened gives way too, or whoever sends revocations could fill the room. */
static struct record *add_record(struct grants *g, const char *id)
{
    struct record *r = find_record(g, id);
    int64_t now = clock_wall_ms(g->config.clock);
    if (r)
        return r;
    for (size_t i = 0; g->n_records >= GRANTS_KEPT_MAX && i < g->n_records; i++)
        if (g->records[i].ended && (!g->records[i].opened_ms || g->records[i].opened_wall_ms < now - KEEP_MS))
            g->records[i--] = g->records[--g->n_records];
    if (g->n_records >= GRANTS_KEPT_MAX)
        return NULL;
    g->records = mem_realloc(g->records, (g->n_records + 1) * sizeof(*g->records));
    r = &g->records[g->n_records++];
    *r = (struct record){.opened_wall_ms = now};
    snprintf(r->id, sizeof(r->id), "%s", id);
    snprintf(r->boot, sizeof(r->boot), "%s", g->boot_id);
    return r;
}

/* ---- life ---- */

int grants_new(const struct grants_config *config, struct grants **ret, struct err *err)
{
    struct grants *g = mem_alloc(sizeof(*g));
    g->config = *config;
    g->path = mem_printf("%s/grants.json", config->dir);
    g->infrastructure = mem_strdup(config->infrastructure);
    g->pin = mem_strdup(config->pin);
    g->boot_id = mem_strdup(config->boot_id);
    int r = load(g, err);
    if (r < 0) {
        grants_free(g);
        return r;
    }
    *ret = g;
    return 0;
}

void grant_free(struct grant *grant)
{
    if (!grant)
        return;
    json_decref(grant->papers);
    free(grant);
}

void grants_free(struct grants *g)
{
    if (!g)
        return;
    while (g->open)
        grants_drop(g, g->open);
    free(g->records);
    free(g->path);
    free(g->infrastructure);
    free(g->pin);
    free(g->boot_id);
    free(g);
}

struct grant *grants_first(const struct grants *g)
{
    return g->open;
}

struct grant *grants_find(const struct grants *g, const char *id)
{
    struct grant *grant = g->open;
    while (grant && strcmp(grant->id, id))
        grant = grant->next;
    return grant;
}

void grants_drop(struct grants *g, struct grant *grant)
{
    for (struct grant **at = &g->open; *at; at = &(*at)->next)
        if (*at == grant) {
            *at = grant->next;
            g->n_open--;
            grant_free(grant);
            return;
        }
}

bool grants_ended(const struct grants *g, const char *id)
{
    const struct record *r = find_record(g, id);
    return r && r->ended;
}

/* ---- the papers ---- */

struct papers {
    struct consent_request request;
    struct approval *approvals;
    size_t n_approvals;
    struct preapproval preapproval;
    bool has_preapproval;
};

static void papers_free(struct papers *p)
{
    request_free(&p->request);
    free(p->approvals);
}

static int take_papers(const json_t *ask, struct papers *p, struct err *err)
{
    json_t *request = NULL, *approvals = NULL;
    const json_t *pre = json_object_get(ask, "preapproval");
    int r = js_object(ask, "", "request", &request, err);
    if (r == 0)
        r = js_array(ask, "", "approvals", CONSENT_MAX_APPROVALS, &approvals, err);
    if (r == 0)
        r = request_from_json(request, &p->request, err);
    if (r < 0)
        return r;
    p->approvals = mem_alloc((json_array_size(approvals) + 1) * sizeof(*p->approvals));
    for (size_t i = 0; r == 0 && i < json_array_size(approvals); i++)
        if ((r = approval_from_json(json_array_get(approvals, i), &p->approvals[i], err)) == 0)
            p->n_approvals++;
    if (r == 0 && json_is_object(pre)) {
        r = preapproval_from_json(pre, &p->preapproval, err);
        p->has_preapproval = r == 0;
    }
    return r;
}

static int take_services(const json_t *arguments, struct grant *g, struct err *err)
{
    const json_t *list = json_object_get(arguments, "services"), *v;
    size_t i;
    if (!list)
        return 0;
    if (!json_is_array(list) || !json_array_size(list) || json_array_size(list) > GRANT_SERVICES_MAX)
        return err_set(err, -EINVAL, "arguments.services: must list 1 to %d services", GRANT_SERVICES_MAX);
    json_array_foreach(list, i, v)
    {
        const char *id = json_string_value(v);
        if (!id || !uuid_valid(id))
            return err_set(err, -EINVAL, "arguments.services[%zu]: must be a UUID", i);
        snprintf(g->services[g->n_services++], UUID_SIZE, "%s", id);
    }
    return 0;
}

static int take_targets(const struct consent_request *q, struct grant *g, struct err *err)
{
    for (size_t i = 0; i < q->n_operations; i++) {
        const char *name = q->operations[i]->name;
        size_t k = 0;
        while (k < GATE_TARGETS && (strncmp(name, "access.", 7) || strcmp(name + 7, gate_target_names[k])))
            k++;
        if (k == GATE_TARGETS)
            return err_set(err, -EINVAL, "the request asks for %s, which is no access: it cannot be opened", name);
        g->targets |= 1u << k;
    }
    return 0;
}

/* What the request says, as far as a gate must know it. */
static int take_terms(const struct grants *all, const struct consent_request *q, struct grant *g, struct err *err)
{
    static const char *const known[] = {"gate", "services", NULL};
    const char *pin = json_string_value(json_object_get(q->arguments, "gate"));
    int r = js_only(q->arguments, "arguments", known, err);
    if (r == 0 && (!pin || strcmp(pin, all->pin)))
        r = err_set(err, -EACCES, "the request names another gate: its signatures are not for this data plane");
    if (r == 0 && (!q->has_device_key || q->minutes < 1))
        r = err_set(err, -EINVAL, "the request names no device key or no duration");
    if (r == 0)
        r = take_targets(q, g, err);
    if (r == 0)
        r = take_services(q->arguments, g, err);
    memcpy(g->id, q->id, UUID_SIZE);
    memcpy(g->digest, q->digest, sizeof(g->digest));
    memcpy(g->preapproval, q->preapproval, UUID_SIZE);
    memcpy(g->device_key, q->device_key, sizeof(g->device_key));
    snprintf(g->by, sizeof(g->by), "%s", q->by);
    snprintf(g->reason, sizeof(g->reason), "%s", q->reason);
    snprintf(g->ticket, sizeof(g->ticket), "%s", q->ticket);
    g->lasts_ms = (int64_t)q->minutes * MINUTE_MS;
    return r;
}

static int64_t preapproval_used(const struct grants *g, const struct papers *p)
{
    int64_t n = 0;
    for (size_t i = 0; *p->request.preapproval && i < g->n_records; i++)
        n += !strcmp(g->records[i].preapproval, p->request.preapproval) && strcmp(g->records[i].id, p->request.id);
    return n;
}

/* now_ms: for an open grant the time of its opening, since a request must be within its own time only then; what counts
 * later is the policy. */
static int consult(struct grants *g, const struct papers *p, int64_t now_ms, bool used, struct grant *grant,
                   struct err *err)
{
    autopolicy struct policy *policy = NULL;
    struct consent_verdict v;
    int r = g->config.policy(&policy, g->config.user, err);
    if (r < 0)
        return r;
    struct consent_input in = {
        .policy = policy,
        .request = &p->request,
        .infrastructure = g->infrastructure,
        .approvals = p->approvals,
        .n_approvals = p->n_approvals,
        .preapproval = p->has_preapproval ? &p->preapproval : NULL,
        .preapproval_used = preapproval_used(g, p),
        .used = used,
        .now_ms = now_ms,
    };
    consent_check(&in, &v);
    if (v.state != CONSENT_ALLOWED)
        return err_set(err, -EACCES, "access is not allowed: %s", v.why);
    grant->signers[0] = '\0';
    for (size_t i = 0; i < v.n_signers; i++) {
        size_t n = strlen(grant->signers);
        snprintf(grant->signers + n, sizeof(grant->signers) - n, "%s%s", i ? ", " : "", v.signers[i]);
    }
    return 0;
}

/* ---- who asks ---- */

/* The device proves that it holds the key which the request names, for the key it wants a certificate for. */
static int check_device(const json_t *ask, const struct grant *g, int64_t *ret_time, struct err *err)
{
    unsigned char spki[SHA256_SIZE];
    char spki_hex[2 * SHA256_SIZE + 1];
    const char *csr = NULL, *text = NULL;
    int r = js_string(ask, "", "csr", KIB(8), &csr, err);
    if (r == 0)
        r = js_int(ask, "", "time", 0, INT64_MAX, ret_time, err);
    if (r == 0)
        r = js_string(ask, "", "signature", 128, &text, err);
    if (r == 0)
        r = tls_csr_check(csr, strlen(csr), spki, err);
    if (r < 0)
        return r;
    hex_encode(spki, sizeof(spki), spki_hex);
    if (!device_proves(g->device_key, DEVICE_FOR_GATE, g->id, *ret_time, spki_hex, text))
        return err_set(err, -EACCES, "this is not the device that the grant is for: its key does not sign for it");
    return 0;
}

static int check_clock(const struct grants *g, int64_t theirs, struct err *err)
{
    int64_t off = clock_wall_ms(g->config.clock) - theirs;
    if (off <= GRANT_SKEW_MS && off >= -GRANT_SKEW_MS)
        return 0;
    return err_set(err, -ETIME,
                   "the clocks of this device and of the data plane differ by %lld s; at most %d s are accepted when a "
                   "grant is opened: set the one that is wrong",
                   (long long)((off < 0 ? -off : off) / 1000), GRANT_SKEW_MS / 1000);
}

static int first_time(struct grants *g, const struct papers *p, int64_t theirs, struct grant *grant, struct err *err)
{
    const struct record *known = find_record(g, grant->id);
    int64_t now = clock_mono_ms(g->config.clock);
    if (known && known->ended)
        return err_set(err, -EACCES, "this grant has ended: ask for a new one");
    if (known && strcmp(known->boot, g->boot_id))
        return err_set(err, -EACCES,
                       "this grant was open when the data plane's machine restarted, and ended with it: "
                       "ask for a new one");
    if (known && known->ends_ms <= now)
        return err_set(err, -EACCES, "this grant has expired: ask for a new one");
    if (g->n_open >= GRANTS_MAX)
        return err_set(err, -EACCES, "%d grants are open already", GRANTS_MAX);
    grant->opened_wall_ms = known ? known->opened_wall_ms : clock_wall_ms(g->config.clock);
    grant->opened_ms = known ? known->opened_ms : now;
    grant->ends_ms = known ? known->ends_ms : now + grant->lasts_ms;
    int r = known ? 0 : check_clock(g, theirs, err);
    return r < 0 ? r : consult(g, p, grant->opened_wall_ms, false, grant, err);
}

static int judge(struct grants *g, const json_t *ask, struct papers *p, struct grant *fresh, struct grant **ret_open,
                 struct err *err)
{
    int64_t theirs = 0;
    int r = take_papers(ask, p, err);
    if (r == 0)
        r = take_terms(g, &p->request, fresh, err);
    if (r == 0)
        r = check_device(ask, fresh, &theirs, err);
    if (r < 0)
        return r;
    *ret_open = grants_find(g, fresh->id);
    if (!*ret_open)
        return first_time(g, p, theirs, fresh, err);
    if (strcmp((*ret_open)->digest, fresh->digest))
        return err_set(err, -EACCES, "another request with this number is open: this one is refused");
    return consult(g, p, (*ret_open)->opened_wall_ms, false, *ret_open, err);
}

int grants_judge(struct grants *g, const json_t *ask, struct grant **ret, bool *ret_new, struct err *err)
{
    struct papers p = {0};
    struct grant *fresh = mem_alloc(sizeof(*fresh)), *open = NULL;
    int r = judge(g, ask, &p, fresh, &open, err);
    papers_free(&p);
    if (r < 0 || open) {
        grant_free(fresh);
        if (r == 0) {
            *ret = open;
            *ret_new = false;
        }
        return r;
    }
    fresh->papers = json_object();
    static const char *const kept[] = {"request", "approvals", "preapproval"};
    for (size_t i = 0; i < ARRAY_SIZE(kept); i++)
        if (json_object_get(ask, kept[i]))
            json_object_set_new(fresh->papers, kept[i], json_deep_copy(json_object_get(ask, kept[i])));
    *ret = fresh;
    *ret_new = true;
    return 0;
}

int grants_begin(struct grants *g, struct grant *grant, struct err *err)
{
    struct record *r = add_record(g, grant->id);
    if (!r)
        return err_set(err, -ENOSPC, "%d grants of the last month are remembered: no room for another",
                       GRANTS_KEPT_MAX);
    r->opened_ms = grant->opened_ms;
    r->ends_ms = grant->ends_ms;
    r->opened_wall_ms = grant->opened_wall_ms;
    memcpy(r->preapproval, grant->preapproval, UUID_SIZE);
    int result = save(g, err);
    if (result < 0)
        return result;
    grant->next = g->open;
    g->open = grant;
    g->n_open++;
    return 0;
}

int grants_again(struct grants *g, const struct grant *grant, struct err *err)
{
    struct papers p = {0};
    struct grant copy = {0};
    int r = take_papers(grant->papers, &p, err);
    if (r == 0)
        r = consult(g, &p, grant->opened_wall_ms, false, &copy, err);
    papers_free(&p);
    return r;
}

int grants_end(struct grants *g, const char *id, struct err *err)
{
    struct record *r = add_record(g, id);
    if (!r)
        return err_set(err, -ENOSPC, "%d grants of the last month are remembered: no room for another",
                       GRANTS_KEPT_MAX);
    r->ended = true;
    return save(g, err);
}
