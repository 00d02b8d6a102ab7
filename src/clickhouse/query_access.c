/* Says which API keys and which web pages may send queries. */
#include "clickhouse/query_access.h"

#include "base/fs.h"
#include "base/ip_list.h"
#include "base/mem.h"
#include "clickhouse/auth.h"
#include "clickhouse/users.h"

#include <pthread.h>
#include <strings.h>

#define KEYS_MAX 256
#define ORIGINS_MAX 256
#define NETWORKS_MAX 1000

struct query_access {
    char *path;
    pthread_rwlock_t lock;
    json_t *rules; /* checked; NULL: nobody may */
};

static int check_hash(const json_t *v, const char *place, const char *key, struct err *err)
{
    unsigned char scratch[SHA256_SIZE];
    const char *text = NULL;
    int r = js_string(v, place, key, 2 * SHA256_SIZE, &text, err);
    if (r == 0 && hex_decode(text, scratch, sizeof(scratch)) < 0)
        r = err_set(err, -EINVAL, "%s.%s: must be 64 hex digits", place, key);
    return r;
}

static int check_key(const json_t *v, size_t index, struct err *err)
{
    static const char *const fields[] = {"id", "id_sha256", "sha256", "expires_ms", "networks", NULL};
    const char *id = NULL;
    json_t *networks = NULL;
    int64_t expires = 0;
    char place[48];
    snprintf(place, sizeof(place), "queryEndpoint.keys[%zu]", index);
    int r = json_is_object(v) ? js_only(v, place, fields, err) : err_set(err, -EINVAL, "%s: must be an object", place);
    if (r == 0)
        r = js_string(v, place, "id", UUID_SIZE - 1, &id, err);
    if (r == 0 && !uuid_valid(id))
        r = err_set(err, -EINVAL, "%s.id: must be a UUID", place);
    if (r == 0)
        r = check_hash(v, place, "id_sha256", err);
    if (r == 0)
        r = check_hash(v, place, "sha256", err);
    if (r == 0)
        r = js_int(v, place, "expires_ms", 0, INT64_MAX, &expires, err);
    return r < 0 ? r : js_array(v, place, "networks", NETWORKS_MAX, &networks, err);
}

static int check_rules(const json_t *v, struct err *err)
{
    static const char *const fields[] = {"service", "readonly", "origins", "keys", NULL};
    const char *service = NULL;
    json_t *origins = NULL, *keys = NULL, *one;
    bool readonly;
    size_t i;
    int r = json_is_object(v) ? js_only(v, "queryEndpoint", fields, err)
                              : err_set(err, -EINVAL, "queryEndpoint: must be an object");
    if (r == 0)
        r = js_string(v, "queryEndpoint", "service", UUID_SIZE - 1, &service, err);
    if (r == 0 && !uuid_valid(service))
        r = err_set(err, -EINVAL, "queryEndpoint.service: must be a UUID");
    if (r == 0)
        r = js_bool_opt(v, "queryEndpoint", "readonly", &readonly, err);
    if (r == 0)
        r = js_array(v, "queryEndpoint", "origins", ORIGINS_MAX, &origins, err);
    if (r == 0)
        r = js_array(v, "queryEndpoint", "keys", KEYS_MAX, &keys, err);
    json_array_foreach(origins, i, one) if (r == 0 && !json_is_string(one)) r =
        err_set(err, -EINVAL, "queryEndpoint.origins[%zu]: must be a string", i);
    json_array_foreach(keys, i, one) if (r == 0) r = check_key(one, i, err);
    return r;
}

static int rules_load(const char *path, json_t **ret, struct err *err)
{
    autofree char *text = NULL;
    autojson json_t *root = NULL;
    size_t len;
    int r = fs_read(path, USERS_FILE_MAX, &text, &len, err);
    if (r == 0)
        r = js_parse(text, len, USERS_FILE_MAX, &root, err);
    json_t *rules = r == 0 ? json_object_get(root, "queryEndpoint") : NULL;
    if (rules)
        r = check_rules(rules, err);
    if (r < 0)
        return err_wrap(err, r, "users file %s", path);
    *ret = json_incref(rules);
    return 0;
}

int query_access_load(const char *path, struct query_access **ret, struct err *err)
{
    json_t *rules = NULL;
    int r = rules_load(path, &rules, err);
    if (r < 0)
        return r;
    struct query_access *a = mem_alloc(sizeof(*a));
    a->path = mem_strdup(path);
    a->rules = rules;
    pthread_rwlock_init(&a->lock, NULL);
    *ret = a;
    return 0;
}

int query_access_reload(struct query_access *a, struct err *err)
{
    json_t *fresh = NULL, *old;
    int r = rules_load(a->path, &fresh, err);
    if (r < 0)
        return r;
    pthread_rwlock_wrlock(&a->lock);
    old = a->rules;
    a->rules = fresh;
    pthread_rwlock_unlock(&a->lock);
    json_decref(old);
    return 0;
}

