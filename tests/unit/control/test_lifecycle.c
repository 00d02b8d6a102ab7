/* control/lifecycle: every pair of state and cause, and that no path wedges. */
#include "../test.h"

#include "control/lifecycle.h"

static bool is_command(enum service_cause cause)
{
    return cause <= COMMAND_DELETE;
}

static enum service_state next(enum service_state state, enum service_cause cause)
{
    enum service_state to = state;
    assert_int_equal(lifecycle_next(state, cause, &to, NULL), 0);
    return to;
}

/* Reports are never refused and never change what is wanted. */
static void reports_keep_the_wish(void **unused)
{
    for (int s = 0; s < SERVICE_STATE_COUNT; s++)
        for (int c = REPORT_STARTING; c < SERVICE_CAUSE_COUNT; c++)
            assert_int_equal(service_state_wants(next((enum service_state)s, (enum service_cause)c)),
                             service_state_wants((enum service_state)s));
}

/* A command either is refused with a sentence and changes nothing, or the new state wants what it asked for. */
static void commands_do_what_they_say(void **unused)
{
    static const enum service_want wanted[] = {WANT_RUNNING, WANT_STOPPED, WANT_RUNNING, WANT_DELETED};
    for (int s = 0; s < SERVICE_STATE_COUNT; s++)
        for (int c = 0; is_command((enum service_cause)c); c++) {
            enum service_state to = SERVICE_STATE_COUNT;
            struct err err = ERR_INIT;
            if (lifecycle_next((enum service_state)s, (enum service_cause)c, &to, &err) < 0) {
                assert_int_equal(to, SERVICE_STATE_COUNT);
                assert_int_equal(err.code, -EINVAL);
                assert_non_null(strstr(err.message, service_state_names[s]));
            } else {
                assert_int_equal(service_state_wants(to), wanted[c]);
            }
        }
}

/* The same cause again changes nothing more: retries are harmless. */
static void everything_is_idempotent(void **unused)
{
    for (int s = 0; s < SERVICE_STATE_COUNT; s++)
        for (int c = 0; c < SERVICE_CAUSE_COUNT; c++) {
            enum service_state once, twice;
            if (lifecycle_next((enum service_state)s, (enum service_cause)c, &once, NULL) < 0)
                continue;
            /* A report of something down while it is wanted up shows as starting, whatever is said first. */
            twice = next(once, (enum service_cause)c);
            assert_int_equal(once, twice);
        }
}

/* Whatever happened before, once the wish stays and the agent reports its fulfilment, the state is the final one. */
static void every_state_converges(void **unused)
{
    for (int s = 0; s < SERVICE_STATE_COUNT; s++) {
        enum service_state state = (enum service_state)s;
        switch (service_state_wants(state)) {
        case WANT_RUNNING:
            assert_int_equal(next(state, REPORT_RUNNING), SERVICE_RUNNING);
            break;
        case WANT_STOPPED:
            assert_int_equal(next(state, REPORT_STOPPED), SERVICE_STOPPED);
            break;
        default:
            assert_true(next(state, REPORT_GONE) == SERVICE_TERMINATED ||
                        next(state, REPORT_GONE) == SERVICE_SOFTDELETED);
        }
    }
}

/* From everywhere but the end, delete leads to the end, whatever is reported on the way. */
static void delete_always_ends(void **unused)
{
    for (int s = 0; s < SERVICE_STATE_COUNT; s++) {
        if (s == SERVICE_TERMINATED)
            continue;
        enum service_state state = next((enum service_state)s, COMMAND_DELETE);
        assert_int_equal(state, SERVICE_TERMINATING);
        for (int c = REPORT_STARTING; c < REPORT_GONE; c++)
            assert_int_equal(next(state, (enum service_cause)c), SERVICE_TERMINATING);
        assert_int_equal(next(state, REPORT_GONE), SERVICE_TERMINATED);
    }
}

/* Stop during start, start during stop, delete during provisioning: with late reports of the old wish in between. */
static void commands_cross_reports(void **unused)
{
    enum service_state s = SERVICE_PROVISIONING;
    s = next(s, COMMAND_STOP);
    assert_int_equal(next(s, REPORT_STARTING), SERVICE_STOPPING);
    assert_int_equal(next(s, REPORT_RUNNING), SERVICE_STOPPING);
    s = next(s, COMMAND_START);
    assert_int_equal(next(s, REPORT_STOPPED), SERVICE_STARTING);
    s = next(next(s, REPORT_RUNNING), COMMAND_STOP);
    s = next(s, REPORT_STOPPED);
    assert_int_equal(s, SERVICE_STOPPED);
    assert_int_equal(next(s, REPORT_RUNNING), SERVICE_STOPPING);
    enum service_state none;
    struct err err = ERR_INIT;
    assert_int_equal(lifecycle_next(s, COMMAND_AWAKE, &none, &err), -EINVAL);
    assert_non_null(strstr(err.message, "use the command start"));
    assert_int_equal(lifecycle_next(SERVICE_TERMINATING, COMMAND_START, &none, &err), -EINVAL);
}

static void names_parse_back(void **unused)
{
    for (int i = 0; i < SERVICE_STATE_COUNT; i++) {
        enum service_state s;
        assert_int_equal(service_state_parse(service_state_names[i], &s), 0);
        assert_int_equal(s, i);
    }
    for (int i = 0; i < SERVICE_CAUSE_COUNT; i++) {
        enum service_cause c = SERVICE_CAUSE_COUNT;
        assert_int_equal((is_command((enum service_cause)i) ? service_command_parse
                                                            : service_report_parse)(service_cause_names[i], &c),
                         0);
        assert_int_equal(c, i);
    }
    enum service_cause c;
    assert_int_equal(service_command_parse("running", &c), -EINVAL);
    assert_int_equal(service_report_parse("start", &c), -EINVAL);
}

static void rows_are_moved_by_name(void **unused)
{
    assert_string_equal(lifecycle_observed("provisioning", "running", "running"), "running");
    assert_string_equal(lifecycle_observed("stopping", "stopped", "running"), "stopping");
    assert_string_equal(lifecycle_observed("running", "stopped", "stopped"), "stopped");
    assert_string_equal(lifecycle_observed("terminating", "running", "running"), "terminating");
    assert_string_equal(lifecycle_observed("running", "running", "nonsense"), "running");
    assert_string_equal(lifecycle_observed("nonsense", "running", "running"), "nonsense");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(reports_keep_the_wish),    cmocka_unit_test(commands_do_what_they_say),
        cmocka_unit_test(everything_is_idempotent), cmocka_unit_test(every_state_converges),
        cmocka_unit_test(delete_always_ends),       cmocka_unit_test(commands_cross_reports),
        cmocka_unit_test(names_parse_back),         cmocka_unit_test(rows_are_moved_by_name),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
