"""The set of bench/aws/run as a Terraform module, as far as the provider that can be had (1.60.0, of 2019) can be pointed at
a server of this machine: without the EKS cluster, all that hangs on it and the zone.

usage: terraform_set.py URL PROVIDER FOLDER     (writes FOLDER/main.tf.json and FOLDER/rc)"""
import json
import pathlib
import sys

url, provider, folder = sys.argv[1], sys.argv[2], pathlib.Path(sys.argv[3])
TAGS = {"bench": "terraform"}
SERVICES = ("ec2", "s3", "iam", "kms", "cloudwatchlogs", "sts")
made = {}


def add(kind, label, /, **attributes):
    made.setdefault(kind, {})[label] = attributes
    return f"${{{kind}.{label}.id}}"


def trusted(service):
    return json.dumps({"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Principal": {"Service": f"{service}.amazonaws.com"},
                                                               "Action": "sts:AssumeRole"}]})


vpc = add("aws_vpc", "net", cidr_block="10.60.0.0/16", enable_dns_support=True, enable_dns_hostnames=True, tags=TAGS)
subnets = [add("aws_subnet", f"s{i}", vpc_id=vpc, cidr_block=f"10.60.{i * 16}.0/20", availability_zone="us-east-1" + "abc"[i % 3],
               map_public_ip_on_launch=i > 2, tags=TAGS) for i in range(6)]
gateway = add("aws_internet_gateway", "out", vpc_id=vpc, tags=TAGS)
tables = []
for i in range(3):
    address = add("aws_eip", f"a{i}", vpc=True, tags=TAGS)
    nat = add("aws_nat_gateway", f"n{i}", allocation_id=address, subnet_id=subnets[3 + i], tags=TAGS)
    for subnet, name, target in ((subnets[i], f"private{i}", {"nat_gateway_id": nat}),
                                 (subnets[3 + i], f"public{i}", {"gateway_id": gateway})):
        tables.append(add("aws_route_table", name, vpc_id=vpc, tags=TAGS))
        add("aws_route", name, route_table_id=tables[-1], destination_cidr_block="0.0.0.0/0", **target)
        add("aws_route_table_association", name, subnet_id=subnet, route_table_id=tables[-1])
add("aws_vpc_endpoint", "s3", vpc_id=vpc, service_name="com.amazonaws.us-east-1.s3", vpc_endpoint_type="Gateway", route_table_ids=tables)
for i in range(3):
    add("aws_security_group", f"g{i}", vpc_id=vpc, name=f"bench-tf-{i}", description="bench", tags=TAGS,
        ingress=[{"from_port": 443, "to_port": 443, "protocol": "tcp", "cidr_blocks": ["10.60.0.0/16"], "description": "", "self": False,
                  "ipv6_cidr_blocks": [], "prefix_list_ids": [], "security_groups": []}])
add("aws_kms_key", "key", description="bench", enable_key_rotation=True, tags=TAGS)
add("aws_kms_alias", "key", name="alias/bench-tf", target_key_id="${aws_kms_key.key.key_id}")
for name in ("data", "backups", "metrics", "logs"):
    bucket = add("aws_s3_bucket", name, bucket=f"bench-tf-{name}", force_destroy=True, tags=TAGS,
                 server_side_encryption_configuration={"rule": {"apply_server_side_encryption_by_default": {
                     "sse_algorithm": "aws:kms", "kms_master_key_id": "${aws_kms_key.key.arn}"}}},
                 lifecycle_rule={"id": "a", "enabled": True, "prefix": "", "abort_incomplete_multipart_upload_days": 7})
    add("aws_s3_bucket_public_access_block", name, bucket=bucket, block_public_acls=True, ignore_public_acls=True,
        block_public_policy=True, restrict_public_buckets=True)
add("aws_cloudwatch_log_group", "eks", name="/aws/eks/bench-tf/cluster", retention_in_days=90, tags=TAGS)
for name, service, policies in (("cluster", "eks", ["AmazonEKSClusterPolicy"]),
                                ("node", "ec2", ["AmazonEKSWorkerNodePolicy", "AmazonEKS_CNI_Policy",
                                                 "AmazonEC2ContainerRegistryPullOnly"])):
    add("aws_iam_role", name, name=f"bench-tf-{name}", assume_role_policy=trusted(service), tags=TAGS)
    for i, policy in enumerate(policies):
        add("aws_iam_role_policy_attachment", f"{name}{i}", role=f"${{aws_iam_role.{name}.name}}",
            policy_arn=f"arn:aws:iam::aws:policy/{policy}")
add("aws_iam_instance_profile", "node", name="bench-tf", role="${aws_iam_role.node.name}")
add("aws_iam_openid_connect_provider", "oidc", url="https://oidc.eks.us-east-1.amazonaws.com/id/BENCH", client_id_list=["sts.amazonaws.com"],
    thumbprint_list=["0" * 40])
folder.mkdir(exist_ok=True)
(folder / "rc").write_text('disable_checkpoint = true\nprovider_installation {\n  dev_overrides { "hashicorp/aws" = "%s" }\n  direct {}\n}\n'
                           % provider)
(folder / "main.tf.json").write_text(json.dumps({"resource": made, "provider": {"aws": {
    "region": "us-east-1", "access_key": "a", "secret_key": "b", "s3_force_path_style": True, "skip_credentials_validation": True,
    "skip_metadata_api_check": True, "skip_requesting_account_id": True, "skip_get_ec2_platforms": True,
    "endpoints": [{s: url for s in SERVICES}]}}}, indent=1))
