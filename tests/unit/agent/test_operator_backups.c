/* agent/operator/backup_rules: when backups are made, what they build on, and when they go. */
#include "../test.h"

#include "agent/operator/backup_place.h"

#define HOUR INT64_C(3600000)
#define DAY (24 * HOUR)
#define T0 (INT64_C(20000) * DAY + 10 * HOUR) /* ten o'clock */
#define SERVICE "11111111-1111-4111-8111-111111111111"
#define OTHER "22222222-2222-4222-8222-222222222222"

static const struct desired_backup daily = {24, 24, -1}, hourly = {1, 48, -1}, at_four = {24, 24, 4 * 60};

static void put(struct backup_list *l, int number, int base, enum backup_state state, int64_t at)
{
    struct backup *b = backup_add(l);
    snprintf(b->id, sizeof(b->id), "00000000-0000-4000-8000-%012d", number);
    if (base)
        snprintf(b->base, sizeof(b->base), "00000000-0000-4000-8000-%012d", base);
    snprintf(b->service, sizeof(b->service), SERVICE);
    b->state = state;
    b->started_ms = at;
    b->retention_hours = 24;
}

static void the_first_comes_within_an_hour(void **state)
{
    struct backup_list l = {0};
    assert_int_equal(backup_due(&l, SERVICE, &daily, NULL, T0), T0 + HOUR);
    assert_int_equal(backup_due(&l, SERVICE, &at_four, NULL, T0), T0 + 18 * HOUR);
    assert_null(backup_base(&l, SERVICE, ""));
}

static void then_one_a_period(void **state)
{
    struct backup_list l = {0};
    put(&l, 1, 0, BACKUP_DONE, T0);
    assert_int_equal(backup_due(&l, SERVICE, &daily, NULL, 0), T0 + DAY);
    assert_int_equal(backup_due(&l, SERVICE, &hourly, NULL, 0), T0 + HOUR);
    assert_int_equal(backup_due(&l, SERVICE, &at_four, NULL, 0), T0 + 18 * HOUR);
    assert_int_equal(backup_due(&l, OTHER, &daily, NULL, T0), T0 + HOUR);
    put(&l, 2, 1, BACKUP_FAILED, T0 + DAY);
    assert_int_equal(backup_due(&l, SERVICE, &daily, NULL, 0), T0 + DAY + BACKUP_RETRY_MS);
    free(l.items);
}

static void one_that_was_asked_for_is_made_once(void **state)
{
    struct backup_list l = {0};
    const char *asked = "00000000-0000-4000-8000-000000000002";
    put(&l, 1, 0, BACKUP_DONE, T0);
    assert_true(backup_due(&l, SERVICE, &daily, asked, T0) <= T0);
    put(&l, 2, 1, BACKUP_FAILED, T0 + 1);
    assert_int_equal(backup_due(&l, SERVICE, &daily, asked, 0), T0 + 1 + BACKUP_RETRY_MS);
    free(l.items);
}

static void a_chain_begins_with_a_full_one(void **state)
{
    struct backup_list l = {0};
    for (int i = 1; i <= 2 * BACKUP_CHAIN + 1; i++) {
        const struct backup *base = backup_base(&l, SERVICE, "");
        int of = base ? atoi(base->id + 24) : 0;
        assert_int_equal(of, (i - 1) % BACKUP_CHAIN ? i - 1 : 0);
        put(&l, i, of, BACKUP_DONE, T0 + i * HOUR);
    }
    put(&l, 90, 15, BACKUP_FAILED, T0 + 90 * HOUR); /* what failed is no base */
    assert_int_equal(atoi(backup_base(&l, SERVICE, "")->id + 24), 15);
    free(l.items);
}

static void another_place_begins_with_a_full_one(void **state)
{
    struct backup_list l = {0};
    put(&l, 1, 0, BACKUP_DONE, T0);
    assert_null(backup_base(&l, SERVICE, "0123456789abcdef"));
    put(&l, 2, 0, BACKUP_DONE, T0 + HOUR);
    snprintf(l.items[1].place, sizeof(l.items[1].place), "0123456789abcdef");
    assert_string_equal(backup_base(&l, SERVICE, "0123456789abcdef")->id, l.items[1].id);
    assert_null(backup_base(&l, SERVICE, ""));
    free(l.items);
}

