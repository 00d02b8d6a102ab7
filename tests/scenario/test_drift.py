"""A whole system in which something was broken behind its back: it is put back, and the database does not notice what does
not concern it."""
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


@pytest.mark.skipif(not IS_ROOT, reason="skipped: not root")
def test_a_deleted_network_comes_back_with_all_that_was_in_it(system):
    system.select("CREATE TABLE IF NOT EXISTS kept (n UInt64) ENGINE = MergeTree ORDER BY n")
    system.select("INSERT INTO kept VALUES (42)")
    tool("ip", "netns", "delete", system.netns)
    tool("ip", "link", "delete", "ohv-" + system.infrastructure[:8])
    wait_until("the database answers again", 60, lambda: answers(system))
    assert system.select("SELECT n FROM kept") == "42"
    assert system.netns in tool("ip", "netns", "list")
