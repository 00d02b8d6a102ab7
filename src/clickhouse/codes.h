/* The texts and numbers of ClickHouse's HTTP interface: exception codes and their HTTP status, the text of an
 * exception, the frame that carries one behind rows already sent, content types by format, the summary header.
 *
 * Codes and statuses follow the published server (its error list and its mapping to HTTP status); the frame is the
 * one of servers since 25.11, which clients find by the tag in the header X-ClickHouse-Exception-Tag. */
#pragma once

#include "base/buf.h"

/* Exceptions that this server raises itself. */
enum {
    CH_BAD_ARGUMENTS = 36,
    CH_NOT_IMPLEMENTED = 48,
    CH_SYNTAX_ERROR = 62,
    CH_READONLY = 164,
    CH_TOO_MANY_SIMULTANEOUS_QUERIES = 202,
    CH_REQUIRED_PASSWORD = 194,
    CH_QUERY_WITH_SAME_ID_IS_ALREADY_RUNNING = 216,
    CH_ABORTED = 236,
    CH_CANNOT_DECOMPRESS = 271,
    CH_SESSION_NOT_FOUND = 372,
    CH_SESSION_IS_LOCKED = 373,
    CH_INVALID_SESSION_TIMEOUT = 374,
    CH_QUERY_WAS_CANCELLED = 394,
    CH_TOO_MANY_ROWS_OR_BYTES = 396,
    CH_USER_SESSION_LIMIT_EXCEEDED = 700,
    CH_ACCESS_DENIED = 497,
    CH_AUTHENTICATION_FAILED = 516,
    CH_UNKNOWN_ROLE = 511,
    CH_QUERY_IS_TOO_LARGE = 229,
    CH_STD_EXCEPTION = 1001,
};

/* HTTP status of an exception code, 500 for those without one of their own. */
int codes_http_status(int code);

/* "Code: N. DB::Exception: MESSAGE. (NAME) (version V)\n" for an exception of our own. */
void codes_exception(int code, const char *message, const char *version, struct buf *out);

/* The same from the engine's text: an exception wrapped in its own repetition is unwrapped, names of our pipes are
 * left out, the version and the line end are added. *ret_code gets the number, 1001 (std exception) if there is
 * none. */
void codes_engine_exception(const char *text, const char *version, int *ret_code, struct buf *out);

#define CODES_TAG_SIZE 17 /* 16 lower-case letters and NUL */
/* What goes behind rows already sent when a query then fails. At most 16 KiB of message. */
void codes_exception_frame(const char *message, const char tag[CODES_TAG_SIZE], struct buf *out);
void codes_new_tag(char out[CODES_TAG_SIZE]);

/* Content-Type for an output format, as the server sends it; never NULL. */
const char *codes_content_type(const char *format);

struct query_stats {
    uint64_t read_rows, read_bytes, written_rows, written_bytes, result_rows, result_bytes, elapsed_ns;
};
/* One line of JSON with every number as a string. */
void codes_summary(const struct query_stats *stats, struct buf *out);
