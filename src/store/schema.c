/* Migrations: what was applied is recorded with its digest, so a foreign or newer history is noticed before use. */
#include "store/schema.h"

#include "base/clock.h"
#include "base/keys.h"
#include "base/mem.h"

static int one_int(struct store *s, const char *sql, int64_t *ret, struct err *err)
{
    autorows struct store_rows *rows = NULL;
    int r = store_query(s, sql, STORE_NO_ARGS, &rows, err);
    if (r < 0)
        return r;
    r = store_next(rows, err);
    if (r < 0)
        return r;
    *ret = r ? store_column_int(rows, 0) : 0;
    return 0;
}

/* True in *ret_ours if our version table is there; a file with other tables only is another program's. */
static int recognise(struct store *s, const char *path, bool *ret_ours, struct err *err)
{
    int64_t ours = 0, tables = 0;
    int r =
        one_int(s, "SELECT count(*) FROM sqlite_schema WHERE type = 'table' AND name = 'schema_version'", &ours, err);
    if (r == 0)
        r = one_int(s, "SELECT count(*) FROM sqlite_schema WHERE type = 'table'", &tables, err);
    if (r < 0)
        return r;
    if (!ours && tables)
        return err_set(err, -ENOTSUP, "%s is a database of another program; name a file of OwnHouse's own", path);
    *ret_ours = ours != 0;
    return 0;
}

/* Compares the recorded history with the list; *ret_applied is how many of it are there. */
static int compare(struct store *s, const char *path, const struct migration *list, size_t n, size_t *ret_applied,
                   struct err *err)
{
    autorows struct store_rows *rows = NULL;
    size_t applied = 0;
    int r = store_query(s, "SELECT version, digest FROM schema_version ORDER BY version", STORE_NO_ARGS, &rows, err);
    if (r < 0)
        return r;
    while ((r = store_next(rows, err)) > 0) {
        char digest[2 * SHA256_SIZE + 1];
        int64_t version = store_column_int(rows, 0);
        if (applied >= n)
            return err_set(err, -ENOTSUP,
                           "%s has schema version %lld but this program knows only up to %zu: it was made by a newer "
                           "version of OwnHouse; run that one, or restore a backup made by this one",
                           path, (long long)version, n);
        sha256_hex(list[applied].sql, strlen(list[applied].sql), digest);
        if (version != list[applied].version || strcmp(store_column_text(rows, 1), digest))
            return err_set(err, -ENOTSUP,
                           "%s: migration %lld was applied by a different build of OwnHouse; run the build that made "
                           "the file",
                           path, (long long)version);
        applied++;
    }
    if (r == 0)
        *ret_applied = applied;
    return r;
}

static int apply_one(struct store *s, const struct migration *m, struct err *err)
{
    char digest[2 * SHA256_SIZE + 1];
    sha256_hex(m->sql, strlen(m->sql), digest);
    int r = store_script(s, m->sql, err);
    if (r < 0)
        return err_wrap(err, r, "migration %s", m->name);
    return store_exec(s, "INSERT INTO schema_version (version, name, digest, applied_at) VALUES ($1, $2, $3, $4)",
                      STORE_ARGS(store_int(m->version), store_text(m->name), store_text(digest),
                                 store_int(clock_wall_ms(&clock_system))),
                      NULL, err);
}

/* All of it in one transaction: two programs that open the same new file at once agree on who made it. */
static int apply_all(struct store *s, const char *path, const struct migration *list, size_t n, struct err *err)
{
    bool ours;
    size_t applied = 0;
    int r = store_begin(s, err);
    if (r < 0)
        return r;
    r = recognise(s, path, &ours, err);
    if (r == 0 && !ours)
        r = store_script(s,
                         "CREATE TABLE schema_version (version INTEGER PRIMARY KEY, name TEXT NOT NULL, "
                         "digest TEXT NOT NULL, applied_at INTEGER NOT NULL)",
                         err);
    if (r == 0)
        r = compare(s, path, list, n, &applied, err);
    for (; r == 0 && applied < n; applied++)
        r = apply_one(s, &list[applied], err);
    if (r == 0)
        return store_commit(s, err);
    store_rollback(s);
    return r;
}

int schema_apply(struct store *s, const char *path, const struct migration *list, size_t n, bool may_change,
                 struct err *err)
{
    bool ours;
    size_t applied = 0;
    int r = recognise(s, path, &ours, err);
    if (r == 0 && ours)
        r = compare(s, path, list, n, &applied, err);
    if (r < 0 || applied == n)
        return r;
    if (!may_change)
        return err_set(err, -ENOEXEC,
                       "%s has schema version %zu and this program needs %zu; start ownhouse-control, which brings it "
                       "up to date",
                       path, applied, n);
    return apply_all(s, path, list, n, err);
}
