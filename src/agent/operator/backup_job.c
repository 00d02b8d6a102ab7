/* Talks to an engine to make a backup, to try it, or to restore one. */
#include "agent/operator/backup_job.h"

#include "base/clock.h"
#include "base/mem.h"
#include "blueprint/blueprint.h"
#include "blueprint/operator_sql.h"
#include "net/http_client.h"

#include <unistd.h>

#define ANSWER_MAX MIB(16)
#define ASK_MS 30000     /* one question; a sum that takes longer is left out */
#define POLL_US 250000   /* between questions for the outcome */
#define SILENCE_MS 90000 /* an engine that does not answer for so long has ended */
#define DRILL_TABLES_MAX 1000

/* What a table of a source, or its restored copy, holds. */
struct figures {
    char rows[24], sum[24]; /* "" = could not be had */
};

struct table {
    char *database, *name;
    bool comparable; /* rows do not go or merge by themselves */
    struct figures before, after;
};

struct tables {
    struct table *items;
    size_t n;
};

static int fail(struct backup_job *j, const char *fmt, ...) OH_PRINTF(2, 3);
static int fail(struct backup_job *j, const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(j->error, sizeof(j->error), fmt, ap);
    va_end(ap);
    j->outcome = BACKUP_OUTCOME_FAILED;
    return -EIO;
}

/* ---- statements ---- */

static void add_table(struct buf *out, const char *database, const char *name)
{
    buf_quote(out, '`', database);
    buf_addc(out, '.');
    buf_quote(out, '`', name);
}

/* The answer's text; -EBADMSG: the engine refused, *ret_code (may be NULL) is its number. */
static int ask(const struct backup_job *j, const char *sql, char **ret, int *ret_code, struct err *err)
{
    autoresponse struct http_response answer = {0};
    autofree char *key = mem_printf("X-ClickHouse-Key: %s", j->password);
    const char *const headers[] = {"X-ClickHouse-User: " BLUEPRINT_OPERATOR, key,
                                   "X-ClickHouse-Format: JSONCompactEachRow", NULL};
    struct http_request q = {.method = "POST",
                             .url = j->url,
                             .headers = headers,
                             .body = sql,
                             .body_len = strlen(sql),
                             .direct = true,
                             .connect_timeout_ms = 3000,
                             .timeout_ms = ASK_MS,
                             .max_response = ANSWER_MAX};
    char code[16] = "0";
    int r = http_do(&q, &answer, err);
    mem_wipe(key, strlen(key));
    if (r < 0)
        return r;
    if (answer.status != 200) {
        (void)http_response_header(&answer, "x-clickhouse-exception-code", code, sizeof(code));
        if (ret_code)
            *ret_code = atoi(code);
        return err_set(err, -EBADMSG, "the engine answered %d: %.300s", answer.status, answer.body);
    }
    if (ret)
        *ret = TAKE_PTR(answer.body);
    return 0;
}

/* Rows of texts as an array of arrays. */
static int ask_rows(const struct backup_job *j, const char *sql, json_t **ret, struct err *err)
{
    autofree char *text = NULL;
    autojson json_t *rows = json_array();
    int r = ask(j, sql, &text, NULL, err);
    char *rest = text;
    for (char *line; r == 0 && (line = strsep(&rest, "\n"));) {
        json_t *row = NULL;
        if (!*line)
            continue;
        r = js_parse(line, strlen(line), MIB(1), &row, err);
        if (r == 0)
            json_array_append_new(rows, row);
    }
    if (r == 0)
        *ret = TAKE_PTR(rows);
    return r;
}

static const char *cell(const json_t *row, size_t i)
{
    const char *s = json_string_value(json_array_get(row, i));
    return s ? s : "";
}

/* ---- waiting ---- */

static void pause_a_little(void)
{
    usleep(POLL_US);
}

/* 1: it has ended, *ret is the row; 0: it runs; -ENOENT: the engine knows nothing of it. */
static int look(const struct backup_job *j, const char *id, json_t **ret, struct err *err)
{
    autojson json_t *rows = NULL;
    autofree char *sql = operator_sql_with("backup-state", id);
    int r = ask_rows(j, sql, &rows, err);
    if (r < 0)
        return r;
    const json_t *row = json_array_get(rows, 0);
    if (!row)
        return err_set(err, -ENOENT, "the engine knows nothing of %s", id);
    if (!strcmp(cell(row, 0), "CREATING_BACKUP") || !strcmp(cell(row, 0), "RESTORING"))
        return 0;
    *ret = json_incref((json_t *)(uintptr_t)row);
    return 1;
}

