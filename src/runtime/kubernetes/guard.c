/* Watches the agent's new image from a pod of the old one, and puts the old one back. */
#include "runtime/kubernetes/guard.h"

#include "runtime/kubernetes/client.h"
#include "runtime/kubernetes/kinds.h"
#include "runtime/kubernetes/release.h"

struct guard {
    const struct kube_guard *g;
    struct kube_client *client;
    const char *namespace;
    int64_t began_ms;
    bool blind;            /* the last look had no answer */
    int64_t not_before_ms; /* mono: no verdict against the release before */
    char said[300];
};

/* The HTTP status, or -EAGAIN: no answer. */
static int ask(struct guard *s, const char *path, json_t *patch, json_t **ret, struct err *err)
{
    autojson json_t *owned OH_UNUSED = patch;
    char message[KUBE_MESSAGE];
    int r = kube_client_ask(s->client, patch ? "PATCH" : "GET", path,
                            patch ? "application/strategic-merge-patch+json" : NULL, patch, ret, message, err);
    if (r == 401 || r == 403)
        return err_set(err, -EACCES, "%s", message);
    return r < 0 || r >= 500 || r == 429 ? err_set(err, -EAGAIN, "%s", message) : r;
}

static void say(struct guard *s, bool error, const char *message)
{
    if (strcmp(s->said, message))
        s->g->say(error, message, s->g->data);
    snprintf(s->said, sizeof(s->said), "%s", message);
}

static int write_set(struct guard *s, json_t *patch, struct err *err)
{
    autobuf struct buf path = BUF_INIT;
    kube_path(KUBE_STATEFUL_SET, s->namespace, s->g->workload, &path);
    int r = ask(s, path.data, patch, NULL, err);
    if (r == 409 || r == 404)
        return 0; /* looked at again */
    return r < 0 || r < 300 ? MIN(r, 0) : err_set(err, -EINVAL, "the server refuses the change with %d", r);
}

static int look_at_pod(struct guard *s, json_t **ret, struct err *err)
{
    autobuf struct buf path = BUF_INIT;
    autofree char *name = mem_printf("%s-0", s->g->workload);
    kube_path(KUBE_POD, s->namespace, name, &path);
    int r = ask(s, path.data, NULL, ret, err);
    if (r == 200 || r < 0)
        return MIN(r, 0);
    json_decref(TAKE_PTR(*ret));
    return 0;
}

static int watch(struct guard *s, struct kube_release *r, struct err *err)
{
    const struct kube_guard *g = s->g;
    autojson json_t *pod = NULL;
    char why[400] = "";
    int64_t wall = clock_wall_ms(g->clock), most = wall + (int64_t)g->patience_s * 1000;
    /* Written, so that a guard that comes after us does not begin to count anew; no clock makes it longer. */
    if (!r->until_ms || r->until_ms > most) {
        r->until_ms = most;
        return write_set(s, kube_release_patch(r, NULL), err);
    }
    int e = look_at_pod(s, &pod, err);
    if (e < 0)
        return e;
    enum kube_release_verdict v = kube_release_judge(r, pod, wall, g->patience_s, why, sizeof(why));
    if (v == KUBE_RELEASE_WAIT || (v == KUBE_RELEASE_BAD && clock_mono_ms(g->clock) < s->not_before_ms)) {
        say(s, false, "the release is being tried");
        return 0;
    }
    say(s, v != KUBE_RELEASE_GOOD,
        v == KUBE_RELEASE_GOOD  ? "the release is taken"
        : v == KUBE_RELEASE_BAD ? "the release is rolled back"
                                : "the release is left: somebody else changed the image");
    kube_release_turn(r,
                      v == KUBE_RELEASE_GOOD  ? KUBE_RELEASE_TAKEN
                      : v == KUBE_RELEASE_BAD ? KUBE_RELEASE_ROLLED_BACK
                                              : KUBE_RELEASE_LEFT,
                      why, wall);
    return write_set(s, kube_release_patch(r, v == KUBE_RELEASE_BAD ? g->before : NULL), err);
}

/* The agent changes nothing before it reads that we are here; nor after it read that we are not. */
static int wait_for_start(struct guard *s, struct kube_release *r, struct err *err)
{
    const struct kube_guard *g = s->g;
    if (clock_mono_ms(g->clock) - s->began_ms >= KUBE_RELEASE_START_MS) {
        say(s, true, "the agent did not begin");
        kube_release_turn(r, KUBE_RELEASE_REFUSED, "the agent asked for a guard and did not begin",
                          clock_wall_ms(g->clock));
        return write_set(s, kube_release_patch(r, NULL), err);
    }
    if (strcmp(r->guard, g->trial)) {
        say(s, false, "on guard");
        return write_set(s, kube_release_patch_guard(r, g->trial), err);
    }
    return 0;
}

/* 1: there is nothing more to watch. */
static int look(struct guard *s, struct err *err)
{
    autobuf struct buf path = BUF_INIT;
    autojson json_t *set = NULL;
    struct kube_release r;
    kube_path(KUBE_STATEFUL_SET, s->namespace, s->g->workload, &path);
    int e = ask(s, path.data, NULL, &set, err);
    if (e < 0)
        return e;
    if (e == 404)
        return 1;
    if ((e = kube_release_read(set, &r, err)) < 0)
        return e;
    if (strcmp(r.trial, s->g->trial) || strcmp(r.image, s->g->image))
        return 1;
    if (r.state == KUBE_RELEASE_PREPARING)
        return wait_for_start(s, &r, err);
    return r.state == KUBE_RELEASE_TRYING ? watch(s, &r, err) : 1;
}

int kube_guard_run(const struct kube_guard *g, struct kube_access *access, struct err *err)
{
    autofree char *namespace = mem_strdup(access->namespace);
    struct guard s = {.g = g, .namespace = namespace, .began_ms = clock_mono_ms(g->clock)};
    int r = 0;
    s.client = kube_client_new(access, g->clock);
    while (r == 0 || r == -EAGAIN) {
        struct err own = ERR_INIT;
        r = look(&s, &own);
        if (r < 0 && r != -EAGAIN)
            err_set(err, r, "%s", own.message);
        if (r == -EAGAIN)
            say(&s, true, own.message);
        /* What nobody could say while the server was away, it may say now. */
        if (s.blind && r == 0)
            s.not_before_ms = clock_mono_ms(g->clock) + KUBE_RELEASE_BLIND_MS;
        s.blind = r == -EAGAIN;
        int64_t until = clock_mono_ms(g->clock) + KUBE_RELEASE_LOOK_MS, now;
        while ((r == 0 || r == -EAGAIN) && (now = clock_mono_ms(g->clock)) < until)
            kube_client_poll(s.client, (int)(until - now));
    }
    kube_client_free(s.client);
    return MIN(r, 0);
}
