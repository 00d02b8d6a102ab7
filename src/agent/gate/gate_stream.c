/* One local connection of an engineer's: its target, its requests one after the other, and what becomes of each. */
#include "agent/gate/engine_user.h"
#include "agent/gate/gate_internal.h"

#include "base/keys.h"
#include "blueprint/blueprint.h"
#include "blueprint/diag.h"

#define HELD_MAX KIB(64)
#define TEXT "text/plain; charset=UTF-8"
#define JSON "application/json; charset=UTF-8"
#define PROMETHEUS_PORT 9090

struct gate_stream *gate_stream_new(struct gate_conn *c, uint32_t id)
{
    struct gate_stream *s = mem_alloc(sizeof(*s));
    s->conn = c;
    s->id = id;
    link_msg_reader_init(&s->reader, *c->grant ? KIB(4) : GATE_MESSAGE_MAX);
    s->next = c->streams;
    c->streams = s;
    c->n_streams++;
    return s;
}

void gate_stream_gone(struct gate_stream *s)
{
    struct gate_conn *c = s->conn;
    for (struct gate_stream **at = &c->streams; *at; at = &(*at)->next)
        if (*at == s) {
            *at = s->next;
            c->n_streams--;
            break;
        }
    if (s->job)
        s->job->stream = NULL;
    link_msg_reader_free(&s->reader);
    http1_reader_free(&s->http);
    buf_free(&s->out);
    buf_free(&s->held);
    free(s);
}

/* Ends it from our side; no event follows. */
static void end_stream(struct gate_stream *s)
{
    struct gate_conn *c = s->conn;
    if (s->ended)
        link_stream_close(c->conn, s->id);
    else
        link_stream_reset(c->conn, s->id);
    gate_stream_gone(s);
}

/* ---- going out ---- */

void gate_stream_writable(struct gate_stream *s)
{
    struct gate_conn *c = s->conn;
    while (s->out_at < s->out.len) {
        ssize_t n = link_stream_write(c->conn, s->id, s->out.data + s->out_at, s->out.len - s->out_at);
        if (n <= 0)
            return;
        s->out_at += (size_t)n;
        c->bytes_out += (size_t)n;
    }
    buf_free(&s->out);
    s->out_at = 0;
    if (!s->close_after || s->closed)
        return;
    s->closed = true;
    if (s->ended)
        end_stream(s);
    else
        link_stream_close(c->conn, s->id);
}

static void send_answer(struct gate_stream *s, int status, const char *type, const char *headers, const char *body,
                        size_t len, bool keep_alive)
{
    http1_answer(&s->out, status, type, headers, body, len, keep_alive);
    s->close_after |= !keep_alive;
}

static void send_sentence(struct gate_stream *s, int status, const char *sentence, bool keep_alive)
{
    autofree char *line = mem_printf("%s\n", sentence);
    send_answer(s, status, TEXT, "", line, strlen(line), keep_alive);
}

/* ---- records ---- */

static int record_request(struct gate_stream *s, const char *what, const char *text, const char *id,
                          uint64_t *ret_index, struct err *err)
{
    struct gate_conn *c = s->conn;
    c->requests++;
    return gate_record(c->gate, "access.request",
                       json_pack("{ss ss ss ss ss ss ss}", "event", "request", "grant", c->grant, "session", c->session,
                                 "target", gate_target_names[s->target], "service", s->service, what, text, "id", id),
                       ret_index, err);
}

static void record_refusal(struct gate_stream *s, const char *text, const char *why)
{
    struct gate_conn *c = s->conn;
    struct err err = ERR_INIT;
    json_t *said = json_string(text);
    json_t *body =
        json_pack("{ss ss ss ss so ss}", "event", "request-refused", "grant", c->grant, "session", c->session, "target",
                  gate_target_names[s->target], "said", said ? said : json_string("(not UTF-8)"), "why", why);
    if (gate_record(c->gate, "access.denied", body, NULL, &err) < 0)
        gate_event(c->gate, true, "a refusal under grant %s: %s", c->grant, err.message);
}

