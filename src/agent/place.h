/* What the agent's configuration means for its parts: the process runtime's programs and parameters, the blueprint's
 * environment, the link's way out. */
#pragma once

#include "agent/config.h"
#include "agent/link/link.h"
#include "agent/operator/backup_place.h"
#include "blueprint/blueprint.h"
#include "runtime/kubernetes/kubernetes.h"
#include "runtime/process/process.h"

struct place {
    struct arena *arena; /* owns all texts but those of the configuration, which must outlive it */
    struct runtime_process_config runtime;
    struct kube_place cluster; /* infrastructure and key are the caller's to set */
    struct blueprint_env env;
    struct agent_proxy proxy;
    const char *const *extra_ip;
    struct backup_place backup; /* where backups go, if any are made here */
    char *link_dir, *state_dir;
    char *name; /* for enrolment */
};

/* `self` is the absolute path of the running agent: the engine's program is searched beside it. */
void place_init(struct place *p, const struct agent_config *c, const char *self);
void place_free(struct place *p);

/* Enrols by the configured bundle unless that was done. -ENOENT: not enrolled and no bundle configured. */
OH_MUST_CHECK int place_enrol(const struct place *p, const struct agent_config *c, int timeout_ms,
                              char ret_fingerprint[65], struct err *err);

/* The configured runtime, for this infrastructure. The Kubernetes one keeps a key of its own in the state folder, by
 * which env.replication_key is set too. */
OH_MUST_CHECK int place_runtime(struct place *p, const struct agent_config *c, const char *infrastructure,
                                struct runtime **ret, struct err *err);

/* Absolute path of the running program, even if its file was replaced meanwhile; free(). NULL: /proc is missing. */
char *place_self(void);
/* In the environment of roles: where the agent is installed, though they may run a release's program (upgrade.h). */
#define PLACE_INSTALLED_VARIABLE "OWNHOUSE_AGENT_INSTALLED"
