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
from test_aws_preflight import PLENTY
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


def somebody_changes(url, ident):
    """By hand, one thing for each right to put something back."""
    def ours(name):
        return f"Name=tag:ownhouse:resource,Values={name}"
    name, mine = f"oh-{ident[:8]}", f"Name=tag:ownhouse:infrastructure,Values={ident}"
    aws(url, "s3api", "put-bucket-versioning", "--bucket", f"{name}-{ACCOUNT}-backups", "--versioning-configuration", "Status=Suspended")
    (alias,) = [a for a in aws(url, "kms", "list-aliases")["Aliases"] if a["AliasName"].startswith(f"alias/{name}")]
    aws(url, "kms", "disable-key-rotation", "--key-id", alias["TargetKeyId"])
    aws(url, "kms", "delete-alias", "--alias-name", alias["AliasName"])
    aws(url, "logs", "put-retention-policy", "--log-group-name", f"/aws/eks/{name}/cluster", "--retention-in-days", "7")
    aws(url, "iam", "detach-role-policy", "--role-name", f"{name}-us-east-1-cluster", "--policy-arn",
        "arn:aws:iam::aws:policy/AmazonEKSClusterPolicy")
    aws(url, "iam", "remove-role-from-instance-profile", "--instance-profile-name", f"{name}-us-east-1-node",
        "--role-name", f"{name}-us-east-1-node")
    (table,) = aws(url, "ec2", "describe-route-tables", "--filters", mine, ours("aws_route_table.private-a"))["RouteTables"]
    aws(url, "ec2", "delete-route", "--route-table-id", table["RouteTableId"], "--destination-cidr-block", "0.0.0.0/0")
    (group,) = aws(url, "ec2", "describe-security-groups", "--filters", mine, ours("aws_security_group.cluster"))["SecurityGroups"]
    aws(url, "ec2", "authorize-security-group-ingress", "--group-id", group["GroupId"], "--protocol", "tcp", "--port", "22", "--cidr",
        "10.41.0.0/16")
    (subnet,) = aws(url, "ec2", "describe-subnets", "--filters", mine, ours("aws_subnet.private-a"))["Subnets"]
    aws(url, "ec2", "delete-tags", "--resources", subnet["SubnetId"], "--tags", "Key=kubernetes.io/role/internal-elb")


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
    door.set(pace={"quotas": PLENTY})
    before = {r["check"]: r for r in infra.run("preflight")}
    assert not [c for c, r in before.items() if c.startswith("quota: ") and r["outcome"] != "ok"], before
    assert before["permissions boundary"]["outcome"] == "ok" == before["launch template: ownhouse-prod-bootstrap"]["outcome"], before
    announce(infra)
    assert len(infra.run("apply")["done"]) == FULL
    env["account"]["kubernetesVersion"] = "1.34"
    env["account"]["privateLink"]["acceptance"] = False
    (folder / "env.json").write_text(json.dumps(env))
    announce(infra)
    infra.run("apply")
    somebody_changes(moto.url, infra.ident)
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


def test_every_recorded_call_is_allowed(recorded):
    policies = documents(generate())
    assert len(recorded) > 120
    said = simulate(policies, recorded)
    wrong = [(c, s) for c, s in zip(recorded, said) if s != "Allowed"]
    assert not wrong, "\n".join(f"{s} {c}" for c, s in wrong)


def test_what_is_called_was_announced_in_the_plan(recorded):
    for phase in ("provision", "operate"):
        called = {c["action"] for c in recorded if c["phase"] == phase}
        assert called and called <= ANNOUNCED[phase], (phase, called - ANNOUNCED[phase])


