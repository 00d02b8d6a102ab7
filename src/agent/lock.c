/* Shuts and opens the ways of management into a data plane. */
#include "agent/lock.h"

#include "agent/link/identity.h"
#include "base/buf.h"
#include "base/clock.h"
#include "base/fs.h"
#include "base/mem.h"

#include <arpa/inet.h>
#include <dirent.h>
#include <sys/socket.h>

#define LOCK_FILE "policy/lock.json"
#define UNLOCK_FILE "policy/unlock.json"
#define WAIT_MS 60000

bool lock_is_set(const struct agent_config *c)
{
    autofree char *path = agent_path(c, LOCK_FILE);
    return fs_exists(path);
}

static int read_object(const struct agent_config *c, const char *below, json_t **ret, struct err *err)
{
    autofree char *path = agent_path(c, below), *text = NULL;
    size_t len = 0;
    int r = fs_read(path, KIB(64), &text, &len, err);
    return r < 0 ? r : js_parse(text, len, KIB(64), ret, err);
}

static int statement(const struct agent_config *c, const char *infrastructure, char ret[200], struct err *err)
{
    autojson json_t *lock = NULL;
    const char *nonce = NULL;
    int r = read_object(c, LOCK_FILE, &lock, err);
    if (r == 0)
        r = js_string(lock, "", "nonce", 64, &nonce, err);
    if (r == 0)
        snprintf(ret, 200, "ownhouse-unlock-v1\n%s\n%s\n", infrastructure, nonce);
    return r;
}

bool lock_may_open(const struct agent_config *c, const struct policy *p, const char *infrastructure)
{
    autojson json_t *unlock = NULL;
    bool signed_by[POLICY_MAX_KEYS] = {false};
    char text[200];
    int count = 0;
    autofree char *path = agent_path(c, UNLOCK_FILE);
    if (!fs_exists(path) || read_object(c, UNLOCK_FILE, &unlock, NULL) < 0 ||
        statement(c, infrastructure, text, NULL) < 0)
        return false;
    const json_t *list = json_object_get(unlock, "signatures");
    for (size_t i = 0; i < json_array_size(list); i++) {
        unsigned char key[ED25519_PUBLIC_SIZE], raw[ED25519_SIGNATURE_SIZE];
        const char *by = json_string_value(json_object_get(json_array_get(list, i), "by")),
                   *signature = json_string_value(json_object_get(json_array_get(list, i), "signature"));
        if (!by || !signature || strlen(by) != 64 || strlen(signature) != 128 || hex_decode(by, key, sizeof(key)) < 0 ||
            hex_decode(signature, raw, sizeof(raw)) < 0)
            continue;
        int k = policy_key_find(p->approvers, p->n_approvers, key);
        if (k < 0 || signed_by[k] || !signature_valid(key, text, strlen(text), raw))
            continue;
        signed_by[k] = true;
        count++;
    }
    return p->n_approvers > 0 && count >= p->quorum;
}

int lock_remove(const struct agent_config *c, struct err *err)
{
    static const char *const files[] = {LOCK_FILE, UNLOCK_FILE};
    for (size_t i = 0; i < ARRAY_SIZE(files); i++) {
        autofree char *path = agent_path(c, files[i]);
        if (unlink(path) < 0 && errno != ENOENT)
            return err_set_errno(err, -errno, "cannot remove %s", path);
    }
    return 0;
}

/* ---- what is still open ---- */

static bool leaves_machine(const struct sockaddr_storage *a, char ret[INET6_ADDRSTRLEN])
{
    if (a->ss_family == AF_INET) {
        const struct sockaddr_in *in = (const void *)a;
        inet_ntop(AF_INET, &in->sin_addr, ret, INET6_ADDRSTRLEN);
        return ntohl(in->sin_addr.s_addr) >> 24 != 127;
    }
    if (a->ss_family == AF_INET6) {
        const struct sockaddr_in6 *in = (const void *)a;
        inet_ntop(AF_INET6, &in->sin6_addr, ret, INET6_ADDRSTRLEN);
        return !IN6_IS_ADDR_LOOPBACK(&in->sin6_addr);
    }
    return false;
}

/* Addresses of other machines that this process is connected to; NULL: it could not look. */
static json_t *connections(void)
{
    json_t *list = json_array();
    DIR *d = opendir("/proc/self/fd");
    for (struct dirent *e; d && (e = readdir(d));) {
        struct sockaddr_storage peer = {0};
        socklen_t len = sizeof(peer);
        char text[INET6_ADDRSTRLEN];
        int fd = atoi(e->d_name);
        if (e->d_name[0] != '.' && getpeername(fd, (struct sockaddr *)&peer, &len) == 0 && leaves_machine(&peer, text))
            json_array_append_new(list, json_string(text));
    }
    if (d) {
        closedir(d);
        return list;
    }
    json_decref(list);
    return NULL;
}

static json_t *gate_path(const json_t *status)
{
    size_t grants = json_array_size(json_object_get(status, "grants"));
    json_int_t n = json_integer_value(json_object_get(status, "connections"));
    bool locked = json_is_true(json_object_get(status, "locked"));
    return json_pack("{sb sb sI sI sb}", "answered", (int)(status != NULL), "locked", (int)locked, "grants",
                     (json_int_t)grants, "connections", n, "shut", (int)(status && locked && !grants && !n));
}

json_t *lock_probe(const json_t *gate_status, bool refused)
{
    autojson json_t *list = connections(), *gate = gate_path(gate_status);
    bool link = list && json_array_size(list) == 0,
         shut = link && refused && json_is_true(json_object_get(gate, "shut"));
    if (!list)
        list = json_array();
    return json_pack("{sO s{s{sI sb} sO s{sb}} sb}", "connections", list, "paths", "link", "connections",
                     (json_int_t)json_array_size(list), "shut", (int)link, "gate", gate, "operations", "shut",
                     (int)refused, "shut", (int)shut);
}

