/* How to reach a cluster and who we are there: the service account inside a cluster, or a kubeconfig file.
 *
 * In the cluster: address from KUBERNETES_SERVICE_HOST/_PORT, token and authority from the mounted folder. The kubelet
 * swaps the files by a symbolic link, so the token is read again by path when it is KUBE_TOKEN_MS old and after a 401.
 * kubeconfig (kubectl's format, YAML or JSON): authorities, certificates and keys inline or as files, tokens, token
 * files, user and password, exec plugins (client.authentication.k8s.io/v1 and v1beta1, run without a shell, their
 * answer kept until it expires or is refused), proxy-url, tls-server-name, insecure-skip-tls-verify refused. */
#pragma once

#include "base/clock.h"
#include "base/js.h"
#include "base/mem.h"

#define KUBE_TOKEN_MS 60000
#define KUBE_CONFIG_FILE_MAX MIB(1)
#define KUBE_ACCOUNT_DIR "/var/run/secrets/kubernetes.io/serviceaccount"

struct kube_access {
    struct arena *arena;     /* owns all texts but the token */
    const char *server;      /* https://host:port[/path], no final slash */
    const char *server_name; /* checked in the certificate instead of the host; NULL */
    const char *ca;          /* PEM; NULL: the system's authorities */
    const char *certificate; /* PEM; NULL */
    const char *key;         /* PEM; NULL */
    const char *proxy;       /* NULL: none; never taken from the environment */
    const char *basic;       /* "user:password"; NULL */
    const char *token_file;  /* NULL */
    const char *namespace;   /* of the context or the pod; "default" */
    json_t *exec;            /* plugin; NULL */
    json_t *exec_cluster;    /* for its provideClusterInfo; NULL */
    char *token;             /* NULL: none (yet) */
    int64_t token_read_ms;   /* monotonic; -1: not yet */
    int64_t token_ends_ms;   /* wall; 0: not said */
};

/* Inside a cluster; `dir` NULL = KUBE_ACCOUNT_DIR; host and port NULL = from the environment. -ENOENT: not in one. */
OH_MUST_CHECK int kube_access_pod(const char *dir, const char *host, const char *port, struct kube_access *ret,
                                  struct err *err);
/* `context` NULL = the current one. Files that it names are relative to its folder. */
OH_MUST_CHECK int kube_access_file(const char *path, const char *context, struct kube_access *ret, struct err *err);
/* The same for text; `dir` is what relative files are taken from. Reads files only when it names some. */
OH_MUST_CHECK int kube_access_parse(const char *text, size_t len, const char *dir, const char *context,
                                    struct kube_access *ret, struct err *err);
void kube_access_free(struct kube_access *a); /* secrets are wiped */

/* Brings the token to the time; refused: the server said 401. May run the exec plugin (30 s at most). */
OH_MUST_CHECK int kube_access_token(struct kube_access *a, const struct clock *clock, bool refused, struct err *err);

/* YAML (the part that kubeconfig files use) to JSON: mappings, sequences, scalars. Aliases, tags, several documents,
 * duplicate keys and depth over 32 are refused. Plain true/false/null and whole numbers get their type. New
 * reference. */
OH_MUST_CHECK int kube_yaml(const char *text, size_t len, json_t **ret, struct err *err);
