/* One pass over records and certificate: what is due is done, and what came of it is written down. */
#include "agent/names/names.h"

#include "agent/names/acme.h"
#include "agent/names/records.h"
#include "base/fs.h"

#define DNS_EACH_MS 600000
#define DNS_RETRY_MS 5000
#define DNS_RETRY_MAX_MS 300000
#define ACME_RETRY_MS 60000
#define ACME_RETRY_MAX_MS (INT64_C(4) * 3600000)
#define LOOK_MS 60000 /* the wall clock may have jumped */
#define WAIT_MS 1000  /* after a pass that shall be followed by another */

struct part {
    const char *state;
    char error[ERR_MESSAGE_MAX];
    int failures;
    int64_t due_ms; /* monotonic: not before, unless what is wanted changes */
};

struct names {
    const struct agent_config *c;
    const struct clock *clock;
    void (*on_event)(bool error, const char *message);
    struct acme acme;
    char *dir, *wanted_path, *state_path, *written;
    char digest[65]; /* of what is wanted */
    struct wanted wanted;
    struct part dns, cert;
    size_t records, conflicts;
};

struct names *names_new(const struct agent_config *c, const char *config_path, const char *program,
                        const struct clock *clock, void (*on_event)(bool error, const char *message))
{
    struct names *n = mem_alloc(sizeof(*n));
    n->c = c;
    n->clock = clock;
    n->on_event = on_event;
    n->dir = agent_path(c, "names");
    n->wanted_path = agent_path(c, "wanted/names.json");
    n->state_path = agent_path(c, "names/state.json");
    n->acme = (struct acme){c, config_path, program, n->dir};
    n->dns.state = "waiting";
    n->cert.state = *c->acme_directory ? "waiting" : "off";
    return n;
}

void names_free(struct names *n)
{
    wanted_free(&n->wanted);
    free(n->dir);
    free(n->wanted_path);
    free(n->state_path);
    free(n->written);
    free(n);
}

/* ---- outcomes ---- */

static void succeeded(struct names *n, struct part *p, const char *state, const char *why, int64_t again_ms)
{
    if (strcmp(p->error, why)) {
        snprintf(p->error, sizeof(p->error), "%s", why);
        if (*why)
            n->on_event(true, why);
    }
    p->state = state;
    p->failures = 0;
    p->due_ms = clock_mono_ms(n->clock) + again_ms;
}

static void failed(struct names *n, struct part *p, const char *why, int64_t first_ms, int64_t max_ms)
{
    int64_t pause = MIN(first_ms << MIN(p->failures, 20), max_ms);
    if (strcmp(p->error, why))
        n->on_event(true, why);
    snprintf(p->error, sizeof(p->error), "%s", why);
    p->state = "failed";
    p->failures++;
    p->due_ms = clock_mono_ms(n->clock) + pause;
}

/* ---- what is wanted ---- */

/* Without the file nothing is asked for yet, and what stands in the zone stays. */
static bool load_wanted(struct names *n)
{
    autofree char *text = NULL;
    char digest[65];
    size_t len = 0;
    struct err err = ERR_INIT;
    struct wanted fresh = {0};
    int r = fs_read(n->wanted_path, WANTED_MAX_BYTES, &text, &len, &err);
    if (r < 0)
        return n->wanted.domain != NULL;
    sha256_hex(text, len, digest);
    if (!strcmp(digest, n->digest))
        return n->wanted.domain != NULL;
    memcpy(n->digest, digest, sizeof(digest));
    if (wanted_parse(text, len, &fresh, &err) < 0) {
        err_wrap(&err, err.code, "%s", n->wanted_path);
        n->on_event(true, err.message);
        return n->wanted.domain != NULL;
    }
    wanted_free(&n->wanted);
    n->wanted = fresh;
    n->dns.due_ms = n->cert.due_ms = INT64_MIN;
    n->dns.failures = n->cert.failures = 0;
    return true;
}

/* ---- records ---- */

static int apply(struct zone *zone, const struct records_plan *p, struct err *err)
{
    int first = 0;
    /* One that is refused keeps no other from being made. */
    for (size_t i = 0; i < p->n; i++) {
        struct err own = ERR_INIT;
        const struct zone_change *c = &p->changes[i];
        const struct zone_set *set = c->want ? c->want : c->have ? c->have : c->mark;
        int r = zone->ops->change(zone, c, false, &own);
        if (r < 0 && first == 0)
            first = err_set(err, r, "%s %s: %s", set->name, set->type, own.message);
        if (r < 0 && r != -EEXIST && r != -ENOENT && r != -EINVAL)
            break;
    }
    return first;
}

