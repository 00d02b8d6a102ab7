/* Writes the execution log. */
#include "clickhouse/qlog.h"

#include "base/clock.h"
#include "base/js.h"
#include "base/mem.h"

#include <pthread.h>
#include <sys/stat.h>

struct qlog {
    char *path, *users;
    pthread_mutex_t lock;
    int fd;
};

static int open_file(const char *path, struct err *err)
{
    int fd = open(path, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0600);
    return fd >= 0 ? fd : err_set(err, -errno, "query_log: cannot open %s: %s", path, strerror(errno));
}

int qlog_open(const char *path, const char *users, struct qlog **ret, struct err *err)
{
    int fd = *path ? open_file(path, err) : -1;
    if (*path && fd < 0)
        return fd;
    struct qlog *q = mem_alloc(sizeof(*q));
    q->path = mem_strdup(path);
    q->users = mem_strdup(users);
    q->fd = fd;
    pthread_mutex_init(&q->lock, NULL);
    *ret = q;
    return 0;
}

int qlog_reopen(struct qlog *q, struct err *err)
{
    if (!*q->path)
        return 0;
    int fd = open_file(q->path, err);
    if (fd < 0)
        return fd;
    pthread_mutex_lock(&q->lock);
    close(q->fd);
    q->fd = fd;
    pthread_mutex_unlock(&q->lock);
    return 0;
}

void qlog_close(struct qlog *q)
{
    if (!q)
        return;
    if (q->fd >= 0)
        close(q->fd);
    pthread_mutex_destroy(&q->lock);
    free(q->path);
    free(q->users);
    free(q);
}

/* Under the lock. What cannot be moved is gone on with. */
static void rotate(struct qlog *q)
{
    struct stat st;
    autofree char *old = mem_printf("%s.1", q->path);
    int fd;
    if (!*q->users || fstat(q->fd, &st) < 0 || st.st_size < (off_t)QLOG_KEPT_MAX || rename(q->path, old) < 0)
        return;
    if ((fd = open_file(q->path, NULL)) >= 0) {
        close(q->fd);
        q->fd = fd;
    }
}

void qlog_write(struct qlog *q, const struct qlog_entry *e)
{
    char time[CLOCK_ISO_SIZE];
    if (q->fd < 0 || strncmp(e->user, q->users, strlen(q->users)))
        return;
    clock_iso(e->wall_ms, time);
    autojson json_t *v =
        json_pack("{s:s, s:s, s:s, s:s, s:I, s:I, s:I, s:I, s:I, s:I, s:i}", "time", time, "query_id", e->query_id,
                  "user", e->user, "kind", e->kind, "duration_ms", (json_int_t)e->duration_ms, "read_rows",
                  (json_int_t)e->stats.read_rows, "read_bytes", (json_int_t)e->stats.read_bytes, "written_rows",
                  (json_int_t)e->stats.written_rows, "written_bytes", (json_int_t)e->stats.written_bytes,
                  "result_bytes", (json_int_t)e->sent_bytes, "exception_code", e->exception_code);
    if (!v) /* an id that is not UTF-8 was refused before, so nothing else can fail here */
        return;
    autofree char *text = js_text(v);
    autofree char *line = mem_printf("%s\n", text);
    pthread_mutex_lock(&q->lock);
    rotate(q);
    /* One write a line, so that lines of several writers never mix; a full disk must not fail the query. */
    ssize_t n = write(q->fd, line, strlen(line));
    (void)n;
    pthread_mutex_unlock(&q->lock);
}
