"""The full set of an AWS infrastructure against a server as strict as AWS (tests/scenario/aws/strict.py), hurt in every way that a
network and a machine can: killed before and after a call, answers lost, 500s, throttling. The end is the same each time, nothing
is there twice, and after the removal nothing is left."""
import json
import os
import pathlib
import signal
import subprocess
import time
import urllib.request

import pytest

import aws_peer
from aws_peer import KEYS, aws, environment

BUILD = pathlib.Path(os.environ["OWNHOUSE_BUILD"])
PROGRAM = BUILD / "tests/scenario/programs/aws-infra"
LONG = os.environ.get("OWNHOUSE_TEST_LONG") == "1"
ACCOUNT = "123456789012"
IDENT = "{:08x}-0000-4000-8000-0000005c0ffe"
FULL = 53  # resources


class Door(aws_peer.Process):
    """strict.py in front of moto, with a log of all requests."""

    def __init__(self, folder, moto):
        port = aws_peer.free_port()
        self.requests = folder / "requests.log"
        script = aws_peer.HERE / "aws/door.py"
        super().__init__([aws_peer.tool("python"), script, str(port), moto.url, self.requests, "strict"], port,
                         folder / "door.log", "/door")

    def set(self, **faults):
        request = urllib.request.Request(self.url + "/door", method="PUT", data=json.dumps(faults).encode())
        urllib.request.urlopen(request, timeout=30).read()

    def calls(self):
        return json.loads(aws_peer.wait_http(self.url + "/door"))["calls"]


@pytest.fixture(scope="module")
def world(tmp_path_factory):
    folder = tmp_path_factory.mktemp("strict")
    moto = aws_peer.Moto(folder)
    door = None
    try:
        door = Door(folder, moto)
        yield moto, door
    finally:
        if door:
            door.close()
        moto.close()


class Infra:
    """aws-infra in a folder of its own; each has an id of its own."""
    count = 0

    def __init__(self, folder, url, **more):
        Infra.count += 1
        self.ident = IDENT.format(0x5C000000 + Infra.count)
        self.folder = folder
        role = f"arn:aws:iam::{ACCOUNT}:role/ownhouse/ownhouse-prod-"
        account = {"accountId": ACCOUNT, "features": {"hostedZone": True},
                   "artefact": {"dataRole": role + "data", "bootstrapRole": role + "bootstrap",
                                "launchTemplate": "ownhouse-prod-bootstrap"}}
        (folder / "env.json").write_text(json.dumps({
            "account": account, "endpoints": {"*": url}, "pauseMs": 50, **more,
            "infrastructure": {"id": self.ident, "name": "prod", "region": "us-east-1", "cidr": "10.41.0.0/16",
                               "domain": f"i{Infra.count}.example.com"}}))

    def start(self, verb):
        return subprocess.Popen([PROGRAM, verb, self.folder], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
                                env=environment())

    def run(self, verb, good=True):
        process = self.start(verb)
        out, err = process.communicate(timeout=300)
        assert not good or process.returncode == 0, err[-3000:]
        return json.loads(out) if out.strip() else None

    def summary(self):
        return self.run("plan")["summary"]


def everything(moto, ident):
    """What there is of an infrastructure, as moto itself says."""
    tag = f"Name=tag:ownhouse:infrastructure,Values={ident}"
    count = {}
    for what, verb in (("Vpcs", "describe-vpcs"), ("Subnets", "describe-subnets"), ("RouteTables", "describe-route-tables"),
                       ("InternetGateways", "describe-internet-gateways"), ("Addresses", "describe-addresses"),
                       ("SecurityGroups", "describe-security-groups"), ("VpcEndpoints", "describe-vpc-endpoints")):
        found = aws(moto.url, "ec2", verb, "--filters", tag)[what]
        count[what] = len([f for f in found if str(f.get("State", "")).lower() not in ("deleted", "deleting")])
    nats = aws(moto.url, "ec2", "describe-nat-gateways")["NatGateways"]
    mine = {"Key": "ownhouse:infrastructure", "Value": ident}
    count["NatGateways"] = len([n for n in nats if mine in n.get("Tags", []) and n["State"] not in ("deleted", "deleting")])
    prefix = f"oh-{ident[:8]}"
    count["Buckets"] = len([b for b in aws(moto.url, "s3api", "list-buckets")["Buckets"] if b["Name"].startswith(prefix)])
    count["Roles"] = len([r for r in aws(moto.url, "iam", "list-roles")["Roles"] if r["RoleName"].startswith(prefix)])
    return count


WHOLE = {"Vpcs": 1, "Subnets": 6, "RouteTables": 6, "InternetGateways": 1, "Addresses": 3, "SecurityGroups": 3,
         "VpcEndpoints": 1, "NatGateways": 3, "Buckets": 4, "Roles": 4}
NOTHING = dict.fromkeys(WHOLE, 0)


