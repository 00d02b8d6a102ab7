/* From the agent's observations to service states. */
#include "control/controller/observation.h"

#include "base/js.h"
#include "base/mem.h"
#include "blueprint/desired.h"
#include "control/activity.h"
#include "control/controller/backup_records.h"
#include "control/lifecycle.h"

#define OBSERVED_MAX MIB(1)

struct seen {
    struct store *store;
    const struct clock *clock;
    const char *infrastructure;
    int64_t document_version; /* of the document the agent acts on */
    json_t *by_id;            /* service id -> its observation */
    json_t *backups;          /* its report of them, NULL: none */
    json_t *release;          /* what came of the agent's own last release, NULL: nothing did */
    json_t *told;             /* services of the newest document, once that is the one it acts on; else NULL */
};

/* What the agent was told: its word that something is gone counts only for that. */
static int load_told(struct seen *seen, struct err *err)
{
    autorows struct store_rows *rows = NULL;
    autojson json_t *body = NULL;
    int r = store_query(seen->store, "SELECT version, body FROM desired_document WHERE infrastructure_id = $1",
                        STORE_ARGS(store_text(seen->infrastructure)), &rows, err);
    if (r == 0)
        r = store_next(rows, err);
    if (r <= 0 || store_column_int(rows, 0) > seen->document_version)
        return MIN(r, 0);
    const char *text = store_column_text(rows, 1);
    r = js_parse(text, strlen(text), DESIRED_MAX_BYTES, &body, err);
    if (r == 0)
        seen->told = json_incref(json_object_get(body, "services"));
    return r;
}

/* Sets *ret to what the agent was told of this service, NULL: nothing that still holds. */
static int told_service(struct seen *seen, const char *id, const json_t **ret, struct err *err)
{
    const json_t *one;
    size_t i;
    int r = seen->told ? 0 : load_told(seen, err);
    *ret = NULL;
    json_array_foreach(r < 0 ? NULL : seen->told, i, one)
    {
        if (!strcmp(js_text_at(one, "id"), id))
            *ret = one;
    }
    return r;
}

/* 1: the agent was told to delete this service's data, 0: to keep them, -ENOENT: nothing that still holds. */
static int told_of_data(struct seen *seen, const char *id, struct err *err)
{
    const json_t *one;
    int r = told_service(seen, id, &one, err);
    return r < 0 ? r : one ? json_is_true(json_object_get(one, "deleteData")) : -ENOENT;
}

static int load(struct seen *seen, struct err *err)
{
    autorows struct store_rows *rows = NULL;
    autojson json_t *body = NULL;
    json_t *services, *one;
    size_t i;
    int r = store_query(seen->store, "SELECT body, desired_version FROM observed WHERE infrastructure_id = $1",
                        STORE_ARGS(store_text(seen->infrastructure)), &rows, err);
    if (r == 0)
        r = store_next(rows, err);
    if (r <= 0)
        return r;
    const char *text = store_column_text(rows, 0);
    seen->document_version = store_column_int(rows, 1);
    r = js_parse(text, strlen(text), OBSERVED_MAX, &body, err);
    if (r == 0)
        r = js_array(body, "observed", "services", 4096, &services, err);
    if (r < 0)
        return r;
    seen->backups = json_incref(json_object_get(body, "backups"));
    seen->release = json_incref(json_object_get(body, "release"));
    json_array_foreach(services, i, one)
    {
        const char *id = json_string_value(json_object_get(one, "id"));
        json_object_del(one, "metrics"); /* they change all the time; who wants them reads the report itself */
        if (id)
            json_object_set(seen->by_id, id, one);
    }
    return 0;
}

/* A deleted service whose processes (and data, if asked) are gone leaves the table; its activity stays. The user may
 * have given up the data only after the agent was told to keep them: then it has to hear of that first. */
static int forget(struct seen *seen, const char *id, const char *organization, struct err *err)
{
    int64_t changed = 0;
    int data = told_of_data(seen, id, err);
    if (data < 0)
        return data == -ENOENT ? 0 : data;
    int r = store_begin(seen->store, err);
    if (r < 0)
        return r;
    r = store_exec(seen->store, "DELETE FROM service WHERE id = $1 AND want = 'deleted' AND delete_data = $2",
                   STORE_ARGS(store_text(id), store_int(data)), &changed, err);
    if (r == 0 && changed)
        r = activity_system(seen->store, seen->clock, organization, "service_delete", id, seen->infrastructure,
                            "removed", err);
    if (r == 0)
        r = store_commit(seen->store, err);
    if (r < 0)
        store_rollback(seen->store);
    return r;
}

struct row {
    char *id, *organization, *state, *want, *observed;
    int64_t awake_asked;
};

/* `awaking` by a report: somebody connected. By a command: the API has said so already. */
static const char *activity_of(const char *state)
{
    static const char *const all[][2] = {
        {"running", "service_running"}, {"idle", "service_idle"}, {"awaking", "service_awaken"}};
    for (size_t i = 0; i < ARRAY_SIZE(all); i++)
        if (!strcmp(state, all[i][0]))
            return all[i][1];
    return NULL;
}

static int move(struct seen *seen, const struct row *row, const char *to, const char *observed, struct err *err)
{
    int64_t changed = 0;
    int r = store_begin(seen->store, err);
    if (r < 0)
        return r;
    /* The user may have spoken since we read: then the row is another one and the next pass decides. */
    r = store_exec(seen->store,
                   "UPDATE service SET state = $4, observed = $5, updated_at = $6 "
                   "WHERE id = $1 AND state = $2 AND want = $3",
                   STORE_ARGS(store_text(row->id), store_text(row->state), store_text(row->want), store_text(to),
                              store_text(observed), store_int(clock_wall_ms(seen->clock))),
                   &changed, err);
    const char *activity = strcmp(row->state, to) ? activity_of(to) : NULL;
    if (r == 0 && changed && activity)
        r = activity_system(seen->store, seen->clock, row->organization, activity, row->id, seen->infrastructure,
                            row->state, err);
    if (r == 0)
        r = store_commit(seen->store, err);
    if (r < 0)
        store_rollback(seen->store);
    return r;
}

