/* ownhouse logs: what a service or a program wrote, from the files on this machine. */
#include "base/fs.h"
#include "base/mem.h"
#include "blueprint/placement.h"
#include "cli/commands.h"

#include <glob.h>
#include <libgen.h>
#include <sys/stat.h>
#include <time.h>

#define MAX_FILES 64
#define FOLLOW_MS 250
#define TAIL_BYTES ((off_t)MIB(4)) /* as far back as lines are looked for */

struct log_file {
    char *path;
    off_t at; /* shown up to here */
    ino_t inode;
};

struct logs {
    struct log_file files[MAX_FILES];
    size_t n;
};

static void add_matches(struct logs *l, const char *pattern)
{
    glob_t found;
    if (glob(pattern, 0, NULL, &found) != 0)
        return;
    for (size_t i = 0; i < found.gl_pathc && l->n < MAX_FILES; i++) {
        /* Rotated files (NAME.log.1) are older than what is looked for. */
        const char *dot = strrchr(found.gl_pathv[i], '.');
        if (dot && dot[1] && strspn(dot + 1, "0123456789") == strlen(dot + 1))
            continue;
        l->files[l->n++] = (struct log_file){.path = mem_strdup(found.gl_pathv[i])};
    }
    globfree(&found);
}

/* Supervised folders below the accounts. */
static void each_place(const struct cli *c, void (*fn)(const char *dir, void *data), void *data)
{
    static const char *const patterns[] = {"accounts/*/*/*/have", "accounts/*/*/*/*/have"};
    for (size_t p = 0; p < ARRAY_SIZE(patterns); p++) {
        autofree char *pattern = cli_path(c, "%s", patterns[p]);
        glob_t found;
        if (glob(pattern, GLOB_ONLYDIR, NULL, &found) != 0)
            continue;
        for (size_t i = 0; i < found.gl_pathc; i++)
            fn(dirname(found.gl_pathv[i]), data);
        globfree(&found);
    }
}

struct search {
    const char *name;
    struct logs *logs;
    struct buf known;
};

static const char *label(const struct placement_status *s, const char *name)
{
    for (size_t i = 0; i < s->n_labels; i++)
        if (!strcmp(s->labels[i].name, name))
            return s->labels[i].value;
    return "";
}

/* A workload is meant by its own name, its service's slug or its service's id. */
static void search_place(const char *dir, void *data)
{
    struct search *q = data;
    autoarena struct arena *a = arena_new();
    const char **names;
    size_t n = 0;
    if (placement_names(dir, "have", a, &names, &n, NULL) < 0)
        return;
    for (size_t i = 0; i < n; i++) {
        struct placement_status s;
        if (placement_status_read(dir, names[i], a, &s, NULL) < 0)
            continue;
        const char *slug = label(&s, "slug");
        buf_printf(&q->known, "%s%s", q->known.len ? ", " : "", *slug ? slug : names[i]);
        if (strcmp(names[i], q->name) && strcmp(slug, q->name) && strcmp(label(&s, "service"), q->name))
            continue;
        autofree char *pattern = mem_printf("%s/jobs/%s/logs/*", dir, names[i]);
        add_matches(q->logs, pattern);
    }
}

static int find_files(const struct cli *c, const char *name, struct logs *l, struct err *err)
{
    struct search q = {.name = name, .logs = l, .known = BUF_INIT_MAX(400)};
    autofree char *control = cli_path(c, "control/log/*");
    if (!strcmp(name, "control"))
        add_matches(l, control);
    else
        each_place(c, search_place, &q);
    int r = 0;
    if (!l->n)
        r = err_set(err, -ENOENT, "there is no log of %.60s here: there is control%s%s", name, q.known.len ? ", " : "",
                    q.known.data ? q.known.data : "");
    buf_free(&q.known);
    return r;
}

/* Where the last n lines of the file begin. */
static off_t tail_start(int fd, off_t size, int64_t lines)
{
    char chunk[KIB(64)];
    off_t end = size, low = MAX(size - TAIL_BYTES, (off_t)0);
    int64_t seen = 0;
    while (end > low) {
        off_t from = MAX(end - (off_t)sizeof(chunk), low);
        ssize_t n = pread(fd, chunk, (size_t)(end - from), from);
        if (n <= 0)
            return end;
        for (ssize_t i = n - 1; i >= 0; i--)
            if (chunk[i] == '\n' && from + i != size - 1 && ++seen == lines)
                return from + i + 1;
        end = from;
    }
    return low;
}

/* Log lines hold foreign text; only line ends and tabs pass as they are. */
static void put_safe(const char *text, size_t len)
{
    for (size_t i = 0; i < len; i++) {
        unsigned char ch = (unsigned char)text[i];
        putchar((ch < 0x20 && ch != '\n' && ch != '\t') || ch == 0x7f ? '?' : ch);
    }
}

static void show_new(struct log_file *f, int64_t lines)
{
    char chunk[KIB(64)];
    struct stat st;
    autoclose int fd = open(f->path, O_RDONLY | O_CLOEXEC);
    if (fd < 0 || fstat(fd, &st) < 0)
        return;
    if (!f->inode)
        f->at = tail_start(fd, st.st_size, lines);
    else if (f->inode != st.st_ino || st.st_size < f->at) /* rotated */
        f->at = 0;
    f->inode = st.st_ino;
    for (ssize_t n; (n = pread(fd, chunk, sizeof(chunk), f->at)) > 0; f->at += n)
        put_safe(chunk, (size_t)n);
    fflush(stdout);
}

static int logs_run(struct cli *c, struct err *err)
{
    struct logs l = {0};
    int64_t lines = 100;
    int r = cli_option_int(c, "lines", 0, 100000, &lines, err);
    if (r == 0)
        r = find_files(c, c->arguments[0], &l, err);
    if (r == 0 && c->json) {
        c->answer = json_pack("{s:s,s:[]}", "name", c->arguments[0], "files");
        for (size_t i = 0; i < l.n; i++)
            json_array_append_new(json_object_get(c->answer, "files"), json_string(l.files[i].path));
    }
    for (size_t i = 0; r == 0 && !c->json && i < l.n; i++) {
        if (l.n > 1)
            printf("==> %s\n", l.files[i].path);
        show_new(&l.files[i], lines);
    }
    while (r == 0 && !c->json && cli_option(c, "follow") && !ferror(stdout)) {
        nanosleep(&(struct timespec){0, FOLLOW_MS * 1000000L}, NULL);
        for (size_t i = 0; i < l.n; i++)
            show_new(&l.files[i], lines);
    }
    for (size_t i = 0; i < l.n; i++)
        free(l.files[i].path);
    return r;
}

static const struct cli_option options[] = {
    {"follow", 'f', NULL, "go on showing what is written"},
    {"lines", 'n', "N", "how many lines back to begin (default 100)"},
    {NULL},
};

const struct cli_command logs_command = {
    .name = "logs",
    .arguments = "NAME",
    .summary = "Shows what a service or a program wrote.",
    .details = "NAME is a service (demo), a program of the data plane (agent, ingress, dns ...) or control.\n"
               "It reads the files on this machine and asks no program, so it works when nothing runs.\n"
               "With --json it names the files instead.",
    .min_arguments = 1,
    .max_arguments = 1,
    .options = options,
    .run = logs_run,
};
