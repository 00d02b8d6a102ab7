/* Folders that hold data: buckets, and the agent's disk. A marker file in each says whose it is. */
#include "cloud/local/internal.h"

#include "base/fs.h"

#include <dirent.h>
#include <sys/stat.h>

#define MARKER ".ownhouse.json"
#define MARKER_MAX KIB(4)

/* Where the resource lies: by its identity, not by what was remembered. */
static char *place_of(const struct plan_call *c)
{
    autofree char *below = !strcmp(c->type, "local_bucket") ? mem_printf("buckets/%s", c->name) : mem_strdup(c->name);
    return local_path(local_env_of(c), below);
}

static bool is_empty(const char *path)
{
    struct dirent *entry;
    bool empty = true;
    DIR *d = opendir(path);
    while (d && empty && (entry = readdir(d)))
        empty = !strcmp(entry->d_name, ".") || !strcmp(entry->d_name, "..") || strstr(entry->d_name, MARKER ".tmp");
    if (d)
        closedir(d);
    return empty;
}

/* 1 marked as this resource's, 0 not marked, -EEXIST somebody else's. */
static int marked(const struct plan_call *c, const char *path, struct err *err)
{
    autofree char *marker = mem_printf("%s/" MARKER, path);
    autofree char *text = NULL;
    autojson json_t *v = NULL;
    size_t len;
    if (!fs_exists(marker))
        return 0;
    int r = fs_read(marker, MARKER_MAX, &text, &len, err);
    if (r == 0)
        r = js_parse(text, len, MARKER_MAX, &v, NULL);
    const char *owner = json_string_value(json_object_get(v, "infrastructure"));
    if (r == 0 && owner && !strcmp(owner, c->infrastructure))
        return 1;
    return err_set(err, -EEXIST, "%s belongs to another infrastructure (%.40s): move it away or remove it", path,
                   owner ? owner : "its marker cannot be read");
}

static int storage_observe(const struct plan_call *c, json_t **ret, struct err *err)
{
    autofree char *path = place_of(c);
    autofree char *leaving = mem_printf("%s.removing", path);
    struct stat st;
    *ret = NULL;
    if (fs_exists(leaving)) {
        *ret = json_pack("{s:s}", "path", leaving);
        return 0;
    }
    if (stat(path, &st) < 0)
        return errno == ENOENT ? 0 : err_set_errno(err, -errno, "cannot look at %s", path);
    if (!S_ISDIR(st.st_mode))
        return err_set(err, -ENOTDIR, "%s is in the way: it is not a folder", path);
    int r = marked(c, path, err);
    if (r > 0)
        *ret = json_pack("{s:s}", "path", path);
    if (r == 0 && !is_empty(path))
        r = err_set(err, -EEXIST, "%s holds files and was not made by OwnHouse: move it away or remove it", path);
    /* An empty folder without a marker is as good as none. */
    return r < 0 ? r : 0;
}

static int storage_create(const struct plan_call *c, const json_t *want, json_t **ret, struct err *err)
{
    const char *path = json_string_value(json_object_get(want, "path"));
    autofree char *marker = mem_printf("%s/" MARKER, path);
    autojson json_t *mark =
        json_pack("{s:s, s:s, s:s}", "infrastructure", c->infrastructure, "type", c->type, "name", c->name);
    autofree char *text = js_text(mark);
    int r = fs_mkdirs(path, 0700, err);
    if (r == 0)
        r = fs_write_atomic(marker, text, strlen(text), 0600, err);
    return r < 0 ? r : storage_observe(c, ret, err);
}

static int storage_destroy(const struct plan_call *c, const json_t *have OH_UNUSED, struct err *err)
{
    autofree char *path = place_of(c);
    autofree char *leaving = mem_printf("%s.removing", path);
    if (!c->delete_data)
        return err_set(err, -EPERM, "%s holds data and deleting data was not asked for", path);
    /* Renamed first: half of a removal must still be known as ours. */
    int r = fs_exists(path) && !fs_exists(leaving) ? marked(c, path, err) : 0;
    if (r > 0)
        r = rename(path, leaving) < 0 ? err_set_errno(err, -errno, "cannot remove %s", path) : 0;
    return r < 0 ? r : fs_remove_tree(leaving, err);
}

static const struct plan_attribute storage_attributes[] = {{"path", PLAN_REPLACE}, {NULL, 0}};

const struct plan_type local_bucket_type = {.name = "local_bucket",
                                            .attributes = storage_attributes,
                                            .holds_data = true,
                                            .observe = storage_observe,
                                            .create = storage_create,
                                            .destroy = storage_destroy};

const struct plan_type local_disk_type = {.name = "local_disk",
                                          .attributes = storage_attributes,
                                          .holds_data = true,
                                          .observe = storage_observe,
                                          .create = storage_create,
                                          .destroy = storage_destroy};
