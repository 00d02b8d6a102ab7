/* The outward role in a process of its own: who may ask what, several at once, and what an asker hears when it is gone.
 */
#include "../test.h"

#include "base/clock.h"
#include "control/outward.h"
#include "control/role.h"

#include <pthread.h>
#include <signal.h>
#include <sys/socket.h>
#include <sys/wait.h>

static int api, controller;
static pid_t pid;

static int start(void **unused)
{
    static char empty[] = "", url[] = "smtp://127.0.0.1:1", from[] = "cloud@example.org",
                issuer[] = "https://127.0.0.1:1", client[] = "client";
    struct role r = {.id = ROLE_OUTWARD,
                     .config = {.smtp_url = url,
                                .smtp_user = empty,
                                .smtp_password_file = empty,
                                .smtp_from = from,
                                .smtp_ca_file = empty,
                                .oidc_issuer = issuer,
                                .oidc_client_id = client,
                                .oidc_client_secret_file = empty,
                                .oidc_ca_file = empty}};
    int a[2], c[2];
    sigset_t term, old;
    if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, a) < 0 ||
        socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, c) < 0)
        return -1;
    for (int i = 0; i < ROLE_COUNT; i++)
        r.bell[i] = r.askers[i] = r.outward_askers[i] = -1;
    r.outward_askers[ROLE_API] = a[1];
    r.outward_askers[ROLE_CONTROLLER] = c[1];
    api = a[0];
    controller = c[0];
    sigemptyset(&term);
    sigaddset(&term, SIGTERM);
    sigprocmask(SIG_BLOCK, &term, &old); /* a stop that comes before the role watches for it waits */
    pid = fork();
    if (pid == 0) {
        close(api);
        close(controller);
        _exit(role_outward_main(&r));
    }
    sigprocmask(SIG_SETMASK, &old, NULL);
    close(a[1]);
    close(c[1]);
    return pid < 0 ? -1 : 0;
}

static int stop(void **unused)
{
    int status;
    if (pid > 0) {
        kill(pid, SIGTERM);
        if (waitpid(pid, &status, 0) != pid || !WIFEXITED(status) || WEXITSTATUS(status))
            return -1;
    }
    close(api);
    close(controller);
    return 0;
}

static void each_role_may_ask_its_own(void **unused)
{
    struct err err = ERR_INIT;
    char *endpoint = NULL;
    json_t *claims = NULL;
    assert_int_equal(outward_oidc_start(controller, &endpoint, &err), -EPERM);
    assert_non_null(strstr(err.message, "controller"));
    assert_int_equal(outward_oidc_finish(controller, "c", "v", "n", &claims, NULL), -EPERM);
    /* Both may send mail; nobody listens at that port. */
    err = ERR_INIT;
    assert_int_equal(outward_mail(controller, "a@example.org", "s", "t", &err), -EIO);
    assert_non_null(strstr(err.message, "mail server"));
    assert_int_equal(outward_mail(api, "a@example.org", "s", "t", NULL), -EIO);
    assert_int_equal(outward_mail(api, "no address", "s", "t", NULL), -EINVAL);
    assert_true(outward_oidc_start(api, &endpoint, NULL) < 0);
    assert_null(endpoint);
    assert_null(claims);
}

static void where_there_is_none_nothing_is_asked(void **unused)
{
    assert_int_equal(outward_mail(-1, "a@example.org", "s", "t", NULL), -ENOENT);
}

static void rubbish_harms_nobody(void **unused)
{
    int fds[2];
    assert_int_equal(send(api, "no question", 11, 0), 11); /* without a descriptor: there is nobody to answer */
    assert_int_equal(send(api, "", 0, 0), 0);
    assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET, 0, fds), 0);
    for (int i = 0; i < 20; i++)
        assert_int_equal(outward_mail(api, "no address", "s", "t", NULL), -EINVAL);
    close(fds[0]);
    close(fds[1]);
}

static void *ask(void *data)
{
    *(int *)data = outward_mail(api, "no address", "s", "t", NULL);
    return NULL;
}

static void many_threads_ask_at_once(void **unused)
{
    pthread_t threads[16];
    int results[ARRAY_SIZE(threads)] = {0};
    for (size_t i = 0; i < ARRAY_SIZE(threads); i++)
        assert_int_equal(pthread_create(&threads[i], NULL, ask, &results[i]), 0);
    for (size_t i = 0; i < ARRAY_SIZE(threads); i++) {
        pthread_join(threads[i], NULL);
        assert_int_equal(results[i], -EINVAL);
    }
}

static void an_asker_hears_that_it_is_gone(void **unused)
{
    struct err err = ERR_INIT;
    int64_t began = clock_mono_ms(&clock_system);
    kill(pid, SIGKILL);
    waitpid(pid, NULL, 0);
    pid = 0;
    assert_true(outward_mail(api, "a@example.org", "s", "t", &err) < 0);
    assert_non_null(strstr(err.message, "outward role"));
    assert_true(clock_mono_ms(&clock_system) - began < OUTWARD_TIMEOUT_MS / 2);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(each_role_may_ask_its_own, start, stop),
        cmocka_unit_test(where_there_is_none_nothing_is_asked),
        cmocka_unit_test_setup_teardown(rubbish_harms_nobody, start, stop),
        cmocka_unit_test_setup_teardown(many_threads_ask_at_once, start, stop),
        cmocka_unit_test_setup_teardown(an_asker_hears_that_it_is_gone, start, stop),
    };
    signal(SIGPIPE, SIG_IGN);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
