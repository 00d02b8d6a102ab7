/* Grows the lists of a workload. */
#include "blueprint/build.h"

/* Room for one more of `size` bytes behind n items: a new array whenever n is a power of two (or 0). */
static void *room(struct arena *a, void *items, size_t n, size_t size)
{
    if (n & (n - 1))
        return items;
    void *bigger = arena_alloc(a, (n ? 2 * n : 1) * size);
    if (n)
        memcpy(bigger, items, n * size);
    return bigger;
}

void build_label(struct arena *a, struct workload *w, const char *name, const char *value)
{
    w->labels = room(a, w->labels, w->n_labels, sizeof(*w->labels));
    w->labels[w->n_labels++] = (struct workload_env){arena_strdup(a, name), arena_strdup(a, value)};
}

void build_argument(struct arena *a, struct workload *w, const char *value)
{
    w->arguments = room(a, w->arguments, w->n_arguments, sizeof(*w->arguments));
    w->arguments[w->n_arguments++] = arena_strdup(a, value);
}

void build_port(struct arena *a, struct workload *w, const char *name, int port)
{
    w->ports = room(a, w->ports, w->n_ports, sizeof(*w->ports));
    w->ports[w->n_ports++] = (struct workload_port){arena_strdup(a, name), port};
}

void build_volume(struct arena *a, struct workload *w, const struct workload_volume *v)
{
    w->volumes = room(a, w->volumes, w->n_volumes, sizeof(*w->volumes));
    w->volumes[w->n_volumes] = *v;
    w->volumes[w->n_volumes].name = arena_strdup(a, v->name);
    w->volumes[w->n_volumes++].bucket = arena_strdup(a, v->bucket);
}

void build_file(struct arena *a, struct workload *w, const char *path, struct buf *content,
                enum workload_on_change on_change, bool secret)
{
    w->files = room(a, w->files, w->n_files, sizeof(*w->files));
    w->files[w->n_files++] = (struct workload_file){
        arena_strdup(a, path), arena_strndup(a, content->data ? content->data : "", content->len), on_change, secret};
    buf_free(content);
}
