/* Counts restarts that were asked for. */
#include "agent/operator/restarts.h"

#include "agent/operator/state_file.h"
#include "blueprint/blueprint.h"

void restarts_open(struct restarts *r, const char *path)
{
    *r = (struct restarts){.path = mem_strdup(path), .counts = state_file_read(path)};
}

void restarts_free(struct restarts *r)
{
    free(r->path);
    json_decref(r->counts);
    *r = (struct restarts){0};
}

int restarts_add(struct restarts *r, const char *service, struct err *err)
{
    int64_t before = json_integer_value(json_object_get(r->counts, service));
    json_object_set_new(r->counts, service, json_integer(before + 1));
    int code = state_file_write(r->path, r->counts, err);
    if (code < 0)
        json_object_set_new(r->counts, service, json_integer(before));
    return code;
}

static void add_variable(struct workload *w, struct arena *a, int64_t count)
{
    struct workload_env *list = arena_alloc(a, (w->n_environment + 1) * sizeof(*list));
    if (w->n_environment)
        memcpy(list, w->environment, w->n_environment * sizeof(*list));
    list[w->n_environment] = (struct workload_env){RESTARTS_VARIABLE, arena_printf(a, "%lld", (long long)count)};
    w->environment = list;
    w->n_environment++;
}

void restarts_apply(const struct restarts *r, struct workload_list *list)
{
    for (size_t i = 0; i < list->n; i++) {
        const char *role = workload_label(&list->items[i], BLUEPRINT_ROLE),
                   *service = workload_label(&list->items[i], BLUEPRINT_SERVICE);
        int64_t count = service ? json_integer_value(json_object_get(r->counts, service)) : 0;
        if (role && !strcmp(role, "clickhouse") && count > 0)
            add_variable(&list->items[i], list->arena, count);
    }
}
