"""The full set of an AWS infrastructure against a server as strict as AWS (tests/scenario/aws/strict.py), hurt in every way that a
network and a machine can: killed before and after a call, answers lost or late, 500s, throttling. The end is the same each time,
nothing is there twice, and after the removal nothing is left."""
import collections
import concurrent.futures
import json
import os
import pathlib
import queue
import signal
import subprocess
import threading
import time
import urllib.request
import zlib

import pytest

import aws_peer
from aws_peer import aws, environment

BUILD = pathlib.Path(os.environ["OWNHOUSE_BUILD"])
PROGRAM = BUILD / "tests/scenario/programs/aws-infra"
ACCOUNT = "123456789012"
IDENT = "{:08x}-0000-4000-8000-0000005c0ffe"
FULL = 59  # resources
BRISK = {"settle": 0.1, "state": 0.1}  # how slow the strict server is where slowness is not what is looked at


class Door(aws_peer.Process):
    """strict.py in front of moto, with a log of all requests."""

    def __init__(self, folder, moto):
        port = aws_peer.free_port()
        self.requests = folder / "requests.log"
        script = aws_peer.HERE / "aws/door.py"
        super().__init__([aws_peer.tool("python"), script, str(port), moto.url, self.requests, "strict"], port,
                         folder / "door.log", "/door")
        self.set(anew=True)

    def set(self, **faults):
        request = urllib.request.Request(self.url + "/door", method="PUT", data=json.dumps(faults).encode())
        return json.loads(urllib.request.urlopen(request, timeout=120).read())

    def state(self):
        return json.loads(aws_peer.wait_http(self.url + "/door"))

    def answered(self):
        """How often each action of a query protocol was asked and not put off."""
        asked = (json.loads(line) for line in self.requests.read_text().splitlines())
        return collections.Counter(q["body"].split("&")[0].removeprefix("Action=") for q in asked if q["status"] == 200)

    def there(self, ident):
        """What there is of an infrastructure, as moto itself says to boto3."""
        with urllib.request.urlopen(f"{self.url}/door/there/{ident}", timeout=120) as answer:
            return json.loads(answer.read())


class World:
    def __init__(self, folder):
        folder.mkdir(exist_ok=True)
        self.moto = aws_peer.Moto(folder)
        try:
            self.door = Door(folder, self.moto)
        except BaseException:
            self.moto.close()
            raise

    def close(self):
        self.door.close()
        self.moto.close()


@pytest.fixture(scope="module")
def world(tmp_path_factory):
    one = World(tmp_path_factory.mktemp("strict"))
    yield one.moto, one.door
    one.close()


class Infra:
    """aws-infra in a folder of its own; each has an id of its own."""
    count = 0
    lock = threading.Lock()

    def __init__(self, folder, url, connections=None, **more):
        with Infra.lock:
            Infra.count += 1
            number = Infra.count
        self.ident = IDENT.format(0x5C000000 + number)
        self.folder = folder
        role = f"arn:aws:iam::{ACCOUNT}:role/ownhouse/ownhouse-prod-"
        others = json.loads(aws_peer.wait_http(url + "/door"))
        account = {"accountId": ACCOUNT, "features": {"hostedZone": True, "flowLogs": True},
                   "peering": {"vpcId": others["peer"], "cidr": "10.99.0.0/16", "dns": True},
                   "privateLink": {"loadBalancer": others["balancer"], "principals": [f"arn:aws:iam::{ACCOUNT}:root"]},
                   "artefact": {"dataRole": role + "data", "bootstrapRole": role + "bootstrap",
                                "launchTemplate": "ownhouse-prod-bootstrap"}}
        if connections is not None:
            account.update(connections)
        (folder / "env.json").write_text(json.dumps({
            "account": account, "endpoints": {"*": url}, "pauseMs": 50, "settleMs": 2000, **more,
            "infrastructure": {"id": self.ident, "name": "prod", "region": "us-east-1", "cidr": "10.41.0.0/16",
                               "domain": f"i{number}.example.com"}}))

    def change(self, **account):
        env = json.loads((self.folder / "env.json").read_text())
        env["account"].update(account)
        (self.folder / "env.json").write_text(json.dumps(env))

    def serve(self, *slugs):
        """The services there should be; ids by their names."""
        env = json.loads((self.folder / "env.json").read_text())
        env["services"] = [{"id": service_id(slug), "slug": slug} for slug in slugs]
        (self.folder / "env.json").write_text(json.dumps(env))

    def start(self, verb, stopped=False):
        """Stopped: it waits for a SIGCONT before its first instruction."""
        hold = ["/bin/sh", "-c", 'kill -STOP $$; exec "$0" "$@"'] if stopped else []
        process = subprocess.Popen([*hold, PROGRAM, verb, self.folder], stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                                   text=True, env=environment())
        while stopped and pathlib.Path(f"/proc/{process.pid}/stat").read_text().rsplit(")", 1)[1].split()[0] != "T":
            time.sleep(0.005)
        return process

    def run(self, verb, good=True):
        process = self.start(verb)
        out, err = process.communicate(timeout=600)
        assert not good or process.returncode == 0, err[-3000:]
        return json.loads(out) if out.strip() else None

    def summary(self):
        return self.run("plan")["summary"]


