/* agent/operator/operator: the loop on a real libuv loop and a simulated runtime: documents in, workloads out, reports,
 * restarts without a control plane, certificates renewed. */
#include "operator_document.h"

#include "agent/operator/operator.h"

#include <arpa/inet.h>
#include <sys/eventfd.h>
#include <sys/socket.h>

/* ---- a runtime that makes everything run at once ---- */

#define MAX_PLACED 16

struct fake {
    struct runtime base;
    struct {
        char name[64], digest[65], role[32], service[40];
        enum runtime_state state;
        char *ingress_pem; /* the certificate file's content */
    } items[MAX_PLACED];
    size_t n;
    int applied, removed, purged, fd;
    bool broken;         /* observe() fails */
    char generation[80]; /* what the ingress was told to take up */
    int deaf;            /* so many tellings are lost */
    bool watched;        /* the ingress has an address: it is asked */
};

static struct fake *fake_of(struct runtime *rt)
{
    return CONTAINER_OF(rt, struct fake, base);
}

static void changed(struct fake *f)
{
    uint64_t one = 1;
    assert_int_equal(write(f->fd, &one, sizeof(one)), sizeof(one));
}

static int fake_apply(struct runtime *rt, const struct workload *w, const struct workload_list *all, struct err *err)
{
    struct fake *f = fake_of(rt);
    size_t i = 0;
    while (i < f->n && strcmp(f->items[i].name, w->name))
        i++;
    f->n = MAX(f->n, i + 1);
    assert_true(f->n <= MAX_PLACED && all->n >= 1);
    const char *service = workload_label(w, "service");
    snprintf(f->items[i].name, sizeof(f->items[i].name), "%s", w->name);
    snprintf(f->items[i].role, sizeof(f->items[i].role), "%s", workload_label(w, "role"));
    snprintf(f->items[i].service, sizeof(f->items[i].service), "%s", service ? service : "");
    f->items[i].state = w->stopped ? RUNTIME_STOPPED : RUNTIME_RUNNING;
    f->applied++;
    changed(f);
    for (size_t k = 0; k < w->n_files; k++)
        if (!strcmp(w->files[k].path, "generation") && f->deaf-- <= 0) {
            snprintf(f->generation, sizeof(f->generation), "%s", w->files[k].content);
        } else if (!strncmp(w->files[k].path, "certificates/service-", 21)) {
            free(f->items[i].ingress_pem);
            f->items[i].ingress_pem = mem_strdup(w->files[k].content);
        }
    return runtime_digest(w, f->items[i].digest, err);
}

static int fake_remove(struct runtime *rt, const char *name, bool delete_data, struct err *err OH_UNUSED)
{
    struct fake *f = fake_of(rt);
    f->removed++;
    f->purged += delete_data;
    for (size_t i = 0; i < f->n; i++)
        if (!strcmp(f->items[i].name, name)) {
            free(f->items[i].ingress_pem);
            f->items[i] = f->items[--f->n];
            f->items[f->n].ingress_pem = NULL;
        }
    changed(f);
    return 0;
}

static int fake_observe(struct runtime *rt, struct runtime_status_list *ret, struct err *err)
{
    struct fake *f = fake_of(rt);
    if (f->broken)
        return err_set(err, -EIO, "the folder cannot be read");
    *ret = (struct runtime_status_list){.arena = arena_new(), .n = f->n};
    ret->items = arena_alloc(ret->arena, (f->n + 1) * sizeof(*ret->items));
    for (size_t i = 0; i < f->n; i++) {
        struct workload_env *labels = arena_alloc(ret->arena, 2 * sizeof(*labels));
        labels[0] = (struct workload_env){"role", f->items[i].role};
        labels[1] = (struct workload_env){"service", f->items[i].service};
        ret->items[i] =
            (struct runtime_status){.name = f->items[i].name,
                                    .state = f->items[i].state,
                                    .error = "",
                                    .since_ms = 1,
                                    .address = strcmp(f->items[i].role, "ingress") || f->watched ? "127.9.8.7" : "",
                                    .labels = labels,
                                    .n_labels = *f->items[i].service ? 2 : 1};
        memcpy(ret->items[i].digest, f->items[i].digest, 65);
    }
    return 0;
}

