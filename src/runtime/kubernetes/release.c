/* Reads and writes the state of a change of the agent's own image, and judges it. */
#include "runtime/kubernetes/release.h"

#include "base/mem.h"

#define STATE "ownhouse/release"
#define GUARD "ownhouse/release-guard"
#define HEALTH "ownhouse/release-health"
#define ANNOTATION_MAX KIB(4)
#define GUARD_RESTARTS 100 /* it is to outlive whatever happens to its node */
#define GUARD_KEPT_S 3600  /* its log, for whoever asks why */

const char *const kube_release_state_names[] = {"", "preparing", "trying", "taken", "rolled-back", "left", "refused"};

/* ---- reading ---- */

static json_t *parsed(const json_t *annotations, const char *name)
{
    const char *text = js_text_at(annotations, name);
    json_t *v = NULL;
    return *text && js_parse(text, strlen(text), ANNOTATION_MAX, &v, NULL) == 0 ? v : NULL;
}

/* The one of the list whose `key` says so; NULL: none. */
static const json_t *which(const json_t *list, const char *key, const char *value)
{
    const json_t *one;
    size_t i;
    json_array_foreach(list, i, one)
    {
        if (!strcmp(js_text_at(one, key), value))
            return one;
    }
    return NULL;
}

static const json_t *container(const json_t *pod_spec)
{
    return which(json_object_get(pod_spec, "containers"), "name", KUBE_RELEASE_CONTAINER);
}

static const json_t *pod_spec_of(const json_t *set)
{
    return json_object_get(json_object_get(json_object_get(set, "spec"), "template"), "spec");
}

/* Whole or not at all. */
static bool take(const json_t *from, const char *key, char *into, size_t size)
{
    const char *text = js_text_at(from, key);
    if (strlen(text) >= size)
        return false;
    strcpy(into, text);
    return true;
}

static void read_state(const json_t *v, struct kube_release *r)
{
    struct kube_release s = {0};
    for (size_t i = 1; i < ARRAY_SIZE(kube_release_state_names); i++)
        if (!strcmp(js_text_at(v, "state"), kube_release_state_names[i]))
            s.state = (enum kube_release_state)i;
    if (s.state && take(v, "trial", s.trial, sizeof(s.trial)) && *s.trial &&
        take(v, "image", s.image, sizeof(s.image)) && take(v, "before", s.before, sizeof(s.before)) &&
        take(v, "list", s.list, sizeof(s.list)) && take(v, "why", s.why, sizeof(s.why)) &&
        take(v, "at", s.at, sizeof(s.at))) {
        s.until_ms = json_integer_value(json_object_get(v, "untilMs"));
        *r = s;
    }
}

int kube_release_read(const json_t *set, struct kube_release *ret, struct err *err)
{
    struct kube_release r = {0};
    const json_t *metadata = json_object_get(set, "metadata"), *annotations = json_object_get(metadata, "annotations");
    autojson json_t *state = parsed(annotations, STATE), *health = parsed(annotations, HEALTH);
    const json_t *agent = container(pod_spec_of(set));
    read_state(state, &r);
    if (!take(annotations, GUARD, r.guard, sizeof(r.guard)))
        *r.guard = '\0';
    if (!take(health, "trial", r.health_trial, sizeof(r.health_trial)) ||
        !take(health, "pod", r.health_pod, sizeof(r.health_pod)))
        *r.health_trial = '\0';
    if (!take(metadata, "resourceVersion", r.version, sizeof(r.version)) || !*r.version ||
        !take(metadata, "uid", r.uid, sizeof(r.uid)) || !take(agent, "image", r.current, sizeof(r.current)) ||
        !*r.current)
        return err_set(err, -EINVAL, "StatefulSet %s: has no container %s with an image", js_text_at(metadata, "name"),
                       KUBE_RELEASE_CONTAINER);
    *ret = r;
    return 0;
}

bool kube_release_wanted(const struct kube_release *r, const char *image, const char *list, bool rested)
{
    bool same = !strcmp(r->image, image) && !strcmp(r->list, list);
    if (!*image || !strcmp(r->current, image))
        return false;
    switch (r->state) {
    case KUBE_RELEASE_PREPARING:
    case KUBE_RELEASE_TRYING:
        return false; /* one at a time */
    case KUBE_RELEASE_ROLLED_BACK:
    case KUBE_RELEASE_LEFT:
        return !same;
    case KUBE_RELEASE_REFUSED:
        return !same || rested;
    case KUBE_RELEASE_NONE:
    case KUBE_RELEASE_TAKEN:
        break;
    }
    return true;
}

/* ---- writing ---- */

void kube_release_turn(struct kube_release *r, enum kube_release_state state, const char *why, int64_t wall_ms)
{
    r->state = state;
    snprintf(r->why, sizeof(r->why), "%s", why);
    clock_iso(wall_ms, r->at);
}

static json_t *patch(const struct kube_release *r, const char *name, const char *value)
{
    return json_pack("{s{ss s{ss}}}", "metadata", "resourceVersion", r->version, "annotations", name, value);
}

json_t *kube_release_patch(const struct kube_release *r, const char *image)
{
    autojson json_t *state =
        json_pack("{ss ss ss ss ss ss sI}", "state", kube_release_state_names[r->state], "trial", r->trial, "image",
                  r->image, "before", r->before, "list", r->list, "at", r->at, "untilMs", (json_int_t)r->until_ms);
    json_object_set_new(state, "why", js_string_of(r->why));
    autofree char *text = js_text(state);
    json_t *v = patch(r, STATE, text);
    if (image)
        json_object_set_new(v, "spec",
                            json_pack("{s{s{s[{ss ss}]}}}", "template", "spec", "containers", "name",
                                      KUBE_RELEASE_CONTAINER, "image", image));
    return v;
}

