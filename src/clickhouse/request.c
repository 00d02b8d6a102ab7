/* Reads what one HTTP request says, runs it against the engine, and composes the answer. */
#include "clickhouse/request_priv.h"

#include "base/mem.h"
#include "clickhouse/auth.h"

#include <strings.h>

#define STREAM_FROM KIB(256) /* INSERT data are led through a pipe beyond this much of body */
#define QUERY_ID_MAX 128

/* ---- reply ---- */

static void header(struct request *r, const char *name, const char *value)
{
    r->headers[r->header_count][0] = name;
    r->headers[r->header_count++][1] = value;
}

static void encode_body(struct request *r)
{
    if (r->encoding == CODEC_NONE || r->kind != BODY_MEMORY)
        return;
    struct buf out = BUF_INIT;
    struct encoder *e = encoder_new(r->encoding, 0);
    encoder_feed(e, r->body.data, r->body.len, false, true, &out);
    encoder_free(e);
    buf_free(&r->body);
    r->body = out;
}

void request_log(struct request *r, int code)
{
    if (r->logged || r->sql.kind == SQL_EMPTY)
        return;
    r->logged = true;
    struct qlog_entry entry = {
        .query_id = r->query_id,
        .user = r->user,
        .kind = sql_kind_name(r->sql.kind),
        .wall_ms = clock_wall_ms(r->service->clock),
        .duration_ms = clock_mono_ms(r->service->clock) - r->started_ms,
        .stats = r->stats,
        .sent_bytes = r->sent_bytes,
        .exception_code = code,
    };
    qlog_write(r->service->qlog, &entry);
}

static const char *result_format(const struct request *r)
{
    return r->sql.format[0] && r->sql.kind != SQL_INSERT ? r->sql.format : r->default_format;
}

/* Headers that every answer to a query has. */
static void common_headers(struct request *r, const char *content_type)
{
    struct buf summary = BUF_INIT;
    codes_summary(&r->stats, &summary);
    r->summary = buf_take(&summary);
    r->header_count = 0;
    header(r, "Content-Type", content_type);
    header(r, "X-ClickHouse-Server-Display-Name", r->service->display_name);
    header(r, "X-ClickHouse-Query-Id", r->query_id);
    header(r, "X-ClickHouse-Timezone", engine_timezone(r->service->engine));
    header(r, "X-ClickHouse-Summary", r->summary);
    header(r, "X-ClickHouse-Exception-Tag", r->tag);
    if (codec_name(r->encoding))
        header(r, "Content-Encoding", codec_name(r->encoding));
}

static void reply_exception(struct request *r)
{
    char code[16];
    snprintf(code, sizeof(code), "%d", r->exception.code);
    r->code_text = mem_strdup(code);
    r->kind = BODY_MEMORY;
    buf_free(&r->body);
    r->body = r->exception.text;
    r->exception.text = BUF_INIT;
    r->status = codes_http_status(r->exception.code);
    r->stats = (struct query_stats){0};
    common_headers(r, "text/plain; charset=UTF-8");
    header(r, "X-ClickHouse-Exception-Code", r->code_text);
    if (r->status == 401)
        header(r, "WWW-Authenticate", "Basic realm=\"ClickHouse server HTTP API\"");
    encode_body(r);
    request_log(r, r->exception.code);
}

static void reply_result(struct request *r)
{
    r->status = 200;
    common_headers(r, codes_content_type(result_format(r)));
    header(r, "X-ClickHouse-Format", result_format(r));
    encode_body(r);
}

/* ---- head ---- */

int request_fail(struct request *r, int code, const char *message)
{
    return exception_own(&r->exception, r->service, code, "%s", message);
}

