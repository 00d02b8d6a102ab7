/* Talks to the identity provider. */
#include "control/outward/provider.h"

#include "base/fs.h"
#include "base/mem.h"
#include "control/outward/jwt.h"
#include "net/http_client.h"

#include <pthread.h>

#define DOCUMENT_MAX KIB(64)
#define KEEP_MS (3600 * 1000LL)
#define AGAIN_MS 10000 /* between two looks at its keys for unknown ones */
#define TIMEOUT_MS 8000

struct oidc_provider {
    const struct control_config *config;
    const struct clock *clock;
    pthread_mutex_t lock;
    json_t *discovery, *keys;
    int64_t discovery_at, keys_at; /* monotonic */
};

struct oidc_provider *oidc_provider_new(const struct control_config *c, const struct clock *clock)
{
    struct oidc_provider *p = mem_alloc(sizeof(*p));
    *p = (struct oidc_provider){.config = c, .clock = clock};
    if (pthread_mutex_init(&p->lock, NULL) != 0)
        abort();
    return p;
}

void oidc_provider_free(struct oidc_provider *p)
{
    if (!p)
        return;
    json_decref(p->discovery);
    json_decref(p->keys);
    pthread_mutex_destroy(&p->lock);
    free(p);
}

static int parse_answer(const struct http_response *res, const char *what, json_t **ret, struct err *err)
{
    json_t *v = NULL;
    if (res->status != 200)
        return err_set(err, -EACCES, "the identity provider answered %d for %s", res->status, what);
    if (js_parse(res->body, res->body_len, DOCUMENT_MAX, &v, NULL) < 0 || !json_is_object(v)) {
        json_decref(v);
        return err_set(err, -EACCES, "the identity provider's answer for %s is not JSON", what);
    }
    *ret = v;
    return 0;
}

static int get(struct oidc_provider *p, const char *url, const char *what, json_t **ret, struct err *err)
{
    autoresponse struct http_response res = {0};
    const struct http_request request = {
        .url = url,
        .ca_file = *p->config->oidc_ca_file ? p->config->oidc_ca_file : NULL,
        .connect_timeout_ms = TIMEOUT_MS,
        .timeout_ms = TIMEOUT_MS,
        .max_response = DOCUMENT_MAX,
    };
    int r = http_do(&request, &res, err);
    return r < 0 ? r : parse_answer(&res, what, ret, err);
}

static const char *endpoint(const json_t *discovery, const char *name)
{
    const char *url = json_string_value(json_object_get(discovery, name));
    return url && !strncmp(url, "https://", 8) && strlen(url) < 1024 ? url : NULL;
}

/* Section 4.3 there: the issuer it names must be the one that was asked. */
static int check_discovery(const struct oidc_provider *p, const json_t *d, struct err *err)
{
    static const char *const needed[] = {"authorization_endpoint", "token_endpoint", "jwks_uri"};
    const char *issuer = json_string_value(json_object_get(d, "issuer"));
    if (!issuer || strcmp(issuer, p->config->oidc_issuer))
        return err_set(err, -EACCES, "the identity provider calls itself by another name than oidc_issuer");
    for (size_t i = 0; i < ARRAY_SIZE(needed); i++)
        if (!endpoint(d, needed[i]))
            return err_set(err, -EACCES, "the identity provider's %s is missing or not https://", needed[i]);
    return 0;
}

/* Called and returns with the lock held; *ret is a new reference. */
static int discover(struct oidc_provider *p, json_t **ret, struct err *err)
{
    int64_t now = clock_mono_ms(p->clock);
    json_t *d = NULL;
    if (!*p->config->oidc_issuer)
        return err_set(err, -ENOENT, "no identity provider is configured");
    if (!p->discovery || p->discovery_at + KEEP_MS <= now) {
        const char *issuer = p->config->oidc_issuer;
        size_t len = strlen(issuer);
        autofree char *url = mem_printf("%.*s/.well-known/openid-configuration",
                                        (int)(len && issuer[len - 1] == '/' ? len - 1 : len), issuer);
        int r = get(p, url, "its description", &d, err);
        if (r == 0)
            r = check_discovery(p, d, err);
        if (r < 0) {
            json_decref(d);
            return r;
        }
        json_decref(p->discovery);
        p->discovery = d;
        p->discovery_at = now;
    }
    *ret = json_incref(p->discovery);
    return 0;
}

/* The same. `anew`: what we have lacks a key. */
static int load_keys(struct oidc_provider *p, const json_t *discovery, bool anew, json_t **ret, struct err *err)
{
    int64_t now = clock_mono_ms(p->clock), age = now - p->keys_at;
    if (!p->keys || age >= KEEP_MS || (anew && age >= AGAIN_MS)) {
        json_t *keys = NULL;
        int r = get(p, endpoint(discovery, "jwks_uri"), "its keys", &keys, err);
        if (r < 0)
            return r;
        json_decref(p->keys);
        p->keys = keys;
        p->keys_at = now;
    }
    *ret = json_incref(p->keys);
    return 0;
}

