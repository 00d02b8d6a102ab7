/* A path with delay, rate and loss between two network namespaces, where the kernel has no netem: one TUN device on
 * each side, and this program in between. usage: wan NETNS DELAY_MS MBITS LOSS_PERCENT; interfaces `wan`, 10.77.0.1
 * here and 10.77.0.2 there. */
#include "base/mem.h"
#include "base/util.h"

#include <fcntl.h>
#include <linux/if_tun.h>
#include <net/if.h>
#include <poll.h>
#include <sched.h>
#include <sys/ioctl.h>
#include <time.h>
#include <unistd.h>

#define QUEUE_BYTES MIB(2) /* what waits for the bottleneck; beyond it packets are dropped, as a router does */
#define PACKETS 65536      /* of one direction, those under way included; a power of two */
#define PACKET_MAX 2048

struct packet {
    int64_t arrives_ns;
    int len;
    unsigned char *data;
};

struct way {
    int from, to;
    struct packet ring[PACKETS];
    unsigned head, tail;
    int64_t free_ns; /* when the bottleneck is free again */
};

static int64_t delay_ns, rate_bits;
static uint64_t seed = 88172645463325252u;
static double loss;

static int64_t now_ns(void)
{
    struct timespec ts;
    clock_gettime(CLOCK_MONOTONIC, &ts);
    return ts.tv_sec * 1000000000LL + ts.tv_nsec;
}

static bool lost(void)
{
    seed ^= seed << 13;
    seed ^= seed >> 7;
    seed ^= seed << 17;
    return (double)(seed >> 11) / (double)(1ull << 53) < loss;
}

static void take(struct way *w)
{
    unsigned char data[PACKET_MAX];
    ssize_t n;
    while ((n = read(w->from, data, sizeof(data))) > 0) {
        int64_t now = now_ns(), begins = MAX(now, w->free_ns);
        if (lost() || (begins - now) * rate_bits / 8 / 1000000000 > (int64_t)QUEUE_BYTES ||
            w->tail - w->head == PACKETS)
            continue;
        struct packet *p = &w->ring[w->tail++ % PACKETS];
        w->free_ns = begins + (int64_t)n * 8 * 1000000000 / rate_bits;
        *p = (struct packet){.arrives_ns = w->free_ns + delay_ns, .len = (int)n, .data = mem_alloc((size_t)n)};
        memcpy(p->data, data, (size_t)n);
    }
}

/* Hands over what has arrived; the nanoseconds until the next does. */
static int64_t give(struct way *w)
{
    while (w->head != w->tail) {
        struct packet *p = &w->ring[w->head % PACKETS];
        int64_t left = p->arrives_ns - now_ns();
        if (left > 0)
            return left;
        (void)!write(w->to, p->data, (size_t)p->len);
        free(p->data);
        w->head++;
    }
    return 1000000000;
}

static int tun(void)
{
    struct ifreq r = {.ifr_flags = IFF_TUN | IFF_NO_PI};
    int fd = open("/dev/net/tun", O_RDWR | O_NONBLOCK | O_CLOEXEC);
    snprintf(r.ifr_name, sizeof(r.ifr_name), "wan%%d");
    if (fd < 0 || ioctl(fd, TUNSETIFF, &r) < 0) {
        perror("a TUN device");
        exit(1);
    }
    printf("%s\n", r.ifr_name);
    return fd;
}

int main(int argc, char **argv)
{
    if (argc != 5)
        return 2;
    autofree char *path = mem_printf("/run/netns/%s", argv[1]);
    struct way *out = mem_alloc(sizeof(*out)), *back = mem_alloc(sizeof(*back));
    autoclose int there = open(path, O_RDONLY | O_CLOEXEC);
    delay_ns = (int64_t)(atof(argv[2]) * 1000000);
    rate_bits = (int64_t)(atof(argv[3]) * 1000000);
    loss = atof(argv[4]) / 100;
    out->from = back->to = tun();
    if (there < 0 || setns(there, CLONE_NEWNET) < 0) {
        perror(path);
        return 1;
    }
    out->to = back->from = tun();
    fflush(stdout);
    for (;;) {
        struct pollfd fds[] = {{out->from, POLLIN, 0}, {back->from, POLLIN, 0}};
        int64_t a = give(out), b = give(back), left = MIN(a, b);
        struct timespec wait = {left / 1000000000, left % 1000000000};
        ppoll(fds, 2, &wait, NULL);
        take(out);
        take(back);
    }
}
