/* Services: reading, changing, starting, stopping and deleting them. Creation: service_create.c. */
#include "base/buf.h"
#include "control/api/handlers.h"
#include "control/api/service_change.h"
#include "control/api/service_spec.h"
#include "control/api/service_view.h"
#include "control/api/view_cache.h"
#include "control/identity/access.h"
#include "control/identity/password.h"

#define LIST_QUERY                                              \
    "SELECT " SERVICE_VIEW_COLUMNS " FROM " SERVICE_VIEW_TABLES \
    " WHERE s.organization_id = $1 AND s.state <> 'terminated' ORDER BY s.created_at, s.id"

/* tag:KEY or tag:KEY=VALUE; the contract has checked the form. */
static bool has_tag(const json_t *service, const char *filter)
{
    const char *key = filter + strlen("tag:"), *equals = strchr(key, '=');
    size_t len = equals ? (size_t)(equals - key) : strlen(key);
    const json_t *tag;
    size_t i;
    json_array_foreach(json_object_get(service, "tags"), i, tag)
    {
        const char *name = json_string_value(json_object_get(tag, "key"));
        const char *value = json_string_value(json_object_get(tag, "value"));
        if (strlen(name) == len && !memcmp(name, key, len) && (!equals || !strcmp(value ? value : "", equals + 1)))
            return true;
    }
    return false;
}

static bool passes(const json_t *service, const json_t *filters)
{
    const json_t *one;
    size_t i;
    json_array_foreach(filters, i, one)
    {
        if (!has_tag(service, json_string_value(one)))
            return false;
    }
    return true;
}

int service_view_each(struct api_request *q, const json_t *filters, service_view_fn fn, void *data, struct err *err)
{
    autorows struct store_rows *rows = NULL;
    struct service_view_memo memo = {0};
    int r = store_query(q->store, LIST_QUERY, STORE_ARGS(store_text(q->who.organization)), &rows, err);
    while (r == 0 && (r = store_next(rows, err)) == 1) {
        autojson json_t *one = service_view(rows, &memo, q->now);
        if (passes(one, filters))
            fn(q, one, data);
        r = 0;
    }
    service_view_forget(&memo);
    return r;
}

static void append(struct api_request *q OH_UNUSED, json_t *one, void *list)
{
    json_array_append(list, one);
}

int service_view_list(struct api_request *q, const json_t *filters, json_t **ret, struct err *err)
{
    autojson json_t *list = json_array();
    int r = service_view_each(q, filters, append, list, err);
    if (r == 0)
        *ret = TAKE_PTR(list);
    return r;
}

static bool may_see(const struct api_request *q, const char *id)
{
    char resource[sizeof("instance/") + UUID_SIZE];
    snprintf(resource, sizeof(resource), "instance/%s", id);
    return access_allows(q->who.roles, q->who.policies, q->match.operation->permission, resource);
}

static void add_if_allowed(struct api_request *q, json_t *one, void *data OH_UNUSED)
{
    if (may_see(q, json_string_value(json_object_get(one, "id"))))
        api_list_add(q, one);
}

/* All that a view is made of but the time, which only a schedule looks at. */
static void inputs_of(struct store_rows *rows, struct buf *out)
{
    out->len = 0;
    for (int i = 0; i < SERVICE_VIEW_COLUMNS_COUNT; i++) {
        const char *text = store_column_text(rows, i);
        buf_add(out, text ? text : "", text ? strlen(text) + 1 : 1);
    }
}

static void add_row(struct api_request *q, struct store_rows *rows, struct service_view_memo *memo, struct buf *inputs)
{
    const char *id = store_column_text(rows, 0);
    if (!may_see(q, id))
        return;
    inputs_of(rows, inputs);
    struct buf *out = api_list_next(q);
    if (view_cache_get(q->api->views, id, inputs->data, inputs->len, out))
        return;
    autojson json_t *one = service_view(rows, memo, q->now);
    size_t begin = out->len;
    js_append(one, out);
    if (!json_object_get(one, "scalingSchedule"))
        view_cache_put(q->api->views, id, inputs->data, inputs->len, out->data + begin, out->len - begin);
}

