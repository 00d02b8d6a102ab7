/* Runs one HTTP request against the engine. */
#include "clickhouse/request.h"

#include "base/keys.h"
#include "base/log.h"
#include "base/mem.h"
#include "clickhouse/auth.h"
#include "clickhouse/codec.h"
#include "clickhouse/exec.h"
#include "clickhouse/job.h"

#include <poll.h>
#include <strings.h>

#define HOLD_DEFAULT MIB(1) /* result held back before the headers go, as the server does */
#define HOLD_MAX MIB(64)
#define STREAM_FROM KIB(256) /* INSERT data are led through a pipe beyond this much of body */
#define READ_SIZE KIB(256)
#define QUERY_ID_MAX 128
#define MAX_HEADERS 16

struct request {
    struct service *service;
    struct params *params;
    char *user, *query_id, *database, *default_format;
    bool get, user_readonly, ping_page;
    int client_fd;
    int64_t started_ms;

    struct decoder *decoder;
    uint64_t body_bytes;
    struct buf text;  /* statement so far, with data that follow it */
    size_t next_scan; /* look again at this length */
    bool insert_over; /* the engine ended before the data did */

    struct sql sql;
    struct exec *exec;
    struct job *job;
    struct query_stats stats;
    uint64_t sent_bytes;
    bool logged;

    struct exception exception;
    enum codec_kind encoding;
    struct encoder *encoder;
    struct buf body;
    enum request_body_kind kind;
    int spool_fd;
    uint64_t spool_size;
    bool stream_over, stream_failed;
    char tag[CODES_TAG_SIZE];

    int status;
    const char *headers[MAX_HEADERS][2];
    size_t header_count;
    char *summary, *code_text;
};

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

static void log_execution(struct request *r, int code)
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
    log_execution(r, r->exception.code);
}

static void reply_result(struct request *r)
{
    r->status = 200;
    common_headers(r, codes_content_type(result_format(r)));
    header(r, "X-ClickHouse-Format", result_format(r));
    encode_body(r);
}

/* ---- head ---- */

static int fail(struct request *r, int code, const char *message)
{
    return exception_own(&r->exception, r->service, code, "%s", message);
}

static int check_user(struct request *r, const struct request_head *head)
{
    struct credentials c;
    struct err err = ERR_INIT;

    if (auth_credentials(head->authorization, head->user, head->key, r->params, &c, &err) < 0)
        return fail(r, CH_AUTHENTICATION_FAILED, err.message);
    r->user = mem_strdup(c.user);
    bool right = users_check(r->service->users, c.user, c.password, c.password_len, &r->user_readonly);
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
        return fail(r, CH_BAD_ARGUMENTS, "query_id is longer than 128 bytes");
    for (const char *c = id; *c; c++)
        if (*c < 0x20 || *c > 0x7e)
            return fail(r, CH_BAD_ARGUMENTS, "query_id has characters that are not printable ASCII");
    r->query_id = mem_strdup(id);
    return 0;
}

static int check_supported(struct request *r, const struct request_head *head)
{
    enum codec_kind coding = CODEC_NONE;
    if (params_flag(r->params, "compress", false) || params_flag(r->params, "decompress", false))
        return fail(r, CH_NOT_IMPLEMENTED,
                    "compress and decompress (the native block format) are not supported by "
                    "the embedded engine's server: use Content-Encoding and Accept-Encoding "
                    "with gzip or zstd");
    if (params_get(r->params, "role"))
        return fail(r, CH_UNKNOWN_ROLE, "the embedded engine has no roles");
    if (head->content_type && strncasecmp(head->content_type, "multipart/", 10) == 0)
        return fail(r, CH_NOT_IMPLEMENTED,
                    "multipart bodies are not supported by the embedded engine's server: use "
                    "URL parameters");
    if (head->content_encoding && codec_parse(head->content_encoding, &coding) < 0)
        return fail(r, CH_NOT_IMPLEMENTED, "this Content-Encoding is not supported: use gzip, deflate or zstd");
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
            return fail(r, 73, "Unknown format: the name is not letters and digits");
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
    r->params = params_new();
    r->get = strcmp(head->method, "POST") != 0;
    r->next_scan = STREAM_FROM;
    codes_new_tag(r->tag);

    const char *q = head->url_query;
    int ret = q ? params_parse(r->params, q, strlen(q), &err) : 0;
    if (ret < 0)
        fail(r, CH_BAD_ARGUMENTS, err.message);
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
    const char *query = params_get(r->params, "query");
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
        .user_readonly = r->user_readonly,
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

static int start(struct request *r, enum job_mode mode, size_t len)
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
    if (start(r, JOB_IN, r->sql.data_at) < 0)
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
    return 0;
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
    buf_add(&r->text, data, len);
    if (r->text.len < r->next_scan)
        return 0;
    r->next_scan = 2 * r->text.len;
    if (scan(r, false) < 0)
        return -EINVAL;
    if (r->sql.has_data && !r->sql.from_input && !r->sql.more)
        return start_insert(r);
    if (r->text.len > (size_t)r->service->config.max_query_bytes)
        return exception_own(&r->exception, r->service, CH_QUERY_IS_TOO_LARGE,
                             "the query is larger than %lld bytes (max_query_bytes)",
                             (long long)r->service->config.max_query_bytes);
    return 0;
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
        fail(r, CH_CANNOT_DECOMPRESS, err.message);
    drop_job(r);
}

