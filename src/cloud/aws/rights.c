/* What each role may do: read, make, change, destroy. */
#include "cloud/aws/rights.h"

#define I AWS_IN(AWS_INSPECT)
#define P AWS_IN(AWS_PROVISION)
#define O AWS_IN(AWS_OPERATE)
#define D AWS_IN(AWS_REMOVE)

#define EC2(type) "arn:{P}:ec2:*:{A}:" type "/*"
#define CLUSTER "arn:{P}:eks:*:{A}:cluster/oh-*"
#define IN_CLUSTER                                                                    \
    CLUSTER " arn:{P}:eks:*:{A}:nodegroup/oh-*/*/* arn:{P}:eks:*:{A}:addon/oh-*/*/* " \
            "arn:{P}:eks:*:{A}:podidentityassociation/oh-*/* arn:{P}:eks:*:{A}:access-entry/oh-*/*"
#define CONNECTIONS EC2("vpc-endpoint-service") " " EC2("vpc-flow-log") " " EC2("vpc-peering-connection")
#define ROLES "arn:{P}:iam::{A}:role{R}oh-*"
#define PROFILES "arn:{P}:iam::{A}:instance-profile{R}oh-*"
#define BUCKETS "arn:{P}:s3:::oh-*-{A}-*"
#define LOGS "arn:{P}:logs:*:{A}:log-group:/aws/eks/oh-*"
#define NEW "{\"Null\":{\"aws:RequestTag/ownhouse:infrastructure\":\"false\"}}"
#define OURS "{\"Null\":{\"aws:ResourceTag/ownhouse:infrastructure\":\"false\"}}"
#define BOUNDED "{\"StringEquals\":{\"iam:PermissionsBoundary\":\"arn:{P}:iam::{A}:policy{R}ownhouse-{N}-boundary\"}}"
#define BOUNDED_NEW                                                                                        \
    "{\"StringEquals\":{\"iam:PermissionsBoundary\":\"arn:{P}:iam::{A}:policy{R}ownhouse-{N}-boundary\"}," \
    "\"Null\":{\"aws:RequestTag/ownhouse:infrastructure\":\"false\"}}"
#define PASS_TO(services) "{\"StringEquals\":{\"iam:PassedToService\":[" services "]}}"
/* What belongs to one service says so in its identity, so that the operate role has these and no others. */
#define PODS "arn:{P}:eks:*:{A}:podidentityassociation/oh-*/*"
#define OURS_AT_HOME "{\"StringEquals\":{\"aws:ResourceAccount\":\"{A}\"}}"