static int check_user(struct request *r, const struct request_head *head)
{
    struct credentials c;
    struct err err = ERR_INIT;

    if (head->params) {
        r->user = mem_strdup(head->trusted_user);
        r->rights.readonly = head->trusted_readonly;
        return 0;
    }
    if (auth_credentials(head->authorization, head->user, head->key, r->params, &c, &err) < 0)
        return request_fail(r, CH_AUTHENTICATION_FAILED, err.message);
    r->user = mem_strdup(c.user);
    bool right = users_check(r->service->users, c.user, c.password, c.password_len, clock_wall_ms(r->service->clock),
                             &r->rights);
    bool given = c.given;
    auth_free(&c);
    if (right)
        return 0;
    return exception_own(&r->exception, r->service, given ? CH_AUTHENTICATION_FAILED : CH_REQUIRED_PASSWORD,
                         "%.64s: Authentication failed: password is incorrect, or there is no user with such name",
                         r->user);
}

/* Ids come back in a header and stand in logs: printable ASCII only. */
static int check_query_id(struct request *r)
{
    const char *id = params_get(r->params, "query_id");
    if (!id || !*id) {
        r->query_id = mem_alloc(UUID_SIZE);
        uuid_new(r->query_id);
        return 0;
    }
    if (strlen(id) > QUERY_ID_MAX)
        return request_fail(r, CH_BAD_ARGUMENTS, "query_id is longer than 128 bytes");
    for (const char *c = id; *c; c++)
        if (*c < 0x20 || *c > 0x7e)
            return request_fail(r, CH_BAD_ARGUMENTS, "query_id has characters that are not printable ASCII");
    r->query_id = mem_strdup(id);
    return 0;
}

static int check_supported(struct request *r, const struct request_head *head)
{
    enum codec_kind coding = CODEC_NONE;
    struct err err = ERR_INIT;
    if (params_flag(r->params, "compress", false) || params_flag(r->params, "decompress", false))
        return request_fail(r, CH_NOT_IMPLEMENTED,
                            "compress and decompress (the native block format) are not supported by "
                            "the embedded engine's server: use Content-Encoding and Accept-Encoding "
                            "with gzip or zstd");
    if (params_get(r->params, "role"))
        return request_fail(r, CH_UNKNOWN_ROLE, "the embedded engine has no roles");
    if (head->content_type && strncasecmp(head->content_type, "multipart/", 10) == 0 &&
        multipart_boundary(head->content_type, r->boundary, &err) < 0)
        return request_fail(r, CH_BAD_ARGUMENTS, err.message);
    if (head->content_encoding && codec_parse(head->content_encoding, &coding) < 0)
        return request_fail(r, CH_NOT_IMPLEMENTED, "this Content-Encoding is not supported: use gzip, deflate or zstd");
    if (coding != CODEC_NONE)
        r->decoder = decoder_new(coding);
    if (params_flag(r->params, "enable_http_compression", false))
        r->encoding = codec_accepted(head->accept_encoding);
    return 0;
}

/* The default output format: the header, the parameter, the setting, else as the server does. */
static int choose_format(struct request *r, const struct request_head *head)
{
    const char *f = head->format ? head->format : params_get(r->params, "default_format");
    if (!f || !*f)
        f = "TabSeparated";
    for (const char *c = f; *c; c++)
        if (!((*c >= 'a' && *c <= 'z') || (*c >= 'A' && *c <= 'Z') || (*c >= '0' && *c <= '9') || *c == '_') ||
            c - f > 60)
            return request_fail(r, 73, "Unknown format: the name is not letters and digits");
    r->default_format = mem_strdup(f);
    return 0;
}

struct request *request_new(struct service *s, const struct request_head *head)
{
    struct request *r = mem_alloc(sizeof(*r));
    struct err err = ERR_INIT;

    r->service = s;
    r->client_fd = head->client_fd;
    r->spool_fd = -1;
    r->started_ms = clock_mono_ms(s->clock);
    r->params = head->params ? head->params : params_new();
    r->get = strcmp(head->method, "POST") != 0;
    r->next_scan = STREAM_FROM;
    codes_new_tag(r->tag);

