"""Backups on a whole system with the real engine: a full one and what changed since, the restore drill, a new service that
begins with one, and an engine that is killed in the middle."""
import json
import os
import signal

import pytest

from full_system import wait_until

CANARY = "canary-7f3a9c-of-a-backup"


@pytest.fixture(scope="module")
def demo(system):
    """The first service with two databases and rows in them; (its id)."""
    _, services = system.api("GET", "/services")
    system.select("CREATE TABLE trips (id UInt64, note String) ENGINE = MergeTree ORDER BY id")
    system.select("INSERT INTO trips SELECT number, concat('n', toString(number)) FROM numbers(50000)")
    system.select("CREATE DATABASE shop")
    system.select("CREATE TABLE shop.orders (id UInt64, price Decimal(9, 2)) ENGINE = MergeTree ORDER BY id")
    system.select(f"INSERT INTO trips VALUES (900000, '{CANARY}')")
    system.select("INSERT INTO shop.orders SELECT number, number / 4 FROM numbers(1000)")
    return services["result"][0]["id"]


def ask(system, service):
    status, answer = system.api("POST", f"/services/{service}/backupRequests")
    assert status == 200, answer
    assert answer["result"]["status"] == "in_progress"
    return answer["result"]["id"]


def get(system, service, backup):
    status, answer = system.api("GET", f"/services/{service}/backups/{backup}")
    assert status == 200, answer
    return answer["result"]


def made(system, service, backup):
    def over():
        one = get(system, service, backup)
        return one if one["status"] != "in_progress" else None
    return wait_until(f"backup {backup}", 180, over, 0.3)


def figures(system, service="demo"):
    return [system.select(f"SELECT count(), sum(cityHash64(*)) FROM {table}", service=service)
            for table in ("trips", "shop.orders")]


def folder(system, service, backup):
    (found,) = system.home.glob("accounts/laptop/*/buckets/backups")
    return found / service / backup


def test_full_incremental_drop_and_restore(system, demo):
    first = made(system, demo, ask(system, demo))
    assert first["status"] == "done", first
    assert first["type"] == "full" and first["sizeInBytes"] > 100000
    assert first["ownhouse"]["drill"] == "passed", first
    assert system.select("SELECT count() FROM system.databases WHERE name = 'ownhouse_drill'") == "0"

    system.select("INSERT INTO trips SELECT number + 1000000, 'later' FROM numbers(500)")
    second = made(system, demo, ask(system, demo))
    assert second["status"] == "done", second
    assert second["type"] == "incremental" and second["ownhouse"]["base"] == first["id"]
    assert 0 < second["sizeInBytes"] < first["sizeInBytes"]
    _, listed = system.api("GET", f"/services/{demo}/backups")
    assert [b["id"] for b in listed["result"]] == [second["id"], first["id"]]
    before = figures(system)

    system.select("DROP TABLE trips SYNC")
    system.select("DROP DATABASE shop SYNC")
    system.ok("services", "create", "copy", "--backup", second["id"])
    try:
        assert figures(system, "copy") == before
        assert system.select(f"SELECT count() FROM trips WHERE note = '{CANARY}'", service="copy") == "1"
        # It has backups of its own, which begin with a full one.
        copy = next(s["id"] for s in system.api("GET", "/services")[1]["result"] if s["name"] == "copy")
        assert system.api("GET", f"/services/{copy}/backups")[1]["result"] == []
        own = made(system, copy, ask(system, copy))
        assert (own["status"], own["type"], own["ownhouse"]["drill"]) == ("done", "full", "passed"), own
    finally:
        system.ok("services", "delete", "copy", "--delete-data", "--yes")
    # Backups outlive their service until their time is over; its data went.
    assert folder(system, copy, own["id"]).is_dir()


def test_nothing_of_the_data_is_in_the_control_plane(system, demo):
    assert made(system, demo, ask(system, demo))["status"] == "done"
    found = [path for path in (system.home / "control").rglob("*")
             if path.is_file() and CANARY.encode() in path.read_bytes()]
    assert not found
    # What is kept of a table's name shows where it would be found: the backup, which lies with the customer.
    (place,) = system.home.glob("accounts/laptop/*/buckets/backups")
    assert any(b"trips" in p.read_bytes() or "trips" in str(p) for p in place.rglob("*") if p.is_file())


def test_who_may_not_ask(system, demo):
    nobody = "00000000-0000-4000-8000-000000000000"
    assert system.api("POST", f"/services/{nobody}/backupRequests")[0] == 404
    assert system.api("GET", f"/services/{demo}/backups/{nobody}")[0] == 404
    status, answer = system.api("POST", "/services", {"name": "x", "provider": "aws", "region": "us-east-1",
                                                      "backupId": nobody})
    assert status == 400, answer
    refused = system.run("services", "create", "none", "--backup", nobody)
    assert refused.returncode != 0 and "backupId: there is no such backup" in refused.stderr


def test_the_operator_may_do_no_more_than_backups(system, demo):
    (path,) = system.home.glob("accounts/laptop/*/agent/state/operator.secret")
    secret = path.read_text().strip()
    answer = system.query("DROP DATABASE default", user="ownhouse_operator", password=secret)
    assert answer.status == 403 and "only make, restore and look at backups" in answer.text
    answer = system.query("INSERT INTO trips VALUES (1, 'x')", user="ownhouse_operator", password=secret)
    assert answer.status == 403
    answer = system.query("SELECT 1 SETTINGS readonly = 0", user="ownhouse_operator", password=secret)
    assert answer.status != 200
    assert oct(path.stat().st_mode & 0o777) == "0o600"


def kill_while_it_writes(system, service):
    pids, backup = system.pids(f"clickhouse-{service}-0"), ask(system, service)
    place = folder(system, service, backup)
    assert pids
    wait_until("the backup to begin", 120, place.is_dir, 0.001)
    for pid in pids:
        try:
            os.kill(pid, signal.SIGKILL)
        except ProcessLookupError:
            pass
    return backup, made(system, service, backup)


def test_killed_in_the_middle(system, demo):
    """The engine dies while it writes: that backup failed and says so, nothing of it stays, and the next is whole."""
    system.select("CREATE TABLE IF NOT EXISTS big (id UInt64, s String) ENGINE = MergeTree ORDER BY id "
                  "SETTINGS min_bytes_for_wide_part = 0")
    for _ in range(8):  # it may be done before the signal comes
        for i in range(4):
            system.select(f"INSERT INTO big SELECT number + {i} * 1000000, randomString(200) FROM numbers(250000)")
        backup, one = kill_while_it_writes(system, demo)
        wait_until("the service to serve again", 120, lambda: system.query("SELECT 1").status == 200, 0.5)
        if one["status"] != "done":
            break
    place = folder(system, demo, backup)
    assert one["status"] == "error" and one["ownhouse"]["error"] == "the engine ended in the middle of it", one
    assert one["sizeInBytes"] == 0 and not place.exists()
    again = made(system, demo, ask(system, demo))
    assert again["status"] == "done", again
    assert again["ownhouse"]["base"] != backup


def test_an_agent_that_ends_takes_the_backup_up_again(system, demo):
    backup = ask(system, demo)
    wait_until("the backup to begin", 120, lambda: folder(system, demo, backup).is_dir(), 0.02)
    assert system.kill("--role operator", signal.SIGKILL)
    assert made(system, demo, backup)["status"] == "done"
    (path,) = system.home.glob("accounts/laptop/*/agent/state/backups.json")
    kept = json.loads(path.read_text())
    assert {b["state"] for b in kept["backups"] if b["id"] == backup} == {"done"}
