/* ownhouse agent: brings the agent into a cluster that the customer has, and takes it out again. */
#include "base/fs.h"
#include "base/mem.h"
#include "cli/cluster.h"
#include "cli/commands.h"
#include "runtime/kubernetes/access.h"
#include "runtime/kubernetes/chart.h"

#define MANAGER "ownhouse-install"
#define POD "ownhouse-agent-0"
#define BUNDLE_MAX KIB(64)
#define RELEASES_MAX KIB(700) /* a Secret holds a megabyte */
#define OLDEST_MINOR 31

static const char *option(const struct cli *c, const char *name, const char *fallback)
{
    const char *v = cli_option(c, name);
    return v && *v ? v : fallback;
}

/* ---- what is to be ---- */

static int read_structure(const char *option_name, const char *path, size_t max, json_t **ret, struct err *err)
{
    autofree char *text = NULL;
    size_t len = 0;
    int r = fs_read(path, max, &text, &len, err);
    if (r == -ENOENT)
        return err_set(err, r, "--%s: there is no file %s", option_name, path);
    if (r == 0)
        r = kube_yaml(text, len, ret, err);
    if (text)
        mem_wipe(text, len);
    if (r == 0 && !json_is_object(*ret)) {
        json_decref(TAKE_PTR(*ret));
        r = err_set(err, -EINVAL, "%s: must hold a map of names to values", path);
    }
    return r < 0 ? err_wrap(err, r, "--%s", option_name) : 0;
}

static int read_values(const struct cli *c, json_t **ret, struct err *err)
{
    static const char *const names[][2] = {
        {"image", "image"}, {"clickhouse-image", "clickhouseImage"}, {"haproxy-image", "haproxyImage"}};
    autojson json_t *own = NULL;
    const char *path = cli_option(c, "values");
    int r = path ? read_structure("values", path, KUBE_CHART_VALUES_MAX, &own, err) : 0;
    if (r < 0)
        return r;
    if (!own)
        own = json_object();
    if (cli_option(c, "releases"))
        json_object_set_new(own, "releases", json_true());
    for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
        if (cli_option(c, names[i][0]))
            json_object_set_new(own, names[i][1], json_string(cli_option(c, names[i][0])));
        if (!json_object_get(own, names[i][1]) &&
            (strcmp(names[i][0], "clickhouse-image") || strcmp(js_text_at(own, "engine"), "chdb")))
            return err_set(err, CLI_BAD_USAGE, "--%s: name the image, REPOSITORY@sha256:..., here or in --values",
                           names[i][0]);
    }
    return kube_chart_values(own, ret, err);
}

static json_t *namespace_object(const char *name)
{
    return json_pack("{ss ss s{ss s{ss ss}}}", "apiVersion", "v1", "kind", "Namespace", "metadata", "name", name,
                     "labels", "ownhouse/installed-by", MANAGER, "pod-security.kubernetes.io/enforce", "restricted");
}

/* As it was signed, to the byte; the agent checks it. */
static int add_releases(const struct cli *c, json_t *secret, struct err *err)
{
    const char *path = cli_option(c, "releases");
    autofree char *text = NULL;
    size_t len = 0;
    int r = fs_read(path, RELEASES_MAX, &text, &len, err);
    json_t *value = r == 0 ? json_stringn(text, len) : NULL;
    if (!value) {
        json_decref(secret);
        return r == -ENOENT ? err_set(err, r, "--releases: there is no file %s", path)
               : r < 0      ? r
                            : err_set(err, -EINVAL, "--releases: %s is not text", path);
    }
    json_object_set_new(json_object_get(secret, "stringData"), "releases.json", value);
    return 0;
}

