/* Files: bounded reads, atomic durable writes, directory trees. */
#pragma once

#include "base/err.h"

#include <sys/types.h>

/* Whole file, at most `max` bytes (-EFBIG beyond); NUL-terminated, free(). -ENOENT has no message. */
OH_MUST_CHECK int fs_read(const char *path, size_t max, char **ret, size_t *ret_len, struct err *err);
/* Like fs_read, but refuses (-EPERM) a file that group or others may read or write. */
OH_MUST_CHECK int fs_read_secret(const char *path, size_t max, char **ret, size_t *ret_len, struct err *err);

/* Temporary file, fsync, rename, fsync of the directory: after success the new content survives a power cut; after
 * failure the old content stands. */
OH_MUST_CHECK int fs_write_atomic(const char *path, const void *data, size_t len, mode_t mode, struct err *err);

/* mkdir -p; directories made get `mode`. An existing directory is fine; anything else there is -ENOTDIR. */
OH_MUST_CHECK int fs_mkdirs(const char *path, mode_t mode, struct err *err);
/* Removes a tree without following links; a missing path is fine. */
OH_MUST_CHECK int fs_remove_tree(const char *path, struct err *err);
bool fs_exists(const char *path);