static int fake_change_fd(struct runtime *rt)
{
    return fake_of(rt)->fd;
}

static void fake_change_clear(struct runtime *rt)
{
    uint64_t n;
    assert_int_equal(read(fake_of(rt)->fd, &n, sizeof(n)), sizeof(n));
}

static const struct runtime_ops fake_ops = {fake_apply,     fake_remove,       fake_observe,
                                            fake_change_fd, fake_change_clear, NULL};

static const char *pem_in_use(const struct fake *f)
{
    for (size_t i = 0; i < f->n; i++)
        if (!strcmp(f->items[i].name, "ingress"))
            return f->items[i].ingress_pem;
    return NULL;
}

/* ---- fixture ---- */

/* The system's clock, shifted. */
struct shifted {
    struct clock clock;
    int64_t by, mono_by;
};

static int64_t shifted_wall(const struct clock *c)
{
    return clock_wall_ms(&clock_system) + ((const struct shifted *)(const void *)c)->by; /* clock is its first member */
}

static int64_t shifted_mono(const struct clock *c)
{
    return clock_mono_ms(&clock_system) + ((const struct shifted *)(const void *)c)->mono_by;
}

struct fixture {
    uv_loop_t loop;
    struct fake fake;
    struct shifted clock;
    struct signing_key *key;
    struct operator_loop *o;
    char *dir, event[512];
    json_t *observed;
    int reports, errors;
    int64_t files_take_ms;
    bool stopped;
};

static void on_observed(const json_t *observed, void *data)
{
    struct fixture *f = data;
    json_decref(f->observed);
    f->observed = json_deep_copy(observed);
    f->reports++;
}

static void on_event(bool error, const char *message, void *data)
{
    struct fixture *f = data;
    f->errors += error;
    if (error)
        snprintf(f->event, sizeof(f->event), "%s", message);
}

static void start(struct fixture *f)
{
    struct operator_config c = {
        .loop = &f->loop,
        .state_dir = f->dir,
        .infrastructure = INFRA,
        .isolation = "none",
        .program_version = "0.1.0",
        .clock = &f->clock.clock,
        .runtime = &f->fake.base,
        .env = {.public_address = "127.0.0.1", .client_address = "127.0.0.1", .engine = BLUEPRINT_EMBEDDED},
        .files_take_ms = f->files_take_ms,
        .on_observed = on_observed,
        .on_event = on_event,
        .data = f,
    };
    struct err err = ERR_INIT;
    signing_key_public(f->key, c.desired_key);
    if (operator_new(&c, &f->o, &err) < 0)
        fail_msg("%s", err.message);
    operator_start(f->o);
}

static void on_stopped(void *data)
{
    ((struct fixture *)data)->stopped = true;
}

static void stop(struct fixture *f)
{
    f->stopped = false;
    operator_stop(f->o, on_stopped, f);
    while (uv_run(&f->loop, UV_RUN_ONCE))
        ;
    assert_true(f->stopped);
    f->o = NULL;
}

static int setup(void **state)
{
    struct fixture *f = mem_alloc(sizeof(*f));
    void *dir = NULL;
    if (scratch_setup(&dir) < 0)
        return -1;
    f->dir = dir;
    f->key = signing_key_new();
    f->clock.clock = (struct clock){shifted_wall, shifted_mono};
    f->fake.base.ops = &fake_ops;
    f->fake.fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
    uv_loop_init(&f->loop);
    *state = f;
    return 0;
}

static int teardown(void **state)
{
    struct fixture *f = *state;
    void *dir = f->dir;
    if (f->o)
        stop(f);
    assert_int_equal(uv_loop_close(&f->loop), 0);
    for (size_t i = 0; i < f->fake.n; i++)
        free(f->fake.items[i].ingress_pem);
    close(f->fake.fd);
    signing_key_free(f->key);
    json_decref(f->observed);
    free(f);
    return scratch_teardown(&dir);
}

