/* Keeps why workloads change, and notes at the platform what is done and what becomes of it. */
#include "agent/operator/notes.h"

#include "agent/operator/why.h"

struct notes {
    json_t *why;  /* name -> {digest, text, stops} */
    json_t *said; /* name -> state and error that were noted last */
};

struct notes *notes_new(void)
{
    struct notes *n = mem_alloc(sizeof(*n));
    *n = (struct notes){.why = json_object(), .said = json_object()};
    return n;
}

void notes_free(struct notes *n)
{
    if (!n)
        return;
    json_decref(n->why);
    json_decref(n->said);
    free(n);
}

/* ---- why ---- */

static int compare(const void *a, const void *b)
{
    return strcmp((*(const struct workload *const *)a)->name, (*(const struct workload *const *)b)->name);
}

static const struct workload **sorted(const struct workload_list *l)
{
    const struct workload **list = mem_alloc((l->n + 1) * sizeof(*list));
    for (size_t i = 0; i < l->n; i++)
        list[i] = &l->items[i];
    qsort(list, l->n, sizeof(*list), compare);
    return list;
}

void notes_render(struct notes *n, const struct workload_list *was, const char (*was_digests)[65],
                  const struct workload_list *is, const char (*digests)[65])
{
    autofree const struct workload **old = sorted(was);
    autojson json_t *fresh = json_object();
    for (size_t i = 0; i < is->n; i++) {
        const struct workload *w = &is->items[i];
        const struct workload **found = bsearch(&w, old, was->n, sizeof(*old), compare);
        json_t *kept = json_object_get(n->why, w->name);
        if (found && !strcmp(was_digests[*found - was->items], digests[i])) {
            if (kept)
                json_object_set(fresh, w->name, kept);
            continue;
        }
        autobuf struct buf text = BUF_INIT;
        bool stops = why_changed(found ? *found : NULL, w, &text);
        json_object_set_new(fresh, w->name,
                            json_pack("{s:s, s:s, s:b}", "digest", digests[i], "text", text.data, "stops", stops));
    }
    json_decref(n->why);
    n->why = TAKE_PTR(fresh);
}

/* ---- what is done ---- */

static void note(struct runtime *rt, const char *name, bool warning, const char *reason, const char *fmt, ...)
    OH_PRINTF(5, 6);
static void note(struct runtime *rt, const char *name, bool warning, const char *reason, const char *fmt, ...)
{
    char text[1024];
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(text, sizeof(text), fmt, ap);
    va_end(ap);
    rt->ops->note(rt, name, warning, reason, text);
}

static bool is_engine(const struct workload *w)
{
    const char *role = workload_label(w, BLUEPRINT_ROLE);
    return role && !strcmp(role, "clickhouse");
}

static void note_apply(struct notes *n, struct runtime *rt, const struct workload *w,
                       const struct runtime_status *status)
{
    const json_t *why = json_object_get(n->why, w->name);
    const char *text = why ? json_string_value(json_object_get(why, "text")) : "it is not as it should be";
    bool runs = status && (status->state == RUNTIME_RUNNING || status->state == RUNTIME_UNREADY);
    if (!status)
        note(rt, w->name, false, "Placing", "It is placed%s%s.", w->image ? ", with image " : "",
             w->image ? w->image : "");
    else if (w->stopped)
        note(rt, w->name, false, "Stopping",
             "The service is stopped: it finishes what it runs, for %d s at most. Its disk stays.",
             w->stop_grace_ms / 1000);
    else if (status->state == RUNTIME_STOPPED)
        note(rt, w->name, false, "Starting", "The service is started.");
    else if (why && !json_is_true(json_object_get(why, "stops")))
        note(rt, w->name, false, "Changing", "Changed in place: %s.", text);
    else if (runs && is_engine(w))
        note(rt, w->name, false, "Draining",
             "To be started anew: %s. It leaves the ingress and finishes what it runs, for %d s at most.", text,
             w->stop_grace_ms / 1000);
    else
        note(rt, w->name, false, "Changing", "To be started anew: %s.", text);
}

void notes_action(struct notes *n, struct runtime *rt, const struct reconcile_action *a,
                  const struct runtime_status *status, int result, const char *message)
{
    if (!rt->ops->note)
        return;
    if (result < 0)
        note(rt, a->name, true, "Failed", "%s: %s", a->workload ? "Placing it failed" : "Its removal failed", message);
    else if (a->workload)
        note_apply(n, rt, a->workload, status);
    else if (status)
        note(rt, a->name, a->note != NULL, "Removing", "Nobody wants it any more. Its data %s.%s%s",
             a->delete_data ? "go too" : "stay", a->note ? " " : "", a->note ? a->note : "");
}

/* ---- what becomes of it ---- */

static void note_state(struct runtime *rt, const struct runtime_status *s, const char *before)
{
    if (s->state == RUNTIME_FAILED)
        note(rt, s->name, true, "Failing", "It does not run: %s", s->error);
    else if (s->state == RUNTIME_UNREADY)
        note(rt, s->name, true, "Unready", "It runs and does not answer its probe%s%s", *s->error ? ": " : ".",
             s->error);
    else if (s->state == RUNTIME_RUNNING && *before)
        note(rt, s->name, false, "Running", "It answers its probe.");
}

void notes_observed(struct notes *n, struct runtime *rt, const struct runtime_status_list *l)
{
    if (!rt->ops->note)
        return;
    autojson json_t *fresh = json_object();
    for (size_t i = 0; i < l->n; i++) {
        const struct runtime_status *s = &l->items[i];
        const char *before = json_string_value(json_object_get(n->said, s->name));
        autofree char *now = mem_printf("%s %s", runtime_state_names[s->state], s->error);
        if (before && strcmp(before, now))
            note_state(rt, s, before);
        else if (!before && s->state == RUNTIME_FAILED)
            note_state(rt, s, "");
        json_object_set_new(fresh, s->name, json_string(now));
    }
    json_decref(n->said);
    n->said = TAKE_PTR(fresh);
}
