/* The operations; each is an api_handler (request.h). Table: dispatch.c. */
#pragma once

#include "control/api/request.h"

int organization_list(struct api_request *q, struct err *err);
int organization_get(struct api_request *q, struct err *err);
int organization_update(struct api_request *q, struct err *err);

int rbac_list(struct api_request *q, struct err *err);
int rbac_create(struct api_request *q, struct err *err);
int rbac_get(struct api_request *q, struct err *err);
int rbac_update(struct api_request *q, struct err *err);
int rbac_delete(struct api_request *q, struct err *err);

int member_list(struct api_request *q, struct err *err);
int member_get(struct api_request *q, struct err *err);
int member_update(struct api_request *q, struct err *err);
int member_delete(struct api_request *q, struct err *err);
int invitation_list(struct api_request *q, struct err *err);
int invitation_create(struct api_request *q, struct err *err);
int invitation_create_after(struct api_request *q, struct err *err);
int invitation_get(struct api_request *q, struct err *err);
int invitation_delete(struct api_request *q, struct err *err);

int quota_list(struct api_request *q, struct err *err);
int quota_get(struct api_request *q, struct err *err);
int usage_cost(struct api_request *q, struct err *err);

int service_list(struct api_request *q, struct err *err);
int service_create(struct api_request *q, struct err *err);
int service_get(struct api_request *q, struct err *err);
int service_update(struct api_request *q, struct err *err);
int service_delete(struct api_request *q, struct err *err);
int service_state(struct api_request *q, struct err *err);
int service_password(struct api_request *q, struct err *err);
int service_scaling(struct api_request *q, struct err *err);
int service_replica_scaling(struct api_request *q, struct err *err);
int scaling_schedule_get(struct api_request *q, struct err *err);
int scaling_schedule_upsert(struct api_request *q, struct err *err);
int scaling_schedule_delete(struct api_request *q, struct err *err);
int upgrade_window_get(struct api_request *q, struct err *err);
int upgrade_window_put(struct api_request *q, struct err *err);
int upgrade_window_delete(struct api_request *q, struct err *err);
int service_prometheus(struct api_request *q, struct err *err);
int organization_prometheus(struct api_request *q, struct err *err);
/* Settings by name, checked, as the texts that are stored; a new reference. Refuses (400) under `place`. */
OH_MUST_CHECK int clickhouse_settings_take(struct api_request *q, const char *place, const json_t *wanted,
                                           json_t **ret);
int clickhouse_setting_list(struct api_request *q, struct err *err);
int clickhouse_setting_schema(struct api_request *q, struct err *err);
int clickhouse_setting_get(struct api_request *q, struct err *err);
int clickhouse_setting_update(struct api_request *q, struct err *err);
int clickhouse_setting_reset(struct api_request *q, struct err *err);
int private_endpoint_create(struct api_request *q, struct err *err);
int private_endpoint_config(struct api_request *q, struct err *err);
int organization_private_endpoint_config(struct api_request *q, struct err *err);
int query_endpoint_get(struct api_request *q, struct err *err);
int query_endpoint_upsert(struct api_request *q, struct err *err);
int query_endpoint_delete(struct api_request *q, struct err *err);
int backup_list(struct api_request *q, struct err *err);
int backup_create(struct api_request *q, struct err *err);
int backup_get(struct api_request *q, struct err *err);
int backup_configuration_get(struct api_request *q, struct err *err);
int backup_configuration_update(struct api_request *q, struct err *err);
int backup_bucket_get(struct api_request *q, struct err *err);
int backup_bucket_create(struct api_request *q, struct err *err);
int backup_bucket_update(struct api_request *q, struct err *err);
int backup_bucket_delete(struct api_request *q, struct err *err);

int key_list(struct api_request *q, struct err *err);
int key_create(struct api_request *q, struct err *err);
int key_get(struct api_request *q, struct err *err);
int key_update(struct api_request *q, struct err *err);
int key_delete(struct api_request *q, struct err *err);

int activity_list(struct api_request *q, struct err *err);
int activity_get(struct api_request *q, struct err *err);

int removal_report_get(struct api_request *q, struct err *err);
int drift_list(struct api_request *q, struct err *err);
int drift_check(struct api_request *q, struct err *err);
int drift_decide(struct api_request *q, struct err *err);

int account_list(struct api_request *q, struct err *err);
int account_create(struct api_request *q, struct err *err);
int account_artefact_get(struct api_request *q, struct err *err);
int account_check_create(struct api_request *q, struct err *err);
int account_check_get(struct api_request *q, struct err *err);
int account_get(struct api_request *q, struct err *err);
int account_delete(struct api_request *q, struct err *err);

