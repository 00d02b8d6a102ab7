/* The simulated cloud. */
#include "sim.h"

#include "base/mem.h"

#include <time.h>

/* One effect; false when it must not happen because the process has crashed. */
static bool tick(struct sim *s)
{
    if (s->dead)
        return false;
    s->ticks++;
    if (s->crash_at && s->ticks == s->crash_at)
        s->dead = true;
    return !s->dead;
}

static struct sim *sim_of_state(struct plan_state *st)
{
    return CONTAINER_OF(st, struct sim, state);
}

static struct sim *sim_of_journal(struct plan_journal *j)
{
    return CONTAINER_OF(j, struct sim, j);
}

static int gone(struct err *err)
{
    return err_set(err, -EIO, "crashed");
}

/* --- state --- */

static void key_of(const char *type, const char *name, char key[PLAN_KEY_SIZE])
{
    snprintf(key, PLAN_KEY_SIZE, "%s.%s", type, name);
}

static int state_load(struct plan_state *st, const char *type, const char *name, json_t **ret, struct err *err)
{
    struct sim *s = sim_of_state(st);
    char key[PLAN_KEY_SIZE];
    key_of(type, name, key);
    if (s->dead)
        return gone(err);
    *ret = json_incref(json_object_get(s->records, key));
    return 0;
}

static int state_save(struct plan_state *st, const char *type, const char *name, const json_t *record, struct err *err)
{
    struct sim *s = sim_of_state(st);
    char key[PLAN_KEY_SIZE];
    key_of(type, name, key);
    pthread_mutex_lock(&s->lock);
    bool ok = tick(s);
    if (ok)
        json_object_set_new(s->records, key, json_deep_copy(record));
    ok = ok && tick(s);
    pthread_mutex_unlock(&s->lock);
    return ok ? 0 : gone(err);
}

static int state_forget(struct plan_state *st, const char *type, const char *name, struct err *err)
{
    struct sim *s = sim_of_state(st);
    char key[PLAN_KEY_SIZE];
    key_of(type, name, key);
    pthread_mutex_lock(&s->lock);
    bool ok = tick(s);
    if (ok)
        json_object_del(s->records, key);
    ok = ok && tick(s);
    pthread_mutex_unlock(&s->lock);
    return ok ? 0 : gone(err);
}

static int state_list(struct plan_state *st, json_t **ret, struct err *err)
{
    struct sim *s = sim_of_state(st);
    const char *key;
    json_t *v;
    if (s->dead)
        return gone(err);
    *ret = json_array();
    json_object_foreach(s->records, key, v)
    {
        const char *dot = strchr(key, '.');
        json_array_append_new(
            *ret, json_pack("{s:s%, s:s, s:O}", "type", key, (int)(dot - key), "name", dot + 1, "record", v));
    }
    return 0;
}

/* --- journal --- */

static int journal_phase(struct plan_journal *j, const struct plan_step *step, enum plan_phase *ret, struct err *err)
{
    struct sim *s = sim_of_journal(j);
    size_t i;
    json_t *v;
    if (s->dead)
        return gone(err);
    *ret = PLAN_PHASE_NONE;
    json_array_foreach(s->journal, i, v)
    {
        if (!strcmp(json_string_value(json_object_get(v, "token")), step->token))
            *ret = (enum plan_phase)json_integer_value(json_object_get(v, "phase"));
    }
    return 0;
}

static int journal_write(struct plan_journal *j, const struct plan_step *step, enum plan_phase phase, struct err *err)
{
    struct sim *s = sim_of_journal(j);
    pthread_mutex_lock(&s->lock);
    bool ok = tick(s);
    if (ok)
        json_array_append_new(s->journal, json_pack("{s:s, s:s, s:s, s:i}", "token", step->token, "key", step->key,
                                                    "action", plan_action_names[step->action], "phase", (int)phase));
    ok = ok && tick(s);
    pthread_mutex_unlock(&s->lock);
    return ok ? 0 : gone(err);
}

static int journal_begin(struct plan_journal *j, const struct plan_step *step, struct err *err)
{
    return journal_write(j, step, PLAN_PHASE_BEGIN, err);
}

