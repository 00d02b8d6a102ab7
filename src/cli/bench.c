/* ownhouse bench: runs the measurements of the bench folder of a source tree. */
#include "base/fs.h"
#include "base/mem.h"
#include "cli/commands.h"

#include <dirent.h>
#include <limits.h>
#include <sys/stat.h>

/* The bench folder: $OWNHOUSE_BENCH, or of the source tree whose build folder holds this program. free(). */
static char *bench_folder(struct err *err)
{
    const char *from_env = getenv("OWNHOUSE_BENCH");
    autofree char *self = realpath("/proc/self/exe", NULL);
    if (from_env && *from_env)
        return mem_strdup(from_env);
    for (int up = 0; self && up < 4; up++) {
        char *slash = strrchr(self, '/');
        if (!slash || slash == self)
            break;
        *slash = 0;
        autofree char *folder = mem_printf("%s/bench", self), *readme = mem_printf("%s/README.md", folder);
        if (fs_exists(readme))
            return TAKE_PTR(folder);
    }
    err_set(err, -ENOENT,
            "the measurements are in the bench folder of the source tree: run this from a built tree, or "
            "set OWNHOUSE_BENCH");
    return NULL;
}

/* A measurement is an executable file without a dot in its name. */
static bool is_measurement(const char *folder, const char *name)
{
    autofree char *path = mem_printf("%s/%s", folder, name);
    struct stat st;
    return *name != '.' && !strchr(name, '.') && stat(path, &st) == 0 && S_ISREG(st.st_mode) && access(path, X_OK) == 0;
}

static int by_name(const void *a, const void *b)
{
    return strcmp(json_string_value(*(json_t *const *)a), json_string_value(*(json_t *const *)b));
}

static int list(struct cli *c, const char *folder, struct err *err)
{
    DIR *d = opendir(folder);
    json_t *names[64];
    size_t n = 0;
    if (!d)
        return err_set_errno(err, -errno, "cannot open %s", folder);
    for (struct dirent *e; (e = readdir(d)) && n < ARRAY_SIZE(names);)
        if (is_measurement(folder, e->d_name))
            names[n++] = json_string(e->d_name);
    closedir(d);
    qsort(names, n, sizeof(*names), by_name);
    c->answer = json_pack("{s:[]}", "measurements");
    for (size_t i = 0; i < n; i++) {
        ui_line(&c->ui, "%s", json_string_value(names[i]));
        json_array_append_new(json_object_get(c->answer, "measurements"), names[i]);
    }
    if (!n)
        ui_line(&c->ui, "There are no measurements in %s.", folder);
    return 0;
}

static int bench_run(struct cli *c, struct err *err)
{
    autofree char *folder = bench_folder(err), *path = NULL;
    if (!folder)
        return -ENOENT;
    if (!c->n_arguments)
        return list(c, folder, err);
    if (strchr(c->arguments[0], '/') || !is_measurement(folder, c->arguments[0]))
        return err_set(err, -ENOENT, "there is no measurement %.60s: `ownhouse bench` lists them", c->arguments[0]);
    if (c->json)
        return err_set(err, CLI_BAD_USAGE, "bench: a measurement writes its figures itself, without --json");
    path = mem_printf("%s/%s", folder, c->arguments[0]);
    const char **argv = mem_alloc(((size_t)c->n_arguments + 1) * sizeof(*argv));
    argv[0] = path;
    for (int i = 1; i < c->n_arguments; i++)
        argv[i] = c->arguments[i];
    setenv("OWNHOUSE_HOME", c->home, 1);
    execv(path, (char *const *)(uintptr_t)argv);
    int r = -errno;
    free(argv);
    return err_set_errno(err, r, "cannot run %s", path);
}

const struct cli_command bench_command = {
    .name = "bench",
    .arguments = "[NAME [ARGUMENT...]]",
    .summary = "Lists the measurements of the source tree, or runs one.",
    .details = "Arguments of the measurement follow after `--`. Figures that were kept are in bench/RESULTS.md.",
    .max_arguments = 64,
    .run = bench_run,
};
