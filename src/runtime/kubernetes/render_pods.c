/* Makes the StatefulSet or Deployment of a workload: pod security, mounts, probes, resources, spread. */
#include "runtime/kubernetes/render_internal.h"

#include <signal.h>

#define USER 101  /* of the published image of ClickHouse, and of our own images */
#define LEAVE_S 5 /* between leaving the Service and the signal: proxies hear of it meanwhile */
/* The same for one of several replicas: the ingress asks for its name every second and believes an answer for 5 s
 * (blueprint/ingress.c), cluster DNS often for 5 s more. */
#define LEAVE_REPLICA_S 15
#define LOG_LIMIT "1Gi" /* logs go to standard output; files are for what cannot */
#define LIVENESS_S 10   /* with LIVENESS_FAILURES: three minutes without an answer */
#define LIVENESS_FAILURES 18
#define BYTES_A_CORE (INT64_C(4) << 30)

static int leave_seconds(const struct render *r)
{
    return render_is_awaited(r) ? LEAVE_REPLICA_S : LEAVE_S;
}

/* ---- container ---- */

static bool wrapped(const struct workload *w)
{
    return w->reload_signal || (w->stop_signal && w->stop_signal != SIGTERM);
}

static json_t *command(struct render *r)
{
    json_t *list = json_array();
    if (wrapped(r->w)) {
        json_array_append_new(list, json_string("ownhouse-pod"));
        if (r->w->reload_signal) {
            json_array_append_new(list, json_string("--reload"));
            json_array_append_new(list, json_sprintf("%d", r->w->reload_signal));
            json_array_append_new(list, json_string("/ownhouse/files"));
        }
        if (r->w->stop_signal) {
            json_array_append_new(list, json_string("--stop"));
            json_array_append_new(list, json_sprintf("%d", r->w->stop_signal));
        }
        json_array_append_new(list, json_string("--"));
    }
    json_array_append_new(list, json_string(r->w->program));
    return list;
}

static json_t *arguments(struct render *r)
{
    json_t *list = json_array();
    for (size_t i = 0; i < r->w->n_arguments; i++) {
        const char *text = render_text(r, r->w->arguments[i]);
        if (!text) {
            json_decref(list);
            return NULL;
        }
        json_array_append_new(list, json_string(text));
    }
    return list;
}

static json_t *environment(struct render *r)
{
    json_t *list = json_array();
    for (size_t i = 0; i < r->w->n_environment; i++) {
        const char *text = render_text(r, r->w->environment[i].value);
        if (!text) {
            json_decref(list);
            return NULL;
        }
        json_array_append_new(list, json_pack("{s:s, s:s}", "name", r->w->environment[i].name, "value", text));
    }
    return list;
}

static json_t *action(const struct workload_probe *p)
{
    if (p->path)
        return json_pack("{s:{s:s, s:i, s:s}}", "httpGet", "path", p->path, "port", p->port, "scheme", "HTTP");
    return json_pack("{s:{s:i}}", "tcpSocket", "port", p->port);
}

static int seconds(int ms)
{
    return MAX((ms + 999) / 1000, 1);
}

static void add_probe(json_t *container, const char *name, const struct workload_probe *p, int period_s, int failures)
{
    json_t *probe = action(p);
    json_object_set_new(probe, "periodSeconds", json_integer(period_s));
    json_object_set_new(probe, "timeoutSeconds", json_integer(seconds(p->timeout_ms)));
    json_object_set_new(probe, "failureThreshold", json_integer(MAX(failures, 1)));
    json_object_set_new(container, name, probe);
}

static void add_probes(json_t *container, const struct workload_probe *p)
{
    int period = seconds(p->period_ms);
    if (!p->port)
        return;
    add_probe(container, "startupProbe", p, period, seconds(p->startup_ms) / period);
    add_probe(container, "readinessProbe", p, period, p->failures);
    add_probe(container, "livenessProbe", p, MAX(period, LIVENESS_S), LIVENESS_FAILURES);
}

/* The engine keeps to memory_bytes by itself; the container's limit leaves it room for what it does not count. */
static json_t *resources(const struct workload *w)
{
    int64_t cpu = w->cpu_millis ? w->cpu_millis : w->memory_bytes * 1000 / BYTES_A_CORE;
    int64_t memory = w->memory_bytes ? w->memory_bytes : (int64_t)MIB(64);
    json_t *v = json_pack("{s:{s:o, s:o}}", "requests", "cpu", json_sprintf("%lldm", (long long)MAX(cpu, 50)), "memory",
                          json_sprintf("%lld", (long long)memory));
    if (w->memory_bytes)
        json_object_set_new(v, "limits",
                            json_pack("{s:o}", "memory", json_sprintf("%lld", (long long)(memory + memory / 8))));
    return v;
}