/* The agent believes nothing but what is in here; its own reader checks it fully. */
static int bundle_object(const struct cli *c, const json_t *values, const char *namespace, json_t **ret,
                         struct err *err)
{
    const char *path = cli_option(c, "bundle"), *token_path = cli_option(c, "token-file");
    autojson json_t *bundle = NULL;
    autofree char *text = NULL, *token = NULL;
    size_t len = 0;
    if (cli_option(c, "releases") && !path)
        return err_set(err, CLI_BAD_USAGE, "--releases: goes with --bundle, into the same Secret");
    int r = path ? read_structure("bundle", path, BUNDLE_MAX, &bundle, err) : 0;
    if (r < 0 || !path)
        return r;
    if (!json_object_get(bundle, "control"))
        return err_set(err, -EINVAL, "--bundle: %s is no enrolment bundle: it has no field `control`", path);
    if (token_path && (r = fs_read_secret(token_path, KIB(1), &token, &len, err)) < 0)
        return r == -ENOENT ? err_set(err, r, "--token-file: there is no file %s", token_path) : r;
    if (token) {
        while (len && strchr(" \n\r\t", token[len - 1]))
            token[--len] = '\0';
        json_object_set_new(bundle, "token", json_stringn(token, len));
        mem_wipe(token, len);
    }
    if (!*js_text_at(bundle, "token"))
        return err_set(err, -EINVAL, "--bundle: %s holds no token: give it with --token-file", path);
    text = js_text(bundle);
    *ret = json_pack("{ss ss s{ss ss} ss s{ss}}", "apiVersion", "v1", "kind", "Secret", "metadata", "name",
                     js_text_at(values, "bundleSecret"), "namespace", namespace, "type", "Opaque", "stringData",
                     "bundle.json", text);
    mem_wipe(text, strlen(text));
    return cli_option(c, "releases") ? add_releases(c, *ret, err) : 0;
}

static int wanted(const struct cli *c, json_t **ret_values, json_t **ret, struct err *err)
{
    const char *namespace = option(c, "namespace", "ownhouse");
    autojson json_t *values = NULL, *list = json_array(), *chart = NULL;
    json_t *bundle = NULL;
    int r = read_values(c, &values, err);
    if (r < 0 || (r = kube_chart_objects(values, namespace, &chart, err)) < 0 ||
        (!cli_option(c, "print") && (r = bundle_object(c, values, namespace, &bundle, err)) < 0))
        return r;
    json_array_append_new(list, namespace_object(namespace));
    if (bundle)
        json_array_append_new(list, bundle);
    json_array_extend(list, chart);
    *ret = TAKE_PTR(list);
    *ret_values = TAKE_PTR(values);
    return 0;
}

/* ---- the cluster before ---- */

static int check_version(struct cluster *k, struct err *err)
{
    autojson json_t *v = NULL;
    int r = cluster_get(k, "/version", &v, err);
    if (r <= 0)
        return r < 0 ? r : err_set(err, -EIO, "the server has no /version: it is no Kubernetes API");
    int minor = atoi(js_text_at(v, "minor"));
    if (!strcmp(js_text_at(v, "major"), "1") && minor < OLDEST_MINOR)
        return err_set(err, -EINVAL, "the cluster runs Kubernetes %s: the agent needs 1.%d or later",
                       js_text_at(v, "gitVersion"), OLDEST_MINOR);
    return 0;
}

static bool is_default(const json_t *class)
{
    const json_t *a = json_object_get(json_object_get(class, "metadata"), "annotations");
    return !strcmp(js_text_at(a, "storageclass.kubernetes.io/is-default-class"), "true");
}

/* A missing class is only told: volumes may be made by hand. */
static int check_storage(struct cli *c, struct cluster *k, const json_t *values, struct err *err)
{
    static const char *const names[] = {"storageClass", "stateStorageClass"};
    autojson json_t *v = NULL;
    int r = cluster_get(k, "/apis/storage.k8s.io/v1/storageclasses", &v, err);
    for (size_t n = 0; r == 1 && n < ARRAY_SIZE(names); n++) {
        const char *wanted_class = js_text_at(values, names[n]);
        const json_t *items = json_object_get(v, "items"), *class;
        bool found = false;
        size_t i;
        json_array_foreach(items, i, class) found |=
            *wanted_class ? !strcmp(js_text_at(json_object_get(class, "metadata"), "name"), wanted_class)
                          : is_default(class);
        if (!found && *wanted_class)
            ui_warn(&c->ui, "%s: the cluster has no StorageClass %s", names[n], wanted_class);
        else if (!found)
            ui_warn(&c->ui, "%s: the cluster has no default StorageClass; disks will wait for one", names[n]);
    }
    return MIN(r, 0);
}

