/* Asks replicas, keeps what they said, and has those forgotten that are no more. */
#include "agent/operator/replica_watch.h"

#include "agent/operator/asks.h"
#include "agent/operator/schema.h"
#include "blueprint/operator_sql.h"

struct member {
    char start[32]; /* of the process that was asked: another one has said nothing yet */
    char address[64];
    int64_t since_ms; /* wall time of its start */
    int64_t asked_ms; /* when its present question was first wanted */
    unsigned turn;    /* number of the question */
    char said_for[48];
};

/* One that goes. */
struct leaver {
    unsigned turn; /* another one each time that it goes: old answers are not its */
    int64_t alone;
    struct handover_turn turns[BLUEPRINT_MAX_REPLICAS]; /* of those that stay */
};

/* One that has just started and lacks tables. */
struct filler {
    char for_answer[48]; /* which showed that */
    struct schema_turn turn;
};

struct group {
    char *service;
    bool seen, surges;
    bool holds; /* its last replica gets nothing yet */
    struct replica_view view;
    unsigned reattach; /* bit k: asked for */
    struct member members[BLUEPRINT_MAX_REPLICAS];
    struct leaver *leavers[BLUEPRINT_MAX_REPLICAS]; /* NULL: stays, or is not there */
    struct filler *fillers[BLUEPRINT_MAX_REPLICAS]; /* NULL: lacks nothing, or is not new */
};

struct replica_watch {
    const struct clock *clock;
    struct asks *asks;
    char *password;
    unsigned leaves; /* counted */
    struct group **groups;
    size_t n, cap;
};

struct replica_watch *replica_watch_new(uv_loop_t *loop, const struct clock *clock, const char *password,
                                        void (*changed)(void *data), void *data)
{
    struct replica_watch *w = mem_alloc(sizeof(*w));
    *w = (struct replica_watch){.clock = clock, .password = mem_strdup(password)};
    w->asks = asks_new(loop, clock, changed, data);
    return w;
}

static struct group *group_of(struct replica_watch *w, const char *service, size_t len)
{
    for (size_t i = 0; i < w->n; i++)
        if (strlen(w->groups[i]->service) == len && !strncmp(w->groups[i]->service, service, len))
            return w->groups[i];
    return NULL;
}

static struct group *group_made(struct replica_watch *w, const char *service)
{
    struct group *g = group_of(w, service, strlen(service));
    if (g)
        return g;
    if (w->n == w->cap)
        w->groups = mem_realloc(w->groups, (w->cap = w->cap ? 2 * w->cap : 8) * sizeof(*w->groups));
    g = w->groups[w->n++] = mem_alloc(sizeof(*g));
    g->service = mem_strdup(service);
    return g;
}

static void group_free(struct group *g)
{
    for (int k = 0; k < BLUEPRINT_MAX_REPLICAS; k++)
        free(g->leavers[k]), free(g->fillers[k]);
    free(g->service);
    free(g);
}

/* ---- questions ---- */

static bool parse_row(const char *body, const char *key OH_UNUSED, char out[ASKS_TEXT_MAX])
{
    struct replica_said said;
    size_t len = strcspn(body, "\n");
    if (len >= ASKS_TEXT_MAX || !replica_parse(body, &said))
        return false;
    memcpy(out, body, len);
    out[len] = '\0';
    return true;
}

/* Of a statement without an answer. */
static bool parse_nothing(const char *body, const char *key OH_UNUSED, char out[ASKS_TEXT_MAX])
{
    snprintf(out, ASKS_TEXT_MAX, "done");
    return !*body;
}

/* A quoted name, or an empty line: none left. */
static bool parse_name(const char *body, const char *key OH_UNUSED, char out[ASKS_TEXT_MAX])
{
    size_t len = strcspn(body, "\n");
    if (len >= ASKS_TEXT_MAX || (len && *body != '`'))
        return false;
    snprintf(out, ASKS_TEXT_MAX, "%.*s", (int)(len ? len : 1), len ? body : "-");
    return true;
}

static bool parse_synced(const char *body, const char *key OH_UNUSED, char out[ASKS_TEXT_MAX])
{
    snprintf(out, ASKS_TEXT_MAX, "done");
    return handover_is_synced(body);
}

