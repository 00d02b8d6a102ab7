"""From recorded requests to what IAM is asked for each: prints {"cases": [{phase, action, resource, context}], "unknown": [...]}.

Written from AWS's service authorization reference, not from our own table of rights."""
import json
import re
import sys

sys.argv, arguments_of_wire = [sys.argv[0], "/dev/null"], sys.argv[1:]
import wire  # noqa: E402

ACCOUNT, REGION = "123456789012", "us-east-1"
CREATE = {"CreateVpc": ("vpc", []), "CreateSubnet": ("subnet", ["vpc"]), "CreateInternetGateway": ("internet-gateway", []),
          "AllocateAddress": ("elastic-ip", []), "CreateNatGateway": ("natgateway", ["subnet", "elastic-ip"]),
          "CreateRouteTable": ("route-table", ["vpc"]), "CreateSecurityGroup": ("security-group", ["vpc"]),
          "CreateVpcEndpoint": ("vpc-endpoint", ["vpc", "route-table"]),
          "CreateVpcPeeringConnection": ("vpc-peering-connection", ["vpc"]),
          "CreateVpcEndpointServiceConfiguration": ("vpc-endpoint-service", []), "CreateFlowLogs": ("vpc-flow-log", ["vpc"])}
CHANGE = {"ModifyVpcAttribute": ["vpc"], "ModifySubnetAttribute": ["subnet"], "AttachInternetGateway": ["internet-gateway", "vpc"],
          "DetachInternetGateway": ["internet-gateway", "vpc"], "CreateRoute": ["route-table"], "ReplaceRoute": ["route-table"],
          "DeleteRoute": ["route-table"], "AssociateRouteTable": ["route-table", "subnet"],
          "DisassociateRouteTable": ["route-table", "subnet"], "AuthorizeSecurityGroupIngress": ["security-group"],
          "AuthorizeSecurityGroupEgress": ["security-group"], "RevokeSecurityGroupIngress": ["security-group"],
          "RevokeSecurityGroupEgress": ["security-group"], "DeleteVpc": ["vpc"], "DeleteSubnet": ["subnet"],
          "DeleteInternetGateway": ["internet-gateway"], "ReleaseAddress": ["elastic-ip"], "DeleteNatGateway": ["natgateway"],
          "DeleteRouteTable": ["route-table"], "DeleteSecurityGroup": ["security-group"], "DeleteVpcEndpoints": ["vpc-endpoint"],
          "ModifyVpcPeeringConnectionOptions": ["vpc-peering-connection"], "DeleteVpcPeeringConnection": ["vpc-peering-connection"],
          "ModifyVpcEndpointServicePermissions": ["vpc-endpoint-service"], "DeleteFlowLogs": ["vpc-flow-log"],
          "ModifyVpcEndpointServiceConfiguration": ["vpc-endpoint-service"],
          "DeleteVpcEndpointServiceConfigurations": ["vpc-endpoint-service"],
          "RejectVpcEndpointConnections": ["vpc-endpoint-service"],
          "ModifyVpcEndpoint": ["vpc-endpoint", "route-table"], "TerminateInstances": ["instance"], "DeleteVolume": ["volume"]}
S3 = {"PutPublicAccessBlock": "PutBucketPublicAccessBlock", "GetPublicAccessBlock": "GetBucketPublicAccessBlock",
      "PutBucketEncryption": "PutEncryptionConfiguration", "GetBucketEncryption": "GetEncryptionConfiguration",
      "PutBucketLifecycleConfiguration": "PutLifecycleConfiguration",
      "GetBucketLifecycleConfiguration": "GetLifecycleConfiguration", "ListObjectVersions": "ListBucketVersions",
      "DeleteObjects": "DeleteObject"}


def tags_of(args):
    """Tags of a request, whatever shape the service gives them."""
    found = {}

    def walk(v):
        if isinstance(v, dict):
            key = v.get("Key") or v.get("TagKey")
            if key and ("Value" in v or "TagValue" in v):
                found[key] = v.get("Value", v.get("TagValue"))
            for name, child in v.items():
                if name == "tags" and isinstance(child, dict):
                    found.update(child)
                walk(child)
        elif isinstance(v, list):
            for child in v:
                walk(child)
    walk(args)
    return found


