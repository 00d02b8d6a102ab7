/* Filling workloads: every list grows in the arena of the workload list, every text is copied there. Internal to the
 * blueprint. */
#pragma once

#include "blueprint/blueprint.h"

void build_label(struct arena *a, struct workload *w, const char *name, const char *value);
void build_argument(struct arena *a, struct workload *w, const char *value);
void build_port(struct arena *a, struct workload *w, const char *name, int port);
void build_volume(struct arena *a, struct workload *w, const struct workload_volume *v);
/* Takes the buffer's text and leaves it empty. */
void build_file(struct arena *a, struct workload *w, const char *path, struct buf *content,
                enum workload_on_change on_change, bool secret);

/* One module a role; each adds its workloads to the list. */
void clickhouse_build(const struct desired *d, const struct desired_service *s, const struct blueprint_env *env,
                      struct workload_list *out);
/* Keeper members of a service with several replicas; none for one. */
void keeper_build(const struct desired_service *s, const struct blueprint_env *env, struct workload_list *out);
/* What joins a replica to the others: one more configuration file and a port. */
void replication_build(const struct desired_service *s, const struct blueprint_env *env, int replica, struct arena *a,
                       struct workload *w);
void ingress_build(const struct desired *d, const struct blueprint_env *env, struct workload_list *out);
/* None where no service may sleep. */
void activator_build(const struct desired *d, const struct blueprint_env *env, struct workload_list *out);
void dns_build(const struct desired *d, const struct blueprint_env *env, struct workload_list *out);

/* "clickhouse-<id>-<replica>". */
const char *blueprint_replica_name(const struct desired_service *s, int replica, struct arena *a);
/* The environment's value or what stands for 0 / NULL. */
int blueprint_https_port(const struct blueprint_env *env);
int blueprint_native_port(const struct blueprint_env *env);
const char *blueprint_log_level(const struct blueprint_env *env);
