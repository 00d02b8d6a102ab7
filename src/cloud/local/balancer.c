/* The only ways in and out: the load balancer in front of the data plane, and the gateway behind it. Both are HAProxy.
 */
#include "cloud/local/internal.h"

#include "base/keys.h"

#include <arpa/inet.h>
#include <poll.h>
#include <signal.h>
#include <sys/socket.h>

/* A worker that serves `config`; the same frame for both. */
static int put(const struct plan_call *c, const char *place, char *config, const json_t *want, struct err *err)
{
    const struct local_env *e = local_env_of(c);
    char hex[65];
    autofree char *content = config;
    autofree char *path = local_path(e, "machine/jobs");
    autofree char *file = mem_printf("%s/%s/files/haproxy.cfg", path, place);
    const char *arguments[] = {"-W", "-f", file};
    struct workload_file files[] = {{.path = "haproxy.cfg", .content = content, .on_change = WORKLOAD_RELOAD}};
    struct placement p = {.workload = {.name = place,
                                       .program = "haproxy",
                                       .arguments = arguments,
                                       .n_arguments = ARRAY_SIZE(arguments),
                                       .files = files,
                                       .n_files = 1,
                                       .open_files = 10000,
                                       .reload_signal = SIGUSR2,
                                       .stop_signal = SIGTERM,
                                       .stop_grace_ms = 5000,
                                       .order = 1,
                                       .slot = !strcmp(place, "gateway") ? 2 : 1},
                          .executable = js_text_at(want, "program")};
    sha256_hex(content, strlen(content), hex);
    if (strcmp(hex, js_text_at(want, "config")))
        return err_set(err, -ESTALE, "the settings have changed since the plan was made: plan again");
    return local_place_put(c, &p, want, err);
}

/* One connection to see that something listens. */
static int probe(const char *address, int port, struct err *err)
{
    struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons((uint16_t)port)};
    autoclose int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    int status = 0;
    socklen_t len = sizeof(status);
    struct pollfd p = {fd, POLLOUT, 0};
    if (fd < 0 || inet_pton(AF_INET, address, &to.sin_addr) != 1)
        return err_set(err, -EINVAL, "cannot connect to %s", address);
    if (connect(fd, (struct sockaddr *)&to, sizeof(to)) == 0)
        return 1;
    if (errno == EINPROGRESS && poll(&p, 1, 1000) == 1 && getsockopt(fd, SOL_SOCKET, SO_ERROR, &status, &len) == 0 &&
        status == 0)
        return 1;
    err_set(err, -EAGAIN, "nothing listens on %s:%d yet", address, port);
    return 0;
}

static int ready(const struct plan_call *c, const char *place, json_t *attributes, const char *address, int port,
                 struct err *err)
{
    int r = local_place_ready(c, place, attributes, err);
    return r > 0 ? probe(address, port, err) : r;
}

/* --- local_load_balancer --- */

static int balancer_observe(const struct plan_call *c, json_t **ret, struct err *err)
{
    return local_place_observe(c, "load-balancer", ret, err);
}

static int balancer_create(const struct plan_call *c, const json_t *want, json_t **ret, struct err *err)
{
    struct local_addresses a;
    int r = cloud_local_addresses(local_env_of(c), &a, err);
    if (r == 0)
        r = put(c, "load-balancer", local_render_balancer(local_env_of(c), &a), want, err);
    return r < 0 ? r : balancer_observe(c, ret, err);
}

static int balancer_change(const struct plan_call *c, const json_t *have OH_UNUSED, const json_t *want, json_t **ret,
                           struct err *err)
{
    return balancer_create(c, want, ret, err);
}

static int balancer_ready(const struct plan_call *c, json_t *attributes, struct err *err)
{
    return ready(c, "load-balancer", attributes, "127.0.0.1", local_env_of(c)->https_port, err);
}

static int balancer_destroy(const struct plan_call *c, const json_t *have OH_UNUSED, struct err *err)
{
    return local_place_destroy(c, "load-balancer", err);
}

static const struct plan_attribute balancer_attributes[] = {{"machine", PLAN_REPLACE},
                                                            {"https_port", 0},
                                                            {"native_port", 0},
                                                            {"service_ports", 0},
                                                            {"target", 0},
                                                            {"program", 0},
                                                            {"config", 0},
                                                            {"running", 0},
                                                            {NULL, 0}};

const struct plan_type local_load_balancer_type = {.name = "local_load_balancer",
                                                   .attributes = balancer_attributes,
                                                   .ready_timeout_ms = 20000,
                                                   .ready_poll_ms = 50,
                                                   .observe = balancer_observe,
                                                   .create = balancer_create,
                                                   .change = balancer_change,
                                                   .destroy = balancer_destroy,
                                                   .ready = balancer_ready};

/* --- local_egress_gateway --- */

static int gateway_observe(const struct plan_call *c, json_t **ret, struct err *err)
{
    return local_place_observe(c, "gateway", ret, err);
}

static int gateway_create(const struct plan_call *c, const json_t *want, json_t **ret, struct err *err)
{
    struct local_addresses a;
    int r = cloud_local_addresses(local_env_of(c), &a, err);
    if (r == 0)
        r = put(c, "gateway", local_render_gateway(local_env_of(c), &a), want, err);
    return r < 0 ? r : gateway_observe(c, ret, err);
}

static int gateway_change(const struct plan_call *c, const json_t *have OH_UNUSED, const json_t *want, json_t **ret,
                          struct err *err)
{
    return gateway_create(c, want, ret, err);
}

static int gateway_ready(const struct plan_call *c, json_t *attributes, struct err *err)
{
    struct local_addresses a;
    int r = cloud_local_addresses(local_env_of(c), &a, err);
    return r < 0 ? r : ready(c, "gateway", attributes, a.gateway, LOCAL_CONTROL_PORT, err);
}

static int gateway_destroy(const struct plan_call *c, const json_t *have OH_UNUSED, struct err *err)
{
    return local_place_destroy(c, "gateway", err);
}

static const struct plan_attribute gateway_attributes[] = {{"machine", PLAN_REPLACE},
                                                           {"address", 0},
                                                           {"control", 0},
                                                           {"outbound", 0},
                                                           {"program", 0},
                                                           {"config", 0},
                                                           {"running", 0},
                                                           {NULL, 0}};

const struct plan_type local_egress_gateway_type = {.name = "local_egress_gateway",
                                                    .attributes = gateway_attributes,
                                                    .ready_timeout_ms = 20000,
                                                    .ready_poll_ms = 50,
                                                    .observe = gateway_observe,
                                                    .create = gateway_create,
                                                    .change = gateway_change,
                                                    .destroy = gateway_destroy,
                                                    .ready = gateway_ready};
