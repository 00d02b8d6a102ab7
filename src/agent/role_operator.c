/* The operator role: link, operator and process runtime on one loop, with as few rights as that takes. */
#include "agent/allowlist.h"
#include "agent/desk.h"
#include "agent/gate/gate.h"
#include "agent/gate_client.h"
#include "agent/ledger/client.h"
#include "agent/link/identity.h"
#include "agent/lock.h"
#include "agent/operator/operator.h"
#include "agent/operator/orders.h"
#include "agent/own_image.h"
#include "agent/place.h"
#include "agent/recorder.h"
#include "agent/releases.h"
#include "agent/role.h"
#include "agent/status.h"
#include "agent/upgrade.h"
#include "base/fs.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/proc.h"
#include "base/sandbox.h"
#include "blueprint/placement.h"
#include "version.h"

#include <malloc.h>
#include <signal.h>

#define ENROL_TIMEOUT_MS 600000
#define STATUS_EACH_MS 5000 /* what time alone changes is looked at as often */
#define STATUS_SOON_MS 100
#define LOG_TAIL KIB(256)

struct operator_role {
    struct agent_role *role;
    struct place place;
    uv_loop_t loop;
    uv_signal_t signals[2];
    uv_timer_t status_timer;
    struct runtime *runtime;
    struct operator_loop *operator;
    struct agent_link *link;
    struct recorder recorder;
    struct gate_client *gate;
    char denied[KEEPER_MAX_REQUESTS][UUID_SIZE]; /* the gate was told; the oldest gives way */
    size_t n_denied;
    char *reader; /* password of the gate's user at the engines */
    char reader_sha256[65];
    char *backup_password; /* of BLUEPRINT_OPERATOR; NULL: there is no such user here */
    char backup_sha256[65];
    char release_told[65], release_refused[65]; /* digests of what the ledger knows of the agent's own releases, and of
                                                   lists that it did not follow; "" = not read yet */
    json_t *release_last;                       /* as it is reported; NULL: nothing was done */
    struct own_image *own_image;                /* NULL: none here */
    char program[65];                           /* SHA-256 of what runs; "" where no list of releases is kept */
    struct desk *desk;
    struct allowlist allowlist;
    bool allowlist_told; /* what holds is in the ledger */
    char infrastructure[UUID_SIZE];
    json_t *gate_status;        /* as the gate said last since the lock */
    bool locked, lock_reported; /* by `ownhouse-agent lock`; the report is in the ledger */
    json_t *lock_report;
    char sandbox[64];
    bool ending;
};

/* ---- the kill switch ---- */

static void write_status_soon(struct operator_role *o);

static void on_locked(void *data)
{
    log_warn("locked: the link is closed and nothing is carried out", NULL);
    write_status_soon(data);
}

/* Recorded, then shut; what is then still open is looked for, recorded too, and sealed by a checkpoint. */
static void watch_lock(struct operator_role *o)
{
    const struct agent_config *c = &o->role->config;
    struct err err = ERR_INIT;
    uint64_t leaf = 0;
    if (lock_is_set(c) && !o->locked) {
        autojson json_t *body = json_pack("{ss}", "by", "ownhouse-agent lock");
        o->locked = true;
        if (ledger_ask_append(o->recorder.fd, "locked", body, NULL, &err) < 0)
            log_error("the lock could not be recorded", "error", err.message);
        json_decref(TAKE_PTR(o->gate_status));
        if (o->gate)
            gate_client_lock(o->gate, true);
        struct agent_link *link = TAKE_PTR(o->link);
        desk_join(o->desk, o->operator, NULL);
        if (link)
            agent_link_stop(link, on_locked, o);
        return;
    }
    if (o->locked && !o->lock_reported) {
        autojson json_t *report = lock_probe(o->gate_status, desk_refuses(o->desk));
        if (!json_is_true(json_object_get(report, "shut"))) {
            gate_client_lock(o->gate, true); /* not yet: the next look tells */
            return;
        }
        if (ledger_ask_append(o->recorder.fd, "lock-report", report, &leaf, &err) < 0 ||
            ledger_ask_checkpoint(o->recorder.fd, &err) < 0) {
            log_error("the lock's report could not be recorded", "error", err.message);
            return;
        }
        json_object_set_new(report, "leaf", json_integer((json_int_t)leaf));
        o->lock_report = json_incref(report);
        o->lock_reported = true;
    }
    if (o->locked && lock_may_open(c, keeper_policy(desk_keeper(o->desk)), o->infrastructure)) {
        autojson json_t *body = json_pack("{ss}", "by", "the policy's quorum");
        if (ledger_ask_append(o->recorder.fd, "unlocked", body, NULL, &err) < 0 || lock_remove(c, &err) < 0) {
            log_error("the lock could not be opened", "error", err.message);
        } else {
            gate_client_lock(o->gate, false);
            raise(SIGTERM); /* the parent starts us again, with a link */
        }
    }
}

