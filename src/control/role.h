/* What a role process of ownhouse-control is handed by the parent: its configuration, doorbells and the way to the
 * signer.
 *
 * A role is started as `ownhouse-control --role NAME --config FILE`; descriptors come by fixed numbers in environment
 * variables that role_fds_import() reads and removes. */
#pragma once

#include "control/config.h"

enum role_id { ROLE_API, ROLE_LINK, ROLE_CONTROLLER, ROLE_SIGNER, ROLE_OUTWARD, ROLE_COUNT };
extern const char *const role_names[ROLE_COUNT];

struct role {
    enum role_id id;
    struct control_config config;
    int bell[ROLE_COUNT];           /* eventfds, non-blocking; bell[id] is our own: read it when it polls readable */
    int signer;                     /* SOCK_SEQPACKET to the signer (link, controller, api), or -1 */
    int askers[ROLE_COUNT];         /* signer only: SOCK_SEQPACKET from each asker, or -1 */
    int outward;                    /* SOCK_SEQPACKET to the outward role (api, controller), or -1 */
    int outward_askers[ROLE_COUNT]; /* outward only: from each asker, or -1 */
};

/* Wakes another role. Never blocks, never fails for the caller. */
void role_ring(const struct role *r, enum role_id whom);
/* Empties our own bell after a wake-up. */
void role_bell_clear(const struct role *r);

/* Role entry points: run until SIGTERM, return the exit status. */
int role_api_main(struct role *r);
int role_link_main(struct role *r);
int role_controller_main(struct role *r);
int role_signer_main(struct role *r);
int role_outward_main(struct role *r);