def service_id(slug):
    return f"{zlib.crc32(slug.encode()):08x}-1111-4111-8111-111111111111"


def balancer(url, ident, name):
    """What the cluster's load balancer controller makes of the ingress's Service; its ARN and host name."""
    vpc = aws(url, "ec2", "describe-subnets", "--filters", f"Name=tag:ownhouse:infrastructure,Values={ident}")["Subnets"][0]
    made = aws(url, "elbv2", "create-load-balancer", "--name", name, "--type", "network", "--scheme", "internal", "--subnets",
               vpc["SubnetId"], "--tags", f"Key=elbv2.k8s.aws/cluster,Value=oh-{ident[:8]}",
               "Key=service.k8s.aws/stack,Value=ownhouse/ingress")["LoadBalancers"][0]
    return made["LoadBalancerArn"], made["DNSName"]


def left_behind(url, ident):
    """What the cluster makes and does not take along: a group of its load balancers, a disk of a service; their ids."""
    vpc = aws(url, "ec2", "describe-vpcs", "--filters", f"Name=tag:ownhouse:infrastructure,Values={ident}")["Vpcs"][0]["VpcId"]
    group = aws(url, "ec2", "create-security-group", "--group-name", f"k8s-traffic-{ident[:8]}", "--description", "by the cluster",
                "--vpc-id", vpc, "--tag-specifications",
                f"ResourceType=security-group,Tags=[{{Key=elbv2.k8s.aws/cluster,Value=oh-{ident[:8]}}}]")["GroupId"]
    disk = aws(url, "ec2", "create-volume", "--availability-zone", "us-east-1a", "--size", "100", "--tag-specifications",
               f"ResourceType=volume,Tags=[{{Key=ownhouse:infrastructure,Value={ident}}},{{Key=CSIVolumeName,Value=pvc-1}}]")["VolumeId"]
    return group, disk


def there_still(url, group, disk):
    groups = [g["GroupId"] for g in aws(url, "ec2", "describe-security-groups")["SecurityGroups"]]
    disks = [v["VolumeId"] for v in aws(url, "ec2", "describe-volumes")["Volumes"]]
    return group in groups, disk in disks


WHOLE = {"Vpcs": 1, "Subnets": 6, "RouteTables": 6, "InternetGateways": 1, "Addresses": 3, "SecurityGroups": 3,
         "VpcEndpoints": 1, "NatGateways": 3, "Peerings": 1, "EndpointServices": 1, "FlowLogs": 1, "Buckets": 4, "Roles": 5,
         "Profiles": 1, "LogGroups": 2, "Keys": 1, "Zones": 1, "Clusters": 1, "InCluster": 13, "SecondBootstraps": 0}
NOTHING = dict.fromkeys(WHOLE, 0)
STEADY = {"create": 0, "change": 0, "replace": 0, "destroy": 0, "none": FULL}