static void on_tick(uv_timer_t *t OH_UNUSED)
{
}

static void on_tick_closed(uv_handle_t *h OH_UNUSED)
{
}

static const char *service_state(const struct fixture *f)
{
    const json_t *s = json_array_get(json_object_get(f->observed, "services"), 0);
    return s ? json_string_value(json_object_get(s, "state")) : "";
}

/* Turns the loop until the condition holds; fails after 5 s. `true` turns it for a while. */
static void turn(struct fixture *f, int64_t end_ms, int line)
{
    uv_timer_t tick;
    uv_timer_init(&f->loop, &tick);
    uv_timer_start(&tick, on_tick, 5, 5);
    uv_run(&f->loop, UV_RUN_ONCE);
    uv_close((uv_handle_t *)&tick, on_tick_closed);
    uv_run(&f->loop, UV_RUN_NOWAIT);
    if (clock_mono_ms(&clock_system) > end_ms)
        fail_msg("line %d: it did not happen within 5 s: %d reports, state %s, last event: %s", line, f->reports,
                 service_state(f), f->event);
}
#define UNTIL(f, condition)                                 \
    do {                                                    \
        int64_t end_ = clock_mono_ms(&clock_system) + 5000; \
        for (int i_ = 0; i_ < 20 || !(condition); i_++)     \
            turn(f, end_, __LINE__);                        \
    } while (0)

static int offer(struct fixture *f, int64_t version, const char *state, bool delete_data, struct err *err)
{
    char signature[129];
    autofree char *text = document(INFRA, version, state, delete_data);
    sign(f->key, INFRA, version, text, signature);
    return operator_offer_desired(f->o, version, text, strlen(text), signature, err);
}

static int64_t reported_version(const struct fixture *f)
{
    return json_integer_value(json_object_get(f->observed, "desiredVersion"));
}

/* ---- tests ---- */

static void life_of_a_service(void **state)
{
    struct fixture *f = *state;
    struct err err = ERR_INIT;
    start(f);
    UNTIL(f, f->reports == 1);
    assert_int_equal(reported_version(f), 0);
    assert_int_equal(f->fake.applied, 0);
    assert_non_null(strstr(json_string_value(json_object_get(f->observed, "caCertificate")), "BEGIN CERTIFICATE"));
    assert_int_equal(offer(f, 1, "running", false, &err), 0);
    assert_int_equal(operator_desired_version(f->o), 1);
    UNTIL(f, !strcmp(service_state(f), "running"));
    assert_int_equal(f->fake.n, 3);
    assert_int_equal(reported_version(f), 1);
    assert_int_equal(offer(f, 1, "running", false, &err), 0); /* a repeat */
    assert_int_equal(offer(f, 2, "stopped", false, &err), 0);
    UNTIL(f, !strcmp(service_state(f), "stopped"));
    assert_int_equal(offer(f, 3, "deleted", true, &err), 0);
    UNTIL(f, !strcmp(service_state(f), "gone"));
    assert_int_equal(f->fake.purged, 1);
    assert_int_equal(f->fake.n, 2);
    autojson json_t *last = operator_observed(f->o);
    assert_true(json_equal(last, f->observed));
    assert_int_equal(f->errors, 0);
}

static void a_refused_document_changes_nothing(void **state)
{
    struct fixture *f = *state;
    struct err err = ERR_INIT;
    start(f);
    assert_int_equal(offer(f, 5, "running", false, NULL), 0);
    UNTIL(f, !strcmp(service_state(f), "running"));
    assert_int_equal(offer(f, 4, "deleted", true, &err), -ESTALE);
    assert_int_equal(operator_offer_desired(f->o, 6, "{}", 2, "00", &err), -EBADMSG);
    autofree char *old = mem_printf("%s/desired.json", f->dir);
    assert_int_equal(operator_desired_version(f->o), 5);
    /* it cannot be kept: then it is not acted on either */
    assert_int_equal(unlink(old), 0);
    assert_int_equal(fs_mkdirs(old, 0700, NULL), 0);
    err = ERR_INIT;
    assert_true(offer(f, 6, "deleted", true, &err) < 0);
    assert_true(*err.message != '\0');
    assert_int_equal(operator_desired_version(f->o), 5);
    operator_nudge(f->o);
    int before = f->fake.removed;
    UNTIL(f, true);
    assert_int_equal(f->fake.removed, before);
}

