/* Reads, shows and signs requests and plans on the device of the person who decides. */
#include "cli/papers.h"

#include "base/clock.h"
#include "base/fs.h"
#include "base/mem.h"
#include "cli/plans.h"

#define APPROVAL_HOURS 12
#define HOUR_MS 3600000LL

static void take_seen(const json_t *approvals, struct papers *p)
{
    const json_t *one;
    size_t i;
    json_array_foreach(approvals, i, one)
    {
        if (p->n_seen < APPROVAL_MAX_SEEN && approval_from_json(one, &p->seen[p->n_seen], NULL) == 0)
            p->n_seen++;
    }
}

static int copy_id(const char *name, const char *text, char ret[UUID_SIZE], struct err *err)
{
    if (!uuid_valid(text))
        return err_set(err, -EINVAL, "%s: must be a UUID", name);
    memcpy(ret, text, UUID_SIZE);
    return 0;
}

static int take_plan(json_t *plan, struct papers *p, struct err *err)
{
    const json_t *document = json_object_get(plan, "document");
    if (strcmp(session_text(document, "type"), "ownhouse/plan"))
        return err_set(err, -EINVAL, "plan.document: is not the document of a plan");
    int r = copy_id("plan.id", session_text(plan, "id"), p->request.id, err);
    if (r == 0)
        r = copy_id("plan.document.infrastructure", session_text(document, "infrastructure"), p->request.infrastructure,
                    err);
    if (r == 0)
        r = js_digest(document, p->request.digest, err);
    if (r < 0)
        return r;
    json_object_set_new(plan, "digest", json_string(p->request.digest));
    json_object_set(plan, "kind", json_object_get(document, "kind"));
    p->plan = plan;
    return 0;
}

int papers_fetch(const struct session *s, const char *id, struct papers *ret, struct err *err)
{
    struct papers p = {0};
    struct err first = ERR_INIT;
    autofree char *request = mem_printf("/requests/%s", id), *plan = mem_printf("/plans/%s", id);
    if (!uuid_valid(id))
        return err_set(err, -EINVAL, "%.60s is not the id of a request or a plan: `ownhouse requests` lists requests",
                       id);
    int r = api_call(s->api, "GET", request, NULL, &p.source, &first);
    if (r == 0)
        r = request_from_json(json_object_get(p.source, "document"), &p.request, err);
    else if (r == -ENOENT && (r = api_call(s->api, "GET", plan, NULL, &p.source, err)) == 0)
        r = take_plan(p.source, &p, err);
    else if (r < 0 && r != -ENOENT)
        err_set(err, r, "%s", first.message);
    if (r < 0) {
        papers_free(&p);
        return r == -ENOENT ? err_set(err, r, "there is no request and no plan %s", id) : r;
    }
    take_seen(json_object_get(p.source, "approvals"), &p);
    *ret = p;
    return 0;
}

static int take_file(struct papers *p, struct err *err)
{
    json_t *request = json_object_get(p->source, "request"), *plan = json_object_get(p->source, "plan");
    if (!request == !plan)
        return err_set(err, -EINVAL, "must have either \"request\" or \"plan\": download it in the console");
    take_seen(json_object_get(p->source, "approvals"), p);
    return request ? request_from_json(request, &p->request, err) : take_plan(plan, p, err);
}

int papers_read(const char *path, struct papers *ret, struct err *err)
{
    struct papers p = {0};
    autofree char *text = NULL;
    size_t len = 0;
    int r = fs_read(path, PAPERS_MAX_BYTES, &text, &len, err);
    if (r < 0)
        return r;
    r = js_parse(text, len, PAPERS_MAX_BYTES, &p.source, err);
    if (r == 0)
        r = take_file(&p, err);
    if (r < 0) {
        papers_free(&p);
        return err_wrap(err, r, "%s", path);
    }
    *ret = p;
    return 0;
}

void papers_free(struct papers *p)
{
    request_free(&p->request);
    json_decref(p->source);
    *p = (struct papers){0};
}

void papers_describe(struct ui *ui, const struct papers *p)
{
    autobuf struct buf text = BUF_INIT;
    if (p->plan) {
        plans_show(ui, p->plan);
        return;
    }
    request_describe(&p->request, &text);
    char *rest = text.data, *line;
    while ((line = strsep(&rest, "\n")))
        if (*line)
            ui_line(ui, "%s", line);
}

int papers_sign(const struct papers *p, const struct signing_key *key, bool deny, json_t **ret, struct err *err)
{
    int64_t now = clock_wall_ms(&clock_system), until = now + APPROVAL_HOURS * HOUR_MS;
    if (deny && p->plan)
        return err_set(err, -EPERM, "a plan is not denied but discarded, in the console or with POST /plans/%s/discard",
                       p->request.id);
    return approval_sign(key, &p->request, deny, now, p->plan ? until : MIN(p->request.not_after_ms, until), p->seen,
                         p->n_seen, ret, err);
}

int papers_hand_over(const struct session *s, const struct papers *p, json_t *approval, struct err *err)
{
    autojson json_t *body = json_pack("{sO}", "approval", approval), *answer = NULL;
    autofree char *path = mem_printf(p->plan ? "/plans/%s/approve" : "/requests/%s/approvals", p->request.id);
    if (p->plan)
        json_object_set_new(body, "digest", json_string(p->request.digest));
    return api_call(s->api, "POST", path, body, &answer, err);
}
