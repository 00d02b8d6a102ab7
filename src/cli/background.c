/* Detached programs and their lock files. */
#include "cli/background.h"

#include "base/clock.h"
#include "base/fs.h"
#include "base/js.h"
#include "base/mem.h"

#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/wait.h>

extern char **environ;

#define LOG_ROTATE_BYTES ((off_t)MIB(8))
#define LAST_WORDS_BYTES 4096

/* What nobody rotates while it is written is moved aside once when it is started again. */
static void rotate(const char *log_path)
{
    struct stat st;
    autofree char *old = mem_printf("%s.1", log_path);
    if (stat(log_path, &st) == 0 && st.st_size > LOG_ROTATE_BYTES)
        (void)!rename(log_path, old);
}

int background_start(const char *const *argv, const char *log_path, pid_t *ret, struct err *err)
{
    posix_spawn_file_actions_t fa;
    posix_spawnattr_t attr;
    sigset_t none, all;
    rotate(log_path);
    posix_spawn_file_actions_init(&fa);
    posix_spawn_file_actions_addopen(&fa, 0, "/dev/null", O_RDONLY, 0);
    posix_spawn_file_actions_addopen(&fa, 1, log_path, O_WRONLY | O_CREAT | O_APPEND, 0600);
    posix_spawn_file_actions_adddup2(&fa, 1, 2);
    posix_spawn_file_actions_addclosefrom_np(&fa, 3);
    posix_spawn_file_actions_addchdir_np(&fa, "/");
    posix_spawnattr_init(&attr);
    sigemptyset(&none);
    sigfillset(&all);
    posix_spawnattr_setsigmask(&attr, &none);
    posix_spawnattr_setsigdefault(&attr, &all);
    posix_spawnattr_setflags(&attr, POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF | POSIX_SPAWN_SETSID);
    int r = -posix_spawn(ret, argv[0], &fa, &attr, (char *const *)(uintptr_t)argv, environ);
    posix_spawn_file_actions_destroy(&fa);
    posix_spawnattr_destroy(&attr);
    return r < 0 ? err_set_errno(err, r, "cannot start %s (log: %s)", argv[0], log_path) : 0;
}

static bool locked(int fd)
{
    if (flock(fd, LOCK_SH | LOCK_NB) == 0) {
        flock(fd, LOCK_UN);
        return false;
    }
    return errno == EWOULDBLOCK;
}

/* Lines like `5: FLOCK  ADVISORY  WRITE 4711 fe:00:131099 0 EOF`; 0 when the file is not among them. */
static pid_t listed_holder(const struct stat *st)
{
    char line[256];
    autofclose FILE *f = fopen("/proc/locks", "re");
    while (f && fgets(line, sizeof(line), f)) {
        unsigned major_, minor_;
        unsigned long inode;
        int pid;
        if (sscanf(line, "%*d: FLOCK %*s WRITE %d %x:%x:%lu", &pid, &major_, &minor_, &inode) == 4 && pid > 0 &&
            inode == st->st_ino && major_ == major(st->st_dev) && minor_ == minor(st->st_dev))
            return pid;
    }
    return 0;
}

int background_find(const char *lock_path, struct proc_id *ret)
{
    struct proc_id id;
    struct stat st;
    autoclose int fd = open(lock_path, O_RDONLY | O_CLOEXEC);
    if (fd < 0 || fstat(fd, &st) < 0 || !locked(fd))
        return -ESRCH;
    pid_t pid = listed_holder(&st);
    if (!pid || proc_identify(pid, &id) < 0)
        return -ESRCH;
    /* Listed still after its start time was read: it was the holder all along. */
    if (listed_holder(&st) != pid)
        return -ESRCH;
    *ret = id;
    return 0;
}

int background_stop(const struct proc_id *id, int grace_ms, void (*waiting)(void *data), void *data, bool *ret_killed,
                    struct err *err)
{
    int64_t deadline = clock_mono_ms(&clock_system) + grace_ms;
    bool killed = false;
    int r = proc_kill(id, SIGTERM);
    while (r == 0) {
        autoclose int fd = proc_open(id);
        struct pollfd p = {fd, POLLIN, 0};
        if (fd < 0 || poll(&p, 1, 200) > 0)
            break;
        if (waiting)
            waiting(data);
        if (!killed && clock_mono_ms(&clock_system) > deadline) {
            killed = true;
            r = proc_kill(id, SIGKILL);
        }
    }
    if (ret_killed)
        *ret_killed = killed;
    if (r < 0 && r != -ESRCH)
        return err_set_errno(err, r, "cannot stop process %d", (int)id->pid);
    return 0;
}

/* {"level":"error","message":"cannot bind","error":"..."} reads better as "cannot bind: ...". */
static char *plain(const char *line)
{
    autojson json_t *v = NULL;
    const char *message = NULL, *error = NULL;
    if (js_parse(line, strlen(line), LAST_WORDS_BYTES, &v, NULL) < 0 || !json_is_object(v))
        return mem_strdup(line);
    (void)!js_string_opt(v, "", "message", LAST_WORDS_BYTES, &message, NULL);
    (void)!js_string_opt(v, "", "error", LAST_WORDS_BYTES, &error, NULL);
    if (!message)
        return mem_strdup(line);
    return error ? mem_printf("%s: %s", message, error) : mem_strdup(message);
}

char *background_last_words(const char *log_path)
{
    char text[LAST_WORDS_BYTES + 1];
    autoclose int fd = open(log_path, O_RDONLY | O_CLOEXEC);
    off_t end = fd < 0 ? 0 : lseek(fd, 0, SEEK_END);
    ssize_t n = end > 0 ? pread(fd, text, LAST_WORDS_BYTES, MAX(end - LAST_WORDS_BYTES, (off_t)0)) : 0;
    if (n <= 0)
        return mem_strdup("");
    while (n > 0 && text[n - 1] == '\n')
        n--;
    text[n] = 0;
    const char *start = strrchr(text, '\n');
    return plain(start ? start + 1 : text);
}
