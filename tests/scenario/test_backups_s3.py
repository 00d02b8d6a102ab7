"""Backups in a bucket that speaks the S3 protocol (moto): a full one and what changed since,
a new service that begins with one, expiry, and a bucket that refuses."""
import json
import re
import signal
import sqlite3
import urllib.request

import pytest

import aws_peer
from aws_peer import Moto, aws
from full_system import System, engine_available, processes, wait_until
from test_backups import ask, demo, figures, made  # noqa: F401 (demo is a fixture)

BUCKET = "ownhouse-backups-of-a-test"


@pytest.fixture(scope="module")
def moto(tmp_path_factory):
    server = Moto(tmp_path_factory.mktemp("moto"))
    yield server
    server.close()


@pytest.fixture(scope="module")
def keys(moto, tmp_path_factory):
    aws(moto.url, "s3api", "create-bucket", "--bucket", BUCKET)
    path = tmp_path_factory.mktemp("keys") / "backups"
    path.write_text("access_key_id = AKIAIOSFODNN7EXAMPLE\nsecret_access_key = canary-5d1c-of-a-bucket\n")
    path.chmod(0o600)
    return path


@pytest.fixture(scope="module")
def door(moto, tmp_path_factory):
    """In front of moto; writes every request down."""
    folder, port = tmp_path_factory.mktemp("door"), aws_peer.free_port()
    requests = folder / "requests.log"
    script = aws_peer.HERE / "aws/door.py"
    server = aws_peer.Process([aws_peer.tool("python"), script, str(port), moto.url, requests], port, folder / "door.log", "/door")
    server.requests = requests
    yield server
    server.close()


@pytest.fixture(scope="module")
def system(door, keys):
    if not engine_available():
        pytest.skip("skipped: the embedded engine is not available")
    with_bucket = System(isolated=False)  # moto speaks http, which is only for this machine
    try:
        with_bucket.up()
        service = with_bucket.api("GET", "/services")[1]["result"][0]["id"]
        assert made(with_bucket, service, ask(with_bucket, service))["type"] == "full"
        set_place(with_bucket, {"s3Url": f"{door.url}/{BUCKET}/laptop", "s3KeysFile": str(keys)})
        yield with_bucket
    finally:
        with_bucket.purge()


def set_place(system, place):
    with sqlite3.connect(system.home / "control/store/control.db", timeout=30) as db:
        db.execute("UPDATE account SET config = json_set(config, '$.backups', json(?))", (json.dumps(place),))
    infrastructure = system.infrastructure
    status, answer = system.api("POST", f"/infrastructures/{infrastructure}/plans", {"kind": "apply"})
    assert status == 200, answer
    wait_until("the plan", 60, lambda: system.run("plan", "show", "laptop").returncode == 0 and system.ok("plan", "show", "laptop")["state"] == "proposed")
    system.ok("plan", "apply", "laptop", "--yes")

    def there():  # the engine restarts for it
        answer = system.query("SELECT count() FROM system.disks WHERE name LIKE 'backup_%'")
        return answer.status == 200 and answer.text.strip() == "1"
    wait_until("the engine to know the place", 120, there, 0.3)


def objects(moto, below):
    return [o["Key"] for o in aws(moto.url, "s3api", "list-objects-v2", "--bucket", BUCKET, "--prefix", f"laptop/{below}").get("Contents", [])]


def asks_for_rights(moto, after):
    """moto answers so many requests of anybody, and then only those whose signature it knows."""
    urllib.request.urlopen(urllib.request.Request(moto.url + "/moto-api/reset-auth", str(after).encode(), {"Content-Type": "text/plain"}),
                           timeout=30).read()


def test_full_incremental_and_restore(system, moto, demo):
    first = made(system, demo, ask(system, demo))
    assert (first["status"], first["type"], first["ownhouse"]["drill"]) == ("done", "full", "passed"), first
    assert first["sizeInBytes"] > 100000
    system.select("INSERT INTO trips SELECT number + 1000000, 'later' FROM numbers(500)")
    second = made(system, demo, ask(system, demo))
    system.select("INSERT INTO trips SELECT number + 2000000, 'last' FROM numbers(500)")
    third = made(system, demo, ask(system, demo))
    for one, base in ((second, first), (third, second)):
        assert (one["status"], one["type"], one["ownhouse"]["base"]) == ("done", "incremental", base["id"]), one
        assert f"laptop/{demo}/{one['id']}/.backup" in objects(moto, demo)
    before = figures(system)
    system.select("DROP TABLE trips SYNC")
    system.select("DROP DATABASE shop SYNC")
    system.ok("services", "create", "copy", "--backup", third["id"])
    assert figures(system, "copy") == before
    assert len(list(system.home.glob("accounts/laptop/*/buckets/backups/*/*"))) == 1  # the one of before


def test_nobody_sees_the_keys(system, keys):
    secret = keys.read_text().split()[-1]
    for path in system.home.rglob("*"):
        if path.is_file() and secret.encode() in path.read_bytes():
            assert path.name == "config.xml" and path.stat().st_mode & 0o777 == 0o600, path
    shown = system.select("SELECT * FROM system.disks FORMAT Vertical") + system.select("SELECT * FROM system.server_settings FORMAT Vertical")
    assert "backup_" in shown and secret not in shown
    refused = system.query("SELECT * FROM file('../engine/config.xml', 'LineAsString')")
    assert refused.status != 200 and secret not in refused.text
    assert not [c for _, e, c in processes() if secret in c or secret.encode() in e]


def test_what_is_over_is_taken_out_of_the_bucket(system, moto, demo):
    copy = next(s["id"] for s in system.api("GET", "/services")[1]["result"] if s["name"] == "copy")
    assert made(system, copy, ask(system, copy))["status"] == "done"
    assert objects(moto, copy)
    system.ok("services", "delete", "copy", "--delete-data", "--yes")
    assert objects(moto, copy)  # until its time is over
    (path,) = system.home.glob("accounts/laptop/*/agent/state/backups.json")
    text = re.sub(r'("(?:started|finished)Ms": ?)(\d+)', lambda m: m[1] + str(int(m[2]) - 9 * 86400000), path.read_text())
    assert text != path.read_text()
    path.write_text(text)
    assert system.kill("--role operator", signal.SIGKILL)
    wait_until("the bucket to be without them", 120, lambda: not objects(moto, copy), 0.5)
    assert objects(moto, demo)  # the last good one of a service that is there, and what it builds on


def test_what_the_agent_asks_is_what_botocore_would(door, tmp_path):
    ours = [line for line in door.requests.read_text().splitlines() if "user-agent" not in json.loads(line)["headers"]]
    (tmp_path / "ours").write_text("\n".join(ours) + "\n")
    said = json.loads(aws_peer.python("aws/wire.py", tmp_path / "ours"))
    assert not said["wrong"], said["wrong"][:3]
    assert set(said["calls"]) == {"s3 ListObjectsV2", "s3 DeleteObjects"}, said["calls"]


def test_a_bucket_that_refuses(system, moto, demo):
    """The service goes on, the backup says that it failed, and the next one is whole again."""
    asks_for_rights(moto, 0)
    try:
        one = made(system, demo, ask(system, demo))
        assert one["status"] == "error" and "the agent's log says more" in one["ownhouse"]["error"], one
        system.select("CREATE TABLE while_refused (a Int8) ENGINE = MergeTree ORDER BY a")
        system.select("INSERT INTO while_refused VALUES (1)")
    finally:
        asks_for_rights(moto, 10**9)
    again = made(system, demo, ask(system, demo))
    assert again["status"] == "done", again
