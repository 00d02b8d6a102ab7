/* Reads service accounts and kubeconfig files, and keeps the token fresh. */
#include "runtime/kubernetes/access.h"

#include "base/fs.h"
#include "base/proc.h"

#define EXEC_TIMEOUT_MS 30000
#define TOKEN_MAX KIB(64)
#define PEM_MAX KIB(256)
#define TEXT_MAX KIB(8)

void kube_access_free(struct kube_access *a)
{
    if (a->token)
        mem_wipe(a->token, strlen(a->token));
    free(a->token);
    if (a->key)
        mem_wipe((char *)(uintptr_t)a->key, strlen(a->key));
    json_decref(a->exec);
    json_decref(a->exec_cluster);
    arena_free(a->arena);
    *a = (struct kube_access){0};
}

/* ---- in a pod ---- */

static int read_text(struct arena *a, const char *dir, const char *name, size_t max, const char **ret, struct err *err)
{
    autofree char *path = *name == '/' ? mem_strdup(name) : mem_printf("%s/%s", dir, name), *text = NULL;
    size_t len = 0;
    int r = fs_read(path, max, &text, &len, err);
    if (r < 0)
        return *(err ? err->message : "x") ? r : err_set_errno(err, r, "cannot read %s", path);
    *ret = arena_strndup(a, text, len);
    mem_wipe(text, len);
    return 0;
}

int kube_access_pod(const char *dir, const char *host, const char *port, struct kube_access *ret, struct err *err)
{
    if (!dir)
        dir = KUBE_ACCOUNT_DIR;
    host = host ? host : getenv("KUBERNETES_SERVICE_HOST");
    port = port ? port : getenv("KUBERNETES_SERVICE_PORT");
    if (!host || !*host || !port || !*port)
        return err_set(err, -ENOENT,
                       "this is not a pod of a cluster (KUBERNETES_SERVICE_HOST is not set): name a kubeconfig file");
    struct kube_access a = {.arena = arena_new(), .token_read_ms = -1};
    struct err none = ERR_INIT;
    a.server = arena_printf(a.arena, strchr(host, ':') ? "https://[%s]:%s" : "https://%s:%s", host, port);
    a.token_file = arena_printf(a.arena, "%s/token", dir);
    int r = read_text(a.arena, dir, "ca.crt", PEM_MAX, &a.ca, err);
    if (r < 0) {
        kube_access_free(&a);
        return r;
    }
    a.namespace = "default";
    (void)!read_text(a.arena, dir, "namespace", 256, &a.namespace, &none);
    *ret = a;
    return 0;
}

/* ---- kubeconfig ---- */

static const json_t *named(const json_t *root, const char *list, const char *name, const char *what)
{
    const json_t *items = json_object_get(root, list);
    for (size_t i = 0; i < json_array_size(items); i++) {
        const json_t *item = json_array_get(items, i);
        const char *n = json_string_value(json_object_get(item, "name"));
        if (n && !strcmp(n, name))
            return json_object_get(item, what);
    }
    return NULL;
}

/* KEY-data in base64, or KEY as a file; neither is fine. */
static int material(struct kube_access *a, const json_t *obj, const char *path, const char *key, const char *dir,
                    const char **ret, struct err *err)
{
    autofree char *data_key = mem_printf("%s-data", key);
    const char *data = NULL, *file = NULL;
    int r = js_string_opt(obj, path, data_key, PEM_MAX * 2, &data, err);
    if (r < 0 || (r = js_string_opt(obj, path, key, TEXT_MAX, &file, err)) < 0)
        return r;
    if (data && *data) {
        autofree unsigned char *plain = NULL;
        size_t len = 0;
        if (base64_decode(data, PEM_MAX, &plain, &len) < 0)
            return err_set(err, -EINVAL, "%s.%s: must be base64 of at most %zu bytes", path, data_key, PEM_MAX);
        *ret = arena_strndup(a->arena, (char *)plain, len);
        mem_wipe(plain, len);
        return 0;
    }
    return file && *file ? read_text(a->arena, dir, file, PEM_MAX, ret, err) : 0;
}