/* With the control plane gone, a restart of the agent goes on from what it kept, and touches nothing. */
static void it_lives_alone(void **state)
{
    struct fixture *f = *state;
    start(f);
    assert_int_equal(offer(f, 1, "running", false, NULL), 0);
    UNTIL(f, !strcmp(service_state(f), "running"));
    stop(f);
    int applied = f->fake.applied;
    json_decref(f->observed);
    f->observed = NULL;
    start(f);
    assert_int_equal(operator_desired_version(f->o), 1);
    UNTIL(f, !strcmp(service_state(f), "running"));
    assert_int_equal(f->fake.applied, applied);
    stop(f);
    /* what was lost meanwhile comes back without a word from outside */
    fake_remove(&f->fake.base, "clickhouse-" SERVICE_ID "-0", false, NULL);
    start(f);
    UNTIL(f, f->fake.n == 3);
    UNTIL(f, !strcmp(service_state(f), "running"));
}

static void a_forged_kept_document_is_left_alone(void **state)
{
    struct fixture *f = *state;
    autofree char *path = mem_printf("%s/desired.json", f->dir), *text = NULL;
    size_t len = 0;
    start(f);
    assert_int_equal(offer(f, 1, "running", false, NULL), 0);
    UNTIL(f, !strcmp(service_state(f), "running"));
    stop(f);
    assert_int_equal(fs_read(path, MIB(1), &text, &len, NULL), 0);
    char *at = strstr(text, "running");
    memcpy(at, "deleted", 7);
    assert_int_equal(fs_write_atomic(path, text, len, 0600, NULL), 0);
    int removed = f->fake.removed, reports = f->reports;
    start(f);
    assert_int_equal(f->errors, 1);
    assert_non_null(strstr(f->event, "is not used"));
    assert_int_equal(operator_desired_version(f->o), 0);
    UNTIL(f, f->reports > reports);
    assert_int_equal(f->fake.removed, removed);
    assert_int_equal(f->fake.n, 3);
    assert_true(fs_exists(path));
}

static void the_certificate_is_renewed_in_time(void **state)
{
    struct fixture *f = *state;
    start(f);
    assert_int_equal(offer(f, 1, "running", false, NULL), 0);
    UNTIL(f, !strcmp(service_state(f), "running"));
    autofree char *before = mem_strdup(pem_in_use(&f->fake));
    int applied = f->fake.applied;
    f->clock.by = INT64_C(19) * 86400000;
    operator_nudge(f->o);
    UNTIL(f, true);
    assert_string_equal(pem_in_use(&f->fake), before);
    f->clock.by = INT64_C(21) * 86400000;
    operator_nudge(f->o);
    UNTIL(f, strcmp(pem_in_use(&f->fake), before));
    assert_int_equal(f->fake.applied, applied + 1); /* the ingress alone */
    assert_string_equal(service_state(f), "running");
}

/* Without a certificate the ingress must not be taken for unwanted. */
static void a_clock_gone_wrong_removes_nothing(void **state)
{
    struct fixture *f = *state;
    start(f);
    assert_int_equal(offer(f, 1, "running", false, NULL), 0);
    UNTIL(f, !strcmp(service_state(f), "running"));
    stop(f);
    autofree char *leaf = mem_printf("%s/service.json", f->dir);
    assert_int_equal(unlink(leaf), 0);
    f->clock.by = -INT64_C(30) * 86400000;
    start(f);
    UNTIL(f, f->errors > 0);
    assert_non_null(strstr(f->event, "clock"));
    assert_int_equal(f->fake.removed, 0);
    assert_int_equal(f->fake.n, 3);
}

