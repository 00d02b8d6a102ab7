/* Carries out what was asked of the cluster: applies a workload's objects stage by stage, and removes what is ours. */
#include "runtime/kubernetes/engine.h"

#include "base/keys.h"

#define MAX_ACTIVE 32 /* jobs with requests under way */
#define HEED_MS 10000 /* for the API server to heed a new RoleBinding */
#define HEED_PAUSE_MS 100
#define REST_MS 2000 /* between two times that the same is applied */

struct step { /* one request of a job */
    struct job *job;
    struct kube *k;
    char *name; /* of the job: found again by it when the answer comes */
    enum kube_kind kind;
    bool apply;
};

struct job *kube_job_find(const struct kube *k, const char *name)
{
    for (struct job *j = k->jobs; j; j = j->next)
        if (!strcmp(j->name, name))
            return j;
    return NULL;
}

void kube_job_free(struct job *j)
{
    kube_objects_free(&j->objects);
    free(j->name);
    free(j->namespace);
    free(j->service);
    free(j);
}

/* Frees finished jobs after a pause: whatever makes the operator ask for the same again at once, it is not asked of the
 * API server again at once. Returns the time of the next. */
static int64_t sweep(struct kube *k, int64_t now_ms)
{
    int64_t due = INT64_MAX;
    for (struct job **at = &k->jobs; *at;) {
        struct job *j = *at;
        if (j->finished && !j->failed && !j->pending && now_ms - j->finished_ms >= (j->removal ? 0 : REST_MS)) {
            *at = j->next;
            kube_job_free(j);
            kube_changed(k);
            continue;
        }
        if (j->finished && !j->failed)
            due = MIN(due, j->finished_ms + REST_MS);
        at = &j->next;
    }
    return due;
}

static void fail(struct job *j, int result, const char *message)
{
    if (j->failed)
        return;
    j->failed = true;
    j->result = result;
    snprintf(j->error, sizeof(j->error), "%s", message);
}

static int errno_of_status(int status)
{
    switch (status) {
    case 401:
    case 403:
        return -EACCES;
    case 404:
        return -ENOENT;
    case 409:
        return -EBUSY;
    case 422:
        return -EINVAL;
    default:
        return -EIO;
    }
}

/* The answer to a write is a sight of the object, and spares waiting for the watch. */
static void learn(struct kube *k, enum kube_kind kind, const struct kube_reply *reply)
{
    autojson json_t *object = NULL;
    struct kube_fact *f;
    if (!kube_kinds[kind].watched || js_parse(reply->body, reply->len, KUBE_ANSWER_MAX, &object, NULL) < 0 ||
        kube_fact_parse(kind, object, &f, NULL) < 0)
        return;
    struct kube_fact *old = kube_facts_find(&k->facts, kind, f->namespace, f->name);
    f->mark = old ? old->mark : k->watches[kind].mark;
    kube_facts_put(&k->facts, f, true);
}

/* A binding just made is not heeded at once. */
static bool not_heeded_yet(struct job *j, const struct kube_reply *reply)
{
    int64_t now = clock_mono_ms(j->k->clock);
    if (reply->status != 403 || !j->bound_ms || now - j->bound_ms > HEED_MS)
        return false;
    j->due_ms = now + HEED_PAUSE_MS;
    return true;
}

/* These fields of a StatefulSet cannot be changed; it is made anew around its pods. */
static bool wants_recreation(const struct job *j, const struct step *s, const struct kube_reply *reply)
{
    return s->apply && s->kind == KUBE_STATEFUL_SET && reply->status == 422 && !j->recreate &&
           strstr(reply->message, "updates to statefulset spec");
}

static void on_answer(const struct kube_reply *reply, void *data)
{
    struct step *s = data;
    struct kube *k = s->k;
    struct job *j = s->job;
    pthread_mutex_lock(&k->lock);
    j->pending--;
    if (reply->error < 0) {
        fail(j, reply->error, reply->message);
    } else if (reply->status < 300) {
        if (s->apply)
            learn(k, s->kind, reply);
        if (s->kind == KUBE_ROLE_BINDING)
            j->bound_ms = clock_mono_ms(k->clock);
    } else if (not_heeded_yet(j, reply)) {
        j->again = true;
    } else if (wants_recreation(j, s, reply)) {
        j->recreate = true;
    } else if (s->apply || (reply->status != 404 && reply->status != 409)) {
        fail(j, errno_of_status(reply->status), reply->message);
    }
    kube_changed(k);
    pthread_mutex_unlock(&k->lock);
    free(s);
}

