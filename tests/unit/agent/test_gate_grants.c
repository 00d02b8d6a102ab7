/* Grants: whose signatures open one, when it ends whatever the wall clock does, and what a restart leaves of it. */
#include "../test.h"

#include "agent/gate/grants.h"
#include "base/clock.h"
#include "consent/device.h"
#include "net/tls.h"

#define INFRASTRUCTURE "11111111-1111-4111-8111-111111111111"
#define BOOT "22222222-2222-4222-8222-222222222222"
#define OTHER_BOOT "33333333-3333-4333-8333-333333333333"
#define PIN "sha256/aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
#define NOW INT64_C(1795000000000)
#define MINUTE INT64_C(60000)
#define HOUR (60 * MINUTE)

struct fixture {
    struct clock_manual clock;
    struct signing_key *approver, *device;
    struct tls_key *session;
    char *dir;
    bool trust; /* the policy names the approver */
    struct grants *grants;
};

static int policy(struct policy **ret, void *user, struct err *err)
{
    struct fixture *f = user;
    unsigned char keys[1][ED25519_PUBLIC_SIZE] = {{1}};
    autojson json_t *form = json_pack("{si ss}", "v", 1, "mode", "open");
    if (f->trust)
        signing_key_public(f->approver, keys[0]);
    return policy_from_bundle(form, keys, 1, ret, err);
}

static void start(struct fixture *f, const char *boot)
{
    struct err err = ERR_INIT;
    struct grants_config config = {f->dir, INFRASTRUCTURE, PIN, boot, &f->clock.clock, policy, f};
    grants_free(f->grants);
    f->grants = NULL;
    if (grants_new(&config, &f->grants, &err) < 0)
        fail_msg("%s", err.message);
}

static int setup(void **state)
{
    struct fixture *f = mem_alloc(sizeof(*f));
    void *dir;
    if (scratch_setup(&dir) < 0)
        return -1;
    f->dir = dir;
    clock_manual_init(&f->clock, NOW);
    clock_manual_advance(&f->clock, HOUR);
    f->approver = signing_key_new();
    f->device = signing_key_new();
    f->session = tls_key_new();
    f->trust = true;
    start(f, BOOT);
    *state = f;
    return 0;
}

static int teardown(void **state)
{
    struct fixture *f = *state;
    void *dir = f->dir;
    grants_free(f->grants);
    signing_key_free(f->approver);
    signing_key_free(f->device);
    tls_key_free(f->session);
    free(f);
    return scratch_teardown(&dir);
}

static json_t *request(struct fixture *f, int minutes, const char *pin)
{
    unsigned char public[ED25519_PUBLIC_SIZE];
    char hex[2 * ED25519_PUBLIC_SIZE + 1], id[UUID_SIZE], from[CLOCK_ISO_SIZE], to[CLOCK_ISO_SIZE];
    signing_key_public(f->device, public);
    hex_encode(public, sizeof(public), hex);
    uuid_new(id);
    clock_iso(f->clock.wall, from);
    clock_iso(f->clock.wall + HOUR, to);
    return json_pack("{ss si ss ss s[s] s{ss} ss ss ss ss ss ss si}", "type", "ownhouse/request", "v", 1, "id", id,
                     "infrastructure", INFRASTRUCTURE, "operations", "access.clickhouse.diag", "arguments", "gate", pin,
                     "reason", "r", "ticket", "", "by", "e", "createdAt", from, "notAfter", to, "deviceKey", hex,
                     "minutes", minutes);
}

/* What a device sends: the request, one approval of `approved` by `key`, its own proof. */
static json_t *ask(struct fixture *f, const json_t *sent, const json_t *approved, const struct signing_key *key)
{
    autorequest struct consent_request q = {0};
    json_t *approval = NULL;
    unsigned char spki[SHA256_SIZE];
    char spki_hex[65], signature[DEVICE_SIGNATURE_SIZE];
    autofree char *csr = tls_csr_new(f->session);
    assert_int_equal(request_from_json(approved, &q, NULL), 0);
    assert_int_equal(approval_sign(key, &q, false, f->clock.wall, q.not_after_ms, NULL, 0, &approval, NULL), 0);
    tls_key_spki(f->session, spki);
    hex_encode(spki, sizeof(spki), spki_hex);
    const char *id = json_string_value(json_object_get(sent, "id"));
    device_sign(f->device, DEVICE_FOR_GATE, id, f->clock.wall, spki_hex, signature);
    return json_pack("{ss sO s[o] ss sI ss}", "type", "open", "request", sent, "approvals", approval, "csr", csr,
                     "time", (json_int_t)f->clock.wall, "signature", signature);
}

