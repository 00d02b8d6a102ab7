/* blueprint/placement: what a supervisor is told and what it says, as files. */
#include "../test.h"

#include "blueprint/placement.h"

#include <sys/stat.h>

static const char *env_value = "v";

static struct placement sample(void)
{
    static struct workload_env labels[] = {{"role", "clickhouse"}}, environment[] = {{"A", "v"}};
    static struct workload_file files[] = {{"etc/a.xml", "<a/>", WORKLOAD_RELOAD, true}};
    static struct workload_volume volumes[] = {{"data", 0, true, NULL}, {"cold", 0, false, "x/y"}};
    static const char *arguments[] = {"--config", "x"}, *folders[] = {NULL, "/tmp/bucket/x"};
    environment[0].value = env_value;
    struct placement p = {.executable = "/bin/true",
                          .infrastructure = "i-1",
                          .netns = "/run/netns/a",
                          .address = "127.1.0.1",
                          .log_bytes = 8192,
                          .log_files = 2,
                          .folders = folders};
    memset(p.digest, 'a', 64);
    p.workload = (struct workload){.name = "db-1",
                                   .labels = labels,
                                   .n_labels = 1,
                                   .program = "clickhouse",
                                   .arguments = arguments,
                                   .n_arguments = 2,
                                   .environment = environment,
                                   .n_environment = 1,
                                   .files = files,
                                   .n_files = 1,
                                   .volumes = volumes,
                                   .n_volumes = 2,
                                   .stop_signal = 15,
                                   .slot = 3,
                                   .order = 10};
    return p;
}

static char *prepared(void **state)
{
    char *dir = mem_printf("%s/runtime", (char *)*state);
    assert_int_equal(placement_prepare(dir, NULL), 0);
    assert_int_equal(placement_prepare(dir, NULL), 0);
    return dir;
}

static void comes_back_as_it_was(void **state)
{
    autofree char *dir = prepared(state);
    autoarena struct arena *arena = arena_new();
    struct placement p = sample(), q;
    struct err err = ERR_INIT;
    assert_int_equal(placement_write(dir, &p, &err), 0);
    assert_int_equal(placement_read(dir, "db-1", arena, &q, &err), 0);
    autojson json_t *a = placement_to_json(&p), *b = placement_to_json(&q);
    assert_true(json_equal(a, b));
    assert_string_equal(q.folders[1], "/tmp/bucket/x");
    assert_null(q.folders[0]);
    assert_string_equal(q.address, "127.1.0.1");
    assert_int_equal(placement_read(dir, "db-2", arena, &q, &err), -ENOENT);
}

static void an_equal_placement_is_not_written_again(void **state)
{
    autofree char *dir = prepared(state), *path = mem_printf("%s/want/db-1.json", dir);
    struct placement p = sample();
    struct stat one, two;
    assert_int_equal(placement_write(dir, &p, NULL), 0);
    assert_int_equal(stat(path, &one), 0);
    assert_int_equal(one.st_mode & 0777, 0600);
    assert_int_equal(placement_write(dir, &p, NULL), 0);
    assert_int_equal(stat(path, &two), 0);
    assert_int_equal(one.st_ino, two.st_ino);
    p.workload.order++;
    assert_int_equal(placement_write(dir, &p, NULL), 0);
    assert_int_equal(stat(path, &two), 0);
    assert_int_not_equal(one.st_ino, two.st_ino);
}

static void removal_keeps_what_is_needed_to_find_the_data(void **state)
{
    autofree char *dir = prepared(state);
    autoarena struct arena *arena = arena_new();
    struct placement p = sample(), q;
    struct err err = ERR_INIT;
    assert_int_equal(placement_remove(dir, "db-1", true, &err), 0); /* nothing there: nothing asked */
    assert_int_equal(placement_read(dir, "db-1", arena, &q, &err), -ENOENT);
    assert_int_equal(placement_write(dir, &p, &err), 0);
    assert_int_equal(placement_remove(dir, "db-1", false, &err), 0);
    assert_int_equal(placement_read(dir, "db-1", arena, &q, &err), 0);
    assert_int_equal(q.remove, PLACEMENT_REMOVE);
    assert_string_equal(q.folders[1], "/tmp/bucket/x");
    assert_int_equal(placement_remove(dir, "db-1", true, &err), 0);
    assert_int_equal(placement_read(dir, "db-1", arena, &q, &err), 0);
    assert_int_equal(q.remove, PLACEMENT_PURGE);
    assert_int_equal(placement_remove(dir, "db-1", false, &err), 0); /* a purge already asked for stands */
    assert_int_equal(placement_read(dir, "db-1", arena, &q, &err), 0);
    assert_int_equal(q.remove, PLACEMENT_PURGE);
}

