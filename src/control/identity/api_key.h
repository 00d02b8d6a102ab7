/* API keys: a key id and a secret, sent as HTTP Basic credentials.
 *
 * Both halves are random (119 and 256 bits), so a plain SHA-256 is enough to store, and fast enough to check on every
 * request. A caller may also bring only the hashes of a key of its own making. */
#pragma once

#include "base/clock.h"
#include "base/js.h"
#include "base/keys.h"
#include "store/store.h"

#define API_KEY_ID_LENGTH 20
#define API_KEY_SECRET_LENGTH 43

struct api_key {
    char id[UUID_SIZE];                                                    /* of the row; not a secret */
    char key_id[API_KEY_ID_LENGTH + 1], secret[API_KEY_SECRET_LENGTH + 1]; /* only at creation */
};

/* Random id, key id and secret; wipe it when it has been handed over. */
void api_key_generate(struct api_key *ret);

/* What to store. Hashes are hex SHA-256; `roles` and `ip_access_list` JSON arrays; expire_at 0 = never. */
struct api_key_row {
    const char *id, *organization, *name, *key_id_hash, *secret_hash, *suffix;
    bool enabled;
    const json_t *roles, *ip_access_list;
    int64_t created_at, expire_at;
};
/* Within the caller's transaction. -EEXIST: a key with this key id is there already. */
OH_MUST_CHECK int api_key_insert(struct store *s, const struct api_key_row *row, struct err *err);

/* Who is asking: an API key, or a person in a session (user and session set, key empty). */
struct identity {
    char organization[UUID_SIZE]; /* of a key its own; of a person the one that is asked about, or empty */
    char key[UUID_SIZE], user[UUID_SIZE], session[UUID_SIZE];
    char *name;       /* of the key, or the person's address; heap */
    json_t *roles;    /* array of role ids */
    json_t *policies; /* of the custom ones among them (access.h) */
    bool stale_use;   /* the recorded time of last use is a minute or more ago */
};
void identity_free(struct identity *i);
#define autoidentity OH_CLEANUP(identity_free)

/* -EACCES: unknown key, wrong secret, disabled or expired (one message for all, one time for the first two).
 * -EPERM: the key's IP access list does not hold `address`. Other errors: the store's. */
OH_MUST_CHECK int api_key_authenticate(struct store *s, const struct clock *clock, const char *key_id,
                                       const char *secret, const char *address, struct identity *ret, struct err *err);
/* Records the current minute as time of last use; a no-op where it is there already. */
OH_MUST_CHECK int api_key_used(struct store *s, const struct clock *clock, const char *id, struct err *err);
