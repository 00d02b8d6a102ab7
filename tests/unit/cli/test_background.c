/* cli/background: detached programs, lock files, orderly and forced stops. */
#include "../test.h"

#include "cli/background.h"

#include <signal.h>
#include <sys/file.h>
#include <sys/wait.h>

static void wait_for(const char *path)
{
    for (int i = 0; i < 200 && !fs_exists(path); i++)
        usleep(10000);
    assert_true(fs_exists(path));
}

static void it_is_detached_and_logs(void **state)
{
    autofree char *log = mem_printf("%s/log", (char *)*state), *text = NULL;
    pid_t pid;
    const char *argv[] = {"/bin/sh", "-c",
                          "echo one; echo '{\"message\":\"cannot go\",\"error\":\"no way\"}' >&2; "
                          "readlink /proc/self/cwd >/dev/null; exit 3",
                          NULL};
    int status;
    assert_int_equal(background_start(argv, log, &pid, NULL), 0);
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_int_equal(WEXITSTATUS(status), 3);
    assert_int_equal(fs_read(log, 4096, &text, NULL, NULL), 0);
    assert_non_null(strstr(text, "one\n"));
    autofree char *last = background_last_words(log);
    assert_string_equal(last, "cannot go: no way");
    autofree char *none = background_last_words("/nonexistent/log");
    assert_string_equal(none, "");
}

static void it_has_a_session_of_its_own(void **state)
{
    autofree char *log = mem_printf("%s/log", (char *)*state);
    pid_t pid;
    assert_int_equal(background_start((const char *const[]){"/bin/sleep", "30", NULL}, log, &pid, NULL), 0);
    assert_int_equal(getsid(pid), pid);
    kill(pid, SIGKILL);
    waitpid(pid, NULL, 0);
}

/* A child that holds the lock and writes its pid, as our programs do; with `stubborn` it ignores SIGTERM. */
static pid_t hold(const char *lock, const char *ready, bool stubborn)
{
    pid_t pid = fork();
    if (pid)
        return pid;
    if (stubborn)
        signal(SIGTERM, SIG_IGN);
    int fd = open(lock, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    if (fd < 0 || flock(fd, LOCK_EX) < 0 || dprintf(fd, "%d\n", (int)getpid()) < 0)
        _exit(1);
    close(open(ready, O_CREAT | O_WRONLY, 0600));
    for (;;)
        pause();
}

static void only_a_held_lock_counts(void **state)
{
    autofree char *lock = mem_printf("%s/lock", (char *)*state), *ready = mem_printf("%s/ready", (char *)*state);
    struct proc_id id;
    bool killed = true;
    assert_int_equal(background_find(lock, &id), -ESRCH);
    pid_t pid = hold(lock, ready, false);
    wait_for(ready);
    assert_int_equal(background_find(lock, &id), 0);
    assert_int_equal(id.pid, pid);
    assert_int_equal(background_stop(&id, 5000, NULL, NULL, &killed, NULL), 0);
    assert_false(killed);
    waitpid(pid, NULL, 0);
    /* The file still names the pid, but nobody holds it. */
    assert_int_equal(background_find(lock, &id), -ESRCH);
}

static void waited(void *data)
{
    (*(int *)data)++;
}

static void who_does_not_listen_is_killed(void **state)
{
    autofree char *lock = mem_printf("%s/lock", (char *)*state), *ready = mem_printf("%s/ready", (char *)*state);
    struct proc_id id;
    bool killed = false;
    int waits = 0;
    pid_t pid = hold(lock, ready, true);
    wait_for(ready);
    assert_int_equal(background_find(lock, &id), 0);
    assert_int_equal(background_stop(&id, 300, waited, &waits, &killed, NULL), 0);
    assert_true(killed);
    assert_true(waits > 0);
    waitpid(pid, NULL, 0);
    assert_int_equal(background_stop(&id, 300, NULL, NULL, NULL, NULL), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(it_is_detached_and_logs, scratch_setup, scratch_teardown),
        cmocka_unit_test_setup_teardown(it_has_a_session_of_its_own, scratch_setup, scratch_teardown),
        cmocka_unit_test_setup_teardown(only_a_held_lock_counts, scratch_setup, scratch_teardown),
        cmocka_unit_test_setup_teardown(who_does_not_listen_is_killed, scratch_setup, scratch_teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
