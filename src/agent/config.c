/* The agent's configuration: its table, its checks, its folders. */
#include "agent/config.h"

#include "base/buf.h"
#include "base/fs.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/s3.h"
#include "base/tcp_listen.h"
#include "blueprint/placement.h"
#include "net/dns_wire.h"

#include <arpa/inet.h>
#include <sys/stat.h>

#define AT(field) offsetof(struct agent_config, field)

const struct conf_key agent_config_keys[] = {
    {"home", CONF_PATH, AT(home), NULL, 0, 3000, "folder for all of the agent's state"},
    {"name", CONF_STRING, AT(name), "data-plane", 0, 100, "name of the infrastructure, shown to people"},
    {"bundle", CONF_PATH, AT(bundle), "", 0, 0, "enrolment bundle from the customer"},
    {"token_file", CONF_PATH, AT(token_file), "", 0, 0, "file with the enrolment token, if not in the bundle"},
    {"releases", CONF_PATH, AT(releases), "", 0, 0, "list of accepted releases, signed by the bundle's release key"},
    {"release_dir", CONF_PATH, AT(release_dir), "", 0, 3000,
     "folder of agent programs named by their SHA-256, for the release that the list asks for (runtime process)"},
    {"release_patience", CONF_INT, AT(release_patience), "120", 5, 3600,
     "seconds that a release has to be linked and make a pass before it is taken back"},
    {"own_workload", CONF_STRING, AT(own_workload), "", 0, 58,
     "the agent's own StatefulSet, whose image follows the list (runtime kubernetes); empty: it stays as installed"},
    {"guard_account", CONF_STRING, AT(guard_account), "ownhouse-guard", 0, 253,
     "ServiceAccount of the Job that watches such a change"},
    {"control_address", CONF_STRING, AT(control_address), "", 0, 300,
     "host:port dialled instead of the bundle's address (a gateway that passes bytes on)"},
    {"proxy", CONF_STRING, AT(proxy), "", 0, 300, "HTTP CONNECT proxy to the control plane, host:port"},
    {"proxy_credentials", CONF_PATH, AT(proxy_credentials), "", 0, 0, "file with user:password for the proxy"},
    {"public_address", CONF_STRING, AT(public_address), "", 0, 64, "where the ingress listens; empty: everywhere"},
    {"client_address", CONF_STRING, AT(client_address), "", 0, 64,
     "where clients reach the ingress, answered by DNS; empty: no name server"},
    {"https_port", CONF_INT, AT(https_port), "8443", 1, 65535, "HTTPS port of the ingress"},
    {"native_port", CONF_INT, AT(native_port), "9440", 1, 65535, "native TLS port of the ingress"},
    {"service_port_base", CONF_INT, AT(service_port_base), "0", 0, 65535, "service n has port base + n"},
    {"service_port_count", CONF_INT, AT(service_port_count), "0", 0, 4095, "how many services have an own port"},
    {"gate_listen", CONF_STRING, AT(gate_listen), "", 0, 64,
     "ADDRESS:PORT where the gate takes engineers' sessions over a tailnet; empty: only through the relay"},
    {"loopback_base", CONF_STRING, AT(loopback_base), "127.64.0.0", 0, 15,
     "IPv4 loopback address that the workloads' addresses follow"},
    {"proxy_from", CONF_STRING, AT(proxy_from), "", 0, 4000,
     "addresses whose PROXY v2 header the ingress believes, separated by blanks"},
    {"bucket_dir", CONF_PATH, AT(bucket_dir), "", 0, 3000, "folder of buckets; empty: data lie on volumes"},
    {"bucket", CONF_STRING, AT(bucket), "data", 0, 63, "bucket of the services' data"},
    {"backup_bucket", CONF_STRING, AT(backup_bucket), "", 0, 63, "bucket that backups go to; empty: none are made"},
    {"backup_s3_url", CONF_STRING, AT(backup_s3_url), "", 0, S3_URL_MAX - 1,
     "folder in a bucket that backups go to instead: https://HOST/BUCKET/PREFIX"},
    {"backup_s3_region", CONF_STRING, AT(backup_s3_region), "us-east-1", 0, 63, "region of that bucket"},
    {"backup_s3_keys", CONF_PATH, AT(backup_s3_keys), "", 0, 0,
     "file with access_key_id and secret_access_key of that bucket; empty: the environment's identity"},
    {"ledger_bucket", CONF_STRING, AT(ledger_bucket), "", 0, 63, "bucket the ledger is copied to; empty: none"},
    {"engine", CONF_STRING, AT(engine), "chdb", 0, 16, "chdb (embedded) or clickhouse (a server)"},
    {"engine_program", CONF_PATH, AT(engine_program), "", 0, 0, "ownhouse-clickhouse; empty: beside the agent"},
    {"engine_library", CONF_PATH, AT(engine_library), "", 0, 0, "libchdb.so for the embedded engine"},
    {"clickhouse_program", CONF_PATH, AT(clickhouse_program), "", 0, 0, "clickhouse; empty: searched"},
    {"haproxy_program", CONF_PATH, AT(haproxy_program), "", 0, 0, "haproxy; empty: searched"},
    {"knot_program", CONF_PATH, AT(knot_program), "", 0, 0, "knotd; empty: searched"},
    {"runtime", CONF_STRING, AT(runtime), "process", 0, 16, "process (this machine) or kubernetes"},
    {"kubeconfig", CONF_PATH, AT(kubeconfig), "", 0, 3000,
     "kubeconfig file (it and what it names in a folder of their own); empty: the pod's service account"},
    {"namespace", CONF_STRING, AT(namespace), "", 0, 63, "the agent's own namespace; empty: as the cluster says"},
    {"account", CONF_STRING, AT(account), "ownhouse-agent", 0, 63, "the agent's ServiceAccount"},
    {"cluster_domain", CONF_STRING, AT(cluster_domain), "cluster.local", 0, 189, "domain of the cluster's names"},
    {"pod_listen_address", CONF_STRING, AT(pod_listen_address), "0.0.0.0", 0, 64, "where pods listen: 0.0.0.0 or ::"},
    {"storage_class", CONF_STRING, AT(storage_class), "", 0, 253, "of the services' disks; empty: the default"},
    {"priority_class", CONF_STRING, AT(priority_class), "", 0, 253, "of the services' pods; empty: none"},
    {"account_annotations", CONF_STRING, AT(account_annotations), "", 0, 4000,
     "cloud identity of the services' ServiceAccounts: key=value, separated by blanks"},
    {"balancer_annotations", CONF_STRING, AT(balancer_annotations), "", 0, 4000,
     "of the ingress's Service: key=value, separated by blanks"},
    {"load_balancer", CONF_BOOL, AT(load_balancer), "yes", 0, 0, "the ingress's Service asks for a load balancer"},
    {"private_load_balancer", CONF_BOOL, AT(private_load_balancer), "no", 0, 0,
     "a second Service, ingress-private, asks for one inside the network"},
    {"private_balancer_annotations", CONF_STRING, AT(private_balancer_annotations), "", 0, 4000,
     "of that Service, which keep it inside: key=value, separated by blanks"},
    {"volume_gib", CONF_INT, AT(volume_gib), "100", 1, 65536, "size of a service's disk"},
    {"ingress_replicas", CONF_INT, AT(ingress_replicas), "2", 1, 16, "pods of the ingress"},
    {"clickhouse_image", CONF_STRING, AT(clickhouse_image), "", 0, 500, "image of the engine, by digest"},
    {"haproxy_image", CONF_STRING, AT(haproxy_image), "", 0, 500, "image of the ingress, by digest"},
    {"knot_image", CONF_STRING, AT(knot_image), "", 0, 500, "image of the name server, by digest"},
    {"dns_provider", CONF_STRING, AT(dns_provider), "none", 0, 16,
     "who serves the zone that the services' names are written into: none, rfc2136 or route53"},
    {"dns_zone", CONF_STRING, AT(dns_zone), "", 0, 253, "the zone, which the services' domain is or lies in"},
    {"dns_server", CONF_STRING, AT(dns_server), "", 0, 300, "rfc2136: the zone's primary server, host:port"},
    {"dns_key_file", CONF_PATH, AT(dns_key_file), "", 0, 3000,
     "rfc2136: file of mode 0600 with the TSIG key, ALGORITHM:NAME:BASE64"},
    {"dns_zone_id", CONF_STRING, AT(dns_zone_id), "", 0, 64, "route53: id of the hosted zone"},
    {"dns_endpoint", CONF_STRING, AT(dns_endpoint), "", 0, 300, "route53: another address than AWS's own"},
    {"dns_target", CONF_STRING, AT(dns_target), "", 0, 1000,
     "addresses, or one name, that the records lead to, separated by blanks; empty: the ingress as it is found"},
    {"dns_ttl", CONF_INT, AT(dns_ttl), "60", 1, 86400, "seconds that the records may be remembered"},
    {"acme_directory", CONF_STRING, AT(acme_directory), "", 0, 1000,
     "URL of an ACME authority's directory, whose terms are accepted by this; empty: the own authority alone"},
    {"acme_contact", CONF_STRING, AT(acme_contact), "", 0, 254, "mail address for the ACME account"},
    {"acme_settle", CONF_INT, AT(acme_settle), "15", 0, 600,
     "seconds that a challenge gets to reach the zone's other servers (rfc2136)"},
    {"uacme_program", CONF_PATH, AT(uacme_program), "", 0, 0, "uacme; empty: searched"},
    {"isolation", CONF_STRING, AT(isolation), "none", 0, 32, "network-namespace or none"},
    {"isolation_missing", CONF_STRING, AT(isolation_missing), "", 0, 400, "what is missing, for status"},
    {"log_level", CONF_STRING, AT(log_level), "info", 0, 8, "debug, info, warn or error"},
    {0},
};

