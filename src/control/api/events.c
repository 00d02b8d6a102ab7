/* Wakes suspended connections when the store was written. */
#include "control/api/events.h"

#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "store/store.h"

#include <poll.h>
#include <pthread.h>
#include <time.h>

#define LOOK_MS 1000
#define ASKED_MS 60000 /* how long the watcher goes on looking for one who asks again and again */

struct stream {
    struct events *events;
    struct MHD_Connection *connection;
    struct stream *next;
    char reader[64];
    uint64_t sent;
    int64_t opened, pinged; /* monotonic, ms */
    bool suspended, gone;
};

struct events {
    pthread_mutex_t lock; /* of everything below */
    pthread_cond_t wake;
    pthread_t watcher;
    struct store *store; /* the watcher's own */
    struct stream *streams;
    size_t n_streams;
    uint64_t sequence;
    int64_t asked; /* monotonic ms of the last events_sequence() */
    bool rung, stopping;
};

static int64_t now_ms(void)
{
    return clock_mono_ms(&clock_system);
}

/* The number that SQLite changes whenever another connection has committed; -1 if it cannot be read. */
static int64_t data_version(struct events *e)
{
    autorows struct store_rows *rows = NULL;
    if (store_query(e->store, "PRAGMA data_version", STORE_NO_ARGS, &rows, NULL) < 0 || store_next(rows, NULL) != 1)
        return -1;
    return store_column_int(rows, 0);
}

static void resume(struct stream *s)
{
    if (!s->suspended)
        return;
    s->suspended = false;
    MHD_resume_connection(s->connection);
}

/* Nobody reads any more. libmicrohttpd does not watch a suspended connection, so the socket is asked. */
static bool is_gone(struct stream *s)
{
    const union MHD_ConnectionInfo *info = MHD_get_connection_info(s->connection, MHD_CONNECTION_INFO_CONNECTION_FD);
    struct pollfd fd = {.fd = info ? info->connect_fd : -1, .events = POLLRDHUP};
    if (s->suspended && poll(&fd, 1, 0) > 0 && fd.revents & (POLLRDHUP | POLLHUP | POLLERR))
        s->gone = true;
    return s->gone;
}

static bool is_due(const struct stream *s, int64_t now)
{
    const struct events *e = s->events;
    return e->stopping || s->sent != e->sequence || now - s->pinged >= EVENTS_PING_MS ||
           now - s->opened >= EVENTS_AGE_MS;
}

static void wait_for(struct events *e, int ms)
{
    struct timespec until;
    clock_gettime(CLOCK_MONOTONIC, &until);
    until.tv_sec += ms / 1000;
    until.tv_nsec += (ms % 1000) * 1000000L;
    if (until.tv_nsec >= 1000000000L) {
        until.tv_sec++;
        until.tv_nsec -= 1000000000L;
    }
    pthread_cond_timedwait(&e->wake, &e->lock, &until);
}

static void *watch(void *data)
{
    struct events *e = data;
    int64_t version = -1, announced = 0;
    pthread_mutex_lock(&e->lock);
    while (!e->stopping) {
        int64_t now = now_ms(), pace = announced + EVENTS_PACE_MS - now;
        if (!e->n_streams && now - e->asked > ASKED_MS) {
            pthread_cond_wait(&e->wake, &e->lock);
            continue;
        }
        if (pace > 0) {
            wait_for(e, (int)pace);
            continue;
        }
        e->rung = false;
        pthread_mutex_unlock(&e->lock);
        int64_t found = data_version(e); /* without the lock: it may wait for a writer */
        pthread_mutex_lock(&e->lock);
        if (found != version) {
            version = found;
            e->sequence++;
            announced = now;
        }
        for (struct stream *s = e->streams; s; s = s->next)
            if (is_gone(s) || is_due(s, now))
                resume(s);
        if (!e->rung && !e->stopping)
            wait_for(e, LOOK_MS);
    }
    for (struct stream *s = e->streams; s; s = s->next)
        resume(s);
    pthread_mutex_unlock(&e->lock);
    return NULL;
}

/* libmicrohttpd asks for bytes: an event, a comment that keeps the way open, or nothing until the watcher wakes us. */
static ssize_t read_stream(void *data, uint64_t pos, char *buf, size_t max)
{
    struct stream *s = data;
    struct events *e = s->events;
    int64_t now = now_ms();
    ssize_t n = 0;
    pthread_mutex_lock(&e->lock);
    if (e->stopping || s->gone || now - s->opened >= EVENTS_AGE_MS) {
        n = MHD_CONTENT_READER_END_OF_STREAM;
    } else if (s->sent != e->sequence) {
        s->sent = e->sequence;
        s->pinged = now;
        n = snprintf(buf, max, "retry: 2000\nid: %llu\nevent: change\ndata: {\"sequence\":%llu}\n\n",
                     (unsigned long long)s->sent, (unsigned long long)s->sent);
    } else if (now - s->pinged >= EVENTS_PING_MS) {
        s->pinged = now;
        n = snprintf(buf, max, ":\n\n");
    } else {
        s->suspended = true;
        MHD_suspend_connection(s->connection);
    }
    pthread_mutex_unlock(&e->lock);
    return n;
}