static int open_grant(struct fixture *f, const json_t *message, struct grant **ret, struct err *err)
{
    bool fresh = false;
    *err = ERR_INIT;
    int r = grants_judge(f->grants, message, ret, &fresh, err);
    if (r == 0 && fresh)
        r = grants_begin(f->grants, *ret, err);
    assert_true(r == 0 || err->message[0]);
    return r;
}

static json_t *good(struct fixture *f, int minutes, json_t **ret_request)
{
    json_t *q = request(f, minutes, PIN), *message = ask(f, q, q, f->approver);
    if (ret_request)
        *ret_request = q;
    else
        json_decref(q);
    return message;
}

static void a_signature_of_the_policys_opens(void **state)
{
    struct fixture *f = *state;
    autojson json_t *message = good(f, 30, NULL);
    struct grant *g;
    struct err err;
    assert_int_equal(open_grant(f, message, &g, &err), 0);
    assert_int_equal(g->ends_ms, f->clock.mono + 30 * MINUTE);
    assert_int_equal(g->targets, 1u << GATE_CLICKHOUSE_DIAG);
}

static void nothing_else_opens(void **state)
{
    struct fixture *f = *state;
    autojson json_t *q = request(f, 30, PIN), *other = request(f, 480, PIN);
    autojson json_t *elsewhere =
        request(f, 30, "sha256/bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb");
    autojson json_t *foreign = ask(f, q, q, f->device), *swapped = ask(f, other, q, f->approver);
    autojson json_t *pinned = ask(f, elsewhere, elsewhere, f->approver), *message = ask(f, q, q, f->approver);
    autokey struct signing_key *thief = signing_key_new();
    struct grant *g;
    struct err err;
    assert_int_equal(open_grant(f, foreign, &g, &err), -EACCES);
    assert_int_equal(open_grant(f, swapped, &g, &err), -EACCES);
    assert_int_equal(open_grant(f, pinned, &g, &err), -EACCES);
    /* A longer time than was signed. */
    autojson json_t *longer = json_deep_copy(message);
    json_object_set_new(json_object_get(longer, "request"), "minutes", json_integer(480));
    assert_int_equal(open_grant(f, longer, &g, &err), -EACCES);
    /* Another device: somebody who has all the papers, but not the key. */
    struct signing_key *mine = f->device;
    f->device = thief;
    autojson json_t *stolen = ask(f, q, q, f->approver);
    f->device = mine;
    assert_int_equal(open_grant(f, stolen, &g, &err), -EACCES);
    /* No signature at all. */
    autojson json_t *bare = json_deep_copy(message);
    json_object_set_new(bare, "approvals", json_array());
    assert_int_equal(open_grant(f, bare, &g, &err), -EACCES);
    assert_int_equal(open_grant(f, message, &g, &err), 0);
}

static void clocks_apart_are_refused_at_the_opening(void **state)
{
    struct fixture *f = *state;
    autojson json_t *message = good(f, 30, NULL);
    struct grant *g;
    struct err err;
    f->clock.wall += 121000;
    assert_int_equal(open_grant(f, message, &g, &err), -ETIME);
    assert_non_null(strstr(err.message, "121 s"));
    f->clock.wall -= 242000;
    assert_int_equal(open_grant(f, message, &g, &err), -ETIME);
    f->clock.wall += 121000 - 1000;
    assert_int_equal(open_grant(f, message, &g, &err), 0);
}

static void the_wall_clock_moves_no_end(void **state)
{
    struct fixture *f = *state;
    static const int64_t jumps[] = {HOUR, -2 * HOUR, HOUR};
    autojson json_t *message = good(f, 30, NULL);
    struct grant *g, *again;
    struct err err;
    assert_int_equal(open_grant(f, message, &g, &err), 0);
    int64_t ends = g->ends_ms;
    for (size_t i = 0; i < ARRAY_SIZE(jumps); i++) {
        f->clock.wall += jumps[i];
        /* Renewal and judging go on; the device's clock is not looked at again. */
        assert_int_equal(open_grant(f, message, &again, &err), 0);
        assert_ptr_equal(again, g);
        assert_int_equal(g->ends_ms, ends);
        assert_int_equal(grants_again(f->grants, g, &err), 0);
    }
}

static void a_key_taken_out_of_the_policy_ends_it(void **state)
{
    struct fixture *f = *state;
    autojson json_t *message = good(f, 30, NULL);
    struct grant *g;
    struct err err;
    assert_int_equal(open_grant(f, message, &g, &err), 0);
    f->trust = false;
    err = ERR_INIT;
    assert_int_equal(grants_again(f->grants, g, &err), -EACCES);
    assert_int_equal(open_grant(f, message, &g, &err), -EACCES);
}

