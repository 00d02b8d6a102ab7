/* Who sends a request, and may they send it: API key or session, protection against forged requests, roles. */
#pragma once

#include "control/api/request.h"

/* Header values as they came, or NULL. */
struct admission_headers {
    const char *authorization, *cookie, *origin, *host, *csrf;
};

/* Takes our cookies out of the headers, into q->session_token and its neighbours. */
void admission_cookies(struct api_request *q, const char *cookie_header);

/* Needs q->match and, but for the description of the API, q->store. Fills q->who. 0, or the status of a refusal with
 * its sentence in err.
 *
 * With credentials in Authorization the cookie does not count. A change by session needs X-OwnHouse-CSRF to say the
 * session's token, and an Origin that is https:// and the Host that was asked; an operation that needs nobody
 * (signing in) refuses an Origin that is another's, and takes a session along only where these hold. */
OH_MUST_CHECK int admission_check(struct api_request *q, const struct admission_headers *h, struct err *err);

/* Takes up a person's roles in one organization in place of those in q->who. 1; 0: they are no member there. */
OH_MUST_CHECK int admission_enter(struct api_request *q, const char *organization, struct err *err);