const struct aws_right aws_rights[] = {
    {"ReadNetwork", I, AWS_ALWAYS,
     "ec2:DescribeAccountAttributes ec2:DescribeAddresses ec2:DescribeAvailabilityZones ec2:DescribeInstances "
     "ec2:DescribeInternetGateways ec2:DescribeNatGateways ec2:DescribeRouteTables ec2:DescribeSecurityGroups "
     "ec2:DescribeSubnets ec2:DescribeVpcAttribute ec2:DescribeVpcEndpoints ec2:DescribeVpcs",
     "*", NULL},
    {"ReadCommon", I, AWS_ALWAYS, "tag:GetResources servicequotas:GetServiceQuota logs:DescribeLogGroups", "*", NULL},
    {"ReadLogs", I, AWS_ALWAYS, "logs:ListTagsLogGroup", LOGS " " LOGS ":*", NULL},
    {"ReadKeys", I, AWS_ALWAYS, "kms:DescribeKey kms:GetKeyRotationStatus kms:ListResourceTags",
     "arn:{P}:kms:*:{A}:key/*", NULL},
    {"ReadRoles", I, AWS_ALWAYS, "iam:GetRole iam:GetRolePolicy iam:ListAttachedRolePolicies",
     ROLES " arn:{P}:iam::{A}:role{R}ownhouse-{N}-*", NULL},
    {"ReadBoundary", I, AWS_ALWAYS, "iam:GetPolicy iam:GetPolicyVersion",
     "arn:{P}:iam::{A}:policy{R}ownhouse-{N}-boundary", NULL},
    {"SimulateRoles", I, AWS_ALWAYS, "iam:SimulatePrincipalPolicy", "arn:{P}:iam::{A}:role{R}ownhouse-{N}-*", NULL},
    {"ReadProfiles", I, AWS_ALWAYS, "iam:GetInstanceProfile", PROFILES, NULL},
    {"ListIssuers", I, AWS_ALWAYS, "iam:ListOpenIDConnectProviders", "*", NULL},
    {"ReadIssuers", I, AWS_ALWAYS, "iam:GetOpenIDConnectProvider", "arn:{P}:iam::{A}:oidc-provider/*", NULL},
    {"ReadBuckets", I, AWS_ALWAYS,
     "s3:GetBucketOwnershipControls s3:GetBucketPolicy s3:GetBucketPublicAccessBlock s3:GetBucketTagging "
     "s3:GetBucketVersioning s3:GetEncryptionConfiguration s3:GetLifecycleConfiguration",
     BUCKETS, OURS_AT_HOME},
    {"CountBuckets", I, AWS_ALWAYS, "s3:ListAllMyBuckets", "*", NULL},
    {"ReadLeftovers", I, AWS_F_CLUSTER, "ec2:DescribeVolumes elasticloadbalancing:DescribeLoadBalancers", "*", NULL},
    {"ReadTemplates", I, AWS_F_CLUSTER, "ec2:DescribeLaunchTemplates", "*", NULL},
    {"ReadClusters", I, AWS_ALWAYS, "eks:ListClusters", "*", NULL},
    {"ReadCluster", I, AWS_ALWAYS,
     "eks:DescribeAccessEntry eks:DescribeAddon eks:DescribeCluster eks:DescribeNodegroup "
     "eks:DescribePodIdentityAssociation eks:ListAccessEntries eks:ListAssociatedAccessPolicies "
     "eks:ListPodIdentityAssociations",
     IN_CLUSTER, NULL},
    {"ReadZones", I, AWS_F_ZONE, "route53:ListHostedZonesByName", "*", NULL},
    {"ReadZone", I, AWS_F_ZONE, "route53:GetHostedZone route53:ListResourceRecordSets route53:ListTagsForResource",
     "arn:{P}:route53:::hostedzone/*", NULL},

    {"ReadConnections", I, AWS_F_CONNECTIONS,
     "ec2:DescribeFlowLogs ec2:DescribeVpcEndpointServiceConfigurations ec2:DescribeVpcEndpointServicePermissions "
     "ec2:DescribeVpcPeeringConnections",
     "*", NULL},

    {"MakeNetwork", P, AWS_F_NETWORK,
     "ec2:AllocateAddress ec2:CreateInternetGateway ec2:CreateNatGateway ec2:CreateRouteTable ec2:CreateSubnet "
     "ec2:CreateVpc "
     "ec2:CreateVpcEndpoint",
     EC2("elastic-ip") " " EC2("internet-gateway") " " EC2("natgateway") " " EC2("route-table") " " EC2(
         "subnet") " " EC2("vpc") " " EC2("vpc-endpoint"),
     NEW},
    {"MakeNetworkIn", P, AWS_F_NETWORK,
     "ec2:CreateNatGateway ec2:CreateRouteTable ec2:CreateSubnet ec2:CreateVpcEndpoint",
     EC2("elastic-ip") " " EC2("route-table") " " EC2("security-group") " " EC2("subnet") " " EC2("vpc"), OURS},
    {"MakeGroup", P, AWS_ALWAYS, "ec2:CreateSecurityGroup", EC2("security-group"), NEW},
    {"MakeGroupIn", P, AWS_ALWAYS, "ec2:CreateSecurityGroup", EC2("vpc"), NULL},
    {"TagWhatIsMade", P, AWS_ALWAYS, "ec2:CreateTags",
     EC2("elastic-ip") " " EC2("instance") " " EC2("internet-gateway") " " EC2("natgateway") " " EC2(
         "route-table") " " EC2("security-group") " " EC2("subnet") " " EC2("vpc") " " EC2("vpc-endpoint"),
     "{\"StringEquals\":{\"ec2:CreateAction\":[\"AllocateAddress\",\"CreateInternetGateway\",\"CreateNatGateway\","
     "\"CreateRouteTable\",\"CreateSecurityGroup\",\"CreateSubnet\",\"CreateVpc\",\"CreateVpcEndpoint\","
     "\"RunInstances\"]},"
     "\"Null\":{\"aws:RequestTag/ownhouse:infrastructure\":\"false\"}}"},
    {"ShapeNetwork", P | O, AWS_F_NETWORK,
     "ec2:AssociateRouteTable ec2:AttachInternetGateway ec2:CreateRoute ec2:ModifySubnetAttribute "
     "ec2:ModifyVpcAttribute",
     EC2("internet-gateway") " " EC2("route-table") " " EC2("subnet") " " EC2("vpc"), OURS},
    {"ReshapeNetwork", O, AWS_F_NETWORK,
     "ec2:DeleteRoute ec2:DetachInternetGateway ec2:DisassociateRouteTable ec2:ModifyVpcEndpoint ec2:ReplaceRoute",
     EC2("internet-gateway") " " EC2("route-table") " " EC2("security-group") " " EC2("subnet") " " EC2("vpc") " " EC2(
         "vpc-endpoint"),
     OURS},
    {"Retag", O, AWS_F_NETWORK, "ec2:CreateTags", EC2("subnet"), OURS},
    {"ShapeGroups", P | O, AWS_ALWAYS,
     "ec2:AuthorizeSecurityGroupEgress ec2:AuthorizeSecurityGroupIngress ec2:RevokeSecurityGroupEgress "
     "ec2:RevokeSecurityGroupIngress",
     EC2("security-group"), OURS},

    {"MakeKey", P, AWS_F_KEY, "kms:CreateKey kms:TagResource", "*", NEW},
    {"ShapeKey", P | O, AWS_F_KEY, "kms:CreateAlias kms:EnableKeyRotation", "arn:{P}:kms:*:{A}:key/*", OURS},
    {"ShapeAlias", P | O, AWS_F_KEY, "kms:CreateAlias", "arn:{P}:kms:*:{A}:alias/oh-*", NULL},
    {"MakeBuckets", P, AWS_ALWAYS, "s3:CreateBucket", BUCKETS, NULL},
    {"ShapeBuckets", P | O, AWS_ALWAYS,
     "s3:PutBucketOwnershipControls s3:PutBucketPublicAccessBlock s3:PutBucketTagging s3:PutBucketVersioning "
     "s3:PutEncryptionConfiguration s3:PutLifecycleConfiguration",
     BUCKETS, OURS_AT_HOME},
    {"MakeLogs", P, AWS_F_CLUSTER, "logs:CreateLogGroup logs:TagResource", LOGS " " LOGS ":*", NEW},
    {"ShapeLogs", P | O, AWS_F_CLUSTER, "logs:PutRetentionPolicy", LOGS " " LOGS ":*", NULL},

    {"MakeRoles", P, AWS_F_IDENTITIES, "iam:CreateRole", ROLES, BOUNDED_NEW},
    {"TagRoles", P, AWS_F_IDENTITIES, "iam:TagRole", ROLES, NEW},
    {"ShapeRoles", P | O, AWS_F_IDENTITIES, "iam:AttachRolePolicy iam:DetachRolePolicy iam:PutRolePolicy", ROLES,
     BOUNDED},
    {"MakeProfiles", P, AWS_F_IDENTITIES, "iam:CreateInstanceProfile iam:TagInstanceProfile", PROFILES, NEW},
    {"FillProfiles", P | O, AWS_F_IDENTITIES, "iam:AddRoleToInstanceProfile iam:RemoveRoleFromInstanceProfile",
     PROFILES, NULL},
    {"PassToCluster", P, AWS_F_CLUSTER, "iam:PassRole", ROLES,
     PASS_TO("\"ec2.amazonaws.com\",\"eks.amazonaws.com\",\"pods.eks.amazonaws.com\"")},
    {"PassProfileRole", O, AWS_F_IDENTITIES, "iam:PassRole", ROLES, PASS_TO("\"ec2.amazonaws.com\"")},
    {"PassData", P | O, AWS_F_CLUSTER, "iam:PassRole", "arn:{P}:iam::{A}:role{R}ownhouse-{N}-data",
     PASS_TO("\"pods.eks.amazonaws.com\"")},
    {"PassBootstrap", P, AWS_F_CLUSTER, "iam:PassRole", "arn:{P}:iam::{A}:role{R}ownhouse-{N}-bootstrap",
     PASS_TO("\"ec2.amazonaws.com\"")},
    {"LinkedRoles", P, AWS_F_CLUSTER, "iam:CreateServiceLinkedRole", "arn:{P}:iam::{A}:role/aws-service-role/*",
     "{\"StringEquals\":{\"iam:AWSServiceName\":[\"autoscaling.amazonaws.com\",\"eks-nodegroup.amazonaws.com\","
     "\"eks.amazonaws.com\",\"elasticloadbalancing.amazonaws.com\"]}}"},
    {"MakeIssuer", P, AWS_F_CLUSTER, "iam:CreateOpenIDConnectProvider iam:TagOpenIDConnectProvider",
     "arn:{P}:iam::{A}:oidc-provider/oidc.eks.*", NEW},
    {"MakeCluster", P, AWS_F_CLUSTER, "eks:CreateCluster", "*",
     "{\"Bool\":{\"eks:bootstrapClusterCreatorAdminPermissions\":\"false\",\"eks:endpointPublicAccess\":\"false\"},"
     "\"Null\":{\"aws:RequestTag/ownhouse:infrastructure\":\"false\"}}"},
    {"MakeInCluster", P, AWS_F_CLUSTER, "eks:CreateAddon eks:CreateNodegroup eks:CreatePodIdentityAssociation",
     IN_CLUSTER, NEW},
    {"TagCluster", P, AWS_F_CLUSTER, "eks:TagResource", IN_CLUSTER, NULL},
    {"LetBootstrapIn", P | O, AWS_F_CLUSTER, "eks:AssociateAccessPolicy", "arn:{P}:eks:*:{A}:access-entry/oh-*/*",
     "{\"ArnEquals\":{\"eks:policyArn\":\"arn:{P}:eks::aws:cluster-access-policy/AmazonEKSClusterAdminPolicy\","
     "\"eks:principalArn\":\"arn:{P}:iam::{A}:role{R}ownhouse-{N}-bootstrap\"}}"},
    {"NameBootstrap", P, AWS_F_CLUSTER, "eks:CreateAccessEntry", CLUSTER,
     "{\"ArnEquals\":{\"eks:principalArn\":\"arn:{P}:iam::{A}:role{R}ownhouse-{N}-bootstrap\"}}"},
    {"ShapeCluster", O, AWS_F_CLUSTER,
     "eks:UpdateAddon eks:UpdateClusterConfig eks:UpdateClusterVersion eks:UpdateNodegroupConfig "
     "eks:UpdateNodegroupVersion",
     IN_CLUSTER, OURS},
    {"Bootstrap", P, AWS_F_CLUSTER, "ec2:RunInstances", EC2("instance"), NEW},
    {"BootstrapFrom", P, AWS_F_CLUSTER, "ec2:RunInstances",
     "arn:{P}:ec2:*::image/* " EC2("launch-template") " " EC2("network-interface") " " EC2("security-group") " " EC2(
         "subnet") " " EC2("volume"),
     "{\"ArnLike\":{\"ec2:LaunchTemplate\":\"arn:{P}:ec2:*:{A}:launch-template/*\"}}"},
    {"MakeZone", P, AWS_F_ZONE, "route53:CreateHostedZone", "*", NULL},
    {"TagZone", P, AWS_F_ZONE, "route53:ChangeTagsForResource", "arn:{P}:route53:::hostedzone/*", NULL},
    {"ShapeNames", P | O, AWS_F_ZONE, "route53:ChangeResourceRecordSets", "arn:{P}:route53:::hostedzone/*",
     "{\"ForAllValues:StringEquals\":{\"route53:ChangeResourceRecordSetsRecordTypes\":[\"A\",\"CNAME\",\"TXT\"]}}"},
    {"ServeServices", O, AWS_F_CLUSTER, "eks:CreatePodIdentityAssociation", CLUSTER,
     "{\"Null\":{\"aws:RequestTag/ownhouse:infrastructure\":\"false\"},"
     "\"StringLike\":{\"aws:RequestTag/ownhouse:resource\":\"aws_pod_identity.service-*\"}}"},
    /* Nor may it give these tags to an association of the cluster's own. */
    {"TagServices", O, AWS_F_CLUSTER, "eks:TagResource", PODS,
     "{\"Null\":{\"aws:RequestTag/ownhouse:infrastructure\":\"false\"},"
     "\"StringLike\":{\"aws:RequestTag/ownhouse:resource\":\"aws_pod_identity.service-*\"},"
     "\"StringLikeIfExists\":{\"aws:ResourceTag/ownhouse:resource\":\"aws_pod_identity.service-*\"}}"},
    {"EndServices", O, AWS_F_CLUSTER, "eks:DeletePodIdentityAssociation", PODS,
     "{\"Null\":{\"aws:ResourceTag/ownhouse:infrastructure\":\"false\"},"
     "\"StringLike\":{\"aws:ResourceTag/ownhouse:resource\":\"aws_pod_identity.service-*\"}}"},

    {"MakeConnections", P, AWS_F_CONNECTIONS,
     "ec2:CreateFlowLogs ec2:CreateVpcEndpointServiceConfiguration ec2:CreateVpcPeeringConnection", CONNECTIONS, NEW},
    {"MakeConnectionsIn", P, AWS_F_CONNECTIONS, "ec2:CreateFlowLogs ec2:CreateVpcPeeringConnection", EC2("vpc"), OURS},
    {"TagConnections", P, AWS_F_CONNECTIONS, "ec2:CreateTags", CONNECTIONS,
     "{\"StringEquals\":{\"ec2:CreateAction\":[\"CreateFlowLogs\",\"CreateVpcEndpointServiceConfiguration\","
     "\"CreateVpcPeeringConnection\"]},\"Null\":{\"aws:RequestTag/ownhouse:infrastructure\":\"false\"}}"},
    {"ShapeConnections", P | O, AWS_F_CONNECTIONS,
     "ec2:AcceptVpcPeeringConnection ec2:ModifyVpcEndpointServicePermissions ec2:ModifyVpcPeeringConnectionOptions",
     EC2("vpc-endpoint-service") " " EC2("vpc-peering-connection"), OURS},
    /* The other network is the customer's own and carries no tag of ours; which peering it is, the line above says. */
    {"AcceptInto", P | O, AWS_F_CONNECTIONS, "ec2:AcceptVpcPeeringConnection", EC2("vpc"), NULL},
    {"ReshapeService", O, AWS_F_CONNECTIONS, "ec2:ModifyVpcEndpointServiceConfiguration", EC2("vpc-endpoint-service"),
     OURS},
    {"PassFlowLogs", P, AWS_F_CONNECTIONS, "iam:PassRole", ROLES, PASS_TO("\"vpc-flow-logs.amazonaws.com\"")},

    {"ReadToRemove", D, AWS_ALWAYS,
     "ec2:DescribeAddresses ec2:DescribeInstances ec2:DescribeInternetGateways ec2:DescribeNatGateways "
     "ec2:DescribeNetworkInterfaces ec2:DescribeRouteTables ec2:DescribeSecurityGroups ec2:DescribeSubnets "
     "ec2:DescribeVpcEndpoints ec2:DescribeVpcs",
     "*", NULL},
    {"RemoveNetwork", D, AWS_ALWAYS,
     "ec2:DeleteInternetGateway ec2:DeleteNatGateway ec2:DeleteRouteTable ec2:DeleteSecurityGroup ec2:DeleteSubnet "
     "ec2:DeleteVpc "
     "ec2:DeleteVpcEndpoints ec2:DetachInternetGateway ec2:DisassociateRouteTable ec2:ReleaseAddress "
     "ec2:RevokeSecurityGroupIngress ec2:TerminateInstances",
     EC2("elastic-ip") " " EC2("instance") " " EC2("internet-gateway") " " EC2("natgateway") " " EC2(
         "route-table") " " EC2("security-group") " " EC2("subnet") " " EC2("vpc") " " EC2("vpc-endpoint"),
     OURS},
    {"ReadConnectionsToRemove", D, AWS_F_CONNECTIONS,
     "ec2:DescribeFlowLogs ec2:DescribeVpcEndpointConnections ec2:DescribeVpcEndpointServiceConfigurations "
     "ec2:DescribeVpcPeeringConnections",
     "*", NULL},
    {"RemoveConnections", D, AWS_F_CONNECTIONS,
     "ec2:DeleteFlowLogs ec2:DeleteVpcEndpointServiceConfigurations ec2:DeleteVpcPeeringConnection "
     "ec2:ModifyVpcPeeringConnectionOptions ec2:RejectVpcEndpointConnections",
     CONNECTIONS, OURS},
    {"RemoveLeaked", D, AWS_F_CLUSTER, "ec2:DeleteNetworkInterface", EC2("network-interface"),
     "{\"StringLike\":{\"aws:ResourceTag/cluster.k8s.amazonaws.com/name\":\"oh-*\"}}"},
    {"RemoveBalancer", D, AWS_F_CLUSTER, "elasticloadbalancing:DeleteLoadBalancer",
     "arn:{P}:elasticloadbalancing:*:{A}:loadbalancer/net/*",
     "{\"StringLike\":{\"aws:ResourceTag/elbv2.k8s.aws/cluster\":\"oh-*\"}}"},
    {"RemoveBalancerGroups", D, AWS_F_CLUSTER, "ec2:DeleteSecurityGroup", EC2("security-group"),
     "{\"StringLike\":{\"aws:ResourceTag/elbv2.k8s.aws/cluster\":\"oh-*\"}}"},
    {"RemoveVolumes", D, AWS_F_DELETE_DATA, "ec2:DeleteVolume", EC2("volume"), OURS},
    {"RemoveCluster", D, AWS_F_CLUSTER,
     "eks:DeleteAccessEntry eks:DeleteAddon eks:DeleteCluster eks:DeleteNodegroup eks:DeletePodIdentityAssociation "
     "eks:UntagResource",
     IN_CLUSTER, OURS},
    {"RemoveRoles", D, AWS_F_IDENTITIES, "iam:DeleteRole iam:DeleteRolePolicy iam:DetachRolePolicy", ROLES, BOUNDED},
    {"RemoveProfiles", D, AWS_F_IDENTITIES, "iam:DeleteInstanceProfile iam:RemoveRoleFromInstanceProfile", PROFILES,
     NULL},
    {"RemoveIssuer", D, AWS_F_CLUSTER, "iam:DeleteOpenIDConnectProvider", "arn:{P}:iam::{A}:oidc-provider/oidc.eks.*",
     OURS},
    {"RemoveLogs", D, AWS_F_CLUSTER, "logs:DeleteLogGroup", LOGS " " LOGS ":*", NULL},
    {"RemoveZone", D, AWS_F_ZONE,
     "route53:ChangeResourceRecordSets route53:DeleteHostedZone route53:ListResourceRecordSets",
     "arn:{P}:route53:::hostedzone/*", NULL},
    {"RemoveBuckets", D, AWS_F_DELETE_DATA, "s3:DeleteBucket s3:ListBucketVersions", BUCKETS, OURS_AT_HOME},
    {"RemoveObjects", D, AWS_F_DELETE_DATA, "s3:DeleteObject s3:DeleteObjectVersion", BUCKETS "/*", OURS_AT_HOME},
    {"RemoveKey", D, AWS_F_DELETE_DATA, "kms:DeleteAlias kms:ScheduleKeyDeletion", "arn:{P}:kms:*:{A}:key/*", OURS},
    {"RemoveAlias", D, AWS_F_DELETE_DATA, "kms:DeleteAlias", "arn:{P}:kms:*:{A}:alias/oh-*", NULL},
};
const size_t aws_rights_count = ARRAY_SIZE(aws_rights);