static int record_result(struct gate *g, const char *grant, const char *id, const struct target_answer *a, int64_t ms,
                         uint64_t *ret_index, struct err *err)
{
    char hash[2 * SHA256_SIZE + 1];
    sha256_hex(a->body, a->len, hash);
    return gate_record(g, "access.result",
                       json_pack("{ss ss ss si sI sI ss sI}", "event", "result", "grant", grant, "id", id, "status",
                                 a->status, "rows", (json_int_t)a->rows, "bytes", (json_int_t)a->len, "sha256", hash,
                                 "milliseconds", (json_int_t)ms),
                       ret_index, err);
}

/* On the disk first, then on its way. */
static void deliver(struct gate *g, struct gate_stream *s, const char *grant, const char *id,
                    const struct target_answer *a, int64_t ms, bool keep_alive)
{
    struct err err = ERR_INIT;
    uint64_t index = 0;
    char headers[200];
    int r = record_result(g, grant, id, a, ms, &index, &err);
    if (r < 0)
        gate_event(g, true, "a result under grant %s: %s", grant, err.message);
    if (!s)
        return;
    if (r < 0) {
        send_sentence(s, 503, err.message, false);
        return;
    }
    snprintf(headers, sizeof(headers), "X-Ownhouse-Leaf: %llu\r\nX-Ownhouse-Query-Id: %s\r\n",
             (unsigned long long)index, id);
    send_answer(s, a->status, a->type, headers, a->body, a->len, keep_alive);
}

/* ---- questions on work threads ---- */

size_t gate_job_count(const struct gate *g, const char *grant)
{
    size_t n = 0;
    for (const struct gate_job *j = g->jobs; j; j = j->next)
        n += !strcmp(j->grant, grant);
    return n;
}

static struct gate_job *new_job(struct gate_stream *s, const char *id, bool keep_alive)
{
    struct gate_job *j = mem_alloc(sizeof(*j));
    struct gate *g = s->conn->gate;
    j->gate = g;
    j->stream = s;
    j->keep_alive = keep_alive;
    j->begun_ms = clock_mono_ms(g->config.clock);
    memcpy(j->grant, s->conn->grant, UUID_SIZE);
    memcpy(j->ask.query_id, id, UUID_SIZE);
    j->next = g->jobs;
    g->jobs = j;
    g->n_jobs++;
    s->job = j;
    return j;
}

static void process(struct gate_stream *s, const char *data, size_t len);

static void finish_job(struct gate_job *j)
{
    struct gate *g = j->gate;
    struct gate_stream *s = j->stream;
    for (struct gate_job **at = &g->jobs; *at; at = &(*at)->next)
        if (*at == j) {
            *at = j->next;
            g->n_jobs--;
            break;
        }
    if (s)
        s->job = NULL;
    deliver(g, s, j->grant, j->ask.query_id, &j->answer, clock_mono_ms(g->config.clock) - j->begun_ms, j->keep_alive);
    g->big_answer |= j->answer.len > GATE_BIG_ANSWER;
    target_answer_free(&j->answer);
    target_ask_free(&j->ask);
    engine_user_unref(j->as);
    free(j);
    if (s) {
        autobuf struct buf held = s->held;
        s->held = BUF_INIT;
        if (held.len)
            process(s, held.data, held.len);
        else
            gate_stream_writable(s);
    }
    gate_endings_go_on(g);
}

static void not_asked(struct gate_job *j, const char *why)
{
    target_answer_free(&j->answer);
    j->answer = (struct target_answer){.status = 503, .type = TEXT, .body = mem_printf("%s\n", why), .rows = -1};
    j->answer.len = strlen(j->answer.body);
}

/* As the grant's own user, which is made first. An engine that was restarted may not know it any more. */
static void run_as(struct gate_job *j)
{
    for (int again = 0; again < 2; again++) {
        struct err err = ERR_INIT;
        int r = engine_user_make(j->as, j->ask.address, j->ask.port, j->make_id, again, &err);
        if (r == 0 && engine_user_over(j->as))
            r = err_set(&err, -EACCES, "the grant has ended");
        if (r < 0) {
            not_asked(j, err.message);
            return;
        }
        target_answer_free(&j->answer);
        target_run(&j->ask, &j->answer);
        if (!j->answer.unknown)
            return;
    }
}