static int keep_records(struct names *n, struct records_plan *ret, struct err *err)
{
    autozone struct zone *zone = NULL;
    autosets struct zone_sets want = {0}, have = {0};
    const struct wanted *w = &n->wanted;
    if (!dns_name_within(w->domain, n->c->dns_zone))
        return err_set(err, -EINVAL, "the services' domain %s does not lie in the zone %s (dns_zone in agent.conf)",
                       w->domain, n->c->dns_zone);
    zone_sets_init(&want);
    zone_sets_init(&have);
    int r = records_wanted(w, n->c->dns_zone, n->c->dns_ttl, &want, err);
    if (r == 0)
        r = zone_open(n->c, n->clock, &zone, err);
    if (r == 0)
        r = zone->ops->list(zone, w->domain, &have, err);
    if (r < 0)
        return r;
    records_compare(&want, &have, w->infrastructure, ret);
    r = apply(zone, ret, err);
    n->records = want.n - ret->conflicts;
    n->conflicts = ret->conflicts;
    ret->changes = NULL;
    return r;
}

static void do_dns(struct names *n)
{
    struct records_plan plan = {0};
    struct err err = ERR_INIT;
    if (clock_mono_ms(n->clock) < n->dns.due_ms)
        return;
    int r = keep_records(n, &plan, &err);
    if (r < 0)
        failed(n, &n->dns, err.message, DNS_RETRY_MS, DNS_RETRY_MAX_MS);
    else
        succeeded(n, &n->dns, plan.conflicts ? "conflict" : "ok", plan.conflict, DNS_EACH_MS);
    if (r == 0 && plan.n) {
        char text[64];
        snprintf(text, sizeof(text), "%zu record sets changed in DNS", plan.n);
        n->on_event(false, text);
    }
}

/* ---- certificate ---- */

/* 1: one is to be had now; 0: not; -ERANGE: the clock is wrong. */
static int due(struct names *n, struct err *err)
{
    autoacme struct acme_certificate c = {0};
    int64_t now = clock_wall_ms(n->clock);
    if (acme_load(n->dir, n->wanted.domain, &c, NULL) < 0)
        return 1;
    if (now < c.not_before_ms)
        return err_set(err, -ERANGE,
                       "the clock is before the certificate's start: set the machine's clock right; nothing is asked "
                       "for until then");
    return now >= acme_renew_ms(c.not_before_ms, c.not_after_ms);
}

static void do_acme(struct names *n)
{
    struct err err = ERR_INIT;
    if (!*n->c->acme_directory || clock_mono_ms(n->clock) < n->cert.due_ms)
        return;
    int r = due(n, &err);
    if (r < 0) {
        succeeded(n, &n->cert, "clock", err.message, 0);
        return;
    }
    if (r > 0) {
        n->on_event(false, "a certificate is asked for by ACME");
        if ((r = acme_issue(&n->acme, n->wanted.domain, &err)) < 0) {
            failed(n, &n->cert, err.message, ACME_RETRY_MS, ACME_RETRY_MAX_MS);
            return;
        }
        n->on_event(false, "there is a new certificate by ACME");
    }
    succeeded(n, &n->cert, "ok", "", 0);
}

/* When the wall clock says that the certificate is due, but at least each minute. */
static int64_t look_at(const struct names *n)
{
    autoacme struct acme_certificate c = {0};
    int64_t pause = LOOK_MS;
    if (!n->wanted.domain || !*n->c->acme_directory || acme_load(n->dir, n->wanted.domain, &c, NULL) < 0)
        return clock_mono_ms(n->clock) + pause;
    int64_t left = acme_renew_ms(c.not_before_ms, c.not_after_ms) - clock_wall_ms(n->clock);
    return clock_mono_ms(n->clock) + MIN(pause, MAX(left, (int64_t)WAIT_MS));
}

/* ---- the pass ---- */

static void write_state(struct names *n)
{
    struct err err = ERR_INIT;
    autojson json_t *o =
        json_pack("{s:i, s:{s:s, s:I, s:I, s:o}, s:{s:s, s:o}}", "v", 1, "dns", "state", n->dns.state, "records",
                  (json_int_t)n->records, "conflicts", (json_int_t)n->conflicts, "error", js_string_of(n->dns.error),
                  "acme", "state", n->cert.state, "error", js_string_of(n->cert.error));
    char *text = js_text(o);
    if (n->written && !strcmp(text, n->written)) {
        free(text);
        return;
    }
    if (fs_write_atomic(n->state_path, text, strlen(text), 0600, &err) < 0) {
        n->on_event(true, err.message);
        free(text);
        return;
    }
    free(n->written);
    n->written = text;
}

int64_t names_pass(struct names *n)
{
    int64_t next = look_at(n);
    if (load_wanted(n)) {
        do_dns(n);
        write_state(n);
        do_acme(n);
        next = MIN(look_at(n), n->dns.due_ms);
        if (n->cert.failures)
            next = MIN(MAX(look_at(n), clock_mono_ms(n->clock) + LOOK_MS), MIN(n->dns.due_ms, n->cert.due_ms));
    }
    write_state(n);
    return next;
}
