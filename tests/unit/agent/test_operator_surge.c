/* agent/operator/surge, surges: a service becomes another size and never has fewer replicas that serve than were asked
 * for, whatever is asked for and whoever dies meanwhile. */
#include "reconcile_world.h"

#include "agent/operator/surges.h"
#include "base/fs.h"

#define G (INT64_C(1) << 30)

/* ---- the decision alone ---- */

static struct surge_asked asked(int64_t bytes, int replicas)
{
    return (struct surge_asked){
        .bytes = bytes, .replicas = replicas, .runs = true, .several = replicas > 1, .can_ask = true};
}

/* In the phase, from 1 to 2 GiB and three replicas. */
static struct surge in(enum surge_phase phase)
{
    return (struct surge){.phase = phase,
                          .settled = G,
                          .target = 2 * G,
                          .replicas = 3,
                          .begun_ms = 1000,
                          .fresh = true,
                          .why = SURGE_DOWN};
}

static void what_is_asked_for(void **state OH_UNUSED)
{
    static const struct {
        enum surge_phase phase;
        int64_t bytes; /* GiB */
        int replicas;
        bool rests, mute;
        enum surge_phase then;
        int64_t settled, held; /* GiB */
        enum desired_surge surge;
    } cases[] = {
        {SURGE_NONE, 1, 3, false, false, SURGE_NONE, 1, 0, DESIRED_SURGE_NONE},
        {SURGE_NONE, 2, 3, false, false, SURGE_COMING, 1, 1, DESIRED_SURGE_COMING},
        {SURGE_NONE, 2, 11, false, false, SURGE_COMING, 1, 1, DESIRED_SURGE_COMING},
        /* no room for one more; nobody can be asked; one alone; one that rests */
        {SURGE_NONE, 2, 12, false, false, SURGE_IN_PLACE, 1, 0, DESIRED_SURGE_NONE},
        {SURGE_NONE, 2, 3, false, true, SURGE_IN_PLACE, 1, 0, DESIRED_SURGE_NONE},
        {SURGE_NONE, 2, 1, false, false, SURGE_NONE, 2, 0, DESIRED_SURGE_NONE},
        {SURGE_NONE, 2, 3, true, false, SURGE_NONE, 2, 0, DESIRED_SURGE_NONE},
        /* a mind that goes back, or on */
        {SURGE_COMING, 1, 3, false, false, SURGE_NONE, 1, 0, DESIRED_SURGE_NONE},
        {SURGE_COMING, 4, 3, false, false, SURGE_COMING, 1, 1, DESIRED_SURGE_COMING},
        {SURGE_ADMITTED, 1, 3, false, false, SURGE_NONE, 1, 0, DESIRED_SURGE_NONE},
        {SURGE_ADMITTED, 4, 3, false, false, SURGE_ADMITTED, 1, 1, DESIRED_SURGE_SERVES},
        {SURGE_REPLACING, 1, 3, false, false, SURGE_REPLACING, 1, 0, DESIRED_SURGE_SERVES},
        {SURGE_REPLACING, 4, 3, false, false, SURGE_REPLACING, 1, 0, DESIRED_SURGE_SERVES},
        {SURGE_IN_PLACE, 1, 3, false, false, SURGE_IN_PLACE, 1, 0, DESIRED_SURGE_NONE},
        {SURGE_REFUSED, 2, 3, false, false, SURGE_REFUSED, 1, 1, DESIRED_SURGE_NONE},
        {SURGE_REFUSED, 1, 3, false, false, SURGE_NONE, 1, 0, DESIRED_SURGE_NONE},
        {SURGE_REFUSED, 4, 3, false, false, SURGE_COMING, 1, 1, DESIRED_SURGE_COMING},
        /* another number at the same time */
        {SURGE_COMING, 2, 5, false, false, SURGE_COMING, 1, 1, DESIRED_SURGE_COMING},
        {SURGE_COMING, 2, 1, false, false, SURGE_NONE, 2, 0, DESIRED_SURGE_NONE},
        {SURGE_ADMITTED, 2, 5, false, false, SURGE_IN_PLACE, 1, 0, DESIRED_SURGE_NONE},
        {SURGE_REPLACING, 2, 5, false, false, SURGE_IN_PLACE, 1, 0, DESIRED_SURGE_NONE},
        {SURGE_REPLACING, 2, 2, false, false, SURGE_REPLACING, 1, 0, DESIRED_SURGE_SERVES},
        {SURGE_REPLACING, 2, 1, false, false, SURGE_NONE, 2, 0, DESIRED_SURGE_NONE},
        {SURGE_REFUSED, 2, 2, false, false, SURGE_COMING, 1, 1, DESIRED_SURGE_COMING},
        /* it stops, or falls asleep: what the surge took in starts with the others again */
        {SURGE_COMING, 2, 3, true, false, SURGE_NONE, 2, 0, DESIRED_SURGE_NONE},
        {SURGE_ADMITTED, 2, 3, true, false, SURGE_REPLACING, 1, 0, DESIRED_SURGE_SERVES},
        {SURGE_REPLACING, 2, 3, true, false, SURGE_REPLACING, 1, 0, DESIRED_SURGE_SERVES},
        {SURGE_REFUSED, 2, 3, true, false, SURGE_NONE, 2, 0, DESIRED_SURGE_NONE},
    };
    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        struct surge s = in(cases[i].phase);
        struct surge_asked a = asked(cases[i].bytes * G, cases[i].replicas);
        struct desired_service d = {.memory_bytes = a.bytes};
        if (s.phase == SURGE_NONE)
            s = (struct surge){.settled = G};
        a.runs = !cases[i].rests;
        a.can_ask = !cases[i].mute;
        surge_ask(&s, &a, 2000);
        surge_mark(&s, &d);
        if (s.phase != cases[i].then || s.settled != cases[i].settled * G || d.held_bytes != cases[i].held * G ||
            d.surge != cases[i].surge)
            fail_msg("case %zu: %s, settled %lld, held %lld, surge %d", i, surge_phase_names[s.phase],
                     (long long)s.settled, (long long)d.held_bytes, (int)d.surge);
        assert_false(surge_ask(&s, &a, 2000)); /* asked once more, it is the same */
    }
    struct surge_asked a = asked(4 * G, 3);
    struct surge first = {.settled = 0};
    assert_true(surge_ask(&first, &a, 1));
    assert_int_equal(first.settled, 4 * G); /* seen for the first time: nothing happens */
    assert_int_equal(first.phase, SURGE_NONE);
    struct surge again = in(SURGE_REFUSED);
    a = asked(2 * G, 3);
    assert_false(surge_ask(&again, &a, 1000 + SURGE_RETRY_MS - 1));
    assert_true(surge_ask(&again, &a, 1000 + SURGE_RETRY_MS));
    assert_int_equal(again.phase, SURGE_COMING);
}