/* 1: the agent acts on a document that has the last request to wake, 0: not yet. */
static int told_to_wake(struct seen *seen, const struct row *row, struct err *err)
{
    const json_t *one;
    int r = told_service(seen, row->id, &one, err);
    return r < 0 || !one
               ? r
               : json_integer_value(json_object_get(json_object_get(one, "idle"), "awakeAsked")) >= row->awake_asked;
}

static int take_up(struct seen *seen, const struct row *row, struct err *err)
{
    json_t *one = json_object_get(seen->by_id, row->id);
    const char *word = json_string_value(json_object_get(one, "state"));
    if (!word)
        return 0;
    if (!strcmp(row->want, "deleted") && !strcmp(word, "gone"))
        return forget(seen, row->id, row->organization, err);
    /* It slept before it heard that it is to wake. */
    if (!strcmp(row->state, "awaking") && !strcmp(word, "idle")) {
        int r = told_to_wake(seen, row, err);
        if (r <= 0)
            return r;
    }
    autofree char *text = js_text(one);
    const char *next = lifecycle_observed(row->state, row->want, word);
    if (!strcmp(next, row->state) && !strcmp(text, row->observed))
        return 0;
    return move(seen, row, next, text, err);
}

/* Specifications are long and the question is rare. */
static int64_t awake_asked(struct store_rows *rows)
{
    autojson json_t *spec = NULL;
    const char *text = store_column_text(rows, 5);
    if (strcmp(store_column_text(rows, 2), "awaking") || js_parse(text, strlen(text), MIB(1), &spec, NULL) < 0)
        return 0;
    return json_integer_value(json_object_get(spec, "awakeAskedMs"));
}

static int read_rows(struct seen *seen, struct arena *arena, struct row **ret, size_t *ret_n, struct err *err)
{
    autorows struct store_rows *rows = NULL;
    size_t n = 0, cap = 0;
    struct row *all = NULL;
    int r =
        store_query(seen->store,
                    "SELECT id, organization_id, state, want, observed, spec FROM service WHERE infrastructure_id = $1",
                    STORE_ARGS(store_text(seen->infrastructure)), &rows, err);
    while (r == 0 && (r = store_next(rows, err)) == 1) {
        if (n == cap)
            all = mem_realloc(all, (cap = cap ? cap * 2 : 16) * sizeof(*all));
        all[n++] = (struct row){
            arena_strdup(arena, store_column_text(rows, 0)), arena_strdup(arena, store_column_text(rows, 1)),
            arena_strdup(arena, store_column_text(rows, 2)), arena_strdup(arena, store_column_text(rows, 3)),
            arena_strdup(arena, store_column_text(rows, 4)), awake_asked(rows),
        };
        r = 0;
    }
    *ret = all;
    *ret_n = n;
    return r;
}

/* Each outcome once, whoever reports it how often. */
static int tell_release(struct seen *seen, struct err *err)
{
    autorows struct store_rows *rows = NULL;
    const char *result = js_text_at(seen->release, "result"), *what = js_text_at(seen->release, "what"),
               *why = js_text_at(seen->release, "why");
    char digest[65];
    int64_t changed = 0;
    if (!*result || js_digest(seen->release, digest, NULL) < 0)
        return 0;
    int r = store_query(seen->store, "SELECT organization_id, agent_release FROM infrastructure WHERE id = $1",
                        STORE_ARGS(store_text(seen->infrastructure)), &rows, err);
    if (r == 0)
        r = store_next(rows, err);
    if (r <= 0 || !strcmp(store_column_text(rows, 1), digest))
        return MIN(r, 0);
    autofree char *organization = mem_strdup(store_column_text(rows, 0)),
                  *details = mem_printf("%s%s%s%s%s", result, *what ? " " : "", what, *why ? ": " : "", why);
    store_rows_close(TAKE_PTR(rows));
    if ((r = store_begin(seen->store, err)) < 0)
        return r;
    r = store_exec(seen->store, "UPDATE infrastructure SET agent_release = $2 WHERE id = $1 AND agent_release <> $2",
                   STORE_ARGS(store_text(seen->infrastructure), store_text(digest)), &changed, err);
    if (r == 0 && changed)
        r = activity_system(seen->store, seen->clock, organization, "agent_release", NULL, seen->infrastructure,
                            details, err);
    if (r == 0)
        r = store_commit(seen->store, err);
    if (r < 0)
        store_rollback(seen->store);
    return r;
}

int observation_apply(struct store *s, const struct clock *clock, const char *infrastructure, struct err *err)
{
    autoarena struct arena *arena = arena_new();
    autojson json_t *by_id = json_object();
    struct seen seen = {.store = s, .clock = clock, .infrastructure = infrastructure, .by_id = by_id};
    autofree struct row *rows = NULL;
    size_t n = 0;
    int r = load(&seen, err);
    if (r == 0 && json_object_size(by_id))
        r = read_rows(&seen, arena, &rows, &n, err);
    for (size_t i = 0; r == 0 && i < n; i++)
        r = take_up(&seen, &rows[i], err);
    if (r == 0)
        r = backup_records_apply(s, infrastructure, seen.backups, err);
    if (r == 0)
        r = tell_release(&seen, err);
    json_decref(seen.backups);
    json_decref(seen.release);
    json_decref(seen.told);
    return r;
}
