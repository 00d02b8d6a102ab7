/* The agent's end of the link: one outbound connection that is always there or on its way (api/link.md).
 *
 * Runs on the caller's libuv loop; all calls and callbacks happen on its thread. It dials the bundle's address,
 * directly or through an HTTP CONNECT proxy, believes only the bundle's pins, says hello, hands desired documents to
 * the caller, sends reports, renews its certificate in time or through a renew-only connection, and comes back by
 * full-jitter back-off. Nothing here decides what the data plane does: without a link it all goes on. */
#pragma once

#include "agent/link/bundle.h"
#include "base/clock.h"
#include "base/js.h"

#include <uv.h>

/* How to get out; zeroed: directly. */
struct agent_proxy {
    const char *address;          /* "host:port" of an HTTP proxy, or NULL */
    const char *credentials_file; /* one line "user:password", mode 0600, read at each dial; or NULL */
    const char
        *forwarder; /* "host:port" that passes bytes on to the bundle's address; dialled instead of it; or NULL */
};

/* ---- enrolment: once ---- */

struct agent_enrol_config {
    const char *dir;         /* identity folder, made here: <state_dir>/link */
    const char *bundle_file; /* from the customer */
    const char *token_file;  /* NULL: the token is in the bundle */
    const char *name;        /* shown to people, at most 100 bytes; NULL: the host's name */
    struct agent_proxy proxy;
    const struct clock *clock; /* NULL: the system's */
    int timeout_ms;            /* how long to try while the control plane cannot be reached; 0: 60,000 */
    /* As in agent_link_config; there is no ledger yet that could record it. NULL: all may leave. */
    int (*narrow)(const json_t *message, json_t **ret, void *data, struct err *err);
    void *data;
};
/* Blocks. Makes the key, sends its request with the token, stores the answer. Already enrolled with the same bundle: 0
 * at once. Resumes after a crash at any point. ret_fingerprint: of the bundle, for the customer to compare. Errors:
 * -EACCES (token not accepted, or the peer is not who the bundle names), -EEXIST (enrolled with another bundle),
 * -ETIMEDOUT, -EINVAL (bundle, token or answer malformed). */
OH_MUST_CHECK int agent_enrol(const struct agent_enrol_config *config, char ret_fingerprint[65], struct err *err);

/* ---- the link: always ---- */

struct tls_cert;

struct agent_link_config {
    uv_loop_t *loop;
    const char *dir; /* identity folder of an enrolled agent */
    struct agent_proxy proxy;
    const char *version;       /* of the program */
    const char *boot_id;       /* of this start, at most 64 bytes; NULL: random */
    const struct clock *clock; /* borrowed; NULL: the system's */

    /* Version of the last accepted document, 0 = none. Asked at each hello. */
    int64_t (*desired_version)(void *data);
    /* A document arrived, not verified. Non-zero: refused; the sentence goes to the control plane. */
    int (*on_desired)(int64_t version, const char *document, size_t len, const char *signature_hex, void *data,
                      struct err *err);
    /* The report to send, asked when one can go out; NULL: none yet. New reference. */
    json_t *(*observe)(void *data);
    /* The control plane says that a grant is revoked; agent_link_cut() answers when nothing of it is left. Comes again
     * until then. NULL: ignored. */
    void (*on_revoke)(const char *grant, void *data);
    const char *gate_socket; /* where the gate takes engineers' sessions (agent/gate/gate.h); NULL: there is none */
    /* What of a message may leave (blueprint/telemetry.h): *ret is a new message, or stays NULL: all of it. Non-zero:
     * it is not sent. Before `record`. NULL: all may. */
    int (*narrow)(const json_t *message, json_t **ret, void *data, struct err *err);
    /* The link's certificate was renewed: the new one. May be NULL. */
    void (*on_certificate)(const struct tls_cert *cert, void *data);
    /* Called before each message of the operations stream is sent, hello included: non-zero means that it could not be
     * recorded, and it is not sent. `text`: the bytes. NULL: nothing is recorded. */
    int (*record)(const char *type, const char *text, size_t len, const char *destination, void *data, struct err *err);
    /* The other messages of the control plane, `consent`, `cosigned` and `activities` (api/consent.md, api/ledger.md).
     * May be NULL.
     */
    void (*on_message)(const char *type, const json_t *message, void *data);
    /* The link is open: what is to be said once a connection may be said now. May be NULL. */
    void (*on_open)(void *data);
    /* Something for the log. May be NULL. */
    void (*on_event)(bool error, const char *message, void *data);
    void *data;
};

struct agent_link;

/* Texts are copied. -ENOENT: not enrolled. Dials at once. */
OH_MUST_CHECK int agent_link_start(const struct agent_link_config *config, struct agent_link **ret, struct err *err);
/* There is something new to report. Many calls make one message; the last state counts. */
void agent_link_notify(struct agent_link *l);
/* Sends a message, taking over the reference. -ENOTCONN: the link is not open, or something still waits to be sent; the
 * state that it would have said is to be said again on on_open. */
OH_MUST_CHECK int agent_link_say(struct agent_link *l, json_t *message, struct err *err);
/* Tells the control plane that nothing of a grant is left; forgotten if there is no link, since it asks again. */
void agent_link_cut(struct agent_link *l, const char *grant);
/* Tries again now, without waiting for the back-off. */
void agent_link_nudge(struct agent_link *l);
/* Says good-bye, closes, frees; the loop must turn until its handles are closed. `done` may be NULL. */
void agent_link_stop(struct agent_link *l, void (*done)(void *data), void *data);

struct agent_link_status {
    bool connected;              /* welcomed, and not for renewal only */
    int64_t since_ms;            /* wall clock: connected, or disconnected, since */
    int64_t round_trip_ms;       /* -1: not known */
    int64_t certificate_ends_ms; /* wall clock */
    int64_t skew_ms;             /* control plane's clock minus ours, at the last welcome */
    int64_t sent, received;      /* reports and documents since start */
    char agent[UUID_SIZE], infrastructure[UUID_SIZE];
    char control[300];            /* host:port */
    char fingerprint[65];         /* of the bundle */
    char notice[ERR_MESSAGE_MAX]; /* what should be looked at though the link works (clock off); "" if nothing */
    char error[ERR_MESSAGE_MAX];  /* why there is no link, or the last refusal; "" if nothing */
};
void agent_link_status(const struct agent_link *l, struct agent_link_status *ret);
/* The same as JSON for `status`; new reference. */
json_t *agent_link_status_json(const struct agent_link *l);
