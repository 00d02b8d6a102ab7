/* Reading the control plane's messages in the order the protocol allows. */
#include "agent/link/session.h"

#include "base/clock.h"
#include "net/tls.h"

void agent_session_init(struct agent_session *s, bool enrolling)
{
    *s = (struct agent_session){.state = enrolling ? AGENT_AWAIT_ENROLLED : AGENT_AWAIT_WELCOME};
}

size_t agent_session_max(const struct agent_session *s)
{
    return s->state == AGENT_OPEN ? AGENT_DESIRED_MAX : AGENT_ENROLLED_MAX;
}

static int take_uuid(const json_t *m, const char *type, const char *key, const char **ret, struct err *err)
{
    int r = js_string(m, type, key, UUID_SIZE - 1, ret, err);
    if (r == 0 && !uuid_valid(*ret))
        r = err_set(err, -EPROTO, "%s.%s: must be a UUID", type, key);
    return r;
}

static int take_identity(const json_t *m, const char *type, struct agent_action *a, struct err *err)
{
    int r = take_uuid(m, type, "agent", &a->agent, err);
    return r < 0 ? r : take_uuid(m, type, "infrastructure", &a->infrastructure, err);
}

static int take_enrolled(struct agent_session *s, const json_t *m, struct agent_action *a, struct err *err)
{
    int r = take_identity(m, "enrolled", a, err);
    if (r == 0)
        r = js_string(m, "enrolled", "certificate", TLS_PEM_MAX, &a->certificate, err);
    if (r == 0) {
        a->type = AGENT_ENROLLED;
        s->state = AGENT_ENDED;
    }
    return r;
}

static int take_welcome(struct agent_session *s, const json_t *m, struct agent_action *a, struct err *err)
{
    const char *time = NULL;
    int r = take_identity(m, "welcome", a, err);
    if (r == 0)
        r = js_string(m, "welcome", "time", CLOCK_ISO_SIZE, &time, err);
    if (r == 0 && clock_iso_parse(time, &a->time_ms) < 0)
        r = err_set(err, -EPROTO, "welcome.time: must be a time as in RFC 3339");
    if (r == 0)
        r = js_bool_opt(m, "welcome", "renewOnly", &a->renew_only, err);
    if (r == 0) {
        a->type = AGENT_WELCOME;
        s->state = a->renew_only ? AGENT_RENEW_ONLY : AGENT_OPEN;
    }
    return r;
}

static int take_desired(const json_t *m, struct agent_action *a, struct err *err)
{
    int r = js_int(m, "desired", "version", 1, INT64_MAX, &a->version, err);
    if (r == 0)
        r = js_string(m, "desired", "document", MIB(3), &a->document, err);
    if (r == 0)
        r = js_string(m, "desired", "signature", 128, &a->signature, err);
    if (r == 0 && (strlen(a->signature) != 128 || strspn(a->signature, "0123456789abcdef") != 128))
        r = err_set(err, -EPROTO, "desired.signature: must be 128 lower-case hexadecimal digits");
    if (r == 0) {
        a->document_len = json_string_length(json_object_get(m, "document"));
        a->type = AGENT_DESIRED;
    }
    return r;
}

static int take_renewed(struct agent_session *s, const json_t *m, struct agent_action *a, struct err *err)
{
    int r = js_string(m, "renewed", "certificate", TLS_PEM_MAX, &a->certificate, err);
    if (r == 0) {
        a->type = AGENT_RENEWED;
        s->renewing = false;
    }
    return r;
}

static int take_session(const json_t *m, struct agent_action *a, struct err *err)
{
    a->type = AGENT_SESSION;
    return take_uuid(m, "session", "session", &a->session, err);
}

static int take_revoke(const json_t *m, struct agent_action *a, struct err *err)
{
    a->type = AGENT_REVOKE;
    return take_uuid(m, "revoke", "grant", &a->grant, err);
}

