/* The report with which a removal ends: every resource that the journal ever made, and the proof that it is gone, or
 * what it is, why it is still there and what it costs. */
#pragma once

#include "control/controller/provider.h"

/* Reads the journal, looks at the cloud (by the identity of each resource, and for whatever else carries the
 * infrastructure's tag), and keeps the report:
 *   {"complete":BOOL, "items":[{"resource":KEY, "identity":TEXT, "madeAt":TIME, "removedAt":TIME|null,
 *                               "state":"gone"|"there"|"unknown", "why":SENTENCE, "monthly":CENTS|null}...],
 *    "tagged":[{"arn":TEXT, "why":SENTENCE}...], "notes":[SENTENCE...]}
 * complete: all are gone and nothing else carries the tag. What cannot be looked at is "unknown" with the reason.
 * -ECANCELED: stopped; nothing is kept. */
OH_MUST_CHECK int removal_report(struct store *s, const struct infrastructure_row *row, struct provider *p,
                                 const struct plan_context *c, struct err *err);
