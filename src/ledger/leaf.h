/* One entry of the ledger: canonical JSON (RFC 8785), at most LEAF_MAX bytes, so that it fits a C2SP entry bundle.
 *
 *     {"body":{...},"index":17,"kind":"operation","mono":81234,"time":"2026-11-23T03:00:00.000Z",
 *      "totals":{"ping":12},"type":"ownhouse/leaf","v":1}
 *
 * `mono` is the machine's CLOCK_BOOTTIME in milliseconds, so that jumps of the wall clock show; `totals` (may be
 * missing) counts what happened since the leaf before without a leaf of its own. Kinds and bodies: api/ledger.md. */
#pragma once

#include "base/js.h"

#define LEAF_MAX 65535u /* C2SP tlog-tiles: 16 bits of length */
#define LEAF_BODY_MAX KIB(60)
#define LEAF_KIND_MAX 40

struct leaf {
    uint64_t index;
    int64_t time_ms, mono_ms;
    const char *kind;     /* borrowed from json */
    const json_t *body;   /* borrowed from json */
    const json_t *totals; /* borrowed; NULL if none */
    json_t *json;         /* owns all */
};

/* Lower-case letters, digits, dots and hyphens, 1 to LEAF_KIND_MAX. */
bool leaf_kind_valid(const char *kind);
/* The entry's bytes into out (cleared first). -EMSGSIZE: the body is too long. -EINVAL: kind, or a body that is no
 * object or cannot be canonical. totals may be NULL or empty. */
OH_MUST_CHECK int leaf_write(uint64_t index, int64_t time_ms, int64_t mono_ms, const char *kind, const json_t *body,
                             const json_t *totals, struct buf *out, struct err *err);
/* Strict: the bytes must be the canonical form of what they say. */
OH_MUST_CHECK int leaf_parse(const char *text, size_t len, struct leaf *ret, struct err *err);
void leaf_free(struct leaf *l);
#define autoleaf OH_CLEANUP(leaf_free)
