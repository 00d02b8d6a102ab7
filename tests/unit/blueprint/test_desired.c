/* blueprint/desired: strict reading, errors that name the place, signatures. */
#include "../test.h"

#include "blueprint/desired.h"

#define ID1 "11111111-1111-4111-8111-111111111111"
#define ID2 "22222222-2222-4222-8222-222222222222"
#define INFRA "99999999-9999-4999-8999-999999999999"
#define HASH "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
#define SHA1 "be1bdec0aa74b4dcb079943e70528096cca985f8"

static const char document[] =
    "{\"domain\":\"laptop.ownhouse.localhost\",\"infrastructure\":\"" INFRA
    "\",\"issuedAt\":\"2026-11-22T12:00:00.000Z\","
    "\"services\":[{\"deleteData\":false,\"id\":\"" ID1 "\",\"ipAccessList\":[\"0.0.0.0/0\",\"::/0\"],\"memoryGb\":8,"
    "\"name\":\"Demo \\u00e9\",\"ordinal\":1,\"replicas\":1,\"slug\":\"demo\",\"state\":\"running\",\"users\":["
    "{\"doubleSha1\":\"" SHA1 "\",\"name\":\"default\",\"sha256\":\"" HASH "\"}]}],"
    "\"type\":\"ownhouse/desired\",\"v\":1,\"version\":12}";

static json_t *base(void)
{
    json_t *v = NULL;
    assert_int_equal(js_parse(document, strlen(document), KIB(64), &v, NULL), 0);
    return v;
}

static json_t *service(json_t *root, size_t i)
{
    return json_array_get(json_object_get(root, "services"), i);
}

static int parse(json_t *root, struct desired **ret, struct err *err)
{
    autofree char *text = js_text(root);
    return desired_parse(text, strlen(text), ret, err);
}

static void reads_every_field(void **state OH_UNUSED)
{
    autodesired struct desired *d = NULL;
    struct err err = ERR_INIT;
    if (desired_parse(document, strlen(document), &d, &err) < 0)
        fail_msg("%s", err.message);
    assert_string_equal(d->infrastructure, INFRA);
    assert_string_equal(d->domain, "laptop.ownhouse.localhost");
    assert_string_equal(d->issued_at, "2026-11-22T12:00:00.000Z");
    assert_int_equal(d->version, 12);
    assert_int_equal(d->n_services, 1);
    const struct desired_service *s = &d->services[0];
    assert_string_equal(s->id, ID1);
    assert_string_equal(s->name, "Demo \xc3\xa9");
    assert_string_equal(s->slug, "demo");
    assert_int_equal(s->ordinal, 1);
    assert_int_equal(s->state, DESIRED_RUNNING);
    assert_false(s->delete_data);
    assert_int_equal(s->replicas, 1);
    assert_int_equal(s->memory_bytes, INT64_C(8) << 30);
    assert_int_equal(s->n_users, 1);
    assert_string_equal(s->users[0].name, "default");
    assert_string_equal(s->users[0].sha256, HASH);
    assert_string_equal(s->users[0].double_sha1, SHA1);
    assert_int_equal(s->n_ip_access_list, 2);
    assert_string_equal(s->ip_access_list[1], "::/0");
}

#define QUERY_KEY \
    "{\"id\":\"" ID2 "\",\"idSha256\":\"" HASH "\",\"sha256\":\"" HASH "\",\"ipAccessList\":[\"10.0.0.0/8\"]}"

static void reads_query_endpoints(void **state OH_UNUSED)
{
    autojson json_t *root = base(), *endpoint = NULL;
    autodesired struct desired *d = NULL;
    struct err err = ERR_INIT;
    const char *text = "{\"readonly\":true,\"origins\":[\"*\",\"https://[::1]:3000\"],\"keys\":[" QUERY_KEY "]}";
    assert_int_equal(js_parse(text, strlen(text), KIB(4), &endpoint, NULL), 0);
    json_object_set(service(root, 0), "queryEndpoint", endpoint);
    if (parse(root, &d, &err) < 0)
        fail_msg("%s", err.message);
    const struct desired_query_endpoint *e = d->services[0].query_endpoint;
    assert_non_null(e);
    assert_true(e->readonly);
    assert_int_equal(e->n_origins, 2);
    assert_string_equal(e->origins[1], "https://[::1]:3000");
    assert_int_equal(e->n_keys, 1);
    assert_string_equal(e->keys[0].id, ID2);
    assert_string_equal(e->keys[0].sha256, HASH);
    assert_int_equal(e->keys[0].expires_ms, 0);
    assert_int_equal(e->keys[0].n_networks, 1);
}

