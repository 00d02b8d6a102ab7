/* Prints the operator's statements and grants, and the settings that a running server takes, for tests that try them on
 * the real engine. */
#include "base/js.h"
#include "blueprint/operator_sql.h"
#include "blueprint/settings.h"

int main(void)
{
    autojson json_t *all = json_pack("{s:[], s:[], s:[]}", "statements", "grants", "settings");
    for (size_t i = 0; i < operator_statements_count; i++) {
        const struct operator_statement *s = &operator_statements[i];
        json_array_append_new(json_object_get(all, "statements"),
                              json_pack("{s:s, s:i, s:s, s:s, s:b}", "name", s->name, "duty", s->duty, "sql", s->sql,
                                        "what", s->what, "embedded", s->embedded));
    }
    for (size_t i = 0; i < operator_grants_count; i++) {
        const struct operator_grant *g = &operator_grants[i];
        json_array_append_new(json_object_get(all, "grants"),
                              json_pack("{s:i, s:s, s:s, s:b}", "duty", g->duty, "grant", g->grant, "why", g->why,
                                        "embedded", g->embedded));
    }
    for (size_t i = 0; i < settings_count; i++)
        if (settings_all[i].scope == SETTING_SERVER)
            json_array_append_new(
                json_object_get(all, "settings"),
                json_pack("{s:s, s:b}", "name", settings_all[i].name, "reloads", settings_all[i].reloads));
    return json_dumpf(all, stdout, JSON_COMPACT) < 0;
}
