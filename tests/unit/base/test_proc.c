/* base/proc: running commands, naming processes. */
#include "../test.h"

#include "base/proc.h"

#include <signal.h>
#include <sys/wait.h>

static void output_and_input(void **state OH_UNUSED)
{
    autobuf struct buf out = BUF_INIT_MAX(KIB(64));
    assert_int_equal(proc_run((const char *const[]){"cat", NULL}, "hello", 5000, &out, NULL), 0);
    assert_string_equal(out.data, "hello");
}

static void failures_say_what_happened(void **state OH_UNUSED)
{
    struct err err = ERR_INIT;
    assert_int_equal(
        proc_run((const char *const[]){"sh", "-c", "echo no luck >&2; exit 3", NULL}, NULL, 5000, NULL, &err), -EIO);
    assert_string_equal(err.message, "sh failed with status 3: no luck");
    assert_int_equal(proc_run((const char *const[]){"ownhouse-no-such-program", NULL}, NULL, 5000, NULL, &err),
                     -ENOENT);
    assert_int_equal(proc_run((const char *const[]){"sleep", "60", NULL}, NULL, 100, NULL, &err), -ETIMEDOUT);
}

static void a_process_is_more_than_its_pid(void **state OH_UNUSED)
{
    struct proc_id id, wrong;
    pid_t pid = fork();
    if (pid == 0) {
        pause();
        _exit(0);
    }
    assert_int_equal(proc_identify(pid, &id), 0);
    assert_true(proc_alive(&id));
    wrong = id;
    wrong.start_ticks++;
    assert_false(proc_alive(&wrong));
    assert_int_equal(proc_kill(&wrong, SIGKILL), -ESRCH);
    assert_int_equal(proc_kill(&id, SIGKILL), 0);
    assert_int_equal(waitpid(pid, NULL, 0), pid);
    assert_false(proc_alive(&id));
}

int main(void)
{
    signal(SIGPIPE, SIG_IGN);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(output_and_input),
        cmocka_unit_test(failures_say_what_happened),
        cmocka_unit_test(a_process_is_more_than_its_pid),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
