/* agent/operator/sleep and traffic: who sleeps when, by a clock that is handed in, and the ingress's counters. */
#include "../test.h"

#include "agent/operator/sleep.h"
#include "agent/operator/traffic.h"
#include "base/fs.h"

#define MINUTE INT64_C(60000)

static const struct sleep_facts quiet = {.known = true, .fresh = true, .serves = true};

static struct sleep_rules open_rules(void **state, char **ret_path)
{
    struct sleep_rules r;
    *ret_path = mem_printf("%s/idle.json", (char *)*state);
    sleep_open(&r, *ret_path);
    return r;
}

static enum sleep_verdict judge(struct sleep_rules *r, const struct desired_service *s, struct sleep_facts f,
                                int64_t now)
{
    int64_t again = INT64_MAX;
    return sleep_judge(r, s, &f, now, &again);
}

static void after_its_time_out(void **state)
{
    autofree char *path = NULL;
    struct desired_service s = {.id = "one", .state = DESIRED_RUNNING, .idle_minutes = 5};
    struct sleep_rules r = open_rules(state, &path);
    int64_t again = INT64_MAX;
    assert_false(sleep_judge(&r, &s, &quiet, 1000, &again));
    assert_int_equal(again, 1000 + 5 * MINUTE);
    assert_false(judge(&r, &s, quiet, 1000 + 5 * MINUTE - 1));
    /* A query begins it anew; one that was refused, or a health check, is none and is not told here. */
    struct sleep_facts queried = quiet;
    queried.queried = true;
    assert_false(judge(&r, &s, queried, 5 * MINUTE));
    assert_false(judge(&r, &s, quiet, 10 * MINUTE - 1));
    assert_true(judge(&r, &s, quiet, 10 * MINUTE));
    assert_true(judge(&r, &s, quiet, 1000 * MINUTE)); /* and stays so */
    sleep_close(&r);
}

static void not_while_it_is_used_or_unknown(void **state)
{
    autofree char *path = NULL;
    struct desired_service s = {.id = "one", .state = DESIRED_RUNNING, .idle_minutes = 5};
    struct sleep_rules r = open_rules(state, &path);
    struct sleep_facts f = quiet;
    assert_false(judge(&r, &s, quiet, 0));
    f.busy = true; /* merges: let end, and then at once */
    assert_false(judge(&r, &s, f, 60 * MINUTE));
    f = quiet;
    f.fresh = false; /* what was read before may be over */
    assert_false(judge(&r, &s, f, 60 * MINUTE));
    f = quiet;
    f.known = false;
    assert_false(judge(&r, &s, f, 60 * MINUTE));
    assert_true(judge(&r, &s, quiet, 60 * MINUTE)); /* a look that failed is no query */
    sleep_close(&r);
    /* One that does not serve has not had its time yet. */
    (void)!remove(path);
    sleep_open(&r, path);
    f = quiet;
    f.serves = false;
    assert_false(judge(&r, &s, f, 60 * MINUTE));
    assert_false(judge(&r, &s, quiet, 65 * MINUTE - 1));
    assert_true(judge(&r, &s, quiet, 65 * MINUTE));
    sleep_close(&r);
}

static void put_to_sleep(struct sleep_rules *r, const struct desired_service *s)
{
    (void)judge(r, s, quiet, 0);
    assert_true(judge(r, s, quiet, s->idle_minutes * MINUTE));
}

static void what_wakes_it(void **state)
{
    autofree char *path = NULL;
    struct desired_service s = {.id = "one", .state = DESIRED_RUNNING, .idle_minutes = 5};
    struct sleep_rules r = open_rules(state, &path);
    struct sleep_facts f = quiet;
    put_to_sleep(&r, &s);
    f.waited = true;
    assert_false(judge(&r, &s, f, 5 * MINUTE));
    assert_false(judge(&r, &s, quiet, 10 * MINUTE - 1)); /* a whole time-out from there on */
    assert_true(judge(&r, &s, quiet, 10 * MINUTE));
    s.awake_asked_ms = 77;
    assert_false(judge(&r, &s, quiet, 11 * MINUTE));
    assert_true(judge(&r, &s, quiet, 16 * MINUTE)); /* carried out once */
    s.awake_asked_ms = 78;
    assert_false(judge(&r, &s, quiet, 17 * MINUTE));
    assert_true(judge(&r, &s, quiet, 22 * MINUTE));
    s.idle_minutes = 0;
    assert_false(judge(&r, &s, quiet, 23 * MINUTE));
    s.idle_minutes = 5;
    assert_false(judge(&r, &s, quiet, 24 * MINUTE));
    assert_true(judge(&r, &s, quiet, 29 * MINUTE));
    s.state = DESIRED_STOPPED; /* stopped is stopped; started again it is awake */
    assert_false(judge(&r, &s, quiet, 30 * MINUTE));
    s.state = DESIRED_RUNNING;
    assert_false(judge(&r, &s, quiet, 31 * MINUTE));
    sleep_close(&r);
}

