/* Signing in with an identity provider: OpenID Connect's code flow with PKCE (RFC 7636).
 *
 * One random secret in a cookie binds start and end to one browser; state, nonce and the verifier are told from it, so
 * that nothing needs to be kept here. The outward role talks to the provider and verifies its token. */
#include "control/api/acceptance.h"
#include "control/api/handlers.h"
#include "control/api/person.h"
#include "control/identity/password.h"
#include "control/outward.h"

#define COOKIE "__Host-ownhouse-oidc"
#define SECRET_LENGTH 43
#define FLOW_SECONDS 600

/* Hex digits are unreserved characters of RFC 7636 section 4.1 and of any query. */
static void derive(const char *secret, const char *what, char ret[65])
{
    autofree char *text = mem_printf("ownhouse oidc %s %s", what, secret);
    sha256_hex(text, strlen(text), ret);
    mem_wipe(text, strlen(text));
}

static bool configured(const struct api_request *q)
{
    const char *issuer = q->api->role->config.oidc_issuer;
    return issuer && *issuer;
}

static int not_configured(struct api_request *q)
{
    return api_refuse(q, 404, "no identity provider is configured");
}

int sign_in_methods(struct api_request *q, struct err *err)
{
    json_t *oidc = configured(q) ? json_pack("{s:s}", "name", q->api->role->config.oidc_name) : json_null();
    q->result = json_pack("{s:b,s:o}", "password", 1, "oidc", oidc);
    return 0;
}

/* What the outward role could not do, told to who asks: nobody yet, so that files and hosts are for the log. */
static int explain(struct api_request *q, int r, const struct err *err)
{
    static const char theirs[] = "the identity provider";
    if (r == -EACCES && !strncmp(err->message, theirs, strlen(theirs)))
        return api_refuse(q, 401, "%s", err->message);
    return api_refuse(q, 503, "the identity provider cannot be asked now; the control plane's log says why");
}

/* ---- to the provider ---- */

