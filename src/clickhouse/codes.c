/* Exception texts, statuses, content types and the summary of ClickHouse's HTTP interface. */
#include "clickhouse/codes.h"

#include "base/keys.h"

#define FRAME_MESSAGE_MAX KIB(16)

static const struct {
    int code, status;
    const char *name; /* only of codes that this server raises itself */
} table[] = {
    {CH_REQUIRED_PASSWORD, 401, "REQUIRED_PASSWORD"},
    {192, 403, NULL}, /* UNKNOWN_USER */
    {193, 403, NULL}, /* WRONG_PASSWORD */
    {CH_AUTHENTICATION_FAILED, 403, "AUTHENTICATION_FAILED"},
    {512, 403, NULL}, /* SET_NON_GRANTED_ROLE */
    {CH_ACCESS_DENIED, 403, "ACCESS_DENIED"},
    {CH_BAD_ARGUMENTS, 400, "BAD_ARGUMENTS"},
    {427, 400, NULL}, /* CANNOT_COMPILE_REGEXP */
    {6, 400, NULL},   /* CANNOT_PARSE_TEXT */
    {25, 400, NULL},  /* CANNOT_PARSE_ESCAPE_SEQUENCE */
    {26, 400, NULL},  /* CANNOT_PARSE_QUOTED_STRING */
    {27, 400, NULL},  /* CANNOT_PARSE_INPUT_ASSERTION_FAILED */
    {38, 400, NULL},  /* CANNOT_PARSE_DATE */
    {41, 400, NULL},  /* CANNOT_PARSE_DATETIME */
    {72, 400, NULL},  /* CANNOT_PARSE_NUMBER */
    {376, 400, NULL}, /* CANNOT_PARSE_UUID */
    {441, 400, NULL}, /* CANNOT_PARSE_DOMAIN_VALUE_FROM_STRING */
    {675, 400, NULL}, /* CANNOT_PARSE_IPV4 */
    {676, 400, NULL}, /* CANNOT_PARSE_IPV6 */
    {8, 400, NULL},   /* THERE_IS_NO_COLUMN */
    {15, 400, NULL},  /* DUPLICATE_COLUMN */
    {44, 400, NULL},  /* ILLEGAL_COLUMN */
    {53, 400, NULL},  /* TYPE_MISMATCH */
    {37, 400, NULL},  /* UNKNOWN_ELEMENT_IN_AST */
    {CH_SYNTAX_ERROR, 400, "SYNTAX_ERROR"},
    {117, 400, NULL}, /* INCORRECT_DATA */
    {167, 400, NULL}, /* TOO_DEEP_AST */
    {168, 400, NULL}, /* TOO_BIG_AST */
    {223, 400, NULL}, /* UNEXPECTED_AST_STRUCTURE */
    {123, 400, NULL}, /* UNKNOWN_TYPE_OF_AST_NODE */
    {321, 400, NULL}, /* VALUE_IS_OUT_OF_RANGE_OF_DATA_TYPE */
    {46, 404, NULL},  /* UNKNOWN_FUNCTION */
    {47, 404, NULL},  /* UNKNOWN_IDENTIFIER */
    {50, 404, NULL},  /* UNKNOWN_TYPE */
    {56, 404, NULL},  /* UNKNOWN_STORAGE */
    {60, 404, NULL},  /* UNKNOWN_TABLE */
    {63, 404, NULL},  /* UNKNOWN_AGGREGATE_FUNCTION */
    {73, 404, NULL},  /* UNKNOWN_FORMAT */
    {78, 404, "UNKNOWN_TYPE_OF_QUERY"},
    {81, 404, NULL},  /* UNKNOWN_DATABASE */
    {152, 404, NULL}, /* UNKNOWN_DIRECTION_OF_SORTING */
    {115, 404, "UNKNOWN_SETTING"},
    {336, 404, NULL}, /* UNKNOWN_DATABASE_ENGINE */
    {CH_UNKNOWN_ROLE, 404, "UNKNOWN_ROLE"},
    {159, 408, NULL}, /* TIMEOUT_EXCEEDED */
    {CH_QUERY_IS_TOO_LARGE, 413, "QUERY_IS_TOO_LARGE"},
    {CH_NOT_IMPLEMENTED, 501, "NOT_IMPLEMENTED"},
    {76, 503, NULL},  /* CANNOT_OPEN_FILE */
    {209, 503, NULL}, /* SOCKET_TIMEOUT */
    {439, 503, NULL}, /* CANNOT_SCHEDULE_TASK */
    {CH_READONLY, 500, "READONLY"},
    {CH_TOO_MANY_SIMULTANEOUS_QUERIES, 500, "TOO_MANY_SIMULTANEOUS_QUERIES"},
    {358, 500, "INTO_OUTFILE_NOT_ALLOWED"},
    {CH_QUERY_WITH_SAME_ID_IS_ALREADY_RUNNING, 500, "QUERY_WITH_SAME_ID_IS_ALREADY_RUNNING"},
    {CH_ABORTED, 503, "ABORTED"},
    {CH_CANNOT_DECOMPRESS, 400, "CANNOT_DECOMPRESS"},
    {CH_SESSION_NOT_FOUND, 500, "SESSION_NOT_FOUND"},
    {CH_SESSION_IS_LOCKED, 500, "SESSION_IS_LOCKED"},
    {CH_INVALID_SESSION_TIMEOUT, 500, "INVALID_SESSION_TIMEOUT"},
    {CH_QUERY_WAS_CANCELLED, 500, "QUERY_WAS_CANCELLED"},
    {CH_TOO_MANY_ROWS_OR_BYTES, 500, "TOO_MANY_ROWS_OR_BYTES"},
    {CH_USER_SESSION_LIMIT_EXCEEDED, 500, "USER_SESSION_LIMIT_EXCEEDED"},
    {381, 411, NULL}, /* HTTP_LENGTH_REQUIRED */
    {1001, 500, "STD_EXCEPTION"},
};

