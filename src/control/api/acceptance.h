/* Invitations as those see them who are invited; shared by the ways to accept one. */
#pragma once

#include "control/api/person.h"

/* Texts are in the arena. roles: a JSON array as the member will have it. */
struct invitation {
    const char *id, *organization, *organization_name, *email, *roles;
    int64_t expires_at;
};

/* 1 = there is an open one with this token, 0 = there is none. */
OH_MUST_CHECK int invitation_find(struct api_request *q, const char *token, struct invitation *ret, struct err *err);
/* The refusal where there is none. */
int invitation_gone(struct api_request *q);
/* Makes the person a member and ends the invitation, with its activity. */
OH_MUST_CHECK int invitation_join(struct api_request *q, const struct invitation *i, const struct person *p,
                                  struct err *err);
/* A new account with the invited address. password_hash "" and oidc_subject, or the other way round NULL. -EEXIST: the
 * address or the subject has one. */
OH_MUST_CHECK int invitation_new_person(struct api_request *q, const struct invitation *i, const char *name,
                                        const char *password_hash, const char *oidc_subject, struct person *ret,
                                        struct err *err);