/* ---- what may leave ---- */

/* What is narrower holds at once; the ledger says since when. */
static bool watch_allowlist(struct operator_role *o)
{
    struct err err = ERR_INIT;
    bool first = !o->allowlist.loaded, changed = allowlist_look(&o->allowlist, &o->role->config);
    if (changed && o->allowlist.trouble[0])
        log_error("nothing leaves but what is needed: the list of what may cannot be used", "error",
                  o->allowlist.trouble);
    if (changed)
        o->allowlist_told = first && !o->allowlist.digest[0] && !o->allowlist.trouble[0];
    if (o->allowlist_told)
        return changed;
    autojson json_t *body = allowlist_describe(&o->allowlist);
    if (ledger_ask_append(o->recorder.fd, "telemetry", body, NULL, &err) < 0)
        log_error("the list of what may leave could not be recorded", "error", err.message);
    else
        o->allowlist_told = true;
    return changed;
}

static int narrow(const json_t *message, json_t **ret, void *data, struct err *err)
{
    struct operator_role *o = data;
    (void)watch_allowlist(o);
    return telemetry_narrow(o->allowlist.now, message, ret, err);
}

static void on_link_certificate(const struct tls_cert *cert, void *data)
{
    struct operator_role *o = data;
    struct err err = ERR_INIT;
    if (recorder_certificate(&o->recorder, "link", cert, &err) < 0)
        log_error("the link's new certificate could not be recorded", "error", err.message);
}

static void on_service_certificate(const char *pem, void *data)
{
    struct operator_role *o = data;
    struct err err = ERR_INIT;
    autocert struct tls_cert *cert = NULL;
    int r = tls_cert_parse(pem, strlen(pem), &cert, &err);
    if (r == 0)
        r = recorder_certificate(&o->recorder, "services", cert, &err);
    if (r < 0)
        log_error("the services' new certificate could not be recorded", "error", err.message);
}

/* ---- the agent's own releases ---- */

/* Recorded once, whoever of us finds it first: `told` is the digest of what was recorded last, kept in the file. */
static bool record_release(struct operator_role *o, const json_t *what, const char *file, char told[65])
{
    autofree char *path = agent_path(&o->role->config, file), *text = NULL;
    struct err err = ERR_INIT;
    char digest[65];
    size_t len = 0;
    if (!json_is_object(what) || js_digest(what, digest, NULL) < 0)
        return false;
    if (!*told && fs_read(path, 64, &text, &len, NULL) == 0)
        snprintf(told, 65, "%s", text);
    if (!strcmp(told, digest))
        return false;
    int r = ledger_ask_append(o->recorder.fd, "release", what, NULL, &err);
    if (r == 0)
        r = fs_write_atomic(path, digest, strlen(digest), 0600, &err);
    if (r < 0) {
        log_error("what came of a release could not be recorded", "error", err.message);
        return false;
    }
    memcpy(told, digest, sizeof(digest));
    return true;
}

/* What kubectl describe shows of the agent's own StatefulSet. */
static void say_release(struct operator_role *o, const json_t *what)
{
    const char *result = js_text_at(what, "result"), *image = js_text_at(what, "image"), *why = js_text_at(what, "why");
    bool taken = !strcmp(result, "taken"), back = !strcmp(result, "rolled-back");
    autofree char *note = mem_printf("%s%s%s", image, *image && *why ? ": " : "", why);
    o->runtime->ops->note(o->runtime, o->role->config.own_workload, !taken,
                          taken  ? "Upgraded"
                          : back ? "RolledBack"
                                 : "NotUpgraded",
                          note);
    log_write(taken ? LOG_LEVEL_INFO : LOG_LEVEL_ERROR, "release of the agent", "result", result, "image", image, "why",
              why, NULL);
}

