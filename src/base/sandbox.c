/* Gives up rights that a role does not need: no_new_privs, Landlock, seccomp. */
#include "base/sandbox.h"

#include <linux/sched.h>
#include <seccomp.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>

/* Landlock as of ABI 6 (Documentation/userspace-api/landlock.rst); our headers may be older than the kernel. */
#define FS_EXECUTE (1ULL << 0)
#define FS_WRITE_FILE (1ULL << 1)
#define FS_READ_FILE (1ULL << 2)
#define FS_READ_DIR (1ULL << 3)
#define FS_ABI_1 ((1ULL << 13) - 1)
#define FS_REFER (1ULL << 13)    /* ABI 2 */
#define FS_TRUNCATE (1ULL << 14) /* ABI 3 */
#define NET_BIND_TCP (1ULL << 0) /* ABI 4 */
#define NET_CONNECT_TCP (1ULL << 1)
#define SCOPE_SIGNAL (1ULL << 1) /* ABI 6 */
#define RULE_PATH_BENEATH 1
#define RULESET_VERSION 1
#define SYS_ll_create_ruleset 444
#define SYS_ll_add_rule 445
#define SYS_ll_restrict_self 446

struct ruleset_attr {
    uint64_t fs, net, scoped;
};
struct path_attr {
    uint64_t allowed;
    int32_t fd;
} __attribute__((packed));

/* What the C library, OpenSSL and the resolver read on their own. */
static const char *const always_read[] = {"/etc/ssl",
                                          "/etc/resolv.conf",
                                          "/etc/hosts",
                                          "/etc/nsswitch.conf",
                                          "/etc/host.conf",
                                          "/etc/gai.conf",
                                          "/etc/localtime",
                                          "/etc/passwd",
                                          "/etc/group",
                                          "/etc/ld.so.cache",
                                          "/etc/services",
                                          "/usr/lib",
                                          "/usr/share/locale",
                                          "/usr/share/zoneinfo",
                                          "/usr/share/ca-certificates",
                                          "/usr/local/share",
                                          "/lib",
                                          "/lib64",
                                          "/run/systemd/resolve",
                                          "/dev/urandom",
                                          "/dev/random",
                                          "/proc/self",
                                          "/proc/sys/kernel",
                                          "/proc/sys/vm",
                                          "/proc/meminfo",
                                          "/proc/stat",
                                          "/proc/cpuinfo",
                                          "/sys/devices/system/cpu",
                                          NULL};
static const char *const always_write[] = {"/dev/null", NULL};

static int add_paths(int ruleset, const char *const *paths, uint64_t allowed, struct err *err)
{
    for (; paths && *paths; paths++) {
        struct stat st;
        autoclose int fd = open(*paths, O_PATH | O_CLOEXEC);
        if (fd < 0)
            continue;
        if (fstat(fd, &st) < 0)
            return err_set_errno(err, -errno, "cannot stat %s", *paths);
        /* Rights that only folders have may not be asked for on a file. */
        uint64_t fits =
            S_ISDIR(st.st_mode) ? allowed : allowed & (FS_EXECUTE | FS_WRITE_FILE | FS_READ_FILE | FS_TRUNCATE);
        struct path_attr attr = {fits, fd};
        if (syscall(SYS_ll_add_rule, ruleset, RULE_PATH_BENEATH, &attr, 0) < 0)
            return err_set_errno(err, -errno, "cannot name %s to Landlock", *paths);
    }
    return 0;
}

static int apply_landlock(const struct sandbox_rules *rules, struct sandbox_report *report, struct err *err)
{
    long abi = syscall(SYS_ll_create_ruleset, NULL, 0, RULESET_VERSION);
    struct ruleset_attr attr = {FS_ABI_1 | (abi >= 2 ? FS_REFER : 0) | (abi >= 3 ? FS_TRUNCATE : 0), 0, 0};
    size_t size = abi >= 6 ? 24 : abi >= 4 ? 16 : 8;
    if (abi < 1)
        return 0;
    if (abi >= 4)
        attr.net =
            (rules->allow & SANDBOX_LISTEN ? 0 : NET_BIND_TCP) | (rules->allow & SANDBOX_INET ? 0 : NET_CONNECT_TCP);
    if (abi >= 6 && !(rules->allow & SANDBOX_SIGNAL))
        attr.scoped = SCOPE_SIGNAL;
    uint64_t read = FS_READ_FILE | FS_READ_DIR | (rules->allow & SANDBOX_EXEC ? FS_EXECUTE : 0);
    uint64_t write = attr.fs & ~FS_EXECUTE;
    autoclose int fd = (int)syscall(SYS_ll_create_ruleset, &attr, size, 0);
    int r;
    if (fd < 0)
        return err_set_errno(err, -errno, "cannot make a Landlock ruleset");
    if ((r = add_paths(fd, always_read, read, err)) < 0 || (r = add_paths(fd, rules->read, read, err)) < 0 ||
        (r = add_paths(fd, always_write, write, err)) < 0 || (r = add_paths(fd, rules->write, write, err)) < 0)
        return r;
    if (syscall(SYS_ll_restrict_self, fd, 0) < 0)
        return err_set_errno(err, -errno, "cannot put the Landlock ruleset in force");
    report->landlock = (int)abi;
    return 0;
}