def test_full_set_no_op_upgrade_and_removal(world, tmp_path):
    moto, door = world
    door.set()
    infra = Infra(tmp_path, door.url)
    done = infra.run("apply")
    assert len(done["done"]) == FULL and not done["failed"] and not done["blocked"]
    assert door.there(infra.ident) == WHOLE
    before = door.answered()
    assert infra.summary() == STEADY
    # A look at everything lists what EC2 has of a kind once, not once a resource.
    looked = door.answered() - before
    kinds = ("Subnets", "RouteTables", "Addresses", "NatGateways", "SecurityGroups", "Vpcs", "InternetGateways", "VpcEndpoints")
    assert {kind: looked[f"Describe{kind}"] for kind in kinds} == dict.fromkeys(kinds, 1)
    # AWS's own command line reads the strict server as it reads AWS.
    name = f"oh-{infra.ident[:8]}"
    cluster = aws(door.url, "eks", "describe-cluster", "--name", name)["cluster"]
    assert cluster["status"] == "ACTIVE" and cluster["resourcesVpcConfig"]["endpointPublicAccess"] is False
    assert cluster["tags"]["ownhouse:bootstrap"].startswith("ownhouse-prod-bootstrap@subnet-")
    assert len(aws(door.url, "eks", "list-pod-identity-associations", "--cluster-name", name)["associations"]) == 3
    entries = aws(door.url, "eks", "list-access-entries", "--cluster-name", name)["accessEntries"]
    assert entries == [f"arn:aws:iam::{ACCOUNT}:role/ownhouse/ownhouse-prod-bootstrap"]
    # An upgrade is a plan that changes in place: the cluster, and when it is done its node groups, which cannot be newer.
    infra.change(kubernetesVersion="1.34")
    plan = infra.run("plan")
    changes = {c["resource"]: c for c in plan["changes"] if c["action"] != "none"}
    nodes = [f"aws_node_group.{pool}" for pool in ("keeper", "monitoring", "server", "system")]
    assert sorted(changes) == ["aws_eks_cluster.main", *nodes] and plan["summary"] == {**STEADY, "change": 5, "none": FULL - 5}
    assert all(c["why"] == [{"attribute": "version", "before": "1.33", "after": "1.34", "replaces": False}] for c in changes.values())
    assert plan["estimate"]["actions"] == [{"role": "operate", "actions": [
        "eks:UpdateClusterConfig", "eks:UpdateClusterVersion", "eks:UpdateNodegroupConfig", "eks:UpdateNodegroupVersion"]}]
    infra.run("apply")
    assert aws(door.url, "eks", "describe-cluster", "--name", name)["cluster"]["version"] == "1.34"
    for pool in aws(door.url, "eks", "list-nodegroups", "--cluster-name", name)["nodegroups"]:
        found = aws(door.url, "eks", "describe-nodegroup", "--cluster-name", name, "--nodegroup-name", pool)["nodegroup"]
        assert found["version"] == "1.34" and found["status"] == "ACTIVE"
    assert infra.summary() == STEADY
    # Data stay without the consent for data, and what they stand on.
    kept = infra.run("remove")["leftovers"]
    assert sorted(k["resource"] for k in kept) == ["aws_bucket.backups", "aws_bucket.data", "aws_bucket.logs",
                                                   "aws_bucket.metrics", "aws_kms_key.main"]
    assert door.there(infra.ident) == {**NOTHING, "Buckets": 4, "Keys": 1}
    assert not infra.run("purge")["leftovers"]
    assert door.there(infra.ident) == NOTHING


