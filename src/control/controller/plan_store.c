/* Remembered resources and the journal as rows. */
#include "control/controller/plan_store.h"

#include "base/mem.h"

#define RECORD_MAX MIB(1)

static struct plan_store *of_state(struct plan_state *s)
{
    return CONTAINER_OF(s, struct plan_store, state);
}

static struct plan_store *of_journal(struct plan_journal *j)
{
    return CONTAINER_OF(j, struct plan_store, journal);
}

static int state_load(struct plan_state *s, const char *type, const char *name, json_t **ret, struct err *err)
{
    struct plan_store *p = of_state(s);
    autorows struct store_rows *rows = NULL;
    *ret = NULL;
    int r = store_query(p->store,
                        "SELECT attributes FROM resource WHERE infrastructure_id = $1 AND type = $2 AND name = $3",
                        STORE_ARGS(store_text(p->infrastructure), store_text(type), store_text(name)), &rows, err);
    if (r == 0)
        r = store_next(rows, err);
    if (r <= 0)
        return r;
    const char *text = store_column_text(rows, 0);
    return js_parse(text, strlen(text), RECORD_MAX, ret, err);
}

static int state_save(struct plan_state *s, const char *type, const char *name, const json_t *record, struct err *err)
{
    struct plan_store *p = of_state(s);
    autofree char *text = js_text(record);
    return store_exec(p->store,
                      "INSERT INTO resource (infrastructure_id, type, name, attributes, updated_at) "
                      "VALUES ($1, $2, $3, $4, $5) ON CONFLICT (infrastructure_id, type, name) "
                      "DO UPDATE SET attributes = excluded.attributes, updated_at = excluded.updated_at",
                      STORE_ARGS(store_text(p->infrastructure), store_text(type), store_text(name), store_text(text),
                                 store_int(clock_wall_ms(p->clock))),
                      NULL, err);
}

static int state_forget(struct plan_state *s, const char *type, const char *name, struct err *err)
{
    struct plan_store *p = of_state(s);
    return store_exec(p->store, "DELETE FROM resource WHERE infrastructure_id = $1 AND type = $2 AND name = $3",
                      STORE_ARGS(store_text(p->infrastructure), store_text(type), store_text(name)), NULL, err);
}

static int state_list(struct plan_state *s, json_t **ret, struct err *err)
{
    struct plan_store *p = of_state(s);
    autojson json_t *all = json_array();
    autorows struct store_rows *rows = NULL;
    int r = store_query(p->store,
                        "SELECT type, name, attributes FROM resource WHERE infrastructure_id = $1 ORDER BY type, name",
                        STORE_ARGS(store_text(p->infrastructure)), &rows, err);
    while (r == 0 && (r = store_next(rows, err)) == 1) {
        json_t *record = NULL;
        const char *text = store_column_text(rows, 2);
        r = js_parse(text, strlen(text), RECORD_MAX, &record, err);
        if (r == 0)
            json_array_append_new(all, json_pack("{s:s,s:s,s:o}", "type", store_column_text(rows, 0), "name",
                                                 store_column_text(rows, 1), "record", record));
    }
    if (r == 0)
        *ret = TAKE_PTR(all);
    return r;
}

static int journal_phase(struct plan_journal *j, const struct plan_step *step, enum plan_phase *ret, struct err *err)
{
    struct plan_store *p = of_journal(j);
    autorows struct store_rows *rows = NULL;
    *ret = PLAN_PHASE_NONE;
    int r =
        store_query(p->store, "SELECT phase FROM journal WHERE plan_id = $1 AND token = $2 ORDER BY seq DESC LIMIT 1",
                    STORE_ARGS(store_text(p->plan_id), store_text(step->token)), &rows, err);
    if (r == 0)
        r = store_next(rows, err);
    if (r <= 0)
        return r;
    for (int i = PLAN_PHASE_BEGIN; i <= PLAN_PHASE_FAILED; i++)
        if (!strcmp(store_column_text(rows, 0), plan_phase_names[i]))
            *ret = (enum plan_phase)i;
    return 0;
}

static int journal_write(struct plan_journal *j, const struct plan_step *step, enum plan_phase phase,
                         const char *detail, struct err *err)
{
    struct plan_store *p = of_journal(j);
    return store_exec(p->store,
                      "INSERT INTO journal (plan_id, infrastructure_id, resource, action, phase, token, detail, at) "
                      "VALUES ($1, $2, $3, $4, $5, $6, $7, $8)",
                      STORE_ARGS(store_text(p->plan_id), store_text(p->infrastructure), store_text(step->key),
                                 store_text(plan_action_names[step->action]), store_text(plan_phase_names[phase]),
                                 store_text(step->token), store_text(detail), store_int(clock_wall_ms(p->clock))),
                      NULL, err);
}

static int journal_begin(struct plan_journal *j, const struct plan_step *step, struct err *err)
{
    const struct plan_store *p = of_journal(j);
    int r = p->lease ? lease_renew(p->store, p->clock, p->lease, err) : 0;
    if (r < 0)
        return r;
    return journal_write(j, step, PLAN_PHASE_BEGIN, "", err);
}

static int journal_done(struct plan_journal *j, const struct plan_step *step, const json_t *attributes, struct err *err)
{
    autofree char *text = attributes ? js_text(attributes) : mem_strdup("");
    return journal_write(j, step, PLAN_PHASE_DONE, text, err);
}

static int journal_failed(struct plan_journal *j, const struct plan_step *step, const struct err *why, struct err *err)
{
    return journal_write(j, step, PLAN_PHASE_FAILED, why->message, err);
}

void plan_store_init(struct plan_store *p, struct store *store, const struct clock *clock, const char *infrastructure,
                     const char *plan_id)
{
    *p = (struct plan_store){
        .state = {state_load, state_save, state_forget, state_list},
        .journal = {journal_phase, journal_begin, journal_done, journal_failed},
        .store = store,
        .clock = clock,
        .infrastructure = infrastructure,
        .plan_id = plan_id,
    };
}
