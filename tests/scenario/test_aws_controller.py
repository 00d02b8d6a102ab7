"""The control plane's controller while it works in a customer's account: killed while it applies, and with all its roles detached."""
import json
import os
import pathlib
import shutil
import signal
import sqlite3
import subprocess
import sys

import pytest

from aws_peer import aws
from aws_service import Service
from full_system import BUILD, OWNHOUSE, System, engine_available, free_range, processes, wait_until
from test_aws_moto import configure, infrastructure
from test_aws_strict import ACCOUNT, BRISK, NOTHING, WHOLE, World
from test_backups import ask, made as backup_made

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "fault"))
from parts import parts  # noqa: E402

PHASES = ("inspect", "provision", "operate", "remove")
# Without what joins it to other networks, which test_aws_strict.py has.
THERE = {**WHOLE, "Peerings": 0, "EndpointServices": 0, "FlowLogs": 0, "Roles": 4, "LogGroups": 1}


class Installed(System):
    """As a package installs it: the programs in a folder of their own, where the next release takes their place."""

    def __init__(self):
        super().__init__()
        self.programs = self.root / "bin"
        self.programs.mkdir()
        for path in ("cli/ownhouse", "control/ownhouse-control", "agent/ownhouse-agent", "clickhouse/ownhouse-clickhouse"):
            shutil.copy2(BUILD / "src" / path, self.programs)

    def run(self, *words, timeout=240, env=None, **kwargs):
        return subprocess.run([self.programs / "ownhouse", *words, "--home", str(self.home)], capture_output=True, text=True,
                              stdin=subprocess.DEVNULL, timeout=timeout, env=dict(os.environ, **(env or {})), **kwargs)

    def release(self, name):
        """Another file takes the place of a program; its inode."""
        new = self.programs / f"{name}.new"
        shutil.copy2(self.programs / name, new)
        new.replace(self.programs / name)
        return (self.programs / name).stat().st_ino


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """A control plane, and an account connected to a server as strict as AWS; services run on this machine."""
    if not engine_available():
        pytest.skip("skipped: no ClickHouse engine available")
    world, system = World(tmp_path_factory.mktemp("strict")), Installed()
    try:
        world.door.set(pace=BRISK)
        configure(system, {"*": world.door.url})
        system.up()
        settings = system.root / "settings.json"
        settings.write_text(json.dumps({"features": {"hostedZone": True}}))
        account = system.ok("account", "connect", "aws", "prod", "--account-id", ACCOUNT, "--controller-arn",
                            f"arn:aws:iam::{ACCOUNT}:user/controller", "--data-plane", "local", "--config", str(settings))
        aws(world.moto.url, "cloudformation", "create-stack", "--stack-name", "ownhouse-prod", "--capabilities",
            "CAPABILITY_NAMED_IAM", "--template-body", f"file://{account['artefact']}/cloudformation.json", "--parameters",
            "ParameterKey=MakeZone,ParameterValue=true", "ParameterKey=DeleteData,ParameterValue=true")
        ident = system.ok("account", "infrastructure", "prod", "--region", "us-east-1", "--cidr", free_range(), "--name",
                          "prod")["id"]
        yield world, system, ident, account["config"]["externalId"]
    finally:
        (system.home / "aws.json").unlink(missing_ok=True)
        system.purge()
        world.close()


def controller(system):
    found = parts(system).get("controller", [])
    return found[0] if found else 0


def epoch(system, ident):
    """How often somebody has taken the right to act on this infrastructure."""
    with sqlite3.connect(next(system.home.glob("control/**/control.db")), timeout=20) as db:
        row = db.execute("SELECT epoch FROM infrastructure_lease WHERE infrastructure_id = ?", (ident,)).fetchone()
    return row[0] if row else 0


def show(system, ident):
    return f"{infrastructure(system, ident)}\n{system.logs()}"


