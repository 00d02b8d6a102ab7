/* The customer's side of an account on this machine: <home>/accounts/NAME/customer.
 *
 *   approver.key, approver.pub   the approver key (Ed25519); made here, never leaves
 *   policy.json                  {"v":1,"mode":"open"}
 *   bundle.json                  what an agent is told to trust (api/link.md, "Enrolment bundle")
 *   ca.pem                       the data plane's own authority, as last seen
 *   passwords/SERVICE            passwords that `ownhouse` made, mode 0600
 *
 * On a laptop one person plays both sides; the files are what a real customer would keep to himself. */
#pragma once

#include "cli/command.h"

#define PASSWORD_MAX 256

/* A path in the customer's folder; free(). */
char *customer_path(const struct cli *c, const char *account, const char *name);

/* Makes folder, approver key and policy when missing. */
OH_MUST_CHECK int customer_prepare(const struct cli *c, const char *account, struct err *err);

/* Writes bundle.json from the control plane's enrolment answer, after checking every pin in it against the keys folder
 * of the control plane on this very machine: -EACCES names the one that differs. Returns 1 if the file changed. */
OH_MUST_CHECK int customer_write_bundle(const struct cli *c, const char *account, const json_t *enrolment,
                                        struct err *err);

/* Keeps the data plane's authority for clients; returns 1 if it changed. */
OH_MUST_CHECK int customer_write_ca(const struct cli *c, const char *account, const char *pem, struct err *err);

/* Where the password of a service is kept; free(). */
char *customer_password_path(const struct cli *c, const char *account, const char *service);
/* The password kept for a service: -ENOENT if there is none (err untouched). *ret is heap: wipe it. */
OH_MUST_CHECK int customer_read_password(const struct cli *c, const char *account, const char *service, char **ret,
                                         struct err *err);
OH_MUST_CHECK int customer_write_password(const struct cli *c, const char *account, const char *service,
                                          const char *password, struct err *err);
/* Forgets it; a missing one is fine. */
OH_MUST_CHECK int customer_forget_password(const struct cli *c, const char *account, const char *service,
                                           struct err *err);
/* 24 letters and digits, 140 bits. *ret is heap: wipe it. */
char *customer_new_password(void);
/* base64 of the SHA-256 of the password: the published API's newPasswordHash. free(). */
char *customer_password_hash(const char *password);
