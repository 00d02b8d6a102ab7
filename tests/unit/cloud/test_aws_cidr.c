/* Planning addresses of an AWS network: subnets, what overlaps, what a range carries. Pure. */
#include "../test.h"

#include "cloud/aws/cidr.h"

static struct cidr range(const char *text)
{
    struct cidr c;
    struct err err = ERR_INIT;
    if (cidr_parse(text, &c, &err) < 0)
        fail_msg("%s: %s", text, err.message);
    return c;
}

static void ranges_are_read_strictly(void **state OH_UNUSED)
{
    static const char *const bad[] = {"",           "10.0.0.0",      "10.0.0.0/",    "10.0.0.0/33",   "10.0.0.0/-1",
                                      "10.0.0/16",  "10.0.0.0/16 ",  "10.0.0.1/16",  "10.0.256.0/24", "::/0",
                                      "a.b.c.d/16", "10.0.0.0/16/2", "010.0.0.0/8x", "0.0.0.1/0"};
    struct cidr c;
    char text[CIDR_TEXT];
    for (size_t i = 0; i < ARRAY_SIZE(bad); i++)
        if (cidr_parse(bad[i], &c, NULL) != -EINVAL)
            fail_msg("\"%s\" was taken", bad[i]);
    cidr_text(&(struct cidr){0x0a280000, 16}, text);
    assert_string_equal(text, "10.40.0.0/16");
    c = range("255.255.255.255/32");
    cidr_text(&c, text);
    assert_string_equal(text, "255.255.255.255/32");
}

static void overlap_is_symmetric_and_exact(void **state OH_UNUSED)
{
    static const struct {
        const char *a, *b;
        bool overlap;
    } cases[] = {
        {"10.0.0.0/16", "10.1.0.0/16", false},       {"10.0.0.0/16", "10.0.255.0/24", true},
        {"10.0.0.0/15", "10.1.0.0/16", true},        {"0.0.0.0/0", "203.0.113.7/32", true},
        {"10.0.0.0/32", "10.0.0.1/32", false},       {"10.0.0.1/32", "10.0.0.1/32", true},
        {"255.0.0.0/8", "255.255.255.255/32", true}, {"192.168.0.0/23", "192.168.2.0/23", false},
    };
    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        struct cidr a = range(cases[i].a), b = range(cases[i].b);
        assert_int_equal(cidr_overlap(&a, &b), cases[i].overlap);
        assert_int_equal(cidr_overlap(&b, &a), cases[i].overlap);
    }
}

/* Every size: inside the range, apart from each other, big enough for AWS, and the services' range apart from all. */
static void subnets_fit_in_every_range(void **state OH_UNUSED)
{
    static const char *const bases[] = {"10.40.0.0", "172.16.0.0", "192.168.0.0", "100.80.0.0"};
    for (size_t b = 0; b < ARRAY_SIZE(bases); b++)
        for (int prefix = 16; prefix <= 23; prefix++) {
            autofree char *text = mem_printf("%s/%d", bases[b], prefix);
            struct cidr whole = range(text);
            struct cidr_plan p;
            assert_int_equal(cidr_plan(&whole, &p, NULL), 0);
            const struct cidr all[] = {p.private_[0], p.private_[1], p.private_[2], p.public_[0],
                                       p.public_[1],  p.public_[2],  p.spare};
            for (size_t i = 0; i < ARRAY_SIZE(all); i++) {
                assert_true(all[i].prefix > whole.prefix && all[i].prefix <= 28);
                assert_int_equal(all[i].first & ~(0xffffffffu << (32 - whole.prefix)),
                                 all[i].first - whole.first); /* inside, since no carry leaves it */
                assert_int_equal(all[i].first & (0xffffffffu >> all[i].prefix), 0);
                for (size_t k = i + 1; k < ARRAY_SIZE(all); k++)
                    assert_false(cidr_overlap(&all[i], &all[k]));
            }
            assert_false(cidr_overlap(&whole, &p.services));
            assert_int_equal(p.prefix_mode, prefix <= 21);
        }
    struct cidr_plan p;
    for (int prefix = 0; prefix <= 32; prefix++)
        if (prefix < 16 || prefix > 23)
            assert_int_equal(cidr_plan(&(struct cidr){0, prefix}, &p, NULL), -EINVAL);
}

