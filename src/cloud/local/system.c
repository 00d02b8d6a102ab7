/* The machine's network, by its own tools: commands, namespaces, links, settings. */
#include "cloud/local/internal.h"

#include "base/fs.h"

#include <linux/magic.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <sys/stat.h>
#include <sys/statfs.h>

#ifndef NSFS_MAGIC
#define NSFS_MAGIC 0x6e736673
#endif

int local_run(const char *const *argv, const char *input, struct buf *out, struct err *err)
{
    return proc_run(argv, input, 15000, out, err);
}

struct inside {
    const char *netns;
    local_inside_fn fn;
    void *data;
    struct err err;
    int result;
};

static void *inside_thread(void *data)
{
    struct inside *in = data;
    autofree char *path = mem_printf(LOCAL_NETNS_DIR "/%s", in->netns);
    autoclose int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        in->result = err_set_errno(&in->err, -errno, "cannot open the network namespace %s", in->netns);
    else if (setns(fd, CLONE_NEWNET) < 0)
        in->result = err_set_errno(&in->err, -errno, "cannot enter the network namespace %s", in->netns);
    else
        in->result = in->fn(in->data, &in->err);
    return NULL;
}

int local_inside(const char *netns, local_inside_fn fn, void *data, struct err *err)
{
    /* A thread of its own: it ends there, so nothing else ever finds itself in the wrong network. */
    struct inside in = {.netns = netns, .fn = fn, .data = data};
    pthread_t thread;
    sigset_t all, old;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &old);
    int r = -pthread_create(&thread, NULL, inside_thread, &in);
    pthread_sigmask(SIG_SETMASK, &old, NULL);
    if (r < 0)
        return err_set_errno(err, r, "cannot start a thread");
    pthread_join(thread, NULL);
    if (in.result < 0)
        err_set(err, in.result, "%s", in.err.message);
    return in.result;
}

uint64_t local_netns_inode(const char *netns)
{
    struct statfs fs;
    struct stat st;
    autofree char *path = mem_printf(LOCAL_NETNS_DIR "/%s", netns);
    if (statfs(path, &fs) < 0 || fs.f_type != NSFS_MAGIC || stat(path, &st) < 0)
        return 0;
    return st.st_ino;
}

static int show(const char *what, const char *device, json_t **ret, struct err *err)
{
    autobuf struct buf out = BUF_INIT_MAX(KIB(256));
    struct err said = ERR_INIT;
    autojson json_t *list = NULL;
    int r = LOCAL_RUN(NULL, &out, &said, "ip", "-j", what, "show", "dev", device);
    if (r < 0 && strstr(said.message, "does not exist"))
        return 0;
    if (r < 0)
        return err_set(err, r, "%s", said.message);
    r = js_parse(out.data ? out.data : "", out.len, KIB(256), &list, err);
    if (r < 0)
        return err_wrap(err, r, "ip -j %s show", what);
    *ret = json_incref(json_array_get(list, 0));
    return 0;
}

int local_link_show(const char *device, json_t **ret, struct err *err)
{
    autojson json_t *link = NULL, *address OH_CLEANUP(js_decrefp) = NULL;
    *ret = NULL;
    /* Each of the two says something that the other leaves out: the alias, the addresses. */
    int r = show("link", device, &link, err);
    if (r == 0 && link)
        r = show("addr", device, &address, err);
    if (r < 0 || !address)
        return r;
    json_object_update_missing(link, address);
    *ret = TAKE_PTR(link);
    return 0;
}

const char *local_link_alias(const json_t *link)
{
    const char *alias = json_string_value(json_object_get(link, "ifalias"));
    return alias ? alias : "";
}

bool local_link_has(const json_t *link, const char *address)
{
    size_t i;
    json_t *v;
    json_array_foreach(json_object_get(link, "addr_info"), i, v)
    {
        const char *local = json_string_value(json_object_get(v, "local"));
        autofree char *text =
            mem_printf("%s/%lld", local ? local : "", (long long)json_integer_value(json_object_get(v, "prefixlen")));
        if (!strcmp(text, address))
            return true;
    }
    return false;
}

bool local_link_up(const json_t *link)
{
    size_t i;
    json_t *v;
    json_array_foreach(json_object_get(link, "flags"), i, v)
    {
        if (json_is_string(v) && !strcmp(json_string_value(v), "UP"))
            return true;
    }
    return false;
}

int local_link_ours(const json_t *link, const char *device, const char *infrastructure, struct err *err)
{
    /* Without any tag it is what a crash between making and tagging left: the name is ours alone. */
    const char *alias = local_link_alias(link);
    if (!*alias || !strcmp(alias, infrastructure))
        return 0;
    return err_set(
        err, -EEXIST,
        "the network device %s exists and is tagged \"%.60s\", not %s: remove it, or make the infrastructure "
        "under another id",
        device, alias, infrastructure);
}

int local_sysctl(const char *key, const char *value, struct err *err)
{
    autofree char *path = mem_printf("/proc/sys/net/%s", key);
    autoclose int fd = open(path, O_WRONLY | O_CLOEXEC);
    if (fd < 0 && errno == ENOENT)
        return 0;
    if (fd < 0 || write(fd, value, strlen(value)) < 0)
        return err_set_errno(err, -errno, "cannot set %s to %s", path, value);
    return 0;
}

bool local_sysctl_is(const char *key, const char *value)
{
    char text[64];
    autofree char *path = mem_printf("/proc/sys/net/%s", key);
    autoclose int fd = open(path, O_RDONLY | O_CLOEXEC);
    ssize_t n = fd < 0 ? -1 : read(fd, text, sizeof(text) - 1);
    if (n < 0)
        return fd < 0 && errno == ENOENT;
    text[n] = 0;
    text[strcspn(text, "\n")] = 0;
    return !strcmp(text, value);
}
