/* Keeps the engine connections of named sessions. */
#include "clickhouse/sessions.h"

#include "base/mem.h"

#include <pthread.h>

struct session {
    struct session *next;
    char *user, *id;
    struct engine_conn *conn;
    int64_t expires_ms;
    bool held;
};

struct sessions {
    struct engine *engine;
    const struct clock *clock;
    pthread_mutex_t lock;
    size_t max, count;
    struct session *first;
};

struct sessions *sessions_new(struct engine *e, const struct clock *clock, size_t max)
{
    struct sessions *s = mem_alloc(sizeof(*s));
    s->engine = e;
    s->clock = clock;
    s->max = max;
    pthread_mutex_init(&s->lock, NULL);
    return s;
}

static void session_free(struct session *x)
{
    engine_disconnect(x->conn);
    free(x->user);
    free(x->id);
    free(x);
}

void sessions_free(struct sessions *s)
{
    while (s->first) {
        struct session *x = s->first;
        s->first = x->next;
        session_free(x);
    }
    pthread_mutex_destroy(&s->lock);
    free(s);
}

/* Unlinks what is due; the caller closes it without the lock. */
static struct session *take_expired(struct sessions *s)
{
    struct session *due = NULL, **at = &s->first;
    int64_t now = clock_mono_ms(s->clock);
    while (*at) {
        struct session *x = *at;
        if (!x->held && x->expires_ms <= now) {
            *at = x->next;
            s->count--;
            x->next = due;
            due = x;
        } else {
            at = &x->next;
        }
    }
    return due;
}

static void free_list(struct session *x)
{
    while (x) {
        struct session *next = x->next;
        session_free(x);
        x = next;
    }
}

void sessions_expire(struct sessions *s)
{
    pthread_mutex_lock(&s->lock);
    struct session *due = take_expired(s);
    pthread_mutex_unlock(&s->lock);
    free_list(due);
}

static struct session *find(const struct sessions *s, const char *user, const char *id)
{
    for (struct session *x = s->first; x; x = x->next)
        if (strcmp(x->id, id) == 0 && strcmp(x->user, user) == 0)
            return x;
    return NULL;
}

static int make(struct sessions *s, const char *user, const char *id, struct session **ret, int *code, struct err *err)
{
    struct engine_conn *conn;
    if (s->count >= s->max) {
        *code = CH_USER_SESSION_LIMIT_EXCEEDED;
        return err_set(err, -EBUSY, "more than %zu sessions: wait until one has timed out", s->max);
    }
    int r = engine_connect(s->engine, &conn, err);
    if (r < 0) {
        *code = CH_STD_EXCEPTION;
        return r;
    }
    struct session *x = mem_alloc(sizeof(*x));
    *x = (struct session){.next = s->first, .user = mem_strdup(user), .id = mem_strdup(id), .conn = conn};
    s->first = x;
    s->count++;
    *ret = x;
    return 0;
}

int sessions_take(struct sessions *s, const char *user, const char *id, bool must_exist, struct session **ret,
                  bool *ret_fresh, int *ret_code, struct err *err)
{
    int r = 0;
    pthread_mutex_lock(&s->lock);
    struct session *due = take_expired(s);
    struct session *x = find(s, user, id);
    *ret_fresh = !x;
    if (!x && must_exist) {
        *ret_code = CH_SESSION_NOT_FOUND;
        r = err_set(err, -ENOENT, "Session %.64s not found", id);
    } else if (x && x->held) {
        *ret_code = CH_SESSION_IS_LOCKED;
        r = err_set(err, -EBUSY, "Session %.64s is locked by a concurrent client", id);
    } else if (!x) {
        r = make(s, user, id, &x, ret_code, err);
    }
    if (r == 0) {
        x->held = true;
        *ret = x;
    }
    pthread_mutex_unlock(&s->lock);
    free_list(due);
    return r;
}

struct engine_conn *session_conn(const struct session *s)
{
    return s->conn;
}

void sessions_put(struct sessions *s, struct session *session, uint64_t timeout_s, bool close)
{
    struct session *due;
    pthread_mutex_lock(&s->lock);
    session->held = false;
    session->expires_ms = close ? INT64_MIN : clock_mono_ms(s->clock) + (int64_t)timeout_s * 1000;
    due = take_expired(s);
    pthread_mutex_unlock(&s->lock);
    free_list(due);
}