def more():
    """Calls that the recorded life has no occasion for."""
    tagged = [(p, a, ARN.format("ec2", f"{kind}/x-1"), OURS) for p, a, kind in EXTRA]
    bucket, role = "arn:aws:s3:::oh-5c000001-123456789012-data", f"arn:aws:iam::{ACCOUNT}:role/ownhouse/ownhouse-prod-"
    what = "ownhouse:resource"
    pod = {f"aws:{kind}Tag/{what}": "aws_pod_identity.service-1" for kind in ("Request", "Resource")}
    return [{"phase": p, "action": a, "resource": r, "context": context} for p, a, r, context in tagged + [
        ("remove", "s3:DeleteObject", bucket + "/k", {"aws:ResourceAccount": ACCOUNT}),
        ("remove", "s3:DeleteObjectVersion", bucket + "/k", {"aws:ResourceAccount": ACCOUNT}),
        ("inspect", "iam:GetRole", role + "inspect", {}),
        ("provision", "iam:CreateServiceLinkedRole", f"arn:aws:iam::{ACCOUNT}:role/aws-service-role/eks.amazonaws.com/x",
         {"iam:AWSServiceName": "eks.amazonaws.com"}),
        ("operate", "iam:PassRole", f"arn:aws:iam::{ACCOUNT}:role/ownhouse/oh-5c000001/oh-5c000001-node",
         {"iam:PassedToService": "ec2.amazonaws.com"}),
        ("operate", "eks:TagResource", ARN.format("eks", "podidentityassociation/oh-5c000001/a-1"),
         {**pod, "aws:RequestTag/ownhouse:infrastructure": OURS["aws:ResourceTag/ownhouse:infrastructure"]}),
        ("operate", "ec2:AcceptVpcPeeringConnection", ARN.format("ec2", "vpc-peering-connection/pcx-1"), OURS),
        ("operate", "ec2:AcceptVpcPeeringConnection", ARN.format("ec2", "vpc/vpc-1"), {}),
        ("operate", "eks:AssociateAccessPolicy", ARN.format("eks", "access-entry/oh-5c000001/role/1/x/1"),
         {"eks:policyArn": "arn:aws:eks::aws:cluster-access-policy/AmazonEKSClusterAdminPolicy", "eks:principalArn": role + "bootstrap"}),
        # The recording cannot tell the groups of a cluster's load balancers from our own.
        ("remove", "ec2:DeleteSecurityGroup", ARN.format("ec2", "security-group/sg-1"),
         {"aws:ResourceTag/elbv2.k8s.aws/cluster": "oh-5c000001"})]]


def same_action(statement, action):
    listed = statement["Action"] if isinstance(statement["Action"], list) else [statement["Action"]]
    return action in listed


def violations(case, operator, key):
    """The same call with that condition not met: another value, none."""
    without = {k: v for k, v in case["context"].items() if k != key}
    if operator == "Null":
        return [{**case, "context": without}]
    other = {"Bool": "true", "ForAllValues:StringEquals": ["MX"]}.get(operator, "something-else")
    worse = [{**case, "context": {**without, key: other}}]
    return worse if operator.startswith("ForAllValues:") or operator.endswith("IfExists") else worse + [{**case, "context": without}]


def needed_by(policies, cases):
    """Of each statement that allows something, the cases that are denied without it: {(phase, policy, statement): [case]}."""
    less = {}
    for phase in PHASES:
        for i, document in enumerate(policies[phase]):
            for k, statement in enumerate(document["Statement"]):
                if statement["Effect"] == "Allow":
                    less[phase, i, k] = [{**c, "without": [i, k]} for c in cases
                                         if c["phase"] == phase and same_action(statement, c["action"])]
    said = iter(simulate(policies, [c for trial in less.values() for c in trial]))
    return {at: [{k: v for k, v in c.items() if k != "without"} for c in trial if next(said) != "Allowed"]
            for at, trial in less.items()}


def test_each_statement_and_each_condition_is_needed(recorded):
    """Without a statement some call is denied; with a condition violated each call that stands on it is denied, and without the
    condition it would not be: so neither can be dropped unseen."""
    policies, cases = documents(generate()), recorded + more()
    assert not [(c, s) for c, s in zip(cases, simulate(policies, cases)) if s != "Allowed"]
    needed, trials = needed_by(policies, cases), []
    idle = [f"{at[0]} {policies[at[0]][at[1]]['Statement'][at[2]]['Sid']}" for at, by in needed.items() if not by]
    assert not idle, " | ".join(idle)
    for (phase, i, k), by in needed.items():
        statement = policies[phase][i]["Statement"][k]
        for operator, keys in statement.get("Condition", {}).items():
            trials += [(f"{phase} {statement['Sid']} {operator} {key}", c, {**c, "without": [i, k, operator, key]})
                       for key in keys for case in by for c in violations(case, operator, key)]
    held = simulate(policies, [c for _, c, _ in trials] + [c for _, _, c in trials])
    open_, loose = {}, set()
    for (name, case, _), denied, dropped in zip(trials, held, held[len(trials):]):
        if denied == "Allowed":
            open_.setdefault(name, case)
        if dropped == "Allowed":
            loose.add(name)
    assert not open_, open_
    assert len(loose) > 60 and loose == {name for name, _, _ in trials}, {name for name, _, _ in trials} - loose


