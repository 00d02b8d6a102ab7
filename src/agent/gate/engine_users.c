/* The users that this gate has made at engines: one for each grant and service, from the first statement to the end. */
#include "agent/gate/engine_user.h"
#include "agent/gate/gate_internal.h"

#define DROP_AGAIN_MS 5000

struct gate_user {
    struct gate *gate;
    struct gate_user *next;
    struct engine_user *user;
    char grant[UUID_SIZE], service[UUID_SIZE];
    char make_id[UUID_SIZE], drop_id[UUID_SIZE]; /* query ids of the statements that it takes */
    uv_work_t work;
    bool dropping, late; /* late: the grant's end was recorded with this one left */
    int64_t retry_ms, forget_ms;
    int result;
    struct err err;
};

static int record(struct gate_user *u, const char *event, const char *id, struct err *err)
{
    return gate_record(u->gate, "access.user",
                       json_pack("{ss ss ss ss ss}", "event", event, "grant", u->grant, "service", u->service, "user",
                                 engine_user_name(u->user), "id", id),
                       NULL, err);
}

static void forget(struct gate_user *u)
{
    for (struct gate_user **at = &u->gate->users; *at; at = &(*at)->next)
        if (*at == u) {
            *at = u->next;
            break;
        }
    engine_user_unref(u->user);
    free(u);
}

int gate_user_for(struct gate *g, const struct grant *grant, const char *service, struct engine_user **ret,
                  const char **ret_make_id, struct err *err)
{
    struct engine_user_config config = {.grant = grant, .service = service, .server = g->server, .maker = g->reader};
    struct gate_user *u = g->users;
    while (u && !engine_user_is(u->user, grant->id, service))
        u = u->next;
    if (!u) {
        u = mem_alloc(sizeof(*u));
        u->gate = g;
        u->user = engine_user_new(&config);
        u->forget_ms = grant->ends_ms + GRANT_USER_SLACK_MS;
        memcpy(u->grant, grant->id, UUID_SIZE);
        snprintf(u->service, sizeof(u->service), "%s", service);
        uuid_new(u->make_id);
        uuid_new(u->drop_id);
        u->next = g->users;
        g->users = u;
        int r = record(u, "user-made", u->make_id, err);
        if (r < 0) {
            forget(u);
            return r;
        }
    }
    *ret = u->user;
    *ret_make_id = u->make_id;
    return 0;
}

static void drop_run(uv_work_t *w)
{
    struct gate_user *u = w->data;
    u->result = engine_user_drop(u->user, u->drop_id, &u->err);
}

static void drop_done(uv_work_t *w, int status)
{
    struct gate_user *u = w->data;
    struct gate *g = u->gate;
    struct err err = ERR_INIT;
    g->n_drops--;
    u->dropping = false;
    if (u->result < 0 || status < 0) {
        gate_event(g, true, "the user of grant %s at service %s is not dropped yet: %s", u->grant, u->service,
                   u->err.message);
        u->retry_ms = clock_mono_ms(g->config.clock) + DROP_AGAIN_MS;
    } else {
        if (u->late && record(u, "user-dropped", u->drop_id, &err) < 0)
            gate_event(g, true, "a dropped user of grant %s: %s", u->grant, err.message);
        forget(u);
    }
    gate_endings_go_on(g);
}

static void drop(struct gate_user *u)
{
    u->dropping = true;
    u->gate->n_drops++;
    u->work.data = u;
    uv_queue_work(u->gate->loop, &u->work, drop_run, drop_done);
}

size_t gate_users_end(struct gate *g, const char *grant)
{
    size_t n = 0;
    for (struct gate_user *u = g->users; u; u = u->next)
        if (engine_user_is(u->user, grant, NULL)) {
            engine_user_end(u->user);
            n++;
        }
    return n;
}

void gate_users_drop(struct gate *g, const char *grant)
{
    for (struct gate_user *u = g->users, *next; u; u = next) {
        struct err err = ERR_INIT;
        next = u->next;
        if (!engine_user_is(u->user, grant, NULL) || u->dropping)
            continue;
        engine_user_end(u->user);
        if (record(u, "user-drop", u->drop_id, &err) < 0) /* it goes all the same: the grant is over */
            gate_event(g, true, "the user of grant %s: %s", u->grant, err.message);
        drop(u);
    }
}

size_t gate_users_left(const struct gate *g, const char *grant, bool *ret_busy)
{
    size_t n = 0;
    *ret_busy = false;
    for (const struct gate_user *u = g->users; u; u = u->next)
        if (engine_user_is(u->user, grant, NULL)) {
            *ret_busy |= u->dropping;
            n++;
        }
    return n;
}

void gate_users_are_late(struct gate *g, const char *grant)
{
    for (struct gate_user *u = g->users; u; u = u->next)
        if (engine_user_is(u->user, grant, NULL))
            u->late = true;
}

/* After GRANT_USER_SLACK_MS the engine has let it go by itself. */
void gate_users_go_on(struct gate *g, int64_t now)
{
    for (struct gate_user *u = g->users, *next; u; u = next) {
        next = u->next;
        if (u->dropping || !u->late)
            continue;
        if (now >= u->forget_ms)
            forget(u);
        else if (now >= u->retry_ms)
            drop(u);
    }
}

void gate_users_free(struct gate *g)
{
    while (g->users)
        forget(g->users);
}
