/* control/scaling: the hours that entries cover, and what holds at a given time. */
#include "../test.h"

#include "base/clock.h"
#include "control/scaling.h"

static int64_t at(const char *text)
{
    int64_t ms = 0;
    assert_int_equal(clock_iso_parse(text, &ms), 0);
    return ms;
}

static json_t *parse(const char *text)
{
    json_t *v = NULL;
    assert_int_equal(js_parse(text, strlen(text), KIB(64), &v, NULL), 0);
    return v;
}

static int covered(const char *entry, int *ret_first)
{
    autojson json_t *v = parse(entry);
    bool hours[SCALING_WEEK_HOURS];
    int n = 0;
    scaling_hours(v, hours);
    *ret_first = -1;
    for (int i = 0; i < SCALING_WEEK_HOURS; i++) {
        n += hours[i];
        *ret_first = hours[i] && *ret_first < 0 ? i : *ret_first;
    }
    return n;
}

static void hours_of_the_week(void **unused)
{
    int first;
    assert_int_equal(scaling_hour_of(at("2026-11-22T00:00:00Z")), 0); /* a Sunday */
    assert_int_equal(scaling_hour_of(at("2026-11-28T23:59:59Z")), 167);
    assert_int_equal(covered("{\"weekdays\":[1,2],\"startHourUtc\":9,\"endHourUtc\":17}", &first), 16);
    assert_int_equal(first, 33);
    assert_int_equal(covered("{\"weekdays\":[0],\"startHourUtc\":0,\"endHourUtc\":24}", &first), 24);
    assert_int_equal(first, 0);
    /* Over midnight, and over the end of the week. */
    assert_int_equal(covered("{\"weekdays\":[6],\"startHourUtc\":22,\"endHourUtc\":3}", &first), 5);
    assert_int_equal(first, 0);
}

static const char spec_text[] =
    "{\"autoscalingMode\":\"vertical\",\"numReplicas\":3,\"minReplicaMemoryGb\":8,\"maxReplicaMemoryGb\":16,"
    "\"idleScaling\":true,\"idleTimeoutMinutes\":15,\"scalingSchedule\":["
    "{\"id\":\"day\",\"weekdays\":[1,2,3,4,5],\"startHourUtc\":9,\"endHourUtc\":17,\"autoscalingMode\":\"vertical\","
    "\"minReplicaMemoryGb\":32,\"maxReplicaMemoryGb\":64,\"idleScaling\":false},"
    "{\"id\":\"night\",\"weekdays\":[6],\"startHourUtc\":20,\"endHourUtc\":4,\"autoscalingMode\":\"horizontal\","
    "\"minReplicaMemoryGb\":12,\"maxReplicaMemoryGb\":12,\"minReplicas\":2,\"maxReplicas\":5}]}";

static void what_holds(void **unused)
{
    autojson json_t *spec = parse(spec_text);
    struct scaling s;
    scaling_at(spec, at("2026-11-23T09:00:00Z"), &s);
    assert_string_equal(s.entry, "day");
    assert_int_equal(s.min_memory_gb, 32);
    assert_int_equal(s.max_memory_gb, 64);
    assert_int_equal(s.min_replicas, 3);
    assert_false(s.idle);
    assert_int_equal(s.idle_minutes, 15);
    scaling_at(spec, at("2026-11-23T17:00:00Z"), &s);
    assert_null(s.entry);
    assert_int_equal(s.min_memory_gb, 8);
    assert_true(s.idle);
    scaling_at(spec, at("2026-11-29T03:59:59Z"), &s); /* Sunday, begun on Saturday */
    assert_string_equal(s.entry, "night");
    assert_true(s.horizontal);
    assert_int_equal(s.min_replicas, 2);
    assert_int_equal(s.max_replicas, 5);
    scaling_base(spec, &s);
    assert_false(s.horizontal);
    assert_int_equal(s.max_replicas, 3);
}

static void a_vertical_entry_over_a_horizontal_base(void **unused)
{
    autojson json_t *spec = parse("{\"autoscalingMode\":\"horizontal\",\"minReplicas\":2,\"maxReplicas\":6,"
                                  "\"scalingSchedule\":[{\"id\":\"x\",\"weekdays\":[0],\"startHourUtc\":0,"
                                  "\"endHourUtc\":1,\"autoscalingMode\":\"vertical\"}]}");
    struct scaling s;
    scaling_at(spec, at("2026-11-22T00:30:00Z"), &s);
    assert_false(s.horizontal);
    assert_int_equal(s.min_replicas, 2);
    assert_int_equal(s.max_replicas, 2);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(hours_of_the_week),
        cmocka_unit_test(what_holds),
        cmocka_unit_test(a_vertical_entry_over_a_horizontal_base),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