static int check_choice(const char *key, const char *value, const char *a, const char *b, struct err *err)
{
    if (!strcmp(value, a) || !strcmp(value, b))
        return 0;
    return err_set(err, -EINVAL, "%s: must be %s or %s, not \"%.40s\"", key, a, b, value);
}

static int check_address(const char *key, const char *value, struct err *err)
{
    unsigned char numeric[16];
    if (!*value || inet_pton(AF_INET, value, numeric) == 1 || inet_pton(AF_INET6, value, numeric) == 1)
        return 0;
    return err_set(err, -EINVAL, "%s: must be a numeric IPv4 or IPv6 address, not \"%.60s\"", key, value);
}

static int check_loopback(const char *value, struct err *err)
{
    struct in_addr a;
    if (inet_pton(AF_INET, value, &a) != 1 || ntohl(a.s_addr) >> 24 != 127 || (ntohl(a.s_addr) & 0xffff))
        return err_set(err, -EINVAL, "loopback_base: must be 127.X.0.0, not \"%s\"", value);
    return 0;
}

static int check_dns(const struct agent_config *c, struct err *err)
{
    bool route53 = !strcmp(c->dns_provider, "route53"), rfc2136 = !strcmp(c->dns_provider, "rfc2136");
    const char *missing = NULL;
    if (!route53 && !rfc2136 && strcmp(c->dns_provider, "none"))
        return err_set(err, -EINVAL, "dns_provider: must be none, rfc2136 or route53, not \"%.40s\"", c->dns_provider);
    if (*c->acme_directory && !route53 && !rfc2136)
        return err_set(err, -EINVAL,
                       "acme_directory: needs dns_provider, since the authority asks DNS whether the domain is yours");
    if (*c->acme_directory && strncmp(c->acme_directory, "https://", 8))
        return err_set(err, -EINVAL, "acme_directory: must begin with https://");
    if (c->acme_contact[0] == '-')
        return err_set(err, -EINVAL, "acme_contact: must be a mail address");
    if (!route53 && !rfc2136)
        return 0;
    if (!dns_name_valid(c->dns_zone))
        return err_set(err, -EINVAL, "dns_zone: must be the zone's name in lower case, without the last dot");
    if (rfc2136 && (!*c->dns_server || !*c->dns_key_file))
        missing = *c->dns_server ? "dns_key_file" : "dns_server";
    if (route53 && !*c->dns_zone_id)
        missing = "dns_zone_id";
    if (missing)
        return err_set(err, -EINVAL, "%s: is needed with dns_provider = %s", missing, c->dns_provider);
    return 0;
}

