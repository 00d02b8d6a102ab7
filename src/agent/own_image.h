/* The agent's own image in a cluster: follows the signed list's "agentImage" (releases.h), and says what came of it.
 *
 * Only on the Kubernetes runtime, with `releases` and `own_workload` in agent.conf and the pod's uid in the environment
 * (OWN_IMAGE_POD_VARIABLE). How the image is changed, watched and put back is runtime/kubernetes/release.h. */
#pragma once

#include "agent/config.h"
#include "agent/link/bundle.h"
#include "base/js.h"
#include "runtime/runtime.h"

#define OWN_IMAGE_POD_VARIABLE "OWNHOUSE_POD_UID"

struct own_image;
/* NULL: not asked for, or not here. `config` is borrowed. */
struct own_image *own_image_new(const struct agent_config *config);
void own_image_free(struct own_image *o); /* NULL is fine */

/* Reads the list if it changed, and hands the wish to the runtime. healthy: linked, and the last pass went well. */
void own_image_look(struct own_image *o, struct runtime *rt, bool healthy);
/* {"v":1, "image": of the StatefulSet, "trying": image or "", "trouble", "last": {"result":
 * "taken"|"rolled-back"|"left"| "refused", "image", "why", "at"}, "refused": {"result":"refused", "image":"", "why",
 * "at"}}: last is what came of the last release, refused that the list as it is now cannot be used; both may be
 * missing. New reference. */
json_t *own_image_told(const struct own_image *o, struct runtime *rt);
