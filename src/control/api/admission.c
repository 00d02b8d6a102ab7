/* Decides at the door whether a request may go on. */
#include "control/api/admission.h"

#include "base/log.h"
#include "control/identity/access.h"
#include "control/identity/basic.h"
#include "control/identity/cookie.h"
#include "control/identity/session.h"

#include <strings.h>

#define PERSONAL "signed-in" /* x-permission of what only a person may do, for themselves */
#define CSRF_LENGTH 64

static const char *take_cookie(struct arena *a, const char *header, const char *name)
{
    char value[COOKIE_MAX];
    return cookie_find(header, name, value) ? arena_strdup(a, value) : NULL;
}

void admission_cookies(struct api_request *q, const char *cookie_header)
{
    q->session_token = take_cookie(q->arena, cookie_header, SESSION_COOKIE);
    q->device_token = take_cookie(q->arena, cookie_header, "__Host-ownhouse-device");
    q->oidc_token = take_cookie(q->arena, cookie_header, "__Host-ownhouse-oidc");
}

static bool own_origin(const struct admission_headers *h)
{
    static const char scheme[] = "https://";
    size_t len = strlen(scheme);
    return h->origin && h->host && !strncmp(h->origin, scheme, len) && !strcasecmp(h->origin + len, h->host);
}

static bool own_token(const struct api_request *q, const struct admission_headers *h)
{
    char expected[CSRF_LENGTH + 1];
    session_csrf(q->session_token, expected);
    return h->csrf && strlen(h->csrf) == CSRF_LENGTH && bytes_equal(h->csrf, expected, CSRF_LENGTH);
}

static bool changes(const struct api_request *q)
{
    return strcmp(q->match.operation->method, "GET") != 0;
}

int admission_enter(struct api_request *q, const char *organization, struct err *err)
{
    autorows struct store_rows *rows = NULL;
    *q->who.organization = 0;
    json_decref(q->who.roles);
    json_decref(q->who.policies);
    q->who.roles = q->who.policies = NULL;
    int r = store_query(q->store, "SELECT roles FROM member WHERE organization_id = $1 AND user_id = $2",
                        STORE_ARGS(store_text(organization), store_text(q->who.user)), &rows, err);
    if (r == 0)
        r = store_next(rows, err);
    if (r <= 0)
        return r;
    const char *text = store_column_text(rows, 0);
    r = js_parse(text, strlen(text), MIB(1), &q->who.roles, err);
    if (r < 0)
        return err_wrap(err, -EIO, "stored member");
    snprintf(q->who.organization, sizeof(q->who.organization), "%s", organization);
    r = access_policies(q->store, organization, q->who.roles, &q->who.policies, err);
    return r < 0 ? r : 1;
}

static const char *organization_asked(const struct api_request *q)
{
    const struct contract_operation *op = q->match.operation;
    return op->parameters[0] && !strcmp(op->parameters[0], "organizationId") ? q->match.path[0] : NULL;
}

static int by_session(struct api_request *q, struct err *err)
{
    autosession struct session s = {0};
    const char *organization = organization_asked(q);
    int r = session_find(q->store, q->now, q->session_token, &s, err);
    if (r < 0)
        return r;
    if (r == 0)
        return err_set(err, -EACCES, "the session has ended; sign in again");
    snprintf(q->who.user, sizeof(q->who.user), "%s", s.user);
    snprintf(q->who.session, sizeof(q->who.session), "%s", s.id);
    q->who.name = TAKE_PTR(s.email);
    q->who.stale_use = s.stale_seen;
    return organization ? MIN(admission_enter(q, organization, err), 0) : 0;
}

static int by_key(struct api_request *q, const char *authorization, struct err *err)
{
    autobasic struct basic basic = {0};
    int r = basic_parse(authorization, &basic, err);
    if (r < 0)
        return err_set(err, -EACCES, "%s; send the API key's id and secret as HTTP Basic credentials",
                       arena_strdup(q->arena, err->message));
    return api_key_authenticate(q->store, q->api->clock, basic.user, basic.password, q->address, &q->who, err);
}

static int status_of(struct api_request *q, int r, struct err *err)
{
    if (r == -EACCES)
        return 401;
    if (r == -EPERM)
        return 403;
    if (r < 0) {
        log_error("who asks cannot be checked", "request", q->id, "error", err->message);
        *err = ERR_INIT;
        err_set(err, r, "the control plane cannot check who asks now; try again");
        return 503;
    }
    return 0;
}

/* What the request is about, for access_allows(). */
static const char *resource_of(const struct api_request *q)
{
    const struct contract_operation *op = q->match.operation;
    if (strncmp(op->permission, "control-plane:service:", strlen("control-plane:service:")))
        return arena_printf(q->arena, "organization/%s", q->who.organization);
    for (size_t i = 0; op->parameters[i]; i++)
        if (!strcmp(op->parameters[i], "serviceId"))
            return arena_printf(q->arena, "instance/%s", q->match.path[i]);
    return strcmp(op->method, "GET") ? "instance/*" : NULL;
}

/* The organization in the path must be the asker's; another's is answered like one that does not exist. */
static int check_rights(struct api_request *q, struct err *err)
{
    const char *organization = organization_asked(q), *permission = q->match.operation->permission;
    if (organization && strcmp(organization, q->who.organization)) {
        err_set(err, -ENOENT, "there is no such organization");
        return 404;
    }
    if (!strcmp(permission, PERSONAL)) {
        if (*q->who.user)
            return 0;
        err_set(err, -EPERM, "this is for people who are signed in, not for API keys");
        return 403;
    }
    /* A list over all organizations of a person weighs each of them itself. */
    if (*q->who.user && !organization && !changes(q))
        return 0;
    if (!access_allows(q->who.roles, q->who.policies, permission, resource_of(q))) {
        err_set(err, -EPERM, "%s has no role that allows %s", *q->who.user ? "the user" : "the API key", permission);
        return 403;
    }
    return 0;
}

/* Operations that anybody may ask for: a session comes along if it is there and nobody forged the request. */
static int admit_anyone(struct api_request *q, const struct admission_headers *h, struct err *err)
{
    if (!changes(q) || !q->store)
        return 0;
    if (h->origin && !own_origin(h)) {
        err_set(err, -EPERM, "Origin: is another site; sign in on this server's own pages");
        return 403;
    }
    if (!q->session_token || !own_origin(h) || !own_token(q, h))
        return 0;
    int r = by_session(q, err);
    if (r == -EACCES)
        *err = ERR_INIT;
    return r == -EACCES ? 0 : status_of(q, r, err);
}

int admission_check(struct api_request *q, const struct admission_headers *h, struct err *err)
{
    if (q->match.operation->open)
        return admit_anyone(q, h, err);
    bool session = !h->authorization && q->session_token;
    int r = status_of(q, session ? by_session(q, err) : by_key(q, h->authorization, err), err);
    if (r != 0)
        return r;
    if (session && changes(q) && !own_origin(h)) {
        err_set(err, -EPERM, "Origin: a change by session must come from this server's own pages");
        return 403;
    }
    if (session && changes(q) && !own_token(q, h)) {
        err_set(err, -EPERM, "X-OwnHouse-CSRF: must be the csrfToken that GET /v1/session gives");
        return 403;
    }
    return check_rights(q, err);
}
