/* Instance types as quotas count them. */
#include "../test.h"

#include "cloud/aws/inspect.h"

static void sizes_say_how_many_vcpus(void **state OH_UNUSED)
{
    assert_int_equal(aws_instance_vcpus("c7a.medium"), 1);
    assert_int_equal(aws_instance_vcpus("m7g.large"), 2);
    assert_int_equal(aws_instance_vcpus("m7g.xlarge"), 4);
    assert_int_equal(aws_instance_vcpus("m7i.2xlarge"), 8);
    assert_int_equal(aws_instance_vcpus("x2idn.32xlarge"), 128);
    static const char *const unsaid[] = {"",
                                         "m7g",
                                         "m7g.",
                                         "m7g.metal",
                                         "m7g.metal-24xl",
                                         "m7g.0xlarge",
                                         "m7g.-2xlarge",
                                         "m7g.xlarges",
                                         "m7g.99999999999999999999xlarge"};
    for (size_t i = 0; i < ARRAY_SIZE(unsaid); i++)
        assert_int_equal(aws_instance_vcpus(unsaid[i]), 0);
}

static void families_are_by_the_letters_before_the_number(void **state OH_UNUSED)
{
    int standard = aws_instance_family("m7i.2xlarge");
    static const char *const same[] = {"m7g.4xlarge", "r7g.2xlarge", "c8gn.large",  "im4gn.xlarge", "is4gen.large",
                                       "i4i.large",   "t4g.small",   "d3en.xlarge", "z1d.large"};
    static const char *const none[] = {"",
                                       "m",
                                       "7g.large",
                                       "inf2.xlarge",
                                       "trn1.2xlarge",
                                       "hpc7a.12xlarge",
                                       "u7i-12tb.224xlarge",
                                       "mac2.metal",
                                       "averyverylongfamilyname7.large",
                                       "m.large"};
    assert_true(standard >= 0);
    for (size_t i = 0; i < ARRAY_SIZE(same); i++)
        assert_int_equal(aws_instance_family(same[i]), standard);
    for (size_t i = 0; i < ARRAY_SIZE(none); i++)
        assert_int_equal(aws_instance_family(none[i]), -1);
    assert_int_equal(aws_instance_family("g4dn.xlarge"), aws_instance_family("vt1.3xlarge"));
    assert_int_not_equal(aws_instance_family("g4dn.xlarge"), standard);
    assert_int_not_equal(aws_instance_family("p5.4xlarge"), aws_instance_family("g6e.xlarge"));
    assert_true(aws_instance_family("x2idn.32xlarge") >= 0 && aws_instance_family("x2idn.32xlarge") != standard);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(sizes_say_how_many_vcpus),
        cmocka_unit_test(families_are_by_the_letters_before_the_number),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
