/* Placement and status files of a supervised folder: their JSON form, strict reading, atomic writing. */
#include "blueprint/placement.h"

#include "base/fs.h"
#include "base/keys.h"

#include <arpa/inet.h>
#include <dirent.h>
#include <sys/stat.h>

#define STATUS_MAX_BYTES KIB(64)
#define STATUS_MAX_LABELS 64

const char *const placement_state_names[PLACEMENT_STATE_COUNT] = {"starting", "running", "unready",
                                                                  "stopping", "stopped", "failed"};
static const char *const remove_names[] = {"no", "keep-data", "purge"};

bool placement_name_valid(const char *name)
{
    size_t len = name ? strlen(name) : 0;
    if (!len || len > WORKLOAD_NAME_MAX || name[0] == '-' || name[len - 1] == '-')
        return false;
    return strspn(name, "abcdefghijklmnopqrstuvwxyz0123456789-") == len;
}

bool placement_path_valid(const char *path, int depth)
{
    int parts = 0;
    if (!path || *path != '/')
        return false;
    while (*path) {
        size_t len = strcspn(++path, "/");
        if (!len || (len == 1 && path[0] == '.') || (len == 2 && path[0] == '.' && path[1] == '.'))
            return false;
        path += len;
        parts++;
    }
    return parts >= depth;
}

static char *part_path(const char *dir, const char *part, const char *name)
{
    return mem_printf("%s/%s/%s.json", dir, part, name);
}

static int write_id(const char *dir, struct err *err)
{
    char uuid[UUID_SIZE];
    autofree char *path = mem_printf("%s/id", dir);
    autofree char *tmp = NULL;
    if (fs_exists(path))
        return 0;
    uuid_new(uuid);
    tmp = mem_printf("%s.%s", path, uuid);
    int r = fs_write_atomic(tmp, uuid, strlen(uuid), 0600, err);
    if (r < 0)
        return r;
    /* Of two callers at once, the first one's name stays. */
    r = link(tmp, path) < 0 && errno != EEXIST ? -errno : 0;
    unlink(tmp);
    return r < 0 ? err_set_errno(err, r, "cannot make %s", path) : 0;
}

int placement_prepare(const char *dir, struct err *err)
{
    static const char *const parts[] = {"want", "have", "kept", "jobs"};
    if (!placement_path_valid(dir, 1))
        return err_set(err, -EINVAL, "%s: the supervised folder must be an absolute path without . or ..", dir);
    for (size_t i = 0; i < ARRAY_SIZE(parts); i++) {
        autofree char *path = mem_printf("%s/%s", dir, parts[i]);
        int r = fs_mkdirs(path, 0700, err);
        if (r < 0)
            return r;
    }
    return write_id(dir, err);
}

static json_t *folders_to_json(const struct placement *p)
{
    json_t *o = json_object();
    for (size_t i = 0; p->folders && i < p->workload.n_volumes; i++)
        if (p->folders[i])
            json_object_set_new(o, p->workload.volumes[i].name, json_string(p->folders[i]));
    return o;
}

json_t *placement_to_json(const struct placement *p)
{
    json_t *o = json_object();
    bool failed = json_object_set_new(o, "workload", workload_to_json(&p->workload)) < 0;
    json_object_set_new(o, "v", json_integer(1));
    failed |= json_object_set_new(o, "executable", json_string(p->executable ? p->executable : "")) < 0;
    json_object_set_new(o, "digest", json_string(p->digest));
    json_object_set_new(o, "infrastructure", json_string(p->infrastructure ? p->infrastructure : ""));
    if (p->netns)
        failed |= json_object_set_new(o, "netns", json_string(p->netns)) < 0;
    if (p->address)
        json_object_set_new(o, "address", json_string(p->address));
    json_object_set_new(o, "folders", folders_to_json(p));
    json_object_set_new(o, "logBytes", json_integer(p->log_bytes ? p->log_bytes : (json_int_t)MIB(16)));
    json_object_set_new(o, "logFiles", json_integer(p->log_files ? p->log_files : 3));
    json_object_set_new(o, "remove", json_string(remove_names[p->remove]));
    if (failed)
        json_decref(o);
    return failed ? NULL : o;
}

