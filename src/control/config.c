/* The table behind control.conf. */
#include "control/config.h"

#include "base/log.h"
#include "base/mem.h"

#define KEY(field, type, fallback, min, max, help)                                     \
    {                                                                                  \
#field, type, offsetof(struct control_config, field), fallback, min, max, help \
    }

const struct conf_key control_config_keys[] = {
    KEY(state_dir, CONF_PATH, NULL, 0, 0, "folder of control.db, keys, run and log"),
    KEY(listen_address, CONF_STRING, "127.0.0.1", 0, 64, "numeric address that HAProxy listens on"),
    KEY(listen_port, CONF_INT, "8443", 1, 65535, "port for the console, the API and agents' links"),
    KEY(server_name, CONF_STRING, "localhost", 0, 253, "DNS name in the edge certificate"),
    KEY(console_dir, CONF_PATH, "", 0, 0, "the console's built files; none: the control plane says so in the browser"),
    KEY(accounts_dir, CONF_PATH, "", 0, 0, "local cloud: folder that holds the accounts"),
    KEY(agent_program, CONF_PATH, "", 0, 0, "local cloud: ownhouse-agent"),
    KEY(engine_program, CONF_PATH, "", 0, 0, "local cloud: ownhouse-clickhouse"),
    KEY(engine_library, CONF_PATH, "", 0, 0, "local cloud: libchdb.so"),
    KEY(clickhouse_program, CONF_PATH, "", 0, 0,
        "local cloud: a clickhouse binary, used instead of the embedded engine"),
    KEY(haproxy_program, CONF_PATH, "/usr/sbin/haproxy", 0, 0, "HAProxy"),
    KEY(knot_program, CONF_PATH, "/usr/sbin/knotd", 0, 0, "local cloud: Knot DNS"),
    KEY(smtp_url, CONF_STRING, "", 0, 512, "mail server: smtps://HOST:465 or smtp://HOST:587 (empty: no mail is sent)"),
    KEY(smtp_user, CONF_STRING, "", 0, 254, "name to sign in to the mail server with (empty: without)"),
    KEY(smtp_password_file, CONF_PATH, "", 0, 0, "file with its password, readable by its owner only"),
    KEY(smtp_from, CONF_STRING, "", 0, 254, "address that mail comes from"),
    KEY(smtp_ca_file, CONF_PATH, "", 0, 0, "authorities of the mail server (default: the system's)"),
    KEY(oidc_issuer, CONF_STRING, "", 0, 512, "identity provider: its issuer, https:// (empty: none)"),
    KEY(oidc_name, CONF_STRING, "Single sign-on", 0, 64, "what the console calls it"),
    KEY(oidc_client_id, CONF_STRING, "", 0, 254, "client id there"),
    KEY(oidc_client_secret_file, CONF_PATH, "", 0, 0, "file with the client's secret (empty: a public client)"),
    KEY(oidc_ca_file, CONF_PATH, "", 0, 0, "authorities of the identity provider (default: the system's)"),
    KEY(aws_config, CONF_PATH, "", 0, 0, "aws: JSON file {endpoints, credentialsFile, profile} of the controller"),
    KEY(log_level, CONF_STRING, "info", 0, 8, "debug, info, warn or error"),
    {0},
};

/* Settings that only make sense together. */
static int check_outward(const char *path, struct control_config *c, struct err *err)
{
    const char *wrong = NULL;
    if (*c->smtp_url && strncmp(c->smtp_url, "smtp://", 7) && strncmp(c->smtp_url, "smtps://", 8))
        wrong = "smtp_url: must begin with smtps:// or smtp://";
    else if (*c->smtp_url && !strchr(c->smtp_from, '@'))
        wrong = "smtp_from: is required with smtp_url, an e-mail address";
    else if (*c->smtp_user && !*c->smtp_password_file)
        wrong = "smtp_password_file: is required with smtp_user";
    else if (*c->oidc_issuer && strncmp(c->oidc_issuer, "https://", 8))
        wrong = "oidc_issuer: must begin with https://";
    else if (*c->oidc_issuer && !*c->oidc_client_id)
        wrong = "oidc_client_id: is required with oidc_issuer";
    if (!wrong)
        return 0;
    control_config_free(c);
    return err_set(err, -EINVAL, "%s: %s", path, wrong);
}

int control_config_load(const char *path, struct control_config *into, struct err *err)
{
    enum log_level level;
    int r = conf_load(path, control_config_keys, into, err);
    if (r == -ENOENT)
        return err_set(err, r, "the configuration file %s does not exist", path);
    if (r < 0)
        return r;
    if (log_level_parse(into->log_level, &level) < 0) {
        r = err_set(err, -EINVAL, "%s: log_level: must be debug, info, warn or error, not \"%s\"", path,
                    into->log_level);
        control_config_free(into);
    }
    return r < 0 ? r : check_outward(path, into, err);
}

bool control_has_outward(const struct control_config *c)
{
    return (c->smtp_url && *c->smtp_url) || (c->oidc_issuer && *c->oidc_issuer);
}

char *control_url(const struct control_config *c, const char *path)
{
    return mem_printf("https://%s:%lld%s", c->server_name, (long long)c->listen_port, path);
}

void control_config_free(struct control_config *c)
{
    conf_free(control_config_keys, c);
}

char *control_path(const struct control_config *c, const char *relative)
{
    return mem_printf("%s/%s", c->state_dir, relative);
}

char *control_database(const struct control_config *c)
{
    return control_path(c, "store/control.db");
}
