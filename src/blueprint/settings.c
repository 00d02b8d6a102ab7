/* The table of settings and the check of their values. */
#include "blueprint/settings.h"

#include <regex.h>

#define ROWS_MAX INT64_C(1000000000000)
#define BYTES_MAX (INT64_C(1) << 44)
#define SECONDS_MAX 86400

#define NUMBER(scope, name, min, max, example, text, warning)                                       \
    {                                                                                               \
        name, SETTING_##scope, SETTING_INTEGER, min, max, NULL, NULL, text, example, warning, false \
    }
/* An integer of which 0 means that there is none. */
#define LIMIT(scope, name, min, max, example, text, warning)                                      \
    {                                                                                             \
        name, SETTING_##scope, SETTING_LIMIT, min, max, NULL, NULL, text, example, warning, false \
    }
#define FLAG(scope, name, example, text, warning)                                            \
    {                                                                                        \
        name, SETTING_##scope, SETTING_FLAG, 0, 1, NULL, NULL, text, example, warning, false \
    }
#define TEXT(scope, name, pattern, rule, example, text, warning)                                \
    {                                                                                           \
        name, SETTING_##scope, SETTING_TEXT, 0, 0, pattern, rule, text, example, warning, false \
    }

/* A number of the server's that it takes up while it runs. */
#define RELOADED(name, min, max, example, text)                                                         \
    {                                                                                                   \
        name, SETTING_SERVER, SETTING_INTEGER, min, max, NULL, NULL, text, example, only_embedded, true \
    }

static const char restarts[] = "Changing it restarts the service.";
static const char only_embedded[] =
    "Changing it restarts the service where the embedded engine serves it; a ClickHouse server takes it up as it runs.";

const struct setting settings_all[] = {
    TEXT(PROFILE, "compatibility", "^[0-9]{2}\\.[0-9]{1,2}$", "must be a ClickHouse version such as 24.8", "24.8",
         "Settings have the defaults of this version of ClickHouse.",
         "Queries may behave and perform differently; try it out first."),
    NUMBER(PROFILE, "max_threads", 1, 512, "8", "Threads of one query.", NULL),
    NUMBER(PROFILE, "max_insert_threads", 0, 1024, "4", "Threads of one INSERT SELECT; 0 and 1: one.", NULL),
    LIMIT(PROFILE, "max_memory_usage", 67108864, BYTES_MAX, "10000000000", "Bytes of memory of one query; 0: no limit.",
          "Queries that need more end with an exception."),
    LIMIT(PROFILE, "max_execution_time", 1, SECONDS_MAX, "600", "Seconds that a query may run; 0: no limit.",
          "Queries that need longer end with an exception."),
    LIMIT(PROFILE, "max_rows_to_read", 10000, ROWS_MAX, "1000000000", "Rows that a query may read; 0: no limit.", NULL),
    LIMIT(PROFILE, "max_bytes_to_read", 1048576, BYTES_MAX, "100000000000", "Bytes that a query may read; 0: no limit.",
          NULL),
    LIMIT(PROFILE, "max_result_rows", 1000, ROWS_MAX, "1000000", "Rows of a result; 0: no limit.", NULL),
    LIMIT(PROFILE, "max_result_bytes", 1048576, BYTES_MAX, "1000000000", "Bytes of a result; 0: no limit.", NULL),
    LIMIT(PROFILE, "max_columns_to_read", 100, 100000, "100", "Columns that a query may read; 0: no limit.", NULL),
    LIMIT(PROFILE, "max_bytes_before_external_group_by", 1048576, BYTES_MAX, "5000000000",
          "Bytes of memory after which GROUP BY goes to disk; 0: never.", NULL),
    LIMIT(PROFILE, "max_bytes_before_external_sort", 1048576, BYTES_MAX, "5000000000",
          "Bytes of memory after which ORDER BY goes to disk; 0: never.", NULL),
    LIMIT(PROFILE, "max_concurrent_queries_for_user", 10, 100000, "50", "Queries of one user at a time; 0: no limit.",
          NULL),
    NUMBER(PROFILE, "max_query_size", 65536, 16777216, "1048576", "Bytes of a query's text.", NULL),
    NUMBER(PROFILE, "max_ast_elements", 10000, 10000000, "100000", "Elements of a query's syntax tree.", NULL),
    LIMIT(PROFILE, "max_partitions_per_insert_block", 1, 100000, "200",
          "Partitions that one block of an INSERT may touch; 0: no limit.", "Many small parts slow merges down."),
    NUMBER(PROFILE, "max_insert_block_size", 1024, 1073741824, "1048449", "Rows of the blocks that an INSERT forms.",
           NULL),
    FLAG(PROFILE, "async_insert", "1", "Small INSERTs are gathered and written together.", NULL),
    FLAG(PROFILE, "wait_for_async_insert", "1", "A gathered INSERT is answered when it has been written.", NULL),
    NUMBER(PROFILE, "async_insert_max_data_size", 1024, 1073741824, "10485760",
           "Bytes after which gathered INSERTs are written.", NULL),
    NUMBER(PROFILE, "async_insert_busy_timeout_max_ms", 1, 600000, "1000",
           "Milliseconds after which gathered INSERTs are written.", NULL),
    FLAG(PROFILE, "insert_deduplicate", "1", "A block that was inserted already is left out, in replicated tables.",
         NULL),
    FLAG(PROFILE, "join_use_nulls", "1", "Empty cells of a JOIN are NULL, as in the SQL standard.", NULL),
    NUMBER(PROFILE, "mutations_sync", 0, 2, "1", "ALTER waits for its mutation: 0 no, 1 here, 2 on all replicas.",
           NULL),
    NUMBER(PROFILE, "alter_sync", 0, 2, "1", "ALTER waits for its execution: 0 no, 1 here, 2 on all replicas.", NULL),
    NUMBER(PROFILE, "distributed_ddl_task_timeout", 0, SECONDS_MAX, "180",
           "Seconds that ON CLUSTER statements wait for the other replicas.", NULL),
    NUMBER(PROFILE, "http_send_timeout", 1, SECONDS_MAX, "30", "Seconds that an answer may stall on the way.", NULL),
    NUMBER(PROFILE, "http_receive_timeout", 1, SECONDS_MAX, "30", "Seconds that a request may stall on the way.", NULL),
    TEXT(PROFILE, "session_timezone", "^([A-Za-z]+(/[A-Za-z0-9_+-]+){0,2})?$",
         "must be the name of a time zone such as Europe/Zurich", "Europe/Zurich", "Time zone of sessions.",
         "Dates and times in queries are read and written differently."),
    RELOADED("max_concurrent_queries", 10, 5000, "500", "Queries at a time."),
    NUMBER(SERVER, "keep_alive_timeout", 1, 3600, "30", "Seconds that an idle HTTP connection is kept.", restarts),
    RELOADED("mark_cache_size", 1048576, BYTES_MAX, "5368709120", "Bytes of the cache of marks."),
    RELOADED("uncompressed_cache_size", 0, BYTES_MAX, "0", "Bytes of the cache of uncompressed blocks."),
    LIMIT(PROFILE, "max_table_size_to_drop", 1, BYTES_MAX, "50000000000",
          "Bytes of the largest table that DROP takes; 0: any.", NULL),
    LIMIT(PROFILE, "max_partition_size_to_drop", 1, BYTES_MAX, "50000000000",
          "Bytes of the largest partition that DROP takes; 0: any.", NULL),
    NUMBER(MERGE_TREE, "parts_to_delay_insert", 1, 100000, "1000",
           "Active parts of a partition from which on INSERTs are slowed down.", restarts),
    NUMBER(MERGE_TREE, "parts_to_throw_insert", 1, 100000, "3000",
           "Active parts of a partition from which on INSERTs are refused.", restarts),
    NUMBER(MERGE_TREE, "max_parts_in_total", 1, 10000000, "100000", "Active parts of a table; more refuse INSERTs.",
           restarts),
    NUMBER(MERGE_TREE, "merge_with_ttl_timeout", 60, 2592000, "14400",
           "Seconds between merges that remove expired rows.", restarts),
    FLAG(MERGE_TREE, "ttl_only_drop_parts", "1", "Expired rows go only when all rows of their part have expired.",
         restarts),
};
const size_t settings_count = ARRAY_SIZE(settings_all);