def test_what_is_never_allowed_stays_so_whatever_else_a_role_is_given():
    """Each action that is denied, with everything allowed beside it; without the denial it is allowed."""
    policies = documents(generate())
    free = {"Version": "2012-10-17", "Statement": [{"Sid": "All", "Effect": "Allow", "Action": "*", "Resource": "*"}]}
    cases = []
    for phase in PHASES:
        (never,) = [(i, k, s) for i, d in enumerate(policies[phase]) for k, s in enumerate(d["Statement"]) if s["Effect"] == "Deny"]
        cases += [{"phase": phase, "action": a.replace("ssm:*", "ssm:SendCommand").rstrip("*"), "resource": denied_resource(a),
                   "context": {}, "at": never[:2]} for a in never[2]["Action"]]
        policies[phase].append(free)
    plain = [{k: v for k, v in c.items() if k != "at"} for c in cases]
    assert {(c["action"], s) for c, s in zip(plain, simulate(policies, plain))} == {(c["action"], "ExplicitlyDenied") for c in plain}
    without = [{**p, "without": list(c["at"])} for p, c in zip(plain, cases)]
    assert set(simulate(policies, without)) == {"Allowed"}


def denied_resource(action):
    service = action.split(":")[0]
    return {"s3": "arn:aws:s3:::oh-5c000001-123456789012-data" + ("" if action.endswith("Policy") else "/k"),
            "kms": ARN.format("kms", "key/1"), "ec2": ARN.format("ec2", "instance/i-1"), "ssm": ARN.format("ec2", "instance/i-1"),
            "secretsmanager": ARN.format("secretsmanager", "secret:x-abcdef"),
            "iam": f"arn:aws:iam::{ACCOUNT}:role/ownhouse/oh-5c000001/x"}[service]


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
    done = subprocess.run([aws_peer.tool("cfn-lint"), "--region", "us-east-1", "--", tmp_path / "cloudformation.json",
                           tmp_path / "buckets.json"], capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stdout + done.stderr
    module = json.loads((tmp_path / "terraform/main.tf.json").read_text())
    stack = json.loads((tmp_path / "cloudformation.json").read_text())
    # The same policies in both forms.
    policies = [r for r in stack["Resources"].values() if r["Type"] == "AWS::IAM::ManagedPolicy"]
    assert len(policies) == len(module["resource"]["aws_iam_policy"])
    roles = [r for r in stack["Resources"].values() if r["Type"] == "AWS::IAM::Role"]
    assert len(roles) == len(module["resource"]["aws_iam_role"])


def filled(text, **values):
    """A template's or a module's text with its references put in."""
    for name, value in {"AWS::Partition": "aws", "AWS::AccountId": ACCOUNT, "data.aws_partition.current.partition": "aws",
                        "data.aws_caller_identity.current.account_id": ACCOUNT, **values}.items():
        text = text.replace("${%s}" % name, value)
    return text.replace("${!aws:", "${aws:").replace("$${aws:", "${aws:")


def resolved(value, **values):
    """A template's value: Fn::Sub carried out."""
    if isinstance(value, dict) and set(value) == {"Fn::Sub"}:
        return filled(value["Fn::Sub"], **values)
    if isinstance(value, dict):
        return {k: resolved(v, **values) for k, v in value.items()}
    return [resolved(v, **values) for v in value] if isinstance(value, list) else value


def test_the_customers_own_part_keeps_objects_to_the_data_role_and_the_zone_to_the_agent():
    """What no role of ours may write: the buckets' policies and the data role's rights in a zone, the same in both forms."""
    deploy = TOP / "deploy/aws"
    stack, module = (json.loads((deploy / n).read_text()) for n in ("buckets.json", "terraform-buckets/main.tf.json"))
    values = {"Infrastructure": "5c000001", "RolePath": "/ownhouse/", "AgentZone": "Z1"}
    theirs = {k: filled(v["policy"], **{"var.infrastructure": "5c000001", "var.role_path": "/ownhouse/"})
              for k, v in module["resource"]["aws_s3_bucket_policy"].items()}
    buckets = {}
    for name, one in stack["Resources"].items():
        kind = name.removeprefix("Policy").lower()
        buckets[kind] = resolved(one["Properties"]["PolicyDocument"], **values)
        assert json.loads(theirs[kind]) == buckets[kind]
    assert set(buckets) == {"data", "backups", "metrics", "logs"}
    roles = json.loads((deploy / "cloudformation.json").read_text())["Resources"]
    policies = [resolved(p["PolicyDocument"], **values) for p in (*roles["RoleData"]["Properties"]["Policies"],
                                                                  roles["PolicyAgentZone"]["Properties"])]
    same = json.loads((deploy / "terraform/main.tf.json").read_text())["resource"]["aws_iam_role_policy"]
    assert [json.loads(filled(same[n]["policy"], **{"var.agent_zone": "Z1"})) for n in ("data", "zone")] == policies
    free = {"Version": "2012-10-17", "Statement": [{"Sid": "All", "Effect": "Allow", "Action": "*", "Resource": "*"}]}
    # The simulator's principals are named by account and phase: prod's here, the example's in the folder.
    document = json.loads(json.dumps(buckets["data"]).replace("ownhouse-example-", "ownhouse-prod-"))
    arn = "arn:aws:s3:::oh-5c000001-123456789012-data"
    tls, namespace = {"aws:SecureTransport": "true", "aws:ResourceAccount": ACCOUNT}, "aws:PrincipalTag/kubernetes-namespace"

    def case(phase, action, resource, **context):
        return {"phase": phase, "action": action, "resource": resource, "context": {
            "aws:PrincipalIsAWSService": "false", "aws:PrincipalArn": f"arn:aws:iam::{ACCOUNT}:role/ownhouse/ownhouse-prod-{phase}", **context},
                **({"resourcePolicy": document} if action.startswith("s3:") else {})}
    mine = {**tls, namespace: "ownhouse-1"}
    cases = {"Allowed": [case("data", "s3:GetObject", arn + "/ownhouse-1/k", **mine),
                         case("data", "s3:PutObject", arn + "/ownhouse-1/k", **mine),
                         case("admin", "s3:DeleteObject", arn + "/ownhouse-1/k", **mine),
                         case("data", "route53:ChangeResourceRecordSets", "arn:aws:route53:::hostedzone/Z1", **{namespace: "ownhouse",
                              "route53:ChangeResourceRecordSetsRecordTypes": ["TXT"]}),
                         case("data", "route53:GetChange", "arn:aws:route53:::change/C1", **{namespace: "ownhouse"})],
             "ExplicitlyDenied": [case("admin", "s3:GetObject", arn + "/ownhouse-1/k", **mine),
                                  case("admin", "s3:PutObject", arn + "/ownhouse-1/k", **mine),
                                  case("data", "s3:GetObject", arn + "/ownhouse-1/k", **{**mine, "aws:SecureTransport": "false"})],
             "ImplicitlyDenied": [case("data", "s3:GetObject", arn + "/ownhouse-2/k", **mine),
                                  case("data", "route53:ChangeResourceRecordSets", "arn:aws:route53:::hostedzone/Z1", **{
                                       namespace: "ownhouse-1", "route53:ChangeResourceRecordSetsRecordTypes": ["TXT"]}),
                                  case("data", "route53:ChangeResourceRecordSets", "arn:aws:route53:::hostedzone/Z1", **{
                                       namespace: "ownhouse", "route53:ChangeResourceRecordSetsRecordTypes": ["MX"]}),
                                  case("data", "route53:ChangeResourceRecordSets", "arn:aws:route53:::hostedzone/Z2", **{
                                       namespace: "ownhouse", "route53:ChangeResourceRecordSetsRecordTypes": ["TXT"]})]}
    for wanted, list_ in cases.items():
        said = simulate({"data": policies, "admin": [free]}, list_)
        assert said == [wanted] * len(list_), [(c, s) for c, s in zip(list_, said) if s != wanted]


def test_deploy_folder_is_what_the_program_writes(tmp_path):
    subprocess.run([OWNHOUSE, "policy", "artefact", "example", "--external-id", EXTERNAL, "--controller-arn",
                    f"arn:aws:iam::{ACCOUNT}:role/ownhouse-controller", "--out", tmp_path], check=True, capture_output=True)
    for name in ("cloudformation.json", "terraform/main.tf.json", "buckets.json", "terraform-buckets/main.tf.json"):
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
