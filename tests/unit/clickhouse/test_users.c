/* clickhouse/users: the users file. */
#include "../test.h"

#include "clickhouse/users.h"

/* sha256("secret"), sha256("other") */
#define SECRET "2bb80d537b1da3e38bd30361aa855686bde0eacd7162fef6a25fe97bf527a25b"
#define OTHER "d9298a10d1b0735837dc4bd85dac641b0f3cef27a47e5d53a54f2f3f5b2fcffa"

static char *put(void **state, const char *text)
{
    char *path = mem_printf("%s/users.json", (char *)*state);
    assert_int_equal(fs_write_atomic(path, text, strlen(text), 0600, NULL), 0);
    return path;
}

static bool check(struct users *u, const char *name, const char *password, bool *readonly)
{
    struct user_rights rights;
    bool right = users_check(u, name, password, strlen(password), 0, &rights);
    *readonly = rights.readonly;
    return right;
}

static void checks_passwords(void **state)
{
    autofree char *path = put(state, "{\"users\":[{\"name\":\"default\",\"sha256\":\"" SECRET "\"},"
                                     "{\"name\":\"r\",\"sha256\":\"" OTHER "\",\"readonly\":true}]}");
    struct users *u;
    bool readonly;
    assert_int_equal(users_load(path, &u, NULL), 0);
    assert_true(check(u, "default", "secret", &readonly));
    assert_false(readonly);
    assert_true(check(u, "r", "other", &readonly));
    assert_true(readonly);
    assert_false(check(u, "default", "other", &readonly));
    assert_false(check(u, "default", "", &readonly));
    assert_false(check(u, "nobody", "secret", &readonly));
    assert_false(check(u, "", "", &readonly));
    users_free(u);
}

#define GRANT "ownhouse_grant_0a7b4c1e-5f0e-4a57-9c3b-2f0d9d1b6c11"
#define MADE(name, until)                                                                    \
    "CREATE USER `" name "` IDENTIFIED WITH sha256_hash BY '" SECRET "' VALID UNTIL '" until \
    "' SETTINGS PROFILE `ownhouse_gate`"
#define UNTIL "1970-01-01T00:01:00Z"

static int gate(struct users *u, const char *text, int64_t now_ms)
{
    return users_gate_statement(u, text, strlen(text), now_ms, NULL);
}

static bool let_in(struct users *u, const char *password, int64_t now_ms)
{
    struct user_rights rights = {0};
    bool right = users_check(u, GRANT, password, strlen(password), now_ms, &rights);
    assert_true(!right || (rights.readonly && !rights.gate_only));
    return right;
}

static void the_gate_makes_and_drops_users_for_grants(void **state)
{
    static const char *const others[] = {
        "SELECT 1",
        "",
        "KILL QUERY WHERE 1",
        MADE("ownhouse_grant_x", UNTIL),
        MADE("default", UNTIL),
        MADE(GRANT, "soon"),
        MADE(GRANT, UNTIL) " ",
        "CREATE USER `" GRANT "`",
        "CREATE USER OR REPLACE `" GRANT "`",
        "DROP USER IF EXISTS `default`",
        "DROP USER IF EXISTS `" GRANT "`, `default`",
    };
    autofree char *path =
        put(state, "{\"users\":[{\"name\":\"ownhouse_gate\",\"sha256\":\"" OTHER "\",\"duty\":\"gate\"}]}");
    struct users *u;
    struct user_rights rights;
    assert_int_equal(users_load(path, &u, NULL), 0);
    assert_true(users_check(u, "ownhouse_gate", "other", 5, 0, &rights));
    assert_true(rights.gate_only && !rights.backup_only);
    assert_false(let_in(u, "secret", 0));
    for (size_t i = 0; i < ARRAY_SIZE(others); i++)
        assert_int_equal(gate(u, others[i], 0), -EACCES);
    assert_int_equal(gate(u, MADE(GRANT, UNTIL), 0), 0);
    assert_int_equal(gate(u, MADE(GRANT, UNTIL), 0), 0);
    assert_true(let_in(u, "secret", 0));
    assert_false(let_in(u, "other", 0));
    assert_int_equal(users_reload(u, NULL), 0); /* the file's users alone are read anew */
    assert_true(let_in(u, "secret", 59999));
    assert_false(let_in(u, "secret", 60000));
    assert_int_equal(gate(u, "DROP USER IF EXISTS `" GRANT "`", 0), 0);
    assert_false(let_in(u, "secret", 0));
    assert_int_equal(gate(u, "DROP USER IF EXISTS `" GRANT "`", 0), 0);
    users_free(u);
}

static void users_for_grants_are_bounded(void **state)
{
    autofree char *path = put(state, "{\"users\":[{\"name\":\"g\",\"sha256\":\"" OTHER "\",\"duty\":\"gate\"}]}");
    struct users *u;
    assert_int_equal(users_load(path, &u, NULL), 0);
    for (int i = 0; i <= USERS_GRANTED_MAX; i++) {
        autofree char *sql =
            mem_printf("CREATE USER `ownhouse_grant_0a7b4c1e-5f0e-4a57-9c3b-%012d` IDENTIFIED WITH "
                       "sha256_hash BY '" SECRET "' VALID UNTIL '" UNTIL "' SETTINGS PROFILE `ownhouse_gate`",
                       i);
        assert_int_equal(gate(u, sql, 0), i < USERS_GRANTED_MAX ? 0 : -ENOSPC);
    }
    assert_int_equal(gate(u, MADE(GRANT, "1970-01-01T00:05:00Z"), 60000), 0); /* those whose time is over make room */
    users_free(u);
}

