/* The agent's side of changing its own image: asks for a guard, then for the change, and says how it fares. */
#include "runtime/kubernetes/engine.h"

#include "base/keys.h"

/* ---- requests ---- */

static void on_done(const struct kube_reply *reply, void *data)
{
    struct kube *k = data;
    pthread_mutex_lock(&k->lock);
    struct kube_own *o = &k->own;
    bool there = reply->status == 409; /* a Job of that name; of a patch: somebody wrote since, and we look again */
    o->busy = false;
    o->due_ms = clock_mono_ms(k->clock) + KUBE_RELEASE_LOOK_MS;
    if (reply->error < 0 || (reply->status >= 300 && !there))
        snprintf(o->trouble, sizeof(o->trouble), "%s", reply->message);
    else
        *o->trouble = '\0';
    pthread_mutex_unlock(&k->lock);
}

static void send(struct kube *k, const char *method, const char *path, const char *type, json_t *body)
{
    autofree char *text = js_text(body);
    json_decref(body);
    k->own.busy = true;
    kube_client_send(k->client, &(struct kube_request){.method = method,
                                                       .path = path,
                                                       .content_type = type,
                                                       .body = text,
                                                       .len = strlen(text),
                                                       .done = on_done,
                                                       .data = k});
}

static void patch(struct kube *k, json_t *body)
{
    autobuf struct buf path = BUF_INIT;
    kube_path(KUBE_STATEFUL_SET, k->place.namespace, k->own.workload, &path);
    send(k, "PATCH", path.data, "application/strategic-merge-patch+json", body);
}

static void ask_for_guard(struct kube *k, const json_t *set)
{
    const struct kube_own *o = &k->own;
    autofree char *path = mem_printf("/apis/batch/v1/namespaces/%s/jobs", k->place.namespace);
    send(k, "POST", path, NULL,
         kube_release_guard_job(
             set, &o->seen, &(struct kube_release_job){o->workload, k->place.namespace, o->account, o->patience_s}));
}

/* ---- steps ---- */

/* What was seen stays as it was seen: the next look says what came of it. */
static void turn(struct kube *k, enum kube_release_state state, const char *why, const char *image)
{
    struct kube_release next = k->own.seen;
    kube_release_turn(&next, state, why, clock_wall_ms(k->clock));
    patch(k, kube_release_patch(&next, image));
}

static void prepare(struct kube *k)
{
    struct kube_own *o = &k->own;
    struct kube_release next = o->seen;
    unsigned char random[8];
    random_bytes(random, sizeof(random));
    hex_encode(random, sizeof(random), next.trial);
    memcpy(next.image, o->image, sizeof(next.image));
    memcpy(next.before, next.current, sizeof(next.before));
    memcpy(next.list, o->list, sizeof(next.list));
    next.until_ms = 0;
    o->asked = false;
    kube_release_turn(&next, KUBE_RELEASE_PREPARING, "", clock_wall_ms(k->clock));
    patch(k, kube_release_patch(&next, NULL));
}

/* An agent that comes after the one that began goes on with what it finds. */
static void go_on_preparing(struct kube *k, const json_t *set, int64_t now)
{
    struct kube_own *o = &k->own;
    struct kube_release *r = &o->seen;
    char why[400];
    if (strcmp(r->image, o->image) || strcmp(r->list, o->list) || strcmp(r->before, r->current)) {
        turn(k, KUBE_RELEASE_REFUSED, "the list of releases, or the agent's image, changed meanwhile", NULL);
    } else if (!o->asked) {
        o->asked = true;
        o->guard_until_ms = now + KUBE_RELEASE_GUARD_MS;
        ask_for_guard(k, set);
    } else if (!strcmp(r->guard, r->trial)) {
        turn(k, KUBE_RELEASE_TRYING, "", r->image);
    } else if (now >= o->guard_until_ms) {
        snprintf(why, sizeof(why), "no guard came up within %d s%s%s", KUBE_RELEASE_GUARD_MS / 1000,
                 *o->trouble ? ": " : "", o->trouble);
        turn(k, KUBE_RELEASE_REFUSED, why, NULL);
    }
}

