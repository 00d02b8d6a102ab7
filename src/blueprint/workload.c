/* Workloads as data: growing lists, the JSON form both ways, and references in texts. */
#include "blueprint/workload.h"

#include "blueprint/names.h"

#include <signal.h>

#define MAX_ITEMS 1024
#define MAX_PATH 200
#define MAX_TEXT MIB(8)
#define PLACE_SIZE 128

static const char *const on_change_names[] = {"restart", "reload", "ignore"};

void workload_list_init(struct workload_list *l)
{
    *l = (struct workload_list){.arena = arena_new()};
}

void workload_list_free(struct workload_list *l)
{
    arena_free(l->arena);
    free(l->items);
    *l = (struct workload_list){0};
}

struct workload *workload_list_add(struct workload_list *l)
{
    if (l->n == l->cap) {
        l->cap = l->cap ? 2 * l->cap : 16;
        l->items = mem_realloc(l->items, l->cap * sizeof(*l->items));
    }
    struct workload *w = &l->items[l->n++];
    *w = (struct workload){.stop_signal = SIGTERM, .stop_grace_ms = WORKLOAD_STOP_GRACE_MS};
    return w;
}

const char *workload_label(const struct workload *w, const char *name)
{
    for (size_t i = 0; i < w->n_labels; i++)
        if (!strcmp(w->labels[i].name, name))
            return w->labels[i].value;
    return NULL;
}