static void send(struct job *j, enum kube_kind kind, const char *ns, const char *name, const char *method,
                 const char *query, const char *body, bool apply)
{
    autobuf struct buf path = BUF_INIT;
    struct step *s = mem_alloc(sizeof(*s));
    *s = (struct step){.job = j, .k = j->k, .kind = kind, .apply = apply};
    kube_path(kind, ns, name, &path);
    buf_adds(&path, query);
    j->pending++;
    kube_client_send(j->k->client, &(struct kube_request){.method = method,
                                                          .path = path.data,
                                                          .content_type = apply ? "application/apply-patch+yaml" : NULL,
                                                          .body = body,
                                                          .len = body ? strlen(body) : 0,
                                                          .done = on_answer,
                                                          .data = s});
}

/* ---- apply ---- */

static void apply_object(struct job *j, const struct kube_object *o)
{
    autofree char *text = js_text(o->body);
    send(j, o->kind, o->namespace, o->name, "PATCH", "?fieldManager=" KUBE_MANAGER "&force=true", text, true);
    if (o->kind == KUBE_SECRET)
        mem_wipe(text, strlen(text));
}

static bool is_set(const struct kube_object *o)
{
    return o->kind == KUBE_STATEFUL_SET || o->kind == KUBE_DEPLOYMENT;
}

static bool needs_write(const struct job *j, const struct kube_object *o)
{
    const struct kube_fact *f = kube_facts_find(&j->k->facts, o->kind, o->namespace, o->name);
    if (!kube_kinds[o->kind].watched)
        return true;
    if (is_set(o) && j->keep_pods && f && !f->deleting && !kube_fact_drifted(f))
        return false;
    /* The annotations that say what is in effect change though the pods may stay as they are. */
    return is_set(o) || !kube_fact_stands(f, o->digest);
}

/* What only a newer renderer sees differently is noted, so that it is not looked at again; pods are left alone. */
static void note_renderer(struct job *j, const struct kube_object *o)
{
    const json_t *annotations = json_object_get(json_object_get(o->body, "metadata"), "annotations");
    autojson json_t *patch = json_pack("{s:{s:{s:O, s:O}}}", "metadata", "annotations", "ownhouse/renderer",
                                       json_object_get(annotations, "ownhouse/renderer"), "ownhouse/objects",
                                       json_object_get(annotations, "ownhouse/objects"));
    autofree char *text = js_text(patch);
    autobuf struct buf path = BUF_INIT;
    struct step *s = mem_alloc(sizeof(*s));
    *s = (struct step){.job = j, .k = j->k, .kind = o->kind, .apply = true};
    kube_path(o->kind, o->namespace, o->name, &path);
    buf_adds(&path, "?fieldManager=" KUBE_MANAGER);
    j->pending++;
    kube_client_send(j->k->client, &(struct kube_request){.method = "PATCH",
                                                          .path = path.data,
                                                          .content_type = "application/merge-patch+json",
                                                          .body = text,
                                                          .len = strlen(text),
                                                          .done = on_answer,
                                                          .data = s});
}

/* Pods of before had other files. */
static bool replaces(const struct job *j, const struct kube_object *o)
{
    const struct kube_fact *f = kube_facts_find(&j->k->facts, o->kind, o->namespace, o->name);
    return is_set(o) && f && strncmp(f->digest, o->digest, KUBE_DIGEST_SHOWN) != 0;
}

static void send_stage(struct job *j)
{
    for (size_t i = 0; i < j->objects.n; i++) {
        const struct kube_object *o = &j->objects.items[i];
        if (kube_kinds[o->kind].stage != j->stage)
            continue;
        j->replaces |= replaces(j, o);
        if (needs_write(j, o))
            apply_object(j, o);
        else if (is_set(o) && j->keep_pods)
            note_renderer(j, o);
    }
    j->sent = true;
}

/* The new pods are there and ready, so nobody needs the files of before. */
static bool settled(const struct job *j)
{
    const struct kube_object *last = &j->objects.items[j->objects.n - 1];
    const struct kube_fact *f = kube_facts_find(&j->k->facts, last->kind, last->namespace, last->name);
    return f && f->observed_generation >= f->generation && f->updated >= f->wanted && f->ready >= f->wanted;
}