/* A definition, or an empty line: none left. */
static bool parse_definition(const char *body, const char *key OH_UNUSED, char out[ASKS_TEXT_MAX])
{
    size_t len = strcspn(body, "\n");
    snprintf(out, ASKS_TEXT_MAX, "%.*s", (int)(len ? MIN(len, ASKS_TEXT_MAX - 1) : 1), len ? body : "-");
    return !len || *body == '`';
}

/* Made or not: it is tried again while tables are lacking. */
static bool parse_anything(const char *body OH_UNUSED, const char *key OH_UNUSED, char out[ASKS_TEXT_MAX])
{
    snprintf(out, ASKS_TEXT_MAX, "done");
    return true;
}

static bool parse_count(const char *body, const char *key OH_UNUSED, char out[ASKS_TEXT_MAX])
{
    size_t len = strspn(body, "0123456789");
    snprintf(out, ASKS_TEXT_MAX, "%.*s", (int)MIN(len, 18), body);
    return len > 0 && len <= 18 && (body[len] == '\n' || !body[len]);
}

/* A number and a hash. */
static bool parse_objects(const char *body, const char *key OH_UNUSED, char out[ASKS_TEXT_MAX])
{
    size_t n = strspn(body, "0123456789"), hash = body[n] == ' ' ? strspn(body + n + 1, "0123456789abcdef") : 0;
    snprintf(out, ASKS_TEXT_MAX, "%.*s", (int)MIN(n + 1 + hash, 39), body);
    return n > 0 && n <= 18 && hash > 0 && hash <= 16;
}

/* Names by commas, or an empty line: nobody. */
static bool parse_names(const char *body, const char *key OH_UNUSED, char out[ASKS_TEXT_MAX])
{
    size_t len = strcspn(body, "\n");
    if (len >= ASKS_TEXT_MAX || strspn(body, "abcdefghijklmnopqrstuvwxyz0123456789_,-") < len)
        return false;
    snprintf(out, ASKS_TEXT_MAX, "%.*s", (int)(len ? len : 1), len ? body : "-");
    return true;
}

/* What waits at the engine does so for less time than our own patience. */
static void want(struct replica_watch *w, const char *name, const char *address, const char *key, const char *sql,
                 asks_parse parse)
{
    asks_want(w->asks,
              &(struct question){.name = name,
                                 .address = address,
                                 .port = BLUEPRINT_HTTP_PORT,
                                 .path = parse == parse_synced ? "/?receive_timeout=2" : "/",
                                 .user = BLUEPRINT_OPERATOR,
                                 .password = w->password,
                                 .body = sql,
                                 .key = key,
                                 .parse = parse,
                                 .pause_ms = parse == parse_names ? REPLICA_WATCH_QUIET_MS : REPLICA_WATCH_BUSY_MS});
}

/* One question after the other: the next is another key, asked when the last is answered and old enough. */
static int64_t ask_member(struct replica_watch *w, struct group *g, int k, bool busy)
{
    struct member *m = &g->members[k];
    int64_t now = clock_mono_ms(w->clock), pause = busy ? REPLICA_WATCH_BUSY_MS : REPLICA_WATCH_QUIET_MS;
    autofree char *name = mem_printf("clickhouse-%s-%d", g->service, k);
    char key[48];
    snprintf(key, sizeof(key), "%s.%u", m->start, m->turn);
    want(w, name, m->address, key, operator_sql("replica"), parse_row);
    const char *answer = asks_get(w->asks, name);
    if (*answer && strcmp(m->said_for, key)) {
        g->view.said[k].known = replica_parse(answer, &g->view.said[k]);
        snprintf(m->said_for, sizeof(m->said_for), "%s", key);
        m->asked_ms = now;
    }
    if (!*answer)
        return now + REPLICA_WATCH_BUSY_MS;
    if (now - m->asked_ms >= pause) {
        m->turn++;
        return now;
    }
    return m->asked_ms + pause;
}

