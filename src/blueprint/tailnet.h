/* What a tailnet (Tailscale, headscale) must say so that engineers' devices reach a gate over it, and nothing else
 * there.
 *
 * Pure: texts to be given to the tailnet's administrator, and a judge of the policy that he has. Facts: the published
 * syntax of the tailnet policy file (sections, grants, tag owners, tests; human JSON: comments, commas behind the last
 * item) and of auth keys in Tailscale's API, version 2. Grants are added up, there is no rule that denies: so a gate is
 * shut exactly as long as no rule at all reaches its tag, and one broad rule elsewhere in the file opens it. That is
 * what tailnet_check looks for. Who is let into the gate does not hang on any of this (api/access.md): it is a second
 * fence. */
#pragma once

#include "base/js.h"

#define TAILNET_POLICY_MAX KIB(512)
#define TAILNET_NAME_MAX 40
#define TAILNET_KEY_SECONDS 300

/* Tags, from the name of an infrastructure: "tag:ownhouse-gate-NAME" is the machine with the gate, "-engineer-" a
 * device that a grant is for, and "tag:ownhouse-provisioner" owns both: an OAuth client with this tag, and the
 * tailnet's administrators, may give them. */
struct tailnet_tags {
    char gate[80], engineer[80], provisioner[40];
};
/* -EINVAL: NAME is not lower-case letters, digits and hyphens, beginning with a letter, up to TAILNET_NAME_MAX. */
OH_MUST_CHECK int tailnet_tags(const char *name, struct tailnet_tags *ret, struct err *err);

/* The policy. open: with the one rule that lets engineers' devices to the gate's port, which belongs in the file only
 * while a grant lasts; its tests say the same either way. New reference. */
json_t *tailnet_policy(const struct tailnet_tags *tags, int port, bool open);
/* The same as text that a person reads, in human JSON; free(). */
char *tailnet_policy_text(const struct tailnet_tags *tags, int port, bool open);

/* What to ask Tailscale's API for (POST /api/v2/tailnet/-/keys): a key that works once, within minutes, for a device
 * that leaves the tailnet when it goes offline. Nothing of OwnHouse's ever holds such a key. New reference. */
json_t *tailnet_key(const char *tag);

/* Human JSON to JSON of the same length: comments and last commas become blanks, line ends stay. -EINVAL: a comment or
 * a string has no end. */
OH_MUST_CHECK int tailnet_hujson(const char *text, size_t len, struct buf *out, struct err *err);

/* Judges a whole policy file, other people's rules included: known sections, well-formed tags, selectors and ports;
 * both tags owned by the provisioner alone; nothing reaches the gate's tag but "tcp:PORT" from the engineers' tag;
 * every test in the file holds for the rules between tags. *ret_open: that rule is there. -EINVAL: the sentence names
 * the place. */
OH_MUST_CHECK int tailnet_check(const char *text, size_t len, const struct tailnet_tags *tags, int port, bool *ret_open,
                                struct err *err);
