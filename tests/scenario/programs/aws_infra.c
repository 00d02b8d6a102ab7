/* aws-infra: plans, applies and removes one AWS infrastructure against configured endpoints, with state and journal in
 * a file, so that scenarios can be rough with it without a control plane.
 *
 * usage: aws-infra plan|apply|resume|remove|purge|graph|preflight FOLDER
 *   FOLDER/env.json: {"account":{...}, "infrastructure":{...}, "endpoints":{...}, "roles":{PHASE:ARN}, "threads":N,
 *                    "services":[{"id","slug"}...], "pauseMs":N, "pollMs":N, "settleMs":N, "timeoutMs":N,
 *                    "retryMs":N (60000)}
 * apply, remove and purge keep their document in FOLDER/plan.json until they are done; resume goes on with it. */
#include "cloud/aws/aws.h"
#include "cloud/aws/inspect.h"
#include "cloud/estimate.h"
#include "keeper.h"

#include <signal.h>

static atomic_bool stop;

static void on_signal(int sig OH_UNUSED)
{
    atomic_store(&stop, true);
}

static void open_clients(struct aws_env *e, const json_t *v, const char *digest)
{
    const json_t *roles = json_object_get(v, "roles");
    struct aws_source source;
    aws_source_environment(&source);
    for (int i = 0; i < AWS_PHASES; i++) {
        const char *arn = json_string_value(json_object_get(roles, aws_phase_names[i]));
        struct aws_config c = {.region = e->region,
                               .endpoints = json_object_get(v, "endpoints"),
                               .source = source,
                               .clock = &clock_system,
                               .cancel = &stop,
                               .role_arn = arn,
                               .session_name = digest,
                               .external_id = json_string_value(json_object_get(v, "externalId")),
                               .pause_first_ms = (int)json_integer_value(json_object_get(v, "pauseMs")),
                               .timeout_ms = (int)json_integer_value(json_object_get(v, "timeoutMs"))};
        if (!roles || arn)
            e->clients[i] = aws_client_new(&c);
    }
}

static void progress(void *data, const struct plan_progress *p)
{
    static const char *const names[] = {"begin", "waiting", "retry", "done", "failed"};
    (void)data;
    fprintf(stderr, "%s %s %s %s\n", names[p->event], p->key, plan_action_names[p->action], p->message);
}

static int keep(const char *folder, const json_t *doc, struct err *err)
{
    autofree char *path = mem_printf("%s/plan.json", folder), *text OH_CLEANUP(oh_freep) = js_text(doc);
    return fs_write_atomic(path, text, strlen(text), 0600, err);
}

static int act(const struct plan_context *c, struct plan_graph *g, struct keeper *k, const char *verb,
               const char *folder, json_t **ret, struct err *err)
{
    bool purge = !strcmp(verb, "purge"), remove = purge || !strcmp(verb, "remove");
    autojson json_t *doc = NULL;
    char digest[65];
    int r = !strcmp(verb, "resume") ? keeper_load(folder, "plan.json", &doc, err)
                                    : plan_make(c, g, remove ? PLAN_REMOVE : PLAN_APPLY, purge, &doc, err);
    const struct aws_env *e = c->provider;
    if (r == 0 && strcmp(verb, "resume"))
        json_object_set_new(doc, "estimate", cloud_estimate("aws", e->region, g, doc));
    if (r < 0 || !strcmp(verb, "plan")) {
        *ret = json_incref(doc);
        return r;
    }
    r = plan_digest(doc, digest, err);
    if (r == 0 && strcmp(verb, "resume"))
        r = keep(folder, doc, err);
    return r < 0 ? r : plan_apply(c, g, doc, digest, &k->journal, ret, err);
}

static int inspector(void *data, enum aws_phase phase, const char *external_id, struct aws_client **ret,
                     struct err *err OH_UNUSED)
{
    const json_t *v = data;
    struct aws_config c = {.region = json_string_value(json_object_get(json_object_get(v, "infrastructure"), "region")),
                           .endpoints = json_object_get(v, "endpoints"),
                           .clock = &clock_system,
                           .cancel = &stop,
                           .role_arn =
                               json_string_value(json_object_get(json_object_get(v, "roles"), aws_phase_names[phase])),
                           .session_name = "aws-infra",
                           .external_id = external_id};
    aws_source_environment(&c.source);
    *ret = aws_client_new(&c);
    return 0;
}

static void preflight(const json_t *v)
{
    const json_t *infra = json_object_get(v, "infrastructure");
    autojson json_t *account = aws_account_complete("prod", json_object_get(v, "account"));
    if (json_object_get(v, "externalId"))
        json_object_set(account, "externalId", json_object_get(v, "externalId"));
    struct aws_inspect i = {.account = account,
                            .name = "prod",
                            .region = json_string_value(json_object_get(infra, "region")),
                            .cidr = json_string_value(json_object_get(infra, "cidr")),
                            .client = inspector,
                            .data = (void *)(uintptr_t)v};
    autojson json_t *rows = aws_preflight(&i);
    autofree char *said = js_text(rows);
    printf("%s\n", said);
}

