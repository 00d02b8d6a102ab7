/* Loads libchdb and runs statements on it. */
#include "clickhouse/engine.h"

#include "base/mem.h"

#include <dlfcn.h>
#include <elf.h>
#include <pthread.h>
#include <sys/stat.h>

typedef struct {
    void *internal;
} * chdb_connection;
typedef struct {
    void *internal;
} chdb_result;

/* The setting that carries the tag: it has no effect unless perf events are collected, and clients leave it alone
 * (log_comment, the obvious carrier, is theirs). */
#define TAG_SETTING "metrics_perf_events_list"

struct api {
    chdb_connection *(*connect)(int argc, char **argv);
    void (*close_conn)(chdb_connection *conn);
    chdb_result *(*query)(chdb_connection conn, const char *sql, size_t sql_len, const char *format, size_t format_len,
                          const char *const *names, const size_t *name_lens, const char *const *values,
                          const size_t *value_lens, size_t count);
    char *(*buffer)(chdb_result *r);
    size_t (*length)(chdb_result *r);
    const char *(*error)(chdb_result *r);
    double (*elapsed)(chdb_result *r);
    uint64_t (*rows_read)(chdb_result *r);
    uint64_t (*bytes_read)(chdb_result *r);
    uint64_t (*storage_rows_read)(chdb_result *r);
    uint64_t (*storage_bytes_read)(chdb_result *r);
    uint64_t (*rows_written)(chdb_result *r);
    uint64_t (*bytes_written)(chdb_result *r);
    void (*destroy)(chdb_result *r);
    void (*set_signal_handlers)(bool enabled);
};

struct engine {
    struct api api;
    char *data_arg, *config_arg;
    char *version, *timezone;
    pthread_mutex_t kill_lock;
    struct engine_conn *admin; /* under kill_lock: starts the engine, kills queries */
};

struct engine_conn {
    struct engine *engine;
    chdb_connection *handle;
};

/* The loader maps what the file's tables promise, and a file cut short would end the process with SIGBUS. The section
 * table is the last thing in the file. */
static int check_whole(const char *library, struct err *err)
{
    autoclose int fd = open(library, O_RDONLY | O_CLOEXEC);
    Elf64_Ehdr head;
    struct stat st;

    if (fd < 0 || fstat(fd, &st) < 0)
        return err_set(err, -errno, "the engine's library %s cannot be read: %s; run tools/fetch-chdb", library,
                       strerror(errno));
    if (read(fd, &head, sizeof(head)) != sizeof(head) || memcmp(head.e_ident, ELFMAG, SELFMAG) != 0 ||
        head.e_shoff + (uint64_t)head.e_shnum * head.e_shentsize > (uint64_t)st.st_size)
        return err_set(err, -ELIBBAD, "the engine's library %s is cut short or damaged; run tools/fetch-chdb again",
                       library);
    return 0;
}

static int api_load(const char *library, struct api *api, struct err *err)
{
    const struct {
        const char *name;
        void *at;
    } symbols[] = {
        {"chdb_connect", &api->connect},
        {"chdb_close_conn", &api->close_conn},
        {"chdb_query_with_params_n", &api->query},
        {"chdb_result_buffer", &api->buffer},
        {"chdb_result_length", &api->length},
        {"chdb_result_error", &api->error},
        {"chdb_result_elapsed", &api->elapsed},
        {"chdb_result_rows_read", &api->rows_read},
        {"chdb_result_bytes_read", &api->bytes_read},
        {"chdb_result_storage_rows_read", &api->storage_rows_read},
        {"chdb_result_storage_bytes_read", &api->storage_bytes_read},
        {"chdb_result_rows_written", &api->rows_written},
        {"chdb_result_bytes_written", &api->bytes_written},
        {"chdb_destroy_query_result", &api->destroy},
        {"chdb_set_signal_handlers_enabled", &api->set_signal_handlers},
    };
    int r = check_whole(library, err);
    if (r < 0)
        return r;
    void *so = dlopen(library, RTLD_NOW | RTLD_LOCAL);
    if (!so)
        return err_set(err, -ELIBBAD, "the engine's library %s cannot be loaded (%s); run tools/fetch-chdb again",
                       library, dlerror());
    for (size_t i = 0; i < ARRAY_SIZE(symbols); i++) {
        void *f = dlsym(so, symbols[i].name);
        if (!f)
            return err_set(err, -ELIBBAD, "%s has no function %s: it is not the chDB library this was built for",
                           library, symbols[i].name);
        memcpy(symbols[i].at, &f, sizeof(f));
    }
    return 0;
}

int engine_connect(struct engine *e, struct engine_conn **ret, struct err *err)
{
    char *argv[] = {(char[]){"clickhouse"}, e->data_arg, e->config_arg, NULL};
    chdb_connection *handle = e->api.connect(3, argv);

    if (!handle || !*handle)
        return err_set(err, -EIO, "the engine refused to open %s", e->data_arg + strlen("--path="));
    struct engine_conn *c = mem_alloc(sizeof(*c));
    c->engine = e;
    c->handle = handle;
    *ret = c;
    return 0;
}

void engine_disconnect(struct engine_conn *c)
{
    if (!c)
        return;
    c->engine->api.close_conn(c->handle);
    free(c);
}

