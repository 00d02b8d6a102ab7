/* Holds the lease: carries out what lease.h decides. */
#include "runtime/kubernetes/engine.h"

#include <time.h>

#define LEASE_NAME "ownhouse-agent"

static void on_read(const struct kube_reply *reply, void *data)
{
    struct kube *k = data;
    autojson json_t *v = NULL;
    pthread_mutex_lock(&k->lock);
    int64_t now = clock_mono_ms(k->clock);
    if (reply->error == 0 && reply->status == 404) {
        kube_lease_missing(&k->lease, now);
    } else if (reply->error == 0 && reply->status == 200 &&
               js_parse(reply->body, reply->len, KUBE_ANSWER_MAX, &v, NULL) == 0) {
        const json_t *spec = json_object_get(v, "spec");
        const char *holder = json_string_value(json_object_get(spec, "holderIdentity")),
                   *version = json_string_value(json_object_get(json_object_get(v, "metadata"), "resourceVersion"));
        int64_t seconds = json_integer_value(json_object_get(spec, "leaseDurationSeconds"));
        kube_lease_seen(&k->lease, now, holder ? holder : "", version ? version : "", MIN(MAX(seconds, 1), 600) * 1000,
                        (int)json_integer_value(json_object_get(spec, "leaseTransitions")));
    } else {
        kube_lease_failed(&k->lease, now, false);
        kube_trouble(k, reply->message);
    }
    pthread_mutex_unlock(&k->lock);
}

static void on_written(const struct kube_reply *reply, void *data)
{
    struct kube *k = data;
    autojson json_t *v = NULL;
    pthread_mutex_lock(&k->lock);
    bool led = k->lease.leading;
    if (reply->error == 0 && (reply->status == 200 || reply->status == 201) &&
        js_parse(reply->body, reply->len, KUBE_ANSWER_MAX, &v, NULL) == 0) {
        const char *version = json_string_value(json_object_get(json_object_get(v, "metadata"), "resourceVersion"));
        kube_lease_written(&k->lease, version ? version : "");
        kube_trouble(k, "");
    } else {
        kube_lease_failed(&k->lease, clock_mono_ms(k->clock), reply->status == 409);
        if (reply->status != 409)
            kube_trouble(k, reply->message);
    }
    if (led != k->lease.leading)
        kube_changed(k);
    pthread_mutex_unlock(&k->lock);
}

static json_t *body_of(struct kube *k, const char *holder)
{
    char now[CLOCK_ISO_SIZE], micro[CLOCK_ISO_SIZE + 4];
    bool other = strcmp(k->lease.holder, holder) != 0;
    clock_iso(clock_wall_ms(k->clock), now);
    /* MicroTime wants six digits. */
    snprintf(micro, sizeof(micro), "%.*s000Z", (int)strlen(now) - 1, now);
    json_t *v = json_pack("{s:s, s:s, s:{s:s, s:s, s:{s:s, s:s}}, s:{s:s, s:i, s:s, s:i}}", "apiVersion",
                          kube_kinds[KUBE_LEASE].group_version, "kind", kube_kinds[KUBE_LEASE].kind, "metadata", "name",
                          LEASE_NAME, "namespace", k->place.namespace, "labels", "app.kubernetes.io/managed-by",
                          KUBE_MANAGER, "ownhouse/infrastructure", k->place.infrastructure, "spec", "holderIdentity",
                          holder, "leaseDurationSeconds", KUBE_LEASE_SECONDS, "renewTime", micro, "leaseTransitions",
                          k->lease.transitions + (other && *holder));
    return v;
}

static void send_write(struct kube *k, const char *holder, bool create, void (*done)(const struct kube_reply *, void *))
{
    autobuf struct buf path = BUF_INIT;
    autojson json_t *body = body_of(k, holder);
    if (!create)
        json_object_set_new(json_object_get(body, "metadata"), "resourceVersion", json_string(k->lease.version));
    autofree char *text = js_text(body);
    kube_path(KUBE_LEASE, k->place.namespace, create ? NULL : LEASE_NAME, &path);
    kube_client_send(k->client, &(struct kube_request){.method = create ? "POST" : "PUT",
                                                       .path = path.data,
                                                       .body = text,
                                                       .len = strlen(text),
                                                       .done = done,
                                                       .data = k});
}

int64_t kube_leader_run(struct kube *k, int64_t now_ms)
{
    autobuf struct buf path = BUF_INIT;
    bool led = k->lease.leading;
    int64_t due = now_ms;
    switch (kube_lease_next(&k->lease, now_ms, &due)) {
    case KUBE_LEASE_READ:
        kube_path(KUBE_LEASE, k->place.namespace, LEASE_NAME, &path);
        kube_client_send(k->client, &(struct kube_request){.path = path.data, .done = on_read, .data = k});
        break;
    case KUBE_LEASE_CREATE:
        send_write(k, k->identity, true, on_written);
        break;
    case KUBE_LEASE_UPDATE:
        send_write(k, k->identity, false, on_written);
        break;
    case KUBE_LEASE_WAIT:
        break;
    }
    if (led != k->lease.leading)
        kube_changed(k);
    return due;
}

static void on_released(const struct kube_reply *reply OH_UNUSED, void *data)
{
    struct kube *k = data;
    pthread_mutex_lock(&k->lock);
    k->lease.leading = false;
    pthread_mutex_unlock(&k->lock);
}

/* An agent that ends well lets the next begin at once. */
void kube_leader_release(struct kube *k)
{
    if (k->lease.leading && !k->lease.asked)
        send_write(k, "", false, on_released);
    else
        k->lease.leading = false;
}
