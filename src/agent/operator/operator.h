/* The operator: keeps the services of one infrastructure as the last accepted desired document says.
 *
 * Runs on the caller's libuv loop. It lives alone: at start it takes the last document from its state folder, verifies
 * it again and goes on, whether or not a control plane answers. Each pass looks at the whole: document -> blueprint ->
 * workloads, against what the runtime observes; reconcile.h decides, one careful step at a time.
 *
 * State folder (0700, made here): desired.json (document, version, signature; 0600), ca.key, ca.pem (the data plane's
 * own authority), service.key, service.pem (the ingress's certificate), operator.secret, restarts.json (restarts asked
 * for), orders.json (agent/operator/orders.h), backups.json (agent/operator/backups.h), images.json (the engines'
 * images in force), idle.json (agent/operator/sleep.h), joined.json (agent/operator/joined.h), sizes.json
 * (agent/operator/surges.h). Keys never leave it. */
#pragma once

#include "agent/operator/backup_place.h"
#include "base/clock.h"
#include "base/js.h"
#include "base/keys.h"
#include "blueprint/blueprint.h"
#include "runtime/runtime.h"

#include <uv.h>

struct operator_config {
    uv_loop_t *loop;
    const char *state_dir;      /* absolute */
    const char *infrastructure; /* the one this agent is enrolled for */
    unsigned char desired_key[ED25519_PUBLIC_SIZE];
    const char *isolation;       /* "network-namespace" | "none" */
    const char *program_version; /* of the agent */
    const struct clock *clock;   /* borrowed */
    struct runtime *runtime;     /* borrowed; must outlive the operator */
    /* Place of the data plane. The operator itself fills certificates and n_certificates. */
    struct blueprint_env env;
    /* How long the runtime may take to bring a changed file in place after it said so: a kubelet looks each minute. 0:
     * no time. The ingress is not told again before. */
    int64_t files_take_ms;
    /* Further names and addresses that the services' certificate carries beside *.domain, domain, localhost, 127.0.0.1,
     * ::1 and env.client_address; each list ends with NULL, or is NULL. */
    const char *const *extra_dns, *const *extra_ip;

    /* Folders shared with the names role (agent/operator/named.h); NULL: nobody keeps names. `acme`: it gets
     * certificates too. `ingress_targets` says where the records lead: addresses or one name, separated by blanks, ""
     * while that is not known; the text is good until the next call. */
    const char *wanted_dir, *names_dir;
    bool acme;
    const char *(*ingress_targets)(void *data);

    /* Of BLUEPRINT_OPERATOR, where services have several replicas: they are asked how far they are. NULL: nobody asks.
     */
    const char *look_password;
    struct backup_place backup_place; /* none: no backups here (agent/operator/backups.h) */
    const char *backup_password;

    /* A document that has passed every check of its own, before it is kept: recorded, and judged by the customer's
     * policy. Non-zero: it is not taken, and the sentence says why. NULL: nothing more is asked. */
    int (*may_accept)(int64_t version, const char *document, size_t len, void *data, struct err *err);
    /* The customer has locked the data plane: what is under way takes nothing away. NULL: never. */
    bool (*locked)(void *data);
    /* The whole `observed` message (api/link.md), borrowed for the call: after each change and at least every 30 s,
     * whether or not somebody is connected. */
    void (*on_observed)(const json_t *observed, void *data);
    /* What came of the last release of the agent itself: {"result", "what", "why", "at"}, borrowed; NULL: nothing did.
     * May be NULL itself. */
    json_t *(*release)(void *data);
    /* The services have a new certificate: PEM that begins with it. May be NULL. */
    void (*on_certificate)(const char *pem, void *data);
    /* Something a person should read in the log; the library does not log. error: it will be tried again. */
    void (*on_event)(bool error, const char *message, void *data);
    void *data;
};

struct operator_loop;

/* Texts of the configuration are copied. Fails (-EACCES, -EIO, -EINVAL ...) only where nothing useful can be done: the
 * state folder or a key in it cannot be read or made. A stored document that no longer verifies is refused with an
 * event and left in place; nothing is removed because of it. */
OH_MUST_CHECK int operator_new(const struct operator_config *config, struct operator_loop **ret, struct err *err);
/* First pass; returns at once. */
void operator_start(struct operator_loop *o);
/* Ends timers and work; workloads go on. `done` (may be NULL) is called when all handles are closed, and the operator
 * is freed before that. */
void operator_stop(struct operator_loop *o, void (*done)(void *data), void *data);

/* A document from the link. 0: it is kept, durable, and will be acted on (or it is the one already kept). Otherwise
 * nothing changed and the message says why: -EBADMSG signature, -EXDEV of another infrastructure, -ESTALE version not
 * above the last, -EINVAL not understood (names the field), -EMSGSIZE, -EIO / -ENOSPC it could not be kept, and
 * may_accept's own. */
OH_MUST_CHECK int operator_offer_desired(struct operator_loop *o, int64_t version, const char *document, size_t len,
                                         const char *signature_hex, struct err *err);
/* Version of the last accepted document, 0 = none: what `hello` says. */
int64_t operator_desired_version(const struct operator_loop *o);
/* The last `observed` message, for a link that has just connected; NULL before the first pass. New reference. */
json_t *operator_observed(const struct operator_loop *o);
/* The last pass found out all it had to. */
bool operator_passed(const struct operator_loop *o);
/* Processor time of the last pass, in microseconds. */
int64_t operator_pass_us(const struct operator_loop *o);
/* Restarts the engines of a service by the rules of a rolling change. -ENOENT: the document has no such service that
 * runs. */
OH_MUST_CHECK int operator_restart(struct operator_loop *o, const char *service, struct err *err);
/* Begins another typed operation of a service (agent/operator/orders.h) under its request's id; how it ends is told by
 * orders_settled(). Errors are orders_begin()'s. */
OH_MUST_CHECK int operator_order(struct operator_loop *o, const char *request, const char *operation,
                                 const json_t *arguments, struct err *err);
struct orders;
struct orders *operator_orders(struct operator_loop *o); /* borrowed */
/* Looks again soon; for whoever knows that something changed. */
void operator_nudge(struct operator_loop *o);
