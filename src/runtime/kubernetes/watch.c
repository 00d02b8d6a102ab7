/* Keeps the facts in step with the cluster: lists, then watches, and lists again when the server has forgotten. */
#include "runtime/kubernetes/engine.h"

#include "base/keys.h"

#define PAGE 50         /* objects a page where lists cannot be streamed */
#define WATCH_MIN_S 290 /* a watch ends by itself after this and up to twice as much */
#define BACKOFF_FIRST_MS 500
#define BACKOFF_MAX_MS 30000
#define METADATA ";as=PartialObjectMetadata;g=meta.k8s.io;v=v1"
#define METADATA_LIST ";as=PartialObjectMetadataList;g=meta.k8s.io;v=v1"
#define INITIAL_END "k8s.io/initial-events-end"

static void back_off(struct watch *w)
{
    int64_t ceiling = BACKOFF_FIRST_MS << MIN(w->failures, 6);
    w->failures++;
    w->due_ms =
        clock_mono_ms(w->k->clock) + BACKOFF_FIRST_MS / 2 + random_below((uint32_t)MIN(ceiling, BACKOFF_MAX_MS));
}

static void begin_list(struct watch *w)
{
    *w->version = '\0';
    free(TAKE_PTR(w->more));
    w->mark++;
    w->listing = true;
    w->stale = false;
}

static void end_list(struct watch *w, const char *version)
{
    snprintf(w->version, sizeof(w->version), "%s", version);
    w->listing = false;
    w->failures = 0;
    kube_facts_sweep(&w->k->facts, w->kind, w->mark);
    w->synced = true;
    kube_changed(w->k);
}

static int take_object(struct watch *w, const json_t *object)
{
    struct kube_fact *f;
    struct err err = ERR_INIT;
    int r = kube_fact_parse(w->kind, object, &f, &err);
    if (r < 0) {
        kube_trouble(w->k, err.message);
        return r;
    }
    f->mark = w->mark;
    if (kube_facts_put(&w->k->facts, f, false) && !w->listing)
        kube_changed(w->k);
    return 0;
}

/* ---- streams ---- */

static const char *version_of(const json_t *object)
{
    const char *v = json_string_value(json_object_get(json_object_get(object, "metadata"), "resourceVersion"));
    return v ? v : "";
}

static void on_bookmark(struct watch *w, const json_t *object)
{
    const json_t *annotations = json_object_get(json_object_get(object, "metadata"), "annotations");
    if (json_object_get(annotations, INITIAL_END) && w->listing)
        end_list(w, version_of(object));
    else if (!w->listing)
        snprintf(w->version, sizeof(w->version), "%s", version_of(object));
}

static int on_error_event(struct watch *w, const json_t *status)
{
    const char *message = json_string_value(json_object_get(status, "message"));
    if (json_integer_value(json_object_get(status, "code")) == 410) {
        w->stale = true;
        return -ESTALE;
    }
    kube_trouble(w->k, message ? message : "a watch ended with an error that says nothing");
    return -EIO;
}

static int on_event(enum kube_event_type type, json_t *object, void *data)
{
    struct watch *w = data;
    const json_t *m = json_object_get(object, "metadata");
    const char *name = json_string_value(json_object_get(m, "name")),
               *ns = json_string_value(json_object_get(m, "namespace"));
    int r = 0;
    switch (type) {
    case KUBE_BOOKMARK:
        on_bookmark(w, object);
        return 0;
    case KUBE_ERROR:
        return on_error_event(w, object);
    case KUBE_DELETED:
        if (name && kube_facts_drop(&w->k->facts, w->kind, ns, name, strtoll(version_of(object), NULL, 10)))
            kube_changed(w->k);
        break;
    default:
        r = take_object(w, object);
    }
    if (r == 0 && !w->listing)
        snprintf(w->version, sizeof(w->version), "%s", version_of(object));
    return r;
}

static int on_data(const char *bytes, size_t len, void *data)
{
    struct watch *w = data;
    struct err err = ERR_INIT;
    pthread_mutex_lock(&w->k->lock);
    int r = kube_stream_feed(&w->stream, bytes, len, on_event, w, &err);
    if (r < 0 && *err.message)
        kube_trouble(w->k, err.message);
    pthread_mutex_unlock(&w->k->lock);
    return r;
}

static void on_stream_end(const struct kube_reply *reply, void *data)
{
    struct watch *w = data;
    struct kube *k = w->k;
    pthread_mutex_lock(&k->lock);
    int64_t now = clock_mono_ms(k->clock);
    bool lasted = now - w->began_ms >= 1000, good = reply->error == 0 && reply->status == 200;
    w->busy = false;
    kube_stream_free(&w->stream);
    if (w->stale || reply->status == 410) {
        *w->version = '\0';
        w->stale = true;
    } else if (reply->status == 400 || reply->status == 422) {
        w->pages = w->pages || w->listing; /* a server that knows no streamed lists says so */
    }
    if (!good && *reply->message && !w->stale)
        kube_trouble(k, reply->message);
    if (w->listing)
        *w->version = '\0'; /* broken off: begin again */
    if (good && lasted && !w->stale) {
        w->failures = 0;
        w->due_ms = now;
    } else {
        back_off(w);
    }
    pthread_mutex_unlock(&k->lock);
}

