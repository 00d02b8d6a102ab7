"""An infrastructure in an AWS account, from connecting it to the proof that nothing is left, as people do it: with the ownhouse
command, against moto, looked at from outside with AWS's own command line. The data plane runs on this machine."""
import json
import os
import pathlib
import sqlite3

import pytest

import aws_peer
from aws_peer import aws
from aws_service import Service
from full_system import System, engine_available, free_range, processes, wait_until
from peers import find_peer
from test_aws_policy import filled
from test_peer_clickhousectl import CommandLine
from test_terraform_requests import NEVER_SENT, Provider, destroy, hashes

ACCOUNT = "123456789012"
CANARY = "held by the controller alone"
# What moto has no answer for; the strict server has (test_aws_strict.py).
FEATURES = {"addons": False, "podIdentities": False, "accessEntry": False, "bootstrap": False, "hostedZone": True}


@pytest.fixture(scope="module")
def moto(tmp_path_factory):
    server = aws_peer.Moto(tmp_path_factory.mktemp("moto"))
    yield server
    server.close()


def configure(system, endpoints):
    """What the operator of the control plane sets: endpoints and the controller's keys."""
    system.home.mkdir(parents=True, exist_ok=True)
    keys = system.root / "aws-credentials"
    keys.write_text(f"[default]\naws_access_key_id = {aws_peer.KEYS['AWS_ACCESS_KEY_ID']}\n"
                    f"aws_secret_access_key = {aws_peer.KEYS['AWS_SECRET_ACCESS_KEY']}\n")
    keys.chmod(0o600)
    (system.home / "aws.json").write_text(json.dumps({"endpoints": endpoints, "credentialsFile": str(keys)}))


@pytest.fixture(scope="module")
def system(moto):
    if not engine_available():
        pytest.skip("skipped: no ClickHouse engine available")
    s = System()
    try:
        configure(s, {"*": moto.url})
        s.up(env={"AWS_OWNHOUSE_CANARY": CANARY})
        yield s
    finally:
        (s.home / "aws.json").unlink(missing_ok=True)
        s.purge()


def tagged(url, infrastructure):
    """ARNs of everything that moto says carries the infrastructure's tag, but keys on their way out."""
    found = aws(url, "resourcegroupstaggingapi", "get-resources", "--tag-filters",
                f"Key=ownhouse:infrastructure,Values={infrastructure}")
    return sorted(r["ResourceARN"] for r in found["ResourceTagMappingList"])


def infrastructure(system, ident):
    status, answer = system.api("GET", f"/infrastructures/{ident}")
    assert status == 200, answer
    return answer["result"]


def test_only_the_controller_is_started_with_keys_of_the_cloud(system):
    mine = system.processes()
    holders = [mine[pid] for pid, environ, _ in processes() if pid in mine and CANARY.encode() in environ]
    assert any("--role controller" in command for command in holders), holders
    others = [c for c in holders if "--role controller" not in c and not ("ownhouse-control" in c and "--role" not in c)]
    assert not others, others
    assert len(mine) > len(holders) + 5


def drift(system, ident, verb="check"):
    return {i["resource"]: i for i in system.ok("drift", verb, ident, timeout=180)["items"]}


def nothing_proposed(system, ident):
    return (infrastructure(system, ident)["plan"] or {}).get("state") != "proposed"