def test_a_controller_that_is_killed_while_it_applies_goes_on_where_it_was(made):
    world, system, ident, _ = made
    door = world.door
    wait_until("the plan is proposed", 120, lambda: (infrastructure(system, ident)["plan"] or {}).get("state") == "proposed",
               show=lambda: show(system, ident))
    assert all(count == 0 for count in door.there(ident).values()), "something was made before anybody approved it"
    door.set()
    approve = subprocess.Popen([OWNHOUSE, "plan", "apply", ident, "--yes", "--home", system.home], stdin=subprocess.DEVNULL,
                               stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    try:
        for writes in (25, 40):
            door.set()
            wait_until(f"{writes} writes", 180, lambda: len(door.state()["writes"]) >= writes, every=0.01)
            before = epoch(system, ident)
            old = controller(system)
            os.kill(old, signal.SIGKILL)
            wait_until("another controller", 60, lambda: controller(system) not in (0, old))
            wait_until("its lease", 120, lambda: epoch(system, ident) > before)
        out, _ = approve.communicate(timeout=400)
    finally:
        approve.kill()
    assert approve.returncode == 0, out + show(system, ident)
    wait_until("it is ready", 240, lambda: infrastructure(system, ident)["state"] == "infra-ready")
    assert door.there(ident) == THERE
    plan = infrastructure(system, ident)["plan"]
    assert plan is None or plan["state"] != "proposed", plan


def trust(world, external, phases=PHASES):
    """Who may take roles up: with another external id nobody of ours can, as if they were detached."""
    document = {"Version": "2012-10-17", "Statement": [{
        "Effect": "Allow", "Principal": {"AWS": f"arn:aws:iam::{ACCOUNT}:user/controller"}, "Action": "sts:AssumeRole",
        "Condition": {"StringEquals": {"sts:ExternalId": external}}}]}
    for phase in phases:
        aws(world.moto.url, "iam", "update-assume-role-policy", "--role-name", f"ownhouse-prod-{phase}", "--policy-document",
            json.dumps(document))


def test_with_all_roles_detached_services_go_on_and_what_cannot_be_done_is_said(made):
    world, system, ident, external = made
    service = Service.make(system, ident)
    wait_until("the service runs", 300, lambda: service.state()["state"] == "running")
    wait_until("an answer", 60, lambda: service.answers("SELECT 1", "1"))
    (one,) = wait_until("its identity", 240, lambda: associations(world, ident, service.id))
    assert one["tags"]["ownhouse:resource"] == f"aws_pod_identity.service-{service.id}"
    wait_until("its plan is done", 60, lambda: (infrastructure(system, ident)["plan"] or {}).get("state") == "applied")
    service.select("CREATE TABLE kept (n UInt64) ENGINE = MergeTree ORDER BY n")
    service.select("INSERT INTO kept SELECT number FROM numbers(100)")
    trust(world, "nobody-has-this-one")
    world.door.set()
    # What cannot be done is said, and by which role: in the state, by the command, and by verify.
    system.api("POST", f"/infrastructures/{ident}/plans", {"kind": "apply"})
    said = wait_until("the controller says it", 120, lambda: infrastructure(system, ident)["error"])
    assert "cannot assume the role" in said and "ownhouse-prod-inspect" in said and "services go on" in said, said
    verify = system.run("account", "verify", "prod")
    assert verify.returncode != 0 and "inspect" in verify.stdout + verify.stderr
    # Nothing was changed in the account, and nothing stands still because of it: rows, orders, passwords, crashes.
    assert not world.door.state()["writes"]
    assert service.answers("SELECT count() FROM kept", "100")
    for command, state in (("stop", "stopped"), ("start", "running")):
        status, answer = system.api("PATCH", f"/services/{service.id}/state", {"command": command})
        assert status == 200, answer
        wait_until(f"it is {state}", 240, lambda: service.state()["state"] == state)
    wait_until("an answer", 120, lambda: service.answers("SELECT count() FROM kept", "100"))
    status, answer = system.api("PATCH", f"/services/{service.id}/password", {})
    assert status == 200, answer
    service.password = answer["result"]["password"]
    wait_until("the new password", 120, lambda: service.answers("SELECT 2", "2"))
    for pid in service.engines():
        os.kill(pid, signal.SIGKILL)
    wait_until("it came back by itself", 120, lambda: service.answers("SELECT count() FROM kept", "100"))
    backs_up(system, service)
    renews_its_certificate(system, ident, service)
    is_upgraded(system, service)
    assert not world.door.state()["writes"]
    # Attached again: the same plan engine, nothing to do.
    trust(world, external)
    wait_until("all is well", 420, lambda: not infrastructure(system, ident)["error"])
    assert infrastructure(system, ident)["state"] == "infra-ready"


def backs_up(system, service):
    """One that was asked for with the customer's own command, and one after it, which holds only what is new."""
    first = backup_made(system, service.id, system.ok("backups", "create", "shop")["id"])
    assert (first["status"], first["type"], first["ownhouse"]["drill"]) == ("done", "full", "passed"), first
    service.select("INSERT INTO kept SELECT number + 100 FROM numbers(50)")
    second = backup_made(system, service.id, ask(system, service.id))
    assert (second["status"], second["type"]) == ("done", "incremental"), second


def renews_its_certificate(system, ident, service):
    """Three weeks pass for the certificate: the data plane's own authority issues the next one."""
    (leaf,) = system.home.glob("accounts/prod/**/service.json")
    before, held = service.certificate(), json.loads(leaf.read_text())
    days = 21 * 24 * 3600 * 1000
    leaf.write_text(json.dumps({**held, "notBefore": held["notBefore"] - days, "notAfter": held["notAfter"] - days}))
    mark = f"OWNHOUSE_INFRASTRUCTURE={ident}".encode()
    operators = [p for p, environ, command in processes() if "--role operator" in command and mark in environ.split(b"\0")]
    assert len(operators) == 1 and before, operators
    os.kill(operators[0], signal.SIGKILL)
    wait_until("another certificate of the same authority", 120, lambda: service.certificate() not in (None, before))
    wait_until("an answer", 60, lambda: service.answers("SELECT count() FROM kept", "150"))


def is_upgraded(system, service):
    """Another release of the engine and of the control plane, taken up by the customer's own commands."""
    engine = system.release("ownhouse-clickhouse")  # unless the machine has a clickhouse of its own
    assert all(os.stat(f"/proc/{pid}/exe").st_ino != engine for pid in service.engines()) and service.engines()
    for command, state in (("stop", "stopped"), ("start", "running")):
        system.ok("services", command, "shop")
        wait_until(f"it is {state}", 240, lambda: service.state()["state"] == state)
    wait_until("an answer", 120, lambda: service.answers("SELECT count() FROM kept", "150"))
    assert shutil.which("clickhouse") or {os.stat(f"/proc/{pid}/exe").st_ino for pid in service.engines()} == {engine}
    control = system.release("ownhouse-control")
    system.up()
    assert {os.stat(f"/proc/{pid}/exe").st_ino for pid in system.pids("ownhouse-control")} == {control}
    assert service.answers("SELECT count() FROM kept", "150")


def listed(world, ident, service):
    """Ids of what gives one service's pods the data role, as AWS's command line sees them."""
    found = aws(world.door.url, "eks", "list-pod-identity-associations", "--cluster-name", f"oh-{ident[:8]}", "--namespace",
                f"ownhouse-{service}")
    return [one["associationId"] for one in found["associations"]]


def associations(world, ident, service):
    """The same with all that they say, while nobody removes them."""
    return [aws(world.door.url, "eks", "describe-pod-identity-association", "--cluster-name", f"oh-{ident[:8]}", "--association-id",
                one)["association"] for one in listed(world, ident, service)]


def test_the_operate_role_alone_serves_services(made):
    """With the roles that make and remove detached, services come and go; where it is detached too, that is said, nothing else waits
    for it, and it is done when the role is there again."""
    world, system, ident, external = made
    trust(world, "nobody-has-this-one", ("provision", "remove"))
    service = Service.make(system, ident, "blog")
    (one,) = wait_until("its identity", 240, lambda: associations(world, ident, service.id))
    assert one["serviceAccount"] == "clickhouse" and one["roleArn"].endswith(":role/ownhouse/ownhouse-prod-data")
    wait_until("it runs", 300, lambda: service.state()["state"] == "running")
    trust(world, "nobody-has-this-one", ("operate",))
    assert system.api("PATCH", f"/services/{service.id}/state", {"command": "stop"})[0] == 200
    wait_until("it is stopped", 240, lambda: service.state()["state"] == "stopped")
    assert system.api("DELETE", f"/services/{service.id}")[0] == 200
    said = wait_until("the controller says it", 240, lambda: infrastructure(system, ident)["error"])
    assert "ownhouse-prod-operate" in said and "cannot assume the role" in said, said
    assert len(associations(world, ident, service.id)) == 1
    assert system.ok("drift", "check", ident, timeout=180)["items"] == []
    trust(world, external)
    wait_until("it went with its service", 300, lambda: not listed(world, ident, service.id))
    wait_until("all is well", 300, lambda: not infrastructure(system, ident)["error"])


def report(system, ident):
    """The removal's report, by resource; of each only the newest."""
    said = system.ok("plan", "report", ident)
    return said, {i["resource"]: i for i in said["items"] if i["resource"].startswith("aws_")}


def test_a_controller_that_is_killed_while_it_removes_says_at_the_end_what_it_was_denied(made):
    world, system, ident, _ = made
    door = world.door
    # Somebody's policy keeps three addresses and a bucket from going.
    bucket = f"oh-{ident[:8]}-{ACCOUNT}-data"
    door.set(pace={"forbidden": [["ReleaseAddress", ""], ["DELETE", bucket]]})
    remove = subprocess.Popen([OWNHOUSE, "plan", "destroy", ident, "--delete-data", "--yes", "--home", system.home],
                              stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    try:
        wait_until("30 writes", 240, lambda: len(door.state()["writes"]) >= 30, every=0.01)
        old = controller(system)
        os.kill(old, signal.SIGKILL)
        wait_until("another controller", 60, lambda: controller(system) not in (0, old))
        out, _ = remove.communicate(timeout=400)
    finally:
        remove.kill()
    assert remove.returncode != 0 and "denied by a policy" in out, out
    assert infrastructure(system, ident)["state"] != "infra-terminated"
    said, items = report(system, ident)
    assert not said["complete"] and len(items) > 40
    there = {name: i for name, i in items.items() if i["state"] == "there"}
    denied = {name for name, i in there.items() if i["why"].startswith("its removal failed: ")}
    assert denied == {"aws_bucket.data", *(n for n in items if n.startswith("aws_elastic_ip."))} and len(denied) == 4, there
    assert all("denied by a policy" in there[name]["why"] for name in denied), there
    # What costs money says how much, and what waits for them says so; all else is gone, with its time.
    assert all(there[name]["monthly"] > 300 for name in denied if name.startswith("aws_elastic_ip.")), there
    assert {i["why"] for name, i in there.items() if name not in denied} <= {"what had to go before it is still there"}, there
    assert {i["state"] for name, i in items.items() if name not in there} == {"gone"}
    assert all(i["removedAt"] for name, i in items.items() if name not in there) and not any(i["removedAt"] for i in there.values())
    left = door.there(ident)
    assert left["Addresses"] == 3 and left["Buckets"] == 1 and left["Clusters"] == 0 and left["NatGateways"] == 0
    assert any(bucket in t["arn"] for t in said["tagged"]) or not said["tagged"]


def test_a_removal_that_keeps_the_data_names_them_with_reason_and_cost(made):
    world, system, ident, _ = made
    world.door.set(pace={"forbidden": []})
    removed = system.run("plan", "destroy", ident, "--yes", timeout=400)
    assert removed.returncode == 0, removed.stdout + removed.stderr + show(system, ident)
    wait_until("it is gone", 120, lambda: infrastructure(system, ident)["state"] == "infra-terminated")
    assert world.door.there(ident) == {**NOTHING, "Buckets": 1, "Keys": 1}
    said, items = report(system, ident)
    there = {name: i for name, i in items.items() if i["state"] == "there"}
    assert set(there) == {"aws_bucket.data", "aws_kms_key.main"} and not said["complete"], there
    assert {i["why"] for i in there.values()} == {"it holds data, which was to be kept"}
    assert there["aws_kms_key.main"]["monthly"] == 100 and not any(i["removedAt"] for i in there.values()), there
    assert there["aws_bucket.data"]["identity"].endswith(f"oh-{ident[:8]}-{ACCOUNT}-data"), there
    shown = system.run("plan", "report", ident).stdout
    assert "aws_bucket.data" in shown and "which was to be kept" in shown, shown