static void forget_stream(void *data)
{
    struct stream *s = data;
    struct events *e = s->events;
    pthread_mutex_lock(&e->lock);
    for (struct stream **p = &e->streams; *p; p = &(*p)->next)
        if (*p == s) {
            *p = s->next;
            e->n_streams--;
            break;
        }
    pthread_mutex_unlock(&e->lock);
    free(s);
}

static int admit(struct events *e, const char *reader, struct err *err)
{
    size_t own = 0;
    for (struct stream *s = e->streams; s; s = s->next) {
        if (strcmp(s->reader, reader))
            continue;
        if (is_gone(s))
            resume(s);
        else
            own++;
    }
    if (e->stopping)
        return err_set(err, -EAGAIN, "the control plane is stopping");
    if (own >= EVENTS_PER_READER)
        return err_set(err, -EMFILE, "at most %d streams of events can be open at once; close one", EVENTS_PER_READER);
    if (e->n_streams >= EVENTS_STREAMS)
        return err_set(err, -EMFILE, "the control plane has as many streams of events as it can hold; ask without one");
    return 0;
}

int events_open(struct events *e, struct MHD_Connection *c, const char *reader, struct MHD_Response **ret,
                struct err *err)
{
    struct stream *s = mem_alloc(sizeof(*s));
    *s = (struct stream){.events = e, .connection = c, .opened = now_ms(), .pinged = now_ms()};
    snprintf(s->reader, sizeof(s->reader), "%s", reader);
    pthread_mutex_lock(&e->lock);
    int r = admit(e, s->reader, err);
    if (r == 0) {
        s->sent = e->sequence - 1; /* the first event comes at once: what was missed before is asked for */
        s->next = e->streams;
        e->streams = s;
        e->n_streams++;
        pthread_cond_signal(&e->wake);
    }
    pthread_mutex_unlock(&e->lock);
    if (r < 0) {
        free(s);
        return r;
    }
    struct MHD_Response *response =
        MHD_create_response_from_callback(MHD_SIZE_UNKNOWN, 512, read_stream, s, forget_stream);
    if (!response) {
        forget_stream(s);
        return err_set(err, -ENOMEM, "there is no memory for a stream");
    }
    MHD_add_response_header(response, "Content-Type", "text/event-stream");
    MHD_add_response_header(response, "Cache-Control", "no-store");
    *ret = response;
    return 0;
}

void events_ring(struct events *e)
{
    pthread_mutex_lock(&e->lock);
    e->rung = true;
    pthread_cond_signal(&e->wake);
    pthread_mutex_unlock(&e->lock);
}

uint64_t events_sequence(struct events *e)
{
    pthread_mutex_lock(&e->lock);
    uint64_t n = e->sequence;
    e->asked = now_ms();
    pthread_cond_signal(&e->wake);
    pthread_mutex_unlock(&e->lock);
    return n;
}

int events_start(const char *database, struct events **ret, struct err *err)
{
    struct store *store = NULL;
    int r = store_open(database, STORE_EXISTING, &store, err);
    if (r < 0)
        return r;
    struct events *e = mem_alloc(sizeof(*e));
    pthread_condattr_t attributes;
    *e = (struct events){.store = store, .sequence = 1, .asked = -ASKED_MS - 1};
    pthread_mutex_init(&e->lock, NULL);
    pthread_condattr_init(&attributes);
    pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC);
    pthread_cond_init(&e->wake, &attributes);
    pthread_condattr_destroy(&attributes);
    r = pthread_create(&e->watcher, NULL, watch, e);
    if (r != 0) {
        e->stopping = true;
        events_free(e);
        return err_set_errno(err, -r, "cannot start the watcher of events");
    }
    *ret = e;
    return 0;
}

void events_stop(struct events *e)
{
    pthread_mutex_lock(&e->lock);
    e->stopping = true;
    pthread_cond_signal(&e->wake);
    pthread_mutex_unlock(&e->lock);
    pthread_join(e->watcher, NULL);
}

void events_free(struct events *e)
{
    if (!e)
        return;
    store_close(e->store);
    pthread_cond_destroy(&e->wake);
    pthread_mutex_destroy(&e->lock);
    free(e);
}
