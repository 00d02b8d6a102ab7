/* Time, handed in: code that decides takes a `const struct clock *`, so tests can jump hours. */
#pragma once

#include "base/util.h"

struct clock {
    int64_t (*wall_ms)(const struct clock *c); /* milliseconds since 1970-01-01 UTC; may jump */
    int64_t (*mono_ms)(const struct clock *c); /* CLOCK_BOOTTIME milliseconds; never jumps, counts sleep */
};

extern const struct clock clock_system;

static inline int64_t clock_wall_ms(const struct clock *c)
{
    return c->wall_ms(c);
}
static inline int64_t clock_mono_ms(const struct clock *c)
{
    return c->mono_ms(c);
}

/* A clock that moves only when told: set the fields at will. */
struct clock_manual {
    struct clock clock; /* pass &m.clock */
    int64_t wall, mono;
};
void clock_manual_init(struct clock_manual *m, int64_t wall_ms);
void clock_manual_advance(struct clock_manual *m, int64_t ms);

#define CLOCK_ISO_SIZE 32
/* "2026-11-22T10:00:00.000Z"-style text (RFC 3339, UTC). */
void clock_iso(int64_t wall_ms, char out[CLOCK_ISO_SIZE]);
/* Parses RFC 3339 with Z or an offset, seconds with optional fraction; -EINVAL otherwise. */
OH_MUST_CHECK int clock_iso_parse(const char *text, int64_t *ret_wall_ms);
