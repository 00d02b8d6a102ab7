"""A network that the customer made: what preflight says of it, and that a whole life of an infrastructure leaves it as it was."""
import json
import re

import pytest

from aws_peer import Calls
from test_aws_strict import ACCOUNT, BRISK, Infra, world  # noqa: F401


TAG = [{"Key": "kubernetes.io/role/internal-elb", "Value": "1"}]


class Network:
    """Three private subnets behind a NAT gateway with an S3 endpoint, made as its owner would."""

    def __init__(self, url):
        self.calls = Calls(url)
        self.vpc = self.ec2("create_vpc", CidrBlock="10.77.0.0/16")["Vpc"]["VpcId"]
        for attribute in ("EnableDnsSupport", "EnableDnsHostnames"):
            self.ec2("modify_vpc_attribute", VpcId=self.vpc, **{attribute: {"Value": True}})
        self.gateway = self.ec2("create_internet_gateway")["InternetGateway"]["InternetGatewayId"]
        self.ec2("attach_internet_gateway", InternetGatewayId=self.gateway, VpcId=self.vpc)
        public = self.subnet("10.77.0.0/24", "a")
        address = self.ec2("allocate_address")["AllocationId"]
        self.nat = self.ec2("create_nat_gateway", SubnetId=public, AllocationId=address)["NatGateway"]["NatGatewayId"]
        self.table = self.ec2("create_route_table", VpcId=self.vpc)["RouteTable"]["RouteTableId"]
        self.ec2("create_route", RouteTableId=self.table, DestinationCidrBlock="0.0.0.0/0", NatGatewayId=self.nat)
        self.subnets = [self.subnet(f"10.77.{16 * (i + 1)}.0/20", zone) for i, zone in enumerate("abc")]
        for one in self.subnets:
            self.ec2("associate_route_table", RouteTableId=self.table, SubnetId=one)
        self.ec2("create_tags", Resources=self.subnets, Tags=TAG)
        self.ec2("create_vpc_endpoint", VpcId=self.vpc, ServiceName="com.amazonaws.us-east-1.s3", RouteTableIds=[self.table],
                 VpcEndpointType="Gateway")

    def ec2(self, operation, **arguments):
        return self.calls("ec2", operation, **arguments)

    def subnet(self, cidr, zone):
        return self.ec2("create_subnet", VpcId=self.vpc, CidrBlock=cidr, AvailabilityZone=f"us-east-1{zone}")["Subnet"]["SubnetId"]

    def picture(self):
        """What belongs to the owner, as AWS's own library shows it."""
        mine = {"Filters": [{"Name": "vpc-id", "Values": [self.vpc]}]}
        subnets = self.ec2("describe_subnets", **mine)["Subnets"]
        for one in subnets:
            one.pop("AvailableIpAddressCount")  # the cluster's and its nodes' interfaces take some
        return [subnets, self.ec2("describe_route_tables", **mine), self.ec2("describe_vpc_endpoints", **mine)]


@pytest.fixture(scope="module")
def network(world):  # noqa: F811
    world[1].set(pace=BRISK)
    made = Network(world[0].url)
    yield made
    made.calls.close()


def infra(folder, url, vpc, subnets):
    folder.mkdir()
    made = Infra(folder, url)
    env = json.loads((folder / "env.json").read_text())
    for gone in ("peering", "privateLink"):
        env["account"].pop(gone, None)
    env["account"]["network"] = {"vpc": vpc, "privateSubnets": subnets}
    env["account"]["features"] = {"addons": False, "podIdentities": False, "accessEntry": False, "bootstrap": False}
    (folder / "env.json").write_text(json.dumps(env))
    return made


def said(rows, outcome=None):
    return {r["check"]: r["outcome"] for r in rows if r["check"].startswith("own network") and outcome in (None, r["outcome"])}


