/* Our yamux against another implementation: peer GO_PROGRAM client|server initiate|respond.
 *
 * The words name our part; the Go program gets the opposite ones and the other end of a socket pair as descriptor 3.
 * The initiator opens streams with a command byte and 8 bytes of length N, the responder obeys: e echo N bytes;
 * s read N bytes, answer with their count and FNV-1a sum; b send N pattern bytes; w answer one byte and wait to be
 * reset; q how many resets were seen; x reset; g go away and answer one byte. Then it closes. Our initiator half-closes
 * before it reads the answers; Debian's version of the other one can no longer read once it has closed, so it closes
 * last. Exit status 0: all was as it must be. */
#include "base/buf.h"
#include "base/clock.h"
#include "base/mem.h"
#include "net/yamux.h"

#include <poll.h>
#include <signal.h>
#include <sys/socket.h>
#include <sys/wait.h>

#define BULK MIB(50)
#define DEADLINE_MS 60000

struct stream {
    uint32_t id;
    char command;
    bool ours, eof, closed, gone;
    uint8_t head[9]; /* command and length */
    size_t head_len;
    uint64_t length;       /* N */
    struct buf out;        /* bytes to send before the pattern */
    uint64_t at, pattern;  /* pattern bytes sent, to send */
    uint64_t got, got_sum; /* received after the head */
    struct buf text;       /* of short answers and echoes, up to 1 MiB */
    bool close_when_sent;
    int reset; /* code of the reset event */
};

static struct yamux *y;
static int fd, resets;
static int64_t deadline;
static bool peer_gone, pong, goaway_seen;

static _Noreturn void die(const char *what)
{
    fprintf(stderr, "c: %s\n", what);
    exit(1);
}

static void want(bool ok, const char *what)
{
    if (!ok)
        die(what);
}

static uint64_t fnv(uint64_t sum, const uint8_t *p, size_t n)
{
    for (size_t i = 0; i < n; i++)
        sum = (sum ^ p[i]) * 1099511628211ull;
    return sum;
}
#define FNV_START 14695981039346656037ull

static void fill(uint8_t *p, uint64_t at, size_t n)
{
    for (size_t i = 0; i < n; i++)
        p[i] = (uint8_t)((at + i) * 131 + ((at + i) >> 8));
}

static void put64(uint8_t *p, uint64_t v)
{
    for (int i = 0; i < 8; i++)
        p[i] = (uint8_t)(v >> (56 - 8 * i));
}

static struct stream *stream_new(uint32_t id, bool ours)
{
    struct stream *s = mem_alloc(sizeof(*s));
    s->id = id;
    s->ours = ours;
    s->got_sum = FNV_START;
    s->text.max = MIB(1);
    yamux_set_user(y, id, s);
    return s;
}

static void stream_free(struct stream *s)
{
    buf_free(&s->out);
    buf_free(&s->text);
    free(s);
}

/* Sends what there is; an echo returns the credit only for what it has passed on. */
static void push(struct stream *s)
{
    static uint8_t piece[32768];
    while (!s->gone && s->out.len) {
        ssize_t n = yamux_write(y, s->id, s->out.data, s->out.len);
        want(n >= 0, "write is taken");
        if (s->command == 'e' && !s->ours)
            yamux_consumed(y, s->id, (size_t)n);
        buf_consume(&s->out, (size_t)n);
        if (n == 0)
            return;
    }
    while (!s->gone && s->at < s->pattern) {
        size_t n = (size_t)MIN((uint64_t)sizeof(piece), s->pattern - s->at);
        fill(piece, s->at, n);
        ssize_t took = yamux_write(y, s->id, piece, n);
        want(took >= 0, "write is taken");
        s->at += (uint64_t)took;
        if ((size_t)took < n)
            return;
    }
    if (s->close_when_sent && !s->closed && !s->gone) {
        s->closed = true;
        s->gone = s->eof;
        yamux_close(y, s->id);
    }
}

static void answer(struct stream *s, const void *data, size_t n)
{
    buf_add(&s->out, data, n);
    s->close_when_sent = true;
}

