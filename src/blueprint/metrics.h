/* The counters of a service that may leave the data plane: a fixed list, all of them numbers about how much and how
 * fast, none with a name or a value of the customer's. The agent sends no others, the control plane takes no others.
 * Names are those of ClickHouse's Prometheus endpoint, which the published API has too. */
#pragma once

#include "base/err.h"

#define METRICS_MAX 96 /* of one service; more than the list has */

struct metric {
    const char *name;
    bool counter;  /* else a gauge */
    bool filtered; /* among those that ?filtered_metrics=true answers */
    const char *help;
};

extern const struct metric metrics_all[];
extern const size_t metrics_count;

const struct metric *metric_find(const char *name, size_t len); /* NULL if it may not leave */

/* Reads Prometheus' text form and calls `take` for each line of an allowed metric without labels. Values are rounded
 * to whole numbers; those below 0 or above 2^53 and what is not a number are left out. */
void metrics_read(const char *text, size_t len, void (*take)(const struct metric *m, int64_t value, void *data),
                  void *data);
