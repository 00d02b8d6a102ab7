/* Finds the controller's own AWS keys. */
#include "cloud/aws/credentials.h"

#include "base/fs.h"
#include "base/js.h"
#include "base/mem.h"
#include "cloud/aws/xml.h"

#include <ctype.h>

#define FILE_MAX KIB(256)
#define ANSWER_MAX KIB(64)
#define KEY_MAX 256
#define TOKEN_MAX KIB(16)
#define ENDPOINT_TIMEOUT_MS 5000
#define IMDS_TIMEOUT_MS 2000

void aws_keys_free(struct aws_keys *k)
{
    char **texts[] = {&k->id, &k->secret, &k->token};
    for (size_t i = 0; i < ARRAY_SIZE(texts); i++) {
        if (*texts[i])
            mem_wipe(*texts[i], strlen(*texts[i]));
        free(*texts[i]);
        *texts[i] = NULL;
    }
    k->expires_ms = 0;
}

int aws_keys_copy(const struct aws_keys *from, struct aws_keys *to)
{
    if (!from->id || !from->secret)
        return -EINVAL;
    *to = (struct aws_keys){mem_strdup(from->id), mem_strdup(from->secret), mem_strdup(from->token), from->expires_ms};
    return 0;
}

static const char *env(const char *name)
{
    const char *v = getenv(name);
    return v && *v ? v : NULL;
}

void aws_source_environment(struct aws_source *ret)
{
    const char *off = env("AWS_EC2_METADATA_DISABLED");
    *ret = (struct aws_source){
        .id = env("AWS_ACCESS_KEY_ID"),
        .secret = env("AWS_SECRET_ACCESS_KEY"),
        .token = env("AWS_SESSION_TOKEN"),
        .credentials_file = env("AWS_SHARED_CREDENTIALS_FILE"),
        .profile = env("AWS_PROFILE"),
        .web_identity_file = env("AWS_WEB_IDENTITY_TOKEN_FILE"),
        .role_arn = env("AWS_ROLE_ARN"),
        .session = env("AWS_ROLE_SESSION_NAME"),
        .container_uri = env("AWS_CONTAINER_CREDENTIALS_FULL_URI"),
        .container_relative_uri = env("AWS_CONTAINER_CREDENTIALS_RELATIVE_URI"),
        .container_token_file = env("AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE"),
        .imds = env("AWS_EC2_METADATA_SERVICE_ENDPOINT"),
        .no_imds = off && !strcasecmp(off, "true"),
        .region = env("AWS_REGION") ? env("AWS_REGION") : env("AWS_DEFAULT_REGION"),
        .sts = env("AWS_ENDPOINT_URL_STS") ? env("AWS_ENDPOINT_URL_STS") : env("AWS_ENDPOINT_URL"),
    };
}

/* --- profile --- */

static void trim(const char **text, size_t *len)
{
    while (*len && isspace((unsigned char)**text))
        ++*text, --*len;
    while (*len && isspace((unsigned char)(*text)[*len - 1]))
        --*len;
}

static void take(struct aws_keys *k, const char *name, size_t name_len, const char *value, size_t len)
{
    static const char *const names[] = {"aws_access_key_id", "aws_secret_access_key", "aws_session_token"};
    char **fields[] = {&k->id, &k->secret, &k->token};
    for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
        if (strlen(names[i]) != name_len || strncmp(names[i], name, name_len) || len == 0)
            continue;
        free(*fields[i]);
        *fields[i] = mem_strndup(value, len);
    }
}

int aws_credentials_parse_file(const char *text, size_t len, const char *profile, struct aws_keys *ret, struct err *err)
{
    struct aws_keys k = {0};
    bool ours = false, seen = false;
    for (const char *end = text + len; text < end;) {
        size_t n = (size_t)((const char *)memchr(text, '\n', (size_t)(end - text))
                                ? (const char *)memchr(text, '\n', (size_t)(end - text)) - text
                                : end - text);
        const char *line = text;
        size_t line_len = n;
        text += n + 1;
        trim(&line, &line_len);
        if (!line_len || *line == '#' || *line == ';')
            continue;
        if (*line == '[') {
            ours = line_len == strlen(profile) + 2 && !strncmp(line + 1, profile, line_len - 2);
            seen |= ours;
            continue;
        }
        const char *equals = memchr(line, '=', line_len);
        if (!ours || !equals)
            continue;
        const char *name = line, *value = equals + 1;
        size_t name_len = (size_t)(equals - line), value_len = line_len - name_len - 1;
        trim(&name, &name_len);
        trim(&value, &value_len);
        take(&k, name, name_len, value, value_len);
    }
    if (k.id && k.secret) {
        *ret = k;
        return 0;
    }
    aws_keys_free(&k);
    return err_set(err, -ENOENT,
                   seen ? "the profile %.64s has no aws_access_key_id and aws_secret_access_key"
                        : "there is no profile %.64s",
                   profile);
}

