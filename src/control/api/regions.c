/* The table of clouds and their regions. */
#include "control/api/regions.h"

static const struct {
    const char *provider;
    const char *regions[16];
} table[] = {
    {"aws",
     {"ap-northeast-1", "ap-northeast-2", "ap-south-1", "ap-southeast-1", "ap-southeast-2", "ca-central-1",
      "eu-central-1", "eu-west-1", "eu-west-2", "il-central-1", "us-east-1", "us-east-2", "us-west-2"}},
    {"gcp", {"us-east1", "us-central1", "europe-west2", "europe-west4", "asia-southeast1", "asia-northeast1"}},
    {"azure", {"eastus", "eastus2", "westus3", "germanywestcentral", "centralus"}},
    {"local", {"local"}},
};

bool region_known(const char *provider, const char *region)
{
    for (size_t i = 0; i < ARRAY_SIZE(table); i++)
        for (size_t j = 0; !strcmp(table[i].provider, provider) && table[i].regions[j]; j++)
            if (!strcmp(table[i].regions[j], region))
                return true;
    return false;
}
