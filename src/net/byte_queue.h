/* Bytes that wait for their taker, in order: a chain of pieces of fixed size, each given back as soon as it is empty,
 * so that a queue that was long holds no more memory than what still waits in it. Nothing is moved once it was added.
 *
 * It has no ceiling of its own: what may wait is bounded by the credit that its owner gives the sender (net/yamux.h).
 */
#pragma once

#include "base/util.h"

#define BYTE_QUEUE_PIECE ((size_t)16 << 10) /* bytes of one piece, what one TLS record brings */

struct byte_piece;

struct byte_queue {
    struct byte_piece *first, *last; /* NULL: empty */
    size_t len;                      /* bytes that wait */
};

void byte_queue_add(struct byte_queue *q, const void *data, size_t len);
/* The bytes that come first and lie together, NULL when there are none; valid until the next call. */
const char *byte_queue_front(const struct byte_queue *q, size_t *ret_len);
/* The first n bytes, at most all, are done with. */
void byte_queue_take(struct byte_queue *q, size_t n);
void byte_queue_free(struct byte_queue *q); /* leaves an empty queue */
/* Heap bytes held now, without malloc's overhead. */
size_t byte_queue_memory(const struct byte_queue *q);
