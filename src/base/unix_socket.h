/* Sockets with a path, for roles of one program and their neighbours as the same user. */
#pragma once

#include "base/err.h"

/* A listening, non-blocking socket at `path`, of SOCK_STREAM or SOCK_SEQPACKET; only our own user may dial. What lay
 * at the path is removed. Returns the descriptor, or -ENAMETOOLONG (107 bytes, unix(7)) or the errno that the error
 * tells of. */
OH_MUST_CHECK int unix_listen(const char *path, int type, int backlog, struct err *err);

/* Connects to `path`; `type` may carry SOCK_NONBLOCK. Returns the descriptor or a negative errno, as unix_listen. */
OH_MUST_CHECK int unix_connect(const char *path, int type, struct err *err);
