"""What the gate says to a server about a grant's user, and what its own user may do there, tried on the real engine. The embedded engine
keeps no users of its own, so past the check of rights it says that it has no place for one: that word is what is looked for."""
import json
import pathlib
import subprocess

import pytest

from engine_library import run
from engine_server import ROOT, library

TABLES = pathlib.Path(__import__("os").environ.get("OWNHOUSE_BUILD", ROOT / "build")) / "tests/scenario/programs/operator-tables"
pytestmark = [pytest.mark.skipif(not library(), reason="skipped: chdb not available"),
              pytest.mark.skipif(not TABLES.exists(), reason="the build has no operator-tables")]
NOWHERE = "ACCESS_STORAGE_FOR_INSERTION_NOT_FOUND"


@pytest.fixture(scope="module")
def gate():
    return json.loads(subprocess.run([TABLES], capture_output=True, check=True).stdout)["gate"]


@pytest.fixture
def ask(tmp_path):
    def ask(grants, *statements):
        users, config = tmp_path / "users.xml", tmp_path / "config.xml"
        queries = "".join(f"<query>{g}</query>" for g in grants)
        users.write_text("<clickhouse><profiles><default/><ownhouse_gate><readonly>1</readonly></ownhouse_gate></profiles><quotas><default/>"
                         "</quotas><users><default><password/><networks><ip>::/0</ip></networks><profile>default</profile><quota>default"
                         f"</quota><grants>{queries}</grants></default></users></clickhouse>")
        config.write_text(f"<clickhouse><users_config>{users}</users_config></clickhouse>")
        return [said.get("error", "ok") for said in run(library(), tmp_path / "data", statements, config)]
    return ask


def test_each_statement_is_one_the_engine_reads(ask, gate):
    for sql, said in zip(gate["statements"], ask(["GRANT ALL ON *.*"], *gate["statements"])):
        assert "SYNTAX_ERROR" not in said, (sql, said)
    assert "SYNTAX_ERROR" in ask(["GRANT ALL ON *.*"], gate["statements"][1].replace("VALID UNTIL", "VALID TO"))[0]


def test_the_gates_user_may_make_and_drop_users_of_grants(ask, gate):
    drop, create, diag, text, _ = gate["statements"]
    said = ask(gate["grants"], drop, create, diag, text)
    assert said[0] == "ok" and NOWHERE in said[1]
    assert all("ACCESS_DENIED" not in one and "UNKNOWN_ROLE" in one for one in said[2:])  # nobody is there to have the right


def test_it_may_do_nothing_else(ask, gate):
    """Nobody else's user, nobody's rights but the views', no table, no policy, no role."""
    drop, create, *_ = gate["statements"]
    name = gate["user"]
    others = [drop.replace(name, "analyst"), create.replace(name, "analyst"), create.replace(name, "ownhouse_operator"),
              "CREATE USER OR REPLACE `default`", f"ALTER USER `{name}` IDENTIFIED BY 'x'", "ALTER USER `analyst` IDENTIFIED BY 'x'",
              f"CREATE ROLE `{name}`", "DROP USER `default`", "CREATE ROW POLICY p ON system.one USING 1 TO ALL", "CREATE DATABASE x",
              "SELECT * FROM system.users", "SELECT * FROM file('/etc/hostname', 'LineAsString')", "SYSTEM SHUTDOWN"]
    for sql, said in zip(others, ask(gate["grants"], *others)):
        assert "ACCESS_DENIED" in said, (sql, said)


def test_each_grant_is_missed_when_it_is_taken_away(ask, gate):
    drop, create, *_ = gate["statements"]
    users = next(g for g in gate["grants"] if "CREATE USER" in g)
    assert all("ACCESS_DENIED" in said for said in ask([g for g in gate["grants"] if g != users], drop, create))
    rights = [g for g in gate["grants"] if g != users]
    assert len(rights) == 2
    for right, database in zip(rights, ("ownhouse_diag", "ownhouse_querytext")):
        assert ask(["GRANT ALL ON *.*"], f"CREATE DATABASE {database}", f"CREATE VIEW {database}.v AS SELECT 1") == ["ok", "ok"]
        assert ask(gate["grants"], f"SELECT * FROM {database}.v") == ["ok"]
        assert "ACCESS_DENIED" in ask([g for g in gate["grants"] if g != right], f"SELECT * FROM {database}.v")[0]
