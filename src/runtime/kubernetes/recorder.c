/* Writes the events that events.h decides on: one object of events.k8s.io/v1 each, later its count. */
#include "runtime/kubernetes/engine.h"

#include "base/keys.h"

struct sent {
    struct kube *k;
    char *name;
    int count;
};

/* What an event is about: the StatefulSet or Deployment of the workload. */
static const struct kube_fact *subject(struct kube *k, const char *about)
{
    if (k->own.given && !strcmp(about, k->own.workload))
        return kube_own_fact(k);
    static const enum kube_kind kinds[] = {KUBE_STATEFUL_SET, KUBE_DEPLOYMENT};
    for (size_t n = 0; n < ARRAY_SIZE(kinds); n++)
        for (size_t i = kube_facts_first(&k->facts, kinds[n], NULL);
             i < k->facts.n && k->facts.items[i]->kind == kinds[n]; i++)
            if (!strcmp(k->facts.items[i]->workload, about))
                return k->facts.items[i];
    return NULL;
}

static bool there(const char *about, void *data)
{
    return subject(data, about) != NULL;
}

static void on_answer(const struct kube_reply *reply, void *data)
{
    struct sent *s = data;
    struct kube *k = s->k;
    pthread_mutex_lock(&k->lock);
    kube_events_done(k->events, s->name, s->count, reply->error == 0 && reply->status < 300, clock_mono_ms(k->clock));
    pthread_mutex_unlock(&k->lock);
    free(s->name);
    free(s);
}

/* MicroTime wants six digits. */
static void micro(int64_t wall_ms, char out[CLOCK_ISO_SIZE + 4])
{
    char text[CLOCK_ISO_SIZE];
    clock_iso(wall_ms, text);
    snprintf(out, CLOCK_ISO_SIZE + 4, "%.*s000Z", (int)strlen(text) - 1, text);
}

static json_t *series(const struct kube_event *e)
{
    char last[CLOCK_ISO_SIZE + 4];
    micro(e->last_wall_ms, last);
    return json_pack("{s:i, s:s}", "count", e->count, "lastObservedTime", last);
}

static json_t *body_of(const struct kube *k, const struct kube_event *e, const struct kube_fact *f)
{
    char first[CLOCK_ISO_SIZE + 4];
    micro(e->first_wall_ms, first);
    json_t *v = json_pack("{s:s, s:s, s:{s:s, s:s, s:{s:s, s:s, s:s}}}", "apiVersion",
                          kube_kinds[KUBE_EVENT].group_version, "kind", kube_kinds[KUBE_EVENT].kind, "metadata", "name",
                          e->name, "namespace", f->namespace, "labels", "app.kubernetes.io/managed-by", KUBE_MANAGER,
                          "ownhouse/infrastructure", k->place.infrastructure, "ownhouse/workload", e->about);
    json_object_update_missing_new(
        v, json_pack("{s:s, s:s, s:s, s:s, s:s, s:s, s:s, s:{s:s, s:s, s:s, s:s, s:s}}", "eventTime", first, "type",
                     e->warning ? "Warning" : "Normal", "reason", e->reason, "action", e->reason, "note", e->note,
                     "reportingController", "ownhouse/agent", "reportingInstance", k->identity, "regarding",
                     "apiVersion", kube_kinds[f->kind].group_version, "kind", kube_kinds[f->kind].kind, "namespace",
                     f->namespace, "name", f->name, "uid", f->uid));
    if (e->count > 1)
        json_object_set_new(v, "series", series(e));
    return v;
}

static void name_event(struct kube_event *e)
{
    unsigned char random[8];
    char hex[2 * sizeof(random) + 1];
    random_bytes(random, sizeof(random));
    hex_encode(random, sizeof(random), hex);
    snprintf(e->name, sizeof(e->name), "%.63s.%s", e->about, hex);
}

static void write_event(struct kube *k, struct kube_event *e)
{
    const struct kube_fact *f = subject(k, e->about);
    bool create = e->written == 0;
    autobuf struct buf path = BUF_INIT;
    if (create)
        name_event(e);
    autojson json_t *body = create ? body_of(k, e, f) : json_pack("{s:o}", "series", series(e));
    autofree char *text = body ? js_text(body) : mem_strdup("{}");
    struct sent *s = mem_alloc(sizeof(*s));
    *s = (struct sent){.k = k, .name = mem_strdup(e->name), .count = e->count};
    kube_path(KUBE_EVENT, f->namespace, create ? NULL : e->name, &path);
    e->busy = true;
    kube_client_send(k->client, &(struct kube_request){.method = create ? "POST" : "PATCH",
                                                       .path = path.data,
                                                       .content_type = create ? NULL : "application/merge-patch+json",
                                                       .body = text,
                                                       .len = strlen(text),
                                                       .done = on_answer,
                                                       .data = s});
}

void kube_recorder_run(struct kube *k, int64_t now_ms)
{
    struct kube_event *e;
    while ((e = kube_events_next(k->events, now_ms, there, k)))
        write_event(k, e);
}

void kube_say(struct kube *k, const char *about, bool warning, const char *reason, const char *note)
{
    kube_events_say(k->events, about, warning, reason, note, clock_mono_ms(k->clock), clock_wall_ms(k->clock));
}