static void step(struct kube *k, const json_t *set, int64_t now)
{
    struct kube_own *o = &k->own;
    struct kube_release *r = &o->seen;
    bool may = o->healthy && k->lease.leading;
    o->due_ms = now + KUBE_RELEASE_LOOK_MS;
    switch (r->state) {
    case KUBE_RELEASE_TRYING:
        if (may && (strcmp(r->health_trial, r->trial) || strcmp(r->health_pod, o->pod)))
            patch(k, kube_release_patch_health(r, o->pod));
        return;
    case KUBE_RELEASE_PREPARING:
        if (may)
            go_on_preparing(k, set, now);
        return;
    case KUBE_RELEASE_REFUSED:
        if (!o->rest_until_ms)
            o->rest_until_ms = now + KUBE_RELEASE_REST_MS;
        break;
    default:
        o->rest_until_ms = 0;
        break;
    }
    bool wanted = kube_release_wanted(r, o->image, o->list, o->rest_until_ms && now >= o->rest_until_ms);
    if (wanted && may) {
        o->rest_until_ms = 0;
        prepare(k);
    } else {
        /* Nothing changes before the list, our own health or leadership does. */
        o->due_ms = wanted && !may ? now + KUBE_RELEASE_IDLE_LOOK_MS : o->rest_until_ms ? o->rest_until_ms : INT64_MAX;
    }
}

static void on_set(const struct kube_reply *reply, void *data)
{
    struct kube *k = data;
    struct err err = ERR_INIT;
    autojson json_t *v = NULL;
    pthread_mutex_lock(&k->lock);
    struct kube_own *o = &k->own;
    int64_t now = clock_mono_ms(k->clock);
    int r = reply->error < 0 || reply->status != 200 ? err_set(&err, -EIO, "%s", reply->message)
                                                     : js_parse(reply->body, reply->len, KUBE_ANSWER_MAX, &v, &err);
    const json_t *set = json_array_get(json_object_get(v, "items"), 0);
    o->busy = false;
    o->due_ms = now + KUBE_RELEASE_IDLE_LOOK_MS;
    if (r == 0 && !set)
        r = err_set(&err, -ENOENT, "there is no StatefulSet %s in namespace %s", o->workload, k->place.namespace);
    if (r == 0)
        r = kube_release_read(set, &o->seen, &err);
    if (r == 0) {
        o->known = true;
        step(k, set, now);
    } else {
        snprintf(o->trouble, sizeof(o->trouble), "%s", err.message);
    }
    pthread_mutex_unlock(&k->lock);
}

int64_t kube_own_run(struct kube *k, int64_t now_ms)
{
    struct kube_own *o = &k->own;
    if (!o->given || o->busy)
        return INT64_MAX;
    if (now_ms < o->due_ms)
        return o->due_ms;
    /* A list of one: the right to list is there anyway. */
    autobuf struct buf path = BUF_INIT;
    kube_path(KUBE_STATEFUL_SET, k->place.namespace, NULL, &path);
    buf_adds(&path, "?fieldSelector=metadata.name%3D");
    kube_escape(o->workload, &path);
    o->busy = true;
    kube_client_send(k->client, &(struct kube_request){.path = path.data, .done = on_set, .data = k});
    return INT64_MAX;
}

/* ---- calls ---- */

static bool set_text(char *into, size_t size, const char *text)
{
    bool same = !strcmp(into, text);
    snprintf(into, size, "%s", text);
    return !same;
}

void runtime_kubernetes_wish(struct runtime *rt, const struct kube_wish *w)
{
    struct kube *k = CONTAINER_OF(rt, struct kube, rt);
    pthread_mutex_lock(&k->lock);
    struct kube_own *o = &k->own;
    bool changed = !o->given || o->healthy != w->healthy;
    changed |= set_text(o->workload, sizeof(o->workload), w->workload);
    changed |= set_text(o->account, sizeof(o->account), w->account);
    changed |= set_text(o->pod, sizeof(o->pod), w->pod);
    changed |= set_text(o->image, sizeof(o->image), w->image);
    changed |= set_text(o->list, sizeof(o->list), w->list);
    o->patience_s = w->patience_s;
    o->healthy = w->healthy;
    o->given = true;
    if (changed)
        o->due_ms = 0;
    pthread_mutex_unlock(&k->lock);
    if (changed)
        kube_client_wake(k->client);
}

bool runtime_kubernetes_release(struct runtime *rt, struct kube_release *ret, char *ret_trouble, size_t size)
{
    struct kube *k = CONTAINER_OF(rt, struct kube, rt);
    pthread_mutex_lock(&k->lock);
    bool known = k->own.known;
    *ret = k->own.seen;
    snprintf(ret_trouble, size, "%s", k->own.trouble);
    pthread_mutex_unlock(&k->lock);
    return known;
}

const struct kube_fact *kube_own_fact(struct kube *k)
{
    struct kube_own *o = &k->own;
    o->fact = (struct kube_fact){.kind = KUBE_STATEFUL_SET,
                                 .namespace = k->place.namespace,
                                 .name = o->workload,
                                 .workload = o->workload,
                                 .uid = o->seen.uid};
    return o->known ? &o->fact : NULL;
}
