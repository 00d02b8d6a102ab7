/* The signer's keys: made once, never made anew over those that are there. */
#include "control/signer/signer_keys.h"

#include "../test.h"
#include "base/fs.h"

static char *read_one(const char *dir, const char *name)
{
    autofree char *path = mem_printf("%s/keys/%s", dir, name);
    char *text = NULL;
    assert_int_equal(fs_read(path, KIB(16), &text, NULL, NULL), 0);
    return text;
}

static void remove_one(const char *dir, const char *name)
{
    autofree char *path = mem_printf("%s/keys/%s", dir, name);
    assert_int_equal(unlink(path), 0);
}

static void open_keys(const char *dir)
{
    const struct control_config c = {.state_dir = (char *)(uintptr_t)dir};
    struct signer_keys k;
    struct err err = ERR_INIT;
    if (signer_keys_open(&c, &clock_system, &k, &err) < 0)
        fail_msg("%s", err.message);
    signer_keys_close(&k);
}

/* A backup that leaves out empty files loses the mark; the keys must outlive that. */
static void keys_without_the_mark_are_kept(void **state)
{
    static const char *const files[] = {"link-ca.key",       "link-ca.pem", "link-ca-spare.key",
                                        "link-ca-spare.pem", "desired.key", "desired.pub"};
    char *before[ARRAY_SIZE(files)];
    open_keys(*state);
    for (size_t i = 0; i < ARRAY_SIZE(files); i++)
        before[i] = read_one(*state, files[i]);
    remove_one(*state, "complete");
    remove_one(*state, "desired.pub");
    open_keys(*state);
    for (size_t i = 0; i < ARRAY_SIZE(files); i++) {
        autofree char *after = read_one(*state, files[i]);
        assert_string_equal(before[i], after);
        free(before[i]);
    }
}

/* A start that was cut short after a key and before its public half had signed nothing: it goes on from there. */
static void a_first_start_cut_short_goes_on(void **state)
{
    open_keys(*state);
    remove_one(*state, "complete");
    remove_one(*state, "link-ca-spare.pem");
    open_keys(*state);
    open_keys(*state);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(keys_without_the_mark_are_kept, scratch_setup, scratch_teardown),
        cmocka_unit_test_setup_teardown(a_first_start_cut_short_goes_on, scratch_setup, scratch_teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
