/* A queue of bytes in pieces. */
#include "net/byte_queue.h"

#include "base/mem.h"

struct byte_piece {
    struct byte_piece *next;
    uint32_t at, end; /* what waits is data[at .. end) */
    char data[BYTE_QUEUE_PIECE];
};

static struct byte_piece *append_piece(struct byte_queue *q)
{
    struct byte_piece *p = mem_realloc(NULL, sizeof(*p)); /* not zeroed: what is read was written before */
    p->next = NULL;
    p->at = p->end = 0;
    if (q->last)
        q->last->next = p;
    else
        q->first = p;
    q->last = p;
    return p;
}

void byte_queue_add(struct byte_queue *q, const void *data, size_t len)
{
    const char *from = data;
    while (len) {
        struct byte_piece *p = q->last && q->last->end < sizeof(q->last->data) ? q->last : append_piece(q);
        size_t n = MIN(len, sizeof(p->data) - p->end);
        memcpy(p->data + p->end, from, n);
        p->end += (uint32_t)n;
        q->len += n;
        from += n;
        len -= n;
    }
}

const char *byte_queue_front(const struct byte_queue *q, size_t *ret_len)
{
    const struct byte_piece *p = q->first;
    *ret_len = p ? p->end - p->at : 0;
    return p ? p->data + p->at : NULL;
}

void byte_queue_take(struct byte_queue *q, size_t n)
{
    while (n && q->first) {
        struct byte_piece *p = q->first;
        size_t some = MIN(n, (size_t)(p->end - p->at));
        p->at += (uint32_t)some;
        q->len -= some;
        n -= some;
        if (p->at < p->end)
            return;
        q->first = p->next;
        if (!q->first)
            q->last = NULL;
        free(p);
    }
}

void byte_queue_free(struct byte_queue *q)
{
    byte_queue_take(q, q->len);
}

size_t byte_queue_memory(const struct byte_queue *q)
{
    size_t n = 0;
    for (const struct byte_piece *p = q->first; p; p = p->next)
        n += sizeof(*p);
    return n;
}