#define NR(name) SCMP_SYS(name)
static const int never[] = {NR(ptrace),
                            NR(process_vm_readv),
                            NR(process_vm_writev),
                            NR(process_madvise),
                            NR(kcmp),
                            NR(pidfd_getfd),
                            NR(mount),
                            NR(umount2),
                            NR(pivot_root),
                            NR(chroot),
                            NR(open_tree),
                            NR(move_mount),
                            NR(fsopen),
                            NR(fsconfig),
                            NR(fsmount),
                            NR(fspick),
                            NR(mount_setattr),
                            NR(swapon),
                            NR(swapoff),
                            NR(quotactl),
                            NR(quotactl_fd),
                            NR(acct),
                            NR(init_module),
                            NR(finit_module),
                            NR(delete_module),
                            NR(kexec_load),
                            NR(kexec_file_load),
                            NR(reboot),
                            NR(add_key),
                            NR(request_key),
                            NR(keyctl),
                            NR(bpf),
                            NR(perf_event_open),
                            NR(userfaultfd),
                            NR(io_uring_setup),
                            NR(io_uring_enter),
                            NR(io_uring_register),
                            NR(unshare),
                            NR(setns),
                            NR(settimeofday),
                            NR(clock_settime),
                            NR(clock_adjtime),
                            NR(adjtimex),
                            NR(iopl),
                            NR(ioperm),
                            NR(modify_ldt),
                            NR(personality),
                            NR(open_by_handle_at),
                            NR(name_to_handle_at),
                            NR(lookup_dcookie),
                            NR(vhangup),
                            NR(sethostname),
                            NR(setdomainname),
                            NR(syslog),
                            NR(fanotify_init),
                            NR(migrate_pages),
                            NR(move_pages),
                            NR(mbind),
                            NR(set_mempolicy),
                            NR(vmsplice),
                            NR(uselib),
                            NR(ustat),
                            NR(sysfs),
                            NR(nfsservctl),
                            NR(mknod),
                            NR(mknodat)};
static const int executing[] = {NR(execve), NR(execveat), NR(fork), NR(vfork)};
static const int listening[] = {NR(listen), NR(accept), NR(accept4)};
static const int signalling[] = {NR(pidfd_send_signal), NR(rt_sigqueueinfo), NR(rt_tgsigqueueinfo), NR(tkill)};
static const int families[] = {AF_UNIX, AF_INET, AF_INET6, AF_NETLINK}; /* netlink: the resolver asks for addresses */

static int deny_all(scmp_filter_ctx ctx, const int *calls, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        int r = seccomp_rule_add(ctx, SCMP_ACT_ERRNO(EPERM), calls[i], 0);
        /* A call that this architecture never had needs no rule. */
        if (r < 0 && r != -EDOM && r != -EINVAL)
            return r;
    }
    return 0;
}

#define DENY(call, n, ...) seccomp_rule_add(ctx, SCMP_ACT_ERRNO(EPERM), NR(call), n, __VA_ARGS__)

