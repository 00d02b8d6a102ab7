/* The laptop as a cloud: an infrastructure in a network namespace of this machine, or, without root, on a loopback
 * address of its own.
 *
 * Folders: <account_dir>/<name>/{buckets,machine,agent}. Names on the machine carry the first 8 hex digits of the
 * infrastructure's id (oh-1a2b3c4d); the whole id is in the tag (link alias, table comment, marker file,
 * OWNHOUSE_INFRASTRUCTURE in the environment of every process), and only what carries the tag is ever changed or
 * removed.
 *
 * With isolation the data plane has one address and no default route. In: the ingress ports, from the bridge only. Out:
 * the gateway's address only, where an HAProxy of ours passes port 443 to the control plane's front socket and one port
 * for each listed outbound target on to that target; nothing is ever routed or translated by the host. */
#pragma once

#include "plan/plan.h"

#define LOCAL_HTTPS_PORT 8443  /* of the ingress, inside */
#define LOCAL_NATIVE_PORT 9440 /* of the ingress, inside */
#define LOCAL_TOKEN_MAX 4096

/* All that the graph and the types need; strings are borrowed and must outlive every call. It is also the provider
 * pointer of plan_context. */
struct local_env {
    const char *infrastructure; /* lower-case UUID */
    const char *name;           /* of the infrastructure: a DNS label; names its folder */
    const char *domain;         /* e.g. laptop.ownhouse.localhost */
    const char *account_dir;    /* absolute */
    const char *cidr; /* IPv4, /8 to /29, e.g. 10.77.0.0/16; the data plane gets one /24 of it, or all if smaller */
    bool isolated;    /* cloud_local_can_isolate(): namespaces, or loopback only */
    int https_port, native_port;               /* published on 127.0.0.1; >= 1 */
    int service_port_base, service_port_count; /* the service with ordinal n has port base + n while n <= count, inside
                                                  and on 127.0.0.1; count 0..1024 */
    const char *control_state_dir;             /* run/front.sock below it takes PROXY v2 and TLS (isolated) */
    const char *control_address;               /* host:port of the control plane's front (not isolated) */
    const char *bundle;                        /* absolute path of the customer's enrolment bundle without token */
    const char *agent_program, *haproxy_program;                                     /* absolute, must be executable */
    const char *engine_program, *engine_library, *clickhouse_program, *knot_program; /* absolute or "" = none */
    const char *log_level;
    const char *const *outbound; /* "address:port" with an IPv4 address, NULL-terminated; may be NULL; at most 64 */
    const char *backup_s3_url, *backup_s3_region, *backup_s3_keys; /* as in agent.conf; url NULL: a local bucket */
    /* A new single-use enrolment token for this infrastructure (text, no newline, < LOCAL_TOKEN_MAX). Called on a
     * worker thread, only when the agent has no certificate yet. *ret is heap; it is wiped and freed by the caller. */
    int (*mint_token)(void *data, char **ret, struct err *err);
    void *mint_data;
};

/* Whether this process may make namespaces, bridges and rules; otherwise `ret_missing` (may be NULL) gets one plain
 * sentence why not. Looks at the machine. */
bool cloud_local_can_isolate(char *ret_missing, size_t size);

/* Checks every field, without looking at the machine; the message names the field. */
OH_MUST_CHECK int cloud_local_check(const struct local_env *e, struct err *err);

/* The desired graph; pure. Without isolation its notes say in plain language what is missing. */
OH_MUST_CHECK int cloud_local_graph(const struct local_env *e, struct plan_graph **ret, struct err *err);

/* The same, added to a graph that is there (a cloud's whose data plane runs on this machine). */
OH_MUST_CHECK int cloud_local_graph_add(const struct local_env *e, struct plan_graph *g, struct err *err);

/* Looks at the machine before anything is planned: ports that are taken (naming port and, where it can be seen, who
 * holds it), routes that overlap the range, folders that cannot be written, programs that are missing. What belongs to
 * this very infrastructure is no obstacle. */
OH_MUST_CHECK int cloud_local_preflight(const struct local_env *e, struct err *err);

/* Addresses as the graph chooses them, dotted decimal. */
struct local_addresses {
    char gateway[16], data_plane[16], network[19]; /* network: with /prefix; gateway: what the ingress sees as peer */
    char netns[16], bridge[16], veth[16];          /* device names; "" without isolation */
};
OH_MUST_CHECK int cloud_local_addresses(const struct local_env *e, struct local_addresses *ret, struct err *err);

/* NULL-terminated table of the local types; cloud_types("local") gives it. */
extern const struct plan_type *const cloud_local_types[];
