/* Merges scaling fields and checks that they go together. */
#include "control/api/scaling_rules.h"

static bool is_horizontal(const json_t *o)
{
    const char *mode = json_string_value(json_object_get(o, "autoscalingMode"));
    return mode && !strcmp(mode, "horizontal");
}

static int64_t number(const json_t *o, const char *name)
{
    return (int64_t)json_number_value(json_object_get(o, name));
}

static void copy(const json_t *from, json_t *spec, const char *name)
{
    json_t *v = json_object_get(from, name);
    if (v)
        json_object_set(spec, name, v);
}

static int take_memory(struct api_request *q, const char *place, const json_t *from, json_t *spec)
{
    copy(from, spec, "minReplicaMemoryGb");
    copy(from, spec, "maxReplicaMemoryGb");
    int64_t min = number(spec, "minReplicaMemoryGb"), max = number(spec, "maxReplicaMemoryGb");
    if (min > max)
        return api_refuse(q, 400, "%sminReplicaMemoryGb: must not be above maxReplicaMemoryGb, which is %lld", place,
                          (long long)max);
    if (is_horizontal(spec) && min != max)
        return api_refuse(q, 400, "%sminReplicaMemoryGb: must equal maxReplicaMemoryGb with horizontal autoscaling",
                          place);
    return 0;
}

static int take_band(struct api_request *q, const char *place, const json_t *from, json_t *spec)
{
    if (json_object_get(from, "numReplicas"))
        return api_refuse(q, 400, "%snumReplicas: is for vertical autoscaling; use minReplicas and maxReplicas", place);
    json_object_del(spec, "numReplicas");
    copy(from, spec, "minReplicas");
    copy(from, spec, "maxReplicas");
    if (!json_object_get(spec, "minReplicas"))
        return api_refuse(q, 400, "%sminReplicas: is required with horizontal autoscaling, and maxReplicas", place);
    return 0;
}

static int take_count(struct api_request *q, const char *place, const json_t *from, json_t *spec)
{
    json_t *low = json_object_get(from, "minReplicas"), *count = json_object_get(from, "numReplicas");
    if (low && !json_equal(low, json_object_get(from, "maxReplicas")))
        return api_refuse(q, 400, "%sminReplicas: must equal maxReplicas with vertical autoscaling, or use numReplicas",
                          place);
    if (!count && low)
        count = low;
    if (!count && !json_object_get(spec, "numReplicas"))
        return api_refuse(q, 400, "%snumReplicas: is required when the autoscaling becomes vertical", place);
    if (count)
        json_object_set(spec, "numReplicas", count);
    json_object_del(spec, "minReplicas");
    json_object_del(spec, "maxReplicas");
    return 0;
}

int scaling_rules_take(struct api_request *q, const char *place, const json_t *from, json_t *spec)
{
    copy(from, spec, "autoscalingMode");
    int r = is_horizontal(spec) ? take_band(q, place, from, spec) : take_count(q, place, from, spec);
    if (r == 0)
        r = take_memory(q, place, from, spec);
    copy(from, spec, "idleScaling");
    copy(from, spec, "idleTimeoutMinutes");
    return r;
}
