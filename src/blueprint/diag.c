/* The views of ownhouse_diag and ownhouse_querytext, as data. */
#include "blueprint/diag.h"

#define COLUMNS(...)             \
    (const struct diag_column[]) \
    {                            \
        __VA_ARGS__,             \
        {                        \
            NULL, NULL           \
        }                        \
    }
#define C(column)     \
    {                 \
#column, NULL \
    }
#define E(column, sql) \
    {                  \
#column, sql   \
    }
#define TABLE C(database), C(table)

/* Literals inside a type's name (Enum values, default zones) are strings in single quotes. */
#define TYPE_WITHOUT_LITERALS "replaceRegexpAll(type, '''(?:[^''\\\\\\\\]|\\\\\\\\.|'''')*''', '?')"
/* normalizeQuery() leaves names in quotes and the data of INSERTs as they are. */
#define BLANKED_QUERY                                                                                       \
    "if(query_kind = 'Select', replaceRegexpAll(replaceRegexpAll(normalizeQuery(query), '\"[^\"]*(\"|$)', " \
    "'\"?\"'), '`[^`]*(`|$)', '`?`'), '')"
/* Which parts share a partition, without its value: an order, no hash that could be guessed back. */
#define PARTITION_NUMBER "dense_rank() OVER (PARTITION BY database, table ORDER BY partition_id)"
#define KNOWN_REASON                                                                                                   \
    "if(reason IN ('broken', 'unexpected', 'noquorum', 'ignored', 'broken-on-start', 'clone', 'attaching', "           \
    "'deleting', 'tmp-fetch', 'covered-by-broken', 'merge-not-byte-identical', 'mutate-not-byte-identical'), reason, " \
    "'')"

