/* The engine's own counters as text, for the agent: GET /metrics on a loopback port of its own, which the ingress does
 * not reach. Names are those of a ClickHouse server's Prometheus endpoint: ClickHouseMetrics_*,
 * ClickHouseProfileEvents_* and, of the asynchronous ones, those that the embedded engine can answer. No credentials:
 * there are counts only, no names of tables and no values of rows. */
#pragma once

#include "clickhouse/service.h"

struct metrics; /* opaque */

/* Serves on config.metrics_listen; *ret is NULL when that is "". */
OH_MUST_CHECK int metrics_start(struct service *s, struct metrics **ret, struct err *err);
/* Ends it, before the engine is closed. NULL is fine. */
void metrics_stop(struct metrics *m);
