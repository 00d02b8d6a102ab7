/* control/api/console_files: what is given out, with which headers, and that nothing else of the machine can be had. */
#include "../test.h"

#include "control/api/console_files.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

static void write_at(const char *folder, const char *name, const char *text)
{
    autofree char *path = mem_printf("%s/%s", folder, name);
    assert_int_equal(fs_write_atomic(path, text, strlen(text), 0644, NULL), 0);
}

/* A console's folder in the scratch directory: a page, an asset, and what must not be found. */
static int folder_setup(void **state)
{
    if (scratch_setup(state) < 0)
        return -1;
    autofree char *assets = mem_printf("%s/console/assets", (const char *)*state),
                  *pipe = mem_printf("%s/pipe.js", assets), *link = mem_printf("%s/link.js", assets),
                  *folder = mem_printf("%s/folder.js", assets);
    if (fs_mkdirs(assets, 0755, NULL) < 0 || mkfifo(pipe, 0644) < 0 || symlink("main-abc.js", link) < 0 ||
        mkdir(folder, 0755) < 0)
        return -1;
    write_at(*state, "console/index.html", "<!doctype html><title>page</title>");
    write_at(*state, "console/favicon.svg", "<svg/>");
    write_at(*state, "console/manifest.bin", "x");
    write_at(*state, "console/assets/main-abc.js", "export {};");
    write_at(*state, "console/assets/.hidden.js", "x");
    write_at(*state, "secret.txt", "secret");
    return 0;
}

static const char *header(struct MHD_Response *r, const char *name)
{
    const char *v = MHD_get_response_header(r, name);
    return v ? v : "";
}

/* Status of a path; its type is compared unless NULL. */
static unsigned get(const char *folder, const char *path, const char *type)
{
    unsigned status = 0;
    struct MHD_Response *r = console_files_answer(folder, path, &status);
    assert_non_null(r);
    if (type)
        assert_string_equal(header(r, "Content-Type"), type);
    assert_non_null(strstr(header(r, "Content-Security-Policy"), "default-src 'none'"));
    assert_null(strstr(header(r, "Content-Security-Policy"), "unsafe"));
    assert_string_equal(header(r, "Referrer-Policy"), "no-referrer");
    MHD_destroy_response(r);
    return status;
}

static void whose_a_path_is(void **unused)
{
    assert_true(console_files_own("/"));
    assert_true(console_files_own("/services/1"));
    assert_true(console_files_own("/v10"));
    assert_true(console_files_own("/openapi.json.js"));
    assert_false(console_files_own("/v1"));
    assert_false(console_files_own("/v1/organizations"));
    assert_false(console_files_own("/openapi.json"));
}

static void pages_and_files_are_given_out(void **state)
{
    autofree char *folder = mem_printf("%s/console", (const char *)*state);
    const char *const pages[] = {"/", "/services", "/services/0b5e", "/plans/1/", "/assets", "/index.html"};
    for (size_t i = 0; i < ARRAY_SIZE(pages); i++)
        assert_int_equal(get(folder, pages[i], "text/html; charset=utf-8"), 200);
    assert_int_equal(get(folder, "/favicon.svg", "image/svg+xml"), 200);
    assert_int_equal(get(folder, "/assets/main-abc.js", "text/javascript; charset=utf-8"), 200);
}

static void only_hashed_names_are_kept_by_browsers(void **state)
{
    autofree char *folder = mem_printf("%s/console", (const char *)*state);
    unsigned status = 0;
    struct MHD_Response *asset = console_files_answer(folder, "/assets/main-abc.js", &status),
                        *page = console_files_answer(folder, "/services", &status);
    assert_non_null(strstr(header(asset, "Cache-Control"), "immutable"));
    assert_string_equal(header(page, "Cache-Control"), "no-cache");
    MHD_destroy_response(asset);
    MHD_destroy_response(page);
}

static void nothing_else_can_be_had(void **state)
{
    autofree char *folder = mem_printf("%s/console", (const char *)*state),
                  *long_name = mem_printf("/assets/%0200d.js", 0);
    const char *const wrong[] = {
        "/../secret.txt",
        "/assets/../../secret.txt",
        "/assets/../index.html",
        "/assets/..",
        "/assets/.hidden.js",
        "/assets/link.js",
        "/assets/pipe.js",
        "/assets/folder.js",
        "/assets/missing.js",
        "/assets/",
        "/secret.txt",
        "/missing.svg",
        "/deep/er/favicon.svg",
        "/manifest.bin",
        "/assets/main-abc.js/x",
        "/assets/main abc.js",
        "/assets/main-abc.js%00",
        "//favicon.svg",
        "/.env",
        long_name,
    };
    for (size_t i = 0; i < ARRAY_SIZE(wrong); i++)
        if (get(folder, wrong[i], "text/plain") != 404)
            fail_msg("%s was answered", wrong[i]);
}

static void without_a_build_the_page_says_so(void **state)
{
    autofree char *nowhere = mem_printf("%s/nowhere", (const char *)*state);
    const char *const folders[] = {NULL, "", nowhere};
    for (size_t i = 0; i < ARRAY_SIZE(folders); i++) {
        assert_int_equal(get(folders[i], "/services", "text/html; charset=utf-8"), 200);
        assert_int_equal(get(folders[i], "/assets/main-abc.js", "text/plain"), 404);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(whose_a_path_is),
        cmocka_unit_test(pages_and_files_are_given_out),
        cmocka_unit_test(only_hashed_names_are_kept_by_browsers),
        cmocka_unit_test(nothing_else_can_be_had),
        cmocka_unit_test(without_a_build_the_page_says_so),
    };
    return cmocka_run_group_tests(tests, folder_setup, scratch_teardown);
}