/* Each line: which object, which field, the value put there (NULL: removed), and what the error must say. */
static const struct {
    char object; /* r root, s service 0, u its user */
    const char *key, *value, *error;
} wrong[] = {
    {'r', "type", "\"other\"", "type: must be ownhouse/desired"},
    {'r', "v", "2", "v: must be 1"},
    {'r', "version", "0", "version: must be between"},
    {'r', "version", "9007199254740992", "version: must be between"},
    {'r', "infrastructure", "\"x\"", "infrastructure: must be a lower-case UUID"},
    {'r', "issuedAt", "\"yesterday\"", "issuedAt: must be a time"},
    {'r', "domain", "\"a b\"", "domain: must be a DNS name"},
    {'r', "extra", "1", "extra: is not a known field"},
    {'r', "services", NULL, "services: is required"},
    {'r', "services", "[7]", "services[0]: must be an object"},
    {'s', "idle", "{}", "services[0].idle.minutes: is required"},
    {'s', "idle", "{\"minutes\":-1}", "services[0].idle.minutes: must be between"},
    {'s', "idle", "{\"minutes\":5,\"x\":1}", "services[0].idle.x"},
    {'s', "upgradeWindow", "{\"weekday\":7,\"startHourUtc\":0,\"duration\":6}",
     "services[0].upgradeWindow.weekday: must be between"},
    {'s', "upgradeWindow", "{\"weekday\":1,\"startHourUtc\":0}", "services[0].upgradeWindow.duration: is required"},
    {'s', "queryEndpoint", "1", "services[0].queryEndpoint: must be an object"},
    {'s', "queryEndpoint", "{\"origins\":[],\"keys\":[]}", "services[0].queryEndpoint.readonly: must be"},
    {'s', "queryEndpoint", "{\"readonly\":true,\"origins\":[\"a\\\"b\"],\"keys\":[]}",
     "services[0].queryEndpoint.origins[0]: must be"},
    {'s', "queryEndpoint", "{\"readonly\":true,\"origins\":[],\"keys\":[{}]}", "services[0].queryEndpoint.keys[0].id"},
    {'s', "queryEndpoint", "{\"readonly\":true,\"origins\":[],\"keys\":[],\"more\":1}",
     "services[0].queryEndpoint.more: is not a known field"},
    {'s', "id", "\"AAAAAAAA-1111-4111-8111-111111111111\"", "services[0].id: must be a lower-case UUID"},
    {'s', "slug", "\"De\"", "services[0].slug: must be a DNS label"},
    {'s', "slug", "\"a\\nb\"", "services[0].slug: must be a DNS label"},
    {'s', "name", "\"\"", "services[0].name: must be 1 to 256"},
    {'s', "name", "\"a\\nb\"", "services[0].name: must be 1 to 256"},
    {'s', "ordinal", "4096", "services[0].ordinal: must be between 1 and 4095"},
    {'s', "ordinal", "1.5", "services[0].ordinal: must be an integer"},
    {'s', "state", "\"paused\"", "services[0].state: must be running, stopped or deleted"},
    {'s', "deleteData", NULL, "services[0].deleteData: is required"},
    {'s', "deleteData", "true", "services[0].deleteData: may be true only"},
    {'s', "replicas", "0", "services[0].replicas: must be between"},
    {'s', "memoryGb", "0", "services[0].memoryGb: must be between"},
    {'s', "secret", "1", "services[0].secret: is not a known field"},
    {'s', "ipAccessList", "[\"1.2.3.4\",\"any\"]", "services[0].ipAccessList[1]: must be an IPv4 or IPv6"},
    {'s', "users", "[]", "services[0].users: must name one user"},
    {'s', "users", "{}", "services[0].users: must be an array"},
    {'s', "settings", "{\"a\":\"1\"}", "services[0].settings.a: is not a setting that this program knows"},
    {'s', "settings", "{\"max_threads\":4}", "services[0].settings.max_threads: must be a string"},
    {'s', "settings", "{\"max_threads\":\"0\"}", "services[0].settings.max_threads: must be 1 to"},
    {'s', "settings", "[]", "services[0].settings: must be an object"},
    {'u', "name", "\"ownhouse_operator\"", "services[0].users[0].name: must be letters"},
    {'u', "sha256", "\"ab\"", "services[0].users[0].sha256: must be 64"},
    {'u', "doubleSha1", "\"ab\"", "services[0].users[0].doubleSha1: must be 40"},
    {'u', "password", "\"x\"", "services[0].users[0].password: is not a known field"},
};

