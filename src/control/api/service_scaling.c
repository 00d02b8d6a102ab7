/* Scaling of services: how much memory and how many replicas are asked for, in the new form and the old one. */
#include "control/api/handlers.h"
#include "control/api/scaling_rules.h"
#include "control/api/service_change.h"
#include "control/api/service_view.h"

static bool differs(const json_t *a, const json_t *b, const char *const *fields)
{
    for (; *fields; fields++) {
        const json_t *x = json_object_get(a, *fields), *y = json_object_get(b, *fields);
        if (x && y ? !json_equal(x, y) : x != y)
            return true;
    }
    return false;
}

/* Stores what has changed, with an activity for each kind of change. */
static int store_changes(struct api_request *q, const struct service_change *c, const json_t *before, struct err *err)
{
    static const struct {
        const char *activity, *fields[5];
    } kinds[] = {
        {"service_update_autoscaling_memory", {"minReplicaMemoryGb", "maxReplicaMemoryGb", NULL}},
        {"service_update_autoscaling_replicas", {"autoscalingMode", "numReplicas", "minReplicas", "maxReplicas", NULL}},
        {"service_update_autoscaling_idling", {"idleScaling", "idleTimeoutMinutes", NULL}},
    };
    if (json_equal(before, c->spec))
        return 0;
    int r = service_change_store(q, c, err);
    for (size_t i = 0; r == 0 && i < ARRAY_SIZE(kinds); i++)
        if (differs(before, c->spec, kinds[i].fields))
            r = api_activity(q, kinds[i].activity, c->id, c->infrastructure, NULL, err);
    return r;
}

static int change(struct api_request *q, struct service_change *c, const json_t *wanted, struct err *err)
{
    autojson json_t *before = json_deep_copy(c->spec);
    int r = scaling_rules_take(q, "", wanted, c->spec);
    if (r == 0)
        r = store_changes(q, c, before, err);
    return r < 0 ? r : service_view_load(q, c->id, &q->result, err);
}

int service_replica_scaling(struct api_request *q, struct err *err)
{
    autochange struct service_change c = {0};
    int r = service_change_begin(q, &c, err);
    return r < 0 ? r : change(q, &c, q->match.body, err);
}

/* The old form counts the memory of three replicas; both forms keep to the same steps. */
static void from_total(const json_t *body, const char *total, json_t *wanted, const char *field)
{
    const json_t *v = json_object_get(body, total);
    if (v)
        json_object_set_new(wanted, field, json_integer((json_int_t)json_number_value(v) / 3));
}

int service_scaling(struct api_request *q, struct err *err)
{
    autochange struct service_change c = {0};
    autojson json_t *wanted = json_copy(q->match.body);
    int r = service_change_begin(q, &c, err);
    if (r < 0)
        return r;
    if (!json_object_get(c.spec, "numReplicas"))
        return api_refuse(q, 400, "serviceId: the service scales horizontally; use replicaScaling");
    json_object_del(wanted, "minTotalMemoryGb");
    json_object_del(wanted, "maxTotalMemoryGb");
    from_total(q->match.body, "minTotalMemoryGb", wanted, "minReplicaMemoryGb");
    from_total(q->match.body, "maxTotalMemoryGb", wanted, "maxReplicaMemoryGb");
    return change(q, &c, wanted, err);
}
