/* The plan engine with a memory that lasts one run. */
#include "cli/leftovers.h"

#include "base/mem.h"
#include "cloud/cloud.h"
#include "cloud/local/local.h"

static int load(struct plan_state *s OH_UNUSED, const char *type OH_UNUSED, const char *name OH_UNUSED, json_t **ret,
                struct err *err OH_UNUSED)
{
    *ret = NULL;
    return 0;
}

static int save(struct plan_state *s OH_UNUSED, const char *type OH_UNUSED, const char *name OH_UNUSED,
                const json_t *record OH_UNUSED, struct err *err OH_UNUSED)
{
    return 0;
}

static int forget(struct plan_state *s OH_UNUSED, const char *type OH_UNUSED, const char *name OH_UNUSED,
                  struct err *err OH_UNUSED)
{
    return 0;
}

static int list(struct plan_state *s OH_UNUSED, json_t **ret, struct err *err OH_UNUSED)
{
    *ret = json_array();
    return 0;
}

/* A removal that is cut off is simply planned again: what is gone is seen to be gone. */
static int phase(struct plan_journal *j OH_UNUSED, const struct plan_step *step OH_UNUSED, enum plan_phase *ret,
                 struct err *err OH_UNUSED)
{
    *ret = PLAN_PHASE_NONE;
    return 0;
}

static int begin(struct plan_journal *j OH_UNUSED, const struct plan_step *step OH_UNUSED, struct err *err OH_UNUSED)
{
    return 0;
}

static int done(struct plan_journal *j OH_UNUSED, const struct plan_step *step OH_UNUSED,
                const json_t *attributes OH_UNUSED, struct err *err OH_UNUSED)
{
    return 0;
}

static int failed(struct plan_journal *j OH_UNUSED, const struct plan_step *step OH_UNUSED,
                  const struct err *why OH_UNUSED, struct err *err OH_UNUSED)
{
    return 0;
}

static struct plan_state no_state = {.load = load, .save = save, .forget = forget, .list = list};
static struct plan_journal no_journal = {.phase = phase, .begin = begin, .done = done, .failed = failed};

/* A removal never asks for a token. */
static int no_token(void *data OH_UNUSED, char **ret OH_UNUSED, struct err *err)
{
    return err_set(err, -EPERM, "no token is given out while everything is removed");
}

static int remove_all(const struct local_env *e, struct err *err)
{
    autograph struct plan_graph *graph = NULL;
    autojson json_t *document = NULL;
    char digest[65];
    struct plan_context ctx = {
        .infrastructure = e->infrastructure,
        .types = cloud_types("local", err),
        .provider = (void *)(uintptr_t)e,
        .state = &no_state,
        .clock = &clock_system,
        .retry_total_ms = 60000,
    };
    if (!ctx.types)
        return -ENOTSUP;
    int r = cloud_local_graph(e, &graph, err);
    if (r == 0)
        r = plan_make(&ctx, graph, PLAN_REMOVE, true, &document, err);
    if (r < 0 || plan_is_empty(document))
        return r;
    r = plan_digest(document, digest, err);
    return r < 0 ? r : plan_apply(&ctx, graph, document, digest, &no_journal, NULL, err);
}

int leftovers_remove(struct cli *c, const struct install *i, struct err *err)
{
    autofree char *account = cli_path(c, "accounts/" INSTALL_ACCOUNT), *state = cli_path(c, "control"),
                  *bundle = cli_path(c, "accounts/" INSTALL_ACCOUNT "/customer/bundle.json"),
                  *address = mem_printf("127.0.0.1:%lld", (long long)i->port);
    struct local_env e = {
        .infrastructure = i->infrastructure,
        .name = INSTALL_INFRASTRUCTURE,
        .domain = INSTALL_INFRASTRUCTURE ".ownhouse.localhost",
        .account_dir = account,
        .cidr = "10.77.0.0/16",
        .https_port = (int)i->ingress_port,
        .native_port = (int)i->native_port,
        .service_port_base = (int)i->service_port_base,
        .service_port_count = (int)i->service_port_count,
        .control_state_dir = state,
        .control_address = address,
        .bundle = bundle,
        .agent_program = i->agent ? i->agent : "/bin/true",
        .haproxy_program = i->haproxy ? i->haproxy : "/bin/true",
        .engine_program = "",
        .engine_library = "",
        .clickhouse_program = i->agent ? i->agent : "/bin/true",
        .knot_program = "",
        .log_level = "info",
        .mint_token = no_token,
    };
    if (!*i->infrastructure)
        return 0;
    ui_step(&c->ui, "leftovers", "");
    e.isolated = cloud_local_can_isolate(NULL, 0);
    int r = remove_all(&e, err);
    if (r == 0)
        ui_step_done(&c->ui, "removed");
    return r;
}
