/* Reads the users file and checks passwords against the hashes in it. */
#include "clickhouse/users.h"

#include "base/clock.h"
#include "base/fs.h"
#include "base/js.h"
#include "base/keys.h"
#include "base/mem.h"

#include <pthread.h>

#define NAME_MAX_BYTES 256

struct user {
    char *name;
    unsigned char sha256[SHA256_SIZE];
    struct user_rights rights;
};

struct list {
    struct user *items;
    size_t count;
};

#define GRANTED "ownhouse_grant_"
#define GRANTED_NAME_SIZE (sizeof(GRANTED) + UUID_SIZE - 1)

struct granted {
    char name[GRANTED_NAME_SIZE];
    unsigned char sha256[SHA256_SIZE];
    int64_t until_ms;
};

struct users {
    char *path;
    pthread_rwlock_t lock;
    struct list list;
    struct granted *granted; /* USERS_GRANTED_MAX of them */
    size_t n_granted;
};

static void list_free(struct list *l)
{
    for (size_t i = 0; i < l->count; i++)
        free(l->items[i].name);
    free(l->items);
    *l = (struct list){0};
}

static int user_parse(const json_t *v, size_t index, struct user *ret, struct err *err)
{
    static const char *const fields[] = {"name", "sha256", "double_sha1", "readonly", "duty", NULL};
    char path[32];
    const char *name = NULL, *hash = NULL, *sha1 = NULL, *duty = NULL;
    unsigned char scratch[20];

    snprintf(path, sizeof(path), "users[%zu]", index);
    if (!json_is_object(v))
        return err_set(err, -EINVAL, "%s: must be an object", path);
    int r = js_only(v, path, fields, err);
    if (r == 0)
        r = js_string(v, path, "name", NAME_MAX_BYTES, &name, err);
    if (r == 0)
        r = js_string(v, path, "sha256", 2 * SHA256_SIZE, &hash, err);
    if (r == 0)
        r = js_string_opt(v, path, "double_sha1", 2 * sizeof(scratch), &sha1, err);
    if (r == 0)
        r = js_bool_opt(v, path, "readonly", &ret->rights.readonly, err);
    if (r == 0)
        r = js_string_opt(v, path, "duty", 16, &duty, err);
    if (r < 0)
        return r;
    if (duty && strcmp(duty, "backup") && strcmp(duty, "gate"))
        return err_set(err, -EINVAL, "%s.duty: must be backup or gate", path);
    ret->rights.backup_only = duty && !strcmp(duty, "backup");
    ret->rights.gate_only = duty && !strcmp(duty, "gate");
    if (!*name)
        return err_set(err, -EINVAL, "%s.name: must not be empty", path);
    if (strlen(hash) != 2 * SHA256_SIZE || hex_decode(hash, ret->sha256, SHA256_SIZE) < 0)
        return err_set(err, -EINVAL, "%s.sha256: must be 64 hexadecimal digits", path);
    if (sha1 && (strlen(sha1) != 2 * sizeof(scratch) || hex_decode(sha1, scratch, sizeof(scratch)) < 0))
        return err_set(err, -EINVAL, "%s.double_sha1: must be 40 hexadecimal digits", path);
    ret->name = mem_strdup(name);
    return 0;
}

static int list_parse(const json_t *root, struct list *ret, struct err *err)
{
    static const char *const fields[] = {"users", "queryEndpoint", NULL}; /* the latter is query_access.h's */
    json_t *array = NULL;
    int r = json_is_object(root) ? 0 : err_set(err, -EINVAL, "must be an object with the field users");
    if (r == 0)
        r = js_only(root, "", fields, err);
    if (r == 0)
        r = js_array(root, "", "users", USERS_MAX, &array, err);
    if (r < 0)
        return r;
    if (json_array_size(array) == 0)
        return err_set(err, -EINVAL, "users: must name one user at least");
    ret->items = mem_alloc(json_array_size(array) * sizeof(*ret->items));
    for (size_t i = 0; r == 0 && i < json_array_size(array); i++) {
        r = user_parse(json_array_get(array, i), i, &ret->items[i], err);
        for (size_t j = 0; r == 0 && j < i; j++)
            if (strcmp(ret->items[j].name, ret->items[i].name) == 0)
                r = err_set(err, -EINVAL, "users[%zu].name: the same as users[%zu].name", i, j);
        ret->count = i + 1;
    }
    if (r < 0)
        list_free(ret);
    return r;
}

static int list_load(const char *path, struct list *ret, struct err *err)
{
    autofree char *text = NULL;
    autojson json_t *root = NULL;
    size_t len;

    int r = fs_read(path, USERS_FILE_MAX, &text, &len, err);
    if (r == -ENOENT)
        return err_set(err, r, "the users file %s does not exist", path);
    if (r == 0)
        r = js_parse(text, len, USERS_FILE_MAX, &root, err);
    if (r == 0)
        r = list_parse(root, ret, err);
    if (r < 0)
        err_wrap(err, r, "users file %s", path);
    return r;
}

int users_load(const char *path, struct users **ret, struct err *err)
{
    struct list list = {0};
    int r = list_load(path, &list, err);
    if (r < 0)
        return r;
    struct users *u = mem_alloc(sizeof(*u));
    u->path = mem_strdup(path);
    u->list = list;
    u->granted = mem_alloc(USERS_GRANTED_MAX * sizeof(*u->granted));
    pthread_rwlock_init(&u->lock, NULL);
    *ret = u;
    return 0;
}

