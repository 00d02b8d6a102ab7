/* A DNS zone that the agent writes into: what stands in it below one domain, and changes of it, whoever serves it.
 *
 * The unit is a record set: a name and a type. Beside each set of ours stands its mark, a TXT record that names the
 * infrastructure as its owner (records.h); a change is made only while the mark is as it was read, and a new set only
 * where there is none: the server itself refuses otherwise, so that a set of somebody else's is never touched, not even
 * one that was made a moment ago. Blocking. */
#pragma once

#include "agent/config.h"
#include "base/clock.h"
#include "base/mem.h"

#define ZONE_SETS_MAX 50000

struct zone_set {
    const char *name, *type; /* without the last dot, lower case; "A", "AAAA", "CNAME" or "TXT" */
    int64_t ttl;
    const char **values; /* sorted, none twice; of a TXT its strings put together */
    size_t n;
};

struct zone_sets {
    struct arena *arena;
    struct zone_set *items; /* sorted by name and type once zone_sets_group() was called */
    size_t n, cap;
};
void zone_sets_init(struct zone_sets *s);
void zone_sets_free(struct zone_sets *s);
#define autosets OH_CLEANUP(zone_sets_free)
/* One value more; -EMSGSIZE beyond ZONE_SETS_MAX. Texts are copied. */
OH_MUST_CHECK int zone_sets_add(struct zone_sets *s, const char *name, const char *type, int64_t ttl, const char *value,
                                struct err *err);
/* Sorts, and makes one set of what has one name and type. */
void zone_sets_group(struct zone_sets *s);
/* NULL: there is none. Only after zone_sets_group(). */
const struct zone_set *zone_sets_find(const struct zone_sets *s, const char *name, const char *type);
bool zone_set_equal(const struct zone_set *a, const struct zone_set *b); /* name, type, values; not the TTL */

struct zone_change {
    const struct zone_set *want; /* NULL: the set goes */
    const struct zone_set *have; /* NULL: there is none */
    const struct zone_set *mark; /* what says that it is ours */
    bool marked;                 /* the mark is there */
};

struct zone;
struct zone_ops {
    /* Sets below `domain`, grouped. */
    int (*list)(struct zone *z, const char *domain, struct zone_sets *ret, struct err *err);
    /* -EEXIST, -ENOENT: it is no longer as it was read. `settled`: wait until all servers of the zone answer so, where
     * that can be known. */
    int (*change)(struct zone *z, const struct zone_change *c, bool settled, struct err *err);
    void (*free)(struct zone *z);
};
struct zone {
    const struct zone_ops *ops;
    const char *name; /* of the zone; "" = not known before it was listed */
};

/* As configured (dns_provider and what belongs to it). -EINVAL, -EPERM, -ENOENT: something configured cannot be used.
 * Connections are made by list and change. */
OH_MUST_CHECK int zone_open(const struct agent_config *c, const struct clock *clock, struct zone **ret,
                            struct err *err);
static inline void zone_freep(struct zone **z)
{
    if (*z)
        (*z)->ops->free(*z);
}
#define autozone OH_CLEANUP(zone_freep)

int zone_rfc2136_open(const struct agent_config *c, const struct clock *clock, struct zone **ret, struct err *err);
int zone_route53_open(const struct agent_config *c, const struct clock *clock, struct zone **ret, struct err *err);