static int list_all(struct api_request *q, struct err *err)
{
    autorows struct store_rows *rows = NULL;
    autobuf struct buf inputs = BUF_INIT;
    struct service_view_memo memo = {0};
    int r = store_query(q->store, LIST_QUERY, STORE_ARGS(store_text(q->who.organization)), &rows, err);
    while (r == 0 && (r = store_next(rows, err)) == 1) {
        add_row(q, rows, &memo, &inputs);
        r = 0;
    }
    service_view_forget(&memo);
    return r;
}

int service_list(struct api_request *q, struct err *err)
{
    const json_t *filters = json_object_get(q->match.query, "filter");
    api_list_begin(q);
    return filters ? service_view_each(q, filters, add_if_allowed, NULL, err) : list_all(q, err);
}

int service_get(struct api_request *q, struct err *err)
{
    return service_view_load(q, q->match.path[1], &q->result, err);
}

static int activities_of(struct api_request *q, const struct service_change *c, unsigned changed, bool renamed,
                         struct err *err)
{
    static const struct {
        unsigned flag;
        const char *type;
    } all[] = {
        {SPEC_IP_ACCESS_LIST, "service_update_ip_access_list"},
        {SPEC_PRIVATE_ENDPOINTS, "service_update_private_endpoints"},
        {SPEC_RELEASE_CHANNEL, "service_update_release_channel"},
        {SPEC_TAGS, "service_update_tags"},
        {SPEC_CORE_DUMPS, "service_update_core_dump"},
        {SPEC_ENDPOINTS, "service_update_endpoints"},
    };
    int r = renamed ? api_activity(q, "service_update_name", c->id, c->infrastructure, NULL, err) : 0;
    for (size_t i = 0; r == 0 && i < ARRAY_SIZE(all); i++)
        if (changed & all[i].flag)
            r = api_activity(q, all[i].type, c->id, c->infrastructure, NULL, err);
    return r;
}

int service_update(struct api_request *q, struct err *err)
{
    autochange struct service_change c = {0};
    unsigned changed = 0;
    const char *name = api_body_text(q, "name");
    int r = service_change_begin(q, &c, err);
    if (r == 0)
        r = service_spec_patch(q, c.spec, &changed);
    if (r < 0)
        return r;
    bool renamed = name && strcmp(name, c.name);
    if (renamed)
        c.name = name;
    if (changed || renamed)
        r = service_change_store(q, &c, err);
    if (r == 0)
        r = activities_of(q, &c, changed, renamed, err);
    return r < 0 ? r : service_view_load(q, c.id, &q->result, err);
}

/* Moves the service by a command, or refuses in the words of the lifecycle. */
static int command(struct api_request *q, struct service_change *c, enum service_cause cause, const char *activity,
                   struct err *err)
{
    struct err why = ERR_INIT;
    enum service_state next;
    if (lifecycle_next(c->state, cause, &next, &why) < 0)
        return api_refuse(q, 400, "command: %s", why.message);
    if (next == c->state)
        return 0;
    int r = store_exec(q->store,
                       "UPDATE service SET state = $2, want = $3, generation = generation + 1, updated_at = $4 "
                       "WHERE id = $1",
                       STORE_ARGS(store_text(c->id), store_text(service_state_names[next]),
                                  store_text(service_want_names[service_state_wants(next)]), store_int(q->now)),
                       NULL, err);
    return r < 0 ? r : api_activity(q, activity, c->id, c->infrastructure, NULL, err);
}

/* The data plane hears of it by a number that grows (services[].idle.awakeAsked, api/link.md). */
static int wake(struct api_request *q, struct service_change *c, enum service_cause cause, struct err *err)
{
    if (c->state != SERVICE_IDLE || (cause != COMMAND_AWAKE && cause != COMMAND_START))
        return 0;
    int64_t before = json_integer_value(json_object_get(c->spec, "awakeAskedMs"));
    json_object_set_new(c->spec, "awakeAskedMs", json_integer(MAX(q->now, before + 1)));
    return service_change_store(q, c, err);
}

