/* The tables of the operator's statements and of the grants that they take. */
#include "blueprint/operator_sql.h"

#include "blueprint/diag.h"

#define NOT_CUSTOMERS                                                                                         \
    "NOT IN ('system', 'INFORMATION_SCHEMA', 'information_schema', '" DIAG_DATABASE "', '" DIAG_TEXT_DATABASE \
    "', '" BLUEPRINT_DRILL_DATABASE "')"

#define QUOTED_TABLE                                                                        \
    "'`' || replaceAll(replaceAll(database, '\\\\', '\\\\\\\\'), '`', '\\\\`') || '`.`' ||" \
    " replaceAll(replaceAll(table, '\\\\', '\\\\\\\\'), '`', '\\\\`') || '`'"

const struct operator_statement operator_statements[] = {
    {"replica", OPERATOR_LOOK,
     "SELECT toString(max(absolute_delay)) || ' ' || toString(countIf(is_readonly)) || ' ' ||"
     " toString((SELECT count() FROM system.tables WHERE engine LIKE 'Replicated%' AND database " NOT_CUSTOMERS
     ")) || ' ' || lower(hex((SELECT groupBitXor(sipHash64(database, name)) FROM system.tables"
     " WHERE engine LIKE 'Replicated%' AND database " NOT_CUSTOMERS ")))"
     " || ' ' || arrayStringConcat(arraySort(groupUniqArrayArray(arrayFilter((n, a) -> a = 0,"
     " mapKeys(replica_is_active), mapValues(replica_is_active)))), ',') FROM system.replicas",
     "how far behind it is, whether it can write, which replicated tables it has, who is registered and away", true},
    {"objects", OPERATOR_LOOK,
     "SELECT toString(count()) || ' ' || lower(hex(groupBitXor(sipHash64(database, name)))) FROM system.tables"
     " WHERE name NOT LIKE '.inner%' AND database " NOT_CUSTOMERS,
     "on each, while one more is made for another size: which tables, views and dictionaries it has", true},
    {"drop-replica", OPERATOR_REPLICA, "SYSTEM DROP REPLICA '%s'",
     "on one that stays: Keeper forgets a replica that is no more, or one that was rebuilt without its disk", false},
    {"away-of-databases", OPERATOR_REPLICA,
     "SELECT arrayStringConcat(arraySort(groupUniqArray(database_replica_name)), ',') FROM system.clusters"
     " WHERE database_replica_name != '' AND is_active = 0",
     "on one that stays: who is registered in Replicated databases and away", true},
    {"drop-database-replica", OPERATOR_REPLICA, "SYSTEM DROP DATABASE REPLICA '" BLUEPRINT_SHARD "|%s'",
     "the same of Replicated databases; it drops the registration, never a database", true},
    {"next-table", OPERATOR_REPLICA,
     "SELECT name FROM (SELECT " QUOTED_TABLE " AS name FROM system.replicas) WHERE name > %s ORDER BY name LIMIT 1"
     " FORMAT TSVRaw",
     "each replicated table in turn, while a replica goes", true},
    {"sync-replica", OPERATOR_REPLICA, "SYSTEM SYNC REPLICA %s LIGHTWEIGHT",
     "on those that stay, before one goes: they fetch what their queue names, each time for two seconds at most",
     false},
    {"alone", OPERATOR_REPLICA,
     "SELECT toString(count()) FROM system.tables WHERE engine NOT LIKE 'Replicated%' AND total_rows > 0 AND "
     "database " NOT_CUSTOMERS,
     "on the one that goes: how many tables with rows do not replicate", true},
    {"next-database", OPERATOR_REPLICA,
     "SELECT name || ' UUID ''' || toString(uuid) || ''' ENGINE = ' || engine_full FROM (SELECT '`' ||"
     " replaceAll(replaceAll(name, '\\\\', '\\\\\\\\'), '`', '\\\\`') || '`' AS name, uuid, engine, engine_full FROM"
     " system.databases) WHERE engine = 'Replicated' AND name > %s ORDER BY name LIMIT 1 FORMAT TSVRaw",
     "each Replicated database in turn, for a replica that has just started and lacks tables", true},
    {"make-database", OPERATOR_REPLICA, "CREATE DATABASE IF NOT EXISTS %s",
     "on that one; the tables come by the database itself", false},
    {"readonly", OPERATOR_REPLICA,
     "SELECT " QUOTED_TABLE " FROM system.replicas WHERE is_readonly ORDER BY 1 LIMIT 1 FORMAT TSVRaw",
     "a table that cannot be written, where Keeper has forgotten the replica", true},
    {"restore-replica", OPERATOR_REPLICA, "SYSTEM RESTORE REPLICA %s",
     "registers it anew, with the rows that the others have", false},
    {"databases", OPERATOR_BACKUP,
     "SELECT name FROM system.databases WHERE name " NOT_CUSTOMERS
     " AND name != '_temporary_and_external_tables' ORDER BY 1",
     "what a backup holds", true},
    {"tables", OPERATOR_BACKUP,
     "SELECT database, name, toString(engine IN ('MergeTree', 'ReplicatedMergeTree') AND create_table_query NOT ILIKE "
     "'% TTL %') FROM system.tables WHERE engine LIKE '%MergeTree' AND NOT is_temporary AND database " NOT_CUSTOMERS
     " ORDER BY 1, 2 LIMIT 1000",
     "what a drill can restore", true},
    {"figures", OPERATOR_BACKUP, "SELECT toString(count()), toString(sum(cityHash64(*))) FROM %s",
     "rows and sum of a table and of its restored copy", true},
    {"backup", OPERATOR_BACKUP, "BACKUP DATABASE %s TO %s SETTINGS id = '%s' ASYNC", "a backup", true},
    {"backup-state", OPERATOR_BACKUP | OPERATOR_RESTORE,
     "SELECT toString(status), toString(compressed_size), extract(error, 'Code: (\\\\d+)') FROM system.backups WHERE "
     "id "
     "= '%s' ORDER BY start_time DESC LIMIT 1",
     "what became of it", true},
    {"drill-database", OPERATOR_BACKUP, "CREATE DATABASE " BLUEPRINT_DRILL_DATABASE, "where copies are looked at",
     true},
    {"drill", OPERATOR_BACKUP, "RESTORE TABLE %s AS " BLUEPRINT_DRILL_DATABASE ".%s FROM %s SETTINGS id = '%s' ASYNC",
     "a copy", true},
    {"drill-end", OPERATOR_BACKUP, "DROP DATABASE IF EXISTS " BLUEPRINT_DRILL_DATABASE " SYNC", "takes them away",
     true},
    {"restore", OPERATOR_RESTORE, "RESTORE ALL FROM %s SETTINGS id = '%s' ASYNC",
     "fills a service that begins with a backup", true},
};
const size_t operator_statements_count = ARRAY_SIZE(operator_statements);