static void a_duty_is_a_list_of_statements(void **state)
{
    static const char *const may[] = {"SELECT 1",
                                      "BACKUP DATABASE `a` TO File('/x')",
                                      "RESTORE ALL FROM File('/x')",
                                      "RESTORE TABLE a.b AS ownhouse_drill.t0 FROM File('/x')",
                                      "CREATE DATABASE ownhouse_drill",
                                      "DROP DATABASE IF EXISTS ownhouse_drill SYNC"};
    static const char *const may_not[] = {"DROP DATABASE default",
                                          "INSERT INTO t VALUES (1)",
                                          "",
                                          "SELECT",
                                          "DROP DATABASE IF EXISTS ownhouse_drill SYNC, x",
                                          "BACKUP ALL TO File('/x')",
                                          " SELECT 1",
                                          "CREATE DATABASE ownhouse_drill2"};
    autofree char *path = put(state, "{\"users\":[{\"name\":\"b\",\"sha256\":\"" SECRET "\",\"duty\":\"backup\"},"
                                     "{\"name\":\"c\",\"sha256\":\"" OTHER "\"}]}");
    struct users *u;
    struct user_rights rights;
    bool reads;
    assert_int_equal(users_load(path, &u, NULL), 0);
    assert_true(users_check(u, "b", "secret", 6, 0, &rights));
    assert_true(rights.backup_only);
    assert_true(users_check(u, "c", "other", 5, 0, &rights));
    assert_false(rights.backup_only);
    for (size_t i = 0; i < ARRAY_SIZE(may); i++) {
        assert_true(users_backup_may(may[i], strlen(may[i]), &reads));
        assert_int_equal(reads, i == 0);
    }
    for (size_t i = 0; i < ARRAY_SIZE(may_not); i++)
        assert_false(users_backup_may(may_not[i], strlen(may_not[i]), &reads));
    users_free(u);
}

static void reload_takes_effect_or_changes_nothing(void **state)
{
    autofree char *path = put(state, "{\"users\":[{\"name\":\"default\",\"sha256\":\"" SECRET "\"}]}");
    struct users *u;
    struct err err = ERR_INIT;
    bool readonly;
    assert_int_equal(users_load(path, &u, NULL), 0);
    free(put(state, "{\"users\":[{\"name\":\"default\",\"sha256\":\"" OTHER "\"}]}"));
    assert_int_equal(users_reload(u, &err), 0);
    assert_true(check(u, "default", "other", &readonly));
    assert_false(check(u, "default", "secret", &readonly));
    free(put(state, "{\"users\":[]}"));
    assert_int_equal(users_reload(u, &err), -EINVAL);
    assert_true(check(u, "default", "other", &readonly));
    users_free(u);
}

static void refuses(void **state, const char *text, const char *why)
{
    autofree char *path = put(state, text);
    struct users *u;
    struct err err = ERR_INIT;
    assert_true(users_load(path, &u, &err) < 0);
    if (!strstr(err.message, why) || !strstr(err.message, path))
        fail_msg("%s: no '%s' in: %s", text, why, err.message);
}

static void errors_name_the_field(void **state)
{
    struct users *u;
    struct err err = ERR_INIT;
    assert_int_equal(users_load("/nonexistent/users.json", &u, &err), -ENOENT);
    assert_non_null(strstr(err.message, "/nonexistent/users.json"));
    refuses(state, "{\"users\":[{\"name\":\"a\",\"sha256\":\"12\"}]}", "users[0].sha256");
    refuses(state, "{\"users\":[{\"name\":\"\",\"sha256\":\"" SECRET "\"}]}", "users[0].name");
    refuses(state, "{\"users\":[{\"name\":\"a\",\"sha256\":\"" SECRET "\",\"double_sha1\":\"z\"}]}", "double_sha1");
    refuses(state, "{\"users\":[{\"name\":\"a\",\"password\":\"x\"}]}", "password");
    refuses(state,
            "{\"users\":[{\"name\":\"a\",\"sha256\":\"" SECRET "\"},{\"name\":\"a\",\"sha256\":\"" SECRET "\"}]}",
            "users[1].name");
    refuses(state, "[]", "object");
    refuses(state, "{", "line");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(checks_passwords, scratch_setup, scratch_teardown),
        cmocka_unit_test_setup_teardown(the_gate_makes_and_drops_users_for_grants, scratch_setup, scratch_teardown),
        cmocka_unit_test_setup_teardown(users_for_grants_are_bounded, scratch_setup, scratch_teardown),
        cmocka_unit_test_setup_teardown(a_duty_is_a_list_of_statements, scratch_setup, scratch_teardown),
        cmocka_unit_test_setup_teardown(reload_takes_effect_or_changes_nothing, scratch_setup, scratch_teardown),
        cmocka_unit_test_setup_teardown(errors_name_the_field, scratch_setup, scratch_teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
