/* Folders, files and digests of a workload. */
#include "runtime/process/material.h"

#include "base/fs.h"

#include <dirent.h>
#include <sys/stat.h>

char *material_path(const char *dir, const char *name, const char *below)
{
    return mem_printf("%s/jobs/%s%s%s", dir, name, *below ? "/" : "", below);
}

static int make_folder(const char *dir, const char *name, const char *below, struct err *err)
{
    autofree char *path = material_path(dir, name, below);
    return fs_mkdirs(path, 0700, err);
}

int material_folders(const char *dir, const struct placement *p, struct err *err)
{
    const struct workload *w = &p->workload;
    autofree char *run = material_path(dir, w->name, "run");
    int r;
    if ((r = fs_remove_tree(run, err)) < 0 || (r = make_folder(dir, w->name, "files", err)) < 0 ||
        (r = make_folder(dir, w->name, "run", err)) < 0 || (r = make_folder(dir, w->name, "logs", err)) < 0)
        return r;
    for (size_t i = 0; i < w->n_volumes; i++) {
        autofree char *below = mem_printf("volumes/%s", w->volumes[i].name);
        if (p->folders && p->folders[i])
            r = fs_mkdirs(p->folders[i], 0700, err);
        else
            r = make_folder(dir, w->name, below, err);
        if (r < 0)
            return r;
    }
    return 0;
}

static bool is_so(const char *path, const struct workload_file *f, mode_t mode)
{
    struct stat st;
    autofree char *text = NULL;
    size_t len = 0, want = strlen(f->content);
    if (lstat(path, &st) < 0 || !S_ISREG(st.st_mode) || (st.st_mode & 0777) != mode || (size_t)st.st_size != want)
        return false;
    return fs_read(path, want, &text, &len, NULL) == 0 && len == want && !memcmp(text, f->content, want);
}

static int write_file(const char *base, const struct workload_file *f, struct err *err)
{
    autofree char *path = mem_printf("%s/%s", base, f->path), *parent = mem_strdup(path);
    mode_t mode = f->secret ? 0600 : 0644;
    if (is_so(path, f, mode))
        return 0;
    *strrchr(parent, '/') = 0;
    int r = fs_mkdirs(parent, 0700, err);
    return r < 0 ? r : fs_write_atomic(path, f->content, strlen(f->content), mode, err);
}

/* What should stand at `path` (below files/): 'f' a file, 'd' a folder on the way to one, 0 nothing. */
static char wanted(const struct workload *w, const char *path)
{
    size_t len = strlen(path);
    for (size_t i = 0; i < w->n_files; i++)
        if (!strncmp(w->files[i].path, path, len) && (w->files[i].path[len] == 0 || w->files[i].path[len] == '/'))
            return w->files[i].path[len] ? 'd' : 'f';
    return 0;
}

enum { IN_THE_WAY, UNWANTED };

/* Removes what is not wanted, or only what stands in the way: a file where a folder is to be, or the other way round.
 */
static int prune(const char *base, const char *below, const struct workload *w, int which, struct err *err)
{
    autofree char *folder = mem_printf("%s%s%s", base, *below ? "/" : "", below);
    DIR *d = opendir(folder);
    int r = 0;
    if (!d)
        return err_set_errno(err, -errno, "cannot list %s", folder);
    for (struct dirent *e; r == 0 && (e = readdir(d));) {
        struct stat st;
        if (!strcmp(e->d_name, ".") || !strcmp(e->d_name, ".."))
            continue;
        autofree char *inner = mem_printf("%s%s%s", below, *below ? "/" : "", e->d_name),
                      *path = mem_printf("%s/%s", base, inner);
        char is = lstat(path, &st) < 0 ? 0 : S_ISDIR(st.st_mode) ? 'd' : S_ISREG(st.st_mode) ? 'f' : 'x';
        char is_wanted = wanted(w, inner);
        if (is && is != is_wanted && (is_wanted || which == UNWANTED))
            r = fs_remove_tree(path, err);
        else if (is == 'd')
            r = prune(base, inner, w, which, err);
    }
    closedir(d);
    return r;
}

int material_files(const char *dir, const struct placement *p, struct err *err)
{
    const struct workload *w = &p->workload;
    autofree char *base = material_path(dir, w->name, "files");
    int r = fs_mkdirs(base, 0700, err);
    if (r == 0)
        r = prune(base, "", w, IN_THE_WAY, err);
    for (size_t i = 0; r == 0 && i < w->n_files; i++)
        r = write_file(base, &w->files[i], err);
    return r < 0 ? r : prune(base, "", w, UNWANTED, err);
}

