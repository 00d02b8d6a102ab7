/* The operator's small files: one JSON object each, in its state folder, 0600. */
#pragma once

#include "base/js.h"

#define STATE_FILE_MAX MIB(4)

/* What the file holds, as a new reference. A file that is not there, cannot be read, or holds no object counts as
 * empty: each of these files only saves a repetition that does no harm. */
json_t *state_file_read(const char *path);
/* Durable on return. */
OH_MUST_CHECK int state_file_write(const char *path, const json_t *object, struct err *err);
