/* control/controller/backup_records: the table of backups follows what agents report, and only of their own. */
#include "control/controller/backup_records.h"

#include "../test.h"

#define ORG "00000000-0000-4000-8000-000000000001"
#define INFRA "00000000-0000-4000-8000-000000000002"
#define ELSEWHERE "00000000-0000-4000-8000-000000000012"
#define SERVICE "00000000-0000-4000-8000-000000000003"
#define FOREIGN "00000000-0000-4000-8000-000000000013"
#define ONE "00000000-0000-4000-8000-0000000000a1"
#define TWO "00000000-0000-4000-8000-0000000000a2"

static void sql(struct store *s, const char *text)
{
    struct err err = ERR_INIT;
    if (store_exec(s, text, STORE_NO_ARGS, NULL, &err) < 0)
        fail_msg("%s: %s", text, err.message);
}

static int64_t number(struct store *s, const char *text)
{
    autorows struct store_rows *rows = NULL;
    assert_int_equal(store_query(s, text, STORE_NO_ARGS, &rows, NULL), 0);
    assert_int_equal(store_next(rows, NULL), 1);
    return store_column_int(rows, 0);
}

static void place(struct store *s, const char *infrastructure, const char *service)
{
    autofree char *one =
        mem_printf("INSERT INTO infrastructure (id, organization_id, account_id, name, display_name, "
                   "provider, region, cidr, zones, domain, config, state, want, created_at) VALUES ('%s', '" ORG
                   "', 'acc', '%s', 'x', 'local', 'l', '', '[]', 'd', '{}', 'infra-ready', 'present', 0)",
                   infrastructure, infrastructure);
    autofree char *two = mem_printf("INSERT INTO service (id, organization_id, infrastructure_id, name, slug, ordinal, "
                                    "state, want, spec, password_sha256, created_at, updated_at) VALUES ('%s', '" ORG
                                    "', '%s', 's', 's', 1, 'running', 'running', '{}', '', 0, 0)",
                                    service, infrastructure);
    sql(s, one);
    sql(s, two);
}

static struct store *open_store(const char *dir)
{
    struct store *s = NULL;
    autofree char *path = mem_printf("%s/control.db", dir);
    assert_int_equal(store_open(path, STORE_CREATE, &s, NULL), 0);
    sql(s, "INSERT INTO organization (id, name, created_at) VALUES ('" ORG "', 'o', 0)");
    sql(s, "INSERT INTO account (id, organization_id, name, provider, config, created_at) "
           "VALUES ('acc', '" ORG "', 'a', 'local', '{}', 0)");
    place(s, INFRA, SERVICE);
    place(s, ELSEWHERE, FOREIGN);
    return s;
}

static json_t *backup(const char *id, const char *service, const char *state, int finished)
{
    return json_pack("{ss ss ss ss si si si ss ss}", "id", id, "service", service, "base", "", "state", state,
                     "startedMs", 5, "finishedMs", finished, "bytes", finished ? 100 : 0, "drill", "", "error", "");
}

static void apply(struct store *s, const char *infrastructure, json_t *list)
{
    struct err err = ERR_INIT;
    if (backup_records_apply(s, infrastructure, list, &err) < 0)
        fail_msg("%s", err.message);
    json_decref(list);
}

static void rows_follow_the_reports(void **state)
{
    struct store *s = open_store(*state);
    apply(s, INFRA, json_pack("[o]", backup(ONE, SERVICE, "in_progress", 0)));
    assert_int_equal(number(s, "SELECT count(*) FROM backup WHERE state = 'in_progress' AND finished_at IS NULL"), 1);
    apply(s, INFRA, json_pack("[o]", backup(ONE, SERVICE, "done", 9)));
    assert_int_equal(number(s, "SELECT bytes FROM backup WHERE state = 'done' AND finished_at = 9"), 100);
    assert_int_equal(backup_records_apply(s, INFRA, NULL, NULL), 0); /* an agent that tells of none */
    assert_int_equal(number(s, "SELECT count(*) FROM backup"), 1);
    apply(s, INFRA, json_array());
    assert_int_equal(number(s, "SELECT count(*) FROM backup"), 0);
    store_close(s);
}

static void an_agent_speaks_for_its_own_only(void **state)
{
    struct store *s = open_store(*state);
    apply(s, INFRA, json_pack("[o]", backup(ONE, SERVICE, "done", 9)));
    apply(s, ELSEWHERE,
          json_pack("[ooo]", backup(ONE, FOREIGN, "error", 9), backup(TWO, SERVICE, "done", 9),
                    backup("../x", FOREIGN, "done", 9)));
    assert_int_equal(number(s, "SELECT count(*) FROM backup"), 1);
    assert_int_equal(number(s, "SELECT count(*) FROM backup WHERE infrastructure_id = '" INFRA "' AND state = 'done'"),
                     1);
    store_close(s);
}

static void what_was_asked_for_waits_with_its_service(void **state)
{
    struct store *s = open_store(*state);
    sql(s, "INSERT INTO backup (id, organization_id, infrastructure_id, service_id, state, base, started_at, bytes, "
           "drill, "
           "error) VALUES ('" TWO "', '" ORG "', '" INFRA "', '" SERVICE "', 'asked', '', 1, 0, '', '')");
    apply(s, INFRA, json_array());
    assert_int_equal(number(s, "SELECT count(*) FROM backup WHERE state = 'asked'"), 1);
    apply(s, INFRA, json_pack("[o]", backup(TWO, SERVICE, "in_progress", 0)));
    assert_int_equal(number(s, "SELECT count(*) FROM backup WHERE state = 'in_progress'"), 1);
    sql(s, "UPDATE backup SET state = 'asked'");
    sql(s, "UPDATE service SET want = 'deleted' WHERE id = '" SERVICE "'");
    apply(s, INFRA, json_array());
    assert_int_equal(number(s, "SELECT count(*) FROM backup"), 0);
    store_close(s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(rows_follow_the_reports, scratch_setup, scratch_teardown),
        cmocka_unit_test_setup_teardown(an_agent_speaks_for_its_own_only, scratch_setup, scratch_teardown),
        cmocka_unit_test_setup_teardown(what_was_asked_for_waits_with_its_service, scratch_setup, scratch_teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
