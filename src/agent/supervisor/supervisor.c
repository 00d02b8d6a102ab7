/* The supervisor role: the process runtime's engine, with a log. */
#include "agent/role.h"

#include "base/log.h"
#include "base/mem.h"
#include "runtime/process/supervise.h"

#define LOCK_WAIT_MS 5000

static void on_event(void *data OH_UNUSED, enum supervise_level level, const char *workload, const char *message)
{
    static const enum log_level levels[] = {LOG_LEVEL_INFO, LOG_LEVEL_WARN, LOG_LEVEL_ERROR};
    log_write(levels[level], message, "workload", workload, NULL);
}

int role_supervise_folder(const char *dir)
{
    struct supervise_options options = {
        .dir = dir, .lock_wait_ms = LOCK_WAIT_MS, .clock = &clock_system, .event = on_event};
    enum supervise_end end = SUPERVISE_STOPPED;
    struct err err = ERR_INIT;
    if (supervise_run(&options, &end, &err) == 0)
        return 0;
    log_error("the supervisor cannot run", "folder", dir, "error", err.message);
    return 1;
}

int role_supervisor_main(struct agent_role *r)
{
    autofree char *dir = agent_path(&r->config, "runtime");
    return role_supervise_folder(dir);
}
