/* Prints the operator's statements and grants, the gate's, and the settings that a running server takes, for tests that
 * try them on the real engine. */
#include "base/js.h"
#include "blueprint/diag.h"
#include "blueprint/grant_user.h"
#include "blueprint/operator_sql.h"
#include "blueprint/settings.h"

static void gate_statement(json_t *list, struct buf *sql)
{
    json_array_append_new(list, json_string(sql->data));
    buf_free(sql);
}

/* What the gate sends about a grant's user, in its order, and what it may do. */
static json_t *gate(void)
{
    static const char hash[] = "2bb80d537b1da3e38bd30361aa855686bde0eacd7162fef6a25fe97bf527a25b";
    char name[GRANT_USER_SIZE];
    json_t *grants = json_array(), *statements = json_array();
    struct buf sql = BUF_INIT;
    for (size_t i = 0; grant_user_grants[i]; i++)
        json_array_append_new(grants, json_string(grant_user_grants[i]));
    grant_user_name("0a7b4c1e-5f0e-4a57-9c3b-2f0d9d1b6c11", name);
    grant_user_drop(name, &sql);
    gate_statement(statements, &sql);
    grant_user_create(name, hash, INT64_C(4102444800000), &sql);
    gate_statement(statements, &sql);
    grant_user_grant(name, DIAG_DATABASE, &sql);
    gate_statement(statements, &sql);
    grant_user_grant(name, DIAG_TEXT_DATABASE, &sql);
    gate_statement(statements, &sql);
    grant_user_kill(name, &sql);
    gate_statement(statements, &sql);
    return json_pack("{s:s, s:o, s:o}", "user", name, "grants", grants, "statements", statements);
}

int main(void)
{
    autojson json_t *all = json_pack("{s:[], s:[], s:[], s:o}", "statements", "grants", "settings", "gate", gate());
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