static int journal_done(struct plan_journal *j, const struct plan_step *step, const json_t *attributes OH_UNUSED,
                        struct err *err)
{
    return journal_write(j, step, PLAN_PHASE_DONE, err);
}

static int journal_failed(struct plan_journal *j, const struct plan_step *step, const struct err *why OH_UNUSED,
                          struct err *err)
{
    return journal_write(j, step, PLAN_PHASE_FAILED, err);
}

/* --- the cloud --- */

static const json_t *attributes_of(const json_t *object)
{
    return json_object_get(object, "attributes");
}

json_t *sim_object(struct sim *s, const char *key)
{
    size_t i;
    json_t *v;
    json_array_foreach(s->objects, i, v)
    {
        if (!strcmp(json_string_value(json_object_get(v, "key")), key))
            return v;
    }
    return NULL;
}

size_t sim_count(struct sim *s, const char *key)
{
    size_t i, n = 0;
    json_t *v;
    json_array_foreach(s->objects, i, v)
    {
        n += !strcmp(json_string_value(json_object_get(v, "key")), key);
    }
    return n;
}

ssize_t sim_log_at(struct sim *s, const char *entry)
{
    for (size_t i = json_array_size(s->log); i-- > 0;)
        if (!strcmp(json_string_value(json_array_get(s->log, i)), entry))
            return (ssize_t)i;
    return -1;
}

static struct sim *enter(const struct plan_call *c, char key[PLAN_KEY_SIZE])
{
    struct sim *s = c->provider;
    key_of(c->type, c->name, key);
    pthread_mutex_lock(&s->lock);
    s->calls++;
    return s;
}

/* The same for the same call number, without a pattern that retries could fall in step with. */
static unsigned dice(const struct sim *s)
{
    return ((unsigned)s->calls * 2654435761u >> 16) % (unsigned)s->throttle;
}

static int leave(struct sim *s, int r, struct err *err)
{
    /* Half of the throttled calls have acted all the same: the answer was lost. */
    if (r == 0 && s->throttle && dice(s) == 0)
        r = err_set(err, -EAGAIN, "throttled after acting");
    pthread_mutex_unlock(&s->lock);
    return r;
}

static bool throttled(struct sim *s)
{
    return s->throttle && dice(s) == 1;
}

static bool by_id(const json_t *object, const json_t *id)
{
    return json_equal(json_object_get(attributes_of(object), "id"), id);
}

/* peer refers to another object's id and must exist. */
static int check_peer(struct sim *s, const json_t *want, struct err *err)
{
    const json_t *peer = json_object_get(want, "peer");
    size_t i;
    json_t *v;
    if (!peer)
        return 0;
    json_array_foreach(s->objects, i, v)
    {
        if (by_id(v, peer) && !json_object_get(v, "leaving"))
            return 0;
    }
    return err_set(err, -EINVAL, "there is no %s", json_string_value(peer));
}

static bool is_peer(struct sim *s, const json_t *id)
{
    size_t i;
    json_t *v;
    json_array_foreach(s->objects, i, v)
    {
        if (json_equal(json_object_get(attributes_of(v), "peer"), id))
            return true;
    }
    return false;
}

static int sim_observe(const struct plan_call *c, json_t **ret, struct err *err)
{
    char key[PLAN_KEY_SIZE];
    struct sim *s = enter(c, key);
    size_t i = 0;
    json_t *o = sim_object(s, key);
    *ret = NULL;
    if (s->dead)
        return leave(s, gone(err), err);
    if (throttled(s))
        return leave(s, err_set(err, -EAGAIN, "throttled"), err);
    if (o && json_object_get(o, "leaving")) {
        int64_t left = json_integer_value(json_object_get(o, "leaving"));
        json_object_set_new(o, "leaving", json_integer(left - 1));
        while (left <= 0 && json_array_get(s->objects, i) != o)
            i++;
        if (left <= 0) {
            json_array_remove(s->objects, i);
            o = NULL;
        }
    }
    int64_t unseen = json_integer_value(json_object_get(o, "unseen"));
    if (unseen > 0)
        json_object_set_new(o, "unseen", json_integer(unseen - 1));
    else if (o) {
        *ret = json_deep_copy(attributes_of(o));
        json_object_del(*ret, "password"); /* never given back */
        json_object_set_new(*ret, "uptime", json_integer(s->calls));
    }
    int r = leave(s, 0, err);
    if (r < 0) {
        json_decref(*ret);
        *ret = NULL;
    }
    return r;
}

