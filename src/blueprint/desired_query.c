/* Reads who may send queries by HTTP to a service, out of the desired document. */
#include "blueprint/desired.h"

#include "base/mem.h"
#include "blueprint/names.h"

#define PLACE_SIZE 160

static int bad(struct err *err, const char *place, const char *key, const char *rule)
{
    return err_set(err, -EINVAL, "%s.%s: %s", place, key, rule);
}

static int hash_of(const json_t *o, const char *place, const char *key, struct arena *a, const char **ret,
                   struct err *err)
{
    const char *text = NULL;
    int r = js_string(o, place, key, 64, &text, err);
    if (r < 0)
        return r;
    if (strlen(text) != 64 || strspn(text, "0123456789abcdef") != 64)
        return bad(err, place, key, "must be 64 lower-case hex digits");
    *ret = arena_strdup(a, text);
    return 0;
}

/* What passes needs no quoting in JSON, HAProxy or a log. */
static bool origin_valid(const char *s)
{
    return *s && strlen(s) <= DESIRED_ORIGIN_MAX &&
           !s[strspn(s, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-._~:/*[]")];
}

static int texts(const json_t *o, const char *place, const char *key, size_t max, bool (*valid)(const char *s),
                 const char *rule, struct arena *a, const char ***ret, size_t *ret_n, struct err *err)
{
    json_t *list = NULL;
    int r = js_array(o, place, key, max, &list, err);
    if (r < 0)
        return r;
    *ret = arena_alloc(a, (json_array_size(list) + 1) * sizeof(**ret));
    for (size_t i = 0; i < json_array_size(list); i++) {
        const char *text = json_string_value(json_array_get(list, i));
        if (!text || !valid(text))
            return err_set(err, -EINVAL, "%s.%s[%zu]: %s", place, key, i, rule);
        (*ret)[i] = arena_strdup(a, text);
        *ret_n = i + 1;
    }
    return 0;
}

static int parse_key(const json_t *o, const char *place, struct arena *a, struct desired_query_key *k, struct err *err)
{
    static const char *const known[] = {"id", "idSha256", "sha256", "expiresMs", "ipAccessList", NULL};
    const char *id = NULL;
    int r = json_is_object(o) ? js_only(o, place, known, err) : err_set(err, -EINVAL, "%s: must be an object", place);
    if (r < 0 || (r = js_string(o, place, "id", UUID_SIZE - 1, &id, err)) < 0 ||
        (r = hash_of(o, place, "idSha256", a, &k->id_sha256, err)) < 0 ||
        (r = hash_of(o, place, "sha256", a, &k->sha256, err)) < 0 ||
        (r = js_int_opt(o, place, "expiresMs", 1, INT64_C(1) << 53, &k->expires_ms, err)) < 0)
        return r;
    if (!uuid_valid(id))
        return bad(err, place, "id", "must be a UUID");
    k->id = arena_strdup(a, id);
    return texts(o, place, "ipAccessList", DESIRED_MAX_NETWORKS, names_network_valid,
                 "must be an IPv4 or IPv6 address or network in CIDR form", a, &k->networks, &k->n_networks, err);
}

static int parse_keys(const json_t *o, const char *place, struct arena *a, struct desired_query_endpoint *e,
                      struct err *err)
{
    json_t *list = NULL;
    int r = js_array(o, place, "keys", DESIRED_MAX_QUERY_KEYS, &list, err);
    if (r < 0)
        return r;
    e->keys = arena_alloc(a, (json_array_size(list) + 1) * sizeof(*e->keys));
    for (size_t i = 0; i < json_array_size(list); i++) {
        char at[PLACE_SIZE];
        snprintf(at, sizeof(at), "%s.keys[%zu]", place, i);
        e->keys[i] = (struct desired_query_key){0};
        if ((r = parse_key(json_array_get(list, i), at, a, &e->keys[i], err)) < 0)
            return r;
        e->n_keys = i + 1;
    }
    return 0;
}

int desired_query_parse(const json_t *o, const char *place, struct arena *a, struct desired_query_endpoint **ret,
                        struct err *err)
{
    static const char *const known[] = {"readonly", "origins", "keys", NULL};
    struct desired_query_endpoint *e = arena_alloc(a, sizeof(*e));
    char at[PLACE_SIZE];
    snprintf(at, sizeof(at), "%s.queryEndpoint", place);
    *e = (struct desired_query_endpoint){0};
    int r = json_is_object(o) ? js_only(o, at, known, err) : err_set(err, -EINVAL, "%s: must be an object", at);
    if (r < 0)
        return r;
    if (!json_is_boolean(json_object_get(o, "readonly")))
        return bad(err, at, "readonly", "must be true or false");
    e->readonly = json_is_true(json_object_get(o, "readonly"));
    r = texts(o, at, "origins", DESIRED_MAX_ORIGINS, origin_valid,
              "must be * or an origin such as https://app.example.org", a, &e->origins, &e->n_origins, err);
    if (r == 0)
        r = parse_keys(o, at, a, e, err);
    if (r < 0)
        return r;
    *ret = e;
    return 0;
}
