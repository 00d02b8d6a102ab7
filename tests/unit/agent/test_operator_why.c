/* agent/operator/why: what a change is called, and whether it stops what runs. */
#include "../test.h"

#include "agent/operator/why.h"
#include "base/mem.h"

static struct workload_file files[] = {{"config.xml", "a", WORKLOAD_RESTART, false},
                                       {"users.xml", "b", WORKLOAD_IGNORE, true},
                                       {"config.d/reloaded.xml", "c", WORKLOAD_IGNORE, false}};
static struct workload_env restarts[] = {{"OWNHOUSE_RESTARTS", "1"}}, other[] = {{"TZ", "UTC"}};

static struct workload base(void)
{
    return (struct workload){.name = "w",
                             .image = "i:1",
                             .program = "clickhouse",
                             .files = files,
                             .n_files = ARRAY_SIZE(files),
                             .memory_bytes = 8};
}

static void changes_have_words(void **state OH_UNUSED)
{
    struct workload_file config[] = {{"config.xml", "a2", WORKLOAD_RESTART, false}, files[1], files[2]},
                         users[] = {files[0], {"users.xml", "b2", WORKLOAD_IGNORE, true}, files[2]},
                         both[] = {files[0],
                                   {"users.xml", "b2", WORKLOAD_IGNORE, true},
                                   {"config.d/reloaded.xml", "c2", WORKLOAD_IGNORE, false}};
    const struct {
        struct workload is;
        const char *says;
        bool stops;
    } cases[] = {
        {{.image = "i:2"}, "its image changes", true},
        {{.image = "i:2", .memory_bytes = 16}, "its image and memory change", true},
        {{.image = "i:2", .memory_bytes = 16, .cpu_millis = 5}, "its image, memory and processors change", true},
        {{.files = config, .n_files = 3}, "its config.xml changes", true},
        {{.files = files, .n_files = 2}, "its config.d/reloaded.xml changes", true}, /* another set of files */
        {{.files = users, .n_files = 3}, "its users.xml changes while it runs", false},
        {{.files = both, .n_files = 3}, "its users.xml and config.d/reloaded.xml change while it runs", false},
        {{.environment = restarts, .n_environment = 1}, "a restart was asked for", true},
        {{.environment = other, .n_environment = 1}, "its environment changes", true},
        {{.stopped = true}, "the service is stopped", true},
        {{.stop_grace_ms = 1}, "its settings change", true},
    };
    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        autobuf struct buf out = BUF_INIT;
        struct workload was = base(), is = base();
        const struct workload *c = &cases[i].is;
        is.image = c->image ? c->image : is.image;
        is.memory_bytes = c->memory_bytes ? c->memory_bytes : is.memory_bytes;
        is.cpu_millis = c->cpu_millis;
        is.environment = c->environment;
        is.n_environment = c->n_environment;
        is.stopped = c->stopped;
        is.stop_grace_ms = c->stop_grace_ms;
        is.stop_grace_ms = c->stop_grace_ms;
        if (c->files) {
            is.files = c->files;
            is.n_files = c->n_files;
        }
        bool stops = why_changed(&was, &is, &out);
        assert_string_equal(out.data, cases[i].says);
        assert_int_equal(stops, cases[i].stops);
    }
}

static void what_was_may_be_unknown(void **state OH_UNUSED)
{
    autobuf struct buf out = BUF_INIT;
    struct workload is = base();
    assert_true(why_changed(NULL, &is, &out));
    assert_string_equal(out.data, "it is not as it should be");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(changes_have_words),
        cmocka_unit_test(what_was_may_be_unknown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
