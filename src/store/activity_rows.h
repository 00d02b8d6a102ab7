/* Activity rows as they are sealed (api/ledger.md): what a leaf holds of each, and the digest of all of it.
 *
 * {"seq","id","type","organization","time","sha256"}; time: ms since 1970 as text; sha256: of the canonical JSON (RFC
 * 8785) of the whole row, each column under its own name, NULL as null. So the record names no person, and yet no
 * column can be altered unseen. */
#pragma once

#include "base/js.h"
#include "store/store.h"

/* Rows with a number above `after`, in their order, at most `max`; new reference to an array. */
OH_MUST_CHECK int activity_rows(struct store *s, int64_t after, int max, json_t **ret, struct err *err);
