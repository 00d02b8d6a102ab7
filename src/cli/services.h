/* Making services and passwords, for `ownhouse services` and `ownhouse up`. */
#pragma once

#include "cli/session.h"

/* Makes a service in the infrastructure (name or id) and replaces the password in the answer by one that only this side
 * has seen. `wanted`: what else is asked for, in the words of the API's request (ipAccessList, sizes, backupId);
 * borrowed. *ret: the service. */
OH_MUST_CHECK int services_create(struct session *s, const char *name, const char *infrastructure, json_t *wanted,
                                  json_t **ret, struct err *err);

/* An ipAccessList of the networks, which have commas between them; each with the description. Of "" an empty one:
 * nobody. New reference. */
json_t *services_from(const char *networks, const char *description);

/* Keeps the password in the customer's folder and sends its hash. */
OH_MUST_CHECK int services_set_password(struct session *s, const char *id, const char *name, const char *password,
                                        struct err *err);
