/* The agent's half of the protocol: only what is due is taken, and the schedule of renewals and redials. */
#include "agent/link/session.h"

#include "../test.h"
#include "agent/link/schedule.h"

#define AGENT "11111111-1111-4111-8111-111111111111"
#define INFRA "22222222-2222-4222-8222-222222222222"
#define SIG64 "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"

static int take(struct agent_session *s, json_t *message, struct agent_action *a, struct err *err)
{
    autojson json_t *owned = message;
    assert_non_null(message);
    *err = ERR_INIT;
    return agent_session_take(s, owned, a, err);
}

static json_t *welcome(bool renew_only)
{
    return json_pack("{ss ss ss ss sb}", "type", "welcome", "agent", AGENT, "infrastructure", INFRA, "time",
                     "2026-11-22T10:00:00.000Z", "renewOnly", (int)renew_only);
}

static json_t *desired(void)
{
    return json_pack("{ss si ss ss}", "type", "desired", "version", 7, "document", "{}", "signature", SIG64 SIG64);
}

static json_t *simple(const char *type)
{
    return json_pack("{ss}", "type", type);
}

static void an_ordinary_day(void **state)
{
    struct agent_session s;
    struct agent_action a;
    struct err err;
    agent_session_init(&s, false);
    assert_int_equal(agent_session_max(&s), AGENT_ENROLLED_MAX);
    assert_int_equal(agent_session_renew(&s), -ENOTCONN);
    autojson json_t *w = welcome(false), *d = desired();
    assert_int_equal(agent_session_take(&s, w, &a, NULL), 0);
    assert_int_equal(a.type, AGENT_WELCOME);
    assert_string_equal(a.infrastructure, INFRA);
    assert_int_equal(a.time_ms, 1795341600000);
    assert_int_equal(agent_session_max(&s), AGENT_DESIRED_MAX);
    assert_int_equal(agent_session_take(&s, d, &a, NULL), 0);
    assert_int_equal(a.type, AGENT_DESIRED);
    assert_int_equal(a.version, 7);
    assert_int_equal(a.document_len, 2);
    assert_int_equal(agent_session_renew(&s), 0);
    assert_int_equal(agent_session_renew(&s), -EALREADY);
    assert_int_equal(take(&s, json_pack("{ss ss}", "type", "renewed", "certificate", "PEM"), &a, &err), 0);
    assert_int_equal(a.type, AGENT_RENEWED);
    assert_int_equal(take(&s, simple("novelty"), &a, &err), 0);
    assert_int_equal(a.type, AGENT_NOTHING);
    assert_int_equal(s.ignored, 1);
    assert_int_equal(take(&s, json_pack("{ss ss sb}", "type", "error", "message", "go", "retry", 1), &a, &err), 0);
    assert_int_equal(a.type, AGENT_REFUSED);
    assert_true(a.retry);
    assert_string_equal(a.message, "go");
    assert_int_equal(take(&s, simple("novelty"), &a, &err), -EPROTO);
}

static void out_of_turn_is_refused(void **state)
{
    struct agent_session s;
    struct agent_action a;
    struct err err;
    agent_session_init(&s, false);
    assert_int_equal(take(&s, desired(), &a, &err), -EPROTO);
    assert_int_equal(take(&s, simple("enrolled"), &a, &err), -EPROTO);
    assert_int_equal(take(&s, welcome(true), &a, &err), 0);
    assert_true(a.renew_only);
    /* A connection for renewal hands out no documents. */
    assert_int_equal(take(&s, desired(), &a, &err), -EPROTO);
    assert_int_equal(take(&s, welcome(false), &a, &err), -EPROTO);
    /* An answer to a question that was not asked. */
    assert_int_equal(take(&s, json_pack("{ss ss}", "type", "renewed", "certificate", "PEM"), &a, &err), -EPROTO);
    agent_session_init(&s, true);
    assert_int_equal(take(&s, welcome(false), &a, &err), -EPROTO);
}

static void malformed_fields_are_refused(void **state)
{
    struct agent_session s;
    struct agent_action a;
    struct err err;
    agent_session_init(&s, false);
    assert_int_equal(take(&s, json_pack("{si}", "type", 1), &a, &err), -EPROTO);
    assert_int_equal(take(&s, json_object(), &a, &err), -EPROTO);
    json_t *w = welcome(false);
    json_object_set_new(w, "time", json_string("yesterday"));
    assert_int_equal(take(&s, w, &a, &err), -EPROTO);
    w = welcome(false);
    json_object_set_new(w, "agent", json_string("nobody"));
    assert_int_equal(take(&s, w, &a, &err), -EPROTO);
    assert_non_null(strstr(err.message, "welcome.agent"));
    assert_int_equal(take(&s, welcome(false), &a, &err), 0);
    json_t *d = desired();
    json_object_set_new(d, "signature", json_string("ff"));
    assert_int_equal(take(&s, d, &a, &err), -EPROTO);
    d = desired();
    json_object_set_new(d, "version", json_integer(0));
    assert_int_equal(take(&s, d, &a, &err), -EPROTO);
}

