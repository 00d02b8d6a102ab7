/* blueprint/workload: lossless JSON, strict reading, references. */
#include "../test.h"

#include "blueprint/workload.h"

#include <signal.h>

static void make_full(struct workload *w)
{
    static struct workload_env labels[] = {{"service", "x"}, {"role", "clickhouse"}}, environment[] = {{"A", "b=c"}};
    static const char *arguments[] = {"--config", "${files}/a.conf"};
    static struct workload_file files[] = {{"a.conf", "x ${address}\n", WORKLOAD_RELOAD, true},
                                           {"d/b.conf", "", WORKLOAD_IGNORE, false},
                                           {"c", "\xc3\xa9", WORKLOAD_RESTART, false}};
    static struct workload_volume volumes[] = {{"data", 5, true, "bucket"}, {"tmp", 0, false, NULL}};
    static struct workload_port ports[] = {{"http", 8123}};
    w->name = "clickhouse-1";
    w->labels = labels, w->n_labels = 2;
    w->image = "registry/image@sha256:00";
    w->program = "ownhouse-clickhouse";
    w->arguments = arguments, w->n_arguments = 2;
    w->environment = environment, w->n_environment = 1;
    w->files = files, w->n_files = 3;
    w->volumes = volumes, w->n_volumes = 2;
    w->ports = ports, w->n_ports = 1;
    w->probe = (struct workload_probe){8123, "/ping", 1000, 500, 3, 60000};
    w->memory_bytes = INT64_C(8) << 30;
    w->cpu_millis = 2000, w->open_files = 65536, w->reload_signal = SIGHUP, w->stop_signal = SIGINT;
    w->stop_grace_ms = 60000, w->order = 10, w->slot = 16, w->stopped = true;
}

static void json_is_lossless(void **state OH_UNUSED)
{
    autoworkloads struct workload_list list;
    workload_list_init(&list);
    make_full(workload_list_add(&list));
    *workload_list_add(&list) = (struct workload){.name = "b", .stop_signal = SIGTERM, .stop_grace_ms = 10000};
    for (size_t i = 0; i < list.n; i++) {
        autoarena struct arena *a = arena_new();
        struct workload back;
        struct err err = ERR_INIT;
        autojson json_t *v = workload_to_json(&list.items[i]);
        if (workload_from_json(v, a, &back, &err) < 0)
            fail_msg("%s", err.message);
        autojson json_t *again = workload_to_json(&back);
        autofree char *one = js_text(v), *two = js_text(again);
        assert_string_equal(one, two);
        if (i == 0) {
            assert_string_equal(workload_label(&back, "role"), "clickhouse");
            assert_null(workload_label(&back, "none"));
            assert_true(back.files[0].secret);
            assert_int_equal(back.files[1].on_change, WORKLOAD_IGNORE);
            assert_string_equal(back.volumes[0].bucket, "bucket");
            assert_null(back.volumes[1].bucket);
            assert_int_equal(back.probe.startup_ms, 60000);
            assert_true(back.stopped);
            assert_int_equal(back.stop_signal, SIGINT);
        }
    }
}

/* A field at its default leaves no trace, so that a new field later changes no digest. */
static void defaults_are_left_out(void **state OH_UNUSED)
{
    autoworkloads struct workload_list list;
    workload_list_init(&list);
    workload_list_add(&list)->name = "plain";
    autojson json_t *v = workload_to_json(&list.items[0]);
    autofree char *text = js_text(v);
    assert_string_equal(text, "{\"name\":\"plain\"}");
}

static void list_grows_and_keeps(void **state OH_UNUSED)
{
    autoworkloads struct workload_list list;
    workload_list_init(&list);
    for (int i = 0; i < 100; i++)
        workload_list_add(&list)->name = arena_printf(list.arena, "w%d", i);
    assert_int_equal(list.n, 100);
    assert_string_equal(list.items[0].name, "w0");
    assert_string_equal(list.items[99].name, "w99");
    assert_int_equal(list.items[99].stop_signal, SIGTERM);
}

static void text_that_is_not_utf8_is_refused(void **state OH_UNUSED)
{
    struct workload w = {.name = "a", .program = "\xff"};
    assert_null(workload_to_json(&w));
}