static void report_release(struct operator_role *o, const json_t *last)
{
    const char *image = js_text_at(last, "image");
    json_t *v = json_is_object(last) ? json_pack("{ss ss ss ss}", "result", js_text_at(last, "result"), "what",
                                                 *image ? image : js_text_at(last, "program"), "why",
                                                 js_text_at(last, "why"), "at", js_text_at(last, "at"))
                                     : NULL;
    json_decref(o->release_last);
    o->release_last = v;
}

static json_t *reported_release(void *data)
{
    return ((struct operator_role *)data)->release_last;
}

/* What was done to our program, by the parent or in the cluster. New reference, NULL: nothing was done. */
static json_t *watch_release(struct operator_role *o)
{
    if (!o->own_image) {
        json_t *v = upgrade_told(&o->role->config);
        (void)record_release(o, json_object_get(v, "last"), "state/release.told", o->release_told);
        report_release(o, json_object_get(v, "last"));
        return v;
    }
    autojson json_t *observed = operator_observed(o->operator),
                    *link = o->link ? agent_link_status_json(o->link) : NULL;
    own_image_look(o->own_image, o->runtime,
                   observed && operator_passed(o->operator) && json_is_true(json_object_get(link, "connected")));
    json_t *v = own_image_told(o->own_image, o->runtime);
    const json_t *last = json_object_get(v, "last"), *refused = json_object_get(v, "refused");
    if (record_release(o, last, "state/release.told", o->release_told))
        say_release(o, last);
    if (record_release(o, refused, "state/release.refused", o->release_refused))
        say_release(o, refused);
    report_release(o, refused ? refused : last);
    return v;
}

/* ---- status file ---- */

static json_t *cluster_status(struct operator_role *o)
{
    struct kube_state s;
    runtime_kubernetes_state(o->runtime, &s);
    return json_pack("{s:b, s:b, s:s, s:s, s:s, s:s, s:I, s:I, s:I, s:I}", "leading", s.leading, "read", s.synced,
                     "leader", s.leader, "loadBalancer", s.balancer, "privateLoadBalancer", s.private_balancer,
                     "trouble", s.trouble, "objects", (json_int_t)s.facts, "requests", (json_int_t)s.counts.requests,
                     "watches", (json_int_t)s.counts.watches, "retried", (json_int_t)s.counts.retried);
}

static void write_status(uv_timer_t *t)
{
    struct operator_role *o = t->data;
    struct err err = ERR_INIT;
    autojson json_t *status = json_object(), *ledger = NULL;
    struct proc_id self;
    if (o->ending)
        return;
    watch_lock(o);
    if (watch_allowlist(o) && o->link)
        agent_link_notify(o->link);
    if (!o->locked)
        desk_work(o->desk);
    if (o->lock_report)
        json_object_set(status, "lock", o->lock_report);
    json_object_set_new(status, "version", json_string(OWNHOUSE_VERSION));
    if (proc_identify(getpid(), &self) == 0)
        json_object_set_new(status, "process",
                            json_pack("[iI]", (int)self.pid, (json_int_t)self.start_ticks)); /* whose word this is */
    json_object_set_new(status, "sandbox", json_string(o->sandbox));
    if (o->link)
        json_object_set_new(status, "link", agent_link_status_json(o->link));
    json_object_set_new(status, "desiredVersion", json_integer(operator_desired_version(o->operator)));
    json_object_set_new(status, "passMicroseconds", json_integer((json_int_t)operator_pass_us(o->operator)));
    if (!strcmp(o->role->config.runtime, "kubernetes"))
        json_object_set_new(status, "cluster", cluster_status(o));
    json_object_set_new(status, "consent", desk_status(o->desk));
    json_object_set_new(status, "operations", orders_describe(operator_orders(o->operator)));
    json_object_set_new(status, "telemetry", allowlist_describe(&o->allowlist));
    json_object_set_new(status, "gateJudge",
                        json_string(o->place.env.engine == BLUEPRINT_SERVER
                                        ? "statements are judged by the gate's list and the server's own rights"
                                        : "statements are judged by the gate's list alone: the embedded engine has no "
                                          "rights of its own for the gate"));
    autojson json_t *release = watch_release(o);
    if (release)
        json_object_set(status, "release", release);
    if (ledger_ask_status(o->recorder.fd, &ledger, NULL) == 0)
        json_object_set(status, "ledger", ledger);
    json_t *observed = operator_observed(o->operator);
    if (observed)
        json_object_set_new(status, "observed", observed);
    if (status_write(&o->role->config, status, &err) < 0)
        log_warn("the status file cannot be written", "error", err.message);
    uv_timer_start(t, write_status, STATUS_EACH_MS, 0);
    malloc_trim(0);
}