/* Seen so all the time: the phase that follows, and after how long at the most. */
static void what_is_seen(void **state OH_UNUSED)
{
    static const struct {
        enum surge_phase phase;
        struct surge_seen seen;
        bool used, shrinks; /* the disk was; the size becomes smaller */
        enum surge_phase then;
        int64_t after_ms; /* -1: never */
        const char *words;
    } cases[] = {
        {SURGE_COMING, {.is = SURGE_IN_STEP}, false, false, SURGE_ADMITTED, 0, "one more serves"},
        {SURGE_COMING, {.is = SURGE_IN_STEP}, true, false, SURGE_IN_PLACE, 0, "onto the disk"},
        {SURGE_COMING, {.is = SURGE_IN_STEP, .empty = true}, true, false, SURGE_ADMITTED, 0, "one more serves"},
        {SURGE_COMING, {.is = SURGE_DOWN}, true, false, SURGE_REFUSED, SURGE_DOWN_MS, "goes on at the size"},
        {SURGE_COMING, {.is = SURGE_DOWN}, false, true, SURGE_IN_PLACE, SURGE_DOWN_MS, "did not come up"},
        {SURGE_COMING, {.is = SURGE_MUTE}, false, false, SURGE_IN_PLACE, SURGE_MUTE_MS, "not every replica says"},
        {SURGE_COMING, {.is = SURGE_LACKS}, false, false, SURGE_IN_PLACE, SURGE_LACKS_MS, "did not get the tables"},
        {SURGE_COMING, {.is = SURGE_LAGS}, false, false, SURGE_IN_PLACE, SURGE_MAX_MS - 10000, "within a day"},
        {SURGE_ADMITTED, {.is = SURGE_IN_STEP, .leads = true}, false, false, SURGE_REPLACING, 0, "one more serves"},
        {SURGE_ADMITTED, {.is = SURGE_IN_STEP}, false, false, SURGE_REPLACING, SURGE_LEADS_MS, "one more serves"},
        {SURGE_REPLACING, {.is = SURGE_IN_STEP, .leads = true}, false, false, SURGE_REPLACING, -1, NULL},
        {SURGE_REPLACING, {.is = SURGE_DOWN}, false, false, SURGE_IN_PLACE, SURGE_DOWN_MS, "was lost"},
        {SURGE_REPLACING, {.is = SURGE_IN_STEP, .whole = true}, false, false, SURGE_NONE, 0, ""},
        {SURGE_IN_PLACE, {.is = SURGE_DOWN}, false, false, SURGE_IN_PLACE, -1, NULL},
        {SURGE_IN_PLACE, {.is = SURGE_DOWN, .whole = true}, false, false, SURGE_NONE, 0, ""},
        {SURGE_REFUSED, {.is = SURGE_DOWN, .whole = true}, false, false, SURGE_REFUSED, -1, NULL},
    };
    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        struct surge s = in(cases[i].phase);
        int64_t waited = 0;
        s.fresh = !cases[i].used;
        s.settled = cases[i].shrinks ? 4 * G : G;
        while (s.phase == cases[i].phase && waited <= 2 * SURGE_MAX_MS) {
            if (waited)
                assert_false(s.phase == SURGE_COMING && cases[i].after_ms == 0);
            surge_see(&s, &cases[i].seen, 11000 + waited, 777 + waited);
            waited += s.phase == cases[i].phase ? 1000 : 0;
        }
        if (s.phase != cases[i].then || (cases[i].after_ms >= 0 && waited != cases[i].after_ms))
            fail_msg("case %zu: %s after %lld", i, surge_phase_names[s.phase], (long long)waited);
        autobuf struct buf text = BUF_INIT;
        surge_sentence(&s, "Insufficient memory", &text);
        if (cases[i].words && *cases[i].words)
            assert_non_null(strstr(text.data, cases[i].words));
        if (s.phase == SURGE_NONE)
            assert_true(text.len == 0 && s.settled == 2 * G);
    }
    struct surge s = in(SURGE_COMING); /* its time begins anew when it is otherwise */
    surge_see(&s, &(struct surge_seen){.is = SURGE_DOWN}, 11000, 1000);
    surge_see(&s, &(struct surge_seen){.is = SURGE_LAGS}, 11000, SURGE_DOWN_MS);
    surge_see(&s, &(struct surge_seen){.is = SURGE_DOWN}, 11000, SURGE_DOWN_MS + 2000);
    assert_int_equal(s.phase, SURGE_COMING);
    surge_see(&s, &(struct surge_seen){.is = SURGE_DOWN}, 11000, 2 * SURGE_DOWN_MS + 2000);
    assert_int_equal(s.phase, SURGE_REFUSED);
    assert_int_equal(s.begun_ms, 11000);
}