static void note(struct sim *s, const char *what, const char *key)
{
    json_array_append_new(s->log, json_sprintf("%s %s", what, key));
}

static int sim_create(const struct plan_call *c, const json_t *want, json_t **ret, struct err *err)
{
    char key[PLAN_KEY_SIZE];
    struct sim *s = enter(c, key);
    int r;
    if (s->wait_ms) {
        struct timespec ts = {0, s->wait_ms * 1000000L};
        s->running++;
        s->most_running = MAX(s->most_running, s->running);
        pthread_mutex_unlock(&s->lock);
        nanosleep(&ts, NULL);
        pthread_mutex_lock(&s->lock);
        s->running--;
    }
    if (throttled(s))
        return leave(s, err_set(err, -EAGAIN, "throttled"), err);
    if (s->fail && !strcmp(s->fail, key))
        return leave(s, err_set(err, -EACCES, "not allowed"), err);
    if (s->refuse && !strcmp(s->refuse, key)) {
        s->refuse = NULL;
        return leave(s, err_set(err, -EAGAIN, "not now"), err);
    }
    if ((r = check_peer(s, want, err)) < 0)
        return leave(s, r, err);
    if (!tick(s))
        return leave(s, gone(err), err);
    /* First half: it exists, with what it cannot be without. */
    json_t *attrs = json_object(), *zone = json_object_get(want, "zone"), *peer = json_object_get(want, "peer");
    json_object_set_new(attrs, "id", json_sprintf("id-%lld", (long long)++s->next_id));
    if (zone)
        json_object_set(attrs, "zone", zone);
    if (peer)
        json_object_set(attrs, "peer", peer);
    json_t *o =
        json_pack("{s:s, s:o, s:i, s:i}", "key", key, "attributes", attrs, "ready", s->slow, "unseen", s->unseen);
    json_array_append_new(s->objects, o);
    note(s, "create", key);
    if (!tick(s))
        return leave(s, gone(err), err);
    /* Second half: the rest. */
    json_object_update(attrs, (json_t *)(uintptr_t)want);
    if (!tick(s))
        return leave(s, gone(err), err);
    *ret = json_deep_copy(attrs);
    bool lost = s->lose && !strcmp(s->lose, key);
    if (lost)
        s->lose = NULL;
    r = leave(s, lost ? err_set(err, -EAGAIN, "the answer was lost") : 0, err);
    if (r < 0) {
        json_decref(*ret);
        *ret = NULL;
    }
    return r;
}

static int sim_change(const struct plan_call *c, const json_t *have OH_UNUSED, const json_t *want, json_t **ret,
                      struct err *err)
{
    char key[PLAN_KEY_SIZE];
    struct sim *s = enter(c, key);
    json_t *o = sim_object(s, key), *attrs = o ? json_object_get(o, "attributes") : NULL;
    if (throttled(s))
        return leave(s, err_set(err, -EAGAIN, "throttled"), err);
    if (s->fail && !strcmp(s->fail, key))
        return leave(s, err_set(err, -EACCES, "not allowed"), err);
    if (!tick(s))
        return leave(s, gone(err), err);
    if (!o)
        return leave(s, err_set(err, -ENOENT, "there is no %s", key), err);
    json_object_update(attrs, (json_t *)(uintptr_t)want);
    for (const char *const *name = (const char *const[]){"note", "link", "size", "password", NULL}; *name; name++)
        if (!json_object_get(want, *name))
            json_object_del(attrs, *name);
    note(s, "change", key);
    if (!tick(s))
        return leave(s, gone(err), err);
    *ret = json_deep_copy(attrs);
    int r = leave(s, 0, err);
    if (r < 0) {
        json_decref(*ret);
        *ret = NULL;
    }
    return r;
}