static void write_status_soon(struct operator_role *o)
{
    if (o->operator&& !o->ending)
        uv_timer_start(&o->status_timer, write_status, STATUS_SOON_MS, 0);
}

/* ---- between link and operator ---- */

static void on_observed(const json_t *observed OH_UNUSED, void *data)
{
    struct operator_role *o = data;
    if (o->link)
        agent_link_notify(o->link);
    gate_client_changed(o->gate);
    write_status_soon(o);
}

static void on_operator_event(bool error, const char *message, void *data OH_UNUSED)
{
    log_write(error ? LOG_LEVEL_WARN : LOG_LEVEL_INFO, message, "part", "operator", NULL);
}

static void on_link_event(bool error, const char *message, void *data)
{
    log_write(error ? LOG_LEVEL_WARN : LOG_LEVEL_INFO, message, "part", "link", NULL);
    write_status_soon(data);
}

static int64_t desired_version(void *data)
{
    return operator_desired_version(((struct operator_role *)data)->operator);
}

static int may_accept(int64_t version, const char *document, size_t len, void *data, struct err *err)
{
    return desk_may_accept(((struct operator_role *)data)->desk, version, document, len, err);
}

static int on_desired(int64_t version, const char *document, size_t len, const char *signature_hex, void *data,
                      struct err *err)
{
    struct operator_role *o = data;
    char text[24];
    struct err own = ERR_INIT;
    int r = operator_offer_desired(o->operator, version, document, len, signature_hex, err);
    snprintf(text, sizeof(text), "%lld", (long long)version);
    if (r == 0) {
        log_info("desired document accepted", "version", text);
        return 0;
    }
    log_warn("desired document refused", "version", text, "error", err ? err->message : "");
    desk_not_taken(o->desk, version, document, len, signature_hex, err ? err : &own);
    return r;
}

static int record(const char *type, const char *text, size_t len, const char *destination, void *data, struct err *err)
{
    struct operator_role *o = data;
    return recorder_egress(&o->recorder, type, text, len, destination, err);
}

/* A denial ends a grant that is open already, too; the gate sees only what a device shows it. */
static void end_denied(struct operator_role *o)
{
    static char ids[KEEPER_MAX_REQUESTS][UUID_SIZE]; /* one thread */
    size_t n = keeper_open_requests(desk_keeper(o->desk), ids, KEEPER_MAX_REQUESTS);
    for (size_t i = 0; i < n; i++) {
        autorequest struct consent_request q = {0};
        struct consent_verdict v;
        bool known = false;
        for (size_t k = 0; k < MIN(o->n_denied, (size_t)KEEPER_MAX_REQUESTS); k++)
            known |= !strcmp(o->denied[k], ids[i]);
        if (known || keeper_check(desk_keeper(o->desk), ids[i], NULL, &q, &v, NULL) < 0 || v.state != CONSENT_REFUSED ||
            q.not_after_ms <= clock_wall_ms(&clock_system) || strncmp(q.operations[0]->name, "access.", 7))
            continue;
        memcpy(o->denied[o->n_denied++ % KEEPER_MAX_REQUESTS], ids[i], UUID_SIZE);
        gate_client_revoke(o->gate, ids[i], v.why);
    }
}

