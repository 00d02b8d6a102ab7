/* Keeps the records of the services' names in a DNS zone as they are wanted, and a certificate for them by ACME where
 * that is configured. Level-triggered: each pass compares the whole.
 *
 * In: home/wanted/names.json, written by the operator (records.h). Out, in home/names/: state.json for the operator,
 * and certificate.pem (acme.h). state.json:
 *   {"v":1, "dns":{"state":S, "records":N, "conflicts":N, "error":TEXT}, "acme":{"state":S, "error":TEXT}}
 * with S: "waiting" (nothing is wanted yet, or not tried yet), "ok", "conflict" (dns: all that could be done is done,
 * the rest is somebody else's), "clock" (acme: the machine's clock is before the certificate's start, nothing is asked
 * for), "failed" (tried again with back-off; the error says why), "off".
 *
 * Records are looked at when what is wanted changes, and each ten minutes. A certificate is renewed when a third of its
 * life is left, by the wall clock, looked at each minute, so that a clock that jumps is seen. Failures: DNS again after
 * 5 s, doubled to 5 min; ACME after 1 min, doubled to 4 h (authorities count failures), at once when what is wanted
 * changes. */
#pragma once

#include "agent/config.h"
#include "base/clock.h"

#define NAMES_STATE_MAX KIB(16)

struct names;
/* All borrowed, to outlive it. `program`: this very program, for uacme's calls. */
struct names *names_new(const struct agent_config *c, const char *config_path, const char *program,
                        const struct clock *clock, void (*on_event)(bool error, const char *message));
void names_free(struct names *n);
/* Does what is due, and returns the monotonic time of the next pass; a change of what is wanted makes one due now. */
int64_t names_pass(struct names *n);
