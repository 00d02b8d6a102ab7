/* What every change of a service begins and ends with: its row, read in the transaction of the change, so that two
 * changes at once never lose one another's fields. */
#pragma once

#include "control/api/request.h"
#include "control/lifecycle.h"

struct service_change {
    const char *id, *name, *slug;           /* in the request's arena */
    const char *provider, *region, *domain; /* of its infrastructure, as they are shown */
    char infrastructure[UUID_SIZE];
    enum service_state state;
    bool delete_data;
    json_t *spec; /* owned; change it and store it with service_change_store() */
};

void service_change_free(struct service_change *c);
#define autochange OH_CLEANUP(service_change_free)

/* The service that the path names; a 404 refusal if there is none. */
OH_MUST_CHECK int service_change_read(struct api_request *q, struct service_change *ret, struct err *err);
/* The same for a change: refuses (400) a service that is being deleted. */
OH_MUST_CHECK int service_change_begin(struct api_request *q, struct service_change *ret, struct err *err);
/* Stores name and specification as the next generation. */
OH_MUST_CHECK int service_change_store(struct api_request *q, const struct service_change *c, struct err *err);
/* The same, with the one activity of the change. details may be NULL. */
OH_MUST_CHECK int service_change_finish(struct api_request *q, const struct service_change *c, const char *activity,
                                        const char *details, struct err *err);
