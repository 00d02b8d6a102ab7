/* blueprint/settings: the table is sound, and values are checked. */
#include "../test.h"

#include "blueprint/settings.h"

static void the_table_is_sound(void **unused)
{
    assert_true(settings_count <= SETTINGS_MAX);
    for (size_t i = 0; i < settings_count; i++) {
        const struct setting *s = &settings_all[i];
        struct err err = ERR_INIT;
        if (setting_check(s, s->example, &err) < 0)
            fail_msg("%s: its own example: %s", s->name, err.message);
        assert_int_equal(strspn(s->name, "abcdefghijklmnopqrstuvwxyz_"), strlen(s->name));
        assert_ptr_equal(setting_find(s->name), s); /* no other has the name */
        assert_true(s->description[0] != 0);
        assert_true(s->type == SETTING_TEXT || s->min <= s->max);
        assert_true(s->scope == SETTING_PROFILE || s->warning); /* a restart is told */
    }
}

/* What could reach outside, read files, or lift a right has no place here. */
static void what_reaches_outside_is_not_in_it(void **unused)
{
    static const char *const names[] = {"",
                                        "max_threads ",
                                        "allow_ddl",
                                        "readonly",
                                        "s3_max_redirects",
                                        "http_handlers",
                                        "user_files_path",
                                        "remote_url_allow_hosts"};
    for (size_t i = 0; i < ARRAY_SIZE(names); i++)
        assert_null(setting_find(names[i]));
}

static void check(const char *name, const char *value, const char *rule)
{
    struct err err = ERR_INIT;
    int r = setting_check(setting_find(name), value, &err);
    assert_int_equal(r, rule ? -EINVAL : 0);
    if (rule)
        assert_string_equal(err.message, rule);
}

static void values(void **unused)
{
    check("max_threads", "1", NULL);
    check("max_threads", "512", NULL);
    check("max_threads", "0", "must be 1 to 512");
    check("max_threads", "513", "must be 1 to 512");
    check("max_threads", "", "must be a whole number");
    check("max_threads", "-1", "must be a whole number");
    check("max_threads", "04", "must be a whole number");
    check("max_threads", "4 ", "must be a whole number");
    check("max_threads", "1000000000000000000000", "must be a whole number");
    check("max_result_rows", "0", NULL);
    check("max_result_rows", "999", "must be 0 or 1000 to 1000000000000");
    check("join_use_nulls", "1", NULL);
    check("join_use_nulls", "true", "must be 0 or 1");
    check("compatibility", "24.8", NULL);
    check("compatibility", "24.8</a>", "must be a ClickHouse version such as 24.8");
    check("session_timezone", "", NULL);
    check("session_timezone", "America/Argentina/Buenos_Aires", NULL);
    check("session_timezone", "../etc", "must be the name of a time zone such as Europe/Zurich");
    check("session_timezone", "Europe/Zurich\"", "must be the name of a time zone such as Europe/Zurich");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_table_is_sound),
        cmocka_unit_test(what_reaches_outside_is_not_in_it),
        cmocka_unit_test(values),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