static void mount(json_t *mounts, const char *volume, const char *path, bool read_only)
{
    json_t *m = json_pack("{s:s, s:s}", "name", volume, "mountPath", path);
    if (read_only)
        json_object_set_new(m, "readOnly", json_true());
    json_array_append_new(mounts, m);
}

static json_t *mounts(struct render *r)
{
    json_t *list = json_array();
    if (r->w->n_files)
        mount(list, "files", "/ownhouse/files", true);
    mount(list, "run", "/ownhouse/run", false);
    mount(list, "logs", "/ownhouse/logs", false);
    mount(list, "tmp", "/tmp", false);
    for (size_t i = 0; i < r->w->n_volumes; i++)
        mount(list, arena_printf(r->a, "volume-%s", r->w->volumes[i].name),
              arena_printf(r->a, "/ownhouse/volumes/%s", r->w->volumes[i].name), false);
    return list;
}

static json_t *container_ports(struct render *r)
{
    json_t *list = json_array();
    for (size_t i = 0; i < r->w->n_ports; i++)
        json_array_append_new(list, json_pack("{s:s, s:i, s:s}", "name", r->w->ports[i].name, "containerPort",
                                              r->w->ports[i].port, "protocol", "TCP"));
    return list;
}

static json_t *container(struct render *r)
{
    json_t *args = arguments(r), *env = args ? environment(r) : NULL;
    if (!args || !env) {
        json_decref(args);
        return NULL;
    }
    json_t *c =
        json_pack("{s:s, s:s, s:o, s:o, s:s, s:o, s:o}", "name", r->role, "image", r->w->image, "command", command(r),
                  "args", args, "workingDir", "/ownhouse", "resources", resources(r->w), "volumeMounts", mounts(r));
    if (json_array_size(env))
        json_object_set(c, "env", env);
    json_decref(env);
    if (r->w->n_ports)
        json_object_set_new(c, "ports", container_ports(r));
    add_probes(c, &r->w->probe);
    json_object_set_new(c, "securityContext",
                        json_pack("{s:b, s:b, s:{s:[s]}}", "allowPrivilegeEscalation", 0, "readOnlyRootFilesystem", 1,
                                  "capabilities", "drop", "ALL"));
    json_object_set_new(c, "lifecycle", json_pack("{s:{s:{s:i}}}", "preStop", "sleep", "seconds", leave_seconds(r)));
    return c;
}

/* ---- volumes ---- */

static json_t *items(struct render *r, bool secret, bool live)
{
    json_t *list = json_array();
    for (size_t i = 0; i < r->w->n_files; i++) {
        const struct workload_file *f = &r->w->files[i];
        if (f->secret != secret || (f->on_change != WORKLOAD_RESTART) != live)
            continue;
        autobuf struct buf key = BUF_INIT;
        for (const char *p = f->path; *p; p++)
            buf_adds(&key, *p == '/' ? "__" : (char[]){*p, 0});
        json_array_append_new(list, json_pack("{s:s, s:s}", "key", key.data, "path", f->path));
    }
    return list;
}

static void source(struct render *r, json_t *sources, bool secret, bool live, const char *name)
{
    if (name)
        json_array_append_new(sources, json_pack("{s:{s:s, s:o}}", secret ? "secret" : "configMap", "name", name,
                                                 "items", items(r, secret, live)));
}

static json_t *volumes(struct render *r)
{
    json_t *list = json_array(), *sources = json_array();
    source(r, sources, false, false, r->config_map);
    source(r, sources, true, false, r->secret);
    source(r, sources, false, true, r->config_map_live);
    source(r, sources, true, true, r->secret_live);
    if (json_array_size(sources))
        json_array_append_new(list, json_pack("{s:s, s:{s:O, s:i}}", "name", "files", "projected", "sources", sources,
                                              "defaultMode", 0440));
    json_decref(sources);
    json_array_append_new(
        list, json_pack("{s:s, s:{s:s, s:s}}", "name", "run", "emptyDir", "medium", "Memory", "sizeLimit", "16Mi"));
    json_array_append_new(list, json_pack("{s:s, s:{s:s}}", "name", "logs", "emptyDir", "sizeLimit", LOG_LIMIT));
    json_array_append_new(list, json_pack("{s:s, s:{s:s}}", "name", "tmp", "emptyDir", "sizeLimit", LOG_LIMIT));
    for (size_t i = 0; i < r->w->n_volumes; i++) {
        const char *name = r->w->volumes[i].name;
        json_array_append_new(list,
                              json_pack("{s:o, s:{s:o}}", "name", json_sprintf("volume-%s", name),
                                        "persistentVolumeClaim", "claimName", json_sprintf("%s-%s", name, r->w->name)));
    }
    return list;
}