int codes_http_status(int code)
{
    for (size_t i = 0; i < ARRAY_SIZE(table); i++)
        if (table[i].code == code)
            return table[i].status;
    return 500;
}

static const char *name_of(int code)
{
    for (size_t i = 0; i < ARRAY_SIZE(table); i++)
        if (table[i].code == code && table[i].name)
            return table[i].name;
    return "UNKNOWN_EXCEPTION";
}

void codes_exception(int code, const char *message, const char *version, struct buf *out)
{
    buf_printf(out, "Code: %d. DB::Exception: %s. (%s) (version %s)\n", code, message, name_of(code), version);
}

/* Length of "Code: N. DB::Exception: " at the start of text, 0 if it is not there. */
static size_t prefix_len(const char *text, int *ret_code)
{
    int code = 0, n = 0;
    if (sscanf(text, "Code: %9d. DB::Exception: %n", &code, &n) < 1 || n == 0)
        return 0;
    if (ret_code)
        *ret_code = code;
    return (size_t)n;
}

/* Appends text without the names of the pipes that data came through: " (in file/uri /dev/fd/7)". */
static void add_without_pipes(const char *text, size_t len, struct buf *out)
{
    static const char mark[] = "(in file/uri /dev/fd/";
    while (len) {
        const char *at = memmem(text, len, mark, sizeof(mark) - 1);
        const char *close = at ? memchr(at, ')', len - (size_t)(at - text)) : NULL;
        if (!close)
            break;
        size_t keep = (size_t)(at - text);
        buf_add(out, text, keep);
        size_t drop = (size_t)(close + 1 - text);
        if (drop + 2 <= len && text[drop] == ':' && text[drop + 1] == ' ')
            drop += 2;
        text += drop;
        len -= drop;
    }
    buf_add(out, text, len);
}

