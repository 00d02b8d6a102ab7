/* cli/ui: plain lines where there is no terminal, no control characters from outside. */
#include "../test.h"

#include "cli/ui.h"

static char *shown(void (*say)(struct ui *ui), bool json)
{
    char *text = NULL;
    size_t len = 0;
    FILE *f = tmpfile();
    struct ui ui;
    ui_init(&ui, f, json);
    say(&ui);
    ui_end(&ui);
    fflush(f);
    len = (size_t)ftell(f);
    rewind(f);
    text = mem_alloc(len + 1);
    assert_int_equal(fread(text, 1, len, f), len);
    fclose(f);
    return text;
}

static void steps(struct ui *ui)
{
    ui_step(ui, "plan", "9 resources");
    ui_step_update(ui, "working");
    ui_step_done(ui, "applied");
    ui_step(ui, "service", "de\033[31mmo");
    ui_step_update(ui, "waiting\r\n");
}

static void plain_lines_without_a_terminal(void **state OH_UNUSED)
{
    autofree char *text = shown(steps, false);
    assert_null(strchr(text, '\033'));
    assert_null(strchr(text, '\r'));
    assert_non_null(strstr(text, "plan      9 resources    applied\n"));
    assert_non_null(strstr(text, "service   de?[31mmo      waiting??\n"));
    assert_int_equal(strstr(text, "service") > strstr(text, "plan"), 1);
}

static void json_is_silent(void **state OH_UNUSED)
{
    autofree char *text = shown(steps, true);
    assert_string_equal(text, "");
}

static void table(struct ui *ui)
{
    struct ui_table *t = ui_table_new((const char *const[]){"NAME", "STATE", NULL});
    ui_table_row(t, "a-long-name", "running");
    ui_table_row(t, "b", NULL);
    ui_table_print(ui, t);
}

static void tables_line_up(void **state OH_UNUSED)
{
    autofree char *text = shown(table, false);
    assert_string_equal(text, "NAME         STATE\na-long-name  running\nb            -\n");
}

static void ages(void **state OH_UNUSED)
{
    char out[32];
    ui_age(-5, out);
    assert_string_equal(out, "0 s");
    ui_age(119 * 1000, out);
    assert_string_equal(out, "119 s");
    ui_age(2 * 60 * 1000, out);
    assert_string_equal(out, "2 min");
    ui_age(3 * 3600 * 1000, out);
    assert_string_equal(out, "3 h");
    ui_age(72 * 3600 * 1000LL, out);
    assert_string_equal(out, "3 d");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(plain_lines_without_a_terminal),
        cmocka_unit_test(json_is_silent),
        cmocka_unit_test(tables_line_up),
        cmocka_unit_test(ages),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
