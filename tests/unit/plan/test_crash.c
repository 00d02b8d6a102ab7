/* plan: random graphs, a crash at every effect of apply and of removal, then resumption: the end is the same, nothing
 * is doubled and nothing is leaked. PLAN_CRASH_SEEDS=n tries more graphs. */
#include "../test.h"

#include "sim.h"

static uint64_t dice; /* xorshift: the same graphs each time */

static unsigned roll(unsigned sides)
{
    dice ^= dice << 13;
    dice ^= dice >> 7;
    dice ^= dice << 17;
    return (unsigned)(dice % sides);
}

static void add_random(struct plan_graph *g, int i, int n)
{
    static const char *const types[] = {"node", "node", "disk", "stone"};
    static const char *chosen[16];
    char name[16];
    json_t *attrs = json_object();
    chosen[i] = types[(unsigned)i % 4];
    snprintf(name, sizeof(name), "r%d", i);
    json_object_set_new(attrs, "size", json_integer(roll(3)));
    json_object_set_new(attrs, "zone", json_sprintf("z%u", strcmp(chosen[i], "disk") ? roll(2) : 0));
    if (roll(3) == 0)
        json_object_set_new(attrs, "password", json_sprintf("p%u", roll(2)));
    if (i > 0 && roll(3)) {
        int to = (int)roll((unsigned)i);
        /* Only what can be replaced may be a disk's ground: disks must not be replaced here. */
        if (strcmp(chosen[i], "disk") || !strcmp(chosen[to], "disk"))
            json_object_set_new(attrs, "peer", json_sprintf("${%s.r%d.id}", chosen[to], to));
    }
    if (i > 0 && roll(3) == 0 && strcmp(chosen[i], "stone")) {
        int to = (int)roll((unsigned)i);
        json_object_set_new(attrs, "link", json_sprintf("x-${%s.r%d.id}", chosen[to], to));
    }
    assert_int_equal(plan_graph_add(g, chosen[i], name, attrs, NULL, NULL), 0);
    assert_true(i < n && n <= 16);
}

static struct plan_graph *random_graph(uint64_t seed, int n)
{
    struct plan_graph *g = plan_graph_new();
    dice = seed * 0x9e3779b97f4a7c15ull + 1;
    for (int i = 0; i < n; i++)
        add_random(g, i, n);
    return g;
}

/* The world without ids and volatile things: what two ends must have in common. */
static char *picture(struct sim *s)
{
    size_t i;
    json_t *v;
    autojson json_t *all = json_object(), *names OH_CLEANUP(js_decrefp) = json_object();
    json_array_foreach(s->objects, i, v) json_object_set(
        names, json_string_value(json_object_get(json_object_get(v, "attributes"), "id")), json_object_get(v, "key"));
    json_array_foreach(s->objects, i, v)
    {
        const char *key = json_string_value(json_object_get(v, "key"));
        json_t *copy = json_deep_copy(json_object_get(v, "attributes"));
        const char *peer = json_string_value(json_object_get(copy, "peer"));
        const char *link = json_string_value(json_object_get(copy, "link"));
        if (json_object_get(all, key))
            fail_msg("%s exists twice", key);
        if (peer)
            json_object_set(copy, "peer", json_object_get(names, peer));
        if (link)
            json_object_set(copy, "link", json_object_get(names, link + 2));
        json_object_del(copy, "id");
        json_object_set_new(all, key, copy);
        if (!json_object_get(s->records, key))
            fail_msg("%s is not remembered", key);
    }
    return json_dumps(all, JSON_SORT_KEYS | JSON_COMPACT);
}

struct job {
    struct plan_context c;
    const struct plan_graph *g;
    json_t *doc;
    char digest[65];
};

static struct job job_new(struct sim *s, const struct plan_graph *g, enum plan_kind kind, bool delete_data)
{
    struct job j = {.c = sim_context(s), .g = g};
    struct err err = ERR_INIT;
    if (plan_make(&j.c, g, kind, delete_data, &j.doc, &err) < 0)
        fail_msg("%s", err.message);
    assert_int_equal(plan_digest(j.doc, j.digest, NULL), 0);
    return j;
}

static void job_finish(struct sim *s, struct job *j, uint64_t seed, int crash)
{
    struct err err = ERR_INIT;
    if (plan_apply(&j->c, j->g, j->doc, j->digest, &s->j, NULL, &err) < 0)
        fail_msg("seed %llu, crash at %d: %s", (unsigned long long)seed, crash, err.message);
}

/* Brings a fresh world to where `prepare` graphs lead, then applies the plan with a crash at effect n (and once more at
 * m effects after the restart), then resumes. Returns false when the plan has fewer effects than n. */
