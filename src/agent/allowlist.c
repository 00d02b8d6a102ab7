/* Reads the customer's list of what may leave, whenever it changes. */
#include "agent/allowlist.h"

#include "base/fs.h"
#include "base/keys.h"

#include <sys/stat.h>

#define FILE_NAME "policy/telemetry.json"

static int load(const struct agent_config *c, char **ret_text, struct telemetry **ret, struct err *err)
{
    autofree char *path = agent_path(c, FILE_NAME);
    struct stat st;
    size_t len = 0;
    int r = fs_read(path, TELEMETRY_MAX_BYTES, ret_text, &len, err);
    if (r == -ENOENT) {
        *ret = telemetry_all();
        return 0;
    }
    if (r < 0)
        return r;
    if (stat(path, &st) < 0 || st.st_mode & 022 || (st.st_uid != geteuid() && st.st_uid != 0))
        return err_set(err, -EPERM, "%s: others than the agent's user may write it", path);
    r = telemetry_parse(*ret_text, len, ret, err);
    return r < 0 ? err_wrap(err, r, "%s", path) : 0;
}

bool allowlist_look(struct allowlist *a, const struct agent_config *c)
{
    autofree char *text = NULL;
    struct telemetry *t = NULL;
    struct err err = ERR_INIT;
    char digest[65] = "";
    int r = load(c, &text, &t, &err);
    if (text)
        sha256_hex(text, strlen(text), digest);
    const char *trouble = r < 0 ? err.message : "";
    bool same = a->loaded && !strcmp(digest, a->digest) && !strcmp(trouble, a->trouble);
    if (!t)
        t = telemetry_none();
    telemetry_free(same ? t : a->now);
    if (same)
        return false;
    a->now = t;
    memcpy(a->digest, digest, sizeof(digest));
    snprintf(a->trouble, sizeof(a->trouble), "%s", trouble);
    a->loaded = true;
    return true;
}

void allowlist_free(struct allowlist *a)
{
    telemetry_free(a->now);
    *a = (struct allowlist){0};
}

static void take(const char *name, enum telemetry_class class, const char *what OH_UNUSED, void *data)
{
    if (class == TELEMETRY_WITHHELD)
        json_array_append_new(data, json_string(name));
}

json_t *allowlist_describe(const struct allowlist *a)
{
    json_t *list = json_array();
    telemetry_each(a->now, take, list);
    return json_pack("{ss so ss}", "digest", a->digest, "withheld", list, "trouble", a->trouble);
}