    const char *q = head->params ? NULL : head->url_query;
    int ret = q ? params_parse(r->params, q, strlen(q), &err) : 0;
    if (ret < 0)
        request_fail(r, CH_BAD_ARGUMENTS, err.message);
    if (ret == 0)
        ret = check_query_id(r);
    if (ret == 0)
        ret = check_user(r, head);
    if (ret == 0)
        ret = choose_format(r, head);
    if (ret == 0)
        check_supported(r, head);
    const char *database = head->database ? head->database : params_get(r->params, "database");
    r->database = database && *database ? mem_strdup(database) : NULL;
    const char *query = head->params ? head->sql : params_get(r->params, "query");
    if (query && *query) {
        buf_adds(&r->text, query);
        buf_addc(&r->text, '\n');
    } else {
        r->ping_page = strcmp(head->method, "GET") == 0 || strcmp(head->method, "HEAD") == 0;
    }
    if (!r->user)
        r->user = mem_strdup("");
    if (!r->query_id)
        r->query_id = mem_strdup("");
    if (!r->default_format)
        r->default_format = mem_strdup("TabSeparated");
    return r;
}

bool request_failed(const struct request *r)
{
    return r->exception.code != 0;
}

/* ---- running ---- */

static int open_exec(struct request *r)
{
    struct exec_spec spec = {
        .user = r->user,
        .query_id = r->query_id,
        .database = r->database,
        .params = r->params,
        .kind = r->sql.kind,
        .user_readonly = r->rights.readonly,
        .get = r->get,
    };
    return exec_open(r->service, &spec, &r->exec, &r->exception);
}

static int start_job(struct request *r, enum job_mode mode, const struct sql *sql, const char *text, size_t len)
{
    const struct param *bindings;
    struct err err = ERR_INIT;
    size_t count = params_bindings(r->params, &bindings);
    struct job_spec job = {
        .engine = r->service->engine,
        .conn = exec_conn(r->exec),
        .mode = mode,
        .sql = sql,
        .text = text,
        .len = len,
        .format = result_format(r),
        .bindings = bindings,
        .binding_count = count,
        .tag = exec_tag(r->exec),
    };
    if (job_start(&job, &r->job, &err) < 0)
        return exception_own(&r->exception, r->service, CH_STD_EXCEPTION, "%s", err.message);
    return 0;
}

int request_start(struct request *r, enum job_mode mode, size_t len)
{
    if (open_exec(r) < 0)
        return -EINVAL;
    return start_job(r, mode, &r->sql, r->text.data, len);
}

static int send_data(struct request *r, const void *data, size_t len)
{
    if (!r->insert_over && job_write(r->job, data, len) < 0)
        r->insert_over = true; /* the engine's own error is the reply */
    return 0;
}

static int start_insert(struct request *r)
{
    if (request_start(r, JOB_IN, r->sql.data_at) < 0)
        return -EINVAL;
    send_data(r, r->text.data + r->sql.data_at, r->text.len - r->sql.data_at);
    buf_free(&r->text);
    return 0;
}

static int scan(struct request *r, bool complete)
{
    struct err err = ERR_INIT;
    int code = CH_SYNTAX_ERROR;
    if (sql_scan(r->text.data ? r->text.data : "", r->text.len, complete, &r->sql, &code, &err) < 0)
        return exception_own(&r->exception, r->service, code, "%s", err.message);
    bool reads = false;
    if (r->rights.backup_only && !users_backup_may(r->text.data ? r->text.data : "", r->text.len, &reads))
        return request_fail(r, CH_ACCESS_DENIED, "this user may only make, restore and look at backups");
    r->rights.readonly |= reads;
    return 0;
}

static int too_large(struct request *r)
{
    return exception_own(&r->exception, r->service, CH_QUERY_IS_TOO_LARGE,
                         "the query is larger than %lld bytes (max_query_bytes)",
                         (long long)r->service->config.max_query_bytes);
}

static int take_form(struct request *r, const void *data, size_t len)
{
    buf_add(&r->form, data, len);
    return r->form.len > (size_t)r->service->config.max_query_bytes ? too_large(r) : 0;
}

