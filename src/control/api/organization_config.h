/* What the API keeps of an organization beside its columns: one JSON object with privateEndpoints (a list of {id,
 * description, cloudProvider, region}) and enableCoreDumps. */
#pragma once

#include "control/api/request.h"

/* New reference; a 404 refusal if the organization is not there. */
OH_MUST_CHECK int organization_config_load(struct api_request *q, json_t **ret, struct err *err);
OH_MUST_CHECK int organization_config_store(struct api_request *q, const json_t *config, struct err *err);

/* Identifiers of those of the organization's private endpoints that are in this region. New reference. */
json_t *private_endpoints_available(const json_t *known, const char *provider, const char *region);