/* As whom the keys of the environment act. */
static void say_who(const json_t *v, struct err *err)
{
    struct aws_client *c = NULL;
    if (inspector((void *)(uintptr_t)v, AWS_INSPECT, NULL, &c, err) < 0)
        return;
    autojson json_t *rows = aws_whoami(c);
    autofree char *said = js_text(rows);
    printf("%s\n", said);
    aws_client_free(c);
}

/* "services": [{"id", "slug"}...]; without it the graph is the infrastructure's alone. */
static int add_services(const struct aws_settings *s, const json_t *v, struct plan_graph *g, struct err *err)
{
    const json_t *list = json_object_get(v, "services");
    size_t n = json_array_size(list);
    autofree struct aws_service *services = mem_alloc((n + 1) * sizeof(*services));
    for (size_t i = 0; i < n; i++)
        services[i] = (struct aws_service){json_string_value(json_object_get(json_array_get(list, i), "id")),
                                           json_string_value(json_object_get(json_array_get(list, i), "slug"))};
    return list ? cloud_aws_services_add(s, services, n, false, g, err) : 0;
}

/* A resumed plan says itself what it is. */
static bool removes(const char *verb, const char *folder)
{
    autojson json_t *doc = NULL;
    if (strcmp(verb, "resume"))
        return !strcmp(verb, "remove") || !strcmp(verb, "purge");
    return keeper_load(folder, "plan.json", &doc, NULL) == 0 &&
           !strcmp(json_string_value(json_object_get(doc, "kind")), "destroy");
}

static int run(struct keeper *k, const json_t *v, const char *verb, const char *folder, struct err *err)
{
    struct aws_settings s;
    struct aws_env e = {0};
    autograph struct plan_graph *g = NULL;
    autojson json_t *result = NULL;
    unsigned calls = 0;
    int r = aws_settings_read(json_object_get(v, "account"), json_object_get(v, "infrastructure"), &s, err);
    s.removal = removes(verb, folder);
    if (r == 0)
        r = cloud_aws_graph(&s, &g, err);
    if (r == 0)
        r = add_services(&s, v, g, err);
    if (r < 0 || !strcmp(verb, "graph"))
        return r;
    e = (struct aws_env){.local.domain = s.domain,
                         .infrastructure = s.infrastructure,
                         .name = s.name,
                         .account = s.account,
                         .region = s.region};
    open_clients(&e, v, "aws-infra");
    struct plan_context c = {.infrastructure = s.infrastructure,
                             .types = cloud_aws_types,
                             .provider = &e,
                             .state = &k->state,
                             .clock = &clock_system,
                             .threads = (int)json_integer_value(json_object_get(v, "threads")),
                             .retry_first_ms = (int)json_integer_value(json_object_get(v, "pauseMs")),
                             .retry_total_ms = (int)json_integer_value(json_object_get(v, "retryMs")),
                             .poll_max_ms = (int)json_integer_value(json_object_get(v, "pollMs")),
                             .settle_max_ms = (int)json_integer_value(json_object_get(v, "settleMs")),
                             .cancel = &stop,
                             .progress = progress};
    c.retry_total_ms = c.retry_total_ms ? c.retry_total_ms : 60000;
    r = act(&c, g, k, verb, folder, &result, err);
    for (int i = 0; i < AWS_PHASES; i++) {
        calls += e.clients[i] ? aws_client_calls(e.clients[i]) : 0;
        aws_client_free(e.clients[i]);
    }
    autofree char *said = result ? js_text(result) : mem_strdup("null");
    printf("%s\n", said);
    fprintf(stderr, "calls %u\n", calls);
    return r;
}

int main(int argc, char **argv)
{
    struct err err = ERR_INIT;
    struct keeper k = {0};
    autojson json_t *v = NULL;
    if (argc != 3) {
        fprintf(stderr, "usage: aws-infra plan|apply|resume|remove|purge|graph|preflight|whoami FOLDER\n");
        return 2;
    }
    signal(SIGTERM, on_signal);
    int r = keeper_load(argv[2], "env.json", &v, &err);
    if (r == 0)
        r = keeper_open(&k, argv[2], &err);
    if (r == 0 && !strcmp(argv[1], "preflight"))
        preflight(v);
    else if (r == 0 && !strcmp(argv[1], "whoami"))
        say_who(v, &err);
    else if (r == 0)
        r = run(&k, v, argv[1], argv[2], &err);
    if (r < 0)
        fprintf(stderr, "aws-infra: %s\n", err.message);
    keeper_close(&k);
    return r < 0 ? 1 : 0;
}
