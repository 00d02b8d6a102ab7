/* What the files of the local cloud share; nobody else includes it. */
#pragma once

#include "cloud/local/local.h"

#include "base/mem.h"
#include "base/proc.h"
#include "blueprint/placement.h"

#include <netinet/in.h>

#define LOCAL_OUTBOUND_MAX 64
#define LOCAL_OUTBOUND_BASE 20001 /* the gateway's port for the first outbound target */
#define LOCAL_CONTROL_PORT 443    /* the gateway's port towards the control plane */
#define LOCAL_NETNS_DIR "/run/netns"
#define LOCAL_INSIDE "eth0" /* the data plane's interface, inside */

extern const struct plan_type local_network_type, local_bridge_type, local_interface_type, local_firewall_type,
    local_bucket_type, local_disk_type, local_machine_type, local_load_balancer_type, local_egress_gateway_type,
    local_host_type;

/* --- env.c: names, addresses, folders --- */

/* Below <account_dir>/<name>; free(). */
char *local_path(const struct local_env *e, const char *below);
/* "address:port"; false if it is not that. address has 16 bytes. */
bool local_target_parse(const char *text, char *address, int *port);
/* First and last of the services' own ports, the same inside and outside; only if service_port_count is not 0. */
static inline int local_service_first(const struct local_env *e)
{
    return e->service_port_base + 1;
}
static inline int local_service_last(const struct local_env *e)
{
    return e->service_port_base + e->service_port_count;
}
size_t local_outbound_count(const struct local_env *e);
/* Dotted decimal and prefix of a CIDR in host order; -EINVAL. */
OH_MUST_CHECK int local_cidr_parse(const char *text, uint32_t *ret_address, int *ret_prefix);

/* --- render.c: files and rules, all pure; heap, free() --- */

char *local_render_balancer(const struct local_env *e, const struct local_addresses *a);
char *local_render_gateway(const struct local_env *e, const struct local_addresses *a);
char *local_render_agent(const struct local_env *e, const struct local_addresses *a);
/* nftables input that replaces the table in one transaction: inside the namespace, and on the host for the bridge. */
char *local_render_inside(const struct local_env *e, const struct local_addresses *a);
char *local_render_bridge(const struct local_env *e, const struct local_addresses *a);
/* Name of the table on the host; 16 bytes. */
void local_bridge_table(const struct local_env *e, char ret[16]);

/* --- openings.c: hosts and ports that must be open --- */

struct local_opening {
    bool inbound;              /* into the data plane; else out of it */
    char host[64], target[24]; /* host: as the packets name it; target: where the gateway passes it on to, or "" */
    int first, last;           /* TCP ports */
    const char *why;
};
struct local_openings {
    struct local_opening items[4 + LOCAL_OUTBOUND_MAX];
    size_t n;
};
/* What the packet rules let through to and from the data plane, all of it. */
void local_openings(const struct local_env *e, const struct local_addresses *a, struct local_openings *ret);
/* The ports of one direction as a set for nft. */
void local_openings_ports(const struct local_openings *o, bool inbound, struct buf *out);
/* Writes openings.json into the account's folder: {"type","v","infrastructure","enforced","openings":[{"direction",
 * "protocol","host","firstPort","lastPort","why","target"?}]}, for `ownhouse egress hosts` and other firewalls. */
OH_MUST_CHECK int local_openings_write(const struct local_env *e, const struct local_addresses *a, struct err *err);

/* --- system.c: the machine --- */

/* Runs a command, 15 s at most, its output into out (may be NULL). */
OH_MUST_CHECK int local_run(const char *const *argv, const char *input, struct buf *out, struct err *err);
#define LOCAL_RUN(input, out, err, ...) local_run((const char *const[]){__VA_ARGS__, NULL}, input, out, err)
/* Runs fn on a thread of its own inside the network namespace; what fn starts is inside too. */
typedef int (*local_inside_fn)(void *data, struct err *err);
OH_MUST_CHECK int local_inside(const char *netns, local_inside_fn fn, void *data, struct err *err);
/* Inode of /run/netns/NAME if it is a namespace, 0 if there is none. */
uint64_t local_netns_inode(const char *netns);
/* What `ip -j link show` and `ip -j addr show` say of a device, as one object (new reference); NULL when there is no
 * such device. Looks in the calling thread's namespace. */
OH_MUST_CHECK int local_link_show(const char *device, json_t **ret, struct err *err);
/* "" for an absent alias. */
const char *local_link_alias(const json_t *link);
/* Whether the link has exactly this "address/prefix". */
bool local_link_has(const json_t *link, const char *address);
bool local_link_up(const json_t *link);
/* Refuses a device that carries another infrastructure's tag: -EEXIST. */
OH_MUST_CHECK int local_link_ours(const json_t *link, const char *device, const char *infrastructure, struct err *err);
/* Writes below /proc/sys/net of the calling thread's namespace. A missing key is fine (no IPv6). */
OH_MUST_CHECK int local_sysctl(const char *key, const char *value, struct err *err);
bool local_sysctl_is(const char *key, const char *value);

/* --- sweep.c: processes by their environment --- */

struct local_filter {
    const char *infrastructure;   /* must match */
    const char *place, *workload; /* NULL = any */
    const char *not_place;        /* NULL = none: leaves out what has this place */
    uint64_t netns;               /* not 0: all in this namespace, whatever their environment says */
    bool spare_supervisor;        /* leave out `... supervise --dir` processes without a place */
};
/* Ends what matches: SIGTERM, up to grace_ms, SIGKILL, until nothing is left. Never the caller. -EBUSY when something
 * will not go. */
OH_MUST_CHECK int local_sweep(const struct local_filter *f, int grace_ms, struct err *err);
size_t local_sweep_count(const struct local_filter *f);
/* 0 when the process has ended within ms, else -ETIMEDOUT. */
OH_MUST_CHECK int local_wait_end(const struct proc_id *id, int ms);
/* Whether the file that the process runs was removed or replaced since it started. */
bool local_program_replaced(const struct proc_id *id);
/* The supervisor of a folder: found by its command line and environment. -ESRCH if none runs. `program` (may be NULL)
 * gets its executable as started (free()), `stale` whether that file was replaced since. */
OH_MUST_CHECK int local_supervisor_find(const char *infrastructure, const char *dir, struct proc_id *ret,
                                        char **program, bool *stale);

/* --- place.c: resources that are one placement on the machine --- */

/* The placement of a resource: name of the placement = `place`. Attributes as last wanted lie in a label. */
OH_MUST_CHECK int local_place_observe(const struct plan_call *c, const char *place, json_t **ret, struct err *err);
/* Writes the placement with `want` as its label; fills program, infrastructure and digest. */
OH_MUST_CHECK int local_place_put(const struct plan_call *c, struct placement *p, const json_t *want, struct err *err);
/* 1 when the process runs what was last put and has for at least 300 ms. */
OH_MUST_CHECK int local_place_ready(const struct plan_call *c, const char *place, json_t *attributes, struct err *err);
OH_MUST_CHECK int local_place_destroy(const struct plan_call *c, const char *place, struct err *err);
/* The running process; -ESRCH. */
OH_MUST_CHECK int local_place_process(const struct local_env *e, const char *place, struct proc_id *ret);

static inline const struct local_env *local_env_of(const struct plan_call *c)
{
    return c->provider;
}
