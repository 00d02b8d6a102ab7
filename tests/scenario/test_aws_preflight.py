"""What preflight says of quotas and of names that are taken, before anything is planned."""
import json

import aws_peer
from aws_peer import Calls, aws
from test_aws_strict import ACCOUNT, BRISK, Infra, world  # noqa: F401

# Service Quotas' codes, as AWS's pages of quotas have them; what an account of ordinary size has.
PLENTY = {"L-1216C47A": 1000, "L-F678F1CE": 50, "L-0263D0A3": 50, "L-FE5A380F": 5, "L-A4707A72": 50, "L-E79EC296": 2500, "L-1194D53C": 100,
          "L-6D54EA21": 30, "L-DC2B2D3D": 10000, "L-69A177A2": 50, "L-C7B9AAAB": 1000000, "L-7E9ECCDB": 50}


def rows_of(infra):
    rows = {}
    for row in infra.run("preflight"):
        assert set(row) == {"check", "outcome", "found", "needed", "advice"} and row["check"] not in rows, row
        assert row["outcome"] == "ok" or row["advice"] or row["outcome"] == "unknown", row
        rows[row["check"]] = row
    return rows


def quotas(rows):
    return {check.removeprefix("quota: "): row for check, row in rows.items() if check.startswith("quota: ")}


def several_are_there(moto, door, infra):
    """What an account has of each kind already is taken from its limit; what is gone, or of another kind or zone, is not."""
    calls = Calls(moto.url)
    try:
        before = quotas(rows_of(infra))
        zones = {s["AvailabilityZone"]: s for s in calls("ec2", "describe_subnets")["Subnets"] if s["DefaultForAz"]}
        gateways = [calls("ec2", "create_nat_gateway", SubnetId=zones[f"us-east-1{z}"]["SubnetId"], ConnectivityType="private")
                    ["NatGateway"]["NatGatewayId"] for z in "aabf"]
        calls("ec2", "delete_nat_gateway", NatGatewayId=gateways[0])
        for n in range(3):
            calls("s3", "create_bucket", Bucket=f"somebodys-{n}")
        for n in range(60):  # more than a page
            calls("logs", "create_log_group", logGroupName=f"/somebodys/{n}")
        for name, kind in (("n", "network"), ("a", "application")):
            calls("elbv2", "create_load_balancer", Name=f"somebodys-{name}", Type=kind, Subnets=[
                zones["us-east-1a"]["SubnetId"], zones["us-east-1b"]["SubnetId"]])
        after = quotas(rows_of(infra))
        more = {name: int(after[name]["found"].split()[0]) - int(before[name]["found"].split()[0]) for name in after
                if "used" in after[name]["found"]}
        assert {name: n for name, n in more.items() if n} == {"NAT gateways a zone": 1, "S3 buckets": 3, "log groups": 60,
                                                             "network load balancers": 1}, (before, after)
        # One free less than is needed is too little, as much as is needed is enough.
        codes = {"NAT gateways a zone": ("L-FE5A380F", 1), "S3 buckets": ("L-DC2B2D3D", 4), "log groups": ("L-C7B9AAAB", 2),
                 "network load balancers": ("L-69A177A2", 1), "EKS clusters": ("L-1194D53C", 1)}
        for short in (1, 0):
            door.set(pace={"quotas": {**PLENTY, **{code: int(after[name]["found"].split()[0]) + free - short
                                                   for name, (code, free) in codes.items()}}})
            said = quotas(rows_of(infra))
            assert {name for name, row in said.items() if row["outcome"] == "wrong"} == (set(codes) if short else set()), said
        # What may not be listed is unknown, and says why; a limit that is too low without counting is still wrong.
        door.set(pace={"quotas": PLENTY, "forbidden": [["DescribeLoadBalancers", ""], ["DescribeNatGateways", ""]]})
        said = quotas(rows_of(infra))
        assert said["network load balancers"]["outcome"] == "unknown" and "AccessDenied" in said["network load balancers"]["found"]
        assert said["NAT gateways a zone"]["outcome"] == "unknown" and "Unauthorized" in said["NAT gateways a zone"]["found"]
        door.set(pace={"quotas": {**PLENTY, "L-69A177A2": 0}})
        row = quotas(rows_of(infra))["network load balancers"]
        assert row["outcome"] == "wrong" and row["found"] == "0 in all, of which an unknown number is used", row
    finally:
        door.set(pace={"quotas": PLENTY, "forbidden": []})
        calls.close()


