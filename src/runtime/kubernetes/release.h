/* A change of the agent's own image in a cluster: what the annotations of its StatefulSet say of it, and what is
 * written there next. Pure: own.c (the agent) and guard.c (the program that watches it) read and write the objects.
 *
 * The annotation ownhouse/release holds one JSON object, the whole state; nothing of it is kept elsewhere:
 *   {"state", "trial": 16 hex digits, "image", "before", "list": digest of the signed list, "why", "at", "untilMs"}
 *
 * - preparing: the agent wants `image` and has asked for a guard: a Job of the image `before`.
 * - trying: in the same write the StatefulSet got the image; untilMs is the guard's bound (0: it has not seen it yet).
 * - taken: the guard saw the new pod ready, its link up and a pass made.
 * - rolled-back: in the same write the guard put the image back; not tried again until the list changes.
 * - left: somebody else changed the image meanwhile; not tried again until the list changes.
 * - refused: it was not begun: no guard came up, or the list changed; tried again after KUBE_RELEASE_REST_MS.
 *
 * The annotation ownhouse/release-guard names the trial that a guard watches; without it the image is not changed.
 * ownhouse/release-health is {"trial", "pod": uid}: that pod's agent is linked, leads, and has made a pass.
 *
 * Each write bears the resourceVersion of what it was decided on, so that of two that decide at once one is refused and
 * looks again. */
#pragma once

#include "base/clock.h"
#include "base/js.h"

#define KUBE_RELEASE_IMAGE_MAX 500
#define KUBE_RELEASE_LOOK_MS 2000
#define KUBE_RELEASE_IDLE_LOOK_MS 30000 /* while it may not act, or after an error */
#define KUBE_RELEASE_GUARD_MS 300000    /* a guard that is asked for comes up within it */
#define KUBE_RELEASE_START_MS 600000    /* and waits that long for the agent to begin */
#define KUBE_RELEASE_REST_MS 3600000
#define KUBE_RELEASE_BLIND_MS 60000 /* what the guard waits more after the API server was away */
#define KUBE_RELEASE_RESTARTS_MAX 3 /* a pod whose agent ended as often has failed */
#define KUBE_RELEASE_CONTAINER "agent"

enum kube_release_state {
    KUBE_RELEASE_NONE,
    KUBE_RELEASE_PREPARING,
    KUBE_RELEASE_TRYING,
    KUBE_RELEASE_TAKEN,
    KUBE_RELEASE_ROLLED_BACK,
    KUBE_RELEASE_LEFT,
    KUBE_RELEASE_REFUSED,
};
extern const char *const kube_release_state_names[];

struct kube_release {
    enum kube_release_state state;
    char trial[17], image[KUBE_RELEASE_IMAGE_MAX + 1], before[KUBE_RELEASE_IMAGE_MAX + 1], list[65];
    char why[400], at[CLOCK_ISO_SIZE];
    int64_t until_ms; /* wall */
    char guard[17], health_trial[17], health_pod[64];
    /* of the StatefulSet itself */
    char version[32], uid[64], current[KUBE_RELEASE_IMAGE_MAX + 1];
};

/* From a StatefulSet. An annotation that is not as above counts as none. -EINVAL: it is not the agent's: it has no
 * version or no container "agent". */
OH_MUST_CHECK int kube_release_read(const json_t *set, struct kube_release *ret, struct err *err);

/* Whether a list's image is to be tried now; `rested`: what was refused may be tried again. */
bool kube_release_wanted(const struct kube_release *r, const char *image, const char *list, bool rested);

/* Patches of the StatefulSet (strategic merge), new references. `state`: r with its new state, why, at and until_ms;
 * `image` NULL: it stays as it is. */
json_t *kube_release_patch(const struct kube_release *r, const char *image);
json_t *kube_release_patch_guard(const struct kube_release *r, const char *trial);
json_t *kube_release_patch_health(const struct kube_release *r, const char *pod);
/* Sets state, why and at. */
void kube_release_turn(struct kube_release *r, enum kube_release_state state, const char *why, int64_t wall_ms);

struct kube_release_job {
    const char *workload, *namespace; /* the StatefulSet */
    const char *account;              /* the guard's ServiceAccount */
    int patience_s;
};
/* The guard: a Job of the image `before`, belonging to the StatefulSet and placed and confined as its pods are. It
 * needs no volume. New reference. */
json_t *kube_release_guard_job(const json_t *set, const struct kube_release *r, const struct kube_release_job *job);

enum kube_release_verdict { KUBE_RELEASE_WAIT, KUBE_RELEASE_GOOD, KUBE_RELEASE_BAD, KUBE_RELEASE_OTHERS };
/* The guard's, of a release that is being tried. `pod`: of the StatefulSet, NULL: there is none. `why` gets what is
 * missing. */
enum kube_release_verdict kube_release_judge(const struct kube_release *r, const json_t *pod, int64_t wall_ms,
                                             int patience_s, char *ret_why, size_t size);
