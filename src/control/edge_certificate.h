/* The certificate that browsers and API clients see: from an own CA until the operator brings a certificate. */
#pragma once

#include "base/clock.h"
#include "control/config.h"

/* Makes keys/edge-ca.key, keys/edge-ca.pem (ten years) and keys/edge.pem (certificate and key, 397 days, renewed 30
 * days before its end or when server_name changed) as needed. A certificate in edge.pem that another authority signed
 * is the operator's own and is left alone. Returns 1 if edge.pem is new, 0 if it stood, <0 on error. */
OH_MUST_CHECK int edge_certificate_prepare(const struct control_config *c, const struct clock *clock, struct err *err);
