/* ownhouse-clickhouse: the embedded ClickHouse engine behind ClickHouse's HTTP interface. */
#include "clickhouse/http.h"
#include "clickhouse/metrics.h"
#include "clickhouse/query_run.h"

#include "base/fs.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/sandbox.h"
#include "version.h"

#include <getopt.h>
#include <signal.h>
#include <sys/file.h>
#include <sys/wait.h>

#define CLOSE_TIMEOUT_S 10
#define KILL_ROUNDS 100
#define TICK_MS 20

static void help(void)
{
    puts("usage: ownhouse-clickhouse --config FILE [--check-config]\n"
         "\n"
         "Serves ClickHouse's HTTP interface from the embedded engine (chDB), without TLS, on a Unix socket or the\n"
         "loopback. SIGHUP reads the users file again and reopens the execution log; SIGTERM ends in order.\n"
         "\n"
         "  --config FILE     the configuration, `key = value` lines\n"
         "  --check-config    checks the configuration and the users file, then leaves\n"
         "  --version         prints the version\n"
         "  --help            prints this\n"
         "\n"
         "Keys of the configuration, with defaults in brackets:");
    config_help(stdout);
}

static int complain(const struct err *err)
{
    fprintf(stderr, "ownhouse-clickhouse: %s\n", err->message);
    log_error("cannot start", "error", err->message);
    return 1;
}

/* The lock lives as long as the process; the kernel drops it however the process ends. */
static int take_lock(const char *data_path, struct err *err)
{
    autofree char *path = mem_printf("%s/ownhouse-clickhouse.lock", data_path);
    char pid[32] = "";
    int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);

    if (fd < 0)
        return err_set(err, -errno, "data_path: cannot open %s: %s", path, strerror(errno));
    if (flock(fd, LOCK_EX | LOCK_NB) < 0) {
        ssize_t n = read(fd, pid, sizeof(pid) - 1);
        pid[n > 0 ? strcspn(pid, "\n") : 0] = 0;
        close(fd);
        return err_set(err, -EBUSY,
                       "data_path: %s is in use by another ownhouse-clickhouse (process %s); stop it "
                       "or name another data_path",
                       data_path, *pid ? pid : "unknown");
    }
    int n = snprintf(pid, sizeof(pid), "%d\n", getpid());
    if (ftruncate(fd, 0) < 0 || write(fd, pid, (size_t)n) != n) {
        int r = -errno;
        close(fd);
        return err_set_errno(err, r, "data_path: cannot write %s", path);
    }
    return 0;
}

static char *parent(const char *path)
{
    const char *slash = strrchr(path, '/');
    return slash && slash != path ? mem_strndup(path, (size_t)(slash - path)) : mem_strdup("/");
}

/* SQL can name files in more ways than can be listed, so the kernel says which ones there are: the process's own. */
static int confine(const struct config *c, struct err *err)
{
    autofree char *library = parent(c->library), *users = parent(c->users_file), *log = parent(c->query_log);
    autofree char *socket = parent(c->listen);
    char self[4096] = "";
    if (readlink("/proc/self/exe", self, sizeof(self) - 1) < 0)
        return err_set_errno(err, -errno, "cannot find this program's own file");
    /* The engine reads the program when it makes the text of an exception, and aborts if it cannot. */
    const char *read[8] = {self, library, users, "/sys/fs/cgroup", "/etc/machine-id", "/etc/timezone"};
    const char *write[8] = {c->data_path, c->bucket_path};
    size_t n = 2;
    struct sandbox_rules rules = {
        .read = read, .write = write, .allow = SANDBOX_INET | SANDBOX_LISTEN | SANDBOX_THREADS};
    struct sandbox_report report;
    char text[64];

    if (*c->backup_path)
        write[n++] = c->backup_path;
    if (*c->restore_path)
        read[6] = c->restore_path;
    if (*c->query_log)
        write[n++] = log;
    if (c->listen[0] == '/')
        write[n++] = socket;
    int r = sandbox_apply(&rules, &report, err);
    if (r < 0)
        return r;
    sandbox_describe(&report, text);
    log_info("confined", "by", text);
    return 0;
}