const struct diag_view diag_views[] = {
    {"databases", "databases", .columns = COLUMNS(C(name), C(engine), C(is_external))},
    {"tables", "tables",
     .columns =
         COLUMNS(C(database), C(name), C(engine), C(is_temporary), C(metadata_modification_time), C(storage_policy),
                 C(total_rows), C(total_bytes), C(total_bytes_uncompressed), C(parts), C(active_parts), C(total_marks),
                 C(active_on_fly_data_mutations), C(lifetime_rows), C(lifetime_bytes), C(has_own_data))},
    {"columns", "columns",
     .columns = COLUMNS(TABLE, C(name), E(type, TYPE_WITHOUT_LITERALS), C(position), C(default_kind),
                        C(data_compressed_bytes), C(data_uncompressed_bytes), C(marks_bytes), C(is_in_partition_key),
                        C(is_in_sorting_key), C(is_in_primary_key), C(is_in_sampling_key), C(compression_codec))},
    {"parts", "parts",
     .columns = COLUMNS(TABLE, E(partition_number, PARTITION_NUMBER), C(part_type), C(active), C(marks), C(rows),
                        C(files), C(bytes_on_disk), C(data_compressed_bytes), C(data_uncompressed_bytes),
                        C(primary_key_size), C(marks_bytes), C(modification_time), C(remove_time), C(refcount),
                        C(level), C(data_version), C(primary_key_bytes_in_memory), C(is_frozen), C(engine),
                        C(disk_name), C(default_compression_codec), C(has_lightweight_delete))},
    {"detached_parts", "detached_parts",
     .columns = COLUMNS(TABLE, C(bytes_on_disk), C(modification_time), C(disk), E(reason, KNOWN_REASON), C(level))},
    {"mutations", "mutations",
     .columns = COLUMNS(TABLE, C(mutation_id), C(create_time), C(parts_to_do), C(is_done), C(is_killed),
                        C(latest_fail_time), C(latest_fail_error_code_name))},
    {"merges", "merges",
     .columns = COLUMNS(TABLE, C(elapsed), C(progress), C(num_parts), C(is_mutation), C(total_size_bytes_compressed),
                        C(total_size_bytes_uncompressed), C(total_size_marks), C(bytes_read_uncompressed), C(rows_read),
                        C(bytes_written_uncompressed), C(rows_written), C(columns_written), C(memory_usage),
                        C(merge_type), C(merge_algorithm))},
    {"moves", "moves", .columns = COLUMNS(TABLE, C(elapsed), C(target_disk_name), C(part_size))},
    {"replicas", "replicas",
     .columns = COLUMNS(TABLE, C(engine), C(is_leader), C(can_become_leader), C(is_readonly), C(readonly_start_time),
                        C(is_session_expired), C(future_parts), C(parts_to_check), C(queue_size), C(inserts_in_queue),
                        C(merges_in_queue), C(part_mutations_in_queue), C(queue_oldest_time), C(inserts_oldest_time),
                        C(merges_oldest_time), C(log_max_index), C(log_pointer), C(last_queue_update),
                        C(absolute_delay), C(total_replicas), C(active_replicas), C(lost_part_count))},
    {"replication_queue", "replication_queue",
     .columns = COLUMNS(TABLE, C(position), C(type), C(create_time), C(required_quorum), C(is_detach),
                        C(is_currently_executing), C(num_tries), C(last_exception_time), C(last_attempt_time),
                        C(num_postponed), C(last_postpone_time), C(merge_type))},
    {"distribution_queue", "distribution_queue",
     .columns = COLUMNS(TABLE, C(is_blocked), C(error_count), C(data_files), C(data_compressed_bytes),
                        C(broken_data_files), C(broken_data_compressed_bytes), C(last_exception_time))},
    {"processes", "processes",
     .columns =
         COLUMNS(C(is_initial_query), C(elapsed), C(is_cancelled), C(read_rows), C(read_bytes), C(total_rows_approx),
                 C(written_rows), C(written_bytes), C(memory_usage), C(peak_memory_usage), C(normalized_query_hash),
                 C(query_kind), E(threads, "length(thread_ids)"), C(peak_threads_usage))},
    {"errors", "errors", .columns = COLUMNS(C(name), C(code), C(value), C(last_error_time), C(remote))},
    {"warnings", "warnings", .columns = COLUMNS(C(message_format_string))},
    {"metrics", "metrics", .columns = COLUMNS(C(metric), C(value), C(description))},
    {"events", "events", .columns = COLUMNS(C(event), C(value), C(description))},
    {"disks", "disks",
     .columns = COLUMNS(C(name), C(free_space), C(total_space), C(unreserved_space), C(keep_free_space), C(type),
                        C(is_encrypted), C(is_read_only), C(is_remote), C(is_broken))},
    {"storage_policies", "storage_policies",
     .columns = COLUMNS(C(policy_name), C(volume_name), C(volume_priority), C(disks), C(max_data_part_size),
                        C(move_factor), C(prefer_not_to_merge))},
    {"dictionaries", "dictionaries",
     .columns = COLUMNS(C(database), C(name), C(status), C(type), C(bytes_allocated), C(query_count), C(hit_rate),
                        C(found_rate), C(element_count), C(load_factor), C(loading_start_time),
                        C(last_successful_update_time), C(error_count), C(loading_duration))},
    {"data_skipping_indices", "data_skipping_indices",
     .columns = COLUMNS(TABLE, C(name), C(type), C(granularity), C(data_compressed_bytes), C(data_uncompressed_bytes),
                        C(marks_bytes))},
    {"projections", "projections", .columns = COLUMNS(TABLE, C(name), C(type))},
    {"view_refreshes", "view_refreshes",
     .columns = COLUMNS(C(database), C(view), C(status), C(last_success_time), C(last_success_duration_ms),
                        C(last_refresh_time), C(next_refresh_time), C(retry), C(progress), C(read_rows), C(read_bytes),
                        C(total_rows), C(written_rows), C(written_bytes))},
    {"backups", "backups",
     .columns = COLUMNS(C(status), C(start_time), C(end_time), C(num_files), C(total_size), C(num_entries),
                        C(uncompressed_size), C(compressed_size), C(files_read), C(bytes_read))},
    {"query_cache", "query_cache",
     .columns = COLUMNS(C(is_subquery), C(result_size), C(stale), C(shared), C(compressed), C(expires_at))},
    {"merge_tree_settings", "merge_tree_settings",
     .columns = COLUMNS(C(name), C(value), C(changed), C(type), C(is_obsolete))},
    {"build_options", "build_options",
     .columns = COLUMNS(C(name), E(value, "if(name IN ('VERSION_FULL', 'VERSION_DESCRIBE', 'VERSION_INTEGER', "
                                          "'SYSTEM', 'BUILD_TYPE', 'CXX_COMPILER_VERSION'), value, '')"))},
    {"asynchronous_metrics", "asynchronous_metrics", .server = true, .columns = COLUMNS(C(metric), C(value))},
    {"part_log", "part_log", .server = true,
     .columns = COLUMNS(C(event_type), C(merge_reason), C(event_time), C(duration_ms), TABLE, C(part_type),
                        C(disk_name), C(rows), C(size_in_bytes), C(bytes_uncompressed), C(read_rows), C(read_bytes),
                        C(peak_memory_usage), C(error))},
    {"query_log", "query_log", .server = true,
     .columns = COLUMNS(C(type), C(event_time), C(query_start_time), C(query_duration_ms), C(query_kind), C(read_rows),
                        C(read_bytes), C(written_rows), C(written_bytes), C(result_rows), C(result_bytes),
                        C(memory_usage), C(exception_code), C(normalized_query_hash), C(is_initial_query))},
    {"processes", "processes", .text = true,
     .columns = COLUMNS(C(elapsed), C(query_kind), C(normalized_query_hash), E(query, BLANKED_QUERY))},
    {"query_log", "query_log", .text = true, .server = true,
     .columns = COLUMNS(C(event_time), C(type), C(query_kind), C(query_duration_ms), C(exception_code),
                        C(normalized_query_hash), E(query, BLANKED_QUERY))},
};
const size_t diag_views_count = ARRAY_SIZE(diag_views);

static const char *database_of(const struct diag_view *v)
{
    return v->text ? DIAG_TEXT_DATABASE : DIAG_DATABASE;
}

const struct diag_view *diag_find(const char *database, const char *name)
{
    for (size_t i = 0; i < diag_views_count; i++)
        if (!strcmp(database_of(&diag_views[i]), database) && !strcmp(diag_views[i].name, name))
            return &diag_views[i];
    return NULL;
}

void diag_statements(bool server, struct buf *out)
{
    buf_adds(out, "CREATE DATABASE IF NOT EXISTS " DIAG_DATABASE ";\n"
                  "CREATE DATABASE IF NOT EXISTS " DIAG_TEXT_DATABASE ";\n");
    for (size_t i = 0; i < diag_views_count; i++) {
        const struct diag_view *v = &diag_views[i];
        if (v->server && !server)
            continue;
        buf_printf(out, "CREATE OR REPLACE VIEW %s.%s DEFINER = " DIAG_DEFINER " SQL SECURITY DEFINER AS SELECT ",
                   database_of(v), v->name);
        for (const struct diag_column *c = v->columns; c->name; c++) {
            buf_adds(out, c == v->columns ? "" : ", ");
            if (c->expression)
                buf_printf(out, "%s AS %s", c->expression, c->name);
            else
                buf_adds(out, c->name);
        }
        buf_printf(out, " FROM system.%s;\n", v->source);
    }
}
