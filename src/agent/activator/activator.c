/* The activator as a whole: what it listens on, its table, and the clock of those who wait. */
#include "agent/activator/internal.h"

#include "base/buf.h"
#include "base/fs.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#define BACKLOG 1024
#define RECEIVE_BYTES KIB(16) /* of a held connection, in the kernel */
#define LOOK_MS 1000          /* at the table, while somebody comes */
#define ACCEPTS 64            /* at a time */

/* ---- the table ---- */

static void use_table(struct activator *a, struct table *fresh)
{
    for (int i = 1; i <= DESIRED_MAX_SERVICES; i++)
        if (a->services[i])
            a->services[i]->entry = NULL;
    table_free(&a->table);
    a->table = *fresh;
    for (size_t i = 0; i < a->table.n; i++) {
        struct table_service *t = &a->table.items[i];
        struct service **s = &a->services[t->ordinal];
        if (!*s)
            *s = mem_alloc(sizeof(**s));
        (*s)->ordinal = t->ordinal;
        (*s)->entry = t;
    }
}

/* Reads it if it is another file than last time: a table is replaced, never written in place. */
static int look_at_table(struct activator *a, struct err *err)
{
    struct stat st;
    struct table fresh;
    autofree char *text = NULL;
    size_t len = 0;
    a->looked_ms = clock_mono_ms(a->c.clock);
    if (stat(a->table_path, &st) < 0)
        return err_set_errno(err, -errno, "%s", a->table_path);
    if (st.st_ino == a->table_inode && st.st_mtim.tv_sec == a->table_time.tv_sec &&
        st.st_mtim.tv_nsec == a->table_time.tv_nsec)
        return 0;
    int r = fs_read(a->table_path, TABLE_MAX_BYTES, &text, &len, err);
    if (r == 0)
        r = table_parse(text, len, &fresh, err);
    if (r < 0)
        return err_wrap(err, r, "%s", a->table_path);
    use_table(a, &fresh);
    a->table_inode = st.st_ino;
    a->table_time = st.st_mtim;
    return 0;
}

static void look_again(struct activator *a)
{
    struct err err = ERR_INIT;
    if (look_at_table(a, &err) < 0)
        a->c.on_event(true, err.message, a->c.data); /* the one that it has goes on */
}

struct service *activator_service(struct activator *a, int ordinal)
{
    if (ordinal < 1 || ordinal > DESIRED_MAX_SERVICES)
        return NULL;
    struct service *s = a->services[ordinal];
    if (!s || !s->entry || clock_mono_ms(a->c.clock) - a->looked_ms >= LOOK_MS)
        look_again(a);
    s = a->services[ordinal];
    return s && s->entry ? s : NULL;
}

/* ---- those who wait ---- */

static void on_tick(uv_timer_t *t)
{
    struct activator *a = t->data;
    int64_t now = clock_mono_ms(a->c.clock);
    bool waiting = false;
    if (a->n_held && now - a->looked_ms >= LOOK_MS)
        look_again(a);
    for (struct conn *c = a->conns, *next; c; c = next) {
        next = c->next;
        if (c->state == CONN_HELD) {
            probe_expire(c->service, now);
            probe_begin(a, c->service);
        }
        conn_expire(c, now);
    }
    for (struct conn *c = a->conns; c; c = c->next)
        waiting |= c->state != CONN_PASSING;
    if (!waiting)
        uv_timer_stop(t);
}

void activator_hurry(struct activator *a)
{
    if (!uv_is_active((uv_handle_t *)&a->tick))
        uv_timer_start(&a->tick, on_tick, ACTIVATOR_PROBE_MS, ACTIVATOR_PROBE_MS);
}

