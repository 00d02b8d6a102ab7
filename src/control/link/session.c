/* Reading an agent's messages in the order and at the rate the protocol allows. */
#include "control/link/session.h"

#include "base/clock.h"
#include "control/link/observed.h"
#include "net/tls.h"

#define CSR_MAX KIB(8)

void control_session_init(struct control_session *s, enum control_session_kind kind, int64_t now_ms)
{
    *s = (struct control_session){
        .kind = (uint8_t)kind,
        .state = CONTROL_AWAIT_FIRST,
        .tokens = CONTROL_RATE_BURST,
        .bucket_at_ms = now_ms,
    };
}

size_t control_session_max(const struct control_session *s)
{
    return s->kind == CONTROL_LINKED && s->state == CONTROL_OPEN ? CONTROL_OBSERVED_MAX : CONTROL_EARLY_MAX;
}

static int take_token_of_rate(struct control_session *s, int64_t now_ms, struct err *err)
{
    int64_t step = 1000 / CONTROL_RATE_PER_S;
    int64_t gained = (now_ms - s->bucket_at_ms) / step;
    if (gained > 0) {
        s->tokens = (uint16_t)MIN((int64_t)CONTROL_RATE_BURST, s->tokens + gained);
        s->bucket_at_ms += gained * step;
    }
    if (s->tokens == 0)
        return err_set(err, -EDQUOT, "too many messages: at most %d a second are taken", CONTROL_RATE_PER_S);
    s->tokens--;
    return 0;
}

/* Names are shown to people: printable, short. */
static int take_name(const json_t *m, const char *type, const char *key, size_t max, const char **ret, struct err *err)
{
    int r = js_string(m, type, key, max, ret, err);
    for (const char *p = *ret; r == 0 && *p; p++)
        if ((unsigned char)*p < 0x20 || *p == 0x7f)
            r = err_set(err, -EINVAL, "%s.%s: must not have control characters", type, key);
    return r;
}

static int take_csr(const json_t *m, const char *type, struct control_action *a, struct err *err)
{
    int r = js_string(m, type, "csr", CSR_MAX, &a->csr, err);
    if (r < 0)
        return r;
    r = tls_csr_check(a->csr, strlen(a->csr), a->spki, err);
    return r < 0 ? err_wrap(err, r, "%s.csr", type) : 0;
}

static int take_enrol(struct control_session *s, const json_t *m, struct control_action *a, struct err *err)
{
    int r = js_string(m, "enrol", "token", 64, &a->token, err);
    if (r == 0 && (strlen(a->token) != 64 || strspn(a->token, "0123456789abcdef") != 64))
        r = err_set(err, -EINVAL, "enrol.token: must be 64 lower-case hexadecimal digits");
    if (r == 0)
        r = take_name(m, "enrol", "name", 100, &a->name, err);
    if (r == 0)
        r = take_csr(m, "enrol", a, err);
    if (r == 0) {
        a->type = CONTROL_ENROL;
        s->state = CONTROL_ANSWERING;
    }
    return r;
}

static int take_hello(struct control_session *s, const json_t *m, struct control_action *a, struct err *err)
{
    int r = take_name(m, "hello", "version", 64, &a->version, err);
    if (r == 0)
        r = js_int(m, "hello", "desiredVersion", 0, INT64_MAX, &a->desired_version, err);
    if (r == 0)
        r = take_name(m, "hello", "bootId", 64, &a->boot_id, err);
    if (r == 0) {
        a->type = CONTROL_HELLO;
        s->desired_known = a->desired_version;
        s->state = CONTROL_ANSWERING;
    }
    return r;
}

static int take_observed(const json_t *m, struct control_action *a, struct err *err)
{
    int r = observed_check(m, &a->observed, err);
    if (r < 0)
        return r;
    a->type = CONTROL_OBSERVED;
    a->desired_version = json_integer_value(json_object_get(a->observed, "desiredVersion"));
    a->version = json_string_value(json_object_get(a->observed, "version"));
    return 0;
}

static int take_renew(struct control_session *s, const json_t *m, struct control_action *a, struct err *err)
{
    if (s->renewing)
        return err_set(err, -EPROTO, "`renew` was sent while one is unanswered");
    int r = take_csr(m, "renew", a, err);
    if (r == 0) {
        a->type = CONTROL_RENEW;
        s->renewing = true;
    }
    return r;
}

static int take_refused(const json_t *m, struct control_action *a, struct err *err)
{
    const char *text = NULL;
    int r = js_int(m, "refused", "version", 0, INT64_MAX, &a->desired_version, err);
    if (r == 0)
        r = js_string(m, "refused", "message", KIB(4), &text, err);
    if (r == 0) {
        snprintf(a->message, sizeof(a->message), "%s", text);
        a->type = CONTROL_REFUSED;
    }
    return r;
}

static int take_uuid(const json_t *m, const char *type, const char *key, const char **ret, struct err *err)
{
    int r = js_string(m, type, key, UUID_SIZE - 1, ret, err);
    if (r == 0 && !uuid_valid(*ret))
        r = err_set(err, -EINVAL, "%s.%s: must be a UUID", type, key);
    return r;
}