struct scenario {
    const struct plan_graph *first, *then;
    bool remove;
    uint64_t seed;
};

static bool crash_once(const struct scenario *sc, int n, int m, const char *expected)
{
    struct sim s;
    struct err err = ERR_INIT;
    sim_init(&s);
    s.slow = n % 4 == 0; /* waiting costs time: not in every run */
    if (sc->first && sim_go(&s, sc->first, PLAN_APPLY, false, NULL, &err) < 0)
        fail_msg("seed %llu: %s", (unsigned long long)sc->seed, err.message);
    struct job j = job_new(&s, sc->then, sc->remove ? PLAN_REMOVE : PLAN_APPLY, sc->remove);
    s.ticks = 0;
    s.crash_at = n;
    bool crashed = plan_apply(&j.c, j.g, j.doc, j.digest, &s.j, NULL, NULL) < 0;
    assert_int_equal(crashed, s.dead);
    if (crashed && m) {
        sim_restart(&s);
        s.crash_at = m;
        (void)!plan_apply(&j.c, j.g, j.doc, j.digest, &s.j, NULL, NULL);
    }
    sim_restart(&s);
    job_finish(&s, &j, sc->seed, n);
    autofree char *now = picture(&s);
    if (strcmp(now, expected))
        fail_msg("seed %llu, crash at %d: %s is not %s", (unsigned long long)sc->seed, n, now, expected);
    assert_int_equal(json_array_size(s.objects), json_object_size(s.records));
    json_decref(j.doc);
    sim_free(&s);
    return crashed;
}

static int crash_everywhere(const struct scenario *sc)
{
    struct sim s;
    int n = 1;
    sim_init(&s);
    assert_int_equal(sc->first ? sim_go(&s, sc->first, PLAN_APPLY, false, NULL, NULL) : 0, 0);
    struct err err = ERR_INIT;
    if (sim_go(&s, sc->then, sc->remove ? PLAN_REMOVE : PLAN_APPLY, sc->remove, NULL, &err) < 0)
        fail_msg("seed %llu: %s", (unsigned long long)sc->seed, err.message);
    autofree char *expected = picture(&s);
    sim_free(&s);
    while (crash_once(sc, n, n % 5 ? 0 : 1 + n % 7, expected))
        n++;
    return n - 1;
}

static void every_effect(void **state OH_UNUSED)
{
    const char *more = getenv("PLAN_CRASH_SEEDS");
    uint64_t seeds = more ? strtoull(more, NULL, 10) : 6;
    int crashes = 0;
    for (uint64_t seed = 1; seed <= seeds; seed++) {
        autograph struct plan_graph *g1 = random_graph(seed, 3 + (int)(seed % 5));
        autograph struct plan_graph *g2 = random_graph(seed + 1000, 3 + (int)(seed % 4));
        crashes += crash_everywhere(&(struct scenario){NULL, g1, false, seed});
        crashes += crash_everywhere(&(struct scenario){g1, g2, false, seed});
        crashes += crash_everywhere(&(struct scenario){g2, g2, true, seed});
    }
    print_message("%d crashes survived over %llu graphs\n", crashes, (unsigned long long)seeds);
    assert_true(crashes > 100);
}

/* After the crash nobody resumes: other things are wanted now, then nothing at all. */
static bool crash_and_want_another(const struct plan_graph *g1, const struct plan_graph *g2, int n, uint64_t seed)
{
    struct sim s;
    struct err err = ERR_INIT;
    sim_init(&s);
    s.crash_at = n;
    bool crashed = sim_go(&s, g1, PLAN_APPLY, false, NULL, NULL) < 0;
    sim_restart(&s);
    if (sim_go(&s, g2, PLAN_APPLY, true, NULL, &err) < 0 || sim_go(&s, g2, PLAN_REMOVE, true, NULL, &err) < 0)
        fail_msg("seed %llu, crash at %d: %s", (unsigned long long)seed, n, err.message);
    autofree char *left = js_text(s.objects);
    assert_string_equal(left, "[]");
    assert_int_equal(json_object_size(s.records), 0);
    sim_free(&s);
    return crashed;
}

static void a_plan_that_is_never_resumed_leaks_nothing(void **state OH_UNUSED)
{
    for (uint64_t seed = 1; seed <= 4; seed++) {
        autograph struct plan_graph *g1 = random_graph(seed, 5);
        autograph struct plan_graph *g2 = random_graph(seed + 1000, 3);
        for (int n = 1; crash_and_want_another(g1, g2, n, seed); n++)
            ;
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_effect),
        cmocka_unit_test(a_plan_that_is_never_resumed_leaks_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