/* What Helm installed is Helm's. */
static int check_owner(struct cluster *k, const char *namespace, struct err *err)
{
    autofree char *path = mem_printf("/apis/apps/v1/namespaces/%s/statefulsets/ownhouse-agent", namespace);
    autojson json_t *v = NULL;
    int r = cluster_get(k, path, &v, err);
    const json_t *labels = json_object_get(json_object_get(v, "metadata"), "labels");
    if (r == 1 && !strcmp(js_text_at(labels, "app.kubernetes.io/managed-by"), "Helm"))
        return err_set(err, -EEXIST, "the agent in namespace %s was installed by Helm: use helm upgrade or uninstall",
                       namespace);
    return MIN(r, 0);
}

/* ---- apply ---- */

static int apply_one(struct cli *c, struct cluster *k, const json_t *object, struct err *err)
{
    char message[KUBE_MESSAGE];
    autobuf struct buf path = BUF_INIT;
    cluster_path(object, &path);
    const char *kind = js_text_at(object, "kind"), *name = js_text_at(json_object_get(object, "metadata"), "name");
    if (!path.len)
        return err_set(err, -EINVAL, "the chart holds a %s, which this command does not know", kind);
    buf_printf(&path, "?fieldManager=" MANAGER "%s", cli_option(c, "force") ? "&force=true" : "");
    int r = kube_client_ask(k->client, "PATCH", path.data, "application/apply-patch+yaml", object, NULL, message, err);
    if (r < 0)
        return r;
    if (r == 409)
        return err_set(err, -EEXIST, "%s %s: somebody else set some of its fields (--force takes them over): %s", kind,
                       name, message);
    if (r == 403)
        return err_set(err, -EACCES, "%s %s: you may not make it; installing needs an administrator's rights: %s", kind,
                       name, message);
    return r < 300 ? 0 : err_set(err, -EIO, "%s %s: %s", kind, name, message);
}

/* 1: a namespace of that name is there, and not by us; it is left as it is. */
static int is_anothers(struct cluster *k, const json_t *object, struct err *err)
{
    autobuf struct buf path = BUF_INIT;
    autojson json_t *v = NULL;
    if (strcmp(js_text_at(object, "kind"), "Namespace"))
        return 0;
    cluster_path(object, &path);
    int r = cluster_get(k, path.data, &v, err);
    const json_t *labels = json_object_get(json_object_get(v, "metadata"), "labels");
    return r == 1 ? strcmp(js_text_at(labels, "ownhouse/installed-by"), MANAGER) != 0 : r;
}

static int apply_all(struct cli *c, struct cluster *k, const json_t *objects, struct err *err)
{
    const json_t *o;
    size_t i;
    json_array_foreach(objects, i, o)
    {
        const char *kind = js_text_at(o, "kind"), *name = js_text_at(json_object_get(o, "metadata"), "name");
        int others = is_anothers(k, o, err);
        if (others < 0)
            return others;
        if (others)
            continue;
        ui_step(&c->ui, kind, name);
        int r = apply_one(c, k, o, err);
        if (r < 0)
            return r;
        ui_step_done(&c->ui, "applied");
    }
    return 0;
}

/* ---- waiting ---- */

static const json_t *condition(const json_t *pod, const char *type)
{
    const json_t *list = json_object_get(json_object_get(pod, "status"), "conditions"), *v;
    size_t i;
    json_array_foreach(list, i, v)
    {
        if (!strcmp(js_text_at(v, "type"), type))
            return v;
    }
    return NULL;
}

