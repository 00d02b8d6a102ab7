/* What a plan will cost a month, how long it will take, and what it will ask of the cloud: what an approver wants to
 * know beside the difference itself. Pure: the same graph and document give the same bytes.
 *
 * Prices are data (cloud/aws/prices.json) with a date and a source. A price that is not in the table is never guessed:
 * the resource is named under "unknown". What is charged by use is named under "usage" and not in the sums. */
#pragma once

#include "plan/plan.h"

/* For a document of plan_make and the graph that it was made from; `provider` as in cloud_types. New reference:
 *   {"seconds":{"low":N,"high":N},
 *    "cost":{"currency":"USD","before":CENTS,"after":CENTS,
 *            "items":[{"resource":KEY,"before":CENTS,"after":CENTS}...],    a month of 730 hours; without those that
 * are 0 "unknown":[{"resource":KEY,"why":SENTENCE}...], "usage":[KEY...], "notes":[SENTENCE...],
 *            "table":{"date":DAY,"source":SENTENCE,"region":REGION} or null},
 *    "actions":[{"role":PHASE,"actions":[ACTION...]}...]}          the roles that the plan takes up, and what for
 * seconds: along the longest chain of changes, when the cloud is as quick and as slow as it usually is. */
json_t *cloud_estimate(const char *provider, const char *region, const struct plan_graph *g, const json_t *document);

/* --- what a cloud fills in --- */

enum cloud_charge { CLOUD_FREE, CLOUD_BY_USE, CLOUD_PRICED, CLOUD_UNKNOWN };

struct cloud_price {
    enum cloud_charge charge;
    int64_t micros;  /* PRICED: millionths of the currency a month */
    const char *why; /* UNKNOWN: a static sentence */
};

/* How long a step usually takes, in seconds. */
struct cloud_duration {
    int low, high;
};

/* aws/prices.c. `attributes`: as desired, with references where values are known only later; NULL: not known. */
struct cloud_price aws_price(const char *region, const char *type, const json_t *attributes);
struct cloud_duration aws_duration(const char *type, const char *action);
json_t *aws_price_table(const char *region); /* as "table" above */
