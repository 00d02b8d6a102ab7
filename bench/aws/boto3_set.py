"""The set of bench/aws/run with boto3, one call after another, as a script would do it.

usage: boto3_set.py URL apply [waits]     (waits: for every state on the way, and with add-ons; the server must know them)"""
import json
import sys
import time

import boto3

url, waits = sys.argv[1], sys.argv[3:] == ["waits"]
new = lambda s: boto3.client(s, endpoint_url=url, region_name="us-east-1")  # noqa: E731
ec2, s3, iam, kms, eks, logs, r53 = map(new, ("ec2", "s3", "iam", "kms", "eks", "logs", "route53"))
TAGS = [{"Key": "bench", "Value": "boto3"}, {"Key": "Name", "Value": "bench"}]
MAP = {"bench": "boto3"}


def spec(kind):
    return [{"ResourceType": kind, "Tags": TAGS}]


def until(client, waiter, **what):
    if waits:
        time.sleep(1)  # what was just made is not seen at once
        client.get_waiter(waiter).wait(WaiterConfig={"Delay": 1, "MaxAttempts": 1200}, **what)


def cluster_of(**what):
    """A role that was just made cannot be passed at once."""
    while True:
        try:
            return eks.create_cluster(accessConfig={"bootstrapClusterCreatorAdminPermissions": False}, **what)
        except eks.exceptions.InvalidParameterException:
            time.sleep(1)


