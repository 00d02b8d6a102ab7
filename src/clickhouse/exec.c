/* Prepares an engine connection for one request. */
#include "clickhouse/exec.h"

#include "base/mem.h"

#include <stdarg.h>

/* The engine starts as the command-line client does; a server has these off. */
#define SERVER_DEFAULTS "implicit_select = 0, allow_introspection_functions = 0"

struct exec {
    struct service *service;
    struct running_query *running;
    struct engine_conn *conn; /* fresh one, NULL with a session */
    struct session *session;
    uint64_t session_timeout_s;
    bool session_close;
    struct buf undo; /* statement that gives a session its settings back */
    struct buf undo_use;
};

int exception_own(struct exception *x, const struct service *s, int code, const char *fmt, ...)
{
    char message[ERR_MESSAGE_MAX];
    va_list ap;
    if (x->code)
        return -EINVAL;
    va_start(ap, fmt);
    vsnprintf(message, sizeof(message), fmt, ap);
    va_end(ap);
    x->code = code;
    codes_exception(code, message, engine_version(s->engine), &x->text);
    return -EINVAL;
}

int exception_engine(struct exception *x, const struct service *s, const char *text)
{
    if (!x->code)
        codes_engine_exception(text, engine_version(s->engine), &x->code, &x->text);
    return -EINVAL;
}

struct engine_conn *exec_conn(const struct exec *e)
{
    return e->session ? session_conn(e->session) : e->conn;
}

const char *exec_tag(const struct exec *e)
{
    return running_query_tag(e->running);
}

/* Runs one statement of ours; its result goes to out (may be NULL). */
static int run(const struct exec *e, const char *sql, size_t len, struct buf *out, struct exception *x)
{
    struct engine_result r;
    engine_query(exec_conn(e), sql, len, "TabSeparatedRaw", NULL, 0, &r);
    int ret = r.error ? exception_engine(x, e->service, r.error) : 0;
    if (out && r.len)
        buf_add(out, r.data, r.len);
    engine_result_free(&r);
    return ret;
}

int exec_run(const struct exec *e, const char *sql, size_t len, struct exception *x)
{
    return run(e, sql, len, NULL, x);
}

static int use(const struct exec *e, const char *database, struct exception *x)
{
    autobuf struct buf sql = BUF_INIT;
    buf_adds(&sql, "USE ");
    buf_quote(&sql, '`', database);
    return run(e, sql.data, sql.len, NULL, x);
}

/* Settings of a request hold for that request only, those a client SETs hold for its session: so remember what the
 * session had before. The engine writes the statement that restores it. */
static int remember(struct exec *e, const struct exec_spec *spec, struct exception *x)
{
    const struct param *settings;
    size_t count = params_settings(spec->params, &settings);
    autobuf struct buf sql = BUF_INIT;

    if (count) {
        buf_adds(&sql, "SELECT 'SET ' || arrayStringConcat(groupArray(name || ' = ' || if(changed, '\\'' || "
                       "replaceAll(replaceAll(value, '\\\\', '\\\\\\\\'), '\\'', '\\\\\\'') || '\\'', 'DEFAULT')), "
                       "', ') FROM system.settings WHERE name != 'readonly' AND name IN (");
        for (size_t i = 0; i < count; i++) {
            buf_adds(&sql, i ? ", " : "");
            params_quote(settings[i].name, strlen(settings[i].name), &sql);
        }
        buf_adds(&sql, ") HAVING count() > 0");
        if (run(e, sql.data, sql.len, &e->undo, x) < 0)
            return -EINVAL;
    }
    if (!spec->database)
        return 0;
    static const char current[] = "SELECT 'USE `' || replaceAll(currentDatabase(), '`', '\\\\`') || '`'";
    return run(e, current, sizeof(current) - 1, &e->undo_use, x);
}

static bool reads_only(enum sql_kind kind)
{
    return kind == SQL_SELECT || kind == SQL_SHOW || kind == SQL_SESSION || kind == SQL_EMPTY;
}

