/* When the controller's workers want to be called again. */
#include "control/controller/workers.h"

#include "../test.h"
#include "base/log.h"

#include <poll.h>

#define INFRA "00000000-0000-4000-8000-000000000002"

/* A removed infrastructure is named no more; a controller that counted the time of its next pass all the same would
 * wake every 10 ms for ever. */
static void what_is_named_no_more_wakes_nobody(void **state)
{
    struct role role = {.config = {.state_dir = *state}};
    char *one[] = {(char *)(uintptr_t)INFRA, NULL}, *none[] = {NULL};
    struct workers *w = workers_new(&role, &clock_system);
    workers_schedule(w, one, true);
    struct pollfd fd = {workers_fd(w), POLLIN, 0};
    assert_int_equal(poll(&fd, 1, 10000), 1); /* the pass has ended: there is no store here */
    workers_schedule(w, none, false);
    usleep(1100000); /* longer than its first back-off */
    assert_int_equal(workers_wait_ms(w, 2000), 2000);
    /* Named again, it is due at once. */
    workers_schedule(w, one, false);
    assert_int_equal(poll(&fd, 1, 10000), 1);
    workers_stop(w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(what_is_named_no_more_wakes_nobody, scratch_setup, scratch_teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