def decide_of_drift(system, moto, ident):
    """The customer changes a rule, a name and a bucket by hand: one is accepted, one ignored, one put back."""
    url = moto.url

    def group():
        return aws(url, "ec2", "describe-security-groups", "--filters", f"Name=tag:ownhouse:infrastructure,Values={ident}",
                   "Name=tag:ownhouse:resource,Values=aws_security_group.private-ingress")["SecurityGroups"][0]

    def ports(found):
        return sorted(rule["FromPort"] for rule in found["IpPermissions"])

    assert drift(system, ident) == {}
    before = group()
    source = before["IpPermissions"][0]["IpRanges"][0]["CidrIp"]
    aws(url, "ec2", "authorize-security-group-ingress", "--group-id", before["GroupId"], "--protocol", "tcp", "--port", "5432",
        "--cidr", source)
    bucket = f"oh-{ident[:8]}-{ACCOUNT}-logs"
    aws(url, "s3api", "put-bucket-versioning", "--bucket", bucket, "--versioning-configuration", "Status=Enabled")
    public = aws(url, "ec2", "describe-route-tables", "--filters",
                 "Name=tag:ownhouse:resource,Values=aws_route_table.public-b")["RouteTables"][0]["RouteTableId"]
    aws(url, "ec2", "delete-route", "--route-table-id", public, "--destination-cidr-block", "0.0.0.0/0")
    found = drift(system, ident)
    assert set(found) == {"aws_security_group.private-ingress", "aws_bucket.logs", "aws_route_table.public-b"}
    (one,) = found["aws_bucket.logs"]["differences"]
    assert one == {"attribute": "versioning", "now": True, "settled": False}

    system.ok("drift", "accept", ident, "aws_security_group.private-ingress")
    system.ok("drift", "ignore", ident, "aws_bucket.logs", "--days", "7")
    wait_until("only the third is proposed", 60, lambda: [
        c["resource"] for c in system.ok("plan", "show", ident)["document"]["changes"] if c["action"] != "none"] == [
            "aws_route_table.public-b"])
    system.ok("drift", "revert", ident, "aws_route_table.public-b")
    wait_until("it is put back", 120, lambda: any(r.get("DestinationCidrBlock") == "0.0.0.0/0" for r in aws(
        url, "ec2", "describe-route-tables", "--route-table-ids", public)["RouteTables"][0]["Routes"]))
    wait_until("nothing else is asked for", 60, lambda: "aws_route_table.public-b" not in drift(system, ident) and
               nothing_proposed(system, ident))
    states = {name: item["state"] for name, item in drift(system, ident).items()}
    assert states == {"aws_security_group.private-ingress": "accepted", "aws_bucket.logs": "ignored"}
    assert 5432 in ports(group())
    assert aws(url, "s3api", "get-bucket-versioning", "--bucket", bucket)["Status"] == "Enabled"

    # Of an accepted resource, what changes beside is drift again, and putting that back keeps what was accepted.
    aws(url, "ec2", "revoke-security-group-ingress", "--group-id", before["GroupId"], "--protocol", "tcp", "--port", "443",
        "--cidr", source)
    again = [i for i in system.ok("drift", "check", ident, timeout=180)["items"] if i["state"] == "open"]
    assert [i["resource"] for i in again] == ["aws_security_group.private-ingress"]
    system.ok("drift", "revert", ident, "aws_security_group.private-ingress")
    wait_until("the rule is back", 120, lambda: {443, 5432} <= set(ports(group())))
    wait_until("it is applied", 60, lambda: nothing_proposed(system, ident))


def sql(system, statement, *args):
    with sqlite3.connect(system.home / "control/store/control.db", timeout=30) as db:
        return db.execute(statement, args).fetchall()


def names(moto, ident):
    """The zone's names of services, as AWS's command line sees them."""
    zones = aws(moto.url, "route53", "list-hosted-zones")["HostedZones"]
    assert len(zones) == 1, zones
    sets = aws(moto.url, "route53", "list-resource-record-sets", "--hosted-zone-id", zones[0]["Id"])["ResourceRecordSets"]
    return {s["Name"].removesuffix("."): [r["Value"] for r in s["ResourceRecords"]] for s in sets if s["Type"] in ("A", "CNAME")}


def own_plans(system, ident):
    """Plans of what comes and goes with services."""
    rows = sql(system, "SELECT state, approved_by, document FROM plan WHERE infrastructure_id = ? ORDER BY created_at, id", ident)
    return [(state, by, json.loads(text)) for state, by, text in rows if json.loads(text).get("scope") == "services"]


