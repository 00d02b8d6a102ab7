/* agent/names/records: what is made, changed and removed, and what is left alone, as tables of a zone. */
#include "../test.h"

#include "agent/names/records.h"

#define OWNER "7c9e6679-7425-40de-944b-e07fc1f90ae7"
#define OTHER "11111111-1111-4111-8111-111111111111"
#define MARK(owner) "heritage=ownhouse,ownhouse/owner=" owner
#define DOMAIN "dp.example"

static const char wanted_text[] = "{\"v\":1,\"infrastructure\":\"" OWNER "\",\"domain\":\"" DOMAIN
                                  "\",\"names\":[\"a." DOMAIN "\",\"b." DOMAIN "\"],\"targets\":[\"192.0.2.1\"]}";

struct zone_text {
    const char *name, *type, *value;
};

static void fill(struct zone_sets *s, const struct zone_text *list, size_t n)
{
    zone_sets_init(s);
    for (size_t i = 0; i < n; i++)
        assert_int_equal(zone_sets_add(s, list[i].name, list[i].type, 60, list[i].value, NULL), 0);
    zone_sets_group(s);
}

static void wanted(const char *text, const char *zone, struct zone_sets *ret)
{
    autowanted struct wanted w = {0};
    struct err err = ERR_INIT;
    if (wanted_parse(text, strlen(text), &w, &err) < 0)
        fail_msg("%s", err.message);
    zone_sets_init(ret);
    assert_int_equal(records_wanted(&w, zone, 60, ret, NULL), 0);
}

static void an_empty_zone_gets_all(void **state OH_UNUSED)
{
    autosets struct zone_sets want, have;
    struct records_plan p;
    wanted(wanted_text, "example", &want);
    fill(&have, NULL, 0);
    records_compare(&want, &have, OWNER, &p);
    assert_int_equal(p.n, 3);
    for (size_t i = 0; i < p.n; i++) {
        assert_non_null(p.changes[i].want);
        assert_null(p.changes[i].have);
        assert_false(p.changes[i].marked);
        assert_int_equal(strncmp(p.changes[i].mark->name, "_ownhouse-a.", 12), 0);
        assert_string_equal(p.changes[i].mark->values[0], MARK(OWNER));
    }
    assert_int_equal(p.conflicts, 0);
}

static void what_is_as_wanted_is_left(void **state OH_UNUSED)
{
    static const struct zone_text zone[] = {{DOMAIN, "A", "192.0.2.1"},
                                            {"_ownhouse-a." DOMAIN, "TXT", MARK(OWNER)},
                                            {"a." DOMAIN, "A", "192.0.2.1"}, /* by hand, but right: nothing to do */
                                            {"b." DOMAIN, "A", "192.0.2.1"},
                                            {"_ownhouse-a.b." DOMAIN, "TXT", MARK(OWNER)}};
    autosets struct zone_sets want, have;
    struct records_plan p;
    wanted(wanted_text, "example", &want);
    fill(&have, zone, ARRAY_SIZE(zone));
    records_compare(&want, &have, OWNER, &p);
    assert_int_equal(p.n, 0);
    assert_int_equal(p.kept, 3);
}

static void only_ours_is_changed_or_removed(void **state OH_UNUSED)
{
    static const struct zone_text zone[] = {{DOMAIN, "A", "192.0.2.9"}, /* ours, another address */
                                            {"_ownhouse-a." DOMAIN, "TXT", MARK(OWNER)},
                                            {"a." DOMAIN, "A", "192.0.2.9"}, /* another installation's */
                                            {"_ownhouse-a.a." DOMAIN, "TXT", MARK(OTHER)},
                                            {"b." DOMAIN, "A", "192.0.2.9"}, /* a mark that says more is none */
                                            {"_ownhouse-a.b." DOMAIN, "TXT", MARK(OWNER)},
                                            {"_ownhouse-a.b." DOMAIN, "TXT", "more"},
                                            {"old." DOMAIN, "A", "192.0.2.9"}, /* ours, not wanted */
                                            {"_ownhouse-a.old." DOMAIN, "TXT", MARK(OWNER)},
                                            {"half." DOMAIN, "TXT", "x"}, /* marked for A, and there is none */
                                            {"_ownhouse-a.half." DOMAIN, "TXT", MARK(OWNER)},
                                            {"kept." DOMAIN, "A", "192.0.2.9"},
                                            {"_ownhouse-aaaa.kept." DOMAIN, "TXT", MARK(OTHER)},
                                            {"_ownhouse-ns.x." DOMAIN, "TXT", MARK(OWNER)}};
    autosets struct zone_sets want, have;
    struct records_plan p;
    wanted(wanted_text, "example", &want);
    fill(&have, zone, ARRAY_SIZE(zone));
    records_compare(&want, &have, OWNER, &p);
    assert_int_equal(p.n, 3);
    assert_null(p.changes[0].want);
    assert_null(p.changes[0].have); /* half: its mark alone */
    assert_string_equal(p.changes[0].mark->name, "_ownhouse-a.half." DOMAIN);
    assert_null(p.changes[1].want);
    assert_string_equal(p.changes[1].have->name, "old." DOMAIN);
    assert_string_equal(p.changes[2].want->name, DOMAIN);
    assert_string_equal(p.changes[2].have->values[0], "192.0.2.9");
    assert_true(p.changes[2].marked);
    assert_int_equal(p.conflicts, 2);
    assert_non_null(strstr(p.conflict, "a." DOMAIN));
}

