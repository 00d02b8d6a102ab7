"""The control plane's own activities are sealed: whoever alters its store later is found out."""
import base64
import shutil
import sqlite3
import subprocess

import pytest

from access_parts import leaves
from full_system import BUILD, wait_until


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


@pytest.fixture(scope="module")
def witnessed(system, record):
    """Waits until the agent has cosigned what is sealed by now; the agent's own folder of the ledger."""
    agent = next(system.home.glob("accounts/laptop/*/agent/ledger"))

    def cosigned():
        note = agent / "witness/activities.note"
        published = (record / "published/checkpoint").read_text()
        return note.exists() and "ownhouse/witness/" in published and published.splitlines()[:3] == note.read_text().splitlines()[:3]
    wait_until("the agent's cosignature", 120, cosigned)
    return agent


def verify(system, record, folder, agent, *words):
    return system.run("ledger", "verify", str(folder), "--key", str(record / "verifier"), "--witness", str(agent / "witness.pub"), *words)


def test_the_customers_agent_cosigns_it(system, record, witnessed):
    def holds():
        """Between two checkpoints the newest has no cosignature for a moment."""
        done = verify(system, record, record / "published", witnessed)
        return done.returncode == 0 and "no witness" not in done.stdout and " 0 cosigned" not in done.stdout
    wait_until("all of it to be cosigned", 90, holds)
    wait_until("the same with the store beside it", 90, lambda: system.ok("ledger", "activities")["cosigned"] > 0)
    assert not [leaf for leaf in leaves(system) if leaf["kind"] == "activities"]  # nothing was refused


def test_a_missing_cosignature_is_named(system, record, witnessed, tmp_path):
    copy = tmp_path / "copy"
    shutil.copytree(record / "published", copy)
    for path in [copy / "checkpoint", *(copy / "checkpoints").iterdir()]:
        path.write_text("".join(line for line in path.read_text().splitlines(True) if "ownhouse/witness/" not in line))
    done = verify(system, record, copy, witnessed)
    assert "no witness has cosigned leaves 0 to" in done.stdout, done.stdout + done.stderr


def test_a_forged_cosignature_is_named(system, record, witnessed, tmp_path):
    copy = tmp_path / "copy"
    shutil.copytree(record / "published", copy)
    bent = next(path for path in (copy / "checkpoints").iterdir() if "ownhouse/witness/" in path.read_text())

    def other(line):
        words = line.split(" ")
        signature = bytearray(base64.b64decode(words[2]))
        signature[-1] ^= 1
        return " ".join([*words[:2], base64.b64encode(signature).decode()]) + "\n"

    bent.write_text("".join(other(line) if "ownhouse/witness/" in line else line for line in bent.read_text().splitlines(True)))
    done = verify(system, record, copy, witnessed)
    assert done.returncode != 0 and "not by the witness's key" in done.stdout, done.stdout + done.stderr


def test_another_history_contradicts_what_was_cosigned(system, record, witnessed, tmp_path):
    """The control plane's key signs another record, as if written from the beginning: the agent's copy does not fit it."""
    made = subprocess.run([str(BUILD / "tests/scenario/programs/activities-fork"), str(record / "key.pem"), str(tmp_path / "other"),
                           (witnessed / "witness/activities.note").read_text().splitlines()[1]], capture_output=True, text=True)
    assert made.returncode == 0, made.stderr
    alone = verify(system, record, tmp_path / "other", witnessed)
    assert alone.returncode == 0 and "no witness has cosigned leaves 0 to" in alone.stdout, alone.stdout + alone.stderr
    done = verify(system, record, tmp_path / "other", witnessed, "--checkpoint", str(witnessed / "witness/activities.note"))
    assert done.returncode != 0 and "another history" in done.stdout, done.stdout + done.stderr