/* ---- pod ---- */

/* Over zones first, then over nodes; a cluster that has only one of them runs all the same. */
static json_t *spread(struct render *r)
{
    static const char *const keys[] = {"topology.kubernetes.io/zone", "kubernetes.io/hostname"};
    json_t *list = json_array();
    for (size_t i = 0; i < ARRAY_SIZE(keys); i++) {
        json_t *selector = render_selector("ownhouse/role", r->role);
        if (!r->service)
            json_object_set_new(json_object_get(selector, "matchLabels"), "ownhouse/workload", json_string(r->w->name));
        json_array_append_new(list, json_pack("{s:i, s:s, s:s, s:o}", "maxSkew", 1, "topologyKey", keys[i],
                                              "whenUnsatisfiable", "ScheduleAnyway", "labelSelector", selector));
    }
    return list;
}

static json_t *pod_security(void)
{
    return json_pack("{s:b, s:i, s:i, s:i, s:s, s:{s:s}}", "runAsNonRoot", 1, "runAsUser", USER, "runAsGroup", USER,
                     "fsGroup", USER, "fsGroupChangePolicy", "OnRootMismatch", "seccompProfile", "type",
                     "RuntimeDefault");
}

static json_t *template_of(struct render *r)
{
    json_t *c = container(r);
    if (!c)
        return NULL;
    json_t *spec = json_pack("{s:[o], s:o, s:s, s:b, s:b, s:o, s:o}", "containers", c, "volumes", volumes(r),
                             "serviceAccountName", r->role, "automountServiceAccountToken", 0, "enableServiceLinks", 0,
                             "securityContext", pod_security(), "topologySpreadConstraints", spread(r));
    json_object_set_new(spec, "terminationGracePeriodSeconds",
                        json_integer(seconds(r->w->stop_grace_ms ? r->w->stop_grace_ms : WORKLOAD_STOP_GRACE_MS) +
                                     leave_seconds(r) + 5));
    if (r->p->priority_class)
        json_object_set_new(spec, "priorityClassName", json_string(r->p->priority_class));
    return json_pack("{s:{s:o}, s:o}", "metadata", "labels", render_labels(r, false), "spec", spec);
}

static int replicas(const struct render *r, bool stateful)
{
    if (r->w->stopped)
        return 0;
    if (stateful || strcmp(r->role, "ingress"))
        return 1;
    return r->p->ingress_replicas ? r->p->ingress_replicas : 2;
}

int render_pods(struct render *r)
{
    bool stateful = r->w->n_volumes > 0;
    if (!r->w->image || !*r->w->image)
        return err_set(r->err, -EINVAL, "workload %s: no image is configured for it", r->w->name);
    json_t *template = template_of(r);
    json_t *body =
        template ? render_object(r, stateful ? KUBE_STATEFUL_SET : KUBE_DEPLOYMENT, r->namespace, r->w->name, false)
                 : NULL;
    if (!body) {
        json_decref(template);
        return -EINVAL;
    }
    json_t *spec =
        json_pack("{s:i, s:o, s:o, s:i}", "replicas", replicas(r, stateful), "selector",
                  render_selector("ownhouse/workload", r->w->name), "template", template, "revisionHistoryLimit", 2);
    if (stateful) {
        json_object_set_new(spec, "serviceName", json_string(r->w->name));
        /* Parallel: a pod that never became ready does not hold up the change that mends it. */
        json_object_set_new(spec, "podManagementPolicy", json_string("Parallel"));
        json_object_set_new(spec, "updateStrategy", json_pack("{s:s}", "type", "RollingUpdate"));
    } else {
        json_object_set_new(spec, "strategy",
                            json_pack("{s:s, s:{s:i, s:i}}", "type", "RollingUpdate", "rollingUpdate", "maxUnavailable",
                                      0, "maxSurge", 1));
    }
    json_object_set_new(body, "spec", spec);
    return 0;
}
