"""A second engine judges the gate's list: its user may read ownhouse_diag and nothing else, on canary data of its own. Whatever the list
lets through must run there, or fail for another reason than missing rights; what leaks must not get through the list."""
import os
import random
import subprocess

import pytest

from engine_server import PROGRAM, Server, library

LIST = PROGRAM.parents[2] / "tests/scenario/programs/gate-list"
CANARIES = ("canary-mail@corp.example", "5500-canary-card", "canary-comment", "canary-default", "canarybucketkey")
NO_RIGHTS = 497

# What was seen to leak or to reach further when a user had rights on system tables (one or more a row of the list in docs/security.md).
LEAKS = """
SELECT * FROM system.tables
SELECT command FROM system.mutations
SELECT partition FROM system.parts
SELECT create_table_query FROM system.tables
SELECT last_error_message FROM system.errors
SELECT hasColumnInTable('cust', 'orders', 'card')
SELECT file('/etc/passwd')
SELECT * FROM file('/etc/passwd')
SELECT * FROM remote('127.0.0.1', cust.orders)
SELECT * FROM url('http://127.0.0.1/x', CSV, 'a String')
SELECT * FROM merge('cust', '.*')
SELECT * FROM merge('system', 'tables')
SELECT * FROM view(SELECT * FROM cust.orders)
SELECT * FROM viewIfPermitted(SELECT * FROM cust.orders ELSE null('email String'))
SELECT * FROM numbers(10)
SELECT * FROM loop(cust.orders)
SELECT * FROM mergeTreeIndex(cust, orders)
SELECT * FROM dictionary('cust.d')
SELECT dictGet('cust.d', 'card', 1)
EXPLAIN AST SELECT * FROM cust.orders
EXPLAIN PLAN SELECT * FROM cust.orders
SHOW CREATE TABLE cust.orders
DESCRIBE cust.orders
SELECT * FROM cust.orders
SELECT sleep(1)
SELECT getSetting('max_threads')
SELECT 1 SETTINGS readonly = 0
SET log_queries = 0
KILL QUERY WHERE 1
SELECT * FROM system.stack_trace
SELECT addressToLine(1)
INSERT INTO FUNCTION null('a Int8') SELECT 1
""".strip().splitlines()

GOOD = """
SELECT 1
SELECT * FROM ownhouse_diag.tables
SELECT * FROM ownhouse_diag.columns
SELECT * FROM ownhouse_diag.parts
SELECT * FROM ownhouse_diag.mutations
SELECT * FROM ownhouse_diag.errors
SELECT * FROM ownhouse_diag.processes
SELECT * FROM ownhouse_diag.dictionaries
SELECT * FROM ownhouse_diag.detached_parts
SELECT * FROM ownhouse_diag.data_skipping_indices
SELECT * FROM ownhouse_diag.projections
SELECT * FROM ownhouse_diag.replicas
SELECT * FROM ownhouse_diag.merge_tree_settings
SELECT database, table, count() AS n, formatReadableSize(sum(bytes_on_disk)) AS size FROM ownhouse_diag.parts GROUP BY database, table
WITH big AS (SELECT database, table FROM ownhouse_diag.parts WHERE rows > 0) SELECT count() FROM big
SELECT p.table, t.engine FROM ownhouse_diag.parts AS p JOIN ownhouse_diag.tables AS t ON p.table = t.name
SELECT name FROM ownhouse_diag.tables WHERE database IN ('cust') AND name NOT IN (SELECT table FROM ownhouse_diag.parts)
SELECT quantile(0.9)(rows) FROM ownhouse_diag.parts
SELECT row_number() OVER (PARTITION BY database ORDER BY rows DESC) AS n FROM ownhouse_diag.parts
SELECT CASE WHEN active THEN 'a' ELSE 'b' END AS x FROM ownhouse_diag.parts
""".strip().splitlines()


@pytest.fixture(scope="module")
def judge(tmp_path_factory):
    if not library():
        pytest.skip("skipped: embedded engine not available")
    home = tmp_path_factory.mktemp("judge")
    views = home / "diag.sql"
    views.write_text(subprocess.run([LIST, "--views"], capture_output=True, text=True, check=True).stdout)
    server = Server(home, startup_file=views)
    server.start()
    server.ok("CREATE DATABASE cust")
    server.ok("CREATE TABLE cust.orders (email String DEFAULT 'canary-default', card String, kind Enum8('canary-mail@corp.example' = 1))"
              " ENGINE = MergeTree PARTITION BY email ORDER BY card COMMENT 'canary-comment'")
    server.ok("INSERT INTO cust.orders VALUES ('canary-mail@corp.example', '5500-canary-card', 1)")
    server.ok("CREATE VIEW cust.vips AS SELECT * FROM cust.orders WHERE email = 'canary-mail@corp.example'")
    server.ok("CREATE DICTIONARY cust.d (id UInt64, card String) PRIMARY KEY id SOURCE(CLICKHOUSE(QUERY "
              "'SELECT 1, ''5500-canary-card''')) LAYOUT(FLAT()) LIFETIME(0)")
    server.ok("ALTER TABLE cust.orders UPDATE kind = 1 WHERE card = '5500-canary-card' SETTINGS mutations_sync = 0")
    server.query("SELECT toUInt64('5500-canary-card')")
    server.stop()
    server.config |= {"startup_file": "", "engine_grants": "SELECT ON ownhouse_diag.*"}
    server.write_config()
    server.start()
    yield server
    server.stop()