/* The newest warning about the pod: it carries what the kubelet and the probe said. */
static void newest_event(struct cluster *k, const char *namespace, char *ret, size_t size)
{
    autofree char *path = mem_printf("/api/v1/namespaces/%s/events?limit=500&fieldSelector=involvedObject.name%%3D" POD
                                     "%%2Ctype%%3DWarning",
                                     namespace);
    autojson json_t *v = NULL;
    const char *newest = "";
    const json_t *e;
    size_t i;
    if (cluster_get(k, path, &v, NULL) != 1)
        return;
    json_array_foreach(json_object_get(v, "items"), i, e)
    {
        const char *at = js_text_at(e, "lastTimestamp");
        at = *at ? at : js_text_at(e, "eventTime");
        if (strcmp(at, newest) < 0)
            continue;
        newest = at;
        snprintf(ret, size, "%s", js_text_at(e, "message"));
    }
}

/* Why the pod is not ready, in one sentence. */
static void why(struct cluster *k, const char *namespace, const json_t *pod, char *ret, size_t size)
{
    char event[300] = "";
    const json_t *status = json_object_get(pod, "status"), *scheduled = condition(pod, "PodScheduled");
    const json_t *container = json_array_get(json_object_get(status, "containerStatuses"), 0);
    const json_t *waiting = json_object_get(json_object_get(container, "state"), "waiting");
    newest_event(k, namespace, event, sizeof(event));
    if (!pod)
        snprintf(ret, size, "the cluster has not made the pod " POD " yet");
    else if (scheduled && strcmp(js_text_at(scheduled, "status"), "True"))
        snprintf(ret, size, "no node takes the pod: %s", js_text_at(scheduled, "message"));
    else if (waiting && *js_text_at(waiting, "message"))
        snprintf(ret, size, "%s: %s", js_text_at(waiting, "reason"), js_text_at(waiting, "message"));
    else if (*event)
        snprintf(ret, size, "%s", event);
    else if (json_is_object(json_object_get(json_object_get(container, "state"), "running")))
        snprintf(ret, size, "the agent runs, and its link is not up yet");
    else
        snprintf(ret, size, "the pod is being started");
}

/* 1: the pod of the present template is ready, which it is only while the link is up. */
static int look(struct cluster *k, const char *namespace, char *ret_why, size_t size, struct err *err)
{
    autofree char *set_path = mem_printf("/apis/apps/v1/namespaces/%s/statefulsets/ownhouse-agent", namespace),
                  *pod_path = mem_printf("/api/v1/namespaces/%s/pods/" POD, namespace);
    autojson json_t *set = NULL, *pod = NULL;
    int r = cluster_get(k, set_path, &set, err);
    if (r == 1)
        r = cluster_get(k, pod_path, &pod, err);
    if (r < 0)
        return r;
    const json_t *status = json_object_get(set, "status"),
                 *labels = json_object_get(json_object_get(pod, "metadata"), "labels");
    bool current = pod &&
                   !strcmp(js_text_at(labels, "controller-revision-hash"), js_text_at(status, "updateRevision")) &&
                   json_integer_value(json_object_get(status, "observedGeneration")) >=
                       json_integer_value(json_object_get(json_object_get(set, "metadata"), "generation"));
    if (current && !strcmp(js_text_at(condition(pod, "Ready"), "status"), "True"))
        return 1;
    why(k, namespace, pod, ret_why, size);
    return 0;
}