static void enrolment(void **state)
{
    struct agent_session s;
    struct agent_action a;
    struct err err;
    json_t *m =
        json_pack("{ss ss ss ss}", "type", "enrolled", "agent", AGENT, "infrastructure", INFRA, "certificate", "PEM");
    agent_session_init(&s, true);
    assert_int_equal(take(&s, m, &a, &err), 0);
    assert_int_equal(a.type, AGENT_ENROLLED);
    assert_int_equal(s.state, AGENT_ENDED);
}

/* A sentence cut inside a UTF-8 character must still make a message. */
static void a_broken_sentence_is_sent(void **state)
{
    autojson json_t *m = agent_msg_refused(3, "broken \xc3");
    assert_non_null(m);
    assert_non_null(json_string_value(json_object_get(m, "message")));
}

static void only_these(json_t *message, const char *fields)
{
    autojson json_t *owned = message, *expected = json_loads(fields, 0, NULL);
    assert_non_null(expected);
    if (!json_equal(owned, expected)) {
        autofree char *text = js_text(owned);
        fail_msg("%s", text);
    }
}

/* What goes out before there is a link, or beside it: nothing but what the other end must have. */
static void the_first_messages_hold_no_more_than_they_must(void **state)
{
    only_these(agent_msg_enrol("t", "PEM", "n"), "{\"type\":\"enrol\",\"token\":\"t\",\"csr\":\"PEM\",\"name\":\"n\"}");
    only_these(agent_msg_attach(AGENT), "{\"type\":\"attach\",\"session\":\"" AGENT "\"}");
    only_these(agent_msg_hello("v", 3, "b"),
               "{\"type\":\"hello\",\"version\":\"v\",\"desiredVersion\":3,\"bootId\":\"b\"}");
    only_these(agent_msg_renew("PEM"), "{\"type\":\"renew\",\"csr\":\"PEM\"}");
    only_these(agent_msg_cut(AGENT), "{\"type\":\"cut\",\"grant\":\"" AGENT "\"}");
}

#define HOUR (3600 * 1000ll)

static void renewal_is_at_two_thirds(void **state)
{
    struct schedule s = {0};
    schedule_certificate(&s, 0, 24 * HOUR, 0);
    assert_int_equal(s.renew_at_ms, 16 * HOUR);
    assert_false(schedule_renew_due(&s, 16 * HOUR - 1, 0));
    assert_true(schedule_renew_due(&s, 16 * HOUR, 0));
    schedule_renew_sent(&s, 1000);
    assert_false(schedule_renew_due(&s, 17 * HOUR, 1000));
    assert_true(schedule_renew_due(&s, 17 * HOUR, 1000 + SCHEDULE_RENEW_RETRY_MS));
    schedule_certificate(&s, 0, 24 * HOUR, UINT32_MAX);
    assert_true(s.renew_at_ms > 17 * HOUR && s.renew_at_ms < 18 * HOUR);
}

/* A clock two days ahead must not make the agent renew again and again. */
static void the_control_planes_clock_counts(void **state)
{
    struct schedule s = {.skew_ms = -48 * HOUR};
    schedule_certificate(&s, 0, 24 * HOUR, 0);
    assert_false(schedule_renew_due(&s, 50 * HOUR, 0));
    assert_true(schedule_renew_due(&s, 65 * HOUR, 0));
}

static void goodbye_spreads_wider(void **state)
{
    struct schedule s = {0};
    assert_int_equal(schedule_redial(&s, 0, true, UINT32_MAX), SCHEDULE_GOAWAY_MS);
    s = (struct schedule){0};
    assert_int_equal(schedule_redial(&s, 0, true, 0), SCHEDULE_GOAWAY_LEAST_MS);
    s = (struct schedule){0};
    assert_true(schedule_redial(&s, 0, false, UINT32_MAX) <= BACKOFF_FIRST_MS);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_ordinary_day),
        cmocka_unit_test(out_of_turn_is_refused),
        cmocka_unit_test(malformed_fields_are_refused),
        cmocka_unit_test(enrolment),
        cmocka_unit_test(a_broken_sentence_is_sent),
        cmocka_unit_test(the_first_messages_hold_no_more_than_they_must),
        cmocka_unit_test(renewal_is_at_two_thirds),
        cmocka_unit_test(the_control_planes_clock_counts),
        cmocka_unit_test(goodbye_spreads_wider),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