static int optional(struct kube_access *a, const json_t *obj, const char *path, const char *key, const char **ret,
                    struct err *err)
{
    const char *text = NULL;
    int r = js_string_opt(obj, path, key, TOKEN_MAX, &text, err);
    if (r == 0 && text && *text)
        *ret = arena_strdup(a->arena, text);
    return r;
}

static int take_cluster(struct kube_access *a, const json_t *c, const char *dir, struct err *err)
{
    const char *server;
    bool insecure = false;
    int r;
    if ((r = js_string(c, "cluster", "server", TEXT_MAX, &server, err)) < 0 ||
        (r = js_bool_opt(c, "cluster", "insecure-skip-tls-verify", &insecure, err)) < 0 ||
        (r = optional(a, c, "cluster", "tls-server-name", &a->server_name, err)) < 0 ||
        (r = optional(a, c, "cluster", "proxy-url", &a->proxy, err)) < 0 ||
        (r = material(a, c, "cluster", "certificate-authority", dir, &a->ca, err)) < 0)
        return r;
    if (insecure)
        return err_set(err, -EINVAL, "cluster.insecure-skip-tls-verify: is not accepted; give certificate-authority");
    if (strncmp(server, "https://", 8) || !server[8])
        return err_set(err, -EINVAL, "cluster.server: must begin with https://");
    size_t len = strlen(server);
    while (server[len - 1] == '/')
        len--;
    a->server = arena_strndup(a->arena, server, len);
    return 0;
}

static int take_exec(struct kube_access *a, const json_t *exec, const json_t *cluster, struct err *err)
{
    const char *command, *version;
    bool info = false;
    int r;
    if ((r = js_string(exec, "user.exec", "command", TEXT_MAX, &command, err)) < 0 ||
        (r = js_string(exec, "user.exec", "apiVersion", 100, &version, err)) < 0 ||
        (r = js_bool_opt(exec, "user.exec", "provideClusterInfo", &info, err)) < 0)
        return r;
    if (strcmp(version, "client.authentication.k8s.io/v1") && strcmp(version, "client.authentication.k8s.io/v1beta1"))
        return err_set(err, -EINVAL, "user.exec.apiVersion: %.60s is not known; v1 and v1beta1 are", version);
    a->exec = json_deep_copy(exec);
    if (info)
        a->exec_cluster = json_deep_copy(cluster);
    return 0;
}

static int take_user(struct kube_access *a, const json_t *u, const json_t *cluster, const char *dir, struct err *err)
{
    const char *token = NULL, *file = NULL, *user = NULL, *password = NULL;
    int r;
    if ((r = material(a, u, "user", "client-certificate", dir, &a->certificate, err)) < 0 ||
        (r = material(a, u, "user", "client-key", dir, &a->key, err)) < 0 ||
        (r = js_string_opt(u, "user", "token", TOKEN_MAX, &token, err)) < 0 ||
        (r = js_string_opt(u, "user", "tokenFile", TEXT_MAX, &file, err)) < 0 ||
        (r = js_string_opt(u, "user", "username", TEXT_MAX, &user, err)) < 0 ||
        (r = js_string_opt(u, "user", "password", TEXT_MAX, &password, err)) < 0)
        return r;
    if (json_object_get(u, "as"))
        return err_set(err, -EINVAL, "user.as: acting as another user is not supported");
    if (json_object_get(u, "auth-provider"))
        return err_set(err, -EINVAL, "user.auth-provider: was given up by Kubernetes; use an exec plugin");
    if (!a->certificate != !a->key)
        return err_set(err, -EINVAL, "user: a client certificate needs its key, and a key its certificate");
    if (file && *file)
        a->token_file = *file == '/' ? arena_strdup(a->arena, file) : arena_printf(a->arena, "%s/%s", dir, file);
    else if (token && *token)
        a->token = mem_strdup(token);
    if (user && *user)
        a->basic = arena_printf(a->arena, "%s:%s", user, password ? password : "");
    const json_t *exec = json_object_get(u, "exec");
    return exec ? take_exec(a, exec, cluster, err) : 0;
}