static int wait_for_link(struct cli *c, struct cluster *k, const char *namespace, int64_t seconds, struct err *err)
{
    int64_t until = clock_mono_ms(&clock_system) + seconds * 1000;
    char reason[600] = "";
    ui_step(&c->ui, "link", namespace);
    for (;;) {
        int r = look(k, namespace, reason, sizeof(reason), err);
        if (r == 1) {
            ui_step_done(&c->ui, "up");
            return 0;
        }
        if (r < 0)
            return r;
        if (clock_mono_ms(&clock_system) >= until)
            return err_set(err, -ETIMEDOUT, "the link is not up after %lld s: %s", (long long)seconds, reason);
        ui_step_update(&c->ui, "%s", reason);
        kube_client_poll(k->client, 1000);
    }
}

static int install_run(struct cli *c, struct err *err)
{
    const char *namespace = option(c, "namespace", "ownhouse");
    autojson json_t *values = NULL, *objects = NULL;
    autocluster struct cluster k = {0};
    int64_t seconds = 300;
    int r = cli_option_int(c, "wait", 0, 3600, &seconds, err);
    if (r < 0 || (r = wanted(c, &values, &objects, err)) < 0)
        return r;
    if (cli_option(c, "print")) {
        autojson json_t *list = json_pack("{ss ss sO}", "apiVersion", "v1", "kind", "List", "items", objects);
        c->answer = c->json ? json_incref(list) : NULL;
        if (!c->json && (json_dumpf(list, stdout, JSON_INDENT(2)) < 0 || putchar('\n') < 0))
            return err_set(err, -EIO, "cannot write");
        return 0;
    }
    if ((r = cluster_open(cli_option(c, "kubeconfig"), cli_option(c, "context"), &k, err)) < 0 ||
        (r = check_version(&k, err)) < 0 || (r = check_owner(&k, namespace, err)) < 0 ||
        (r = check_storage(c, &k, values, err)) < 0 || (r = apply_all(c, &k, objects, err)) < 0)
        return r;
    if (seconds && (r = wait_for_link(c, &k, namespace, seconds, err)) < 0)
        return r;
    c->answer = json_pack("{ss si sb}", "namespace", namespace, "objects", (int)json_array_size(objects), "linked",
                          seconds > 0);
    return 0;
}

/* ---- uninstall ---- */

static int delete_path(struct cluster *k, const char *path, struct err *err)
{
    char message[KUBE_MESSAGE];
    int r = kube_client_ask(k->client, "DELETE", path, NULL, NULL, NULL, message, err);
    if (r < 0 || r < 300 || r == 404)
        return MIN(r, 0);
    return err_set(err, r == 403 ? -EACCES : -EIO, "DELETE %s: %s", path, message);
}

/* Services go on without the agent, but nobody keeps them then. */
static int check_services(struct cli *c, struct cluster *k, struct err *err)
{
    autojson json_t *v = NULL;
    int r = cluster_get(k, "/api/v1/namespaces?labelSelector=app.kubernetes.io%2Fmanaged-by%3Downhouse", &v, err);
    size_t n = json_array_size(json_object_get(v, "items"));
    if (r >= 0 && n && !cli_option(c, "leave-services"))
        return err_set(err, -EBUSY,
                       "%zu services are in the cluster, the first in namespace %s: delete them in the control plane "
                       "first, or leave them running without an agent with --leave-services",
                       n,
                       js_text_at(json_object_get(json_array_get(json_object_get(v, "items"), 0), "metadata"), "name"));
    return MIN(r, 0);
}

/* Only the namespace that install made, and with it the agent's keys and the ingress. */
static int delete_state(struct cli *c, struct cluster *k, const char *namespace, struct err *err)
{
    autofree char *path = mem_printf("/api/v1/namespaces/%s", namespace);
    autojson json_t *v = NULL;
    int r = cluster_get(k, path, &v, err);
    const json_t *labels = json_object_get(json_object_get(v, "metadata"), "labels");
    if (r <= 0)
        return r;
    if (strcmp(js_text_at(labels, "ownhouse/installed-by"), MANAGER))
        return err_set(err, -EPERM, "namespace %s was not made by `ownhouse agent install`: delete it yourself",
                       namespace);
    ui_step(&c->ui, "Namespace", namespace);
    r = delete_path(k, path, err);
    if (r == 0)
        ui_step_done(&c->ui, "deleted, with the agent's keys");
    return r;
}

