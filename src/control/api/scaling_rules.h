/* The rules that scaling must keep, whether it is a service's own or an entry's of its schedule. */
#pragma once

#include "control/api/request.h"

/* Takes autoscalingMode, minReplicaMemoryGb, maxReplicaMemoryGb, numReplicas, minReplicas, maxReplicas, idleScaling and
 * idleTimeoutMinutes of `from`, which the contract has let through, into the specification `spec`, whose own values
 * hold where `from` says nothing. Refuses (400) what does not go together. `place` leads the sentence: "" or
 * "entries[2].". The result has numReplicas with the mode vertical, minReplicas and maxReplicas with horizontal. */
OH_MUST_CHECK int scaling_rules_take(struct api_request *q, const char *place, const json_t *from, json_t *spec);
