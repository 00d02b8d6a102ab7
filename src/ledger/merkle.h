/* Merkle trees as of RFC 6962 section 2.1: hashes of leaves and nodes, roots, proofs of inclusion and of consistency.
 *
 * Pure: nothing here reads or writes. A leaf's hash is SHA-256(0x00 || data), a node's SHA-256(0x01 || left || right);
 * the empty tree's root is SHA-256 of nothing. Proofs hold at most MERKLE_PROOF_MAX hashes, lowest first. */
#pragma once

#include "base/keys.h"

#define MERKLE_HASH_SIZE SHA256_SIZE
#define MERKLE_PROOF_MAX 130

struct merkle_hash {
    unsigned char b[MERKLE_HASH_SIZE];
};

struct merkle_proof {
    size_t n;
    struct merkle_hash hashes[MERKLE_PROOF_MAX];
};

void merkle_leaf(const void *data, size_t len, struct merkle_hash *ret);
void merkle_node(const struct merkle_hash *left, const struct merkle_hash *right, struct merkle_hash *ret);
bool merkle_equal(const struct merkle_hash *a, const struct merkle_hash *b);

/* The tree's right edge: all that appending and the root need. A zeroed struct is the empty tree. */
struct merkle_edge {
    uint64_t size;                /* leaves */
    struct merkle_hash peaks[64]; /* roots of the full subtrees, largest first: one for each bit set in size */
};
void merkle_edge_add(struct merkle_edge *e, const struct merkle_hash *leaf);
void merkle_edge_root(const struct merkle_edge *e, struct merkle_hash *ret);

/* Where proofs get the tree from: the root of the full subtree of leaves [index << level, (index + 1) << level). */
struct merkle_source {
    int (*subtree)(unsigned level, uint64_t index, void *data, struct merkle_hash *ret, struct err *err);
    void *data;
};
/* Root of the first `size` leaves. */
OH_MUST_CHECK int merkle_root(const struct merkle_source *s, uint64_t size, struct merkle_hash *ret, struct err *err);
/* That leaf `index` is in the tree of `size` leaves; -EINVAL unless index < size. */
OH_MUST_CHECK int merkle_prove_inclusion(const struct merkle_source *s, uint64_t index, uint64_t size,
                                         struct merkle_proof *ret, struct err *err);
/* That the tree of `from` leaves is the beginning of that of `to`; -EINVAL unless 0 < from <= to. */
OH_MUST_CHECK int merkle_prove_consistency(const struct merkle_source *s, uint64_t from, uint64_t to,
                                           struct merkle_proof *ret, struct err *err);

/* True only if the proof holds (RFC 9162 section 2.1.3.2). */
OH_MUST_CHECK bool merkle_check_inclusion(const struct merkle_proof *p, uint64_t index, uint64_t size,
                                          const struct merkle_hash *leaf, const struct merkle_hash *root);
/* True only if the proof holds (RFC 9162 section 2.1.4.2). from 0 is consistent with everything, by no proof. */
OH_MUST_CHECK bool merkle_check_consistency(const struct merkle_proof *p, uint64_t from, uint64_t to,
                                            const struct merkle_hash *from_root, const struct merkle_hash *to_root);
