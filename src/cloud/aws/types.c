/* The table of AWS's resource types. */
#include "cloud/aws/resource.h"

#include "cloud/local/internal.h"

const struct plan_type *const cloud_aws_types[] = {
    &aws_vpc_type,
    &aws_subnet_type,
    &aws_internet_gateway_type,
    &aws_elastic_ip_type,
    &aws_nat_gateway_type,
    &aws_route_table_type,
    &aws_vpc_endpoint_type,
    &aws_security_group_type,
    &aws_kms_key_type,
    &aws_bucket_type,
    &aws_log_group_type,
    &aws_role_type,
    &aws_instance_profile_type,
    &aws_oidc_provider_type,
    &aws_eks_cluster_type,
    &aws_node_group_type,
    &aws_addon_type,
    &aws_pod_identity_type,
    &aws_access_entry_type,
    &aws_bootstrap_type,
    &aws_hosted_zone_type,
    &aws_dns_record_type,
    /* A data plane that runs on this machine has these in the same graph. */
    &local_network_type,
    &local_bridge_type,
    &local_interface_type,
    &local_firewall_type,
    &local_bucket_type,
    &local_disk_type,
    &local_machine_type,
    &local_load_balancer_type,
    &local_egress_gateway_type,
    &local_host_type,
    NULL,
};