def test_what_customers_choose_of_keys_roles_and_endpoints(world, tmp_path):
    """Own KMS key, role path, boundary, one NAT gateway, endpoints of AWS's services: as AWS's command line sees them."""
    moto, door = world
    door.set(pace=BRISK)
    key = aws(moto.url, "kms", "create-key")["KeyMetadata"]["Arn"]
    boundary = aws(moto.url, "iam", "create-policy", "--policy-name", f"fence-{key[-8:]}", "--policy-document", json.dumps(
        {"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": "*", "Resource": "*"}]}))["Policy"]["Arn"]
    infra = Infra(tmp_path, door.url)
    env = json.loads((tmp_path / "env.json").read_text())
    del env["account"]["peering"], env["account"]["privateLink"]
    env["account"].update(kmsKey=key, boundary=boundary, rolePath="/teams/data/", nat="single", features={"interfaceEndpoints": True})
    (tmp_path / "env.json").write_text(json.dumps(env))
    infra.run("apply")
    prefix, mine = f"oh-{infra.ident[:8]}", f"Name=tag:ownhouse:infrastructure,Values={infra.ident}"
    for bucket in ("data", "backups", "metrics", "logs"):
        rules = aws(moto.url, "s3api", "get-bucket-encryption", "--bucket", f"{prefix}-{ACCOUNT}-{bucket}")
        (rule,) = rules["ServerSideEncryptionConfiguration"]["Rules"]
        assert rule["ApplyServerSideEncryptionByDefault"] == {"SSEAlgorithm": "aws:kms", "KMSMasterKeyID": key}
    cluster = aws(door.url, "eks", "describe-cluster", "--name", prefix)["cluster"]
    assert cluster["encryptionConfig"] == [{"resources": ["secrets"], "provider": {"keyArn": key}}]
    roles = [r for r in aws(moto.url, "iam", "list-roles")["Roles"] if r["RoleName"].startswith(prefix)]
    assert len(roles) == 4 and all(r["Path"] == f"/teams/data/{prefix}/" for r in roles), roles
    for role in roles:
        found = aws(moto.url, "iam", "get-role", "--role-name", role["RoleName"])["Role"]
        assert found["PermissionsBoundary"]["PermissionsBoundaryArn"] == boundary
    (profile,) = [p for p in aws(moto.url, "iam", "list-instance-profiles")["InstanceProfiles"]
                  if p["InstanceProfileName"].startswith(prefix)]
    assert profile["Path"] == f"/teams/data/{prefix}/"
    (nat,) = [n for n in aws(door.url, "ec2", "describe-nat-gateways", "--filter", mine)["NatGateways"]
              if {"Key": "ownhouse:infrastructure", "Value": infra.ident} in n["Tags"] and n["State"] == "available"]
    tables = aws(door.url, "ec2", "describe-route-tables", "--filters", mine)["RouteTables"]
    assert sum(r.get("NatGatewayId") == nat["NatGatewayId"] for t in tables for r in t["Routes"]) == 3
    private = {s["SubnetId"] for s in aws(door.url, "ec2", "describe-subnets", "--filters", mine)["Subnets"]
               if not s["MapPublicIpOnLaunch"]}
    (group,) = [g["GroupId"] for g in aws(door.url, "ec2", "describe-security-groups", "--filters", mine)["SecurityGroups"]
                if g["GroupName"] == f"{prefix}-endpoints"]

    def endpoints():
        return [e for e in aws(door.url, "ec2", "describe-vpc-endpoints", "--filters", mine)["VpcEndpoints"]
                if e["VpcEndpointType"] == "Interface" and e["State"].lower() != "deleted"]
    assert sorted(e["ServiceName"].removeprefix("com.amazonaws.us-east-1.") for e in endpoints()) == [
        "ec2", "ecr.api", "ecr.dkr", "eks", "eks-auth", "logs", "sts"]
    for one in endpoints():
        assert set(one["SubnetIds"]) == private and [g["GroupId"] for g in one["Groups"]] == [group] and one["PrivateDnsEnabled"]
    assert not any(infra.summary()[what] for what in ("create", "change", "replace", "destroy"))
    # No longer wished, they go, and nothing else.
    infra.change(features={})
    assert infra.summary()["destroy"] == 7 and infra.summary()["change"] == 0
    infra.run("apply")
    assert not endpoints()
    # The key was never ours: it is not made, not changed, and stays when everything goes.
    infra.run("purge")
    assert door.there(infra.ident) == NOTHING
    assert aws(moto.url, "kms", "describe-key", "--key-id", key)["KeyMetadata"]["KeyState"] == "Enabled"
    assert aws(moto.url, "kms", "list-aliases", "--key-id", key)["Aliases"] == []