/* The command is whole. */
static void obey(struct stream *s)
{
    uint8_t one = '!';
    s->command = (char)s->head[0];
    for (int i = 1; i < 9; i++)
        s->length = s->length << 8 | s->head[i];
    switch (s->command) {
    case 'b':
        s->pattern = s->length;
        s->close_when_sent = true;
        break;
    case 'w':
        buf_add(&s->out, "!", 1);
        break;
    case 'q':
        one = (uint8_t)resets;
        answer(s, &one, 1);
        break;
    case 'x':
        s->gone = true;
        yamux_reset(y, s->id);
        break;
    case 'g':
        yamux_goaway(y, 0);
        answer(s, &one, 1);
        break;
    default:
        break;
    }
}

static void take(struct stream *s, const uint8_t *p, size_t n)
{
    uint8_t both[16];
    if (!s->ours && s->head_len < sizeof(s->head)) {
        size_t part = MIN(n, sizeof(s->head) - s->head_len);
        memcpy(s->head + s->head_len, p, part);
        s->head_len += part;
        p += part;
        n -= part;
        yamux_consumed(y, s->id, part);
        if (s->head_len < sizeof(s->head))
            return;
        obey(s);
    }
    if (s->gone)
        return;
    s->got += n;
    s->got_sum = fnv(s->got_sum, p, n);
    if (!s->ours && s->command == 'e') {
        buf_add(&s->out, p, n);
        s->close_when_sent = s->got == s->length;
        return;
    }
    if (s->ours && s->text.len < KIB(200))
        buf_add(&s->text, p, n);
    yamux_consumed(y, s->id, n);
    if (!s->ours && s->command == 's' && s->got == s->length) {
        put64(both, s->got);
        put64(both + 8, s->got_sum);
        answer(s, both, sizeof(both));
    }
}

static void handle(const struct yamux_event *ev)
{
    struct stream *s = ev->user;
    switch (ev->type) {
    case YAMUX_OPENED:
        stream_new(ev->stream, false);
        return;
    case YAMUX_DATA:
        take(s, ev->data, ev->len);
        break;
    case YAMUX_EOF:
        s->eof = true;
        s->gone = ev->gone;
        break;
    case YAMUX_RESET:
        s->reset = ev->code;
        s->gone = true;
        resets += !s->ours;
        break;
    case YAMUX_PONG:
        pong = true;
        return;
    case YAMUX_GOAWAY:
        goaway_seen = true;
        return;
    default:
        break;
    }
    push(s);
    if (s->gone && !s->ours)
        stream_free(s);
}

/* One round: wait, read, handle, write. */
static void turn(void)
{
    static uint8_t in[65536];
    struct err err = ERR_INIT;
    struct yamux_event ev;
    size_t n, len = 0;
    const uint8_t *out = yamux_output(y, &n), *p = in;
    struct pollfd pfd = {.fd = fd, .events = (short)(POLLIN | (out ? POLLOUT : 0))};
    want(clock_mono_ms(&clock_system) < deadline, "it takes too long");
    if (poll(&pfd, 1, 1000) <= 0)
        return;
    if (pfd.revents & (POLLIN | POLLHUP)) {
        ssize_t r = read(fd, in, sizeof(in));
        peer_gone = r == 0 || (r < 0 && errno != EAGAIN);
        len = r > 0 ? (size_t)r : 0;
    }
    if (pfd.revents & POLLOUT && out) {
        ssize_t r = write(fd, out, n);
        if (r > 0)
            yamux_sent(y, (size_t)r);
    }
    int r;
    while ((r = yamux_next(y, &p, &len, clock_mono_ms(&clock_system), &ev, &err)) > 0)
        handle(&ev);
    want(r == 0, err.message);
}

static struct stream *start(char command, uint64_t length)
{
    uint32_t id;
    uint8_t head[9] = {(uint8_t)command};
    want(yamux_open(y, &id) == 0, "open");
    struct stream *s = stream_new(id, true);
    put64(head + 1, length);
    buf_add(&s->out, head, sizeof(head));
    return s;
}

