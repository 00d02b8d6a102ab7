/* What the files of the renderer share. */
#pragma once

#include "base/keys.h"
#include "runtime/kubernetes/render.h"
#include "runtime/runtime.h"

struct render {
    const struct workload *w;
    const struct workload_list *all;
    const struct kube_place *p;
    struct kube_objects *out;
    struct arena *a;
    const char *namespace, *role, *service; /* service NULL: belongs to the place */
    struct err *err;
    /* Set by files. NULL: no such object. */
    const char *config_map, *secret, *config_map_live, *secret_live;
};

/* A fresh object with apiVersion, kind and metadata; borrowed, owned by the list. NULL: too many (err is set). */
json_t *render_object(struct render *r, enum kube_kind kind, const char *namespace, const char *name, bool shared);
/* Text with its references filled in; NULL: err is set. */
const char *render_text(struct render *r, const char *text);
json_t *render_labels(const struct render *r, bool shared);
/* {"matchLabels": {KEY: VALUE}} */
json_t *render_selector(const char *key, const char *value);
#define READY "-ready" /* of the Service behind ${ready:X} */

/* True if a text of `w` names ${address:NAME} or ${ready:NAME}. */
bool render_names(const struct workload *w, const char *name);
bool render_is_awaited(const struct render *r); /* somebody names ${ready:} of the workload being rendered */

int render_files(struct render *r);  /* ConfigMaps and Secrets */
int render_policy(struct render *r); /* NetworkPolicies and PodDisruptionBudget */
int render_pods(struct render *r);   /* StatefulSet or Deployment */
