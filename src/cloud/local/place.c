/* Resources that are one placement on the machine: the load balancer, the gateway, the agent. */
#include "cloud/local/internal.h"

#include "base/clock.h"
#include "base/fs.h"

#define WANTED "wanted" /* label with the attributes as JSON */
#define STEADY_MS 300

/* Start times count from boot: they name a process only together with it. */
static void boot_id(char ret[64])
{
    autofclose FILE *f = fopen("/proc/sys/kernel/random/boot_id", "re");
    if (!f || !fgets(ret, 64, f))
        ret[0] = 0;
    ret[strcspn(ret, "\n")] = 0;
}

static int status_process(const struct placement_status *s, struct proc_id *ret)
{
    char boot[64];
    boot_id(boot);
    *ret = (struct proc_id){s->pid, s->start_ticks};
    return s->pid > 0 && !strcmp(s->boot, boot) && proc_alive(ret) ? 0 : -ESRCH;
}

int local_place_process(const struct local_env *e, const char *place, struct proc_id *ret)
{
    autoarena struct arena *arena = arena_new();
    autofree char *dir = local_path(e, "machine");
    struct placement_status status;
    int r = placement_status_read(dir, place, arena, &status, NULL);
    return r < 0 ? -ESRCH : status_process(&status, ret);
}

/* Whether the process runs what the placement says. */
static bool runs(const char *dir, const struct placement *p, struct arena *arena)
{
    struct placement_status status;
    struct proc_id id;
    return placement_status_read(dir, p->workload.name, arena, &status, NULL) == 0 &&
           !strcmp(status.digest, p->digest) && status_process(&status, &id) == 0;
}

static int digest(const struct placement *p, char ret[65], struct err *err)
{
    autojson json_t *v = workload_to_json(&p->workload);
    return js_digest(v, ret, err);
}

/* The attributes that the placement was made for; nothing of them if somebody changed it. */
static json_t *wanted(const struct placement *p)
{
    char now[65];
    json_t *v = NULL;
    const char *text = workload_label(&p->workload, WANTED);
    if (text && digest(p, now, NULL) == 0 && !strcmp(now, p->digest) &&
        js_parse(text, strlen(text), KIB(64), &v, NULL) == 0 && json_is_object(v))
        return v;
    json_decref(v);
    return json_object();
}

int local_place_observe(const struct plan_call *c, const char *place, json_t **ret, struct err *err)
{
    autoarena struct arena *arena = arena_new();
    autofree char *dir = local_path(local_env_of(c), "machine");
    struct placement p = {0};
    struct proc_id id;
    *ret = NULL;
    int r = placement_read(dir, place, arena, &p, err);
    if (r < 0 && r != -ENOENT)
        return r;
    if (r < 0 || p.remove != PLACEMENT_KEEP) {
        /* No wish, or it is to go: it is absent once nothing of it runs. */
        struct local_filter f = {.infrastructure = c->infrastructure, .workload = place};
        autofree char *have = mem_printf("%s/have/%s.json", dir, place);
        autofree char *want = mem_printf("%s/want/%s.json", dir, place);
        if (fs_exists(have) || fs_exists(want) || local_sweep_count(&f))
            *ret = json_pack("{s:b}", "running", local_place_process(local_env_of(c), place, &id) == 0);
        return 0;
    }
    *ret = wanted(&p);
    json_object_set_new(*ret, "running", json_boolean(runs(dir, &p, arena)));
    return 0;
}

int local_place_put(const struct plan_call *c, struct placement *p, const json_t *want, struct err *err)
{
    autofree char *dir = local_path(local_env_of(c), "machine");
    autofree char *label = js_text(want);
    struct workload_env labels[] = {{WANTED, label}};
    p->workload.labels = labels;
    p->workload.n_labels = 1;
    p->infrastructure = c->infrastructure;
    int r = digest(p, p->digest, err);
    if (r == 0)
        r = placement_prepare(dir, err);
    if (r == 0)
        r = placement_write(dir, p, err);
    p->workload.labels = NULL;
    p->workload.n_labels = 0;
    return r;
}

int local_place_ready(const struct plan_call *c, const char *place, json_t *attributes, struct err *err)
{
    autoarena struct arena *arena = arena_new();
    autofree char *dir = local_path(local_env_of(c), "machine");
    struct placement p = {0};
    struct placement_status status = {0};
    int r = placement_read(dir, place, arena, &p, err);
    if (r < 0)
        return r;
    json_object_set_new(attributes, "running", json_true());
    r = placement_status_read(dir, place, arena, &status, NULL);
    if (r == 0 && status.state == PLACEMENT_RUNNING && runs(dir, &p, arena) &&
        clock_wall_ms(&clock_system) - status.since_ms >= STEADY_MS)
        return 1;
    err_set(err, -EAGAIN, "%s", *status.error ? status.error : "it has not started yet");
    return 0;
}

int local_place_destroy(const struct plan_call *c, const char *place, struct err *err)
{
    autofree char *dir = local_path(local_env_of(c), "machine");
    const char *const parts[][2] = {{"want", ".json"}, {"have", ".json"}, {"kept", ".json"}, {"jobs", ""}};
    struct local_filter f = {.infrastructure = c->infrastructure, .workload = place};
    struct proc_id id;
    if (!fs_exists(dir))
        return local_sweep(&f, 5000, err);
    if (local_supervisor_find(c->infrastructure, dir, &id, NULL, NULL) == 0)
        return placement_remove(dir, place, true, err);
    /* Nobody is there to do it in order. */
    int r = local_sweep(&f, 5000, err);
    for (size_t i = 0; r == 0 && i < ARRAY_SIZE(parts); i++) {
        autofree char *path = mem_printf("%s/%s/%s%s", dir, parts[i][0], place, parts[i][1]);
        r = fs_remove_tree(path, err);
    }
    return r;
}