def requested(args):
    tags = tags_of(args)
    return {**{f"aws:RequestTag/{k}": v for k, v in tags.items()}, **({"aws:TagKeys": sorted(tags)} if tags else {})}


def ec2_arn(kind):
    return f"arn:aws:ec2:{REGION}:{ACCOUNT}:{kind}/x-1"


def ec2(op, a, ours):
    if op.startswith("Describe"):
        return [(f"ec2:{op}", "*", {})]
    if op in CREATE:
        kind, parents = CREATE[op]
        out = [(f"ec2:{op}", ec2_arn(kind), requested(a)),
               ("ec2:CreateTags", ec2_arn(kind), {**requested(a), "ec2:CreateAction": op})]
        if op == "CreateFlowLogs":
            out.append(("iam:PassRole", a["DeliverLogsPermissionArn"], {"iam:PassedToService": "vpc-flow-logs.amazonaws.com"}))
        return out + [(f"ec2:{op}", ec2_arn(p), ours) for p in parents]
    if op == "AcceptVpcPeeringConnection":  # the peering is ours, the network that it reaches is the customer's
        return [(f"ec2:{op}", ec2_arn("vpc-peering-connection"), ours), (f"ec2:{op}", ec2_arn("vpc"), {})]
    if op in CHANGE:
        return [(f"ec2:{op}", ec2_arn(k), ours) for k in CHANGE[op]]
    if op == "CreateTags":
        return [("ec2:CreateTags", ec2_arn("subnet"), {**ours, **requested(a)})]
    if op == "DeleteNetworkInterface":
        return [(f"ec2:{op}", ec2_arn("network-interface"), {"aws:ResourceTag/cluster.k8s.amazonaws.com/name": ours["cluster"]})]
    if op == "RunInstances":
        template = {"ec2:LaunchTemplate": f"arn:aws:ec2:{REGION}:{ACCOUNT}:launch-template/lt-1"}
        return [("ec2:RunInstances", ec2_arn("instance"), {**requested(a), **template}),
                ("ec2:CreateTags", ec2_arn("instance"), {**requested(a), "ec2:CreateAction": op}),
                ("iam:PassRole", f"arn:aws:iam::{ACCOUNT}:role/ownhouse/ownhouse-prod-bootstrap",
                 {"iam:PassedToService": "ec2.amazonaws.com"})] + [
                     ("ec2:RunInstances", r, template) for r in (
                         f"arn:aws:ec2:{REGION}::image/ami-1", ec2_arn("launch-template"), ec2_arn("network-interface"),
                         ec2_arn("security-group"), ec2_arn("subnet"), ec2_arn("volume"))]
    return None


def iam(op, a, ours):
    boundary = {"iam:PermissionsBoundary": f"arn:aws:iam::{ACCOUNT}:policy/ownhouse/ownhouse-prod-boundary"}
    if op == "SimulatePrincipalPolicy":
        return [(f"iam:{op}", a["PolicySourceArn"], {})]
    if op in ("GetPolicy", "GetPolicyVersion"):
        return [(f"iam:{op}", a["PolicyArn"], {})]
    if "RoleName" in a and "InstanceProfileName" not in a:
        path = "/ownhouse/" if a["RoleName"].startswith("ownhouse-") else f"/ownhouse/{ours['cluster']}/"
        arn = f"arn:aws:iam::{ACCOUNT}:role{path}{a['RoleName']}"
        if op == "CreateRole":
            return [("iam:CreateRole", arn, {**requested(a), **boundary}), ("iam:TagRole", arn, requested(a))]
        writes = op in ("AttachRolePolicy", "DetachRolePolicy", "PutRolePolicy", "DeleteRolePolicy", "DeleteRole")
        return [(f"iam:{op}", arn, boundary if writes else {})]
    if "InstanceProfileName" in a:
        arn = f"arn:aws:iam::{ACCOUNT}:instance-profile/ownhouse/{ours['cluster']}/{a['InstanceProfileName']}"
        out = [(f"iam:{op}", arn, requested(a))]
        if op == "CreateInstanceProfile":
            out.append(("iam:TagInstanceProfile", arn, requested(a)))
        if op == "AddRoleToInstanceProfile":
            out.append(("iam:PassRole", f"arn:aws:iam::{ACCOUNT}:role/ownhouse/{ours['cluster']}/{a['RoleName']}",
                        {"iam:PassedToService": "ec2.amazonaws.com"}))
        return out
    if op == "CreateOpenIDConnectProvider":
        arn = f"arn:aws:iam::{ACCOUNT}:oidc-provider/{a['Url'].removeprefix('https://')}"
        return [(f"iam:{op}", arn, requested(a)), ("iam:TagOpenIDConnectProvider", arn, requested(a))]
    if op == "ListOpenIDConnectProviders":
        return [(f"iam:{op}", "*", {})]
    if "OpenIDConnectProviderArn" in a:
        return [(f"iam:{op}", a["OpenIDConnectProviderArn"], {k: v for k, v in ours.items() if k != "cluster"})]
    return None