int service_state(struct api_request *q, struct err *err)
{
    static const char *const activities[] = {"service_start", "service_stop", "service_awaken"};
    autochange struct service_change c = {0};
    enum service_cause cause;
    if (service_command_parse(api_body_text(q, "command"), &cause) < 0 || cause == COMMAND_DELETE)
        return api_refuse(q, 400, "command: must be start, stop or awake");
    int r = service_change_read(q, &c, err);
    if (r == 0)
        r = wake(q, &c, cause, err);
    if (r == 0)
        r = command(q, &c, cause, activities[cause], err);
    return r < 0 ? r : service_view_load(q, c.id, &q->result, err);
}

/* Where no agent has ever been enrolled nobody has heard of the service, and nobody would report it gone. */
static int forget_unseen(struct api_request *q, const struct service_change *c, struct err *err)
{
    int64_t agents = 0;
    int r = api_number(q, "SELECT count(*) FROM agent WHERE infrastructure_id = $1",
                       STORE_ARGS(store_text(c->infrastructure)), &agents, err);
    if (r < 0 || agents)
        return r;
    return store_exec(q->store, "DELETE FROM service WHERE id = $1", STORE_ARGS(store_text(c->id)), NULL, err);
}

int service_delete(struct api_request *q, struct err *err)
{
    autochange struct service_change c = {0};
    bool data = api_query_flag(q, "deleteData");
    int r = service_change_read(q, &c, err);
    if (r == 0)
        r = command(q, &c, COMMAND_DELETE, "service_delete", err);
    /* Data once given up may not be asked back; asking again with the flag gives them up. */
    if (r == 0 && data && !c.delete_data) {
        r = store_exec(q->store, "UPDATE service SET delete_data = 1, generation = generation + 1 WHERE id = $1",
                       STORE_ARGS(store_text(c.id)), NULL, err);
        if (r == 0 && service_state_wants(c.state) == WANT_DELETED)
            r = api_activity(q, "service_delete", c.id, c.infrastructure, "with its data", err);
    }
    return r < 0 ? r : forget_unseen(q, &c, err);
}

/* Only hashes came: nothing to answer. Otherwise a password is made, and shown this once. */
static int new_hashes(struct api_request *q, char sha256[65], char sha1[41])
{
    const char *hash = api_body_text(q, "newPasswordHash"), *double_sha1 = api_body_text(q, "newDoubleSha1Hash");
    autofree unsigned char *raw = NULL;
    size_t len;
    if (!hash) {
        char password[PASSWORD_GENERATED_SIZE];
        password_generate(password);
        password_clickhouse(password, sha256, sha1);
        q->result = json_pack("{s:s}", "password", password);
        mem_wipe(password, sizeof(password));
        return 0;
    }
    if (base64_decode(hash, SHA256_SIZE, &raw, &len) < 0 || len != SHA256_SIZE)
        return api_refuse(q, 400, "newPasswordHash: must be a SHA-256 hash (32 bytes) in base64");
    hex_encode(raw, SHA256_SIZE, sha256);
    unsigned char twice[20];
    sha1[0] = 0;
    if (double_sha1 && hex_decode(double_sha1, twice, sizeof(twice)) == 0)
        hex_encode(twice, sizeof(twice), sha1);
    q->result = json_object();
    return 0;
}

int service_password(struct api_request *q, struct err *err)
{
    autochange struct service_change c = {0};
    char sha256[65], sha1[41];
    int r = service_change_begin(q, &c, err);
    if (r == 0)
        r = new_hashes(q, sha256, sha1);
    if (r == 0)
        r = store_exec(q->store,
                       "UPDATE service SET password_sha256 = $2, password_double_sha1 = $3, "
                       "generation = generation + 1, updated_at = $4 WHERE id = $1",
                       STORE_ARGS(store_text(c.id), store_text(sha256), store_text(sha1), store_int(q->now)), NULL,
                       err);
    return r < 0 ? r : api_activity(q, "service_update_password", c.id, c.infrastructure, NULL, err);
}
