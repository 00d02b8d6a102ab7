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
    KEY(log_level, CONF_STRING, "info", 0, 8, "debug, info, warn or error"),
    {0},
};

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
    return r;
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