static void on_message(const char *type, const json_t *message, void *data)
{
    struct operator_role *o = data;
    if (!strcmp(type, "consent")) {
        desk_message(o->desk, message);
        end_denied(o);
    }
    if (!strcmp(type, "cosigned"))
        desk_cosigned(o->desk, message);
    if (!strcmp(type, "activities"))
        desk_activities(o->desk, message);
    write_status_soon(o);
}

static void on_open(void *data)
{
    desk_say(((struct operator_role *)data)->desk, true);
}

static json_t *observe(void *data)
{
    return operator_observed(((struct operator_role *)data)->operator);
}

/* ---- between gate and the rest ---- */

static const char *label(const struct runtime_status *s, const char *name)
{
    for (size_t i = 0; i < s->n_labels; i++)
        if (!strcmp(s->labels[i].name, name))
            return s->labels[i].value;
    return "";
}

/* Where the gate finds its targets; the engines' reader has no right on a customer's table where the engine knows
 * rights. */
static json_t *places(void *data)
{
    struct operator_role *o = data;
    struct runtime_status_list list = {0};
    json_t *workloads = json_array();
    if (o->runtime->ops->observe(o->runtime, &list, NULL) == 0)
        for (size_t i = 0; i < list.n; i++) {
            const struct runtime_status *s = &list.items[i];
            bool runs = s->state == RUNTIME_RUNNING || s->state == RUNTIME_UNREADY;
            json_array_append_new(workloads,
                                  json_pack("{ss ss ss ss ss ss ss si sI}", "name", s->name, "state",
                                            runtime_state_names[s->state], "address",
                                            runs && s->address ? s->address : "", "role", label(s, BLUEPRINT_ROLE),
                                            "service", label(s, BLUEPRINT_SERVICE), "slug", label(s, "slug"), "error",
                                            s->error, "restarts", s->restarts, "sinceMs", (json_int_t)s->since_ms));
        }
    runtime_status_list_free(&list);
    return json_pack("{ss sb ss so}", "type", "places", "server", (int)(o->place.env.engine == BLUEPRINT_SERVER),
                     "reader", o->reader, "workloads", workloads);
}

static void on_grant_ended(const char *grant, void *data)
{
    struct operator_role *o = data;
    if (o->link)
        agent_link_cut(o->link, grant);
}

static void on_revoke(const char *grant, void *data)
{
    gate_client_revoke(((struct operator_role *)data)->gate, grant, "it was revoked at the control plane");
}

/* The tail of the workload's own output. Where workloads do not run as processes of this machine, there is none here.
 */
static char *read_log(const char *workload, int64_t lines, void *data)
{
    struct operator_role *o = data;
    autofree char *path = mem_printf("%s/jobs/%s/logs/output.log", o->place.runtime.dir, workload);
    autoclose int fd = placement_name_valid(workload) ? open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW) : -1;
    off_t size = fd < 0 ? -1 : lseek(fd, 0, SEEK_END), from = MAX(size - (off_t)LOG_TAIL, 0);
    if (size < 0)
        return NULL;
    autofree char *text = mem_alloc((size_t)(size - from) + 1);
    ssize_t n = pread(fd, text, (size_t)(size - from), from);
    char *at = text + (n > 0 ? n : 0);
    for (int64_t seen = 0; at > text; at--)
        if (at[-1] == '\n' && seen++ == lines)
            break;
    return mem_strdup(at);
}

/* Made once. */
static int load_password(const struct operator_role *o, const char *name, char **ret, char sha256_of[65],
                         struct err *err)
{
    autofree char *path = mem_printf("%s/%s", o->place.state_dir, name);
    unsigned char raw[24];
    size_t len = 0;
    int r = fs_read_secret(path, KIB(1), ret, &len, err);
    if (r == -ENOENT) {
        *ret = mem_alloc(2 * sizeof(raw) + 1);
        random_bytes(raw, sizeof(raw));
        hex_encode(raw, sizeof(raw), *ret);
        mem_wipe(raw, sizeof(raw));
        r = fs_mkdirs(o->place.state_dir, 0700, err);
        if (r == 0)
            r = fs_write_atomic(path, *ret, strlen(*ret), 0600, err);
    }
    if (r == 0)
        sha256_hex(*ret, strlen(*ret), sha256_of);
    return r;
}

