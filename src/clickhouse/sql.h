/* Reads just enough of a ClickHouse statement to serve it over HTTP: what kind it is, where an INSERT's data begin,
 * where its result can be led into a descriptor, and what must not be run here at all.
 *
 * It is a tokenizer (words, quoted names, strings, heredocs, comments, brackets), not a parser: the engine parses.
 * Text it cannot make out is left for the engine to refuse. Offsets are bytes into the text that was scanned. */
#pragma once

#include "base/buf.h"
#include "base/err.h"

enum sql_kind {
    SQL_EMPTY,   /* nothing but white space and comments */
    SQL_SELECT,  /* SELECT, WITH ... SELECT, FROM ... SELECT, (SELECT ...): the result can be streamed */
    SQL_SHOW,    /* SHOW, DESCRIBE, EXPLAIN, EXISTS, CHECK: reads, small result */
    SQL_INSERT,  /* INSERT */
    SQL_SESSION, /* SET, USE */
    SQL_KILL,    /* KILL QUERY | MUTATION */
    SQL_OTHER,   /* DDL, SYSTEM, BACKUP, ... */
};

struct sql {
    enum sql_kind kind;
    bool more;                  /* the text ended before this could be decided; scan again with more of it */
    bool has_data;              /* INSERT whose data follow at data_at (FORMAT x, VALUES, or SELECT ... FROM input()) */
    bool from_input;            /* the data are read by input(): see sql_input_table */
    size_t input_at, input_end; /* the call input(...) with its brackets */
    size_t structure_at, structure_len; /* its string literal with quotes; len 0 when there is none */
    size_t data_at;
    size_t end;               /* end of the statement without trailing `;`, white space and comments */
    size_t lead_at;           /* SELECT: where INTO OUTFILE goes; INSERT with data: where FROM INFILE goes */
    size_t format_at;         /* start of the FORMAT clause or VALUES word, 0 when there is none */
    char format[64];          /* its format name, "" when there is none; VALUES counts as Values */
    size_t kill_at, kill_len; /* KILL ... WHERE query_id = 'x': where `query_id = 'x'` stands, else kill_len = 0 */
    char kill_id[128];
};

/* Scans text; `complete` says that no more follows. Fails with a ClickHouse error code (positive, in *ret_code) for
 * statements that are refused here: several statements in one request (62), INTO OUTFILE (358) and FROM INFILE (78),
 * which mean files of the server here, the function file() (497), SYSTEM SHUTDOWN and KILL (497), the client's own
 * words such as `exit` (62). -EINVAL then. */
OH_MUST_CHECK int sql_scan(const char *text, size_t len, bool complete, struct sql *ret, int *ret_code,
                           struct err *err);

/* Appends the SELECT with its result led into descriptor fd, in `format` unless the statement names its own. */
void sql_lead_out(const struct sql *s, const char *text, int fd, struct buf *out);
/* Appends the INSERT without its data, reading them from descriptor fd. Only when has_data and not from_input. */
void sql_lead_in(const struct sql *s, const char *text, int fd, struct buf *out);

/* INSERT ... SELECT ... FROM input('structure') FORMAT x: the library reads no data for input(), and says nothing. So
 * a temporary table of that structure takes the data first, and the SELECT reads it instead. The statement that makes
 * the table, the one that fills it, and the one that uses and the one that drops it. */
#define SQL_INPUT_TABLE "_ownhouse_input"
/* -EINVAL (*ret_code 36): input() has no structure. */
OH_MUST_CHECK int sql_input_table(const struct sql *s, const char *text, struct buf *out, int *ret_code,
                                  struct err *err);
void sql_input_insert(const struct sql *s, struct buf *out);
void sql_input_select(const struct sql *s, const char *text, struct buf *out);

/* "Select", "Insert" ... as the execution log and the real server's query_kind name them. */
const char *sql_kind_name(enum sql_kind kind);
