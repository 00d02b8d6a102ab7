/* The append-only record: leaves in a folder, a Merkle tree over them, checkpoints signed with the ledger's key.
 *
 * One writer at a time (a lock in the folder). Below the folder: `tail-<first leaf, 12 digits>`, the leaves since the
 * last full entry bundle, appended and synced one by one; `tile/` (ledger/tile.h); `checkpoint`, the newest signed
 * note; `checkpoints/<leaves, 12 digits>`, all of them, each replaced by its cosigned form when that is had.
 *
 * A leaf is on the disk before ledger_append() returns. After a crash, a record at the tail's end that is torn (never
 * answered for) is cut off; anything else that does not fit the hashes or the last checkpoint stops ledger_open(): it
 * was altered. After a failed write or sync nothing of the leaf stays, or the ledger refuses everything until it is
 * opened anew. */
#pragma once

#include "base/clock.h"
#include "base/js.h"
#include "ledger/merkle.h"
#include "ledger/note.h"

#define LEDGER_ORIGIN_SIZE 64

/* The key of the ledger in `dir`: key.pem, made with the folder where there is none, and `verifier`, the public half
 * for people. ret_origin: "ownhouse/<kind>/<16 hex digits of the public key's SHA-256>". *ret: signing_key_free. */
OH_MUST_CHECK int ledger_key(const char *dir, const char *kind, char ret_origin[LEDGER_ORIGIN_SIZE],
                             struct signing_key **ret, struct err *err);

struct ledger;

struct ledger_config {
    const char *dir;               /* made with mode 0700 */
    const char *origin;            /* checkpoint origin and name of the key; see note_verifier */
    const struct signing_key *key; /* borrowed */
    const struct clock *clock;     /* borrowed */
};

/* -EBUSY: another process has it. -EBADMSG: altered, the sentence says where. */
OH_MUST_CHECK int ledger_open(const struct ledger_config *config, struct ledger **ret, struct err *err);
void ledger_close(struct ledger *l); /* NULL is fine; writes nothing */

/* Durable on return. body is borrowed and must be an object without secrets. -EINVAL and -EMSGSIZE as leaf_write();
 * -ENOSPC, -EIO and so on: not recorded, so what it speaks of must not happen. ret_index may be NULL. */
OH_MUST_CHECK int ledger_append(struct ledger *l, const char *kind, const json_t *body, uint64_t *ret_index,
                                struct err *err);
/* Counts something too small for a leaf (a ping); the next leaf carries the totals. `what`: as a leaf's kind. */
void ledger_count(struct ledger *l, const char *what, int64_t n);

uint64_t ledger_size(const struct ledger *l);
uint64_t ledger_signed_size(const struct ledger *l); /* of the last checkpoint; 0 = none */
void ledger_root(const struct ledger *l, struct merkle_hash *ret);
void ledger_verifier(const struct ledger *l, struct note_verifier *ret);

/* Signs and keeps a checkpoint of all leaves; nothing happens if there is one of this size already. */
OH_MUST_CHECK int ledger_checkpoint(struct ledger *l, struct err *err);
/* The newest checkpoint's note, "" before the first; borrowed until the next call. */
const char *ledger_note(const struct ledger *l);
/* Adds a witness's cosignature lines: `note` is one of our checkpoints with more signatures behind ours. The caller has
 * checked them. -ENOENT: not one of ours. */
OH_MUST_CHECK int ledger_cosigned(struct ledger *l, const char *note, size_t len, struct err *err);

/* Adds the one line of witness `v`, whose signature the caller has checked, to our checkpoint of that size: notes of
 * several witnesses come each with its own. Nothing happens if it is there, or if `max` witnesses are. -ENOENT: as
 * above. */
OH_MUST_CHECK int ledger_witnessed(struct ledger *l, const struct note_verifier *v, const char *note, size_t len,
                                   size_t max, struct err *err);

/* A leaf's bytes, free(); -ENOENT beyond the end. */
OH_MUST_CHECK int ledger_leaf(const struct ledger *l, uint64_t index, char **ret, size_t *ret_len, struct err *err);
OH_MUST_CHECK int ledger_inclusion(const struct ledger *l, uint64_t index, uint64_t size, struct merkle_proof *ret,
                                   struct err *err);
OH_MUST_CHECK int ledger_consistency(const struct ledger *l, uint64_t from, uint64_t to, struct merkle_proof *ret,
                                     struct err *err);

/* Copies what is new up to the last checkpoint into `to` (a bucket's folder), the checkpoint last, so that a reader
 * always finds all that it names. Files that are there already and whole are left alone. */
OH_MUST_CHECK int ledger_publish(struct ledger *l, const char *to, struct err *err);