/* What is being mended is looked at more often. */
static bool is_mended(const struct group *g, int k)
{
    const struct replica_said *said = &g->view.said[k];
    bool asked = (g->reattach & (1u << k)) && (g->view.serving & (1u << k)) && said->known && said->readonly > 0;
    return asked || replica_to_restore(&g->view, k);
}

/* ---- what is seen ---- */

static void see(struct group *g, const struct runtime_status *s, int k)
{
    struct member *m = &g->members[k];
    char start[32];
    g->view.placed |= 1u << k;
    if (s->state != RUNTIME_RUNNING || !s->address || !*s->address) {
        g->view.said[k].known = false;
        *g->view.objects[k] = '\0';
        return;
    }
    snprintf(start, sizeof(start), "%lld.%d", (long long)s->since_ms, s->restarts);
    if (strcmp(start, m->start) || strcmp(s->address, m->address)) {
        *m = (struct member){.asked_ms = 0};
        m->since_ms = s->since_ms;
        snprintf(m->start, sizeof(m->start), "%s", start);
        snprintf(m->address, sizeof(m->address), "%s", s->address);
        g->view.said[k].known = false;
        *g->view.objects[k] = '\0';
    }
    g->view.serving |= 1u << k;
}

/* "clickhouse-SERVICE-K" -> K and the length of SERVICE; -1: of another form. */
static int ordinal_of(const char *workload, const char **ret_service, size_t *ret_len)
{
    static const char prefix[] = "clickhouse-";
    const char *dash = strrchr(workload, '-');
    if (strncmp(workload, prefix, sizeof(prefix) - 1) || dash < workload + sizeof(prefix) ||
        strspn(dash + 1, "0123456789") != strlen(dash + 1) || !dash[1] || strlen(dash) > 3)
        return -1;
    *ret_service = workload + sizeof(prefix) - 1;
    *ret_len = (size_t)(dash - *ret_service);
    int k = atoi(dash + 1);
    return k < BLUEPRINT_MAX_REPLICAS ? k : -1;
}

/* The group that the workload is a replica of, *ret_k its number; NULL: of none. */
static struct group *group_of_workload(struct replica_watch *w, const char *workload, int *ret_k)
{
    const char *service;
    size_t len;
    *ret_k = ordinal_of(workload, &service, &len);
    return *ret_k >= 0 ? group_of(w, service, len) : NULL;
}

static void look(struct replica_watch *w, const struct runtime_status_list *observed)
{
    for (size_t i = 0; i < observed->n; i++) {
        int k;
        struct group *g = group_of_workload(w, observed->items[i].name, &k);
        if (g)
            see(g, &observed->items[i], k);
    }
}

static void choose(struct replica_watch *w, const struct desired *d, const struct blueprint_env *env)
{
    for (size_t i = 0; i < w->n; i++)
        w->groups[i]->seen = false;
    for (size_t i = 0; i < d->n_services; i++) {
        const struct desired_service *s = &d->services[i];
        if (s->state != DESIRED_RUNNING || !(operator_duties(s, env) & OPERATOR_LOOK))
            continue;
        struct group *g = group_made(w, s->id);
        g->seen = true;
        g->view.placed = g->view.serving = 0;
        g->view.wanted = blueprint_replicas(s, env);
        g->surges = s->surge == DESIRED_SURGE_COMING;
        g->holds = g->surges && !s->surge_fresh;
    }
    size_t kept = 0;
    for (size_t i = 0; i < w->n; i++) {
        if (w->groups[i]->seen)
            w->groups[kept++] = w->groups[i];
        else
            group_free(w->groups[i]);
    }
    w->n = kept;
}

/* Somebody who stays says whom Replicated databases miss, as often as it speaks of its tables. */
static void ask_databases(struct replica_watch *w, struct group *g)
{
    for (int on = 0; on < g->view.wanted; on++) {
        const struct member *m = &g->members[on];
        struct replica_said *said = &g->view.said[on];
        if (!(g->view.serving & (1u << on)) || !said->known)
            continue;
        autofree char *name = mem_printf("databases-%s-%d", g->service, on);
        want(w, name, m->address, m->said_for, operator_sql("away-of-databases"), parse_names);
        const char *answer = asks_get(w->asks, name);
        if (*answer)
            said->away_database = replica_names(answer);
        return;
    }
}

