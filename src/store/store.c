/* Connections, transactions and cached statements over SQLite. */
#include "store/store.h"

#include "base/mem.h"
#include "store/group.h"
#include "store/migrations.h"
#include "store/schema.h"

#include <libgen.h>
#include <sqlite3.h>
#include <sys/stat.h>

#define STORE_BUSY_MS 10000
#define STORE_BUSY_STEP_MS 2
#define STORE_MAX_PARAMETERS 32
#define STORE_CACHE_SIZE 160

struct statement {
    sqlite3_stmt *stmt;
    uint64_t hash;     /* of the SQL text; 0 = free slot */
    uint64_t used;     /* tick of last use, for eviction */
    bool busy, cached; /* busy: rows are open on it */
    int n_args;
    uint8_t index[STORE_MAX_PARAMETERS]; /* SQLite's number for $1, $2, ... */
};

struct store {
    sqlite3 *db;
    char *path;
    struct store_group *group; /* NULL: each commit waits for the disk itself */
    bool in_transaction;
    struct err broken; /* why the open transaction ended early; code 0 = it has not */
    uint64_t tick;
    struct statement cache[STORE_CACHE_SIZE];
};

struct store_rows {
    struct store *store;
    struct statement *statement;
    bool done;
};

static bool disk_is_full(int code, int os)
{
    return code == SQLITE_FULL || ((code & 0xff) == SQLITE_IOERR && (os == ENOSPC || os == EDQUOT || os == EFBIG));
}

/* One sentence for what SQLite says. Its own message names tables and columns, never values. */
static int explain(struct store *s, int code, struct err *err)
{
    int os = s->db ? sqlite3_system_errno(s->db) : 0;
    if (disk_is_full(code, os))
        return err_set(err, -ENOSPC, "%s: the disk is full; nothing was changed, free some space and try again",
                       s->path);
    switch (code & 0xff) {
    case SQLITE_BUSY:
    case SQLITE_LOCKED:
        return err_set(err, -EBUSY, "%s: another process has held it for %d seconds; try again", s->path,
                       STORE_BUSY_MS / 1000);
    case SQLITE_CONSTRAINT:
        if (code == SQLITE_CONSTRAINT_UNIQUE || code == SQLITE_CONSTRAINT_PRIMARYKEY)
            return err_set(err, -EEXIST, "%s: %s", s->path, sqlite3_errmsg(s->db));
        return err_set(err, -EINVAL, "%s: %s", s->path, sqlite3_errmsg(s->db));
    case SQLITE_NOTADB:
    case SQLITE_CORRUPT:
        return err_set(err, -EIO, "%s is damaged or not a database; nothing was changed, restore it from a backup",
                       s->path);
    case SQLITE_READONLY:
        return err_set(err, -EROFS, "%s or its folder may not be written; check the owner, mode and mount", s->path);
    case SQLITE_CANTOPEN:
        if (os == EROFS || os == EACCES || os == EPERM)
            return err_set(err, -EROFS, "%s or its folder may not be written: %s", s->path, strerror(os));
        return err_set(err, -EIO, "%s cannot be opened: %s", s->path, os ? strerror(os) : sqlite3_errstr(code));
    case SQLITE_NOMEM:
        abort();
    default:
        return err_set(err, -EIO, "%s: %s%s%s", s->path, sqlite3_errmsg(s->db), os ? ": " : "", os ? strerror(os) : "");
    }
}

/* Like explain(); also remembers when the failure took the transaction with it. */
static int fail(struct store *s, int code, struct err *err)
{
    struct err local = ERR_INIT;
    int r = explain(s, code, &local);
    if (s->in_transaction && s->broken.code == 0 && sqlite3_get_autocommit(s->db))
        s->broken = local;
    if (err)
        *err = local;
    return r;
}

static int refuse_broken(struct store *s, struct err *err)
{
    if (s->broken.code == 0)
        return 0;
    if (err)
        *err = s->broken;
    return s->broken.code;
}

static uint64_t hash_text(const char *text)
{
    uint64_t h = 1469598103934665603u;
    for (; *text; text++)
        h = (h ^ (unsigned char)*text) * 1099511628211u;
    return h ? h : 1;
}