/* What each start makes anew, such as the views for diagnosis. A statement that fails is told of and keeps nothing else
 * from being served: the customer's tables do not depend on it. */
static void run_startup(struct engine *e, char *text)
{
    struct engine_conn *conn = NULL;
    struct err err = ERR_INIT;
    if (engine_connect(e, &conn, &err) < 0) {
        log_warn("the startup statements were not run", "error", err.message);
        return;
    }
    for (char *line; (line = strsep(&text, "\n"));) {
        struct engine_result r;
        if (!*line)
            continue;
        engine_query(conn, line, strlen(line), "Null", NULL, 0, &r);
        if (r.error)
            log_warn("a startup statement failed", "error", r.error);
        engine_result_free(&r);
    }
    engine_disconnect(conn);
}

/* Saved queries have their place in the customer's own database, as soon as there is a query endpoint. */
static void make_query_tables(struct service *s)
{
    autofree char *text = mem_strdup(query_tables);
    char service[UUID_SIZE];
    if (query_access_service(s->query_access, service))
        run_startup(s->engine, text);
}

static int open_service(struct service *s, struct err *err)
{
    const struct config *c = &s->config;
    autofree char *engine_config = NULL, *startup = NULL, *log = parent(c->query_log);

    s->clock = &clock_system;
    if (*c->display_name)
        snprintf(s->display_name, sizeof(s->display_name), "%s", c->display_name);
    else if (gethostname(s->display_name, sizeof(s->display_name) - 1) < 0)
        snprintf(s->display_name, sizeof(s->display_name), "ownhouse");
    int r = users_load(c->users_file, &s->users, err);
    if (r == 0)
        r = query_access_load(c->users_file, &s->query_access, err);
    if (r == 0)
        r = fs_mkdirs(c->data_path, 0700, err);
    if (r == 0)
        r = take_lock(c->data_path, err);
    if (r == 0)
        r = config_engine(c, &engine_config, err);
    if (r == 0 && *c->query_log)
        r = fs_mkdirs(log, 0700, err);
    if (r == 0)
        r = qlog_open(c->query_log, c->query_log_users, &s->qlog, err);
    if (r == 0 && *c->startup_file)
        r = fs_read(c->startup_file, MIB(1), &startup, NULL, err);
    if (r == 0)
        r = confine(c, err);
    if (r == 0)
        r = engine_open(c->library, c->data_path, engine_config, &s->engine, err);
    if (r < 0)
        return r;
    if (startup)
        run_startup(s->engine, startup);
    make_query_tables(s);
    s->running = running_new((size_t)c->max_concurrent_queries);
    s->sessions = sessions_new(s->engine, s->clock, (size_t)c->max_sessions);
    return 0;
}

static void reload(struct service *s)
{
    struct err err = ERR_INIT;
    if (users_reload(s->users, &err) < 0)
        log_error("users file not reloaded, the users of before stay", "error", err.message);
    else
        log_info("users file reloaded");
    err = ERR_INIT;
    if (query_access_reload(s->query_access, &err) < 0)
        log_error("query endpoint not reloaded, that of before stays", "error", err.message);
    else
        make_query_tables(s);
    err = ERR_INIT;
    if (qlog_reopen(s->qlog, &err) < 0)
        log_error("execution log not reopened", "error", err.message);
}

static void serve(struct service *s, const sigset_t *signals)
{
    const struct timespec second = {.tv_sec = 1};
    for (;;) {
        int sig = sigtimedwait(signals, NULL, &second);
        if (sig == SIGTERM || sig == SIGINT)
            return;
        if (sig == SIGHUP)
            reload(s);
        sessions_expire(s->sessions);
    }
}

static void still_closing(int sig)
{
    _exit(1);
}

static bool idle_within(const struct http *h, int64_t ms)
{
    for (int64_t waited = 0; http_active(h) && waited < ms; waited += TICK_MS)
        usleep(TICK_MS * 1000);
    return http_active(h) == 0;
}

