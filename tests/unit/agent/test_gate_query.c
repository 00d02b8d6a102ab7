/* The gate's allow-list: useful statements pass, every row of the leak list and every trick we know is refused. */
#include "../test.h"

#include "agent/gate/query.h"
#include "base/buf.h"

static int check(const char *text, unsigned classes)
{
    struct err err = ERR_INIT;
    int r = gate_query_check(text, strlen(text), classes, &err);
    if (r < 0)
        assert_true(err.message[0] != '\0');
    return r;
}

static void passes(const char *text)
{
    struct err err = ERR_INIT;
    if (gate_query_check(text, strlen(text), GATE_QUERY_DIAG, &err) < 0)
        fail_msg("%s: %s", text, err.message);
}

static void refused(const char *text)
{
    if (check(text, GATE_QUERY_DIAG) == 0)
        fail_msg("passed: %s", text);
}

static void useful_statements_pass(void **state)
{
    static const char *const good[] = {
        "SELECT 1",
        "select * from ownhouse_diag.tables",
        "SELECT database, table, count() AS n, formatReadableSize(sum(bytes_on_disk)) AS size FROM ownhouse_diag.parts "
        "WHERE active GROUP BY database, table ORDER BY sum(bytes_on_disk) DESC LIMIT 20",
        "SELECT name, value FROM ownhouse_diag.errors WHERE last_error_time > now() - INTERVAL 1 HOUR",
        "WITH big AS (SELECT database, table FROM ownhouse_diag.parts WHERE rows > 1000) SELECT count() FROM big",
        "WITH 3 AS few, a AS (SELECT table FROM ownhouse_diag.parts), b AS (SELECT table FROM a) SELECT count() FROM b "
        "WHERE table IN (SELECT table FROM a) LIMIT 5",
        "SELECT p.table, m.elapsed FROM ownhouse_diag.parts AS p JOIN ownhouse_diag.merges AS m ON p.table = m.table",
        "SELECT table FROM ownhouse_diag.parts WHERE database IN ('a', 'b') AND table NOT IN (SELECT name FROM "
        "ownhouse_diag.tables)",
        "SELECT 1 UNION ALL SELECT 2",
        "SELECT quantile(0.9)(elapsed) FROM ownhouse_diag.merges",
        "SELECT count() FROM (SELECT * FROM ownhouse_diag.columns)",
        "SELECT CASE WHEN active THEN 'a' ELSE 'b' END AS x FROM ownhouse_diag.parts LIMIT 1 BY table",
        "SELECT row_number() OVER (PARTITION BY database ORDER BY rows DESC) AS n FROM ownhouse_diag.parts",
        "SELECT 'it''s \\' a string; -- no comment' AS s",
    };
    for (size_t i = 0; i < ARRAY_SIZE(good); i++)
        passes(good[i]);
}

/* One statement or more for each row of the list of what was seen to leak on the real engine. */
static void leak_list_is_refused(void **state)
{
    static const char *const bad[] = {
        /* 1, 13: system tables themselves */
        "SELECT * FROM system.tables",
        "SELECT * FROM `system`.tables",
        "SELECT * FROM \"system\".\"tables\"",
        "SELECT name FROM system.users",
        "SELECT * FROM ownhouse_diag.zookeeper",
        /* 2, 3, 4, 5: columns that carry literals */
        "SELECT command FROM ownhouse_diag.mutations",
        "SELECT partition FROM ownhouse_diag.parts",
        "SELECT create_table_query FROM ownhouse_diag.tables",
        "SELECT last_error_message FROM ownhouse_diag.errors",
        "SHOW CREATE TABLE cust.orders",
        /* 6: column oracle */
        "SELECT hasColumnInTable('cust', 'orders', 'card')",
        /* 7: files */
        "SELECT file('/etc/passwd')",
        "SELECT * FROM file('/etc/passwd')",
        /* 8 */
        "SELECT * FROM remote('127.0.0.1', cust.orders)",
        "SELECT * FROM cluster('default', cust.orders)",
        "SELECT * FROM url('http://127.0.0.1/', CSV)",
        "SELECT * FROM s3('http://127.0.0.1/')",
        "SELECT * FROM executable('x', CSV, 'a String')",
        "SELECT * FROM dictionary('cust.d')",
        "SELECT * FROM loop(cust.orders)",
        "SELECT * FROM mergeTreeIndex('cust', 'orders')",
        "EXPLAIN PLAN SELECT 1",
        "SELECT dictGet('cust.d', 'card', 1)",
        "INSERT INTO FUNCTION url('http://127.0.0.1/') SELECT 1",
        "SYSTEM FLUSH LOGS",
        "CREATE TABLE x (a Int8) ENGINE = Memory",
        "SELECT addressToLine(1)",
        /* 9 */
        "SELECT * FROM merge('system', '.*')",
        "SELECT * FROM view(SELECT * FROM system.tables)",
        "SELECT * FROM viewIfPermitted(SELECT 1 ELSE null('a Int8'))",
        "SELECT * FROM numbers(1000000000000)",
        "EXPLAIN AST SELECT * FROM cust.orders",
        "SELECT sleep(3)",
        "SELECT sleepEachRow(3)",
        "KILL QUERY WHERE 1",
        "SELECT * FROM system.stack_trace",
        /* 10: settings */
        "SELECT 1 SETTINGS log_queries = 0",
        "SET log_queries = 0",
        "SELECT * FROM ownhouse_diag.parts SETTINGS readonly = 0",
        /* surroundings */
        "SELECT getSetting('max_threads')",
        "SELECT getMacro('x')",
        "SELECT hostName()",
        "SELECT joinGet('cust.j', 'a', 1)",
        "SELECT reverseDNSQuery('127.0.0.1')",
        "SELECT currentUser()",
    };
    for (size_t i = 0; i < ARRAY_SIZE(bad); i++)
        refused(bad[i]);
}

