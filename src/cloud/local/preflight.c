/* A look at the machine before anything is planned: ports, routes, folders, programs. */
#include "cloud/local/internal.h"

#include "base/fs.h"

#include <arpa/inet.h>
#include <ctype.h>
#include <dirent.h>
#include <pthread.h>
#include <sched.h>
#include <sys/socket.h>
#include <sys/stat.h>

/* --- isolation --- */

static char cannot[256];

static bool on_path(const char *program)
{
    static const char *const folders[] = {"/usr/sbin", "/sbin",           "/usr/bin",
                                          "/bin",      "/usr/local/sbin", "/usr/local/bin"};
    for (size_t i = 0; i < ARRAY_SIZE(folders); i++) {
        autofree char *path = mem_printf("%s/%s", folders[i], program);
        if (access(path, X_OK) == 0)
            return true;
    }
    return false;
}

static void *try_namespace(void *data)
{
    int *r = data;
    *r = unshare(CLONE_NEWNET) < 0 ? -errno : 0;
    return NULL;
}

static void probe_isolation(void)
{
    pthread_t thread;
    int r = -EPERM;
    if (geteuid() != 0)
        snprintf(cannot, sizeof(cannot), "not running as root");
    else if (!on_path("ip") || !on_path("nft"))
        snprintf(cannot, sizeof(cannot), "the program %s is not installed (Debian packages: iproute2, nftables)",
                 on_path("ip") ? "nft" : "ip");
    else if (pthread_create(&thread, NULL, try_namespace, &r) == 0 && pthread_join(thread, NULL) == 0 && r < 0)
        snprintf(cannot, sizeof(cannot), "this machine does not let root make network namespaces (%s)", strerror(-r));
}

bool cloud_local_can_isolate(char *ret_missing, size_t size)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    pthread_once(&once, probe_isolation);
    if (ret_missing && size)
        snprintf(ret_missing, size, "%s", cannot);
    return !cannot[0];
}

/* --- ports --- */

/* The socket that listens on the port, from /proc/net/tcp and tcp6. */
static unsigned long long listener_inode(int port)
{
    static const char *const tables[] = {"/proc/net/tcp", "/proc/net/tcp6"};
    for (size_t i = 0; i < ARRAY_SIZE(tables); i++) {
        char line[512];
        autofclose FILE *f = fopen(tables[i], "re");
        while (f && fgets(line, sizeof(line), f)) {
            unsigned local, state;
            unsigned long long inode;
            if (sscanf(line, " %*d: %*[0-9A-Fa-f]:%x %*s %x %*s %*s %*s %*s %*s %llu", &local, &state, &inode) == 3 &&
                (int)local == port && state == 0x0a)
                return inode;
        }
    }
    return 0;
}

static bool holds(pid_t pid, unsigned long long inode)
{
    char want[64], have[64];
    struct dirent *entry;
    bool found = false;
    autofree char *path = mem_printf("/proc/%d/fd", (int)pid);
    DIR *d = opendir(path);
    snprintf(want, sizeof(want), "socket:[%llu]", inode);
    while (d && !found && (entry = readdir(d))) {
        ssize_t n = readlinkat(dirfd(d), entry->d_name, have, sizeof(have) - 1);
        have[MAX(n, (ssize_t)0)] = 0;
        found = !strcmp(have, want);
    }
    if (d)
        closedir(d);
    return found;
}

static pid_t holder_of(int port)
{
    unsigned long long inode = listener_inode(port);
    struct dirent *entry;
    pid_t found = 0;
    DIR *d = inode ? opendir("/proc") : NULL;
    while (d && !found && (entry = readdir(d))) {
        pid_t pid = (pid_t)strtol(entry->d_name, NULL, 10);
        if (pid > 0 && holds(pid, inode))
            found = pid;
    }
    if (d)
        closedir(d);
    return found;
}

static bool is_ours(pid_t pid, const char *infrastructure)
{
    char data[8192];
    autofree char *tag = mem_printf("OWNHOUSE_INFRASTRUCTURE=%s", infrastructure);
    autofree char *path = mem_printf("/proc/%d/environ", (int)pid);
    autoclose int fd = open(path, O_RDONLY | O_CLOEXEC);
    ssize_t n = fd < 0 ? 0 : read(fd, data, sizeof(data));
    return n > 0 && memmem(data, (size_t)n, tag, strlen(tag) + 1);
}

