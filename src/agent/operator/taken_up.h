/* Whether the ingress has taken up its files. HAProxy loses a reload signal that comes while it is still starting or
 * reloading (blueprint.h), so it is asked for its generation, and told again while it does not answer the wanted one.
 *
 * An answer is no proof where the same files were wanted, then others, then the same: a service stopped and started
 * within a moment. The answer may come from before the others, which are being read; the last telling is the one that
 * was lost. Files that come back so get another number, and an ingress that has taken up its files is asked now and
 * then all the same. */
#pragma once

#include "agent/operator/asks.h"
#include "agent/operator/reconcile.h"

#define TAKEN_UP_SIZE 80

struct taken_up {
    char wanted[TAKEN_UP_SIZE]; /* generation of the files last rendered */
    char last[TAKEN_UP_SIZE];   /* that the ingress last said to have taken up */
    int64_t waiting_since_ms;   /* for `wanted`; -1 = it has it */
    int told_again;             /* in a row, without success */
};

void taken_up_init(struct taken_up *t);
/* Notes the generation (blueprint_generation()) of what was rendered. True: it comes back through others that the
 * ingress never said to have taken up; render it once more under another number. */
bool taken_up_comes_back(struct taken_up *t, const char *generation);
/* It was asked once with success, and has not said yet that it has what was rendered last. False where it cannot be
 * asked at all. */
bool taken_up_behind(const struct taken_up *t);
/* In a pass, once the runtime says that the files are in place: asks the ingress. True: it is to be told again.
 * files_take_ms: how long files may be on their way. *again_ms is lowered to when it is to be asked again. */
bool taken_up_watch(struct taken_up *t, struct asks *asks, const struct runtime_status *ingress, int64_t now,
                    int64_t files_take_ms, int64_t *again_ms);