/* ---- lists in pages ---- */

static int take_page(struct watch *w, const struct kube_reply *reply, struct err *err)
{
    autojson json_t *list = NULL;
    int r = js_parse(reply->body, reply->len, KUBE_ANSWER_MAX, &list, err);
    const json_t *items = json_object_get(list, "items"), *m = json_object_get(list, "metadata");
    for (size_t i = 0; r == 0 && i < json_array_size(items); i++)
        r = take_object(w, json_array_get(items, i));
    if (r < 0)
        return r;
    const char *more = json_string_value(json_object_get(m, "continue"));
    free(TAKE_PTR(w->more));
    if (more && *more)
        w->more = mem_strdup(more);
    else
        end_list(w, version_of(list));
    return 0;
}

static void on_page(const struct kube_reply *reply, void *data)
{
    struct watch *w = data;
    struct kube *k = w->k;
    struct err err = ERR_INIT;
    pthread_mutex_lock(&k->lock);
    w->busy = false;
    w->due_ms = clock_mono_ms(k->clock);
    if (reply->error < 0 || reply->status != 200) {
        kube_trouble(k, reply->message);
        if (reply->status == 410)
            free(TAKE_PTR(w->more));
        *w->version = '\0';
        back_off(w);
    } else if (take_page(w, reply, &err) < 0) {
        kube_trouble(k, err.message);
        back_off(w);
    }
    pthread_mutex_unlock(&k->lock);
}

/* ---- requests ---- */

static void add_selector(struct watch *w, struct buf *path)
{
    autofree char *selector = mem_printf("app.kubernetes.io/managed-by=%s,ownhouse/infrastructure=%s", KUBE_MANAGER,
                                         w->k->place.infrastructure);
    buf_adds(path, "?labelSelector=");
    kube_escape(selector, path);
}

static void send_page(struct watch *w)
{
    autobuf struct buf path = BUF_INIT;
    if (!w->more)
        begin_list(w);
    kube_path(w->kind, NULL, NULL, &path);
    add_selector(w, &path);
    buf_printf(&path, "&limit=%d", PAGE);
    if (w->more) {
        buf_adds(&path, "&continue=");
        kube_escape(w->more, &path);
    }
    w->busy = true;
    kube_client_send(w->k->client, &(struct kube_request){
                                       .path = path.data,
                                       .accept = kube_kinds[w->kind].whole ? NULL : "application/json" METADATA_LIST,
                                       .done = on_page,
                                       .data = w,
                                   });
}

static void send_watch(struct watch *w)
{
    autobuf struct buf path = BUF_INIT;
    kube_path(w->kind, NULL, NULL, &path);
    add_selector(w, &path);
    buf_printf(&path, "&watch=1&allowWatchBookmarks=true&timeoutSeconds=%u", WATCH_MIN_S + random_below(WATCH_MIN_S));
    if (*w->version) {
        buf_printf(&path, "&resourceVersion=%s", w->version);
    } else {
        begin_list(w);
        buf_adds(&path, "&sendInitialEvents=true&resourceVersionMatch=NotOlderThan");
    }
    w->busy = true;
    w->began_ms = clock_mono_ms(w->k->clock);
    kube_stream_init(&w->stream);
    kube_client_send(w->k->client, &(struct kube_request){
                                       .path = path.data,
                                       .accept = kube_kinds[w->kind].whole ? NULL : "application/json" METADATA,
                                       .on_data = on_data,
                                       .done = on_stream_end,
                                       .data = w,
                                   });
}

int64_t kube_watches_run(struct kube *k, int64_t now_ms)
{
    int64_t due = now_ms + BACKOFF_MAX_MS;
    for (int i = 0; i < KUBE_KIND_COUNT; i++) {
        struct watch *w = &k->watches[i];
        if (!kube_kinds[i].watched || w->busy)
            continue;
        w->k = k;
        w->kind = (enum kube_kind)i;
        if (w->due_ms > now_ms)
            due = MIN(due, w->due_ms);
        else if (w->pages && !*w->version)
            send_page(w);
        else
            send_watch(w);
    }
    return due;
}

bool kube_watches_synced(const struct kube *k)
{
    for (int i = 0; i < KUBE_KIND_COUNT; i++)
        if (kube_kinds[i].watched && !k->watches[i].synced)
            return false;
    return true;
}

void kube_watches_free(struct kube *k)
{
    for (int i = 0; i < KUBE_KIND_COUNT; i++) {
        kube_stream_free(&k->watches[i].stream);
        free(k->watches[i].more);
    }
}
