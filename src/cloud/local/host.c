/* The agent: its settings, a token to enrol with once, and its place on the machine, inside the namespace. */
#include "cloud/local/internal.h"

#include "base/clock.h"
#include "base/fs.h"
#include "base/keys.h"

#include <signal.h>
#include <sys/stat.h>

#define PLACE "agent"
#define TOKEN_FRESH_S 1800 /* tokens live an hour; one that is half as old is made anew */
#define CONFIG_MAX KIB(64)

static bool enrolled(const struct local_env *e)
{
    autofree char *certificate = local_path(e, "agent/link/certificate.pem");
    return fs_exists(certificate);
}

static bool token_fresh(const struct local_env *e)
{
    struct stat st;
    autofree char *token = local_path(e, "agent/enrolment-token");
    int64_t now = clock_wall_ms(&clock_system) / 1000;
    return stat(token, &st) == 0 && st.st_size > 0 && st.st_mtime <= now + 60 && now - st.st_mtime < TOKEN_FRESH_S;
}

/* SHA-256 of the settings as they are on disk, "" if they are not. */
static void config_digest(const struct local_env *e, char ret[65])
{
    autofree char *path = local_path(e, "agent/agent.conf");
    autofree char *data = NULL;
    size_t len;
    ret[0] = 0;
    if (fs_exists(path) && fs_read(path, CONFIG_MAX, &data, &len, NULL) == 0)
        sha256_hex(data, len, ret);
}

/* What only the process itself shows: the namespace it really is in, not the one it was told to enter, and whether its
 * program was replaced by a newer one since it started. */
static void look_at_process(const struct proc_id *id, json_t *attributes)
{
    struct stat st;
    const char *program = js_text_at(attributes, "program");
    autofree char *ns = mem_printf("/proc/%d/ns/net", (int)id->pid);
    if (json_object_get(attributes, "netns_inode") && stat(ns, &st) == 0)
        json_object_set_new(attributes, "netns_inode", json_sprintf("%llu", (unsigned long long)st.st_ino));
    if (*program && local_program_replaced(id))
        json_object_set_new(attributes, "program", json_sprintf("%s (replaced)", program));
}

static int host_observe(const struct plan_call *c, json_t **ret, struct err *err)
{
    const struct local_env *e = local_env_of(c);
    struct proc_id id;
    char config[65];
    int r = local_place_observe(c, PLACE, ret, err);
    if (r < 0 || !*ret)
        return r;
    config_digest(e, config);
    json_object_set_new(*ret, "config", json_string(config));
    json_object_set_new(*ret, "identity", json_string(enrolled(e) || token_fresh(e) ? "present" : "missing"));
    if (local_place_process(e, PLACE, &id) == 0)
        look_at_process(&id, *ret);
    return 0;
}

static int write_token(const struct local_env *e, struct err *err)
{
    autofree char *path = local_path(e, "agent/enrolment-token");
    char *token = NULL;
    if (enrolled(e))
        return 0;
    if (!e->mint_token)
        return err_set(err, -EINVAL, "mint_token: nobody is there to make an enrolment token");
    int r = e->mint_token(e->mint_data, &token, err);
    if (r == 0 && strlen(token) >= LOCAL_TOKEN_MAX)
        r = err_set(err, -EMSGSIZE, "the enrolment token is too long");
    if (r == 0)
        r = fs_write_atomic(path, token, strlen(token), 0600, err);
    if (token)
        mem_wipe(token, strlen(token));
    free(token);
    return r;
}

static int write_files(const struct local_env *e, const json_t *want, struct err *err)
{
    struct local_addresses a;
    char hex[65];
    autofree char *home = local_path(e, "agent");
    autofree char *path = local_path(e, "agent/agent.conf");
    int r = cloud_local_addresses(e, &a, err);
    if (r < 0)
        return r;
    autofree char *config = local_render_agent(e, &a);
    sha256_hex(config, strlen(config), hex);
    if (strcmp(hex, js_text_at(want, "config")))
        return err_set(err, -ESTALE, "the settings have changed since the plan was made: plan again");
    if (!fs_exists(e->bundle))
        return err_set(
            err, -ENOENT,
            "bundle: %s does not exist: the customer makes it before an agent can enrol (`ownhouse up` does)",
            e->bundle);
    r = fs_mkdirs(home, 0700, err);
    if (r == 0)
        r = fs_write_atomic(path, config, strlen(config), 0600, err);
    if (r == 0 && !e->isolated) /* else the packet rules' resource writes it */
        r = local_openings_write(e, &a, err);
    return r < 0 ? r : write_token(e, err);
}

