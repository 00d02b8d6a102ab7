/* The process runtime: turns workloads into placements, and statuses back. */
#include "runtime/process/process.h"

#include "base/fs.h"
#include "blueprint/placement.h"

#include <arpa/inet.h>
#include <sys/inotify.h>

/* A workload that could not be placed because its program is missing. */
struct problem {
    char name[WORKLOAD_NAME_MAX + 1];
    char text[256];
};

struct process_runtime {
    struct runtime base;
    struct arena *arena; /* the configuration's texts */
    struct runtime_process_config c;
    uint32_t first_address;
    int change_fd;
    struct problem *problems;
    size_t n_problems;
};

static struct process_runtime *self(struct runtime *rt)
{
    return CONTAINER_OF(rt, struct process_runtime, base);
}

/* ---- problems ---- */

static void set_problem(struct process_runtime *p, const char *name, const char *text)
{
    size_t i = 0;
    while (i < p->n_problems && strcmp(p->problems[i].name, name))
        i++;
    if (!text) {
        if (i < p->n_problems)
            p->problems[i] = p->problems[--p->n_problems];
        return;
    }
    if (i == p->n_problems) {
        p->problems = mem_realloc(p->problems, ++p->n_problems * sizeof(*p->problems));
        snprintf(p->problems[i].name, sizeof(p->problems[i].name), "%s", name);
    }
    snprintf(p->problems[i].text, sizeof(p->problems[i].text), "%s", text);
}

static const char *problem_of(const struct process_runtime *p, const char *name)
{
    for (size_t i = 0; i < p->n_problems; i++)
        if (!strcmp(p->problems[i].name, name))
            return p->problems[i].text;
    return NULL;
}

/* ---- programs ---- */

static bool executable(const char *path)
{
    return fs_exists(path) && access(path, X_OK) == 0;
}

static const char *search(const char *file, struct arena *a)
{
    static const char *const folders[] = {"/usr/local/sbin", "/usr/local/bin", "/usr/sbin",
                                          "/usr/bin",        "/sbin",          "/bin"};
    for (size_t i = 0; i < ARRAY_SIZE(folders); i++) {
        const char *path = arena_printf(a, "%s/%s", folders[i], file);
        if (executable(path))
            return path;
    }
    return NULL;
}

/* The absolute path of a workload's program; NULL with a sentence in `why` if there is none. */
static const char *find_program(const struct process_runtime *p, const struct workload *w, struct arena *a,
                                char why[256])
{
    for (size_t i = 0; i < p->c.n_programs; i++) {
        const struct runtime_program *t = &p->c.programs[i];
        if (!w->program || strcmp(t->name, w->program))
            continue;
        bool given = t->path && *t->path;
        const char *path = given ? (executable(t->path) ? t->path : NULL) : search(t->file ? t->file : t->name, a);
        if (!path && given)
            snprintf(why, 256, "the program %s is not at %s: %s", t->name, t->path, t->package);
        else if (!path)
            snprintf(why, 256, "the program %s is not installed: %s", t->name, t->package);
        return path;
    }
    snprintf(why, 256, "the program %s is not one that this agent can run", w->program ? w->program : "(none)");
    return NULL;
}

/* ---- references ---- */

struct lookup {
    const struct process_runtime *p;
    const struct workload *w;
    const struct workload_list *all;
    const char **folders; /* of bucket volumes */
    struct arena *arena;
};

static const char *address_of(const struct process_runtime *p, const struct workload *w, struct arena *a)
{
    char text[INET_ADDRSTRLEN];
    struct in_addr in = {.s_addr = htonl(p->first_address + (uint32_t)w->slot)};
    return w->slot ? arena_strdup(a, inet_ntop(AF_INET, &in, text, sizeof(text))) : "127.0.0.1";
}