/* readonly = 2: no writes, and settings may be changed but this one not. */
static int set_up(struct exec *e, const struct exec_spec *spec, bool fresh, struct exception *x)
{
    autobuf struct buf sql = BUF_INIT;
    const char *wanted = params_setting(spec->params, "readonly");
    bool named = wanted && strcmp(wanted, "0") != 0 && strcmp(wanted, "") != 0;
    bool held_back = spec->user_readonly || (spec->get && !e->session);

    if (e->session && named)
        return exception_own(x, e->service, CH_BAD_ARGUMENTS,
                             "readonly cannot be a URL parameter together with "
                             "session_id: SET it in the session");
    if (e->session && spec->get && !reads_only(spec->kind))
        return exception_own(x, e->service, CH_READONLY,
                             "Cannot execute query in readonly mode. For queries over "
                             "HTTP, method GET implies readonly. You should use method "
                             "POST for modifying queries");
    buf_adds(&sql, "SET ");
    if (fresh)
        buf_adds(&sql, SERVER_DEFAULTS ", ");
    size_t before = sql.len;
    params_settings_sql(spec->params, &sql);
    buf_adds(&sql, sql.len > before ? ", " : "");
    engine_tag_sql(exec_tag(e), &sql);
    if (held_back && fresh && !named)
        buf_adds(&sql, ", readonly = 2");
    if (e->session && !fresh && remember(e, spec, x) < 0)
        return -EINVAL;
    if (run(e, sql.data, sql.len, NULL, x) < 0)
        return -EINVAL;
    return spec->database ? use(e, spec->database, x) : 0;
}

static int connect_session(struct exec *e, const struct exec_spec *spec, const char *id, bool *ret_fresh,
                           struct exception *x)
{
    struct service *s = e->service;
    struct err err = ERR_INIT;
    int code = CH_INVALID_SESSION_TIMEOUT;

    e->session_timeout_s = SESSION_TIMEOUT_DEFAULT_S;
    e->session_close = params_flag(spec->params, "close_session", false);
    int r = params_number(spec->params, "session_timeout", SESSION_TIMEOUT_MAX_S, &e->session_timeout_s, &err);
    if (r == 0)
        r = sessions_take(s->sessions, spec->user, id, params_flag(spec->params, "session_check", false), &e->session,
                          ret_fresh, &code, &err);
    return r < 0 ? exception_own(x, s, code, "%s", err.message) : 0;
}

static int connect_any(struct exec *e, const struct exec_spec *spec, bool *ret_fresh, struct exception *x)
{
    const char *id = params_get(spec->params, "session_id");
    struct err err = ERR_INIT;

    if (id && *id)
        return connect_session(e, spec, id, ret_fresh, x);
    *ret_fresh = true;
    if (engine_connect(e->service->engine, &e->conn, &err) < 0)
        return exception_own(x, e->service, CH_STD_EXCEPTION, "%s", err.message);
    return 0;
}

int exec_open(struct service *s, const struct exec_spec *spec, struct exec **ret, struct exception *x)
{
    struct err err = ERR_INIT;
    int code = 0;
    bool fresh = false;

    if (atomic_load(&s->draining))
        return exception_own(x, s, CH_ABORTED, "The server is shutting down");
    struct exec *e = mem_alloc(sizeof(*e));
    e->service = s;
    int r = running_enter(s->running, spec->query_id, &e->running, &code, &err);
    if (r < 0)
        r = exception_own(x, s, code, "%s", err.message);
    if (r == 0)
        r = connect_any(e, spec, &fresh, x);
    if (r == 0)
        r = set_up(e, spec, fresh, x);
    if (r < 0)
        exec_close(e);
    else
        *ret = e;
    return r;
}

static void undo(const struct exec *e, struct buf *sql)
{
    struct exception ignored = {0};
    if (sql->len && run(e, sql->data, sql->len, NULL, &ignored) < 0)
        buf_free(&ignored.text); /* a database that was dropped meanwhile: the session stays where it is */
}

void exec_close(struct exec *e)
{
    if (!e)
        return;
    if (e->session) {
        undo(e, &e->undo);
        undo(e, &e->undo_use);
        sessions_put(e->service->sessions, e->session, e->session_timeout_s, e->session_close);
    }
    engine_disconnect(e->conn);
    running_leave(e->service->running, e->running);
    buf_free(&e->undo);
    buf_free(&e->undo_use);
    free(e);
}
