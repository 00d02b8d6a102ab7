/* Which function answers which operation of api/openapi.json. */
#include "control/api/handlers.h"

static const struct {
    const char *id;
    api_handler handler;
} table[] = {
    {"organizationGetList", organization_list},
    {"organizationGet", organization_get},
    {"organizationUpdate", organization_update},
    {"organizationQuotasGetList", quota_list},
    {"organizationQuotaGet", quota_get},
    {"usageCostGet", usage_cost},
    {"organizationRolesGetList", rbac_list},
    {"organizationRolePost", rbac_create},
    {"organizationRoleGet", rbac_get},
    {"organizationRolePatch", rbac_update},
    {"organizationRoleDelete", rbac_delete},
    {"memberGetList", member_list},
    {"memberGet", member_get},
    {"memberUpdate", member_update},
    {"memberDelete", member_delete},
    {"invitationGetList", invitation_list},
    {"invitationCreate", invitation_create},
    {"invitationGet", invitation_get},
    {"invitationDelete", invitation_delete},
    {"instanceGetList", service_list},
    {"instanceCreate", service_create},
    {"instanceGet", service_get},
    {"instanceUpdate", service_update},
    {"instanceDelete", service_delete},
    {"instanceStateUpdate", service_state},
    {"instancePasswordUpdate", service_password},
    {"instanceScalingUpdate", service_scaling},
    {"instanceReplicaScalingUpdate", service_replica_scaling},
    {"scalingScheduleGet", scaling_schedule_get},
    {"scalingScheduleUpsert", scaling_schedule_upsert},
    {"scalingScheduleDelete", scaling_schedule_delete},
    {"upgradeWindowGet", upgrade_window_get},
    {"upgradeWindowUpdate", upgrade_window_put},
    {"upgradeWindowDelete", upgrade_window_delete},
    {"openapiKeyGetList", key_list},
    {"openapiKeyCreate", key_create},
    {"openapiKeyGet", key_get},
    {"openapiKeyUpdate", key_update},
    {"openapiKeyDelete", key_delete},
    {"activityGetList", activity_list},
    {"activityGet", activity_get},
    {"accountGetList", account_list},
    {"accountCreate", account_create},
    {"accountGet", account_get},
    {"accountDelete", account_delete},
    {"organizationByocInfrastructureCreate", byoc_create},
    {"organizationByocInfrastructureUpdate", byoc_update},
    {"organizationByocInfrastructureDelete", byoc_delete},
    {"infrastructureGetList", infrastructure_list},
    {"infrastructureGet", infrastructure_get},
    {"infrastructureEnrolmentGet", infrastructure_enrolment},
    {"planRequest", infrastructure_request_plan},
    {"planGetList", plan_list},
    {"planGet", plan_get},
    {"planApprove", plan_approve},
    {"planDiscard", plan_discard},
    {"agentGetList", agent_list},
    {"agentGet", agent_get},
    {"eventsGet", events_get},
};
const size_t api_handlers_count = ARRAY_SIZE(table);

api_handler api_handler_of(const char *operation_id)
{
    for (size_t i = 0; i < ARRAY_SIZE(table); i++)
        if (!strcmp(table[i].id, operation_id))
            return table[i].handler;
    return NULL;
}
