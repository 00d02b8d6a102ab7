/* Which class a change of the desired document is. */
#include "consent/fields.h"

#include "base/buf.h"

const struct field_class field_classes[] = {
    {"type", OPERATION_HARMLESS, "says what the document is"},
    {"v", OPERATION_HARMLESS, "says what the document is"},
    {"infrastructure", OPERATION_HARMLESS, "checked against the agent's own"},
    {"version", OPERATION_HARMLESS, "only upwards"},
    {"issuedAt", OPERATION_HARMLESS, "a time"},
    {"domain", OPERATION_EXPOSING, "the names under which services are reached"},
    {"services[].id", OPERATION_HARMLESS, "what services are matched by"},
    {"services[].ordinal", OPERATION_HARMLESS, "a number inside the data plane"},
    {"services[].name", OPERATION_HARMLESS, "for people"},
    {"services[].slug", OPERATION_EXPOSING, "the name under which it is reached"},
    {"services[].state", OPERATION_HARMLESS, "starting and stopping; deleted is destructive"},
    {"services[].deleteData", OPERATION_DESTRUCTIVE, "whether data go"},
    {"services[].replicas", OPERATION_HARMLESS, "size"},
    {"services[].memoryGb", OPERATION_HARMLESS, "size"},
    {"services[].settings", OPERATION_HARMLESS, "the agent knows none that reaches outside (blueprint/settings.h)"},
    {"services[].upgradeWindow", OPERATION_HARMLESS, "when a new version is taken up, not which"},
    {"services[].schedule", OPERATION_HARMLESS, "size, sleep and settings by the hour"},
    {"services[].idle", OPERATION_HARMLESS, "when it sleeps, and that it wakes; who connects is served all the same"},
    {"services[].backup", OPERATION_DESTRUCTIVE, "how long backups are kept, and whether new ones are made"},
    {"services[].backupAsked", OPERATION_HARMLESS, "one more backup, into the owner's own bucket"},
    {"services[].restore", OPERATION_EXPOSING, "whose data a new service begins with"},
    {"services[].users", OPERATION_EXPOSING, "who may log in, with which password"},
    {"services[].ipAccessList", OPERATION_EXPOSING, "from where it is reached"},
    {"services[].queryEndpoint", OPERATION_EXPOSING, "which API keys may send queries"},
    {0},
};

/* What is not in the table could do anything. */
static enum operation_class class_of(const char *prefix, const char *key)
{
    char path[200];
    snprintf(path, sizeof(path), "%s%.150s", prefix, key);
    for (const struct field_class *f = field_classes; f->path; f++)
        if (!strcmp(f->path, path))
            return f->class;
    return OPERATION_EXPOSING;
}

struct diff {
    json_t *changes;
    enum operation_class worst;
};

static void add(struct diff *d, const char *path, enum operation_class class, const json_t *before, const json_t *after)
{
    json_t *o = json_object();
    json_object_set_new(o, "path", json_string(path));
    json_object_set_new(o, "class", json_string(operation_class_names[class]));
    json_object_set_new(o, "before", before ? json_deep_copy(before) : json_null());
    json_object_set_new(o, "after", after ? json_deep_copy(after) : json_null());
    json_array_append_new(d->changes, o);
    d->worst = MAX(d->worst, class);
}

static bool is_deleted(const json_t *service)
{
    const char *state = json_string_value(json_object_get(service, "state"));
    return state && !strcmp(state, "deleted");
}

static bool same(const json_t *a, const json_t *b)
{
    return (!a && !b) || (a && b && json_equal(a, b));
}

static enum operation_class service_field(const char *key, const json_t *before, const json_t *after)
{
    if (!strcmp(key, "state"))
        return is_deleted(after) && !is_deleted(before) ? OPERATION_DESTRUCTIVE : OPERATION_HARMLESS;
    /* That data stay is what stands when nothing is said. */
    if (!strcmp(key, "deleteData") && !json_is_true(json_object_get(after, key)))
        return OPERATION_HARMLESS;
    return class_of("services[].", key);
}

static void diff_service(struct diff *d, const char *id, const json_t *before, const json_t *after)
{
    const char *key;
    json_t *value;
    char path[300];
    json_object_foreach((json_t *)(uintptr_t)after, key, value)
    {
        const json_t *old = json_object_get(before, key);
        enum operation_class class = service_field(key, before, after);
        if (same(old, value) || class == OPERATION_HARMLESS)
            continue;
        snprintf(path, sizeof(path), "services[%s].%.150s", id, key);
        add(d, path, class, old, value);
    }
    json_object_foreach((json_t *)(uintptr_t)before, key, value)
    {
        enum operation_class class = service_field(key, before, after);
        if (json_object_get(after, key) || class == OPERATION_HARMLESS)
            continue;
        snprintf(path, sizeof(path), "services[%s].%.150s", id, key);
        add(d, path, class, value, NULL);
    }
}

static const json_t *service_by_id(const json_t *document, const char *id)
{
    const json_t *list = json_object_get(document, "services");
    for (size_t i = 0; i < json_array_size(list); i++) {
        const char *other = json_string_value(json_object_get(json_array_get(list, i), "id"));
        if (other && !strcmp(other, id))
            return json_array_get(list, i);
    }
    return NULL;
}

static void diff_services(struct diff *d, const json_t *before, const json_t *after)
{
    const json_t *list = json_object_get(after, "services");
    char path[100];
    for (size_t i = 0; i < json_array_size(list); i++) {
        const json_t *s = json_array_get(list, i);
        const char *id = json_string_value(json_object_get(s, "id"));
        diff_service(d, id ? id : "?", id ? service_by_id(before, id) : NULL, s);
    }
    list = json_object_get(before, "services");
    for (size_t i = 0; i < json_array_size(list); i++) {
        const json_t *s = json_array_get(list, i);
        const char *id = json_string_value(json_object_get(s, "id"));
        if (!id || is_deleted(s) || service_by_id(after, id))
            continue;
        snprintf(path, sizeof(path), "services[%.40s]", id);
        add(d, path, OPERATION_DESTRUCTIVE, s, NULL);
    }
}

void fields_diff(const json_t *before, const json_t *after, json_t **ret, enum operation_class *ret_worst)
{
    struct diff d = {json_array(), OPERATION_HARMLESS};
    const char *key;
    json_t *value;
    json_object_foreach((json_t *)(uintptr_t)after, key, value)
    {
        const json_t *old = json_object_get(before, key);
        enum operation_class class = class_of("", key);
        if (!strcmp(key, "services") || same(old, value) || class == OPERATION_HARMLESS)
            continue;
        add(&d, key, class, old, value);
    }
    json_object_foreach((json_t *)(uintptr_t)before, key,
                        value) if (strcmp(key, "services") && !json_object_get(after, key))
    {
        enum operation_class class = class_of("", key);
        if (class != OPERATION_HARMLESS)
            add(&d, key, class, value, NULL);
    }
    diff_services(&d, before, after);
    *ret = d.changes;
    *ret_worst = d.worst;
}
