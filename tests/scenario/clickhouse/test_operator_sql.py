"""The operator's own user on the real engine: each statement passes with its grants, and misses each grant that is taken away.

The embedded engine has one user a process, whose <grants> it enforces; so each trial is a process of its own on the same data. It has no
Keeper and reads system tables without a grant: what cannot be tried there is named in the table (src/blueprint/operator_sql.c) and
listed by docs/kubernetes.md."""
import json
import pathlib
import re
import shutil
import subprocess

import pytest

from engine_library import run
from engine_server import ROOT, library

TABLES = pathlib.Path(__import__("os").environ.get("OWNHOUSE_BUILD", ROOT / "build")) / "tests/scenario/programs/operator-tables"
pytestmark = [pytest.mark.skipif(not library(), reason="skipped: chdb not available"),
              pytest.mark.skipif(not TABLES.exists(), reason="the build has no operator-tables")]
LOOK, REPLICA, BACKUP, RESTORE = 1, 2, 4, 8
ALL = "GRANT ALL ON *.*"


@pytest.fixture(scope="module")
def tables():
    return json.loads(subprocess.run([TABLES], capture_output=True, check=True).stdout)


class Engine:
    def __init__(self, folder):
        self.folder = folder
        (folder / "backups").mkdir()

    def ask(self, grants, *statements):
        users, config = self.folder / "users.xml", self.folder / "config.xml"
        queries = "".join(f"<query>{g}</query>" for g in grants)
        users.write_text(f"<clickhouse><profiles><default/></profiles><quotas><default/></quotas><users><default><password/><networks>"
                         f"<ip>::/0</ip></networks><profile>default</profile><quota>default</quota><grants>{queries}</grants></default>"
                         f"</users></clickhouse>")
        config.write_text(f"<clickhouse><users_config>{users}</users_config><backups><allowed_path>{self.folder}/backups/</allowed_path>"
                          f"<allowed_disk>of_backups</allowed_disk></backups><storage_configuration><disks><of_backups><type>local</type>"
                          f"<path>{self.folder}/backups/</path></of_backups></disks></storage_configuration></clickhouse>")
        return run(library(), self.folder / "data", statements, config)


@pytest.fixture
def engine(tmp_path):
    e = Engine(tmp_path)
    made = e.ask([ALL], "CREATE DATABASE shop", "CREATE TABLE shop.orders (id UInt64) ENGINE = MergeTree ORDER BY id",
                 "INSERT INTO shop.orders SELECT number FROM numbers(1000)")
    assert all("ok" in m for m in made), made
    return e


def script(tables, folder, n, disk=False):
    """What a day of the operator says to an engine, as it says it; (name, statement)."""
    form = {s["name"]: s["sql"] for s in tables["statements"]}
    place = f"Disk('of_backups', 'b{n}')" if disk else f"File('{folder}/backups/b{n}')"

    def fill(name, *values):
        text = form[name]
        for v in values:
            text = text.replace("%s", v, 1)
        assert "%s" not in text
        return name, text.replace(" ASYNC", "")  # the outcome is then the answer
    return [fill("replica"), fill("readonly"), fill("databases"), fill("tables"), fill("figures", "`shop`.`orders`"),
            fill("backup", "`shop`", place, f"b{n}"), fill("backup-state", f"b{n}"), fill("drill-end"), fill("drill-database"),
            fill("drill", "`shop`.`orders`", "t0", place, f"d{n}"), fill("figures", "`ownhouse_drill`.`t0`"), fill("drill-end"),
            fill("next-table", "'`a`.`it\\'s`'"), fill("alone"), fill("next-database", "''"), fill("objects"), fill("away-of-databases"), fill("drop-database-replica", "r2")]


def answers(engine, tables, grants, n, disk=False):
    words = script(tables, engine.folder, n, disk)
    said = engine.ask(grants, *(sql for _, sql in words))
    return {f"{i} {name}": ("denied" if "ACCESS_DENIED" in s.get("error", "") else s.get("error", "")[:200] or s["ok"])
            for i, ((name, _), s) in enumerate(zip(words, said))}


def grants_of(tables, duty):
    return [g for g in tables["grants"] if g["duty"] & duty]


def errors(said):
    return {k: v for k, v in said.items() if v == "denied" or "DB::Exception" in v}


