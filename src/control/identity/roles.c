/* The system roles and what they allow. */
#include "control/identity/roles.h"

#define ID(n) "0b5e0000-0000-4000-8000-0000000000" n

const struct role_definition roles_system[] = {
    {ROLE_ADMIN_ID, "Admin", "admin", {"*"}},
    {ID("02"),
     "Billing",
     NULL,
     {"control-plane:organization:view", "control-plane:organization:view-billing",
      "control-plane:organization:manage-billing"}},
    {ID("03"), "Org API reader", NULL, {"control-plane:organization:view*", "control-plane:infrastructure:view"}},
    {ID("04"), "Member", NULL, {"control-plane:organization:view"}},
    {ID("05"), "Service admin", NULL, {"control-plane:organization:view", "control-plane:service:*"}},
    {ID("06"), "Service reader", NULL, {"control-plane:organization:view", "control-plane:service:view*"}},
    {ID("07"), "Service API admin", NULL, {"control-plane:service:*"}},
    {ID("08"), "Service API reader", NULL, {"control-plane:service:view*"}},
    {ID("09"), "Basic service API reader", NULL, {"control-plane:service:view"}},
    {ID("0a"),
     "Developer",
     "developer",
     {"control-plane:organization:view", "control-plane:infrastructure:view", "control-plane:service:view*"}},
    /* May use query endpoints, which the data plane serves; in the control plane it allows nothing. */
    {ID("0b"), "Query endpoints", "query_endpoints", {NULL}},
};
const size_t roles_system_count = ARRAY_SIZE(roles_system);

const struct role_definition *roles_by_id(const char *id)
{
    for (size_t i = 0; i < roles_system_count; i++)
        if (!strcmp(roles_system[i].id, id))
            return &roles_system[i];
    return NULL;
}

const struct role_definition *roles_by_legacy(const char *legacy)
{
    for (size_t i = 0; i < roles_system_count; i++)
        if (roles_system[i].legacy && !strcmp(roles_system[i].legacy, legacy))
            return &roles_system[i];
    return NULL;
}

static bool matches(const char *pattern, const char *permission)
{
    size_t len = strlen(pattern);
    if (len && pattern[len - 1] == '*')
        return !strncmp(pattern, permission, len - 1);
    return !strcmp(pattern, permission);
}

#define SERVICE(p) "control-plane:service:" p
#define ORGANIZATION(p) "control-plane:organization:" p

const char *const roles_permissions[] = {
    ORGANIZATION("view"),
    ORGANIZATION("manage"),
    ORGANIZATION("view-billing"),
    ORGANIZATION("manage-billing"),
    ORGANIZATION("view-api-keys"),
    ORGANIZATION("create-api-keys"),
    ORGANIZATION("update-api-keys"),
    ORGANIZATION("delete-api-keys"),
    "control-plane:support:manage",
    "control-plane:infrastructure:view",
    "control-plane:infrastructure:manage",
    "control-plane:infrastructure:approve",
    SERVICE("view"),
    SERVICE("manage"),
    SERVICE("view-backups"),
    SERVICE("manage-backups"),
    SERVICE("manage-ip-access-list"),
    SERVICE("manage-generative-ai"),
    SERVICE("view-query-api-endpoints"),
    SERVICE("manage-query-api-endpoints"),
    SERVICE("view-private-endpoints"),
    SERVICE("manage-private-endpoints"),
    SERVICE("manage-clickpipes"),
    SERVICE("view-scaling-config"),
    SERVICE("manage-scaling-config"),
    SERVICE("manage-clickstack-api"),
    "sql-console:database:access",
};
const size_t roles_permissions_count = ARRAY_SIZE(roles_permissions);

bool roles_permission_known(const char *permission)
{
    for (size_t i = 0; i < roles_permissions_count; i++)
        if (!strcmp(roles_permissions[i], permission))
            return true;
    return false;
}

bool roles_definition_allows(const struct role_definition *role, const char *permission)
{
    for (size_t p = 0; role->permissions[p]; p++)
        if (matches(role->permissions[p], permission))
            return true;
    return false;
}

bool roles_allow(const json_t *role_ids, const char *permission)
{
    const json_t *id;
    size_t i;
    json_array_foreach(role_ids, i, id)
    {
        const struct role_definition *role = json_is_string(id) ? roles_by_id(json_string_value(id)) : NULL;
        if (role && roles_definition_allows(role, permission))
            return true;
    }
    return false;
}
