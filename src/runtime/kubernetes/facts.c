/* Takes facts out of objects and keeps them in order. */
#include "runtime/kubernetes/facts.h"

#include "base/clock.h"

#define TEXT(object, key) json_string_value(json_object_get(object, key))
#define INT(object, key) json_integer_value(json_object_get(object, key))

void kube_fact_free(struct kube_fact *f)
{
    if (!f)
        return;
    for (size_t i = 0; i < f->n_labels; i++) {
        free((char *)(uintptr_t)f->labels[i].name);
        free((char *)(uintptr_t)f->labels[i].value);
    }
    free(f->labels);
    free(f->namespace);
    free(f->name);
    free(f->workload);
    free(f->uid);
    free(f->objects);
    free(f->address);
    free(f->error);
    free(f->revision);
    free(f->detail);
    free(f);
}

static char *copy(const char *text)
{
    return mem_strdup(text ? text : "");
}

/* ---- metadata ---- */

static void take_labels(struct kube_fact *f, const json_t *labels)
{
    static const char prefix[] = "ownhouse/";
    const char *key;
    json_t *value;
    f->labels = mem_alloc((json_object_size(labels) + 1) * sizeof(*f->labels));
    json_object_foreach((json_t *)(uintptr_t)labels, key, value) if (!strncmp(key, prefix, sizeof(prefix) - 1) &&
                                                                     json_is_string(value)) f->labels[f->n_labels++] =
        (struct workload_env){mem_strdup(key + sizeof(prefix) - 1), copy(json_string_value(value))};
}

static uint64_t hash(uint64_t h, const char *text)
{
    for (; text && *text; text++)
        h = (h ^ (unsigned char)*text) * UINT64_C(0x100000001b3);
    return h;
}

/* The cluster's own controllers write what is theirs to write: bindings, revisions, deadlines. */
static bool is_controller(const char *manager)
{
    static const char *const names[] = {"kube-controller-manager", "kube-scheduler", "kubelet", "k3s"};
    for (size_t i = 0; i < ARRAY_SIZE(names); i++)
        if (!strcmp(names[i], manager))
            return true;
    return false;
}

static void take_owners(struct kube_fact *f, const json_t *entries)
{
    uint64_t h = UINT64_C(0xcbf29ce484222325);
    for (size_t i = 0; i < json_array_size(entries); i++) {
        const json_t *e = json_array_get(entries, i);
        const char *manager = TEXT(e, "manager"), *sub = TEXT(e, "subresource"), *operation = TEXT(e, "operation");
        if (!manager || (sub && *sub) || is_controller(manager))
            continue;
        f->foreign |= strcmp(manager, "ownhouse") != 0;
        autofree char *fields = js_text(json_object_get(e, "fieldsV1"));
        h = hash(hash(hash(h, manager), operation), fields);
    }
    f->owners = h;
}

static int take_metadata(struct kube_fact *f, const json_t *object, struct err *err)
{
    const json_t *m = json_object_get(object, "metadata"), *annotations = json_object_get(m, "annotations");
    const char *name = TEXT(m, "name"), *version = TEXT(m, "resourceVersion"), *digest;
    if (!name || !version)
        return err_set(err, -EINVAL, "%s: an object without name or resourceVersion", kube_kinds[f->kind].kind);
    f->name = copy(name);
    f->namespace = copy(TEXT(m, "namespace"));
    f->uid = copy(TEXT(m, "uid"));
    f->version = strtoll(version, NULL, 10);
    f->generation = INT(m, "generation");
    f->deleting = json_object_get(m, "deletionTimestamp") != NULL;
    f->workload = copy(TEXT(json_object_get(m, "labels"), "ownhouse/workload"));
    if ((digest = TEXT(annotations, "ownhouse/digest")))
        snprintf(f->digest, sizeof(f->digest), "%s", digest);
    take_owners(f, json_object_get(m, "managedFields"));
    /* Who says what runs needs them; of the other kinds there are ten times as many. */
    if (f->kind == KUBE_STATEFUL_SET || f->kind == KUBE_DEPLOYMENT)
        take_labels(f, json_object_get(m, "labels"));
    return 0;
}

/* ---- by kind ---- */