static void reads_backups_and_restores(void **state OH_UNUSED)
{
    static const char *const bad[][2] = {
        {"backup", "{\"periodHours\": 0}"},
        {"backup", "{\"retentionHours\": 1081}"},
        {"backup", "{\"startTime\": \"24:00\"}"},
        {"backup", "{\"startTime\": \"4:00\"}"},
        {"backup", "{\"where\": \"here\"}"},
        {"backup", "[]"},
        {"backupAsked", "\"x\""},
        {"restore", "{\"backup\": \"" ID1 "\"}"},
        {"restore", "{\"backup\": \"" ID1 "\", \"service\": \"../../etc\"}"},
    };
    autojson json_t *root = base();
    json_t *s = service(root, 0);
    struct err err = ERR_INIT;
    struct desired *d = NULL;
    assert_int_equal(parse(root, &d, &err), 0);
    assert_int_equal(d->services[0].backup.period_hours, 24);
    assert_int_equal(d->services[0].backup.start_minute, -1);
    assert_null(d->services[0].restore_backup);
    desired_free(d);
    json_object_set_new(s, "backup", json_pack("{si ss}", "retentionHours", 48, "startTime", "04:30"));
    json_object_set_new(s, "backupAsked", json_string(ID1));
    json_object_set_new(s, "restore", json_pack("{ss ss}", "backup", ID1, "service", ID1));
    assert_int_equal(parse(root, &d, &err), 0);
    assert_int_equal(d->services[0].backup.retention_hours, 48);
    assert_int_equal(d->services[0].backup.start_minute, 270);
    assert_string_equal(d->services[0].backup_asked, ID1);
    assert_string_equal(d->services[0].restore_service, ID1);
    desired_free(d);
    for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
        autojson json_t *other = base();
        json_object_set_new(service(other, 0), bad[i][0], json_loads(bad[i][1], JSON_DECODE_ANY, NULL));
        assert_int_equal(parse(other, &d, &err), -EINVAL);
        assert_non_null(strstr(err.message, bad[i][0]));
    }
}

static void errors_name_the_place(void **state OH_UNUSED)
{
    for (size_t i = 0; i < ARRAY_SIZE(wrong); i++) {
        autojson json_t *root = base();
        json_t *s = service(root, 0);
        json_t *o = wrong[i].object == 'r'   ? root
                    : wrong[i].object == 's' ? s
                                             : json_array_get(json_object_get(s, "users"), 0);
        if (wrong[i].value)
            json_object_set_new(o, wrong[i].key, json_loads(wrong[i].value, JSON_DECODE_ANY, NULL));
        else
            json_object_del(o, wrong[i].key);
        struct desired *d = NULL;
        struct err err = ERR_INIT;
        assert_int_equal(parse(root, &d, &err), -EINVAL);
        assert_null(d);
        if (strncmp(err.message, wrong[i].error, strlen(wrong[i].error)))
            fail_msg("%s = %s gave: %s", wrong[i].key, wrong[i].value ? wrong[i].value : "(none)", err.message);
    }
}

static void services_may_not_share_names(void **state OH_UNUSED)
{
    static const char *const keys[] = {"id", "slug", "ordinal"};
    for (size_t i = 0; i < ARRAY_SIZE(keys) + 1; i++) {
        autojson json_t *root = base();
        json_t *second = json_deep_copy(service(root, 0));
        json_object_set_new(second, "id", json_string(ID2));
        json_object_set_new(second, "slug", json_string("other"));
        json_object_set_new(second, "ordinal", json_integer(2));
        if (i < ARRAY_SIZE(keys))
            json_object_set(second, keys[i], json_object_get(service(root, 0), keys[i]));
        json_array_append_new(json_object_get(root, "services"), second);
        autodesired struct desired *d = NULL;
        struct err err = ERR_INIT;
        char expected[64];
        snprintf(expected, sizeof(expected), "services[1].%s: is already that of services[0]",
                 i < ARRAY_SIZE(keys) ? keys[i] : "");
        if (i == ARRAY_SIZE(keys)) {
            assert_int_equal(parse(root, &d, &err), 0);
            assert_int_equal(d->n_services, 2);
        } else {
            assert_int_equal(parse(root, &d, &err), -EINVAL);
            assert_string_equal(err.message, expected);
        }
    }
}