static const char *look_up_volume(struct lookup *l, const char *name)
{
    for (size_t i = 0; i < l->w->n_volumes; i++) {
        if (strcmp(l->w->volumes[i].name, name))
            continue;
        if (l->folders && l->folders[i])
            return l->folders[i];
        return arena_printf(l->arena, "%s/jobs/%s/volumes/%s", l->p->c.dir, l->w->name, name);
    }
    return NULL;
}

static const char *look_up(const char *name, void *data)
{
    struct lookup *l = data;
    static const char *const parts[] = {"files", "run", "logs"};
    for (size_t i = 0; i < ARRAY_SIZE(parts); i++)
        if (!strcmp(name, parts[i]))
            return arena_printf(l->arena, "%s/jobs/%s/%s", l->p->c.dir, l->w->name, parts[i]);
    if (!strcmp(name, "address"))
        return address_of(l->p, l->w, l->arena);
    if (!strncmp(name, "volume:", 7))
        return look_up_volume(l, name + 7);
    const char *other = !strncmp(name, "address:", 8) ? name + 8 : !strncmp(name, "ready:", 6) ? name + 6 : NULL;
    if (other)
        for (size_t i = 0; l->all && i < l->all->n; i++)
            if (!strcmp(l->all->items[i].name, other))
                return address_of(l->p, &l->all->items[i], l->arena);
    if (!strncmp(name, "param:", 6))
        for (size_t i = 0; i < l->p->c.n_params; i++)
            if (!strcmp(l->p->c.params[i].name, name + 6))
                return l->p->c.params[i].value;
    return NULL;
}

static int expand(struct lookup *l, const char **text, const char *what, struct err *err)
{
    autobuf struct buf out = BUF_INIT_MAX(WORKLOAD_MAX_BYTES);
    int r = workload_expand(*text, look_up, l, &out, err);
    if (r == 0 && out.overflow)
        r = err_set(err, -EMSGSIZE, "is over the limit of %zu bytes when references are filled in",
                    (size_t)WORKLOAD_MAX_BYTES);
    if (r < 0)
        return err_wrap(err, r, "workload %s, %s", l->w->name, what);
    *text = arena_strndup(l->arena, out.data ? out.data : "", out.len);
    return 0;
}

static int expand_all(struct lookup *l, struct workload *w, struct err *err)
{
    struct arena *a = l->arena;
    int r = 0;
    const char **arguments = arena_alloc(a, (w->n_arguments + 1) * sizeof(*arguments));
    struct workload_env *environment = arena_alloc(a, (w->n_environment + 1) * sizeof(*environment));
    struct workload_file *files = arena_alloc(a, (w->n_files + 1) * sizeof(*files));
    for (size_t i = 0; r == 0 && i < w->n_arguments; i++) {
        arguments[i] = w->arguments[i];
        r = expand(l, &arguments[i], "arguments", err);
    }
    for (size_t i = 0; r == 0 && i < w->n_environment; i++) {
        environment[i] = w->environment[i];
        r = expand(l, &environment[i].value, environment[i].name, err);
    }
    for (size_t i = 0; r == 0 && i < w->n_files; i++) {
        files[i] = w->files[i];
        r = expand(l, &files[i].content, files[i].path, err);
    }
    w->arguments = arguments;
    w->environment = environment;
    w->files = files;
    return r;
}

static int place_buckets(const struct process_runtime *p, const struct workload *w, struct arena *a, const char ***ret,
                         struct err *err)
{
    const char **folders = arena_alloc(a, (w->n_volumes + 1) * sizeof(*folders));
    *ret = NULL;
    for (size_t i = 0; i < w->n_volumes; i++) {
        const struct workload_volume *v = &w->volumes[i];
        if (!v->bucket || !p->c.bucket_dir || !*p->c.bucket_dir)
            continue;
        if (!workload_path_valid(v->bucket))
            return err_set(err, -EINVAL, "workload %s: the bucket of volume %s must be a plain relative path", w->name,
                           v->name);
        folders[i] = arena_printf(a, "%s/%s/%s/%s", p->c.bucket_dir, v->bucket, w->name, v->name);
        *ret = folders;
    }
    return 0;
}

