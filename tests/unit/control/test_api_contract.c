/* control/api/contract: requests against the very file that the server embeds. */
#include "../test.h"

#include "control/api/contract.h"

#define ORG "7c4fe651-0585-481f-be7e-3aa259264ae2"
#define SERVICES "/v1/organizations/" ORG "/services"

extern const char embedded_openapi[];
extern const size_t embedded_openapi_len;

static struct contract *contract;

static int load(void **state)
{
    struct err err = ERR_INIT;
    int r = contract_load(embedded_openapi, embedded_openapi_len, &contract, &err);
    if (r < 0)
        fprintf(stderr, "%s\n", err.message);
    return r;
}

static int unload(void **state)
{
    contract_free(contract);
    return 0;
}

/* What one request gives: 0 or the error of the first of the two steps that fails. */
static int ask(const char *method, const char *path, const char *type, const char *body, json_t **ret, struct err *err)
{
    autoarena struct arena *arena = arena_new();
    automatch struct contract_match m = {0};
    const struct contract_request q = {
        .method = method, .path = path, .content_type = type, .body = body, .body_len = body ? strlen(body) : 0};
    int r = contract_find(contract, method, path, arena, &m, err);
    if (r == 0)
        r = contract_check(contract, &q, &m, err);
    if (r == 0 && ret)
        *ret = json_incref(m.body);
    return r;
}

static void refused(const char *method, const char *path, const char *body, int code, const char *sentence)
{
    struct err err = ERR_INIT;
    int r = ask(method, path, "application/json", body, NULL, &err);
    if (r != code || strcmp(err.message, sentence))
        fail_msg("%s %s: %d %s", method, path, r, err.message);
}

static void paths_are_found(void **unused)
{
    autoarena struct arena *arena = arena_new();
    struct contract_match m;
    assert_int_equal(contract_find(contract, "GET", SERVICES, arena, &m, NULL), 0);
    assert_string_equal(m.operation->id, "instanceGetList");
    assert_string_equal(m.operation->permission, "control-plane:service:view");
    assert_string_equal(m.path[0], ORG);
    assert_int_equal(contract_find(contract, "GET", SERVICES "/", arena, &m, NULL), 0);
    assert_int_equal(
        contract_find(contract, "GET", "/v1/organizations/7C4FE651-0585-481F-BE7E-3AA259264AE2", arena, &m, NULL), 0);
    assert_string_equal(m.path[0], ORG); /* one spelling inside */
    assert_int_equal(contract_find(contract, "GET", "/openapi.json", arena, &m, NULL), 0);
    assert_true(m.operation->open);
}

static void other_paths_and_methods_are_not(void **unused)
{
    autoarena struct arena *arena = arena_new();
    autofree char *longer = mem_alloc(20000);
    struct contract_match m;
    static const char *const none[] = {"",
                                       "/",
                                       "/v1",
                                       "/v1//organizations",
                                       "//v1/organizations",
                                       "/v2/organizations",
                                       "/v1/organizations/" ORG "/postgres",
                                       "/v1/organizations/" ORG "/services/x/y/z",
                                       "v1/organizations/../organizations"};
    for (size_t i = 0; i < ARRAY_SIZE(none); i++)
        if (contract_find(contract, "GET", none[i], arena, &m, NULL) != -ENOENT)
            fail_msg("%s", none[i]);
    memset(longer, '/', 19999);
    assert_int_equal(contract_find(contract, "GET", longer, arena, &m, NULL), -ENOENT);
    assert_int_equal(contract_find(contract, "PUT", SERVICES, arena, &m, NULL), -EOPNOTSUPP);
    assert_string_equal(m.allow, "GET, POST");
    refused("GET", "/v1/organizations/not-a-uuid", NULL, -EINVAL, "organizationId: must be a UUID");
}