int users_reload(struct users *u, struct err *err)
{
    struct list fresh = {0}, old;
    int r = list_load(u->path, &fresh, err);
    if (r < 0)
        return r;
    pthread_rwlock_wrlock(&u->lock);
    old = u->list;
    u->list = fresh;
    pthread_rwlock_unlock(&u->lock);
    list_free(&old);
    return 0;
}

void users_free(struct users *u)
{
    if (!u)
        return;
    list_free(&u->list);
    free(u->granted);
    pthread_rwlock_destroy(&u->lock);
    free(u->path);
    free(u);
}

bool users_check(struct users *u, const char *name, const char *password, size_t password_len, int64_t now_ms,
                 struct user_rights *ret)
{
    unsigned char given[SHA256_SIZE], none[SHA256_SIZE] = {0};
    const unsigned char *want = none;
    struct user_rights rights = {0};
    bool known = false;

    sha256(password, password_len, given);
    pthread_rwlock_rdlock(&u->lock);
    for (size_t i = 0; i < u->list.count; i++)
        if (strcmp(u->list.items[i].name, name) == 0) {
            want = u->list.items[i].sha256;
            rights = u->list.items[i].rights;
            known = true;
        }
    for (size_t i = 0; i < u->n_granted; i++)
        if (strcmp(u->granted[i].name, name) == 0 && now_ms < u->granted[i].until_ms) {
            want = u->granted[i].sha256;
            rights = (struct user_rights){.readonly = true};
            known = true;
        }
    bool right = bytes_equal(given, want, SHA256_SIZE) && known;
    pthread_rwlock_unlock(&u->lock);
    mem_wipe(given, sizeof(given));
    *ret = rights;
    return right;
}

/* ---- users for grants ---- */

static bool take_word(const char **at, const char *word)
{
    size_t len = strlen(word);
    if (strncmp(*at, word, len))
        return false;
    *at += len;
    return true;
}

static bool take_name(const char **at, char name[GRANTED_NAME_SIZE])
{
    char id[UUID_SIZE] = "";
    if (!take_word(at, "`" GRANTED) || strlen(*at) < UUID_SIZE)
        return false;
    memcpy(id, *at, UUID_SIZE - 1);
    *at += UUID_SIZE - 1;
    snprintf(name, GRANTED_NAME_SIZE, GRANTED "%s", id);
    return uuid_valid(id) && take_word(at, "`");
}

static bool take_created(const char *at, struct granted *ret)
{
    char hash[2 * SHA256_SIZE + 1] = "", until[CLOCK_ISO_SIZE] = "";
    if (!take_word(&at, "CREATE USER ") || !take_name(&at, ret->name) ||
        !take_word(&at, " IDENTIFIED WITH sha256_hash BY '") || strlen(at) < 2 * SHA256_SIZE)
        return false;
    memcpy(hash, at, 2 * SHA256_SIZE);
    at += 2 * SHA256_SIZE;
    if (hex_decode(hash, ret->sha256, SHA256_SIZE) < 0 || !take_word(&at, "' VALID UNTIL '"))
        return false;
    size_t n = strcspn(at, "'");
    if (n >= sizeof(until))
        return false;
    memcpy(until, at, n);
    at += n;
    return clock_iso_parse(until, &ret->until_ms) == 0 && !strcmp(at, "' SETTINGS PROFILE `ownhouse_gate`");
}

/* Under the lock. Those whose time is over go, too. */
static void forget_granted(struct users *u, const char *name, int64_t now_ms)
{
    for (size_t i = 0; i < u->n_granted;)
        if (!strcmp(u->granted[i].name, name) || now_ms >= u->granted[i].until_ms)
            u->granted[i] = u->granted[--u->n_granted];
        else
            i++;
}

int users_gate_statement(struct users *u, const char *text, size_t len, int64_t now_ms, struct err *err)
{
    autofree char *whole = mem_strndup(text, len);
    struct granted made = {0};
    const char *at = whole;
    bool create = !strncmp(whole, "CREATE USER ", 12);
    if (strlen(whole) != len || (create ? !take_created(whole, &made)
                                        : !take_word(&at, "DROP USER IF EXISTS ") || !take_name(&at, made.name) || *at))
        return err_set(err, -EACCES, "this user may only make and drop users for engineers' grants");
    int r = 0;
    pthread_rwlock_wrlock(&u->lock);
    forget_granted(u, made.name, now_ms);
    if (create && u->n_granted == USERS_GRANTED_MAX)
        r = err_set(err, -ENOSPC, "there are users for %d grants", USERS_GRANTED_MAX);
    else if (create)
        u->granted[u->n_granted++] = made;
    pthread_rwlock_unlock(&u->lock);
    return r;
}

bool users_backup_may(const char *text, size_t len, bool *ret_reads)
{
    static const char *const words[] = {"SELECT ", "BACKUP DATABASE ", "RESTORE ALL FROM File(",
                                        "RESTORE ALL FROM Disk(", "RESTORE TABLE "};
    static const char *const whole[] = {"CREATE DATABASE ownhouse_drill",
                                        "DROP DATABASE IF EXISTS ownhouse_drill SYNC"};
    *ret_reads = len >= 7 && !memcmp(text, words[0], 7);
    for (size_t i = 0; i < ARRAY_SIZE(words); i++)
        if (len >= strlen(words[i]) && !memcmp(text, words[i], strlen(words[i])))
            return true;
    for (size_t i = 0; i < ARRAY_SIZE(whole); i++)
        if (len == strlen(whole[i]) && !memcmp(text, whole[i], len))
            return true;
    return false;
}