/* ---- operations ---- */

static int apply(struct runtime *rt, const struct workload *w, const struct workload_list *all, struct err *err)
{
    struct process_runtime *p = self(rt);
    autoarena struct arena *a = arena_new();
    struct placement placement = {.workload = *w,
                                  .infrastructure = p->c.infrastructure,
                                  .netns = p->c.netns,
                                  .address = address_of(p, w, a),
                                  .log_bytes = p->c.log_bytes,
                                  .log_files = p->c.log_files};
    char why[256] = "";
    int r = runtime_digest(w, placement.digest, err);
    if (r < 0 || (r = place_buckets(p, w, a, &placement.folders, err)) < 0)
        return r;
    struct lookup l = {p, w, all, placement.folders, a};
    if ((r = expand_all(&l, &placement.workload, err)) < 0)
        return r;
    placement.executable = find_program(p, w, a, why);
    /* A stopped workload needs no program. */
    if (!placement.executable && w->stopped)
        placement.executable = "/nonexistent";
    set_problem(p, w->name, placement.executable ? NULL : why);
    return placement.executable ? placement_write(p->c.dir, &placement, err) : 0;
}

static int remove_workload(struct runtime *rt, const char *name, bool delete_data, struct err *err)
{
    struct process_runtime *p = self(rt);
    set_problem(p, name, NULL);
    return placement_remove(p->c.dir, name, delete_data, err);
}

static void status_from_have(struct runtime_status *s, const struct placement_status *have, struct arena *a)
{
    s->state = (enum runtime_state)have->state;
    memcpy(s->digest, have->digest, sizeof(s->digest));
    s->error = arena_strdup(a, have->error);
    s->address = arena_strdup(a, have->address);
    s->restarts = have->restarts;
    s->since_ms = have->since_ms;
    s->labels = have->labels;
    s->n_labels = have->n_labels;
}

static void observe_one(struct process_runtime *p, struct arena *a, const char *name, struct runtime_status *s)
{
    struct placement_status have;
    struct placement want;
    const char *problem = problem_of(p, name);
    *s = (struct runtime_status){.name = arena_strdup(a, name), .error = "", .address = ""};
    if (placement_status_read(p->c.dir, name, a, &have, NULL) == 0) {
        status_from_have(s, &have, a);
    } else if (placement_read(p->c.dir, name, a, &want, NULL) == 0) {
        /* Not looked at by the supervisor yet. */
        s->state = want.remove ? RUNTIME_STOPPING : RUNTIME_STARTING;
        s->address = want.address;
        s->labels = want.workload.labels;
        s->n_labels = want.workload.n_labels;
    }
    if (problem) {
        s->error = arena_strdup(a, problem);
        if (s->state != RUNTIME_RUNNING && s->state != RUNTIME_UNREADY)
            s->state = RUNTIME_FAILED;
    }
}

static bool among(const char *const *names, size_t n, const char *name)
{
    for (size_t low = 0, high = n; low < high;) {
        size_t middle = (low + high) / 2;
        int order = strcmp(names[middle], name);
        if (order == 0)
            return true;
        if (order < 0)
            low = middle + 1;
        else
            high = middle;
    }
    return false;
}

