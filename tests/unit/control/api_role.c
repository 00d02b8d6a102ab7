/* The api role alone, for tests: api-role STATE_DIR init CREDENTIALS | api-role STATE_DIR serve. Says "bell" on
 * standard output whenever the controller's doorbell is rung. The console's files: folder $OWNHOUSE_CONSOLE. */
#include "base/log.h"
#include "control/identity/init.h"
#include "control/role.h"

#include <pthread.h>
#include <signal.h>
#include <sys/eventfd.h>

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

int main(int argc, char **argv)
{
    struct role r = {.id = ROLE_API, .signer = -1};
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