def eks(op, a, ours, phase):
    name = ours["cluster"]
    cluster = f"arn:aws:eks:{REGION}:{ACCOUNT}:cluster/{name}"
    tagged = {k: v for k, v in ours.items() if k != "cluster"}

    def role(arn, service):
        return ("iam:PassRole", arn, {"iam:PassedToService": service})
    if op == "CreateCluster":
        flags = {"eks:bootstrapClusterCreatorAdminPermissions":
                 str(a["accessConfig"]["bootstrapClusterCreatorAdminPermissions"]).lower(),
                 "eks:endpointPublicAccess": str(a["resourcesVpcConfig"]["endpointPublicAccess"]).lower()}
        return [("eks:CreateCluster", "*", {**requested(a), **flags}), role(a["roleArn"], "eks.amazonaws.com")]
    kinds = {"Nodegroup": "nodegroup/{}/g/1", "Addon": "addon/{}/a/1", "PodIdentityAssociation": "podidentityassociation/{}/1"}
    for kind, tail in kinds.items():
        if op.startswith("Create") and op.endswith(kind):
            out = [(f"eks:{op}", cluster, requested(a))]
            if kind == "Nodegroup":
                out.append(role(a["nodeRole"], "ec2.amazonaws.com"))
            if kind == "PodIdentityAssociation":
                out.append(role(a["roleArn"], "pods.eks.amazonaws.com"))
                out.append(("eks:TagResource", f"arn:aws:eks:{REGION}:{ACCOUNT}:{tail.format(name)}", requested(a)))
            return out
        if op == "DeletePodIdentityAssociation" and phase == "operate":
            tagged = {**tagged, "aws:ResourceTag/ownhouse:resource": "aws_pod_identity.service-1"}
        if (op.endswith(kind) or op.startswith(f"Update{kind}")) and not op.startswith("List"):
            return [(f"eks:{op}", f"arn:aws:eks:{REGION}:{ACCOUNT}:{tail.format(name)}", tagged)]
    if op == "CreateAccessEntry":
        return [("eks:CreateAccessEntry", cluster, {**requested(a), "eks:principalArn": a["principalArn"]})]
    entry = f"arn:aws:eks:{REGION}:{ACCOUNT}:access-entry/{name}/role/1/x/1"
    if op == "AssociateAccessPolicy":
        return [(f"eks:{op}", entry, {"eks:policyArn": a["policyArn"], "eks:principalArn": a["principalArn"]})]
    if "AccessEntry" in op or op == "ListAssociatedAccessPolicies":
        return [(f"eks:{op}", entry, tagged)]
    return [(f"eks:{op}", "*" if op == "ListClusters" else cluster, tagged)]


