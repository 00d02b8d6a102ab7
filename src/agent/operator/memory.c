/* Keeps the records of the operator's rules, sorted by name. */
#include "agent/operator/memory.h"

#include "agent/operator/reconcile.h"

struct reconcile_memory *reconcile_memory_new(void)
{
    return mem_alloc(sizeof(struct reconcile_memory));
}

static void record_free(struct record *r)
{
    free(r->name);
    free(r);
}

void reconcile_memory_free(struct reconcile_memory *m)
{
    if (!m)
        return;
    for (size_t i = 0; i < m->n; i++)
        record_free(m->items[i]);
    free(m->items);
    free(m);
}

/* First place whose name is not below `name`. */
static size_t place_of(const struct reconcile_memory *m, const char *name)
{
    size_t low = 0, high = m->n;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (strcmp(m->items[middle]->name, name) < 0)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

struct record *memory_record(struct reconcile_memory *m, const char *name)
{
    size_t at = place_of(m, name);
    if (at == m->n || strcmp(m->items[at]->name, name)) {
        if (m->n == m->cap)
            m->items = mem_realloc(m->items, (m->cap = m->cap ? 2 * m->cap : 16) * sizeof(struct record *));
        memmove(m->items + at + 1, m->items + at, (m->n - at) * sizeof(struct record *));
        m->items[at] = mem_alloc(sizeof(struct record));
        *m->items[at] = (struct record){.name = mem_strdup(name),
                                        .held_since_ms = -1,
                                        .behind_since_ms = -1,
                                        .leaving_since_ms = -1,
                                        .mute_since_ms = -1,
                                        .asked_ms = -1};
        m->n++;
    }
    m->items[at]->seen = true;
    return m->items[at];
}

void memory_begin(struct reconcile_memory *m)
{
    for (size_t i = 0; i < m->n; i++)
        m->items[i]->seen = false;
}

void memory_end(struct reconcile_memory *m)
{
    size_t kept = 0;
    for (size_t i = 0; i < m->n; i++) {
        if (m->items[i]->seen)
            m->items[kept++] = m->items[i];
        else
            record_free(m->items[i]);
    }
    m->n = kept;
}
