"""Consent and ledger on a whole laptop: nothing that the policy reserves happens without a signature, everything leaves a
leaf, and whoever bends the record is found out."""
import json
import shutil
import subprocess

import pytest

from full_system import OWNHOUSE, wait_until


@pytest.fixture(scope="module")
def agent(system):
    (found,) = system.home.glob("accounts/laptop/*/agent")
    return found


@pytest.fixture(scope="module")
def bucket(agent):
    return agent.parent / "buckets/ledger"


def state(system, request):
    return system.ok("requests", request)["state"]


def wait_state(system, request, *wanted):
    wait_until(f"request {request} to be {wanted}", 60, lambda: state(system, request) in wanted)


def ask(system, operation, *words):
    return system.ok("request", operation, "--reason", "a test", *words)["id"]


def leaves(system, kind):
    return [leaf["body"] for leaf in system.ok("ledger", "show", "--kind", kind)]


def published(system, kind, done):
    """Waits until the bucket has a leaf of this kind for which done(body) holds."""
    wait_until(f"a {kind} leaf in the bucket", 60, lambda: any(done(body) for body in leaves(system, kind)))


def answers(system, number):
    try:
        return system.query(f"SELECT {number}").text.strip() == str(number)
    except OSError:
        return False


def test_restart_without_signature_under_open(system):
    request = ask(system, "service.restart", "--service", "demo")
    wait_state(system, request, "done")
    published(system, "operation", lambda body: body["request"] == request)
    published(system, "outcome", lambda body: body["request"] == request and body["outcome"] == "done")
    wait_until("the service to serve again", 60, lambda: answers(system, 1))


def test_what_the_runtime_cannot_do_is_refused_plainly(system):
    request = ask(system, "service.upgrade", "--service", "demo")
    wait_state(system, request, "failed")
    assert "cannot carry out service.upgrade" in system.ok("requests", request)["why"]


def test_denied_for_good(system):
    request = ask(system, "access.prometheus.read")
    wait_state(system, request, "waiting")
    system.ok("deny", request, "--yes")
    wait_state(system, request, "refused")
    system.ok("approve", request, "--yes")
    published(system, "denial", lambda body: body["request"] == request)
    assert state(system, request) == "refused"


def test_access_waits_for_a_signature_of_the_customer(system, tmp_path):
    request = ask(system, "access.clickhouse.diag")
    wait_state(system, request, "waiting")
    secret = tmp_path / "passphrase"
    secret.write_text("correct horse battery\n")
    secret.chmod(0o600)
    stranger = system.ok("key", "new", str(tmp_path / "stranger.key"), "--passphrase-file", str(secret))
    assert len(stranger["publicKey"]) == 64
    system.ok("approve", request, "--yes", "--key", str(tmp_path / "stranger.key"), "--passphrase-file", str(secret))
    published(system, "request", lambda body: body["request"] == request)
    assert state(system, request) == "waiting"
    system.ok("approve", request, "--yes")
    wait_state(system, request, "allowed")


def test_a_wrong_digest_signs_nothing(system):
    request = ask(system, "access.cluster.view")
    refused = system.run("approve", request, "--digest", "0" * 64)
    assert refused.returncode != 0 and "digest" in refused.stderr


def test_sealed(system, agent, tmp_path):
    """Under the policy sealed an exposing change waits, what runs goes on, and the signature lets it through."""
    public = (system.customer / "approver.pub").read_text().strip()
    policy = {"type": "ownhouse/policy", "v": 1, "version": 2, "mode": "sealed", "quorum": 1,
              "approvers": [{"name": "ada", "key": public}]}
    file = tmp_path / "policy.json"
    file.write_text(json.dumps(policy))
    change = ask(system, "policy.change", "--policy", str(file))
    wait_state(system, change, "waiting")
    assert not (agent / "consent/policy.json").exists()
    system.ok("approve", change, "--yes")
    wait_state(system, change, "done")
    assert json.loads((agent / "consent/policy.json").read_text())["mode"] == "sealed"
    published(system, "policy", lambda body: body["version"] == 2)

    # rolled back by a replay: an older version is no policy any more, whoever signs
    policy["version"], policy["mode"] = 1, "open"
    file.write_text(json.dumps(policy))
    back = ask(system, "policy.change", "--policy", str(file))
    system.ok("approve", back, "--yes")
    wait_state(system, back, "failed")
    assert "not above 2" in system.ok("requests", back)["why"]

    restart = ask(system, "service.restart", "--service", "demo")
    wait_state(system, restart, "waiting")

    known = {one["id"] for one in system.ok("requests")}
    creating = subprocess.Popen([str(OWNHOUSE), "services", "create", "second", "--home", str(system.home)],
                                stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    asked = wait_until("the agent's own request", 60, lambda: [
        one for one in system.ok("requests") if one["id"] not in known and one["origin"] == "agent"])
    assert asked[0]["operations"] == ["desired.exposing"]
    paths = [change["path"] for change in asked[0]["document"]["arguments"]["changes"]]
    assert any(path.endswith(".users") for path in paths) and any(path.endswith(".ipAccessList") for path in paths)
    assert answers(system, 2)
    desired = json.loads(json.loads((agent / "state/desired.json").read_text())["document"])
    assert [service["name"] for service in desired["services"]] == ["demo"]
    system.ok("approve", asked[0]["id"], "--yes")
    wait_until("the signed document in force", 60, lambda: len(json.loads(json.loads(
        (agent / "state/desired.json").read_text())["document"])["services"]) == 2)
    wait_state(system, asked[0]["id"], "done")
    assert creating.wait(timeout=120) == 0


def test_ledger_holds_and_is_cosigned(system, bucket):
    def cosigned():
        return system.ok("ledger", "verify")["cosigned"] > 0
    wait_until("a cosigned checkpoint", 60, cosigned)
    report = system.ok("ledger", "verify")
    assert report["findingCount"] == 0 and report["leaves"] > 5
    first = system.ok("ledger", "show")[0]
    assert first["kind"] == "enrolled" and len(first["body"]["bundle"]) == 64
    bundle = json.loads((system.customer / "bundle.json").read_text())
    assert first["body"]["bundle"] == bundle["fingerprint"]
    proof = system.ok("ledger", "prove", "0")
    assert json.loads(proof["leaf"]) == first


def test_egress_is_all_there(system):
    assert any(name.startswith("observed to ") for name in system.ok("egress", "show"))


def copy_of(bucket, tmp_path):
    shutil.copytree(bucket, tmp_path / "copy")
    return tmp_path / "copy"


def verify(system, copy):
    return system.run("ledger", "verify", str(copy), "--json")


def newest_entries(copy):
    return max((copy / "tile/entries").rglob("*"), key=lambda path: (path.is_file(), path.stat().st_mtime_ns))


@pytest.mark.parametrize("bend", ["edit", "remove", "truncate", "forge"])
def test_bent_copies_are_found_out(system, bucket, tmp_path, bend):
    copy = copy_of(bucket, tmp_path)
    assert verify(system, copy).returncode == 0
    entries = newest_entries(copy)
    data = bytearray(entries.read_bytes())
    if bend == "edit":
        at = data.index(b'"kind"')
        data[at + 1] ^= 1
        entries.write_bytes(data)
    elif bend == "remove":
        length = int.from_bytes(data[:2], "big")
        entries.write_bytes(data[2 + length:])
    elif bend == "truncate":
        entries.unlink()
    else:
        note = copy / "checkpoint"
        text = note.read_text().splitlines()
        text[1] = str(int(text[1]) + 1)
        note.write_text("\n".join(text) + "\n")
    assert verify(system, copy).returncode != 0
