/* Certificates by ACME (RFC 8555) with the challenge dns-01, got by the program uacme, which has the account's key and
 * calls this very program back to set and remove the challenge's record. Blocking.
 *
 * Below `dir`: acme-DIRECTORY/ is uacme's own folder for that directory's URL (private/key.pem is the account's key),
 * certificate.pem what the ingress shows: leaf, chain, key; mode 0600. Nothing secret is in arguments or environment.
 */
#pragma once

#include "agent/config.h"
#include "base/clock.h"

/* Set for uacme, so that the program knows what it was called for: the agent's configuration file. */
#define ACME_HOOK_VARIABLE "OWNHOUSE_ACME_CONFIG"
#define ACME_PEM_MAX KIB(64)

struct acme {
    const struct agent_config *config;
    const char *config_path, *program; /* this very program */
    const char *dir;
};

/* Absolute path of uacme; NULL: it is not there. free(). */
char *acme_program(const struct agent_config *c);

/* Makes an account where there is none, gets a certificate for the domain and all names right below it, and puts it in
 * place. -ENOENT: uacme is missing; -EIO: its own sentence; -ETIMEDOUT. */
OH_MUST_CHECK int acme_issue(const struct acme *a, const char *domain, struct err *err);

/* What is in place. */
struct acme_certificate {
    char *pem; /* secret */
    int64_t not_before_ms, not_after_ms;
};
void acme_certificate_free(struct acme_certificate *c);
#define autoacme OH_CLEANUP(acme_certificate_free)
/* -ENOENT: there is none; -EINVAL: it does not read as one, its key is not its key, or it is not for the domain and the
 * names right below it. */
OH_MUST_CHECK int acme_load(const char *dir, const char *domain, struct acme_certificate *ret, struct err *err);

/* From when on it is to be renewed: a third of its life is left. */
static inline int64_t acme_renew_ms(int64_t not_before_ms, int64_t not_after_ms)
{
    return not_before_ms + (not_after_ms - not_before_ms) / 3 * 2;
}

/* The program as uacme's hook: METHOD TYPE IDENTIFIER TOKEN VALUE. Exit status: 0 done, 1 declined or failed. */
int acme_hook_main(const char *config_path, int argc, char **argv);