static void purge_reaches_what_an_earlier_removal_kept(void **state)
{
    autofree char *dir = prepared(state), *want = mem_printf("%s/want/db-1.json", dir),
                  *kept = mem_printf("%s/kept/db-1.json", dir);
    autoarena struct arena *arena = arena_new();
    struct placement p = sample(), q;
    assert_int_equal(placement_write(dir, &p, NULL), 0);
    assert_int_equal(placement_remove(dir, "db-1", false, NULL), 0);
    assert_int_equal(rename(want, kept), 0); /* what the supervisor does once it is gone */
    assert_int_equal(placement_remove(dir, "db-1", false, NULL), 0);
    assert_false(fs_exists(want));
    assert_int_equal(placement_remove(dir, "db-1", true, NULL), 0);
    assert_int_equal(placement_read(dir, "db-1", arena, &q, NULL), 0);
    assert_int_equal(q.remove, PLACEMENT_PURGE);
    assert_string_equal(q.folders[1], "/tmp/bucket/x");
}

static void an_unreadable_placement_can_still_be_removed(void **state)
{
    autofree char *dir = prepared(state), *want = mem_printf("%s/want/db-1.json", dir);
    autoarena struct arena *arena = arena_new();
    struct placement q;
    assert_int_equal(fs_write_atomic(want, "{", 1, 0600, NULL), 0);
    assert_int_equal(placement_remove(dir, "db-1", true, NULL), 0);
    assert_int_equal(placement_read(dir, "db-1", arena, &q, NULL), 0);
    assert_int_equal(q.remove, PLACEMENT_PURGE);
    assert_null(q.folders);
}

/* The sample's JSON with one field replaced (NULL: removed). */
static int parse_with(const char *key, json_t *value, struct err *err)
{
    autoarena struct arena *arena = arena_new();
    struct placement p = sample(), q;
    autojson json_t *o = placement_to_json(&p);
    if (value)
        json_object_set_new(o, key, value);
    else
        json_object_del(o, key);
    autofree char *text = js_text(o);
    *err = ERR_INIT;
    return placement_parse(text, strlen(text), arena, &q, err);
}

static void bad_fields_are_named(void **state OH_UNUSED)
{
    static const char *const required[] = {"v",       "workload", "executable", "digest", "infrastructure",
                                           "folders", "logBytes", "logFiles",   "remove"};
    struct err err;
    for (size_t i = 0; i < ARRAY_SIZE(required); i++) {
        assert_int_equal(parse_with(required[i], NULL, &err), -EINVAL);
        assert_non_null(strstr(err.message, required[i]));
    }
    const struct {
        const char *key;
        json_t *value;
    } bad[] = {
        {"v", json_integer(2)},
        {"executable", json_string("bin/true")},
        {"executable", json_string("/bin/../true")},
        {"digest", json_string("A")},
        {"netns", json_string("run/netns")},
        {"address", json_string("localhost")},
        {"remove", json_string("yes")},
        {"logFiles", json_integer(0)},
        {"logBytes", json_integer(1)},
        {"folders", json_pack("{s:s}", "cold", "/")},
        {"folders", json_pack("{s:s}", "cold", "/tmp/a/..")},
        {"folders", json_pack("{s:s}", "cold", "/tmp")},
        {"folders", json_pack("{s:s}", "other", "/tmp/a")},
        {"folders", json_pack("{s:i}", "cold", 1)},
        {"more", json_true()},
    };
    for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
        assert_int_equal(parse_with(bad[i].key, bad[i].value, &err), -EINVAL);
        assert_non_null(strstr(err.message, bad[i].key));
    }
}

static void text_that_is_not_utf8_is_refused(void **state)
{
    autofree char *dir = prepared(state);
    struct err err = ERR_INIT;
    env_value = "\xff";
    struct placement p = sample();
    env_value = "v";
    assert_int_equal(placement_write(dir, &p, &err), -EINVAL);
    assert_non_null(strstr(err.message, "UTF-8"));
}