def test_clusters_that_are_there_count(world, tmp_path):  # noqa: F811
    door = world[1]
    door.set(pace={**BRISK, "quotas": PLENTY})
    (tmp_path / "one").mkdir()
    (tmp_path / "other").mkdir()
    try:
        made = Infra(tmp_path / "one", door.url)
        made.run("apply")
        said = quotas(rows_of(Infra(tmp_path / "other", door.url)))
        assert said["EKS clusters"]["found"] == "1 of 100 used" and said["node groups a cluster"]["found"] == "0 of 30 used", said
        made.run("purge")
    finally:
        door.set(pace={"quotas": {}})


def test_quotas_follow_what_would_be_planned(world, tmp_path):  # noqa: F811
    moto, door = world
    infra = Infra(tmp_path, door.url)
    vcpus = "vCPUs on demand, standard"
    try:
        door.set(pace={**BRISK, "quotas": PLENTY})
        said = quotas(rows_of(infra))
        assert {row["outcome"] for row in said.values()} == {"ok"}, said
        assert set(said) == {vcpus, "VPCs", "Elastic IPs", "NAT gateways a zone", "internet gateways", "security groups", "EKS clusters",
                             "node groups a cluster", "S3 buckets", "network load balancers", "log groups",
                             "active peerings of a network", "endpoint services"}
        # Six and three nodes of 8 vCPUs, three of 16, three of Keeper with 4: 132, half as many again, and 100.
        assert said[vcpus]["needed"] == "298 free (peak 132)", said[vcpus]
        assert said["Elastic IPs"]["needed"] == "3 free" and said["log groups"]["needed"] == "2 free"
        # Planned larger, and too few of everything.
        infra.change(plannedReplicas=20, plannedServices=2, nat="single")
        door.set(pace={"quotas": {code: 0 for code in PLENTY}})
        rows = rows_of(infra)
        said = quotas(rows)
        assert said[vcpus]["needed"] == "724 free (peak 416)", said[vcpus]
        assert said["Elastic IPs"]["needed"] == "1 free"
        assert {name for name, row in said.items() if row["outcome"] != "wrong"} == {"endpoint services"}, said
        assert all("AWS" in row["advice"] for row in said.values() if row["outcome"] == "wrong")
        assert rows["capacity"]["needed"] == "at least 20 replicas (plannedReplicas)" and rows["capacity"]["outcome"] == "ok"
        # What runs already counts; what is stopped does not.
        machine = aws(moto.url, "ec2", "run-instances", "--image-id", "ami-12c6146b", "--instance-type", "m5.4xlarge")["Instances"][0]
        door.set(pace={"quotas": PLENTY})
        assert quotas(rows_of(infra))[vcpus]["found"] == "16 of 1000 used"
        door.set(pace={"quotas": {**PLENTY, "L-1216C47A": 739}})
        assert quotas(rows_of(infra))[vcpus]["outcome"] == "wrong"
        door.set(pace={"quotas": {**PLENTY, "L-1216C47A": 740}})
        assert quotas(rows_of(infra))[vcpus]["outcome"] == "ok"
        aws(moto.url, "ec2", "stop-instances", "--instance-ids", machine["InstanceId"])
        assert quotas(rows_of(infra))[vcpus]["found"] == "0 of 740 used"
        several_are_there(moto, door, infra)
        # Nothing is asked of what is not wished for.
        env = json.loads((tmp_path / "env.json").read_text())
        env["account"] = {"accountId": ACCOUNT, "features": {"cluster": False}}
        (tmp_path / "env.json").write_text(json.dumps(env))
        assert set(quotas(rows_of(infra))) == {"VPCs", "Elastic IPs", "NAT gateways a zone", "internet gateways", "security groups",
                                               "S3 buckets"}
    finally:
        door.set(pace={"quotas": {}})


def test_a_quota_that_cannot_be_read_is_unknown(world, tmp_path):  # noqa: F811
    door = world[1]
    infra = Infra(tmp_path, door.url)
    try:
        door.set(pace={**BRISK, "quotas": {code: PLENTY[code] for code in PLENTY if code != "L-C7B9AAAB"}})
        row = quotas(rows_of(infra))["log groups"]
        assert row["outcome"] == "unknown" and "GetServiceQuota" in row["found"] and "console" in row["advice"], row
        infra.change(peering={"vpcId": "vpc-1", "cidr": "nonsense"})
        rows = rows_of(infra)
        assert rows["settings"]["outcome"] == "wrong" and "nonsense" in rows["settings"]["found"] and not quotas(rows)
    finally:
        door.set(pace={"quotas": {}})


