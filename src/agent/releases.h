/* What the vendor's release key allows to run here: agent programs and workload images, by digest (api/keys.md,
 * "release key").
 *
 * The file is {"v":1, "document": TEXT, "signature": 128 hex digits}. TEXT is {"type":"ownhouse/releases", "v":1,
 * "serial": N, "issuedAt": TIME, "images": ["REPOSITORY@sha256:..."], "programs": ["64 hex digits"]}, and it
 * may have "agent": the program of the list that agents on the process runtime change to (upgrade.h), and "agentImage":
 * the image of the list that agents in a cluster change to (own_image.h); the signature is Ed25519 over
 * "ownhouse-releases-v1\n", the SHA-256 of TEXT in lower-case hex, "\n". Serials only grow: the highest
 * that was ever accepted is remembered, and a list below it is refused. Nothing of a list is read before its signature
 * is found valid. */
#pragma once

#include "agent/config.h"
#include "agent/link/bundle.h"

#define RELEASES_MAX_BYTES MIB(1)
#define RELEASES_MAX_ENTRIES 4096
#define RELEASES_IMAGE_MAX 500
#define RELEASES_PROGRAM_MAX MIB(64)

/* SHA-256 of the program that runs, before a sandbox shuts its file away. */
OH_MUST_CHECK int releases_program(char ret[65], struct err *err);

/* Checks list and place: with a release key in the bundle there must be a list, it must be valid and not older, and
 * every image of agent.conf (runtime kubernetes) or this very program (runtime process) must be in it. Without a
 * release key nothing is asked. -EACCES names what is not allowed, -EBADMSG the signature, -ESTALE the serial.
 * `program` is the SHA-256 of the running program in hex (releases_program); `state_dir` keeps the serial. */
OH_MUST_CHECK int releases_check(const struct bundle *bundle, const struct agent_config *c, const char *program,
                                 const char *state_dir, struct err *err);
/* The list's "agent", "" if it has none, after the same checks of signature and serial; nothing is remembered. The
 * agent must be among its programs. */
OH_MUST_CHECK int releases_wanted(const struct bundle *bundle, const struct agent_config *c, const char *state_dir,
                                  char ret[65], struct err *err);
/* The same for an agent in a cluster: the list's "agentImage", "" if it has none, and the digest of its TEXT. The
 * agent's image must be in the list, and so must those of agent.conf: else the new agent would refuse to work. */
OH_MUST_CHECK int releases_wanted_image(const struct bundle *bundle, const struct agent_config *c,
                                        const char *state_dir, char ret[RELEASES_IMAGE_MAX + 1], char ret_list[65],
                                        struct err *err);
