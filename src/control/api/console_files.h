/* The console's built files: what the browser is given for every path that is not the API's.
 *
 * A folder of index.html and assets/NAME, where NAME holds a hash of its content. Assets may be kept for a year; the
 * page itself is asked for each time. Every other path without a dot in its last part is a page of the console and
 * gets index.html, so that a reload or a link lands where it should. Each answer carries the Content-Security-Policy:
 * scripts, styles and connections only from here, nothing inline, no frames. */
#pragma once

#include "base/err.h"

#include <microhttpd.h>

/* Is this path (decoded, without query) the console's to answer? Everything but /v1 and /openapi.json. */
bool console_files_own(const char *path);

/* The answer to GET or HEAD of `path` from `folder` (NULL or "": no console was built): *ret_status 200 or 404, a
 * response that the caller queues and destroys. Never follows a symbolic link and never leaves the folder. NULL only
 * when libmicrohttpd has no memory. */
struct MHD_Response *console_files_answer(const char *folder, const char *path, unsigned *ret_status);
