/* What a person signs on his own device: a request or a plan, from the control plane or from a file that it gave out.
 *
 * The file is JSON: {"request": <document>, "approvals": [...]} or {"plan": {"id", "document"}, "approvals": [...]};
 * the console makes it (api/consent.md). What is signed is the digest of the very document that is read here, computed
 * here; what stands beside it counts for nothing. */
#pragma once

#include "cli/session.h"
#include "consent/request.h"

#define PAPERS_MAX_BYTES MIB(4)

struct papers {
    struct consent_request request; /* of a plan only id, infrastructure and digest */
    json_t *plan;                   /* the plan with its document; NULL: it is a request */
    json_t *source;                 /* the whole, owns the texts */
    struct approval seen[APPROVAL_MAX_SEEN];
    size_t n_seen;
};

/* Asks the control plane for the request, else the plan, with this id. */
OH_MUST_CHECK int papers_fetch(const struct session *s, const char *id, struct papers *ret, struct err *err);
/* -EINVAL: not such a file; the sentence says what is wrong with it. */
OH_MUST_CHECK int papers_read(const char *path, struct papers *ret, struct err *err);
void papers_free(struct papers *p);
#define autopapers OH_CLEANUP(papers_free)

/* The exact effect, for the person who signs. */
void papers_describe(struct ui *ui, const struct papers *p);
/* An approval or a denial by `key`, good for twelve hours at most. New reference. */
OH_MUST_CHECK int papers_sign(const struct papers *p, const struct signing_key *key, bool deny, json_t **ret,
                              struct err *err);
/* Gives it to the control plane. */
OH_MUST_CHECK int papers_hand_over(const struct session *s, const struct papers *p, json_t *approval, struct err *err);