const struct setting *setting_find(const char *name)
{
    for (size_t i = 0; i < settings_count; i++)
        if (!strcmp(settings_all[i].name, name))
            return &settings_all[i];
    return NULL;
}

static int check_text(const struct setting *s, const char *value, struct err *err)
{
    regex_t re;
    if (strlen(value) > SETTING_VALUE_MAX)
        return err_set(err, -EINVAL, "must have at most %d bytes", SETTING_VALUE_MAX);
    if (regcomp(&re, s->pattern, REG_EXTENDED | REG_NOSUB) != 0)
        return err_set(err, -EINVAL, "cannot be checked");
    int found = regexec(&re, value, 0, NULL, 0);
    regfree(&re);
    return found == 0 ? 0 : err_set(err, -EINVAL, "%s", s->rule);
}

int setting_check(const struct setting *s, const char *value, struct err *err)
{
    size_t digits = strspn(value, "0123456789");
    if (s->type == SETTING_TEXT)
        return check_text(s, value, err);
    if (s->type == SETTING_FLAG)
        return !strcmp(value, "0") || !strcmp(value, "1") ? 0 : err_set(err, -EINVAL, "must be 0 or 1");
    if (!digits || value[digits] || digits > 18 || (value[0] == '0' && digits > 1))
        return err_set(err, -EINVAL, "must be a whole number");
    long long n = strtoll(value, NULL, 10);
    if (s->type == SETTING_LIMIT && n && (n < s->min || n > s->max))
        return err_set(err, -EINVAL, "must be 0 or %lld to %lld", (long long)s->min, (long long)s->max);
    if (s->type == SETTING_LIMIT)
        return 0;
    if (n < s->min || n > s->max)
        return err_set(err, -EINVAL, "must be %lld to %lld", (long long)s->min, (long long)s->max);
    return 0;
}
