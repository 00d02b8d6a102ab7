"""Least privilege: what a whole life of an infrastructure asks of AWS is allowed by the policies that the artefact carries, and not
more than that is needed: each condition violated once is denied, and each statement is needed by something."""
import json
import os
import pathlib
import re
import subprocess

import pytest

import aws_peer
from aws_peer import aws
from peers import peer
from test_aws_strict import ACCOUNT, BRISK, FULL, Infra, balancer, left_behind, world  # noqa: F401

TOP = pathlib.Path(__file__).resolve().parents[2]
OWNHOUSE = pathlib.Path(os.environ["OWNHOUSE_BUILD"]) / "src/cli/ownhouse"
SIMULATE = TOP / "tests/scenario/aws/simulate.mjs"
EXTERNAL = "0123456789abcdef0123456789abcdef"
PHASES = ("inspect", "provision", "operate", "remove")
# Statements for calls that this run has no occasion for; each has a case of its own below.
EXTRA = [
    ("operate", "ec2:DeleteRoute", "route-table"), ("operate", "ec2:ReplaceRoute", "route-table"),
    ("operate", "ec2:ModifyVpcEndpoint", "vpc-endpoint"), ("operate", "ec2:ModifyVpcAttribute", "vpc"),
    ("operate", "ec2:CreateTags", "subnet"), ("operate", "ec2:AuthorizeSecurityGroupIngress", "security-group"),
]
ARN = "arn:aws:{}:us-east-1:123456789012:{}"
OURS = {"aws:ResourceTag/ownhouse:infrastructure": "5c000001-0000-4000-8000-0000005c0ffe"}


ANNOUNCED = {}  # what the plans of the recorded life said that they would use, by role


def announce(infra):
    for role in infra.run("plan")["estimate"]["actions"]:
        ANNOUNCED.setdefault(role["role"], set()).update(role["actions"])


