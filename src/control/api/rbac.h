/* Roles as the API assigns and shows them. */
#pragma once

#include "control/api/request.h"

#define RBAC_ASSIGNED_MAX 32 /* roles of one key or member */

/* The custom roles of the organization: an object of id -> name. */
OH_MUST_CHECK int rbac_names(struct api_request *q, json_t **ret, struct err *err);
/* assignedRoles for role ids; those that are gone are left out. */
json_t *rbac_assigned(const json_t *ids, const json_t *names);
/* The old `role`: "admin" with the role Admin, else "developer". New reference. */
json_t *rbac_old_form(const json_t *ids);
/* Role ids that the body asks for, as assignedRoleIds or role; NULL in *ret if it names neither.
 * An empty list takes all away. */
OH_MUST_CHECK int rbac_wanted(struct api_request *q, json_t **ret, struct err *err);
/* Refuses (400) an id that is no role of the organization; the sentence begins with `field`. */
OH_MUST_CHECK int rbac_check_ids(struct api_request *q, const char *field, const json_t *ids, struct err *err);
/* May the asker do this to the organization? */
bool rbac_may(const struct api_request *q, const char *permission);
/* Who hands roles to a key: everyone who manages the organization; others hand on exactly what they have, so that
 * nobody gets more than they have, nor out of a DENY. Refuses with 403. */
OH_MUST_CHECK int rbac_check_handing_on(struct api_request *q, const char *field, const json_t *ids);
/* After a change of members: refuses (400) if nobody with the role Admin is left. */
OH_MUST_CHECK int rbac_check_admin_left(struct api_request *q, struct err *err);
/* Gives or takes a role; actor: user/ID or apiKey/ID. A 400 refusal if there is no such actor. With its activity. */
OH_MUST_CHECK int rbac_assign(struct api_request *q, const char *actor, const char *role, bool give, struct err *err);
/* Actors that have the role: an array of texts. */
OH_MUST_CHECK int rbac_actors(struct api_request *q, const char *role, json_t **ret, struct err *err);