def test_peering_private_link_and_flow_logs(world, tmp_path):
    """What joins an infrastructure to other networks: made, seen by AWS's command line, changed, put back, removed."""
    moto, door = world
    others = door.set(pace=BRISK)
    infra = Infra(tmp_path, door.url)
    infra.run("apply")
    mine = f"Name=tag:ownhouse:infrastructure,Values={infra.ident}"
    peering = next(p for p in aws(door.url, "ec2", "describe-vpc-peering-connections")["VpcPeeringConnections"]
                   if {"Key": "ownhouse:infrastructure", "Value": infra.ident} in p["Tags"])
    ident = peering["VpcPeeringConnectionId"]
    assert peering["Status"]["Code"] == "active" and peering["AccepterVpcInfo"]["VpcId"] == others["peer"]
    for side in ("RequesterVpcInfo", "AccepterVpcInfo"):
        assert peering[side]["PeeringOptions"]["AllowDnsResolutionFromRemoteVpc"] is True
    tables = aws(door.url, "ec2", "describe-route-tables", "--filters", mine)["RouteTables"]
    routed = [r for t in tables for r in t["Routes"] if r.get("VpcPeeringConnectionId") == ident]
    assert len(routed) == 6 and all(r["DestinationCidrBlock"] == "10.99.0.0/16" for r in routed)
    group = next(g for g in aws(door.url, "ec2", "describe-security-groups", "--filters", mine)["SecurityGroups"]
                 if g["GroupName"].endswith("private-ingress"))
    assert {r["CidrIp"] for p in group["IpPermissions"] for r in p["IpRanges"]} == {"10.41.0.0/16", "10.99.0.0/16"}
    service = next(s for s in aws(door.url, "ec2", "describe-vpc-endpoint-service-configurations")["ServiceConfigurations"]
                   if {"Key": "ownhouse:infrastructure", "Value": infra.ident} in s["Tags"])
    assert service["NetworkLoadBalancerArns"] == [others["balancer"]] and service["AcceptanceRequired"] is True
    allowed = aws(door.url, "ec2", "describe-vpc-endpoint-service-permissions", "--service-id", service["ServiceId"])
    assert [p["Principal"] for p in allowed["AllowedPrincipals"]] == [f"arn:aws:iam::{ACCOUNT}:root"]
    flow = aws(door.url, "ec2", "describe-flow-logs", "--filter", mine)["FlowLogs"]
    assert [f["LogGroupName"] for f in flow] == [f"/aws/eks/oh-{infra.ident[:8]}/flow"] and flow[0]["TrafficType"] == "ALL"
    # Wishes change: others may connect, without being accepted one by one.
    infra.change(privateLink={"loadBalancer": others["balancer"], "principals": ["arn:aws:iam::222233334444:root"],
                              "acceptance": False})
    assert infra.summary() == {**STEADY, "change": 1, "none": FULL - 1}
    infra.run("apply")
    allowed = aws(door.url, "ec2", "describe-vpc-endpoint-service-permissions", "--service-id", service["ServiceId"])
    assert [p["Principal"] for p in allowed["AllowedPrincipals"]] == ["arn:aws:iam::222233334444:root"]
    # Somebody turns the names off, and deletes the flow log: seen, and put back by a plan.
    aws(door.url, "ec2", "modify-vpc-peering-connection-options", "--vpc-peering-connection-id", ident,
        "--requester-peering-connection-options", "AllowDnsResolutionFromRemoteVpc=false")
    aws(door.url, "ec2", "delete-flow-logs", "--flow-log-ids", flow[0]["FlowLogId"])
    changes = [c["resource"] for c in infra.run("plan")["changes"] if c["action"] != "none"]
    assert sorted(changes) == ["aws_flow_log.main", "aws_peering_dns.main"]
    infra.run("apply")
    assert infra.summary() == STEADY
    # No longer wished: gone, with its routes, while the rest stays.
    infra.change(peering=None, privateLink=None, features={"hostedZone": True, "flowLogs": False})
    env = json.loads((tmp_path / "env.json").read_text())
    env["account"] = {k: v for k, v in env["account"].items() if v is not None}
    (tmp_path / "env.json").write_text(json.dumps(env))
    infra.run("apply")
    left = door.there(infra.ident)
    assert left == {**WHOLE, "Peerings": 0, "EndpointServices": 0, "FlowLogs": 0, "Roles": 4, "LogGroups": 1}
    tables = aws(door.url, "ec2", "describe-route-tables", "--filters", mine)["RouteTables"]
    assert not [r for t in tables for r in t["Routes"] if "VpcPeeringConnectionId" in r]
    infra.run("purge")
    assert door.there(infra.ident) == NOTHING


def names_in(url, domain):
    zone = next(z["Id"] for z in aws(url, "route53", "list-hosted-zones")["HostedZones"] if z["Name"] == f"{domain}.")
    sets = aws(url, "route53", "list-resource-record-sets", "--hosted-zone-id", zone)["ResourceRecordSets"]
    return {s["Name"].removesuffix("."): [r["Value"] for r in s["ResourceRecords"]] for s in sets if s["Type"] in ("A", "CNAME")}


