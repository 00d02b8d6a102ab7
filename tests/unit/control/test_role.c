/* How descriptors travel from the parent to a role, and the doorbell. */
#include "control/role.h"

#include "../test.h"
#include "control/parent.h"

#include <poll.h>
#include <sys/eventfd.h>

#define VARIABLE "OWNHOUSE_ROLE_FDS"

static struct role empty(void)
{
    struct role r = {.id = ROLE_CONTROLLER, .signer = -1, .outward = -1};
    for (int i = 0; i < ROLE_COUNT; i++)
        r.bell[i] = r.askers[i] = r.outward_askers[i] = -1;
    return r;
}

static void fds_come_back_each_in_its_place(void **state)
{
    struct role r = empty(), back = empty();
    struct err err = ERR_INIT;
    for (int i = 0; i < ROLE_COUNT; i++)
        r.bell[i] = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    r.signer = eventfd(0, EFD_CLOEXEC);
    r.askers[ROLE_LINK] = eventfd(0, EFD_CLOEXEC);
    autofree char *line = role_fds_export(&r);
    /* To be inherited over exec, and not beyond the role. */
    assert_int_equal(fcntl(r.bell[0], F_GETFD), 0);
    assert_int_equal(fcntl(r.signer, F_GETFD), 0);
    assert_int_equal(strncmp(line, VARIABLE "=", strlen(VARIABLE) + 1), 0);
    setenv(VARIABLE, line + strlen(VARIABLE) + 1, 1);
    back.signer = 77;
    back.askers[ROLE_API] = 77;
    if (role_fds_import(&back, &err) < 0)
        fail_msg("%s", err.message);
    assert_memory_equal(back.bell, r.bell, sizeof(r.bell));
    assert_memory_equal(back.askers, r.askers, sizeof(r.askers));
    assert_int_equal(back.signer, r.signer);
    assert_int_equal(back.askers[ROLE_API], -1);
    assert_int_equal(fcntl(r.bell[0], F_GETFD), FD_CLOEXEC);
    assert_int_equal(fcntl(r.askers[ROLE_LINK], F_GETFD), FD_CLOEXEC);
    assert_null(getenv(VARIABLE)); /* programs that a role starts do not see it */
    for (int i = 0; i < ROLE_COUNT; i++)
        close(r.bell[i]);
    close(r.signer);
    close(r.askers[ROLE_LINK]);
}

static void a_malformed_variable_is_refused(void **state)
{
#define SOME "-1,-1,-1,-1,-1,-1,-1,-1,-1,-1,-1,-1,-1,-1,-1,-1," /* all but the last */
    static const char *const bad[] = {"",
                                      "x",
                                      "3,4,5",
                                      "-1,-1,-1,-1,-1,-1,-1,-1,-1,-1,-1,-1,-1,-1,-1,-1", /* one short */
                                      SOME "-1,-1",                                      /* one too many */
                                      SOME "-1,",                                        /* a comma too many */
                                      SOME "-1 ",                                        /* and a blank */
                                      SOME "-2",                                         /* no descriptor */
                                      SOME "9999999",                                    /* nor this */
                                      SOME "",                                           /* an empty one */
                                      "-1;" SOME,                                        /* another separator */
                                      SOME "99999999999999999999"};
    struct role r = empty();
    struct err err = ERR_INIT;
    for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
        setenv(VARIABLE, bad[i], 1);
        if (role_fds_import(&r, &err) != -EINVAL)
            fail_msg("taken: %s", bad[i]);
        assert_non_null(strstr(err.message, VARIABLE));
    }
    setenv(VARIABLE, SOME "-1", 1);
    assert_int_equal(role_fds_import(&r, NULL), 0);
    assert_int_equal(role_fds_import(&r, &err), -EINVAL); /* it was removed: a second start has none */
    assert_non_null(strstr(err.message, "parent"));
}

static void a_bell_rings_only_whom_it_is_for(void **state)
{
    struct role r = empty();
    r.bell[ROLE_CONTROLLER] = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    r.bell[ROLE_LINK] = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    struct pollfd mine = {r.bell[ROLE_CONTROLLER], POLLIN, 0}, other = {r.bell[ROLE_LINK], POLLIN, 0};
    role_bell_clear(&r); /* of a silent bell: does not block */
    for (int i = 0; i < 3; i++)
        role_ring(&r, ROLE_CONTROLLER);
    assert_int_equal(poll(&mine, 1, 0), 1);
    assert_int_equal(poll(&other, 1, 0), 0);
    role_bell_clear(&r);
    assert_int_equal(poll(&mine, 1, 0), 0);
    role_ring(&r, ROLE_API); /* nobody there: nothing happens */
    close(r.bell[ROLE_CONTROLLER]);
    close(r.bell[ROLE_LINK]);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(fds_come_back_each_in_its_place),
        cmocka_unit_test(a_malformed_variable_is_refused),
        cmocka_unit_test(a_bell_rings_only_whom_it_is_for),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