bool workload_path_valid(const char *path)
{
    static const char plain[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789._-";
    if (strlen(path) > MAX_PATH)
        return false;
    for (;;) {
        size_t len = strcspn(path, "/");
        if (len == 0 || path[0] == '.' || strspn(path, plain) < len)
            return false;
        if (!path[len])
            return true;
        path += len + 1;
    }
}

/* ---- to JSON ---- */

struct writer {
    json_t *object;
    bool *failed; /* a text was not UTF-8 */
};

static void put(struct writer *o, const char *key, json_t *value)
{
    if (json_object_set_new(o->object, key, value) < 0)
        *o->failed = true;
}

static void put_text(struct writer *o, const char *key, const char *value)
{
    if (value)
        put(o, key, json_string(value));
}

static void put_int(struct writer *o, const char *key, int64_t value, int64_t fallback)
{
    if (value != fallback)
        put(o, key, json_integer(value));
}

static void put_true(struct writer *o, const char *key, bool value)
{
    if (value)
        put(o, key, json_true());
}

/* An array of n objects under `key`, each filled by `fill`; none when n is 0. */
static void put_objects(struct writer *o, const char *key, const void *items, size_t n, size_t size,
                        void (*fill)(struct writer *, const void *))
{
    if (!n)
        return;
    json_t *list = json_array();
    for (size_t i = 0; i < n; i++) {
        struct writer item = {json_object(), o->failed};
        fill(&item, (const char *)items + i * size);
        json_array_append_new(list, item.object);
    }
    put(o, key, list);
}

static void fill_env(struct writer *o, const void *item)
{
    const struct workload_env *e = item;
    put_text(o, "name", e->name);
    put_text(o, "value", e->value);
}

static void fill_file(struct writer *o, const void *item)
{
    const struct workload_file *f = item;
    put_text(o, "path", f->path);
    put_text(o, "content", f->content);
    if (f->on_change != WORKLOAD_RESTART)
        put_text(o, "onChange", on_change_names[f->on_change]);
    put_true(o, "secret", f->secret);
}

static void fill_volume(struct writer *o, const void *item)
{
    const struct workload_volume *v = item;
    put_text(o, "name", v->name);
    put_int(o, "bytes", v->bytes, 0);
    put_true(o, "keep", v->keep);
    put_text(o, "bucket", v->bucket);
}

static void fill_port(struct writer *o, const void *item)
{
    const struct workload_port *p = item;
    put_text(o, "name", p->name);
    put(o, "port", json_integer(p->port));
}

static void put_probe(struct writer *o, const struct workload_probe *p)
{
    if (!p->port)
        return;
    struct writer probe = {json_object(), o->failed};
    put(&probe, "port", json_integer(p->port));
    put_text(&probe, "path", p->path);
    put(&probe, "periodMs", json_integer(p->period_ms));
    put(&probe, "timeoutMs", json_integer(p->timeout_ms));
    put(&probe, "failures", json_integer(p->failures));
    put(&probe, "startupMs", json_integer(p->startup_ms));
    put(o, "probe", probe.object);
}

json_t *workload_to_json(const struct workload *w)
{
    bool failed = false;
    struct writer o = {json_object(), &failed};
    put_text(&o, "name", w->name);
    put_objects(&o, "labels", w->labels, w->n_labels, sizeof(*w->labels), fill_env);
    put_text(&o, "image", w->image);
    put_text(&o, "program", w->program);
    if (w->n_arguments) {
        json_t *list = json_array();
        for (size_t i = 0; i < w->n_arguments; i++)
            failed |= json_array_append_new(list, json_string(w->arguments[i])) < 0;
        put(&o, "arguments", list);
    }
    put_objects(&o, "environment", w->environment, w->n_environment, sizeof(*w->environment), fill_env);
    put_objects(&o, "files", w->files, w->n_files, sizeof(*w->files), fill_file);
    put_objects(&o, "volumes", w->volumes, w->n_volumes, sizeof(*w->volumes), fill_volume);
    put_objects(&o, "ports", w->ports, w->n_ports, sizeof(*w->ports), fill_port);
    put_probe(&o, &w->probe);
    put_int(&o, "memoryBytes", w->memory_bytes, 0);
    put_int(&o, "cpuMillis", w->cpu_millis, 0);
    put_int(&o, "openFiles", w->open_files, 0);
    put_int(&o, "reloadSignal", w->reload_signal, 0);
    put_int(&o, "stopSignal", w->stop_signal, SIGTERM);
    put_int(&o, "stopGraceMs", w->stop_grace_ms, WORKLOAD_STOP_GRACE_MS);
    put_int(&o, "order", w->order, 0);
    put_int(&o, "slot", w->slot, 0);
    put_true(&o, "stopped", w->stopped);
    if (failed)
        json_decref(o.object);
    return failed ? NULL : o.object;
}

/* ---- from JSON ---- */

struct reader {
    struct arena *arena;
    const char *place;
    const json_t *object;
    struct err *err;
    int r; /* the first error; later reads do nothing */
};

static void refuse(struct reader *o, const char *key, const char *rule)
{
    if (o->r == 0)
        o->r = err_set(o->err, -EINVAL, "%s%s%s: %s", o->place, *o->place ? "." : "", key, rule);
}

static const char *take_text(struct reader *o, const char *key, size_t max, bool required)
{
    const char *s = NULL;
    if (o->r == 0)
        o->r = required ? js_string(o->object, o->place, key, max, &s, o->err)
                        : js_string_opt(o->object, o->place, key, max, &s, o->err);
    return o->r == 0 ? arena_strdup(o->arena, s) : NULL;
}

static int64_t take_int(struct reader *o, const char *key, int64_t min, int64_t max, int64_t fallback)
{
    int64_t n = fallback;
    if (o->r == 0)
        o->r = js_int_opt(o->object, o->place, key, min, max, &n, o->err);
    return n;
}

static int take_needed_int(struct reader *o, const char *key, int64_t min, int64_t max)
{
    if (!json_object_get(o->object, key))
        refuse(o, key, "is required");
    return (int)take_int(o, key, min, max, min);
}

static bool take_bool(struct reader *o, const char *key)
{
    bool b = false;
    if (o->r == 0)
        o->r = js_bool_opt(o->object, o->place, key, &b, o->err);
    return b;
}

static void only(struct reader *o, const char *const *known)
{
    if (o->r == 0 && !json_is_object(o->object))
        refuse(o, "", "must be an object");
    if (o->r == 0)
        o->r = js_only(o->object, o->place, known, o->err);
}

/* Reads the array under `key` (absent: none) into arena memory, each item by `take`. */
static void *take_objects(struct reader *o, const char *key, size_t size, size_t *ret_n,
                          void (*take)(struct reader *, void *))
{
    json_t *list = NULL;
    *ret_n = 0;
    if (o->r < 0 || !json_object_get(o->object, key))
        return NULL;
    if ((o->r = js_array(o->object, o->place, key, MAX_ITEMS, &list, o->err)) < 0)
        return NULL;
    size_t n = json_array_size(list);
    char *items = n ? arena_alloc(o->arena, n * size) : NULL;
    for (size_t i = 0; i < n && o->r == 0; i++) {
        char place[PLACE_SIZE];
        snprintf(place, sizeof(place), "%s[%zu]", key, i);
        struct reader item = {o->arena, place, json_array_get(list, i), o->err, 0};
        take(&item, items + i * size);
        o->r = item.r;
        *ret_n = i + 1;
    }
    return items;
}

static void take_env(struct reader *o, void *item)
{
    struct workload_env *e = item;
    only(o, (const char *const[]){"name", "value", NULL});
    e->name = take_text(o, "name", 128, true);
    e->value = take_text(o, "value", KIB(64), true);
    if (o->r == 0 && (!*e->name || strchr(e->name, '=')))
        refuse(o, "name", "must not be empty or hold '='");
}

static void take_file(struct reader *o, void *item)
{
    struct workload_file *f = item;
    only(o, (const char *const[]){"path", "content", "onChange", "secret", NULL});
    f->path = take_text(o, "path", MAX_PATH, true);
    f->content = take_text(o, "content", MAX_TEXT, true);
    f->secret = take_bool(o, "secret");
    const char *on_change = take_text(o, "onChange", 16, false);
    if (o->r == 0 && !workload_path_valid(f->path))
        refuse(o, "path", "must be relative, of plain names without '.' in front");
    if (o->r < 0 || !on_change)
        return;
    for (size_t i = 0; i < ARRAY_SIZE(on_change_names); i++)
        if (!strcmp(on_change, on_change_names[i])) {
            f->on_change = (enum workload_on_change)i;
            return;
        }
    refuse(o, "onChange", "must be restart, reload or ignore");
}

static void take_volume(struct reader *o, void *item)
{
    struct workload_volume *v = item;
    only(o, (const char *const[]){"name", "bytes", "keep", "bucket", NULL});
    v->name = take_text(o, "name", WORKLOAD_NAME_MAX, true);
    v->bytes = take_int(o, "bytes", 0, INT64_C(1) << 52, 0);
    v->keep = take_bool(o, "keep");
    v->bucket = take_text(o, "bucket", MAX_PATH, false);
    if (o->r == 0 && !names_label_valid(v->name))
        refuse(o, "name", "must be a DNS label");
}

static void take_port(struct reader *o, void *item)
{
    struct workload_port *p = item;
    only(o, (const char *const[]){"name", "port", NULL});
    p->name = take_text(o, "name", WORKLOAD_NAME_MAX, true);
    p->port = take_needed_int(o, "port", 1, 65535);
}

static const char *take_argument(struct reader *o, const json_t *v)
{
    if (!json_is_string(v) || json_string_length(v) > KIB(64)) {
        refuse(o, "arguments", "must be strings of at most 64 KiB");
        return NULL;
    }
    return arena_strdup(o->arena, json_string_value(v));
}

static void take_arguments(struct reader *o, struct workload *w)
{
    json_t *list = NULL;
    if (o->r < 0 || !json_object_get(o->object, "arguments"))
        return;
    if ((o->r = js_array(o->object, o->place, "arguments", MAX_ITEMS, &list, o->err)) < 0)
        return;
    w->n_arguments = json_array_size(list);
    w->arguments = arena_alloc(o->arena, (w->n_arguments + 1) * sizeof(*w->arguments));
    for (size_t i = 0; i < w->n_arguments; i++)
        w->arguments[i] = take_argument(o, json_array_get(list, i));
}

static void take_probe(struct reader *o, struct workload_probe *p)
{
    json_t *v = NULL;
    if (o->r < 0 || !json_object_get(o->object, "probe"))
        return;
    if ((o->r = js_object(o->object, o->place, "probe", &v, o->err)) < 0)
        return;
    struct reader probe = {o->arena, "probe", v, o->err, 0};
    only(&probe, (const char *const[]){"port", "path", "periodMs", "timeoutMs", "failures", "startupMs", NULL});
    p->port = take_needed_int(&probe, "port", 1, 65535);
    p->path = take_text(&probe, "path", 1024, false);
    p->period_ms = take_needed_int(&probe, "periodMs", 1, 86400000);
    p->timeout_ms = take_needed_int(&probe, "timeoutMs", 1, 86400000);
    p->failures = take_needed_int(&probe, "failures", 1, 1000);
    p->startup_ms = take_needed_int(&probe, "startupMs", 0, 86400000);
    o->r = probe.r;
}

static void take_scalars(struct reader *o, struct workload *w)
{
    w->name = take_text(o, "name", WORKLOAD_NAME_MAX, true);
    w->image = take_text(o, "image", 1024, false);
    w->program = take_text(o, "program", WORKLOAD_NAME_MAX, false);
    w->memory_bytes = take_int(o, "memoryBytes", 0, INT64_C(1) << 52, 0);
    w->cpu_millis = (int)take_int(o, "cpuMillis", 0, 10000000, 0);
    w->open_files = (int)take_int(o, "openFiles", 0, 100000000, 0);
    w->reload_signal = (int)take_int(o, "reloadSignal", 0, 64, 0);
    w->stop_signal = (int)take_int(o, "stopSignal", 1, 64, SIGTERM);
    w->stop_grace_ms = (int)take_int(o, "stopGraceMs", 0, 86400000, WORKLOAD_STOP_GRACE_MS);
    w->order = (int)take_int(o, "order", -1000000, 1000000, 0);
    w->slot = (int)take_int(o, "slot", 0, 65534, 0);
    w->stopped = take_bool(o, "stopped");
    if (o->r == 0 && !names_label_valid(w->name))
        refuse(o, "name", "must be a DNS label");
    if (o->r == 0 && w->program && !names_label_valid(w->program))
        refuse(o, "program", "must be a plain name, never a path");
}

static void refuse_same_paths(struct reader *o, const struct workload *w)
{
    for (size_t i = 0; i < w->n_files; i++)
        for (size_t k = 0; k < i; k++)
            if (o->r == 0 && !strcmp(w->files[i].path, w->files[k].path))
                refuse(o, "files", "must have different paths");
}

int workload_from_json(const json_t *v, struct arena *arena, struct workload *ret, struct err *err)
{
    static const char *const known[] = {"name",         "labels",     "image",       "program", "arguments",
                                        "environment",  "files",      "volumes",     "ports",   "probe",
                                        "memoryBytes",  "cpuMillis",  "openFiles",   "order",   "slot",
                                        "reloadSignal", "stopSignal", "stopGraceMs", "stopped", NULL};
    struct reader o = {arena, "", v, err, 0};
    struct workload w = {0};
    only(&o, known);
    take_scalars(&o, &w);
    w.labels = take_objects(&o, "labels", sizeof(*w.labels), &w.n_labels, take_env);
    w.environment = take_objects(&o, "environment", sizeof(*w.environment), &w.n_environment, take_env);
    w.files = take_objects(&o, "files", sizeof(*w.files), &w.n_files, take_file);
    w.volumes = take_objects(&o, "volumes", sizeof(*w.volumes), &w.n_volumes, take_volume);
    w.ports = take_objects(&o, "ports", sizeof(*w.ports), &w.n_ports, take_port);
    take_arguments(&o, &w);
    take_probe(&o, &w.probe);
    refuse_same_paths(&o, &w);
    if (o.r == 0)
        *ret = w;
    return o.r;
}

/* ---- references ---- */

static int expand_one(const char *name, size_t len, workload_lookup lookup, void *data, struct buf *out,
                      struct err *err)
{
    char inside[256];
    if (len == 0 || len >= sizeof(inside))
        return err_set(err, -EINVAL, "a reference ${...} must name 1 to 255 bytes");
    memcpy(inside, name, len);
    inside[len] = '\0';
    const char *value = lookup(inside, data);
    if (!value)
        return err_set(err, -EINVAL, "${%s} is not known here", inside);
    buf_adds(out, value);
    return 0;
}

int workload_expand(const char *text, workload_lookup lookup, void *data, struct buf *out, struct err *err)
{
    while (*text) {
        size_t plain = strcspn(text, "$");
        buf_add(out, text, plain);
        text += plain;
        if (!strncmp(text, "$${", 3)) {
            buf_adds(out, "${");
            text += 3;
        } else if (!strncmp(text, "${", 2)) {
            const char *end = strchr(text, '}');
            if (!end)
                return err_set(err, -EINVAL, "a reference ${... has no closing brace");
            int r = expand_one(text + 2, (size_t)(end - text - 2), lookup, data, out, err);
            if (r < 0)
                return r;
            text = end + 1;
        } else if (*text) {
            buf_addc(out, *text++);
        }
    }
    return 0;
}

void workload_escape(const char *text, struct buf *out)
{
    for (; *text; text++) {
        if (text[0] == '$' && text[1] == '{')
            buf_addc(out, '$');
        buf_addc(out, *text);
    }
}
