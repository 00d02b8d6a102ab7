/* The SQL store: SQLite in WAL mode, durable by default (synchronous=FULL), foreign keys on, migrations applied at
 * open.
 *
 * One `struct store` is one connection for one thread. SQL stays in the subset that PostgreSQL also speaks; parameters
 * are $1, $2 ... and are always bound, never pasted. Statements are cached per connection. A busy database is waited
 * for up to 10 s. Errors: -EIO broken or unreadable file, -ENOSPC disk full (the transaction is rolled back, state
 * unharmed), -EROFS the file or its folder may not be written, -EEXIST unique violation, -EINVAL other constraint,
 * -EBUSY. The message names the file, never a bound value.
 *
 * When a statement's failure ended the transaction (disk full, input or output error), every later call in it and
 * store_commit give the same error again, so that nothing runs outside the transaction it was meant for. */
#pragma once

#include "base/err.h"

struct store;
struct store_rows;

enum store_open_mode {
    STORE_CREATE,   /* make the file (mode 0600) if missing, then migrate */
    STORE_EXISTING, /* refuse a missing file (-ENOENT); migrate must already be done, else -ENOEXEC */
};

/* In either mode -ENOTSUP for a database that a newer program made, or whose applied migrations differ from ours. */
OH_MUST_CHECK int store_open(const char *path, enum store_open_mode mode, struct store **ret, struct err *err);
void store_close(struct store *s); /* NULL is fine; an open transaction is rolled back */
static inline void store_closep(struct store **s)
{
    store_close(*s);
}
#define autostore OH_CLEANUP(store_closep)

/* Transactions do not nest. A commit is durable when it returns, but of a connection that has joined a group (group.h)
 * only when it was settled. store_begin takes the write lock at once (BEGIN IMMEDIATE), so what is read inside stays
 * true until commit. store_rollback after a failed commit, or without a transaction, is harmless. */
OH_MUST_CHECK int store_begin(struct store *s, struct err *err);
OH_MUST_CHECK int store_commit(struct store *s, struct err *err);
void store_rollback(struct store *s);

/* A transaction that only reads, from one snapshot, without the write lock; ends with store_rollback or
 * store_commit. */
OH_MUST_CHECK int store_begin_read(struct store *s, struct err *err);

/* A parameter: text (NULL = SQL NULL), integer, or blob. */
struct store_value {
    enum { STORE_TEXT, STORE_INT, STORE_NULL, STORE_BLOB } type;
    const void *data; /* STORE_TEXT: NUL-terminated; STORE_BLOB: `len` bytes */
    size_t len;
    int64_t number;
};
static inline struct store_value store_text(const char *s)
{
    return s ? (struct store_value){.type = STORE_TEXT, .data = s} : (struct store_value){.type = STORE_NULL};
}
static inline struct store_value store_int(int64_t n)
{
    return (struct store_value){.type = STORE_INT, .number = n};
}
static inline struct store_value store_null(void)
{
    return (struct store_value){.type = STORE_NULL};
}
#define STORE_ARGS(...)                        \
    (const struct store_value[]){__VA_ARGS__}, \
        sizeof((const struct store_value[]){__VA_ARGS__}) / sizeof(struct store_value)
#define STORE_NO_ARGS NULL, 0

/* Runs a statement that gives no rows. *ret_changed (may be NULL): rows touched. */
OH_MUST_CHECK int store_exec(struct store *s, const char *sql, const struct store_value *args, size_t n_args,
                             int64_t *ret_changed, struct err *err);

/* Runs a query; step with store_next (1 = a row, 0 = end, <0 error). Column text is borrowed until the next step; NULL
 * columns give NULL / 0. Arguments need not outlive the call. Close before the transaction ends. */
OH_MUST_CHECK int store_query(struct store *s, const char *sql, const struct store_value *args, size_t n_args,
                              struct store_rows **ret, struct err *err);
OH_MUST_CHECK int store_next(struct store_rows *rows, struct err *err);
const char *store_column_text(struct store_rows *rows, int column);
int64_t store_column_int(struct store_rows *rows, int column);
bool store_column_is_null(struct store_rows *rows, int column);
void store_rows_close(struct store_rows *rows); /* NULL is fine */
static inline void store_rows_closep(struct store_rows **r)
{
    store_rows_close(*r);
}
#define autorows OH_CLEANUP(store_rows_closep)