@pytest.mark.parametrize("disk", [False, True], ids=["to-a-folder", "to-a-disk"])
def test_each_statement_passes_with_the_operators_grants(engine, tables, disk):
    said = answers(engine, tables, [g["grant"] for g in grants_of(tables, LOOK | REPLICA | BACKUP)], 0, disk)
    assert errors(said) == {}
    figures = [v for k, v in said.items() if k.endswith("figures")]
    assert figures[0] == figures[1] and figures[0].startswith("1000\t")
    assert "\nshop\n" in "\n" + next(v for k, v in said.items() if k.endswith("databases"))
    assert re.fullmatch(r"0 0 0 0*[0-9a-f]* \n", next(v for k, v in said.items() if k.endswith(" replica")))
    assert re.fullmatch(r"1 [0-9a-f]{16}\n", next(v for k, v in said.items() if k.endswith("objects")))
    assert next(v for k, v in said.items() if k.endswith("alone")) == "1\n"  # what is not replicated, and has rows
    # Every statement that the embedded engine can run was run here or by the restore below.
    named = {name for name, _ in script(tables, engine.folder, 0)} | {"restore"}
    assert {s["name"] for s in tables["statements"] if s["embedded"]} == named


def test_it_may_do_nothing_else(engine, tables):
    grants = [g["grant"] for g in grants_of(tables, LOOK | REPLICA)]
    words = ["SELECT * FROM shop.orders", "INSERT INTO shop.orders SELECT 1", "DROP TABLE shop.orders", "DROP DATABASE shop",
             "CREATE TABLE shop.x (id UInt8) ENGINE = MergeTree ORDER BY id", "RENAME DATABASE shop TO x", "DETACH DATABASE shop",
             "ALTER TABLE shop.orders DELETE WHERE 1", "TRUNCATE TABLE shop.orders", "SYSTEM SHUTDOWN", "SYSTEM STOP MERGES shop.orders",
             "SELECT * FROM file('/etc/hostname', 'LineAsString')", "GRANT SELECT ON *.* TO default",
             f"BACKUP DATABASE shop TO File('{engine.folder}/backups/x')"]
    for sql, said in zip(words, engine.ask(grants, *words)):
        assert "ACCESS_DENIED" in said.get("error", ""), (sql, said)


def test_each_grant_that_is_taken_away_is_missed(engine, tables):
    """The look alone, then the backups' grants one by one; what the engine does not enforce must be named so in the table."""
    both = grants_of(tables, LOOK | BACKUP)
    tried = [g for g in both if g["duty"] & BACKUP]
    unmissed = set()
    for n, g in enumerate(tried, 1):
        engine.ask([ALL], "DROP DATABASE IF EXISTS ownhouse_drill SYNC")
        left = [h["grant"] for h in tried if h is not g]
        said = answers(engine, tables, left, n)
        said.pop("0 replica")
        if "DROP" in g["grant"]:  # the first time there is nothing to drop
            assert set(errors(said)) <= {"7 drill-end", "11 drill-end"}
        if not errors(said) and any("shop" in v.split() for v in said.values()):
            unmissed.add(g["grant"])
        shutil.rmtree(engine.folder / "backups" / f"b{n}", ignore_errors=True)
    assert unmissed == {g["grant"] for g in tried if not g["embedded"]}


def test_names_are_quoted(engine, tables):
    """As the statement quotes them, whatever stands in them, they name the table."""
    sql = next(s["sql"] for s in tables["statements"] if s["name"] == "readonly")
    sql = sql.replace("system.replicas WHERE is_readonly", "(SELECT database, name AS table FROM system.tables WHERE database = 'shop' AND name != 'orders')")
    odd = "CREATE TABLE shop.`a\\`b\\\\c ' d` (id UInt64) ENGINE = MergeTree ORDER BY id"
    said = engine.ask([ALL], odd, sql)
    name = said[1]["ok"].rstrip("\n")
    assert name == "`shop`.`a\\`b\\\\c ' d`" and engine.ask([ALL], f"SELECT count() FROM {name}")[0] == {"ok": "0\n"}


