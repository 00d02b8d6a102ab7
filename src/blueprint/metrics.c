/* The list of metrics and the reader of their text form. */
#include "blueprint/metrics.h"

#define M "ClickHouseMetrics_"
#define P "ClickHouseProfileEvents_"
#define A "ClickHouseAsyncMetrics_"
#define LINE_VALUE_MAX 63

const struct metric metrics_all[] = {
    {M "Query", false, true, "Queries that run now."},
    {M "Merge", false, true, "Merges that run now."},
    {M "PartMutation", false, true, "Mutations of parts that run now."},
    {M "ReplicatedFetch", false, false, "Parts that are fetched from replicas now."},
    {M "BackgroundMergesAndMutationsPoolTask", false, false, "Tasks of merges and mutations now."},
    {M "TCPConnection", false, true, "Connections of the native protocol."},
    {M "HTTPConnection", false, true, "Connections of the HTTP interface."},
    {M "ReadonlyReplica", false, true, "Replicated tables that are read-only now."},
    {M "ZooKeeperSession", false, false, "Sessions with Keeper."},
    {M "MemoryTracking", false, true, "Bytes of memory that the server has allocated."},
    {M "DelayedInserts", false, true, "INSERTs that are slowed down now."},
    {M "PendingAsyncInsert", false, false, "Asynchronous INSERTs that wait to be written."},
    {M "PartsTemporary", false, false, "Parts that are being made."},
    {M "PartsPreActive", false, false, "Parts that are about to be used."},
    {M "PartsActive", false, true, "Parts that are in use."},
    {M "PartsOutdated", false, false, "Parts that were replaced."},
    {M "PartsDeleting", false, false, "Parts that are being removed."},
    {M "PartsWide", false, false, "Parts of the wide form."},
    {M "PartsCompact", false, false, "Parts of the compact form."},
    {M "FilesystemCacheSize", false, false, "Bytes in the cache of files."},
    {M "MarkCacheBytes", false, false, "Bytes in the cache of marks."},
    {M "UncompressedCacheBytes", false, false, "Bytes in the cache of uncompressed blocks."},
    {P "Query", true, true, "Queries begun."},
    {P "SelectQuery", true, true, "SELECTs begun."},
    {P "InsertQuery", true, true, "INSERTs begun."},
    {P "AsyncInsertQuery", true, false, "Asynchronous INSERTs begun."},
    {P "FailedQuery", true, true, "Queries that failed."},
    {P "FailedSelectQuery", true, true, "SELECTs that failed."},
    {P "FailedInsertQuery", true, true, "INSERTs that failed."},
    {P "QueryTimeMicroseconds", true, true, "Microseconds that queries took."},
    {P "SelectQueryTimeMicroseconds", true, false, "Microseconds that SELECTs took."},
    {P "InsertQueryTimeMicroseconds", true, false, "Microseconds that INSERTs took."},
    {P "SelectedRows", true, true, "Rows read."},
    {P "SelectedBytes", true, true, "Bytes read, uncompressed."},
    {P "InsertedRows", true, true, "Rows written."},
    {P "InsertedBytes", true, true, "Bytes written, uncompressed."},
    {P "DelayedInserts", true, false, "INSERTs that were slowed down."},
    {P "RejectedInserts", true, true, "INSERTs refused because of too many parts."},
    {P "QueryMemoryLimitExceeded", true, true, "Queries that met a memory limit."},
    {P "Merge", true, false, "Merges begun."},
    {P "MergedRows", true, false, "Rows read by merges."},
    {P "MergedUncompressedBytes", true, false, "Bytes read by merges, uncompressed."},
    {P "MarkCacheHits", true, false, "Finds in the cache of marks."},
    {P "MarkCacheMisses", true, false, "Misses in the cache of marks."},
    {P "NetworkSendBytes", true, false, "Bytes sent."},
    {P "NetworkReceiveBytes", true, false, "Bytes received."},
    {P "ZooKeeperTransactions", true, false, "Requests to Keeper."},
    {P "UserTimeMicroseconds", true, false, "Microseconds of processor time in user space."},
    {P "SystemTimeMicroseconds", true, false, "Microseconds of processor time in the kernel."},
    {P "OSCPUVirtualTimeMicroseconds", true, true, "Microseconds of processor time."},
    {A "Uptime", false, true, "Seconds since the server started."},
    {A "NumberOfDatabases", false, true, "Databases."},
    {A "NumberOfTables", false, true, "Tables."},
    {A "TotalRowsOfMergeTreeTables", false, true, "Rows in MergeTree tables."},
    {A "TotalBytesOfMergeTreeTables", false, true, "Bytes on disk of MergeTree tables."},
    {A "TotalPartsOfMergeTreeTables", false, true, "Active parts of MergeTree tables."},
    {A "MaxPartCountForPartition", false, true, "Active parts of the partition that has most."},
    {A "MemoryResident", false, true, "Bytes of memory that the server occupies."},
    {A "ReplicasMaxAbsoluteDelay", false, true, "Seconds that the most delayed replica is behind."},
    {A "ReplicasMaxQueueSize", false, false, "Entries in the longest queue of a replicated table."},
};
const size_t metrics_count = ARRAY_SIZE(metrics_all);

const struct metric *metric_find(const char *name, size_t len)
{
    for (size_t i = 0; i < metrics_count; i++)
        if (strlen(metrics_all[i].name) == len && !memcmp(metrics_all[i].name, name, len))
            return &metrics_all[i];
    return NULL;
}

/* The text between a name and the end of its line: a number, perhaps with a time behind it. */
static bool parse_value(const char *text, size_t len, int64_t *ret)
{
    char copy[LINE_VALUE_MAX + 1], *end;
    if (len == 0 || len > LINE_VALUE_MAX)
        return false;
    memcpy(copy, text, len);
    copy[len] = 0;
    double v = strtod(copy, &end);
    if (end == copy || (*end && *end != ' ' && *end != '\t' && *end != '\r') || !(v >= 0) || v > 9007199254740992.0)
        return false;
    *ret = (int64_t)(v + 0.5);
    return true;
}

void metrics_read(const char *text, size_t len, void (*take)(const struct metric *m, int64_t value, void *data),
                  void *data)
{
    const char *end = text + len;
    while (text < end) {
        const char *newline = memchr(text, '\n', (size_t)(end - text)), *stop = newline ? newline : end;
        const char *space = memchr(text, ' ', (size_t)(stop - text));
        const struct metric *m = space && *text != '#' ? metric_find(text, (size_t)(space - text)) : NULL;
        int64_t value;
        if (m && parse_value(space + 1, (size_t)(stop - space - 1), &value))
            take(m, value, data);
        text = newline ? newline + 1 : end;
    }
}
