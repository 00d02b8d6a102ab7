/* What the control plane may say on a connection and when: the agent's half of api/link.md as a pure state machine.
 *
 * Messages come in as parsed JSON, what to do comes out; nothing here sends, stores or trusts. An unknown type is
 * ignored and counted, as are unknown fields; a known type at the wrong time or with a field of the wrong form is
 * -EPROTO with a sentence, and the connection must be closed. */
#pragma once

#include "base/js.h"
#include "base/keys.h"

#define AGENT_ENROLLED_MAX KIB(64) /* longest answer to an enrolment, bytes of JSON */
#define AGENT_DESIRED_MAX MIB(4)   /* longest message after welcome */
#define AGENT_OBSERVED_MAX MIB(1)
#define AGENT_ERROR_MAX 400 /* bytes kept of a peer's error sentence */

enum agent_session_state {
    AGENT_AWAIT_ENROLLED, /* `enrol` was sent */
    AGENT_AWAIT_WELCOME,  /* `hello` was sent */
    AGENT_OPEN,
    AGENT_RENEW_ONLY,
    AGENT_ENDED,
};

struct agent_session {
    enum agent_session_state state;
    bool renewing;    /* `renew` was sent and not answered */
    unsigned ignored; /* messages of unknown type */
};

enum agent_action_type {
    AGENT_NOTHING,
    AGENT_ENROLLED, /* agent, infrastructure, certificate */
    AGENT_WELCOME,  /* agent, infrastructure, time_ms, renew_only */
    AGENT_DESIRED,  /* version, document, document_len, signature: not verified */
    AGENT_RENEWED,  /* certificate */
    AGENT_SESSION,  /* session: an engineer waits at the relay */
    AGENT_REVOKE,   /* grant: end it and say so */
    AGENT_OTHER,    /* other: `consent`, `cosigned` or `activities`, the message itself is read by whom it concerns */
    AGENT_REFUSED,  /* message, retry: the peer says why it closes, and whether the same may work later */
};

/* Strings are borrowed from the message. */
struct agent_action {
    enum agent_action_type type;
    const char *agent, *infrastructure; /* UUIDs */
    const char *certificate;            /* PEM */
    const char *session, *grant;        /* UUIDs */
    const char *other;                  /* a message's type */
    int64_t time_ms;                    /* the peer's wall clock */
    bool renew_only, retry;
    int64_t version;
    const char *document;
    size_t document_len;
    const char *signature; /* 128 hex digits */
    char message[AGENT_ERROR_MAX + 1];
};

void agent_session_init(struct agent_session *s, bool enrolling);
/* The longest message to read now. */
size_t agent_session_max(const struct agent_session *s);
OH_MUST_CHECK int agent_session_take(struct agent_session *s, const json_t *message, struct agent_action *ret,
                                     struct err *err);
/* Before sending `renew`: -EALREADY while one is unanswered, -ENOTCONN before welcome. */
OH_MUST_CHECK int agent_session_renew(struct agent_session *s);

/* New references. */
json_t *agent_msg_enrol(const char *token, const char *csr_pem, const char *name);
json_t *agent_msg_hello(const char *version, int64_t desired_version, const char *boot_id);
json_t *agent_msg_renew(const char *csr_pem);
json_t *agent_msg_attach(const char *session);
json_t *agent_msg_cut(const char *grant);
json_t *agent_msg_refused(int64_t version, const char *why);
