/* Reads URLs of folders in buckets, and files of keys to them. */
#include "base/s3.h"

#include "base/conf.h"
#include "base/fs.h"
#include "base/mem.h"

#include <arpa/inet.h>

#define KEYS_MAX 4096

static const char letters[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789";
static const char bucket_letters[] = "abcdefghijklmnopqrstuvwxyz0123456789.-";

/* One character of a set, or a letter or digit. */
static bool only(const char *s, size_t n, const char *more)
{
    for (size_t i = 0; i < n; i++)
        if (!strchr(letters, s[i]) && !strchr(more, s[i]))
            return false;
    return n > 0;
}

static bool this_machine(const char *host)
{
    char address[16];
    struct in_addr a;
    size_t n = strcspn(host, ":/");
    if (!strncmp(host, "[::1]", 5))
        return strchr(":/", host[5]) != NULL;
    if (n >= sizeof(address))
        return false;
    memcpy(address, host, n);
    address[n] = '\0';
    return inet_pton(AF_INET, address, &a) == 1 && ntohl(a.s_addr) >> 24 == 127;
}

/* Plain parts between single slashes, none of them "." or "..". */
static bool prefix_valid(const char *s)
{
    while (*s) {
        size_t n = strcspn(s, "/");
        if (!only(s, n, "._-") || (n <= 2 && strspn(s, ".") >= n))
            return false;
        s += n;
        if (*s && !*++s)
            return false;
    }
    return true;
}

int s3_url_parse(const char *text, struct s3_url *ret, struct err *err)
{
    struct s3_url u = {0};
    size_t scheme = !strncmp(text, "https://", 8) ? 8 : !strncmp(text, "http://", 7) ? 7 : 0;
    if (!scheme || strlen(text) >= S3_URL_MAX)
        return err_set(err, -EINVAL, "must be https://HOST[:PORT]/BUCKET[/PREFIX], shorter than %d bytes", S3_URL_MAX);
    const char *host = text + scheme;
    size_t host_len = strcspn(host, "/");
    if (!only(host, host_len, ".-:[]"))
        return err_set(err, -EINVAL, "must have a host of letters, digits, dots and hyphens after the scheme");
    if (scheme == 7 && !this_machine(host))
        return err_set(err, -EINVAL, "must begin with https://; http:// only leads to this machine");
    const char *bucket = host + host_len + (host[host_len] == '/');
    size_t bucket_len = strcspn(bucket, "/");
    if (bucket_len < 3 || bucket_len > 63 || strspn(bucket, bucket_letters) != bucket_len)
        return err_set(err, -EINVAL, "must name a bucket of 3 to 63 lower-case letters, digits, dots and hyphens");
    const char *prefix = bucket + bucket_len + (bucket[bucket_len] == '/');
    if (!prefix_valid(prefix) || (bucket[bucket_len] == '/' && !*prefix))
        return err_set(
            err, -EINVAL,
            "must have plain parts of letters, digits, dots, hyphens and underscores after the bucket, and no "
            "final slash");
    memcpy(u.endpoint, text, scheme + host_len);
    memcpy(u.bucket, bucket, bucket_len);
    memcpy(u.prefix, prefix, strlen(prefix));
    *ret = u;
    return 0;
}

static const struct conf_key keys[] = {
    {"access_key_id", CONF_STRING, offsetof(struct s3_keys, access_key_id), NULL, 0, 128, "public half"},
    {"secret_access_key", CONF_STRING, offsetof(struct s3_keys, secret_access_key), NULL, 0, 256, "secret half"},
    {NULL},
};

int s3_keys_load(const char *path, struct s3_keys *ret, struct err *err)
{
    struct s3_keys k = {0};
    char *text = NULL;
    size_t len = 0;
    int r = fs_read_secret(path, KEYS_MAX, &text, &len, err);
    if (r < 0)
        return r;
    r = conf_parse(path, text, len, keys, &k, err);
    mem_wipe(text, len);
    free(text);
    if (r == 0)
        *ret = k;
    return r;
}

void s3_keys_free(struct s3_keys *k)
{
    if (k->secret_access_key)
        mem_wipe(k->secret_access_key, strlen(k->secret_access_key));
    conf_free(keys, k);
}