int oidc_provider_start(struct oidc_provider *p, char **ret_endpoint, struct err *err)
{
    autojson json_t *d = NULL;
    pthread_mutex_lock(&p->lock);
    int r = discover(p, &d, err);
    pthread_mutex_unlock(&p->lock);
    if (r == 0)
        *ret_endpoint = mem_strdup(endpoint(d, "authorization_endpoint"));
    return r;
}

/* ---- the token ---- */

/* application/x-www-form-urlencoded */
static void add_field(struct buf *out, const char *name, const char *value)
{
    static const char plain[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~";
    if (out->len)
        buf_addc(out, '&');
    buf_printf(out, "%s=", name);
    for (; *value; value++)
        if (strchr(plain, *value))
            buf_addc(out, *value);
        else
            buf_printf(out, "%%%02X", (unsigned char)*value);
}

/* "id:secret", each encoded (RFC 6749 section 2.3.1); NULL for a client without a secret. */
static int credentials(const struct control_config *c, char **ret, struct err *err)
{
    char *secret = NULL;
    size_t len = 0;
    *ret = NULL;
    if (!*c->oidc_client_secret_file)
        return 0;
    int r = fs_read_secret(c->oidc_client_secret_file, KIB(4), &secret, &len, err);
    if (r < 0)
        return err_wrap(err, r, "oidc_client_secret_file %s", c->oidc_client_secret_file);
    secret[strcspn(secret, "\r\n")] = 0;
    struct buf id = BUF_INIT, encoded = BUF_INIT;
    add_field(&id, "", c->oidc_client_id);
    add_field(&encoded, "", secret);
    *ret = mem_printf("%s:%s", id.data + 1, encoded.data + 1);
    mem_wipe(encoded.data, encoded.len);
    mem_wipe(secret, len);
    buf_free(&id);
    buf_free(&encoded);
    free(secret);
    return 0;
}

static int ask_token(struct oidc_provider *p, const json_t *discovery, const char *code, const char *verifier,
                     json_t **ret, struct err *err)
{
    static const char *const headers[] = {"Content-Type: application/x-www-form-urlencoded", "Accept: application/json",
                                          NULL};
    autobuf struct buf body = BUF_INIT;
    autoresponse struct http_response res = {0};
    autofree char *redirect = control_url(p->config, "/oidc"), *basic = NULL;
    int r = credentials(p->config, &basic, err);
    if (r < 0)
        return r;
    add_field(&body, "grant_type", "authorization_code");
    add_field(&body, "code", code);
    add_field(&body, "redirect_uri", redirect);
    add_field(&body, "code_verifier", verifier);
    if (!basic)
        add_field(&body, "client_id", p->config->oidc_client_id);
    const struct http_request request = {
        .method = "POST",
        .url = endpoint(discovery, "token_endpoint"),
        .headers = headers,
        .basic = basic,
        .body = body.data,
        .body_len = body.len,
        .ca_file = *p->config->oidc_ca_file ? p->config->oidc_ca_file : NULL,
        .connect_timeout_ms = TIMEOUT_MS,
        .timeout_ms = TIMEOUT_MS,
        .max_response = DOCUMENT_MAX,
    };
    r = http_do(&request, &res, err);
    if (basic)
        mem_wipe(basic, strlen(basic));
    return r < 0 ? r : parse_answer(&res, "a token", ret, err);
}

static int verify(struct oidc_provider *p, const json_t *discovery, const char *token, const char *nonce, json_t **ret,
                  struct err *err)
{
    const struct jwt_wanted wanted = {.issuer = p->config->oidc_issuer,
                                      .audience = p->config->oidc_client_id,
                                      .nonce = nonce,
                                      .now_ms = clock_wall_ms(p->clock)};
    int r = -ENOKEY;
    for (int again = 0; again < 2 && r == -ENOKEY; again++) {
        autojson json_t *keys = NULL;
        *err = ERR_INIT;
        pthread_mutex_lock(&p->lock);
        r = load_keys(p, discovery, again, &keys, err);
        pthread_mutex_unlock(&p->lock);
        if (r == 0)
            r = jwt_verify(token, keys, &wanted, ret, err);
    }
    return r == -ENOKEY ? -EACCES : r;
}

int oidc_provider_finish(struct oidc_provider *p, const char *code, const char *verifier, const char *nonce,
                         json_t **ret_claims, struct err *err)
{
    static const char *const wanted[] = {"sub", "email", "email_verified", "name"};
    autojson json_t *discovery = NULL, *tokens = NULL, *claims = NULL, *out = json_object();
    const char *token = NULL;
    pthread_mutex_lock(&p->lock);
    int r = discover(p, &discovery, err);
    pthread_mutex_unlock(&p->lock);
    if (r == 0)
        r = ask_token(p, discovery, code, verifier, &tokens, err);
    if (r == 0 && !(token = json_string_value(json_object_get(tokens, "id_token"))))
        r = err_set(err, -EACCES, "the identity provider gave no ID token");
    if (r == 0)
        r = verify(p, discovery, token, nonce, &claims, err);
    for (size_t i = 0; r == 0 && i < ARRAY_SIZE(wanted); i++)
        if (json_object_get(claims, wanted[i]))
            json_object_set(out, wanted[i], json_object_get(claims, wanted[i]));
    if (r == 0)
        *ret_claims = TAKE_PTR(out);
    return r;
}