static void work_run(uv_work_t *w)
{
    struct gate_job *j = w->data;
    if (j->as)
        run_as(j);
    else
        target_run(&j->ask, &j->answer);
}

static void work_done(uv_work_t *w, int status)
{
    struct gate_job *j = w->data;
    if (status < 0)
        not_asked(j, "stopping");
    finish_job(j);
}

struct kill_work {
    uv_work_t work;
    struct target_ask ask;
};

static void kill_run(uv_work_t *w)
{
    struct kill_work *k = w->data;
    target_kill(&k->ask);
}

static void kill_done(uv_work_t *w, int status)
{
    struct kill_work *k = w->data;
    target_ask_free(&k->ask);
    free(k);
}

void gate_kill_jobs(struct gate *g, const char *grant)
{
    for (struct gate_job *j = g->jobs, *next; j; j = next) {
        next = j->next;
        if (strcmp(j->grant, grant) || j->killed || !j->ask.sql)
            continue;
        struct kill_work *k = mem_alloc(sizeof(*k));
        j->killed = true;
        k->work.data = k;
        k->ask = (struct target_ask){.port = j->ask.port};
        memcpy(k->ask.user, j->ask.user, sizeof(k->ask.user));
        k->ask.password = mem_strdup(j->ask.password);
        memcpy(k->ask.query_id, j->ask.query_id, UUID_SIZE);
        memcpy(k->ask.address, j->ask.address, sizeof(k->ask.address));
        uv_queue_work(g->loop, &k->work, kill_run, kill_done);
    }
}

/* ---- where things are ---- */

static const struct gate_workload *find_workload(const struct gate *g, const char *role, const char *service)
{
    for (size_t i = 0; i < g->n_workloads; i++)
        if (!strcmp(g->workloads[i].role, role) && (!*service || !strcmp(g->workloads[i].service, service)))
            return &g->workloads[i];
    return NULL;
}

static bool grant_has_service(const struct grant *grant, const char *service)
{
    for (size_t i = 0; i < grant->n_services; i++)
        if (!strcmp(grant->services[i], service))
            return true;
    return grant->n_services == 0;
}

/* ---- requests ---- */

static bool has_room(struct gate_stream *s, bool keep_alive)
{
    struct gate *g = s->conn->gate;
    if (g->n_jobs < GATE_JOBS_MAX && gate_job_count(g, s->conn->grant) < GATE_JOBS_A_GRANT)
        return true;
    record_refusal(s, "", "too many requests at once");
    send_sentence(s, 429, "too many requests at once: at most two of a grant run side by side", keep_alive);
    return false;
}

/* Takes over the ask. */
static void start_job(struct gate_stream *s, struct target_ask *ask, const char *id, struct engine_user *as,
                      const char *make_id, bool keep_alive)
{
    struct gate_job *j = new_job(s, id, keep_alive);
    if (as) {
        j->as = engine_user_ref(as);
        memcpy(j->make_id, make_id, UUID_SIZE);
    }
    *ask->query_id = '\0';
    j->ask = *ask;
    memcpy(j->ask.query_id, id, UUID_SIZE);
    *ask = (struct target_ask){0};
    j->work.data = j;
    uv_queue_work(s->conn->gate->loop, &j->work, work_run, work_done);
}

static void record_and_start(struct gate_stream *s, struct target_ask *ask, const char *what, const char *text,
                             bool keep_alive)
{
    struct gate *g = s->conn->gate;
    struct engine_user *as = NULL;
    const char *make_id = "";
    char id[UUID_SIZE];
    struct err err = ERR_INIT;
    int r = 0;
    uuid_new(id);
    if (ask->sql)
        r = gate_user_for(g, grants_find(g->grants, s->conn->grant), s->service, &as, &make_id, &err);
    if (r == 0)
        r = record_request(s, what, text, id, NULL, &err);
    if (r < 0) {
        gate_event(g, true, "a request under grant %s: %s", s->conn->grant, err.message);
        send_sentence(s, 503, err.message, false);
        return;
    }
    if (as) {
        snprintf(ask->user, sizeof(ask->user), "%s", engine_user_name(as));
        ask->password = mem_strdup(engine_user_password(as));
    }
    start_job(s, ask, id, as, make_id, keep_alive);
}

