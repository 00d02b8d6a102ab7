/* What people sign: requests, approvals and pre-approvals, all canonical JSON (RFC 8785), and their signatures.
 *
 * An approval names the digest of exactly one request, which names its operations, their arguments and the digest of
 * the state that it was made from; so it is good for nothing else, and once. Signatures are Ed25519 over a first line
 * that says the kind, `ownhouse-approval-v1\n` or `ownhouse-preapproval-v1\n`, and the SHA-256, in hex, of the
 * canonical JSON without `signature` (`signatures`). Forms: api/consent.md. Pure. */
#pragma once

#include "consent/policy.h"

#define REQUEST_MAX_BYTES KIB(256)
#define REQUEST_MAX_OPERATIONS 8
#define REQUEST_REASON_MAX 1000
#define APPROVAL_MAX_BYTES KIB(8)
#define APPROVAL_MAX_SEEN 16
#define PREAPPROVAL_MAX_BYTES KIB(16)

struct consent_request {
    char id[UUID_SIZE], infrastructure[UUID_SIZE];
    const struct operation *operations[REQUEST_MAX_OPERATIONS];
    size_t n_operations;
    const json_t *arguments; /* borrowed from json */
    char state[65];          /* digest of what it was made from, "" where nothing is */
    const char *reason, *ticket, *by;
    int severity; /* 1 (worst) to 4; 0 = not said */
    int64_t created_ms, not_after_ms;
    unsigned char device_key[ED25519_PUBLIC_SIZE]; /* of the engineer who asks for access */
    bool has_device_key;
    int minutes;                 /* how long access is to last; 0: none is asked for */
    char preapproval[UUID_SIZE]; /* "" = none is named */
    char digest[65];             /* of the canonical form: what approvals name */
    json_t *json;                /* owns the texts */
};
OH_MUST_CHECK int request_from_json(const json_t *o, struct consent_request *ret, struct err *err);
OH_MUST_CHECK int request_parse(const char *text, size_t len, struct consent_request *ret, struct err *err);
void request_free(struct consent_request *r);
#define autorequest OH_CLEANUP(request_free)

/* The effect in words and a difference of before and after, for the person who signs; appends lines of text. Control
 * characters of the request's own texts are shown as `?`. */
void request_describe(const struct consent_request *r, struct buf *out);

struct approval {
    char request[UUID_SIZE], infrastructure[UUID_SIZE];
    char digest[65]; /* of the request */
    bool deny;
    int64_t at_ms, not_after_ms;
    unsigned char by[ED25519_PUBLIC_SIZE];
    char seen[APPROVAL_MAX_SEEN][65]; /* SHA-256 of the signatures that the signer had before his eyes */
    size_t n_seen;
    char signature_digest[65]; /* SHA-256 of this one's signature (its hex form), for others' `seen` */
};
/* Parses and verifies the signature; -EBADMSG: it is not by the key it names. Whose key that is, consent_check says. */
OH_MUST_CHECK int approval_from_json(const json_t *o, struct approval *ret, struct err *err);
/* Signs; `at` and `not_after` by the caller's clock. `seen`: approvals already there. New reference. */
OH_MUST_CHECK int approval_sign(const struct signing_key *key, const struct consent_request *r, bool deny,
                                int64_t at_ms, int64_t not_after_ms, const struct approval *seen, size_t n_seen,
                                json_t **ret, struct err *err);

/* A template the customer signed beforehand. */
struct preapproval {
    char id[UUID_SIZE], infrastructure[UUID_SIZE];
    uint64_t operations; /* bit n = operations[n] */
    int severity;        /* the request's must be 1..severity; 0: any */
    int minutes;         /* longest access */
    int64_t count;       /* how often it may be used */
    int64_t not_before_ms, not_after_ms;
    unsigned char vendors[POLICY_MAX_KEYS][ED25519_PUBLIC_SIZE]; /* whose signatures a use needs */
    size_t n_vendors;
    int vendor_signatures;                                       /* how many of them */
    unsigned char devices[POLICY_MAX_KEYS][ED25519_PUBLIC_SIZE]; /* engineers' keys it is good for */
    size_t n_devices;
    struct {
        unsigned char by[ED25519_PUBLIC_SIZE];
    } signers[POLICY_MAX_KEYS]; /* their signatures are verified */
    size_t n_signers;
    char digest[65];
};
OH_MUST_CHECK int preapproval_from_json(const json_t *o, struct preapproval *ret, struct err *err);
/* Adds a signature to the document (which may have others). */
OH_MUST_CHECK int preapproval_sign(const struct signing_key *key, json_t *o, struct err *err);