static void tricks_are_refused(void **state)
{
    static const char *const bad[] = {
        "",
        " ",
        "SELECT 1; SELECT 2",
        "SELECT 1;",
        "SELECT 1 FORMAT Native",
        "SELECT 1 INTO OUTFILE '/tmp/x'",
        "SELECT 1 -- comment\n",
        "SELECT /* x */ 1",
        "SELECT 1 # x",
        "SELECT $$x$$",
        "SELECT {x:String}",
        "SELECT @@version",
        "SELECT x'41'",
        "SELECT b'01'",
        "SELECT 0x41",
        "SELECT 1e3",
        "SELECT 1 AS settings FROM ownhouse_diag.parts settings readonly = 0",
        "SELECT 1 AS system, 2 AS users FROM ownhouse_diag.parts, system.users",
        "SELECT 1 AS system",
        "SELECT 1 AS orders FROM orders",
        "SELECT 1 AS orders FROM ownhouse_diag.parts AS cust WHERE 1 IN cust.orders",
        "SELECT 1 AS orders FROM ownhouse_diag.parts AS cust WHERE 1 IN (cust.orders)",
        "SELECT 1 AS orders FROM ownhouse_diag.parts AS cust WHERE 1 IN (orders)",
        "SELECT 1 AS orders FROM ownhouse_diag.parts AS cust WHERE 1 IN ((cust.orders))",
        "SELECT * FROM ownhouse_diag.parts, cust.orders",
        "SELECT * FROM ownhouse_diag.parts JOIN cust.orders USING (table)",
        "SELECT * FROM ownhouse_diag.parts.x",
        "SELECT * FROM ownhouse_diag . parts AS p ARRAY JOIN [1] AS x",
        "SELECT * FROM (ownhouse_diag.parts)",
        "SELECT * FROM ownhouse_diag",
        "SELECT * FROM ownhouse_diag.parts FINAL",
        "SELECT * FROM ownhouse_diag.parts SAMPLE 1",
        "SELECT COLUMNS('.*') FROM ownhouse_diag.parts",
        "SELECT * EXCEPT (rows) FROM ownhouse_diag.parts",
        "SELECT * APPLY(hex) FROM ownhouse_diag.parts",
        "FROM system.tables SELECT *",
        "(SELECT 1)",
        "SELECT (1",
        "SELECT 1)",
        "SELECT 'open",
        "SELECT 'open\\",
        "SELECT \xc3\xa9",
        "SELECT \xef\xbc\x87x",
        "SELECT 1 PARALLEL WITH SELECT 2",
        "SELECT a.b.c FROM ownhouse_diag.parts AS a",
        "WITH system AS (SELECT 1) SELECT * FROM system",
        "WITH x AS (SELECT * FROM cust.orders) SELECT * FROM x",
        "SELECT count FROM ownhouse_diag.parts AS format",
        /* the name of a query, where the engine would take it for a table of the customer's */
        "WITH users AS (SELECT * FROM users) SELECT * FROM users",
        "WITH a AS (SELECT * FROM users), users AS (SELECT 1) SELECT * FROM a",
        "SELECT * FROM users JOIN (WITH users AS (SELECT 1) SELECT 1 AS one) AS s ON 1",
        "SELECT * FROM (WITH users AS (SELECT 1) SELECT * FROM users)",
        "SELECT 1 UNION ALL WITH users AS (SELECT 1) SELECT * FROM users",
        "WITH users AS (SELECT (SELECT count() FROM users)) SELECT * FROM users",
        "SELECT 1 AS users, (SELECT count() FROM users) AS n",
        "DESCRIBE ownhouse_diag.parts",
        "SELECT throwIf(1)",
        "SELECT query FROM ownhouse_diag.processes",
    };
    for (size_t i = 0; i < ARRAY_SIZE(bad); i++)
        refused(bad[i]);
    assert_int_equal(gate_query_check("SELECT 1\0 FROM x", 15, 0, NULL), -EACCES);
}

static void query_text_needs_its_target(void **state)
{
    static const char text[] = "SELECT query FROM ownhouse_querytext.processes";
    assert_int_equal(check(text, GATE_QUERY_DIAG), -EACCES);
    assert_int_equal(check(text, GATE_QUERY_TEXT), 0);
}

static void sizes_are_bounded(void **state)
{
    autobuf struct buf b = BUF_INIT;
    buf_adds(&b, "SELECT ");
    for (int i = 0; i < 30; i++)
        buf_addc(&b, '(');
    assert_int_equal(check(b.data, 0), -EMSGSIZE);
    buf_free(&b);
    buf_adds(&b, "SELECT 1");
    for (int i = 0; i < 2000; i++)
        buf_adds(&b, "+1");
    assert_int_equal(check(b.data, 0), -EMSGSIZE);
    while (b.len <= GATE_QUERY_MAX)
        buf_addc(&b, ' ');
    assert_int_equal(check(b.data, 0), -EMSGSIZE);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(useful_statements_pass), cmocka_unit_test(leak_list_is_refused),
        cmocka_unit_test(tricks_are_refused),     cmocka_unit_test(query_text_needs_its_target),
        cmocka_unit_test(sizes_are_bounded),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
