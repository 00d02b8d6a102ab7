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


def test_what_cannot_be_carried_out_is_refused_with_its_reason(system):
    """One replica of an engine that is this machine's own program: each says why, in the ledger too."""
    for operation, words, why in (
            ("service.drain", ("--replica", "0"), "one replica here (the embedded engine serves alone)"),
            ("service.undrain", ("--replica", "0"), "one replica here"),
            ("service.rebuild-replica", ("--replica", "0"), "one replica here"),
            ("service.reattach", ("--replica", "0"), "not registered in any Keeper"),
            ("service.reattach", ("--replica", "1"), "service demo has replicas 0 to 0 here"),
            ("service.drain", (), "arguments.replica: must be the replica's number"),
            ("service.upgrade", (), "this machine's own program, not an image"),
            ("service.delete", (), "a change of the desired document")):
        request = ask(system, operation, "--service", "demo", *words)
        if system.ok("requests", request)["document"]["operations"] == ["service.rebuild-replica"]:
            assert "destructive" in system.run("requests", request).stdout
        wait_state(system, request, "failed")
        assert why in system.ok("requests", request)["why"], system.ok("requests", request)
        published(system, "outcome", lambda body: body["request"] == request and why in body["why"])
    assert answers(system, 1)


def test_a_backup_by_request_is_joined_with_its_leaves(system, agent):
    """Made by the real engine, restored for a try, under the request's id; done only when that is over."""
    wait_until("the service to answer after a restart", 60, lambda: system.query("SELECT 1").status == 200)
    system.select("CREATE TABLE asked (id UInt64) ENGINE = MergeTree ORDER BY id")
    system.select("INSERT INTO asked SELECT number FROM numbers(1000)")
    service = system.api("GET", "/services")[1]["result"][0]["id"]
    request = ask(system, "service.backup", "--service", "demo")
    wait_until("the backup's end", 180, lambda: state(system, request) in ("done", "failed"))
    assert state(system, request) == "done", system.ok("requests", request)
    published(system, "operation", lambda body: body["request"] == request and body["operations"] == ["service.backup"])
    published(system, "outcome", lambda body: body["request"] == request and body["outcome"] == "done")
    made = next(b for b in json.loads((agent / "state/backups.json").read_text())["backups"] if b["id"] == request)
    assert (made["service"], made["state"], made["drill"]) == (service, "done", "passed"), made
    wait_until("the control plane to know it", 60, lambda: any(
        b["id"] == request and b["status"] == "done" for b in system.api("GET", f"/services/{service}/backups")[1]["result"]))


