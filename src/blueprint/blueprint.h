/* The blueprint: from the desired services of an infrastructure to the workloads that make them. Pure: the same input
 * gives the same bytes, whoever runs them and wherever.
 *
 * A running or stopped service gives one ClickHouse workload a replica; the infrastructure gives one ingress (HAProxy)
 * and one name server (Knot DNS). A change of one service changes its own workloads, the ingress and the name server,
 * nothing else. A deleted service gives nothing: what runs of it is found by its label and removed by the operator.
 *
 * Where a service may sleep there is an activator too: behind the ingress, the last server of each such service.
 * Nothing but the engines' own workloads changes when a service falls asleep (desired_service.asleep) or wakes.
 *
 * Names: `clickhouse-<service id>-<replica>`, `ingress`, `dns`, `activator`. Labels:
 * role=clickhouse|ingress|dns|activator, and for services service=<id>, slug=<slug>, replica=<n>. */
#pragma once

#include "blueprint/desired.h"
#include "blueprint/workload.h"

#define BLUEPRINT_ROLE "role"
#define BLUEPRINT_SERVICE "service"
#define BLUEPRINT_ROLE_KEEPER "keeper"

/* The operator's user at the engines: backs up, restores, and looks at what it restored; names.h keeps it from
 * customers. */
#define BLUEPRINT_OPERATOR "ownhouse_operator"
#define BLUEPRINT_BACKUP_DISK_SIZE 48
#define BLUEPRINT_DRILL_DATABASE "ownhouse_drill" /* where a restored copy is looked at, and dropped */

#define BLUEPRINT_MAX_REPLICAS 12
#define BLUEPRINT_SHARD "1" /* the one shard's name */
#define BLUEPRINT_KEEPERS 3 /* members, for a service of more than one replica */

/* Ports inside the data plane. The published ones are in blueprint_env. */
#define BLUEPRINT_HTTP_PORT 8123        /* ClickHouse, plain HTTP */
#define BLUEPRINT_TCP_PORT 9000         /* ClickHouse, native protocol (server only) */
#define BLUEPRINT_METRICS_PORT 9363     /* ClickHouse, GET /metrics: for the agent, not behind the ingress */
#define BLUEPRINT_INTERSERVER_PORT 9009 /* between replicas */
#define BLUEPRINT_HEALTH_PORT 8404      /* ingress: GET /ping */
#define BLUEPRINT_DNS_PORT 5353
/* The activator (agent/activator/activator.h): from the ingress for HTTP and for the native protocol, from the agent.
 */
#define BLUEPRINT_ACTIVATOR_HTTP_PORT 8125
#define BLUEPRINT_ACTIVATOR_NATIVE_PORT 8126
#define BLUEPRINT_ACTIVATOR_CONTROL_PORT 8127

/* Slots: 1 ingress, 2 name server, 3 activator, from 16 on 16 * ordinal + replica, Keeper's three after twelve
 * replicas. */
#define BLUEPRINT_INGRESS_SLOT 1
#define BLUEPRINT_DNS_SLOT 2
#define BLUEPRINT_ACTIVATOR_SLOT 3

/* Order of starting: what answers first, then who sends there. */
#define BLUEPRINT_ORDER_KEEPER 5
#define BLUEPRINT_ORDER_ENGINE 10
#define BLUEPRINT_ORDER_DNS 20
#define BLUEPRINT_ORDER_ACTIVATOR 25
#define BLUEPRINT_ORDER_INGRESS 30

enum blueprint_engine {
    BLUEPRINT_EMBEDDED, /* program ownhouse-clickhouse: HTTP only, one process, no native protocol */
    BLUEPRINT_SERVER,   /* program clickhouse: a real server */
};

/* Certificate chain, then private key, as HAProxy reads them from one file. The first is the default. */
struct blueprint_certificate {
    const char *name; /* a file name: [a-z0-9-]+ */
    const char *pem;
};

