/* Table-driven `key = value` configuration. */
#include "base/conf.h"

#include "base/fs.h"
#include "base/mem.h"

#include <ctype.h>

#define CONF_MAX_FILE KIB(256)

static int set_value(const struct conf_key *k, const char *value, void *into, struct err *err)
{
    void *at = (char *)into + k->offset;
    if (k->type == CONF_BOOL) {
        if (strcmp(value, "yes") && strcmp(value, "no"))
            return err_set(err, -EINVAL, "%s: must be yes or no, not \"%.40s\"", k->name, value);
        *(bool *)at = !strcmp(value, "yes");
        return 0;
    }
    if (k->type == CONF_INT) {
        char *end;
        errno = 0;
        long long n = strtoll(value, &end, 10);
        if (errno || end == value || *end || n < k->min || n > k->max)
            return err_set(err, -EINVAL, "%s: must be a whole number from %lld to %lld, not \"%.40s\"", k->name,
                           (long long)k->min, (long long)k->max, value);
        *(int64_t *)at = n;
        return 0;
    }
    size_t max = k->max ? (size_t)k->max : 4096;
    if (strlen(value) > max)
        return err_set(err, -EINVAL, "%s: must be at most %zu bytes", k->name, max);
    if (k->type == CONF_PATH && *value && *value != '/')
        return err_set(err, -EINVAL, "%s: must be an absolute path, not \"%.80s\"", k->name, value);
    free(*(char **)at);
    *(char **)at = mem_strdup(value);
    return 0;
}

static char *trim(char *s)
{
    while (isspace((unsigned char)*s))
        s++;
    for (char *end = s + strlen(s); end > s && isspace((unsigned char)end[-1]);)
        *--end = 0;
    return s;
}

static int set_line(char *line, const struct conf_key *keys, bool *seen, void *into, struct err *err)
{
    char *text = trim(line);
    if (!*text || *text == '#')
        return 0;
    char *eq = strchr(text, '=');
    if (!eq)
        return err_set(err, -EINVAL, "expected `key = value`");
    *eq = 0;
    const char *name = trim(text);
    for (size_t i = 0; keys[i].name; i++) {
        if (strcmp(keys[i].name, name))
            continue;
        if (seen[i])
            return err_set(err, -EINVAL, "%s: is set twice", name);
        seen[i] = true;
        return set_value(&keys[i], trim(eq + 1), into, err);
    }
    return err_set(err, -EINVAL, "%.60s: is not a known key", name);
}

static int parse(const char *name, char *text, size_t len, const struct conf_key *keys, void *into, struct err *err)
{
    int number = 0, r;
    size_t n = 0;
    while (keys[n].name)
        n++;
    autofree bool *seen = mem_alloc((n + 1) * sizeof(*seen));
    if (strlen(text) != len)
        return err_set(err, -EINVAL, "%s: contains a NUL byte", name);
    for (char *line = text, *next; line; line = next) {
        number++;
        next = strchr(line, '\n');
        if (next)
            *next++ = 0;
        r = set_line(line, keys, seen, into, err);
        if (r < 0)
            return err_wrap(err, r, "%s line %d", name, number);
    }
    for (size_t i = 0; keys[i].name; i++) {
        if (seen[i])
            continue;
        if (!keys[i].fallback)
            return err_set(err, -EINVAL, "%s: %s: is required", name, keys[i].name);
        r = set_value(&keys[i], keys[i].fallback, into, err);
        if (r < 0)
            return r;
    }
    return 0;
}

int conf_parse(const char *name, const char *text, size_t len, const struct conf_key *keys, void *into, struct err *err)
{
    if (len > CONF_MAX_FILE)
        return err_set(err, -EFBIG, "%s: is over the limit of %zu bytes", name, (size_t)CONF_MAX_FILE);
    autofree char *copy = mem_alloc(len + 1);
    if (len)
        memcpy(copy, text, len);
    int r = parse(name, copy, len, keys, into, err);
    if (r < 0)
        conf_free(keys, into);
    return r;
}

int conf_load(const char *path, const struct conf_key *keys, void *into, struct err *err)
{
    autofree char *text = NULL;
    size_t len = 0;
    int r = fs_read(path, CONF_MAX_FILE, &text, &len, err);
    return r < 0 ? r : conf_parse(path, text, len, keys, into, err);
}

void conf_free(const struct conf_key *keys, void *into)
{
    for (size_t i = 0; keys[i].name; i++) {
        if (keys[i].type != CONF_STRING && keys[i].type != CONF_PATH)
            continue;
        char **at = (char **)(void *)((char *)into + keys[i].offset);
        free(*at);
        *at = NULL;
    }
}
