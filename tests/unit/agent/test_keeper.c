/* agent/consent/keeper: what was used stays used, and no policy of before comes back, whoever sends what again. */
#include "../consent/consent_parts.h"

#include "agent/consent/keeper.h"

struct fixture {
    struct people people;
    struct clock_manual clock;
    char *dir, *policy;
    struct keeper *k;
};

/* What an agent does at its start; 0, or what keeper_open() says. */
static int start(struct fixture *f, struct err *err)
{
    struct policy *first = NULL;
    autojson json_t *o = policy_json(&f->people, "sealed", NULL);
    assert_int_equal(policy_from_json(o, &first, NULL), 0);
    keeper_free(f->k);
    f->k = NULL;
    struct keeper_config c = {f->dir, f->policy, INFRA, first, &f->clock.clock};
    *err = ERR_INIT;
    return keeper_open(&c, &f->k, err);
}

static int setup(void **state)
{
    struct fixture *f = mem_alloc(sizeof(*f));
    struct err err = ERR_INIT;
    void *dir;
    if (scratch_setup(&dir) < 0)
        return -1;
    f->dir = dir;
    f->policy = mem_printf("%s/policy.json", f->dir);
    people_new(&f->people, "sealed", NULL);
    clock_manual_init(&f->clock, NOW);
    *state = f;
    return start(f, &err);
}

static int teardown(void **state)
{
    struct fixture *f = *state;
    void *dir = f->dir;
    keeper_free(f->k);
    people_free(&f->people);
    free(f->policy);
    free(f);
    return scratch_teardown(&dir);
}

static json_t *approval_of(const struct signing_key *key, const json_t *request)
{
    autorequest struct consent_request q = {0};
    json_t *o = NULL;
    assert_int_equal(request_from_json(request, &q, NULL), 0);
    assert_int_equal(approval_sign(key, &q, false, NOW, NOW + HOUR, NULL, 0, &o, NULL), 0);
    return o;
}

/* What the control plane carries: a request, an approval of `approved` by `key`. */
static void carry(struct fixture *f, const json_t *request, const json_t *approved, const struct signing_key *key)
{
    autojson json_t *message = json_pack("{s[O] s[o]}", "requests", request, "approvals", approval_of(key, approved));
    assert_int_equal(keeper_take(f->k, message, NULL, NULL), 0);
}

static enum consent_state state_of(const struct fixture *f, struct consent_request *q)
{
    struct consent_verdict v = {0};
    request_free(q);
    assert_int_equal(keeper_check(f->k, REQUEST, NULL, q, &v, NULL), 0);
    return v.state;
}

static void a_request_is_good_once_even_after_a_restart(void **state)
{
    struct fixture *f = *state;
    autorequest struct consent_request q = {0};
    autojson json_t *request = request_json("service.restart");
    struct err err = ERR_INIT;
    carry(f, request, request, f->people.a[0]);
    assert_int_equal(state_of(f, &q), CONSENT_ALLOWED);
    assert_int_equal(keeper_use(f->k, &q, false, &err), 0);
    assert_int_equal(keeper_use(f->k, &q, false, &err), -EALREADY);
    assert_int_equal(state_of(f, &q), CONSENT_REFUSED);
    /* Sent again, before a restart and after it. */
    for (int i = 0; i < 2; i++) {
        carry(f, request, request, f->people.a[0]);
        carry(f, request, request, f->people.a[1]);
        assert_int_equal(state_of(f, &q), CONSENT_REFUSED);
        assert_int_equal(keeper_use(f->k, &q, false, &(struct err){0}), -EALREADY);
        assert_int_equal(start(f, &err), 0);
    }
}

static void a_known_request_is_not_replaced(void **state)
{
    struct fixture *f = *state;
    autorequest struct consent_request q = {0};
    autojson json_t *request = request_json("service.restart"), *other = request_json("service.restart");
    json_object_set_new(other, "arguments", json_pack("{ss}", "service", "prod"));
    carry(f, request, request, f->people.a[0]);
    assert_int_equal(state_of(f, &q), CONSENT_ALLOWED);
    assert_int_equal(keeper_use(f->k, &q, false, NULL), 0);
    /* Under the number of what was carried out: neither the same nor another is new. */
    carry(f, other, other, f->people.a[0]);
    assert_int_equal(state_of(f, &q), CONSENT_REFUSED);
    assert_string_equal(json_string_value(json_object_get(q.arguments, "service")), "demo");
}

static void anothers_request_and_strangers_approvals_stay_out(void **state)
{
    struct fixture *f = *state;
    autorequest struct consent_request q = {0};
    struct consent_verdict v;
    autojson json_t *request = request_json("service.restart"), *theirs = request_json("service.restart");
    json_object_set_new(theirs, "infrastructure", json_string(REQUEST));
    carry(f, theirs, theirs, f->people.a[0]);
    assert_int_equal(keeper_check(f->k, REQUEST, NULL, &q, &v, NULL), -ENOENT);
    carry(f, request, request, f->people.stranger);
    assert_int_equal(state_of(f, &q), CONSENT_WAITING);
    autojson json_t *evidence = keeper_evidence(f->k, REQUEST);
    assert_int_equal(json_array_size(json_object_get(evidence, "approvals")), 0);
}

static void change(struct fixture *f, int version)
{
    autorequest struct consent_request q = {0};
    json_t *o = request_json("policy.change"), *policy = policy_json(&f->people, "sealed", NULL);
    json_object_set_new(policy, "version", json_integer(version));
    json_object_set_new(o, "arguments", json_pack("{so}", "policy", policy));
    request_make(o, &q);
    assert_int_equal(keeper_change_policy(f->k, &q, NULL), 0);
}

static void a_policy_of_before_does_not_come_back(void **state)
{
    struct fixture *f = *state;
    autofree char *text = NULL;
    size_t len = 0;
    struct err err = ERR_INIT;
    change(f, 2);
    assert_int_equal(fs_read(f->policy, MIB(1), &text, &len, NULL), 0);
    change(f, 3);
    assert_int_equal(start(f, &err), 0);
    assert_int_equal(keeper_policy(f->k)->version, 3);
    /* The file of version 2 in the place of version 3's, then none at all, which would be the bundle's. */
    autofree char *good = NULL;
    size_t good_len = 0;
    assert_int_equal(fs_read(f->policy, MIB(1), &good, &good_len, NULL), 0);
    assert_int_equal(fs_write_atomic(f->policy, text, len, 0600, NULL), 0);
    assert_int_equal(start(f, &err), -ESTALE);
    assert_non_null(strstr(err.message, "rolled back"));
    assert_int_equal(unlink(f->policy), 0);
    assert_int_equal(start(f, &err), -ESTALE);
    assert_int_equal(fs_write_atomic(f->policy, good, good_len, 0600, NULL), 0);
    assert_int_equal(start(f, &err), 0);
}

int main(void)
{
#define TEST(fn) cmocka_unit_test_setup_teardown(fn, setup, teardown)
    const struct CMUnitTest tests[] = {
        TEST(a_request_is_good_once_even_after_a_restart),
        TEST(a_known_request_is_not_replaced),
        TEST(anothers_request_and_strangers_approvals_stay_out),
        TEST(a_policy_of_before_does_not_come_back),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