static int take_connect(struct control_session *s, const json_t *m, struct control_action *a, struct err *err)
{
    int r = take_uuid(m, "connect", "grant", &a->grant, err);
    if (r == 0)
        r = js_int(m, "connect", "time", 0, INT64_MAX, &a->time_ms, err);
    if (r == 0)
        r = js_string(m, "connect", "signature", 128, &a->signature, err);
    if (r == 0 && (strlen(a->signature) != 128 || strspn(a->signature, "0123456789abcdef") != 128))
        r = err_set(err, -EINVAL, "connect.signature: must be 128 lower-case hexadecimal digits");
    if (r == 0) {
        a->type = CONTROL_CONNECT;
        s->state = CONTROL_RELAYING;
    }
    return r;
}

static int take_attach(struct control_session *s, const json_t *m, struct control_action *a, struct err *err)
{
    int r = take_uuid(m, "attach", "session", &a->session, err);
    if (r == 0) {
        a->type = CONTROL_ATTACH;
        s->state = CONTROL_RELAYING;
    }
    return r;
}

static int take_cut(const json_t *m, struct control_action *a, struct err *err)
{
    int r = take_uuid(m, "cut", "grant", &a->grant, err);
    if (r == 0)
        a->type = CONTROL_CUT;
    return r;
}

/* Texts that are kept are bounded; what they mean, the agent alone decides. */
static int take_consent_state(const json_t *m, struct control_action *a, struct err *err)
{
    static const char *const states[] = {"waiting", "allowed", "refused", "running", "done", "failed", NULL};
    json_t *policy = NULL, *list = NULL;
    const char *digest = NULL;
    int r = js_object(m, "consent-state", "policy", &policy, err);
    if (r == 0)
        r = js_string(m, "consent-state", "policyDigest", 64, &digest, err);
    if (r == 0)
        r = js_array(m, "consent-state", "requests", 400, &list, err);
    for (size_t i = 0; r == 0 && i < json_array_size(list); i++) {
        const json_t *o = json_array_get(list, i);
        const char *id = NULL, *state = NULL, *why = NULL;
        size_t k = 0;
        r = take_uuid(o, "consent-state.requests", "id", &id, err);
        if (r == 0)
            r = js_string(o, "consent-state.requests", "state", 16, &state, err);
        while (r == 0 && states[k] && strcmp(states[k], state))
            k++;
        if (r == 0 && !states[k])
            r = err_set(err, -EINVAL, "consent-state.requests.state: is none that is known");
        if (r == 0)
            r = js_string(o, "consent-state.requests", "why", KIB(1), &why, err);
    }
    if (r == 0) {
        a->type = CONTROL_CONSENT;
        a->json = json_deep_copy(m);
    }
    return r;
}

static int take_checkpoint(const json_t *m, struct control_action *a, struct err *err)
{
    const char *verifier = NULL, *note = NULL;
    json_t *proof = NULL;
    int64_t from = 0;
    int r = js_string(m, "checkpoint", "verifier", 400, &verifier, err);
    if (r == 0)
        r = js_string(m, "checkpoint", "note", KIB(8), &note, err);
    if (r == 0)
        r = js_int(m, "checkpoint", "from", 0, INT64_MAX, &from, err);
    if (r == 0)
        r = js_array(m, "checkpoint", "proof", 130, &proof, err);
    if (r == 0) {
        a->type = CONTROL_CHECKPOINT;
        a->json = json_deep_copy(m);
    }
    return r;
}

static int take_witnessed(const json_t *m, struct control_action *a, struct err *err)
{
    const char *text = NULL;
    int64_t size = 0;
    int r = js_string(m, "activities-cosigned", "verifier", 400, &text, err);
    if (r == 0)
        r = js_string(m, "activities-cosigned", "note", KIB(8), &text, err);
    if (r == 0)
        r = js_string(m, "activities-cosigned", "error", KIB(1), &text, err);
    if (r == 0)
        r = js_int(m, "activities-cosigned", "size", 0, INT64_MAX, &size, err);
    if (r == 0) {
        a->type = CONTROL_WITNESSED;
        a->json = json_deep_copy(m);
    }
    return r;
}

static int take_error(struct control_session *s, const json_t *m, struct control_action *a, struct err *err)
{
    const char *text = NULL;
    int r = js_string(m, "error", "message", KIB(4), &text, err);
    if (r < 0)
        return r;
    snprintf(a->message, sizeof(a->message), "%s", text);
    a->type = CONTROL_BYE;
    s->state = CONTROL_ENDED;
    return 0;
}

static int ignore(struct control_session *s, struct err *err)
{
    if (s->ignored >= CONTROL_IGNORED_MAX)
        return err_set(err, -EDQUOT, "too many messages of unknown types");
    s->ignored++;
    return 0;
}

