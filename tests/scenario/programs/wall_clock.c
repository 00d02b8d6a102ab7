/* Preloaded into an agent by tests: the wall clock of its gate, or of the role that WALL_CLOCK_ROLE names, is off by
 * the seconds that stand in a file, now; every other clock, and every other process, is left alone. */
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

static int offset_fd = -1;

static bool is_meant(void)
{
    const char *role = getenv("WALL_CLOCK_ROLE");
    char line[4096], words[40];
    int len = snprintf(words, sizeof(words), "--role%c%s", '\0', role ? role : "gate") + 1;
    int fd = open("/proc/self/cmdline", O_RDONLY | O_CLOEXEC);
    ssize_t n = fd < 0 ? 0 : read(fd, line, sizeof(line));
    if (fd >= 0)
        close(fd);
    return n > 0 && memmem(line, (size_t)n, words, (size_t)len);
}

/* Opened before the role gives up the right to open files. */
__attribute__((constructor)) static void begin(void)
{
    const char *path = getenv("WALL_CLOCK_FILE");
    if (path && is_meant())
        offset_fd = open(path, O_RDONLY | O_CLOEXEC);
}

static long long offset(void)
{
    char text[32] = "";
    return offset_fd < 0 || pread(offset_fd, text, sizeof(text) - 1, 0) <= 0 ? 0 : atoll(text);
}

int clock_gettime(clockid_t id, struct timespec *ts)
{
    int r = (int)syscall(SYS_clock_gettime, id, ts);
    if (r == 0 && (id == CLOCK_REALTIME || id == CLOCK_REALTIME_COARSE))
        ts->tv_sec += offset();
    return r;
}

int gettimeofday(struct timeval *restrict tv, void *restrict zone)
{
    struct timespec ts;
    int r = clock_gettime(CLOCK_REALTIME, &ts);
    if (r == 0)
        *tv = (struct timeval){.tv_sec = ts.tv_sec, .tv_usec = ts.tv_nsec / 1000};
    return r;
}

time_t time(time_t *ret)
{
    struct timespec ts = {0};
    clock_gettime(CLOCK_REALTIME, &ts);
    if (ret)
        *ret = ts.tv_sec;
    return ts.tv_sec;
}