static void ask_objects(struct replica_watch *w, struct group *g, int k)
{
    const struct member *m = &g->members[k];
    if (!g->surges || !(g->view.serving & (1u << k)) || !g->view.said[k].known)
        return;
    autofree char *name = mem_printf("objects-%s-%d", g->service, k);
    want(w, name, m->address, m->said_for, operator_sql("objects"), parse_objects);
    const char *answer = asks_get(w->asks, name);
    if (*answer)
        snprintf(g->view.objects[k], sizeof(g->view.objects[k]), "%s", answer);
}

static void forget(struct replica_watch *w, const struct group *g)
{
    int on = -1;
    bool database = false;
    int k = replica_to_forget(&g->view, &on, &database);
    if (k < 0)
        return;
    char replica[8];
    snprintf(replica, sizeof(replica), "r%d", k);
    const struct member *m = &g->members[on];
    autofree char *name = mem_printf("forget-%s-%d%s", g->service, k, database ? "-database" : ""),
                  *sql = operator_sql_with(database ? "drop-database-replica" : "drop-replica", replica);
    want(w, name, m->address, m->said_for, sql, parse_nothing);
}

/* One table with each answer of the replica's. */
static void restore(struct replica_watch *w, const struct group *g, int k)
{
    const struct member *m = &g->members[k];
    if (!is_mended(g, k))
        return;
    autofree char *which = mem_printf("readonly-%s-%d", g->service, k),
                  *name = mem_printf("restore-%s-%d", g->service, k);
    want(w, which, m->address, m->said_for, operator_sql("readonly"), parse_name);
    const char *table = asks_get(w->asks, which);
    if (*table != '`')
        return;
    autofree char *sql = operator_sql_with("restore-replica", table);
    want(w, name, m->address, m->said_for, sql, parse_nothing);
}

/* ---- who is new ---- */

static bool lacks(const struct replica_watch *w, const struct group *g, int k, int *ret_from)
{
    return schema_lacks(&g->view, k, clock_wall_ms(w->clock) - g->members[k].since_ms, ret_from);
}

/* Each answer at hand brings the next statement, at once. */
static void bring_schema(struct replica_watch *w, struct group *g, int k)
{
    int from = k;
    if (!lacks(w, g, k, &from)) {
        free(TAKE_PTR(g->fillers[k]));
        return;
    }
    if (!g->fillers[k])
        g->fillers[k] = mem_alloc(sizeof(*g->fillers[k]));
    struct filler *f = g->fillers[k];
    if (!*f->for_answer || (f->turn.done && strcmp(f->for_answer, g->members[k].said_for))) {
        f->turn = (struct schema_turn){.done = false};
        snprintf(f->for_answer, sizeof(f->for_answer), "%s", g->members[k].said_for);
    }
    autofree char *name = mem_printf("schema-%s-%d", g->service, k);
    while (!f->turn.done) {
        autobuf struct buf sql = BUF_INIT;
        schema_statement(&f->turn, &sql);
        autofree char *key = mem_printf("%s %s", f->for_answer, sql.data);
        want(w, name, g->members[f->turn.makes ? k : from].address, key, sql.data,
             f->turn.makes ? parse_anything : parse_definition);
        const char *answer = asks_get(w->asks, name);
        if (!*answer)
            return;
        schema_heard(&f->turn, answer);
    }
}

/* ---- who goes ---- */

static unsigned staying(const struct group *g)
{
    return g->view.serving & ((1u << g->view.wanted) - 1);
}

/* Asks on; each answer at hand brings the next statement, at once. */
static void hand_over_to(struct replica_watch *w, const struct group *g, int k, int to)
{
    struct leaver *l = g->leavers[k];
    struct handover_turn *t = &l->turns[to];
    autofree char *name = mem_printf("handover-%s-%d-%d", g->service, k, to);
    while (!t->done) {
        autobuf struct buf sql = BUF_INIT;
        handover_statement(t, &sql);
        autofree char *key = mem_printf("%u %s", l->turn, sql.data);
        want(w, name, g->members[to].address, key, sql.data, t->fetches ? parse_synced : parse_name);
        const char *answer = asks_get(w->asks, name);
        if (!*answer)
            return;
        handover_heard(t, answer);
    }
}

