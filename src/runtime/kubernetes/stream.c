/* Cuts a watch's bytes into events. */
#include "runtime/kubernetes/stream.h"

void kube_stream_init(struct kube_stream *s)
{
    *s = (struct kube_stream){.rest = BUF_INIT_MAX(KUBE_LINE_MAX)};
}

void kube_stream_free(struct kube_stream *s)
{
    buf_free(&s->rest);
}

static int type_of(const json_t *event)
{
    static const char *const names[] = {"ADDED", "MODIFIED", "DELETED", "BOOKMARK", "ERROR"};
    const char *name = json_string_value(json_object_get(event, "type"));
    for (size_t i = 0; name && i < ARRAY_SIZE(names); i++)
        if (!strcmp(names[i], name))
            return (int)i;
    return -1;
}

static int take_line(const char *line, size_t len, kube_stream_take take, void *user, struct err *err)
{
    autojson json_t *event = NULL;
    if (!len || (len == 1 && *line == '\r'))
        return 0;
    int r = js_parse(line, len, KUBE_LINE_MAX, &event, err);
    if (r < 0)
        return err_wrap(err, r, "watch");
    int type = type_of(event);
    json_t *object = json_object_get(event, "object");
    if (type < 0 || !json_is_object(object))
        return err_set(err, -EINVAL, "watch: an event without a known type or without an object");
    return take((enum kube_event_type)type, object, user);
}

int kube_stream_feed(struct kube_stream *s, const char *data, size_t len, kube_stream_take take, void *user,
                     struct err *err)
{
    while (s->result == 0 && len) {
        const char *end = memchr(data, '\n', len);
        size_t n = end ? (size_t)(end - data) : len;
        if (!end || s->rest.len)
            buf_add(&s->rest, data, n);
        if (s->rest.overflow || n > KUBE_LINE_MAX) {
            s->result = err_set(err, -EMSGSIZE, "watch: an event is over %zu bytes", KUBE_LINE_MAX);
        } else if (end) {
            s->result = s->rest.len ? take_line(s->rest.data, s->rest.len, take, user, err)
                                    : take_line(data, n, take, user, err);
            buf_free(&s->rest);
        }
        data += n + (end != NULL);
        len -= n + (end != NULL);
    }
    return s->result;
}
