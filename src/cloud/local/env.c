/* Settings of a local infrastructure: checks, addresses, names, folders. Pure. */
#include "cloud/local/internal.h"

#include "base/keys.h"
#include "base/s3.h"

#include <arpa/inet.h>

#define UNIX_PATH_MAX_LEN 107

char *local_path(const struct local_env *e, const char *below)
{
    return mem_printf("%s/%s/%s", e->account_dir, e->name, below);
}

size_t local_outbound_count(const struct local_env *e)
{
    size_t n = 0;
    while (e->outbound && e->outbound[n])
        n++;
    return n;
}

static bool port_parse(const char *text, int *ret)
{
    char *end;
    if (*text < '1' || *text > '9' || strlen(text) > 5)
        return false;
    *ret = (int)strtol(text, &end, 10);
    return !*end && *ret <= 65535;
}

bool local_target_parse(const char *text, char *address, int *port)
{
    const char *colon = strchr(text, ':');
    struct in_addr a;
    if (!colon || colon - text > 15 || !port_parse(colon + 1, port))
        return false;
    memcpy(address, text, (size_t)(colon - text));
    address[colon - text] = 0;
    return inet_pton(AF_INET, address, &a) == 1;
}

int local_cidr_parse(const char *text, uint32_t *ret_address, int *ret_prefix)
{
    char address[16], *end;
    struct in_addr a;
    const char *slash = strchr(text, '/');
    if (!slash || slash - text > 15 || !slash[1] || strlen(slash) > 3)
        return -EINVAL;
    memcpy(address, text, (size_t)(slash - text));
    address[slash - text] = 0;
    long prefix = strtol(slash + 1, &end, 10);
    if (*end || slash[1] < '0' || slash[1] > '9' || prefix > 32 || inet_pton(AF_INET, address, &a) != 1)
        return -EINVAL;
    uint32_t mask = prefix ? ~0u << (32 - prefix) : 0;
    *ret_address = ntohl(a.s_addr) & mask;
    *ret_prefix = (int)prefix;
    return 0;
}

/* Stable and spread: two infrastructures in one range rarely meet. */
static uint32_t spread(const char *infrastructure, uint32_t choices)
{
    unsigned char hash[SHA256_SIZE];
    sha256(infrastructure, strlen(infrastructure), hash);
    uint32_t n = (uint32_t)hash[0] << 24 | (uint32_t)hash[1] << 16 | (uint32_t)hash[2] << 8 | hash[3];
    return n % choices;
}

static void dotted(uint32_t address, char ret[16])
{
    snprintf(ret, 16, "%u.%u.%u.%u", address >> 24, address >> 16 & 255, address >> 8 & 255, address & 255);
}

int cloud_local_addresses(const struct local_env *e, struct local_addresses *ret, struct err *err)
{
    uint32_t network;
    int prefix;
    *ret = (struct local_addresses){0};
    if (!e->isolated) {
        /* The ingress listens on .1; the load balancer speaks to it from .254, whose PROXY headers alone are believed.
         */
        network = 127u << 24 | 77u << 16 | (1 + spread(e->infrastructure, 253)) << 8;
        dotted(network | 1, ret->data_plane);
        dotted(network | 254, ret->gateway);
        dotted(network, ret->network);
        strcat(ret->network, "/24");
        return 0;
    }
    if (local_cidr_parse(e->cidr, &network, &prefix) < 0 || prefix < 8 || prefix > 29)
        return err_set(err, -EINVAL, "cidr: \"%.40s\" is not an IPv4 range from /8 to /29, such as 10.77.0.0/16",
                       e->cidr);
    if (prefix < 24) {
        network |= spread(e->infrastructure, 1u << (24 - prefix)) << 8;
        prefix = 24;
    }
    char base[16];
    dotted(network, base);
    snprintf(ret->network, sizeof(ret->network), "%s/%d", base, prefix);
    dotted(network + 1, ret->gateway);
    dotted(network + 2, ret->data_plane);
    snprintf(ret->netns, sizeof(ret->netns), "oh-%.8s", e->infrastructure);
    snprintf(ret->bridge, sizeof(ret->bridge), "ohb-%.8s", e->infrastructure);
    snprintf(ret->veth, sizeof(ret->veth), "ohv-%.8s", e->infrastructure);
    return 0;
}

/* --- checks --- */

static int check_path(const char *field, const char *path, bool may_be_empty, struct err *err)
{
    if (!path || (!*path && !may_be_empty))
        return err_set(err, -EINVAL, "%s: must be set", field);
    if (*path && !placement_path_valid(path, 1))
        return err_set(err, -EINVAL, "%s: \"%.200s\" must be an absolute path without empty, \".\" or \"..\" parts",
                       field, path);
    /* These end up in files of one line a setting. */
    if (strlen(path) > 3000 || strpbrk(path, "\n\r\"'\\$") || strchr(path, ' '))
        return err_set(err, -EINVAL, "%s: \"%.200s\" must not hold spaces, quotes, $ or line breaks", field, path);
    return 0;
}

static int check_paths(const struct local_env *e, struct err *err)
{
    const struct {
        const char *field, *path;
        bool optional;
    } all[] = {
        {"account_dir", e->account_dir, false},
        {"control_state_dir", e->control_state_dir, !e->isolated},
        {"bundle", e->bundle, false},
        {"agent_program", e->agent_program, false},
        {"haproxy_program", e->haproxy_program, false},
        {"engine_program", e->engine_program, true},
        {"engine_library", e->engine_library, true},
        {"clickhouse_program", e->clickhouse_program, true},
        {"knot_program", e->knot_program, true},
    };
    for (size_t i = 0; i < ARRAY_SIZE(all); i++) {
        const char *path = all[i].path ? all[i].path : all[i].optional ? "" : NULL;
        int r = check_path(all[i].field, path, all[i].optional, err);
        if (r < 0)
            return r;
    }
    if (e->isolated && strlen(e->control_state_dir) + strlen("/run/front.sock") > UNIX_PATH_MAX_LEN)
        return err_set(
            err, -ENAMETOOLONG,
            "control_state_dir: \"%.200s\" is too long for a socket in it (at most %zu bytes): use a shorter "
            "home folder",
            e->control_state_dir, UNIX_PATH_MAX_LEN - strlen("/run/front.sock"));
    return 0;
}