void codes_engine_exception(const char *text, const char *version, int *ret_code, struct buf *out)
{
    *ret_code = 1001;
    size_t skip = prefix_len(text, ret_code), inner;
    if (!skip) {
        buf_printf(out, "Code: 1001. DB::Exception: %s. (STD_EXCEPTION) (version %s)\n", text, version);
        return;
    }
    size_t len = strlen(text);
    while ((inner = prefix_len(text + skip, NULL))) { /* "Code: N. ...: Code: N. ... (version V). (NAME)" */
        autofree char *tail = NULL;
        const char *end = asprintf(&tail, " (version %s). (", version) > 0 ? strstr(text + skip, tail) : NULL;
        text += skip;
        len = end ? (size_t)(end - text) : strlen(text);
        skip = inner;
    }
    add_without_pipes(text, len, out);
    buf_printf(out, " (version %s)\n", version);
}

void codes_exception_frame(const char *message, const char tag[CODES_TAG_SIZE], struct buf *out)
{
    size_t len = strlen(message);
    if (len && message[len - 1] == '\n')
        len--;
    len = MIN(len, FRAME_MESSAGE_MAX);
    buf_printf(out, "\r\n__exception__\r\n%s\r\n", tag);
    buf_add(out, message, len);
    buf_printf(out, "\n%zu %s\r\n__exception__\r\n", len + 1, tag);
}

void codes_new_tag(char out[CODES_TAG_SIZE])
{
    for (size_t i = 0; i < CODES_TAG_SIZE - 1; i++)
        out[i] = (char)('a' + random_below(26));
    out[CODES_TAG_SIZE - 1] = 0;
}

static bool starts(const char *text, const char *prefix)
{
    return strncmp(text, prefix, strlen(prefix)) == 0;
}

const char *codes_content_type(const char *format)
{
    if (strcmp(format, "JSON") == 0 || strcmp(format, "JSONStrings") == 0 || strcmp(format, "JSONCompact") == 0 ||
        strcmp(format, "JSONCompactStrings") == 0 || strcmp(format, "JSONColumns") == 0 ||
        strcmp(format, "JSONCompactColumns") == 0 || strcmp(format, "JSONColumnsWithMetadata") == 0 ||
        strcmp(format, "JSONObjectEachRow") == 0)
        return "application/json; charset=UTF-8";
    if (starts(format, "JSON") || starts(format, "PrettyJSON") || strcmp(format, "NDJSON") == 0)
        return "application/x-ndjson; charset=UTF-8";
    if (starts(format, "CSV"))
        return strstr(format, "WithNames") ? "text/csv; charset=UTF-8; header=present"
                                           : "text/csv; charset=UTF-8; header=absent";
    if (starts(format, "TabSeparated") || starts(format, "TSV") || starts(format, "Raw"))
        return "text/tab-separated-values; charset=UTF-8";
    if (strcmp(format, "XML") == 0)
        return "application/xml; charset=UTF-8";
    if (starts(format, "RowBinary") || strcmp(format, "Native") == 0 || strcmp(format, "Parquet") == 0 ||
        strcmp(format, "ORC") == 0 || starts(format, "Arrow") || strcmp(format, "Avro") == 0 ||
        strcmp(format, "MsgPack") == 0 || strcmp(format, "BSONEachRow") == 0 || starts(format, "Protobuf") ||
        strcmp(format, "CapnProto") == 0 || strcmp(format, "Npy") == 0)
        return "application/octet-stream";
    return "text/plain; charset=UTF-8";
}

void codes_summary(const struct query_stats *s, struct buf *out)
{
    buf_printf(
        out,
        "{\"read_rows\":\"%llu\",\"read_bytes\":\"%llu\",\"written_rows\":\"%llu\",\"written_bytes\":\"%llu\","
        "\"total_rows_to_read\":\"0\",\"result_rows\":\"%llu\",\"result_bytes\":\"%llu\",\"elapsed_ns\":\"%llu\"}",
        (unsigned long long)s->read_rows, (unsigned long long)s->read_bytes, (unsigned long long)s->written_rows,
        (unsigned long long)s->written_bytes, (unsigned long long)s->result_rows, (unsigned long long)s->result_bytes,
        (unsigned long long)s->elapsed_ns);
}