static int put(const struct plan_call *c, const json_t *want, struct err *err)
{
    const struct local_env *e = local_env_of(c);
    const char *netns = js_text_at(want, "netns");
    autofree char *config = local_path(e, "agent/agent.conf");
    autofree char *netns_path = mem_printf(LOCAL_NETNS_DIR "/%s", netns);
    const char *arguments[] = {"run", "--config", config};
    /* What is not an argument but needs a restart all the same. */
    struct workload_env environment[] = {{"AGENT_CONFIG_DIGEST", js_text_at(want, "config")},
                                         {"AGENT_NETWORK", js_text_at(want, "netns_inode")}};
    struct placement p = {.workload = {.name = PLACE,
                                       .program = "ownhouse-agent",
                                       .arguments = arguments,
                                       .n_arguments = ARRAY_SIZE(arguments),
                                       .environment = environment,
                                       .n_environment = ARRAY_SIZE(environment),
                                       /* To stop the agent is to stop the data plane; that new settings leave it
                                        * running is host_change's care. */
                                       .stop_signal = SIGTERM,
                                       .stop_grace_ms = 15000,
                                       .order = 2,
                                       .slot = 3},
                          .executable = js_text_at(want, "program"),
                          .netns = *netns ? netns_path : NULL};
    return local_place_put(c, &p, want, err);
}

static int host_create(const struct plan_call *c, const json_t *want, json_t **ret, struct err *err)
{
    int r = write_files(local_env_of(c), want, err);
    if (r == 0)
        r = put(c, want, err);
    return r < 0 ? r : host_observe(c, ret, err);
}

/* Ends the agent alone: what it keeps running stays, and the next one takes it over. The supervisor waits a moment
 * before it starts it again; by then the new placement is there. */
static void hand_over(const struct local_env *e)
{
    struct proc_id id;
    if (local_place_process(e, PLACE, &id) == 0 && proc_kill(&id, SIGUSR2) == 0)
        (void)!local_wait_end(&id, 10000);
}

static int host_change(const struct plan_call *c, const json_t *have, const json_t *want, json_t **ret, struct err *err)
{
    int r = write_files(local_env_of(c), want, err);
    if (r < 0)
        return r;
    /* In another network nothing may go on; a new token or a repaired file alone needs no other agent. */
    bool same_network = !strcmp(js_text_at(have, "netns_inode"), js_text_at(want, "netns_inode"));
    bool same_agent = !strcmp(js_text_at(have, "config"), js_text_at(want, "config")) &&
                      !strcmp(js_text_at(have, "program"), js_text_at(want, "program"));
    if (same_network && !same_agent)
        hand_over(local_env_of(c));
    r = put(c, want, err);
    return r < 0 ? r : host_observe(c, ret, err);
}

static int host_ready(const struct plan_call *c, json_t *attributes, struct err *err)
{
    json_t *now = NULL;
    int r = local_place_ready(c, PLACE, attributes, err);
    if (r <= 0)
        return r;
    r = host_observe(c, &now, err);
    if (r == 0)
        json_object_update_existing(attributes, now);
    json_decref(now);
    return r < 0 ? r : 1;
}

/* The agent first, then all that it left running, then what it could come back with. */
static int host_destroy(const struct plan_call *c, const json_t *have OH_UNUSED, struct err *err)
{
    static const char *const files[] = {"agent/enrolment-token", "agent/agent.conf", "agent/link", "openings.json"};
    const struct local_env *e = local_env_of(c);
    autofree char *id_path = local_path(e, "machine/id");
    autofree char *place = NULL;
    struct proc_id id;
    int r = local_place_destroy(c, PLACE, err);
    if (r < 0)
        return r;
    for (int i = 0; i < 200 && local_place_process(e, PLACE, &id) == 0; i++)
        if ((r = plan_pause(c, 100, err)) < 0)
            return r;
    if (fs_exists(id_path) && (r = fs_read(id_path, 128, &place, NULL, err)) < 0)
        return r;
    struct local_filter left = {.infrastructure = c->infrastructure, .not_place = place, .spare_supervisor = true};
    r = local_sweep(&left, 15000, err);
    for (size_t i = 0; r == 0 && i < ARRAY_SIZE(files); i++) {
        autofree char *path = local_path(e, files[i]);
        r = fs_remove_tree(path, err);
    }
    return r;
}

static const struct plan_attribute host_attributes[] = {{"machine", PLAN_REPLACE},
                                                        {"home", PLAN_REPLACE},
                                                        {"netns", 0},
                                                        {"netns_inode", 0},
                                                        {"address", 0},
                                                        {"program", 0},
                                                        {"config", 0},
                                                        {"identity", 0},
                                                        {"running", 0},
                                                        {NULL, 0}};

const struct plan_type local_host_type = {.name = "local_host",
                                          .attributes = host_attributes,
                                          .ready_timeout_ms = 20000,
                                          .ready_poll_ms = 50,
                                          .observe = host_observe,
                                          .create = host_create,
                                          .change = host_change,
                                          .destroy = host_destroy,
                                          .ready = host_ready};