bool agent_config_names(const struct agent_config *c)
{
    return strcmp(c->dns_provider, "none") != 0;
}

/* What tells a private load balancer from a public one is the cloud's own annotation. */
static int check_front(const struct agent_config *c, struct err *err)
{
    if (!c->private_load_balancer || (c->load_balancer && *c->private_balancer_annotations))
        return 0;
    if (!c->load_balancer)
        return err_set(err, -EINVAL,
                       "private_load_balancer: is a second one; for a private one alone set load_balancer and its "
                       "balancer_annotations");
    return err_set(err, -EINVAL,
                   "private_balancer_annotations: must say to the cloud that private_load_balancer is inside the "
                   "network: without them it would be public");
}

static int check_s3(const struct agent_config *c, struct err *err)
{
    struct s3_url url;
    if (!*c->backup_s3_url)
        return 0;
    if (*c->backup_bucket)
        return err_set(err, -EINVAL, "backup_s3_url: backups have one place; take backup_bucket out");
    if (strspn(c->backup_s3_region, "abcdefghijklmnopqrstuvwxyz0123456789-") != strlen(c->backup_s3_region))
        return err_set(err, -EINVAL, "backup_s3_region: must be lower-case letters, digits and hyphens");
    if (*c->backup_s3_keys && !strcmp(c->engine, "clickhouse"))
        return err_set(err, -EINVAL,
                       "backup_s3_keys: a ClickHouse server has the identity of its pod; keys in a file are "
                       "for the embedded engine");
    int r = s3_url_parse(c->backup_s3_url, &url, err);
    return r < 0 ? err_wrap(err, r, "backup_s3_url") : 0;
}