static int deny_processes(scmp_filter_ctx ctx, unsigned allow)
{
    static const uint64_t namespaces[] = {CLONE_NEWNS,  CLONE_NEWUTS, CLONE_NEWIPC,   CLONE_NEWUSER,
                                          CLONE_NEWPID, CLONE_NEWNET, CLONE_NEWCGROUP};
    /* clone3 hides its flags behind a pointer; without it the C library falls back to clone. */
    int r = seccomp_rule_add(ctx, SCMP_ACT_ERRNO(ENOSYS), NR(clone3), 0);
    for (size_t i = 0; i < ARRAY_SIZE(namespaces) && r == 0; i++)
        r = DENY(clone, 1, SCMP_A0(SCMP_CMP_MASKED_EQ, namespaces[i], namespaces[i]));
    if (r == 0 && !(allow & SANDBOX_EXEC))
        r = DENY(clone, 1, SCMP_A0(SCMP_CMP_MASKED_EQ, CLONE_THREAD, 0));
    if (r == 0 && !(allow & SANDBOX_EXEC))
        r = deny_all(ctx, executing, ARRAY_SIZE(executing));
    if (r == 0 && !(allow & SANDBOX_THREADS))
        r = DENY(clone, 1, SCMP_A0(SCMP_CMP_MASKED_EQ, CLONE_THREAD, CLONE_THREAD));
    if (r == 0 && !(allow & SANDBOX_SIGNAL)) {
        scmp_datum_t self = (scmp_datum_t)getpid();
        r = deny_all(ctx, signalling, ARRAY_SIZE(signalling));
        /* Only the lower half counts: a pid is an int. */
        if (r == 0)
            r = DENY(kill, 1, SCMP_A0(SCMP_CMP_NE, self));
        if (r == 0)
            r = DENY(tgkill, 1, SCMP_A0(SCMP_CMP_NE, self));
    }
    return r;
}

static int deny_sockets(scmp_filter_ctx ctx, unsigned allow)
{
    int r = 0;
    for (int family = 0; family < 64 && r == 0; family++) {
        bool known = false;
        for (size_t i = 0; i < ARRAY_SIZE(families); i++)
            known |= families[i] == family;
        if (!known || (!(allow & SANDBOX_INET) && (family == AF_INET || family == AF_INET6)))
            r = DENY(socket, 1, SCMP_A0(SCMP_CMP_EQ, (scmp_datum_t)family));
    }
    if (r == 0)
        r = DENY(socket, 1, SCMP_A0(SCMP_CMP_GE, 64));
    if (r == 0)
        r = DENY(ioctl, 1, SCMP_A1(SCMP_CMP_EQ, TIOCSTI));
    if (r == 0 && !(allow & SANDBOX_LISTEN))
        r = deny_all(ctx, listening, ARRAY_SIZE(listening));
    return r;
}

static int apply_seccomp(const struct sandbox_rules *rules, struct sandbox_report *report, struct err *err)
{
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
    return 0; /* the leak checker traces its own process at exit */
#elif defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer)
    return 0;
#endif
#endif
    if (prctl(PR_GET_SECCOMP, 0, 0, 0, 0) < 0)
        return 0;
    scmp_filter_ctx ctx = seccomp_init(SCMP_ACT_ALLOW);
    if (!ctx)
        return err_set(err, -ENOMEM, "cannot make a seccomp filter");
    /* Calls by another architecture's numbers would pass unseen: end such a process. */
    int r = seccomp_attr_set(ctx, SCMP_FLTATR_ACT_BADARCH, SCMP_ACT_KILL_PROCESS);
    if (r == 0)
        r = deny_all(ctx, never, ARRAY_SIZE(never));
    if (r == 0)
        r = deny_processes(ctx, rules->allow);
    if (r == 0)
        r = deny_sockets(ctx, rules->allow);
    if (r == 0)
        r = seccomp_load(ctx);
    seccomp_release(ctx);
    if (r < 0)
        return err_set_errno(err, r, "cannot put the seccomp filter in force");
    report->seccomp = true;
    return 0;
}

int sandbox_apply(const struct sandbox_rules *rules, struct sandbox_report *ret, struct err *err)
{
    struct sandbox_report report = {0};
    int r;
    if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0)
        return err_set_errno(err, -errno, "cannot set no_new_privs");
    report.no_new_privs = true;
    if (rules->read && (r = apply_landlock(rules, &report, err)) < 0)
        return r;
    if ((r = apply_seccomp(rules, &report, err)) < 0)
        return r;
    *ret = report;
    return 0;
}

void sandbox_describe(const struct sandbox_report *r, char out[64])
{
    int n = snprintf(out, 64, "%s", r->no_new_privs ? "no_new_privs" : "");
    if (r->landlock)
        n += snprintf(out + n, 64 - (size_t)n, "%slandlock-%d", n ? " " : "", r->landlock);
    if (r->seccomp)
        n += snprintf(out + n, 64 - (size_t)n, "%sseccomp", n ? " " : "");
    if (!n)
        snprintf(out, 64, "none");
}