static void take_set(struct kube_fact *f, const json_t *object)
{
    const json_t *annotations = json_object_get(json_object_get(object, "metadata"), "annotations");
    const json_t *status = json_object_get(object, "status");
    const char *digest = TEXT(annotations, "ownhouse/workload-digest"),
               *renderer = TEXT(annotations, "ownhouse/renderer");
    snprintf(f->workload_digest, sizeof(f->workload_digest), "%s", digest ? digest : "");
    f->objects = copy(TEXT(annotations, "ownhouse/objects"));
    snprintf(f->renderer, sizeof(f->renderer), "%s", renderer ? renderer : "");
    f->wanted = (int)INT(json_object_get(object, "spec"), "replicas");
    f->replicas = (int)INT(status, "replicas");
    f->ready = (int)INT(status, "readyReplicas");
    f->updated = (int)INT(status, "updatedReplicas");
    f->observed_generation = INT(status, "observedGeneration");
    f->detail = copy(TEXT(status, "updateRevision"));
}

static void pod_error(struct kube_fact *f, const char *reason, const char *message)
{
    free(f->error);
    f->error = mem_printf("%s%s%.200s", reason, message && *message ? ": " : "", message ? message : "");
}

/* These do not end by waiting. */
static bool is_trouble(const char *reason)
{
    static const char *const reasons[] = {"CrashLoopBackOff",     "ImagePullBackOff",  "ErrImagePull",
                                          "InvalidImageName",     "RunContainerError", "CreateContainerConfigError",
                                          "CreateContainerError", "ErrImageNeverPull"};
    for (size_t i = 0; i < ARRAY_SIZE(reasons); i++)
        if (!strcmp(reasons[i], reason))
            return true;
    return false;
}

static void take_container(struct kube_fact *f, const json_t *c)
{
    const json_t *state = json_object_get(c, "state"), *waiting = json_object_get(state, "waiting"),
                 *ended = json_object_get(state, "terminated");
    const char *reason = TEXT(waiting, "reason");
    f->restarts += (int)INT(c, "restartCount");
    f->was_ready |= json_is_true(json_object_get(c, "started"));
    if (reason && is_trouble(reason)) {
        f->failed = true;
        pod_error(f, reason, TEXT(waiting, "message"));
    } else if (ended) {
        reason = TEXT(ended, "reason");
        pod_error(f, reason ? reason : "ended", TEXT(ended, "message"));
    }
}

static void take_condition(struct kube_fact *f, const json_t *c)
{
    const char *type = TEXT(c, "type"), *status = TEXT(c, "status"), *at = TEXT(c, "lastTransitionTime"),
               *reason = TEXT(c, "reason");
    if (!type || !status)
        return;
    if (!strcmp(type, "Ready")) {
        f->pod_ready = !strcmp(status, "True");
        if (at)
            (void)!clock_iso_parse(at, &f->since_ms);
    }
    if (!strcmp(type, "PodScheduled") && !strcmp(status, "False") && reason && !strcmp(reason, "Unschedulable"))
        pod_error(f, "no node takes it", TEXT(c, "message"));
}

static void take_pod(struct kube_fact *f, const json_t *object)
{
    const json_t *status = json_object_get(object, "status"), *list = json_object_get(status, "containerStatuses"),
                 *labels = json_object_get(json_object_get(object, "metadata"), "labels");
    const char *phase = TEXT(status, "phase"), *revision = TEXT(labels, "controller-revision-hash");
    f->error = copy("");
    f->address = copy(TEXT(status, "podIP"));
    f->revision = copy(revision ? revision : TEXT(labels, "pod-template-hash"));
    for (size_t i = 0; i < json_array_size(list); i++)
        take_container(f, json_array_get(list, i));
    list = json_object_get(status, "conditions");
    for (size_t i = 0; i < json_array_size(list); i++)
        take_condition(f, json_array_get(list, i));
    if (phase && !strcmp(phase, "Failed")) {
        f->failed = true;
        pod_error(f, "the pod failed", TEXT(status, "message"));
    }
}

static void take_service(struct kube_fact *f, const json_t *object)
{
    const json_t *balancer = json_object_get(json_object_get(object, "status"), "loadBalancer");
    const json_t *first = json_array_get(json_object_get(balancer, "ingress"), 0);
    const char *ip = TEXT(first, "ip");
    f->detail = copy(ip ? ip : TEXT(first, "hostname"));
}

