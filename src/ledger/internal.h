/* What ledger.c, tail.c and publish.c share. Not for other modules. */
#pragma once

#include "base/mem.h"
#include "ledger/ledger.h"
#include "ledger/tile.h"

/* The append-only file of leaves since the last full bundle: records of 4 bytes length (big-endian), the leaf's hash
 * (32 bytes), the leaf. */
struct tail {
    char *dir;
    int fd;
    uint64_t first; /* index of its first leaf, a multiple of TILE_WIDTH */
    size_t n, cap;
    struct tail_record {
        uint64_t at; /* of the leaf's bytes */
        uint32_t len;
        struct merkle_hash hash;
    } * records;
    uint64_t end;  /* bytes of whole records */
    bool broken;   /* what is on the disk is not known: open anew */
    bool repaired; /* a torn record was cut off when it was opened */
};
/* Opens or makes the newest tail in dir, cuts a torn end and rewrites what is left, so that all of it is durable
 * whatever failed before. -EBADMSG: a record inside is damaged. */
OH_MUST_CHECK int tail_open(const char *dir, struct tail *ret, struct err *err);
void tail_close(struct tail *t);
OH_MUST_CHECK int tail_append(struct tail *t, const void *data, size_t len, const struct merkle_hash *hash,
                              struct err *err);
OH_MUST_CHECK int tail_read(const struct tail *t, size_t i, char **ret, size_t *ret_len, struct err *err);
/* Leaves the first TILE_WIDTH records out: a new file, durable, then the old one goes. */
OH_MUST_CHECK int tail_drop(struct tail *t, struct err *err);

struct ledger {
    struct ledger_config c;
    char *dir, *origin;
    int lock;
    struct note_verifier verifier;
    struct tail tail;
    struct merkle_edge edge;
    struct merkle_hash parts[TILE_LEVELS][TILE_WIDTH]; /* of the unfinished tile of each level above 0 */
    json_t *totals;
    char *note; /* newest checkpoint, "" = none */
    uint64_t signed_size;
    uint64_t published; /* leaves in the bucket */
    char *published_to;
    uint64_t *dirty; /* checkpoints that the bucket does not have in this form */
    size_t n_dirty, cap_dirty;
    /* one tile kept, since neighbours are asked for one after the other */
    struct merkle_hash cached[TILE_WIDTH];
    uint64_t cached_n;
    int cached_level; /* -1 = none */
};

char *ledger_path(const struct ledger *l, const char *name);
char *ledger_checkpoint_path(const char *dir, uint64_t size);
OH_MUST_CHECK int ledger_subtree(unsigned level, uint64_t index, void *data, struct merkle_hash *ret, struct err *err);
/* Moves the tail's first TILE_WIDTH leaves (they must be there) into tiles. Can be repeated after a stop anywhere. */
OH_MUST_CHECK int ledger_settle(struct ledger *l, struct err *err);
void ledger_dirty(struct ledger *l, uint64_t size);
