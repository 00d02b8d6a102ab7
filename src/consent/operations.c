/* The table of operations. */
#include "consent/operations.h"

const char *const operation_class_names[] = {"read", "harmless", "exposing", "destructive", "trust"};

const struct operation operations[] = {
    {"service.restart", OPERATION_HARMLESS, 0, 1, "restarts the service's processes; connections break once"},
    {"service.drain", OPERATION_HARMLESS, 0, 1, "sends nothing more to one replica and lets its queries end"},
    {"service.undrain", OPERATION_HARMLESS, 0, 1, "sends queries to that replica again"},
    {"service.backup", OPERATION_HARMLESS, 0, 1, "makes a backup now, where its backups lie"},
    {"service.upgrade", OPERATION_EXPOSING, 0, 1, "takes up the release of ClickHouse that waits for its window, now"},
    {"service.reattach", OPERATION_HARMLESS, 0, 1,
     "registers one replica's tables that cannot be written anew in Keeper"},
    {"service.rebuild-replica", OPERATION_DESTRUCTIVE, 0, 1,
     "removes one replica's local copy and builds it anew from the others"},
    {"service.scale", OPERATION_HARMLESS, 0, 1, "changes how many replicas run or how large they are"},
    {"service.configure", OPERATION_EXPOSING, 0, 1, "changes settings of the service"},
    {"service.restore", OPERATION_EXPOSING, 1, 1, "restores a backup into a service"},
    {"service.delete", OPERATION_DESTRUCTIVE, 0, 1, "deletes the service"},
    {"desired.exposing", OPERATION_EXPOSING, 0, 1,
     "takes a desired document that changes who can reach the services or their data"},
    {"desired.destructive", OPERATION_DESTRUCTIVE, 0, 1, "takes a desired document that deletes services or data"},
    {"infrastructure.plan", OPERATION_EXPOSING, 0, 1, "applies a plan of changes in the account"},
    {"access.clickhouse.diag", OPERATION_READ, 1, 1,
     "lets an engineer read ClickHouse's own state through views without literals"},
    {"access.clickhouse.querytext", OPERATION_READ, 1, 1, "lets an engineer read the text of queries, normalised"},
    {"access.prometheus.read", OPERATION_READ, 1, 1, "lets an engineer read metrics"},
    {"access.cluster.view", OPERATION_READ, 1, 1, "lets an engineer see workloads, their events and logs"},
    {"policy.change", OPERATION_TRUST, 1, 1, "replaces this policy by a newer version"},
    {"agent.unlock", OPERATION_TRUST, 1, 1, "opens again what `ownhouse-agent lock` has shut"},
    {0},
};

const struct operation *operation_find(const char *name)
{
    for (const struct operation *o = operations; o->name; o++)
        if (!strcmp(o->name, name))
            return o;
    return NULL;
}
