/* What an agent reports, checked and cut down to the fields that we know (api/link.md, "Observed").
 *
 * A data plane is another party: what it says reaches the store only in this form. Whether the services it names are of
 * its own infrastructure is for the reader to check, who knows them. */
#pragma once

#include "base/js.h"

#define OBSERVED_MAX_SERVICES 4095
#define OBSERVED_MAX_WORKLOADS 16384
#define OBSERVED_MAX_BACKUPS 500

/* *ret: new reference. -EINVAL names the field. */
OH_MUST_CHECK int observed_check(const json_t *message, json_t **ret, struct err *err);
