/* The report with which a removal ends, for `ownhouse plan`. */
#pragma once

#include "cli/session.h"

/* Waits for the report of the removal that `plan` (an answer of the API, with createdAt) carried out; *ret is the
 * report. */
OH_MUST_CHECK int removal_wait(struct session *s, const char *infrastructure, const json_t *plan, json_t **ret,
                               struct err *err);
/* One line when all is gone; else what is still there, why and what it costs. `all`: every resource ever made. */
void removal_show(struct ui *ui, const json_t *report, bool all);
/* ownhouse plan report INFRASTRUCTURE */
int removal_run(struct cli *c, struct err *err);
