/* A hash table of connected agents. */
#include "control/link/registry.h"

#include "base/mem.h"

#define FIRST_SIZE 64

/* Identifiers are ours and random, so a plain FNV-1a spreads them; nobody outside chooses them. */
static size_t bucket_of(const struct registry *r, const char *agent)
{
    uint64_t h = 14695981039346656037u;
    for (; *agent; agent++)
        h = (h ^ (unsigned char)*agent) * 1099511628211u;
    return (size_t)(h ^ h >> 32) & (r->size - 1);
}

void registry_free(struct registry *r)
{
    free(r->buckets);
    *r = (struct registry){0};
}

struct registry_entry *registry_find(const struct registry *r, const char *agent)
{
    if (r->size == 0)
        return NULL;
    struct registry_entry *e = r->buckets[bucket_of(r, agent)];
    while (e && strcmp(e->agent, agent))
        e = e->next;
    return e;
}

static void insert(struct registry *r, struct registry_entry *e)
{
    struct registry_entry **at = &r->buckets[bucket_of(r, e->agent)];
    e->next = *at;
    *at = e;
}

static void grow(struct registry *r)
{
    struct registry old = *r;
    r->size = old.size ? 2 * old.size : FIRST_SIZE;
    r->buckets = mem_alloc(r->size * sizeof(struct registry_entry *));
    for (size_t i = 0; i < old.size; i++)
        for (struct registry_entry *e = old.buckets[i], *next; e; e = next) {
            next = e->next;
            insert(r, e);
        }
    free(old.buckets);
}

void registry_add(struct registry *r, struct registry_entry *e)
{
    if (r->count >= r->size)
        grow(r);
    insert(r, e);
    r->count++;
}

void registry_remove(struct registry *r, struct registry_entry *e)
{
    if (r->size == 0)
        return;
    for (struct registry_entry **at = &r->buckets[bucket_of(r, e->agent)]; *at; at = &(*at)->next)
        if (*at == e) {
            *at = e->next;
            r->count--;
            return;
        }
}

void registry_each(struct registry *r, void (*fn)(struct registry_entry *e, void *user), void *user)
{
    for (size_t i = 0; i < r->size; i++)
        for (struct registry_entry *e = r->buckets[i], *next; e; e = next) {
            next = e->next;
            fn(e, user);
        }
}
