/* Times the embedded engine called in this process, as the measure for the same work through its server. */
#include "clickhouse/config.h"
#include "clickhouse/engine.h"

#include "base/fs.h"
#include "base/log.h"

#include <time.h>

static double now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static OH_NORETURN void stop(const char *why)
{
    fprintf(stderr, "bench-in-process: %s\n", why);
    _exit(1);
}

/* Runs it and reads every byte of the result, as a caller would. */
static double timed(struct engine_conn *c, const char *sql, size_t len)
{
    struct engine_result r;
    volatile unsigned char sink OH_UNUSED = 0;
    double began = now();
    engine_query(c, sql, len, "TabSeparated", NULL, 0, &r);
    if (r.error)
        stop(r.error);
    for (size_t i = 0; i < r.len; i += 64)
        sink ^= (unsigned char)r.data[i];
    double took = now() - began;
    engine_result_free(&r);
    return took;
}

static double run(struct engine_conn *c, const char *sql)
{
    return timed(c, sql, strlen(sql));
}

/* Statements come as lines of `name<TAB>SQL`; @FILE at the end of one is replaced by the file's bytes, read before the
 * clock starts. Each line is run in turn, `rounds` times over; the output is `name<TAB>seconds`. */
static void run_line(struct engine_conn *c, char *line)
{
    char *tab = strchr(line, '\t'), *at = strrchr(line, '@');
    autobuf struct buf sql = BUF_INIT;
    struct err err = ERR_INIT;
    if (!tab)
        return;
    *tab = 0;
    buf_add(&sql, tab + 1, at ? (size_t)(at - tab - 1) : strlen(tab + 1));
    if (at) {
        autofree char *data = NULL;
        size_t len;
        if (fs_read(at + 1, (size_t)1 << 30, &data, &len, &err) < 0)
            stop(err.message);
        buf_addc(&sql, '\n');
        buf_add(&sql, data, len);
    }
    double took = timed(c, sql.data, sql.len);
    if (*line != '-')
        printf("%s\t%.6f\n", line, took);
    *tab = '\t';
}

int main(int argc, char **argv)
{
    struct config config = {0};
    struct engine *engine;
    struct engine_conn *conn;
    struct err err = ERR_INIT;
    autofree char *engine_config = NULL, *text = NULL;

    if (argc != 4)
        stop("usage: bench-in-process CONFIG STATEMENTS ROUNDS");
    double began = now();
    if (config_load(argv[1], &config, &err) < 0 || config_engine(&config, &engine_config, &err) < 0 ||
        engine_open(config.library, config.data_path, engine_config, &engine, &err) < 0 ||
        engine_connect(engine, &conn, &err) < 0)
        stop(err.message);
    run(conn, "SET implicit_select = 0, allow_introspection_functions = 0");
    printf("start\t%.6f\n", now() - began);
    for (int round = 0; round < atoi(argv[3]); round++) {
        size_t len;
        if (fs_read(argv[2], MIB(1), &text, &len, &err) < 0)
            stop(err.message);
        for (char *rest = text, *line; (line = strsep(&rest, "\n"));)
            run_line(conn, line);
        free(TAKE_PTR(text));
    }
    fflush(stdout);
    engine_disconnect(conn);
    engine_close(engine);
    _exit(0);
}