def check_name(system, moto, ident, service):
    """A service's name came with it, by a plan of its own that nobody had to approve and that did nothing else."""
    host = system.api("GET", f"/services/{service}")[1]["result"]["endpoints"][0]["host"]
    wait_until("its name is in the zone", 120, lambda: names(moto, ident) == {host: ["127.0.0.1"]})
    wait_until("the plan is done", 60, lambda: [p[0] for p in own_plans(system, ident)] == ["applied"])
    (_, by, document), = own_plans(system, ident)
    assert "none is needed" in by and [r["role"] for r in document["estimate"]["actions"]] == ["operate"], document
    record = f"aws_dns_record.service-{service}"
    assert [c["resource"] for c in document["changes"] if c["action"] != "none"] == [record]
    # Of another service that is deleted again, nothing is left.
    second = system.api("POST", "/services", {
        "name": "second", "provider": "aws", "region": "us-east-1", "byocId": ident, "minReplicaMemoryGb": 8,
        "maxReplicaMemoryGb": 8, "numReplicas": 1, "ipAccessList": []})[1]["result"]["service"]["id"]
    wait_until("both names", 120, lambda: len(names(moto, ident)) == 2)
    assert system.api("PATCH", f"/services/{second}/state", {"command": "stop"})[0] == 200
    wait_until("it is stopped", 240, lambda: system.api("GET", f"/services/{second}")[1]["result"]["state"] == "stopped")
    assert len(names(moto, ident)) == 2
    assert system.api("DELETE", f"/services/{second}")[0] == 200
    wait_until("its name went with it", 240, lambda: names(moto, ident) == {host: ["127.0.0.1"]})
    assert nothing_proposed(system, ident)
    # Once there it is part of the infrastructure: what somebody does to it is drift, and is asked about.
    zone = aws(moto.url, "route53", "list-hosted-zones")["HostedZones"][0]["Id"]
    change = {"Changes": [{"Action": "UPSERT", "ResourceRecordSet": {
        "Name": host, "Type": "A", "TTL": 60, "ResourceRecords": [{"Value": "203.0.113.9"}]}}]}
    aws(moto.url, "route53", "change-resource-record-sets", "--hosted-zone-id", zone, "--change-batch", json.dumps(change))
    assert set(drift(system, ident)) == {record} and names(moto, ident) == {host: ["203.0.113.9"]}
    system.ok("drift", "revert", ident, record)
    wait_until("it is put back", 120, lambda: names(moto, ident) == {host: ["127.0.0.1"]})
    wait_until("nothing is asked for", 60, lambda: not drift(system, ident) and nothing_proposed(system, ident))
    assert [p[0] for p in own_plans(system, ident)] == ["applied"] * 3


def verify_sees_another_boundary(system, moto):
    """What bounds the roles that we make is compared with the artefact's, word by word."""
    def boundary():
        said = system.run("account", "verify", "prod")
        (row,) = [line.split() for line in said.stdout.splitlines() if line.split()[:1] == ["boundary"]] or [said.stderr]
        return row[1]
    arn = f"arn:aws:iam::{ACCOUNT}:policy/ownhouse/ownhouse-prod-boundary"
    assert boundary() == "ok"
    wide = {"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": "*", "Resource": "*"}]}
    aws(moto.url, "iam", "create-policy-version", "--policy-arn", arn, "--set-as-default", "--policy-document", json.dumps(wide))
    assert boundary() == "WRONG"
    aws(moto.url, "iam", "set-default-policy-version", "--policy-arn", arn, "--version-id", "v1")
    assert boundary() == "ok"


def made_by_official_clients(system, moto, ident, folder):
    """The official command line, and what the official Terraform provider asks: both name the infrastructure by `byocId`, as they would
    name one of ClickHouse Cloud's own, read it back, and their services answer a query."""
    before, terraform = names(moto, ident), Provider(system)
    wanted = {"isReadonly": False, "name": "terraform", "provider": "aws", "region": "us-east-1", "byocId": ident, "idleScaling": True,
              "idleTimeoutMinutes": 5, "ipAccessList": [{"source": "127.0.0.0/8", "description": "here"}], "minReplicaMemoryGb": 8,
              "maxReplicaMemoryGb": 16, "numReplicas": 1, "tags": [{"key": "team", "value": "data"}]}
    one = Service(system, terraform.ask("POST", "/services", wanted)["service"]["id"], NEVER_SENT)
    terraform.ask("PATCH", f"/services/{one.id}/password", hashes(NEVER_SENT))
    services = [one]
    if find_peer("clickhousectl"):
        official = CommandLine(system, folder)
        create = ("service", "create", "--provider", "aws", "--region", "us-east-1", "--num-replicas", "1", "--min-replica-memory-gb", "8",
                  "--max-replica-memory-gb", "8", "--ip-allow", "127.0.0.0/8=here")
        made = official.json(*create, "--name", "official", "--byoc-id", ident)
        assert made["service"]["byocId"] == ident, made
        services.append(Service(system, made["service"]["id"], made["password"]))
        refused = official.refused(*create, "--name", "nowhere", "--byoc-id", "00000000-0000-4000-8000-000000000000")
        assert "byocId" in refused, refused
    for service in services:
        wait_until("the service runs", 240, lambda: service.state()["state"] == "running")
        wait_until("an answer", 60, lambda: service.answers("SELECT sum(number) FROM numbers(100)", "4950"))
    state = terraform.read_service(one.id)
    assert {k: state[k] for k in wanted} == wanted and state == terraform.read_service(one.id)  # a plan without changes
    wait_until("their names", 240, lambda: len(names(moto, ident)) == len(before) + len(services))
    if services[1:]:
        assert official.json("service", "get", services[1].id)["state"] == "running"
        official.text("service", "delete", services[1].id, "--force")
    destroy(terraform, one.id)
    wait_until("their names went with them", 240, lambda: names(moto, ident) == before)


