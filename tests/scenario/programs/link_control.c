/* The link's half of a control plane for scenarios: the real signer, link role and HAProxy front, without the API and
 * the controller, whose place the test takes by writing rows.
 *
 * usage: link-control STATE_DIR PORT [--bare]     (PORT 0: no front)
 * Roles are restarted when they end, as the parent does. SIGUSR1 rings the link's doorbell. With --bare the roles keep
 * their rights (for measuring). Prints one JSON line with the children's pids at each (re)start. */
#include "base/fs.h"
#include "base/log.h"
#include "base/mem.h"
#include "control/front.h"
#include "control/privileges.h"
#include "control/role.h"
#include "store/store.h"

#include <signal.h>
#include <sys/eventfd.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>

enum { SIGNER, LINK, FRONT, CHILDREN };

static struct control_config config;
static struct role signer_role, link_role;
static pid_t children[CHILDREN];
static bool bare;
static volatile sig_atomic_t stopping, ring;

static OH_NORETURN void fail(const char *what)
{
    fprintf(stderr, "link-control: %s\n", what);
    exit(1);
}

static void on_signal(int sig)
{
    if (sig == SIGUSR1)
        ring = 1;
    else
        stopping = 1;
}

static void prepare(void)
{
    static const char *const folders[] = {"keys", "run", "log", "store"};
    struct err err = ERR_INIT;
    autostore struct store *s = NULL;
    for (size_t i = 0; i < ARRAY_SIZE(folders); i++) {
        autofree char *path = control_path(&config, folders[i]);
        if (fs_mkdirs(path, 0700, &err) < 0)
            fail(err.message);
    }
    autofree char *db = control_database(&config);
    if (store_open(db, STORE_CREATE, &s, &err) < 0)
        fail(err.message);
    if (config.listen_port && front_prepare(&config, &clock_system, &err) < 0)
        fail(err.message);
}

static void descriptors(void)
{
    int pair[2];
    if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) < 0)
        fail("no socket pair");
    for (int i = 0; i < ROLE_COUNT; i++) {
        link_role.bell[i] = signer_role.bell[i] = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
        link_role.askers[i] = signer_role.askers[i] = -1;
    }
    link_role.id = ROLE_LINK;
    link_role.signer = pair[0];
    signer_role.id = ROLE_SIGNER;
    signer_role.signer = -1;
    signer_role.askers[ROLE_LINK] = pair[1];
    link_role.config = signer_role.config = config;
}

static int run_role(struct role *r, int (*main_of)(struct role *), const char *name)
{
    char in_force[64];
    struct err err = ERR_INIT;
    log_init("link-control", name, LOG_LEVEL_INFO, STDERR_FILENO);
    prctl(PR_SET_NAME, name);
    if (!bare && privileges_drop(r, in_force, &err) < 0)
        fail(err.message);
    return main_of(r);
}

static void start(int which)
{
    pid_t parent = getpid(), pid = fork();
    if (pid < 0)
        fail("cannot fork");
    if (pid) {
        children[which] = pid;
        printf("{\"signer\":%d,\"link\":%d,\"front\":%d}\n", children[SIGNER], children[LINK], children[FRONT]);
        fflush(stdout);
        return;
    }
    signal(SIGUSR1, SIG_DFL);
    signal(SIGTERM, SIG_DFL);
    signal(SIGINT, SIG_DFL);
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (getppid() != parent)
        _exit(1);
    if (which == FRONT) {
        autofree char *path = control_path(&config, "run/haproxy.cfg");
        execl(config.haproxy_program, "haproxy", "-db", "-q", "-f", path, (char *)NULL);
        fail("cannot start HAProxy");
    }
    exit(which == SIGNER ? run_role(&signer_role, role_signer_main, "signer")
                         : run_role(&link_role, role_link_main, "link"));
}

static int which_child(pid_t pid)
{
    for (int i = 0; i < CHILDREN; i++)
        if (children[i] == pid)
            return i;
    return -1;
}

static void stop_all(void)
{
    for (int i = CHILDREN - 1; i >= 0; i--) {
        if (!children[i])
            continue;
        kill(children[i], SIGTERM);
        waitpid(children[i], NULL, 0);
    }
}

int main(int argc, char **argv)
{
    if (argc < 3)
        fail("usage: link-control STATE_DIR PORT [--bare]");
    struct sigaction sa = {.sa_handler = on_signal};
    config = (struct control_config){
        .state_dir = argv[1],
        .listen_address = mem_strdup("127.0.0.1"),
        .server_name = mem_strdup("localhost"),
        .haproxy_program = mem_strdup("/usr/sbin/haproxy"),
        .log_level = mem_strdup("info"),
    };
    config.listen_port = atoi(argv[2]);
    bare = argc > 3 && !strcmp(argv[3], "--bare");
    umask(077);
    prepare();
    descriptors();
    sigaction(SIGTERM, &sa, NULL);
    sigaction(SIGINT, &sa, NULL);
    sigaction(SIGUSR1, &sa, NULL);
    signal(SIGPIPE, SIG_IGN);
    start(SIGNER);
    start(LINK);
    if (config.listen_port)
        start(FRONT);
    while (!stopping) {
        int status, which = which_child(waitpid(-1, &status, WNOHANG));
        if (which >= 0)
            start(which);
        if (ring) {
            ring = 0;
            role_ring(&link_role, ROLE_LINK);
        }
        usleep(20000);
    }
    stop_all();
    return 0;
}
