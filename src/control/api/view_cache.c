/* A hash table of texts, by key. */
#include "control/api/view_cache.h"

#include "base/mem.h"

#include <pthread.h>

#define SLOTS 4096

struct entry {
    struct entry *next;
    char *data; /* key with its NUL, inputs, text */
    size_t key_size, inputs_len, len;
};

struct view_cache {
    pthread_mutex_t lock;
    size_t max_bytes, bytes;
    struct entry *slots[SLOTS];
};

struct view_cache *view_cache_new(size_t max_bytes)
{
    struct view_cache *c = mem_alloc(sizeof(*c));
    pthread_mutex_init(&c->lock, NULL);
    c->max_bytes = max_bytes;
    return c;
}

static size_t size_of(const struct entry *e)
{
    return sizeof(*e) + e->key_size + e->inputs_len + e->len;
}

static void drop(struct view_cache *c, struct entry **at)
{
    struct entry *e = *at;
    *at = e->next;
    c->bytes -= size_of(e);
    free(e->data);
    free(e);
}

static void clear(struct view_cache *c)
{
    for (size_t i = 0; i < SLOTS; i++)
        while (c->slots[i])
            drop(c, &c->slots[i]);
}

void view_cache_free(struct view_cache *c)
{
    if (!c)
        return;
    clear(c);
    pthread_mutex_destroy(&c->lock);
    free(c);
}

/* FNV-1a: keys are our own random identifiers. */
static struct entry **find(struct view_cache *c, const char *key)
{
    uint32_t hash = 2166136261u;
    for (const char *p = key; *p; p++)
        hash = (hash ^ (unsigned char)*p) * 16777619u;
    struct entry **at = &c->slots[hash % SLOTS];
    while (*at && strcmp((*at)->data, key))
        at = &(*at)->next;
    return at;
}

bool view_cache_get(struct view_cache *c, const char *key, const char *inputs, size_t inputs_len, struct buf *out)
{
    if (!c)
        return false;
    pthread_mutex_lock(&c->lock);
    const struct entry *e = *find(c, key);
    bool same = e && e->inputs_len == inputs_len && !memcmp(e->data + e->key_size, inputs, inputs_len);
    if (same)
        buf_add(out, e->data + e->key_size + e->inputs_len, e->len);
    pthread_mutex_unlock(&c->lock);
    return same;
}

void view_cache_put(struct view_cache *c, const char *key, const char *inputs, size_t inputs_len, const char *text,
                    size_t len)
{
    if (!c)
        return;
    struct entry *e = mem_alloc(sizeof(*e));
    *e = (struct entry){.key_size = strlen(key) + 1, .inputs_len = inputs_len, .len = len};
    if (size_of(e) > c->max_bytes) {
        free(e);
        return;
    }
    e->data = mem_alloc(e->key_size + inputs_len + len);
    memcpy(e->data, key, e->key_size);
    memcpy(e->data + e->key_size, inputs, inputs_len);
    memcpy(e->data + e->key_size + inputs_len, text, len);
    pthread_mutex_lock(&c->lock);
    struct entry **at = find(c, key);
    if (*at)
        drop(c, at);
    if (c->bytes + size_of(e) > c->max_bytes)
        clear(c);
    at = find(c, key);
    e->next = *at;
    *at = e;
    c->bytes += size_of(e);
    pthread_mutex_unlock(&c->lock);
}
