/* The `status` command and the file behind it. */
#include "agent/status.h"

#include "agent/parent.h"
#include "base/clock.h"
#include "base/fs.h"
#include "base/mem.h"
#include "base/proc.h"
#include "blueprint/placement.h"
#include "runtime/process/supervise.h"

#define STATUS_MAX MIB(2)

int status_write(const struct agent_config *c, const json_t *status, struct err *err)
{
    autofree char *path = agent_path(c, "run/status.json"), *tmp = mem_printf("%s.tmp", path), *text = js_text(status);
    autoclose int fd = open(tmp, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0600);
    size_t len = strlen(text);
    if (fd < 0 || write(fd, text, len) != (ssize_t)len || rename(tmp, path) < 0)
        return err_set_errno(err, -errno, "cannot write %s", path);
    return 0;
}

static json_t *read_status(const struct agent_config *c)
{
    autofree char *path = agent_path(c, "run/status.json"), *text = NULL;
    size_t len = 0;
    json_t *v = NULL;
    if (fs_read(path, STATUS_MAX, &text, &len, NULL) < 0 || js_parse(text, len, STATUS_MAX, &v, NULL) < 0)
        return json_object();
    return v;
}

static json_t *describe(const char *dir, const char *name, struct arena *a)
{
    struct placement_status s;
    struct placement p;
    char since[CLOCK_ISO_SIZE] = "";
    if (placement_status_read(dir, name, a, &s, NULL) < 0) {
        bool removed = placement_read(dir, name, a, &p, NULL) == 0 && p.remove;
        return json_pack("{s:s,s:s,s:s,s:i}", "name", name, "state", removed ? "stopping" : "starting", "error", "",
                         "restarts", 0);
    }
    clock_iso(s.since_ms, since);
    return json_pack("{s:s,s:s,s:s,s:i,s:i,s:s,s:s}", "name", name, "state", placement_state_names[s.state], "error",
                     s.error, "restarts", s.restarts, "pid", (int)s.pid, "since", since, "address", s.address);
}

static json_t *workloads(const char *dir)
{
    autoarena struct arena *a = arena_new();
    json_t *list = json_array();
    static const char *const parts[] = {"have", "want"};
    for (size_t k = 0; k < ARRAY_SIZE(parts); k++) {
        const char **names;
        size_t n;
        if (placement_names(dir, parts[k], a, &names, &n, NULL) < 0)
            continue;
        for (size_t i = 0; i < n; i++) {
            autofree char *have = mem_printf("%s/have/%s.json", dir, names[i]);
            if (k == 0 || !fs_exists(have))
                json_array_append_new(list, describe(dir, names[i], a));
        }
    }
    return list;
}

static void print_link(const json_t *link)
{
    if (!json_is_object(link)) {
        puts("link        not known");
        return;
    }
    printf("link        %s %s\n",
           json_is_true(json_object_get(link, "connected")) ? "connected to" : "not connected to",
           js_text_at(link, "control"));
    if (*js_text_at(link, "error"))
        printf("            %s\n", js_text_at(link, "error"));
    if (*js_text_at(link, "notice"))
        printf("            %s\n", js_text_at(link, "notice"));
}

static void print_release(const json_t *release)
{
    static const char *const outcomes[] = {"last", "refused"};
    const char *what = json_object_get(release, "image") ? "image" : "program"; /* in a cluster, or as processes */
    if (*js_text_at(release, what))
        printf("release     %s\n", js_text_at(release, what));
    if (*js_text_at(release, "trying"))
        printf("            %s: is being tried\n", js_text_at(release, "trying"));
    for (size_t i = 0; i < ARRAY_SIZE(outcomes); i++) {
        const json_t *o = json_object_get(release, outcomes[i]);
        const char *which = js_text_at(o, what);
        if (json_is_object(o) && strcmp(js_text_at(o, "result"), "taken"))
            printf("            %s: %s %s\n", *which ? which : "the list", js_text_at(o, "result"),
                   js_text_at(o, "why"));
    }
    if (*js_text_at(release, "trouble"))
        printf("            %s\n", js_text_at(release, "trouble"));
}

static void print_text(const json_t *o)
{
    const json_t *list = json_object_get(o, "workloads"), *v;
    size_t i;
    printf("agent       %s\n", json_is_true(json_object_get(o, "running")) ? "running" : "not running");
    printf("supervisor  %s\n", json_is_true(json_object_get(o, "supervised")) ? "running" : "not running");
    printf("isolation   %s", js_text_at(o, "isolation"));
    printf(*js_text_at(o, "isolationMissing") ? ": %s\n" : "\n", js_text_at(o, "isolationMissing"));
    if (*js_text_at(o, "sandbox"))
        printf("sandbox     %s (operator)\n", js_text_at(o, "sandbox"));
    print_release(json_object_get(o, "release"));
    print_link(json_object_get(o, "link"));
    if (*js_text_at(o, "gateJudge"))
        printf("gate        %s\n", js_text_at(o, "gateJudge"));
    json_array_foreach(list, i, v)
    {
        printf("%-12s%-45s %s", i ? "" : "workloads", js_text_at(v, "name"), js_text_at(v, "state"));
        json_int_t restarts = json_integer_value(json_object_get(v, "restarts"));
        if (restarts)
            printf(", started again %lld times", (long long)restarts);
        printf(*js_text_at(v, "error") ? ": %s\n" : "\n", js_text_at(v, "error"));
    }
}

int status_print(const struct agent_config *c, bool as_json)
{
    autofree char *dir = agent_path(c, "runtime");
    bool running = parent_alive(c), supervised = supervise_alive(dir);
    /* What a dead operator wrote last is not what is. */
    autojson json_t *o = running ? read_status(c) : json_object();
    json_object_set_new(o, "running", json_boolean(running));
    json_object_set_new(o, "supervised", json_boolean(supervised));
    json_object_set_new(o, "isolation", json_string(c->isolation));
    json_object_set_new(o, "isolationMissing", json_string(c->isolation_missing));
    json_object_set_new(o, "workloads", workloads(dir));
    if (as_json) {
        autofree char *text = js_text(o);
        puts(text);
    } else {
        print_text(o);
    }
    return running ? 0 : 3;
}

/* For probes: one line that says what is missing. */
int status_linked(const struct agent_config *c)
{
    if (!parent_alive(c)) {
        puts("the agent does not run");
        return 3;
    }
    autojson json_t *o = read_status(c);
    const json_t *link = json_object_get(o, "link"), *process = json_object_get(o, "process");
    /* An operator that ended, or never came so far, left another's words. */
    struct proc_id writer = {.pid = (pid_t)json_integer_value(json_array_get(process, 0)),
                             .start_ticks = (unsigned long long)json_integer_value(json_array_get(process, 1))};
    bool current = writer.pid > 0 && proc_alive(&writer);
    bool connected = current && json_is_true(json_object_get(link, "connected"));
    if (connected)
        printf("linked to %s\n", js_text_at(link, "control"));
    else if (!current || !json_is_object(link))
        puts("not linked: the operator has not come that far; the log says why");
    else
        printf("not linked to %s: %s\n", js_text_at(link, "control"), js_text_at(link, "error"));
    return connected ? 0 : 3;
}