/* Running queries get their time, then they are stopped; the engine is closed, so that nothing is replayed at the
 * next start. The engine's destructors may hang at exit, so the process leaves by _exit. */
static OH_NORETURN void shut_down(struct service *s, struct http *h, struct metrics *m)
{
    char count[32];
    snprintf(count, sizeof(count), "%zu", running_count(s->running));
    log_info("shutting down", "running_queries", count);
    atomic_store(&s->draining, true);
    http_quiesce(h);
    bool idle = idle_within(h, s->config.shutdown_timeout_s * 1000);
    for (int i = 0; !idle && i < KILL_ROUNDS; i++) {
        running_stop_all(s->running, s->engine);
        idle = idle_within(h, 100);
    }
    if (!idle) {
        log_warn("queries did not stop, leaving without closing the engine");
        _exit(1);
    }
    signal(SIGALRM, still_closing);
    alarm(CLOSE_TIMEOUT_S);
    metrics_stop(m);
    sessions_free(s->sessions);
    engine_close(s->engine);
    log_info("stopped");
    _exit(0);
}

static int run(const char *config_path, bool check_only)
{
    static struct service service;
    struct err err = ERR_INIT;
    struct http *http;
    struct metrics *metrics = NULL;
    enum log_level level;
    sigset_t signals;

    if (config_load(config_path, &service.config, &err) < 0)
        return complain(&err);
    if (log_level_parse(service.config.log_level, &level) == 0)
        log_init("ownhouse-clickhouse", "server", level, STDERR_FILENO);
    if (check_only) {
        if (users_load(service.config.users_file, &service.users, &err) < 0 ||
            query_access_load(service.config.users_file, &service.query_access, &err) < 0)
            return complain(&err);
        puts("the configuration is valid");
        return 0;
    }
    /* Before any thread is there: signals come to serve() only. */
    signal(SIGPIPE, SIG_IGN);
    sigemptyset(&signals);
    sigaddset(&signals, SIGTERM);
    sigaddset(&signals, SIGINT);
    sigaddset(&signals, SIGHUP);
    pthread_sigmask(SIG_BLOCK, &signals, NULL);

    int64_t began = clock_mono_ms(&clock_system);
    int r = open_service(&service, &err);
    if (r == 0)
        r = metrics_start(&service, &metrics, &err);
    if (r == 0)
        r = http_start(&service, &http, &err);
    if (r < 0) {
        complain(&err);
        _exit(1); /* the engine may be loaded: see shut_down */
    }
    char took[32];
    snprintf(took, sizeof(took), "%lld", (long long)(clock_mono_ms(&clock_system) - began));
    log_info("ready", "listen", service.config.listen, "engine", engine_version(service.engine), "start_ms", took);
    serve(&service, &signals);
    shut_down(&service, http, metrics);
}

int main(int argc, char **argv)
{
    static const struct option options[] = {{"config", required_argument, NULL, 'c'},
                                            {"check-config", no_argument, NULL, 'k'},
                                            {"version", no_argument, NULL, 'v'},
                                            {"help", no_argument, NULL, 'h'},
                                            {0}};
    const char *config = NULL;
    bool check = false;
    int c;

    log_init("ownhouse-clickhouse", "server", LOG_LEVEL_INFO, STDERR_FILENO);
    while ((c = getopt_long(argc, argv, "", options, NULL)) != -1) {
        if (c == 'c') {
            config = optarg;
        } else if (c == 'k') {
            check = true;
        } else if (c == 'v') {
            puts("ownhouse-clickhouse " OWNHOUSE_VERSION);
            return 0;
        } else if (c == 'h') {
            help();
            return 0;
        } else {
            return 2;
        }
    }
    if (!config || optind != argc) {
        fputs("ownhouse-clickhouse: --config FILE is needed and nothing else; see --help\n", stderr);
        return 2;
    }
    return run(config, check);
}
