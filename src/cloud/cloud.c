/* Which clouds there are. */
#include "cloud/cloud.h"

#include "cloud/aws/aws.h"
#include "cloud/local/local.h"

const struct plan_type *const *cloud_types(const char *provider, struct err *err)
{
    if (!strcmp(provider, "local"))
        return cloud_local_types;
    if (!strcmp(provider, "aws"))
        return cloud_aws_types;
    err_set(err, -ENOTSUP, "there is no cloud \"%.40s\" in this release: use local or aws", provider);
    return NULL;
}