def test_what_belongs_to_one_service(world, tmp_path):
    """Its identity and its name come and go with it, follow the cluster's load balancer, and leave the others alone."""
    moto, door = world
    door.set(pace=BRISK)
    infra = Infra(tmp_path, door.url)
    infra.run("apply")
    name, domain = f"oh-{infra.ident[:8]}", json.loads((tmp_path / "env.json").read_text())["infrastructure"]["domain"]
    arn, host = balancer(moto.url, infra.ident, "ingress-a")
    infra.serve("shop", "blog")
    plan = infra.run("plan")
    assert plan["summary"] == {**STEADY, "create": 4, "none": FULL + 1}
    # The operate role alone, which stays attached; it can neither make nor remove anything else of this.
    assert plan["estimate"]["actions"] == [{"role": "operate", "actions": [
        "eks:CreatePodIdentityAssociation", "eks:TagResource", "iam:PassRole", "route53:ChangeResourceRecordSets"]}]
    infra.run("apply")
    assert infra.summary() == {**STEADY, "none": FULL + 5}
    assert names_in(moto.url, domain) == {f"shop.{domain}": [host], f"blog.{domain}": [host]}
    for slug in ("shop", "blog"):
        (one,) = aws(door.url, "eks", "list-pod-identity-associations", "--cluster-name", name, "--namespace",
                     f"ownhouse-{service_id(slug)}")["associations"]
        found = aws(door.url, "eks", "describe-pod-identity-association", "--cluster-name", name, "--association-id",
                    one["associationId"])["association"]
        assert found["serviceAccount"] == "clickhouse" and found["roleArn"].endswith("role/ownhouse/ownhouse-prod-data")
        assert found["tags"]["ownhouse:resource"] == f"aws_pod_identity.service-{service_id(slug)}"
    # Found again without anything remembered; another load balancer is followed; a service that is gone takes its own.
    aws(moto.url, "elbv2", "delete-load-balancer", "--load-balancer-arn", arn)
    arn, host = balancer(moto.url, infra.ident, "ingress-b")
    infra.serve("blog")
    plan = infra.run("plan")
    assert {c["resource"]: c["action"] for c in plan["changes"] if c["action"] != "none"} == {
        f"aws_dns_record.service-{service_id('blog')}": "change", f"aws_dns_record.service-{service_id('shop')}": "destroy",
        f"aws_pod_identity.service-{service_id('shop')}": "destroy"}
    assert [r["role"] for r in plan["estimate"]["actions"]] == ["operate"]
    infra.run("apply")
    assert names_in(moto.url, domain) == {f"blog.{domain}": [host]}
    assert door.there(infra.ident) == {**WHOLE, "InCluster": WHOLE["InCluster"] + 1}
    driver = aws(door.url, "eks", "describe-addon", "--cluster-name", name, "--addon-name", "aws-ebs-csi-driver")["addon"]
    assert json.loads(driver["configurationValues"]) == {"controller": {"extraVolumeTags": {"ownhouse:infrastructure": infra.ident}}}
    # With everything else go the rest, and what the cluster leaves behind, after it; its disks hold data.
    group, disk = left_behind(moto.url, infra.ident)
    door.set()
    left = infra.run("remove")["leftovers"]
    assert "aws_cluster_volumes.main" in {k["resource"] for k in left} and len(left) == 6, left
    assert door.there(infra.ident) == {**NOTHING, "Buckets": 4, "Keys": 1}
    assert arn not in json.dumps(aws(moto.url, "elbv2", "describe-load-balancers"))
    assert there_still(moto.url, group, disk) == (False, True)
    asked = [json.loads(line) for line in door.requests.read_text().splitlines()]
    of_cluster = [i for i, q in enumerate(asked) if q["method"] == "DELETE" and q["path"].endswith(f"/clusters/{name}")]
    of_balancer = [i for i, q in enumerate(asked) if "Action=DeleteLoadBalancer" in q["body"] and "ingress-b" in q["body"]]
    assert of_cluster and of_balancer and max(of_cluster) < min(of_balancer)  # it would make it again
    assert infra.run("purge")["leftovers"] == []
    assert door.there(infra.ident) == NOTHING and there_still(moto.url, group, disk) == (False, False)


