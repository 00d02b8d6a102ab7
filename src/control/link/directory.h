/* What the link role reads from and writes to the store: its few statements, all here.
 *
 * Functions marked (write) are called between store_begin and store_commit, by the caller who batches them. Nothing
 * here knows of connections. Texts are lower-case UUIDs and hex. */
#pragma once

#include "base/keys.h"
#include "store/store.h"

struct directory_agent {
    char infrastructure[UUID_SIZE];
    int64_t desired_version; /* of its document; 0: none yet */
};

/* -ENOENT: no such agent, or its infrastructure is gone; -EACCES: revoked. */
OH_MUST_CHECK int directory_agent(struct store *s, const char *agent, struct directory_agent *ret, struct err *err);

struct directory_document {
    int64_t version;
    char *body; /* free() */
    char signature[129];
};

/* The infrastructure's document if its version is above `above`: 1 and *ret filled, else 0. */
OH_MUST_CHECK int directory_document(struct store *s, const char *infrastructure, int64_t above,
                                     struct directory_document *ret, struct err *err);

/* One row for each agent that is marked connected, and each that is revoked, marked or not: what may have changed. */
struct directory_state {
    char agent[UUID_SIZE];
    char infrastructure[UUID_SIZE];
    bool revoked;
    int64_t desired_version; /* 0: none yet */
    int64_t consent;         /* generation of its requests and approvals, 0: none yet */
};
/* *ret: heap array, free(). */
OH_MUST_CHECK int directory_states(struct store *s, struct directory_state **ret, size_t *ret_count, struct err *err);

/* (write) Consumes a token and makes the agent in one go, or finds the agent that this token and key made before.
 * `agent` is the identifier to give if a new one is made; on success it holds the one that counts. -EACCES: not
 * accepted (unknown, expired, used with another key, revoked: no difference is told). Other errors: the whole
 * transaction must be rolled back. */
OH_MUST_CHECK int directory_enrol(struct store *s, const char *token_hash, const char *spki, const char *name,
                                  int64_t now_ms, char agent[UUID_SIZE], char ret_infrastructure[UUID_SIZE],
                                  struct err *err);

/* (write) A certificate was issued. -ENOENT: the agent is gone or revoked: do not hand it out. */
OH_MUST_CHECK int directory_certified(struct store *s, const char *agent, const char *spki, int64_t not_after_ms,
                                      struct err *err);

struct directory_presence {
    char agent[UUID_SIZE];
    bool connected;
    int64_t since_ms, seen_ms; /* wall clock */
    int64_t round_trip_us;     /* -1: not known */
    char version[65];          /* "": leave as it is */
    char address[64];
};
/* (write) */
OH_MUST_CHECK int directory_presence(struct store *s, const struct directory_presence *p, struct err *err);
/* (write) At start: nobody is connected yet. */
OH_MUST_CHECK int directory_reset(struct store *s, struct err *err);

/* (write) Keeps an agent's latest report. */
OH_MUST_CHECK int directory_observed(struct store *s, const char *infrastructure, const char *agent,
                                     int64_t desired_version, const char *body, int64_t now_ms, struct err *err);

/* What the relay must know of a grant, to say to whom a device's bytes go. */
struct directory_grant {
    char infrastructure[UUID_SIZE];
    char agent[UUID_SIZE]; /* of the infrastructure, connected last; "" if none is */
    unsigned char device_key[ED25519_PUBLIC_SIZE];
};
/* -ENOENT: no such grant, or it has ended or expired (no difference is told). */
OH_MUST_CHECK int directory_grant(struct store *s, const char *grant, int64_t now_ms, struct directory_grant *ret,
                                  struct err *err);

/* Revocations that the gates have not acknowledged. */
struct directory_revocation {
    char grant[UUID_SIZE], infrastructure[UUID_SIZE];
};
/* *ret: heap array of at most 1,000, free(). */
OH_MUST_CHECK int directory_revocations(struct store *s, struct directory_revocation **ret, size_t *ret_count,
                                        struct err *err);
/* (write) The gate of this infrastructure says that nothing of the grant is left; another's grant is left alone. */
OH_MUST_CHECK int directory_cut(struct store *s, const char *grant, const char *infrastructure, int64_t now_ms,
                                struct err *err);