static void bodies_are_checked(void **unused)
{
    refused("POST", SERVICES, NULL, -EINVAL, "the body: is required, a JSON object");
    refused("POST", SERVICES, "[]", -EINVAL, "the body: must be an object");
    refused("POST", SERVICES, "{\"name\":\"a\",\"name\":\"b\"}", -EINVAL,
            "the body: JSON is malformed at line 1 column 18: duplicate object key near '\"name\"'");
    refused("POST", SERVICES, "{\"name\":\"a\",\"provider\":\"local\",\"region\":\"local\",\"nmae\":1}", -EINVAL,
            "nmae: unknown field");
    refused("POST", SERVICES, "{\"name\":\"a\",\"provider\":\"mars\",\"region\":\"local\"}", -EINVAL,
            "provider: must be one of aws, gcp, azure, local");
    refused("POST", SERVICES, "{\"name\":\"\",\"provider\":\"local\",\"region\":\"local\"}", -EINVAL,
            "name: must not be empty");
    refused("POST", SERVICES, "{\"name\":\"a\\n\",\"provider\":\"local\",\"region\":\"local\"}", -EINVAL,
            "name: must not be blank nor hold control characters");
    refused("POST", SERVICES, "{\"name\":\"a\",\"provider\":\"local\",\"region\":\"local\",\"minReplicaMemoryGb\":10}",
            -EINVAL, "minReplicaMemoryGb: must be a multiple of 4");
    refused("POST", SERVICES,
            "{\"name\":\"a\",\"provider\":\"local\",\"region\":\"local\",\"numReplicas\":2,\"minReplicas\":1,"
            "\"maxReplicas\":2}",
            -EINVAL, "minReplicas: must not be given together with numReplicas");
    refused("POST", SERVICES,
            "{\"name\":\"a\",\"provider\":\"local\",\"region\":\"local\",\"ipAccessList\":[{\"source\":\"10.0.0.0/8\"},"
            "{\"source\":\"10.0.0.0/33\"}]}",
            -EINVAL, "ipAccessList[1].source: must be an IP address, a network such as 10.0.0.0/8, or anywhere");
    refused("GET", SERVICES, "{\"a\":1}", -EINVAL, "the body: this operation takes none");
}

static void whole_numbers_become_integers(void **unused)
{
    autojson json_t *body = NULL;
    assert_int_equal(ask("POST", SERVICES, "application/json; charset=utf-8",
                         "{\"name\":\"a\",\"provider\":\"local\",\"region\":\"local\",\"minReplicaMemoryGb\":8.0,"
                         "\"maxReplicaMemoryGb\":1.6e1}",
                         &body, NULL),
                     0);
    assert_int_equal(json_integer_value(json_object_get(body, "minReplicaMemoryGb")), 8);
    assert_int_equal(json_integer_value(json_object_get(body, "maxReplicaMemoryGb")), 16);
}

static void size_and_type_have_their_own_errors(void **unused)
{
    autofree char *large = mem_alloc(CONTRACT_BODY_MAX + 2);
    struct err err = ERR_INIT;
    memset(large, ' ', CONTRACT_BODY_MAX + 1);
    assert_int_equal(ask("POST", SERVICES, "application/json", large, NULL, &err), -EMSGSIZE);
    assert_int_equal(ask("POST", SERVICES, "text/plain", "{}", NULL, &err), -EMEDIUMTYPE);
    assert_int_equal(ask("POST", SERVICES, NULL, "{}", NULL, &err), -EMEDIUMTYPE);
    assert_int_equal(ask("POST", SERVICES, "application/jsonx", "{}", NULL, &err), -EMEDIUMTYPE);
}

static int query(const char *path, const struct contract_pair *pairs, size_t n, json_t **ret, struct err *err)
{
    autoarena struct arena *arena = arena_new();
    automatch struct contract_match m = {0};
    const struct contract_request q = {.method = "GET", .path = path, .query = pairs, .n_query = n};
    assert_int_equal(contract_find(contract, "GET", path, arena, &m, NULL), 0);
    int r = contract_check(contract, &q, &m, err);
    if (r == 0)
        *ret = json_incref(m.query);
    return r;
}

