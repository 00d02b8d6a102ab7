/* blueprint/metrics: the list is sound, and of a text only what is in it is taken. */
#include "../test.h"

#include "base/buf.h"
#include "blueprint/metrics.h"

static void the_list_is_sound(void **unused)
{
    assert_true(metrics_count <= METRICS_MAX);
    for (size_t i = 0; i < metrics_count; i++) {
        const struct metric *m = &metrics_all[i];
        assert_ptr_equal(metric_find(m->name, strlen(m->name)), m); /* no other has the name */
        assert_int_equal(!strncmp(m->name, "ClickHouseProfileEvents_", 24), m->counter);
        assert_int_equal(strncmp(m->name, "ClickHouse", 10), 0);
        assert_null(strpbrk(m->help, "\n\\"));
    }
    assert_null(metric_find("ClickHouseMetrics_Quer", 22));
    assert_null(metric_find("", 0));
}

static void note(const struct metric *m, int64_t value, void *data)
{
    buf_printf(data, "%s=%lld;", strchr(m->name, '_') + 1, (long long)value);
}

static void reads(const char *text, const char *expected)
{
    autobuf struct buf got = BUF_INIT;
    autofree char *copy = mem_alloc(strlen(text) + 1); /* exactly so long, for the address sanitizer */
    memcpy(copy, text, strlen(text));
    metrics_read(copy, strlen(text), note, &got);
    assert_string_equal(got.data ? got.data : "", expected);
}

static void only_what_is_in_the_list_is_read(void **unused)
{
    reads("", "");
    reads("# HELP ClickHouseMetrics_Query x\n# TYPE ClickHouseMetrics_Query gauge\nClickHouseMetrics_Query 7\n",
          "Query=7;");
    reads("ClickHouseMetrics_Query 7", "Query=7;");
    reads("ClickHouseMetrics_Query 7 1700000000000\r\nClickHouseMetrics_Merge 1.6e3\r\n", "Query=7;Merge=1600;");
    reads("ClickHouseMetrics_Other 7\nClickHouseMetrics_Query{table=\"secret\"} 8\nsecret 9\n", "");
    reads("ClickHouseMetrics_Query \nClickHouseMetrics_Query x\nClickHouseMetrics_Query 7x\nClickHouseMetrics_Query\n",
          "");
    reads("ClickHouseMetrics_Query -1\nClickHouseMetrics_Query nan\nClickHouseMetrics_Query +Inf\n"
          "ClickHouseMetrics_Query 1e300\n",
          "");
    reads("\n\n \nClickHouseAsyncMetrics_Uptime 12.4\n", "Uptime=12;");
    reads("ClickHouseMetrics_Query 11111111111111111111111111111111111111111111111111111111111111111111111111111\n",
          "");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_list_is_sound),
        cmocka_unit_test(only_what_is_in_the_list_is_read),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
