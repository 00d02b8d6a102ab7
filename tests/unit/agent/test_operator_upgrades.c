/* agent/operator/upgrades: another image waits for the service's window, by a clock that is handed in. */
#include "../test.h"

#include "agent/operator/upgrades.h"
#include "blueprint/blueprint.h"

#define HOUR INT64_C(3600000)
#define WEDNESDAY 1790121600000LL /* 2026-09-23T00:00:00Z */

static struct desired_window window = {.weekday = 3, .start_hour = 18, .hours = 6};

static void the_next_opening(void **unused)
{
    assert_int_equal(upgrades_opening(&window, WEDNESDAY), WEDNESDAY + 18 * HOUR);
    assert_int_equal(upgrades_opening(&window, WEDNESDAY + 18 * HOUR), WEDNESDAY + 18 * HOUR);
    assert_int_equal(upgrades_opening(&window, WEDNESDAY + 24 * HOUR - 1), WEDNESDAY + 24 * HOUR - 1);
    assert_int_equal(upgrades_opening(&window, WEDNESDAY + 24 * HOUR), WEDNESDAY + (168 + 18) * HOUR);
    const struct desired_window over_sunday = {.weekday = 6, .start_hour = 22, .hours = 6};
    assert_int_equal(upgrades_opening(&over_sunday, WEDNESDAY + (4 * 24 + 3) * HOUR), WEDNESDAY + (4 * 24 + 3) * HOUR);
    assert_int_equal(upgrades_opening(&over_sunday, WEDNESDAY), WEDNESDAY + (3 * 24 + 22) * HOUR);
}

/* One service with an engine and a keeper of this image, beside an ingress; which image each has after it. */
static void apply(struct upgrades *u, struct desired_service *s, const char *image, int64_t now, const char *expected)
{
    const struct desired d = {.services = s, .n_services = s ? 1 : 0};
    struct workload_env labels[] = {{BLUEPRINT_SERVICE, "one"}};
    struct workload_list list;
    struct err err = ERR_INIT;
    workload_list_init(&list);
    for (int i = 0; i < 3; i++) {
        struct workload *w = workload_list_add(&list);
        w->image = i == 2 ? "ingress@1" : image;
        w->labels = i == 2 ? NULL : labels;
        w->n_labels = i != 2;
    }
    if (upgrades_apply(u, &d, now, &list, &err) < 0)
        fail_msg("%s", err.message);
    assert_string_equal(list.items[0].image, expected);
    assert_string_equal(list.items[1].image, expected);
    assert_string_equal(list.items[2].image, "ingress@1");
    workload_list_free(&list);
}

static void a_new_image_waits_for_the_window(void **state)
{
    autofree char *path = mem_printf("%s/images.json", (char *)*state);
    struct desired_service s = {.id = "one", .state = DESIRED_RUNNING, .window = &window};
    struct upgrades u;
    upgrades_open(&u, path);
    apply(&u, &s, "engine@1", WEDNESDAY, "engine@1"); /* what is new has nothing to wait for */
    assert_false(upgrades_due(&u, WEDNESDAY + 1000 * HOUR));
    apply(&u, &s, "engine@2", WEDNESDAY, "engine@1");
    assert_false(upgrades_due(&u, WEDNESDAY + 18 * HOUR - 1));
    assert_true(upgrades_due(&u, WEDNESDAY + 18 * HOUR));
    /* It waits over a restart of the agent too. */
    upgrades_free(&u);
    upgrades_open(&u, path);
    apply(&u, &s, "engine@2", WEDNESDAY + 17 * HOUR, "engine@1");
    apply(&u, &s, "engine@2", WEDNESDAY + 18 * HOUR, "engine@2");
    apply(&u, &s, "engine@2", WEDNESDAY + 30 * HOUR, "engine@2"); /* taken up is taken up */
    /* A newer one once more; one that is taken back leaves nothing to wait for. */
    apply(&u, &s, "engine@3", WEDNESDAY + 30 * HOUR, "engine@2");
    apply(&u, &s, "engine@2", WEDNESDAY + 31 * HOUR, "engine@2");
    assert_false(upgrades_due(&u, WEDNESDAY + 1000 * HOUR));
    upgrades_free(&u);
}

