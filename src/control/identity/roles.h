/* Roles: sets of permissions that a member or an API key may have.
 *
 * Permission names are those of the published API (control-plane:service:view ...), with ours beside them under
 * control-plane:infrastructure. Each operation names the one it needs in api/openapi.json (x-permission). The system
 * roles are in the table here; their ids never change. */
#pragma once

#include "base/js.h"

struct role_definition {
    const char *id; /* UUID */
    const char *name;
    const char *legacy;          /* its name in the deprecated `roles` field, or NULL */
    const char *permissions[12]; /* a final "*" stands for any rest; ends with NULL */
};

extern const struct role_definition roles_system[];
extern const size_t roles_system_count;

const struct role_definition *roles_by_id(const char *id);         /* NULL if unknown */
const struct role_definition *roles_by_legacy(const char *legacy); /* NULL if unknown */

#define ROLE_ADMIN_ID "0b5e0000-0000-4000-8000-000000000001"

/* Every permission there is, the published ones and ours. */
extern const char *const roles_permissions[];
extern const size_t roles_permissions_count;
bool roles_permission_known(const char *permission);
bool roles_definition_allows(const struct role_definition *role, const char *permission);

/* System roles alone; access.h weighs custom ones too. `role_ids`: an array of role ids. Unknown ids allow nothing. */
bool roles_allow(const json_t *role_ids, const char *permission);
