/* control/identity/throttle: delays grow, and the rightful user gets through. */
#include "../test.h"

#include "control/identity/throttle.h"

#define SECOND 1000LL
#define HOUR (3600 * SECOND)

static struct clock_manual now;
static struct throttle *throttle;

static int setup(void **unused)
{
    clock_manual_init(&now, 1800000000000LL);
    throttle = throttle_new(&now.clock);
    return 0;
}

static int teardown(void **unused)
{
    throttle_free(throttle);
    return 0;
}

static int64_t try(const char *account, const char *address, const char *device)
{
    const struct throttle_attempt a = {account, address, device};
    return throttle_begin(throttle, &a);
}

static void succeed(const char *account, const char *address, const char *device)
{
    const struct throttle_attempt a = {account, address, device};
    throttle_succeeded(throttle, &a);
}

static void delays_double_up_to_a_quarter_of_an_hour(void **unused)
{
    for (int i = 0; i < 6; i++)
        assert_int_equal(try("a", "192.0.2.1", NULL), 0);
    for (int64_t wait = SECOND; wait < 900 * SECOND; wait *= 2) {
        assert_int_equal(try("a", "192.0.2.1", NULL), wait);
        clock_manual_advance(&now, wait - 1);
        assert_int_equal(try("a", "192.0.2.1", NULL), 1);
        clock_manual_advance(&now, 1);
        assert_int_equal(try("a", "192.0.2.1", NULL), 0);
    }
    assert_int_equal(try("a", "192.0.2.1", NULL), 900 * SECOND);
}

static void refused_attempts_are_not_counted(void **unused)
{
    for (int i = 0; i < 6; i++)
        assert_int_equal(try("a", "192.0.2.1", NULL), 0);
    for (int i = 0; i < 100; i++)
        assert_int_equal(try("a", "192.0.2.1", NULL), SECOND);
    clock_manual_advance(&now, SECOND);
    assert_int_equal(try("a", "192.0.2.1", NULL), 0);
    assert_int_equal(try("a", "192.0.2.1", NULL), 2 * SECOND);
}

static void another_address_is_not_held_up(void **unused)
{
    while (try("a", "192.0.2.1", NULL) == 0)
        ;
    assert_int_equal(try("a", "198.51.100.1", NULL), 0);
    assert_int_equal(try("b", "192.0.2.1", NULL), 0);
}

static void a_success_forgets_the_pair_but_not_the_address(void **unused)
{
    for (int i = 0; i < 6; i++)
        assert_int_equal(try("a", "192.0.2.1", NULL), 0);
    clock_manual_advance(&now, SECOND);
    assert_int_equal(try("a", "192.0.2.1", NULL), 0);
    succeed("a", "192.0.2.1", NULL);
    for (int i = 0; i < 6; i++)
        assert_int_equal(try("a", "192.0.2.1", NULL), 0);
    /* With an account of their own a guesser at others does not come off: 12 are counted on the address by now. */
    for (int i = 0; i < 9; i++) {
        char other[8] = {(char)('b' + i)};
        assert_int_equal(try(other, "192.0.2.1", NULL), 0);
    }
    assert_true(try("z", "192.0.2.1", NULL) > 0);
}

/* Twenty people of one office with authenticators, each asked for a code first. */
static void being_asked_for_a_code_is_no_failure_of_the_address(void **unused)
{
    for (int i = 0; i < 60; i++) {
        char account[8];
        snprintf(account, sizeof(account), "a%d", i);
        const struct throttle_attempt a = {account, "192.0.2.1", NULL};
        assert_int_equal(throttle_begin(throttle, &a), 0);
        throttle_code_asked(throttle, &a);
        assert_int_equal(throttle_begin(throttle, &a), 0);
        throttle_succeeded(throttle, &a);
    }
    /* But it forgives no wrong code: the sixth attempt of any kind is the last that is free. */
    const struct throttle_attempt a = {"guessed", "192.0.2.1", NULL};
    for (int i = 0; i < 6; i++) {
        assert_int_equal(throttle_begin(throttle, &a), 0);
        if (i % 2)
            throttle_code_asked(throttle, &a);
    }
    assert_true(throttle_begin(throttle, &a) > 0);
}

