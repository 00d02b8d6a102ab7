"""A network that the customer made: what preflight says of it, and that a whole life of an infrastructure leaves it as it was."""
import json

import pytest

from aws_peer import aws
from test_aws_strict import ACCOUNT, Infra, world  # noqa: F401


def tag(url, *ids):
    aws(url, "ec2", "create-tags", "--resources", *ids, "--tags", "Key=kubernetes.io/role/internal-elb,Value=1")


class Network:
    """Three private subnets behind a NAT gateway with an S3 endpoint, made as its owner would."""

    def __init__(self, url):
        self.url = url
        self.vpc = self.ec2("create-vpc", "--cidr-block", "10.77.0.0/16")["Vpc"]["VpcId"]
        for attribute in ("--enable-dns-support", "--enable-dns-hostnames"):
            self.ec2("modify-vpc-attribute", "--vpc-id", self.vpc, attribute, '{"Value":true}')
        self.gateway = self.ec2("create-internet-gateway")["InternetGateway"]["InternetGatewayId"]
        self.ec2("attach-internet-gateway", "--internet-gateway-id", self.gateway, "--vpc-id", self.vpc)
        public = self.subnet("10.77.0.0/24", "a")
        address = self.ec2("allocate-address")["AllocationId"]
        self.nat = self.ec2("create-nat-gateway", "--subnet-id", public, "--allocation-id", address)["NatGateway"]["NatGatewayId"]
        self.table = self.ec2("create-route-table", "--vpc-id", self.vpc)["RouteTable"]["RouteTableId"]
        self.ec2("create-route", "--route-table-id", self.table, "--destination-cidr-block", "0.0.0.0/0", "--nat-gateway-id", self.nat)
        self.subnets = [self.subnet(f"10.77.{16 * (i + 1)}.0/20", zone) for i, zone in enumerate("abc")]
        for one in self.subnets:
            self.ec2("associate-route-table", "--route-table-id", self.table, "--subnet-id", one)
        tag(url, *self.subnets)
        self.ec2("create-vpc-endpoint", "--vpc-id", self.vpc, "--service-name", "com.amazonaws.us-east-1.s3", "--route-table-ids",
                 self.table, "--vpc-endpoint-type", "Gateway")

    def ec2(self, *words):
        return aws(self.url, "ec2", *words)

    def subnet(self, cidr, zone):
        return self.ec2("create-subnet", "--vpc-id", self.vpc, "--cidr-block", cidr, "--availability-zone",
                        f"us-east-1{zone}")["Subnet"]["SubnetId"]

    def picture(self):
        """What belongs to the owner, as AWS's own command line shows it."""
        mine = ["--filters", f"Name=vpc-id,Values={self.vpc}"]
        subnets = self.ec2("describe-subnets", *mine)["Subnets"]
        for one in subnets:
            one.pop("AvailableIpAddressCount")  # the cluster's and its nodes' interfaces take some
        return [subnets, self.ec2("describe-route-tables", *mine), self.ec2("describe-vpc-endpoints", *mine)]


@pytest.fixture(scope="module")
def network(world):  # noqa: F811
    world[1].set()
    return Network(world[0].url)


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


# The last one: it spoils the network.
def test_what_is_wrong_with_a_network_is_named(world, network, tmp_path):  # noqa: F811
    a, b, c = network.subnets
    network.ec2("modify-vpc-attribute", "--vpc-id", network.vpc, "--enable-dns-hostnames", '{"Value":false}')
    network.ec2("delete-tags", "--resources", a, "--tags", "Key=kubernetes.io/role/internal-elb")
    small = network.subnet("10.77.200.0/27", "b")
    tag(network.url, small)
    rows = infra(tmp_path / "bad", world[1].url, network.vpc, [a, small, c]).run("preflight")
    assert set(said(rows, "wrong")) == {"own network: enableDnsHostnames", f"own network: {a}: tag", f"own network: {small}: free",
                                        f"own network: {small}: way out", f"own network: {small}: S3 endpoint"}
    # Through an internet gateway a subnet is public.
    network.ec2("replace-route", "--route-table-id", network.table, "--destination-cidr-block", "0.0.0.0/0", "--gateway-id",
                network.gateway)
    twice = network.subnet("10.77.210.0/24", "a")
    rows = infra(tmp_path / "public", world[1].url, network.vpc, [a, b, twice]).run("preflight")
    wrong = said(rows, "wrong")
    assert "own network: zones" in wrong and f"own network: {b}: way out" in wrong
    other = network.ec2("create-vpc", "--cidr-block", "10.78.0.0/16")["Vpc"]["VpcId"]
    rows = infra(tmp_path / "other", world[1].url, other, [a, b, c]).run("preflight")
    assert {f"own network: {s}: VPC" for s in (a, b, c)} <= set(said(rows, "wrong"))
    rows = infra(tmp_path / "none", world[1].url, "vpc-00000000", ["subnet-00000001", "subnet-00000002", "subnet-00000003"]).run(
        "preflight")
    assert {"own network: VPC", "own network: subnets"} <= set(said(rows, "wrong"))
