/* Keeps the plan engine's state and journal in a file. */
#include "keeper.h"

static int save(struct keeper *k, struct err *err)
{
    autofree char *text = js_text(k->all);
    return fs_write_atomic(k->path, text, strlen(text), 0600, err);
}

static json_t *records(struct plan_state *s)
{
    return json_object_get(CONTAINER_OF(s, struct keeper, state)->all, "records");
}

static int state_load(struct plan_state *s, const char *type, const char *name, json_t **ret, struct err *err)
{
    autofree char *key = mem_printf("%s.%s", type, name);
    (void)err;
    *ret = json_incref(json_object_get(records(s), key));
    return 0;
}

static int state_save(struct plan_state *s, const char *type, const char *name, const json_t *record, struct err *err)
{
    autofree char *key = mem_printf("%s.%s", type, name);
    json_object_set_new(records(s), key, json_deep_copy(record));
    return save(CONTAINER_OF(s, struct keeper, state), err);
}

static int state_forget(struct plan_state *s, const char *type, const char *name, struct err *err)
{
    autofree char *key = mem_printf("%s.%s", type, name);
    json_object_del(records(s), key);
    return save(CONTAINER_OF(s, struct keeper, state), err);
}

static int state_list(struct plan_state *s, json_t **ret, struct err *err)
{
    const char *key;
    json_t *v;
    (void)err;
    *ret = json_array();
    json_object_foreach(records(s), key, v)
    {
        const char *dot = strchr(key, '.');
        json_array_append_new(
            *ret, json_pack("{s:s%, s:s, s:O}", "type", key, (int)(dot - key), "name", dot + 1, "record", v));
    }
    return 0;
}

static int journal_phase(struct plan_journal *j, const struct plan_step *s, enum plan_phase *ret, struct err *err)
{
    const json_t *all = CONTAINER_OF(j, struct keeper, journal)->all;
    (void)err;
    *ret = (enum plan_phase)json_integer_value(json_object_get(json_object_get(all, "journal"), s->token));
    return 0;
}

static int journal_write(struct plan_journal *j, const struct plan_step *s, enum plan_phase phase, struct err *err)
{
    struct keeper *k = CONTAINER_OF(j, struct keeper, journal);
    json_object_set_new(json_object_get(k->all, "journal"), s->token, json_integer(phase));
    return save(k, err);
}

static int journal_begin(struct plan_journal *j, const struct plan_step *s, struct err *err)
{
    return journal_write(j, s, PLAN_PHASE_BEGIN, err);
}

static int journal_done(struct plan_journal *j, const struct plan_step *s, const json_t *attributes, struct err *err)
{
    (void)attributes;
    return journal_write(j, s, PLAN_PHASE_DONE, err);
}

static int journal_failed(struct plan_journal *j, const struct plan_step *s, const struct err *why, struct err *err)
{
    (void)why;
    return journal_write(j, s, PLAN_PHASE_FAILED, err);
}

int keeper_load(const char *folder, const char *name, json_t **ret, struct err *err)
{
    autofree char *path = mem_printf("%s/%s", folder, name);
    autofree char *text = NULL;
    size_t len;
    int r = fs_read(path, MIB(4), &text, &len, err);
    return r < 0 ? r : js_parse(text, len, MIB(4), ret, err);
}

int keeper_open(struct keeper *k, const char *folder, struct err *err)
{
    *k = (struct keeper){.path = mem_printf("%s/state.json", folder),
                         .state = {state_load, state_save, state_forget, state_list},
                         .journal = {journal_phase, journal_begin, journal_done, journal_failed}};
    if (fs_exists(k->path))
        return keeper_load(folder, "state.json", &k->all, err);
    k->all = json_pack("{s:{}, s:{}}", "records", "journal");
    return 0;
}

void keeper_close(struct keeper *k)
{
    json_decref(k->all);
    free(k->path);
}