/* Worked by hand: a /16 has private subnets of /18: 16,379 addresses, less 16 for EKS and 32 at the ends, by 33 a node:
 * 494 a zone; in address mode 13 a node. */
static void capacity_is_what_the_modes_allow(void **state OH_UNUSED)
{
    static const struct {
        const char *range;
        int addresses, nodes;
    } cases[] = {
        {"10.0.0.0/16", 16379, 3 * 494},
        {"10.0.0.0/21", 507, 3 * 13},
        {"10.0.0.0/22", 251, 3 * 18},
        {"10.0.0.0/23", 123, 3 * 8},
    };
    int before = INT32_MAX;
    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        struct cidr whole = range(cases[i].range);
        struct cidr_plan p;
        struct cidr_capacity c;
        assert_int_equal(cidr_plan(&whole, &p, NULL), 0);
        cidr_capacity(&p, &c);
        assert_int_equal(c.addresses, cases[i].addresses);
        assert_int_equal(c.nodes, cases[i].nodes);
        assert_int_equal(c.replicas, c.nodes - 6);
        assert_true(c.addresses < before);
        before = c.addresses;
    }
}

static void refused(const char *text, const struct cidr_taken *taken, const char *said)
{
    struct err err = ERR_INIT;
    struct cidr c = range(text);
    assert_int_equal(cidr_check(&c, taken, &err), -EADDRINUSE);
    if (!strstr(err.message, said) || !strstr(err.message, text))
        fail_msg("\"%s\" does not say \"%s\" of %s", err.message, said, text);
}

static void ranges_that_others_use_are_refused_with_the_reason(void **state OH_UNUSED)
{
    const struct cidr_taken peers[] = {
        {"10.50.0.0/16", "declared peer"}, {"10.60.8.0/24", "declared peer"}, {NULL, NULL}};
    const struct cidr_taken overlay[] = {{"100.64.0.0/10", "the overlay's"}, {NULL, NULL}};
    struct cidr good = range("10.40.0.0/16");
    refused("169.254.0.0/16", NULL, "link-local");
    refused("172.17.0.0/16", NULL, "Docker");
    refused("172.17.128.0/20", NULL, "Docker");
    refused("198.19.0.0/16", NULL, "AWS's own use");
    refused("127.1.0.0/16", NULL, "loopback");
    refused("224.1.0.0/16", NULL, "multicast");
    /* Private addresses as good as any, unless the account has an overlay network that hands them out. */
    struct cidr shared = range("100.64.0.0/16");
    assert_int_equal(cidr_check(&shared, NULL, NULL), 0);
    refused("100.64.0.0/16", overlay, "overlay");
    refused("100.127.0.0/16", overlay, "overlay");
    refused("10.50.0.0/16", peers, "declared peer");
    refused("10.50.64.0/20", peers, "10.50.0.0/16 (declared peer)");
    refused("10.60.0.0/16", peers, "10.60.8.0/24 (declared peer)");
    assert_int_equal(cidr_check(&good, peers, NULL), 0);
    assert_int_equal(cidr_check(&good, (const struct cidr_taken[]){{"nonsense", "x"}, {NULL, NULL}}, NULL), -EINVAL);
    /* The services' range moves out of the way of a network in 172.16.0.0/12. */
    struct cidr near_services = range("172.20.0.0/16");
    assert_int_equal(cidr_check(&near_services, NULL, NULL), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(ranges_are_read_strictly),
        cmocka_unit_test(overlap_is_symmetric_and_exact),
        cmocka_unit_test(subnets_fit_in_every_range),
        cmocka_unit_test(capacity_is_what_the_modes_allow),
        cmocka_unit_test(ranges_that_others_use_are_refused_with_the_reason),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
