/* Compares two descriptions of a workload and names what differs. */
#include "agent/operator/why.h"

#include "agent/operator/restarts.h"

#define PARTS_MAX 24

struct parts {
    const char *items[PARTS_MAX];
    size_t n;
};

static void add(struct parts *p, bool differs, const char *what)
{
    if (differs && p->n < PARTS_MAX)
        p->items[p->n++] = what;
}

static bool text_differs(const char *a, const char *b)
{
    return strcmp(a ? a : "", b ? b : "") != 0;
}

static const struct workload_file *file_of(const struct workload *w, const char *path)
{
    for (size_t i = 0; i < w->n_files; i++)
        if (!strcmp(w->files[i].path, path))
            return &w->files[i];
    return NULL;
}

/* Files that are new or other in `is`, and those that only `was` has. */
static void add_files(struct parts *p, const struct workload *was, const struct workload *is, bool restart)
{
    for (size_t i = 0; i < is->n_files; i++) {
        const struct workload_file *f = &is->files[i], *old = file_of(was, f->path);
        bool stops = f->on_change == WORKLOAD_RESTART || !old || old->on_change == WORKLOAD_RESTART;
        add(p, stops == restart && (!old || strcmp(old->content, f->content) || old->on_change != f->on_change),
            f->path);
    }
    for (size_t i = 0; i < was->n_files && restart; i++)
        add(p, !file_of(is, was->files[i].path), was->files[i].path);
}

static bool pairs_differ(const struct workload_env *a, size_t n, const struct workload_env *b, size_t m)
{
    for (size_t i = 0; n == m && i < n; i++)
        if (strcmp(a[i].name, b[i].name) || strcmp(a[i].value, b[i].value))
            return true;
    return n != m;
}

static const char *value_of(const struct workload *w, const char *name)
{
    for (size_t i = 0; i < w->n_environment; i++)
        if (!strcmp(w->environment[i].name, name))
            return w->environment[i].value;
    return "";
}

static bool arguments_differ(const struct workload *a, const struct workload *b)
{
    for (size_t i = 0; a->n_arguments == b->n_arguments && i < a->n_arguments; i++)
        if (strcmp(a->arguments[i], b->arguments[i]))
            return true;
    return a->n_arguments != b->n_arguments;
}

static bool ports_differ(const struct workload *a, const struct workload *b)
{
    for (size_t i = 0; a->n_ports == b->n_ports && i < a->n_ports; i++)
        if (strcmp(a->ports[i].name, b->ports[i].name) || a->ports[i].port != b->ports[i].port)
            return true;
    return a->n_ports != b->n_ports;
}

static void add_parts(struct parts *p, const struct workload *was, const struct workload *is)
{
    add(p, text_differs(was->image, is->image), "image");
    add(p, was->memory_bytes != is->memory_bytes, "memory");
    add(p, was->cpu_millis != is->cpu_millis, "processors");
    add(p, text_differs(was->program, is->program) || arguments_differ(was, is), "command line");
    add(p, pairs_differ(was->environment, was->n_environment, is->environment, is->n_environment), "environment");
    add(p, ports_differ(was, is), "ports");
    add_files(p, was, is, true);
}

static void say(const struct parts *p, struct buf *out)
{
    for (size_t i = 0; i < p->n; i++)
        buf_printf(out, "%s%s", i == 0 ? "its " : i + 1 == p->n ? " and " : ", ", p->items[i]);
}

bool why_changed(const struct workload *was, const struct workload *is, struct buf *out)
{
    struct parts stops = {0}, live = {0};
    if (!was) {
        buf_adds(out, "it is not as it should be");
        return true;
    }
    if (was->stopped != is->stopped) {
        buf_adds(out, is->stopped ? "the service is stopped" : "the service is started");
        return is->stopped;
    }
    if (strcmp(value_of(was, RESTARTS_VARIABLE), value_of(is, RESTARTS_VARIABLE))) {
        buf_adds(out, "a restart was asked for");
        return true;
    }
    add_parts(&stops, was, is);
    if (stops.n) {
        say(&stops, out);
        buf_adds(out, stops.n > 1 ? " change" : " changes");
        return true;
    }
    add_files(&live, was, is, false);
    if (!live.n) {
        buf_adds(out, "its settings change");
        return true;
    }
    say(&live, out);
    buf_adds(out, live.n > 1 ? " change while it runs" : " changes while it runs");
    return false;
}