static void hand_over(struct replica_watch *w, const struct group *g, int k)
{
    struct leaver *l = g->leavers[k];
    for (int to = 0; to < g->view.wanted; to++)
        if (staying(g) & (1u << to))
            hand_over_to(w, g, k, to);
    if (!(g->view.serving & (1u << k)))
        return;
    autofree char *name = mem_printf("alone-%s-%d", g->service, k), *key = mem_printf("%u", l->turn);
    want(w, name, g->members[k].address, key, operator_sql("alone"), parse_count);
    const char *answer = asks_get(w->asks, name);
    l->alone = *answer ? strtoll(answer, NULL, 10) : -1;
}

void replica_watch_leaving(struct replica_watch *w, const char *service, unsigned replicas)
{
    struct group *g = group_of(w, service, strlen(service));
    for (int k = 0; g && k < BLUEPRINT_MAX_REPLICAS; k++) {
        if (!(replicas & (1u << k))) {
            free(TAKE_PTR(g->leavers[k]));
            continue;
        }
        if (!g->leavers[k]) {
            g->leavers[k] = mem_alloc(sizeof(*g->leavers[k]));
            *g->leavers[k] = (struct leaver){.turn = ++w->leaves, .alone = -1};
        }
        hand_over(w, g, k);
    }
}

struct handover_said replica_watch_left(const char *workload, void *watch)
{
    int k;
    const struct group *g = group_of_workload(watch, workload, &k);
    if (!g || !g->leavers[k])
        return (struct handover_said){.taken = g ? REPLICA_BEHIND : REPLICA_UNKNOWN, .alone = -1, .table = ""};
    return handover_sum(g->leavers[k]->turns, staying(g), g->view.said, g->leavers[k]->alone);
}

int64_t replica_watch_step(struct replica_watch *w, const struct desired *d, const struct blueprint_env *env,
                           const struct runtime_status_list *observed, bool busy)
{
    int64_t due = INT64_MAX;
    choose(w, d, env);
    look(w, observed);
    for (size_t i = 0; i < w->n; i++) {
        struct group *g = w->groups[i];
        int from;
        for (int k = 0; k < BLUEPRINT_MAX_REPLICAS; k++)
            if (g->view.serving & (1u << k))
                due = MIN(due, ask_member(w, g, k, busy || g->surges || is_mended(g, k) || lacks(w, g, k, &from)));
            else
                g->view.said[k].known = false;
        ask_databases(w, g);
        forget(w, g);
        for (int k = 0; k < g->view.wanted; k++) {
            ask_objects(w, g, k);
            if (!g->holds || k != g->view.wanted - 1)
                bring_schema(w, g, k);
            if (!g->surges || k != g->view.wanted - 1) /* one that is made onto an old disk is not taken (surge.h) */
                restore(w, g, k);
        }
    }
    return due;
}

enum replica_sync replica_watch_sync(const char *workload, void *watch)
{
    int k;
    const struct group *g = group_of_workload(watch, workload, &k);
    return g ? replica_judge(g->view.said, BLUEPRINT_MAX_REPLICAS, (size_t)k) : REPLICA_SYNCED;
}

const struct replica_view *replica_watch_view(const struct replica_watch *w, const char *service)
{
    for (size_t i = 0; i < w->n; i++)
        if (!strcmp(w->groups[i]->service, service))
            return &w->groups[i]->view;
    return NULL;
}

void replica_watch_reattach(struct replica_watch *w, const char *service, unsigned replicas)
{
    struct group *g = group_of(w, service, strlen(service));
    if (g)
        g->reattach = replicas;
}

void replica_watch_free(struct replica_watch *w, void (*done)(void *data), void *data)
{
    struct asks *asks = w->asks;
    for (size_t i = 0; i < w->n; i++)
        group_free(w->groups[i]);
    free(w->groups);
    mem_wipe(w->password, strlen(w->password));
    free(w->password);
    free(w);
    asks_free(asks, done, data);
}
