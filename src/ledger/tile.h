/* The ledger's files as C2SP tlog-tiles lays them out, below one folder: `tile/<level>/<n>` are 256 hashes (8 KiB),
 * `tile/entries/<n>` 256 entries, each behind two bytes of length (big-endian). `<n>` is in groups of three digits, all
 * but the last with an x in front (1234067 is x001/x234/067). With fewer than 256, `.p/<count>` is behind the name.
 *
 * A hash of level L stands for 256^L leaves. */
#pragma once

#include "base/buf.h"
#include "base/err.h"
#include "ledger/merkle.h"

#define TILE_WIDTH 256u
#define TILE_ENTRIES (-1) /* the level of entry bundles */
#define TILE_LEVELS 7     /* 256^7 leaves are enough */
#define TILE_BUNDLE_MAX (TILE_WIDTH * 65537u)

/* dir + "/tile/0/x001/234" (count TILE_WIDTH) or with ".p/17"; free(). */
char *tile_path(const char *dir, int level, uint64_t n, unsigned count);

/* Writes durably, folders included. */
OH_MUST_CHECK int tile_write(const char *dir, int level, uint64_t n, unsigned count, const void *data, size_t len,
                             struct err *err);
/* Exactly count hashes. -ENOENT without such a file (no message); -EBADMSG: of another length. */
OH_MUST_CHECK int tile_read(const char *dir, unsigned level, uint64_t n, unsigned count, struct merkle_hash *ret,
                            struct err *err);

/* An entry bundle's entries in turn; a zeroed cursor is at its beginning. */
struct tile_cursor {
    size_t at;
};
void tile_entry_add(struct buf *bundle, const void *data, size_t len); /* len <= 65535 */
/* 1: an entry, borrowed. 0: the end. -EBADMSG: it ends inside an entry. */
OH_MUST_CHECK int tile_entry_next(const char *bundle, size_t len, struct tile_cursor *c, const char **ret,
                                  size_t *ret_len);

/* The root of a whole tile's 256 hashes, or of 2^k hashes in general: n must be a power of two. */
void tile_root(const struct merkle_hash *hashes, size_t n, struct merkle_hash *ret);