static void take_clickhouse(struct gate_stream *s, const struct http1_request *q)
{
    struct gate *g = s->conn->gate;
    struct target_ask ask = {0};
    struct err err = ERR_INIT;
    bool ping = false;
    if (target_read_clickhouse(q, s->target, &ask, &ping, &err) < 0) {
        record_refusal(s, ask.sql ? ask.sql : q->target, err.message);
        send_sentence(s, 403, err.message, q->keep_alive);
        target_ask_free(&ask);
        return;
    }
    const struct gate_workload *w = find_workload(g, "clickhouse", s->service);
    if (ping) {
        send_sentence(s, 200, "Ok.", q->keep_alive);
    } else if (!w || !*w->address || !g->reader) {
        send_sentence(s, 503, "this service does not run at the moment", q->keep_alive);
    } else if (has_room(s, q->keep_alive)) {
        snprintf(ask.address, sizeof(ask.address), "%s", w->address);
        ask.port = BLUEPRINT_HTTP_PORT;
        ask.server = g->server;
        autofree char *text = mem_strdup(ask.sql);
        record_and_start(s, &ask, "query", text, q->keep_alive);
    }
    target_ask_free(&ask);
}

static void take_prometheus(struct gate_stream *s, const struct http1_request *q)
{
    struct target_ask ask = {0};
    struct err err = ERR_INIT;
    const struct gate_workload *w = find_workload(s->conn->gate, "prometheus", "");
    if (target_read_prometheus(q, &ask, &err) < 0) {
        record_refusal(s, q->target, err.message);
        send_sentence(s, 403, err.message, q->keep_alive);
    } else if (!w || !*w->address) {
        send_sentence(s, 503, "there is no Prometheus in this data plane", q->keep_alive);
    } else if (has_room(s, q->keep_alive)) {
        snprintf(ask.address, sizeof(ask.address), "%s", w->address);
        ask.port = PROMETHEUS_PORT;
        autofree char *text = mem_strdup(ask.path);
        record_and_start(s, &ask, "path", text, q->keep_alive);
    }
    target_ask_free(&ask);
}

/* ---- the cluster's view ---- */

static json_t *workload_view(const struct gate_workload *w)
{
    char since[CLOCK_ISO_SIZE];
    clock_iso(w->since_ms, since);
    return json_pack("{ss ss ss ss ss si ss ss}", "name", w->name, "role", w->role, "service", w->service, "slug",
                     w->slug, "state", w->state, "restarts", w->restarts, "since", since, "error", w->error);
}

/* A grant for some services sees theirs, and what is nobody's own. */
static bool may_see(const struct gate_stream *s, const struct gate_workload *w)
{
    const struct grant *grant = grants_find(s->conn->gate->grants, s->conn->grant);
    return grant && (!*w->service || grant_has_service(grant, w->service));
}

static json_t *list_view(const struct gate_stream *s, bool events)
{
    const struct gate *g = s->conn->gate;
    json_t *list = json_array();
    for (size_t i = 0; i < g->n_workloads; i++) {
        const struct gate_workload *w = &g->workloads[i];
        if (may_see(s, w) && (!events || w->restarts || *w->error))
            json_array_append_new(list, workload_view(w));
    }
    return list;
}

static void answer_view(struct gate_stream *s, const char *path, json_t *view, bool keep_alive)
{
    autojson json_t *owned = view;
    autofree char *text = js_text(owned);
    struct target_answer a = {.status = 200, .type = JSON, .body = text, .len = strlen(text), .rows = -1};
    char id[UUID_SIZE];
    struct err err = ERR_INIT;
    uuid_new(id);
    if (json_is_array(owned))
        a.rows = (int64_t)json_array_size(owned);
    if (record_request(s, "path", path, id, NULL, &err) < 0)
        send_sentence(s, 503, err.message, false);
    else
        deliver(s->conn->gate, s, s->conn->grant, id, &a, 0, keep_alive);
}