/* It has the whole week, and nobody has to tell it the hour. */
static void the_schedule_is_followed_without_a_control_plane(void **state)
{
    struct fixture *f = *state;
    char signature[129];
    autofree char *plain = document(INFRA, 1, "running", false), *text = NULL;
    int hour = (int)((clock_wall_ms(&clock_system) / 3600000 + 3) % 24);
    const char *cut = strstr(plain, ",\"users\"");
    text = mem_printf("%.*s,\"schedule\":[{\"weekdays\":[0,1,2,3,4,5,6],\"startHourUtc\":%d,\"endHourUtc\":%d,"
                      "\"replicas\":1,\"memoryGb\":3,\"idleMinutes\":0}]%s",
                      (int)(cut - plain), plain, hour, hour + 1, cut);
    sign(f->key, INFRA, 1, text, signature);
    start(f);
    assert_int_equal(operator_offer_desired(f->o, 1, text, strlen(text), signature, NULL), 0);
    UNTIL(f, !strcmp(service_state(f), "running"));
    stop(f);
    int applied = f->fake.applied;
    start(f); /* from what it kept */
    f->clock.by = INT64_C(3) * 3600000;
    operator_nudge(f->o);
    UNTIL(f, f->fake.applied > applied);
    applied = f->fake.applied;
    operator_nudge(f->o);
    UNTIL(f, true);
    assert_int_equal(f->fake.applied, applied);
    f->clock.by = INT64_C(5) * 3600000;
    operator_nudge(f->o);
    UNTIL(f, f->fake.applied > applied);
}

static void a_broken_runtime_is_told_once_and_tried_again(void **state)
{
    struct fixture *f = *state;
    f->fake.broken = true;
    start(f);
    assert_int_equal(offer(f, 1, "running", false, NULL), 0);
    UNTIL(f, f->errors == 1);
    assert_string_equal(f->event, "the folder cannot be read");
    for (int i = 0; i < 5; i++) {
        operator_nudge(f->o);
        UNTIL(f, true);
    }
    assert_int_equal(f->errors, 1);
    f->fake.broken = false;
    operator_nudge(f->o);
    UNTIL(f, !strcmp(service_state(f), "running"));
}

/* ---- workloads that answer: an engine that refuses, as every engine does, and an ingress ---- */

struct listener {
    uv_poll_t poll;
    int fd;
    struct fixture *f;
    char request[4096];
};