static int sim_destroy(const struct plan_call *c, const json_t *have OH_UNUSED, struct err *err)
{
    char key[PLAN_KEY_SIZE];
    struct sim *s = enter(c, key);
    json_t *o = sim_object(s, key);
    if (throttled(s))
        return leave(s, err_set(err, -EAGAIN, "throttled"), err);
    if (s->fail && !strcmp(s->fail, key))
        return leave(s, err_set(err, -EACCES, "not allowed"), err);
    if (o && is_peer(s, json_object_get(attributes_of(o), "id")))
        return leave(s, err_set(err, -EBUSY, "%s is still used", key), err);
    if (!tick(s))
        return leave(s, gone(err), err);
    if (o)
        json_object_set_new(o, "leaving", json_integer(s->slow));
    note(s, "destroy", key);
    if (!tick(s))
        return leave(s, gone(err), err);
    return leave(s, 0, err);
}

static int sim_ready(const struct plan_call *c, json_t *attributes, struct err *err)
{
    char key[PLAN_KEY_SIZE];
    struct sim *s = enter(c, key);
    json_t *o = sim_object(s, key);
    int64_t left = json_integer_value(json_object_get(o, "ready"));
    if (s->dead)
        return leave(s, gone(err), err);
    if (left > 0)
        json_object_set_new(o, "ready", json_integer(left - 1));
    json_object_set_new(attributes, "address", json_sprintf("%s.example", key));
    json_object_set_new(json_object_get(o, "attributes"), "address", json_sprintf("%s.example", key));
    pthread_mutex_unlock(&s->lock);
    return left > 0 ? 0 : 1;
}

static const struct plan_attribute node_attributes[] = {
    {"size", 0},
    {"note", 0},
    {"link", 0},
    {"zone", PLAN_REPLACE},
    {"peer", PLAN_REPLACE},
    {"password", PLAN_SECRET},
    {"id", PLAN_COMPUTED},
    {"address", PLAN_COMPUTED},
    {"uptime", PLAN_COMPUTED | PLAN_VOLATILE},
    {NULL, 0},
};

static const struct plan_type node = {"node",      node_attributes, false,      5000,        1,
                                      sim_observe, sim_create,      sim_change, sim_destroy, sim_ready};
static const struct plan_type disk = {"disk",      node_attributes, true,       5000,        1,
                                      sim_observe, sim_create,      sim_change, sim_destroy, NULL};
/* Cannot change: every difference replaces. */
static const struct plan_type stone = {"stone",     node_attributes, false, 5000,        1,
                                       sim_observe, sim_create,      NULL,  sim_destroy, NULL};
/* Not seen at once when it is made. */
static const struct plan_type shy = {"shy",      node_attributes, false,       5000,      1,    sim_observe,
                                     sim_create, sim_change,      sim_destroy, sim_ready, 60000};
const struct plan_type *const sim_types[] = {&node, &disk, &stone, &shy, NULL};

void sim_init(struct sim *s)
{
    *s = (struct sim){.objects = json_array(),
                      .records = json_object(),
                      .journal = json_array(),
                      .log = json_array(),
                      .state = {state_load, state_save, state_forget, state_list},
                      .j = {journal_phase, journal_begin, journal_done, journal_failed}};
    pthread_mutex_init(&s->lock, NULL);
}

void sim_free(struct sim *s)
{
    json_decref(s->objects);
    json_decref(s->records);
    json_decref(s->journal);
    json_decref(s->log);
    pthread_mutex_destroy(&s->lock);
}

void sim_restart(struct sim *s)
{
    s->dead = false;
    s->crash_at = 0;
    s->ticks = 0;
}

struct plan_context sim_context(struct sim *s)
{
    return (struct plan_context){.infrastructure = "8c0ffee0-0000-4000-8000-000000000001",
                                 .types = sim_types,
                                 .provider = s,
                                 .state = &s->state,
                                 .clock = &clock_system,
                                 .retry_first_ms = 1,
                                 .retry_max_ms = 4,
                                 .retry_total_ms = 20000};
}

int sim_go(struct sim *s, const struct plan_graph *g, enum plan_kind kind, bool delete_data, json_t **ret,
           struct err *err)
{
    struct plan_context c = sim_context(s);
    autojson json_t *doc = NULL;
    char digest[65];
    int r = plan_make(&c, g, kind, delete_data, &doc, err);
    if (r == 0)
        r = plan_digest(doc, digest, err);
    return r < 0 ? r : plan_apply(&c, g, doc, digest, &s->j, ret, err);
}