static int parse_folders(const json_t *o, struct arena *arena, struct placement *p, struct err *err)
{
    json_t *folders = NULL;
    const char *name;
    json_t *value;
    int r = js_object(o, "", "folders", &folders, err);
    if (r < 0)
        return r;
    if (json_object_size(folders))
        p->folders = arena_alloc(arena, p->workload.n_volumes * sizeof(*p->folders) + 1);
    json_object_foreach(folders, name, value)
    {
        const char *path = json_string_value(value);
        size_t i = 0;
        while (i < p->workload.n_volumes && strcmp(p->workload.volumes[i].name, name))
            i++;
        if (i == p->workload.n_volumes)
            return err_set(err, -EINVAL, "folders.%.63s: is not a volume of the workload", name);
        /* Such a folder is deleted with all below it when data deletion is asked for. */
        if (!placement_path_valid(path, 2) || json_string_length(value) > 4000)
            return err_set(err, -EINVAL,
                           "folders.%.63s: must be an absolute path of two parts or more, without . or ..", name);
        p->folders[i] = arena_strdup(arena, path);
    }
    return 0;
}

static int parse_choice(const char *text, const char *field, const char *const *names, int n, int *ret, struct err *err)
{
    for (int i = 0; i < n; i++)
        if (!strcmp(names[i], text)) {
            *ret = i;
            return 0;
        }
    return err_set(err, -EINVAL, "%s: \"%.40s\" is not known", field, text);
}

static int copy_digest(const char *text, const char *field, char out[65], struct err *err)
{
    size_t len = strlen(text);
    if (len && (len != 64 || strspn(text, "0123456789abcdef") != 64))
        return err_set(err, -EINVAL, "%s: must be 64 lower-case hex digits or empty", field);
    memcpy(out, text, len + 1);
    return 0;
}

static int parse_rest(const json_t *o, struct arena *arena, struct placement *p, struct err *err)
{
    const char *executable, *digest, *infrastructure, *netns = NULL, *address = NULL, *removal;
    unsigned char numeric[16];
    int64_t v = 0, log_bytes = 0, log_files = 0;
    int choice = 0, r;
    if ((r = js_int(o, "", "v", 1, 1, &v, err)) < 0 ||
        (r = js_string(o, "", "executable", 4000, &executable, err)) < 0 ||
        (r = js_string(o, "", "digest", 64, &digest, err)) < 0 ||
        (r = js_string(o, "", "infrastructure", 64, &infrastructure, err)) < 0 ||
        (r = js_string_opt(o, "", "netns", 4000, &netns, err)) < 0 ||
        (r = js_string_opt(o, "", "address", 64, &address, err)) < 0 ||
        (r = js_string(o, "", "remove", 16, &removal, err)) < 0 ||
        (r = js_int(o, "", "logBytes", 4096, INT64_C(1) << 40, &log_bytes, err)) < 0 ||
        (r = js_int(o, "", "logFiles", 1, 100, &log_files, err)) < 0 ||
        (r = parse_choice(removal, "remove", remove_names, ARRAY_SIZE(remove_names), &choice, err)) < 0 ||
        (r = copy_digest(digest, "digest", p->digest, err)) < 0)
        return r;
    if (!placement_path_valid(executable, 1) && choice == PLACEMENT_KEEP)
        return err_set(err, -EINVAL, "executable: must be an absolute path without . or ..");
    if (netns && !placement_path_valid(netns, 1))
        return err_set(err, -EINVAL, "netns: must be an absolute path without . or ..");
    if (address && inet_pton(AF_INET, address, numeric) != 1 && inet_pton(AF_INET6, address, numeric) != 1)
        return err_set(err, -EINVAL, "address: must be a numeric IPv4 or IPv6 address");
    p->address = arena_strdup(arena, address);
    p->executable = arena_strdup(arena, executable);
    p->infrastructure = arena_strdup(arena, infrastructure);
    p->netns = arena_strdup(arena, netns);
    p->log_bytes = log_bytes;
    p->log_files = (int)log_files;
    p->remove = (enum placement_remove)choice;
    return 0;
}

