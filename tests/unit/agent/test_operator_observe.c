/* agent/operator/observe: the message, and its ceiling. */
#include "../test.h"

#include "agent/operator/asks.h"
#include "agent/operator/observe.h"

static const char *version_of(const char *workload, void *data OH_UNUSED)
{
    return !strcmp(workload, "clickhouse-id1-0") ? "26.5.1.1" : "";
}

static struct observe_input input(const struct reconcile_plan *plan, const struct runtime_status_list *observed)
{
    return (struct observe_input){.desired_version = 12,
                                  .program_version = "0.1.0",
                                  .isolation = "none",
                                  .ca_pem = "PEM",
                                  .plan = plan,
                                  .observed = observed,
                                  .version_of = version_of};
}

static void message_is_as_in_the_contract(void **state OH_UNUSED)
{
    struct reconcile_service services[] = {{"id1", SERVICE_RUNNING, 1, 1, 2, "embedded", "", ""},
                                           {"id2", SERVICE_FAILED, 0, 1, 3, "server", "n", "e"}};
    struct reconcile_plan plan = {.services = services, .n_services = 2};
    struct runtime_status status = {.name = "ingress", .state = RUNTIME_RUNNING, .restarts = 4, .error = "late"};
    struct runtime_status_list observed = {.items = &status, .n = 1};
    struct observe_input in = input(&plan, &observed);
    autojson json_t *v = observe_message(&in);
    autofree char *text = js_text(v);
    assert_string_equal(
        text, "{\"type\":\"observed\",\"desiredVersion\":12,\"version\":\"0.1.0\",\"isolation\":\"none\","
              "\"caCertificate\":\"PEM\",\"services\":["
              "{\"id\":\"id1\",\"state\":\"running\",\"engine\":\"embedded\",\"engineVersion\":\"26.5.1.1\","
              "\"readyReplicas\":1,\"replicas\":1,"
              "\"notice\":\"\",\"error\":\"\",\"restarts\":2},"
              "{\"id\":\"id2\",\"state\":\"failed\",\"engine\":\"server\",\"engineVersion\":\"\","
              "\"readyReplicas\":0,\"replicas\":1,"
              "\"notice\":\"n\",\"error\":\"e\",\"restarts\":3}],"
              "\"workloads\":[{\"name\":\"ingress\",\"state\":\"running\",\"restarts\":4,\"error\":\"late\"}]}");
}

static void before_the_first_document(void **state OH_UNUSED)
{
    struct observe_input in = input(NULL, NULL);
    in.desired_version = 0;
    autojson json_t *v = observe_message(&in);
    assert_int_equal(json_array_size(json_object_get(v, "services")), 0);
    assert_int_equal(json_array_size(json_object_get(v, "workloads")), 0);
}

static void the_largest_data_plane_fits_into_a_message(void **state OH_UNUSED)
{
    static struct reconcile_service services[DESIRED_MAX_SERVICES];
    static struct runtime_status statuses[DESIRED_MAX_SERVICES];
    static char error[256];
    memset(error, 'e', sizeof(error) - 1);
    for (size_t i = 0; i < DESIRED_MAX_SERVICES; i++) {
        services[i] = (struct reconcile_service){
            "11111111-1111-4111-8111-111111111111", SERVICE_DEGRADED, 1, 1, 99999, "embedded", error, error};
        statuses[i] = (struct runtime_status){.name = "clickhouse-11111111-1111-4111-8111-111111111111-0"};
    }
    struct reconcile_plan plan = {.services = services, .n_services = DESIRED_MAX_SERVICES};
    struct runtime_status_list observed = {.items = statuses, .n = DESIRED_MAX_SERVICES};
    struct observe_input in = input(&plan, &observed);
    autojson json_t *v = observe_message(&in);
    autofree char *text = js_text(v);
    assert_true(strlen(text) < MIB(1) - KIB(4));
    assert_int_equal(json_array_size(json_object_get(v, "services")), DESIRED_MAX_SERVICES);
}

static void versions_are_found_in_refusals(void **state OH_UNUSED)
{
    static const struct {
        const char *answer, *version;
    } cases[] = {
        {"Code: 516. DB::Exception: x: Authentication failed. (AUTHENTICATION_FAILED) (version 26.5.1.1)\n",
         "26.5.1.1"},
        {"Code: 516. DB::Exception: (version 1.2 lies) (version 24.8.4.13 (official build))\n", "24.8.4.13"},
        {"Ok.\n", NULL},
        {"", NULL},
        {"(version )", NULL},
        {"(version .1)", NULL},
        {"(version 1.2", NULL},
        {"(version 1<script>)", NULL},
        {"(version 11111111111111111111111111111111111111111111111111111111)", NULL},
    };
    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        char out[ASKS_TEXT_MAX] = "";
        assert_int_equal(asks_parse_version(cases[i].answer, "", out), cases[i].version != NULL);
        assert_string_equal(out, cases[i].version ? cases[i].version : "");
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(message_is_as_in_the_contract),
        cmocka_unit_test(before_the_first_document),
        cmocka_unit_test(the_largest_data_plane_fits_into_a_message),
        cmocka_unit_test(versions_are_found_in_refusals),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