static int take(struct kube_access *a, const json_t *root, const char *dir, const char *context, struct err *err)
{
    const char *cluster_name, *user_name = NULL;
    int r;
    if (!context && (r = js_string(root, "", "current-context", TEXT_MAX, &context, err)) < 0)
        return r;
    const json_t *c = named(root, "contexts", context, "context");
    if (!c)
        return err_set(err, -EINVAL, "contexts: there is no context \"%.100s\"", context);
    a->namespace = "default";
    if ((r = js_string(c, "context", "cluster", TEXT_MAX, &cluster_name, err)) < 0 ||
        (r = js_string_opt(c, "context", "user", TEXT_MAX, &user_name, err)) < 0 ||
        (r = optional(a, c, "context", "namespace", &a->namespace, err)) < 0)
        return r;
    const json_t *cluster = named(root, "clusters", cluster_name, "cluster");
    const json_t *user = user_name ? named(root, "users", user_name, "user") : NULL;
    if (!cluster)
        return err_set(err, -EINVAL, "clusters: there is no cluster \"%.100s\"", cluster_name);
    if (user_name && *user_name && !user)
        return err_set(err, -EINVAL, "users: there is no user \"%.100s\"", user_name);
    if ((r = take_cluster(a, cluster, dir, err)) < 0)
        return r;
    return json_is_object(user) ? take_user(a, user, cluster, dir, err) : 0;
}

int kube_access_parse(const char *text, size_t len, const char *dir, const char *context, struct kube_access *ret,
                      struct err *err)
{
    autojson json_t *root = NULL;
    if (len > KUBE_CONFIG_FILE_MAX)
        return err_set(err, -EMSGSIZE, "is over %zu bytes", KUBE_CONFIG_FILE_MAX);
    int r = kube_yaml(text, len, &root, err);
    if (r < 0)
        return r;
    struct kube_access a = {.arena = arena_new(), .token_read_ms = -1};
    if ((r = take(&a, root, dir, context, err)) < 0) {
        kube_access_free(&a);
        return r;
    }
    *ret = a;
    return 0;
}

int kube_access_file(const char *path, const char *context, struct kube_access *ret, struct err *err)
{
    autofree char *text = NULL, *dir = mem_strdup(path);
    size_t len = 0;
    int r = fs_read(path, KUBE_CONFIG_FILE_MAX, &text, &len, err);
    if (r == -ENOENT)
        return err_set(err, r, "there is no kubeconfig file %s", path);
    if (r < 0)
        return r;
    char *slash = strrchr(dir, '/');
    if (slash)
        *slash = '\0';
    r = kube_access_parse(text, len, slash ? dir : ".", context, ret, err);
    mem_wipe(text, len);
    return r < 0 ? err_wrap(err, r, "%s", path) : 0;
}

/* ---- tokens ---- */

static void keep_token(struct kube_access *a, const char *token, size_t len)
{
    while (len && (token[len - 1] == '\n' || token[len - 1] == '\r' || token[len - 1] == ' '))
        len--;
    if (a->token)
        mem_wipe(a->token, strlen(a->token));
    free(a->token);
    a->token = mem_strndup(token, len);
}

static int read_token(struct kube_access *a, struct err *err)
{
    autofree char *text = NULL;
    size_t len = 0;
    int r = fs_read(a->token_file, TOKEN_MAX, &text, &len, err);
    if (r < 0)
        return r == -ENOENT ? err_set(err, r, "there is no token file %s", a->token_file) : r;
    /* It goes into a header as it is. */
    if (!len || strcspn(text, "\r\n") + 1 < len) {
        mem_wipe(text, len);
        return err_set(err, -EINVAL, "%s: must hold one token", a->token_file);
    }
    keep_token(a, text, len);
    mem_wipe(text, len);
    return 0;
}

static char *exec_info(const struct kube_access *a)
{
    autojson json_t *info = json_pack("{s:O, s:s, s:{s:b}}", "apiVersion", json_object_get(a->exec, "apiVersion"),
                                      "kind", "ExecCredential", "spec", "interactive", 0);
    if (a->exec_cluster)
        json_object_set(json_object_get(info, "spec"), "cluster", a->exec_cluster);
    return js_text(info);
}