int byoc_create(struct api_request *q, struct err *err);
int byoc_get(struct api_request *q, struct err *err);
int byoc_update(struct api_request *q, struct err *err);
int byoc_delete(struct api_request *q, struct err *err);
int infrastructure_list(struct api_request *q, struct err *err);
int infrastructure_get(struct api_request *q, struct err *err);
int infrastructure_enrolment(struct api_request *q, struct err *err);
int infrastructure_request_plan(struct api_request *q, struct err *err);

int request_list(struct api_request *q, struct err *err);
int request_get(struct api_request *q, struct err *err);
int request_create(struct api_request *q, struct err *err);
int request_approve(struct api_request *q, struct err *err);
int request_after(struct api_request *q, struct err *err);
int preapproval_create(struct api_request *q, struct err *err);
int consent_get(struct api_request *q, struct err *err);

int plan_list(struct api_request *q, struct err *err);
int plan_get(struct api_request *q, struct err *err);
int plan_approve(struct api_request *q, struct err *err);
int plan_discard(struct api_request *q, struct err *err);

int access_list(struct api_request *q, struct err *err);
int access_create(struct api_request *q, struct err *err);
int access_get(struct api_request *q, struct err *err);
int access_revoke(struct api_request *q, struct err *err);

int agent_list(struct api_request *q, struct err *err);
int agent_get(struct api_request *q, struct err *err);

int events_get(struct api_request *q, struct err *err);
int sign_in_methods(struct api_request *q, struct err *err);
int sign_in_before(struct api_request *q, struct err *err);
int sign_in(struct api_request *q, struct err *err);
int session_get(struct api_request *q, struct err *err);
int session_delete(struct api_request *q, struct err *err);
int session_list(struct api_request *q, struct err *err);
int session_delete_others(struct api_request *q, struct err *err);
int session_revoke(struct api_request *q, struct err *err);
int oidc_start_before(struct api_request *q, struct err *err);
int oidc_start(struct api_request *q, struct err *err);
int oidc_finish_before(struct api_request *q, struct err *err);
int oidc_finish(struct api_request *q, struct err *err);
int profile_get(struct api_request *q, struct err *err);
int profile_update(struct api_request *q, struct err *err);
int profile_password_before(struct api_request *q, struct err *err);
int profile_password(struct api_request *q, struct err *err);
int confirm_before(struct api_request *q, struct err *err);
int totp_enrol_before(struct api_request *q, struct err *err);
int totp_enrol(struct api_request *q, struct err *err);
int totp_confirm_before(struct api_request *q, struct err *err);
int totp_confirm(struct api_request *q, struct err *err);
int totp_disable(struct api_request *q, struct err *err);
int recovery_create(struct api_request *q, struct err *err);
int set_up_before(struct api_request *q, struct err *err);
int set_up(struct api_request *q, struct err *err);
int invitation_look(struct api_request *q, struct err *err);
int invitation_accept_before(struct api_request *q, struct err *err);
int invitation_accept(struct api_request *q, struct err *err);

/* A request for consent as it is (`document` its JSON text): kept, and carried to the data plane. 409 if its id is
 * taken or too many wait. */
struct consent_request;
OH_MUST_CHECK int request_keep(struct api_request *q, const struct consent_request *c, const char *document,
                               struct err *err);
/* The signatures on a request so far; new reference. */
OH_MUST_CHECK int request_approvals(struct api_request *q, const char *id, json_t **ret, struct err *err);
/* The pre-approval of that id, JSON null if there is none; new reference. */
OH_MUST_CHECK int request_preapproval(struct api_request *q, const char *id, json_t **ret, struct err *err);

/* Views that several operations give. New references in *ret. */

/* byocConfig of an organization (infrastructure NULL), or of one infrastructure (0 = there is none, 1 = *ret is an
 * array of one). */
OH_MUST_CHECK int byoc_config(struct api_request *q, const char *infrastructure, json_t **ret, struct err *err);
/* Plans, newest first: of one infrastructure and in one state, where these are not NULL. */
OH_MUST_CHECK int plan_views(struct api_request *q, const char *infrastructure, const char *state, int limit,
                             json_t **ret, struct err *err);
/* The plan of an infrastructure that waits or works, else its newest; JSON null if there is none. */
OH_MUST_CHECK int plan_current(struct api_request *q, const char *infrastructure, json_t **ret, struct err *err);
/* The wish has changed: proposals made for the earlier one can no longer be approved. */
OH_MUST_CHECK int plan_supersede(struct api_request *q, const char *infrastructure, struct err *err);
OH_MUST_CHECK int agent_views(struct api_request *q, const char *infrastructure, const char *agent, json_t **ret,
                              struct err *err);
/* Services of the organization that have not ended. */
OH_MUST_CHECK int quota_services_used(struct api_request *q, int64_t *ret, struct err *err);