static int observe(struct runtime *rt, struct runtime_status_list *ret, struct err *err)
{
    struct process_runtime *p = self(rt);
    autoarena struct arena *a = arena_new();
    const char **have, **want;
    size_t n_have, n_want, n = 0;
    int r;
    /* want/ first: a workload that is removed in between is then seen in neither, never in want/ alone. */
    if ((r = placement_names(p->c.dir, "want", a, &want, &n_want, err)) < 0 ||
        (r = placement_names(p->c.dir, "have", a, &have, &n_have, err)) < 0)
        return r;
    struct runtime_status *items = arena_alloc(a, (n_have + n_want + p->n_problems + 1) * sizeof(*items));
    for (size_t i = 0; i < n_have; i++)
        observe_one(p, a, have[i], &items[n++]);
    for (size_t i = 0; i < n_want; i++)
        if (!among(have, n_have, want[i]))
            observe_one(p, a, want[i], &items[n++]);
    for (size_t i = 0; i < p->n_problems; i++)
        if (!among(have, n_have, p->problems[i].name) && !among(want, n_want, p->problems[i].name))
            observe_one(p, a, p->problems[i].name, &items[n++]);
    *ret = (struct runtime_status_list){TAKE_PTR(a), items, n};
    return 0;
}

static int change_fd(struct runtime *rt)
{
    return self(rt)->change_fd;
}

static void change_clear(struct runtime *rt)
{
    char chunk[4096] __attribute__((aligned(__alignof__(struct inotify_event))));
    while (read(self(rt)->change_fd, chunk, sizeof(chunk)) > 0)
        ;
}

static void free_runtime(struct runtime *rt)
{
    struct process_runtime *p = self(rt);
    if (p->change_fd >= 0)
        close(p->change_fd);
    arena_free(p->arena);
    free(p->problems);
    free(p);
}

static const struct runtime_ops ops = {apply, remove_workload, observe, change_fd, change_clear, free_runtime};

/* ---- beginning ---- */

static void copy_config(struct process_runtime *p, const struct runtime_process_config *c)
{
    struct arena *a = p->arena;
    struct runtime_program *programs = arena_alloc(a, (c->n_programs + 1) * sizeof(*programs));
    struct workload_env *params = arena_alloc(a, (c->n_params + 1) * sizeof(*params));
    for (size_t i = 0; i < c->n_programs; i++) {
        const struct runtime_program *t = &c->programs[i];
        programs[i] = (struct runtime_program){arena_strdup(a, t->name), arena_strdup(a, t->path),
                                               arena_strdup(a, t->file), arena_strdup(a, t->package)};
    }
    for (size_t i = 0; i < c->n_params; i++)
        params[i] = (struct workload_env){arena_strdup(a, c->params[i].name), arena_strdup(a, c->params[i].value)};
    p->c = *c;
    p->c.dir = arena_strdup(a, c->dir);
    p->c.infrastructure = arena_strdup(a, c->infrastructure);
    p->c.netns = arena_strdup(a, c->netns);
    p->c.bucket_dir = arena_strdup(a, c->bucket_dir);
    p->c.loopback_base = NULL;
    p->c.programs = programs;
    p->c.params = params;
}

static int watch_have(struct process_runtime *p, struct err *err)
{
    autofree char *path = mem_printf("%s/have", p->c.dir);
    p->change_fd = inotify_init1(IN_NONBLOCK | IN_CLOEXEC);
    if (p->change_fd < 0 || inotify_add_watch(p->change_fd, path, IN_MOVED_TO | IN_DELETE) < 0)
        return err_set_errno(err, -errno, "cannot watch %s", path);
    return 0;
}

int runtime_process_new(const struct runtime_process_config *config, struct runtime **ret, struct err *err)
{
    struct in_addr base;
    if (inet_pton(AF_INET, config->loopback_base, &base) != 1 || (ntohl(base.s_addr) & 0xff00ffff) != 0x7f000000)
        return err_set(err, -EINVAL, "loopback_base: must be 127.X.0.0, not \"%.40s\"", config->loopback_base);
    int r = placement_prepare(config->dir, err);
    if (r < 0)
        return r;
    struct process_runtime *p = mem_alloc(sizeof(*p));
    p->base.ops = &ops;
    p->arena = arena_new();
    p->change_fd = -1;
    p->first_address = ntohl(base.s_addr);
    copy_config(p, config);
    if ((r = watch_have(p, err)) < 0) {
        free_runtime(&p->base);
        return r;
    }
    *ret = &p->base;
    return 0;
}