/* Until it has ended well (0) or not (-EIO; j->error says why). */
static int wait_for(struct backup_job *j, const char *id, const char *good, int64_t *ret_bytes)
{
    int64_t silent_since = -1;
    for (;;) {
        autojson json_t *row = NULL;
        struct err err = ERR_INIT;
        if (atomic_load(j->ending)) {
            j->outcome = BACKUP_OUTCOME_LEFT;
            return -ECANCELED;
        }
        int r = look(j, id, &row, &err);
        int64_t now = clock_mono_ms(&clock_system);
        if (r == -ENOENT)
            return fail(j, "the engine ended in the middle of it");
        if (r == 1 && !strcmp(cell(row, 0), good)) {
            if (ret_bytes)
                *ret_bytes = strtoll(cell(row, 1), NULL, 10);
            return 0;
        }
        if (r == 1)
            return fail(j, "the engine could not do it (its error %.10s; the agent's log says more)", cell(row, 2));
        if (r == 0)
            silent_since = -1;
        else if (silent_since < 0)
            silent_since = now;
        else if (now - silent_since > SILENCE_MS)
            return fail(j, "the engine does not answer any more");
        pause_a_little();
    }
}

/* Starts a BACKUP or RESTORE. Without an answer it may have begun or not: the engine will know. */
static int begin(struct backup_job *j, const char *sql)
{
    struct err err = ERR_INIT;
    int code = 0, r = ask(j, sql, NULL, &code, &err);
    if (r == 0)
        return 0;
    snprintf(j->detail, sizeof(j->detail), "%s", err.message);
    if (r == -EBADMSG)
        return fail(j, "the engine refused it (its error %d; the agent's log says more)", code);
    return 0;
}

/* ---- what is in it ---- */

static void tables_free(struct tables *t)
{
    for (size_t i = 0; i < t->n; i++) {
        free(t->items[i].database);
        free(t->items[i].name);
    }
    free(t->items);
    *t = (struct tables){0};
}

/* What can be restored without starting to read from somewhere: tables that only store. */
static int list_tables(struct backup_job *j, struct tables *ret)
{
    autojson json_t *rows = NULL;
    struct err err = ERR_INIT;
    if (ask_rows(j, operator_sql("tables"), &rows, &err) < 0) {
        snprintf(j->detail, sizeof(j->detail), "%s", err.message);
        return -EIO;
    }
    ret->items = mem_alloc((json_array_size(rows) + 1) * sizeof(*ret->items));
    for (; ret->n < MIN(json_array_size(rows), (size_t)DRILL_TABLES_MAX); ret->n++) {
        const json_t *row = json_array_get(rows, ret->n);
        ret->items[ret->n] = (struct table){.database = mem_strdup(cell(row, 0)),
                                            .name = mem_strdup(cell(row, 1)),
                                            .comparable = !strcmp(cell(row, 2), "1")};
    }
    return 0;
}

static void measure(const struct backup_job *j, const char *database, const char *name, struct figures *ret)
{
    static const char *const forms[] = {"toString(sum(cityHash64(*)))", "''"};
    *ret = (struct figures){0};
    for (size_t i = 0; i < ARRAY_SIZE(forms); i++) {
        autobuf struct buf sql = BUF_INIT;
        autojson json_t *rows = NULL;
        buf_printf(&sql, "SELECT toString(count()), %s FROM ", forms[i]);
        add_table(&sql, database, name);
        if (ask_rows(j, sql.data, &rows, NULL) < 0)
            continue;
        snprintf(ret->rows, sizeof(ret->rows), "%s", cell(json_array_get(rows, 0), 0));
        snprintf(ret->sum, sizeof(ret->sum), "%s", cell(json_array_get(rows, 0), 1));
        return;
    }
}

static void measure_all(const struct backup_job *j, struct tables *t, bool after)
{
    for (size_t i = 0; i < t->n && !atomic_load(j->ending); i++)
        if (t->items[i].comparable)
            measure(j, t->items[i].database, t->items[i].name, after ? &t->items[i].after : &t->items[i].before);
}

static bool same(const struct figures *a, const struct figures *b)
{
    return *a->rows && !strcmp(a->rows, b->rows) && !strcmp(a->sum, b->sum);
}

/* Figures that stood still must come back exactly; of a table that was written to, the rows must lie between. */
static bool agrees(const struct table *t, const struct figures *copy)
{
    int64_t a = strtoll(t->before.rows, NULL, 10), b = strtoll(t->after.rows, NULL, 10);
    int64_t rows = strtoll(copy->rows, NULL, 10);
    if (!t->comparable || !*t->before.rows || !*t->after.rows)
        return true;
    if (!*copy->rows)
        return false;
    if (!same(&t->before, &t->after))
        return rows >= MIN(a, b) && rows <= MAX(a, b);
    return rows == a && (!*t->before.sum || !*copy->sum || !strcmp(t->before.sum, copy->sum));
}

/* ---- the drill ---- */

static void drill_verdict(struct backup_job *j, const struct tables *t)
{
    for (size_t i = 0; i < t->n; i++) {
        struct figures copy = {0};
        char name[24];
        snprintf(name, sizeof(name), "t%zu", i);
        if (t->items[i].comparable)
            measure(j, BLUEPRINT_DRILL_DATABASE, name, &copy);
        if (!agrees(&t->items[i], &copy)) {
            j->drill = DRILL_FAILED;
            snprintf(j->error, sizeof(j->error),
                     "the restore drill found a table whose copy differs from the original");
            snprintf(j->detail, sizeof(j->detail), "restore drill: %s.%s: rows %s..%s, copy %s", t->items[i].database,
                     t->items[i].name, t->items[i].before.rows, t->items[i].after.rows, copy.rows);
            return;
        }
    }
    j->drill = DRILL_PASSED;
    j->drill_tables = (int64_t)t->n;
}