/* Who connects between its last minute of sleep and its engine's first answer is held, also by an agent begun anew. */
static void one_that_may_sleep_no_more_is_held_for_until_it_serves(void **state)
{
    autofree char *path = NULL;
    struct desired_service s = {.id = "one", .state = DESIRED_RUNNING, .idle_minutes = 5};
    struct desired d = {.services = &s, .n_services = 1};
    struct sleep_rules r = open_rules(state, &path);
    struct sleep_facts down = quiet;
    down.serves = false;
    put_to_sleep(&r, &s);
    s.idle_minutes = 0;
    assert_int_equal(judge(&r, &s, down, 6 * MINUTE), SLEEP_RISING);
    assert_int_equal(sleep_keep(&r, &d, NULL), 0);
    sleep_close(&r);
    sleep_open(&r, path);
    assert_int_equal(judge(&r, &s, down, 7 * MINUTE), SLEEP_RISING);
    assert_int_equal(judge(&r, &s, quiet, 8 * MINUTE), SLEEP_AWAKE);
    assert_int_equal(judge(&r, &s, down, 9 * MINUTE), SLEEP_AWAKE); /* it served: it fails as any other */
    s.idle_minutes = 5;
    put_to_sleep(&r, &s);
    s.idle_minutes = 0;
    s.state = DESIRED_STOPPED;
    assert_int_equal(judge(&r, &s, down, 6 * MINUTE), SLEEP_AWAKE);
    s.state = DESIRED_RUNNING;
    assert_int_equal(judge(&r, &s, down, 7 * MINUTE), SLEEP_AWAKE); /* it was stopped: nobody waits for it */
    sleep_close(&r);
}

static void who_sleeps_is_remembered(void **state)
{
    autofree char *path = NULL;
    struct desired_service two[] = {{.id = "one", .state = DESIRED_RUNNING, .idle_minutes = 5, .awake_asked_ms = 9},
                                    {.id = "two", .state = DESIRED_RUNNING, .idle_minutes = 50}};
    struct desired d = {.services = two, .n_services = 2};
    struct sleep_rules r = open_rules(state, &path);
    put_to_sleep(&r, &two[0]);
    assert_false(judge(&r, &two[1], quiet, 5 * MINUTE));
    assert_int_equal(sleep_keep(&r, &d, NULL), 0);
    sleep_close(&r);
    sleep_open(&r, path); /* the machine's clock began anew */
    assert_true(judge(&r, &two[0], quiet, 3));
    assert_false(judge(&r, &two[1], quiet, 3));
    assert_false(judge(&r, &two[1], quiet, 50 * MINUTE));
    assert_true(judge(&r, &two[1], quiet, 3 + 50 * MINUTE));
    d.n_services = 1;
    assert_int_equal(sleep_keep(&r, &d, NULL), 0);
    assert_null(json_object_get(r.services, "two"));
    sleep_close(&r);
    /* A file that is none: everybody is awake. */
    assert_int_equal(fs_write_atomic(path, "[", 1, 0600, NULL), 0);
    sleep_open(&r, path);
    assert_false(judge(&r, &two[0], quiet, 3));
    sleep_close(&r);
}

#define HEAD "# pxname,svname,qcur,qmax,scur,smax,slim,stot,bin,bout,dreq,dresp,\n"

static void counters_of_the_ingress(void **unused)
{
    char text[] = HEAD "https,FRONTEND,,,1,2,4000,6,1261,3058,0,0,\n"
                       "service-a,r0,0,0,1,1,,6,1000,3000,,0,\n"
                       "service-a,activator,0,0,0,1,,1,10,20,,0,\n"
                       "service-a,BACKEND,0,0,0,1,1,900,9000,9000,,0,\n"
                       "native-a,r0,0,0,4,4,,2,100,200,,0,\n"
                       "service-b,r0,0,0,0,0,,0,0,0,,0,\n"
                       "short,line\n\n";
    char other[] = "<html>", nothing[] = "";
    autojson json_t *into = json_object(), *wanted = json_pack("{s:[i,i],s:[i,i]}", "a", 4006 + 31 + 302, 1, "b", 0, 0);
    assert_int_equal(traffic_parse(text, into), 0);
    assert_true(json_equal(into, wanted));
    assert_int_equal(traffic_parse(other, into), -EINVAL);
    assert_int_equal(traffic_parse(nothing, into), -EINVAL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(after_its_time_out, scratch_setup, scratch_teardown),
        cmocka_unit_test_setup_teardown(not_while_it_is_used_or_unknown, scratch_setup, scratch_teardown),
        cmocka_unit_test_setup_teardown(what_wakes_it, scratch_setup, scratch_teardown),
        cmocka_unit_test_setup_teardown(one_that_may_sleep_no_more_is_held_for_until_it_serves, scratch_setup,
                                        scratch_teardown),
        cmocka_unit_test_setup_teardown(who_sleeps_is_remembered, scratch_setup, scratch_teardown),
        cmocka_unit_test(counters_of_the_ingress),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
