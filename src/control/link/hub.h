/* The link role's inside: what its connections share. Private to src/control/link.
 *
 * Everything here belongs to the loop's thread. The store and the signer are reached only by work posted to their
 * threads (jobs.c); a piece of work holds a reference to its connection, which may be gone when the answer comes. */
#pragma once

#include "control/link/directory.h"
#include "control/link/registry.h"
#include "control/link/session.h"
#include "control/link/worker.h"
#include "control/role.h"
#include "net/link_conn.h"
#include "net/link_msg.h"

#define HUB_HANDSHAKES_MAX 512     /* in flight at once; the rest waits in the socket's queue */
#define HUB_STREAMS_MAX 4          /* that an agent may have open on one connection */
#define HUB_HANDSHAKE_MS 15000     /* longest, after link_conn's own limit of 5 s */
#define HUB_FIRST_MESSAGE_MS 10000 /* from the handshake to `hello` or `enrol` */
#define HUB_ANSWER_MS 30000        /* that the store and the signer may take for an answer */
#define HUB_RENEW_ONLY_MS 60000    /* life of a connection that may only renew */
#define HUB_REFUSAL_DELAY_MS 500   /* a refused enrolment is answered after this time, whatever the reason */
#define HUB_YOUNG_TICK_MS 100      /* how often deadlines are looked at, while there are any */
#define HUB_BELL_MS 20             /* doorbells gather this long into one look at the store */
#define HUB_SCAN_MS 5000           /* longest time until a revocation is noticed without a doorbell */
#define HUB_PRESENCE_MS 200        /* presence changes gather this long into one transaction */
#define HUB_FETCHES_MAX 16         /* documents being read at once */
#define HUB_OUT_MAX MIB(64)        /* bytes waiting for slow agents, all together, before documents wait too */
#define HUB_HELD_MAX MIB(256)      /* bytes of half-received messages, all together */
#define HUB_REPORTS_MAX MIB(128)   /* bytes of reports waiting for the store, all together */
#define HUB_PEER_OUT_MAX MIB(9)    /* bytes waiting for one agent: a document with JSON's escapes, and small ones */
#define HUB_RELAYS_MAX 256         /* engineers' sessions at once */
#define HUB_RELAYS_A_GRANT 4       /* of one grant */
#define HUB_ATTACH_MS 20000        /* from a device's `connect` to the agent's own connection for it */
#define HUB_WITNESSES_MAX 8        /* agents that are asked to cosign our own record */
#define HUB_WINDOWS_MAX MIB(32)    /* that all windows together may grow by: what may wait here for its takers */
#define HUB_DEVICE_SKEW_MS 600000  /* that a device's clock may be off before its signature is stale */
#define AGENT_URI "ownhouse:agent/"

struct peer;
struct relay;

struct hub {
    uv_loop_t *loop;
    struct role *role;
    const struct clock *clock;
    struct store *store, *reader; /* each its thread's: who waits for the write lock keeps no reader waiting */
    struct worker *store_worker, *reader_worker, *signer_worker;
    struct link_loop *links;
    struct link_listener *listener;
    struct tls_key *server_key;
    int64_t stop_at_ms;      /* monotonic: the end of an orderly stop */
    int64_t server_renew_ms; /* wall clock: two thirds of the server certificate's life */
    bool server_renewing;
    struct registry agents;
    struct peer *young; /* connections that have a deadline, newest first */
    struct relay *relays;
    size_t relay_count;
    bool relays_ended;                    /* since memory was given back last */
    struct peer *fetch_head, *fetch_tail; /* connections waiting for a document */
    size_t fetching, out_bytes, held_bytes, report_bytes;
    struct directory_presence *presence; /* gathered changes */
    size_t presence_count, presence_room;
    int64_t activities; /* leaves of our own record that are signed, as far as known here */
    uint32_t scans;     /* numbers each look at the store */
    bool scanning, scan_again, stopping;
    uv_poll_t bell;
    uv_timer_t tick, young_timer, scan_timer, presence_timer;
    uv_signal_t sigterm, sigint;
    struct yamux_budget budget;
    struct yamux_limits limits;
};

/* One connection. Idle, this and the TLS state are all that is kept of an agent. */
struct peer {
    struct registry_entry entry; /* agent id, "" while enrolling */
    struct hub *hub;
    struct link_conn *conn; /* NULL once closed */
    struct peer *next_young, **at_young;
    struct peer *next_fetch;
    struct control_session session;
    struct link_msg_reader reader;
    struct buf out; /* what the stream did not take yet, from out_at on */
    size_t out_at;
    size_t held;         /* our part of hub->held_bytes */
    int64_t deadline_ms; /* monotonic, while young */
    int64_t not_after_ms, since_ms;
    int64_t consent;   /* generation of what was carried to it last */
    int64_t witnessed; /* leaves of our own record that it has cosigned; INT64_MAX: it refuses */
    int64_t wanted;    /* version waiting to be fetched, 0: none */
    char *report;      /* the latest that waits behind one being stored */
    int64_t report_version;
    uint32_t stream, refs;
    uint32_t scanned; /* number of the scan that found it in the store, 0: none yet */
    bool registered, storing, closing;
    char infrastructure[UUID_SIZE];
    char version[65]; /* of the agent's program */
    bool witnessing;  /* it is asked to cosign, and has not answered */
    bool refusal_busy;
    struct relay *relay; /* of an engineer's session: bytes are passed on, not read */
    char grant[UUID_SIZE], connect_signature[129];
    int64_t connect_ms;
    char refusal[160]; /* sentence of a refused enrolment, waiting for its time */
};

