/* Services as the API shows them. */
#pragma once

#include "control/api/request.h"

/* Columns and tables of a query whose rows service_view() reads. */
#define SERVICE_VIEW_COLUMNS                                                                                    \
    "s.id, s.name, s.slug, s.ordinal, s.state, s.delete_data, s.spec, s.generation, s.observed, s.created_at, " \
    "s.infrastructure_id, i.provider, i.region, i.domain, a.config, a.provider, o.config"
#define SERVICE_VIEW_COLUMNS_COUNT 17
#define SERVICE_VIEW_TABLES                                                                                \
    "service s JOIN infrastructure i ON i.id = s.infrastructure_id JOIN account a ON a.id = i.account_id " \
    "JOIN organization o ON o.id = s.organization_id"

/* What many rows have in common, parsed once: start with {0}, end with service_view_forget(). */
struct service_view_memo {
    struct {
        char *text;
        json_t *value;
    } config, organization;
};
void service_view_forget(struct service_view_memo *memo);

/* now: which entry of its schedule holds. New reference. */
json_t *service_view(struct store_rows *rows, struct service_view_memo *memo, int64_t now);
/* The scaling schedule of a specification, as the API shows it. New reference. */
json_t *service_schedule_view(const json_t *spec, int64_t now);

/* One service of the asker's organization; a 404 refusal if there is none. */
OH_MUST_CHECK int service_view_load(struct api_request *q, const char *id, json_t **ret, struct err *err);
/* Calls for each service of the asker's organization that has not ended and has all tags of `filters` (texts tag:KEY,
 * tag:KEY=VALUE; NULL = all), oldest first. `one` is borrowed. */
typedef void (*service_view_fn)(struct api_request *q, json_t *one, void *data);
OH_MUST_CHECK int service_view_each(struct api_request *q, const json_t *filters, service_view_fn fn, void *data,
                                    struct err *err);
/* The same as an array. */
OH_MUST_CHECK int service_view_list(struct api_request *q, const json_t *filters, json_t **ret, struct err *err);