static bool client_gone(const struct request *r, short revents)
{
    return r->client_fd >= 0 && (revents & (POLLRDHUP | POLLHUP | POLLERR)) != 0;
}

/* Waits for fd; -ECANCELED when the client went away before and `watch` is set. */
static int wait_for(struct request *r, int fd, bool watch)
{
    struct pollfd fds[2] = {{fd, POLLIN, 0}, {watch ? r->client_fd : -1, POLLRDHUP, 0}};
    for (;;) {
        if (poll(fds, 2, -1) < 0) {
            if (errno == EINTR)
                continue;
            return -errno;
        }
        if (fds[0].revents)
            return 0;
        if (client_gone(r, fds[1].revents))
            return -ECANCELED;
    }
}

static int client_left(struct request *r)
{
    job_cancel(r->job);
    return fail(r, CH_QUERY_WAS_CANCELLED, "Query was cancelled because the client closed the connection");
}

/* The statement has ended: its error, or its counters. */
static int take_result(struct request *r)
{
    const struct engine_result *result = job_wait(r->job);
    if (result->error)
        return exception_engine(&r->exception, r->service, result->error);
    r->stats = result->stats;
    return 0;
}

/* ---- results ---- */

static ssize_t read_job(struct request *r, void *out, size_t max)
{
    for (;;) {
        ssize_t n = read(job_out_fd(r->job), out, max);
        if (n >= 0)
            return n;
        if (errno != EAGAIN && errno != EINTR)
            return -errno;
        if (errno == EAGAIN) {
            int w = wait_for(r, job_out_fd(r->job), true);
            if (w < 0)
                return w;
        }
    }
}

static int spool_write(struct request *r, const struct buf *b)
{
    for (size_t at = 0; at < b->len;) {
        ssize_t n = write(r->spool_fd, b->data + at, b->len - at);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return exception_own(&r->exception, r->service, CH_STD_EXCEPTION,
                                 "cannot hold the result back in %s/tmp: %s", r->service->config.data_path,
                                 strerror(errno));
        at += (size_t)n;
    }
    r->spool_size += b->len;
    return 0;
}

static int spool_add(struct request *r, const void *data, size_t len, bool last)
{
    autobuf struct buf out = BUF_INIT;
    r->sent_bytes += len;
    if (r->sent_bytes > (uint64_t)r->service->config.max_spool_bytes)
        return exception_own(&r->exception, r->service, CH_TOO_MANY_ROWS_OR_BYTES,
                             "the result is larger than %lld bytes (max_spool_bytes), more than wait_end_of_query "
                             "can hold back",
                             (long long)r->service->config.max_spool_bytes);
    encoder_feed(r->encoder, data, len, false, last, &out);
    return spool_write(r, &out);
}

/* wait_end_of_query: the whole result goes to a file without a name before the first byte is sent. */
static int spool_rest(struct request *r)
{
    autofree
    char *dir = mem_printf("%s/tmp", r->service->config.data_path);
    autofree
    char *piece = mem_alloc(READ_SIZE);
    ssize_t n;

    r->spool_fd = open(dir, O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);
    if (r->spool_fd < 0)
        return exception_own(&r->exception, r->service, CH_STD_EXCEPTION, "cannot make a temporary file in %s: %s", dir,
                             strerror(errno));
    r->kind = BODY_FILE;
    r->encoder = encoder_new(r->encoding, 0);
    if (spool_add(r, r->body.data, r->body.len, false) < 0)
        return -EINVAL;
    buf_free(&r->body);
    while ((n = read_job(r, piece, READ_SIZE)) > 0)
        if (spool_add(r, piece, (size_t)n, false) < 0)
            return -EINVAL;
    if (n == -ECANCELED)
        return client_left(r);
    if (spool_add(r, "", 0, true) < 0)
        return -EINVAL;
    return take_result(r);
}

static size_t hold_size(struct request *r, bool *ret_wait)
{
    uint64_t hold = 0;
    struct err ignored = ERR_INIT;
    *ret_wait =
        params_flag(r->params, "wait_end_of_query", false) || params_flag(r->params, "http_wait_end_of_query", false);
    if (params_number(r->params, "buffer_size", HOLD_MAX, &hold, &ignored) < 0 ||
        (hold == 0 && params_number(r->params, "http_response_buffer_size", HOLD_MAX, &hold, &ignored) < 0))
        hold = HOLD_MAX;
    return hold ? (size_t)hold : HOLD_DEFAULT;
}

