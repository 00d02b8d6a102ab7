/* control.conf: the control plane's settings, one table line each. */
#pragma once

#include "base/conf.h"

struct control_config {
    char *state_dir;      /* control.db, keys/, run/, log/ live here */
    char *listen_address; /* where HAProxy listens, numeric */
    int64_t listen_port;
    char *server_name;        /* name in the edge certificate and printed links */
    char *console_dir;        /* the console's built files ("" = none) */
    char *accounts_dir;       /* local cloud: where accounts' folders are */
    char *agent_program;      /* local cloud: absolute path of ownhouse-agent */
    char *engine_program;     /* local cloud: absolute path of ownhouse-clickhouse ("" = none) */
    char *engine_library;     /* local cloud: absolute path of libchdb.so ("" = none) */
    char *clickhouse_program; /* local cloud: absolute path of a clickhouse binary ("" = none) */
    char *haproxy_program;
    char *knot_program; /* local cloud: knotd */
    char *smtp_url;     /* mail server; "" = no mail is sent */
    char *smtp_user, *smtp_password_file, *smtp_from, *smtp_ca_file;
    char *oidc_issuer; /* identity provider; "" = people sign in with passwords only */
    char *oidc_name, *oidc_client_id, *oidc_client_secret_file, *oidc_ca_file;
    char *
        aws_config; /* aws: JSON with the controller's endpoints and keys ("" = its environment, AWS's own endpoints) */
    char *log_level;
};

extern const struct conf_key control_config_keys[];

OH_MUST_CHECK int control_config_load(const char *path, struct control_config *into, struct err *err);
void control_config_free(struct control_config *c);

/* Paths below state_dir; free(). */
char *control_path(const struct control_config *c, const char *relative);
/* https://server_name:listen_port with a path behind it, for links that people get; free(). */
char *control_url(const struct control_config *c, const char *path);
/* Is there anything for the outward role to do? */
bool control_has_outward(const struct control_config *c);
/* The SQLite file, in a folder of its own so that a role's file rights can name it. */
char *control_database(const struct control_config *c);
