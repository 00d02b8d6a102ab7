/* The customer's list of what may leave, as it lies in the agent's folder: `<home>/policy/telemetry.json`
 * (blueprint/telemetry.h has its form). Without the file all of the table leaves; a file that cannot be used, or that
 * others may write, lets nothing leave but what is needed, and `status` says why. */
#pragma once

#include "agent/config.h"
#include "blueprint/telemetry.h"

struct allowlist {
    struct telemetry *now;
    char digest[65];               /* of the file; "" without one */
    char trouble[ERR_MESSAGE_MAX]; /* why it cannot be used; "" = it can */
    bool loaded;
};

/* Looks at the file; true if what holds has changed (or it is the first look). */
bool allowlist_look(struct allowlist *a, const struct agent_config *c);
void allowlist_free(struct allowlist *a);
/* For the ledger and `status`: {"digest","withheld":[names],"trouble"}; new reference. */
json_t *allowlist_describe(const struct allowlist *a);
