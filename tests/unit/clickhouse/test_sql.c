/* clickhouse/sql: what a statement is and where its data and result go. */
#include "../test.h"

#include "clickhouse/sql.h"

static struct sql scanned(const char *text)
{
    struct sql s;
    struct err err = ERR_INIT;
    int code;
    if (sql_scan(text, strlen(text), true, &s, &code, &err) < 0)
        fail_msg("%s: %s", text, err.message);
    return s;
}

static void kinds(void **state)
{
    static const struct {
        const char *text;
        enum sql_kind kind;
    } cases[] = {
        {"", SQL_EMPTY},
        {" -- nothing\n/* here */ # either", SQL_EMPTY},
        {"select 1", SQL_SELECT},
        {"/* c */ WITH 1 AS x SELECT x", SQL_SELECT},
        {"((SELECT 1)) UNION ALL SELECT 2", SQL_SELECT},
        {"FROM t SELECT a", SQL_SELECT},
        {"WITH 1 AS x INSERT INTO t SELECT x", SQL_INSERT},
        {"insert into t values", SQL_INSERT},
        {"SHOW TABLES", SQL_SHOW},
        {"EXPLAIN SELECT 1", SQL_SHOW},
        {"SET a = 1", SQL_SESSION},
        {"KILL QUERY WHERE 1", SQL_KILL},
        {"CREATE TABLE t (a int) ENGINE = Memory;", SQL_OTHER},
        {"SELECTED", SQL_OTHER},
    };
    for (size_t i = 0; i < ARRAY_SIZE(cases); i++)
        if (scanned(cases[i].text).kind != cases[i].kind)
            fail_msg("%s: %s", cases[i].text, sql_kind_name(scanned(cases[i].text).kind));
}

/* Text, and the same with the result led out: | stands for the INTO OUTFILE clause. */
static void leads_results_out(void **state)
{
    static const struct {
        const char *text, *want, *format;
    } cases[] = {
        {"SELECT 1", "SELECT 1|", ""},
        {"SELECT 1 ; -- done", "SELECT 1|", ""},
        {"SELECT 1 FORMAT JSON", "SELECT 1 |FORMAT JSON", "JSON"},
        {"SELECT 1 -- x\n format `CSV` ;", "SELECT 1 -- x\n |format `CSV`", "CSV"},
        {"SELECT 1 SETTINGS a=1", "SELECT 1 |SETTINGS a=1", ""},
        {"SELECT 1 SETTINGS a=1 FORMAT CSV", "SELECT 1 |SETTINGS a=1 FORMAT CSV", "CSV"},
        {"SELECT 1 FORMAT CSV SETTINGS a=1", "SELECT 1 |FORMAT CSV SETTINGS a=1", "CSV"},
        {"SELECT 1 SETTINGS b=2 FORMAT CSV SETTINGS a=1", "SELECT 1 SETTINGS b=2 |FORMAT CSV SETTINGS a=1", "CSV"},
        {"SELECT 1 SETTINGS a=1 UNION ALL SELECT 2", "SELECT 1 SETTINGS a=1 UNION ALL SELECT 2|", ""},
        {"SELECT format FROM t", "SELECT format FROM t|", ""},
        {"SELECT 1 AS format", "SELECT 1 AS format|", ""},
        {"SELECT Settings FROM system.processes", "SELECT Settings FROM system.processes|", ""},
        {"SELECT * FROM format", "SELECT * FROM format|", ""},
        {"SELECT 'FORMAT x' FORMAT TSV", "SELECT 'FORMAT x' |FORMAT TSV", "TSV"},
        {"SELECT (SELECT 1 FORMAT JSON)", "SELECT (SELECT 1 FORMAT JSON)|", ""},
        {"SELECT $q$ it's ; FORMAT x $q$", "SELECT $q$ it's ; FORMAT x $q$|", ""},
        {"SELECT {p:String}, `a;b`, \"c'\" FROM t", "SELECT {p:String}, `a;b`, \"c'\" FROM t|", ""},
    };
    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        autobuf struct buf got = BUF_INIT, want = BUF_INIT;
        struct sql s = scanned(cases[i].text);
        const char *mark = strchr(cases[i].want, '|');
        sql_lead_out(&s, cases[i].text, 7, &got);
        buf_add(&want, cases[i].want, (size_t)(mark - cases[i].want));
        buf_printf(&want, "\nINTO OUTFILE '/dev/fd/7' APPEND COMPRESSION 'none' %s", mark + 1);
        assert_string_equal(got.data, want.data);
        assert_string_equal(s.format, cases[i].format);
    }
}