json_t *kube_release_patch_guard(const struct kube_release *r, const char *trial)
{
    return patch(r, GUARD, trial);
}

json_t *kube_release_patch_health(const struct kube_release *r, const char *pod)
{
    autojson json_t *health = json_pack("{ss ss}", "trial", r->trial, "pod", pod);
    autofree char *text = js_text(health);
    return patch(r, HEALTH, text);
}

/* ---- the guard's Job ---- */

static void copy(const json_t *from, json_t *into, const char *const *keys)
{
    for (; *keys; keys++)
        if (json_object_get(from, *keys))
            json_object_set(into, *keys, json_object_get(from, *keys));
}

static json_t *guard_container(const json_t *agent, const struct kube_release *r, const struct kube_release_job *job)
{
    static const char *const as_agent[] = {"securityContext", "imagePullPolicy", NULL};
    autofree char *patience = mem_printf("%d", job->patience_s);
    json_t *v = json_pack("{ss ss s[ss ss ss ss ss ss] s{s{ss ss} s{ss}}}", "name", "guard", "image", r->before,
                          "command", "ownhouse-agent", "guard", "--workload", job->workload, "--trial", r->trial,
                          "--image", r->image, "--before", r->before, "--patience", patience, "resources", "requests",
                          "cpu", "5m", "memory", "16Mi", "limits", "memory", "64Mi");
    copy(agent, v, as_agent);
    return v;
}

json_t *kube_release_guard_job(const json_t *set, const struct kube_release *r, const struct kube_release_job *job)
{
    static const char *const as_agent[] = {"securityContext",
                                           "imagePullSecrets",
                                           "nodeSelector",
                                           "tolerations",
                                           "priorityClassName",
                                           "runtimeClassName",
                                           NULL};
    static const char label[] = "app.kubernetes.io/name";
    autofree char *kind = mem_printf("%s-guard", job->workload), *name = mem_printf("%s-%s", kind, r->trial);
    const json_t *like = pod_spec_of(set);
    json_t *pod = json_pack("{ss ss sb si s[o]}", "serviceAccountName", job->account, "restartPolicy", "OnFailure",
                            "enableServiceLinks", 0, "terminationGracePeriodSeconds", 5, "containers",
                            guard_container(container(like), r, job));
    copy(like, pod, as_agent);
    return json_pack("{ss ss s{ss ss s{ss} s[{ss ss ss ss}]} s{si si s{s{s{ss}} so}}}", "apiVersion", "batch/v1",
                     "kind", "Job", "metadata", "name", name, "namespace", job->namespace, "labels", label, kind,
                     "ownerReferences", "apiVersion", "apps/v1", "kind", "StatefulSet", "name", job->workload, "uid",
                     r->uid, "spec", "backoffLimit", GUARD_RESTARTS, "ttlSecondsAfterFinished", GUARD_KEPT_S,
                     "template", "metadata", "labels", label, kind, "spec", pod);
}

/* ---- judging ---- */

static bool is_ready(const json_t *status)
{
    return !strcmp(js_text_at(which(json_object_get(status, "conditions"), "type", "Ready"), "status"), "True");
}

static const json_t *container_status(const json_t *status)
{
    return which(json_object_get(status, "containerStatuses"), "name", KUBE_RELEASE_CONTAINER);
}

/* true: nothing is missing. */
static bool is_good(const struct kube_release *r, const json_t *pod, char *why, size_t size)
{
    const json_t *status = json_object_get(pod, "status"), *c = container_status(status),
                 *waiting = json_object_get(json_object_get(c, "state"), "waiting"),
                 *spec = container(json_object_get(pod, "spec"));
    const char *uid = js_text_at(json_object_get(pod, "metadata"), "uid");
    if (!pod || strcmp(js_text_at(spec, "image"), r->image))
        snprintf(why, size, "the cluster has not made its pod");
    else if (*js_text_at(waiting, "reason"))
        snprintf(why, size, "its pod does not run: %s %s", js_text_at(waiting, "reason"),
                 js_text_at(waiting, "message"));
    else if (!is_ready(status))
        snprintf(why, size, "its pod is not ready: the link is not up");
    else if (strcmp(r->health_trial, r->trial) || !*uid || strcmp(r->health_pod, uid))
        snprintf(why, size, "its agent has not said that it is linked and has made a pass");
    else
        return true;
    return false;
}

enum kube_release_verdict kube_release_judge(const struct kube_release *r, const json_t *pod, int64_t wall_ms,
                                             int patience_s, char *ret_why, size_t size)
{
    char missing[300] = "";
    const json_t *c = container_status(json_object_get(pod, "status")), *spec = container(json_object_get(pod, "spec"));
    int restarts = (int)json_integer_value(json_object_get(c, "restartCount"));
    bool its = !strcmp(js_text_at(spec, "image"), r->image);
    if (strcmp(r->current, r->image)) {
        snprintf(ret_why, size, "somebody else gave the agent the image %s meanwhile", r->current);
        return KUBE_RELEASE_OTHERS;
    }
    if (is_good(r, pod, missing, sizeof(missing))) {
        *ret_why = '\0';
        return KUBE_RELEASE_GOOD;
    }
    if (its && restarts >= KUBE_RELEASE_RESTARTS_MAX)
        snprintf(ret_why, size, "it ended %d times: %s", restarts, missing);
    else
        snprintf(ret_why, size, "not up within %d s: %s", patience_s, missing);
    return (its && restarts >= KUBE_RELEASE_RESTARTS_MAX) || (r->until_ms && wall_ms >= r->until_ms)
               ? KUBE_RELEASE_BAD
               : KUBE_RELEASE_WAIT;
}