static void ask_logs(struct gate_stream *s, const struct gate_workload *w, const struct http1_request *q, int64_t lines)
{
    struct gate *g = s->conn->gate;
    char id[UUID_SIZE];
    struct err err = ERR_INIT;
    if (!has_room(s, q->keep_alive))
        return;
    uuid_new(id);
    if (record_request(s, "path", q->target, id, NULL, &err) < 0) {
        send_sentence(s, 503, err.message, false);
        return;
    }
    if (!gate_control_ask_logs(g, ++g->log_asks, w->name, lines)) {
        send_sentence(s, 503, "the operator cannot be asked for logs at the moment", q->keep_alive);
        return;
    }
    struct gate_job *j = new_job(s, id, q->keep_alive);
    j->logs = true;
    j->log_ask = g->log_asks;
}

void gate_stream_logs(struct gate *g, uint64_t ask, const char *text)
{
    for (struct gate_job *j = g->jobs; j; j = j->next) {
        if (!j->logs || j->log_ask != ask)
            continue;
        j->answer = (struct target_answer){.status = text ? 200 : 404, .type = TEXT, .rows = -1};
        j->answer.body = mem_strdup(text ? text : "there is no log of this workload\n");
        j->answer.len = strlen(j->answer.body);
        finish_job(j);
        return;
    }
}

static void take_logs(struct gate_stream *s, const struct http1_request *q)
{
    static const char prefix[] = "/workloads/", suffix[] = "/logs";
    static const char *const allowed[] = {"lines", NULL};
    struct gate *g = s->conn->gate;
    size_t path = strcspn(q->target, "?"), from = strlen(prefix), to = path - MIN(path, strlen(suffix));
    autofree char *lines = NULL;
    struct err err = ERR_INIT;
    const struct gate_workload *w = NULL;
    if (to > from && !memcmp(q->target, prefix, from) && !memcmp(q->target + to, suffix, strlen(suffix)))
        for (size_t i = 0; i < g->n_workloads; i++)
            if (strlen(g->workloads[i].name) == to - from && !memcmp(g->workloads[i].name, q->target + from, to - from))
                w = &g->workloads[i];
    if (http1_params_only(q->target, allowed, &err) < 0 || http1_param(q->target, "lines", &lines, &err) < 0) {
        send_sentence(s, 400, err.message, q->keep_alive);
        return;
    }
    long n = lines ? strtol(lines, NULL, 10) : 100;
    if (!w || !may_see(s, w)) {
        record_refusal(s, q->target, "not on the list");
        send_sentence(s, 404, "/workloads, /workloads/NAME/logs?lines=N and /events can be seen here", q->keep_alive);
    } else if (!strcmp(w->role, "clickhouse") && g->server) {
        record_refusal(s, q->target, "a server's log holds statements");
        send_sentence(s, 403, "a ClickHouse server's log holds customers' statements: it is not shown", q->keep_alive);
    } else if (n < 1 || n > GATE_LOG_LINES_MAX) {
        send_sentence(s, 400, "lines must be 1 to 1000", q->keep_alive);
    } else {
        ask_logs(s, w, q, n);
    }
}

static void take_cluster(struct gate_stream *s, const struct http1_request *q)
{
    if (strcmp(q->method, "GET")) {
        record_refusal(s, q->target, "only GET is taken here");
        send_sentence(s, 405, "only GET is taken here: nothing can be changed or run", q->keep_alive);
    } else if (!strcmp(q->target, "/workloads")) {
        answer_view(s, q->target, list_view(s, false), q->keep_alive);
    } else if (!strcmp(q->target, "/events")) {
        answer_view(s, q->target, list_view(s, true), q->keep_alive);
    } else {
        take_logs(s, q);
    }
}

static void take_request(struct gate_stream *s, const struct http1_request *q)
{
    const struct grant *grant = grants_find(s->conn->gate->grants, s->conn->grant);
    /* Looked at for each request: the grant may have ended since the connection began. */
    if (!grant || clock_mono_ms(s->conn->gate->config.clock) >= grant->ends_ms) {
        send_sentence(s, 403, "the grant has ended", false);
        return;
    }
    if (!s->conn->gate->workloads) {
        send_sentence(s, 503, "the agent has just started and does not know yet what runs here: try again in a moment",
                      q->keep_alive);
        return;
    }
    if (s->target == GATE_PROMETHEUS)
        take_prometheus(s, q);
    else if (s->target == GATE_CLUSTER)
        take_cluster(s, q);
    else
        take_clickhouse(s, q);
}