/* The engines know their hashes (blueprint/clickhouse.c); the gate is told the reader's over its socket. */
static int load_passwords(struct operator_role *o, struct err *err)
{
    int r = load_password(o, "gate-reader", &o->reader, o->reader_sha256, err);
    if (r < 0)
        return r;
    o->place.env.reader_sha256 = o->reader_sha256;
    if (!backup_place_is(&o->place.backup) && strcmp(o->role->config.runtime, "kubernetes"))
        return 0;
    r = load_password(o, "operator.secret", &o->backup_password, o->backup_sha256, err);
    if (r == 0)
        o->place.env.operator_sha256 = o->backup_sha256;
    o->place.env.operator_only_looks = !backup_place_is(&o->place.backup);
    return r;
}

/* Where clients reach the ingress: as configured, else as the cluster's load balancer says. */
static const char *ingress_targets(void *data)
{
    static struct kube_state s; /* one thread */
    struct operator_role *o = data;
    const struct agent_config *c = &o->role->config;
    if (*c->dns_target || *c->client_address || strcmp(c->runtime, "kubernetes"))
        return *c->dns_target ? c->dns_target : c->client_address;
    runtime_kubernetes_state(o->runtime, &s);
    return s.balancer;
}

static bool is_locked(void *data)
{
    return lock_is_set(&((struct operator_role *)data)->role->config);
}

static void on_gate_status(const json_t *status, void *data)
{
    struct operator_role *o = data;
    json_decref(o->gate_status);
    o->gate_status = json_incref((json_t *)(uintptr_t)status);
    if (o->locked && !o->lock_reported)
        write_status_soon(o);
}

static void start_gate_client(struct operator_role *o)
{
    autofree char *socket = agent_path(&o->role->config, GATE_CONTROL_SOCKET);
    struct gate_client_config config = {.loop = &o->loop,
                                        .socket = socket,
                                        .places = places,
                                        .ended = on_grant_ended,
                                        .log = read_log,
                                        .locked = is_locked,
                                        .status = on_gate_status,
                                        .data = o};
    o->gate = gate_client_new(&config);
}

/* ---- beginning and end ---- */

static void on_link_stopped(void *data)
{
    struct operator_role *o = data;
    operator_stop(o->operator, NULL, NULL);
    gate_client_free(TAKE_PTR(o->gate));
    for (size_t i = 0; i < ARRAY_SIZE(o->signals); i++)
        uv_close((uv_handle_t *)&o->signals[i], NULL);
    uv_close((uv_handle_t *)&o->status_timer, NULL);
}

static void on_signal(uv_signal_t *handle, int number OH_UNUSED)
{
    struct operator_role *o = handle->data;
    if (o->ending)
        return;
    o->ending = true;
    if (o->link)
        agent_link_stop(o->link, on_link_stopped, o);
    else
        on_link_stopped(o);
}

/* From here on: its folders to write, the customer's files to read (these very files: their folder may hold the
 * customer's own keys), sockets outwards. */
