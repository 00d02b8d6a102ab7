/* Lets commits share an fsync of the write-ahead log. */
#include "store/group.h"

#include "base/mem.h"

#include <pthread.h>

struct store_group {
    char *log; /* SQLite's write-ahead log */
    pthread_mutex_t lock;
    pthread_cond_t ended;
    uint64_t begun, done; /* numbers of fsyncs, from 1; at most one runs */
    uint64_t failed;      /* number of the last that failed */
    int why;
};

struct store_group *store_group_new(const char *path)
{
    struct store_group *g = mem_alloc(sizeof(*g));
    g->log = mem_printf("%s-wal", path);
    if (pthread_mutex_init(&g->lock, NULL) != 0 || pthread_cond_init(&g->ended, NULL) != 0)
        abort();
    return g;
}

void store_group_free(struct store_group *g)
{
    if (!g)
        return;
    pthread_cond_destroy(&g->ended);
    pthread_mutex_destroy(&g->lock);
    free(g->log);
    free(g);
}

/* Opened each time: SQLite may have made the file anew. Its locks are on another file, which closing would drop. */
static int sync_log(const char *log)
{
    autoclose int fd = open(log, O_RDONLY | O_CLOEXEC);
    return fd < 0 || fdatasync(fd) < 0 ? -errno : 0;
}

int store_group_wait(struct store_group *g, struct err *err)
{
    pthread_mutex_lock(&g->lock);
    /* One that runs already may have begun before our commit was written. */
    uint64_t wanted = g->begun + 1;
    while (g->done < wanted) {
        if (g->begun > g->done) {
            pthread_cond_wait(&g->ended, &g->lock);
            continue;
        }
        uint64_t own = ++g->begun;
        pthread_mutex_unlock(&g->lock);
        int r = sync_log(g->log);
        pthread_mutex_lock(&g->lock);
        g->done = own;
        if (r < 0) {
            g->failed = own;
            g->why = r;
        }
        pthread_cond_broadcast(&g->ended);
    }
    /* A later success says nothing of pages that the kernel has given up. */
    int why = g->failed >= wanted ? g->why : 0;
    pthread_mutex_unlock(&g->lock);
    return why ? err_set(err, -EIO,
                         "%s: the disk did not take the change for good (%s); it is there, and may be lost if the "
                         "machine stops now",
                         g->log, strerror(-why))
               : 0;
}

uint64_t store_group_syncs(struct store_group *g)
{
    pthread_mutex_lock(&g->lock);
    uint64_t n = g->done;
    pthread_mutex_unlock(&g->lock);
    return n;
}
