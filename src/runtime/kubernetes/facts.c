/* Takes facts out of objects and keeps them in order. */
#include "runtime/kubernetes/facts.h"

#include "base/clock.h"

#define TEXT(object, key) json_string_value(json_object_get(object, key))
#define INT(object, key) json_integer_value(json_object_get(object, key))

#define LABELS_MAX 24 /* of ours on one object */

/* A fact while it is taken out of an object: texts are borrowed from that or lie here. */
struct draft {
    struct kube_fact f;
    struct workload_env labels[LABELS_MAX];
    char error[300];
};

void kube_fact_free(struct kube_fact *f)
{
    free(f);
}

static bool is_set(enum kube_kind kind)
{
    return kind == KUBE_STATEFUL_SET || kind == KUBE_DEPLOYMENT;
}

static const char *text_or_none(const char *text)
{
    return text ? text : "";
}

/* ---- one block ---- */

/* Sums up (block NULL), or copies to where *at says. */
static void place_text(const char **text, char *block, size_t *at)
{
    size_t len = strlen(*text) + 1;
    if (block)
        *text = memcpy(block + *at, *text, len);
    *at += len;
}

static size_t place_texts(struct kube_fact *f, char *block)
{
    size_t at = sizeof(*f) + (is_set(f->kind) ? f->n_labels * sizeof(*f->labels) : 0);
    const char **const common[] = {&f->namespace, &f->name, &f->workload, &f->uid, &f->detail};
    const char **const set[] = {&f->objects, &f->renderer, &f->workload_digest};
    const char **const pod[] = {&f->address, &f->error, &f->revision};
    for (size_t i = 0; i < ARRAY_SIZE(common); i++)
        place_text(common[i], block, &at);
    for (size_t i = 0; is_set(f->kind) && i < ARRAY_SIZE(set); i++)
        place_text(set[i], block, &at);
    for (size_t i = 0; f->kind == KUBE_POD && i < ARRAY_SIZE(pod); i++)
        place_text(pod[i], block, &at);
    for (size_t i = 0; is_set(f->kind) && i < f->n_labels; i++) {
        place_text(&f->labels[i].name, block, &at);
        place_text(&f->labels[i].value, block, &at);
    }
    return at;
}

static struct kube_fact *pack(struct draft *d)
{
    size_t size = place_texts(&d->f, NULL), n = is_set(d->f.kind) ? d->f.n_labels : 0;
    struct kube_fact *f = mem_alloc(size);
    *f = d->f;
    if (n) {
        f->labels = (struct workload_env *)(f + 1);
        memcpy(f->labels, d->labels, n * sizeof(*f->labels));
    }
    place_texts(f, (char *)f);
    return f;
}

/* ---- metadata ---- */

static void take_labels(struct draft *d, const json_t *labels)
{
    static const char prefix[] = "ownhouse/";
    const char *key;
    json_t *value;
    d->f.labels = d->labels;
    json_object_foreach((json_t *)(uintptr_t)labels, key, value)
    {
        if (!strncmp(key, prefix, sizeof(prefix) - 1) && json_is_string(value) && d->f.n_labels < LABELS_MAX)
            d->labels[d->f.n_labels++] = (struct workload_env){key + sizeof(prefix) - 1, json_string_value(value)};
    }
}

#define HASH_BEGIN UINT64_C(0xcbf29ce484222325)

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
    uint64_t h = HASH_BEGIN;
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

static int take_metadata(struct draft *d, const json_t *object, struct err *err)
{
    const json_t *m = json_object_get(object, "metadata"), *annotations = json_object_get(m, "annotations");
    const char *name = TEXT(m, "name"), *version = TEXT(m, "resourceVersion"), *digest, *uid = TEXT(m, "uid");
    struct kube_fact *f = &d->f;
    if (!name || !version)
        return err_set(err, -EINVAL, "%s: an object without name or resourceVersion", kube_kinds[f->kind].kind);
    f->name = name;
    f->namespace = text_or_none(TEXT(m, "namespace"));
    f->identity = hash(HASH_BEGIN, uid);
    /* An event names what it is about by it; of the other kinds there are ten times as many. */
    f->uid = is_set(f->kind) ? text_or_none(uid) : "";
    f->detail = "";
    f->version = strtoll(version, NULL, 10);
    f->generation = INT(m, "generation");
    f->deleting = json_object_get(m, "deletionTimestamp") != NULL;
    f->workload = text_or_none(TEXT(json_object_get(m, "labels"), "ownhouse/workload"));
    if ((digest = TEXT(annotations, "ownhouse/digest")))
        snprintf(f->digest, sizeof(f->digest), "%s", digest);
    take_owners(f, json_object_get(m, "managedFields"));
    if (is_set(f->kind))
        take_labels(d, json_object_get(m, "labels"));
    return 0;
}