/* Until both directions have ended. */
static void finish(struct stream *s)
{
    s->close_when_sent = true;
    push(s);
    while (!s->gone) {
        want(!peer_gone, "peer is there");
        turn();
    }
}

static void many_streams(void)
{
    struct stream *all[100];
    for (size_t i = 0; i < 100; i++) {
        all[i] = start('e', i * 1000);
        for (size_t k = 0; k < i * 1000; k++)
            buf_addc(&all[i]->out, (char)i);
        all[i]->close_when_sent = true;
        push(all[i]);
    }
    for (size_t i = 0; i < 100; i++) {
        finish(all[i]);
        want(all[i]->got == i * 1000, "echo is as long");
        for (size_t k = 0; k < i * 1000; k++)
            want(all[i]->text.data[k] == (char)i, "echo is the same");
        stream_free(all[i]);
    }
}

static void bulk(void)
{
    static uint8_t piece[32768];
    uint64_t sum = FNV_START;
    uint8_t both[16];
    for (uint64_t at = 0; at < BULK; at += sizeof(piece)) {
        fill(piece, at, sizeof(piece));
        sum = fnv(sum, piece, sizeof(piece));
    }
    struct stream *s = start('s', BULK);
    s->pattern = BULK;
    finish(s);
    put64(both, BULK);
    put64(both + 8, sum);
    want(s->text.len == 16 && memcmp(s->text.data, both, 16) == 0, "bulk arrived");
    stream_free(s);
    s = start('b', BULK);
    push(s);
    while (!s->eof)
        turn();
    want(yamux_window(y, s->id) > KIB(256), "window has grown");
    finish(s);
    want(s->got == BULK && s->got_sum == sum, "bulk came back");
    stream_free(s);
}

static void initiate(void)
{
    want(yamux_ping(y, clock_mono_ms(&clock_system)) == 0, "ping");
    while (!pong)
        turn();
    struct stream *s = start('e', 5);
    buf_add(&s->out, "hello", 5);
    finish(s);
    want(s->text.len == 5 && memcmp(s->text.data, "hello", 5) == 0, "echo after half close");
    stream_free(s);
    many_streams();
    bulk();
    s = start('w', 0);
    push(s);
    while (s->got == 0)
        turn();
    yamux_reset(y, s->id);
    stream_free(s);
    for (int seen = 0; seen == 0;) { /* the reset may still be on its way to the other side's goroutine */
        s = start('q', 0);
        finish(s);
        seen = s->text.data[0];
        stream_free(s);
    }
    s = start('g', 0);
    finish(s);
    stream_free(s);
    uint32_t id;
    want(goaway_seen && yamux_open(y, &id) == -ESHUTDOWN, "no stream after go away");
    yamux_goaway(y, 0);
}

int main(int argc, char **argv)
{
    int pair[2], status;
    if (argc != 4 || socketpair(AF_UNIX, SOCK_STREAM, 0, pair) < 0) {
        fprintf(stderr, "usage: %s GO_PROGRAM client|server initiate|respond\n", argv[0]);
        return 2;
    }
    bool client = strcmp(argv[2], "client") == 0, first = strcmp(argv[3], "initiate") == 0;
    pid_t pid = fork();
    if (pid == 0) {
        dup2(pair[1], 3);
        execl(argv[1], argv[1], client ? "server" : "client", first ? "respond" : "initiate", (char *)NULL);
        _exit(127);
    }
    signal(SIGPIPE, SIG_IGN);
    close(pair[1]);
    fd = pair[0];
    deadline = clock_mono_ms(&clock_system) + DEADLINE_MS;
    struct yamux_budget budget = {.total = MIB(32)};
    y = yamux_new(client ? YAMUX_CLIENT : YAMUX_SERVER, &yamux_limits_default, &budget);
    if (first)
        initiate();
    size_t n;
    while (!peer_gone && (!first || yamux_output(y, &n)))
        turn();
    close(fd);
    want(waitpid(pid, &status, 0) == pid && status == 0, "the other side is content");
    yamux_free(y);
    want(budget.used == 0, "budget is whole again");
    printf("ok: %s, %s\n", argv[2], argv[3]);
    return 0;
}