static void leads_data_in(void **state)
{
    static const struct {
        const char *text, *before, *after, *data;
    } cases[] = {
        {"INSERT INTO t FORMAT CSV\n1,2", "INSERT INTO t ", "FORMAT CSV", "1,2"},
        {"INSERT INTO t (a, `b c`) FORMAT JSONEachRow {}", "INSERT INTO t (a, `b c`) ", "FORMAT JSONEachRow", "{}"},
        {"insert into db.t values (1)", "insert into db.t ", "FORMAT Values", " (1)"},
        {"INSERT INTO TABLE `x`.\"y\" (values, format) VALUES(2)", "INSERT INTO TABLE `x`.\"y\" (values, format) ",
         "FORMAT Values", "(2)"},
        {"INSERT INTO values FORMAT TSV\r\nq", "INSERT INTO values ", "FORMAT TSV", "q"},
        {"INSERT INTO t SETTINGS async_insert=1 FORMAT CSV \n\n1", "INSERT INTO t ",
         "SETTINGS async_insert=1 FORMAT CSV", "\n1"},
        {"INSERT INTO t (with, select) FORMAT CSV\n", "INSERT INTO t (with, select) ", "FORMAT CSV", ""},
    };
    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        autobuf struct buf got = BUF_INIT, want = BUF_INIT;
        struct sql s = scanned(cases[i].text);
        assert_true(s.has_data && !s.from_input && !s.more);
        sql_lead_in(&s, cases[i].text, 5, &got);
        buf_printf(&want, "%s\nFROM INFILE '/dev/fd/5' COMPRESSION 'none' %s", cases[i].before, cases[i].after);
        assert_string_equal(got.data, want.data);
        assert_string_equal(cases[i].text + s.data_at, cases[i].data);
    }
}

static void insert_without_data(void **state)
{
    assert_false(scanned("INSERT INTO t SELECT * FROM x FORMAT CSV").has_data);
    assert_false(scanned("INSERT INTO t (a) (SELECT 1)").has_data);
    assert_false(scanned("INSERT INTO t WITH 1 AS x SELECT x").has_data);
    assert_false(scanned("INSERT INTO t").has_data);
}

static void input_goes_through_a_table(void **state)
{
    const char *text = "INSERT INTO t SELECT a FROM input('a String, b Enum(\\'x\\' = 1)') WHERE a != '' FORMAT CSV\n1";
    autobuf struct buf table = BUF_INIT, insert = BUF_INIT, select = BUF_INIT;
    struct sql s = scanned(text);
    struct err err = ERR_INIT;
    int code = 0;

    assert_true(s.has_data && s.from_input);
    assert_string_equal(text + s.data_at, "1");
    assert_int_equal(sql_input_table(&s, text, &table, &code, &err), 0);
    sql_input_insert(&s, &insert);
    sql_input_select(&s, text, &select);
    assert_string_equal(table.data,
                        "CREATE TEMPORARY TABLE _ownhouse_input (a String, b Enum('x' = 1)) ENGINE = Memory");
    assert_string_equal(insert.data, "INSERT INTO _ownhouse_input FORMAT CSV\n");
    assert_string_equal(select.data, "INSERT INTO t SELECT a FROM _ownhouse_input WHERE a != '' ");
}

static void input_cannot_smuggle_a_statement(void **state)
{
    const char *text = "INSERT INTO t SELECT a FROM input('a int) ENGINE=Memory; SELECT 1 INTO OUTFILE \\'/x\\' -- ') "
                       "FORMAT CSV\n1";
    autobuf struct buf table = BUF_INIT;
    struct sql s = scanned(text);
    struct err err = ERR_INIT;
    int code = 0;
    assert_int_equal(sql_input_table(&s, text, &table, &code, &err), -EINVAL);
    assert_int_equal(code, 62);
    s = scanned("INSERT INTO t SELECT * FROM input() FORMAT CSV\n1");
    assert_int_equal(sql_input_table(&s, text, &table, &code, &err), -EINVAL);
    assert_int_equal(code, 36);
}

