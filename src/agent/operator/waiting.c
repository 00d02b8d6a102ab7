/* Keeps the connection to the activator and its last list. */
#include "agent/operator/waiting.h"

#include "base/buf.h"
#include "base/mem.h"
#include "blueprint/blueprint.h"

#define LINE_MAX_BYTES KIB(32) /* 4095 ordinals */
#define AGAIN_MS 500
#define KEEPALIVE_S 15

struct line {
    struct waiting *w; /* NULL: not of interest any more */
    uv_tcp_t tcp;
    uv_connect_t connect;
    char address[46];
    bool up;
};

struct waiting {
    uv_loop_t *loop;
    const struct clock *clock;
    void (*changed)(void *data);
    void *data;
    struct line *line; /* NULL: none */
    int64_t not_before_ms;
    struct buf text;
    bool held[DESIRED_MAX_SERVICES + 1], any;
    char in[4096];
};

static void free_line(uv_handle_t *h)
{
    free(h->data);
}

/* Who is waited for is not known any more: nobody, until it is told again. */
static void drop_line(struct waiting *w)
{
    struct line *l = TAKE_PTR(w->line);
    if (!l)
        return;
    l->w = NULL;
    uv_close((uv_handle_t *)&l->tcp, free_line);
    w->text.len = 0;
    memset(w->held, 0, sizeof(w->held));
    w->any = false;
    w->not_before_ms = clock_mono_ms(w->clock) + AGAIN_MS;
}

/* "held 3 17" */
static bool take(struct waiting *w, const char *text)
{
    if (strncmp(text, "held", 4) || (text[4] && text[4] != ' '))
        return false;
    memset(w->held, 0, sizeof(w->held));
    w->any = false;
    for (text += 4; *text == ' ';) {
        char *end;
        long n = strtol(text + 1, &end, 10);
        if (end == text + 1 || n < 1 || n > DESIRED_MAX_SERVICES)
            return false;
        w->held[n] = w->any = true;
        text = end;
    }
    return *text == '\0';
}

static bool take_all(struct waiting *w)
{
    size_t done = 0;
    for (char *end; (end = memchr(w->text.data + done, '\n', w->text.len - done));) {
        *end = '\0';
        if (!take(w, w->text.data + done))
            return false;
        done = (size_t)(end + 1 - w->text.data);
    }
    w->text.len -= done;
    memmove(w->text.data, w->text.data + done, w->text.len);
    return w->text.len <= LINE_MAX_BYTES;
}

static void give_room(uv_handle_t *h, size_t size OH_UNUSED, uv_buf_t *ret)
{
    struct line *l = h->data;
    *ret = l->w ? uv_buf_init(l->w->in, sizeof(l->w->in)) : uv_buf_init(NULL, 0);
}

static void on_read(uv_stream_t *stream, ssize_t n, const uv_buf_t *room)
{
    struct line *l = stream->data;
    struct waiting *w = l->w;
    if (!w || n == 0)
        return;
    if (n > 0)
        buf_add(&w->text, room->base, (size_t)n);
    if (n < 0 || !take_all(w))
        drop_line(w);
    w->changed(w->data);
}

static void on_connected(uv_connect_t *c, int status)
{
    struct line *l = c->data;
    if (!l->w)
        return;
    l->up = status == 0 && uv_read_start((uv_stream_t *)&l->tcp, give_room, on_read) == 0;
    if (!l->up) {
        struct waiting *w = l->w;
        drop_line(w);
        w->changed(w->data); /* comes back when it is time */
    }
}

static bool parse(const char *address, struct sockaddr_storage *ret)
{
    int port = BLUEPRINT_ACTIVATOR_CONTROL_PORT;
    return uv_ip4_addr(address, port, (struct sockaddr_in *)ret) == 0 ||
           uv_ip6_addr(address, port, (struct sockaddr_in6 *)ret) == 0;
}

int64_t waiting_at(struct waiting *w, const char *address)
{
    struct sockaddr_storage to;
    if (w->line && strcmp(w->line->address, address))
        drop_line(w);
    if (w->line || !*address || !parse(address, &to))
        return INT64_MAX;
    if (clock_mono_ms(w->clock) < w->not_before_ms)
        return w->not_before_ms;
    struct line *l = mem_alloc(sizeof(*l));
    l->w = w;
    l->connect.data = l->tcp.data = l;
    snprintf(l->address, sizeof(l->address), "%s", address);
    w->line = l;
    uv_tcp_init(w->loop, &l->tcp);
    uv_tcp_keepalive(&l->tcp, 1, KEEPALIVE_S);
    if (uv_tcp_connect(&l->connect, &l->tcp, (struct sockaddr *)&to, on_connected) == 0)
        return INT64_MAX;
    drop_line(w);
    return w->not_before_ms;
}

bool waiting_for(const struct waiting *w, int ordinal)
{
    return w->held[ordinal];
}

struct waiting *waiting_new(uv_loop_t *loop, const struct clock *clock, void (*changed)(void *data), void *data)
{
    struct waiting *w = mem_alloc(sizeof(*w));
    w->loop = loop;
    w->clock = clock;
    w->changed = changed;
    w->data = data;
    return w;
}

void waiting_free(struct waiting *w, void (*done)(void *data), void *data)
{
    drop_line(w);
    buf_free(&w->text);
    free(w);
    done(data);
}