static int from_profile(const struct aws_source *s, struct aws_keys *ret, struct err *err)
{
    size_t len;
    autofree char *text = NULL;
    int r = fs_read_secret(s->credentials_file, FILE_MAX, &text, &len, err);
    if (r == -ENOENT)
        return err_set(err, r, "the credentials file %s does not exist", s->credentials_file);
    if (r < 0)
        return r;
    r = aws_credentials_parse_file(text, len, s->profile ? s->profile : "default", ret, err);
    mem_wipe(text, len);
    return r < 0 ? err_wrap(err, r, "%s", s->credentials_file) : 0;
}

/* --- container and instance --- */

int aws_credentials_parse_json(const char *text, size_t len, struct aws_keys *ret, struct err *err)
{
    autojson json_t *v = NULL;
    const char *id, *secret, *token = NULL, *expires = NULL;
    int64_t at = 0;
    int r = js_parse(text, len, ANSWER_MAX, &v, err);
    if (r == 0)
        r = js_string(v, "", "AccessKeyId", KEY_MAX, &id, err);
    if (r == 0)
        r = js_string(v, "", "SecretAccessKey", KEY_MAX, &secret, err);
    if (r == 0)
        r = js_string_opt(v, "", "Token", TOKEN_MAX, &token, err);
    if (r == 0)
        r = js_string_opt(v, "", "Expiration", 64, &expires, err);
    if (r == 0 && expires && clock_iso_parse(expires, &at) < 0)
        r = err_set(err, -EINVAL, "Expiration: is not a time");
    if (r == 0)
        *ret = (struct aws_keys){mem_strdup(id), mem_strdup(secret), mem_strdup(token), at};
    return r;
}

static int fetch(struct http_pool *pool, const char *method, const char *url, const char *header, int timeout_ms,
                 struct http_response *ret, struct err *err)
{
    const char *headers[] = {header, NULL};
    struct http_request q = {.method = method,
                             .url = url,
                             .headers = header ? headers : NULL,
                             .pool = pool,
                             .timeout_ms = timeout_ms,
                             .connect_timeout_ms = timeout_ms,
                             .max_response = ANSWER_MAX,
                             .direct = true};
    int r = http_do(&q, ret, err);
    if (r == 0 && ret->status != 200)
        r = err_set(err, -EIO, "%.200s answered %d", url, ret->status);
    return r;
}

static int from_container(const struct aws_source *s, struct http_pool *pool, struct aws_keys *ret, struct err *err)
{
    autoresponse struct http_response a = {0};
    autofree char *url = s->container_uri ? mem_strdup(s->container_uri)
                                          : mem_printf("http://169.254.170.2%s", s->container_relative_uri);
    autofree char *token = NULL, *header OH_CLEANUP(oh_freep) = NULL;
    size_t len = 0;
    int r = s->container_token_file ? fs_read(s->container_token_file, TOKEN_MAX, &token, &len, err) : 0;
    if (r < 0)
        return err_set(err, r, "cannot read the token file %s", s->container_token_file);
    if (token) {
        token[strcspn(token, "\r\n")] = 0;
        header = mem_printf("Authorization: %s", token);
    }
    r = fetch(pool, "GET", url, header, ENDPOINT_TIMEOUT_MS, &a, err);
    return r < 0 ? r : aws_credentials_parse_json(a.body, a.body_len, ret, err);
}

static int from_instance(const struct aws_source *s, struct http_pool *pool, struct aws_keys *ret, struct err *err)
{
    const char *base = s->imds ? s->imds : "http://169.254.169.254";
    autoresponse struct http_response token = {0}, role OH_CLEANUP(http_response_free) = {0},
                                      keys OH_CLEANUP(http_response_free) = {0};
    autofree char *url = mem_printf("%s/latest/api/token", base);
    int r = fetch(pool, "PUT", url, "X-aws-ec2-metadata-token-ttl-seconds: 300", IMDS_TIMEOUT_MS, &token, err);
    if (r < 0)
        return r;
    if (token.body_len > 512 || strpbrk(token.body, "\r\n"))
        return err_set(err, -EPROTO, "the instance's metadata gave a token that is none");
    autofree char *header = mem_printf("X-aws-ec2-metadata-token: %s", token.body);
    autofree char *list = mem_printf("%s/latest/meta-data/iam/security-credentials/", base);
    r = fetch(pool, "GET", list, header, IMDS_TIMEOUT_MS, &role, err);
    if (r < 0)
        return r;
    role.body[strcspn(role.body, "\r\n")] = 0;
    if (!*role.body || strlen(role.body) > 64 || strpbrk(role.body, "/?# "))
        return err_set(err, -ENOENT, "this instance has no role");
    autofree char *one = mem_printf("%s%s", list, role.body);
    r = fetch(pool, "GET", one, header, IMDS_TIMEOUT_MS, &keys, err);
    return r < 0 ? r : aws_credentials_parse_json(keys.body, keys.body_len, ret, err);
}

