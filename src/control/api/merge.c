/* Adds to and removes from lists by key. */
#include "control/api/merge.h"

static bool same(const json_t *a, const json_t *b, const char *key)
{
    return key ? json_equal(json_object_get(a, key), json_object_get(b, key)) : json_equal(a, b);
}

/* -1 if it is not there. */
static ssize_t find(const json_t *list, const json_t *entry, const char *key)
{
    const json_t *one;
    size_t i;
    json_array_foreach(list, i, one)
    {
        if (same(one, entry, key))
            return (ssize_t)i;
    }
    return -1;
}

bool merge_list(json_t *object, const char *field, const char *key, const json_t *patch)
{
    json_t *before = json_object_get(object, field), *list = json_is_array(before) ? json_copy(before) : json_array();
    json_t *entry;
    size_t i;
    ssize_t at;
    json_array_foreach(json_object_get(patch, "remove"), i, entry)
    {
        while ((at = find(list, entry, key)) >= 0)
            json_array_remove(list, (size_t)at);
    }
    json_array_foreach(json_object_get(patch, "add"), i, entry)
    {
        at = find(list, entry, key);
        if (at >= 0)
            json_array_set(list, (size_t)at, entry);
        else
            json_array_append(list, entry);
    }
    bool changed = !before || !json_equal(before, list);
    json_object_set_new(object, field, list);
    return changed;
}