#define DRILL BLUEPRINT_DRILL_DATABASE ".*"

const struct operator_grant operator_grants[] = {
    {OPERATOR_LOOK, "GRANT SELECT(absolute_delay, is_readonly, replica_is_active) ON system.replicas", "replica",
     false},
    {OPERATOR_LOOK, "GRANT SELECT(database, name, engine) ON system.tables", "replica, objects", false},
    {OPERATOR_LOOK, "GRANT SHOW TABLES ON *.*", "replica: system.tables and system.replicas hide tables without it",
     true},
    {OPERATOR_REPLICA, "GRANT SYSTEM DROP REPLICA ON *.*", "drop-replica, drop-database-replica", true},
    {OPERATOR_REPLICA, "GRANT SELECT(database, table) ON system.replicas", "readonly, next-table", false},
    {OPERATOR_REPLICA, "GRANT SELECT(database_replica_name, is_active) ON system.clusters", "away-of-databases", false},
    {OPERATOR_REPLICA, "GRANT SYSTEM SYNC REPLICA ON *.*", "sync-replica", true},
    {OPERATOR_REPLICA, "GRANT SELECT(total_rows) ON system.tables", "alone", false},
    {OPERATOR_REPLICA, "GRANT SELECT(name, engine, engine_full, uuid) ON system.databases", "next-database", false},
    {OPERATOR_REPLICA, "GRANT CREATE DATABASE ON *.*", "make-database", true},
    {OPERATOR_REPLICA, "GRANT TABLE ENGINE ON Replicated", "make-database: table_engines_require_grant", false},
    {OPERATOR_REPLICA, "GRANT SYSTEM RESTORE REPLICA ON *.*", "restore-replica", true},
    {OPERATOR_BACKUP, "GRANT BACKUP ON *.*", "backup", true},
    {OPERATOR_BACKUP, "GRANT SELECT ON *.*", "databases, tables, figures, backup-state", true},
    {OPERATOR_BACKUP, "GRANT CREATE DATABASE ON " DRILL, "drill-database", true},
    {OPERATOR_BACKUP, "GRANT CREATE TABLE ON " DRILL, "drill", true},
    {OPERATOR_BACKUP, "GRANT INSERT ON " DRILL, "drill", true},
    {OPERATOR_BACKUP, "GRANT DROP DATABASE ON " DRILL, "drill-end", true},
    {OPERATOR_BACKUP, "GRANT DROP TABLE ON " DRILL, "drill-end", true},
    {OPERATOR_BACKUP, "GRANT TABLE ENGINE ON *", "drill: table_engines_require_grant", false},
    {OPERATOR_RESTORE, "GRANT CREATE ON *.*", "restore", true},
    {OPERATOR_RESTORE, "GRANT INSERT ON *.*", "restore", true},
};
const size_t operator_grants_count = ARRAY_SIZE(operator_grants);

int operator_duties(const struct desired_service *s, const struct blueprint_env *env)
{
    int duties = blueprint_joined(s, env) ? OPERATOR_LOOK | OPERATOR_REPLICA : 0;
    if (!env->operator_sha256)
        return 0;
    if (!env->operator_only_looks)
        duties |= OPERATOR_BACKUP | (s->restore_service ? OPERATOR_RESTORE : 0);
    return duties;
}

const char *operator_sql(const char *name)
{
    for (size_t i = 0; i < operator_statements_count; i++)
        if (!strcmp(operator_statements[i].name, name))
            return operator_statements[i].sql;
    abort();
}

char *operator_sql_with(const char *name, const char *with)
{
    static const char mark[] = "%s";
    const char *form = operator_sql(name), *at = strstr(form, mark);
    if (!at)
        abort();
    return mem_printf("%.*s%s%s", (int)(at - form), form, with, at + sizeof(mark) - 1);
}
