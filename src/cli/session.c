/* Shared questions to the control plane. */
#include "cli/session.h"

#include "base/clock.h"
#include "base/mem.h"

#include <time.h>

#define POLL_MS 150
#define SILENCE_MS 120000 /* a control plane that is gone for longer does not come back by itself */

int session_open(struct cli *c, struct session *ret, struct err *err)
{
    autofree char *credentials = cli_path(c, "credentials.json"), *ca = cli_path(c, "control/keys/edge-ca.pem"),
                  *base = NULL;
    *ret = (struct session){.cli = c};
    int r = install_load(c, true, &ret->install, err);
    if (r < 0)
        return r;
    base = install_base_url(&ret->install);
    r = api_open(base, ca, credentials, &ret->api, err);
    if (r < 0)
        session_close(ret);
    return r;
}

void session_close(struct session *s)
{
    api_free(s->api);
    s->api = NULL;
    install_free(&s->install);
}

const char *session_text(const json_t *obj, const char *key)
{
    const char *text = json_string_value(json_object_get(obj, key));
    return text ? text : "";
}

int session_pick(const json_t *list, const char *what, const char *field, const char *name, const json_t **ret,
                 struct err *err)
{
    const json_t *item, *found = NULL;
    size_t i;
    json_array_foreach(list, i, item)
    {
        if (!strcmp(session_text(item, "id"), name)) {
            *ret = item;
            return 0;
        }
        if (strcmp(session_text(item, field), name))
            continue;
        if (found)
            return err_set(err, -EINVAL, "several of the name %.80s: say which by its id", name);
        found = item;
    }
    if (!found)
        return err_set(err, -ENOENT, "there is no %s %.80s", what, name);
    *ret = found;
    return 0;
}

static int pick_from(const struct session *s, const char *path, const char *what, const char *field, const char *name,
                     json_t **ret, struct err *err)
{
    autojson json_t *list = NULL;
    const json_t *item;
    int r = api_call(s->api, "GET", path, NULL, &list, err);
    if (r == 0)
        r = session_pick(list, what, field, name, &item, err);
    if (r == 0)
        *ret = json_incref((json_t *)(uintptr_t)item);
    return r;
}

int session_account(const struct session *s, const char *name, json_t **ret, struct err *err)
{
    return pick_from(s, "/accounts", "account", "name", name, ret, err);
}

int session_infrastructure(const struct session *s, const char *name, json_t **ret, struct err *err)
{
    return pick_from(s, "/infrastructures", "infrastructure", "name", name, ret, err);
}

int session_service(const struct session *s, const char *name, json_t **ret, struct err *err)
{
    return pick_from(s, "/services", "service", "name", name, ret, err);
}

static void nap(int ms)
{
    nanosleep(&(struct timespec){ms / 1000, ms % 1000 * 1000000L}, NULL);
}

/* The control plane may be restarting a role: that passes. */
static bool passes(int r)
{
    return r == -EAGAIN || r == -ECONNREFUSED || r == -EIO;
}

int session_wait(struct session *s, int timeout_ms, const char *what, session_done done, void *data, struct err *err)
{
    int64_t now = clock_mono_ms(&clock_system), deadline = now + timeout_ms, answered = now;
    for (;;) {
        struct err why = ERR_INIT;
        int r = done(s, data, &why);
        if (r > 0)
            return 0;
        now = clock_mono_ms(&clock_system);
        answered = r == 0 ? now : answered;
        bool late = now > deadline || now - answered > SILENCE_MS;
        if (r < 0 && (!passes(r) || late))
            return err_set(err, r, "%s", why.message);
        if (late)
            return err_set(err, -ETIMEDOUT,
                           "%s took longer than %d s and is still going on: look with `ownhouse status`", what,
                           timeout_ms / 1000);
        nap(POLL_MS);
    }
}

struct service_wait {
    const char *id, *state;
    json_t *last;
};

static int service_done(struct session *s, void *data, struct err *err)
{
    struct service_wait *w = data;
    autofree char *path = mem_printf("/services/%s", w->id);
    autojson json_t *service = NULL;
    int r = api_call(s->api, "GET", path, NULL, &service, err);
    if (r == -ENOENT && !strcmp(w->state, "gone"))
        return 1;
    if (r < 0)
        return r;
    const char *state = session_text(service, "state");
    ui_step_update(&s->cli->ui, "%s", state);
    json_decref(w->last);
    w->last = json_incref(service);
    if (!strcmp(state, w->state))
        return 1;
    if (!strcmp(state, "failed") && strcmp(w->state, "gone"))
        return err_set(err, -ENOTRECOVERABLE, "the service failed: see `ownhouse logs %s`",
                       session_text(service, "name"));
    return 0;
}

int session_wait_service(struct session *s, const char *id, const char *state, int timeout_ms, json_t **ret,
                         struct err *err)
{
    struct service_wait w = {.id = id, .state = state};
    autofree char *what = mem_printf("waiting for the service to be %s", state);
    int r = session_wait(s, timeout_ms, what, service_done, &w, err);
    if (r == 0 && ret)
        *ret = json_incref(w.last);
    json_decref(w.last);
    return r;
}

bool session_agent_connected(const json_t *infrastructure)
{
    const json_t *agent;
    size_t i;
    json_array_foreach(json_object_get(infrastructure, "agents"), i, agent)
    {
        if (json_is_true(json_object_get(agent, "connected")))
            return true;
    }
    return false;
}

void session_tell_isolation(struct ui *ui, const json_t *infrastructure)
{
    if (strcmp(session_text(infrastructure, "isolation"), "none"))
        return;
    ui_warn(ui, "%s", "isolation: none. There is no network namespace: other programs on this machine reach the data");
    ui_warn(ui, "%s",
            "plane's ports on loopback, and nothing limits what it may dial. Run as root for a network of its own.");
}

int session_service_port(const json_t *service)
{
    return (int)json_integer_value(json_object_get(json_object_get(service, "ownhouse"), "localPort"));
}
