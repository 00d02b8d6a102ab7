/* Remembers which services have a Keeper. */
#include "agent/operator/joined.h"

#include "agent/operator/state_file.h"
#include "blueprint/blueprint.h"

void joined_open(struct joined *j, const char *path)
{
    *j = (struct joined){.path = mem_strdup(path), .services = state_file_read(path)};
}

void joined_free(struct joined *j)
{
    free(j->path);
    json_decref(j->services);
    *j = (struct joined){0};
}

void joined_mark(const struct joined *j, struct desired *d)
{
    for (size_t i = 0; i < d->n_services; i++)
        d->services[i].joined = json_is_true(json_object_get(j->services, d->services[i].id));
}

static const char *label(const struct runtime_status *s, const char *name)
{
    for (size_t i = 0; i < s->n_labels; i++)
        if (!strcmp(s->labels[i].name, name))
            return s->labels[i].value;
    return NULL;
}

static bool is_named(const struct desired *d, const char *service)
{
    for (size_t i = 0; i < d->n_services; i++)
        if (!strcmp(d->services[i].id, service))
            return true;
    return false;
}

static bool learn(struct joined *j, const struct desired *d, const struct runtime_status_list *observed)
{
    bool news = false;
    for (size_t i = 0; i < observed->n; i++) {
        const char *role = label(&observed->items[i], BLUEPRINT_ROLE),
                   *service = label(&observed->items[i], BLUEPRINT_SERVICE);
        if (!role || strcmp(role, BLUEPRINT_ROLE_KEEPER) || !service || json_object_get(j->services, service) ||
            !is_named(d, service))
            continue;
        json_object_set_new(j->services, service, json_true());
        news = true;
    }
    return news;
}

int joined_look(struct joined *j, const struct desired *d, const struct runtime_status_list *observed,
                bool *ret_changed, struct err *err)
{
    const char *service;
    json_t *v;
    void *next;
    *ret_changed = learn(j, d, observed);
    j->dirty |= *ret_changed;
    json_object_foreach_safe(j->services, next, service, v) if (!is_named(d, service))
    {
        json_object_del(j->services, service);
        j->dirty = true;
    }
    if (!j->dirty)
        return 0;
    int r = state_file_write(j->path, j->services, err);
    j->dirty = r < 0;
    return r;
}