/* ---- peer.c ---- */
extern const struct link_ops peer_ops;
void peer_accept(struct link_conn *c, void *hub); /* for link_listener_new */
/* Ends a connection with a sentence for the agent, or without (NULL). */
void peer_close(struct peer *p, const char *sentence);
/* The same, telling the agent that it may try again later: the fault is ours. */
void peer_close_busy(struct peer *p, const char *sentence);
/* A deadline from now on, and none any more. */
void peer_young(struct peer *p, int64_t ms);
void peer_grown(struct peer *p);
/* Certificates that ran out under a live connection. */
void peer_check_certificates(struct hub *h);
/* What the store says of connected agents: closes those revoked, moved or gone, and sends newer documents. */
void peer_apply_states(struct hub *h, const struct directory_state *states, size_t n);
/* Says good-bye to all; their agents come back later. */
void peer_close_all(struct hub *h);
struct peer *peer_ref(struct peer *p);
void peer_unref(struct peer *p);
/* Sends a message; takes over the reference. */
void peer_send(struct peer *p, json_t *message);

/* ---- answers.c: what the worker threads found out, back on the loop ---- */
void answer_identified(struct peer *p, int result, const struct directory_agent *a, const struct err *err);
void answer_enrol_row(struct peer *p, int result, const char *agent, const char *infrastructure, const char *csr,
                      const unsigned char spki[SHA256_SIZE], const struct err *err);
void answer_certificate(struct peer *p, int result, const char *chain, int64_t not_after_ms, const struct err *err);
void answer_document(struct peer *p, int result, const struct directory_document *d, const struct err *err);
void answer_stored(struct peer *p, int result, size_t bytes, const struct err *err);
/* Asks for the newest document, now or when there is room. */
void peer_want_document(struct peer *p, int64_t version);
void peer_fetch_next(struct hub *h);
/* Hands a report to the store, or keeps it as the next one. Takes over body. */
void peer_store_report(struct peer *p, int64_t version, char *body);
/* Notes that the agent is connected, seen, or gone. */
void peer_note(struct peer *p, bool connected, const char *version);

/* ---- relay.c: engineers' sessions ---- */
void answer_connect(struct peer *p, int result, const struct directory_grant *g, const struct err *err);
/* An agent's own connection for a session that was offered to it. */
void relay_attach(struct peer *p, const char *session);
/* Events of a connection with p->relay. */
void relay_data(struct peer *p, const void *data, size_t len);
void relay_writable(struct peer *p);
void relay_eof(struct peer *p);
void relay_closed(struct peer *p);
void relay_close_agent(struct hub *h, const char *agent);
void relay_close_grant(struct hub *h, const char *grant);
void relay_close_all(struct hub *h);
/* Cuts what runs of these grants here, and tells their gates. */
void relay_revoke(struct hub *h, const struct directory_revocation *list, size_t count);

/* ---- jobs.c: work for the store's and the signer's threads ---- */
void job_identify(struct peer *p);
void job_attach(struct peer *p, const char *session);
void job_connect(struct peer *p);
void job_cut(struct peer *p, const char *grant);
void job_enrol(struct peer *p, const char *token, const char *csr, const unsigned char spki[SHA256_SIZE],
               const char *name);
void job_certificate(struct peer *p, const char *agent, const char *csr, const unsigned char spki[SHA256_SIZE]);
void job_consent(struct peer *p);
void job_consent_state(struct peer *p, json_t *message); /* takes over the reference, as the next */
void job_checkpoint(struct peer *p, json_t *message);
/* ---- activity_jobs.c ---- */
/* Offers agents what they have not cosigned yet of our own record of activities. */
void job_activities(struct hub *h);
void job_witnessed(struct peer *p, json_t *message); /* takes over the reference */
void job_document(struct peer *p, int64_t above);
void job_observed(struct peer *p, int64_t desired_version, char *body); /* takes over body */
void job_presence(struct hub *h);
void job_scan(struct hub *h);
void job_server_certificate(struct hub *h);
worker_batch_fn job_store_batch; /* the store's thread: all in one transaction */

/* ---- server.c: our own identity ---- */
/* Takes a new server certificate into use; from the role's start (ret != NULL: the context) or live (NULL). */
OH_MUST_CHECK int server_use(struct hub *h, const char *chain_pem, struct tls_ctx **ret, struct err *err);