/* What the blueprint knows of the place, beside the document. All texts are borrowed. */
struct blueprint_env {
    const char *public_address;    /* where the ingress listens, an address; "" = every address */
    int https_port;                /* 0 = 8443 */
    int native_port;               /* 0 = 9440 */
    int service_port_base;         /* service i has base + ordinal as its own port, while ordinal <= count */
    int service_port_count;        /* 0 = no own ports */
    const char *const *proxy_from; /* addresses and networks whose PROXY v2 header is believed (and required) */
    size_t n_proxy_from;
    const char *client_address; /* where clients reach the ingress: what DNS answers; NULL = no name server */
    enum blueprint_engine engine;
    const char *bucket; /* name of the bucket that holds the services' data; NULL = plain volumes */
    const struct blueprint_certificate *certificates;
    size_t n_certificates; /* 0 = no ingress: it cannot terminate TLS without one */
    const char
        *reader_sha256; /* 64 hex digits: password of DIAG_READER (blueprint/diag.h); NULL = no gate reads here */
    const char
        *operator_sha256;     /* 64 hex digits: password of BLUEPRINT_OPERATOR at the engines, who makes backups below
                                 ${param:backup_dir}, or in S3; NULL = no backups here */
    bool operator_only_looks; /* the operator's user has no part in backups (blueprint/operator_sql.h) */
    const char *backup_s3_url, *backup_s3_region; /* backups go below this folder (base/s3.h); NULL: to backup_dir */
    const char *log_level;                        /* debug, info (default for NULL), warn, error */
    int max_connections;                          /* of the ingress; 0 = 4000 */
    const unsigned char *replication_key; /* 32 bytes, secret: a server's services have as many replicas as asked for,
                                             joined by Keeper. NULL: one, whatever is asked for */
    bool names_change; /* ${address:X} is a name whose address changes: the ingress asks for it while it runs */
    int ingress_nudge; /* another number makes the ingress read its files once more: blueprint_generation() */
    const char *clickhouse_image, *haproxy_image, *knot_image; /* references with digest; NULL where processes run */
};

/* Appends the workloads of `d` to `ret` (initialised by the caller), in order of starting. -EINVAL: the environment
 * does not fit (message names the field). */
OH_MUST_CHECK int blueprint_render(const struct desired *d, const struct blueprint_env *env, struct workload_list *ret,
                                   struct err *err);
/* The same in parts, which together are it: one service's own workloads, and behind all services' those of the place.
 */
OH_MUST_CHECK int blueprint_render_service(const struct desired *d, const struct desired_service *s,
                                           const struct blueprint_env *env, struct workload_list *ret, struct err *err);
OH_MUST_CHECK int blueprint_render_place(const struct desired *d, const struct blueprint_env *env,
                                         struct workload_list *ret, struct err *err);

/* What the ingress answers on its health port to GET /generation once it has taken up these files; "" without an
 * ingress. HAProxy loses a reload signal that comes while it is still starting or reloading, so whoever changed its
 * files asks. */
const char *blueprint_generation(const struct workload_list *l);

/* Host name of a service: <slug>.<domain>. */
const char *blueprint_host(const struct desired *d, const struct desired_service *s, struct arena *a);
/* Whether somebody who connects to it is held by the activator while its engine is down. */
bool blueprint_may_sleep(const struct desired_service *s);
/* How many replicas of those asked for the service has here. */
int blueprint_asked(const struct desired_service *s, const struct blueprint_env *env);
/* How many of them work together and are sent to: the one more of a service that becomes another size is among them
 * when it is in step. */
int blueprint_serving(const struct desired_service *s, const struct blueprint_env *env);
/* How many replicas the service has here, all told. */
int blueprint_replicas(const struct desired_service *s, const struct blueprint_env *env);
/* Whether it has a Keeper: it has several replicas here, or had, since a replicated table cannot be written without. */
bool blueprint_joined(const struct desired_service *s, const struct blueprint_env *env);
const char *blueprint_keeper_name(const struct desired_service *s, int member, struct arena *a);
/* The engine's disk in S3 that a service's backups lie on. A backup names the one that it builds on by disk and path,
 * so the disk has the same name at every engine that reads it. */
void blueprint_backup_disk(const char *service, char ret[BLUEPRINT_BACKUP_DISK_SIZE]);
/* Its own port at the ingress, 0 if it has none. */
int blueprint_service_port(const struct blueprint_env *env, const struct desired_service *s);
/* One sentence on what this data plane does not do for the service as asked, "" if nothing. */
const char *blueprint_notice(const struct desired_service *s, const struct blueprint_env *env, struct arena *a);
