/* The state of the agent's own release: a StatefulSet whose annotations anybody with the right to patch it may have
 * written, and its pod. Input: one JSON object {"set", "pod"}. */
#include "base/js.h"
#include "runtime/kubernetes/release.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* What is written next can be read back as it was. */
static void round_trip(const json_t *set, struct kube_release *r)
{
    autojson json_t *copy = json_deep_copy(set), *patch = kube_release_patch(r, NULL);
    json_t *written = json_object_get(json_object_get(patch, "metadata"), "annotations");
    json_t *annotations = json_object_get(json_object_get(copy, "metadata"), "annotations");
    struct kube_release again;
    if (!json_is_object(annotations) || r->state == KUBE_RELEASE_NONE)
        return;
    json_object_update(annotations, written);
    if (kube_release_read(copy, &again, NULL) < 0)
        abort();
    if (again.state == KUBE_RELEASE_NONE) /* longer with what was left out: it counts as none, whole */
        return;
    if (again.state != r->state || strcmp(again.trial, r->trial) || strcmp(again.image, r->image) ||
        strcmp(again.why, r->why))
        abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    autojson json_t *v = NULL;
    struct kube_release r;
    char why[400];
    if (js_parse((const char *)data, size, KIB(64), &v, NULL) < 0)
        return 0;
    const json_t *set = json_object_get(v, "set"), *pod = json_object_get(v, "pod");
    if (kube_release_read(set, &r, NULL) < 0)
        return 0;
    (void)kube_release_judge(&r, pod, 1000, 60, why, sizeof(why));
    if (strlen(why) >= sizeof(why))
        abort();
    autojson json_t *job =
        kube_release_guard_job(set, &r, &(struct kube_release_job){"ownhouse-agent", "ownhouse", "ownhouse-guard", 60});
    if (!job)
        abort();
    round_trip(set, &r);
    return 0;
}
