/* The identity provider that control.conf names: discovery (OpenID Connect Discovery 1.0), the token endpoint with PKCE
 * (RFC 7636), and its keys, kept for an hour and asked for anew when a token names one that is not among them.
 *
 * All addresses come from control.conf and, over TLS, from the provider itself; never from who asks. */
#pragma once

#include "base/clock.h"
#include "base/js.h"
#include "control/config.h"

struct oidc_provider;

struct oidc_provider *oidc_provider_new(const struct control_config *c, const struct clock *clock);
void oidc_provider_free(struct oidc_provider *p); /* NULL is fine */

/* Thread-safe, each blocks at most half a minute. -ENOENT: none is configured. -EACCES: the provider refused, or what
 * it says is wrong. Others: it cannot be reached. */
/* Where to send browsers; heap. */
OH_MUST_CHECK int oidc_provider_start(struct oidc_provider *p, char **ret_endpoint, struct err *err);
/* Trades a code for claims that were verified (jwt.h): {sub, email?, email_verified?, name?}. */
OH_MUST_CHECK int oidc_provider_finish(struct oidc_provider *p, const char *code, const char *verifier,
                                       const char *nonce, json_t **ret_claims, struct err *err);