static void says_where_it_lies(void **state)
{
    const struct backup_place folder = {.dir = "/b/it's"}, bucket = {.s3_url = "https://h/buck/p", .s3_region = "r"};
    static const char id[] = "00000000-0000-4000-8000-000000000001";
    char mark[BACKUP_PLACE_SIZE], other[BACKUP_PLACE_SIZE];
    autofree char *file = backup_place_sql(&folder, SERVICE, id), *disk = backup_place_sql(&bucket, SERVICE, id);
    autofree char *want = mem_printf("File('/b/it\\'s/%s/%s')", SERVICE, id);
    assert_string_equal(file, want);
    assert_true(!strncmp(disk, "Disk('backup_", 13) && strstr(disk, id) && !strstr(disk, "buck/p"));
    backup_place_mark(&folder, mark);
    backup_place_mark(&bucket, other);
    assert_string_equal(mark, "");
    assert_int_equal(strlen(other), 16);
    assert_false(backup_place_is(&(struct backup_place){0}));
}

static void what_others_build_on_stays(void **state)
{
    struct backup_list l = {0};
    put(&l, 1, 0, BACKUP_DONE, T0);
    put(&l, 2, 1, BACKUP_DONE, T0 + 20 * HOUR);
    assert_false(backup_expired(&l, 0, true, T0 + 30 * HOUR)); /* 2 builds on it */
    assert_false(backup_expired(&l, 1, true, T0 + 30 * HOUR)); /* not old enough */
    assert_false(backup_expired(&l, 1, true, T0 + 90 * HOUR)); /* the last good one */
    put(&l, 3, 0, BACKUP_DONE, T0 + 60 * HOUR);
    assert_true(backup_expired(&l, 1, true, T0 + 90 * HOUR));
    backup_remove(&l, 1);
    assert_true(backup_expired(&l, 0, true, T0 + 90 * HOUR));
    assert_false(backup_expired(&l, 1, true, T0 + 90 * HOUR));
    assert_true(backup_expired(&l, 1, false, T0 + 90 * HOUR)); /* of a service that is gone */
    free(l.items);
}

static void a_failed_one_is_remembered_for_its_time(void **state)
{
    struct backup_list l = {0};
    put(&l, 1, 0, BACKUP_FAILED, T0);
    assert_false(backup_expired(&l, 0, true, T0 + HOUR));
    assert_true(backup_expired(&l, 0, true, T0 + DAY));
    l.items[0].state = BACKUP_RUNNING;
    assert_false(backup_expired(&l, 0, true, T0 + 100 * DAY));
    free(l.items);
}

static void goes_to_json_and_back(void **state)
{
    struct backup_list l = {0};
    struct backup back;
    struct err err = ERR_INIT;
    put(&l, 7, 3, BACKUP_DONE, T0);
    l.items[0].bytes = 12345;
    l.items[0].drill = DRILL_PASSED;
    snprintf(l.items[0].error, sizeof(l.items[0].error), "none");
    snprintf(l.items[0].place, sizeof(l.items[0].place), "0123456789abcdef");
    autojson json_t *v = backup_to_json(&l.items[0]);
    assert_int_equal(backup_from_json(v, &back, &err), 0);
    assert_memory_equal(&back, &l.items[0], sizeof(back));
    json_object_set_new(v, "service", json_string("../../../../../../../../etc/passwd-aaaa"));
    assert_true(backup_from_json(v, &back, &err) < 0);
    json_object_set_new(v, "service", json_string(SERVICE));
    json_object_set_new(v, "state", json_string("whatever"));
    assert_int_equal(backup_from_json(v, &back, &err), -EINVAL);
    free(l.items);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_first_comes_within_an_hour),
        cmocka_unit_test(then_one_a_period),
        cmocka_unit_test(one_that_was_asked_for_is_made_once),
        cmocka_unit_test(a_chain_begins_with_a_full_one),
        cmocka_unit_test(another_place_begins_with_a_full_one),
        cmocka_unit_test(says_where_it_lies),
        cmocka_unit_test(what_others_build_on_stays),
        cmocka_unit_test(a_failed_one_is_remembered_for_its_time),
        cmocka_unit_test(goes_to_json_and_back),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
