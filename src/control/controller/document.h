/* Assembles the desired document of an infrastructure from its service rows, has it signed and stores it. */
#pragma once

#include "base/clock.h"
#include "store/store.h"

/* Level-triggered: makes a new version only when the content differs from the stored one. Returns 1 if a new version
 * was stored, 0 if the old one stands, <0 on error. Versions rise, but may leave out numbers: when the signer has
 * signed more than the store knows (a crash in between, a restored backup). `signer` is the descriptor towards the
 * signer. */
OH_MUST_CHECK int document_update(struct store *s, const struct clock *clock, int signer, const char *infrastructure,
                                  struct err *err);
