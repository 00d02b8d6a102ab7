/* Writes and reads the ledger's entries. */
#include "ledger/leaf.h"

#include "base/clock.h"

#define TYPE "ownhouse/leaf"

bool leaf_kind_valid(const char *kind)
{
    size_t len = strlen(kind);
    return len > 0 && len <= LEAF_KIND_MAX && strspn(kind, "abcdefghijklmnopqrstuvwxyz0123456789.-") == len;
}

int leaf_write(uint64_t index, int64_t time_ms, int64_t mono_ms, const char *kind, const json_t *body,
               const json_t *totals, struct buf *out, struct err *err)
{
    char time[CLOCK_ISO_SIZE];
    autojson json_t *o = json_object();
    if (!leaf_kind_valid(kind))
        return err_set(err, -EINVAL, "a leaf's kind must be 1 to %d of a-z, 0-9, dot and hyphen", LEAF_KIND_MAX);
    if (!json_is_object(body))
        return err_set(err, -EINVAL, "a leaf's body must be an object");
    clock_iso(time_ms, time);
    json_object_set_new(o, "type", json_string(TYPE));
    json_object_set_new(o, "v", json_integer(1));
    json_object_set_new(o, "index", json_integer((json_int_t)index));
    json_object_set_new(o, "time", json_string(time));
    json_object_set_new(o, "mono", json_integer(mono_ms));
    json_object_set_new(o, "kind", json_string(kind));
    json_object_set_new(o, "body", json_deep_copy(body));
    if (json_object_size(totals) > 0)
        json_object_set_new(o, "totals", json_deep_copy(totals));
    buf_consume(out, out->len);
    int r = js_canonical(o, out, err);
    if (r == 0 && out->len > LEAF_MAX)
        r = err_set(err, -EMSGSIZE, "a %s leaf of %zu bytes is over the limit of %u", kind, out->len, LEAF_MAX);
    return r;
}

static int take(json_t *o, struct leaf *l, struct err *err)
{
    static const char *const known[] = {"body", "index", "kind", "mono", "time", "totals", "type", "v", NULL};
    const char *type = NULL, *time = NULL;
    json_t *body = NULL;
    int64_t v = 0, index = 0;
    int r = js_only(o, "", known, err);
    if (r == 0)
        r = js_string(o, "", "type", 40, &type, err);
    if (r == 0 && strcmp(type, TYPE))
        r = err_set(err, -EINVAL, "type: must be \"" TYPE "\"");
    if (r == 0)
        r = js_int(o, "", "v", 1, 1, &v, err);
    if (r == 0)
        r = js_int(o, "", "index", 0, INT64_MAX, &index, err);
    if (r == 0)
        r = js_int(o, "", "mono", 0, INT64_MAX, &l->mono_ms, err);
    if (r == 0)
        r = js_string(o, "", "kind", LEAF_KIND_MAX, &l->kind, err);
    if (r == 0 && !leaf_kind_valid(l->kind))
        r = err_set(err, -EINVAL, "kind: must be of a-z, 0-9, dot and hyphen");
    if (r == 0)
        r = js_string(o, "", "time", CLOCK_ISO_SIZE, &time, err);
    if (r == 0 && clock_iso_parse(time, &l->time_ms) < 0)
        r = err_set(err, -EINVAL, "time: must be a time as in RFC 3339");
    if (r == 0)
        r = js_object(o, "", "body", &body, err);
    if (r == 0 && json_object_get(o, "totals") && !json_is_object(json_object_get(o, "totals")))
        r = err_set(err, -EINVAL, "totals: must be an object");
    l->index = (uint64_t)index;
    l->body = body;
    l->totals = json_object_get(o, "totals");
    return r;
}

int leaf_parse(const char *text, size_t len, struct leaf *ret, struct err *err)
{
    autobuf struct buf again = BUF_INIT;
    autoleaf struct leaf l = {0};
    int r = js_parse(text, len, LEAF_MAX, &l.json, err);
    if (r == 0 && !json_is_object(l.json))
        r = err_set(err, -EINVAL, "must be a JSON object");
    if (r == 0)
        r = take(l.json, &l, err);
    if (r == 0)
        r = js_canonical(l.json, &again, err);
    if (r == 0 && (again.len != len || memcmp(again.data, text, len)))
        r = err_set(err, -EINVAL, "is not in canonical form");
    if (r < 0)
        return err_wrap(err, r, "a ledger leaf");
    *ret = l;
    l = (struct leaf){0};
    return 0;
}

void leaf_free(struct leaf *l)
{
    json_decref(l->json);
    *l = (struct leaf){0};
}
