/* Reads a service's row for a change and stores it again. */
#include "control/api/service_change.h"

void service_change_free(struct service_change *c)
{
    json_decref(c->spec);
    c->spec = NULL;
}

int service_change_read(struct api_request *q, struct service_change *ret, struct err *err)
{
    autorows struct store_rows *rows = NULL;
    const char **texts[] = {&ret->name, &ret->slug, &ret->provider, &ret->region, &ret->domain};
    ret->id = q->match.path[1];
    int r = store_query(q->store,
                        "SELECT s.infrastructure_id, s.state, s.delete_data, s.spec, s.name, s.slug, i.provider, "
                        "i.region, i.domain FROM service s JOIN infrastructure i ON i.id = s.infrastructure_id "
                        "WHERE s.id = $1 AND s.organization_id = $2 AND s.state <> 'terminated'",
                        STORE_ARGS(store_text(ret->id), store_text(q->who.organization)), &rows, err);
    if (r == 0)
        r = store_next(rows, err);
    if (r <= 0)
        return r < 0 ? r : api_missing(q, "service");
    snprintf(ret->infrastructure, sizeof(ret->infrastructure), "%s", store_column_text(rows, 0));
    ret->delete_data = store_column_int(rows, 2) != 0;
    ret->spec = api_column_json(rows, 3);
    for (size_t i = 0; i < ARRAY_SIZE(texts); i++)
        *texts[i] = arena_strdup(q->arena, store_column_text(rows, 4 + (int)i));
    if (service_state_parse(store_column_text(rows, 1), &ret->state) < 0)
        return err_set(err, -EIO, "service %s has an unknown state", ret->id);
    return 0;
}

int service_change_begin(struct api_request *q, struct service_change *ret, struct err *err)
{
    int r = service_change_read(q, ret, err);
    if (r == 0 && service_state_wants(ret->state) == WANT_DELETED)
        r = api_refuse(q, 400, "serviceId: the service is being deleted");
    return r;
}

int service_change_store(struct api_request *q, const struct service_change *c, struct err *err)
{
    autofree char *text = js_text(c->spec);
    return store_exec(q->store,
                      "UPDATE service SET name = $2, spec = $3, generation = generation + 1, updated_at = $4 "
                      "WHERE id = $1",
                      STORE_ARGS(store_text(c->id), store_text(c->name), store_text(text), store_int(q->now)), NULL,
                      err);
}

int service_change_finish(struct api_request *q, const struct service_change *c, const char *activity,
                          const char *details, struct err *err)
{
    int r = service_change_store(q, c, err);
    return r < 0 ? r : api_activity(q, activity, c->id, c->infrastructure, details, err);
}