def test_status_says_what_stands_behind_the_gates_list(system, agent):
    """The embedded engine has no rights of its own for the gate; who reads the status is told."""
    def said():
        return json.loads((agent / "run/status.json").read_text())
    assert "list alone" in said()["gateJudge"] and "embedded engine" in said()["gateJudge"]
    wait_until("no operation to be under way", 60, lambda: said()["operations"] == {"orders": [], "drained": {}})


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
    assert not (agent / "policy/policy.json").exists()
    system.ok("approve", change, "--yes")
    wait_state(system, change, "done")
    assert json.loads((agent / "policy/policy.json").read_text())["mode"] == "sealed"
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
    # As the console's page for a new service under sealed shows it: sizes and networks go along.
    creating = subprocess.Popen([str(OWNHOUSE), "services", "create", "second", "--memory", "16", "--replicas", "2", "--from",
                                 "192.0.2.0/24,198.51.100.7", "--channel", "slow", "--no-idle", "--home", str(system.home)],
                                stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    asked = wait_until("the agent's own request", 60, lambda: [
        one for one in system.ok("requests") if one["id"] not in known and one["origin"] == "agent"])
    assert asked[0]["operations"] == ["desired.exposing"]
    paths = [change["path"] for change in asked[0]["document"]["arguments"]["changes"]]
    assert any(path.endswith(".users") for path in paths) and any(path.endswith(".ipAccessList") for path in paths)
    second = next(s for s in system.api("GET", "/services")[1]["result"] if s["name"] == "second")
    assert [e["source"] for e in second["ipAccessList"]] == ["192.0.2.0/24", "198.51.100.7"]
    assert (second["minReplicaMemoryGb"], second["maxReplicaMemoryGb"], second["numReplicas"]) == (16, 16, 2)
    assert (second["releaseChannel"], second["idleScaling"]) == ("slow", False)
    assert answers(system, 2)
    desired = json.loads(json.loads((agent / "state/desired.json").read_text())["document"])
    assert [service["name"] for service in desired["services"]] == ["demo"]
    signed = set()

    def in_force():
        # The control plane may have gone on meanwhile: what is asked for is what the newest document changes.
        for one in system.ok("requests", "--state", "waiting"):
            if one["origin"] == "agent" and one["id"] not in signed:
                signed.add(one["id"])
                system.ok("approve", one["id"], "--yes")
        text = json.loads((agent / "state/desired.json").read_text())["document"]
        return [s["memoryGb"] for s in json.loads(text)["services"]][1:] == [16]

    wait_until("the signed document in force", 90, in_force)
    wait_until("its request to be done", 60, lambda: "done" in {state(system, one) for one in signed})
    assert creating.wait(timeout=120) == 0


def paper(system, path, kind):
    """What the console gives out for signing, and the thing itself."""
    one = system.api("GET", path)[1]["result"]
    body = one["document"] if kind == "request" else {"id": one["id"], "document": one["document"]}
    return {kind: body, "approvals": one["approvals"]}, one


def test_signed_on_a_device_without_the_control_plane(system, tmp_path):
    request = ask(system, "access.cluster.view")
    wait_state(system, request, "waiting")
    papers, _ = paper(system, f"/requests/{request}", "request")
    (tmp_path / "papers.json").write_text(json.dumps(papers))
    words = ["approve", "--request", str(tmp_path / "papers.json"), "--key", str(system.customer / "approver.key"), "--yes",
             "--home", str(tmp_path / "nothing")]
    shown = subprocess.run([str(OWNHOUSE), *words], capture_output=True, text=True, check=True).stdout
    assert "an engineer see workloads" in shown and papers["request"]["id"] in shown
    signature = json.loads(shown.splitlines()[-1])
    both = subprocess.run([str(OWNHOUSE), *words, request], capture_output=True, text=True)
    assert both.returncode == 2 and "either ID or --request" in both.stderr
    assert state(system, request) == "waiting"
    status, answer = system.api("POST", f"/requests/{request}/approvals", {"approval": signature})
    assert status == 200, answer
    wait_state(system, request, "allowed")


def test_a_plan_under_sealed_wants_a_signature(system, tmp_path):
    infrastructure, = system.api("GET", "/infrastructures")[1]["result"]
    sealed = system.api("GET", "")[1]["result"]["byocConfig"][0]["ownhouse"]
    assert sealed == {"policyMode": "sealed"}
    assert system.api("POST", f"/infrastructures/{infrastructure['id']}/plans", {"kind": "destroy"})[0] == 200
    plan = wait_until("a proposed plan", 60, lambda: system.api("GET", "/plans?state=proposed")[1]["result"])[0]
    path = f"/plans/{plan['id']}"
    papers, details = paper(system, path, "plan")
    assert (details["needSignatures"], details["haveSignatures"], details["approvals"]) == (1, 0, [])
    status, answer = system.api("POST", path + "/approve", {"digest": plan["digest"]})
    assert status == 409 and "ownhouse approve" in answer["error"]
    secret = tmp_path / "passphrase"
    secret.write_text("correct horse battery\n")
    secret.chmod(0o600)
    system.ok("key", "new", str(tmp_path / "stranger.key"), "--passphrase-file", str(secret))
    (tmp_path / "papers.json").write_text(json.dumps(papers))
    stranger = system.ok("approve", "--request", str(tmp_path / "papers.json"), "--yes", "--key",
                         str(tmp_path / "stranger.key"), "--passphrase-file", str(secret))
    assert stranger["digest"] == plan["digest"]
    own = system.ok("approve", "--request", str(tmp_path / "papers.json"), "--yes")
    for approval, why in ((stranger, "not a key that"), (own | {"signature": stranger["signature"]}, "not by the key"),
                          ({}, "approval")):
        status, answer = system.api("POST", path + "/approve", {"digest": plan["digest"], "approval": approval})
        assert status in (400, 409) and why in answer["error"], answer
    denied = system.run("deny", "--request", str(tmp_path / "papers.json"), "--yes")
    assert denied.returncode != 0 and "discarded" in denied.stderr
    assert system.api("GET", path)[1]["result"]["state"] == "proposed"
    assert system.api("POST", path + "/discard")[0] == 200
    status, answer = system.api("POST", path + "/approve", {"digest": plan["digest"], "approval": own})
    assert status == 409 and "discarded" in answer["error"]


def test_ledger_holds_and_is_cosigned(system, bucket):
    def cosigned():
        return system.ok("ledger", "verify")["cosigned"] > 0
    wait_until("a cosigned checkpoint", 60, cosigned)
    infrastructure, = system.api("GET", "/infrastructures")[1]["result"]
    held = system.api("GET", f"/infrastructures/{infrastructure['id']}/consent")[1]["result"]
    report = system.ok("ledger", "verify", "--key", held["ledgerVerifier"], "--witness", held["witness"])
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


def test_reconcile_names_acts_without_approval(system, tmp_path):
    arn = "arn:aws:sts::1:assumed-role/ownhouse-provision/x"
    trail = {"Records": [
        {"eventTime": "2020-01-01T00:00:00Z", "eventSource": "ec2.amazonaws.com", "eventName": "RunInstances",
         "userIdentity": {"arn": arn}},
        {"eventTime": "2020-01-01T00:00:00Z", "eventSource": "s3.amazonaws.com", "eventName": "GetObject",
         "userIdentity": {"arn": "arn:aws:sts::1:assumed-role/somebody-else/x"}},
        {"eventTime": "2026-01-01T00:00:30Z", "eventSource": "ec2.amazonaws.com", "eventName": "CreateVpc",
         "userIdentity": {"arn": arn}}]}
    (tmp_path / "trail.json").write_text(json.dumps(trail))
    (tmp_path / "plans.json").write_text(json.dumps([
        {"id": "p", "approvedAt": "2026-01-01T00:00:00Z", "finishedAt": "2026-01-01T00:01:00Z"}]))
    (tmp_path / "queries.json").write_text(
        '{"time":"2026-01-01T00:00:00Z","user":"ownhouse_gate","query_id":"unknown"}\n'
        '{"time":"2026-01-01T00:00:00Z","user":"default","query_id":"customer"}\n')
    (tmp_path / "audit.json").write_text(
        '{"requestReceivedTimestamp":"2020-01-01T00:00:00Z","verb":"get","stage":"ResponseComplete",'
        '"requestURI":"/api/v1/secrets","user":{"username":"ownhouse-engineer"}}\n')
    done = system.run("reconcile", "--cloudtrail", str(tmp_path / "trail.json"), "--plans", str(tmp_path / "plans.json"),
                      "--query-log", str(tmp_path / "queries.json"), "--kubernetes", str(tmp_path / "audit.json"))
    plain = done.stdout
    assert done.returncode != 0 and "RunInstances" in plain and "query unknown" in plain and "/api/v1/secrets" in plain
    assert "CreateVpc" not in plain and "GetObject" not in plain and "customer" not in plain


def test_lock_and_unlock(system, agent, tmp_path):
    """The kill switch: the link closes, a signed report says so, services go on, and only the customer's key opens it."""
    config = next(agent.parent.rglob("agent.conf"))
    program = OWNHOUSE.parents[1] / "agent/ownhouse-agent"

    def connected():
        return json.loads((agent / "run/status.json").read_text()).get("link", {}).get("connected", False)

    def call(*words):
        return subprocess.run([str(program), *words, "--config", str(config)], capture_output=True, text=True, timeout=120)

    assert connected()
    locked = call("lock", "--json")
    assert locked.returncode == 0, locked.stderr
    report = json.loads(locked.stdout)
    assert report["shut"] and report["connections"] == []
    assert all(path["shut"] for path in report["paths"].values()) and set(report["paths"]) == {"link", "gate", "operations"}
    assert report["paths"]["gate"] == {"answered": True, "locked": True, "grants": 0, "connections": 0, "shut": True}
    assert report["paths"]["operations"] == {"shut": True}
    published(system, "lock-report", lambda body: body["paths"] == report["paths"] and body["shut"])
    size = int(report["checkpoint"].splitlines()[1])
    assert size > report["leaf"]
    assert not connected() and answers(system, 4)
    request = ask(system, "service.restart", "--service", "demo")
    secret = tmp_path / "passphrase"
    secret.write_text("correct horse battery\n")
    secret.chmod(0o600)
    system.ok("key", "new", str(tmp_path / "thief.key"), "--passphrase-file", str(secret))
    stolen = subprocess.Popen([str(program), "unlock", "--config", str(config), "--key", str(tmp_path / "thief.key"),
                               "--passphrase-file", str(secret)], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    wait_until("the thief's signature on the disk", 30, lambda: (agent / "policy/unlock.json").exists())
    written = (agent / "run/status.json").stat().st_mtime_ns
    wait_until("the operator to look", 30, lambda: (agent / "run/status.json").stat().st_mtime_ns > written)
    assert (agent / "policy/lock.json").exists() and not connected()
    stolen.kill()
    stolen.wait()
    opened = call("unlock", "--key", str(system.customer / "approver.key"))
    assert opened.returncode == 0, opened.stderr
    wait_until("the link to come back", 60, connected)
    wait_state(system, request, "done", "waiting")
    published(system, "unlocked", lambda body: True)
