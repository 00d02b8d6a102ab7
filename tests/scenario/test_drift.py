"""A whole system in which something was broken behind its back: it is put back, and the database does not notice what does
not concern it."""
import sqlite3

import pytest

from full_system import IS_ROOT, tool, wait_until


def engine_pids(system):
    return [pid for pid, command in system.processes().items()
            if "ownhouse-clickhouse" in command or "clickhouse-server" in command]


def answers(system):
    try:
        return system.query("SELECT 1", timeout=5).text.strip() == "1"
    except OSError:
        return False


def test_a_broken_setting_is_put_back_without_a_restart_of_the_database(system):
    conf = system.home / "accounts/laptop/laptop/agent/agent.conf"
    good = conf.read_text()
    database, agent = engine_pids(system), system.pids("ownhouse-agent run")
    assert database and agent
    conf.write_text(good.replace("log_level = info", "log_level = error"))
    wait_until("the setting is put back", 30, lambda: conf.read_text() == good)
    wait_until("a new agent", 30, lambda: system.pids("ownhouse-agent run") not in ([], agent))
    wait_until("the link", 30, lambda: "connected" in system.run("status").stdout.replace("NOT CONNECTED", ""))
    assert engine_pids(system) == database
    assert system.select("SELECT 1") == "1"


def setting(system, value):
    """What the account's owner wants: repair, or ask."""
    with sqlite3.connect(system.home / "control/store/control.db", timeout=30) as db:
        db.execute("UPDATE account SET config = json_set(config, '$.drift', ?)", (value,))


def drifted(system):
    return system.ok("drift", "check", "laptop")["items"]


def test_who_is_asked_first_accepts_ignores_or_reverts(system):
    wait_until("all is settled", 60, lambda: system.run("drift", "check", "laptop").returncode == 0 and not drifted(system))
    conf = system.home / "accounts/laptop/laptop/agent/agent.conf"
    good = conf.read_text()
    bad = good.replace("log_level = info", "log_level = error")
    assert bad != good
    setting(system, "ask")
    try:
        conf.write_text(bad)
        (item,) = drifted(system)
        assert item["state"] == "open" and item["action"] in ("change", "replace") and item["differences"]
        name = item["resource"]
        # Nothing is put back unasked: it waits as a plan.
        plan = system.ok("plan", "show", "laptop")
        assert plan["state"] == "proposed" and [c["resource"] for c in plan["document"]["changes"] if c["action"] != "none"] == [name]
        assert conf.read_text() == bad

        # A decision names what was looked at.
        path = f"/infrastructures/{system.infrastructure}/drift/{item['id']}"
        assert system.api("POST", path, {"decision": "revert", "digest": "0" * 64})[0] == 409
        assert system.run("drift", "ignore", "laptop", name).returncode == 2
        assert system.api("POST", path, {"decision": "ignore", "digest": item["digest"], "until": "2020-01-01T00:00:00Z"})[0] == 400

        system.ok("drift", "ignore", "laptop", name, "--days", "1")
        (item,) = drifted(system)
        assert item["state"] == "ignored" and item["until"] and conf.read_text() == bad
        wait_until("no plan asks for it", 30, lambda: system.ok("plan", "show", "laptop")["state"] != "proposed")

        system.ok("drift", "reopen", "laptop", name)
        (item,) = drifted(system)
        assert item["state"] == "open" and item["until"] is None
        wait_until("it is asked for again", 30, lambda: system.ok("plan", "show", "laptop")["state"] == "proposed")
        system.ok("drift", "revert", "laptop", name)
        wait_until("it is put back", 60, lambda: conf.read_text() == good and not drifted(system))
        last = system.ok("plan", "show", "laptop")
        assert last["state"] == "applied" and last["approvedBy"].endswith("(drift)")

        # Accepted, it is what is wanted; whatever else changes is drift again.
        conf.write_text(bad)
        (item,) = drifted(system)
        system.ok("drift", "accept", "laptop", name)
        (item,) = drifted(system)
        assert item["state"] == "accepted" and conf.read_text() == bad
        wait_until("no plan asks for it", 30, lambda: system.ok("plan", "show", "laptop")["state"] != "proposed")
        conf.write_text(bad + "\n# by hand\n")
        items = drifted(system)
        assert [i["state"] for i in items] == ["open", "accepted"], items
        conf.write_text(bad)
        assert [i["state"] for i in drifted(system)] == ["accepted"]
        system.ok("drift", "reopen", "laptop", name)
        (item,) = drifted(system)
        assert item["state"] == "open"
        system.ok("drift", "revert", "laptop", name)
        wait_until("what was there first is put back", 60, lambda: conf.read_text() == good and not drifted(system))
        types = [a["type"] for a in system.api("GET", "/activities")[1]["result"]]
        for one in ("", "_check", "_ignore", "_reopen", "_revert", "_accept"):
            assert "infrastructure_drift" + one in types, types
    finally:
        setting(system, "repair")


@pytest.mark.skipif(not IS_ROOT, reason="skipped: not root")
def test_a_deleted_network_comes_back_with_all_that_was_in_it(system):
    system.select("CREATE TABLE IF NOT EXISTS kept (n UInt64) ENGINE = MergeTree ORDER BY n")
    system.select("INSERT INTO kept VALUES (42)")
    tool("ip", "netns", "delete", system.netns)
    tool("ip", "link", "delete", "ohv-" + system.infrastructure[:8])
    wait_until("the database answers again", 60, lambda: answers(system))
    assert system.select("SELECT n FROM kept") == "42"
    assert system.netns in tool("ip", "netns", "list")