/* ---- by kind ---- */

static void take_set(struct kube_fact *f, const json_t *object)
{
    const json_t *annotations = json_object_get(json_object_get(object, "metadata"), "annotations");
    const json_t *status = json_object_get(object, "status");
    f->workload_digest = text_or_none(TEXT(annotations, "ownhouse/workload-digest"));
    f->objects = text_or_none(TEXT(annotations, "ownhouse/objects"));
    f->renderer = text_or_none(TEXT(annotations, "ownhouse/renderer"));
    f->wanted = (int)INT(json_object_get(object, "spec"), "replicas");
    f->replicas = (int)INT(status, "replicas");
    f->ready = (int)INT(status, "readyReplicas");
    f->updated = (int)INT(status, "updatedReplicas");
    f->observed_generation = INT(status, "observedGeneration");
    f->detail = text_or_none(TEXT(status, "updateRevision"));
}

static void pod_error(struct draft *d, const char *reason, const char *message)
{
    snprintf(d->error, sizeof(d->error), "%.60s%s%.200s", reason, message && *message ? ": " : "",
             message ? message : "");
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

static void take_container(struct draft *d, const json_t *c)
{
    struct kube_fact *f = &d->f;
    const json_t *state = json_object_get(c, "state"), *waiting = json_object_get(state, "waiting"),
                 *ended = json_object_get(state, "terminated");
    const char *reason = TEXT(waiting, "reason");
    f->restarts += (int)INT(c, "restartCount");
    f->was_ready |= json_is_true(json_object_get(c, "started"));
    if (reason && is_trouble(reason)) {
        f->failed = true;
        pod_error(d, reason, TEXT(waiting, "message"));
    } else if (ended) {
        reason = TEXT(ended, "reason");
        pod_error(d, reason ? reason : "ended", TEXT(ended, "message"));
    }
}

static void take_condition(struct draft *d, const json_t *c)
{
    struct kube_fact *f = &d->f;
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
        pod_error(d, "no node takes it", TEXT(c, "message"));
}

static void take_pod(struct draft *d, const json_t *object)
{
    struct kube_fact *f = &d->f;
    const json_t *status = json_object_get(object, "status"), *list = json_object_get(status, "containerStatuses"),
                 *labels = json_object_get(json_object_get(object, "metadata"), "labels");
    const char *phase = TEXT(status, "phase"), *revision = TEXT(labels, "controller-revision-hash");
    f->error = d->error;
    f->address = text_or_none(TEXT(status, "podIP"));
    f->revision = text_or_none(revision ? revision : TEXT(labels, "pod-template-hash"));
    for (size_t i = 0; i < json_array_size(list); i++)
        take_container(d, json_array_get(list, i));
    list = json_object_get(status, "conditions");
    for (size_t i = 0; i < json_array_size(list); i++)
        take_condition(d, json_array_get(list, i));
    if (phase && !strcmp(phase, "Failed")) {
        f->failed = true;
        pod_error(d, "the pod failed", TEXT(status, "message"));
    }
}

static void take_service(struct kube_fact *f, const json_t *object)
{
    const json_t *balancer = json_object_get(json_object_get(object, "status"), "loadBalancer");
    const json_t *first = json_array_get(json_object_get(balancer, "ingress"), 0);
    const char *ip = TEXT(first, "ip");
    f->detail = text_or_none(ip ? ip : TEXT(first, "hostname"));
}

int kube_fact_parse(enum kube_kind kind, const json_t *object, struct kube_fact **ret, struct err *err)
{
    struct draft d = {.f = {.kind = kind}};
    int r = take_metadata(&d, object, err);
    if (r < 0)
        return r;
    if (is_set(kind))
        take_set(&d.f, object);
    else if (kind == KUBE_POD)
        take_pod(&d, object);
    else if (kind == KUBE_SERVICE)
        take_service(&d.f, object);
    else if (kind == KUBE_CLAIM)
        d.f.detail = text_or_none(TEXT(json_object_get(object, "status"), "phase"));
    *ret = pack(&d);
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
        fact->accepted = ours ? fact->owners : old->identity != fact->identity ? 0 : old->accepted;
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
