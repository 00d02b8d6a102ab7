/* Copies a list of workloads without the contents of their files. */
#include "agent/operator/slim.h"

#include "base/keys.h"

#define FIRST_PLACES 256

/* The texts that the copy has: open addressing, never more than half full. */
struct texts {
    struct arena *arena;
    const char **places;
    size_t n, cap;
};

static size_t hash(const char *text)
{
    uint64_t h = UINT64_C(0xcbf29ce484222325);
    for (; *text; text++)
        h = (h ^ (unsigned char)*text) * UINT64_C(0x100000001b3);
    return (size_t)(h ^ (h >> 32));
}

static const char **place_of(const char **places, size_t cap, const char *text)
{
    size_t at = hash(text) & (cap - 1);
    while (places[at] && strcmp(places[at], text))
        at = (at + 1) & (cap - 1);
    return &places[at];
}

static void widen(struct texts *t)
{
    size_t cap = t->cap ? 2 * t->cap : FIRST_PLACES;
    const char **places = mem_alloc(cap * sizeof(*places));
    for (size_t i = 0; i < t->cap; i++)
        if (t->places[i])
            *place_of(places, cap, t->places[i]) = t->places[i];
    free(t->places);
    t->places = places;
    t->cap = cap;
}

static const char *keep(struct texts *t, const char *text)
{
    if (!text)
        return NULL;
    if (2 * (t->n + 1) > t->cap)
        widen(t);
    const char **place = place_of(t->places, t->cap, text);
    if (!*place) {
        *place = arena_strdup(t->arena, text);
        t->n++;
    }
    return *place;
}

/* Whom the text names: whoever renders another workload asks for that. */
static void add_references(const char *content, struct buf *out)
{
    static const char *const kinds[] = {"${address:", "${ready:"};
    for (const char *p = content; (p = strchr(p, '$')); p++) {
        const char *end = strchr(p, '}');
        for (size_t i = 0; end && i < ARRAY_SIZE(kinds); i++)
            if (!strncmp(p, kinds[i], strlen(kinds[i])))
                buf_add(out, p, (size_t)(end - p) + 1);
        p += p[1] == '$'; /* escaped */
    }
}

static const char *keep_content(struct texts *t, const char *content)
{
    autobuf struct buf text = BUF_INIT;
    char digest[65];
    size_t len = strlen(content);
    if (len <= SLIM_CONTENT_MAX)
        return keep(t, content);
    sha256_hex(content, len, digest);
    buf_adds(&text, digest);
    add_references(content, &text);
    return keep(t, text.data);
}

static struct workload_env *copy_pairs(struct texts *t, const struct workload_env *from, size_t n)
{
    struct workload_env *to = n ? arena_alloc(t->arena, n * sizeof(*to)) : NULL;
    for (size_t i = 0; i < n; i++)
        to[i] = (struct workload_env){keep(t, from[i].name), keep(t, from[i].value)};
    return to;
}

static void copy_files(struct texts *t, const struct workload *from, struct workload *to)
{
    to->files = from->n_files ? arena_alloc(t->arena, from->n_files * sizeof(*to->files)) : NULL;
    for (size_t i = 0; i < from->n_files; i++) {
        to->files[i] = from->files[i];
        to->files[i].path = keep(t, from->files[i].path);
        to->files[i].content = keep_content(t, from->files[i].content);
    }
}

static void copy_lists(struct texts *t, const struct workload *from, struct workload *to)
{
    to->labels = copy_pairs(t, from->labels, from->n_labels);
    to->environment = copy_pairs(t, from->environment, from->n_environment);
    to->arguments = from->n_arguments ? arena_alloc(t->arena, from->n_arguments * sizeof(*to->arguments)) : NULL;
    for (size_t i = 0; i < from->n_arguments; i++)
        to->arguments[i] = keep(t, from->arguments[i]);
    to->volumes = from->n_volumes ? arena_alloc(t->arena, from->n_volumes * sizeof(*to->volumes)) : NULL;
    for (size_t i = 0; i < from->n_volumes; i++) {
        to->volumes[i] = from->volumes[i];
        to->volumes[i].name = keep(t, from->volumes[i].name);
        to->volumes[i].bucket = keep(t, from->volumes[i].bucket);
    }
    to->ports = from->n_ports ? arena_alloc(t->arena, from->n_ports * sizeof(*to->ports)) : NULL;
    for (size_t i = 0; i < from->n_ports; i++)
        to->ports[i] = (struct workload_port){keep(t, from->ports[i].name), from->ports[i].port};
}

struct slim {
    struct texts texts;
    struct workload *items;
    size_t n, cap;
};

struct slim *slim_new(void)
{
    struct slim *s = mem_alloc(sizeof(*s));
    s->texts.arena = arena_new();
    return s;
}

void slim_add(struct slim *s, const struct workload_list *part)
{
    struct texts *t = &s->texts;
    while (s->n + part->n + 1 > s->cap) {
        s->cap = s->cap ? 2 * s->cap : part->n + 1;
        s->items = mem_realloc(s->items, s->cap * sizeof(*s->items));
    }
    for (size_t i = 0; i < part->n; i++) {
        const struct workload *w = &part->items[i];
        struct workload *to = &s->items[s->n++];
        *to = *w;
        to->name = keep(t, w->name);
        to->image = keep(t, w->image);
        to->program = keep(t, w->program);
        to->probe.path = keep(t, w->probe.path);
        copy_lists(t, w, to);
        copy_files(t, w, to);
    }
}

void slim_end(struct slim *s, struct workload_list *ret)
{
    free(s->texts.places);
    if (ret) {
        struct workload *items = mem_realloc(s->items, (s->n + 1) * sizeof(*items));
        *ret = (struct workload_list){.arena = s->texts.arena, .items = items, .n = s->n, .cap = s->n + 1};
    } else {
        arena_free(s->texts.arena);
        free(s->items);
    }
    free(s);
}

void slim_copy(const struct workload_list *from, struct workload_list *ret)
{
    struct slim *s = slim_new();
    slim_add(s, from);
    slim_end(s, ret);
}