def test_a_database_is_read_as_it_is_made(engine, tables):
    """A Replicated database takes a Keeper; of an Atomic one the statement's answer makes the same database, name and id."""
    sql = next(s["sql"] for s in tables["statements"] if s["name"] == "next-database").replace("%s", "'`s`'")
    make = next(s["sql"] for s in tables["statements"] if s["name"] == "make-database")
    sql = sql.replace("engine = 'Replicated'", "engine = 'Atomic'")
    definition = engine.ask([ALL], "CREATE DATABASE `t\\`b\\\\c ' d`", sql.replace("'`s`'", "'`shop`'"))[1]["ok"].rstrip("\n")
    assert re.fullmatch(r"`t\\`b\\\\c ' d` UUID '[0-9a-f-]{36}' ENGINE = Atomic", definition), definition
    uuid = definition.split("UUID '")[1][:36]
    said = engine.ask([ALL], "DROP DATABASE `t\\`b\\\\c ' d` SYNC", make.replace("%s", definition), make.replace("%s", definition),
                      f"SELECT count() FROM system.databases WHERE uuid = '{uuid}'")
    assert all("ok" in s for s in said) and said[-1] == {"ok": "1\n"}, said


def test_the_look_needs_to_see_names(engine, tables):
    """SHOW TABLES: without it other people's tables are hidden, not refused; seen with plain tables, since replicated ones need Keeper."""
    count = "SELECT count() FROM system.tables WHERE database = 'shop'"
    look = [g["grant"] for g in grants_of(tables, LOOK)]
    assert engine.ask(look, count)[0] == {"ok": "1\n"}
    assert engine.ask([g for g in look if "SHOW TABLES" not in g], count)[0] != {"ok": "1\n"}


@pytest.mark.parametrize("name, of", [("drop-replica", "r2"), ("restore-replica", "`shop`.`orders`"), ("sync-replica", "`shop`.`orders`"),
                                      ("make-database", "`x` UUID '0a7b4c1e-5f0e-4a57-9c3b-2f0d9d1b6c11' ENGINE = Replicated('/x', '{shard}', '{replica}')")])
def test_what_keeper_is_told_takes_its_grant(engine, tables, name, of):
    """Past the check of rights the engine says that it has no Keeper, or no such table; before it, that the right is missing."""
    sql = next(s["sql"] for s in tables["statements"] if s["name"] == name).replace("%s", of)
    without = engine.ask([g["grant"] for g in grants_of(tables, LOOK)], sql)[0]
    allowed = engine.ask([g["grant"] for g in grants_of(tables, LOOK | REPLICA)], sql)[0]
    assert "ACCESS_DENIED" in without.get("error", ""), without
    assert "ACCESS_DENIED" not in allowed.get("error", ""), allowed


@pytest.mark.parametrize("missing", ["", "GRANT CREATE ON *.*", "GRANT INSERT ON *.*"])
def test_a_restore_takes_its_grants(engine, tables, tmp_path, missing):
    form = {s["name"]: s["sql"].replace(" ASYNC", "") for s in tables["statements"]}
    place = f"File('{engine.folder}/backups/r')"
    made = engine.ask([ALL], form["backup"].replace("%s", "`shop`", 1).replace("%s", place, 1).replace("%s", "r", 1),
                      "DROP DATABASE shop SYNC")
    assert all("ok" in m for m in made), made
    grants = [g["grant"] for g in grants_of(tables, BACKUP | RESTORE) if g["grant"] != missing]
    said = engine.ask(grants, form["restore"].replace("%s", place, 1).replace("%s", "x", 1), "SELECT count() FROM shop.orders")
    if missing:
        assert "ACCESS_DENIED" in said[0].get("error", ""), said
    else:
        assert "ok" in said[0] and said[1] == {"ok": "1000\n"}, said


def test_what_reloads_is_what_the_server_says(engine, tables):
    """Our table of settings agrees with system.server_settings of the engine that we ship against."""
    names = ", ".join(f"'{s['name']}'" for s in tables["settings"])
    said = engine.ask([ALL], f"SELECT name, toString(changeable_without_restart) FROM system.server_settings WHERE name IN ({names})")[0]
    theirs = dict(line.split("\t") for line in said["ok"].splitlines())
    assert theirs == {s["name"]: "Yes" if s["reloads"] else "No" for s in tables["settings"]}


def test_the_embedded_engine_cannot_reload(engine):
    """Why a change of any server setting restarts the embedded engine."""
    said = engine.ask([ALL], "SYSTEM RELOAD CONFIG")[0]
    assert "not supported" in said.get("error", ""), said
