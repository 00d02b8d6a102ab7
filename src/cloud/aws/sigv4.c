/* Signs requests as AWS wants them: canonical request, string to sign, derived key. */
#include "cloud/aws/sigv4.h"

#include "base/keys.h"
#include "base/mem.h"

#include <ctype.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <time.h>

struct encoded {
    char *name, *value;
};

void sigv4_encode(struct buf *out, const char *text, bool slash)
{
    for (const unsigned char *p = (const unsigned char *)text; *p; p++) {
        bool plain = (*p >= 'A' && *p <= 'Z') || (*p >= 'a' && *p <= 'z') || (*p >= '0' && *p <= '9') ||
                     strchr("-._~", *p) || (slash && *p == '/');
        if (plain)
            buf_addc(out, (char)*p);
        else if (slash && *p == SIGV4_SLASH)
            buf_adds(out, "%2F");
        else
            buf_printf(out, "%%%02X", *p);
    }
}

static char *encoded(const char *text, bool slash)
{
    struct buf b = BUF_INIT;
    sigv4_encode(&b, text, slash);
    return buf_take(&b);
}

static int by_name_and_value(const void *a, const void *b)
{
    const struct encoded *x = a, *y = b;
    int r = strcmp(x->name, y->name);
    return r ? r : strcmp(x->value, y->value);
}

static int by_name(const void *a, const void *b)
{
    const struct encoded *x = a, *y = b;
    return strcmp(x->name, y->name);
}

static char *canonical_query(const struct sigv4_request *q)
{
    autofree struct encoded *all = mem_alloc((q->n_query + 1) * sizeof(*all));
    struct buf b = BUF_INIT;
    for (size_t i = 0; i < q->n_query; i++)
        all[i] = (struct encoded){encoded(q->query[i].name, false), encoded(q->query[i].value, false)};
    qsort(all, q->n_query, sizeof(*all), by_name_and_value);
    for (size_t i = 0; i < q->n_query; i++) {
        buf_printf(&b, "%s%s=%s", i ? "&" : "", all[i].name, all[i].value);
        free(all[i].name);
        free(all[i].value);
    }
    return buf_take(&b);
}

/* Leading, trailing and doubled white space of a header's value does not count. */
static char *trimmed(const char *value)
{
    struct buf b = BUF_INIT;
    bool gap = false;
    for (const char *p = value; *p; p++) {
        if (*p == ' ' || *p == '\t') {
            gap = b.len > 0;
            continue;
        }
        if (gap)
            buf_addc(&b, ' ');
        gap = false;
        buf_addc(&b, *p);
    }
    return buf_take(&b);
}

/* "name:value\n" lines sorted by name, and the names joined with ";". `date` is NULL where it is in the query. */
static int canonical_headers(const struct sigv4_request *q, const struct sigv4_keys *keys, const char *date,
                             struct buf *lines, struct buf *names, struct err *err)
{
    size_t n = 0;
    autofree struct encoded *all = mem_alloc((q->n_headers + 4) * sizeof(*all));
    for (size_t i = 0; i < q->n_headers; i++)
        if (strpbrk(q->headers[i].name, "\r\n:") || strpbrk(q->headers[i].value, "\r\n"))
            return err_set(err, -EINVAL, "an HTTP header must be one line");
    for (size_t i = 0; i < q->n_headers; i++)
        all[n++] = (struct encoded){mem_strdup(q->headers[i].name), trimmed(q->headers[i].value)};
    all[n++] = (struct encoded){mem_strdup("host"), mem_strdup(q->host)};
    if (date)
        all[n++] = (struct encoded){mem_strdup("x-amz-date"), mem_strdup(date)};
    if (date && !strcmp(q->service, "s3"))
        all[n++] = (struct encoded){mem_strdup("x-amz-content-sha256"), mem_strdup(q->payload_sha256)};
    if (date && keys->token && *keys->token)
        all[n++] = (struct encoded){mem_strdup("x-amz-security-token"), mem_strdup(keys->token)};
    qsort(all, n, sizeof(*all), by_name);
    for (size_t i = 0; i < n; i++) {
        buf_printf(lines, "%s:%s\n", all[i].name, all[i].value);
        buf_printf(names, "%s%s", i ? ";" : "", all[i].name);
        mem_wipe(all[i].value, strlen(all[i].value));
        free(all[i].name);
        free(all[i].value);
    }
    return 0;
}

static void hmac(const unsigned char *key, size_t key_len, const char *text, unsigned char out[SHA256_SIZE])
{
    unsigned int n = SHA256_SIZE;
    if (!HMAC(EVP_sha256(), key, (int)key_len, (const unsigned char *)text, strlen(text), out, &n))
        abort();
}

static void signature(const struct sigv4_request *q, const char *secret, const char *date, const char *to_sign,
                      char out[2 * SHA256_SIZE + 1])
{
    unsigned char a[SHA256_SIZE], b[SHA256_SIZE];
    char day[9];
    char *first = mem_printf("AWS4%s", secret);
    snprintf(day, sizeof(day), "%.8s", date);
    hmac((const unsigned char *)first, strlen(first), day, a);
    hmac(a, sizeof(a), q->region, b);
    hmac(b, sizeof(b), q->service, a);
    hmac(a, sizeof(a), "aws4_request", b);
    hmac(b, sizeof(b), to_sign, a);
    hex_encode(a, sizeof(a), out);
    mem_wipe(first, strlen(first));
    mem_wipe(a, sizeof(a));
    mem_wipe(b, sizeof(b));
    free(first);
}

