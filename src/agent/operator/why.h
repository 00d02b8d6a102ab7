/* Says in words why a workload is changed: which parts of it differ, and whether what runs is stopped for it. Pure. */
#pragma once

#include "blueprint/workload.h"

/* Appends e.g. "its image and memory change" or "its file users.xml changes while it runs"; `was` NULL: what it was is
 * not known any more (the agent has been started since). Names of files are told, their content never. true: what runs
 * is stopped for it. */
bool why_changed(const struct workload *was, const struct workload *is, struct buf *out);