int placement_parse(const char *text, size_t len, struct arena *arena, struct placement *ret, struct err *err)
{
    static const char *const fields[] = {"v",       "workload", "executable", "digest", "infrastructure", "netns",
                                         "folders", "logBytes", "logFiles",   "remove", "address",        NULL};
    autojson json_t *o = NULL;
    json_t *workload = NULL;
    struct placement p = {0};
    int r;
    if ((r = js_parse(text, len, PLACEMENT_MAX_BYTES, &o, err)) < 0 || (r = js_only(o, "", fields, err)) < 0 ||
        (r = js_object(o, "", "workload", &workload, err)) < 0)
        return r;
    r = workload_from_json(workload, arena, &p.workload, err);
    if (r < 0)
        return err_wrap(err, r, "workload");
    if (!placement_name_valid(p.workload.name))
        return err_set(err, -EINVAL, "workload.name: must be a DNS label");
    if ((r = parse_rest(o, arena, &p, err)) < 0 || (r = parse_folders(o, arena, &p, err)) < 0)
        return r;
    *ret = p;
    return 0;
}

/* Reads a file and reports it by name; -ENOENT leaves no message. */
static int read_part(const char *dir, const char *part, const char *name, size_t max, char **ret, size_t *ret_len,
                     struct err *err)
{
    autofree char *path = part_path(dir, part, name);
    struct err own = ERR_INIT;
    int r = placement_name_valid(name) ? fs_read(path, max, ret, ret_len, &own) : -ENOENT;
    return r < 0 && r != -ENOENT ? err_set(err, r, "%s", own.message) : r;
}

static int read_placement(const char *dir, const char *part, const char *name, struct arena *arena,
                          struct placement *ret, struct err *err)
{
    autofree char *text = NULL;
    size_t len = 0;
    struct placement p;
    int r = read_part(dir, part, name, PLACEMENT_MAX_BYTES, &text, &len, err);
    if (r < 0)
        return r;
    r = placement_parse(text, len, arena, &p, err);
    if (r == 0 && strcmp(p.workload.name, name))
        r = err_set(err, -EINVAL, "workload.name: is \"%s\", not the file's name", p.workload.name);
    mem_wipe(text, len);
    if (r < 0)
        return err_wrap(err, r, "%s/%s/%s.json", dir, part, name);
    *ret = p;
    return 0;
}

int placement_read(const char *dir, const char *name, struct arena *arena, struct placement *ret, struct err *err)
{
    return read_placement(dir, "want", name, arena, ret, err);
}

int placement_write(const char *dir, const struct placement *p, struct err *err)
{
    if (!placement_name_valid(p->workload.name))
        return err_set(err, -EINVAL, "a workload's name must be a DNS label of at most %d bytes", WORKLOAD_NAME_MAX);
    autojson json_t *o = placement_to_json(p);
    if (!o)
        return err_set(err, -EINVAL, "the workload %s holds a text that is not UTF-8", p->workload.name);
    autofree char *text = js_text(o), *old = NULL, *path = part_path(dir, "want", p->workload.name);
    size_t len = strlen(text), old_len = 0;
    if (len > PLACEMENT_MAX_BYTES)
        return err_set(err, -EMSGSIZE, "the workload %s is over the limit of %zu bytes", p->workload.name,
                       (size_t)PLACEMENT_MAX_BYTES);
    int r = 0;
    if (fs_read(path, PLACEMENT_MAX_BYTES, &old, &old_len, NULL) < 0 || old_len != len || memcmp(old, text, len))
        r = fs_write_atomic(path, text, len, 0600, err);
    mem_wipe(text, len);
    return r;
}

int placement_remove(const char *dir, const char *name, bool delete_data, struct err *err)
{
    autoarena struct arena *arena = arena_new();
    autofree char *work = mem_printf("%s/jobs/%s", dir, name), *have = part_path(dir, "have", name);
    struct placement p = {0};
    if (!placement_name_valid(name))
        return 0;
    int r = read_placement(dir, "want", name, arena, &p, NULL);
    if (r == 0 && p.remove >= (delete_data ? PLACEMENT_PURGE : PLACEMENT_REMOVE))
        return 0;
    bool unreadable = r < 0 && r != -ENOENT;
    if (r < 0 && delete_data)
        r = read_placement(dir, "kept", name, arena, &p, NULL);
    /* Something unreadable, or only traces of it: a bare request that names no bucket. */
    if (r < 0) {
        if (r == -ENOENT && !unreadable && !fs_exists(have) && (!delete_data || !fs_exists(work)))
            return 0;
        p = (struct placement){.workload = {.name = name, .program = "none", .stop_signal = 15, .slot = 1}};
    }
    p.remove = delete_data ? PLACEMENT_PURGE : PLACEMENT_REMOVE;
    return placement_write(dir, &p, err);
}