static void date_of(int64_t wall_ms, char out[SIGV4_DATE_SIZE])
{
    time_t t = (time_t)(wall_ms / 1000);
    struct tm tm;
    gmtime_r(&t, &tm);
    strftime(out, SIGV4_DATE_SIZE, "%Y%m%dT%H%M%SZ", &tm);
}

/* The signature of the canonical request that its parts make. */
static void sign_parts(const struct sigv4_request *q, const char *secret, const char *date, const char *query,
                       const struct buf *lines, const struct buf *names, char mac[2 * SHA256_SIZE + 1])
{
    autobuf struct buf request = BUF_INIT;
    char hash[2 * SHA256_SIZE + 1];
    autofree char *path = encoded(q->path, true);
    autofree char *twice = strcmp(q->service, "s3") ? encoded(path, true) : mem_strdup(path);
    buf_printf(&request, "%s\n%s\n%s\n%s\n%s\n%s", q->method, twice, query, lines->data, names->data,
               q->payload_sha256);
    sha256_hex(request.data, request.len, hash);
    autofree char *to_sign =
        mem_printf("AWS4-HMAC-SHA256\n%s\n%.8s/%s/%s/aws4_request\n%s", date, date, q->region, q->service, hash);
    signature(q, secret, date, to_sign, mac);
    mem_wipe(request.data, request.len);
}

int sigv4_presign(const struct sigv4_request *q, const struct sigv4_keys *keys, int seconds, char **ret,
                  struct err *err)
{
    autobuf struct buf lines = BUF_INIT, names = BUF_INIT;
    char date[SIGV4_DATE_SIZE], mac[2 * SHA256_SIZE + 1], expires[16];
    if (q->n_query > SIGV4_PAIRS_MAX - 6 || q->n_headers > SIGV4_PAIRS_MAX)
        return err_set(err, -E2BIG, "a request has at most %d parameters and headers", SIGV4_PAIRS_MAX);
    date_of(q->wall_ms, date);
    snprintf(expires, sizeof(expires), "%d", seconds);
    int r = canonical_headers(q, keys, NULL, &lines, &names, err);
    if (r < 0)
        return r;
    autofree struct sigv4_pair *all = mem_alloc((q->n_query + 6) * sizeof(*all));
    autofree char *credential = mem_printf("%s/%.8s/%s/%s/aws4_request", keys->id, date, q->region, q->service);
    struct sigv4_request whole = *q;
    if (q->n_query)
        memcpy(all, q->query, q->n_query * sizeof(*all));
    whole.query = all;
    all[whole.n_query++] = (struct sigv4_pair){"X-Amz-Algorithm", "AWS4-HMAC-SHA256"};
    all[whole.n_query++] = (struct sigv4_pair){"X-Amz-Credential", credential};
    all[whole.n_query++] = (struct sigv4_pair){"X-Amz-Date", date};
    all[whole.n_query++] = (struct sigv4_pair){"X-Amz-Expires", expires};
    all[whole.n_query++] = (struct sigv4_pair){"X-Amz-SignedHeaders", names.data};
    if (keys->token && *keys->token)
        all[whole.n_query++] = (struct sigv4_pair){"X-Amz-Security-Token", keys->token};
    autofree char *query = canonical_query(&whole), *path OH_CLEANUP(oh_freep) = encoded(q->path, true);
    sign_parts(&whole, keys->secret, date, query, &lines, &names, mac);
    *ret = mem_printf("%s?%s&X-Amz-Signature=%s", path, query, mac);
    mem_wipe(query, strlen(query));
    return 0;
}

int sigv4_sign(const struct sigv4_request *q, const struct sigv4_keys *keys, struct sigv4_signed *ret, struct err *err)
{
    autobuf struct buf lines = BUF_INIT, names = BUF_INIT;
    char date[SIGV4_DATE_SIZE], mac[2 * SHA256_SIZE + 1];
    if (q->n_query > SIGV4_PAIRS_MAX || q->n_headers > SIGV4_PAIRS_MAX)
        return err_set(err, -E2BIG, "a request has at most %d parameters and headers", SIGV4_PAIRS_MAX);
    date_of(q->wall_ms, date);
    int r = canonical_headers(q, keys, date, &lines, &names, err);
    if (r < 0)
        return r;
    autofree char *path = encoded(q->path, true), *query OH_CLEANUP(oh_freep) = canonical_query(q);
    autofree char *scope = mem_printf("%.8s/%s/%s/aws4_request", date, q->region, q->service);
    sign_parts(q, keys->secret, date, query, &lines, &names, mac);
    if (lines.len)
        mem_wipe(lines.data, lines.len);
    ret->target = mem_printf("%s%s%s", path, *query ? "?" : "", query);
    ret->authorization = mem_printf("AWS4-HMAC-SHA256 Credential=%s/%s, SignedHeaders=%s, Signature=%s", keys->id,
                                    scope, names.data, mac);
    memcpy(ret->date, date, sizeof(date));
    return 0;
}

void sigv4_signed_free(struct sigv4_signed *s)
{
    free(s->target);
    free(s->authorization);
    *s = (struct sigv4_signed){0};
}