static void reading_is_strict(void **state OH_UNUSED)
{
    static const char *const bad[] = {
        "[]",
        "{}",
        "{\"name\":\"A\"}",
        "{\"name\":\"a\",\"other\":1}",
        "{\"name\":\"a\",\"program\":\"/bin/sh\"}",
        "{\"name\":\"a\",\"slot\":65535}",
        "{\"name\":\"a\",\"arguments\":[1]}",
        "{\"name\":\"a\",\"labels\":[1]}",
        "{\"name\":\"a\",\"labels\":[{\"name\":\"\",\"value\":\"\"}]}",
        "{\"name\":\"a\",\"environment\":[{\"name\":\"A=\",\"value\":\"\"}]}",
        "{\"name\":\"a\",\"files\":[{\"path\":\"../x\",\"content\":\"\"}]}",
        "{\"name\":\"a\",\"files\":[{\"path\":\"/x\",\"content\":\"\"}]}",
        "{\"name\":\"a\",\"files\":[{\"path\":\"a/.hidden\",\"content\":\"\"}]}",
        "{\"name\":\"a\",\"files\":[{\"path\":\"x\"}]}",
        "{\"name\":\"a\",\"files\":[{\"path\":\"x\",\"content\":\"\"},{\"path\":\"x\",\"content\":\"\"}]}",
        "{\"name\":\"a\",\"files\":[{\"path\":\"x\",\"content\":\"\",\"onChange\":\"explode\"}]}",
        "{\"name\":\"a\",\"volumes\":[{\"name\":\"A\"}]}",
        "{\"name\":\"a\",\"ports\":[{\"name\":\"x\",\"port\":0}]}",
        "{\"name\":\"a\",\"probe\":{\"port\":1}}",
        "{\"name\":\"a\",\"stopped\":1}",
    };
    for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
        autojson json_t *v = json_loads(bad[i], 0, NULL);
        autoarena struct arena *a = arena_new();
        struct workload w;
        struct err err = ERR_INIT;
        assert_non_null(v);
        if (workload_from_json(v, a, &w, &err) != -EINVAL || !*err.message)
            fail_msg("accepted: %s", bad[i]);
    }
}

static const char *lookup(const char *name, void *data OH_UNUSED)
{
    return !strcmp(name, "files") ? "/f" : !strcmp(name, "volume:data") ? "/v ${files}" : NULL;
}

static void references_are_filled_once(void **state OH_UNUSED)
{
    static const char *const cases[][2] = {
        {"", ""},
        {"plain $ $$ } {", "plain $ $$ } {"},
        {"${files}/a ${volume:data}", "/f/a /v ${files}"},
        {"$${files} $$${files}", "${files} $${files}"},
        {"a$", "a$"},
    };
    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        autobuf struct buf out = BUF_INIT;
        assert_int_equal(workload_expand(cases[i][0], lookup, NULL, &out, NULL), 0);
        assert_string_equal(out.data ? out.data : "", cases[i][1]);
    }
}

static void unknown_references_are_named(void **state OH_UNUSED)
{
    autobuf struct buf out = BUF_INIT;
    struct err err = ERR_INIT;
    assert_int_equal(workload_expand("a ${address:x}", lookup, NULL, &out, &err), -EINVAL);
    assert_string_equal(err.message, "${address:x} is not known here");
    assert_int_equal(workload_expand("${files", lookup, NULL, &out, NULL), -EINVAL);
    assert_int_equal(workload_expand("${}", lookup, NULL, &out, NULL), -EINVAL);
}

static void escaped_text_comes_back_unchanged(void **state OH_UNUSED)
{
    static const char *const texts[] = {"", "$", "${files}", "$${files}", "$$${", "a${b", "${${}"};
    for (size_t i = 0; i < ARRAY_SIZE(texts); i++) {
        autobuf struct buf safe = BUF_INIT, out = BUF_INIT;
        buf_adds(&safe, "");
        workload_escape(texts[i], &safe);
        assert_int_equal(workload_expand(safe.data ? safe.data : "", lookup, NULL, &out, NULL), 0);
        assert_string_equal(out.data ? out.data : "", texts[i]);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(json_is_lossless),
        cmocka_unit_test(defaults_are_left_out),
        cmocka_unit_test(list_grows_and_keeps),
        cmocka_unit_test(text_that_is_not_utf8_is_refused),
        cmocka_unit_test(reading_is_strict),
        cmocka_unit_test(references_are_filled_once),
        cmocka_unit_test(unknown_references_are_named),
        cmocka_unit_test(escaped_text_comes_back_unchanged),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