static void a_surge_is_compared_with_each_of_the_others(void **state OH_UNUSED)
{
    struct replica_view v = {.serving = 15, .placed = 15, .wanted = 4};
    bool empty = true;
    for (int k = 0; k < 4; k++) {
        v.said[k] = (struct replica_said){.known = true, .tables = 2};
        snprintf(v.objects[k], sizeof(v.objects[k]), "3 abc");
    }
    assert_int_equal(surge_judge(&v, 3, &empty), SURGE_IN_STEP);
    assert_false(empty);
    v.said[3].delay_s = REPLICA_LAG_S + 1;
    assert_int_equal(surge_judge(&v, 3, &empty), SURGE_LAGS);
    v.said[3].delay_s = 0, v.said[3].readonly = 1;
    assert_int_equal(surge_judge(&v, 3, &empty), SURGE_LAGS);
    v.said[3].readonly = 0, v.said[3].tables = 0;
    assert_int_equal(surge_judge(&v, 3, &empty), SURGE_LACKS);
    assert_true(empty);
    v.said[3].tables = 3; /* more than the others is not the same either */
    assert_int_equal(surge_judge(&v, 3, &empty), SURGE_LACKS);
    v.said[3].tables = 2, snprintf(v.objects[3], sizeof(v.objects[3]), "3 abd"); /* a view of another name */
    assert_int_equal(surge_judge(&v, 3, &empty), SURGE_LACKS);
    *v.objects[3] = '\0';
    assert_int_equal(surge_judge(&v, 3, &empty), SURGE_MUTE);
    snprintf(v.objects[3], sizeof(v.objects[3]), "3 abc");
    v.said[1].known = false;
    assert_int_equal(surge_judge(&v, 3, &empty), SURGE_MUTE);
}

