/* May someone with these roles do this to that? The only place where roles and policies are weighed.
 *
 * System roles (roles.h) allow on every resource of the organization. Custom roles have policies, each ALLOW or DENY of
 * permissions on resources: organization/ID and instance/ID (a service), with a star in place of ID for all of them.
 * Nothing is allowed that no role allows, and a DENY that fits beats every ALLOW, those of system roles too. */
#pragma once

#include "base/js.h"
#include "store/store.h"

/* The policies of the custom roles among `role_ids`, one array; ids of system roles and unknown ids add nothing. */
OH_MUST_CHECK int access_policies(struct store *s, const char *organization, const json_t *role_ids, json_t **ret,
                                  struct err *err);

/* `resource`: organization/ID, instance/ID, with a star as ID for a service still to be made, or NULL for a list of
 * services, which is allowed where any service could be in it; the list then asks again for each. */
bool access_allows(const json_t *role_ids, const json_t *policies, const char *permission, const char *resource);