static int map_parameters(struct store *s, struct statement *st, struct err *err)
{
    int count = sqlite3_bind_parameter_count(st->stmt);
    st->n_args = 0;
    for (int i = 1; i <= count; i++) {
        const char *name = sqlite3_bind_parameter_name(st->stmt, i);
        long n = name && name[0] == '$' ? strtol(name + 1, NULL, 10) : 0;
        if (n < 1 || n > STORE_MAX_PARAMETERS)
            return err_set(err, -EINVAL, "%s: parameters must be $1 to $%d in: %s", s->path, STORE_MAX_PARAMETERS,
                           sqlite3_sql(st->stmt));
        st->index[n - 1] = (uint8_t)i;
        st->n_args = MAX(st->n_args, (int)n);
    }
    return 0;
}

static void statement_drop(struct statement *st)
{
    sqlite3_finalize(st->stmt);
    memset(st, 0, sizeof(*st));
}

static int prepare(struct store *s, const char *sql, struct statement *st, struct err *err)
{
    int code = sqlite3_prepare_v3(s->db, sql, -1, SQLITE_PREPARE_PERSISTENT, &st->stmt, NULL);
    if (code != SQLITE_OK)
        return fail(s, sqlite3_extended_errcode(s->db), err);
    int r = map_parameters(s, st, err);
    if (r < 0)
        statement_drop(st);
    return r;
}

/* A statement ready for binding, from the cache where the text is there and not in use. */
static int statement_get(struct store *s, const char *sql, struct statement **ret, struct err *err)
{
    uint64_t hash = hash_text(sql);
    struct statement *victim = NULL;
    for (size_t i = 0; i < STORE_CACHE_SIZE; i++) {
        struct statement *st = &s->cache[i];
        if (st->busy)
            continue;
        if (st->hash == hash && !strcmp(sqlite3_sql(st->stmt), sql)) {
            st->used = ++s->tick;
            *ret = st;
            return 0;
        }
        if (!victim || st->used < victim->used)
            victim = st;
    }
    struct statement *st = victim ? victim : mem_alloc(sizeof(*st));
    if (victim)
        statement_drop(st);
    int r = prepare(s, sql, st, err);
    if (r < 0) {
        if (!victim)
            free(st);
        return r;
    }
    st->cached = victim != NULL;
    st->hash = hash;
    st->used = ++s->tick;
    *ret = st;
    return 0;
}

static void statement_put(struct statement *st)
{
    sqlite3_reset(st->stmt);
    sqlite3_clear_bindings(st->stmt);
    st->busy = false;
    if (!st->cached) {
        statement_drop(st);
        free(st);
    }
}

static int bind_all(struct store *s, struct statement *st, const struct store_value *args, size_t n_args,
                    sqlite3_destructor_type lifetime, struct err *err)
{
    if ((size_t)st->n_args != n_args)
        return err_set(err, -EINVAL, "%s: %d parameters wanted, %zu given: %s", s->path, st->n_args, n_args,
                       sqlite3_sql(st->stmt));
    for (size_t i = 0; i < n_args; i++) {
        int at = st->index[i], code = SQLITE_OK;
        if (!at) /* a number that the text skips */
            continue;
        switch (args[i].type) {
        case STORE_TEXT:
            code = sqlite3_bind_text(st->stmt, at, args[i].data, -1, lifetime);
            break;
        case STORE_INT:
            code = sqlite3_bind_int64(st->stmt, at, args[i].number);
            break;
        case STORE_NULL:
            code = sqlite3_bind_null(st->stmt, at);
            break;
        case STORE_BLOB:
            code = sqlite3_bind_blob64(st->stmt, at, args[i].data, args[i].len, lifetime);
            break;
        }
        if (code != SQLITE_OK)
            return fail(s, code, err);
    }
    return 0;
}

/* *ret_wrote: the statement may have changed the file. */
static int exec(struct store *s, const char *sql, const struct store_value *args, size_t n_args, int64_t *ret_changed,
                bool *ret_wrote, struct err *err)
{
    struct statement *st;
    int r = refuse_broken(s, err);
    if (r == 0)
        r = statement_get(s, sql, &st, err);
    if (r < 0)
        return r;
    r = bind_all(s, st, args, n_args, SQLITE_STATIC, err);
    if (r == 0) {
        int code = sqlite3_step(st->stmt);
        if (code == SQLITE_ROW)
            r = err_set(err, -EINVAL, "%s: gives rows, use store_query: %s", s->path, sql);
        else if (code != SQLITE_DONE)
            r = fail(s, sqlite3_extended_errcode(s->db), err);
        else if (ret_changed)
            *ret_changed = sqlite3_changes64(s->db);
        *ret_wrote = !sqlite3_stmt_readonly(st->stmt);
    }
    statement_put(st);
    return r;
}

