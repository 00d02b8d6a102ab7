/* agent.conf: the agent's settings, one table line each; and where it keeps what, below `home`:
 *   link/     identity of the link (agent/link/identity.h)      state/  the operator's state
 * (agent/operator/operator.h) gate/  the access authority and open grants (agent/gate/gate.h)
 *   names/  certificates and state of DNS (agent/names/names.h)   wanted/  what the operator asks of it
 *   policy/  the customer's policy, if it is newer than the bundle's (agent/policy.h)   consent/  what was asked and
 * signed (agent/consent/keeper.h) ledger/  the ledger's key and log (agent/ledger/role_ledger.c) runtime/  the
 * supervised folder (blueprint/placement.h)     run/    instance lock
 *
 * The file and `home` may be written by nobody but the agent's own user. */
#pragma once

#include "base/conf.h"

struct agent_config {
    char *home;
    char *name;                /* of the infrastructure, shown to people */
    char *bundle, *token_file; /* enrolment bundle and token from the customer; "" = enrolled by hand */
    char *releases;            /* the list that the release key signed; "" = none */
    char *release_dir;         /* programs of the agent by their SHA-256 (upgrade.h); "" = it never changes its own */
    int64_t release_patience;  /* seconds that a release has to come up */
    char *own_workload;        /* the agent's own StatefulSet, whose image it changes (own_image.h); "" = it does not */
    char *guard_account;       /* ServiceAccount of the Job that watches such a change */
    char *control_address;     /* host:port dialled instead of the bundle's address: a gateway on the way; "" = none */
    char *proxy;               /* HTTP CONNECT proxy to the control plane, host:port; "" = none */
    char *proxy_credentials;   /* file with user:password for it; "" = none */
    char *public_address;      /* where the ingress listens; "" = every address */
    char *client_address;      /* where clients reach the ingress: what DNS answers; "" = no name server */
    int64_t https_port, native_port, service_port_base, service_port_count;
    char *gate_listen;   /* ADDRESS:PORT where the gate takes engineers' sessions beside the relay's; "" = nowhere */
    char *loopback_base; /* workloads listen on addresses that follow this one in 127.0.0.0/8 */
    char *proxy_from;    /* addresses and networks whose PROXY v2 header is believed, separated by blanks */
    char *bucket_dir;    /* buckets are folders below it; "" = none: data lie on plain volumes */
    char *bucket;        /* name of the bucket of the services' data */
    char *ledger_bucket; /* name of the bucket that the ledger is copied to; "" = none */
    char *backup_bucket; /* name of the bucket that backups go to; "" = none are made */
    char *backup_s3_url; /* or this folder in a bucket (base/s3.h); "" = none */
    char *backup_s3_region, *backup_s3_keys; /* file of keys; "" = the identity that the environment gives */
    char *engine;                            /* chdb | clickhouse */
    char *engine_program, *engine_library, *clickhouse_program, *haproxy_program, *knot_program; /* "" = search */
    char *runtime;    /* process | kubernetes; what follows is for the latter */
    char *kubeconfig; /* "" = the pod's own service account */
    char *namespace;  /* the agent's own; "" = as service account or kubeconfig say */
    char *account;    /* its ServiceAccount, bound in each service's namespace */
    char *cluster_domain, *pod_listen_address, *storage_class, *priority_class;
    char *account_annotations, *balancer_annotations; /* key=value, separated by blanks */
    bool load_balancer, private_load_balancer;
    char *private_balancer_annotations;
    int64_t volume_gib, ingress_replicas;
    char *clickhouse_image, *haproxy_image, *knot_image; /* by digest */
    char *dns_provider;                                  /* none | rfc2136 | route53; what follows is for these two */
    char *dns_zone;                                      /* the zone that the services' domain lies in */
    char *dns_server, *dns_key_file;                     /* rfc2136: host:port, TSIG key */
    char *dns_zone_id, *dns_endpoint;                    /* route53: hosted zone; "" = AWS's own address */
    char *dns_target;                                    /* what records lead to; "" = the ingress as it is found */
    int64_t dns_ttl;                                     /* seconds */
    char *acme_directory;                                /* URL; "" = certificates come from the own authority alone */
    char *acme_contact;                                  /* mail address for the account; "" = none */
    int64_t acme_settle;                                 /* seconds that the zone's other servers get */
    char *uacme_program;                                 /* "" = search */
    char *isolation;                                     /* network-namespace | none */
    char *isolation_missing;                             /* what is missing then, one sentence for `status` */
    char *log_level;
};

extern const struct conf_key agent_config_keys[];

/* Parses and checks; refuses a file that group or others may write. Lines of the administrator's own in PATH.own, if it
 * is there, are taken as if they stood at the end: whoever writes PATH leaves that file alone. */
OH_MUST_CHECK int agent_config_load(const char *path, struct agent_config *into, struct err *err);
char *agent_config_own(const char *path); /* free() */
/* The same for text, as if it were in file `name` of mode 0600. */
OH_MUST_CHECK int agent_config_parse(const char *name, const char *text, size_t len, struct agent_config *into,
                                     struct err *err);
void agent_config_free(struct agent_config *c);
/* Whether there is something for the role `names` to do: DNS records in a zone. */
bool agent_config_names(const struct agent_config *c);

/* Makes the folders below home (0700) where missing; refuses a home that others may write to or that is another
 * user's. */
OH_MUST_CHECK int agent_config_prepare(const struct agent_config *c, struct err *err);

char *agent_path(const struct agent_config *c, const char *below); /* home/below; free() */
