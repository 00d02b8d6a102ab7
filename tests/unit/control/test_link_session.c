/* The control plane's half of the protocol: order, rates, and what an agent's report is cut down to. */
#include "control/link/session.h"

#include "../test.h"
#include "control/link/observed.h"
#include "net/tls.h"

#define SERVICE "11111111-1111-4111-8111-111111111111"
#define TOKEN "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"

static int take_at(struct control_session *s, json_t *message, int64_t now, struct control_action *a, struct err *err)
{
    autojson json_t *owned = message;
    assert_non_null(message);
    *err = ERR_INIT;
    int r = control_session_take(s, owned, now, a, err);
    if (r == 0)
        json_decref(a->observed);
    return r;
}

static int take(struct control_session *s, json_t *message, struct control_action *a, struct err *err)
{
    return take_at(s, message, 0, a, err);
}

static json_t *hello(int64_t version)
{
    return json_pack("{ss ss sI ss}", "type", "hello", "version", "0.1.0", "desiredVersion", (json_int_t)version,
                     "bootId", "b");
}

static json_t *observed(void)
{
    return json_pack("{ss si ss ss s[{ss ss si si ss}] s[{ss ss si ss}] ss}", "type", "observed", "desiredVersion", 3,
                     "version", "0.1.0", "isolation", "none", "services", "id", SERVICE, "state", "running",
                     "readyReplicas", 1, "replicas", 1, "secret", "x", "workloads", "name", "ingress", "state",
                     "running", "restarts", 0, "error", "is late", "extra", "y");
}

static json_t *renew(void)
{
    autotlskey struct tls_key *key = tls_key_new();
    autofree char *csr = tls_csr_new(key);
    return json_pack("{ss ss}", "type", "renew", "csr", csr);
}

static void open_session(struct control_session *s, enum control_session_kind kind)
{
    struct control_action a;
    struct err err;
    control_session_init(s, kind, 0);
    assert_int_equal(take(s, hello(2), &a, &err), 0);
    assert_int_equal(a.type, CONTROL_HELLO);
    control_session_welcomed(s);
}

static void an_ordinary_day(void **state)
{
    struct control_session s;
    struct control_action a;
    struct err err;
    open_session(&s, CONTROL_LINKED);
    assert_int_equal(control_session_max(&s), CONTROL_OBSERVED_MAX);
    assert_false(control_session_send_desired(&s, 2));
    assert_true(control_session_send_desired(&s, 3));
    assert_false(control_session_send_desired(&s, 3));
    assert_int_equal(take(&s, observed(), &a, &err), 0);
    assert_int_equal(a.type, CONTROL_OBSERVED);
    assert_int_equal(take(&s, renew(), &a, &err), 0);
    assert_int_equal(a.type, CONTROL_RENEW);
    assert_int_equal(take(&s, renew(), &a, &err), -EPROTO);
}

static void renewal_can_be_repeated_when_answered(void **state)
{
    struct control_session s;
    struct control_action a;
    struct err err;
    open_session(&s, CONTROL_LINKED);
    assert_int_equal(take(&s, renew(), &a, &err), 0);
    control_session_renewed(&s);
    assert_int_equal(take(&s, renew(), &a, &err), 0);
}

static void first_comes_hello_and_once(void **state)
{
    struct control_session s;
    struct control_action a;
    struct err err;
    control_session_init(&s, CONTROL_LINKED, 0);
    assert_int_equal(control_session_max(&s), CONTROL_EARLY_MAX);
    assert_int_equal(take(&s, observed(), &a, &err), -EPROTO);
    control_session_init(&s, CONTROL_LINKED, 0);
    assert_int_equal(take(&s, hello(0), &a, &err), 0);
    /* Before `welcome` went out, nothing else may come. */
    assert_int_equal(take(&s, observed(), &a, &err), -EPROTO);
    open_session(&s, CONTROL_LINKED);
    assert_int_equal(take(&s, hello(0), &a, &err), -EPROTO);
    /* An error ends the session for good. */
    assert_int_equal(take(&s, observed(), &a, &err), -EPROTO);
}

static void renew_only_can_only_renew(void **state)
{
    struct control_session s;
    struct control_action a;
    struct err err;
    open_session(&s, CONTROL_RENEW_ONLY);
    assert_false(control_session_send_desired(&s, 99));
    assert_int_equal(take(&s, renew(), &a, &err), 0);
    assert_int_equal(a.type, CONTROL_RENEW);
    open_session(&s, CONTROL_RENEW_ONLY);
    assert_int_equal(take(&s, observed(), &a, &err), -EACCES);
    assert_non_null(strstr(err.message, "expired"));
}

