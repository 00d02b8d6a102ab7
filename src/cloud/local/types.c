/* The table of the local cloud's resource types. */
#include "cloud/local/internal.h"

const struct plan_type *const cloud_local_types[] = {
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