int store_exec(struct store *s, const char *sql, const struct store_value *args, size_t n_args, int64_t *ret_changed,
               struct err *err)
{
    bool wrote = false;
    int r = exec(s, sql, args, n_args, ret_changed, &wrote, err);
    return r == 0 && wrote && !s->in_transaction ? store_settle(s, err) : r;
}

int store_join(struct store *s, struct store_group *g, struct err *err)
{
    int r = store_script(s, "PRAGMA synchronous = NORMAL", err);
    if (r == 0)
        s->group = g;
    return r;
}

int store_settle(struct store *s, struct err *err)
{
    return s->group ? store_group_wait(s->group, err) : 0;
}

int store_query(struct store *s, const char *sql, const struct store_value *args, size_t n_args,
                struct store_rows **ret, struct err *err)
{
    struct statement *st;
    int r = refuse_broken(s, err);
    if (r == 0)
        r = statement_get(s, sql, &st, err);
    if (r < 0)
        return r;
    r = bind_all(s, st, args, n_args, SQLITE_TRANSIENT, err);
    if (r < 0) {
        statement_put(st);
        return r;
    }
    st->busy = true;
    struct store_rows *rows = mem_alloc(sizeof(*rows));
    rows->store = s;
    rows->statement = st;
    *ret = rows;
    return 0;
}

int store_next(struct store_rows *rows, struct err *err)
{
    if (rows->done)
        return 0;
    int code = sqlite3_step(rows->statement->stmt);
    if (code == SQLITE_ROW)
        return 1;
    rows->done = true;
    return code == SQLITE_DONE ? 0 : fail(rows->store, sqlite3_extended_errcode(rows->store->db), err);
}

const char *store_column_text(struct store_rows *rows, int column)
{
    return (const char *)sqlite3_column_text(rows->statement->stmt, column);
}

int64_t store_column_int(struct store_rows *rows, int column)
{
    return sqlite3_column_int64(rows->statement->stmt, column);
}

bool store_column_is_null(struct store_rows *rows, int column)
{
    return sqlite3_column_type(rows->statement->stmt, column) == SQLITE_NULL;
}

void store_rows_close(struct store_rows *rows)
{
    if (!rows)
        return;
    statement_put(rows->statement);
    free(rows);
}

static int begin(struct store *s, const char *sql, struct err *err)
{
    if (s->in_transaction)
        return err_set(err, -EINVAL, "%s: a transaction is open already", s->path);
    bool wrote;
    int r = exec(s, sql, STORE_NO_ARGS, NULL, &wrote, err);
    if (r == 0)
        s->in_transaction = true;
    return r;
}

int store_begin(struct store *s, struct err *err)
{
    return begin(s, "BEGIN IMMEDIATE", err);
}

int store_begin_read(struct store *s, struct err *err)
{
    return begin(s, "BEGIN", err);
}

int store_commit(struct store *s, struct err *err)
{
    if (!s->in_transaction)
        return err_set(err, -EINVAL, "%s: no transaction is open", s->path);
    int r = store_exec(s, "COMMIT", STORE_NO_ARGS, NULL, err);
    if (r < 0)
        store_rollback(s);
    s->in_transaction = false;
    return r;
}

void store_rollback(struct store *s)
{
    if (!s->in_transaction)
        return;
    s->broken = ERR_INIT;
    if (!sqlite3_get_autocommit(s->db) && store_exec(s, "ROLLBACK", STORE_NO_ARGS, NULL, NULL) < 0)
        abort(); /* rolling back an open transaction fails only if memory is corrupt */
    s->in_transaction = false;
    s->broken = ERR_INIT;
}

int store_script(struct store *s, const char *sql, struct err *err)
{
    int r = refuse_broken(s, err);
    if (r < 0)
        return r;
    int code = sqlite3_exec(s->db, sql, NULL, NULL, NULL);
    return code == SQLITE_OK ? 0 : fail(s, sqlite3_extended_errcode(s->db), err);
}

