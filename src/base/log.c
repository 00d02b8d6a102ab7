/* JSON-lines log, one write(2) a line so that lines of several processes never mix. */
#include "base/log.h"

#include <stdarg.h>
#include <time.h>

static struct {
    char program[32], role[32];
    enum log_level lowest;
    int fd;
} state = {.lowest = LOG_LEVEL_INFO, .fd = STDERR_FILENO};

static const char *const level_names[] = {"debug", "info", "warn", "error"};

void log_init(const char *program, const char *role, enum log_level lowest, int fd)
{
    snprintf(state.program, sizeof(state.program), "%s", program);
    snprintf(state.role, sizeof(state.role), "%s", role ? role : "");
    state.lowest = lowest;
    state.fd = fd;
}

int log_level_parse(const char *text, enum log_level *ret)
{
    for (size_t i = 0; i < ARRAY_SIZE(level_names); i++)
        if (!strcmp(text, level_names[i])) {
            *ret = (enum log_level)i;
            return 0;
        }
    return -EINVAL;
}

struct line {
    char text[8192];
    size_t len;
};

static void put(struct line *l, const char *s, size_t n)
{
    /* Two bytes stay free for the closing brace and newline. */
    if (l->len + n > sizeof(l->text) - 2)
        return;
    memcpy(l->text + l->len, s, n);
    l->len += n;
}

static void put_string(struct line *l, const char *s)
{
    put(l, "\"", 1);
    for (; *s; s++) {
        char esc[8];
        unsigned char c = (unsigned char)*s;
        int n = 1;
        esc[0] = *s;
        if (c == '"' || c == '\\')
            n = snprintf(esc, sizeof(esc), "\\%c", c);
        else if (c == '\n')
            n = snprintf(esc, sizeof(esc), "\\n");
        else if (c < 0x20 || c == 0x7f)
            n = snprintf(esc, sizeof(esc), "\\u%04x", c);
        if (l->len + (size_t)n > sizeof(l->text) - 256)
            break; /* keep room for the closing quote and the pairs that follow */
        put(l, esc, (size_t)n);
    }
    put(l, "\"", 1);
}

static void put_pair(struct line *l, const char *key, const char *value)
{
    put(l, ",", 1);
    put_string(l, key);
    put(l, ":", 1);
    put_string(l, value);
}

void log_write(enum log_level level, const char *message, ...)
{
    if (level < state.lowest)
        return;
    int saved = errno;
    struct timespec ts;
    struct tm tm;
    struct line l = {.len = 0};
    char stamp[64];
    clock_gettime(CLOCK_REALTIME, &ts);
    gmtime_r(&ts.tv_sec, &tm);
    size_t n = strftime(stamp, sizeof(stamp), "%Y-%m-%dT%H:%M:%S", &tm);
    snprintf(stamp + n, sizeof(stamp) - n, ".%03ldZ", ts.tv_nsec / 1000000);
    put(&l, "{\"time\":", 8);
    put_string(&l, stamp);
    put_pair(&l, "level", level_names[level]);
    put_pair(&l, "program", state.program);
    if (state.role[0])
        put_pair(&l, "role", state.role);
    put_pair(&l, "message", message);
    va_list ap;
    va_start(ap, message);
    for (const char *key; (key = va_arg(ap, const char *));) {
        const char *value = va_arg(ap, const char *);
        if (value && l.len + strlen(key) < sizeof(l.text) - 512)
            put_pair(&l, key, value);
    }
    va_end(ap);
    l.text[l.len++] = '}';
    l.text[l.len++] = '\n';
    (void)!write(state.fd, l.text, l.len);
    errno = saved;
}
