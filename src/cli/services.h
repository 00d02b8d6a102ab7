/* Making services and passwords, for `ownhouse services` and `ownhouse up`. */
#pragma once

#include "cli/session.h"

/* Makes a service in the infrastructure (name or id), reachable from `source` (a CIDR), and replaces the password in
 * the answer by one that only this side has seen. It begins with `backup`, an id, or empty with NULL. *ret: the
 * service. */
OH_MUST_CHECK int services_create(struct session *s, const char *name, const char *infrastructure, const char *source,
                                  const char *description, const char *backup, json_t **ret, struct err *err);

/* Keeps the password in the customer's folder and sends its hash. */
OH_MUST_CHECK int services_set_password(struct session *s, const char *id, const char *name, const char *password,
                                        struct err *err);
