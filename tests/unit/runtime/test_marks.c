/* runtime/process/marks: whose a process is. */
#include "../test.h"

#include "runtime/process/marks.h"

#include <signal.h>
#include <sys/wait.h>

#define PLACE "11111111-2222-4333-8444-555555555555"

static struct proc_id start_marked(bool session, char *const envp[])
{
    struct proc_id id = {0};
    int ready[2];
    assert_int_equal(pipe2(ready, O_CLOEXEC), 0);
    pid_t pid = fork();
    if (pid == 0) {
        char *argv[] = {(char[]){"sleep"}, (char[]){"100"}, NULL};
        if (session)
            setsid();
        execve("/bin/sleep", argv, envp);
        _exit(127);
    }
    char byte;
    close(ready[1]);
    assert_int_equal(read(ready[0], &byte, 1), 0); /* closed by exec */
    close(ready[0]);
    assert_int_equal(proc_identify(pid, &id), 0);
    return id;
}

static void end(const struct proc_id *id)
{
    kill(id->pid, SIGKILL);
    waitpid(id->pid, NULL, 0);
}

static char *marks_of_a[] = {(char[]){"OWNHOUSE_PLACE=" PLACE}, (char[]){"OWNHOUSE_WORKLOAD=a"},
                             (char[]){"OWNHOUSE_START=77"}, NULL};
static char *no_marks[] = {(char[]){"X=OWNHOUSE_PLACE=" PLACE}, (char[]){"OWNHOUSE_WORKLOAD=a"}, NULL};

static void only_the_very_process_matches(void **state OH_UNUSED)
{
    struct proc_id id = start_marked(true, marks_of_a), wrong = id;
    assert_int_equal(marks_match(&id, PLACE, "a", "77"), MARK_YES);
    assert_int_equal(marks_match(&id, PLACE, "b", "77"), MARK_FOREIGN);
    assert_int_equal(marks_match(&id, PLACE, "a", "78"), MARK_FOREIGN);
    assert_int_equal(marks_match(&id, "other", "a", "77"), MARK_FOREIGN);
    wrong.start_ticks++;
    assert_int_equal(marks_match(&wrong, PLACE, "a", "77"), MARK_GONE);
    end(&id);
    assert_int_equal(marks_match(&id, PLACE, "a", "77"), MARK_GONE);
}

static void one_that_heads_no_session_is_no_leader(void **state OH_UNUSED)
{
    struct proc_id id = start_marked(false, marks_of_a);
    assert_int_equal(marks_match(&id, PLACE, "a", "77"), MARK_FOREIGN);
    end(&id);
}

static void a_scan_finds_the_marked_and_nobody_else(void **state OH_UNUSED)
{
    struct proc_id marked = start_marked(false, marks_of_a), plain = start_marked(true, no_marks);
    struct marks found = {0};
    assert_int_equal(marks_scan(PLACE, &found, NULL), 0);
    assert_int_equal(found.n, 1);
    assert_int_equal(found.items[0].id.pid, marked.pid);
    assert_string_equal(found.items[0].workload, "a");
    assert_string_equal(found.items[0].start, "77");
    marks_free(&found);
    end(&marked);
    end(&plain);
    assert_int_equal(marks_scan(PLACE, &found, NULL), 0);
    assert_int_equal(found.n, 0);
    marks_free(&found);
}

static void the_boot_has_a_name(void **state OH_UNUSED)
{
    char one[37], two[37];
    marks_boot(one);
    marks_boot(two);
    assert_int_equal(strlen(one), 36);
    assert_string_equal(one, two);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(only_the_very_process_matches),
        cmocka_unit_test(one_that_heads_no_session_is_no_leader),
        cmocka_unit_test(a_scan_finds_the_marked_and_nobody_else),
        cmocka_unit_test(the_boot_has_a_name),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
