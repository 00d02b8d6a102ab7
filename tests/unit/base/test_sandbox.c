/* base/sandbox: what a role gave up it cannot do any more. Each case runs in a child, since there is no way back. */
#include "../test.h"

#include "base/sandbox.h"

#include <netinet/in.h>
#include <pthread.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/socket.h>
#include <sys/wait.h>

enum { FINE = 0, SKIPPED = 77, WRONG = 1 };

/* Runs `body` in a child; its return is the child's exit status. */
static int in_child(int (*body)(const char *), const char *arg)
{
    int status = 0;
    pid_t pid = fork();
    if (pid == 0)
        _exit(body(arg));
    while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
        ;
    return WIFEXITED(status) ? WEXITSTATUS(status) : 255;
}

static void expect(int (*body)(const char *), const char *arg)
{
    int r = in_child(body, arg);
    if (r == SKIPPED) {
        print_message("not in force here\n");
        skip();
    }
    assert_int_equal(r, FINE);
}

static bool refused(long r, int code)
{
    return r < 0 && errno == code;
}

static int without_anything(const char *arg OH_UNUSED)
{
    struct sandbox_report report;
    if (sandbox_apply(&(struct sandbox_rules){0}, &report, NULL) < 0 || prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0) != 1)
        return WRONG;
    if (!report.seccomp)
        return SKIPPED;
    char *argv[] = {(char[]){"true"}, NULL};
    if (!refused(execve("/bin/true", argv, environ), EPERM) || !refused(fork(), EPERM) ||
        !refused(socket(AF_INET, SOCK_STREAM, 0), EPERM) || !refused(socket(AF_PACKET, SOCK_RAW, 0), EPERM) ||
        !refused(kill(getppid(), 0), EPERM) || !refused(ptrace(PTRACE_TRACEME, 0, 0, 0), EPERM))
        return WRONG;
    int unix_socket = socket(AF_UNIX, SOCK_STREAM, 0);
    if (unix_socket < 0 || !refused(listen(unix_socket, 1), EPERM) || kill(getpid(), 0) < 0)
        return WRONG;
    return FINE;
}

static void *nothing(void *arg)
{
    return arg;
}

static int with_what_was_asked(const char *arg OH_UNUSED)
{
    struct sandbox_report report;
    struct sandbox_rules rules = {.allow =
                                      SANDBOX_INET | SANDBOX_LISTEN | SANDBOX_EXEC | SANDBOX_SIGNAL | SANDBOX_THREADS};
    pthread_t thread;
    struct sockaddr_in any = {.sin_family = AF_INET};
    if (sandbox_apply(&rules, &report, NULL) < 0)
        return WRONG;
    int s = socket(AF_INET, SOCK_STREAM, 0);
    if (s < 0 || bind(s, (struct sockaddr *)&any, sizeof(any)) < 0 || listen(s, 1) < 0 || kill(getppid(), 0) < 0)
        return WRONG;
    if (pthread_create(&thread, NULL, nothing, NULL) || pthread_join(thread, NULL))
        return WRONG;
    pid_t pid = fork();
    if (pid == 0) {
        execl("/bin/true", "true", (char *)NULL);
        _exit(WRONG);
    }
    int status;
    return pid > 0 && waitpid(pid, &status, 0) == pid && status == 0 ? FINE : WRONG;
}

static int no_threads(const char *arg OH_UNUSED)
{
    struct sandbox_report report;
    pthread_t thread;
    if (sandbox_apply(&(struct sandbox_rules){.allow = SANDBOX_EXEC}, &report, NULL) < 0)
        return WRONG;
    if (!report.seccomp)
        return SKIPPED;
    return pthread_create(&thread, NULL, nothing, NULL) == EPERM ? FINE : WRONG;
}

static int files_outside(const char *dir)
{
    autofree char *in = mem_printf("%s/in", dir), *out = mem_printf("%s/out", dir),
                  *file = mem_printf("%s/in/file", dir), *secret = mem_printf("%s/out/secret", dir),
                  *made = mem_printf("%s/out/made", dir);
    const char *read[] = {NULL}, *write[] = {in, "/does/not/exist", NULL};
    struct sandbox_report report;
    if (fs_mkdirs(in, 0700, NULL) < 0 || fs_mkdirs(out, 0700, NULL) < 0 ||
        fs_write_atomic(secret, "s", 1, 0600, NULL) < 0)
        return WRONG;
    if (sandbox_apply(&(struct sandbox_rules){.read = read, .write = write}, &report, NULL) < 0)
        return WRONG;
    if (fs_write_atomic(file, "x", 1, 0600, NULL) < 0)
        return WRONG;
    if (!report.landlock)
        return SKIPPED;
    return refused(open(secret, O_RDONLY), EACCES) && refused(open(made, O_WRONLY | O_CREAT, 0600), EACCES) ? FINE
                                                                                                            : WRONG;
}

static void gives_up_all_that_is_not_named(void **state OH_UNUSED)
{
    expect(without_anything, NULL);
}

static void keeps_what_is_named(void **state OH_UNUSED)
{
    expect(with_what_was_asked, NULL);
}

static void threads_are_refused(void **state OH_UNUSED)
{
    expect(no_threads, NULL);
}

static void files_outside_are_refused(void **state)
{
    expect(files_outside, *state);
}

static void says_what_is_in_force(void **state OH_UNUSED)
{
    char text[64];
    sandbox_describe(&(struct sandbox_report){true, 3, true}, text);
    assert_string_equal(text, "no_new_privs landlock-3 seccomp");
    sandbox_describe(&(struct sandbox_report){true, 0, true}, text);
    assert_string_equal(text, "no_new_privs seccomp");
    sandbox_describe(&(struct sandbox_report){0}, text);
    assert_string_equal(text, "none");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(gives_up_all_that_is_not_named),
        cmocka_unit_test(keeps_what_is_named),
        cmocka_unit_test(threads_are_refused),
        cmocka_unit_test_setup_teardown(files_outside_are_refused, scratch_setup, scratch_teardown),
        cmocka_unit_test(says_what_is_in_force),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