int kube_fact_parse(enum kube_kind kind, const json_t *object, struct kube_fact **ret, struct err *err)
{
    struct kube_fact *f = mem_alloc(sizeof(*f));
    f->kind = kind;
    int r = take_metadata(f, object, err);
    if (r < 0) {
        kube_fact_free(f);
        return r;
    }
    if (kind == KUBE_STATEFUL_SET || kind == KUBE_DEPLOYMENT)
        take_set(f, object);
    else if (kind == KUBE_POD)
        take_pod(f, object);
    else if (kind == KUBE_SERVICE)
        take_service(f, object);
    else if (kind == KUBE_CLAIM)
        f->detail = copy(TEXT(json_object_get(object, "status"), "phase"));
    *ret = f;
    return 0;
}

/* ---- the list ---- */

static int compare(const struct kube_fact *f, enum kube_kind kind, const char *ns, const char *name)
{
    if (f->kind != kind)
        return f->kind < kind ? -1 : 1;
    int r = strcmp(f->namespace, ns);
    return r ? r : strcmp(f->name, name);
}

/* The first that is not below. */
static size_t place_of(const struct kube_facts *l, enum kube_kind kind, const char *ns, const char *name)
{
    size_t low = 0, high = l->n;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (compare(l->items[middle], kind, ns, name) < 0)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

struct kube_fact *kube_facts_find(const struct kube_facts *l, enum kube_kind kind, const char *ns, const char *name)
{
    size_t i = place_of(l, kind, ns ? ns : "", name);
    return i < l->n && compare(l->items[i], kind, ns ? ns : "", name) == 0 ? l->items[i] : NULL;
}

size_t kube_facts_first(const struct kube_facts *l, enum kube_kind kind, const char *ns)
{
    return place_of(l, kind, ns ? ns : "", "");
}

bool kube_facts_put(struct kube_facts *l, struct kube_fact *fact, bool ours)
{
    size_t i = place_of(l, fact->kind, fact->namespace, fact->name);
    bool there = i < l->n && compare(l->items[i], fact->kind, fact->namespace, fact->name) == 0;
    if (there) {
        struct kube_fact *old = l->items[i];
        old->mark = fact->mark = MAX(old->mark, fact->mark);
        fact->accepted = ours ? fact->owners : strcmp(old->uid, fact->uid) ? 0 : old->accepted;
        if (old->version >= fact->version) {
            if (ours)
                old->accepted = old->version == fact->version ? fact->owners : old->accepted;
            kube_fact_free(fact);
            return false;
        }
        l->items[i] = fact;
        kube_fact_free(old);
        return true;
    }
    if (ours)
        fact->accepted = fact->owners;
    if (l->n == l->cap) {
        l->cap = l->cap ? l->cap * 2 : 64;
        l->items = mem_realloc(l->items, l->cap * sizeof(struct kube_fact *));
    }
    memmove(l->items + i + 1, l->items + i, (l->n - i) * sizeof(struct kube_fact *));
    l->items[i] = fact;
    l->n++;
    return true;
}

static void drop_at(struct kube_facts *l, size_t i)
{
    kube_fact_free(l->items[i]);
    l->n--;
    memmove(l->items + i, l->items + i + 1, (l->n - i) * sizeof(struct kube_fact *));
}

bool kube_facts_drop(struct kube_facts *l, enum kube_kind kind, const char *ns, const char *name, int64_t version)
{
    size_t i = place_of(l, kind, ns ? ns : "", name);
    if (i == l->n || compare(l->items[i], kind, ns ? ns : "", name) || l->items[i]->version > version)
        return false;
    drop_at(l, i);
    return true;
}

bool kube_facts_sweep(struct kube_facts *l, enum kube_kind kind, unsigned mark)
{
    bool any = false;
    for (size_t i = l->n; i-- > 0;)
        if (l->items[i]->kind == kind && l->items[i]->mark != mark) {
            drop_at(l, i);
            any = true;
        }
    return any;
}

void kube_facts_free(struct kube_facts *l)
{
    for (size_t i = 0; i < l->n; i++)
        kube_fact_free(l->items[i]);
    free(l->items);
    *l = (struct kube_facts){0};
}

bool kube_fact_drifted(const struct kube_fact *f)
{
    return f->accepted ? f->owners != f->accepted : f->foreign;
}

bool kube_fact_stands(const struct kube_fact *f, const char *digest)
{
    return f && !f->deleting && !strncmp(f->digest, digest, KUBE_DIGEST_SHOWN) && !kube_fact_drifted(f);
}