/* The second way to the ingress goes when the place does not want it any more. */
static void forget_private_front(struct job *j)
{
    const struct kube_fact *f = kube_facts_find(&j->k->facts, KUBE_SERVICE, j->namespace, KUBE_PRIVATE_FRONT);
    if (f && !f->deleting && !j->k->place.private_balancer && !strcmp(f->workload, j->name))
        send(j, KUBE_SERVICE, j->namespace, KUBE_PRIVATE_FRONT, "DELETE", "?propagationPolicy=Background", NULL, false);
    j->tidied = true;
}

/* Deletes the workload's immutable objects of this kind whose content is not the present one. */
static void forget_contents(struct job *j, enum kube_kind kind)
{
    autobuf struct buf query = BUF_INIT, selector = BUF_INIT;
    buf_printf(&selector,
               "app.kubernetes.io/managed-by=%s,ownhouse/infrastructure=%s,ownhouse/workload=%s,"
               "ownhouse/content",
               KUBE_MANAGER, j->k->place.infrastructure, j->name);
    for (size_t i = 0; i < j->objects.n; i++) {
        const json_t *labels = json_object_get(json_object_get(j->objects.items[i].body, "metadata"), "labels");
        const char *content = json_string_value(json_object_get(labels, "ownhouse/content"));
        if (content && j->objects.items[i].kind == kind)
            buf_printf(&selector, ",ownhouse/content!=%s", content);
    }
    buf_adds(&query, "?labelSelector=");
    kube_escape(selector.data, &query);
    send(j, kind, j->namespace, NULL, "DELETE", query.data, NULL, false);
}

static void orphan(struct job *j)
{
    const struct kube_object *last = &j->objects.items[j->objects.n - 1];
    j->recreate = j->keep_pods = false;
    j->sent = false; /* the stage is sent again once it is gone */
    send(j, last->kind, last->namespace, last->name, "DELETE", "?propagationPolicy=Orphan", NULL, false);
}

static void run_apply(struct job *j)
{
    while (!j->pending && !j->failed) {
        if (j->recreate) {
            orphan(j);
        } else if (!j->sent || j->again) {
            j->again = false;
            send_stage(j);
        } else if (j->stage < kube_kinds[KUBE_STATEFUL_SET].stage) {
            j->stage++;
            j->sent = false;
        } else if (!j->tidied) {
            forget_private_front(j);
        } else if (!j->replaces) {
            j->finished = true;
            return;
        } else if (!settled(j)) {
            j->phase = JOB_SETTLE;
            return;
        } else {
            j->replaces = false;
            forget_contents(j, KUBE_CONFIG_MAP);
            forget_contents(j, KUBE_SECRET);
        }
    }
}

/* ---- removal ---- */

static bool belongs(const struct job *j, const struct kube_fact *f)
{
    return !strcmp(f->workload, j->name) && !strcmp(f->namespace, j->namespace);
}

/* Deletes what the facts hold of these kinds; true if there was any. */
static bool delete_kinds(struct job *j, const enum kube_kind *kinds, size_t n)
{
    bool any = false;
    for (size_t k = 0; k < n; k++)
        for (size_t i = kube_facts_first(&j->k->facts, kinds[k], j->namespace); i < j->k->facts.n; i++) {
            const struct kube_fact *f = j->k->facts.items[i];
            if (f->kind != kinds[k] || strcmp(f->namespace, j->namespace))
                break;
            if (!belongs(j, f))
                continue;
            any = true;
            if (!f->deleting)
                send(j, f->kind, f->namespace, f->name, "DELETE", "?propagationPolicy=Background", NULL, false);
        }
    return any;
}

static void delete_unwatched(struct job *j, enum kube_kind kind)
{
    autobuf struct buf query = BUF_INIT;
    autofree char *selector = mem_printf("app.kubernetes.io/managed-by=%s,ownhouse/infrastructure=%s,"
                                         "ownhouse/workload=%s",
                                         KUBE_MANAGER, j->k->place.infrastructure, j->name);
    buf_adds(&query, "?labelSelector=");
    kube_escape(selector, &query);
    send(j, kind, j->namespace, NULL, "DELETE", query.data, NULL, false);
}

