/* What the control plane's unit tests share: a state folder with a store of one infrastructure, and a signer process.
 */
#pragma once

#include "../test.h"
#include "base/keys.h"
#include "control/role.h"
#include "store/store.h"

#include <signal.h>
#include <sys/socket.h>
#include <sys/wait.h>

#define ORG "00000000-0000-4000-8000-000000000001"
#define INFRA "00000000-0000-4000-8000-000000000002"

/* ---- the store ---- */

static inline void sql(struct store *s, const char *text)
{
    struct err err = ERR_INIT;
    if (store_exec(s, text, STORE_NO_ARGS, NULL, &err) < 0)
        fail_msg("%s: %s", text, err.message);
}

static inline int64_t number(struct store *s, const char *text)
{
    autorows struct store_rows *rows = NULL;
    assert_int_equal(store_query(s, text, STORE_NO_ARGS, &rows, NULL), 0);
    assert_int_equal(store_next(rows, NULL), 1);
    return store_column_int(rows, 0);
}

/* The first column of the first row, heap. */
static inline char *words(struct store *s, const char *text)
{
    autorows struct store_rows *rows = NULL;
    assert_int_equal(store_query(s, text, STORE_NO_ARGS, &rows, NULL), 0);
    assert_int_equal(store_next(rows, NULL), 1);
    return mem_strdup(store_column_text(rows, 0));
}

static inline void assert_words(struct store *s, const char *text, const char *expected)
{
    autofree char *got = words(s, text);
    assert_string_equal(got, expected);
}

static inline struct store *new_store(const char *path)
{
    struct store *s = NULL;
    assert_int_equal(store_open(path, STORE_CREATE, &s, NULL), 0);
    sql(s, "INSERT INTO organization (id, name, created_at) VALUES ('" ORG "', 'o', 0)");
    sql(s, "INSERT INTO account (id, organization_id, name, provider, config, created_at) "
           "VALUES ('acc', '" ORG "', 'first', 'local', '{\"isolation\":\"none\"}', 0)");
    sql(s, "INSERT INTO infrastructure (id, organization_id, account_id, name, display_name, provider, region, cidr, "
           "zones, domain, config, state, want, created_at) VALUES ('" INFRA "', '" ORG "', 'acc', 'one', 'One', "
           "'local', 'l', '10.77.0.0/16', '[]', 'one.example', '{}', 'infra-ready', 'present', 0)");
    return s;
}

/* ---- a signer in a process of its own, joined as the parent joins it ---- */

struct signer_process {
    struct role role;     /* the signer's */
    int link, controller; /* the askers' ends */
    pid_t pid;
};

static inline void signer_process_start(struct signer_process *p)
{
    sigset_t term, old;
    /* Blocked over the fork, so that a stop that comes before the signer watches for it waits. */
    sigemptyset(&term);
    sigaddset(&term, SIGTERM);
    sigprocmask(SIG_BLOCK, &term, &old);
    p->pid = fork();
    assert_true(p->pid >= 0);
    if (p->pid == 0) {
        close(p->link);
        close(p->controller);
        _exit(role_signer_main(&p->role));
    }
    sigprocmask(SIG_SETMASK, &old, NULL);
}

static inline void signer_process_init(struct signer_process *p, char *state_dir)
{
    int pair[2];
    *p = (struct signer_process){.role = {.id = ROLE_SIGNER, .config = {.state_dir = state_dir}, .signer = -1}};
    for (int i = 0; i < ROLE_COUNT; i++)
        p->role.bell[i] = p->role.askers[i] = -1;
    assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair), 0);
    p->link = pair[0];
    p->role.askers[ROLE_LINK] = pair[1];
    assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair), 0);
    p->controller = pair[0];
    p->role.askers[ROLE_CONTROLLER] = pair[1];
}

/* Stops it as the parent does. */
static inline void signer_process_stop(struct signer_process *p)
{
    int status = -1;
    kill(p->pid, SIGTERM);
    assert_int_equal(waitpid(p->pid, &status, 0), p->pid);
    assert_true(WIFEXITED(status));
    assert_int_equal(WEXITSTATUS(status), 0);
    p->pid = 0;
}

static inline void signer_process_close(struct signer_process *p)
{
    if (p->pid > 0) {
        kill(p->pid, SIGKILL);
        waitpid(p->pid, NULL, 0);
    }
    int fds[] = {p->link, p->controller, p->role.askers[ROLE_LINK], p->role.askers[ROLE_CONTROLLER]};
    for (size_t i = 0; i < ARRAY_SIZE(fds); i++)
        if (fds[i] >= 0)
            close(fds[i]);
}
