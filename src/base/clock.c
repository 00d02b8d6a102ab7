/* System and manual clocks, RFC 3339 text. */
#include "base/clock.h"

#include <time.h>

static int64_t read_clock(clockid_t id)
{
    struct timespec ts;
    clock_gettime(id, &ts);
    return (int64_t)ts.tv_sec * 1000 + ts.tv_nsec / 1000000;
}

static int64_t system_wall(const struct clock *c OH_UNUSED)
{
    return read_clock(CLOCK_REALTIME);
}

static int64_t system_mono(const struct clock *c OH_UNUSED)
{
    return read_clock(CLOCK_BOOTTIME);
}

const struct clock clock_system = {.wall_ms = system_wall, .mono_ms = system_mono};

static int64_t manual_wall(const struct clock *c)
{
    return CONTAINER_OF((struct clock *)(uintptr_t)c, struct clock_manual, clock)->wall;
}

static int64_t manual_mono(const struct clock *c)
{
    return CONTAINER_OF((struct clock *)(uintptr_t)c, struct clock_manual, clock)->mono;
}

void clock_manual_init(struct clock_manual *m, int64_t wall_ms)
{
    *m = (struct clock_manual){.clock = {.wall_ms = manual_wall, .mono_ms = manual_mono}, .wall = wall_ms, .mono = 1};
}

void clock_manual_advance(struct clock_manual *m, int64_t ms)
{
    m->wall += ms;
    m->mono += ms;
}

void clock_iso(int64_t wall_ms, char out[CLOCK_ISO_SIZE])
{
    int64_t ms = wall_ms % 1000;
    if (ms < 0)
        ms += 1000;
    time_t s = (time_t)((wall_ms - ms) / 1000);
    struct tm tm;
    gmtime_r(&s, &tm);
    size_t n = strftime(out, CLOCK_ISO_SIZE, "%Y-%m-%dT%H:%M:%S", &tm);
    snprintf(out + n, CLOCK_ISO_SIZE - n, ".%03dZ", (int)ms);
}

static int digits(const char **p, int n, int *ret)
{
    int v = 0;
    for (int i = 0; i < n; i++, (*p)++) {
        if (**p < '0' || **p > '9')
            return -EINVAL;
        v = v * 10 + (**p - '0');
    }
    *ret = v;
    return 0;
}

static int literal(const char **p, char c)
{
    if (**p != c)
        return -EINVAL;
    (*p)++;
    return 0;
}

static int offset_seconds(const char **p, int *ret)
{
    int h, m, sign = **p == '-' ? -1 : 1;
    if (**p == 'Z' || **p == 'z') {
        (*p)++;
        *ret = 0;
        return 0;
    }
    if (**p != '+' && **p != '-')
        return -EINVAL;
    (*p)++;
    if (digits(p, 2, &h) || literal(p, ':') || digits(p, 2, &m) || h > 23 || m > 59)
        return -EINVAL;
    *ret = sign * (h * 3600 + m * 60);
    return 0;
}

int clock_iso_parse(const char *text, int64_t *ret_wall_ms)
{
    const char *p = text;
    int year, mon, day, hour, min, sec, offset, ms = 0;
    if (digits(&p, 4, &year) || literal(&p, '-') || digits(&p, 2, &mon) || literal(&p, '-') || digits(&p, 2, &day))
        return -EINVAL;
    if (*p != 'T' && *p != 't' && *p != ' ')
        return -EINVAL;
    p++;
    if (digits(&p, 2, &hour) || literal(&p, ':') || digits(&p, 2, &min) || literal(&p, ':') || digits(&p, 2, &sec))
        return -EINVAL;
    if (*p == '.') {
        int scale = 100;
        p++;
        if (*p < '0' || *p > '9')
            return -EINVAL;
        for (; *p >= '0' && *p <= '9'; p++, scale /= 10)
            ms += (*p - '0') * scale;
    }
    if (offset_seconds(&p, &offset) || *p)
        return -EINVAL;
    if (mon < 1 || mon > 12 || day < 1 || day > 31 || hour > 23 || min > 59 || sec > 60)
        return -EINVAL;
    struct tm tm = {
        .tm_year = year - 1900, .tm_mon = mon - 1, .tm_mday = day, .tm_hour = hour, .tm_min = min, .tm_sec = sec};
    time_t s = timegm(&tm);
    if (tm.tm_mday != day || tm.tm_mon != mon - 1) /* the 30th of February was normalised away */
        return -EINVAL;
    *ret_wall_ms = ((int64_t)s - offset) * 1000 + ms;
    return 0;
}