def test_a_network_that_overlaps_is_refused_before_and_named_after(world, tmp_path):
    moto, door = world
    others = door.set(pace=BRISK)
    process = Infra(tmp_path, door.url, {"peering": {"vpcId": others["peer"], "cidr": "10.41.128.0/20"}}).start("plan")
    _, err = process.communicate(timeout=60)
    assert process.returncode == 1 and "account.config.peering.cidr" in err and "overlaps" in err
    # A range that was told wrong: AWS answers well and fails afterwards; the plan says so.
    vpc = aws(moto.url, "ec2", "create-vpc", "--cidr-block", "10.41.0.0/16")["Vpc"]["VpcId"]
    infra = Infra(tmp_path, door.url, {"peering": {"vpcId": vpc, "cidr": "10.98.0.0/16"}})
    process = infra.start("apply")
    out, err = process.communicate(timeout=300)
    assert "the peering failed" in err + out and "overlap" in err + out, err[-2000:]
    infra.run("purge")
    assert door.there(infra.ident) == {**NOTHING, "Peerings": 1}  # moto knows no failed ones; AWS's go by themselves


def test_roles_are_taken_up_only_with_the_external_id(world, tmp_path):
    moto, door = world
    door.set(pace=BRISK)
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


class Crashes:
    """Kills at given calls, each in a world as new; several worlds at once."""

    def __init__(self, folder, worlds):
        self.folder, self.free, self.worlds = folder, queue.Queue(), []
        for i in range(worlds):
            self.worlds.append(World(folder / f"world{i}"))
            self.free.put(self.worlds[-1])

    def close(self):
        for w in self.worlds:
            w.close()

    def begin(self, door, name, verb):
        door.set(anew=True, pace=BRISK)
        folder = self.folder / name
        folder.mkdir()
        infra = Infra(folder, door.url)
        if verb == "purge":
            infra.run("apply")
        door.set()
        return infra

    def crash(self, verb, when, n):
        """A kill -9 at the n-th call; what the journal knows is gone on with; the end must be whole. True if it was killed."""
        world = self.free.get()
        try:
            door = world.door
            infra = self.begin(door, f"{verb}-{when}-{n}", verb)
            process = infra.start(verb, stopped=True)
            door.set(pid=process.pid, **{when: n})
            process.send_signal(signal.SIGCONT)
            process.communicate(timeout=600)
            door.set()
            time.sleep(BRISK["settle"])  # as long as EC2 takes to show what was made; a controller's restart takes longer
            crashed = process.returncode == -signal.SIGKILL
            if crashed and (infra.folder / "plan.json").exists():
                infra.run("resume", good=False)
            infra.run(verb)
            assert door.there(infra.ident) == (WHOLE if verb == "apply" else NOTHING), (verb, when, n)
            if verb == "apply":
                assert infra.summary() == STEADY, (verb, when, n)
            return crashed
        finally:
            self.free.put(world)

    def each(self, verb, points):
        """Of (when, n) pairs: how many were killed."""
        with concurrent.futures.ThreadPoolExecutor(len(self.worlds)) as pool:
            tasks = [pool.submit(self.crash, verb, when, n) for when, n in points]
            return sum(t.result() for t in concurrent.futures.as_completed(tasks))


@pytest.fixture(scope="module")
def crashes(tmp_path_factory):
    c = Crashes(tmp_path_factory.mktemp("crashes"), 2)
    yield c
    c.close()


@pytest.mark.parametrize("verb, points", [("apply", [("before", 110), ("after", 240)]), ("purge", [("after", 100), ("before", 190)])])
def test_killed_at_some_calls(crashes, verb, points):
    """A real kill -9 through the network; test_aws_every_call.py takes every call."""
    assert crashes.each(verb, points) == len(points)


def test_lost_and_late_answers_500s_and_throttling(world, tmp_path):
    moto, door = world
    door.set(pace=BRISK)
    infra = Infra(tmp_path, door.url, timeoutMs=2000)
    door.set(lose=75, hang=150, seconds=3, limit=100)  # an account that others use up too
    infra.run("apply")
    assert door.there(infra.ident) == WHOLE
    door.set(status=500, code="InternalError", **{"from": 60, "to": 75})
    infra.run("remove")
    # Each of these doubles the gap between requests, and only ten times that many good answers close it again.
    door.set(status=503, code="RequestLimitExceeded", **{"from": 5, "to": 9})
    infra.run("purge")
    door.set()
    assert door.there(infra.ident) == NOTHING


def test_every_request_is_what_botocore_sends(world):
    """Runs last: holds all requests of this module against AWS's own models and serializers."""
    _, door = world
    said = json.loads(aws_peer.python("aws/wire.py", door.requests))
    assert not said["wrong"], said["wrong"][:3]
    assert len(said["calls"]) >= 100, sorted(said["calls"])
