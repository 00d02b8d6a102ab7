/* Messages on a stream: 4 bytes of length (big-endian), then one JSON object of that many bytes.
 *
 * Pure: bytes in, objects out. Memory grows with what has arrived, never with what a length merely promises, and a
 * reader between messages holds none. */
#pragma once

#include "base/js.h"

#define LINK_MSG_MAX MIB(4)

struct link_msg_reader {
    size_t max; /* longest object taken, bytes */
    uint8_t head[4];
    uint8_t head_len;
    struct buf body;
};

void link_msg_reader_init(struct link_msg_reader *r, size_t max); /* max <= LINK_MSG_MAX */
void link_msg_reader_free(struct link_msg_reader *r);
/* Reads from *data, moving it and *len on. 1: a whole message, new reference in *ret; call again for the rest. 0: all
 * input used. -EMSGSIZE: longer than max. -EINVAL: not a JSON object. After an error the stream must be reset. */
OH_MUST_CHECK int link_msg_read(struct link_msg_reader *r, const uint8_t **data, size_t *len, json_t **ret,
                                struct err *err);
/* True if the bytes so far end between two messages. */
bool link_msg_at_boundary(const struct link_msg_reader *r);
/* Appends one framed message to out. -EMSGSIZE: the object is longer than max. */
OH_MUST_CHECK int link_msg_write(const json_t *object, size_t max, struct buf *out, struct err *err);