static void queries_are_checked(void **unused)
{
    autojson json_t *v = NULL;
    struct err err = ERR_INIT;
    const struct contract_pair tags[] = {{"filter", "tag:env=prod"}, {"filter", "tag:team"}};
    const struct contract_pair bad[] = {{"filter", "env"}}, unknown[] = {{"page", "2"}};
    const struct contract_pair twice[] = {{"from_date", "2026-01-01T00:00:00Z"}, {"from_date", "2026-01-02T00:00:00Z"}};
    assert_int_equal(query(SERVICES, tags, 2, &v, NULL), 0);
    assert_int_equal(json_array_size(json_object_get(v, "filter")), 2);
    assert_int_equal(query(SERVICES, bad, 1, NULL, &err), -EINVAL);
    assert_string_equal(err.message, "filter: must be tag:KEY or tag:KEY=VALUE");
    assert_int_equal(query(SERVICES, unknown, 1, NULL, &err), -EINVAL);
    assert_string_equal(err.message, "page: unknown query parameter");
    assert_int_equal(query("/v1/organizations/" ORG "/activities", twice, 2, NULL, &err), -EINVAL);
    assert_string_equal(err.message, "from_date: is given too often");
}

static void answers_are_checked(void **unused)
{
    autoarena struct arena *arena = arena_new();
    struct contract_match m;
    struct err err = ERR_INIT;
    autojson json_t *good = json_pack("{s:i,s:s}", "status", 200, "requestId", ORG),
                    *bad = json_pack("{s:i}", "status", 200);
    assert_int_equal(contract_find(contract, "DELETE", SERVICES "/" ORG, arena, &m, NULL), 0);
    assert_int_equal(contract_check_answer(contract, m.operation, 200, good, NULL), 0);
    assert_int_equal(contract_check_answer(contract, m.operation, 200, bad, &err), -EINVAL);
    assert_string_equal(err.message, "requestId: is required");
    assert_int_equal(contract_check_answer(contract, m.operation, 418, good, &err), -EINVAL);
}

/* What anybody may ask for, on purpose: the description, and what signs somebody in. */
static bool is_open(const char *id)
{
    static const char *const all[] = {"openapiGet", "signInMethodsGet", "sessionCreate",   "oidcStart", "oidcFinish",
                                      "setUp",      "invitationLook",   "invitationAccept"};
    for (size_t i = 0; i < ARRAY_SIZE(all); i++)
        if (!strcmp(all[i], id))
            return true;
    return false;
}

static void every_operation_has_a_permission(void **unused)
{
    const struct contract_operation *op;
    for (size_t i = 0; (op = contract_operation_at(contract, i)); i++) {
        assert_int_equal(op->open, is_open(op->id));
        if (!op->open && strcmp(op->permission, "signed-in") != 0)
            assert_memory_equal(op->permission, "control-plane:", 14);
    }
}

static void broken_files_are_refused(void **unused)
{
    static const struct {
        const char *text, *needle;
    } all[] = {
        {"{", "malformed"},
        {"{}", "has no paths"},
        {"{\"paths\":{\"/a\":{\"get\":{\"operationId\":\"x\",\"responses\":{}}}}}", "x: has no x-permission"},
        {"{\"paths\":{\"/a/{b}\":{\"get\":{\"operationId\":\"x\",\"x-permission\":\"p\",\"responses\":{}}}}}",
         "x: b is not described"},
        {"{\"paths\":{\"/a\":{\"get\":{\"operationId\":\"x\",\"x-permission\":\"p\",\"parameters\":[{\"in\":\"cookie\","
         "\"name\":\"c\",\"schema\":{}}],\"responses\":{}}}}}",
         "parameter c is not one the server can check"},
    };
    for (size_t i = 0; i < ARRAY_SIZE(all); i++) {
        struct contract *c;
        struct err err = ERR_INIT;
        assert_int_equal(contract_load(all[i].text, strlen(all[i].text), &c, &err), -EINVAL);
        if (!strstr(err.message, all[i].needle))
            fail_msg("%s", err.message);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(paths_are_found),
        cmocka_unit_test(other_paths_and_methods_are_not),
        cmocka_unit_test(bodies_are_checked),
        cmocka_unit_test(whole_numbers_become_integers),
        cmocka_unit_test(size_and_type_have_their_own_errors),
        cmocka_unit_test(queries_are_checked),
        cmocka_unit_test(answers_are_checked),
        cmocka_unit_test(every_operation_has_a_permission),
        cmocka_unit_test(broken_files_are_refused),
    };
    return cmocka_run_group_tests(tests, load, unload);
}
