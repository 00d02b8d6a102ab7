/* The api role with a signer beside it, for tests: api-role STATE_DIR init CREDENTIALS | api-role STATE_DIR set-up-link
 * EMAIL | api-role STATE_DIR serve. Says "bell" on standard output whenever the controller's doorbell is rung. The
 * console's files: folder $OWNHOUSE_CONSOLE. */
#include "base/fs.h"
#include "base/log.h"
#include "base/mem.h"
#include "control/identity/init.h"
#include "control/role.h"

#include <pthread.h>
#include <signal.h>
#include <sys/eventfd.h>
#include <sys/prctl.h>
#include <sys/socket.h>

static void *watch_bell(void *data)
{
    const struct role *r = data;
    uint64_t n;
    while (read(r->bell[ROLE_CONTROLLER], &n, sizeof(n)) == sizeof(n)) {
        puts("bell");
        fflush(stdout);
    }
    return NULL;
}

/* Joined as the parent joins them. */
static int start_signer(struct role *api)
{
    struct role signer = {.id = ROLE_SIGNER, .config = api->config, .signer = -1};
    autofree char *keys = control_path(&api->config, "keys");
    int pair[2];
    for (int i = 0; i < ROLE_COUNT; i++)
        signer.bell[i] = signer.askers[i] = -1;
    if (fs_mkdirs(keys, 0700, NULL) < 0 || socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) < 0)
        return -1;
    api->signer = pair[0];
    signer.askers[ROLE_API] = pair[1];
    pid_t pid = fork();
    if (pid == 0) {
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        close(pair[0]);
        _exit(role_signer_main(&signer));
    }
    close(pair[1]);
    return pid;
}

int main(int argc, char **argv)
{
    struct role r = {.id = ROLE_API, .signer = -1, .outward = -1};
    struct err err = ERR_INIT;
    pthread_t watcher;
    char name[] = "localhost";
    if (argc < 3)
        return 2;
    r.config = (struct control_config){.state_dir = argv[1], .server_name = name, .listen_port = 8443};
    r.config.console_dir = getenv("OWNHOUSE_CONSOLE");
    log_init("api-role", "api", LOG_LEVEL_INFO, STDERR_FILENO);
    if (!strcmp(argv[2], "init") && argc == 4) {
        if (control_init(&r.config, argv[3], &err) == 0)
            return 0;
        fprintf(stderr, "%s\n", err.message);
        return 1;
    }
    if (!strcmp(argv[2], "set-up-link") && argc == 4) {
        autofree char *link = NULL;
        if (control_set_up_link(&r.config, argv[3], false, &link, &err) == 0)
            return puts(link) < 0;
        fprintf(stderr, "%s\n", err.message);
        return 1;
    }
    if (start_signer(&r) < 0)
        return 1;
    for (int i = 0; i < ROLE_COUNT; i++)
        r.bell[i] = eventfd(0, EFD_CLOEXEC | (i == ROLE_CONTROLLER ? 0 : EFD_NONBLOCK));
    /* As in the real program, no thread may take the signals that the role waits for. */
    sigset_t all;
    sigfillset(&all);
    pthread_sigmask(SIG_BLOCK, &all, NULL);
    if (pthread_create(&watcher, NULL, watch_bell, &r) != 0)
        return 1;
    return role_api_main(&r);
}