def generate(*options):
    done = subprocess.run([OWNHOUSE, "policy", "generate", "prod", "--zone", "--connections", "--delete-data", "--json", *options],
                          capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def simulate(policies, cases):
    package = peer("iam-simulate")
    done = subprocess.run(["node", SIMULATE, package], input=json.dumps({"policies": policies, "cases": cases}), text=True,
                          capture_output=True, timeout=300)
    assert done.returncode == 0, done.stderr[-2000:]
    return json.loads(done.stdout)


@pytest.fixture(scope="module")
def life(world, tmp_path_factory):  # noqa: F811
    """Cases of a whole life with the artefact's own roles: apply, drift, remove."""
    moto, door = world
    folder = tmp_path_factory.mktemp("policy")
    external = {"ExternalId": EXTERNAL}
    subprocess.run([OWNHOUSE, "policy", "artefact", "prod", "--external-id", EXTERNAL, "--controller-arn",
                    f"arn:aws:iam::{ACCOUNT}:root", "--out", folder], check=True, capture_output=True)
    aws(moto.url, "cloudformation", "create-stack", "--stack-name", "policy", "--capabilities", "CAPABILITY_NAMED_IAM",
        "--template-body", f"file://{folder}/cloudformation.json", "--parameters",
        "ParameterKey=MakeZone,ParameterValue=true", "ParameterKey=MakeConnections,ParameterValue=true",
        "ParameterKey=DeleteData,ParameterValue=true")
    roles = {p: f"arn:aws:iam::{ACCOUNT}:role/ownhouse/ownhouse-prod-{p}" for p in PHASES}
    door.set(pace=BRISK)
    infra = Infra(folder, door.url, roles=roles, externalId=external["ExternalId"])
    env = json.loads((folder / "env.json").read_text())
    env["account"]["boundary"] = f"arn:aws:iam::{ACCOUNT}:policy/ownhouse/ownhouse-prod-boundary"
    (folder / "env.json").write_text(json.dumps(env))
    before = {r["check"]: r for r in infra.run("preflight")}
    announce(infra)
    assert len(infra.run("apply")["done"]) == FULL
    env["account"]["kubernetesVersion"] = "1.34"
    env["account"]["privateLink"]["acceptance"] = False
    (folder / "env.json").write_text(json.dumps(env))
    announce(infra)
    infra.run("apply")
    # Services come, go, and are there when all is removed.
    balancer(moto.url, infra.ident, "ingress-policy")
    left_behind(moto.url, infra.ident)
    for slugs in (("shop", "blog"), ("blog",)):
        infra.serve(*slugs)
        announce(infra)
        infra.run("apply")
    infra.run("purge")
    said = json.loads(aws_peer.python("aws/cases.py", door.requests, infra.ident))
    assert not said["unknown"], said["unknown"]
    return said["cases"], before


@pytest.fixture(scope="module")
def recorded(life):
    return life[0]


def documents(policies):
    return {phase: [part["document"] for part in policies[phase]] for phase in PHASES}


def test_every_recorded_call_is_allowed_and_each_condition_is_needed(recorded):
    policies = documents(generate())
    assert len(recorded) > 120
    said = simulate(policies, recorded)
    wrong = [(c, s) for c, s in zip(recorded, said) if s != "Allowed"]
    assert not wrong, "\n".join(f"{s} {c}" for c, s in wrong)
    # Without the tag, boundary or service that a right is bound to, it is no right.
    violated = []
    for case in recorded:
        for key in case["context"]:
            bound = key.startswith(("iam:", "eks:", "ec2:")) or key.endswith((
                "/ownhouse:infrastructure", "/ownhouse:resource", "k8s.amazonaws.com/name", "k8s.aws/cluster"))
            if bound and "Describe" not in case["action"]:
                rest = {k: v for k, v in case["context"].items() if k != key}
                violated.append({**case, "context": rest, "without": key})
    said = simulate(policies, violated)
    allowed = {(v["phase"], v["action"], v["without"]) for v, s in zip(violated, said) if s == "Allowed"}
    # Reads, and what is bound by its name instead of a tag.
    bound_by_name = {a for a in allowed if a[0] == "inspect" or a[1].split(":")[0] in ("logs", "s3") or a[1] in (
        "eks:CreateAccessEntry", "eks:TagResource", "ec2:CreateSecurityGroup", "ec2:RunInstances", "kms:CreateAlias",
        "ec2:AcceptVpcPeeringConnection")}
    assert allowed == bound_by_name, allowed - bound_by_name


def test_what_is_called_was_announced_in_the_plan(recorded):
    for phase in ("provision", "operate"):
        called = {c["action"] for c in recorded if c["phase"] == phase}
        assert called and called <= ANNOUNCED[phase], (phase, called - ANNOUNCED[phase])


def test_each_statement_is_needed(recorded):
    policies = documents(generate())
    cases = recorded + [{"phase": p, "action": a, "resource": ARN.format("ec2", f"{kind}/x-1"), "context": OURS}
                        for p, a, kind in EXTRA]
    # The run cannot tell the groups of a cluster's load balancers from our own.
    cases.append({"phase": "remove", "action": "ec2:DeleteSecurityGroup", "resource": ARN.format("ec2", "security-group/sg-1"),
                  "context": {"aws:ResourceTag/elbv2.k8s.aws/cluster": "oh-5c000001"}})
    assert not [(c, s) for c, s in zip(cases, simulate(policies, cases)) if s != "Allowed"]
    less, idle = [], set()
    for phase in ("inspect", "provision", "remove"):
        for i, document in enumerate(policies[phase]):
            for k, statement in enumerate(document["Statement"]):
                if statement["Effect"] == "Deny":
                    continue
                actions = statement["Action"] if isinstance(statement["Action"], list) else [statement["Action"]]
                idle.add(f"{phase} {statement['Sid']}")
                less += [{**c, "without": [i, k]} for c in cases if c["phase"] == phase and c["action"] in actions]
    for case, said in zip(less, simulate(policies, less)):
        if said != "Allowed":
            i, k = case["without"]
            idle.discard(f"{case['phase']} {policies[case['phase']][i]['Statement'][k]['Sid']}")
    # Only the first use of a service in an account, a bucket with objects and verify ask for these.
    assert idle <= {"provision LinkedRoles", "remove RemoveObjects", "inspect ReadRoles"}, idle


def test_the_operate_role_has_of_the_cluster_only_what_belongs_to_services():
    policies, ours, what = documents(generate()), "5c000001-0000-4000-8000-0000005c0ffe", "ownhouse:resource"
    tag, pod = "ownhouse:infrastructure", ARN.format("eks", "podidentityassociation/oh-5c000001/a-1")
    cluster, zone = ARN.format("eks", "cluster/oh-5c000001"), "arn:aws:route53:::hostedzone/Z1"

    def case(action, resource, **context):
        return {"phase": "operate", "action": action, "resource": resource, "context": context}

    def told(kind, name):
        return {f"aws:{kind}Tag/{tag}": ours, f"aws:{kind}Tag/{what}": f"aws_pod_identity.{name}"}
    types = "route53:ChangeResourceRecordSetsRecordTypes"
    good = [case("eks:CreatePodIdentityAssociation", cluster, **told("Request", "service-1")),
            case("eks:TagResource", pod, **told("Request", "service-1")),
            case("eks:TagResource", pod, **told("Request", "service-1"), **told("Resource", "service-1")),
            case("eks:DeletePodIdentityAssociation", pod, **told("Resource", "service-1")),
            case("route53:ChangeResourceRecordSets", zone, **{types: ["A", "CNAME"]})]
    bad = [case("eks:CreatePodIdentityAssociation", cluster, **told("Request", "data")),
           case("eks:TagResource", pod, **told("Request", "data")),
           case("eks:TagResource", pod, **told("Request", "service-1"), **told("Resource", "data")),
           case("eks:TagResource", cluster, **told("Request", "service-1")),
           case("eks:UpdatePodIdentityAssociation", pod, **told("Resource", "service-1")),
           case("eks:DeletePodIdentityAssociation", pod, **told("Resource", "data")),
           case("eks:DeletePodIdentityAssociation", pod, **{f"aws:ResourceTag/{what}": "aws_pod_identity.service-1"}),
           case("iam:PassRole", f"arn:aws:iam::{ACCOUNT}:role/ownhouse/ownhouse-prod-data", **{"iam:PassedToService": "ec2.amazonaws.com"}),
           case("iam:PassRole", f"arn:aws:iam::{ACCOUNT}:role/ownhouse/ownhouse-prod-bootstrap", **{"iam:PassedToService": "pods.eks.amazonaws.com"}),
           case("route53:ChangeResourceRecordSets", zone, **{types: ["A", "NS"]}),
           case("route53:ChangeResourceRecordSets", zone, **{types: ["MX"]})]
    assert simulate(policies, good) == ["Allowed"] * len(good)
    assert "Allowed" not in simulate(policies, bad)


def rights(rows):
    return {r["check"].removesuffix(" role: rights"): r for r in rows if r["check"].endswith("role: rights")}


def test_preflight_says_what_each_role_would_be_denied(life, world, tmp_path):  # noqa: F811
    before = {r["check"]: r for r in life[1].values()}
    assert {p: r["outcome"] for p, r in rights(before.values()).items()} == dict.fromkeys(PHASES, "ok"), before
    moto, door = world
    roles = {p: f"arn:aws:iam::{ACCOUNT}:role/ownhouse/ownhouse-prod-{p}" for p in PHASES}
    infra = Infra(tmp_path, door.url, roles=roles, externalId=EXTERNAL)
    try:
        # An organization's policy is not seen in the account: only the simulation knows it.
        door.set(pace={"organization": ["ec2:CreateVpc", "eks:Delete*"]})
        rows = rights(infra.run("preflight"))
        assert {p: r["outcome"] for p, r in rows.items()} == {
            "inspect": "ok", "provision": "wrong", "operate": "wrong", "remove": "wrong"}
        assert rows["operate"]["found"] == "denied: eks:DeletePodIdentityAssociation (the organization's policies)"
        assert rows["provision"]["found"] == "denied: ec2:CreateVpc (the organization's policies)"
        assert "eks:DeleteCluster (the organization's policies)" in rows["remove"]["found"]
        # A policy that somebody detached, a boundary that is too narrow for everything.
        door.set(pace={"organization": []})
        attached = aws(moto.url, "iam", "list-attached-role-policies", "--role-name", "ownhouse-prod-operate")["AttachedPolicies"]
        for policy in attached:
            aws(moto.url, "iam", "detach-role-policy", "--role-name", "ownhouse-prod-operate", "--policy-arn", policy["PolicyArn"])
        aws(moto.url, "iam", "put-role-permissions-boundary", "--role-name", "ownhouse-prod-remove", "--permissions-boundary",
            f"arn:aws:iam::{ACCOUNT}:policy/ownhouse/ownhouse-prod-boundary")
        rows = rights(infra.run("preflight"))
        assert "(no policy allows it)" in rows["operate"]["found"] and rows["operate"]["outcome"] == "wrong"
        assert "(the role's boundary)" in rows["remove"]["found"] and " more" in rows["remove"]["found"]
        # Where it may not be asked, that is said; nothing else fails for it.
        door.set(pace={"simulates": False})
        rows = infra.run("preflight")
        assert {r["outcome"] for r in rights(rows).values()} == {"unknown"} and len(rights(rows)) == 4
        assert all("may not" in r["found"] for r in rights(rows).values())
        assert [r for r in rows if r["check"] == "range" and r["outcome"] == "ok"]
    finally:
        door.set(pace={"simulates": True, "organization": []})


def test_no_role_reaches_data_or_its_own_fence():
    policies = documents(generate())
    bucket = "arn:aws:s3:::oh-5c000001-123456789012-data"
    cases = [{"phase": p, "action": a, "resource": r, "context": {"aws:ResourceAccount": ACCOUNT, **OURS}} for p in PHASES for a, r in (
        ("s3:GetObject", bucket + "/k"), ("s3:PutObject", bucket + "/k"), ("s3:PutBucketPolicy", bucket), ("s3:ListBucket", bucket),
        ("kms:Decrypt", ARN.format("kms", "key/1")), ("kms:PutKeyPolicy", ARN.format("kms", "key/1")),
        ("iam:UpdateAssumeRolePolicy", f"arn:aws:iam::{ACCOUNT}:role/ownhouse/ownhouse-prod-data"),
        ("iam:CreateUser", f"arn:aws:iam::{ACCOUNT}:user/x"),
        ("iam:DeleteRolePermissionsBoundary", f"arn:aws:iam::{ACCOUNT}:role/ownhouse/oh-5c000001/x"))]
    said = simulate(policies, cases)
    assert not [c for c, s in zip(cases, said) if s == "Allowed"]


def test_policies_are_within_limits_and_lint_finds_no_way_out(tmp_path):
    everything = generate()
    for phase in PHASES:
        assert len(everything[phase]) <= 10
        for part in everything[phase]:
            assert len(json.dumps(part["document"], separators=(",", ":"))) <= 6144
    path = tmp_path / "policies.json"
    path.write_text(json.dumps(everything))
    done = subprocess.run([OWNHOUSE, "policy", "lint", path], capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    for action, bound in (("iam:UpdateAssumeRolePolicy", {}), ("iam:PassRole", {}), ("s3:PutBucketPolicy", {}), ("iam:*", {}),
                          ("eks:CreateAccessEntry", {}), ("ec2:CreateLaunchTemplate", {}), ("ec2:CreateTags", {})):
        bad = {"Version": "2012-10-17", "Statement": [{"Sid": "X", "Effect": "Allow", "Action": action, "Resource": "*", **bound}]}
        path.write_text(json.dumps(bad))
        done = subprocess.run([OWNHOUSE, "policy", "lint", path, "--json"], capture_output=True, text=True)
        assert done.returncode == 4, (action, done.stdout)


def test_own_network_own_identities_own_key_take_rights_away():
    less = generate("--own-network", "--own-identities", "--own-key")
    text = json.dumps(less["provision"])
    for action in ('"ec2:CreateVpc"', "iam:CreateRole", "kms:CreateKey"):
        assert action not in text and action in json.dumps(generate()["provision"])


def test_cfn_lint_accepts_the_template(tmp_path):
    subprocess.run([OWNHOUSE, "policy", "artefact", "prod", "--external-id", EXTERNAL, "--controller-arn",
                    f"arn:aws:iam::{ACCOUNT}:role/controller", "--out", tmp_path], check=True, capture_output=True)
    done = subprocess.run([aws_peer.tool("cfn-lint"), "--region", "us-east-1", "--", tmp_path / "cloudformation.json"],
                          capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stdout + done.stderr
    module = json.loads((tmp_path / "terraform/main.tf.json").read_text())
    stack = json.loads((tmp_path / "cloudformation.json").read_text())
    # The same policies in both forms.
    policies = [r for r in stack["Resources"].values() if r["Type"] == "AWS::IAM::ManagedPolicy"]
    assert len(policies) == len(module["resource"]["aws_iam_policy"]), (sorted(p["Properties"].get("ManagedPolicyName") if isinstance(p["Properties"].get("ManagedPolicyName"),str) else "" for p in policies), sorted(module["resource"]["aws_iam_policy"]))
    roles = [r for r in stack["Resources"].values() if r["Type"] == "AWS::IAM::Role"]
    assert len(roles) == len(module["resource"]["aws_iam_role"])


def test_deploy_folder_is_what_the_program_writes(tmp_path):
    subprocess.run([OWNHOUSE, "policy", "artefact", "example", "--external-id", EXTERNAL, "--controller-arn",
                    f"arn:aws:iam::{ACCOUNT}:role/ownhouse-controller", "--out", tmp_path], check=True, capture_output=True)
    for name in ("cloudformation.json", "terraform/main.tf.json"):
        assert (TOP / "deploy/aws" / name).read_text() == (tmp_path / name).read_text(), f"make deploy/aws/{name} anew"


def test_the_module_refers_only_to_what_it_has():
    """Each ${...} of the module names a variable or a resource of it, with an index where that one is made only if wished for."""
    module = json.loads((TOP / "deploy/aws/terraform/main.tf.json").read_text())
    resources, seen = module["resource"], 0

    def look(value):
        nonlocal seen
        if isinstance(value, dict):
            for child in value.values():
                look(child)
        elif isinstance(value, list):
            for child in value:
                look(child)
        elif isinstance(value, str):
            for expression in re.findall(r"(?<![$])[$][{]([^}]*)[}]", value):
                seen += 1
                names = re.findall(r"var[.](\w+)", expression)
                assert set(names) <= set(module["variable"]), expression
                for kind, name, index in re.findall(r"(aws_\w+)[.](\w+)(\[0\])?[.]", expression):
                    if f"data.{kind}.{name}" in expression:
                        assert name in module["data"][kind], expression
                        continue
                    assert name in resources[kind], expression
                    assert bool(index) == ("count" in resources[kind][name]), expression
    look(resources)
    look(module.get("output", {}))
    assert seen > 50
