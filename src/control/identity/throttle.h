/* How often somebody may try to sign in: delays that grow, and that never shut the rightful user out.
 *
 * Each attempt is counted, before it is looked at, in up to three counters; a success takes the count back. Once a
 * counter is above what is free, its next attempt must wait 1 s, then 2 s, 4 s … up to its ceiling:
 *   account and address   free 5, ceiling 15 min: one guesser at one account
 *   address (IPv6: /64)   free 20, ceiling 15 min: one guesser at many accounts
 *   account               free 50, ceiling 4 s: many guessers at one account; kept low, so that its owner gets through
 * A browser that has signed in to the account before (`device`) has a counter of its own instead of all these (free 10,
 * ceiling 1 min): whatever strangers do, its owner may try. A counter starts anew an hour after its last failure.
 *
 * Memory is fixed (THROTTLE_COUNTERS); when it is full the counters that were still longest go. Whether an account
 * exists makes no difference. Thread-safe. Counters live in memory; after a restart those of addresses are
 * made again from what is recorded of the last hour (throttle_history.h), so that a guesser gets no fresh budget by it.
 */
#pragma once

#include "base/clock.h"

#define THROTTLE_COUNTERS 16384

struct throttle;

struct throttle_attempt {
    const char *account; /* as typed, in lower case; NULL = count by address only */
    const char *address;
    const char *device; /* its token's hash, if it is known for this account; else NULL */
};

struct throttle *throttle_new(const struct clock *clock);
void throttle_free(struct throttle *t); /* NULL is fine */

/* 0: go on, the attempt is counted as failed. Else milliseconds to wait; nothing was counted. */
OH_MUST_CHECK int64_t throttle_begin(struct throttle *t, const struct throttle_attempt *a);
/* A failed attempt of before this process began, `age_ms` ago; oldest first. It counts for the address alone: an
 * account's own counters are not made again, since only those of accounts that exist could be, which would tell who
 * does. */
void throttle_recall(struct throttle *t, const char *address, int64_t age_ms);
/* The password was right and a code is asked for: the counts of address and account are taken back; that of both
 * together, or of the device, stands until a success, so that asking without a code forgives no wrong one. */
void throttle_code_asked(struct throttle *t, const struct throttle_attempt *a);
/* It was no failure: takes the count back; what belongs to account and address, or to the device, starts anew. */
void throttle_succeeded(struct throttle *t, const struct throttle_attempt *a);
