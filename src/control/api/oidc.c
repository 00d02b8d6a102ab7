/* Signing in with an identity provider (OpenID Connect). */
#include "control/api/handlers.h"
#include "control/api/person.h"

int sign_in_methods(struct api_request *q, struct err *err)
{
    q->result = json_pack("{s:b,s:n}", "password", 1, "oidc");
    return 0;
}

static int not_configured(struct api_request *q)
{
    return api_refuse(q, 404, "no identity provider is configured");
}

int oidc_start_before(struct api_request *q, struct err *err)
{
    return not_configured(q);
}

int oidc_start(struct api_request *q, struct err *err)
{
    return not_configured(q);
}

int oidc_finish_before(struct api_request *q, struct err *err)
{
    return not_configured(q);
}

int oidc_finish(struct api_request *q, struct err *err)
{
    return not_configured(q);
}
