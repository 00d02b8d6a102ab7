/* cli/command: parsing by table, common options, exit codes. */
#include "../test.h"

#include "cli/command.h"

#include <fcntl.h>

static struct {
    int calls, arguments, result;
    char home[300], port[32], first[64];
    bool all, json;
    int64_t number;
} seen;

static int run(struct cli *c, struct err *err)
{
    const char *port = cli_option(c, "port");
    seen.calls++;
    seen.arguments = c->n_arguments;
    seen.json = c->json;
    seen.all = cli_option(c, "all") != NULL;
    snprintf(seen.home, sizeof(seen.home), "%s", c->home);
    snprintf(seen.port, sizeof(seen.port), "%s", port ? port : "none");
    snprintf(seen.first, sizeof(seen.first), "%s", c->n_arguments ? c->arguments[0] : "");
    seen.number = 7;
    int r = cli_option_int(c, "port", 1, 65535, &seen.number, err);
    return r < 0 ? r : seen.result ? err_set(err, seen.result, "it went wrong") : 0;
}

static const struct cli_option options[] = {
    {"port", 'p', "N", "a port"},
    {"all", 'a', NULL, "all of them"},
    {NULL},
};
static const struct cli_command below[] = {
    {.name = "do",
     .arguments = "NAME",
     .summary = "Does.",
     .min_arguments = 1,
     .max_arguments = 2,
     .options = options,
     .run = run},
    {NULL},
};
static const struct cli_command top[] = {
    {.name = "thing", .arguments = "", .summary = "Things.", .subcommands = below},
    {NULL},
};
static const struct cli_command root = {.name = "ownhouse", .arguments = "", .summary = "Root.", .subcommands = top};

/* Output of the frame itself is not what these tests look at. */
static int call(const char *const *words)
{
    char *argv[16] = {(char *)(uintptr_t) "ownhouse"};
    int argc = 1;
    for (; words[argc - 1]; argc++)
        argv[argc] = (char *)(uintptr_t)words[argc - 1];
    memset(&seen.home, 0, sizeof(seen.home));
    seen.calls = 0;
    fflush(stdout);
    fflush(stderr);
    int out = dup(1), error = dup(2), null = open("/dev/null", O_WRONLY);
    dup2(null, 1);
    dup2(null, 2);
    int status = cli_main(&root, argc, argv);
    fflush(stdout);
    fflush(stderr);
    dup2(out, 1);
    dup2(error, 2);
    close(out);
    close(error);
    close(null);
    return status;
}
#define CALL(...) call((const char *const[]){__VA_ARGS__, NULL})

static void options_may_stand_anywhere(void **state OH_UNUSED)
{
    seen.result = 0;
    assert_int_equal(CALL("--home", "/tmp/h/", "thing", "do", "-p", "80", "x", "--all", "--json"), CLI_OK);
    assert_int_equal(seen.calls, 1);
    assert_string_equal(seen.home, "/tmp/h");
    assert_string_equal(seen.port, "80");
    assert_int_equal(seen.number, 80);
    assert_string_equal(seen.first, "x");
    assert_true(seen.all);
    assert_true(seen.json);
    assert_int_equal(CALL("thing", "do", "--port=81", "x", "--", "--all"), CLI_OK);
    assert_int_equal(seen.arguments, 2);
    assert_int_equal(seen.number, 81);
    assert_false(seen.all);
    assert_false(seen.json);
}

static void home_comes_from_the_environment(void **state OH_UNUSED)
{
    setenv("XDG_DATA_HOME", "/data", 1);
    assert_int_equal(CALL("thing", "do", "x"), CLI_OK);
    assert_string_equal(seen.home, "/data/ownhouse");
    assert_int_equal(seen.number, 7);
    setenv("XDG_DATA_HOME", "relative/is/ignored", 1);
    setenv("HOME", "/home/someone", 1);
    assert_int_equal(CALL("thing", "do", "x"), CLI_OK);
    assert_string_equal(seen.home, "/home/someone/.local/share/ownhouse");
}

static void wrong_calls_are_usage_errors_and_run_nothing(void **state OH_UNUSED)
{
    assert_int_equal(CALL("nothing"), CLI_USAGE);
    assert_int_equal(CALL("thing"), CLI_USAGE);
    assert_int_equal(CALL("thing", "do"), CLI_USAGE);
    assert_int_equal(CALL("thing", "do", "a", "b", "c"), CLI_USAGE);
    assert_int_equal(CALL("thing", "do", "a", "--unknown"), CLI_USAGE);
    assert_int_equal(CALL("thing", "do", "a", "-z"), CLI_USAGE);
    assert_int_equal(CALL("thing", "do", "a", "--port"), CLI_USAGE);
    assert_int_equal(CALL("thing", "do", "a", "--all=yes"), CLI_USAGE);
    assert_int_equal(CALL("thing", "do", "a", "--home", ""), CLI_USAGE);
    assert_int_equal(seen.calls, 0);
    assert_int_equal(CALL("thing", "do", "a", "--port", "0"), CLI_USAGE);
    assert_int_equal(CALL("thing", "do", "a", "--port", "80x"), CLI_USAGE);
    assert_int_equal(CALL("thing", "do", "a", "--port", "99999999999999999999"), CLI_USAGE);
}

static void help_runs_nothing(void **state OH_UNUSED)
{
    assert_int_equal(CALL("--help"), CLI_OK);
    assert_int_equal(CALL("thing", "--help"), CLI_OK);
    assert_int_equal(CALL("thing", "do", "-h"), CLI_OK);
    assert_int_equal(seen.calls, 0);
}

static void errors_become_exit_codes(void **state OH_UNUSED)
{
    static const struct {
        int result, exit;
    } all[] = {
        {-EIO, CLI_FAILED},
        {-ENOENT, CLI_NOT_FOUND},
        {-EACCES, CLI_REFUSED},
        {-EPERM, CLI_REFUSED},
        {-ECONNREFUSED, CLI_UNREACHABLE},
        {-EHOSTUNREACH, CLI_UNREACHABLE},
        {-ETIMEDOUT, CLI_TIMED_OUT},
        {-EINVAL, CLI_FAILED},
        {-ECANCELED, CLI_REFUSED},
    };
    for (size_t i = 0; i < ARRAY_SIZE(all); i++) {
        seen.result = all[i].result;
        assert_int_equal(CALL("thing", "do", "x"), all[i].exit);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(options_may_stand_anywhere),
        cmocka_unit_test(home_comes_from_the_environment),
        cmocka_unit_test(wrong_calls_are_usage_errors_and_run_nothing),
        cmocka_unit_test(help_runs_nothing),
        cmocka_unit_test(errors_become_exit_codes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