static bool label_or_domain(const char *s, bool dots)
{
    size_t len = s ? strlen(s) : 0;
    char last = '.';
    if (!len || len > (dots ? 189 : 63))
        return false;
    for (const char *p = s; *p; last = *p++) {
        bool plain = (*p >= 'a' && *p <= 'z') || (*p >= '0' && *p <= '9');
        if (!plain && !(*p == '-' && last != '.' && p[1] && p[1] != '.') && !(dots && *p == '.' && last != '.'))
            return false;
    }
    return last != '.';
}

static int check_ports(const struct local_env *e, struct err *err)
{
    int first = local_service_first(e), last = local_service_last(e);
    if (e->https_port < 1 || e->https_port > 65535)
        return err_set(err, -EINVAL, "https_port: %d is not between 1 and 65535", e->https_port);
    if (e->native_port < 1 || e->native_port > 65535)
        return err_set(err, -EINVAL, "native_port: %d is not between 1 and 65535", e->native_port);
    if (e->https_port == e->native_port)
        return err_set(err, -EINVAL, "native_port: %d is https_port already: choose another", e->native_port);
    if (e->service_port_count < 0 || e->service_port_count > 1024)
        return err_set(err, -EINVAL, "service_port_count: %d is not between 0 and 1024", e->service_port_count);
    if (e->service_port_count && (first < 1 || last > 65535))
        return err_set(err, -EINVAL, "service_port_base: the ports %d-%d must be between 1 and 65535", first, last);
    const struct {
        const char *what;
        int port;
    } taken[] = {{"https_port", e->https_port},
                 {"native_port", e->native_port},
                 {"the ingress's own port", LOCAL_HTTPS_PORT},
                 {"the ingress's own port", LOCAL_NATIVE_PORT}};
    for (size_t i = 0; i < ARRAY_SIZE(taken); i++)
        if (e->service_port_count && taken[i].port >= first && taken[i].port <= last)
            return err_set(err, -EINVAL, "service_port_base: the service ports %d-%d hold %s %d: choose others", first,
                           last, taken[i].what, taken[i].port);
    return 0;
}

static int check_backups(const struct local_env *e, struct err *err)
{
    struct s3_url url;
    if (!e->backup_s3_url)
        return 0;
    int r = s3_url_parse(e->backup_s3_url, &url, err);
    if (r < 0)
        return err_wrap(err, r, "backups.s3Url");
    if (strspn(e->backup_s3_region, "abcdefghijklmnopqrstuvwxyz0123456789-") != strlen(e->backup_s3_region))
        return err_set(err, -EINVAL, "backups.s3Region: must be lower-case letters, digits and hyphens");
    return check_path("backups.s3KeysFile", e->backup_s3_keys, false, err);
}

static int check_outbound(const struct local_env *e, struct err *err)
{
    char address[16];
    int port;
    size_t n = local_outbound_count(e);
    if (n > LOCAL_OUTBOUND_MAX)
        return err_set(err, -EINVAL, "outbound: %zu targets, at most %d are possible", n, LOCAL_OUTBOUND_MAX);
    for (size_t i = 0; i < n; i++)
        if (!local_target_parse(e->outbound[i], address, &port) || !strncmp(address, "127.", 4) ||
            !strncmp(address, "0.", 2))
            return err_set(
                err, -EINVAL,
                "outbound[%zu]: \"%.100s\" must be an IPv4 address and a port, such as 192.0.2.7:443 (names are "
                "not resolved inside the data plane)",
                i, e->outbound[i]);
    return 0;
}

int cloud_local_check(const struct local_env *e, struct err *err)
{
    struct local_addresses a;
    if (!e->infrastructure || !uuid_valid(e->infrastructure))
        return err_set(err, -EINVAL, "infrastructure: must be a UUID");
    for (const char *p = e->infrastructure; *p; p++)
        if (*p >= 'A' && *p <= 'F')
            return err_set(err, -EINVAL, "infrastructure: the UUID must be in lower case");
    if (!label_or_domain(e->name, false))
        return err_set(err, -EINVAL, "name: must be lower-case letters, digits and inner hyphens, at most 63");
    if (!label_or_domain(e->domain, true))
        return err_set(err, -EINVAL, "domain: \"%.100s\" is not a lower-case domain name", e->domain ? e->domain : "");
    int r = check_paths(e, err);
    if (r == 0)
        r = check_ports(e, err);
    if (r == 0)
        r = check_backups(e, err);
    if (r == 0)
        r = check_outbound(e, err);
    if (r == 0 && !e->isolated &&
        (!e->control_address || !strrchr(e->control_address, ':') || strpbrk(e->control_address, " \n\r\t")))
        r = err_set(err, -EINVAL, "control_address: must be host:port of the control plane");
    if (r == 0 && (!e->log_level || strspn(e->log_level, "abcdefghijklmnopqrstuvwxyz") != strlen(e->log_level)))
        r = err_set(err, -EINVAL, "log_level: must be debug, info, warn or error");
    return r < 0 ? r : cloud_local_addresses(e, &a, err);
}
