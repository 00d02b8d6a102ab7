/* Listening on one TCP address that somebody has named in full. */
#pragma once

#include "base/err.h"

/* `where` is ADDRESS:PORT or [ADDRESS]:PORT with a numeric address of one interface. -EINVAL, with a sentence that
 * begins with `what`: anything else, names and the unspecified addresses 0.0.0.0 and :: included, which would mean all
 * of them. */
OH_MUST_CHECK int tcp_listen_check(const char *what, const char *where, struct err *err);

/* A listening, non-blocking socket there; the address need not be the machine's yet (IP_FREEBIND, ip(7)), so that an
 * interface may come up later. Returns the descriptor, -EINVAL as above, or the errno that the error tells of. */
OH_MUST_CHECK int tcp_listen(const char *what, const char *where, int backlog, struct err *err);
