/* Builds the `observed` message. */
#include "agent/operator/observe.h"

enum detail { DETAIL_ALL, DETAIL_NO_METRICS, DETAIL_NO_WORKLOADS, DETAIL_NO_TEXTS };

static json_t *text(const char *s)
{
    json_t *v = json_string(s ? s : "");
    return v ? v : json_string("(not text)");
}

static const char *engine_version(const struct observe_input *in, const struct reconcile_service *s)
{
    char name[WORKLOAD_NAME_MAX + 1];
    snprintf(name, sizeof(name), "clickhouse-%s-0", s->id);
    return in->version_of(name, in->data);
}

static json_t *metrics_of(const struct observe_input *in, const struct reconcile_service *s)
{
    char name[WORKLOAD_NAME_MAX + 1];
    snprintf(name, sizeof(name), "clickhouse-%s-0", s->id);
    return in->metrics_of ? in->metrics_of(name, in->data) : NULL;
}

static json_t *services(const struct observe_input *in, enum detail detail)
{
    json_t *list = json_array();
    bool texts = detail != DETAIL_NO_TEXTS;
    for (size_t i = 0; in->plan && i < in->plan->n_services; i++) {
        const struct reconcile_service *s = &in->plan->services[i];
        json_t *o = json_object();
        json_object_set_new(o, "id", text(s->id));
        json_object_set_new(o, "state", text(service_state_names[s->state]));
        json_object_set_new(o, "engine", text(s->engine));
        json_object_set_new(o, "engineVersion", text(engine_version(in, s)));
        json_object_set_new(o, "readyReplicas", json_integer(s->ready));
        json_object_set_new(o, "replicas", json_integer(s->replicas));
        json_object_set_new(o, "notice", text(texts ? s->notice : ""));
        json_object_set_new(o, "error", text(texts ? s->error : ""));
        json_object_set_new(o, "restarts", json_integer(s->restarts));
        json_t *metrics = detail == DETAIL_ALL ? metrics_of(in, s) : NULL;
        if (metrics)
            json_object_set(o, "metrics", metrics);
        json_array_append_new(list, o);
    }
    return list;
}

static json_t *workloads(const struct observe_input *in, enum detail detail)
{
    json_t *list = json_array();
    for (size_t i = 0; in->observed && detail < DETAIL_NO_WORKLOADS && i < in->observed->n; i++) {
        const struct runtime_status *s = &in->observed->items[i];
        json_t *o = json_object();
        json_object_set_new(o, "name", text(s->name));
        json_object_set_new(o, "state", text(runtime_state_names[s->state]));
        json_object_set_new(o, "restarts", json_integer(s->restarts));
        if (s->error && *s->error)
            json_object_set_new(o, "error", text(s->error));
        json_array_append_new(list, o);
    }
    return list;
}

static json_t *message(const struct observe_input *in, enum detail detail)
{
    json_t *o = json_object();
    json_object_set_new(o, "type", text("observed"));
    json_object_set_new(o, "desiredVersion", json_integer(in->desired_version));
    json_object_set_new(o, "version", text(in->program_version));
    json_object_set_new(o, "isolation", text(in->isolation));
    json_object_set_new(o, "caCertificate", text(in->ca_pem));
    json_object_set_new(o, "services", services(in, detail));
    json_object_set_new(o, "workloads", workloads(in, detail));
    if (in->backups)
        json_object_set(o, "backups", in->backups);
    if (in->dns)
        json_object_set(o, "dns", in->dns);
    if (in->certificate)
        json_object_set(o, "certificate", in->certificate);
    if (in->release)
        json_object_set(o, "release", in->release);
    return o;
}

char *observe_text(const struct observe_input *in)
{
    for (enum detail detail = DETAIL_ALL;; detail++) {
        autojson json_t *o = message(in, detail);
        autofree char *as_text = js_text(o);
        if (detail == DETAIL_NO_TEXTS || strlen(as_text) <= OBSERVE_MAX_BYTES)
            return TAKE_PTR(as_text);
    }
}

json_t *observe_message(const struct observe_input *in)
{
    autofree char *text = observe_text(in);
    return json_loads(text, 0, NULL);
}
