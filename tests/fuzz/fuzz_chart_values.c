/* A customer's values for the chart: what is taken makes objects that Kubernetes can tell apart. */
#include "runtime/kubernetes/chart.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    autojson json_t *own = NULL, *values = NULL, *objects = NULL;
    const json_t *one;
    struct err err = ERR_INIT;
    size_t i;
    if (js_parse((const char *)data, size, KUBE_CHART_VALUES_MAX, &own, NULL) < 0)
        return 0;
    if (kube_chart_values(own, &values, &err) < 0) {
        if (!*err.message)
            abort();
        return 0;
    }
    if (kube_chart_objects(values, "ownhouse", &objects, &err) < 0) /* checked values fill every template */
        abort();
    json_array_foreach(objects, i, one)
    {
        if (!json_is_string(json_object_get(one, "kind")) ||
            !json_is_string(json_object_get(json_object_get(one, "metadata"), "name")))
            abort();
    }
    return 0;
}