static void enrolment_takes_nothing_else(void **state)
{
    struct control_session s;
    struct control_action a;
    struct err err;
    autotlskey struct tls_key *key = tls_key_new();
    autofree char *csr = tls_csr_new(key);
    unsigned char spki[SHA256_SIZE];
    tls_key_spki(key, spki);
    control_session_init(&s, CONTROL_ENROLLING, 0);
    assert_int_equal(take(&s, hello(0), &a, &err), -EPROTO);
    control_session_init(&s, CONTROL_ENROLLING, 0);
    json_t *m = json_pack("{ss ss ss ss}", "type", "enrol", "token", TOKEN, "csr", csr, "name", "host");
    assert_int_equal(take(&s, json_incref(m), &a, &err), 0);
    assert_int_equal(a.type, CONTROL_ENROL);
    assert_memory_equal(a.spki, spki, SHA256_SIZE);
    control_session_init(&s, CONTROL_ENROLLING, 0);
    json_object_set_new(m, "name", json_string("a\nb"));
    assert_int_equal(take(&s, json_incref(m), &a, &err), -EINVAL);
    control_session_init(&s, CONTROL_ENROLLING, 0);
    json_object_set_new(m, "token", json_string("short"));
    assert_int_equal(take(&s, json_incref(m), &a, &err), -EINVAL);
    assert_null(strstr(err.message, "short"));
    control_session_init(&s, CONTROL_ENROLLING, 0);
    json_object_set_new(m, "token", json_string(TOKEN));
    json_object_set_new(m, "csr", json_string("nonsense"));
    assert_int_equal(take(&s, m, &a, &err), -EINVAL);
    control_session_init(&s, CONTROL_LINKED, 0);
    m = json_pack("{ss ss ss ss}", "type", "enrol", "token", TOKEN, "csr", csr, "name", "host");
    assert_int_equal(take(&s, m, &a, &err), -EPROTO);
}

static void rates_are_kept(void **state)
{
    struct control_session s;
    struct control_action a;
    struct err err;
    open_session(&s, CONTROL_LINKED);
    for (int i = 0; i < CONTROL_RATE_BURST - 1; i++)
        assert_int_equal(take(&s, observed(), &a, &err), 0);
    struct control_session full = s;
    assert_int_equal(take(&full, observed(), &a, &err), -EDQUOT);
    /* The pace of an honest agent never runs dry. */
    for (int64_t now = 1000; now < 100000; now += 300)
        assert_int_equal(take_at(&s, observed(), now, &a, &err), 0);
    open_session(&s, CONTROL_LINKED);
    int64_t now = 0;
    for (int i = 0; i < CONTROL_IGNORED_MAX; i++, now += 1000)
        assert_int_equal(take_at(&s, json_pack("{ss}", "type", "novelty"), now, &a, &err), 0);
    assert_int_equal(take_at(&s, json_pack("{ss}", "type", "novelty"), now, &a, &err), -EDQUOT);
}

static void reports_are_cut_to_known_fields(void **state)
{
    autojson json_t *m = observed(), *out = NULL;
    assert_int_equal(observed_check(m, &out, NULL), 0);
    autofree char *text = js_text(out);
    assert_null(strstr(text, "secret"));
    assert_null(strstr(text, "extra"));
    assert_non_null(strstr(text, "is late"));
    assert_null(json_object_get(out, "type"));
    assert_non_null(strstr(text, SERVICE));
}

static void metrics_are_cut_to_the_list(void **state)
{
    autojson json_t *m = observed(), *out = NULL;
    json_object_set_new(json_array_get(json_object_get(m, "services"), 0), "metrics",
                        json_pack("{si ss}", "ClickHouseMetrics_Query", 7, "SELECT", "something"));
    assert_int_equal(observed_check(m, &out, NULL), 0);
    autofree char *text = js_text(json_object_get(json_array_get(json_object_get(out, "services"), 0), "metrics"));
    assert_string_equal(text, "{\"ClickHouseMetrics_Query\":7}");
}

static void bad_report(const char *list, const char *key, json_t *value, const char *sentence)
{
    autojson json_t *m = observed(), *out = NULL;
    struct err err = ERR_INIT;
    json_object_set_new(list ? json_array_get(json_object_get(m, list), 0) : m, key, value);
    assert_int_equal(observed_check(m, &out, &err), -EINVAL);
    assert_null(out);
    if (!strstr(err.message, sentence))
        fail_msg("\"%s\" lacks \"%s\"", err.message, sentence);
}

static void bad_reports_are_refused_by_name(void **state)
{
    bad_report(NULL, "desiredVersion", json_integer(-1), "desiredVersion");
    bad_report("services", "metrics", json_array(), "metrics");
    bad_report("services", "metrics", json_pack("{ss}", "ClickHouseMetrics_Query", "x"),
               "metrics.ClickHouseMetrics_Query");
    bad_report("services", "metrics", json_pack("{si}", "ClickHouseMetrics_Query", -1),
               "metrics.ClickHouseMetrics_Query");
    bad_report(NULL, "services", json_object(), "services");
    bad_report(NULL, "services", json_pack("[i]", 1), "services[0]");
    bad_report("services", "id", json_string("../../etc"), "services[0].id");
    bad_report("services", "state", json_string("sleeping"), "services[0].state");
    bad_report("services", "replicas", json_integer(1001), "services[0].replicas");
    bad_report("services", "notice", json_integer(1), "services[0].notice");
    bad_report("workloads", "name", json_null(), "workloads[0].name");
}

static void a_broken_sentence_is_sent(void **state)
{
    autojson json_t *m = control_msg_error("broken \xc3", false);
    assert_non_null(m);
    assert_non_null(json_string_value(json_object_get(m, "message")));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_ordinary_day),
        cmocka_unit_test(renewal_can_be_repeated_when_answered),
        cmocka_unit_test(first_comes_hello_and_once),
        cmocka_unit_test(renew_only_can_only_renew),
        cmocka_unit_test(enrolment_takes_nothing_else),
        cmocka_unit_test(rates_are_kept),
        cmocka_unit_test(reports_are_cut_to_known_fields),
        cmocka_unit_test(metrics_are_cut_to_the_list),
        cmocka_unit_test(bad_reports_are_refused_by_name),
        cmocka_unit_test(a_broken_sentence_is_sent),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