static void users_may_not_share_names(void **state OH_UNUSED)
{
    autojson json_t *root = base();
    json_t *users = json_object_get(service(root, 0), "users");
    json_array_append(users, json_array_get(users, 0));
    struct desired *d = NULL;
    struct err err = ERR_INIT;
    assert_int_equal(parse(root, &d, &err), -EINVAL);
    assert_string_equal(err.message, "services[0].users[1].name: is the name of another user of the service");
}

static void size_is_limited_before_memory_is_spent(void **state OH_UNUSED)
{
    size_t len = DESIRED_MAX_BYTES + 1;
    autofree char *text = mem_alloc(len);
    memset(text, ' ', len);
    struct desired *d = NULL;
    assert_int_equal(desired_parse(text, len, &d, NULL), -EMSGSIZE);
}

static void full_size_document_fits(void **state OH_UNUSED)
{
    autojson json_t *root = base();
    json_t *list = json_object_get(root, "services");
    for (int i = 2; i <= DESIRED_MAX_SERVICES; i++) {
        json_t *s = json_deep_copy(service(root, 0));
        char id[64], slug[32];
        snprintf(id, sizeof(id), "11111111-1111-4111-8111-%012d", i);
        snprintf(slug, sizeof(slug), "demo-%d", i);
        json_object_set_new(s, "id", json_string(id));
        json_object_set_new(s, "slug", json_string(slug));
        json_object_set_new(s, "ordinal", json_integer(i));
        json_array_append_new(list, s);
    }
    autodesired struct desired *d = NULL;
    struct err err = ERR_INIT;
    if (parse(root, &d, &err) < 0)
        fail_msg("%s", err.message);
    assert_int_equal(d->n_services, DESIRED_MAX_SERVICES);
}

static void statement_is_as_written_in_the_contract(void **state OH_UNUSED)
{
    autobuf struct buf out = BUF_INIT;
    desired_statement(INFRA, 12, "", 0, &out);
    assert_string_equal(out.data, "ownhouse-desired-v1\n" INFRA "\n12\n" HASH "\n");
}

static void only_the_exact_signature_is_valid(void **state OH_UNUSED)
{
    autokey struct signing_key *key = signing_key_new();
    unsigned char public[ED25519_PUBLIC_SIZE], signature[ED25519_SIGNATURE_SIZE];
    char hex[2 * ED25519_SIGNATURE_SIZE + 1];
    autobuf struct buf out = BUF_INIT;
    signing_key_public(key, public);
    desired_statement(INFRA, 12, document, strlen(document), &out);
    signing_key_sign(key, out.data, out.len, signature);
    hex_encode(signature, sizeof(signature), hex);
    assert_true(desired_signature_valid(public, INFRA, 12, document, strlen(document), hex));
    assert_false(desired_signature_valid(public, INFRA, 13, document, strlen(document), hex));
    assert_false(desired_signature_valid(public, ID1, 12, document, strlen(document), hex));
    assert_false(desired_signature_valid(public, INFRA, 12, document, strlen(document) - 1, hex));
    hex[5] = hex[5] == '0' ? '1' : '0';
    assert_false(desired_signature_valid(public, INFRA, 12, document, strlen(document), hex));
    hex[127] = '\0';
    assert_false(desired_signature_valid(public, INFRA, 12, document, strlen(document), hex));
    assert_false(desired_signature_valid(public, INFRA, 12, document, strlen(document), ""));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(reads_every_field),
        cmocka_unit_test(reads_query_endpoints),
        cmocka_unit_test(errors_name_the_place),
        cmocka_unit_test(reads_backups_and_restores),
        cmocka_unit_test(services_may_not_share_names),
        cmocka_unit_test(users_may_not_share_names),
        cmocka_unit_test(size_is_limited_before_memory_is_spent),
        cmocka_unit_test(full_size_document_fits),
        cmocka_unit_test(statement_is_as_written_in_the_contract),
        cmocka_unit_test(only_the_exact_signature_is_valid),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