static int dispatch(struct control_session *s, const char *type, const json_t *m, struct control_action *a,
                    struct err *err)
{
    bool open = s->state == CONTROL_OPEN, first = s->state == CONTROL_AWAIT_FIRST;
    if (!strcmp(type, "error"))
        return take_error(s, m, a, err);
    if (!strcmp(type, "enrol") && first && s->kind == CONTROL_ENROLLING)
        return take_enrol(s, m, a, err);
    if (!strcmp(type, "connect") && first && s->kind == CONTROL_DEVICE)
        return take_connect(s, m, a, err);
    if (!strcmp(type, "attach") && first && s->kind == CONTROL_LINKED)
        return take_attach(s, m, a, err);
    if (!strcmp(type, "hello") && first && s->kind != CONTROL_ENROLLING && s->kind != CONTROL_DEVICE)
        return take_hello(s, m, a, err);
    if (!strcmp(type, "cut") && open && s->kind == CONTROL_LINKED)
        return take_cut(m, a, err);
    if (!strcmp(type, "renew") && open)
        return take_renew(s, m, a, err);
    if (s->kind == CONTROL_RENEW_ONLY && open && (!strcmp(type, "observed") || !strcmp(type, "refused")))
        return err_set(err, -EACCES, "the certificate has expired: this connection can only renew it");
    if (!strcmp(type, "observed") && open)
        return take_observed(m, a, err);
    if (!strcmp(type, "refused") && open)
        return take_refused(m, a, err);
    if (!strcmp(type, "consent-state") && open && s->kind == CONTROL_LINKED)
        return take_consent_state(m, a, err);
    if (!strcmp(type, "checkpoint") && open && s->kind == CONTROL_LINKED)
        return take_checkpoint(m, a, err);
    if (!strcmp(type, "activities-cosigned") && open && s->kind == CONTROL_LINKED)
        return take_witnessed(m, a, err);
    static const char *const known[] = {"enrol", "hello", "renew", "observed", "refused", "connect", "attach", "cut"};
    for (size_t i = 0; i < ARRAY_SIZE(known); i++)
        if (!strcmp(type, known[i]))
            return err_set(err, -EPROTO, "`%s` is out of turn here", type);
    return ignore(s, err);
}

int control_session_take(struct control_session *s, const json_t *message, int64_t now_ms, struct control_action *ret,
                         struct err *err)
{
    const char *type = NULL;
    struct control_action a = {.type = CONTROL_NOTHING};
    if (s->state == CONTROL_ENDED)
        return err_set(err, -EPROTO, "a message came after the last one");
    int r = take_token_of_rate(s, now_ms, err);
    if (r == 0)
        r = js_string(message, "", "type", 64, &type, err);
    if (r == 0)
        r = dispatch(s, type, message, &a, err);
    if (r < 0) {
        s->state = CONTROL_ENDED;
        return r;
    }
    *ret = a;
    return 0;
}

void control_session_welcomed(struct control_session *s)
{
    if (s->state == CONTROL_ANSWERING)
        s->state = s->kind == CONTROL_ENROLLING ? CONTROL_ENDED : CONTROL_OPEN;
}

void control_session_renewed(struct control_session *s)
{
    s->renewing = false;
}

bool control_session_send_desired(struct control_session *s, int64_t version)
{
    if (s->kind != CONTROL_LINKED || s->state != CONTROL_OPEN || version <= s->desired_known)
        return false;
    s->desired_known = version;
    return true;
}

json_t *control_msg_enrolled(const char *agent, const char *infrastructure, const char *chain_pem)
{
    return json_pack("{ss ss ss ss}", "type", "enrolled", "agent", agent, "infrastructure", infrastructure,
                     "certificate", chain_pem);
}

json_t *control_msg_welcome(const char *agent, const char *infrastructure, int64_t wall_ms, bool renew_only)
{
    char time[CLOCK_ISO_SIZE];
    clock_iso(wall_ms, time);
    return json_pack("{ss ss ss ss sb}", "type", "welcome", "agent", agent, "infrastructure", infrastructure, "time",
                     time, "renewOnly", (int)renew_only);
}

json_t *control_msg_renewed(const char *chain_pem)
{
    return json_pack("{ss ss}", "type", "renewed", "certificate", chain_pem);
}

json_t *control_msg_desired(int64_t version, const char *document, const char *signature)
{
    return json_pack("{ss sI ss ss}", "type", "desired", "version", (json_int_t)version, "document", document,
                     "signature", signature);
}

json_t *control_msg_session(const char *session)
{
    return json_pack("{ss ss}", "type", "session", "session", session);
}

json_t *control_msg_joined(void)
{
    return json_pack("{ss}", "type", "joined");
}

json_t *control_msg_revoke(const char *grant)
{
    return json_pack("{ss ss}", "type", "revoke", "grant", grant);
}

json_t *control_msg_error(const char *sentence, bool retry)
{
    json_t *text = json_string(sentence);
    /* A sentence that was cut inside a character is not UTF-8. */
    return json_pack("{ss so sb}", "type", "error", "message", text ? text : json_string("the connection was refused"),
                     "retry", (int)retry);
}