static bool listener_open(struct listener *l, struct fixture *f, int port, uv_poll_cb answer)
{
    struct sockaddr_in a = {.sin_family = AF_INET, .sin_port = htons((uint16_t)port)};
    int on = 1;
    a.sin_addr.s_addr = htonl(0x7f090807); /* 127.9.8.7, as fake_observe() says */
    l->f = f;
    l->fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    setsockopt(l->fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
    if (bind(l->fd, (struct sockaddr *)&a, sizeof(a)) < 0 || listen(l->fd, 4) < 0) {
        print_message("port %d of 127.9.8.7 is taken: not tested\n", port);
        close(l->fd);
        return false;
    }
    uv_poll_init(&f->loop, &l->poll, l->fd);
    l->poll.data = l;
    uv_poll_start(&l->poll, UV_READABLE, answer);
    return true;
}

static void listener_close(struct listener *l)
{
    uv_close((uv_handle_t *)&l->poll, on_tick_closed);
    uv_run(&l->f->loop, UV_RUN_NOWAIT);
    close(l->fd);
}

static void answer(struct listener *l, const char *status, const char *body)
{
    int fd = accept(l->fd, NULL, NULL);
    ssize_t n = read(fd, l->request, sizeof(l->request) - 1);
    assert_true(n > 0);
    l->request[n] = '\0';
    dprintf(fd, "HTTP/1.1 %s\r\nContent-Length: %zu\r\nConnection: close\r\n\r\n%s", status, strlen(body), body);
    close(fd);
}

static void engine_refuses(uv_poll_t *p, int status OH_UNUSED, int events OH_UNUSED)
{
    struct listener *l = p->data;
    answer(l, "403 Forbidden", "Code: 516. DB::Exception: who? (version 24.8.4.13 (official))");
    assert_non_null(strstr(l->request, "X-ClickHouse-User: ownhouse_operator\r\n"));
}

static void ingress_answers(uv_poll_t *p, int status OH_UNUSED, int events OH_UNUSED)
{
    struct listener *l = p->data;
    answer(l, "200 OK", l->f->fake.generation);
    assert_non_null(strstr(l->request, "GET /generation "));
}

static const char *engine_version(const struct fixture *f)
{
    const json_t *s = json_array_get(json_object_get(f->observed, "services"), 0);
    return s ? json_string_value(json_object_get(s, "engineVersion")) : "";
}

static void the_engine_is_asked_for_its_version(void **state)
{
    struct fixture *f = *state;
    struct listener engine;
    if (!listener_open(&engine, f, BLUEPRINT_HTTP_PORT, engine_refuses))
        skip();
    start(f);
    assert_int_equal(offer(f, 1, "running", false, NULL), 0);
    UNTIL(f, !strcmp(engine_version(f), "24.8.4.13"));
    listener_close(&engine);
    stop(f);
}

static void engine_counts(uv_poll_t *p, int status OH_UNUSED, int events OH_UNUSED)
{
    struct listener *l = p->data;
    answer(l, "200 OK",
           "# TYPE ClickHouseMetrics_Query gauge\nClickHouseMetrics_Query 7\nClickHouseMetrics_TableSecret 8\n"
           "ClickHouseProfileEvents_Query{table=\"secret\"} 9\n");
    assert_non_null(strstr(l->request, "GET /metrics "));
}

static void of_the_engines_counters_only_the_listed_leave(void **state)
{
    struct fixture *f = *state;
    struct listener engine;
    if (!listener_open(&engine, f, BLUEPRINT_METRICS_PORT, engine_counts))
        skip();
    start(f);
    assert_int_equal(offer(f, 1, "running", false, NULL), 0);
    UNTIL(f, json_object_get(json_array_get(json_object_get(f->observed, "services"), 0), "metrics"));
    autofree char *text =
        js_text(json_object_get(json_array_get(json_object_get(f->observed, "services"), 0), "metrics"));
    assert_string_equal(text, "{\"ClickHouseMetrics_Query\":7}");
    listener_close(&engine);
    stop(f);
}

/* A service that runs, and an ingress that is asked which files it has. */
static void run_behind(struct fixture *f, struct listener *ingress)
{
    if (!listener_open(ingress, f, BLUEPRINT_HEALTH_PORT, ingress_answers))
        skip();
    f->fake.watched = true;
    start(f);
    assert_int_equal(offer(f, 1, "running", false, NULL), 0);
    UNTIL(f, !strcmp(service_state(f), "running"));
}

/* HAProxy loses a reload signal that comes while it starts; found by a scenario under load. */
static void an_ingress_that_missed_its_reload_is_told_again(void **state)
{
    struct fixture *f = *state;
    struct listener ingress;
    run_behind(f, &ingress);
    int applied = f->fake.applied;
    for (int i = 0; i < 5; i++)
        UNTIL(f, true);
    assert_int_equal(f->fake.applied, applied); /* it said at once that it has them */
    f->fake.deaf = 1;
    assert_int_equal(offer(f, 2, "stopped", false, NULL), 0);
    UNTIL(f, f->errors == 1);
    assert_non_null(strstr(f->event, "told again"));
    applied = f->fake.applied;
    UNTIL(f, f->fake.applied == applied + 2); /* the ingress again, and then the engine, which waited for it */
    for (int i = 0; i < 5; i++)
        UNTIL(f, true);
    assert_int_equal(f->fake.applied, applied + 2);
    assert_string_equal(service_state(f), "stopped");
    assert_int_equal(f->errors, 1);
    listener_close(&ingress);
    stop(f);
}

/* A service stopped and started within a moment; found by kill -9 at random. The ingress still answers with its first
 * files while it reads the second, and the third telling is lost. */
static void files_that_come_back_get_another_number(void **state)
{
    struct fixture *f = *state;
    struct listener ingress;
    run_behind(f, &ingress);
    for (int i = 0; i < 5; i++)
        UNTIL(f, true); /* it said that it has them */
    char first[sizeof(f->fake.generation)];
    memcpy(first, f->fake.generation, sizeof(first));
    int applied = f->fake.applied;
    f->fake.deaf = 2;
    assert_int_equal(offer(f, 2, "stopped", false, NULL), 0);
    UNTIL(f, f->fake.applied > applied && f->fake.deaf == 1);
    assert_int_equal(offer(f, 3, "running", false, NULL), 0);
    UNTIL(f, f->fake.deaf == 0);
    assert_string_equal(f->fake.generation, first); /* what it would be believed for */
    assert_string_equal(service_state(f), "starting");
    f->clock.mono_by += 4000;
    UNTIL(f, f->errors == 1 && strcmp(f->fake.generation, first) && !strcmp(service_state(f), "running"));
    assert_non_null(strstr(f->event, "told again"));
    listener_close(&ingress);
    stop(f);
}

/* An agent that was started meanwhile knows nothing of what was told before it: it asks again. */
static void an_ingress_that_falls_back_is_told_again(void **state)
{
    struct fixture *f = *state;
    struct listener ingress;
    run_behind(f, &ingress);
    for (int i = 0; i < 5; i++)
        UNTIL(f, true);
    char had[sizeof(f->fake.generation)];
    memcpy(had, f->fake.generation, sizeof(had));
    snprintf(f->fake.generation, sizeof(f->fake.generation), "of another time");
    for (int i = 0; i < 40 && !f->errors; i++) {
        f->clock.mono_by += 3000;
        changed(&f->fake); /* passes come with changes and by themselves */
        UNTIL(f, true);
    }
    assert_non_null(strstr(f->event, "told again"));
    UNTIL(f, strlen(f->fake.generation) == strlen(had) && strcmp(f->fake.generation, had));
    listener_close(&ingress);
    stop(f);
}

/* In a cluster the kubelet brings the files within a minute or two: until then there is nothing to tell again. */
static void an_ingress_whose_files_are_on_their_way_is_left_alone(void **state)
{
    struct fixture *f = *state;
    struct listener ingress;
    f->files_take_ms = 8000;
    run_behind(f, &ingress);
    f->fake.deaf = 1;
    int applied = f->fake.applied;
    assert_int_equal(offer(f, 2, "stopped", false, NULL), 0);
    UNTIL(f, f->fake.applied > applied && f->fake.deaf == 0);
    for (int i = 0; i < 5; i++)
        UNTIL(f, true);
    applied = f->fake.applied;
    f->clock.mono_by += 7000;
    for (int i = 0; i < 10; i++)
        UNTIL(f, true);
    assert_int_equal(f->fake.applied, applied);
    assert_int_equal(f->errors, 0);
    f->clock.mono_by += 5000;
    UNTIL(f, f->errors == 1 && f->fake.applied == applied + 1);
    listener_close(&ingress);
    stop(f);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(life_of_a_service),
        TEST(a_refused_document_changes_nothing),
        TEST(it_lives_alone),
        TEST(a_forged_kept_document_is_left_alone),
        TEST(the_certificate_is_renewed_in_time),
        TEST(a_clock_gone_wrong_removes_nothing),
        TEST(the_schedule_is_followed_without_a_control_plane),
        TEST(a_broken_runtime_is_told_once_and_tried_again),
        TEST(the_engine_is_asked_for_its_version),
        TEST(of_the_engines_counters_only_the_listed_leave),
        TEST(an_ingress_that_missed_its_reload_is_told_again),
        TEST(files_that_come_back_get_another_number),
        TEST(an_ingress_that_falls_back_is_told_again),
        TEST(an_ingress_whose_files_are_on_their_way_is_left_alone),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