static int confine(struct operator_role *o, struct err *err)
{
    const struct agent_config *c = &o->role->config;
    struct sandbox_report report = {0};
    /* Not the ledger's folder: its key and its leaves are its own role's. */
    autofree char *runtime = agent_path(c, "runtime"), *run = agent_path(c, "run"), *consent = agent_path(c, "consent"),
                  *policy = agent_path(c, "policy"), *wanted = agent_path(c, "wanted"), *names = agent_path(c, "names");
    const char *read[16],
        *write[] = {
            o->place.link_dir, o->place.state_dir, runtime, run, consent, policy, wanted, o->place.backup.dir, NULL};
    char folder[4096], lists[4096];
    size_t n = 0;
    if (agent_config_names(c))
        read[n++] = names;
    const char *files[] = {o->role->config_path, c->bundle,   c->token_file,
                           c->proxy_credentials, c->releases, c->backup_s3_keys};
    for (size_t i = 0; i < ARRAY_SIZE(files); i++)
        if (*files[i] == '/')
            read[n++] = files[i];
    if (!strcmp(c->runtime, "kubernetes")) {
        /* The file's own folder: tokens and authorities that it names lie there, and are swapped there. */
        char *slash = strrchr(strcpy(folder, *c->kubeconfig ? c->kubeconfig : KUBE_ACCOUNT_DIR "/"), '/');
        slash[slash == folder] = '\0';
        read[n++] = folder;
        /* The list of releases comes anew in a Secret's folder, where the kubelet swaps it. */
        slash = strrchr(strcpy(lists, *c->own_workload && *c->releases ? c->releases : "/nonexistent/"), '/');
        *slash = '\0';
        read[n++] = lists;
        read[n++] = "/var/run/secrets"; /* identities that the cloud mounts */
    }
    read[n] = NULL;
    /* Threads: the resolver's. */
    int r = o->place.backup.dir ? fs_mkdirs(o->place.backup.dir, 0700, err) : 0;
    if (r < 0)
        return r;
    r = sandbox_apply(&(struct sandbox_rules){read, write, SANDBOX_INET | SANDBOX_THREADS}, &report, err);
    sandbox_describe(&report, o->sandbox);
    return r;
}

static int open_desk(struct operator_role *o, const struct bundle *bundle, const struct identity *id, const char *dir,
                     const char *kept, struct err *err)
{
    autofree char *policy = agent_path(&o->role->config, "policy/policy.json");
    struct desk_config config = {
        .dir = dir,
        .policy_path = policy,
        .kept_path = kept,
        .infrastructure = id->infrastructure,
        .bundle = bundle,
        .recorder = &o->recorder,
        .clock = &clock_system,
        .locked = is_locked,
        .on_event = on_operator_event,
        .data = o,
    };
    memcpy(o->infrastructure, id->infrastructure, UUID_SIZE);
    int r = desk_open(&config, &o->desk, err);
    if (r == 0)
        r = recorder_begin(&o->recorder, bundle, id, keeper_policy(desk_keeper(o->desk))->digest, err);
    return r;
}

static int start_operator(struct operator_role *o, struct err *err)
{
    const struct agent_config *c = &o->role->config;
    struct bundle *bundle = NULL;
    struct identity id = {0};
    autofree char *consent = agent_path(c, "consent"), *kept = mem_printf("%s/desired.json", o->place.state_dir),
                  *wanted = agent_path(c, "wanted"), *names = agent_path(c, "names");
    int r;
    if ((r = identity_load(o->place.link_dir, &id, err)) < 0)
        return r;
    if ((r = load_passwords(o, err)) < 0) {
        identity_free(&id);
        return r;
    }
    struct operator_config config = {
        .loop = &o->loop,
        .state_dir = o->place.state_dir,
        .infrastructure = id.infrastructure,
        .isolation = c->isolation,
        .program_version = OWNHOUSE_VERSION,
        .clock = &clock_system,
        .env = o->place.env,
        .extra_ip = o->place.extra_ip,
        .files_take_ms = strcmp(c->runtime, "kubernetes") ? 0 : KUBE_FILES_TAKE_MS,
        .wanted_dir = agent_config_names(c) ? wanted : NULL,
        .names_dir = agent_config_names(c) ? names : NULL,
        .acme = *c->acme_directory != '\0',
        .ingress_targets = ingress_targets,
        .look_password = strcmp(c->runtime, "kubernetes") ? NULL : o->backup_password,
        .backup_place = o->place.backup,
        .backup_password = o->backup_password,
        .may_accept = may_accept,
        .locked = is_locked,
        .on_observed = on_observed,
        .release = reported_release,
        .on_certificate = on_service_certificate,
        .on_event = on_operator_event,
        .data = o,
    };
    if ((r = identity_bundle(o->place.link_dir, &bundle, err)) == 0 &&
        (r = releases_check(bundle, c, o->program, o->place.state_dir, err)) == 0)
        r = open_desk(o, bundle, &id, consent, kept, err);
    if (r == 0 && (r = place_runtime(&o->place, c, id.infrastructure, &o->runtime, err)) == 0) {
        memcpy(config.desired_key, bundle->desired_key, sizeof(config.desired_key));
        config.runtime = o->runtime;
        config.env.replication_key = o->place.env.replication_key;
        r = operator_new(&config, &o->operator, err);
    }
    bundle_free(bundle);
    identity_free(&id);
    return r;
}

