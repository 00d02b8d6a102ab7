/* ClickHouse settings of services: which there are, what is set, and setting them. */
#include "blueprint/settings.h"
#include "control/api/handlers.h"
#include "control/api/service_change.h"

#define FIELD "clickhouseSettings"
#define PATCH_MAX KIB(64)

static const char *text_of(const json_t *all, const char *name)
{
    return json_string_value(json_object_get(all, name));
}

static json_t *one_view(const char *name, const char *value)
{
    return json_pack("{s:s,s:s}", "name", name, "value", value);
}

int clickhouse_setting_list(struct api_request *q, struct err *err)
{
    autochange struct service_change c = {0};
    int r = service_change_read(q, &c, err);
    if (r < 0)
        return r;
    json_t *list = json_array();
    const json_t *stored = json_object_get(c.spec, FIELD);
    for (size_t i = 0; i < settings_count; i++) {
        const char *value = text_of(stored, settings_all[i].name);
        if (value)
            json_array_append_new(list, one_view(settings_all[i].name, value));
    }
    q->result = json_pack("{s:o}", "settings", list);
    return 0;
}

static json_t *schema_entry(const struct setting *s)
{
    json_t *v = json_pack("{s:s,s:s,s:s,s:s}", "name", s->name, "type", s->type == SETTING_TEXT ? "string" : "integer",
                          "description", s->description, "example", s->example);
    if (s->type == SETTING_FLAG)
        json_object_set_new(v, "enum", json_pack("[i,i]", 0, 1));
    if (s->warning)
        json_object_set_new(v, "warning", json_string(s->warning));
    return v;
}

int clickhouse_setting_schema(struct api_request *q, struct err *err)
{
    autochange struct service_change c = {0};
    int r = service_change_read(q, &c, err);
    if (r < 0)
        return r;
    json_t *list = json_array();
    for (size_t i = 0; i < settings_count; i++)
        json_array_append_new(list, schema_entry(&settings_all[i]));
    q->result = json_pack("{s:o}", "settings", list);
    return 0;
}

static int find(struct api_request *q, const struct setting **ret)
{
    *ret = setting_find(q->match.path[2]);
    return *ret ? 0 : api_missing(q, "setting that can be changed");
}

int clickhouse_setting_get(struct api_request *q, struct err *err)
{
    autochange struct service_change c = {0};
    const struct setting *s = NULL;
    int r = service_change_read(q, &c, err);
    if (r == 0)
        r = find(q, &s);
    if (r < 0)
        return r;
    const char *value = text_of(json_object_get(c.spec, FIELD), s->name);
    if (!value)
        return api_refuse(q, 404, "the setting %s is not set; it has its default", s->name);
    q->result = one_view(s->name, value);
    return 0;
}

/* The one form that is stored, in the arena; NULL if the value has no such form. */
static const char *canonical(struct api_request *q, const json_t *value)
{
    if (json_is_boolean(value))
        return json_is_true(value) ? "1" : "0";
    if (json_is_integer(value))
        return arena_printf(q->arena, "%lld", (long long)json_integer_value(value));
    return json_string_value(value);
}

static int take_one(struct api_request *q, const char *place, const char *name, const json_t *value, json_t *stored,
                    json_t *applied, json_t *warnings)
{
    const struct setting *s = setting_find(name);
    const char *text = canonical(q, value);
    struct err why = ERR_INIT;
    if (!s)
        return api_refuse(q, 400, "%s.%.64s: is not a setting that can be changed; the schema lists those that can",
                          place, name);
    if (!text)
        return api_refuse(q, 400, "%s.%s: must be a %s", place, name,
                          s->type == SETTING_TEXT ? "string" : "whole number");
    if (setting_check(s, text, &why) < 0)
        return api_refuse(q, 400, "%s.%s: %s", place, name, why.message);
    json_object_set_new(stored, name, json_string(text));
    json_object_set_new(applied, name, json_string(text));
    if (s->warning)
        json_array_append_new(warnings, json_pack("{s:s,s:s}", "name", name, "message", s->warning));
    return 0;
}

int clickhouse_settings_take(struct api_request *q, const char *place, const json_t *wanted, json_t **ret)
{
    autojson json_t *stored = json_object(), *applied = json_object(), *warnings = json_array();
    const char *name;
    json_t *value;
    json_object_foreach((json_t *)(uintptr_t)wanted, name, value)
    {
        int r = take_one(q, place, name, value, stored, applied, warnings);
        if (r < 0)
            return r;
    }
    *ret = TAKE_PTR(stored);
    return 0;
}

/* Written as a string in the published description, sent as an object by the official command line. */
static int parse(struct api_request *q, json_t **ret)
{
    const char *text = api_body_text(q, "settings");
    struct err why = ERR_INIT;
    if (!text) {
        *ret = json_incref(api_body(q, "settings"));
        return 0;
    }
    if (js_parse(text, strlen(text), PATCH_MAX, ret, &why) < 0)
        return api_refuse(q, 400, "settings: must be a JSON object written as a string: %s", why.message);
    if (!json_is_object(*ret))
        return api_refuse(q, 400, "settings: must be a JSON object written as a string");
    return 0;
}

int clickhouse_setting_update(struct api_request *q, struct err *err)
{
    autochange struct service_change c = {0};
    autojson json_t *wanted = NULL, *stored = NULL, *applied = json_object(), *warnings = json_array();
    const char *name;
    json_t *value;
    int r = service_change_begin(q, &c, err);
    if (r == 0)
        r = parse(q, &wanted);
    if (r < 0)
        return r;
    json_t *before = json_object_get(c.spec, FIELD);
    stored = before ? json_copy(before) : json_object();
    json_object_foreach(wanted, name, value)
    {
        r = take_one(q, "settings", name, value, stored, applied, warnings);
        if (r < 0)
            return r;
    }
    autofree char *text = js_text(applied);
    json_t *shown = api_body_text(q, "settings") ? json_string(text) : json_incref(applied);
    q->result = json_pack("{s:o,s:O}", "settings", shown, "warnings", warnings);
    if (json_object_size(wanted) == 0 || (before && json_equal(before, stored)))
        return 0;
    json_object_set(c.spec, FIELD, stored);
    return service_change_finish(q, &c, "service_update_clickhouse_settings", text, err);
}

int clickhouse_setting_reset(struct api_request *q, struct err *err)
{
    autochange struct service_change c = {0};
    const struct setting *s = NULL;
    int r = service_change_begin(q, &c, err);
    if (r == 0)
        r = find(q, &s);
    if (r < 0 || json_object_del(json_object_get(c.spec, FIELD), s->name) < 0)
        return r;
    return service_change_finish(q, &c, "service_update_clickhouse_settings",
                                 arena_printf(q->arena, "%s is as by default", s->name), err);
}