/* ---- the commands ---- */

static int set_lock(const struct agent_config *c, struct err *err)
{
    autofree char *path = agent_path(c, LOCK_FILE);
    unsigned char raw[32];
    char nonce[65], at[CLOCK_ISO_SIZE];
    if (fs_exists(path))
        return 0;
    random_bytes(raw, sizeof(raw));
    hex_encode(raw, sizeof(raw), nonce);
    clock_iso(clock_wall_ms(&clock_system), at);
    autojson json_t *o = json_pack("{ss ss}", "nonce", nonce, "at", at);
    autofree char *text = js_text(o);
    return fs_write_atomic(path, text, strlen(text), 0600, err);
}

static json_t *reported(const struct agent_config *c)
{
    autojson json_t *status = NULL;
    autofree char *path = agent_path(c, "run/status.json"), *text = NULL;
    size_t len = 0;
    if (fs_read(path, MIB(2), &text, &len, NULL) < 0 || js_parse(text, len, MIB(2), &status, NULL) < 0)
        return NULL;
    json_t *lock = json_object_get(status, "lock");
    if (!json_object_get(lock, "leaf"))
        return NULL;
    json_t *o = json_deep_copy(lock);
    json_object_set(o, "checkpoint", json_object_get(json_object_get(status, "ledger"), "note"));
    json_object_set(o, "verifier", json_object_get(json_object_get(status, "ledger"), "verifier"));
    return o;
}

int lock_command(const struct agent_config *c, bool json)
{
    struct err err = ERR_INIT;
    autojson json_t *report = NULL;
    int64_t until = clock_mono_ms(&clock_system) + WAIT_MS;
    if (set_lock(c, &err) < 0) {
        fprintf(stderr, "ownhouse-agent: %s\n", err.message);
        return 1;
    }
    while (!(report = reported(c)) && clock_mono_ms(&clock_system) < until)
        usleep(200000);
    if (!report) {
        fprintf(stderr,
                "ownhouse-agent: locked, but the agent has not reported: is it running? Whatever runs will not open "
                "a link any more\n");
        return 1;
    }
    bool shut = json_is_true(json_object_get(report, "shut"));
    autofree char *text = json_dumps(report, JSON_INDENT(2) | JSON_SORT_KEYS);
    if (json)
        puts(text);
    else
        printf("%s\nleaf %lld of the ledger says so, under this signed checkpoint:\n%s",
               shut ? "locked: link, gate and operations are shut; no connection of the agent leaves this machine; "
                      "services "
                      "go on"
                    : "locked, but a connection is still open: look at the report with --json",
               (long long)json_integer_value(json_object_get(report, "leaf")),
               json_string_value(json_object_get(report, "checkpoint"))
                   ? json_string_value(json_object_get(report, "checkpoint"))
                   : "");
    return shut ? 0 : 1;
}

static int add_signature(const struct agent_config *c, const struct signing_key *key, struct err *err)
{
    autofree char *dir = agent_path(c, "link"), *path = agent_path(c, UNLOCK_FILE);
    autojson json_t *o = NULL;
    struct identity id = {0};
    unsigned char public[ED25519_PUBLIC_SIZE], raw[ED25519_SIGNATURE_SIZE];
    char text[200], by[65], signature[129];
    int r = identity_load(dir, &id, err);
    if (r == 0)
        r = statement(c, id.infrastructure, text, err);
    identity_free(&id);
    if (r < 0)
        return r;
    if (!fs_exists(path) || read_object(c, UNLOCK_FILE, &o, NULL) < 0)
        o = json_pack("{s[]}", "signatures");
    signing_key_public(key, public);
    signing_key_sign(key, text, strlen(text), raw);
    hex_encode(public, sizeof(public), by);
    hex_encode(raw, sizeof(raw), signature);
    json_array_append_new(json_object_get(o, "signatures"), json_pack("{ss ss}", "by", by, "signature", signature));
    autofree char *out = js_text(o);
    return fs_write_atomic(path, out, strlen(out), 0600, err);
}

int unlock_command(const struct agent_config *c, const char *key_path, const char *passphrase_file)
{
    struct err err = ERR_INIT;
    autokey struct signing_key *key = NULL;
    autofree char *passphrase = NULL;
    int64_t until = clock_mono_ms(&clock_system) + WAIT_MS;
    int r = 0;
    if (!lock_is_set(c)) {
        puts("it is not locked");
        return 0;
    }
    if (passphrase_file)
        r = fs_read_secret(passphrase_file, KIB(1), &passphrase, NULL, &err);
    if (passphrase)
        passphrase[strcspn(passphrase, "\r\n")] = '\0';
    if (r == 0)
        r = signing_key_load_protected(key_path, passphrase, &key, &err);
    if (r == 0)
        r = add_signature(c, key, &err);
    if (passphrase)
        mem_wipe(passphrase, strlen(passphrase));
    while (r == 0 && lock_is_set(c) && clock_mono_ms(&clock_system) < until)
        usleep(200000);
    if (r == 0 && lock_is_set(c))
        r = err_set(&err, -EACCES,
                    "the signature is there, but the lock stays: the policy wants more signatures, or of other "
                    "keys, or the agent does not run");
    if (r < 0) {
        fprintf(stderr, "ownhouse-agent: %s\n", err.message);
        return 1;
    }
    puts("unlocked");
    return 0;
}
