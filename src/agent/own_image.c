/* Follows the signed list with the agent's own image in a cluster. */
#include "agent/own_image.h"

#include "agent/link/identity.h"
#include "agent/releases.h"
#include "base/log.h"
#include "base/mem.h"
#include "runtime/kubernetes/kubernetes.h"

#include <sys/stat.h>

struct own_image {
    const struct agent_config *config;
    struct stat list; /* as it was read */
    char image[RELEASES_IMAGE_MAX + 1], digest[65];
    char why[400], at[CLOCK_ISO_SIZE]; /* it cannot be used; "" = it can */
};

struct own_image *own_image_new(const struct agent_config *config)
{
    if (strcmp(config->runtime, "kubernetes") || !*config->releases || !*config->own_workload)
        return NULL;
    if (!getenv(OWN_IMAGE_POD_VARIABLE)) {
        log_warn("own_workload: the agent's image is not changed, since " OWN_IMAGE_POD_VARIABLE " is not set", NULL);
        return NULL;
    }
    struct own_image *o = mem_alloc(sizeof(*o));
    o->config = config;
    return o;
}

void own_image_free(struct own_image *o)
{
    free(o);
}

static bool same(const struct stat *a, const struct stat *b)
{
    return a->st_ino == b->st_ino && a->st_size == b->st_size && a->st_mtim.tv_sec == b->st_mtim.tv_sec &&
           a->st_mtim.tv_nsec == b->st_mtim.tv_nsec;
}

static void read_list(struct own_image *o)
{
    struct stat now = {0};
    struct err err = ERR_INIT;
    struct bundle *bundle = NULL;
    autofree char *dir = agent_path(o->config, "link"), *state = agent_path(o->config, "state");
    if (stat(o->config->releases, &now) < 0 || same(&now, &o->list))
        return; /* one that is gone asks for nothing new, and takes nothing back */
    o->list = now;
    *o->image = *o->digest = *o->why = '\0';
    int r = identity_bundle(dir, &bundle, &err);
    if (r == 0 && bundle->has_release_key)
        r = releases_wanted_image(bundle, o->config, state, o->image, o->digest, &err);
    bundle_free(bundle);
    if (r == 0)
        return;
    *o->image = *o->digest = '\0';
    snprintf(o->why, sizeof(o->why), "%s", err.message);
    clock_iso((int64_t)now.st_mtim.tv_sec * 1000, o->at);
    log_error("the list of releases is not followed", "error", err.message);
}

void own_image_look(struct own_image *o, struct runtime *rt, bool healthy)
{
    struct kube_state s;
    read_list(o);
    runtime_kubernetes_state(rt, &s);
    runtime_kubernetes_wish(rt, &(struct kube_wish){.workload = o->config->own_workload,
                                                    .account = o->config->guard_account,
                                                    .pod = getenv(OWN_IMAGE_POD_VARIABLE),
                                                    .image = o->image,
                                                    .list = o->digest,
                                                    .patience_s = (int)o->config->release_patience,
                                                    .healthy = healthy && s.leading && s.synced});
}

json_t *own_image_told(const struct own_image *o, struct runtime *rt)
{
    struct kube_release r;
    char trouble[400];
    bool known = runtime_kubernetes_release(rt, &r, trouble, sizeof(trouble));
    bool under_way = r.state == KUBE_RELEASE_PREPARING || r.state == KUBE_RELEASE_TRYING;
    json_t *v = json_pack("{si ss ss so}", "v", 1, "image", r.current, "trying", under_way ? r.image : "", "trouble",
                          js_string_of(trouble));
    if (known && !under_way && r.state != KUBE_RELEASE_NONE)
        json_object_set_new(v, "last",
                            json_pack("{ss ss so ss}", "result", kube_release_state_names[r.state], "image", r.image,
                                      "why", js_string_of(r.why), "at", r.at));
    if (*o->why)
        json_object_set_new(
            v, "refused",
            json_pack("{ss ss so ss}", "result", "refused", "image", "", "why", js_string_of(o->why), "at", o->at));
    return v;
}