/* Makes the file itself, so that it is private whatever the umask, and durable in its folder. */
static int make_file(const char *path, struct err *err)
{
    autoclose int fd = open(path, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    if (fd < 0 && errno == EEXIST)
        return 0;
    if (fd < 0) {
        int r = errno == EACCES || errno == EPERM ? -EROFS : -errno;
        return err_set(err, r, "%s cannot be made: %s", path, strerror(errno));
    }
    autofree char *copy = mem_strdup(path);
    autoclose int dir = open(dirname(copy), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (dir < 0 || fsync(dir) < 0)
        return err_set_errno(err, -errno, "folder of %s cannot be made durable", path);
    return 0;
}

static int check_file(const char *path, struct err *err)
{
    struct stat st;
    if (stat(path, &st) < 0)
        return err_set(err, -errno, "%s cannot be opened: %s", path, strerror(errno));
    if (!S_ISREG(st.st_mode))
        return err_set(err, -EIO, "%s is not a regular file", path);
    return 0;
}

/* Switching a new file to WAL can meet another opener in a way that SQLite does not wait for itself. */
static int set_wal(struct store *s, struct err *err)
{
    for (int waited = 0;; waited += 20) {
        int code = sqlite3_exec(s->db, "PRAGMA journal_mode = WAL", NULL, NULL, NULL);
        if (code == SQLITE_OK)
            break;
        if ((code & 0xff) != SQLITE_BUSY || waited >= STORE_BUSY_MS)
            return fail(s, sqlite3_extended_errcode(s->db), err);
        usleep(20000);
    }
    return 0;
}

/* Short waits: a transaction takes a few milliseconds, and SQLite's own growing ones make the last of many wait for
 * seconds. */
static int wait_busy(void *data OH_UNUSED, int tries)
{
    if (tries >= STORE_BUSY_MS / STORE_BUSY_STEP_MS)
        return 0;
    usleep(STORE_BUSY_STEP_MS * 1000);
    return 1;
}

static int configure(struct store *s, struct err *err)
{
    sqlite3_extended_result_codes(s->db, 1);
    sqlite3_busy_handler(s->db, wait_busy, NULL);
    sqlite3_limit(s->db, SQLITE_LIMIT_ATTACHED, 0);
    sqlite3_db_config(s->db, SQLITE_DBCONFIG_DEFENSIVE, 1, NULL);
    sqlite3_db_config(s->db, SQLITE_DBCONFIG_ENABLE_FKEY, 1, NULL);
    sqlite3_db_config(s->db, SQLITE_DBCONFIG_TRUSTED_SCHEMA, 0, NULL);
    if (sqlite3_db_readonly(s->db, "main") > 0)
        return err_set(err, -EROFS, "%s may not be written; check its owner, mode and mount", s->path);
    int r = set_wal(s, err);
    return r < 0 ? r
                 : store_script(
                       s,
                       "PRAGMA synchronous = FULL; PRAGMA cell_size_check = ON; PRAGMA temp_store = MEMORY; "
                       "PRAGMA cache_size = -256", /* KiB; a role has a connection a thread, the kernel one copy */
                       err);
}

int store_open(const char *path, enum store_open_mode mode, struct store **ret, struct err *err)
{
    int r = mode == STORE_CREATE ? make_file(path, err) : 0;
    if (r == 0)
        r = check_file(path, err);
    if (r < 0)
        return r;
    autostore struct store *s = mem_alloc(sizeof(*s));
    s->path = mem_strdup(path);
    int code = sqlite3_open_v2(path, &s->db, SQLITE_OPEN_READWRITE | SQLITE_OPEN_NOMUTEX, NULL);
    if (code != SQLITE_OK)
        return explain(s, s->db ? sqlite3_extended_errcode(s->db) : code, err);
    r = configure(s, err);
    if (r == 0)
        r = schema_apply(s, path, migrations, migrations_count, mode == STORE_CREATE, err);
    if (r == 0)
        *ret = TAKE_PTR(s);
    return r;
}

void store_close(struct store *s)
{
    if (!s)
        return;
    if (s->db)
        store_rollback(s);
    for (size_t i = 0; i < STORE_CACHE_SIZE; i++)
        statement_drop(&s->cache[i]);
    sqlite3_close(s->db);
    free(s->path);
    free(s);
}
