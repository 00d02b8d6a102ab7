/* HAProxy in front of the control plane: its file, and the edge certificate for browsers and API clients.
 *
 * One TLS port. A ClientHello that offers the link's or the enrolment's ALPN goes through untouched to the link role;
 * everything else is terminated here and handed to the api role as HTTP/1.1 over a Unix socket. The client's address
 * travels by PROXY v2 between hops and as the only X-Forwarded-For towards the api role. */
#pragma once

#include "base/clock.h"
#include "control/config.h"

/* Makes keys/edge-ca.{key,pem} and keys/edge.pem (certificate, chain and key) when missing or within 30 days of expiry,
 * and writes run/haproxy.cfg. Returns 1 if anything changed, 0 if all stood, <0 on error. */
OH_MUST_CHECK int front_prepare(const struct control_config *c, const struct clock *clock, struct err *err);

/* The text of haproxy.cfg; pure, heap, free(). */
char *front_config(const struct control_config *c);