void engine_query(struct engine_conn *c, const char *sql, size_t len, const char *format, const struct param *bindings,
                  size_t count, struct engine_result *ret)
{
    const struct api *api = &c->engine->api;
    autofree const char **names = mem_alloc((count + 1) * sizeof(*names));
    autofree const char **values = mem_alloc((count + 1) * sizeof(*values));
    autofree size_t *name_lens = mem_alloc((count + 1) * sizeof(size_t));
    autofree size_t *value_lens = mem_alloc((count + 1) * sizeof(size_t));

    for (size_t i = 0; i < count; i++) {
        names[i] = bindings[i].name;
        name_lens[i] = strlen(bindings[i].name);
        values[i] = bindings[i].value;
        value_lens[i] = bindings[i].value_len;
    }
    *ret = (struct engine_result){0};
    chdb_result *r =
        api->query(*c->handle, sql, len, format, strlen(format), names, name_lens, values, value_lens, count);
    if (!r) {
        ret->error = "Code: 1001. DB::Exception: the engine gave no result. (STD_EXCEPTION)";
        return;
    }
    ret->handle = r;
    ret->error = api->error(r);
    if (ret->error) /* the counters of a failed query are not set by the library */
        return;
    ret->data = api->buffer(r);
    ret->len = ret->data ? api->length(r) : 0;
    ret->stats = (struct query_stats){
        .read_rows = api->storage_rows_read(r),
        .read_bytes = api->storage_bytes_read(r),
        .written_rows = api->rows_written(r),
        .written_bytes = api->bytes_written(r),
        .result_rows = api->rows_read(r),
        .result_bytes = api->bytes_read(r),
        .elapsed_ns = (uint64_t)(api->elapsed(r) * 1e9),
    };
    if (ret->stats.written_rows) { /* INSERT: what was read is what was written */
        ret->stats.read_rows = MAX(ret->stats.read_rows, ret->stats.result_rows);
        ret->stats.read_bytes = MAX(ret->stats.read_bytes, ret->stats.result_bytes);
        ret->stats.result_rows = ret->stats.written_rows;
        ret->stats.result_bytes = ret->stats.written_bytes;
    }
    /* c->engine outlives its results. */
}

/* The function is the same in every result, so remembering one pointer is enough. */
static void (*result_destroy)(chdb_result *r);

void engine_result_free(struct engine_result *r)
{
    if (r->handle)
        result_destroy(r->handle);
    *r = (struct engine_result){0};
}

static int first_query(struct engine *e, struct err *err)
{
    static const char sql[] = "SELECT version(), timezone()";
    struct engine_result r;
    int ret = 0;

    engine_query(e->admin, sql, sizeof(sql) - 1, "TabSeparated", NULL, 0, &r);
    const char *tab = r.error ? NULL : memchr(r.data, '\t', r.len);
    if (r.error) {
        ret = err_set(err, -EIO, "the engine does not work: %s", r.error);
    } else if (!tab) {
        ret = err_set(err, -EIO, "the engine does not work: it gave an answer that makes no sense");
    } else {
        const char *end = r.data + r.len - (r.data[r.len - 1] == '\n');
        e->version = mem_strndup(r.data, (size_t)(tab - r.data));
        e->timezone = mem_strndup(tab + 1, (size_t)(end - tab - 1));
    }
    engine_result_free(&r);
    return ret;
}

int engine_open(const char *library, const char *data_path, const char *config_path, struct engine **ret,
                struct err *err)
{
    struct engine *e = mem_alloc(sizeof(*e));
    pthread_mutex_init(&e->kill_lock, NULL);
    e->data_arg = mem_printf("--path=%s", data_path);
    e->config_arg = mem_printf("--config-file=%s", config_path);

    int r = api_load(library, &e->api, err);
    if (r == 0) {
        result_destroy = e->api.destroy;
        e->api.set_signal_handlers(false); /* signals are this program's */
        r = engine_connect(e, &e->admin, err);
    }
    if (r == 0)
        r = first_query(e, err);
    if (r < 0)
        engine_close(e);
    else
        *ret = e;
    return r;
}

void engine_close(struct engine *e)
{
    engine_disconnect(e->admin);
    pthread_mutex_destroy(&e->kill_lock);
    free(e->data_arg);
    free(e->config_arg);
    free(e->version);
    free(e->timezone);
    free(e);
}

const char *engine_version(const struct engine *e)
{
    return e->version;
}

const char *engine_timezone(const struct engine *e)
{
    return e->timezone;
}

void engine_tag_sql(const char *tag, struct buf *out)
{
    buf_printf(out, TAG_SETTING " = '%s'", tag);
}

void engine_tag_condition(const char *tag, struct buf *out)
{
    buf_printf(out, "Settings['" TAG_SETTING "'] = '%s'", tag);
}

bool engine_kill(struct engine *e, const char *tag)
{
    autobuf struct buf sql = BUF_INIT;
    struct engine_result r;

    buf_adds(&sql, "KILL QUERY WHERE ");
    engine_tag_condition(tag, &sql);
    buf_adds(&sql, " ASYNC");
    pthread_mutex_lock(&e->kill_lock);
    engine_query(e->admin, sql.data, sql.len, "TabSeparated", NULL, 0, &r);
    bool found = !r.error && r.len > 0;
    engine_result_free(&r);
    pthread_mutex_unlock(&e->kill_lock);
    return found;
}