/* ---- coming in ---- */

static void tell_target(struct gate_stream *s, json_t *message)
{
    autojson json_t *owned = message;
    if (link_msg_write(owned, KIB(4), &s->out, NULL) < 0)
        s->close_after = true;
}

/* The target is checked against the grant for every stream: what the certificate was good for elsewhere counts for
 * nothing. */
static void take_target(struct gate_stream *s, const json_t *m)
{
    const struct grant *grant = grants_find(s->conn->gate->grants, s->conn->grant);
    const char *type = NULL, *target = NULL, *service = "";
    struct err err = ERR_INIT;
    size_t k = 0;
    int r = js_string(m, "", "type", 16, &type, &err);
    if (r == 0 && strcmp(type, "target"))
        r = err_set(&err, -EINVAL, "type: must be \"target\"");
    if (r == 0)
        r = js_string(m, "", "target", 40, &target, &err);
    if (r == 0)
        r = js_string_opt(m, "", "service", UUID_SIZE - 1, &service, &err);
    while (r == 0 && k < GATE_TARGETS && strcmp(target, gate_target_names[k]))
        k++;
    if (r == 0 && (k == GATE_TARGETS || !grant || !(grant->targets & 1u << k)))
        r = err_set(&err, -EACCES, "the grant does not reach %.40s", target);
    bool clickhouse = k == GATE_CLICKHOUSE_DIAG || k == GATE_CLICKHOUSE_TEXT;
    if (r == 0 && clickhouse && (!uuid_valid(service) || !grant_has_service(grant, service)))
        r = err_set(&err, -EACCES, "the grant does not reach this service");
    if (r < 0) {
        record_refusal(s, target ? target : "", err.message);
        tell_target(s, json_pack("{ss ss}", "type", "error", "message", err.message));
        s->close_after = true;
        return;
    }
    s->target = (enum gate_target)k;
    snprintf(s->service, sizeof(s->service), "%s", service);
    s->has_target = true;
    link_msg_reader_free(&s->reader);
    tell_target(s, json_pack("{ss}", "type", "ready"));
}

static void process_http(struct gate_stream *s, const char *data, size_t len)
{
    while (len && !s->job && !s->close_after) {
        struct http1_request q;
        struct err err = ERR_INIT;
        int status = 400, r = http1_read(&s->http, &data, &len, &q, &status, &err);
        if (r == 0)
            break;
        if (r < 0) {
            send_sentence(s, status, err.message, false);
            break;
        }
        take_request(s, &q);
        http1_next(&s->http);
    }
    if (s->job && len)
        buf_add(&s->held, data, len);
}

static void process(struct gate_stream *s, const char *data, size_t len)
{
    if (!s->has_target) {
        const uint8_t *at = (const uint8_t *)data;
        autojson json_t *message = NULL;
        int r = link_msg_read(&s->reader, &at, &len, &message, NULL);
        if (r < 0) {
            end_stream(s);
            return;
        }
        if (r == 0)
            return;
        data = (const char *)at;
        take_target(s, message);
    }
    if (s->has_target)
        process_http(s, data, len);
    gate_stream_writable(s);
}

void gate_stream_data(struct gate_stream *s, const void *data, size_t len)
{
    link_stream_consumed(s->conn->conn, s->id, len);
    if (s->close_after)
        return;
    if (!s->job) {
        process(s, data, len);
    } else if (s->held.len + len > HELD_MAX) {
        end_stream(s);
    } else {
        buf_add(&s->held, data, len);
    }
}

void gate_stream_eof(struct gate_stream *s)
{
    s->ended = true;
    if (s->closed)
        return; /* that was both directions: gate_stream_gone() follows */
    if (!s->job && !s->out.len)
        end_stream(s);
    else
        s->close_after |= !s->job;
}