def verdicts(statements):
    """What the list says of each."""
    said = subprocess.run([LIST], input="".join(s + "\0" for s in statements), capture_output=True, text=True, check=True).stdout
    lines = said.splitlines()
    assert len(lines) == len(statements)
    return lines


def ask(judge, statement):
    return judge.query(statement, database="ownhouse_diag", readonly="1", max_execution_time="10", max_result_rows="100000")


def test_the_judge_has_no_right_beside_the_views(judge):
    assert judge.query("SELECT * FROM cust.orders").code == NO_RIGHTS
    assert judge.ok("SELECT count() FROM ownhouse_diag.tables WHERE database = 'cust'").strip() == "3"


def test_useful_statements_pass_and_run(judge):
    assert verdicts(GOOD) == ["pass"] * len(GOOD)
    for statement in GOOD:
        reply = ask(judge, statement)
        assert reply.status == 200, (statement, reply.text)
        for canary in CANARIES:
            assert canary not in reply.text, (canary, statement)


def test_the_leak_list_does_not_pass(judge):
    for statement, verdict in zip(LEAKS, verdicts(LEAKS)):
        assert verdict != "pass", statement


def test_no_view_shows_a_canary(judge):
    names = judge.ok("SELECT name FROM ownhouse_diag.tables WHERE database = 'ownhouse_diag'").split()
    assert len(names) > 20
    for name in names:
        reply = ask(judge, f"SELECT * FROM ownhouse_diag.{name}")
        assert reply.status == 200, reply.text
        for canary in CANARIES:
            assert canary not in reply.text, (canary, name)


PIECES = ["SELECT", "*", "1", "name", "table", "FROM", "ownhouse_diag.tables", "ownhouse_diag.parts", "cust.orders", "system.tables",
          "orders", "system", "cust", "AS", "WITH", "(", ")", ",", "IN", "NOT", "JOIN", "ON", "=", "'x'", "USING", "UNION ALL", "WHERE",
          "GROUP BY", "ORDER BY", "LIMIT 1", "count()", "view", "merge", "file", "x", "t", ".", "[", "]", "CROSS", "OVER", "ANY", "LEFT",
          "PARTITION BY", "arrayJoin", "->", "numbers", "remote", "SETTINGS", "FORMAT", "INTO", "OUTFILE", "tables", "parts", "CASE",
          "WHEN", "THEN", "END", "INTERVAL", "DAY", "EXISTS", "ARRAY JOIN", "SAMPLE", "FINAL", "columns", "database"]


def mutate(rng):
    """A statement made by bending a good one: words swapped, doubled, taken out, put in."""
    words = rng.choice(GOOD + LEAKS).replace("(", " ( ").replace(")", " ) ").replace(",", " , ").split()
    for _ in range(rng.randint(1, 6)):
        at = rng.randrange(len(words) + 1)
        kind = rng.random()
        if kind < 0.5:
            words.insert(at, rng.choice(PIECES))
        elif kind < 0.8 and at < len(words):
            words[at] = rng.choice(PIECES)
        elif at < len(words) and len(words) > 2:
            del words[at]
    return " ".join(words)


def test_what_the_list_lets_through_needs_no_other_right(judge):
    """Bent statements by the thousand: those that pass never meet a missing right, and never show a canary."""
    seed = int(os.environ.get("OWNHOUSE_SEED", random.randrange(1 << 32)))
    print("OWNHOUSE_SEED", seed)
    rng = random.Random(seed)
    count = 400_000 if os.environ.get("OWNHOUSE_TEST_LONG") else 40_000
    statements = list({mutate(rng) for _ in range(count)})
    passed = [s for s, v in zip(statements, verdicts(statements)) if v == "pass"]
    assert len(passed) > 50
    for statement in passed[: 20_000 if os.environ.get("OWNHOUSE_TEST_LONG") else 1500]:
        reply = ask(judge, statement)
        assert reply.code != NO_RIGHTS, (statement, reply.text)
        assert "UNKNOWN_DATABASE" not in reply.text, (statement, reply.text)
        for canary in CANARIES:
            assert canary not in reply.text, (canary, statement)