/* SELECT: a result that ends within the hold is sent whole, so an error gets its status; else it is streamed. */
static int run_select(struct request *r)
{
    autofree
    char *piece = mem_alloc(READ_SIZE);
    bool wait;
    size_t hold = hold_size(r, &wait);
    ssize_t n;

    if (start(r, JOB_OUT, r->text.len) < 0)
        return -EINVAL;
    while ((n = read_job(r, piece, READ_SIZE)) > 0) {
        buf_add(&r->body, piece, (size_t)n);
        if (r->body.len >= hold)
            break;
    }
    if (n == -ECANCELED)
        return client_left(r);
    if (n == 0) {
        r->sent_bytes = r->body.len;
        return take_result(r);
    }
    if (wait)
        return spool_rest(r);
    r->kind = BODY_STREAM;
    r->encoder = encoder_new(r->encoding, 0);
    r->sent_bytes = r->body.len;
    struct buf held = r->body;
    r->body = BUF_INIT;
    encoder_feed(r->encoder, held.data, held.len, false, false, &r->body);
    buf_free(&held);
    return 0;
}

static int run_plain(struct request *r)
{
    bool reads = r->sql.kind == SQL_SHOW || r->sql.kind == SQL_KILL;
    if (start(r, JOB_PLAIN, r->text.len) < 0)
        return -EINVAL;
    if (wait_for(r, job_done_fd(r->job), reads) == -ECANCELED)
        return client_left(r);
    if (take_result(r) < 0)
        return -EINVAL;
    const struct engine_result *result = job_wait(r->job);
    buf_add(&r->body, result->data, result->len);
    r->sent_bytes = result->len;
    return 0;
}

/* All data are there: from now on the INSERT is carried out even if the client leaves, as its answer is lost but not
 * its data. */
static int end_insert(struct request *r)
{
    job_write_end(r->job);
    return take_result(r);
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
        ret = take_result(r);
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

static int run_statement(struct request *r)
{
    struct err err = ERR_INIT;
    if (r->decoder && decoder_finish(r->decoder, &err) < 0)
        return fail(r, CH_CANNOT_DECOMPRESS, err.message);
    if (r->job)
        return end_insert(r);
    if (scan(r, true) < 0)
        return -EINVAL;
    if (r->sql.kind == SQL_EMPTY)
        return fail(r, CH_SYNTAX_ERROR, "Syntax error: Empty query");
    if (r->sql.has_data && r->sql.from_input)
        return run_input(r);
    if (r->sql.has_data)
        return start_insert(r) < 0 ? -EINVAL : end_insert(r);
    if (r->sql.kind == SQL_SELECT)
        return run_select(r);
    translate_kill(r);
    return run_plain(r);
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
        drop_job(r);
        reply_exception(r);
        return;
    }
    reply_result(r);
    if (r->kind != BODY_STREAM)
        log_execution(r, 0);
}

void request_free(struct request *r)
{
    if (!r)
        return;
    bool broken_off = r->job && (!r->status || (r->kind == BODY_STREAM && !r->stream_over));
    job_free(r->job);
    if (broken_off)
        log_execution(r, CH_QUERY_WAS_CANCELLED);
    exec_close(r->exec);
    params_free(r->params);
    decoder_free(r->decoder);
    encoder_free(r->encoder);
    if (r->spool_fd >= 0)
        close(r->spool_fd);
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

/* The query ended while its result was being sent: the rest of the codec's output, and the exception if there was
 * one. */
static void end_stream(struct request *r)
{
    autobuf struct buf tail = BUF_INIT;
    r->stream_over = true;
    if (take_result(r) < 0) {
        r->stream_failed = true;
        codes_exception_frame(r->exception.text.data, r->tag, &tail);
    }
    encoder_feed(r->encoder, tail.data, tail.len, false, true, &r->body);
    log_execution(r, r->exception.code);
}

ssize_t request_read(struct request *r, char *out, size_t max)
{
    autofree
    char *piece = NULL;
    while (r->body.len == 0 && !r->stream_over) {
        if (r->encoding == CODEC_NONE) { /* straight through */
            ssize_t n = read_job(r, out, max);
            if (n < 0)
                return -EIO;
            r->sent_bytes += (uint64_t)n;
            if (n > 0)
                return n;
            end_stream(r);
            continue;
        }
        if (!piece)
            piece = mem_alloc(READ_SIZE);
        ssize_t n = read_job(r, piece, READ_SIZE);
        if (n < 0)
            return -EIO;
        if (n > 0) {
            r->sent_bytes += (uint64_t)n;
            encoder_feed(r->encoder, piece, (size_t)n, n < (ssize_t)KIB(64), false, &r->body);
        } else {
            end_stream(r);
        }
    }
    if (r->body.len == 0)
        return r->stream_failed ? -EIO : 0;
    size_t n = MIN(max, r->body.len);
    memcpy(out, r->body.data, n);
    buf_consume(&r->body, n);
    return (ssize_t)n;
}