def test_a_good_network_is_found_good_and_left_as_it_was(world, network, tmp_path):  # noqa: F811
    before = network.picture()
    one = infra(tmp_path / "good", world[1].url, network.vpc, network.subnets)
    rows = one.run("preflight")
    assert len(said(rows)) == 3 + 5 * 3 + 1 and set(said(rows).values()) == {"ok"}, said(rows, "wrong")
    assert not [r for r in rows if r["check"] == "range"]
    applied = one.run("apply")
    assert not applied["failed"] and any(key.startswith("aws_security_group.") for key in applied["done"])
    assert not [key for key in applied["done"] if key.startswith(("aws_vpc", "aws_subnet", "aws_route", "aws_nat"))]
    assert network.picture() == before
    one.run("purge")
    assert network.picture() == before


def test_what_is_made_anew_after_a_removal_is_not_taken_for_what_was_there(world, network, tmp_path):  # noqa: F811
    """In a network of the customer's own the second life's requests are the first one's, byte by byte, and its plan too: only the
    token tells them apart. AWS answers a token that it has seen with what was made then, though that is deleted."""
    one = infra(tmp_path / "anew", world[1].url, network.vpc, network.subnets)
    env = json.loads((tmp_path / "anew/env.json").read_text())
    env["account"].pop("features")
    identities = {name: f"arn:aws:iam::{ACCOUNT}:role/own-{name}" for name in ("clusterRole", "nodeRole")}
    env["account"].update(identities=identities, kmsKey=f"arn:aws:kms:us-east-1:{ACCOUNT}:key/own")
    (tmp_path / "anew/env.json").write_text(json.dumps(env))
    first = one.run("plan")
    tokens = []
    for life in range(2):
        assert one.run("plan") == first
        begin = world[1].requests.stat().st_size
        applied = one.run("apply")
        assert not applied["failed"], applied
        assert world[1].there(one.ident)["Clusters"] == 1 and one.summary()["create"] == 0
        with open(world[1].requests) as log:
            log.seek(begin)
            sent = [json.loads(line) for line in log]
        tokens.append({t for r in sent for t in re.findall(r'(?:"clientRequestToken":\s*"|ClientToken=)([0-9a-f]+)', r["body"])})
        assert not one.run("purge")["leftovers"]
        assert world[1].there(one.ident)["Clusters"] == 0
    assert len(tokens[0]) > 10 and not tokens[0] & tokens[1]


# The last one: it spoils the network.
def test_what_is_wrong_with_a_network_is_named(world, network, tmp_path):  # noqa: F811
    a, b, c = network.subnets
    network.ec2("modify_vpc_attribute", VpcId=network.vpc, EnableDnsHostnames={"Value": False})
    network.ec2("delete_tags", Resources=[a], Tags=[{"Key": TAG[0]["Key"]}])
    small = network.subnet("10.77.200.0/27", "b")
    network.ec2("create_tags", Resources=[small], Tags=TAG)
    rows = infra(tmp_path / "bad", world[1].url, network.vpc, [a, small, c]).run("preflight")
    assert set(said(rows, "wrong")) == {"own network: enableDnsHostnames", f"own network: {a}: tag", f"own network: {small}: free",
                                        f"own network: {small}: way out", f"own network: {small}: S3 endpoint"}
    # Through an internet gateway a subnet is public.
    network.ec2("replace_route", RouteTableId=network.table, DestinationCidrBlock="0.0.0.0/0", GatewayId=network.gateway)
    twice = network.subnet("10.77.210.0/24", "a")
    rows = infra(tmp_path / "public", world[1].url, network.vpc, [a, b, twice]).run("preflight")
    wrong = said(rows, "wrong")
    assert "own network: zones" in wrong and f"own network: {b}: way out" in wrong
    other = network.ec2("create_vpc", CidrBlock="10.78.0.0/16")["Vpc"]["VpcId"]
    rows = infra(tmp_path / "other", world[1].url, other, [a, b, c]).run("preflight")
    assert {f"own network: {s}: VPC" for s in (a, b, c)} <= set(said(rows, "wrong"))
    rows = infra(tmp_path / "none", world[1].url, "vpc-00000000", ["subnet-00000001", "subnet-00000002", "subnet-00000003"]).run(
        "preflight")
    assert {"own network: VPC", "own network: subnets"} <= set(said(rows, "wrong"))