def the_artefacts_others(calls, infra):
    """Its permissions boundary and its launch template: missing, then there."""
    template = "launch template: ownhouse-prod-bootstrap"
    rows = rows_of(infra)
    boundary = f"arn:aws:iam::{ACCOUNT}:policy/ownhouse/ownhouse-prod-boundary"
    for check, needed in ((template, "one that starts the bootstrap"), ("permissions boundary", boundary)):
        assert rows[check]["outcome"] == "wrong" and rows[check]["found"].startswith("no such"), rows[check]
        assert "artefact" in rows[check]["advice"] and rows[check]["needed"] == needed
    calls("iam", "create_policy", PolicyName="ownhouse-prod-boundary", Path="/ownhouse/", PolicyDocument=json.dumps(
        {"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": "*", "Resource": "*"}]}))
    made = calls("ec2", "create_launch_template", LaunchTemplateName="ownhouse-prod-bootstrap",
                 LaunchTemplateData={"InstanceType": "t4g.small"})["LaunchTemplate"]["LaunchTemplateId"]
    rows = rows_of(infra)
    assert rows[template]["outcome"] == "ok" and rows[template]["found"] == made
    assert rows["permissions boundary"]["outcome"] == "ok" and rows["permissions boundary"]["found"] == boundary
    # Without roles of ours there is nothing to bound, without a bootstrap nothing to start.
    env = json.loads((infra.folder / "env.json").read_text())
    infra.change(features={"hostedZone": False, "cluster": False})
    rows = rows_of(infra)
    assert template not in rows and "permissions boundary" not in rows
    (infra.folder / "env.json").write_text(json.dumps(env))


def test_names_that_are_taken(world, tmp_path):  # noqa: F811
    moto, door = world
    infra = Infra(tmp_path, door.url)
    infra.change(domain="taken.example.com")
    zone, data = "zone: taken.example.com", "name: ownhouse-prod-data"
    door.set(pace=BRISK)
    try:
        assert rows_of(infra)[zone]["outcome"] == "ok"
        # One that comes after it in Route 53's list is not it.
        calls = Calls(moto.url)
        calls("route53", "create_hosted_zone", Name="taken.example.comx", CallerReference="after")
        assert rows_of(infra)[zone]["outcome"] == "ok"
        made = calls("route53", "create_hosted_zone", Name="taken.example.com", CallerReference="by hand")["HostedZone"]["Id"]
        row = rows_of(infra)[zone]
        assert row["outcome"] == "wrong" and row["found"] == made.rsplit("/", 1)[-1] and "AgentZone" in row["advice"], row
        calls("route53", "change_tags_for_resource", ResourceType="hostedzone", ResourceId=made.rsplit("/", 1)[-1],
              AddTags=[{"Key": "ownhouse:infrastructure", "Value": "5c0ffee0-0000-4000-8000-000000000000"}])
        row = rows_of(infra)[zone]
        assert row["outcome"] == "unknown" and "another domain" in row["advice"], row
        infra.change(features={"hostedZone": False})
        assert zone not in rows_of(infra)
        # The artefact's roles: none, somebody else's, and the artefact's own.
        for role in aws(moto.url, "iam", "list-roles")["Roles"]:
            assert role["RoleName"] != "ownhouse-prod-data", "the world is not as this test takes it"
        row = rows_of(infra)[data]
        assert row["outcome"] == "wrong" and row["found"] == "no such role" and "artefact" in row["advice"], row
        trust = '{"Version":"2012-10-17","Statement":[]}'
        calls("iam", "create_role", RoleName="ownhouse-prod-data", AssumeRolePolicyDocument=trust)
        row = rows_of(infra)[data]
        assert row["outcome"] == "wrong" and row["found"] == f"arn:aws:iam::{ACCOUNT}:role/ownhouse-prod-data", row
        calls("iam", "delete_role", RoleName="ownhouse-prod-data")
        calls("iam", "create_role", RoleName="ownhouse-prod-data", AssumeRolePolicyDocument=trust, Path="/ownhouse/",
              Tags=[{"Key": "ownhouse:account", "Value": "prod"}])
        assert rows_of(infra)[data]["outcome"] == "ok"
        the_artefacts_others(calls, infra)
        # A role of the customer's own is his affair.
        infra.change(artefact={"dataRole": f"arn:aws:iam::{ACCOUNT}:role/mine", "bootstrapRole": f"arn:aws:iam::{ACCOUNT}:role/mine",
                               "launchTemplate": "mine"})
        assert not [check for check in rows_of(infra) if check.startswith("name: ")]
    finally:
        calls.close()


def test_every_request_is_what_botocore_sends(world):  # noqa: F811
    """Runs last: what preflight asks, held against AWS's own models."""
    said = json.loads(aws_peer.python("aws/wire.py", world[1].requests))
    assert not said["wrong"], said["wrong"][:3]
    assert {"s3 ListBuckets", "ec2 DescribeLaunchTemplates", "iam GetPolicy", "eks ListClusters", "ec2 DescribeNatGateways",
            "elbv2 DescribeLoadBalancers", "logs DescribeLogGroups"} <= {c.replace("elasticloadbalancing", "elbv2")
                                                                         for c in said["calls"]}, sorted(said["calls"])