/* Decoded body: data of a running INSERT, or more of the statement. */
static int take_body(void *user, const void *data, size_t len)
{
    struct request *r = user;

    r->body_bytes += len;
    if (r->body_bytes > (uint64_t)r->service->config.max_body_bytes)
        return exception_own(&r->exception, r->service, CH_QUERY_IS_TOO_LARGE,
                             "the request's body is larger than %lld bytes (max_body_bytes)",
                             (long long)r->service->config.max_body_bytes);
    if (r->job)
        return send_data(r, data, len);
    if (r->rights.gate_only) {
        buf_add(&r->text, data, len);
        return r->text.len > KIB(4) ? too_large(r) : 0;
    }
    if (*r->boundary)
        return take_form(r, data, len);
    buf_add(&r->text, data, len);
    if (r->text.len < r->next_scan)
        return 0;
    r->next_scan = 2 * r->text.len;
    if (scan(r, false) < 0)
        return -EINVAL;
    if (r->sql.has_data && !r->sql.from_input && !r->sql.more)
        return start_insert(r);
    return r->text.len > (size_t)r->service->config.max_query_bytes ? too_large(r) : 0;
}

/* A failed INSERT must not commit what came so far. */
static void drop_job(struct request *r)
{
    if (r->exception.code && r->job)
        job_cancel(r->job);
}

void request_body(struct request *r, const void *data, size_t len)
{
    struct err err = ERR_INIT;
    if (r->exception.code)
        return;
    int ret = r->decoder ? decoder_feed(r->decoder, data, len, take_body, r, &err) : take_body(r, data, len);
    if (ret == -EBADMSG)
        request_fail(r, CH_CANNOT_DECOMPRESS, err.message);
    drop_job(r);
}

/* All data are there: from now on the INSERT is carried out even if the client leaves, as its answer is lost but not
 * its data. */
static int end_insert(struct request *r)
{
    job_write_end(r->job);
    return result_take(r);
}

/* Fills the temporary table that stands for input(). */
static int fill_input(struct request *r)
{
    autobuf struct buf table = BUF_INIT, insert = BUF_INIT;
    struct err err = ERR_INIT;
    struct sql sql;
    int code = CH_BAD_ARGUMENTS;

    sql_input_insert(&r->sql, &insert);
    if (sql_input_table(&r->sql, r->text.data, &table, &code, &err) < 0 ||
        sql_scan(insert.data, insert.len, true, &sql, &code, &err) < 0)
        return exception_own(&r->exception, r->service, code, "%s", err.message);
    if (open_exec(r) < 0 || exec_run(r->exec, table.data, table.len, &r->exception) < 0 ||
        start_job(r, JOB_IN, &sql, insert.data, insert.len) < 0)
        return -EINVAL;
    send_data(r, r->text.data + r->sql.data_at, r->text.len - r->sql.data_at);
    int ret = end_insert(r);
    job_free(r->job);
    r->job = NULL;
    return ret;
}

/* INSERT ... SELECT ... FROM input(...): see sql_input_table. */
static int run_input(struct request *r)
{
    static const char drop[] = "DROP TEMPORARY TABLE IF EXISTS " SQL_INPUT_TABLE;
    autobuf struct buf select = BUF_INIT;
    struct exception ignored = {0};

    int ret = fill_input(r);
    if (ret == 0) {
        sql_input_select(&r->sql, r->text.data, &select);
        ret = start_job(r, JOB_PLAIN, &r->sql, select.data, select.len);
    }
    if (ret == 0)
        ret = result_take(r);
    if (r->exec && exec_run(r->exec, drop, sizeof(drop) - 1, &ignored) < 0)
        buf_free(&ignored.text); /* a session keeps it until its end, or until the next input() fails on it */
    return ret;
}

/* KILL QUERY WHERE query_id = 'x': the engine knows the statement by its tag, not by the client's id. */
static void translate_kill(struct request *r)
{
    char tag[QUERY_TAG_SIZE];
    struct buf text = BUF_INIT;
    if (!r->sql.kill_len || !running_find(r->service->running, r->sql.kill_id, tag))
        return;
    buf_add(&text, r->text.data, r->sql.kill_at);
    engine_tag_condition(tag, &text);
    buf_add(&text, r->text.data + r->sql.kill_at + r->sql.kill_len, r->text.len - r->sql.kill_at - r->sql.kill_len);
    buf_free(&r->text);
    r->text = text;
}