def test_full_set_no_op_upgrade_and_removal(world, tmp_path):
    moto, door = world
    door.set()
    infra = Infra(tmp_path, door.url)
    done = infra.run("apply")
    assert len(done["done"]) == FULL and not done["failed"] and not done["blocked"]
    assert everything(moto, infra.ident) == WHOLE
    assert infra.summary() == {"create": 0, "change": 0, "replace": 0, "destroy": 0, "none": FULL}
    # AWS's own command line reads the strict server as it reads AWS.
    name = f"oh-{infra.ident[:8]}"
    cluster = aws(door.url, "eks", "describe-cluster", "--name", name)["cluster"]
    assert cluster["status"] == "ACTIVE" and cluster["resourcesVpcConfig"]["endpointPublicAccess"] is False
    assert cluster["tags"]["ownhouse:bootstrap"].startswith("ownhouse-prod-bootstrap@subnet-")
    assert len(aws(door.url, "eks", "list-pod-identity-associations", "--cluster-name", name)["associations"]) == 3
    entries = aws(door.url, "eks", "list-access-entries", "--cluster-name", name)["accessEntries"]
    assert entries == [f"arn:aws:iam::{ACCOUNT}:role/ownhouse/ownhouse-prod-bootstrap"]
    # An upgrade is a plan that changes in place.
    env = json.loads((tmp_path / "env.json").read_text())
    env["account"]["kubernetesVersion"] = "1.34"
    (tmp_path / "env.json").write_text(json.dumps(env))
    assert infra.summary() == {"create": 0, "change": 1, "replace": 0, "destroy": 0, "none": FULL - 1}
    infra.run("apply")
    assert aws(door.url, "eks", "describe-cluster", "--name", name)["cluster"]["version"] == "1.34"
    # Data stay without the consent for data, and what they stand on.
    kept = infra.run("remove")["leftovers"]
    assert sorted(k["resource"] for k in kept) == ["aws_bucket.backups", "aws_bucket.data", "aws_bucket.logs",
                                                   "aws_bucket.metrics", "aws_kms_key.main"]
    assert everything(moto, infra.ident) == {**NOTHING, "Buckets": 4}
    assert not infra.run("purge")["leftovers"]
    assert everything(moto, infra.ident) == NOTHING


def test_roles_are_taken_up_only_with_the_external_id(world, tmp_path):
    moto, door = world
    door.set()
    trust = {"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Principal": {"AWS": "*"}, "Action": "sts:AssumeRole",
                                                     "Condition": {"StringEquals": {"sts:ExternalId": "right"}}}]}
    arn = aws(moto.url, "iam", "create-role", "--role-name", "ownhouse-ext-inspect", "--assume-role-policy-document",
              json.dumps(trust))["Role"]["Arn"]
    roles = {"inspect": arn}
    good = Infra(tmp_path, door.url, roles=roles, externalId="right")
    assert good.run("plan")["summary"]["create"] == FULL
    for wrong in ({}, {"externalId": "wrong"}):
        process = Infra(tmp_path, door.url, roles=roles, **wrong).start("plan")
        _, err = process.communicate(timeout=60)
        assert process.returncode == 1 and "cannot assume the role" in err and "AccessDenied" in err
    # A detached role: said plainly, nothing else done.
    process = Infra(tmp_path, door.url, roles=roles, externalId="right").start("apply")
    _, err = process.communicate(timeout=60)
    assert process.returncode == 1 and "has no provision role" in err


def crash(moto, door, tmp_path, verb, when, n):
    """Applies (and, for removal, removes) with a kill -9 at the n-th call, then goes on; the end must be whole."""
    infra = Infra(tmp_path, door.url)
    if verb == "purge":
        door.set()
        infra.run("apply")
    process = infra.start(verb)
    door.set(pid=process.pid, **{when: n})
    process.communicate(timeout=300)
    door.set()
    crashed = process.returncode == -signal.SIGKILL
    time.sleep(0.5)  # as long as EC2 takes to show what was made; a controller's restart takes longer
    if crashed and (tmp_path / "plan.json").exists():
        infra.run("resume", good=False)
    infra.run(verb)
    if verb == "apply":
        assert everything(moto, infra.ident) == WHOLE, (when, n)
        assert infra.summary()["none"] == FULL
        infra.run("purge")
    assert everything(moto, infra.ident) == NOTHING, (verb, when, n)
    return crashed


def points(whole, sample):
    return range(1, whole + 1) if LONG else sample


@pytest.mark.parametrize("when", ["before", "after"])
def test_killed_while_applying(world, tmp_path, when):
    moto, door = world
    for n in points(420, [180] if when == "after" else [130]):
        folder = tmp_path / f"{when}{n}"
        folder.mkdir()
        assert crash(moto, door, folder, "apply", when, n)


@pytest.mark.parametrize("when", ["before", "after"])
def test_killed_while_removing(world, tmp_path, when):
    moto, door = world
    for n in points(400, [260] if when == "after" else [180]):
        folder = tmp_path / f"{when}{n}"
        folder.mkdir()
        assert crash(moto, door, folder, "purge", when, n)


def test_lost_answers_500s_and_throttling(world, tmp_path):
    moto, door = world
    infra = Infra(tmp_path, door.url)
    door.set(lose=75)
    infra.run("apply")
    assert everything(moto, infra.ident) == WHOLE
    door.set(status=500, code="InternalError", **{"from": 60, "to": 75})
    infra.run("remove")
    door.set(status=503, code="RequestLimitExceeded", **{"from": 5, "to": 40})
    infra.run("purge")
    door.set()
    assert everything(moto, infra.ident) == NOTHING


def test_every_request_is_what_botocore_sends(world):
    """Runs last: holds all requests of this module against AWS's own models and serializers."""
    _, door = world
    said = json.loads(aws_peer.python("aws/wire.py", door.requests))
    assert not said["wrong"], said["wrong"][:3]
    assert len(said["calls"]) >= 100, sorted(said["calls"])
