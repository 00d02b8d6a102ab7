/* Who may send queries by the published HTTP form of query endpoints (docs/api.md), out of the users file's field
 *
 *   "queryEndpoint": {"service": UUID, "readonly": false, "origins": ["https://app.example.org", "*.example.org", "*"],
 *     "keys": [{"id": UUID, "id_sha256": HEX, "sha256": HEX, "expires_ms": 0, "networks": [{"source": CIDR}]}]}
 *
 * Keys are the control plane's API keys, of which only SHA-256 hashes are here: of the key id and of the secret, both
 * of which are random and long. Without the field nobody may. */
#pragma once

#include "base/clock.h"
#include "base/js.h"
#include "base/keys.h"

struct query_access; /* opaque; safe to use from many threads */

/* Reads the users file's field; errors name the file and the field. */
OH_MUST_CHECK int query_access_load(const char *path, struct query_access **ret, struct err *err);
/* Reads the file again; on failure what was before stays. */
OH_MUST_CHECK int query_access_reload(struct query_access *a, struct err *err);
void query_access_free(struct query_access *a); /* NULL is fine */

/* True where queries are served at all; `ret_service` gets the service's id. */
bool query_access_service(struct query_access *a, char ret_service[UUID_SIZE]);

struct query_caller {
    char key[UUID_SIZE]; /* the API key's id in the control plane */
    bool readonly;
};
/* `authorization` is the header (NULL: none was sent), `address` the client's or "". -EACCES: no such key, or it has
 * expired; -EPERM: not from this address. The text is for the client. */
OH_MUST_CHECK int query_access_check(struct query_access *a, const struct clock *clock, const char *authorization,
                                     const char *address, struct query_caller *ret, struct err *err);

/* May a page of this origin ("https://app.example.org:8443")? */
bool query_access_origin(struct query_access *a, const char *origin);

/* The rule behind it, alone: a pattern is "*" or [scheme://]host[:port], the host with "*." before it or not. Without a
 * scheme any scheme and, where it names none, any port is meant. */
bool query_origin_matches(const char *pattern, const char *origin);
