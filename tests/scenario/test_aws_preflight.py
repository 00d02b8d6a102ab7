"""What preflight says of quotas and of names that are taken, before anything is planned."""
import json

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
        # A role of the customer's own is his affair.
        infra.change(artefact={"dataRole": f"arn:aws:iam::{ACCOUNT}:role/mine", "bootstrapRole": f"arn:aws:iam::{ACCOUNT}:role/mine",
                               "launchTemplate": "mine"})
        assert not [check for check in rows_of(infra) if check.startswith("name: ")]
    finally:
        calls.close()
