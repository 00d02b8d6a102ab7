/* What an agent may say on a connection and when: the control plane's half of api/link.md as a pure state machine.
 *
 * Messages come in as parsed JSON, what to do comes out; nothing here sends or stores. An unknown type is ignored and
 * counted (up to a limit), unknown fields are ignored; a known type at the wrong time, a field of the wrong form or too
 * many messages give a negative errno and a sentence for the agent, after which the connection must be closed. */
#pragma once

#include "base/js.h"
#include "base/keys.h"

#define CONTROL_EARLY_MAX KIB(64)   /* longest message before welcome, and when only renewal is served */
#define CONTROL_OBSERVED_MAX MIB(1) /* longest afterwards */
#define CONTROL_RATE_PER_S 4        /* messages a second on average ... */
#define CONTROL_RATE_BURST 40       /* ... and at once */
#define CONTROL_IGNORED_MAX 100     /* messages of unknown type in one connection */

enum control_session_kind { CONTROL_ENROLLING, CONTROL_LINKED, CONTROL_RENEW_ONLY, CONTROL_DEVICE };

enum control_session_state {
    CONTROL_AWAIT_FIRST, /* `enrol` or `hello` must come */
    CONTROL_ANSWERING,   /* it came; we owe `enrolled` or `welcome` */
    CONTROL_OPEN,
    CONTROL_RELAYING, /* `connect` or `attach` came: what follows the answer is not ours to read */
    CONTROL_ENDED,
};

struct control_session {
    uint8_t kind, state;
    bool renewing;         /* a `renew` is being answered */
    uint8_t ignored;       /* messages of unknown type */
    uint16_t tokens;       /* of the rate's bucket */
    int64_t bucket_at_ms;  /* when the bucket was filled last */
    int64_t desired_known; /* newest version that the agent said it has, or that we sent */
};

enum control_action_type {
    CONTROL_NOTHING,
    CONTROL_ENROL,      /* token, csr, spki, name: answer with enrolled, or an error */
    CONTROL_HELLO,      /* version, boot_id, desired_version: answer with welcome */
    CONTROL_OBSERVED,   /* observed, desired_version, version */
    CONTROL_RENEW,      /* csr, spki: answer with renewed */
    CONTROL_REFUSED,    /* desired_version, message: the agent did not take that document */
    CONTROL_BYE,        /* message: the agent says why it closes */
    CONTROL_CONNECT,    /* a device wants to reach its grant's gate: grant, time_ms, signature */
    CONTROL_ATTACH,     /* an agent's own connection for one session: session */
    CONTROL_CONSENT,    /* message: what the agent says of consent (json) */
    CONTROL_CHECKPOINT, /* message: a checkpoint of its ledger, to be cosigned (json) */
    CONTROL_WITNESSED,  /* message: its cosignature of our own record, or why there is none (json) */
    CONTROL_CUT,        /* the gate has ended a grant: grant */
};

/* Strings are borrowed from the message. */
struct control_action {
    enum control_action_type type;
    const char *token, *csr, *name;
    unsigned char spki[SHA256_SIZE]; /* of the key that the request proves to hold */
    const char *version, *boot_id;
    int64_t desired_version;
    const char *grant, *session, *signature; /* UUIDs; 128 hex digits */
    int64_t time_ms;
    json_t *json;     /* new reference: a consent-state, checkpoint or activities-cosigned message, its form checked */
    json_t *observed; /* new reference: only known fields, checked */
    char message[401];
};

void control_session_init(struct control_session *s, enum control_session_kind kind, int64_t now_ms);
/* The longest message to read now. */
size_t control_session_max(const struct control_session *s);
/* now_ms: monotonic. */
OH_MUST_CHECK int control_session_take(struct control_session *s, const json_t *message, int64_t now_ms,
                                       struct control_action *ret, struct err *err);
/* The answer that was owed has been sent. */
void control_session_welcomed(struct control_session *s);
void control_session_renewed(struct control_session *s);
/* True if this version should be sent now; it is then taken as sent. Each version is sent once a connection: an agent
 * that refused one gets no second copy until it comes back. */
bool control_session_send_desired(struct control_session *s, int64_t version);

/* New references. */
json_t *control_msg_enrolled(const char *agent, const char *infrastructure, const char *chain_pem);
json_t *control_msg_welcome(const char *agent, const char *infrastructure, int64_t wall_ms, bool renew_only);
json_t *control_msg_renewed(const char *chain_pem);
json_t *control_msg_desired(int64_t version, const char *document, const char *signature);
json_t *control_msg_session(const char *session);
json_t *control_msg_joined(void);
json_t *control_msg_revoke(const char *grant);
json_t *control_msg_error(const char *sentence, bool retry); /* retry: the same may work later */
