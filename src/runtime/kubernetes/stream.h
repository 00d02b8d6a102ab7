/* The bytes of a watch: JSON objects, one a line, as the API server streams them. Pure.
 *
 * Each line is {"type": ADDED|MODIFIED|DELETED|BOOKMARK|ERROR, "object": {...}}. A line is parsed only when it is
 * complete; a line over KUBE_LINE_MAX, or one that is no such object, ends the stream with an error. */
#pragma once

#include "base/js.h"

#define KUBE_LINE_MAX MIB(4)

enum kube_event_type { KUBE_ADDED, KUBE_MODIFIED, KUBE_DELETED, KUBE_BOOKMARK, KUBE_ERROR };

struct kube_stream {
    struct buf rest; /* a line that is not complete yet */
    int result;      /* of a stream that ended in an error */
};

/* `object` is borrowed for the call. Non-zero ends the stream with that value. */
typedef int (*kube_stream_take)(enum kube_event_type type, json_t *object, void *data);

void kube_stream_init(struct kube_stream *s);
void kube_stream_free(struct kube_stream *s);
/* Feeds bytes. -EMSGSIZE, -EINVAL, or what `take` returned; then nothing more is taken. */
OH_MUST_CHECK int kube_stream_feed(struct kube_stream *s, const char *data, size_t len, kube_stream_take take,
                                   void *user, struct err *err);