def check_report(system, moto, ident, made):
    """All that the journal made is in it, gone, with what AWS called it; what the tag still finds is explained."""
    report = system.ok("plan", "report", ident)
    assert report["complete"], [i for i in report["items"] if i["state"] != "gone"] + report["tagged"]
    assert {i["resource"] for i in report["items"]} == made
    cloud = [i for i in report["items"] if i["resource"].startswith("aws_")]
    assert len(cloud) > 40 and all(i["removedAt"] and i["why"] and i["identity"] for i in cloud)
    (vpc,) = [i["identity"] for i in cloud if i["resource"] == "aws_vpc.main"]
    assert vpc.startswith("vpc-") and vpc not in json.dumps(aws(moto.url, "ec2", "describe-vpcs"))
    assert {t["arn"] for t in report["tagged"]} == set(tagged(moto.url, ident))
    shown = system.run("plan", "report", ident).stdout
    assert vpc in shown and f"Of {len(report['items'])} resources" in shown


def test_connect_apply_drift_service_remove(system, moto, tmp_path):
    settings, cidr = tmp_path / "settings.json", free_range()
    settings.write_text(json.dumps({"features": FEATURES}))
    account = system.ok("account", "connect", "aws", "prod", "--account-id", ACCOUNT, "--controller-arn",
                        f"arn:aws:iam::{ACCOUNT}:user/controller", "--data-plane", "local", "--config", str(settings))
    assert len(account["config"]["externalId"]) == 32
    artefact = pathlib.Path(account["artefact"])
    # The customer applies it with his own rights.
    aws(moto.url, "cloudformation", "create-stack", "--stack-name", "ownhouse-prod", "--capabilities", "CAPABILITY_NAMED_IAM",
        "--template-body", f"file://{artefact}/cloudformation.json")
    verify_sees_another_boundary(system, moto)
    # moto lets a role be taken up without an external id: verify must see that.
    verify = system.run("account", "verify", "prod", "--json")
    said = json.loads(verify.stdout or "{}")
    assert verify.returncode == 4 and said["error"]["exit"] == 4 and "are wrong" in said["error"]["message"], said
    assert {"provision role: without external id"} <= {r["check"] for r in said["results"] if r["outcome"] == "wrong"}, said
    status, answer = system.api("GET", f"/accounts/{account['id']}")
    assert status == 200
    preflight = system.run("account", "preflight", "prod", "--region", "us-east-1", "--cidr", cidr)
    assert "us-east-1a=" in preflight.stdout and cidr in preflight.stdout, preflight.stdout + preflight.stderr

    ident = system.ok("account", "infrastructure", "prod", "--region", "us-east-1", "--cidr", cidr, "--name",
                      "prod")["id"]
    wait_until("the plan is proposed", 60, lambda: (infrastructure(system, ident)["plan"] or {}).get("state") == "proposed",
               show=lambda: str(infrastructure(system, ident)))
    assert not tagged(moto.url, ident), "something was made before anybody approved it"
    estimate = system.ok("plan", "show", ident)["estimate"]
    assert estimate["cost"]["before"] == 0 and estimate["cost"]["after"] > 100000 and not estimate["cost"]["unknown"]
    assert estimate["cost"]["table"]["region"] == "us-east-1"
    assert {"provision", "operate"} == {role["role"] for role in estimate["actions"]}
    shown = system.run("plan", "show", ident).stdout
    assert "USD a month" in shown and "ec2:CreateVpc" in shown and "minutes" in shown, shown
    applied = system.run("plan", "apply", ident, "--yes", timeout=300)
    assert applied.returncode == 0, applied.stdout + applied.stderr + system.logs()
    wait_until("it is ready", 120, lambda: infrastructure(system, ident)["state"] == "infra-ready")

    # What only the customer may write to the buckets, by hand since moto's CloudFormation leaves such policies out; that is no drift.
    module = json.loads((artefact / "terraform-buckets/main.tf.json").read_text())["resource"]["aws_s3_bucket_policy"]
    assert set(module) == {"data", "backups", "metrics", "logs"}
    for one in module.values():
        bucket, policy = (filled(one[k], **{"var.infrastructure": ident[:8], "var.role_path": "/ownhouse/"}) for k in ("bucket", "policy"))
        aws(moto.url, "s3api", "put-bucket-policy", "--bucket", bucket, "--policy", policy)
        kept = json.loads(aws(moto.url, "s3api", "get-bucket-policy", "--bucket", bucket)["Policy"])
        assert [s["Sid"] for s in kept["Statement"]] == ["OnlyTls", "OnlyDataRole"]

    # Seen from outside.
    arns = tagged(moto.url, ident)
    for kind, count in (("vpc/", 1), ("subnet/", 6), ("natgateway/", 3), ("route-table/", 6)):
        assert sum(kind in arn for arn in arns) >= count, (kind, arns)
    addresses = aws(moto.url, "ec2", "describe-addresses", "--filters",
                    f"Name=tag:ownhouse:infrastructure,Values={ident}")["Addresses"]
    assert len(addresses) == 3
    prefix = f"oh-{ident[:8]}"
    assert aws(moto.url, "eks", "describe-cluster", "--name", prefix)["cluster"]["tags"]["ownhouse:infrastructure"] == ident
    assert len(aws(moto.url, "eks", "list-nodegroups", "--cluster-name", prefix)["nodegroups"]) == 4
    for bucket in ("data", "backups", "metrics", "logs"):
        block = aws(moto.url, "s3api", "get-public-access-block", "--bucket", f"{prefix}-{ACCOUNT}-{bucket}")
        assert all(block["PublicAccessBlockConfiguration"].values())

    # A service in it answers a query, whoever made it.
    shop = Service.make(system, ident)
    wait_until("the service runs", 240, lambda: shop.state()["state"] == "running")
    wait_until("an answer", 60, lambda: shop.answers("SELECT 6 * 7", "42"))
    check_name(system, moto, ident, shop.id)
    made_by_official_clients(system, moto, ident, tmp_path)

    # Somebody deletes a route: nothing is put back without being asked, and what is proposed is only that.
    table = aws(moto.url, "ec2", "describe-route-tables", "--filters",
                "Name=tag:ownhouse:resource,Values=aws_route_table.private-a")["RouteTables"][0]["RouteTableId"]
    aws(moto.url, "ec2", "delete-route", "--route-table-id", table, "--destination-cidr-block", "0.0.0.0/0")
    system.api("POST", f"/infrastructures/{ident}/plans", {"kind": "apply"})
    wait_until("the drift is proposed", 60, lambda: (infrastructure(system, ident)["plan"] or {}).get("state") == "proposed")
    plan = system.ok("plan", "show", ident)
    changed = [c["resource"] for c in plan["document"]["changes"] if c["action"] != "none"]
    assert changed == ["aws_route_table.private-a"], changed
    reverted = system.run("plan", "apply", ident, "--yes", timeout=120)
    assert reverted.returncode == 0, reverted.stderr
    routes = aws(moto.url, "ec2", "describe-route-tables", "--route-table-ids", table)["RouteTables"][0]["Routes"]
    assert any(r.get("DestinationCidrBlock") == "0.0.0.0/0" for r in routes)

    decide_of_drift(system, moto, ident)

    # Removal, with the data.
    made = {r for r, in sql(system, "SELECT DISTINCT resource FROM journal WHERE infrastructure_id = ? AND action = 'create'", ident)}
    removed = system.run("plan", "destroy", ident, "--delete-data", "--yes", timeout=300)
    assert removed.returncode == 0, removed.stdout + removed.stderr + system.logs()
    wait_until("it is gone", 60, lambda: infrastructure(system, ident)["state"] == "infra-terminated")
    left = [arn for arn in tagged(moto.url, ident) if ":kms:" not in arn and "natgateway" not in arn]
    assert not left, left
    buckets = [b["Name"] for b in aws(moto.url, "s3api", "list-buckets")["Buckets"]]
    assert not [b for b in buckets if b.startswith(prefix)]
    roles = [r["RoleName"] for r in aws(moto.url, "iam", "list-roles")["Roles"]]
    assert not [r for r in roles if r.startswith(prefix)]
    check_report(system, moto, ident, made)
    assert system.run("account", "disconnect", "prod").returncode == 0
    assert system.ok("plan", "report", ident)["complete"], "the proof went with the account"