static int restore_copies(struct backup_job *j, const struct tables *t)
{
    autobuf struct buf sql = BUF_INIT;
    autofree char *id = mem_printf("%s-drill", j->id);
    buf_adds(&sql, "RESTORE ");
    for (size_t i = 0; i < t->n; i++) {
        buf_adds(&sql, i ? ", TABLE " : "TABLE ");
        add_table(&sql, t->items[i].database, t->items[i].name);
        buf_printf(&sql, " AS " BLUEPRINT_DRILL_DATABASE ".t%zu", i);
    }
    autofree char *from = backup_place_sql(j->place, j->service, j->id);
    buf_printf(&sql, " FROM %s SETTINGS id = '%s' ASYNC", from, id);
    int r = begin(j, operator_sql("drill-database"));
    if (r == 0)
        r = begin(j, sql.data);
    return r < 0 ? r : wait_for(j, id, "RESTORED", NULL);
}

/* A backup that cannot be restored is still there and says so; it is not taken away for that. */
static void drill(struct backup_job *j, struct tables *t)
{
    const char *drop = operator_sql("drill-end");
    struct err err = ERR_INIT;
    measure_all(j, t, true);
    if (ask(j, drop, NULL, NULL, &err) < 0 || atomic_load(j->ending))
        return;
    int r = t->n ? restore_copies(j, t) : 0;
    if (r == 0)
        drill_verdict(j, t);
    else if (r != -ECANCELED)
        j->drill = DRILL_FAILED;
    j->outcome = BACKUP_OUTCOME_DONE;
    if (ask(j, drop, NULL, NULL, &err) < 0)
        snprintf(j->detail, sizeof(j->detail), "restore drill: the copies stay until the next one: %s", err.message);
}

/* ---- acts ---- */

static int start_backup(struct backup_job *j)
{
    autojson json_t *names = NULL;
    autobuf struct buf sql = BUF_INIT;
    struct err err = ERR_INIT;
    if (ask_rows(j, operator_sql("databases"), &names, &err) < 0) {
        snprintf(j->detail, sizeof(j->detail), "%s", err.message);
        return fail(j, "the engine does not answer");
    }
    if (!json_array_size(names))
        return fail(j, "the service has no database");
    buf_adds(&sql, "BACKUP ");
    for (size_t i = 0; i < json_array_size(names); i++) {
        buf_adds(&sql, i ? ", DATABASE " : "DATABASE ");
        buf_quote(&sql, '`', cell(json_array_get(names, i), 0));
    }
    autofree char *to = backup_place_sql(j->place, j->service, j->id);
    buf_printf(&sql, " TO %s SETTINGS id = '%s'", to, j->id);
    if (*j->base) {
        autofree char *base = backup_place_sql(j->place, j->service, j->base);
        buf_printf(&sql, ", base_backup = %s", base);
    }
    buf_adds(&sql, " ASYNC");
    return begin(j, sql.data);
}

static void make(struct backup_job *j)
{
    struct tables t = {0};
    struct err err = ERR_INIT;
    bool try = !*j->base && !j->resume;
    if (try && (try = list_tables(j, &t) == 0))
        measure_all(j, &t, false);
    int r = j->resume ? 0 : start_backup(j);
    if (r == 0)
        r = wait_for(j, j->id, "BACKUP_CREATED", &j->bytes);
    if (r == 0 && try)
        drill(j, &t);
    tables_free(&t);
    if (r == -EIO && backup_place_remove(j->place, j->service, j->id, &err) < 0)
        snprintf(j->detail, sizeof(j->detail), "%s", err.message);
}

/* Again after an agent's or an engine's end: what the engine has already is refused by it, so nothing is doubled. */
static void restore(struct backup_job *j)
{
    autojson json_t *row = NULL;
    autofree char *id = mem_printf("%s-restore", j->id), *from = backup_place_sql(j->place, j->service, j->id);
    autofree char *sql = mem_printf("RESTORE ALL FROM %s SETTINGS id = '%s' ASYNC", from, id);
    bool known = j->resume && look(j, id, &row, NULL) >= 0;
    if (known || begin(j, sql) == 0)
        (void)!wait_for(j, id, "RESTORED", NULL);
}

void backup_job_run(struct backup_job *j)
{
    struct err err = ERR_INIT;
    j->outcome = BACKUP_OUTCOME_DONE;
    if (j->act == BACKUP_ACT_MAKE)
        make(j);
    else if (j->act == BACKUP_ACT_RESTORE)
        restore(j);
    else if (backup_place_remove(j->place, j->service, j->id, &err) < 0) {
        snprintf(j->detail, sizeof(j->detail), "%s", err.message);
        (void)!fail(j, "its files cannot be removed");
    }
}
