/* Activity rows of the control plane's own acts. */
#include "control/activity.h"

#include "base/keys.h"

int activity_system(struct store *s, const struct clock *clock, const char *organization, const char *type,
                    const char *service, const char *infrastructure, const char *details, struct err *err)
{
    char id[UUID_SIZE];
    uuid_new(id);
    return store_exec(s,
                      "INSERT INTO activity (id, organization_id, type, actor_type, actor_id, actor_details, "
                      "actor_address, service_id, "
                      "infrastructure_id, details, request_id, created_at) "
                      "VALUES ($1, $2, $3, 'system', 'controller', '', '', $4, $5, $6, '', $7)",
                      STORE_ARGS(store_text(id), store_text(organization), store_text(type), store_text(service),
                                 store_text(infrastructure), store_text(details), store_int(clock_wall_ms(clock))),
                      NULL, err);
}
