/* The ClickHouse settings that a service's owner may change through the public API, each with its limits.
 *
 * One table for both planes: the control plane refuses what is not in it, the agent checks again. Only settings that
 * reach nothing outside the service are here; nothing that names a path, a host, a user or a right. Names, types and
 * meanings are ClickHouse's own (system.settings, system.server_settings, system.merge_tree_settings). */
#pragma once

#include "base/err.h"

#define SETTINGS_MAX 64      /* of one service; more than the table has */
#define SETTING_VALUE_MAX 64 /* bytes */

enum setting_scope {
    SETTING_PROFILE,    /* of queries: users' default profile */
    SETTING_SERVER,     /* of the server; a change restarts it unless `reloads` */
    SETTING_MERGE_TREE, /* of MergeTree tables that do not say otherwise; a change restarts the server */
};

enum setting_type { SETTING_INTEGER, SETTING_LIMIT /* 0: none */, SETTING_FLAG, SETTING_TEXT };

struct setting {
    const char *name;
    enum setting_scope scope;
    enum setting_type type;
    int64_t min, max;    /* of a number; low limits that would keep the service's own queries from working are out */
    const char *pattern; /* of a text: POSIX extended regular expression */
    const char *rule;    /* how a broken pattern is explained */
    const char *description, *example;
    const char *warning; /* of what a change may disturb, or NULL */
    /* The running server takes another value: changeable_without_restart of system.server_settings is Yes. The embedded
     * engine cannot read its configuration again (it refuses SYSTEM RELOAD CONFIG), and is restarted. */
    bool reloads;
};

extern const struct setting settings_all[];
extern const size_t settings_count;

const struct setting *setting_find(const char *name); /* NULL if it may not be changed */
/* Is this text a value of it, in the one form that is stored ("4", "1", "24.8")? -EINVAL with the rule, without the
 * setting's name. */
OH_MUST_CHECK int setting_check(const struct setting *s, const char *value, struct err *err);
