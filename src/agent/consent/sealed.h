/* The policy *sealed*, for desired documents: what needs a customer's signature waits for one (api/consent.md).
 *
 * A document's exposing and destructive changes against the one in force make a request of the agent's own, with what
 * is before and after. While nobody has signed it the document is not taken: what runs goes on. The document waits in
 * `waiting.json` of the keeper's folder, so that it can be offered again when the signatures come. */
#pragma once

#include "agent/consent/keeper.h"

struct sealed {
    struct keeper *keeper;
    const char *dir;       /* the keeper's */
    const char *kept_path; /* state/desired.json (agent/operator/kept.h); missing: nothing is in force */
    const char *infrastructure;
    const struct clock *clock;
};

/* May this document be taken? 0: yes; if that took a request, ret_used names it ("" if none), and it is used up.
 * -EACCES: not yet, or no; the sentence says what it waits for. */
OH_MUST_CHECK int sealed_check(const struct sealed *s, int64_t version, const char *document, size_t len,
                               char ret_used[UUID_SIZE], struct err *err);
/* Keeps the message for later; the one before it goes. */
OH_MUST_CHECK int sealed_wait(const struct sealed *s, int64_t version, const char *document, size_t len,
                              const char *signature_hex, struct err *err);
/* The one that waits: 1 and *ret_document (free()), 0: none. */
OH_MUST_CHECK int sealed_waiting(const struct sealed *s, int64_t *ret_version, char **ret_document,
                                 char ret_signature[129], struct err *err);
void sealed_forget(const struct sealed *s);
