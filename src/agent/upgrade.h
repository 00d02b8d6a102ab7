/* Changes the agent's own program for a release that the signed list asks for (releases.h, "agent"), and takes it back.
 *
 * Only on the process runtime, and only with `release_dir` in agent.conf: a folder of programs, each named by its
 * SHA-256 in hex. The parent stays as it is; its roles are started from the release. The operator's role goes first:
 * while its link is up and it has made a pass within `release_patience` seconds, the others follow; else it is started
 * from the program of before, and the release is remembered as failed and not tried again. Workloads run on throughout.
 *
 * state/release.json says what came of it: {"v":1, "program": digest in force ("" = as installed), "failed": [digest],
 * "last": {"result": "taken"|"rolled-back"|"refused", "program", "why", "at"}}. */
#pragma once

#include "agent/config.h"

#include "base/js.h"

#include <sys/types.h>

#define UPGRADE_LOOK_MS 2000
#define UPGRADE_ENDS_MAX 3 /* a release whose operator ends as often has failed */

struct upgrade;
/* NULL: not asked for, or not here. config is borrowed. */
struct upgrade *upgrade_new(const struct agent_config *config);
void upgrade_free(struct upgrade *u); /* NULL is fine */

/* Path of the program that roles are to be started from; NULL: as installed. canary: the operator's role. */
const char *upgrade_program(const struct upgrade *u, bool canary);

enum upgrade_step {
    UPGRADE_NOTHING,
    UPGRADE_OPERATOR, /* start the operator anew: it is tried, or taken back */
    UPGRADE_OTHERS,   /* start the other roles anew: the release holds */
};
/* Looks, about each UPGRADE_LOOK_MS. operator_pid: of the role that runs now, 0 = none; ends: how often it ended by
 * itself since the last UPGRADE_OPERATOR. */
enum upgrade_step upgrade_look(struct upgrade *u, pid_t operator_pid, int ends, int64_t now_ms);

/* Contents of state/release.json, new reference; NULL: there is none. */
json_t *upgrade_told(const struct agent_config *config);
