/* The enrolment bundle: everything an agent is told to trust, taken from the customer and never over the link
 * (api/link.md, "Enrolment bundle").
 *
 * Strict: an unknown field, a repeated one or a value of another form is refused with its name. The fingerprint is the
 * SHA-256 of the canonical JSON of the bundle without `token` and `fingerprint`; a bundle that carries another
 * fingerprint than its own is refused. */
#pragma once

#include "base/err.h"
#include "base/keys.h"

#define BUNDLE_MAX_BYTES KIB(64)
#define BUNDLE_MAX_APPROVERS 16
#define BUNDLE_TOKEN_SIZE 65 /* 64 lower-case hex digits and NUL */

#define BUNDLE_HOST_SIZE 256

enum bundle_mode {
    BUNDLE_OPEN,   /* exposing and destructive fields need no customer signature */
    BUNDLE_SEALED, /* they do; needs at least one approver key */
};

struct bundle {
    char host[BUNDLE_HOST_SIZE]; /* of the control plane; IPv6 without brackets */
    uint16_t port;
    char server_name[256];              /* the DNS name its link certificate must carry */
    unsigned char pins[2][SHA256_SIZE]; /* SPKI hashes: the link CA, then the spare if there is one */
    size_t pin_count;                   /* 1..2 */
    unsigned char desired_key[ED25519_PUBLIC_SIZE];
    bool has_release_key;
    unsigned char release_key[ED25519_PUBLIC_SIZE];
    unsigned char approver_keys[BUNDLE_MAX_APPROVERS][ED25519_PUBLIC_SIZE];
    size_t approver_count;
    enum bundle_mode mode;
    char *policy;                  /* as JSON text: what consent/policy.h's policy_from_bundle() takes */
    char token[BUNDLE_TOKEN_SIZE]; /* "" when it is in a file of its own */
    char fingerprint[65];          /* 64 lower-case hex digits */
    char *canonical;               /* the text that the fingerprint is of */
};

/* -EINVAL names the field; -EMSGSIZE over BUNDLE_MAX_BYTES. */
OH_MUST_CHECK int bundle_parse(const char *text, size_t len, struct bundle **ret, struct err *err);
/* The same from a file, with its name in the error. */
OH_MUST_CHECK int bundle_load(const char *path, struct bundle **ret, struct err *err);
void bundle_free(struct bundle *b); /* NULL is fine; the token is wiped */

/* "host:port" or "[IPv6]:port" into its parts, the brackets dropped; -EINVAL for anything else. */
OH_MUST_CHECK int bundle_address(const char *text, char ret_host[BUNDLE_HOST_SIZE], uint16_t *ret_port);

/* Reads a token file: 64 hex digits, white space around them allowed. -EPERM: others than the owner may read it. */
OH_MUST_CHECK int bundle_token_load(const char *path, char ret[BUNDLE_TOKEN_SIZE], struct err *err);

static inline void bundle_freep(struct bundle **b)
{
    bundle_free(*b);
}
#define autobundle OH_CLEANUP(bundle_freep)