static int take_error(struct agent_session *s, const json_t *m, struct agent_action *a, struct err *err)
{
    const char *text = NULL;
    int r = js_string(m, "error", "message", KIB(4), &text, err);
    if (r == 0)
        r = js_bool_opt(m, "error", "retry", &a->retry, err);
    if (r < 0)
        return r;
    snprintf(a->message, sizeof(a->message), "%s", text);
    a->type = AGENT_REFUSED;
    s->state = AGENT_ENDED;
    return 0;
}

static int dispatch(struct agent_session *s, const char *type, const json_t *m, struct agent_action *a, struct err *err)
{
    bool open = s->state == AGENT_OPEN || s->state == AGENT_RENEW_ONLY;
    if (!strcmp(type, "error"))
        return take_error(s, m, a, err);
    if (!strcmp(type, "enrolled") && s->state == AGENT_AWAIT_ENROLLED)
        return take_enrolled(s, m, a, err);
    if (!strcmp(type, "welcome") && s->state == AGENT_AWAIT_WELCOME)
        return take_welcome(s, m, a, err);
    if (!strcmp(type, "desired") && s->state == AGENT_OPEN)
        return take_desired(m, a, err);
    if (!strcmp(type, "renewed") && open && s->renewing)
        return take_renewed(s, m, a, err);
    if (!strcmp(type, "session") && s->state == AGENT_OPEN)
        return take_session(m, a, err);
    if (!strcmp(type, "revoke") && s->state == AGENT_OPEN)
        return take_revoke(m, a, err);
    if (s->state == AGENT_OPEN &&
        (!strcmp(type, "consent") || !strcmp(type, "cosigned") || !strcmp(type, "activities"))) {
        a->type = AGENT_OTHER;
        a->other = type;
        return 0;
    }
    static const char *const known[] = {"enrolled", "welcome", "desired", "renewed", "session", "revoke"};
    for (size_t i = 0; i < ARRAY_SIZE(known); i++)
        if (!strcmp(type, known[i]))
            return err_set(err, -EPROTO, "the control plane sent `%s` out of turn", type);
    s->ignored++;
    return 0;
}

int agent_session_take(struct agent_session *s, const json_t *message, struct agent_action *ret, struct err *err)
{
    const char *type = NULL;
    struct agent_action a = {.type = AGENT_NOTHING};
    if (s->state == AGENT_ENDED)
        return err_set(err, -EPROTO, "the control plane sent a message after the last one");
    int r = js_string(message, "", "type", 64, &type, err);
    if (r == 0)
        r = dispatch(s, type, message, &a, err);
    if (r < 0)
        return r == -EPROTO ? r : err_wrap(err, -EPROTO, "the control plane sent a malformed message");
    *ret = a;
    return 0;
}

int agent_session_renew(struct agent_session *s)
{
    if (s->state != AGENT_OPEN && s->state != AGENT_RENEW_ONLY)
        return -ENOTCONN;
    if (s->renewing)
        return -EALREADY;
    s->renewing = true;
    return 0;
}

json_t *agent_msg_enrol(const char *token, const char *csr_pem, const char *name)
{
    return json_pack("{ss ss ss ss}", "type", "enrol", "token", token, "csr", csr_pem, "name", name);
}

json_t *agent_msg_hello(const char *version, int64_t desired_version, const char *boot_id)
{
    return json_pack("{ss ss sI ss}", "type", "hello", "version", version, "desiredVersion",
                     (json_int_t)desired_version, "bootId", boot_id);
}

json_t *agent_msg_renew(const char *csr_pem)
{
    return json_pack("{ss ss}", "type", "renew", "csr", csr_pem);
}

json_t *agent_msg_attach(const char *session)
{
    return json_pack("{ss ss}", "type", "attach", "session", session);
}

json_t *agent_msg_cut(const char *grant)
{
    return json_pack("{ss ss}", "type", "cut", "grant", grant);
}

json_t *agent_msg_refused(int64_t version, const char *why)
{
    json_t *text = json_string(why);
    /* A sentence that was cut inside a character is not UTF-8. */
    return json_pack("{ss sI so}", "type", "refused", "version", (json_int_t)version, "message",
                     text ? text : json_string("the document was refused"));
}
