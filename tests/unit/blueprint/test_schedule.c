/* blueprint/schedule: what holds when, and what is refused. */
#include "../test.h"

#include "blueprint/schedule.h"

#include "base/clock.h"

#define HASH "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"

static int parse(const char *schedule, struct desired **ret, struct err *err)
{
    autofree char *text = mem_printf(
        "{\"domain\":\"d.test\",\"infrastructure\":\"99999999-9999-4999-8999-999999999999\",\"issuedAt\":"
        "\"2026-11-22T12:00:00.000Z\",\"services\":[{\"deleteData\":false,\"id\":"
        "\"11111111-1111-4111-8111-111111111111\",\"ipAccessList\":[],\"memoryGb\":8,\"name\":\"demo\",\"ordinal\":1,"
        "\"replicas\":1,\"slug\":\"demo\",\"state\":\"running\",\"users\":[{\"name\":\"default\",\"sha256\":\"" HASH
        "\"}],\"idle\":{\"minutes\":15},\"settings\":{\"max_threads\":\"2\",\"join_use_nulls\":\"1\"},\"schedule\":%s}]"
        ","
        "\"type\":\"ownhouse/desired\",\"v\":1,\"version\":12}",
        schedule);
    return desired_parse(text, strlen(text), ret, err);
}

static struct desired *of(const char *schedule)
{
    struct desired *d = NULL;
    struct err err = ERR_INIT;
    if (parse(schedule, &d, &err) < 0)
        fail_msg("%s", err.message);
    return d;
}

static int64_t at(const char *time)
{
    int64_t ms = 0;
    autofree char *text = mem_printf("2026-11-%s:00.000Z", time);
    assert_int_equal(clock_iso_parse(text, &ms), 0);
    return ms;
}

static const char *value(const struct desired_service *s, const char *name)
{
    for (size_t i = 0; i < s->n_settings; i++)
        if (!strcmp(s->settings[i].setting->name, name))
            return s->settings[i].value;
    return "";
}

#define NIGHT                                                                                                    \
    "{\"weekdays\":[6,1],\"startHourUtc\":22,\"endHourUtc\":4,\"replicas\":3,\"memoryGb\":32,\"idleMinutes\":0," \
    "\"settings\":{\"max_threads\":\"9\",\"max_execution_time\":\"60\"}}"

static void an_entry_holds_in_its_hours(void **state OH_UNUSED)
{
    autodesired struct desired *d = of("[" NIGHT "]");
    const struct desired_service *s = &d->services[0];
    assert_false(schedule_apply(d, at("28T21:59"))); /* a Saturday */
    assert_int_equal(s->replicas, 1);
    assert_true(schedule_apply(d, at("28T22:00")));
    assert_false(schedule_apply(d, at("28T23:10")));
    assert_int_equal(s->replicas, 3);
    assert_int_equal(s->memory_bytes, INT64_C(32) << 30);
    assert_int_equal(s->idle_minutes, 0);
    assert_string_equal(value(s, "max_threads"), "9");
    assert_string_equal(value(s, "join_use_nulls"), "1");
    assert_string_equal(value(s, "max_execution_time"), "60");
    assert_int_equal(s->n_settings, 3);
    assert_false(schedule_apply(d, at("29T03:59"))); /* into the next day, which is the next week's first */
    assert_true(schedule_apply(d, at("29T04:00")));
    assert_int_equal(s->replicas, 1);
    assert_int_equal(s->memory_bytes, INT64_C(8) << 30);
    assert_int_equal(s->idle_minutes, 15);
    assert_string_equal(value(s, "max_threads"), "2");
    assert_string_equal(value(s, "max_execution_time"), "");
    assert_false(schedule_apply(d, at("29T22:30"))); /* Sunday is none of its days */
    /* A clock that jumps: what holds at the time that it says. */
    assert_true(schedule_apply(d, at("23T22:30")));
    assert_int_equal(s->replicas, 3);
}

static void settings_alone_are_a_change_too(void **state OH_UNUSED)
{
    autodesired struct desired *d = of("[{\"weekdays\":[1],\"startHourUtc\":0,\"endHourUtc\":24,\"replicas\":1,"
                                       "\"memoryGb\":8,\"idleMinutes\":15,\"settings\":{\"max_threads\":\"3\"}}]");
    assert_true(schedule_apply(d, at("23T00:00")));
    assert_string_equal(value(&d->services[0], "max_threads"), "3");
    assert_false(schedule_apply(d, at("23T23:59")));
    assert_true(schedule_apply(d, at("24T00:00")));
}

static void what_is_refused(void **state OH_UNUSED)
{
    static const char *const all[][2] = {
        {"[" NIGHT "," NIGHT "]", "services[0].schedule[1]: meets schedule[0] in hour 0 of the week"},
        {"{}", "services[0].schedule: must be"},
        {"[7]", "services[0].schedule[0]: must be an object"},
        {"[{\"weekdays\":[]}]", "services[0].schedule[0].weekdays: must name one day at least"},
        {"[{\"weekdays\":[7]}]", "services[0].schedule[0].weekdays[0]: must be 0 (Sunday) to 6"},
        {"[{\"weekdays\":[0],\"startHourUtc\":24}]", "services[0].schedule[0].startHourUtc: must be"},
        {"[{\"weekdays\":[0],\"startHourUtc\":0,\"endHourUtc\":0}]", "services[0].schedule[0].endHourUtc: must be"},
        {"[{\"weekdays\":[0],\"startHourUtc\":0,\"endHourUtc\":1,\"replicas\":21}]",
         "services[0].schedule[0].replicas: must be"},
        {"[{\"weekdays\":[0],\"startHourUtc\":0,\"endHourUtc\":1,\"replicas\":1,\"memoryGb\":8,\"idleMinutes\":0,"
         "\"settings\":{\"max_threads\":\"no\"}}]",
         "services[0].schedule[0].settings.max_threads: must be"},
        {"[{\"hours\":1}]", "services[0].schedule[0].hours: "},
    };
    for (size_t i = 0; i < ARRAY_SIZE(all); i++) {
        struct desired *d = NULL;
        struct err err = ERR_INIT;
        if (parse(all[i][0], &d, &err) != -EINVAL || strncmp(err.message, all[i][1], strlen(all[i][1])))
            fail_msg("%s: %s", all[i][0], err.message);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_entry_holds_in_its_hours),
        cmocka_unit_test(settings_alone_are_a_change_too),
        cmocka_unit_test(what_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