static void an_alias_gives_way_only_if_it_is_ours(void **state OH_UNUSED)
{
    static const struct zone_text zone[] = {{"a." DOMAIN, "CNAME", "x.example"},
                                            {"_ownhouse-cname.a." DOMAIN, "TXT", MARK(OWNER)},
                                            {"b." DOMAIN, "CNAME", "x.example"}};
    autosets struct zone_sets want, have;
    struct records_plan p;
    wanted(wanted_text, "example", &want);
    fill(&have, zone, ARRAY_SIZE(zone));
    records_compare(&want, &have, OWNER, &p);
    assert_int_equal(p.n, 3);
    assert_string_equal(p.changes[0].have->type, "CNAME"); /* removals first: both cannot stand */
    assert_null(p.changes[0].want);
    assert_int_equal(p.conflicts, 1);
    assert_non_null(strstr(p.conflict, "b." DOMAIN));
}

static void a_zones_own_name_gets_no_alias(void **state OH_UNUSED)
{
    static const char text[] = "{\"v\":1,\"infrastructure\":\"" OWNER "\",\"domain\":\"" DOMAIN
                               "\",\"names\":[\"a." DOMAIN "\",\"b.else.example\"],\"targets\":[\"lb.example.net\"]}";
    autosets struct zone_sets want;
    wanted(text, DOMAIN, &want);
    assert_int_equal(want.n, 1); /* nor does a name outside the domain get anything */
    assert_string_equal(want.items[0].name, "a." DOMAIN);
    assert_string_equal(want.items[0].type, "CNAME");
}

static void challenges_come_and_go(void **state OH_UNUSED)
{
    static const char name[] = "_acme-challenge." DOMAIN;
    static const struct zone_text zone[] = {{name, "TXT", "one"},
                                            {"_ownhouse-txt._acme-challenge." DOMAIN, "TXT", MARK(OWNER)}};
    autosets struct zone_sets none, some, foreign, out1, out2, out3, out4;
    struct zone_change c;
    bool needed = false;
    fill(&none, NULL, 0);
    fill(&some, zone, 2);
    fill(&foreign, zone, 1);
    zone_sets_init(&out1), zone_sets_init(&out2), zone_sets_init(&out3), zone_sets_init(&out4);
    assert_int_equal(records_challenge(&none, DOMAIN, "one", true, OWNER, &out1, &c, &needed, NULL), 0);
    assert_true(needed && c.want && !c.have && !c.marked);
    assert_int_equal(records_challenge(&some, DOMAIN, "two", true, OWNER, &out2, &c, &needed, NULL), 0);
    assert_true(needed && c.marked);
    assert_int_equal(c.want->n, 2);
    assert_int_equal(records_challenge(&some, DOMAIN, "one", false, OWNER, &out3, &c, &needed, NULL), 0);
    assert_true(needed && !c.want && c.have);
    assert_int_equal(records_challenge(&some, DOMAIN, "one", true, OWNER, &out4, &c, &needed, NULL), 0);
    assert_false(needed);
    assert_int_equal(records_challenge(&foreign, DOMAIN, "two", true, OWNER, &out4, &c, &needed, NULL), -EEXIST);
}

static void a_wanted_file_is_checked(void **state OH_UNUSED)
{
    static const char *const bad[] = {
        "{}",
        "{\"v\":2,\"infrastructure\":\"" OWNER "\",\"domain\":\"x\",\"names\":[],\"targets\":[]}",
        "{\"v\":1,\"infrastructure\":\"me\",\"domain\":\"x\",\"names\":[],\"targets\":[]}",
        "{\"v\":1,\"infrastructure\":\"" OWNER "\",\"domain\":\"x y\",\"names\":[],\"targets\":[]}",
        "{\"v\":1,\"infrastructure\":\"" OWNER "\",\"domain\":\"x\",\"names\":[\"a b\"],\"targets\":[]}",
        "{\"v\":1,\"infrastructure\":\"" OWNER "\",\"domain\":\"x\",\"names\":[],\"targets\":[7]}",
        "{\"v\":1,\"infrastructure\":\"" OWNER "\",\"domain\":\"x\",\"names\":[],\"targets\":[],\"more\":1}"};
    struct wanted w;
    for (size_t i = 0; i < ARRAY_SIZE(bad); i++)
        assert_true(wanted_parse(bad[i], strlen(bad[i]), &w, NULL) < 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_empty_zone_gets_all),          cmocka_unit_test(what_is_as_wanted_is_left),
        cmocka_unit_test(only_ours_is_changed_or_removed), cmocka_unit_test(an_alias_gives_way_only_if_it_is_ours),
        cmocka_unit_test(a_zones_own_name_gets_no_alias),  cmocka_unit_test(challenges_come_and_go),
        cmocka_unit_test(a_wanted_file_is_checked),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
