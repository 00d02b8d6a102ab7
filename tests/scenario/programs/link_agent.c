/* The link's half of an agent for scenarios: the real enrolment and link, with the operator's checks of documents and
 * nothing behind them.
 *
 * usage: link-agent enrol DIR BUNDLE [TOKEN_FILE [PROXY [CREDENTIALS_FILE]]]
 *        link-agent run DIR [PROXY [CREDENTIALS_FILE]]
 * `run` prints a JSON line for each event and each accepted or refused document, and answers lines on standard input:
 * `status` prints the status, `report TEXT` reports a workload of that name, `big N` a report of N services, `nudge`
 * dials now. The end of standard input ends it. */
#include "agent/link/identity.h"
#include "agent/link/link.h"
#include "base/fs.h"
#include "base/mem.h"
#include "blueprint/desired.h"

#include <signal.h>

static uv_loop_t loop;
static struct agent_link *agent;
static struct bundle *bundle;
static char infrastructure[UUID_SIZE], workload[64] = "none";
static char *accepted_path;
static long long accepted;
static int services;

static void say(json_t *v)
{
    autofree char *text = js_text(v);
    puts(text);
    fflush(stdout);
    json_decref(v);
}

static int64_t desired_version(void *data)
{
    return accepted;
}

/* As the operator does: signature, infrastructure and version, each checked here and not believed. */
static int check(int64_t version, const char *document, size_t len, const char *signature, struct err *err)
{
    autodesired struct desired *d = NULL;
    if (!desired_signature_valid(bundle->desired_key, infrastructure, version, document, len, signature))
        return err_set(err, -EBADMSG, "the document's signature is not by the bundle's key");
    if (version <= accepted)
        return err_set(err, -ESTALE, "version %lld is not above %lld", (long long)version, accepted);
    int r = desired_parse(document, len, &d, err);
    if (r < 0)
        return r;
    if (strcmp(d->infrastructure, infrastructure) || d->version != version)
        return err_set(err, -EXDEV, "the document is of another infrastructure or version");
    return 0;
}

static int on_desired(int64_t version, const char *document, size_t len, const char *signature, void *data,
                      struct err *err)
{
    int r = check(version, document, len, signature, err);
    if (r == 0) {
        char text[32];
        accepted = version;
        snprintf(text, sizeof(text), "%lld", accepted);
        r = fs_write_atomic(accepted_path, text, strlen(text), 0600, err);
    }
    say(json_pack("{sI sb ss}", "desired", (json_int_t)version, "accepted", r == 0, "why", r ? err->message : ""));
    if (r == 0)
        agent_link_notify(agent);
    return r;
}

static json_t *observe(void *data)
{
    json_t *list = json_array();
    for (int i = 0; i < services; i++) {
        char id[UUID_SIZE];
        uuid_new(id);
        json_array_append_new(list, json_pack("{ss ss si si ss}", "id", id, "state", "running", "readyReplicas", 1,
                                              "replicas", 1, "notice", "padding padding padding padding padding"));
    }
    return json_pack("{ss sI ss ss so s[{ss ss si}]}", "type", "observed", "desiredVersion", (json_int_t)accepted,
                     "version", "0.1.0", "isolation", "none", "services", list, "workloads", "name", workload, "state",
                     "running", "restarts", 0);
}

static void on_event(bool error, const char *message, void *data)
{
    say(json_pack("{ss sb}", "event", message, "error", (int)error));
}

static void command(char *line)
{
    if (!strcmp(line, "status")) {
        say(json_pack("{so}", "status", agent_link_status_json(agent)));
    } else if (!strncmp(line, "report ", 7)) {
        snprintf(workload, sizeof(workload), "%s", line + 7);
        agent_link_notify(agent);
    } else if (!strncmp(line, "big ", 4)) {
        services = atoi(line + 4);
        agent_link_notify(agent);
    } else if (!strcmp(line, "nudge")) {
        agent_link_nudge(agent);
    }
}

static void on_input(uv_poll_t *p, int status, int events)
{
    static char text[4096];
    static size_t have;
    ssize_t n = read(STDIN_FILENO, text + have, sizeof(text) - 1 - have);
    if (n <= 0) {
        uv_close((uv_handle_t *)p, NULL);
        agent_link_stop(agent, NULL, NULL);
        return;
    }
    have += (size_t)n;
    text[have] = '\0';
    for (char *end; (end = strchr(text, '\n'));) {
        *end = '\0';
        command(text);
        have -= (size_t)(end + 1 - text);
        memmove(text, end + 1, have + 1);
    }
}

static int fail(const struct err *err)
{
    fprintf(stderr, "link-agent: %s\n", err->message);
    return 1;
}

static int run(const char *dir, const char *proxy, const char *credentials)
{
    struct identity id = {0};
    struct err err = ERR_INIT;
    uv_poll_t input;
    autofree char *text = NULL;
    if (identity_load(dir, &id, &err) < 0 || identity_bundle(dir, &bundle, &err) < 0)
        return fail(&err);
    snprintf(infrastructure, sizeof(infrastructure), "%s", id.infrastructure);
    identity_free(&id);
    accepted_path = mem_printf("%s/accepted", dir);
    if (fs_exists(accepted_path) && fs_read(accepted_path, 64, &text, NULL, NULL) == 0)
        accepted = atoll(text);
    uv_loop_init(&loop);
    struct agent_link_config config = {
        .loop = &loop,
        .dir = dir,
        .proxy = {proxy, credentials},
        .version = "0.1.0",
        .desired_version = desired_version,
        .on_desired = on_desired,
        .observe = observe,
        .on_event = on_event,
    };
    if (agent_link_start(&config, &agent, &err) < 0)
        return fail(&err);
    uv_poll_init(&loop, &input, STDIN_FILENO);
    uv_poll_start(&input, UV_READABLE, on_input);
    uv_run(&loop, UV_RUN_DEFAULT);
    uv_loop_close(&loop);
    bundle_free(bundle);
    free(accepted_path);
    return 0;
}

static int enrol(int argc, char **argv)
{
    struct agent_enrol_config config = {
        .dir = argv[2],
        .bundle_file = argv[3],
        .token_file = argc > 4 && *argv[4] ? argv[4] : NULL,
        .name = "scenario",
        .proxy = {argc > 5 ? argv[5] : NULL, argc > 6 ? argv[6] : NULL},
        .timeout_ms = 20000,
    };
    char fingerprint[65];
    struct err err = ERR_INIT;
    if (agent_enrol(&config, fingerprint, &err) < 0)
        return fail(&err);
    puts(fingerprint);
    return 0;
}

int main(int argc, char **argv)
{
    signal(SIGPIPE, SIG_IGN);
    if (argc >= 4 && !strcmp(argv[1], "enrol"))
        return enrol(argc, argv);
    if (argc >= 3 && !strcmp(argv[1], "run"))
        return run(argv[2], argc > 3 ? argv[3] : NULL, argc > 4 ? argv[4] : NULL);
    fprintf(stderr,
            "usage: link-agent enrol DIR BUNDLE [TOKEN_FILE [PROXY [CREDENTIALS]]] | run DIR [PROXY [CREDENTIALS]]\n");
    return 2;
}