/* --- web identity --- */

static const json_t *find_below(const json_t *v, const char *name)
{
    const char *key;
    json_t *child;
    const json_t *found = json_object_get(v, name);
    if (found || !json_is_object(v))
        return found;
    json_object_foreach((json_t *)(uintptr_t)v, key, child)
    {
        if ((found = find_below(child, name)))
            return found;
    }
    return NULL;
}

int aws_credentials_parse_sts(const char *text, size_t len, struct aws_keys *ret, struct err *err)
{
    autojson json_t *v = NULL;
    const char *id, *secret, *token, *expires;
    int64_t at;
    int r = aws_xml_parse(text, len, ANSWER_MAX, &v, NULL, err);
    const json_t *c = r == 0 ? find_below(v, "Credentials") : NULL;
    if (r == 0 && !json_is_object(c))
        return err_set(err, -EPROTO, "the answer of STS has no credentials");
    if (r == 0)
        r = js_string(c, "Credentials", "AccessKeyId", KEY_MAX, &id, err);
    if (r == 0)
        r = js_string(c, "Credentials", "SecretAccessKey", KEY_MAX, &secret, err);
    if (r == 0)
        r = js_string(c, "Credentials", "SessionToken", TOKEN_MAX, &token, err);
    if (r == 0)
        r = js_string(c, "Credentials", "Expiration", 64, &expires, err);
    if (r == 0 && clock_iso_parse(expires, &at) < 0)
        r = err_set(err, -EINVAL, "Credentials.Expiration: is not a time");
    if (r == 0)
        *ret = (struct aws_keys){mem_strdup(id), mem_strdup(secret), mem_strdup(token), at};
    return r;
}

static int from_web_identity(const struct aws_source *s, struct http_pool *pool, struct aws_keys *ret, struct err *err)
{
    static const char *const headers[] = {"Content-Type: application/x-www-form-urlencoded; charset=utf-8", NULL};
    autoresponse struct http_response a = {0};
    autobuf struct buf body = BUF_INIT;
    autofree char *token = NULL, *url OH_CLEANUP(oh_freep) = NULL;
    size_t len;
    int r = fs_read(s->web_identity_file, TOKEN_MAX, &token, &len, err);
    if (r < 0)
        return err_set(err, r, "cannot read the web identity token %s", s->web_identity_file);
    token[strcspn(token, "\r\n")] = 0;
    url = s->sts ? mem_printf("%s/", s->sts)
                 : mem_printf("https://sts.%s.amazonaws.com/", s->region ? s->region : "us-east-1");
    buf_adds(&body, "Action=AssumeRoleWithWebIdentity&Version=2011-06-15&RoleArn=");
    sigv4_encode(&body, s->role_arn, false);
    buf_adds(&body, "&RoleSessionName=");
    sigv4_encode(&body, s->session ? s->session : "ownhouse", false);
    buf_adds(&body, "&WebIdentityToken=");
    sigv4_encode(&body, token, false);
    struct http_request q = {.method = "POST",
                             .url = url,
                             .headers = headers,
                             .body = body.data,
                             .body_len = body.len,
                             .pool = pool,
                             .max_response = ANSWER_MAX};
    r = http_do(&q, &a, err);
    mem_wipe(token, len);
    mem_wipe(body.data, body.len);
    if (r == 0 && a.status != 200)
        return err_set(err, -EACCES, "STS refused the web identity token for %.200s (status %d)", s->role_arn,
                       a.status);
    return r < 0 ? r : aws_credentials_parse_sts(a.body, a.body_len, ret, err);
}

int aws_credentials_find(const struct aws_source *s, struct http_pool *pool, const struct clock *clock OH_UNUSED,
                         struct aws_keys *ret, struct err *err)
{
    if (s->id && s->secret) {
        *ret = (struct aws_keys){mem_strdup(s->id), mem_strdup(s->secret), mem_strdup(s->token), 0};
        return 0;
    }
    if (s->credentials_file)
        return from_profile(s, ret, err);
    if (s->web_identity_file && s->role_arn)
        return from_web_identity(s, pool, ret, err);
    if (s->container_uri || s->container_relative_uri)
        return from_container(s, pool, ret, err);
    if (!s->no_imds && from_instance(s, pool, ret, NULL) == 0)
        return 0;
    return err_set(err, -ENOENT,
                   "the controller has no AWS keys: set them in its environment, name a credentials file, "
                   "or run it where a container or instance role gives them");
}
