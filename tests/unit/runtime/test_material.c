/* runtime/process/material: which change needs what. */
#include "../test.h"

#include "runtime/process/material.h"

static struct workload_file files[] = {{"core", "c", WORKLOAD_RESTART, false},
                                       {"conf", "r", WORKLOAD_RELOAD, false},
                                       {"hint", "i", WORKLOAD_IGNORE, false}};
static struct workload_volume volumes[] = {{"data", 0, true, NULL}, {"cold", 0, false, "b"}};
static const char *arguments[] = {"-x"};
static const char *folders[] = {NULL, "/tmp/b/a"};

static struct placement sample(void)
{
    struct placement p = {.executable = "/bin/true", .infrastructure = "i", .folders = folders};
    p.workload = (struct workload){.name = "a",
                                   .files = files,
                                   .n_files = 3,
                                   .volumes = volumes,
                                   .n_volumes = 2,
                                   .arguments = arguments,
                                   .n_arguments = 1,
                                   .stop_signal = 15};
    return p;
}

static struct material_digests digest(const struct placement *p)
{
    struct material_digests d;
    assert_int_equal(material_digest(p, &d, NULL), 0);
    return d;
}

enum { SAME = 0, REST = 1, RELOAD = 2, CORE = 4 };

static int compare(const struct placement *a, const struct placement *b)
{
    struct material_digests one = digest(a), two = digest(b);
    return (strcmp(one.core, two.core) ? CORE : 0) | (strcmp(one.reload, two.reload) ? RELOAD : 0) |
           (strcmp(one.rest, two.rest) ? REST : 0);
}

#define EXPECT(change, what)                        \
    do {                                            \
        struct placement b = sample();              \
        struct workload *w OH_UNUSED = &b.workload; \
        change;                                     \
        assert_int_equal(compare(&a, &b), what);    \
    } while (0)

static void each_change_needs_what_it_needs(void **state OH_UNUSED)
{
    struct placement a = sample();
    struct workload_file other[3];
    struct workload_env labels[] = {{"a", "b"}};
    const char *elsewhere[] = {NULL, "/tmp/b/c"};
    EXPECT(, SAME);
    EXPECT(w->labels = labels; w->n_labels = 1, REST);
    EXPECT(w->stop_grace_ms = 7, REST);
    EXPECT(w->order = 7, REST);
    EXPECT(w->probe.port = 7, REST);
    EXPECT(w->cpu_millis = 7, REST);
    EXPECT(w->n_arguments = 0, CORE | REST);
    EXPECT(w->memory_bytes = 7, CORE | REST);
    EXPECT(w->open_files = 7, REST);
    EXPECT(b.executable = "/bin/false", CORE | REST);
    EXPECT(b.netns = "/run/netns/x", CORE | REST);
    EXPECT(b.infrastructure = "j", CORE | REST);
    EXPECT(b.folders = elsewhere, CORE | REST);
    for (int i = 0; i < 3; i++) {
        static const int needs[] = {CORE | REST, RELOAD | REST, REST};
        memcpy(other, files, sizeof(files));
        other[i].content = "new";
        EXPECT(w->files = other, needs[i]);
        memcpy(other, files, sizeof(files));
        other[i].secret = true;
        EXPECT(w->files = other, needs[i]);
        memcpy(other, files, sizeof(files));
        other[i] = other[2];
        EXPECT(w->files = other; w->n_files = 2 + (i == 2), i == 2 ? SAME : needs[i]);
    }
}

static char *prepared(void **state, const struct placement *p)
{
    char *dir = mem_printf("%s/runtime", (char *)*state);
    assert_int_equal(placement_prepare(dir, NULL), 0);
    assert_int_equal(material_folders(dir, p, NULL), 0);
    assert_int_equal(material_files(dir, p, NULL), 0);
    return dir;
}

static void the_run_folder_is_empty_at_each_start(void **state)
{
    struct placement p = sample();
    volumes[1].bucket = NULL;
    p.folders = NULL;
    autofree char *dir = prepared(state, &p), *socket = mem_printf("%s/jobs/a/run/socket", dir),
                  *row = mem_printf("%s/jobs/a/volumes/data/row", dir);
    assert_int_equal(fs_write_atomic(socket, "", 0, 0600, NULL), 0);
    assert_int_equal(fs_write_atomic(row, "", 0, 0600, NULL), 0);
    assert_int_equal(material_folders(dir, &p, NULL), 0);
    assert_false(fs_exists(socket));
    assert_true(fs_exists(row));
    volumes[1].bucket = "b";
}

static void removal_without_a_placement_keeps_every_volume(void **state)
{
    struct placement p = sample();
    p.folders = NULL;
    autofree char *dir = prepared(state, &p), *data = mem_printf("%s/jobs/a/volumes/data", dir),
                  *cold = mem_printf("%s/jobs/a/volumes/cold", dir), *in = mem_printf("%s/jobs/a/files", dir),
                  *work = mem_printf("%s/jobs/a", dir);
    assert_int_equal(material_remove(dir, "a", NULL, NULL), 0);
    assert_true(fs_exists(data));
    assert_true(fs_exists(cold));
    assert_false(fs_exists(in));
    p.remove = PLACEMENT_REMOVE;
    assert_int_equal(material_remove(dir, "a", &p, NULL), 0);
    assert_true(fs_exists(data));
    assert_false(fs_exists(cold));
    p.remove = PLACEMENT_PURGE;
    assert_int_equal(material_remove(dir, "a", &p, NULL), 0);
    assert_false(fs_exists(work));
    assert_int_equal(material_remove(dir, "a", &p, NULL), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_change_needs_what_it_needs),
        cmocka_unit_test_setup_teardown(the_run_folder_is_empty_at_each_start, scratch_setup, scratch_teardown),
        cmocka_unit_test_setup_teardown(removal_without_a_placement_keeps_every_volume, scratch_setup,
                                        scratch_teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
