/* Log files that their writers keep open: cut at a size without the writer's help.
 *
 * Programs write with O_APPEND and hold the descriptor for their whole life, longer than any supervisor's. So the file
 * itself stays: what it holds is copied to NAME.1 (older ones move to NAME.2 ...), made durable, and then taken out of
 * the front of the file: by collapsing the range where the file system can (ext4, xfs; loses nothing), else by
 * truncating (what is written in the microseconds between the last copy and the cut is lost). A rotator killed half-way
 * may leave lines twice, never fewer. A writer without O_APPEND gets a file with a hole in front, which does no harm.
 */
#pragma once

#include "base/err.h"

/* Rotates `path` if it holds more than max_bytes on disk; keeps `keep` (>= 1) older files. A missing file is fine. */
OH_MUST_CHECK int rotate_file(const char *path, int64_t max_bytes, int keep, struct err *err);
/* The same for each regular file NAME.log in a folder; goes on after an error and reports the first. */
OH_MUST_CHECK int rotate_folder(const char *dir, int64_t max_bytes, int keep, struct err *err);