void activator_ready(struct activator *a, struct service *s, const struct sockaddr_storage *engine)
{
    int n = s->held;
    autofree char *text =
        mem_printf("service %s answers after %lld ms: %d connections that were held go to it",
                   s->entry ? s->entry->slug : "?", (long long)(clock_mono_ms(a->c.clock) - s->wanted_ms), n);
    for (struct conn *c = a->conns, *next; c; c = next) {
        next = c->next;
        if (c->state == CONN_HELD && c->service == s)
            conn_join(c, engine);
    }
    if (n)
        a->c.on_event(false, text, a->c.data);
}

/* ---- listening ---- */

int activator_listen(const char *address, int port, int *ret_fd, struct err *err)
{
    struct sockaddr_in v4 = {.sin_family = AF_INET, .sin_port = htons((uint16_t)port)};
    struct sockaddr_in6 v6 = {.sin6_family = AF_INET6, .sin6_port = htons((uint16_t)port)};
    bool is_v4 = inet_pton(AF_INET, address, &v4.sin_addr) == 1;
    int one = 1, bytes = RECEIVE_BYTES;
    if (!is_v4 && inet_pton(AF_INET6, address, &v6.sin6_addr) != 1)
        return err_set(err, -EINVAL, "%s: must be an IPv4 or IPv6 address", address);
    autoclose int fd = socket(is_v4 ? AF_INET : AF_INET6, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return err_set_errno(err, -errno, "cannot make a socket");
    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one));
    setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &bytes, sizeof(bytes)); /* taken over by what is accepted */
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
    if (bind(fd, is_v4 ? (void *)&v4 : (void *)&v6, is_v4 ? sizeof(v4) : sizeof(v6)) < 0 || listen(fd, BACKLOG) < 0)
        return err_set_errno(err, -errno, "cannot listen on %s, port %d", address, port);
    *ret_fd = fd;
    fd = -1;
    return 0;
}

/* Who cannot be taken is let go at once: left in the queue it would wake this program again and again. */
static void refuse_one(struct activator *a, int listener)
{
    if (a->spare >= 0)
        close(a->spare);
    int fd = accept4(listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
    if (fd >= 0)
        close(fd);
    a->spare = fcntl(STDERR_FILENO, F_DUPFD_CLOEXEC, 3); /* no path: this program is shut in */
}

static void on_accept(uv_poll_t *poll, int status, int events OH_UNUSED)
{
    struct listener *l = poll->data;
    int fd;
    for (int i = 0; status == 0 && i < ACCEPTS; i++) {
        fd = accept4(l->fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
        if (fd < 0 && (errno == EMFILE || errno == ENFILE))
            refuse_one(l->a, l->fd);
        if (fd < 0)
            return;
        conn_new(l->a, fd, l->protocol);
    }
}

static int open_listener(struct activator *a, enum protocol protocol, int port, struct err *err)
{
    struct listener *l = &a->listeners[protocol];
    int r = activator_listen(a->c.listen, port, &l->fd, err);
    if (r < 0)
        return r;
    l->a = a;
    l->protocol = protocol;
    l->poll.data = l;
    r = uv_poll_init(a->c.loop, &l->poll, l->fd);
    return r < 0 ? err_set(err, r, "cannot watch port %d: %s", port, uv_strerror(r))
                 : uv_poll_start(&l->poll, UV_READABLE, on_accept);
}

int activator_new(const struct activator_config *config, struct activator **ret, struct err *err)
{
    struct activator *a = mem_alloc(sizeof(*a));
    a->c = *config;
    a->table_path = mem_strdup(config->table);
    a->c.table = a->table_path;
    a->spare = fcntl(STDERR_FILENO, F_DUPFD_CLOEXEC, 3);
    uv_timer_init(config->loop, &a->tick);
    a->tick.data = a;
    int r = look_at_table(a, err);
    if (r == 0)
        r = open_listener(a, PROTOCOL_HTTP, config->http_port, err);
    if (r == 0)
        r = open_listener(a, PROTOCOL_NATIVE, config->native_port, err);
    if (r == 0)
        r = control_open(a, err);
    if (r == 0)
        *ret = a; /* otherwise the process ends */
    return r;
}
