/* What `ownhouse up` settled for one home folder: ports and programs; kept in <home>/settings.json for the next call.
 *
 * Programs of our own are looked for beside this one (installed), in the build tree it was built in, then on PATH;
 * others on PATH and in /usr/sbin. */
#pragma once

#include "cli/command.h"

#define INSTALL_ACCOUNT "laptop"
#define INSTALL_INFRASTRUCTURE "laptop"
#define INSTALL_SERVICE "demo"

struct install {
    int64_t port;                                  /* console, API, links */
    int64_t ingress_port, native_port;             /* of the laptop's ingress on 127.0.0.1 */
    int64_t service_port_base, service_port_count; /* service number n: base + n */
    char infrastructure[40];                       /* id of the laptop's infrastructure, "" before there is one */
    char *control, *agent, *engine;                /* our programs, absolute */
    char *console;                                 /* folder of the console's built files; "" or NULL: none */
    char *engine_library, *clickhouse;             /* one of them is not "" */
    char *haproxy, *knotd;
};

/* Defaults, or what settings.json says. -ENOENT when there is none and `must_exist`. */
OH_MUST_CHECK int install_load(const struct cli *c, bool must_exist, struct install *ret, struct err *err);
OH_MUST_CHECK int install_save(const struct cli *c, const struct install *i, struct err *err);
void install_free(struct install *i);
#define autoinstall OH_CLEANUP(install_free)

/* Fills the programs; the first missing one is an error that says what to do. `engine_library` and `clickhouse` are
 * what the user named (NULL: look for them). With `isolated`, nft and ip are needed too. */
OH_MUST_CHECK int install_find_programs(struct install *i, const char *engine_library, const char *clickhouse,
                                        bool isolated, struct err *err);

/* Absolute path of a program on PATH or in the system's folders; NULL if there is none. free(). */
char *install_which(const char *name);

/* https://localhost:PORT; free(). */
char *install_base_url(const struct install *i);