/* Anything of another workload in the namespace keeps it. */
static bool is_last(const struct job *j)
{
    static const enum kube_kind kinds[] = {KUBE_STATEFUL_SET, KUBE_DEPLOYMENT, KUBE_CLAIM};
    for (size_t k = 0; k < ARRAY_SIZE(kinds); k++)
        for (size_t i = kube_facts_first(&j->k->facts, kinds[k], j->namespace); i < j->k->facts.n; i++) {
            const struct kube_fact *f = j->k->facts.items[i];
            if (f->kind != kinds[k] || strcmp(f->namespace, j->namespace))
                break;
            if (!belongs(j, f))
                return false;
        }
    return true;
}

static bool has_pods(const struct job *j)
{
    for (size_t i = kube_facts_first(&j->k->facts, KUBE_POD, j->namespace); i < j->k->facts.n; i++) {
        const struct kube_fact *f = j->k->facts.items[i];
        if (f->kind != KUBE_POD || strcmp(f->namespace, j->namespace))
            break;
        if (belongs(j, f))
            return true;
    }
    return false;
}

static void delete_namespace(struct job *j)
{
    const struct kube_fact *f = kube_facts_find(&j->k->facts, KUBE_NAMESPACE, NULL, j->namespace);
    if (j->service && f && !f->deleting && is_last(j))
        send(j, KUBE_NAMESPACE, NULL, j->namespace, "DELETE", "?propagationPolicy=Background", NULL, false);
}

/* With the data: the claims are away, and the namespace too once nothing else of the service is in it. */
static bool gone(struct job *j)
{
    static const enum kube_kind claims[] = {KUBE_CLAIM};
    if (!j->delete_data)
        return true;
    if (delete_kinds(j, claims, ARRAY_SIZE(claims)))
        return false;
    if (!j->service || !is_last(j) || !kube_facts_find(&j->k->facts, KUBE_NAMESPACE, NULL, j->namespace))
        return true;
    delete_namespace(j);
    return false;
}

static void run_removal(struct job *j)
{
    static const enum kube_kind sets[] = {KUBE_STATEFUL_SET, KUBE_DEPLOYMENT}, claims[] = {KUBE_CLAIM},
                                rest[] = {KUBE_SERVICE, KUBE_NETWORK_POLICY};
    while (!j->pending && !j->failed && !j->finished) {
        switch (j->phase) {
        case JOB_APPLY:
        case JOB_SETTLE:
        case JOB_DELETE_RUN:
            if (!delete_kinds(j, sets, ARRAY_SIZE(sets)) && !has_pods(j))
                j->phase = JOB_DELETE_REST;
            else if (!j->pending)
                return; /* wait for the watch to say that it is gone */
            break;
        case JOB_DELETE_REST:
            delete_kinds(j, rest, ARRAY_SIZE(rest));
            if (kube_facts_find(&j->k->facts, KUBE_NAMESPACE, NULL, j->namespace) || !j->service) {
                delete_unwatched(j, KUBE_CONFIG_MAP);
                delete_unwatched(j, KUBE_SECRET);
            }
            j->phase = JOB_DELETE_DATA;
            break;
        case JOB_DELETE_DATA:
            if (j->delete_data)
                delete_kinds(j, claims, ARRAY_SIZE(claims));
            j->phase = JOB_DELETE_SHARED;
            break;
        case JOB_DELETE_SHARED:
            if (j->delete_data)
                delete_namespace(j);
            j->phase = JOB_WAIT_GONE;
            break;
        case JOB_WAIT_GONE:
            if (!gone(j)) {
                if (!j->pending)
                    return;
                break;
            }
            j->finished = true;
            break;
        }
    }
}

int64_t kube_jobs_run(struct kube *k, int64_t now_ms)
{
    int64_t due = INT64_MAX;
    int active = 0;
    for (struct job *j = k->jobs; j; j = j->next)
        active += j->pending > 0;
    for (struct job *j = k->jobs; j && active < MAX_ACTIVE; j = j->next) {
        if (j->pending || j->failed || j->finished)
            continue;
        if (j->due_ms > now_ms) {
            due = MIN(due, j->due_ms);
            continue;
        }
        if (j->removal)
            run_removal(j);
        else
            run_apply(j);
        active += j->pending > 0;
        if (j->finished) {
            j->finished_ms = now_ms;
            kube_objects_free(&j->objects);
            kube_changed(k);
        }
    }
    return MIN(due, sweep(k, now_ms));
}
