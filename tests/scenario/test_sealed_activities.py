"""The control plane's own activities are sealed: whoever alters its store later is found out."""
import shutil
import sqlite3

import pytest

from full_system import wait_until


@pytest.fixture(scope="module")
def record(system):
    """Waits until all activities of now are sealed under a checkpoint; the record's folder."""
    def sealed():
        done = system.run("ledger", "activities", "--json")
        if done.returncode:
            return False
        answer = system.ok("ledger", "activities")
        return answer["sealed"] > 3 and answer["sealed"] == answer["rows"]
    wait_until("all activities to be sealed", 90, sealed)
    return system.home / "control/keys/activities"


@pytest.fixture
def store(system, tmp_path):
    """A copy of the control plane's store to bend."""
    path = tmp_path / "control.db"
    with sqlite3.connect(system.home / "control/store/control.db", timeout=30) as live, sqlite3.connect(path) as copy:
        live.backup(copy)
    return path


def compare(system, store, *words):
    return system.run("ledger", "activities", "--store", str(store), *words)


def test_the_record_verifies_like_any_other(system, record, tmp_path):
    done = system.run("ledger", "verify", str(record / "published"), "--key", str(record / "verifier"))
    assert done.returncode == 0, done.stderr
    copy = tmp_path / "copy"
    shutil.copytree(record / "published", copy)
    for entries in (copy / "tile/entries").rglob("*"):
        if entries.is_file():
            entries.write_bytes(entries.read_bytes().replace(b'"sha256":"', b'"sha256":"0', 1))
    done = system.run("ledger", "verify", str(copy), "--key", str(record / "verifier"))
    assert done.returncode != 0
    assert system.run("ledger", "activities", str(copy)).returncode != 0


@pytest.mark.parametrize("bend, said", [
    ("UPDATE activity SET actor_id = 'somebody' WHERE seq = 2", "is not what was sealed"),
    ("UPDATE activity SET details = details || ' ' WHERE seq = 1", "is not what was sealed"),
    ("DELETE FROM activity WHERE seq = 2", "not in the store any more"),
    ("UPDATE activity SET seq = 1000000 WHERE seq = 2", "not in the store any more"),
], ids=["actor", "details", "removed", "moved"])
def test_a_bent_store_is_found_out(system, record, store, bend, said):
    assert compare(system, store).returncode == 0
    with sqlite3.connect(store) as copy:
        assert copy.execute(bend).rowcount == 1
    done = compare(system, store)
    assert done.returncode != 0 and said in done.stdout + done.stderr


def test_what_was_put_in_between_is_found_out(system, record, store):
    with sqlite3.connect(store) as copy:
        copy.execute("DELETE FROM activity WHERE seq = 2")
    done = compare(system, store)
    assert done.returncode != 0
    with sqlite3.connect(store) as copy:
        copy.execute("INSERT INTO activity SELECT 2, 'made-up', organization_id, type, actor_type, actor_id, actor_details, "
                     "actor_address, user_agent, service_id, infrastructure_id, details, request_id, created_at "
                     "FROM activity WHERE seq = 1")
    done = compare(system, store)
    assert done.returncode != 0 and "made-up" in done.stdout


def test_new_activities_follow(system, record):
    before = system.ok("ledger", "activities")["sealed"]
    status, _ = system.api("PATCH", "", {"name": "Sealed"})
    assert status == 200
    wait_until("the change to be sealed", 60, lambda: system.ok("ledger", "activities")["sealed"] > before)
