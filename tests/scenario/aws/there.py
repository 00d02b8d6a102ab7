"""What an AWS server has of one infrastructure, counted with boto3: there(url, ident) -> {"Vpcs": 1, ...}."""
import functools

import boto3


@functools.lru_cache
def client(url, service):
    return boto3.client(service, endpoint_url=url, region_name="us-east-1")


def others(url):
    """What belongs to others and an infrastructure is joined with: a network, and a load balancer."""
    ec2 = client(url, "ec2")
    vpc = ec2.create_vpc(CidrBlock="10.99.0.0/16")["Vpc"]["VpcId"]
    subnet = ec2.create_subnet(VpcId=vpc, CidrBlock="10.99.0.0/24")["Subnet"]["SubnetId"]
    balancer = client(url, "elbv2").create_load_balancer(Name="private", Subnets=[subnet], Type="network", Scheme="internal")
    return {"peer": vpc, "balancer": balancer["LoadBalancers"][0]["LoadBalancerArn"]}


def there(url, ident):
    ec2, count = client(url, "ec2"), {}
    mine = {"Key": "ownhouse:infrastructure", "Value": ident}
    tag = [{"Name": "tag:ownhouse:infrastructure", "Values": [ident]}]
    gone = ("deleted", "deleting")
    for what, call in (("Vpcs", ec2.describe_vpcs), ("Subnets", ec2.describe_subnets), ("RouteTables", ec2.describe_route_tables),
                       ("InternetGateways", ec2.describe_internet_gateways), ("Addresses", ec2.describe_addresses),
                       ("SecurityGroups", ec2.describe_security_groups), ("VpcEndpoints", ec2.describe_vpc_endpoints)):
        count[what] = sum(str(f.get("State", "")).lower() not in gone for f in call(Filters=tag)[what])
    for what, found in (("NatGateways", ec2.describe_nat_gateways()["NatGateways"]),
                        ("Peerings", ec2.describe_vpc_peering_connections()["VpcPeeringConnections"]),
                        ("EndpointServices", ec2.describe_vpc_endpoint_service_configurations()["ServiceConfigurations"]),
                        ("FlowLogs", ec2.describe_flow_logs()["FlowLogs"])):
        count[what] = sum(mine in f.get("Tags", []) and f.get("State", f.get("Status", {}).get("Code")) not in gone for f in found)
    prefix = f"oh-{ident[:8]}"
    count["Buckets"] = sum(b["Name"].startswith(prefix) for b in client(url, "s3").list_buckets()["Buckets"])
    count["Roles"] = sum(r["RoleName"].startswith(prefix) for r in client(url, "iam").list_roles(MaxItems=1000)["Roles"])
    count["Profiles"] = sum(p["InstanceProfileName"].startswith(prefix)
                            for p in client(url, "iam").list_instance_profiles(MaxItems=1000)["InstanceProfiles"])
    groups = client(url, "logs").describe_log_groups(logGroupNamePrefix=f"/aws/eks/{prefix}")["logGroups"]
    count["LogGroups"] = len(groups)
    kms = client(url, "kms")
    keys = [k["KeyId"] for k in kms.list_keys(Limit=1000)["Keys"]]
    count["Keys"] = sum({"TagKey": mine["Key"], "TagValue": ident} in kms.list_resource_tags(KeyId=k)["Tags"]
                        and kms.describe_key(KeyId=k)["KeyMetadata"]["KeyState"] == "Enabled" for k in keys)
    zones = client(url, "route53").list_hosted_zones()["HostedZones"]
    count["Zones"] = sum(mine in client(url, "route53").list_tags_for_resource(
        ResourceType="hostedzone", ResourceId=z["Id"].rsplit("/", 1)[-1])["ResourceTagSet"]["Tags"] for z in zones)
    return count
