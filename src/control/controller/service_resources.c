/* What services need in the cloud: into the graph, and into plans of their own. */
#include "control/controller/service_resources.h"

#include "consent/consent.h"

#define SCOPE "services"
#define INGRESS "aws_ingress.main"
#define NAMES "aws_dns_record."
#define KEPT_OWN "what belongs to services comes and goes with them, by plans of its own"
#define KEPT_REST "this plan is only of what belongs to services"
#define KEPT_NAMES "the cluster has not made the load balancer of its ingress yet"

static bool of_service(const char *key)
{
    const char *dot = strchr(key, '.');
    return dot && aws_of_service(dot + 1);
}

/* Whether plans need the customer's signatures here; as long as no data plane has told a policy, they do not. */
static int wants_signatures(struct store *s, const char *infrastructure, int64_t now, bool *ret, struct err *err)
{
    autorows struct store_rows *rows = NULL;
    autopolicy struct policy *policy = NULL;
    struct consent_request request = {.n_operations = 1, .created_ms = now, .not_after_ms = now + 1};
    struct consent_verdict verdict = {0};
    *ret = false;
    int r = store_query(s, "SELECT policy FROM consent WHERE infrastructure_id = $1 AND policy IS NOT NULL",
                        STORE_ARGS(store_text(infrastructure)), &rows, err);
    if (r == 0)
        r = store_next(rows, err);
    if (r <= 0)
        return r;
    const char *text = store_column_text(rows, 0);
    /* Of a policy that this version cannot read the worst is assumed. */
    *ret = true;
    if (policy_parse(text, strlen(text), &policy, NULL) < 0)
        return 0;
    request.operations[0] = operation_find("infrastructure.plan");
    snprintf(request.infrastructure, sizeof(request.infrastructure), "%s", infrastructure);
    consent_check(
        &(struct consent_input){
            .policy = policy, .request = &request, .infrastructure = request.infrastructure, .now_ms = now},
        &verdict);
    *ret = verdict.state != CONSENT_ALLOWED;
    return 0;
}

static int read_services(struct store *s, const char *infrastructure, struct arena *arena, struct aws_service **ret,
                         size_t *ret_n, struct err *err)
{
    autorows struct store_rows *rows = NULL;
    size_t n = 0, cap = 0;
    autofree struct aws_service *list = NULL;
    int r = store_query(
        s, "SELECT id, slug FROM service WHERE infrastructure_id = $1 AND state <> 'terminated' ORDER BY ordinal",
        STORE_ARGS(store_text(infrastructure)), &rows, err);
    while (r == 0 && (r = store_next(rows, err)) == 1) {
        if (n == cap)
            list = mem_realloc(list, (cap = cap ? 2 * cap : 16) * sizeof(*list));
        list[n++] = (struct aws_service){arena_strdup(arena, store_column_text(rows, 0)),
                                         arena_strdup(arena, store_column_text(rows, 1))};
        r = 0;
    }
    if (r == 0) {
        *ret = TAKE_PTR(list);
        *ret_n = n;
    }
    return r;
}

int service_resources_open(struct service_resources *v, struct store *s, const struct infrastructure_row *row,
                           struct provider *p, struct arena *arena, struct plan_state *state, int64_t now_ms,
                           struct err *err)
{
    static const char *const kinds[] = {"aws_pod_identity.", NAMES};
    autofree struct aws_service *services = NULL;
    size_t n = 0;
    bool signatures = false;
    *v = (struct service_resources){
        .graph = p->graph, .state = state, .apart = true, .wanted = json_array(), .made = json_object()};
    if (!p->remote)
        return 0;
    int r = wants_signatures(s, row->id, now_ms, &signatures, err);
    if (r == 0)
        r = read_services(s, row->id, arena, &services, &n, err);
    if (r == 0)
        r = cloud_aws_services_add(&p->settings, services, n, p->has_local, p->graph, err);
    if (r == 0)
        r = plan_graph_check(p->graph, p->types, err);
    v->apart = !signatures;
    for (size_t i = 0; i < n && r == 0; i++) {
        for (size_t k = 0; k < ARRAY_SIZE(kinds); k++) {
            autofree char *key = mem_printf("%s" AWS_SERVICE_PREFIX "%s", kinds[k], services[i].id);
            if (plan_graph_attributes(p->graph, key))
                json_array_append_new(v->wanted, json_string(key));
        }
    }
    return r;
}

void service_resources_close(struct service_resources *v)
{
    json_decref(v->wanted);
    json_decref(v->made);
    v->wanted = v->made = NULL;
}

static int look_made(struct service_resources *v, struct err *err)
{
    autojson json_t *list = NULL;
    size_t i;
    json_t *one;
    int r = v->state->list(v->state, &list, err);
    json_object_clear(v->made);
    json_array_foreach(list, i, one)
    {
        autofree char *key = mem_printf("%s.%s", js_text_at(one, "type"), js_text_at(one, "name"));
        if (r == 0 && of_service(key))
            json_object_set_new(v->made, key, json_true());
    }
    return r;
}

int service_resources_pending(struct service_resources *v, bool *ret, struct err *err)
{
    size_t i;
    json_t *one;
    const char *key;
    int r = look_made(v, err);
    *ret = false;
    json_array_foreach(v->wanted, i, one)
    {
        key = json_string_value(one);
        *ret = *ret || (plan_graph_attributes(v->graph, key) && !json_object_get(v->made, key));
    }
    json_object_foreach(v->made, key, one) *ret = *ret || !plan_graph_attributes(v->graph, key);
    return r;
}

int service_resources_drop_unmade(struct service_resources *v, struct err *err)
{
    size_t i;
    json_t *one;
    int r = v->apart ? look_made(v, err) : 0;
    json_array_foreach(v->wanted, i, one)
    {
        const char *key = json_string_value(one);
        if (r == 0 && v->apart && plan_graph_attributes(v->graph, key) && !json_object_get(v->made, key))
            r = plan_graph_drop(v->graph, key, err);
    }
    return r;
}

/* What was made and is gone, or differs, is not work but drift. */
static bool is_work(const struct service_resources *v, const char *key, const char *action)
{
    return of_service(key) &&
           (!strcmp(action, "destroy") || (!strcmp(action, "create") && !json_object_get(v->made, key)));
}

static bool ingress_missing(const json_t *document)
{
    size_t i;
    json_t *change;
    json_array_foreach(json_object_get(document, "changes"), i, change)
    {
        if (!strcmp(js_text_at(change, "resource"), INGRESS))
            return !strcmp(js_text_at(change, "action"), "create");
    }
    return false;
}

void service_resources_hold(const struct service_resources *v, json_t *document, bool own)
{
    bool missing = ingress_missing(document);
    size_t i;
    json_t *change;
    json_array_foreach(json_object_get(document, "changes"), i, change)
    {
        const char *key = js_text_at(change, "resource"), *action = js_text_at(change, "action");
        bool points = of_service(key) && !strncmp(key, NAMES, sizeof(NAMES) - 1) && strcmp(action, "destroy");
        if (missing && (points || !strcmp(key, INGRESS)))
            plan_hold(document, key, KEPT_NAMES);
        else if (v->apart && is_work(v, key, action) != own)
            plan_hold(document, key, own ? KEPT_REST : KEPT_OWN);
    }
}

bool service_resources_is_own(const json_t *document)
{
    return !strcmp(js_text_at(document, "scope"), SCOPE);
}

void service_resources_mark(json_t *document)
{
    json_object_set_new(document, "scope", json_string(SCOPE));
}
