/* The link role's statements about consent and the agents' ledgers; rules as directory.h. */
#pragma once

#include "base/js.h"
#include "base/keys.h"
#include "store/store.h"

/* What is to be carried to the infrastructure's agent: a whole `consent` message (api/consent.md); new reference. */
OH_MUST_CHECK int directory_consent(struct store *s, const char *infrastructure, int64_t now_ms, json_t **ret,
                                    struct err *err);
/* (write) What the agent says: its policy, its own requests, how each stands. `state` has the checked form. */
OH_MUST_CHECK int directory_consent_state(struct store *s, const char *infrastructure, const json_t *state,
                                          int64_t now_ms, struct err *err);
/* (write) A cosigned checkpoint, or (note NULL) why it was not cosigned. */
OH_MUST_CHECK int directory_ledger(struct store *s, const char *infrastructure, const char *verifier, uint64_t size,
                                   const char *note, const char *error, int64_t now_ms, struct err *err);
