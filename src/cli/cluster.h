/* One Kubernetes cluster as an administrator's command talks to it: one request after the other. */
#pragma once

#include "base/js.h"
#include "runtime/kubernetes/client.h"
#include "runtime/kubernetes/kinds.h"

struct cluster {
    struct kube_client *client;
};

/* `kubeconfig` NULL: $KUBECONFIG, else ~/.kube/config, as kubectl does; `context` NULL: the current one. */
OH_MUST_CHECK int cluster_open(const char *kubeconfig, const char *context, struct cluster *ret, struct err *err);
void cluster_close(struct cluster *c);
#define autocluster OH_CLEANUP(cluster_close)

/* GET: 1 there, 0 not there, else an error. */
OH_MUST_CHECK int cluster_get(struct cluster *c, const char *path, json_t **ret, struct err *err);
/* Path of an object of one of the kinds that a chart may hold; "" for others. */
void cluster_path(const json_t *object, struct buf *out);
