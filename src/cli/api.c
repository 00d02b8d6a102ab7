/* Calls to the public API over HAProxy's TLS port. */
#include "cli/api.h"

#include "base/fs.h"
#include "base/mem.h"
#include "net/http_client.h"

#define CREDENTIALS_MAX KIB(16)
#define CALL_TIMEOUT_MS 30000

static void wipe_free(char *s)
{
    if (s)
        mem_wipe(s, strlen(s));
    free(s);
}

void api_free(struct api *a)
{
    if (!a)
        return;
    free(a->base);
    free(a->ca_file);
    free(a->organization);
    wipe_free(a->basic);
    free(a);
}

static int read_credentials(struct api *a, const char *path, struct err *err)
{
    char *text = NULL;
    size_t len = 0;
    const char *id, *secret, *organization;
    autojson json_t *v = NULL;
    int r = fs_read_secret(path, CREDENTIALS_MAX, &text, &len, err);
    if (r == -ENOENT)
        return err_set(err, r, "there is no installation here (%s does not exist): run `ownhouse up` first", path);
    if (r < 0)
        return r;
    r = js_parse(text, len, CREDENTIALS_MAX, &v, err);
    wipe_free(text);
    if (r == 0)
        r = js_string(v, "", "keyId", 200, &id, err);
    if (r == 0)
        r = js_string(v, "", "keySecret", 200, &secret, err);
    if (r == 0)
        r = js_string(v, "", "organizationId", 200, &organization, err);
    if (r < 0)
        return err_wrap(err, r, "%s is damaged", path);
    a->basic = mem_printf("%s:%s", id, secret);
    a->organization = mem_strdup(organization);
    return 0;
}

int api_open(const char *base, const char *ca_file, const char *credentials_path, struct api **ret, struct err *err)
{
    autoapi struct api *a = mem_alloc(sizeof(*a));
    a->base = mem_strdup(base);
    a->ca_file = mem_strdup(ca_file);
    int r = read_credentials(a, credentials_path, err);
    if (r == 0)
        *ret = TAKE_PTR(a);
    return r;
}

static int code_of(int status)
{
    switch (status) {
    case 400:
        return -EINVAL;
    case 401:
    case 403:
        return -EACCES;
    case 404:
        return -ENOENT;
    case 409:
        return -EEXIST;
    case 429:
    case 503:
        return -EAGAIN;
    default:
        return -EIO;
    }
}

static int judge(const struct http_response *res, const char *method, const char *path, json_t **ret, struct err *err)
{
    autojson json_t *v = NULL;
    const char *said = NULL;
    struct err why = ERR_INIT;
    int r = res->body_len ? js_parse(res->body, res->body_len, API_MAX_RESPONSE, &v, &why) : 0;
    if (res->status / 100 != 2) {
        if (r == 0 && json_is_object(v))
            (void)!js_string_opt(v, "", "error", 2000, &said, NULL);
        if (said)
            return err_set(err, code_of(res->status), "%s", said);
        return err_set(err, code_of(res->status), "the API answered %s %s with status %d", method, path, res->status);
    }
    if (r < 0)
        return err_set(err, -EIO, "the API's answer to %s %s is not JSON: %s", method, path, why.message);
    json_t *result = json_object_get(v, "result");
    if (ret)
        *ret = result ? json_incref(result) : json_null();
    return 0;
}

int api_call_root(const struct api *a, const char *method, const char *path, const json_t *body, json_t **ret,
                  struct err *err)
{
    autofree char *url = mem_printf("%s%s", a->base, path);
    autofree char *text = body ? js_text(body) : NULL;
    static const char *const headers[] = {"Content-Type: application/json", "Accept: application/json", NULL};
    struct http_request req = {
        .method = method,
        .url = url,
        .headers = headers,
        .basic = a->basic,
        .body = text,
        .body_len = text ? strlen(text) : 0,
        .ca_file = a->ca_file,
        .connect_timeout_ms = 3000,
        .timeout_ms = CALL_TIMEOUT_MS,
        .max_response = API_MAX_RESPONSE,
    };
    autoresponse struct http_response res = {0};
    int r = http_do(&req, &res, err);
    if (r == -ECONNREFUSED)
        return err_set(err, r, "the control plane at %s does not answer: run `ownhouse up` to start it", a->base);
    return r < 0 ? r : judge(&res, method, path, ret, err);
}

int api_call(const struct api *a, const char *method, const char *path, const json_t *body, json_t **ret,
             struct err *err)
{
    autofree char *whole = mem_printf("/v1/organizations/%s%s", a->organization, path);
    return api_call_root(a, method, whole, body, ret, err);
}
