/* The server's configuration file (base/conf.h) and the engine's configuration that follows from it. */
#pragma once

#include "base/conf.h"

struct config {
    char *listen;          /* "/path/to/socket" or "127.0.0.1:8123" or "[::1]:8123" */
    char *socket_mode;     /* octal permissions of a Unix socket */
    char *data_path;       /* metadata, temporary files, lock */
    char *bucket_path;     /* where MergeTree data lie: a local_blob_storage disk */
    char *backup_path;     /* BACKUP ... TO File may write below; "" = none */
    char *restore_path;    /* RESTORE FROM File may read below, too; "" = none */
    char *backup_disk;     /* "NAME URL" (base/s3.h): BACKUP ... TO Disk(NAME) writes there; "" = none */
    char *restore_disk;    /* the same, for RESTORE FROM Disk; "" = none */
    char *backup_region;   /* of both */
    char *backup_keys;     /* file of the keys to both (base/s3.h); "" = the process's own identity */
    char *library;         /* libchdb.so */
    char *users_file;      /* see users.h */
    char *query_log;       /* one JSON line an executed query; "" = none */
    char *query_log_users; /* whose: names that begin so; "" = all */
    char *metrics_listen;  /* as listen, TCP only: see metrics.h; "" = none */
    char *settings_file;   /* the engine's settings, see config_engine(); "" = none */
    char *startup_file;    /* statements to run before serving, one a line; "" = none */
    char *engine_grants;   /* the engine's user has these rights only, as after GRANT; "" = all but files */
    char *display_name;    /* X-ClickHouse-Server-Display-Name; "" = the host's name */
    char *timezone;        /* "" = the machine's */
    char *log_level;
    int64_t max_connections, max_concurrent_queries, max_sessions;
    int64_t max_memory_bytes; /* of the engine; 0 = 90 % of the machine's */
    int64_t max_query_bytes;  /* statement text, and INSERT data that cannot be streamed */
    int64_t max_body_bytes;   /* a request's body after decompression */
    int64_t max_spool_bytes;  /* a result held back by wait_end_of_query */
    int64_t idle_timeout_s, shutdown_timeout_s;
    int64_t background_threads;
};

extern const struct conf_key config_keys[];

OH_MUST_CHECK int config_load(const char *path, struct config *ret, struct err *err);
void config_free(struct config *c);

/* Parsed form of `listen`. */
struct listen_address {
    bool is_unix;
    char path[108];
    char host[64];
    uint16_t port;
};
OH_MUST_CHECK int config_listen(const char *text, struct listen_address *ret, struct err *err);

/* Writes the engine's config.xml and users.xml below data_path/engine and makes the directories that both name.
 * *ret gets the path of config.xml; free(). The settings file is JSON: {"profile": {NAME: VALUE}, "server": {...},
 * "mergeTree": {...}}, texts only: settings of queries, of the server, and of MergeTree tables. -EINVAL names what is
 * wrong with it. */
OH_MUST_CHECK int config_engine(const struct config *c, char **ret, struct err *err);

/* The table of keys as text for --help. */
void config_help(FILE *out);