def apply():
    vpc = ec2.create_vpc(CidrBlock="10.50.0.0/16", TagSpecifications=spec("vpc"))["Vpc"]["VpcId"]
    ec2.modify_vpc_attribute(VpcId=vpc, EnableDnsSupport={"Value": True})
    ec2.modify_vpc_attribute(VpcId=vpc, EnableDnsHostnames={"Value": True})
    subnets = [ec2.create_subnet(VpcId=vpc, CidrBlock=f"10.50.{i * 16}.0/20", AvailabilityZone="us-east-1" + "abc"[i % 3],
                                 TagSpecifications=spec("subnet"))["Subnet"]["SubnetId"] for i in range(6)]
    igw = ec2.create_internet_gateway(TagSpecifications=spec("internet-gateway"))["InternetGateway"]["InternetGatewayId"]
    ec2.attach_internet_gateway(InternetGatewayId=igw, VpcId=vpc)
    tables = []
    for i in range(3):
        ec2.modify_subnet_attribute(SubnetId=subnets[3 + i], MapPublicIpOnLaunch={"Value": True})
        address = ec2.allocate_address(Domain="vpc", TagSpecifications=spec("elastic-ip"))["AllocationId"]
        nat = ec2.create_nat_gateway(SubnetId=subnets[3 + i], AllocationId=address, TagSpecifications=spec("natgateway"))
        until(ec2, "nat_gateway_available", NatGatewayIds=[nat["NatGateway"]["NatGatewayId"]])
        for subnet, target in ((subnets[i], {"NatGatewayId": nat["NatGateway"]["NatGatewayId"]}), (subnets[3 + i], {"GatewayId": igw})):
            table = ec2.create_route_table(VpcId=vpc, TagSpecifications=spec("route-table"))["RouteTable"]["RouteTableId"]
            ec2.create_route(RouteTableId=table, DestinationCidrBlock="0.0.0.0/0", **target)
            ec2.associate_route_table(RouteTableId=table, SubnetId=subnet)
            tables.append(table)
    ec2.create_vpc_endpoint(VpcId=vpc, ServiceName="com.amazonaws.us-east-1.s3", VpcEndpointType="Gateway", RouteTableIds=tables,
                            TagSpecifications=spec("vpc-endpoint"))
    groups = []
    for i in range(3):
        group = ec2.create_security_group(VpcId=vpc, GroupName=f"bench-{i}", Description="bench",
                                          TagSpecifications=spec("security-group"))["GroupId"]
        ec2.authorize_security_group_ingress(GroupId=group, IpPermissions=[
            {"IpProtocol": "tcp", "FromPort": 443, "ToPort": 443, "IpRanges": [{"CidrIp": "10.50.0.0/16"}]}])
        groups.append(group)
    key = kms.create_key(Tags=[{"TagKey": "bench", "TagValue": "boto3"}])["KeyMetadata"]["Arn"]
    kms.enable_key_rotation(KeyId=key)
    kms.create_alias(AliasName="alias/bench", TargetKeyId=key)
    for name in ("data", "backups", "metrics", "logs"):
        bucket = f"bench-boto3-{name}"
        s3.create_bucket(Bucket=bucket)
        s3.put_bucket_tagging(Bucket=bucket, Tagging={"TagSet": TAGS})
        s3.put_public_access_block(Bucket=bucket, PublicAccessBlockConfiguration={
            k: True for k in ("BlockPublicAcls", "IgnorePublicAcls", "BlockPublicPolicy", "RestrictPublicBuckets")})
        s3.put_bucket_ownership_controls(Bucket=bucket, OwnershipControls={"Rules": [{"ObjectOwnership": "BucketOwnerEnforced"}]})
        s3.put_bucket_encryption(Bucket=bucket, ServerSideEncryptionConfiguration={"Rules": [
            {"ApplyServerSideEncryptionByDefault": {"SSEAlgorithm": "aws:kms", "KMSMasterKeyID": key}}]})
        s3.put_bucket_lifecycle_configuration(Bucket=bucket, LifecycleConfiguration={"Rules": [
            {"ID": "a", "Filter": {"Prefix": ""}, "Status": "Enabled", "AbortIncompleteMultipartUpload": {"DaysAfterInitiation": 7}}]})
    logs.create_log_group(logGroupName="/aws/eks/bench/cluster", tags=MAP)
    logs.put_retention_policy(logGroupName="/aws/eks/bench/cluster", retentionInDays=90)
    roles = {}
    for name, service, policies in (("cluster", "eks", ["AmazonEKSClusterPolicy"]),
                                    ("node", "ec2", ["AmazonEKSWorkerNodePolicy", "AmazonEKS_CNI_Policy",
                                                     "AmazonEC2ContainerRegistryPullOnly"])):
        trust = {"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Principal": {"Service": f"{service}.amazonaws.com"},
                                                         "Action": "sts:AssumeRole"}]}
        roles[name] = iam.create_role(RoleName=f"bench-{name}", AssumeRolePolicyDocument=json.dumps(trust), Tags=TAGS)["Role"]["Arn"]
        for policy in policies:
            iam.attach_role_policy(RoleName=f"bench-{name}", PolicyArn=f"arn:aws:iam::aws:policy/{policy}")
    iam.create_instance_profile(InstanceProfileName="bench", Tags=TAGS)
    iam.add_role_to_instance_profile(InstanceProfileName="bench", RoleName="bench-node")
    cluster = cluster_of(name="bench", version="1.33", roleArn=roles["cluster"], resourcesVpcConfig={"subnetIds": subnets[:3], "endpointPublicAccess": False, "endpointPrivateAccess": True}, tags=MAP)
    until(eks, "cluster_active", name="bench")
    for name in ("vpc-cni", "kube-proxy") if waits else ():
        eks.create_addon(clusterName="bench", addonName=name, tags=MAP)
        until(eks, "addon_active", clusterName="bench", addonName=name)
    for name in ("system", "server", "keeper", "monitoring"):
        eks.create_nodegroup(clusterName="bench", nodegroupName=name, nodeRole=roles["node"], subnets=subnets[:3], tags=MAP)
        until(eks, "nodegroup_active", clusterName="bench", nodegroupName=name)
    for name in ("coredns", "eks-pod-identity-agent", "aws-ebs-csi-driver") if waits else ():
        eks.create_addon(clusterName="bench", addonName=name, tags=MAP)
        until(eks, "addon_active", clusterName="bench", addonName=name)
    iam.create_open_id_connect_provider(Url=cluster["cluster"]["identity"]["oidc"]["issuer"], ClientIDList=["sts.amazonaws.com"],
                                        Tags=TAGS)
    zone = r53.create_hosted_zone(Name="bench.example.com", CallerReference=str(time.time()))["HostedZone"]["Id"]
    r53.change_tags_for_resource(ResourceType="hostedzone", ResourceId=zone.split("/")[-1], AddTags=TAGS)


began = time.monotonic()
apply()
print(f"{time.monotonic() - began:.2f}")
