/* Length-prefixed JSON messages. */
#include "net/link_msg.h"

#include "base/mem.h"

void link_msg_reader_init(struct link_msg_reader *r, size_t max)
{
    *r = (struct link_msg_reader){.max = MIN(max, LINK_MSG_MAX)};
}

void link_msg_reader_free(struct link_msg_reader *r)
{
    buf_free(&r->body);
    r->head_len = 0;
}

bool link_msg_at_boundary(const struct link_msg_reader *r)
{
    return r->head_len == 0;
}

static size_t announced(const struct link_msg_reader *r)
{
    return (size_t)r->head[0] << 24 | (size_t)r->head[1] << 16 | (size_t)r->head[2] << 8 | r->head[3];
}

static int parse(struct link_msg_reader *r, const void *text, size_t len, json_t **ret, struct err *err)
{
    autojson json_t *v = NULL;
    int e = js_parse(text, len, r->max, &v, err);
    link_msg_reader_free(r);
    if (e < 0)
        return err_wrap(err, e, "link message");
    if (!json_is_object(v))
        return err_set(err, -EINVAL, "link message: must be a JSON object");
    *ret = TAKE_PTR(v);
    return 1;
}

int link_msg_read(struct link_msg_reader *r, const uint8_t **data, size_t *len, json_t **ret, struct err *err)
{
    while (*len && r->head_len < sizeof(r->head)) {
        r->head[r->head_len++] = *(*data)++;
        (*len)--;
    }
    if (r->head_len < sizeof(r->head))
        return 0;
    size_t want = announced(r), n = MIN(want - r->body.len, *len);
    if (want > r->max)
        return err_set(err, -EMSGSIZE, "link message of %zu bytes is over the limit of %zu", want, r->max);
    const uint8_t *at = *data;
    *data += n;
    *len -= n;
    if (n == want) /* all of it in one piece: no copy */
        return parse(r, at, n, ret, err);
    buf_add(&r->body, at, n);
    return r->body.len == want ? parse(r, r->body.data, want, ret, err) : 0;
}

int link_msg_write(const json_t *object, size_t max, struct buf *out, struct err *err)
{
    autofree char *text = js_text(object);
    size_t len = strlen(text);
    if (!json_is_object(object))
        return err_set(err, -EINVAL, "link message: must be a JSON object");
    if (len > MIN(max, LINK_MSG_MAX))
        return err_set(err, -EMSGSIZE, "link message of %zu bytes is over the limit of %zu", len, max);
    const uint8_t head[4] = {(uint8_t)(len >> 24), (uint8_t)(len >> 16), (uint8_t)(len >> 8), (uint8_t)len};
    buf_add(out, head, sizeof(head));
    buf_add(out, text, len);
    return 0;
}