static void status_comes_back_as_it_was(void **state)
{
    autofree char *dir = prepared(state);
    autoarena struct arena *arena = arena_new();
    struct workload_env labels[] = {{"service", "s"}};
    struct placement_status s = {.state = PLACEMENT_UNREADY,
                                 .restarts = 3,
                                 .since_ms = 5,
                                 .pid = 77,
                                 .start_ticks = 99,
                                 .labels = labels,
                                 .n_labels = 1},
                            t;
    snprintf(s.name, sizeof(s.name), "db-1");
    snprintf(s.error, sizeof(s.error), "it \"ended\"");
    snprintf(s.start, sizeof(s.start), "0123");
    assert_int_equal(placement_status_write(dir, &s, NULL), 0);
    assert_int_equal(placement_status_read(dir, "db-1", arena, &t, NULL), 0);
    assert_int_equal(t.state, PLACEMENT_UNREADY);
    assert_int_equal(t.pid, 77);
    assert_int_equal(t.start_ticks, 99);
    assert_string_equal(t.error, "it \"ended\"");
    assert_string_equal(t.start, "0123");
    assert_int_equal(t.n_labels, 1);
    assert_string_equal(t.labels[0].value, "s");
}

static void names_pass_over_what_is_foreign(void **state)
{
    autofree char *dir = prepared(state);
    autoarena struct arena *arena = arena_new();
    static const char *const files[] = {"b.json", "a.json", "a.json.tmpabc", "A.json", ".json", "x", "-a.json"};
    const char **names;
    size_t n;
    for (size_t i = 0; i < ARRAY_SIZE(files); i++) {
        autofree char *path = mem_printf("%s/want/%s", dir, files[i]);
        assert_int_equal(fs_write_atomic(path, "{}", 2, 0600, NULL), 0);
    }
    assert_int_equal(placement_names(dir, "want", arena, &names, &n, NULL), 0);
    assert_int_equal(n, 2);
    assert_string_equal(names[0], "a");
    assert_string_equal(names[1], "b");
}

static void idle_means_nothing_runs_and_nothing_should(void **state)
{
    autofree char *dir = prepared(state);
    struct placement p = sample();
    struct placement_status s = {.pid = 7};
    bool idle;
    snprintf(s.name, sizeof(s.name), "db-1");
    assert_int_equal(placement_idle(dir, &idle, NULL), 0);
    assert_true(idle);
    assert_int_equal(placement_write(dir, &p, NULL), 0);
    assert_int_equal(placement_idle(dir, &idle, NULL), 0);
    assert_false(idle);
    p.workload.stopped = true;
    assert_int_equal(placement_write(dir, &p, NULL), 0);
    assert_int_equal(placement_status_write(dir, &s, NULL), 0);
    assert_int_equal(placement_idle(dir, &idle, NULL), 0);
    assert_false(idle);
    s.pid = 0;
    assert_int_equal(placement_status_write(dir, &s, NULL), 0);
    assert_int_equal(placement_idle(dir, &idle, NULL), 0);
    assert_true(idle);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(comes_back_as_it_was, scratch_setup, scratch_teardown),
        cmocka_unit_test_setup_teardown(an_equal_placement_is_not_written_again, scratch_setup, scratch_teardown),
        cmocka_unit_test_setup_teardown(removal_keeps_what_is_needed_to_find_the_data, scratch_setup, scratch_teardown),
        cmocka_unit_test_setup_teardown(purge_reaches_what_an_earlier_removal_kept, scratch_setup, scratch_teardown),
        cmocka_unit_test_setup_teardown(an_unreadable_placement_can_still_be_removed, scratch_setup, scratch_teardown),
        cmocka_unit_test(bad_fields_are_named),
        cmocka_unit_test_setup_teardown(text_that_is_not_utf8_is_refused, scratch_setup, scratch_teardown),
        cmocka_unit_test_setup_teardown(status_comes_back_as_it_was, scratch_setup, scratch_teardown),
        cmocka_unit_test_setup_teardown(names_pass_over_what_is_foreign, scratch_setup, scratch_teardown),
        cmocka_unit_test_setup_teardown(idle_means_nothing_runs_and_nothing_should, scratch_setup, scratch_teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
