/* Which regions a cloud has; names as in the published API. */
#pragma once

#include "base/util.h"

/* True if the provider (aws, gcp, azure, local) has the region. */
bool region_known(const char *provider, const char *region);