static json_t *status_to_json(const struct placement_status *s)
{
    json_t *labels = json_object();
    for (size_t i = 0; i < s->n_labels; i++)
        json_object_set_new(labels, s->labels[i].name, json_string(s->labels[i].value));
    return json_pack("{s:i,s:s,s:s,s:s,s:s,s:s,s:i,s:I,s:i,s:I,s:s,s:s,s:s,s:s,s:s,s:o}", "v", 1, "name", s->name,
                     "state", placement_state_names[s->state], "digest", s->digest, "error", s->error, "address",
                     s->address, "restarts", s->restarts, "sinceMs", (json_int_t)s->since_ms, "pid", (int)s->pid,
                     "startTicks", (json_int_t)s->start_ticks, "boot", s->boot, "start", s->start, "core", s->core,
                     "reload", s->reload, "rest", s->rest, "labels", labels);
}

static int parse_labels(const json_t *o, struct arena *arena, struct placement_status *s, struct err *err)
{
    json_t *labels = NULL, *value;
    const char *name;
    int r = js_object(o, "", "labels", &labels, err);
    if (r < 0)
        return r;
    if (json_object_size(labels) > STATUS_MAX_LABELS)
        return err_set(err, -EINVAL, "labels: at most %d are allowed", STATUS_MAX_LABELS);
    s->labels = arena_alloc(arena, STATUS_MAX_LABELS * sizeof(*s->labels));
    json_object_foreach(labels, name, value)
    {
        if (!json_is_string(value))
            return err_set(err, -EINVAL, "labels.%.63s: must be a string", name);
        s->labels[s->n_labels++] =
            (struct workload_env){arena_strdup(arena, name), arena_strdup(arena, json_string_value(value))};
    }
    return 0;
}

static int copy_text(const json_t *o, const char *key, char *out, size_t size, struct err *err)
{
    const char *text;
    int r = js_string(o, "", key, size - 1, &text, err);
    if (r == 0)
        snprintf(out, size, "%s", text);
    return r;
}

static int parse_process(const json_t *o, struct placement_status *s, struct err *err)
{
    int64_t v = 0, restarts = 0, pid = 0, ticks = 0;
    int r;
    if ((r = js_int(o, "", "v", 1, 1, &v, err)) < 0 ||
        (r = js_int(o, "", "restarts", 0, INT32_MAX, &restarts, err)) < 0 ||
        (r = js_int(o, "", "pid", 0, INT32_MAX, &pid, err)) < 0 ||
        (r = js_int(o, "", "startTicks", 0, INT64_MAX, &ticks, err)) < 0 ||
        (r = js_int(o, "", "sinceMs", 0, INT64_MAX, &s->since_ms, err)) < 0)
        return r;
    s->restarts = (int)restarts;
    s->pid = (pid_t)pid;
    s->start_ticks = (unsigned long long)ticks;
    return 0;
}

int placement_status_parse(const char *text, size_t len, struct arena *arena, struct placement_status *ret,
                           struct err *err)
{
    autojson json_t *o = NULL;
    struct placement_status s = {0};
    const char *state, *digest, *address = "";
    int choice = 0, r;
    if ((r = js_parse(text, len, STATUS_MAX_BYTES, &o, err)) < 0 ||
        (r = copy_text(o, "name", s.name, sizeof(s.name), err)) < 0 ||
        (r = js_string(o, "", "state", 16, &state, err)) < 0 ||
        (r = parse_choice(state, "state", placement_state_names, PLACEMENT_STATE_COUNT, &choice, err)) < 0 ||
        (r = js_string(o, "", "digest", 64, &digest, err)) < 0 ||
        (r = copy_digest(digest, "digest", s.digest, err)) < 0 ||
        (r = copy_text(o, "error", s.error, sizeof(s.error), err)) < 0 || (r = parse_process(o, &s, err)) < 0 ||
        (r = copy_text(o, "boot", s.boot, sizeof(s.boot), err)) < 0 ||
        (r = copy_text(o, "start", s.start, sizeof(s.start), err)) < 0 ||
        (r = copy_text(o, "core", s.core, sizeof(s.core), err)) < 0 ||
        (r = copy_text(o, "reload", s.reload, sizeof(s.reload), err)) < 0 ||
        (r = copy_text(o, "rest", s.rest, sizeof(s.rest), err)) < 0 || (r = parse_labels(o, arena, &s, err)) < 0)
        return r;
    if ((r = js_string_opt(o, "", "address", sizeof(s.address) - 1, &address, err)) < 0)
        return r;
    snprintf(s.address, sizeof(s.address), "%s", address);
    s.state = (enum placement_state)choice;
    if (!placement_name_valid(s.name))
        return err_set(err, -EINVAL, "name: must be a DNS label");
    *ret = s;
    return 0;
}

