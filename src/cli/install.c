/* Settings of an installation, and where its programs are. */
#include "cli/install.h"

#include "base/fs.h"
#include "base/mem.h"

#include <glob.h>
#include <libgen.h>
#include <limits.h>
#include <sys/stat.h>

#define SETTINGS_MAX KIB(64)

/* Smaller files are not the engine: the library is several hundred megabytes. */
#define ENGINE_LIBRARY_MIN_BYTES ((off_t)MIB(100))

struct port_setting {
    const char *name;
    size_t offset;
    int64_t fallback, min, max;
};
static const struct port_setting port_settings[] = {
    {"port", offsetof(struct install, port), 8443, 1, 65535},
    {"ingressPort", offsetof(struct install, ingress_port), 8444, 1, 65535},
    {"nativePort", offsetof(struct install, native_port), 9444, 1, 65535},
    {"servicePortBase", offsetof(struct install, service_port_base), 8500, 1, 65534},
    {"servicePortCount", offsetof(struct install, service_port_count), 100, 1, 1024},
};

struct path_setting {
    const char *name;
    size_t offset;
};
static const struct path_setting path_settings[] = {
    {"controlProgram", offsetof(struct install, control)},
    {"agentProgram", offsetof(struct install, agent)},
    {"engineProgram", offsetof(struct install, engine)},
    {"consoleFolder", offsetof(struct install, console)},
    {"engineLibrary", offsetof(struct install, engine_library)},
    {"clickhouseProgram", offsetof(struct install, clickhouse)},
    {"haproxyProgram", offsetof(struct install, haproxy)},
    {"knotProgram", offsetof(struct install, knotd)},
};

static int64_t *port_at(struct install *i, const struct port_setting *s)
{
    return (int64_t *)(void *)((char *)i + s->offset);
}

static char **path_at(struct install *i, const struct path_setting *s)
{
    return (char **)(void *)((char *)i + s->offset);
}

void install_free(struct install *i)
{
    for (size_t k = 0; k < ARRAY_SIZE(path_settings); k++) {
        free(*path_at(i, &path_settings[k]));
        *path_at(i, &path_settings[k]) = NULL;
    }
}

static int take_settings(const json_t *v, struct install *i, struct err *err)
{
    int r = 0;
    for (size_t k = 0; r == 0 && k < ARRAY_SIZE(port_settings); k++)
        r = js_int_opt(v, "", port_settings[k].name, port_settings[k].min, port_settings[k].max,
                       port_at(i, &port_settings[k]), err);
    for (size_t k = 0; r == 0 && k < ARRAY_SIZE(path_settings); k++) {
        const char *text = NULL;
        r = js_string_opt(v, "", path_settings[k].name, PATH_MAX, &text, err);
        if (text)
            *path_at(i, &path_settings[k]) = mem_strdup(text);
    }
    const char *infrastructure = "";
    if (r == 0)
        r = js_string_opt(v, "", "infrastructure", sizeof(i->infrastructure) - 1, &infrastructure, err);
    snprintf(i->infrastructure, sizeof(i->infrastructure), "%s", infrastructure);
    return r;
}

int install_load(const struct cli *c, bool must_exist, struct install *ret, struct err *err)
{
    autofree char *path = cli_path(c, "settings.json"), *text = NULL;
    size_t len = 0;
    autojson json_t *v = NULL;
    *ret = (struct install){0};
    for (size_t k = 0; k < ARRAY_SIZE(port_settings); k++)
        *port_at(ret, &port_settings[k]) = port_settings[k].fallback;
    int r = fs_read(path, SETTINGS_MAX, &text, &len, err);
    if (r == -ENOENT)
        return must_exist ? err_set(err, r, "there is no installation in %s: run `ownhouse up` first", c->home) : 0;
    if (r == 0)
        r = js_parse(text, len, SETTINGS_MAX, &v, err);
    if (r == 0)
        r = take_settings(v, ret, err);
    if (r < 0) {
        install_free(ret);
        return err_wrap(err, r, "%s is damaged (correct it, or remove it to start from the defaults)", path);
    }
    return 0;
}

int install_save(const struct cli *c, const struct install *i, struct err *err)
{
    autofree char *path = cli_path(c, "settings.json"), *text = NULL;
    autojson json_t *v = json_object();
    struct install *in = (struct install *)(uintptr_t)i;
    for (size_t k = 0; k < ARRAY_SIZE(port_settings); k++)
        json_object_set_new(v, port_settings[k].name, json_integer(*port_at(in, &port_settings[k])));
    for (size_t k = 0; k < ARRAY_SIZE(path_settings); k++)
        json_object_set_new(v, path_settings[k].name,
                            json_string(*path_at(in, &path_settings[k]) ? *path_at(in, &path_settings[k]) : ""));
    json_object_set_new(v, "infrastructure", json_string(i->infrastructure));
    text = json_dumps(v, JSON_INDENT(2));
    return fs_write_atomic(path, text, strlen(text), 0600, err);
}

static bool runnable(const char *path)
{
    struct stat st;
    return stat(path, &st) == 0 && S_ISREG(st.st_mode) && access(path, X_OK) == 0;
}

char *install_which(const char *name)
{
    const char *path = getenv("PATH");
    autofree char *all = mem_printf("%s:/usr/sbin:/sbin", path ? path : "/usr/bin:/bin");
    for (char *rest = all, *dir; (dir = strsep(&rest, ":"));) {
        autofree char *candidate = mem_printf("%s/%s", dir, name);
        if (*dir == '/' && runnable(candidate))
            return TAKE_PTR(candidate);
    }
    return NULL;
}

