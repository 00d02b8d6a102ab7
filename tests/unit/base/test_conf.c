/* base/conf: defaults, bounds and errors that name line and key. */
#include "../test.h"

#include "base/conf.h"
#include "base/mem.h"

struct sample {
    char *name, *dir;
    int64_t port;
    bool flag;
};

static const struct conf_key keys[] = {
    {"name", CONF_STRING, offsetof(struct sample, name), NULL, 0, 16, "a name"},
    {"dir", CONF_PATH, offsetof(struct sample, dir), "/var", 0, 0, "a directory"},
    {"port", CONF_INT, offsetof(struct sample, port), "8443", 1, 65535, "a port"},
    {"flag", CONF_BOOL, offsetof(struct sample, flag), "no", 0, 0, "a flag"},
    {0},
};

static void expect_error(const char *text, const char *part)
{
    struct sample s = {0};
    struct err err = ERR_INIT;
    assert_int_equal(conf_parse("test.conf", text, strlen(text), keys, &s, &err), -EINVAL);
    if (!strstr(err.message, part))
        fail_msg("\"%s\" does not mention \"%s\"", err.message, part);
    assert_null(s.name);
    assert_null(s.dir);
}

static void values_and_defaults(void **state OH_UNUSED)
{
    struct sample s = {0};
    const char *text = "# comment\n\n name =  laptop \nport=9000\nflag = yes";
    assert_int_equal(conf_parse("t", text, strlen(text), keys, &s, NULL), 0);
    assert_string_equal(s.name, "laptop");
    assert_string_equal(s.dir, "/var");
    assert_true(s.port == 9000);
    assert_true(s.flag);
    conf_free(keys, &s);
}

static void errors_name_line_and_key(void **state OH_UNUSED)
{
    expect_error("", "name: is required");
    expect_error("name = a\nname = b", "line 2: name: is set twice");
    expect_error("name = a\ncolour = red", "line 2: colour: is not a known key");
    expect_error("name = a\nport = 70000", "port: must be a whole number from 1 to 65535");
    expect_error("name = a\nport = 12x", "port");
    expect_error("name = a\nflag = maybe", "flag: must be yes or no");
    expect_error("name = a\ndir = relative", "dir: must be an absolute path");
    expect_error("name = 12345678901234567", "at most 16 bytes");
    expect_error("just text", "line 1: expected");
}

/* More keys than a word has bits: each has its value, and none is set twice unseen. */
static void many_keys(void **state OH_UNUSED)
{
    enum { MANY = 200 };
    struct conf_key many[MANY + 1] = {0};
    int64_t values[MANY] = {0};
    struct err err = ERR_INIT;
    for (size_t i = 0; i < MANY; i++)
        many[i] = (struct conf_key){mem_printf("key%zu", i), CONF_INT, i * sizeof(*values), "7", 0, 9, "a number"};
    const char *text = "key199 = 3\nkey64 = 2\n", *twice = "key199 = 3\nkey199 = 3\n";
    assert_int_equal(conf_parse("t", text, strlen(text), many, values, NULL), 0);
    for (size_t i = 0; i < MANY; i++)
        assert_true(values[i] == (i == 199 ? 3 : i == 64 ? 2 : 7));
    assert_int_equal(conf_parse("t", twice, strlen(twice), many, values, &err), -EINVAL);
    assert_non_null(strstr(err.message, "set twice"));
    for (size_t i = 0; i < MANY; i++)
        free((char *)(uintptr_t)many[i].name);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(values_and_defaults),
        cmocka_unit_test(errors_name_line_and_key),
        cmocka_unit_test(many_keys),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