/* `env NAME=VALUE... COMMAND ARG...`: the plugin's own environment without a shell and without touching ours. */
static const char **exec_argv(const struct kube_access *a, struct arena *arena)
{
    const json_t *env = json_object_get(a->exec, "env"), *args = json_object_get(a->exec, "args");
    autofree char *info = exec_info(a);
    const char **argv = arena_alloc(arena, (json_array_size(env) + json_array_size(args) + 4) * sizeof(*argv));
    size_t n = 0;
    argv[n++] = "env";
    argv[n++] = arena_printf(arena, "KUBERNETES_EXEC_INFO=%s", info);
    for (size_t i = 0; i < json_array_size(env); i++) {
        const char *name = json_string_value(json_object_get(json_array_get(env, i), "name")),
                   *value = json_string_value(json_object_get(json_array_get(env, i), "value"));
        if (name && value)
            argv[n++] = arena_printf(arena, "%s=%s", name, value);
    }
    argv[n++] = json_string_value(json_object_get(a->exec, "command"));
    for (size_t i = 0; i < json_array_size(args); i++)
        argv[n++] = json_string_value(json_array_get(args, i));
    return argv;
}

static int take_credential(struct kube_access *a, const json_t *credential, struct err *err)
{
    const json_t *status = json_object_get(credential, "status");
    const char *token = NULL, *ends = NULL, *certificate = NULL, *key = NULL;
    int r;
    if (!json_is_object(status))
        return err_set(err, -EINVAL, "the exec plugin gave no status");
    if ((r = js_string_opt(status, "status", "token", TOKEN_MAX, &token, err)) < 0 ||
        (r = js_string_opt(status, "status", "expirationTimestamp", 64, &ends, err)) < 0 ||
        (r = js_string_opt(status, "status", "clientCertificateData", PEM_MAX, &certificate, err)) < 0 ||
        (r = js_string_opt(status, "status", "clientKeyData", PEM_MAX, &key, err)) < 0)
        return r;
    if (!token && !(certificate && key))
        return err_set(err, -EINVAL, "the exec plugin gave neither token nor certificate");
    a->token_ends_ms = 0;
    if (ends && clock_iso_parse(ends, &a->token_ends_ms) < 0)
        return err_set(err, -EINVAL, "status.expirationTimestamp: must be a time as of RFC 3339");
    if (token)
        keep_token(a, token, strlen(token));
    if (certificate && key) {
        a->certificate = arena_strdup(a->arena, certificate);
        a->key = arena_strdup(a->arena, key);
    }
    return 0;
}

static int run_plugin(struct kube_access *a, struct err *err)
{
    autoarena struct arena *arena = arena_new();
    autobuf struct buf out = BUF_INIT_MAX(PEM_MAX * 2);
    autojson json_t *credential = NULL;
    int r = proc_run(exec_argv(a, arena), NULL, EXEC_TIMEOUT_MS, &out, err);
    if (r == 0 && out.overflow)
        r = err_set(err, -EMSGSIZE, "the exec plugin says too much");
    if (r == 0)
        r = js_parse(out.data ? out.data : "", out.len, PEM_MAX * 2, &credential, err);
    if (r == 0)
        r = take_credential(a, credential, err);
    if (out.data)
        mem_wipe(out.data, out.len);
    return r < 0 ? err_wrap(err, r, "user.exec") : 0;
}

int kube_access_token(struct kube_access *a, const struct clock *clock, bool refused, struct err *err)
{
    int64_t now = clock_mono_ms(clock);
    bool first = a->token_read_ms < 0, old = now - a->token_read_ms >= KUBE_TOKEN_MS;
    int r = 0;
    if (a->token_file && (first || old || refused))
        r = read_token(a, err);
    else if (a->exec && (first || refused || (a->token_ends_ms && clock_wall_ms(clock) >= a->token_ends_ms)))
        r = run_plugin(a, err);
    else
        return 0;
    /* A file that cannot be read just now leaves the token of before in use. */
    if (r == 0 || !a->token)
        a->token_read_ms = r == 0 ? now : -1;
    return a->token && a->token_file ? 0 : r;
}