static int start_link(struct operator_role *o, struct err *err)
{
    autofree char *gate_socket = agent_path(&o->role->config, GATE_SESSIONS_SOCKET);
    struct agent_link_config config = {
        .loop = &o->loop,
        .dir = o->place.link_dir,
        .proxy = o->place.proxy,
        .version = OWNHOUSE_VERSION,
        .clock = &clock_system,
        .desired_version = desired_version,
        .on_desired = on_desired,
        .observe = observe,
        .narrow = narrow,
        .on_certificate = on_link_certificate,
        .record = record,
        .on_revoke = on_revoke,
        .gate_socket = gate_socket,
        .on_message = on_message,
        .on_open = on_open,
        .on_event = on_link_event,
        .data = o,
    };
    int r = agent_link_start(&config, &o->link, err);
    desk_join(o->desk, o->operator, o->link);
    return r;
}

static void open_loop(struct operator_role *o)
{
    static const int numbers[] = {SIGTERM, SIGINT};
    uv_loop_init(&o->loop);
    uv_timer_init(&o->loop, &o->status_timer);
    o->status_timer.data = o;
    for (size_t i = 0; i < ARRAY_SIZE(numbers); i++) {
        uv_signal_init(&o->loop, &o->signals[i]);
        o->signals[i].data = o;
        uv_signal_start(&o->signals[i], on_signal, numbers[i]);
    }
}

static int start(struct operator_role *o, struct err *err)
{
    char fingerprint[65];
    int r;
    if (*o->role->config.releases && (r = releases_program(o->program, err)) < 0)
        return r;
    if ((r = confine(o, err)) < 0 ||
        (r = place_enrol(&o->place, &o->role->config, ENROL_TIMEOUT_MS, fingerprint, err)) < 0)
        return r;
    log_info("operator starts", "sandbox", o->sandbox, "bundle", fingerprint);
    open_loop(o);
    if ((r = start_operator(o, err)) < 0)
        return r;
    o->own_image = own_image_new(&o->role->config);
    /* Locked before this start: there is no link to close. */
    if (!lock_is_set(&o->role->config) && (r = start_link(o, err)) < 0)
        return r;
    desk_join(o->desk, o->operator, o->link);
    operator_start(o->operator);
    start_gate_client(o);
    write_status_soon(o);
    return 0;
}

int role_operator_main(struct agent_role *r)
{
    struct operator_role o = {.role = r, .recorder.fd = r->ledger};
    struct err err = ERR_INIT;
    autofree char *self = place_self();
    /* Passes come and go in bursts: give their memory back instead of keeping it for the next. */
    mallopt(M_TRIM_THRESHOLD, (int)KIB(64));
    mallopt(M_MMAP_THRESHOLD, (int)KIB(64));
    /* One heap for all threads: each would keep what its own bursts took. */
    mallopt(M_ARENA_MAX, 1);
    place_init(&o.place, &r->config, self ? self : "/");
    int result = start(&o, &err);
    /* After a failure the process ends with whatever handles it has, and the parent tries again. */
    if (result < 0) {
        log_error("the operator cannot run", "error", err.message);
    } else {
        uv_run(&o.loop, UV_RUN_DEFAULT);
        uv_loop_close(&o.loop);
    }
    desk_free(o.desk);
    own_image_free(o.own_image);
    allowlist_free(&o.allowlist);
    json_decref(o.lock_report);
    json_decref(o.release_last);
    json_decref(o.gate_status);
    if (o.runtime)
        o.runtime->ops->free(o.runtime);
    if (o.reader)
        mem_wipe(o.reader, strlen(o.reader));
    free(o.reader);
    if (o.backup_password)
        mem_wipe(o.backup_password, strlen(o.backup_password));
    free(o.backup_password);
    place_free(&o.place);
    return result < 0;
}