def other(service, op, a, ours):
    tagged = {k: v for k, v in ours.items() if k != "cluster"}
    if service == "kms":
        if op == "CreateKey":
            return [("kms:CreateKey", "*", requested(a)), ("kms:TagResource", "*", requested(a))]
        key = f"arn:aws:kms:{REGION}:{ACCOUNT}:key/1"
        alias = a.get("AliasName")
        return [(f"kms:{op}", key, tagged)] + ([(f"kms:{op}", f"arn:aws:kms:{REGION}:{ACCOUNT}:{alias}", {})] if alias else [])
    if service == "logs":
        if op == "DescribeLogGroups":
            return [("logs:DescribeLogGroups", "*", {})]
        arn = f"arn:aws:logs:{REGION}:{ACCOUNT}:log-group:{a['logGroupName']}"
        return [(f"logs:{op}", arn, requested(a))] + ([("logs:TagResource", arn, requested(a))] if op == "CreateLogGroup" else [])
    if service == "s3":
        if op == "ListBuckets":
            return [("s3:ListAllMyBuckets", "*", {})]
        action, arn = S3.get(op, op), f"arn:aws:s3:::{a['Bucket']}"
        context = {"aws:ResourceAccount": ACCOUNT}
        return [(f"s3:{action}", arn + ("/key" if op == "DeleteObjects" else ""), context)]
    if service == "route53":
        zone = re.sub(".*/", "", a.get("HostedZoneId", a.get("Id", a.get("ResourceId", "Z"))))
        free = op in ("CreateHostedZone", "ListHostedZonesByName")
        sets = [c["ResourceRecordSet"] for c in a.get("ChangeBatch", {}).get("Changes", [])]
        if sets:
            return [(f"route53:{op}", f"arn:aws:route53:::hostedzone/{zone}",
                     {"route53:ChangeResourceRecordSetsRecordTypes": sorted({s["Type"] for s in sets})})]
        return [(f"route53:{op}", "*" if free else f"arn:aws:route53:::hostedzone/{zone}", {})]
    if service in ("service-quotas", "servicequotas"):
        return [(f"servicequotas:{op}", "*", {})]
    if service in ("elbv2", "elasticloadbalancing"):
        if op == "DescribeLoadBalancers":
            return [(f"elasticloadbalancing:{op}", "*", {})]
        arn = a["LoadBalancerArn"].replace("/app/", "/net/")  # moto names network load balancers so, too
        return [(f"elasticloadbalancing:{op}", arn, {"aws:ResourceTag/elbv2.k8s.aws/cluster": ours["cluster"]})]
    if service in ("resourcegroupstaggingapi", "tagging"):
        return [("tag:GetResources", "*", {})]
    return None


def main(path):
    phases, cases, unknown = {}, {}, []
    for line in open(path):
        request = json.loads(line)
        if request.get("made"):
            phases[request["made"][0]] = request["made"][1].rsplit("-", 1)[-1]
        request["headers"] = {k.lower(): v for k, v in request["headers"].items()}
        found = re.search(r"Credential=([^/]+)/", request["headers"].get("authorization", ""))
        phase = phases.get(found[1]) if found else None
        if phase is None:
            continue
        service = wire.model(wire.service_of(request))
        op, a = wire.arguments(service, request)
        ident = sys.argv[2] if len(sys.argv) > 2 else arguments_of_wire[1]
        ours = {"aws:ResourceTag/ownhouse:infrastructure": ident, "cluster": f"oh-{ident[:8]}"}
        plain = {k: v for k, v in ours.items() if k != "cluster"}
        name = service.service_name
        asked = (ec2(op.name, a, ours if op.name == "DeleteNetworkInterface" else plain) if name == "ec2" else
                 iam(op.name, a, ours) if name == "iam" else eks(op.name, a, ours, phase) if name == "eks" else
                 other(name, op.name, a, ours))
        if name == "sts":
            continue
        if asked is None:
            unknown.append(f"{name} {op.name}")
            continue
        for action, resource, context in asked:
            bound = phase == "operate" and name == "eks"  # there by the name of what it is made for, too
            context = {k: v for k, v in context.items() if k != "cluster" and (bound or not k.endswith("ownhouse:resource")) and not k.endswith("/Name") and k != "aws:TagKeys"}
            case = {"phase": phase, "action": action, "resource": resource, "context": context}
            cases[json.dumps([phase, action, re.sub(r"oh-[0-9a-f]{8}[-\w]*", "N", resource), sorted(context),
                              context.get("route53:ChangeResourceRecordSetsRecordTypes"),
                              context.get("iam:PassedToService")])] = case
    print(json.dumps({"cases": list(cases.values()), "unknown": sorted(set(unknown))}))


main(arguments_of_wire[0])
