/* cli/ranges: a range beside the routes that are there. */
#include "../test.h"

#include "cli/ranges.h"

#define HEAD "Iface\tDestination\tGateway \tFlags\tRefCnt\tUse\tMetric\tMask\t\tMTU\tWindow\tIRTT\n"

static void expect(const char *routes, const char *want)
{
    char got[RANGE_SIZE];
    struct err err = ERR_INIT;
    assert_int_equal(range_choose(routes, got, &err), 0);
    assert_string_equal(got, want);
}

static void a_quiet_machine_gives_the_first(void **state OH_UNUSED)
{
    expect("", "10.77.0.0/16");
    expect(HEAD, "10.77.0.0/16");
    /* The default route overlaps with everything and takes nothing. */
    expect(HEAD "eth0\t00000000\t0100A8C0\t0003\t0\t0\t0\t00000000\t0\t0\t0\n", "10.77.0.0/16");
    expect(HEAD "eth0\t0000A8C0\t00000000\t0001\t0\t0\t0\t00FFFFFF\t0\t0\t0\n", "10.77.0.0/16");
}

static void a_route_inside_takes_the_range(void **state OH_UNUSED)
{
    /* 10.77.5.0/24 */
    expect(HEAD "br0\t00054D0A\t00000000\t0001\t0\t0\t0\t00FFFFFF\t0\t0\t0\n", "10.78.0.0/16");
    /* 10.77.0.0/16 and 10.78.9.1/32 */
    expect(HEAD "br0\t00004D0A\t00000000\t0001\t0\t0\t0\t0000FFFF\t0\t0\t0\n"
                "br1\t01094E0A\t00000000\t0001\t0\t0\t0\tFFFFFFFF\t0\t0\t0\n",
           "10.79.0.0/16");
}

static void a_wider_route_takes_all_it_covers(void **state OH_UNUSED)
{
    /* 10.64.0.0/10 covers 10.64 to 10.127. */
    expect(HEAD "vpn\t0000400A\t00000000\t0001\t0\t0\t0\t0000C0FF\t0\t0\t0\n", "10.128.0.0/16");
    char got[RANGE_SIZE];
    struct err err = ERR_INIT;
    assert_int_equal(range_choose(HEAD "vpn\t0000000A\t00000000\t0001\t0\t0\t0\t000000FF\t0\t0\t0\n", got, &err),
                     -EADDRNOTAVAIL);
    assert_non_null(strstr(err.message, "10.0.0.0/8"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_quiet_machine_gives_the_first),
        cmocka_unit_test(a_route_inside_takes_the_range),
        cmocka_unit_test(a_wider_route_takes_all_it_covers),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
