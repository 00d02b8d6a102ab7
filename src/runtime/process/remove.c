/* Removal of a workload: its files go in a helper process, then the traces of the request. */
#include "runtime/process/engine.h"

#include "base/fs.h"

#include <signal.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#define RENAME_NOREPLACE_FLAG 1U

static char *part(const struct unit *u, const char *folder, const char *suffix)
{
    return mem_printf("%s/%s/%s.json%s", u->engine->dir, folder, u->name, suffix);
}

/* Deleting a database's files takes long, so it is not done in the loop; the helper does not outlive us. */
static OH_NORETURN void helper(const struct unit *u, int out)
{
    autoarena struct arena *arena = arena_new();
    struct sigaction dfl = {.sa_handler = SIG_DFL};
    struct placement p;
    struct err err = ERR_INIT;
    sigset_t none;
    sigemptyset(&none);
    for (int sig = 1; sig < NSIG; sig++)
        sigaction(sig, &dfl, NULL);
    sigprocmask(SIG_SETMASK, &none, NULL);
    close(u->engine->lock); /* a helper on its way out must not keep the next supervisor waiting */
    int r = placement_read(u->engine->dir, u->name, arena, &p, NULL);
    /* A request that vanished keeps every volume. */
    r = material_remove(u->engine->dir, u->name, r == 0 && p.remove ? &p : NULL, &err);
    if (r < 0 && write(out, err.message, strlen(err.message)) < 0)
        _exit(2);
    _exit(r < 0);
}

int remove_begin(struct unit *u, struct err *err)
{
    int pair[2];
    pid_t self = getpid();
    if (pipe2(pair, O_CLOEXEC | O_NONBLOCK) < 0)
        return err_set_errno(err, -errno, "cannot make a pipe");
    fflush(NULL);
    pid_t pid = fork();
    if (pid == 0) {
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        if (getppid() != self)
            _exit(2);
        helper(u, pair[1]);
    }
    int code = -errno;
    close(pair[1]);
    if (pid < 0) {
        close(pair[0]);
        return err_set_errno(err, code, "cannot start a process that deletes files");
    }
    u->helper = pid;
    u->helper_said = pair[0];
    u->removing = u->wish.present ? u->wish.seen.st_ino : 0;
    return 0;
}

static void failed(struct unit *u, int status)
{
    char said[200];
    ssize_t n = read(u->helper_said, said, sizeof(said) - 1);
    said[MAX(n, (ssize_t)0)] = 0;
    if (n <= 0)
        snprintf(said, sizeof(said), "deleting its files failed (status %d)", status);
    int64_t wait = restart_next(&u->restart, 0);
    u->not_before = engine_now(u->engine) + wait;
    engine_event(u->engine, SUPERVISE_ERROR, u->name, "%s; trying again in %lld ms", said, (long long)wait);
    unit_set_state(u, PLACEMENT_FAILED, said);
}

/* Publishes the request as kept/NAME.json if data stayed behind, else drops it; `moved` is it, out of want/. */
static void conclude(const char *moved, const char *kept, const struct placement *p)
{
    if (p->remove == PLACEMENT_PURGE) {
        unlink(kept);
        unlink(moved);
    } else if (!material_keeps(p) || rename(moved, kept) < 0) {
        unlink(moved);
    }
}

/* Takes the request out of want/ unless it was replaced meanwhile: a new wish is never lost. */
static void take_request(struct unit *u)
{
    autofree char *want = part(u, "want", ""), *moved = part(u, "kept", ".moved"), *kept = part(u, "kept", "");
    autoarena struct arena *arena = arena_new();
    struct placement p;
    struct stat st;
    if (!u->removing || placement_read(u->engine->dir, u->name, arena, &p, NULL) < 0 || !p.remove)
        return;
    if (rename(want, moved) < 0)
        return;
    if (stat(moved, &st) < 0 || st.st_ino != u->removing) {
        /* Written in the moment before: back with it, unless a newer one is there already. */
        if (syscall(SYS_renameat2, AT_FDCWD, moved, AT_FDCWD, want, RENAME_NOREPLACE_FLAG) < 0)
            unlink(moved);
        return;
    }
    conclude(moved, kept, &p);
}

void remove_ended(struct unit *u, int status)
{
    u->helper = 0;
    u->phase = PHASE_DOWN;
    if (!WIFEXITED(status) || WEXITSTATUS(status))
        failed(u, status);
    close(u->helper_said);
    u->helper_said = -1;
    engine_wake(u->engine);
    if (!WIFEXITED(status) || WEXITSTATUS(status))
        return;
    autofree char *have = part(u, "have", "");
    take_request(u);
    u->engine->rescan = true;
    wish_refresh(u);
    if (u->wish.present)
        return; /* wanted again meanwhile */
    unlink(have);
    u->gone = true;
    engine_event(u->engine, SUPERVISE_INFO, u->name, "removed");
}

void remove_settle(struct engine *e)
{
    autofree char *folder = mem_printf("%s/kept", e->dir);
    static const char suffix[] = ".json.moved";
    uv_fs_t req;
    uv_dirent_t ent;
    if (uv_fs_scandir(NULL, &req, folder, 0, NULL) >= 0) {
        while (uv_fs_scandir_next(&req, &ent) >= 0) {
            size_t len = strlen(ent.name), n = sizeof(suffix) - 1;
            if (len <= n || strcmp(ent.name + len - n, suffix))
                continue;
            autofree char *moved = mem_printf("%s/%s", folder, ent.name), *kept = mem_strndup(moved, strlen(moved) - 6),
                          *text = NULL;
            autoarena struct arena *arena = arena_new();
            size_t text_len = 0;
            struct placement p;
            if (fs_read(moved, PLACEMENT_MAX_BYTES, &text, &text_len, NULL) < 0 ||
                placement_parse(text, text_len, arena, &p, NULL) < 0)
                continue;
            if (p.remove) {
                conclude(moved, kept, &p);
                continue;
            }
            /* A wish that was to be put back. */
            autofree char *want = mem_printf("%s/want/%s.json", e->dir, p.workload.name);
            if (syscall(SYS_renameat2, AT_FDCWD, moved, AT_FDCWD, want, RENAME_NOREPLACE_FLAG) < 0)
                unlink(moved);
        }
    }
    uv_fs_req_cleanup(&req);
}