/* ---- with the rules, the blueprint and the file ---- */

struct play {
    struct world w;
    struct wish v;
    struct surges g;
    struct handover_said left;
    struct replica_view view;
    char folder[64], path[96];
    int disk[BLUEPRINT_MAX_REPLICAS];      /* tables on it */
    int fronted;                           /* replicas that the ingress in effect names */
    int least;                             /* replicas that it names and that served, since it was reset */
    bool rendered, seen_one_more, pending; /* pending: there is no room for a fourth */
};

static const struct replica_view *view_of(const char *service OH_UNUSED, void *data)
{
    struct play *p = data;
    p->view = (struct replica_view){.wanted = blueprint_replicas(&p->v.services[0], &p->v.env)};
    for (int k = 0; k < BLUEPRINT_MAX_REPLICAS; k++) {
        char name[64];
        snprintf(name, sizeof(name), "clickhouse-%s-%d", ids[0], k);
        const struct placed *r = find(&p->w, name);
        if (!r || r->state != RUNTIME_RUNNING)
            continue;
        p->view.serving |= 1u << k;
        p->view.said[k] = (struct replica_said){.known = true, .tables = p->disk[k]};
        snprintf(p->view.objects[k], sizeof(p->view.objects[k]), "%d a", p->disk[k]);
        if (k != 3 || p->v.services[0].surge_fresh || !p->v.services[0].surge)
            p->disk[k] = 2; /* the next time that it is asked it has its tables */
    }
    return &p->view;
}

static void on_event(bool error OH_UNUSED, const char *message OH_UNUSED, void *data OH_UNUSED)
{
}

static int serving(struct play *p, int below)
{
    int n = 0;
    for (int k = 0; k < below; k++) {
        char name[64];
        snprintf(name, sizeof(name), "clickhouse-%s-%d", ids[0], k);
        const struct placed *r = find(&p->w, name);
        n += r && r->state == RUNTIME_RUNNING;
    }
    return n;
}

static void play_render(struct play *p)
{
    struct err err = ERR_INIT;
    if (p->v.digests)
        wish_clear(&p->v);
    assert_int_equal(surges_mark(&p->g, &p->v.d, &p->v.env, true, p->w.now, &err), 0);
    wish_render(&p->v);
    p->rendered = true;
}