static void a_restart_gives_an_address_no_fresh_budget(void **unused)
{
    for (int i = 0; i < 24; i++)
        throttle_recall(throttle, "192.0.2.1", (24 - i) * SECOND);
    /* The 24th was one second ago; after four above what is free one waits eight. */
    assert_int_equal(try("any", "192.0.2.1", NULL), 7 * SECOND);
    assert_int_equal(try("any", "198.51.100.1", NULL), 0);
    for (int i = 0; i < 24; i++)
        throttle_recall(throttle, "192.0.2.7", 2 * HOUR);
    assert_int_equal(try("any", "192.0.2.7", NULL), 0);
}

static void a_whole_ipv6_network_is_one_address(void **unused)
{
    for (int i = 0; i < 21; i++) {
        char address[64], account[8];
        snprintf(address, sizeof(address), "2001:db8:0:1::%x", (unsigned)i + 1);
        snprintf(account, sizeof(account), "a%d", i);
        assert_int_equal(try(account, address, NULL), 0);
    }
    assert_true(try("new", "2001:db8:0:1:ffff::1", NULL) > 0);
    assert_int_equal(try("new", "2001:db8:0:2::1", NULL), 0);
}

/* Ten thousand addresses guess at one account: a browser that signed in before notices nothing, and a new one waits for
 * seconds, not for ever. */
static void many_guessers_do_not_lock_the_owner_out(void **unused)
{
    int let_in = 0;
    for (int i = 0; i < 10000; i++) {
        char address[64];
        snprintf(address, sizeof(address), "10.%d.%d.1", i / 256, i % 256);
        let_in += try("owner", address, NULL) == 0;
        clock_manual_advance(&now, 10);
    }
    assert_true(let_in >= 50 && let_in < 50 + 100 * SECOND / (4 * SECOND) + 10);
    assert_int_equal(try("owner", "192.0.2.1", "device"), 0);
    succeed("owner", "192.0.2.1", "device");
    int64_t wait = try("owner", "192.0.2.1", NULL);
    assert_true(wait <= 4 * SECOND);
    clock_manual_advance(&now, wait);
    assert_int_equal(try("owner", "192.0.2.1", NULL), 0);
}

static void a_known_browser_is_bounded_too(void **unused)
{
    for (int i = 0; i < 11; i++)
        assert_int_equal(try("a", "192.0.2.1", "device"), 0);
    assert_true(try("a", "192.0.2.1", "device") > 0);
    assert_int_equal(try("b", "192.0.2.1", "device"), 0);
}

static void counters_start_anew_after_an_hour(void **unused)
{
    for (int i = 0; i < 6; i++)
        assert_int_equal(try("a", "192.0.2.1", NULL), 0);
    clock_manual_advance(&now, HOUR + SECOND);
    for (int i = 0; i < 6; i++)
        assert_int_equal(try("a", "192.0.2.1", NULL), 0);
    assert_int_equal(try("a", "192.0.2.1", NULL), SECOND);
}

static void tokens_are_counted_by_address_alone(void **unused)
{
    for (int i = 0; i < 21; i++)
        assert_int_equal(try(NULL, "192.0.2.1", NULL), 0);
    assert_true(try(NULL, "192.0.2.1", NULL) > 0);
    assert_int_equal(try(NULL, "192.0.2.2", NULL), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(delays_double_up_to_a_quarter_of_an_hour, setup, teardown),
        cmocka_unit_test_setup_teardown(refused_attempts_are_not_counted, setup, teardown),
        cmocka_unit_test_setup_teardown(another_address_is_not_held_up, setup, teardown),
        cmocka_unit_test_setup_teardown(a_success_forgets_the_pair_but_not_the_address, setup, teardown),
        cmocka_unit_test_setup_teardown(being_asked_for_a_code_is_no_failure_of_the_address, setup, teardown),
        cmocka_unit_test_setup_teardown(a_restart_gives_an_address_no_fresh_budget, setup, teardown),
        cmocka_unit_test_setup_teardown(a_whole_ipv6_network_is_one_address, setup, teardown),
        cmocka_unit_test_setup_teardown(many_guessers_do_not_lock_the_owner_out, setup, teardown),
        cmocka_unit_test_setup_teardown(a_known_browser_is_bounded_too, setup, teardown),
        cmocka_unit_test_setup_teardown(counters_start_anew_after_an_hour, setup, teardown),
        cmocka_unit_test_setup_teardown(tokens_are_counted_by_address_alone, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