void query_access_free(struct query_access *a)
{
    if (!a)
        return;
    json_decref(a->rules);
    pthread_rwlock_destroy(&a->lock);
    free(a->path);
    free(a);
}

/* Reference counts are atomic in jansson, so that the rules can be looked at without the lock. */
static json_t *rules_now(struct query_access *a)
{
    pthread_rwlock_rdlock(&a->lock);
    json_t *rules = json_incref(a->rules);
    pthread_rwlock_unlock(&a->lock);
    return rules;
}

bool query_access_service(struct query_access *a, char ret_service[UUID_SIZE])
{
    autojson json_t *rules = rules_now(a);
    if (!rules)
        return false;
    snprintf(ret_service, UUID_SIZE, "%s", json_string_value(json_object_get(rules, "service")));
    return true;
}

static bool hash_is(const json_t *key, const char *field, const char given[65])
{
    return bytes_equal(json_string_value(json_object_get(key, field)), given, 64);
}

static int refuse(struct err *err)
{
    return err_set(err, -EACCES,
                   "the API key is missing, wrong, expired or not one of the query endpoint's; send its key id and "
                   "secret as HTTP Basic credentials");
}

static int admit(const json_t *rules, const json_t *key, int64_t now, const char *address, struct query_caller *ret,
                 struct err *err)
{
    int64_t expires = json_integer_value(json_object_get(key, "expires_ms"));
    if (expires && expires <= now)
        return refuse(err);
    if (!ip_list_holds(json_object_get(key, "networks"), address))
        return err_set(err, -EPERM, "the API key may not be used from the address %.64s; see its ipAccessList",
                       *address ? address : "of this client, which is not known");
    snprintf(ret->key, sizeof(ret->key), "%s", json_string_value(json_object_get(key, "id")));
    ret->readonly = json_is_true(json_object_get(rules, "readonly"));
    return 0;
}

int query_access_check(struct query_access *a, const struct clock *clock, const char *authorization,
                       const char *address, struct query_caller *ret, struct err *err)
{
    autojson json_t *rules = rules_now(a);
    char id[65], secret[65];
    const json_t *found = NULL, *key;
    size_t i;
    struct params *none = params_new();
    struct credentials c = {0};
    int r = authorization ? auth_credentials(authorization, NULL, NULL, none, &c, err) : -EACCES;
    params_free(none);
    if (r < 0) {
        auth_free(&c);
        return refuse(err);
    }
    sha256_hex(c.user, strlen(c.user), id);
    sha256_hex(c.password, c.password_len, secret);
    auth_free(&c);
    json_array_foreach(json_object_get(rules, "keys"), i, key)
    {
        bool same_id = hash_is(key, "id_sha256", id), same_secret = hash_is(key, "sha256", secret);
        if (same_id && same_secret)
            found = key;
    }
    return found ? admit(rules, found, clock_wall_ms(clock), address, ret, err) : refuse(err);
}

/* ---- origins ---- */

/* Splits [scheme://]host[:port]; the port without its colon, "" where there is none. */
static void split(const char *text, size_t *ret_scheme, const char **ret_host, size_t *ret_host_len,
                  const char **ret_port)
{
    const char *mark = strstr(text, "://"), *host = mark ? mark + 3 : text, *colon = strrchr(host, ':');
    *ret_scheme = mark ? (size_t)(mark - text) : 0;
    if (colon && strchr(colon, ']')) /* inside an IPv6 address */
        colon = NULL;
    *ret_host = host;
    *ret_host_len = colon ? (size_t)(colon - host) : strcspn(host, "/");
    *ret_port = colon ? colon + 1 : "";
}

bool query_origin_matches(const char *pattern, const char *origin)
{
    const char *host, *port, *their_host, *their_port;
    size_t scheme, len, their_scheme, their_len;
    if (!strcmp(pattern, "*"))
        return true;
    split(pattern, &scheme, &host, &len, &port);
    split(origin, &their_scheme, &their_host, &their_len, &their_port);
    if (!their_scheme || !their_len || !len)
        return false;
    if (scheme && (scheme != their_scheme || strncasecmp(pattern, origin, scheme)))
        return false;
    size_t digits = strcspn(port, "/");
    if ((scheme || digits) && (digits != strlen(their_port) || strncmp(port, their_port, digits)))
        return false;
    if (len > 2 && host[0] == '*' && host[1] == '.') /* sub-domains, not the domain itself */
        return their_len > len - 1 && !strncasecmp(their_host + their_len - (len - 1), host + 1, len - 1);
    return len == their_len && !strncasecmp(host, their_host, len);
}

bool query_access_origin(struct query_access *a, const char *origin)
{
    autojson json_t *rules = rules_now(a);
    const json_t *one;
    size_t i;
    json_array_foreach(json_object_get(rules, "origins"), i, one)
    {
        if (query_origin_matches(json_string_value(one), origin))
            return true;
    }
    return false;
}