static int uninstall_run(struct cli *c, struct err *err)
{
    const char *namespace = option(c, "namespace", "ownhouse");
    /* With all that some values leave out. */
    autojson json_t *values = NULL, *objects = NULL, *whole = json_pack("{sb}", "releases", 1);
    autocluster struct cluster k = {0};
    int r = kube_chart_values(whole, &values, err);
    if (r < 0 || (r = kube_chart_objects(values, namespace, &objects, err)) < 0 ||
        (r = cluster_open(cli_option(c, "kubeconfig"), cli_option(c, "context"), &k, err)) < 0 ||
        (r = check_owner(&k, namespace, err)) < 0 || (r = check_services(c, &k, err)) < 0)
        return r;
    for (size_t i = json_array_size(objects); i-- > 0;) {
        const json_t *o = json_array_get(objects, i);
        autobuf struct buf path = BUF_INIT;
        cluster_path(o, &path);
        ui_step(&c->ui, js_text_at(o, "kind"), js_text_at(json_object_get(o, "metadata"), "name"));
        if ((r = delete_path(&k, path.data, err)) < 0)
            return r;
        ui_step_done(&c->ui, "deleted");
    }
    if (cli_option(c, "delete-state"))
        r = delete_state(c, &k, namespace, err);
    else
        ui_line(&c->ui, "The agent's disk and bundle stay in namespace %s: --delete-state takes them too.", namespace);
    return r;
}

static const struct cli_option install_options[] = {
    {"kubeconfig", 0, "FILE", "the cluster; default: $KUBECONFIG, then ~/.kube/config"},
    {"context", 0, "NAME", "in that file; default: its current one"},
    {"namespace", 0, "NAME", "the agent's own (ownhouse)"},
    {"bundle", 0, "FILE", "enrolment bundle; none: the Secret is there already"},
    {"token-file", 0, "FILE", "enrolment token, if it is not in the bundle"},
    {"releases", 0, "FILE", "signed list of releases, if the bundle has a release key"},
    {"values", 0, "FILE", "values of the chart (YAML or JSON)"},
    {"image", 0, "IMAGE", "the agent's image, by digest"},
    {"clickhouse-image", 0, "IMAGE", "the engine's image, by digest"},
    {"haproxy-image", 0, "IMAGE", "the ingress's image, by digest"},
    {"wait", 0, "SECONDS", "for the link (300); 0: do not wait"},
    {"force", 0, NULL, "take over fields that somebody else set"},
    {"print", 0, NULL, "print the objects, without the bundle, instead of applying them"},
    {0}};

static const struct cli_option uninstall_options[] = {
    {"kubeconfig", 0, "FILE", "the cluster; default: $KUBECONFIG, then ~/.kube/config"},
    {"context", 0, "NAME", "in that file; default: its current one"},
    {"namespace", 0, "NAME", "the agent's own (ownhouse)"},
    {"leave-services", 0, NULL, "even if services are there: they go on, and nobody keeps them"},
    {"delete-state", 0, NULL, "the namespace that install made too, with the agent's keys"},
    {0}};

static const struct cli_command subcommands[] = {
    {.name = "install",
     .arguments = "",
     .summary = "Installs the agent, or changes its settings, and waits until its link is up.",
     .details = "The objects are the Helm chart's. They are applied with your own rights, server-side; nothing is sent "
                "to the control plane.",
     .options = install_options,
     .run = install_run},
    {.name = "uninstall",
     .arguments = "",
     .summary = "Removes the agent; services and data stay.",
     .options = uninstall_options,
     .run = uninstall_run},
    {0},
};

const struct cli_command agent_command = {
    .name = "agent",
    .arguments = "",
    .summary = "Installs the agent in a Kubernetes cluster of yours, and removes it.",
    .subcommands = subcommands,
};
