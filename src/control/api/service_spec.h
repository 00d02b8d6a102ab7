/* A service's specification: what the API stores of a request and echoes, as one JSON object.
 *
 * Fields: ipAccessList, autoscalingMode, minReplicaMemoryGb, maxReplicaMemoryGb, numReplicas (vertical) or minReplicas
 * and maxReplicas (horizontal), idleScaling, idleTimeoutMinutes, releaseChannel, tags, privateEndpointIds,
 * enableCoreDumps, mysql; and, once they were set, awakeAskedMs (when it was last asked to wake), scalingSchedule
 * (control/scaling.h) upgradeWindow {weekday, startHourUtc, duration}, clickhouseSettings (an object of texts, see
 * blueprint/settings.h), queryEndpoint {id, openApiKeys, roles, allowedOrigins}, backupConfiguration and backupBucket
 * as the API shows them, the latter with secretHash (SHA-256, hex) instead of its secret. Numbers are integers. */
#pragma once

#include "control/api/request.h"

/* From a create request that the contract has let through. `local`, that it will run on
 * this machine, decides defaults. A field that this version cannot honour is refused by name. */
OH_MUST_CHECK int service_spec_new(struct api_request *q, bool local, json_t **ret);

/* What a patch changed; each has an activity. */
enum {
    SPEC_IP_ACCESS_LIST = 1 << 0,
    SPEC_PRIVATE_ENDPOINTS = 1 << 1,
    SPEC_RELEASE_CHANNEL = 1 << 2,
    SPEC_TAGS = 1 << 3,
    SPEC_CORE_DUMPS = 1 << 4,
    SPEC_ENDPOINTS = 1 << 5,
};
/* Applies a patch request to the stored specification. */
OH_MUST_CHECK int service_spec_patch(struct api_request *q, json_t *spec, unsigned *ret_changed);