static int check_port(const struct local_env *e, const char *field, int port, struct err *err)
{
    struct sockaddr_in at = {.sin_family = AF_INET, .sin_port = htons((uint16_t)port)};
    int one = 1;
    autoclose int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    at.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    if (fd < 0 || setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one)) < 0)
        return err_set_errno(err, -errno, "cannot try ports");
    if (bind(fd, (struct sockaddr *)&at, sizeof(at)) == 0 && listen(fd, 1) == 0)
        return 0;
    if (errno == EACCES)
        return err_set(err, -EACCES, "%s: only root may listen on port %d: choose one above 1023", field, port);
    if (errno != EADDRINUSE)
        return err_set_errno(err, -errno, "%s: cannot listen on 127.0.0.1:%d", field, port);
    pid_t pid = holder_of(port);
    if (pid && is_ours(pid, e->infrastructure))
        return 0;
    char name[64] = "";
    autofree char *path = mem_printf("/proc/%d/comm", (int)pid);
    autofclose FILE *f = pid ? fopen(path, "re") : NULL;
    if (f && fgets(name, sizeof(name), f))
        name[strcspn(name, "\n")] = 0;
    if (pid)
        return err_set(err, -EADDRINUSE, "%s: port %d is taken by %s (process %d): stop it or choose another port",
                       field, port, *name ? name : "a program", (int)pid);
    return err_set(
        err, -EADDRINUSE,
        "%s: port %d is taken by a program that this user may not see (try `ss -ltnp` as root): choose another "
        "port",
        field, port);
}

static int check_ports(const struct local_env *e, struct err *err)
{
    int r = check_port(e, "https_port", e->https_port, err);
    if (r == 0)
        r = check_port(e, "native_port", e->native_port, err);
    for (int i = 1; r == 0 && i <= e->service_port_count; i++)
        r = check_port(e, "service_port_base", e->service_port_base + i, err);
    return r;
}

/* --- routes --- */

static int check_route(const struct local_addresses *a, const char *device, uint32_t network, uint32_t mask,
                       struct err *err)
{
    uint32_t ours;
    int prefix;
    char text[16];
    struct in_addr shown = {htonl(network)};
    if (local_cidr_parse(a->network, &ours, &prefix) < 0)
        return err_set(err, -EINVAL, "cidr: cannot be read");
    uint32_t our_mask = ~0u << (32 - prefix);
    if (!mask || !strcmp(device, a->bridge) || ((network ^ ours) & mask & our_mask))
        return 0;
    inet_ntop(AF_INET, &shown, text, sizeof(text));
    return err_set(
        err, -EEXIST,
        "cidr: the range %s chosen for the data plane overlaps the route %s/%d on %s: give the infrastructure "
        "another cidr",
        a->network, text, __builtin_popcount(mask), device);
}

static int check_routes(const struct local_addresses *a, struct err *err)
{
    char line[512], device[64];
    unsigned destination, mask;
    int r = 0;
    autofclose FILE *f = fopen("/proc/net/route", "re");
    while (f && r == 0 && fgets(line, sizeof(line), f))
        if (sscanf(line, "%63s %x %*x %*x %*d %*d %*d %x", device, &destination, &mask) == 3)
            r = check_route(a, device, ntohl(destination), ntohl(mask), err);
    return r;
}

/* --- folders and programs --- */

static int check_program(const char *field, const char *path, bool executable, struct err *err)
{
    if (!path || !*path || access(path, executable ? X_OK : R_OK) == 0)
        return 0;
    return err_set_errno(err, -errno, "%s: cannot %s %s", field, executable ? "run" : "read", path);
}

static int check_programs(const struct local_env *e, struct err *err)
{
    bool server = e->clickhouse_program && *e->clickhouse_program;
    bool engine = e->engine_program && *e->engine_program && e->engine_library && *e->engine_library;
    int r = check_program("agent_program", e->agent_program, true, err);
    if (r == 0)
        r = check_program("haproxy_program", e->haproxy_program, true, err);
    if (r == 0)
        r = check_program("clickhouse_program", e->clickhouse_program, true, err);
    if (r == 0)
        r = check_program("engine_program", e->engine_program, true, err);
    if (r == 0)
        r = check_program("engine_library", e->engine_library, false, err);
    if (r == 0)
        r = check_program("knot_program", e->knot_program, true, err);
    if (r == 0 && !server && !engine)
        r = err_set(err, -ENOENT,
                    "there is no ClickHouse to run: set clickhouse_program, or engine_program and engine_library");
    return r;
}

static int check_folder(const struct local_env *e, struct err *err)
{
    autofree char *path = mem_printf("%s/%s", e->account_dir, e->name);
    struct err said = ERR_INIT;
    int r = fs_mkdirs(path, 0700, &said);
    if (r < 0)
        return err_set(err, r, "account_dir: %s", said.message);
    if (access(path, W_OK | X_OK) < 0)
        return err_set_errno(err, -errno, "account_dir: cannot write in %s", path);
    return 0;
}

int cloud_local_preflight(const struct local_env *e, struct err *err)
{
    struct local_addresses a;
    char missing[256];
    int r = cloud_local_check(e, err);
    if (r == 0)
        r = cloud_local_addresses(e, &a, err);
    if (r == 0 && e->isolated && !cloud_local_can_isolate(missing, sizeof(missing)))
        r = err_set(err, -EPERM, "isolation is asked for, but %s", missing);
    if (r == 0)
        r = check_programs(e, err);
    if (r == 0)
        r = check_folder(e, err);
    if (r == 0)
        r = check_ports(e, err);
    return r == 0 && e->isolated ? check_routes(&a, err) : r;
}