static void play_pass(struct play *p)
{
    struct runtime_status_list observed;
    autoplan struct reconcile_plan plan_ = {0};
    struct err err = ERR_INIT;
    bool changed = false;
    if (!p->rendered)
        play_render(p);
    plan(&p->w, &p->v, &observed, &plan_);
    for (size_t i = 0; i < plan_.n_actions; i++)
        perform(&p->w, &p->v, &plan_.actions[i]);
    if (ingress_is_current(&p->w, &p->v))
        p->fronted = blueprint_serving(&p->v.services[0], &p->v.env);
    p->least = MIN(p->least, serving(p, p->fronted));
    p->seen_one_more |= serving(p, 4) == 4;
    assert_int_equal(surges_look(&p->g,
                                 &(struct surges_place){.desired = &p->v.d,
                                                        .env = &p->v.env,
                                                        .wanted = &p->v.list,
                                                        .digests = (const char(*)[65])p->v.digests,
                                                        .observed = &observed,
                                                        .plan = &plan_,
                                                        .view = view_of,
                                                        .on_event = on_event,
                                                        .data = p,
                                                        .wall_ms = p->w.now,
                                                        .now_ms = p->w.now},
                                 &changed, &err),
                     0);
    p->rendered = !changed && !surges_due(&p->g, p->w.now);
    if (p->v.services[0].surge == DESIRED_SURGE_COMING && p->v.services[0].state == DESIRED_RUNNING)
        assert_true(strstr(plan_.services[0].notice, "another size") ||
                    strstr(plan_.services[0].notice, "that it has"));
    if (plan_.services[0].state == SERVICE_RUNNING)
        assert_int_equal(plan_.services[0].replicas, plan_.services[0].ready);
    runtime_status_list_free(&observed);
    char fourth[64];
    snprintf(fourth, sizeof(fourth), "clickhouse-%s-3", ids[0]);
    struct placed *r = find(&p->w, fourth);
    tick(&p->w, 1000);
    if (p->pending && (r = find(&p->w, fourth)))
        r->state = RUNTIME_STARTING;
}

static void play_new(struct play *p)
{
    static const unsigned char key[32] = "k";
    *p = (struct play){.left = {.taken = REPLICA_SYNCED, .alone = 0, .table = ""}, .fronted = 3, .disk = {2, 2, 2}};
    world_init(&p->w);
    p->w.judged = p->w.shrinks = p->w.takes_up = true;
    p->w.left = &p->left;
    p->w.now = 1000000;
    wish_init(&p->v, 1);
    p->v.env.engine = BLUEPRINT_SERVER;
    p->v.env.replication_key = key;
    p->v.services[0].replicas = 3;
    p->v.services[0].memory_bytes = 8 * G;
    const char *tmp = getenv("TMPDIR");
    snprintf(p->folder, sizeof(p->folder), "%s/ownhouse-test-XXXXXX", tmp ? tmp : "/tmp");
    assert_non_null(mkdtemp(p->folder));
    snprintf(p->path, sizeof(p->path), "%s/sizes.json", p->folder);
    surges_open(&p->g, p->path);
    for (int i = 0; i < 20; i++)
        play_pass(p);
    assert_int_equal(serving(p, 3), 3);
    p->least = 99;
}

/* kill -9: what is in memory is lost. */
static void play_killed(struct play *p)
{
    reconcile_memory_free(p->w.memory);
    p->w.memory = reconcile_memory_new();
    surges_free(&p->g);
    surges_open(&p->g, p->path);
    p->rendered = false;
}

static void play_free(struct play *p)
{
    wish_clear(&p->v);
    reconcile_memory_free(p->w.memory);
    surges_free(&p->g);
    assert_int_equal(fs_remove_tree(p->folder, NULL), 0);
}

