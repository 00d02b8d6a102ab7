/* agent/config: agent.conf, strict, and its folders. */
#include "../test.h"

#include "agent/config.h"

#include <sys/stat.h>

static int parse(const char *text, struct agent_config *c, struct err *err)
{
    *err = ERR_INIT;
    return agent_config_parse("agent.conf", text, strlen(text), c, err);
}

static void only_home_is_needed(void **state OH_UNUSED)
{
    struct agent_config c;
    struct err err;
    assert_int_equal(parse("home = /var/lib/ownhouse\n", &c, &err), 0);
    assert_string_equal(c.engine, "chdb");
    assert_int_equal(c.https_port, 8443);
    assert_string_equal(c.loopback_base, "127.64.0.0");
    autofree char *path = agent_path(&c, "state");
    assert_string_equal(path, "/var/lib/ownhouse/state");
    agent_config_free(&c);
    assert_int_equal(parse("name = x\n", &c, &err), -EINVAL);
    assert_non_null(strstr(err.message, "home"));
}

static void wrong_values_are_named(void **state OH_UNUSED)
{
    static const char *const bad[] = {
        "engine = postgres",
        "isolation = some",
        "public_address = localhost",
        "client_address = 1.2.3",
        "loopback_base = 10.0.0.0",
        "loopback_base = ::1",
        "bucket_dir = /a/../b",
        "log_level = loud",
        "gate_listen = 0.0.0.0:8443",
        "gate_listen = [::]:8443",
        "gate_listen = 8443",
        "gate_listen = gate.example:8443",
        "gate_listen = 100.64.0.7:0",
        "https_port = 0",
        "service_port_count = 1",
        "private_load_balancer = yes",
        "color = red",
        "home = /twice",
    };
    for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
        struct agent_config c;
        struct err err;
        char key[32];
        autofree char *text = mem_printf("home = /h\n%s\n", bad[i]);
        snprintf(key, sizeof(key), "%.*s", (int)strcspn(bad[i], " "), bad[i]);
        assert_int_equal(parse(text, &c, &err), -EINVAL);
        assert_non_null(strstr(err.message, "agent.conf"));
        assert_non_null(strstr(err.message, strcmp(key, "service_port_count") ? key : "service_port_base"));
    }
}

static void a_file_that_others_may_write_is_refused(void **state)
{
    autofree char *path = mem_printf("%s/agent.conf", (char *)*state);
    struct agent_config c;
    struct err err = ERR_INIT;
    assert_int_equal(fs_write_atomic(path, "home = /h\n", 10, 0640, NULL), 0);
    assert_int_equal(agent_config_load(path, &c, &err), 0);
    agent_config_free(&c);
    assert_int_equal(chmod(path, 0660), 0);
    assert_int_equal(agent_config_load(path, &c, &err), -EPERM);
    assert_non_null(strstr(err.message, "chmod go-w"));
}

static void a_home_that_others_may_write_is_refused(void **state)
{
    autofree char *home = mem_printf("%s/home", (char *)*state), *link = mem_printf("%s/link", home);
    struct agent_config c = {.home = home};
    struct err err = ERR_INIT;
    struct stat st;
    assert_int_equal(agent_config_prepare(&c, &err), 0);
    assert_int_equal(agent_config_prepare(&c, &err), 0);
    assert_int_equal(stat(link, &st), 0);
    assert_int_equal(st.st_mode & 0777, 0700);
    assert_int_equal(chmod(home, 0777), 0);
    assert_int_equal(agent_config_prepare(&c, &err), -EPERM);
    assert_non_null(strstr(err.message, "chmod 700"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(only_home_is_needed),
        cmocka_unit_test(wrong_values_are_named),
        cmocka_unit_test_setup_teardown(a_file_that_others_may_write_is_refused, scratch_setup, scratch_teardown),
        cmocka_unit_test_setup_teardown(a_home_that_others_may_write_is_refused, scratch_setup, scratch_teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
