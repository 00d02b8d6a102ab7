/* Has the signer seal new activities (control/signer/signer_seal.h). */
#pragma once

#include "store/store.h"

struct sealing {
    int64_t last; /* the highest row that the signer has sealed; -1: not asked yet */
    bool settled; /* all of it is under a checkpoint: without new rows the signer is left alone */
};

/* One look: what is new is sealed, a batch after the other. Errors are for the log; the next look tries again. */
OH_MUST_CHECK int sealing_pass(struct sealing *s, struct store *store, int signer_fd, struct err *err);