static int check(const struct agent_config *c, struct err *err)
{
    enum log_level level;
    int r;
    if ((r = check_choice("engine", c->engine, "chdb", "clickhouse", err)) < 0 ||
        (r = check_choice("runtime", c->runtime, "process", "kubernetes", err)) < 0 ||
        (r = check_address("pod_listen_address", c->pod_listen_address, err)) < 0 ||
        (r = check_choice("isolation", c->isolation, "network-namespace", "none", err)) < 0 ||
        (r = check_address("public_address", c->public_address, err)) < 0 ||
        (r = check_address("client_address", c->client_address, err)) < 0 ||
        (r = check_loopback(c->loopback_base, err)) < 0 ||
        (*c->gate_listen && (r = tcp_listen_check("gate_listen", c->gate_listen, err)) < 0) ||
        (r = check_dns(c, err)) < 0 || (r = check_front(c, err)) < 0)
        return r;
    if (!placement_path_valid(c->home, 1))
        return err_set(err, -EINVAL, "home: must be an absolute path without empty, . or .. parts");
    if (*c->bucket_dir && !placement_path_valid(c->bucket_dir, 1))
        return err_set(err, -EINVAL, "bucket_dir: must be an absolute path without empty, . or .. parts");
    if (*c->bucket_dir && !placement_name_valid(c->bucket))
        return err_set(err, -EINVAL, "bucket: must be lower-case letters, digits and hyphens");
    if (*c->backup_bucket && (!*c->bucket_dir || !placement_name_valid(c->backup_bucket)))
        return err_set(err, -EINVAL, "backup_bucket: must be lower-case letters, digits and hyphens, below bucket_dir");
    if ((r = check_s3(c, err)) < 0)
        return r;
    if (*c->ledger_bucket && (!*c->bucket_dir || !placement_name_valid(c->ledger_bucket)))
        return err_set(err, -EINVAL, "ledger_bucket: must be lower-case letters, digits and hyphens, below bucket_dir");
    if (c->service_port_count && (c->service_port_base < 1 || c->service_port_base + c->service_port_count > 65535))
        return err_set(err, -EINVAL, "service_port_base: ports base + 1 to base + count must lie below 65536");
    if (log_level_parse(c->log_level, &level) < 0)
        return err_set(err, -EINVAL, "log_level: must be debug, info, warn or error");
    return 0;
}

