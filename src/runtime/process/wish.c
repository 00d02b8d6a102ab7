/* What a unit's want/ file asks. */
#include "runtime/process/engine.h"

void wish_clear(struct wish *w)
{
    arena_free(w->arena);
    *w = (struct wish){0};
}

static bool same_file(const struct stat *a, const struct stat *b)
{
    return a->st_ino == b->st_ino && a->st_size == b->st_size && a->st_mtim.tv_sec == b->st_mtim.tv_sec &&
           a->st_mtim.tv_nsec == b->st_mtim.tv_nsec;
}

/* Copies what a unit needs at all times; the rest (files above all) is read again when it is needed. */
static void copy_light(struct wish *w, const struct placement *p)
{
    struct arena *a = w->arena = arena_new();
    w->p = *p;
    struct workload *to = &w->p.workload;
    const struct workload *from = &p->workload;
    to->name = arena_strdup(a, from->name);
    to->probe.path = arena_strdup(a, from->probe.path);
    w->p.address = arena_strdup(a, p->address);
    w->p.netns = arena_strdup(a, p->netns);
    to->labels = arena_alloc(a, (from->n_labels + 1) * sizeof(*to->labels));
    for (size_t i = 0; i < from->n_labels; i++)
        to->labels[i] =
            (struct workload_env){arena_strdup(a, from->labels[i].name), arena_strdup(a, from->labels[i].value)};
    to->image = to->program = w->p.executable = w->p.infrastructure = NULL;
    to->arguments = NULL;
    to->environment = NULL;
    to->files = NULL;
    to->volumes = NULL;
    to->ports = NULL;
    w->p.folders = NULL;
    to->n_arguments = to->n_environment = to->n_files = to->n_volumes = to->n_ports = 0;
}

static void take(struct unit *u, const struct placement *p, const struct material_digests *digests,
                 const struct stat *seen)
{
    wish_clear(&u->wish);
    copy_light(&u->wish, p);
    u->wish.present = u->wish.valid = true;
    u->wish.seen = *seen;
    u->wish.digests = *digests;
    u->have.labels = u->wish.p.workload.labels;
    u->have.n_labels = u->wish.p.workload.n_labels;
    snprintf(u->have.address, sizeof(u->have.address), "%s", p->address ? p->address : "");
    u->dirty = true;
}

int wish_load(struct unit *u, struct arena *arena, struct placement *ret, struct err *err)
{
    autofree char *path = mem_printf("%s/want/%s.json", u->engine->dir, u->name);
    struct material_digests digests;
    struct stat seen;
    /* Taken before reading: if the file is replaced in between, the next look reads it again. */
    if (stat(path, &seen) < 0)
        return errno == ENOENT ? -ENOENT : err_set_errno(err, -errno, "cannot stat %s", path);
    int r = placement_read(u->engine->dir, u->name, arena, ret, err);
    if (r == 0)
        r = material_digest(ret, &digests, err);
    if (r == 0)
        take(u, ret, &digests, &seen);
    else if (r != -ENOENT)
        u->wish.seen = seen;
    return r;
}

bool wish_refresh(struct unit *u)
{
    struct stat now;
    autofree char *path = mem_printf("%s/want/%s.json", u->engine->dir, u->name);
    if (stat(path, &now) < 0) {
        bool was = u->wish.present;
        u->wish.present = false;
        memset(&u->wish.seen, 0, sizeof(u->wish.seen));
        return was;
    }
    if (u->wish.present && same_file(&now, &u->wish.seen))
        return false;
    autoarena struct arena *arena = arena_new();
    struct placement p;
    struct err err = ERR_INIT;
    int r = wish_load(u, arena, &p, &err);
    if (r == 0)
        return true;
    u->wish.present = r != -ENOENT;
    u->wish.valid = false;
    snprintf(u->wish.problem, sizeof(u->wish.problem), "%.255s", err.message);
    return true;
}