int placement_status_read(const char *dir, const char *name, struct arena *arena, struct placement_status *ret,
                          struct err *err)
{
    autofree char *text = NULL;
    size_t len = 0;
    int r = read_part(dir, "have", name, STATUS_MAX_BYTES, &text, &len, err);
    if (r < 0)
        return r;
    r = placement_status_parse(text, len, arena, ret, err);
    return r < 0 ? err_wrap(err, r, "%s/have/%s.json", dir, name) : 0;
}

static int write_fd(const char *path, const char *text, size_t len)
{
    autoclose int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (fd < 0)
        return -errno;
    ssize_t n = write(fd, text, len);
    return n < 0 ? -errno : (size_t)n != len ? -ENOSPC : 0;
}

int placement_status_write(const char *dir, const struct placement_status *s, struct err *err)
{
    autojson json_t *o = status_to_json(s);
    autofree char *path = part_path(dir, "have", s->name);
    autofree char *tmp = mem_printf("%s.tmp", path); /* one writer only: a leftover is simply written over */
    if (!o)
        return err_set(err, -EINVAL, "the status of %s is not text", s->name);
    autofree char *text = js_text(o);
    int r = write_fd(tmp, text, strlen(text));
    if (r == 0 && rename(tmp, path) < 0)
        r = -errno;
    if (r < 0)
        unlink(tmp);
    return r < 0 ? err_set_errno(err, r, "cannot write %s", path) : 0;
}

static int compare_names(const void *a, const void *b)
{
    return strcmp(*(const char *const *)a, *(const char *const *)b);
}

/* "NAME.json" with a valid NAME; temporary files and anything foreign are passed over. */
static char *name_of(const char *file, struct arena *arena)
{
    size_t len = strlen(file);
    if (len < 6 || strcmp(file + len - 5, ".json"))
        return NULL;
    char *name = arena_strndup(arena, file, len - 5);
    return placement_name_valid(name) ? name : NULL;
}

int placement_names(const char *dir, const char *part, struct arena *arena, const char ***ret, size_t *ret_n,
                    struct err *err)
{
    autofree char *path = mem_printf("%s/%s", dir, part);
    autofree const char **found = NULL;
    size_t n = 0, cap = 0;
    DIR *d = opendir(path);
    if (!d)
        return err_set_errno(err, -errno, "cannot list %s", path);
    for (struct dirent *e; (e = readdir(d));) {
        const char *name = name_of(e->d_name, arena);
        if (!name)
            continue;
        if (n == PLACEMENT_MAX_WORKLOADS) {
            closedir(d);
            return err_set(err, -E2BIG, "%s holds over %d workloads", path, PLACEMENT_MAX_WORKLOADS);
        }
        if (n == cap)
            found = mem_realloc(found, (cap = cap ? 2 * cap : 64) * sizeof(*found));
        found[n++] = name;
    }
    closedir(d);
    if (n)
        qsort(found, n, sizeof(*found), compare_names);
    *ret = arena_alloc(arena, (n + 1) * sizeof(**ret));
    if (n)
        memcpy(*ret, found, n * sizeof(*found));
    *ret_n = n;
    return 0;
}

int placement_idle(const char *dir, bool *ret, struct err *err)
{
    autoarena struct arena *arena = arena_new();
    const char **names;
    size_t n;
    int r = placement_names(dir, "want", arena, &names, &n, err);
    if (r < 0)
        return r;
    *ret = false;
    for (size_t i = 0; i < n; i++) {
        struct placement p;
        if (placement_read(dir, names[i], arena, &p, NULL) < 0 || p.remove || !p.workload.stopped)
            return 0;
    }
    if ((r = placement_names(dir, "have", arena, &names, &n, err)) < 0)
        return r;
    for (size_t i = 0; i < n; i++) {
        struct placement_status s;
        if (placement_status_read(dir, names[i], arena, &s, NULL) == 0 && s.pid)
            return 0;
    }
    *ret = true;
    return 0;
}