/* Ends as it is asked for: so many replicas, of that size, all in effect, and no other. */
static void ends_well(struct play *p, const char *what, int at)
{
    const struct desired_service *s = &p->v.services[0];
    for (int i = 0; i < 120; i++)
        play_pass(p);
    int all = 0;
    for (size_t i = 0; i < p->w.n; i++)
        all += !strncmp(p->w.items[i].name, "clickhouse-", 11);
    for (size_t i = 0; i < p->v.list.n; i++) {
        const struct workload *w = &p->v.list.items[i];
        const struct placed *r = find(&p->w, w->name);
        if (!r || strcmp(r->digest, p->v.digests[i]) != 0)
            fail_msg("%s at %d: %s is not as wanted", what, at, w->name);
        if (!strncmp(w->name, "clickhouse-", 11))
            assert_int_equal(w->memory_bytes, s->memory_bytes);
    }
    if (s->state == DESIRED_DELETED ? all != 0 : all != s->replicas || serving(p, s->replicas) != s->replicas)
        fail_msg("%s at %d: %d replicas, %d serve", what, at, all, serving(p, s->replicas));
    if (s->state != DESIRED_DELETED && (p->g.items[0].surge.phase != SURGE_NONE ||
                                        p->g.items[0].surge.settled != s->memory_bytes || s->surge || s->held_bytes))
        fail_msg("%s at %d: it is %s", what, at, surge_phase_names[p->g.items[0].surge.phase]);
}

#define STEPS 24

static void one_more_serves_meanwhile_whenever_the_agent_is_killed(void **state OH_UNUSED)
{
    for (int at = -1; at < STEPS; at++) {
        struct play p;
        play_new(&p);
        p.v.services[0].memory_bytes = 16 * G;
        p.rendered = false;
        for (int i = 0; i < STEPS; i++) {
            if (i == at)
                play_killed(&p);
            play_pass(&p);
        }
        ends_well(&p, "killed", at);
        assert_true(p.seen_one_more);
        assert_int_equal(p.least, 3);
        char fourth[64];
        snprintf(fourth, sizeof(fourth), "clickhouse-%s-3", ids[0]);
        assert_null(find(&p.w, fourth));
        assert_false(p.w.purged[0]); /* its disk stays */
        play_free(&p);
    }
}

static void change(struct play *p, char kind)
{
    struct desired_service *s = &p->v.services[0];
    switch (kind) {
    case 'b':
        s->memory_bytes = 8 * G;
        break;
    case 'a':
        s->memory_bytes = 32 * G;
        break;
    case 'o':
        s->replicas = 5;
        break;
    case 'i':
        s->replicas = 2;
        break;
    case '1':
        s->replicas = 1;
        break;
    case 's':
        s->state = s->state == DESIRED_STOPPED ? DESIRED_RUNNING : DESIRED_STOPPED;
        break;
    case 'z':
        s->asleep = !s->asleep;
        break;
    default:
        s->state = DESIRED_DELETED;
        break;
    }
    p->rendered = false;
}

static void whatever_is_asked_for_meanwhile_it_ends_so(void **state OH_UNUSED)
{
    static const char kinds[] = "baoi1szd";
    for (const char *kind = kinds; *kind; kind++)
        for (int at = 0; at < STEPS; at++) {
            struct play p;
            char what[2] = {*kind, '\0'};
            play_new(&p);
            p.v.services[0].memory_bytes = 16 * G;
            p.rendered = false;
            for (int i = 0; i < at; i++)
                play_pass(&p);
            bool midway = p.rendered && p.g.items[0].surge.phase != SURGE_NONE;
            change(&p, *kind);
            if (at % 3 == 0)
                play_killed(&p);
            for (int i = 0; i < 12; i++)
                play_pass(&p);
            if (*kind == 's' || *kind == 'z') {
                assert_int_equal(serving(&p, BLUEPRINT_MAX_REPLICAS), 0);
                change(&p, *kind);
            }
            ends_well(&p, what, at);
            if ((*kind == 'a' || *kind == 'b') && midway)
                assert_int_equal(p.least, 3);
            play_free(&p);
        }
}

