/* Decides when backups are made and when they go. */
#include "agent/operator/backup_rules.h"

#include "base/mem.h"

#define HOUR_MS (INT64_C(3600) * 1000)
#define DAY_MS (24 * HOUR_MS)

const char *const backup_state_names[] = {"in_progress", "done", "error"};
const char *const drill_state_names[] = {"", "passed", "failed"};

struct backup *backup_add(struct backup_list *l)
{
    if (l->n == l->cap)
        l->items = mem_realloc(l->items, (l->cap = l->cap ? 2 * l->cap : 16) * sizeof(*l->items));
    l->items[l->n] = (struct backup){0};
    return &l->items[l->n++];
}

struct backup *backup_find(const struct backup_list *l, const char *id)
{
    for (size_t i = 0; i < l->n; i++)
        if (!strcmp(l->items[i].id, id))
            return &l->items[i];
    return NULL;
}

void backup_remove(struct backup_list *l, size_t at)
{
    memmove(l->items + at, l->items + at + 1, (--l->n - at) * sizeof(*l->items));
}

static const struct backup *last_of(const struct backup_list *l, const char *service, bool done)
{
    const struct backup *last = NULL;
    for (size_t i = 0; i < l->n; i++)
        if (!strcmp(l->items[i].service, service) && (!done || l->items[i].state == BACKUP_DONE) &&
            (!last || l->items[i].started_ms >= last->started_ms))
            last = &l->items[i];
    return last;
}

/* The first time after `after_ms` at this minute of a day, UTC. */
static int64_t next_at(int64_t after_ms, int minute)
{
    int64_t at = after_ms / DAY_MS * DAY_MS + minute * INT64_C(60000);
    return at > after_ms ? at : at + DAY_MS;
}

int64_t backup_due(const struct backup_list *l, const char *service, const struct desired_backup *rules,
                   const char *asked, int64_t first_seen_ms)
{
    const struct backup *last = last_of(l, service, false);
    int64_t period = rules->period_hours * HOUR_MS, due;
    if (asked && !backup_find(l, asked))
        return first_seen_ms;
    if (rules->start_minute >= 0)
        due = next_at(last ? last->started_ms : first_seen_ms, rules->start_minute);
    else
        due = last ? last->started_ms + period : first_seen_ms + MIN(period, HOUR_MS);
    if (last && last->state == BACKUP_FAILED)
        due = MIN(due, last->started_ms + BACKUP_RETRY_MS);
    return due;
}

const struct backup *backup_base(const struct backup_list *l, const char *service, const char *place)
{
    const struct backup *base = last_of(l, service, true);
    int length = 0;
    for (const struct backup *b = base; b; b = *b->base ? backup_find(l, b->base) : NULL)
        length++;
    return length >= BACKUP_CHAIN || strcmp(base ? base->place : "", place) ? NULL : base;
}

bool backup_expired(const struct backup_list *l, size_t at, bool wanted, int64_t now_ms)
{
    const struct backup *b = &l->items[at];
    if (b->state == BACKUP_RUNNING || now_ms < b->started_ms + b->retention_hours * HOUR_MS)
        return false;
    for (size_t i = 0; i < l->n; i++)
        if (!strcmp(l->items[i].base, b->id))
            return false;
    return b->state == BACKUP_FAILED || !wanted || last_of(l, b->service, true) != b;
}

/* ---- JSON ---- */

json_t *backup_to_json(const struct backup *b)
{
    json_t *v = json_pack("{ss ss ss ss sI sI sI si ss sI so}", "id", b->id, "service", b->service, "base", b->base,
                          "state", backup_state_names[b->state], "startedMs", (json_int_t)b->started_ms, "finishedMs",
                          (json_int_t)b->finished_ms, "bytes", (json_int_t)b->bytes, "retentionHours",
                          b->retention_hours, "drill", drill_state_names[b->drill], "drillTables",
                          (json_int_t)b->drill_tables, "error", js_string_of(b->error));
    if (*b->place)
        json_object_set_new(v, "place", json_string(b->place));
    return v;
}

static int take_text(const json_t *v, const char *key, char *out, size_t size, struct err *err)
{
    const char *text = NULL;
    int r = js_string(v, "backup", key, size - 1, &text, err);
    if (r == 0)
        snprintf(out, size, "%s", text);
    return r;
}

static int take_name(const json_t *v, const char *key, const char *const *names, int n, int *ret, struct err *err)
{
    const char *text = NULL;
    int r = js_string(v, "backup", key, 16, &text, err);
    for (int i = 0; r == 0 && i < n; i++)
        if (!strcmp(text, names[i])) {
            *ret = i;
            return 0;
        }
    return r < 0 ? r : err_set(err, -EINVAL, "backup.%s: is not known", key);
}

int backup_from_json(const json_t *v, struct backup *ret, struct err *err)
{
    int state = 0, drill = 0, r;
    int64_t retention = 0;
    const char *place = "";
    *ret = (struct backup){0};
    if (!json_is_object(v))
        return err_set(err, -EINVAL, "backup: must be an object");
    if ((r = take_text(v, "id", ret->id, sizeof(ret->id), err)) < 0 ||
        (r = take_text(v, "service", ret->service, sizeof(ret->service), err)) < 0 ||
        (r = take_text(v, "base", ret->base, sizeof(ret->base), err)) < 0 ||
        (r = js_string_opt(v, "backup", "place", BACKUP_PLACE_SIZE - 1, &place, err)) < 0 ||
        (r = take_text(v, "error", ret->error, sizeof(ret->error), err)) < 0 ||
        (r = take_name(v, "state", backup_state_names, 3, &state, err)) < 0 ||
        (r = take_name(v, "drill", drill_state_names, 3, &drill, err)) < 0 ||
        (r = js_int(v, "backup", "startedMs", 0, INT64_MAX, &ret->started_ms, err)) < 0 ||
        (r = js_int(v, "backup", "finishedMs", 0, INT64_MAX, &ret->finished_ms, err)) < 0 ||
        (r = js_int(v, "backup", "bytes", 0, INT64_MAX, &ret->bytes, err)) < 0 ||
        (r = js_int(v, "backup", "drillTables", 0, INT64_MAX, &ret->drill_tables, err)) < 0 ||
        (r = js_int(v, "backup", "retentionHours", 1, DESIRED_BACKUP_HOURS_MAX, &retention, err)) < 0)
        return r;
    /* Both become parts of paths. */
    if (!uuid_valid(ret->id) || !uuid_valid(ret->service) || (*ret->base && !uuid_valid(ret->base)))
        return err_set(err, -EINVAL, "backup: id, service and base must be UUIDs");
    snprintf(ret->place, sizeof(ret->place), "%s", place);
    ret->state = (enum backup_state)state;
    ret->drill = (enum drill_state)drill;
    ret->retention_hours = (int)retention;
    return 0;
}