int agent_config_parse(const char *name, const char *text, size_t len, struct agent_config *into, struct err *err)
{
    struct agent_config c = {0};
    int r = conf_parse(name, text, len, agent_config_keys, &c, err);
    if (r == 0 && (r = check(&c, err)) < 0) {
        err_wrap(err, r, "%s", name);
        agent_config_free(&c);
    }
    if (r == 0)
        *into = c;
    return r;
}

static int read_checked(const char *path, struct buf *into, struct err *err)
{
    struct stat st;
    autofree char *text = NULL;
    size_t len = 0;
    if (stat(path, &st) < 0)
        return err_set_errno(err, -errno, "cannot read the configuration %s", path);
    if (st.st_mode & 022)
        return err_set(err, -EPERM, "%s may be written by others: run `chmod go-w %s`", path, path);
    if (st.st_uid != geteuid() && st.st_uid != 0)
        return err_set(err, -EPERM, "%s belongs to user %u: it must be yours or root's", path, (unsigned)st.st_uid);
    int r = fs_read(path, KIB(256), &text, &len, err);
    if (r == 0)
        buf_add(into, text, len);
    return r;
}

int agent_config_load(const char *path, struct agent_config *into, struct err *err)
{
    autobuf struct buf text = BUF_INIT;
    autofree char *own = agent_config_own(path);
    int r = read_checked(path, &text, err);
    buf_addc(&text, '\n');
    if (r == 0 && fs_exists(own))
        r = read_checked(own, &text, err);
    return r < 0 ? r : agent_config_parse(path, text.data, text.len, into, err);
}

char *agent_config_own(const char *path)
{
    return mem_printf("%s.own", path);
}

void agent_config_free(struct agent_config *c)
{
    conf_free(agent_config_keys, c);
}

char *agent_path(const struct agent_config *c, const char *below)
{
    return mem_printf("%s/%s", c->home, below);
}

int agent_config_prepare(const struct agent_config *c, struct err *err)
{
    static const char *const folders[] = {"link", "state",  "runtime", "run",   "ledger",
                                          "gate", "policy", "consent", "names", "wanted"};
    struct stat st;
    int r = fs_mkdirs(c->home, 0700, err);
    if (r < 0)
        return r;
    if (stat(c->home, &st) < 0)
        return err_set_errno(err, -errno, "cannot stat %s", c->home);
    if (st.st_uid != geteuid())
        return err_set(err, -EPERM, "home %s belongs to user %u, but the agent runs as user %u", c->home,
                       (unsigned)st.st_uid, (unsigned)geteuid());
    if (st.st_mode & 022)
        return err_set(err, -EPERM, "home %s may be written by others: run `chmod 700 %s`", c->home, c->home);
    for (size_t i = 0; i < ARRAY_SIZE(folders); i++) {
        autofree char *path = agent_path(c, folders[i]);
        if ((r = fs_mkdirs(path, 0700, err)) < 0)
            return r;
    }
    return 0;
}