static void add_parameter(struct buf *out, const char *name, const char *value)
{
    static const char plain[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~";
    buf_printf(out, "%s=", name);
    for (; *value; value++)
        if (strchr(plain, *value))
            buf_addc(out, *value);
        else
            buf_printf(out, "%%%02X", (unsigned char)*value);
    buf_addc(out, '&');
}

/* base64url of SHA-256 of the verifier. */
static void challenge_of(const char *verifier, char ret[48])
{
    unsigned char digest[SHA256_SIZE];
    sha256(verifier, strlen(verifier), digest);
    autofree char *text = base64_encode(digest, sizeof(digest));
    for (char *p = text; *p; p++)
        *p = *p == '+' ? '-' : *p == '/' ? '_' : *p;
    snprintf(ret, 48, "%.*s", (int)strcspn(text, "="), text);
}

static const char *address_of(struct api_request *q, const char *endpoint, const char *secret)
{
    const struct control_config *c = &q->api->role->config;
    char state[65], nonce[65], verifier[65], challenge[48];
    autofree char *redirect = control_url(c, "/oidc");
    autobuf struct buf out = BUF_INIT;
    derive(secret, "state", state);
    derive(secret, "nonce", nonce);
    derive(secret, "verifier", verifier);
    challenge_of(verifier, challenge);
    buf_printf(&out, "%s%s", endpoint, strchr(endpoint, '?') ? "&" : "?");
    add_parameter(&out, "response_type", "code");
    add_parameter(&out, "client_id", c->oidc_client_id);
    add_parameter(&out, "redirect_uri", redirect);
    add_parameter(&out, "scope", "openid email profile");
    add_parameter(&out, "state", state);
    add_parameter(&out, "nonce", nonce);
    add_parameter(&out, "code_challenge_method", "S256");
    add_parameter(&out, "code_challenge", challenge);
    return arena_strndup(q->arena, out.data, out.len - 1); /* without the last & */
}

int oidc_start_before(struct api_request *q, struct err *err)
{
    autofree char *endpoint = NULL;
    if (!configured(q))
        return not_configured(q);
    int r = outward_oidc_start(q->api->role->outward, &endpoint, err);
    if (r < 0)
        return explain(q, r, err);
    q->prepared = arena_strdup(q->arena, endpoint);
    return 0;
}

int oidc_start(struct api_request *q, struct err *err)
{
    char secret[SECRET_LENGTH + 1];
    token_generate(secret, SECRET_LENGTH);
    q->result = json_pack("{s:s}", "url", address_of(q, q->prepared, secret));
    api_header(q, "Set-Cookie",
               arena_printf(q->arena, COOKIE "=%s; Path=/; Max-Age=%d; Secure; HttpOnly; SameSite=Strict", secret,
                            FLOW_SECONDS));
    mem_wipe(secret, sizeof(secret));
    return 0;
}

/* ---- and back ---- */

struct arrival {
    const char *subject, *email, *name; /* email: only if the provider vouches for it, in lower case; else NULL */
    struct throttle_attempt attempt;
};

static void take_claims(struct api_request *q, const json_t *claims, struct arrival *a)
{
    const char *email = json_string_value(json_object_get(claims, "email"));
    const char *name = json_string_value(json_object_get(claims, "name"));
    a->subject = arena_printf(q->arena, "%s %s", q->api->role->config.oidc_issuer,
                              json_string_value(json_object_get(claims, "sub")));
    if (email && strchr(email, '@') && strlen(email) <= 254 && json_is_true(json_object_get(claims, "email_verified")))
        a->email = person_lower(q->arena, email);
    if (name && *name && strlen(name) <= 100)
        a->name = arena_strdup(q->arena, name);
}

int oidc_finish_before(struct api_request *q, struct err *err)
{
    struct arrival *a = arena_alloc(q->arena, sizeof(*a));
    autojson json_t *claims = NULL;
    char state[65], verifier[65], nonce[65];
    const char *sent = api_body_text(q, "state"), *issuer = api_body_text(q, "iss");
    q->prepared = a;
    if (!configured(q))
        return not_configured(q);
    int r = person_attempt(q, NULL, &a->attempt, err);
    if (r < 0)
        return r;
    if (!q->oidc_token)
        return api_refuse(q, 400, "state: this browser did not start a sign-in in the last ten minutes; begin again");
    derive(q->oidc_token, "state", state);
    if (strlen(sent) != 64 || !bytes_equal(sent, state, 64))
        return api_refuse(q, 400, "state: is of another sign-in; begin again");
    if (issuer && strcmp(issuer, q->api->role->config.oidc_issuer)) /* RFC 9207 */
        return api_refuse(q, 400, "iss: is another identity provider");
    derive(q->oidc_token, "verifier", verifier);
    derive(q->oidc_token, "nonce", nonce);
    r = outward_oidc_finish(q->api->role->outward, api_body_text(q, "code"), verifier, nonce, &claims, err);
    if (r < 0)
        return explain(q, r, err);
    take_claims(q, claims, a);
    return 0;
}

/* The account that the provider's person has here: known already, or with an address that the provider vouches for.
 * 1 or 0; 0 with q->status set is a refusal. */
static int find_account(struct api_request *q, const struct arrival *a, struct person *ret, struct err *err)
{
    int r = person_by_oidc(q, a->subject, ret, err);
    if (r != 0 || !a->email)
        return r;
    r = person_by_email(q, a->email, ret, err);
    if (r <= 0)
        return r;
    if (ret->oidc_subject)
        return api_refuse(q, 403, "the account with this address belongs to another person of the identity provider");
    r = store_exec(q->store, "UPDATE user SET oidc_subject = $2 WHERE id = $1",
                   STORE_ARGS(store_text(ret->id), store_text(a->subject)), NULL, err);
    return r < 0 ? r : 1;
}

/* An invitation to the address that the provider vouches for is accepted; 1 = *p is its account. */
static int accept(struct api_request *q, const struct arrival *a, bool known, struct person *p, struct err *err)
{
    struct invitation i;
    const char *token = api_body_text(q, "invitation");
    if (!token)
        return known;
    int r = invitation_find(q, token, &i, err);
    if (r <= 0)
        return r < 0 ? r : invitation_gone(q);
    if (!a->email || strcmp(a->email, i.email))
        return api_refuse(q, 403, "the invitation is to another address than the identity provider vouches for");
    if (!known)
        r = invitation_new_person(q, &i, a->name ? a->name : a->email, "", a->subject, p, err);
    if (r >= 0)
        r = invitation_join(q, &i, p, err);
    return r < 0 ? r : 1;
}

int oidc_finish(struct api_request *q, struct err *err)
{
    const struct arrival *a = q->prepared;
    struct person p;
    int r = find_account(q, a, &p, err);
    if (r >= 0)
        r = accept(q, a, r == 1, &p, err);
    if (r < 0)
        return r;
    api_header(q, "Set-Cookie", COOKIE "=; Path=/; Max-Age=0; Secure; HttpOnly; SameSite=Strict");
    if (r == 0) {
        r = person_activity_unknown(q, err);
        return r < 0 ? r
                     : api_refuse_and_keep(q, 403,
                                           "the identity provider knows you, but no account here has your address; ask "
                                           "for an invitation");
    }
    throttle_succeeded(q->api->throttle, &a->attempt);
    r = person_sign_in(q, &p, "oidc", false, err);
    return r < 0 ? r : person_answer(q, err);
}