static void a_restart_neither_extends_nor_revives(void **state)
{
    struct fixture *f = *state;
    autojson json_t *message = good(f, 30, NULL), *ended = good(f, 30, NULL);
    struct grant *g;
    struct err err;
    assert_int_equal(open_grant(f, message, &g, &err), 0);
    int64_t ends = g->ends_ms;
    assert_int_equal(open_grant(f, ended, &g, &err), 0);
    assert_int_equal(grants_end(f->grants, g->id, &err), 0);
    clock_manual_advance(&f->clock, 10 * MINUTE);
    start(f, BOOT);
    assert_int_equal(open_grant(f, ended, &g, &err), -EACCES);
    assert_int_equal(open_grant(f, message, &g, &err), 0);
    assert_int_equal(g->ends_ms, ends);
    clock_manual_advance(&f->clock, 20 * MINUTE);
    start(f, BOOT);
    assert_int_equal(open_grant(f, message, &g, &err), -EACCES);
}

static void after_a_restart_of_the_machine_it_is_over(void **state)
{
    struct fixture *f = *state;
    autojson json_t *message = good(f, 30, NULL);
    struct grant *g;
    struct err err;
    assert_int_equal(open_grant(f, message, &g, &err), 0);
    f->clock.mono = 1000; /* begins anew */
    start(f, OTHER_BOOT);
    assert_int_equal(open_grant(f, message, &g, &err), -EACCES);
    assert_non_null(strstr(err.message, "restarted"));
}

static void revoked_before_it_was_opened(void **state)
{
    struct fixture *f = *state;
    json_t *q = NULL;
    autojson json_t *message = good(f, 30, &q), *owned = q;
    struct grant *g;
    struct err err = ERR_INIT;
    assert_int_equal(grants_end(f->grants, json_string_value(json_object_get(owned, "id")), &err), 0);
    assert_int_equal(open_grant(f, message, &g, &err), -EACCES);
}

/* Signed too, under the same number: what is open stays as it was, and gets no longer. */
static void another_request_under_an_open_number(void **state)
{
    struct fixture *f = *state;
    autojson json_t *q = request(f, 30, PIN), *longer = json_deep_copy(q);
    json_object_set_new(longer, "minutes", json_integer(480));
    autojson json_t *message = ask(f, q, q, f->approver), *other = ask(f, longer, longer, f->approver);
    struct grant *g, *again;
    struct err err;
    assert_int_equal(open_grant(f, message, &g, &err), 0);
    assert_int_equal(open_grant(f, other, &again, &err), -EACCES);
    assert_non_null(strstr(err.message, "another request with this number"));
    assert_int_equal(g->ends_ms, f->clock.mono + 30 * MINUTE);
    assert_int_equal(open_grant(f, message, &again, &err), 0);
    assert_ptr_equal(again, g);
}

/* A signature for an operation is none for access. */
static void what_is_no_access_cannot_be_opened(void **state)
{
    struct fixture *f = *state;
    autojson json_t *q = request(f, 30, PIN);
    struct grant *g;
    struct err err;
    json_array_append_new(json_object_get(q, "operations"), json_string("service.restart"));
    autojson json_t *message = ask(f, q, q, f->approver);
    assert_int_equal(open_grant(f, message, &g, &err), -EINVAL);
    assert_non_null(strstr(err.message, "service.restart"));
}

static void a_damaged_memory_opens_nothing(void **state)
{
    struct fixture *f = *state;
    autofree char *path = mem_printf("%s/grants.json", f->dir);
    struct grants_config config = {f->dir, INFRASTRUCTURE, PIN, BOOT, &f->clock.clock, policy, f};
    struct grants *g = NULL;
    struct err err = ERR_INIT;
    assert_int_equal(fs_write_atomic(path, "[{}]", 4, 0600, &err), 0);
    assert_int_equal(grants_new(&config, &g, &err), -EINVAL);
}

int main(void)
{
#define TEST(fn) cmocka_unit_test_setup_teardown(fn, setup, teardown)
    const struct CMUnitTest tests[] = {
        TEST(a_signature_of_the_policys_opens),
        TEST(nothing_else_opens),
        TEST(clocks_apart_are_refused_at_the_opening),
        TEST(the_wall_clock_moves_no_end),
        TEST(a_key_taken_out_of_the_policy_ends_it),
        TEST(a_restart_neither_extends_nor_revives),
        TEST(after_a_restart_of_the_machine_it_is_over),
        TEST(revoked_before_it_was_opened),
        TEST(another_request_under_an_open_number),
        TEST(what_is_no_access_cannot_be_opened),
        TEST(a_damaged_memory_opens_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
