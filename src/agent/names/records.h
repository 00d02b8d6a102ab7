/* Which records the data plane wants, which of those that stand are its own, and what is to be changed. Pure.
 *
 * Wanted: an address (A, AAAA) or another name (CNAME) for the ingress, at the domain itself and at each service's name
 * below it. Ownership as external-dns keeps it (its TXT registry): beside each set stands a mark, the TXT record
 * `_ownhouse-TYPE.NAME` with the one value "heritage=ownhouse,ownhouse/owner=INFRASTRUCTURE". A set without that mark
 * is somebody else's: it is neither changed nor removed, and if it stands where one of ours is wanted, that is said. */
#pragma once

#include "agent/names/zone.h"
#include "base/js.h"
#include "base/keys.h"
#include "net/dns_wire.h"

#define RECORDS_CHALLENGE "_acme-challenge" /* label of RFC 8555, 8.4 */
#define WANTED_MAX_BYTES MIB(4)

/* What the operator writes down for the names role (home/wanted/names.json). */
struct wanted {
    struct arena *arena;
    const char *infrastructure, *domain;
    const char **names;   /* of services, below the domain */
    const char **targets; /* addresses, or one name; none: there is no ingress yet */
    size_t n_names, n_targets;
};
void wanted_free(struct wanted *w);
#define autowanted OH_CLEANUP(wanted_free)
OH_MUST_CHECK int wanted_parse(const char *text, size_t len, struct wanted *ret, struct err *err);

/* The sets for it, grouped. A CNAME for a zone's own name cannot be: it is left out. */
OH_MUST_CHECK int records_wanted(const struct wanted *w, const char *zone, int64_t ttl, struct zone_sets *ret,
                                 struct err *err);

struct records_plan {
    struct zone_change *changes; /* removals first; in the arena of the sets given */
    size_t n;
    size_t kept; /* sets that are as wanted */
    size_t conflicts;
    char conflict[400]; /* the first, one sentence; "" = none */
};

/* `have`: what stands in the zone below the domain. */
void records_compare(const struct zone_sets *want, const struct zone_sets *have, const char *owner,
                     struct records_plan *ret);

/* The TXT set of a challenge with `value` in it, or (add = false) without; *ret_needed: whether anything is to be done.
 * -EEXIST: a set stands there that is not ours. */
OH_MUST_CHECK int records_challenge(const struct zone_sets *have, const char *identifier, const char *value, bool add,
                                    const char *owner, struct zone_sets *scratch, struct zone_change *ret,
                                    bool *ret_needed, struct err *err);