static void who_does_not_want_to_wait(void **state)
{
    autofree char *path = mem_printf("%s/images.json", (char *)*state);
    struct desired_service s = {.id = "one", .state = DESIRED_RUNNING, .window = &window};
    struct upgrades u;
    upgrades_open(&u, path);
    apply(&u, &s, "engine@1", WEDNESDAY, "engine@1");
    apply(&u, &s, "engine@2", WEDNESDAY, "engine@1");
    s.state = DESIRED_STOPPED;
    apply(&u, &s, "engine@2", WEDNESDAY, "engine@2");
    s.state = DESIRED_RUNNING;
    apply(&u, &s, "engine@3", WEDNESDAY, "engine@2");
    s.window = NULL;
    apply(&u, &s, "engine@3", WEDNESDAY, "engine@3");
    /* A service that is gone is forgotten, and one of the same name later is new. */
    const struct desired none = {0};
    struct workload_list empty;
    workload_list_init(&empty);
    assert_int_equal(upgrades_apply(&u, &none, WEDNESDAY, &empty, NULL), 0);
    workload_list_free(&empty);
    s.window = &window;
    apply(&u, &s, "engine@4", WEDNESDAY, "engine@4");
    upgrades_free(&u);
}

static void what_cannot_be_kept_is_not_taken_up(void **state)
{
    autofree char *path = mem_printf("%s/none/images.json", (char *)*state);
    struct desired_service s = {.id = "one", .state = DESIRED_RUNNING};
    const struct desired d = {.services = &s, .n_services = 1};
    struct workload_env labels[] = {{BLUEPRINT_SERVICE, "one"}};
    struct workload_list list;
    struct err err = ERR_INIT;
    struct upgrades u;
    upgrades_open(&u, path);
    workload_list_init(&list);
    struct workload *w = workload_list_add(&list);
    w->image = "engine@1";
    w->labels = labels;
    w->n_labels = 1;
    assert_true(upgrades_apply(&u, &d, WEDNESDAY, &list, &err) < 0);
    assert_non_null(strstr(err.message, "images.json"));
    assert_int_equal(json_object_size(u.images), 0);
    workload_list_free(&list);
    upgrades_free(&u);
}

/* A document that cannot be rendered to its end takes nothing up. */
static void what_is_not_ended_does_not_count(void **state)
{
    autofree char *path = mem_printf("%s/images.json", (char *)*state);
    struct desired_service s = {.id = "one", .state = DESIRED_RUNNING, .window = &window};
    const struct desired d = {.services = &s, .n_services = 1};
    struct workload_env labels[] = {{BLUEPRINT_SERVICE, "one"}};
    struct workload_list part;
    struct upgrades u;
    upgrades_open(&u, path);
    for (int done = 0; done < 2; done++) {
        workload_list_init(&part);
        struct workload *w = workload_list_add(&part);
        *w = (struct workload){.image = "engine@1", .labels = labels, .n_labels = 1};
        upgrades_begin(&u, &d);
        upgrades_add(&u, &d, WEDNESDAY, &part);
        assert_int_equal(upgrades_end(&u, done, NULL), 0);
        assert_int_equal(json_object_size(u.images), done);
        workload_list_free(&part);
    }
    apply(&u, &s, "engine@2", WEDNESDAY, "engine@1");
    upgrades_free(&u);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_next_opening),
        cmocka_unit_test_setup_teardown(a_new_image_waits_for_the_window, scratch_setup, scratch_teardown),
        cmocka_unit_test_setup_teardown(who_does_not_want_to_wait, scratch_setup, scratch_teardown),
        cmocka_unit_test_setup_teardown(what_cannot_be_kept_is_not_taken_up, scratch_setup, scratch_teardown),
        cmocka_unit_test_setup_teardown(what_is_not_ended_does_not_count, scratch_setup, scratch_teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