bool material_keeps(const struct placement *p)
{
    for (size_t i = 0; i < p->workload.n_volumes; i++)
        if (p->workload.volumes[i].keep || (p->folders && p->folders[i]))
            return true;
    return false;
}

/* A bucket's folder of a workload holds its volumes' folders: it goes with the last one. */
static void remove_holder(const char *folder, const char *name)
{
    autofree char *holder = mem_strdup(folder);
    char *end = strrchr(holder, '/');
    if (!end)
        return;
    *end = 0;
    char *last = strrchr(holder, '/');
    if (last && !strcmp(last + 1, name))
        rmdir(holder);
}

static int remove_volumes(const char *dir, const char *name, const struct placement *p, struct err *err)
{
    int r = 0;
    for (size_t i = 0; p && r == 0 && i < p->workload.n_volumes; i++) {
        const struct workload_volume *v = &p->workload.volumes[i];
        bool bucket = p->folders && p->folders[i], purge = p->remove == PLACEMENT_PURGE;
        autofree char *below = mem_printf("volumes/%s", v->name), *path = material_path(dir, name, below);
        if (bucket && purge) {
            r = fs_remove_tree(p->folders[i], err);
            remove_holder(p->folders[i], name);
        } else if (!bucket && (purge || !v->keep)) {
            r = fs_remove_tree(path, err);
        }
    }
    return r;
}

int material_remove(const char *dir, const char *name, const struct placement *p, struct err *err)
{
    static const char *const parts[] = {"files", "run", "logs"};
    autofree char *work = material_path(dir, name, ""), *volumes = material_path(dir, name, "volumes");
    int r = remove_volumes(dir, name, p, err);
    if (r == 0 && p && p->remove == PLACEMENT_PURGE)
        return fs_remove_tree(work, err);
    for (size_t i = 0; r == 0 && i < ARRAY_SIZE(parts); i++) {
        autofree char *path = material_path(dir, name, parts[i]);
        r = fs_remove_tree(path, err);
    }
    /* Goes only where nothing was kept. */
    if (r == 0 && (rmdir(volumes) == 0 || errno == ENOENT))
        r = fs_remove_tree(work, err);
    return r;
}

/* ---- digests ---- */

static json_t *files_of(const struct workload *w, enum workload_on_change kind)
{
    json_t *list = json_array();
    for (size_t i = 0; i < w->n_files; i++)
        if (w->files[i].on_change == kind)
            json_array_append_new(list,
                                  json_pack("[s,s,b]", w->files[i].path, w->files[i].content, (int)w->files[i].secret));
    return list;
}

static json_t *core_of(const struct placement *p)
{
    const struct workload *w = &p->workload;
    json_t *arguments = json_array(), *environment = json_array(), *volumes = json_array();
    for (size_t i = 0; i < w->n_arguments; i++)
        json_array_append_new(arguments, json_string(w->arguments[i]));
    for (size_t i = 0; i < w->n_environment; i++)
        json_array_append_new(environment, json_pack("[s,s]", w->environment[i].name, w->environment[i].value));
    for (size_t i = 0; i < w->n_volumes; i++)
        json_array_append_new(volumes,
                              json_pack("[s,s]", w->volumes[i].name, p->folders && p->folders[i] ? p->folders[i] : ""));
    return json_pack("{s:s,s:s,s:s,s:o,s:o,s:o,s:o,s:I}", "executable", p->executable, "infrastructure",
                     p->infrastructure ? p->infrastructure : "", "netns", p->netns ? p->netns : "", "arguments",
                     arguments, "environment", environment, "volumes", volumes, "files", files_of(w, WORKLOAD_RESTART),
                     "memory", (json_int_t)w->memory_bytes);
}

int material_digest(const struct placement *p, struct material_digests *ret, struct err *err)
{
    autojson json_t *core = core_of(p), *reload = files_of(&p->workload, WORKLOAD_RELOAD), *rest = placement_to_json(p);
    int r;
    if (!core || !reload || !rest)
        return err_set(err, -EINVAL, "the workload %s holds a text that is not UTF-8", p->workload.name);
    if ((r = js_digest(core, ret->core, err)) < 0 || (r = js_digest(reload, ret->reload, err)) < 0)
        return r;
    return js_digest(rest, ret->rest, err);
}