/* The engine itself has one user: those for grants are this server's. */
static int gate_statement(struct request *r)
{
    struct err err = ERR_INIT;
    r->sql.kind = SQL_OTHER;
    int ret = users_gate_statement(r->service->users, r->text.data ? r->text.data : "", r->text.len,
                                   clock_wall_ms(r->service->clock), &err);
    return ret < 0 ? request_fail(r, ret == -ENOSPC ? CH_BAD_ARGUMENTS : CH_ACCESS_DENIED, err.message) : 0;
}

static int run_statement(struct request *r)
{
    struct err err = ERR_INIT;
    if (r->decoder && decoder_finish(r->decoder, &err) < 0)
        return request_fail(r, CH_CANNOT_DECOMPRESS, err.message);
    if (r->rights.gate_only)
        return gate_statement(r);
    if (r->job)
        return end_insert(r);
    if (*r->boundary &&
        multipart_parse(r->form.data ? r->form.data : "", r->form.len, r->boundary, r->params, &r->text, &err) < 0)
        return request_fail(r, CH_BAD_ARGUMENTS, err.message);
    if (scan(r, true) < 0)
        return -EINVAL;
    if (r->sql.kind == SQL_EMPTY)
        return request_fail(r, CH_SYNTAX_ERROR, "Syntax error: Empty query");
    if (r->sql.has_data && r->sql.from_input)
        return run_input(r);
    if (r->sql.has_data)
        return start_insert(r) < 0 ? -EINVAL : end_insert(r);
    if (r->sql.kind == SQL_SELECT)
        return result_select(r);
    translate_kill(r);
    return result_plain(r);
}

/* Before the end of the answer is sent: a client that has it may use its session or its query id again at once. */
void request_release(struct request *r)
{
    job_free(r->job);
    r->job = NULL;
    exec_close(r->exec);
    r->exec = NULL;
}

void request_finish(struct request *r)
{
    if (!r->exception.code && r->ping_page && !r->text.len) {
        r->status = 200;
        buf_adds(&r->body, "Ok.\n");
        r->encoding = CODEC_NONE;
        common_headers(r, "text/html; charset=UTF-8");
        return;
    }
    if (!r->exception.code)
        run_statement(r);
    if (r->exception.code) {
        request_release(r);
        reply_exception(r);
        return;
    }
    reply_result(r);
    if (r->kind == BODY_STREAM)
        return;
    request_release(r);
    request_log(r, 0);
}

void request_free(struct request *r)
{
    if (!r)
        return;
    bool broken_off = r->job && (!r->status || (r->kind == BODY_STREAM && !r->stream_over));
    request_release(r);
    if (broken_off)
        request_log(r, CH_QUERY_WAS_CANCELLED);
    params_free(r->params);
    decoder_free(r->decoder);
    encoder_free(r->encoder);
    if (r->spool_fd >= 0)
        close(r->spool_fd);
    buf_free(&r->form);
    buf_free(&r->text);
    buf_free(&r->body);
    buf_free(&r->exception.text);
    free(r->user);
    free(r->query_id);
    free(r->database);
    free(r->default_format);
    free(r->summary);
    free(r->code_text);
    free(r);
}

/* ---- what http.c sends ---- */

int request_status(const struct request *r)
{
    return r->status;
}

size_t request_headers(const struct request *r, const char *const (**ret)[2])
{
    *ret = (const char *const(*)[2])r->headers;
    return r->header_count;
}

enum request_body_kind request_body_kind(const struct request *r)
{
    return r->kind;
}

char *request_take_body(struct request *r, size_t *ret_len)
{
    *ret_len = r->body.len;
    return buf_take(&r->body);
}

int request_take_file(struct request *r, uint64_t *ret_size)
{
    *ret_size = r->spool_size;
    return oh_take_fd(&r->spool_fd);
}
