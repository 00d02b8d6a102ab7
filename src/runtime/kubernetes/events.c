/* Decides which events are written, and when: series instead of repetitions, and bounds on both. */
#include "runtime/kubernetes/events.h"

#include "base/mem.h"

struct budget {
    char *about;
    int left;
    int64_t since_ms; /* of the last refill */
};

struct kube_events {
    struct kube_event *items;
    size_t n;
    struct budget *budgets;
    size_t n_budgets;
};

struct kube_events *kube_events_new(void)
{
    struct kube_events *l = mem_alloc(sizeof(*l));
    l->items = mem_alloc(KUBE_EVENTS_MAX * sizeof(*l->items));
    l->budgets = mem_alloc(KUBE_EVENTS_MAX * sizeof(*l->budgets));
    return l;
}

static void clear(struct kube_event *e)
{
    free(e->about);
    free(e->reason);
    free(e->note);
    *e = (struct kube_event){0};
}

void kube_events_free(struct kube_events *l)
{
    if (!l)
        return;
    for (size_t i = 0; i < l->n; i++)
        clear(&l->items[i]);
    for (size_t i = 0; i < l->n_budgets; i++)
        free(l->budgets[i].about);
    free(l->items);
    free(l->budgets);
    free(l);
}

size_t kube_events_count(const struct kube_events *l)
{
    return l->n;
}

static struct budget *budget_of(struct kube_events *l, const char *about, int64_t now)
{
    size_t oldest = 0;
    for (size_t i = 0; i < l->n_budgets; i++) {
        if (!strcmp(l->budgets[i].about, about))
            return &l->budgets[i];
        if (l->budgets[i].since_ms < l->budgets[oldest].since_ms)
            oldest = i;
    }
    struct budget *b = l->n_budgets < KUBE_EVENTS_MAX ? &l->budgets[l->n_budgets++] : &l->budgets[oldest];
    free(b->about);
    *b = (struct budget){.about = mem_strdup(about), .left = KUBE_EVENTS_BURST, .since_ms = now};
    return b;
}

static bool may_say(struct kube_events *l, const char *about, int64_t now)
{
    struct budget *b = budget_of(l, about, now);
    int64_t more = (now - b->since_ms) / KUBE_EVENTS_REFILL_MS;
    if (more > 0) {
        b->left = (int)MIN(b->left + more, KUBE_EVENTS_BURST);
        b->since_ms += more * KUBE_EVENTS_REFILL_MS;
    }
    if (b->left == 0)
        return false;
    b->left--;
    return true;
}

static struct kube_event *find(struct kube_events *l, const char *about, bool warning, const char *reason,
                               const char *note, int64_t now)
{
    for (size_t i = 0; i < l->n; i++) {
        struct kube_event *e = &l->items[i];
        if (e->warning == warning && now - e->last_ms < KUBE_EVENTS_SERIES_MS && !strcmp(e->about, about) &&
            !strcmp(e->reason, reason) && !strcmp(e->note, note))
            return e;
    }
    return NULL;
}

/* Room for one more: what is under way stays. NULL: there is none. */
static struct kube_event *room(struct kube_events *l)
{
    struct kube_event *silent = NULL;
    if (l->n < KUBE_EVENTS_MAX)
        return &l->items[l->n++];
    for (size_t i = 0; i < l->n; i++)
        if (!l->items[i].busy && (!silent || l->items[i].last_ms < silent->last_ms))
            silent = &l->items[i];
    if (silent)
        clear(silent);
    return silent;
}

/* At most KUBE_EVENT_NOTE_MAX bytes, and not in the middle of a character. */
static char *shorten(const char *note)
{
    size_t len = strlen(note);
    if (len > KUBE_EVENT_NOTE_MAX)
        for (len = KUBE_EVENT_NOTE_MAX; len > 0 && ((unsigned char)note[len] & 0xc0) == 0x80;)
            len--;
    return mem_strndup(note, len);
}

void kube_events_say(struct kube_events *l, const char *about, bool warning, const char *reason, const char *note,
                     int64_t now_ms, int64_t wall_ms)
{
    autofree char *text = shorten(note);
    struct kube_event *e = find(l, about, warning, reason, text, now_ms);
    if (e) {
        e->count++;
        e->last_ms = now_ms;
        e->last_wall_ms = wall_ms;
        e->due |= e->count == 2 || (e->written && now_ms - e->written_ms >= KUBE_EVENTS_REFRESH_MS);
        return;
    }
    if (!may_say(l, about, now_ms) || !(e = room(l)))
        return;
    *e = (struct kube_event){.about = mem_strdup(about),
                             .reason = mem_strdup(reason),
                             .note = TAKE_PTR(text),
                             .warning = warning,
                             .first_ms = now_ms,
                             .last_ms = now_ms,
                             .first_wall_ms = wall_ms,
                             .last_wall_ms = wall_ms,
                             .count = 1,
                             .due = true};
}

static void drop(struct kube_events *l, size_t i)
{
    clear(&l->items[i]);
    l->items[i] = l->items[--l->n];
}

struct kube_event *kube_events_next(struct kube_events *l, int64_t now_ms, bool (*there)(const char *about, void *data),
                                    void *data)
{
    for (size_t i = 0; i < l->n;) {
        struct kube_event *e = &l->items[i];
        if (!e->busy && e->due && there(e->about, data))
            return e;
        if (!e->busy && now_ms - e->last_ms >= (e->due ? KUBE_EVENTS_GIVE_UP_MS : KUBE_EVENTS_SERIES_MS)) {
            drop(l, i);
            continue;
        }
        i++;
    }
    return NULL;
}

void kube_events_done(struct kube_events *l, const char *name, int written, bool ok, int64_t now_ms)
{
    for (size_t i = 0; i < l->n; i++) {
        struct kube_event *e = &l->items[i];
        if (!e->busy || strcmp(e->name, name))
            continue;
        e->busy = false;
        if (ok) {
            e->written = written;
            e->written_ms = now_ms;
            /* The first repetition came while the event itself was on its way; counts beyond wait to be said again. */
            e->due = written == 1 && e->count > 1;
        } else {
            drop(l, i);
        }
        return;
    }
}
