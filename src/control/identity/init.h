/* The first organization, its administrator and an API key; and a further key when the first is lost.
 *
 * Secrets exist in the credentials file (mode 0600, one JSON object) and nowhere else: the store has hashes. The file
 * is durable before the store commits, so a crash between the two never loses a secret: the next call takes the file's
 * content. */
#pragma once

#include "control/config.h"

/* Makes state_dir and the store if they are missing. Writes {organizationId, email, password, keyId, keySecret}. Does
 * nothing when that was done before and the file is there. -ENOENT: it was done before and the file is gone (the
 * sentence says how to get a new key). -EEXIST: the file holds the key of another control plane. */
OH_MUST_CHECK int control_init(const struct control_config *config, const char *credentials_path, struct err *err);

/* One more key with the role Admin. Writes {organizationId, keyId, keySecret}. Repeating it with the same file does
 * nothing; a file with another key in it is -EEXIST. */
OH_MUST_CHECK int control_new_key(const struct control_config *config, const char *credentials_path, struct err *err);

/* A link with which a person takes up their account, or gets back into it (identity/set_up.h): `email` names whose, ""
 * the first organization's first administrator. With `first_only` only while nobody has signed in yet, else *ret stays
 * NULL. *ret: the link, heap, a secret. -ENOENT: there is no such person, or the control plane is not set up. */
OH_MUST_CHECK int control_set_up_link(const struct control_config *config, const char *email, bool first_only,
                                      char **ret, struct err *err);