/* `layer` is the program's folder in a build tree, where ours is src/cli. */
static char *own_program(const char *name, const char *layer)
{
    char self[PATH_MAX];
    ssize_t n = readlink("/proc/self/exe", self, sizeof(self) - 1);
    if (n > 0) {
        self[n] = 0;
        const char *dir = dirname(self);
        autofree char *beside = mem_printf("%s/%s", dir, name);
        autofree char *built = mem_printf("%s/../%s/%s", dir, layer, name), *real = NULL;
        if (runnable(beside))
            return TAKE_PTR(beside);
        real = realpath(built, NULL);
        if (real && runnable(real))
            return TAKE_PTR(real);
    }
    return install_which(name);
}

/* The console's files: in a build tree at its top, installed below share. "": there are none. */
static char *find_console(void)
{
    static const char *const places[] = {"../../console", "../share/ownhouse/console"};
    char self[PATH_MAX];
    ssize_t n = readlink("/proc/self/exe", self, sizeof(self) - 1);
    self[MAX(n, 0)] = 0;
    const char *dir = dirname(self);
    for (size_t i = 0; i < ARRAY_SIZE(places); i++) {
        autofree char *page = mem_printf("%s/%s/index.html", dir, places[i]);
        autofree char *real = realpath(page, NULL);
        if (real)
            return mem_strdup(dirname(real));
    }
    return mem_strdup("");
}

static int need(char **into, char *found, const char *name, const char *advice, struct err *err)
{
    free(*into);
    *into = found;
    return found ? 0 : err_set(err, -ENOPKG, "the program %s is not installed: %s", name, advice);
}

static int check_engine_library(const char *path, struct err *err)
{
    struct stat st;
    if (stat(path, &st) < 0)
        return err_set_errno(err, -errno == -ENOENT ? -ENOPKG : -errno, "engine library %s", path);
    if (st.st_size < ENGINE_LIBRARY_MIN_BYTES)
        return err_set(err, -ENOPKG,
                       "the engine library %s is only %lld bytes, so its download was cut short: remove it and run "
                       "tools/fetch-chdb again",
                       path, (long long)st.st_size);
    return 0;
}

/* The newest whole library in the cache that tools/fetch-chdb fills. */
static char *cached_engine_library(void)
{
    const char *cache = getenv("XDG_CACHE_HOME"), *home = getenv("HOME");
    glob_t found;
    char *best = NULL;
    autofree char *pattern = cache && *cache == '/'
                                 ? mem_printf("%s/ownhouse/chdb/*/libchdb.so", cache)
                                 : mem_printf("%s/.cache/ownhouse/chdb/*/libchdb.so", home ? home : "/root");
    if (glob(pattern, 0, NULL, &found) == 0)
        for (size_t i = found.gl_pathc; !best && i > 0; i--)
            if (check_engine_library(found.gl_pathv[i - 1], NULL) == 0)
                best = mem_strdup(found.gl_pathv[i - 1]);
    globfree(&found);
    return best;
}

/* A clickhouse binary when there is one, else the embedded engine. */
static int find_engine(struct install *i, const char *library, const char *clickhouse, struct err *err)
{
    const char *from_env = getenv("OWNHOUSE_ENGINE_LIBRARY");
    int r;
    free(i->clickhouse);
    free(i->engine_library);
    i->clickhouse = i->engine_library = NULL;
    if (clickhouse) {
        i->clickhouse = realpath(clickhouse, NULL);
        if (!i->clickhouse || !runnable(i->clickhouse))
            return err_set(err, -ENOPKG, "--clickhouse: %s is not a program", clickhouse);
    } else if (!library) {
        i->clickhouse = install_which("clickhouse");
    }
    if (i->clickhouse)
        return 0;
    if (!library && from_env && *from_env)
        library = from_env;
    i->engine_library = library ? realpath(library, NULL) : cached_engine_library();
    if (library && !i->engine_library)
        return err_set(err, -ENOPKG, "--engine-library: %s does not exist", library);
    if (!i->engine_library)
        return err_set(err, -ENOPKG,
                       "there is no clickhouse program on PATH and no embedded engine: run ./up in the source folder, "
                       "or tools/fetch-chdb, or name one with --clickhouse or --engine-library");
    r = check_engine_library(i->engine_library, err);
    return r;
}

int install_find_programs(struct install *i, const char *engine_library, const char *clickhouse, bool isolated,
                          struct err *err)
{
    static const char rebuild[] = "build it with `ninja -C build`, or run ./up";
    autofree char *ip = install_which("ip"), *nft = install_which("nft");
    free(i->console);
    i->console = find_console();
    int r = need(&i->control, own_program("ownhouse-control", "control"), "ownhouse-control", rebuild, err);
    if (r == 0)
        r = need(&i->agent, own_program("ownhouse-agent", "agent"), "ownhouse-agent", rebuild, err);
    if (r == 0)
        r = need(&i->haproxy, install_which("haproxy"), "haproxy", "install it (Debian: apt-get install haproxy)", err);
    if (r == 0)
        r = need(&i->knotd, install_which("knotd"), "knotd", "install it (Debian: apt-get install knot)", err);
    if (r == 0 && isolated && !ip)
        r = err_set(err, -ENOPKG, "the program ip is not installed: install it (Debian: apt-get install iproute2)");
    if (r == 0 && isolated && !nft)
        r = err_set(err, -ENOPKG, "the program nft is not installed: install it (Debian: apt-get install nftables)");
    if (r == 0)
        r = find_engine(i, engine_library, clickhouse, err);
    if (r == 0 && i->engine_library)
        r = need(&i->engine, own_program("ownhouse-clickhouse", "clickhouse"), "ownhouse-clickhouse", rebuild, err);
    return r;
}

char *install_base_url(const struct install *i)
{
    return mem_printf("https://localhost:%lld", (long long)i->port);
}