/* There is no room for a fourth: the others go on at their size, and are changed as ever meanwhile. */
static void without_room_it_goes_on_at_its_size(void **state OH_UNUSED)
{
    static struct desired_user other = {"default", "11", NULL};
    struct play p;
    play_new(&p);
    p.pending = true;
    p.v.services[0].memory_bytes = 16 * G;
    p.rendered = false;
    for (int i = 0; i < 60; i++)
        play_pass(&p);
    p.v.services[0].users = &other; /* a new password is not held up by it */
    p.rendered = false;
    for (int i = 0; i < 20; i++)
        play_pass(&p);
    for (size_t i = 0; i < 3; i++)
        assert_string_equal(find(&p.w, p.v.list.items[i].name)->digest, p.v.digests[i]);
    for (int i = 0; p.g.items[0].surge.phase == SURGE_COMING; i++) {
        assert_true(i < 1200);
        play_pass(&p);
    }
    assert_int_equal(p.g.items[0].surge.phase, SURGE_REFUSED);
    for (int i = 0; i < 20; i++)
        play_pass(&p);
    char fourth[64];
    snprintf(fourth, sizeof(fourth), "clickhouse-%s-3", ids[0]);
    assert_null(find(&p.w, fourth));
    assert_int_equal(p.v.list.items[0].memory_bytes, 8 * G);
    p.pending = false; /* there is room now: it is tried again */
    p.w.now += SURGE_RETRY_MS;
    ends_well(&p, "room", 0);
    assert_true(p.seen_one_more);
    play_free(&p);
}

/* With a disk that an earlier one left, and where there can be no more, it is done in place, and said so. */
static void it_is_done_in_place_where_it_must_be(void **state OH_UNUSED)
{
    for (int k = 0; k < 2; k++) {
        struct play p;
        play_new(&p);
        p.disk[3] = k == 0 ? 2 : 0;
        p.v.services[0].replicas = k == 0 ? 3 : BLUEPRINT_MAX_REPLICAS;
        for (int i = 0; i < 40; i++) {
            p.rendered = i > 0 && p.rendered;
            play_pass(&p);
        }
        p.v.services[0].memory_bytes = 16 * G;
        p.rendered = false;
        ends_well(&p, "in place", k);
        play_free(&p);
    }
}

/* What cannot be kept is not begun. */
static void nothing_is_begun_that_is_not_kept(void **state OH_UNUSED)
{
    struct play p;
    struct err err = ERR_INIT;
    play_new(&p);
    p.v.services[0].memory_bytes = 16 * G;
    free(p.g.path);
    p.g.path = mem_strdup("/proc/none/sizes.json");
    assert_true(surges_mark(&p.g, &p.v.d, &p.v.env, true, p.w.now, &err) < 0);
    assert_int_equal(p.v.services[0].held_bytes, 8 * G);
    assert_int_equal(p.v.services[0].surge, DESIRED_SURGE_NONE);
    free(p.g.path);
    p.g.path = mem_strdup(p.path);
    p.rendered = false;
    ends_well(&p, "kept", 0);
    play_free(&p);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_is_asked_for),
        cmocka_unit_test(what_is_seen),
        cmocka_unit_test(a_surge_is_compared_with_each_of_the_others),
        cmocka_unit_test(one_more_serves_meanwhile_whenever_the_agent_is_killed),
        cmocka_unit_test(whatever_is_asked_for_meanwhile_it_ends_so),
        cmocka_unit_test(without_room_it_goes_on_at_its_size),
        cmocka_unit_test(it_is_done_in_place_where_it_must_be),
        cmocka_unit_test(nothing_is_begun_that_is_not_kept),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