static void waits_for_more(void **state)
{
    static const char *const open[] = {
        "",
        " ",
        "INS",
        "INSERT INTO t FORM",
        "INSERT INTO t FORMAT",
        "INSERT INTO t FORMAT CS",
        "INSERT INTO t FORMAT CSV",
        "INSERT INTO t FORMAT CSV\n",
        "INSERT INTO t (a, 'x",
        "INSERT INTO t VALUES",
        "SELECT 1",
        "INSERT INTO t SELECT 1 FROM",
    };
    struct sql s;
    int code;
    for (size_t i = 0; i < ARRAY_SIZE(open); i++) {
        assert_int_equal(sql_scan(open[i], strlen(open[i]), false, &s, &code, NULL), 0);
        if (!s.more)
            fail_msg("settled too early: %s", open[i]);
    }
    const char *text = "INSERT INTO t FORMAT CSV\n1";
    assert_int_equal(sql_scan(text, strlen(text), false, &s, &code, NULL), 0);
    assert_true(s.has_data && !s.more);
}

static void refusals(void **state)
{
    static const struct {
        const char *text;
        int code;
    } cases[] = {
        {"SELECT 1; SELECT 2", 62},
        {"DROP TABLE a; DROP TABLE b", 62},
        {"SELECT 1 INTO OUTFILE '/etc/x'", 358},
        {"EXPLAIN SELECT 1 /**/ INTO /**/ OUTFILE '/etc/x'", 358},
        {"INSERT INTO t FROM INFILE '/etc/passwd' FORMAT CSV", 78},
        {"SELECT file('/etc/passwd')", 497},
        {"SELECT `file` ('/etc/passwd')", 497},
        {"CREATE FUNCTION f AS x -> file(x)", 497},
        {"INSERT INTO t SELECT file('/x')", 497},
        {"CREATE TABLE f (s String) ENGINE = File(TSV, '/etc/passwd')", 497},
        {"CREATE TABLE f (s String) ENGINE `File`(TSV, '/etc/passwd')", 497},
        {"ATTACH TABLE f (s String) engine=SQLite('/x', 't')", 497},
        {"CREATE DATABASE f ENGINE = Filesystem('/')", 497},
        {"CREATE DICTIONARY d (a int) PRIMARY KEY a SOURCE(FILE(PATH '/x' FORMAT 'TSV'))", 497},
        {"CREATE TABLE t (a int) ENGINE = MergeTree ORDER BY a SETTINGS disk = disk(type = local, path = '/x')", 497},
        {"SYSTEM SHUTDOWN", 497},
        {"system /* now */ kill", 497},
        {"exit", 62},
        {"quit;", 62},
    };
    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        struct sql s;
        struct err err = ERR_INIT;
        int code = 0;
        if (sql_scan(cases[i].text, strlen(cases[i].text), true, &s, &code, &err) == 0)
            fail_msg("accepted: %s", cases[i].text);
        assert_int_equal(code, cases[i].code);
        assert_true(strlen(err.message) > 0);
    }
}

static void a_table_may_be_called_file(void **state)
{
    scanned("INSERT INTO file (a) VALUES (1)");
    scanned("CREATE TABLE IF NOT EXISTS file (a int) ENGINE = Memory");
    scanned("SELECT file, disk, source FROM db.file WHERE disk = 'disk'");
    scanned("CREATE TABLE t (source String) ENGINE = MergeTree ORDER BY source SETTINGS disk = 'bucket'");
    scanned("SELECT engine = File FROM x");
    scanned("BACKUP DATABASE d TO File('x')");
}

static void finds_the_killed_id(void **state)
{
    const char *text = "KILL QUERY WHERE user = 'x' AND query_id = 'abc' SYNC";
    struct sql s = scanned(text);
    assert_string_equal(s.kill_id, "abc");
    assert_int_equal(strncmp(text + s.kill_at, "query_id = 'abc'", s.kill_len), 0);
    assert_int_equal(scanned("KILL QUERY WHERE query_id LIKE 'a%'").kill_len, 0);
    assert_int_equal(scanned("KILL QUERY WHERE query_id = 'a\\'b'").kill_len, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(kinds),
        cmocka_unit_test(leads_results_out),
        cmocka_unit_test(leads_data_in),
        cmocka_unit_test(insert_without_data),
        cmocka_unit_test(input_goes_through_a_table),
        cmocka_unit_test(input_cannot_smuggle_a_statement),
        cmocka_unit_test(waits_for_more),
        cmocka_unit_test(refusals),
        cmocka_unit_test(a_table_may_be_called_file),
        cmocka_unit_test(finds_the_killed_id),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
