/* Record sets, and which kind of zone is configured. */
#include "agent/names/zone.h"

void zone_sets_init(struct zone_sets *s)
{
    *s = (struct zone_sets){.arena = arena_new()};
}

void zone_sets_free(struct zone_sets *s)
{
    free(s->items);
    arena_free(s->arena);
    *s = (struct zone_sets){0};
}

int zone_sets_add(struct zone_sets *s, const char *name, const char *type, int64_t ttl, const char *value,
                  struct err *err)
{
    if (s->n == ZONE_SETS_MAX)
        return err_set(err, -EMSGSIZE, "there are more than %d records below the domain", ZONE_SETS_MAX);
    if (s->n == s->cap) {
        s->cap = s->cap ? 2 * s->cap : 64;
        s->items = mem_realloc(s->items, s->cap * sizeof(*s->items));
    }
    const char **values = arena_alloc(s->arena, sizeof(*values));
    values[0] = arena_strdup(s->arena, value);
    s->items[s->n++] = (struct zone_set){arena_strdup(s->arena, name), arena_strdup(s->arena, type), ttl, values, 1};
    return 0;
}

static int compare(const void *a, const void *b)
{
    const struct zone_set *x = a, *y = b;
    int r = strcmp(x->name, y->name);
    return r ? r : strcmp(x->type, y->type);
}

static int compare_all(const void *a, const void *b)
{
    const struct zone_set *x = a, *y = b;
    int r = compare(a, b);
    return r ? r : strcmp(x->values[0], y->values[0]);
}

void zone_sets_group(struct zone_sets *s)
{
    size_t out = 0;
    if (s->n)
        qsort(s->items, s->n, sizeof(*s->items), compare_all);
    for (size_t i = 0; i < s->n;) {
        struct zone_set set = s->items[i];
        size_t end = i;
        while (end < s->n && !compare(&s->items[i], &s->items[end]))
            end++;
        const char **values = arena_alloc(s->arena, (end - i) * sizeof(*values));
        for (set.n = 0; i < end; i++)
            if (!set.n || strcmp(values[set.n - 1], s->items[i].values[0]))
                values[set.n++] = s->items[i].values[0];
        set.values = values;
        s->items[out++] = set;
    }
    s->n = out;
}

const struct zone_set *zone_sets_find(const struct zone_sets *s, const char *name, const char *type)
{
    struct zone_set key = {.name = name, .type = type};
    return s->n ? bsearch(&key, s->items, s->n, sizeof(*s->items), compare) : NULL;
}

bool zone_set_equal(const struct zone_set *a, const struct zone_set *b)
{
    if (compare(a, b) || a->n != b->n)
        return false;
    for (size_t i = 0; i < a->n; i++)
        if (strcmp(a->values[i], b->values[i]))
            return false;
    return true;
}

int zone_open(const struct agent_config *c, const struct clock *clock, struct zone **ret, struct err *err)
{
    return !strcmp(c->dns_provider, "route53") ? zone_route53_open(c, clock, ret, err)
                                               : zone_rfc2136_open(c, clock, ret, err);
}
