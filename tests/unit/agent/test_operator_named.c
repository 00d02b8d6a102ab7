/* agent/operator/named: what the names role leaves is a stranger's word, and a certificate is watched to its end. */
#include "../test.h"

#include "agent/operator/certs.h"
#include "agent/operator/named.h"

#define NOW INT64_C(1795000000000)
#define HOUR_MS (INT64_C(3600) * 1000)
#define DAY_MS (24 * HOUR_MS)

struct place {
    char *dir, *state, *pem;
    struct named *n;
};

static struct place opened(void **state, bool acme)
{
    struct place p = {.dir = *state};
    p.state = mem_printf("%s/state.json", p.dir);
    p.pem = mem_printf("%s/certificate.pem", p.dir);
    p.n = named_new(p.dir, p.dir, acme);
    return p;
}

static void close_place(struct place *p)
{
    named_free(p->n);
    free(p->state);
    free(p->pem);
}

static void put(const char *path, const char *text)
{
    assert_int_equal(fs_write_atomic(path, text, strlen(text), 0600, NULL), 0);
}

/* A certificate as uacme would leave it: here of the data plane's own authority, of 30 days from NOW - 1 h. */
static char *issued(void **state, const char *name)
{
    const char *dns[] = {name, *name == '*' ? name + 2 : "localhost", NULL};
    autofree char *dir = mem_printf("%s/ca", (char *)*state);
    autocerts struct certs *c = NULL;
    bool changed = false;
    assert_int_equal(fs_mkdirs(dir, 0700, NULL), 0);
    assert_int_equal(certs_open(dir, NOW, &c, NULL), 0);
    assert_int_equal(certs_update(c, dns, NULL, NOW, &changed, NULL), 0);
    return mem_strdup(certs_bundle(c));
}

static const char *word(json_t *o, const char *key)
{
    static char text[200];
    snprintf(text, sizeof(text), "%s", json_string_value(json_object_get(o, key)));
    json_decref(o);
    return text;
}

static void states_of_a_certificate(void **state OH_UNUSED)
{
    int64_t from = NOW, to = NOW + 90 * DAY_MS;
    assert_string_equal(named_certificate_state(from, to, NOW), "ok");
    assert_string_equal(named_certificate_state(from, to, NOW + 74 * DAY_MS), "ok");
    assert_string_equal(named_certificate_state(from, to, NOW + 76 * DAY_MS), "late");
    assert_string_equal(named_certificate_state(from, to, to), "expired");
    assert_string_equal(named_certificate_state(from, to, NOW - 1), "clock");
    /* Renewed while a third is left: long before it is late. */
    assert_true(acme_renew_ms(from, to) == NOW + 60 * DAY_MS);
}

static void its_certificate_is_shown_until_its_end(void **state)
{
    struct place p = opened(state, true);
    autofree char *pem = issued(state, "*.dp.example");
    assert_false(named_look(p.n, "dp.example", NOW));
    assert_null(named_pem(p.n));
    assert_string_equal(word(named_certificate(p.n, NOW, NOW + DAY_MS, NOW), "state"), "waiting");
    put(p.pem, pem);
    assert_true(named_look(p.n, "dp.example", NOW));
    assert_string_equal(named_pem(p.n), pem);
    assert_false(named_look(p.n, "dp.example", NOW));
    assert_string_equal(word(named_certificate(p.n, NOW, NOW + DAY_MS, NOW), "source"), "acme");
    assert_string_equal(word(named_certificate(p.n, NOW, NOW + DAY_MS, NOW + 29 * DAY_MS), "state"), "late");
    /* The clock goes back, and forward: what is valid by it is shown. */
    assert_false(named_look(p.n, "dp.example", NOW - 2 * DAY_MS));
    assert_string_equal(word(named_certificate(p.n, NOW, NOW, NOW - 2 * DAY_MS), "state"), "clock");
    assert_true(named_look(p.n, "dp.example", NOW + 31 * DAY_MS));
    assert_null(named_pem(p.n));
    assert_string_equal(word(named_certificate(p.n, NOW, NOW + DAY_MS, NOW), "source"), "own");
    close_place(&p);
}

static void what_does_not_fit_is_not_shown(void **state)
{
    struct place p = opened(state, true);
    autofree char *good = issued(state, "*.dp.example"), *other = issued(state, "*.else.example"),
                  *cut = mem_strndup(good, strlen(good) - 60);
    const char *end = strstr(good, "-----BEGIN PRIVATE"), *bad[] = {other, cut, "nonsense", ""};
    put(p.pem, good);
    assert_true(named_look(p.n, "dp.example", NOW));
    for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
        put(p.pem, bad[i]);
        assert_false(named_look(p.n, "dp.example", NOW));
        assert_string_equal(named_pem(p.n), good); /* what was in use stays */
        assert_true(strlen(word(named_certificate(p.n, NOW, NOW, NOW), "error")) > 0);
    }
    autofree char *mixed = mem_printf("%.*s%s", (int)(end - good), good, strstr(other, "-----BEGIN PRIVATE"));
    put(p.pem, mixed);
    assert_false(named_look(p.n, "dp.example", NOW));
    assert_string_equal(named_pem(p.n), good);
    close_place(&p);
}

static void a_strange_state_is_passed_over(void **state)
{
    static const char good[] = "{\"v\":1,\"dns\":{\"state\":\"ok\",\"records\":3,\"conflicts\":0,\"error\":\"\"},"
                               "\"acme\":{\"state\":\"off\",\"error\":\"\"}}";
    static const char long_state[] = "{\"v\":1,\"dns\":{\"state\":\"a state that is far too long\",\"records\":3,"
                                     "\"conflicts\":0,\"error\":\"\"},\"acme\":{\"state\":\"off\",\"error\":\"\"}}";
    const char *const bad[] = {"{", "{}", "{\"v\":1,\"dns\":{\"state\":\"ok\"},\"acme\":{}}", long_state};
    struct place p = opened(state, false);
    assert_string_equal(word(named_dns(p.n), "state"), "waiting");
    put(p.state, good);
    named_look(p.n, "dp.example", NOW);
    assert_string_equal(word(named_dns(p.n), "state"), "ok");
    for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
        put(p.state, bad[i]);
        named_look(p.n, "dp.example", NOW);
        assert_string_equal(word(named_dns(p.n), "state"), "ok");
    }
    close_place(&p);
    struct named *nobody = named_new(NULL, NULL, false);
    assert_null(named_dns(nobody));
    assert_string_equal(word(named_certificate(nobody, NOW, NOW + DAY_MS, NOW + 2 * DAY_MS), "state"), "expired");
    named_free(nobody);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(states_of_a_certificate),
        cmocka_unit_test_setup_teardown(its_certificate_is_shown_until_its_end, scratch_setup, scratch_teardown),
        cmocka_unit_test_setup_teardown(what_does_not_fit_is_not_shown, scratch_setup, scratch_teardown),
        cmocka_unit_test_setup_teardown(a_strange_state_is_passed_over, scratch_setup, scratch_teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
