/* The gate role: engineers' sessions, with the access authority and nothing of the cluster's. */
#include "agent/gate/gate.h"
#include "agent/ledger/client.h"
#include "agent/link/identity.h"
#include "agent/lock.h"
#include "agent/policy.h"
#include "agent/role.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/sandbox.h"

#include <malloc.h>

#define WAIT_US 200000 /* until the operator has enrolled */
#define WAITS 15
#define THREADS "12" /* eight questions to targets, and room to stop them */

struct gate_role {
    struct agent_role *role;
    uv_loop_t loop;
    uv_signal_t signals[2];
    struct gate *gate;
    char infrastructure[UUID_SIZE], boot_id[UUID_SIZE];
    char *bundle; /* canonical text */
};

static int policy(struct policy **ret, void *user, struct err *err)
{
    struct gate_role *g = user;
    /* Locked by the customer: no grant holds, whoever signed it. */
    if (lock_is_set(&g->role->config))
        return err_set(err, -EACCES, "the data plane is locked (`ownhouse-agent lock`)");
    return policy_now(&g->role->config, g->bundle, ret, err);
}

static int record(const char *kind, const json_t *body, uint64_t *ret_index, void *user, struct err *err)
{
    struct gate_role *g = user;
    const char *event = json_string_value(json_object_get(body, "event"));
    int r = ledger_ask_append(g->role->ledger, kind, body, ret_index, err);
    /* A session's end is sealed at once; if that fails, the next seal covers it. */
    if (r == 0 && event && !strcmp(event, "session-close"))
        (void)!ledger_ask_checkpoint(g->role->ledger, NULL);
    return r;
}

static void on_event(bool error, const char *message, void *user)
{
    log_write(error ? LOG_LEVEL_WARN : LOG_LEVEL_INFO, message, NULL);
}

/* Who we are, read before the folder of the link's key is out of reach. */
static int read_identity(struct gate_role *g, struct err *err)
{
    autofree char *dir = agent_path(&g->role->config, "link");
    autobundle struct bundle *bundle = NULL;
    struct identity id;
    char boot[UUID_SIZE] = "";
    int r = identity_load(dir, &id, err);
    for (int i = 0; r == -ENOENT && i < WAITS; i++) {
        usleep(WAIT_US);
        r = identity_load(dir, &id, err);
    }
    if (r < 0)
        return r;
    memcpy(g->infrastructure, id.infrastructure, UUID_SIZE);
    identity_free(&id);
    r = identity_bundle(dir, &bundle, err);
    if (r < 0)
        return r;
    autoclose int fd = open("/proc/sys/kernel/random/boot_id", O_RDONLY | O_CLOEXEC);
    if (fd < 0 || read(fd, boot, sizeof(boot) - 1) != sizeof(boot) - 1 || !uuid_valid(boot))
        return err_set(err, -EIO, "the machine's boot id cannot be read: is /proc mounted?");
    memcpy(g->boot_id, boot, sizeof(boot));
    g->bundle = mem_strdup(bundle->canonical);
    return 0;
}

static int confine(struct gate_role *g, struct err *err)
{
    const struct agent_config *c = &g->role->config;
    struct sandbox_report report = {0};
    char text[64];
    autofree char *dir = agent_path(c, "gate"), *run = agent_path(c, "run"), *own = agent_path(c, "policy");
    const char *read[] = {own, NULL}, *write[] = {dir, run, NULL};
    int r = sandbox_apply(&(struct sandbox_rules){read, write, SANDBOX_INET | SANDBOX_LISTEN | SANDBOX_THREADS},
                          &report, err);
    sandbox_describe(&report, text);
    if (r == 0)
        log_info("gate starts", "sandbox", text);
    return r;
}

static void on_stopped(void *data)
{
    struct gate_role *g = data;
    for (size_t i = 0; i < ARRAY_SIZE(g->signals); i++)
        uv_close((uv_handle_t *)&g->signals[i], NULL);
}

static void on_signal(uv_signal_t *s, int number)
{
    struct gate_role *g = s->data;
    if (g->gate)
        gate_stop(TAKE_PTR(g->gate), on_stopped, g);
}

static int start(struct gate_role *g, struct err *err)
{
    static const int numbers[] = {SIGTERM, SIGINT};
    const struct agent_config *c = &g->role->config;
    autofree char *dir = agent_path(c, "gate"), *sessions = agent_path(c, GATE_SESSIONS_SOCKET),
                  *control = agent_path(c, GATE_CONTROL_SOCKET);
    int r = read_identity(g, err);
    if (r == 0)
        r = confine(g, err);
    if (r < 0)
        return r;
    uv_loop_init(&g->loop);
    for (size_t i = 0; i < ARRAY_SIZE(numbers); i++) {
        uv_signal_init(&g->loop, &g->signals[i]);
        g->signals[i].data = g;
        uv_signal_start(&g->signals[i], on_signal, numbers[i]);
    }
    struct gate_config config = {
        .loop = &g->loop,
        .dir = dir,
        .sessions_socket = sessions,
        .control_socket = control,
        .listen = c->gate_listen,
        .infrastructure = g->infrastructure,
        .boot_id = g->boot_id,
        .clock = &clock_system,
        .policy = policy,
        .record = record,
        .on_event = on_event,
        .user = g,
    };
    return gate_new(&config, &g->gate, err);
}

int role_gate_main(struct agent_role *r)
{
    struct gate_role g = {.role = r};
    struct err err = ERR_INIT;
    setenv("UV_THREADPOOL_SIZE", THREADS, 1);
    mallopt(M_ARENA_MAX, 1); /* an arena for each thread would keep the largest answer that it ever read */
    int result = start(&g, &err);
    if (result < 0) {
        log_error("the gate cannot run", "error", err.message);
    } else {
        uv_run(&g.loop, UV_RUN_DEFAULT);
        uv_loop_close(&g.loop);
    }
    free(g.bundle);
    return result < 0;
}
