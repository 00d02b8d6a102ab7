/* The services that are called: host, protocol, version; and the bytes of a request and of an error. */
#pragma once

#include "cloud/aws/client.h"

enum aws_protocol { AWS_EC2, AWS_QUERY, AWS_JSON, AWS_REST_JSON, AWS_REST_XML };

struct aws_service {
    const char *name; /* in aws_request and in configured endpoints */
    const char *signing;
    enum aws_protocol protocol;
    const char *version; /* API version, or the JSON protocol's target prefix */
    bool global;         /* one endpoint in us-east-1 */
};

const struct aws_service *aws_service_find(const char *name); /* NULL if there is none */
/* Base URL without a trailing slash; heap. */
char *aws_service_url(const struct aws_service *s, const json_t *endpoints, const char *region);
/* Whether an action only reads, by its name. */
bool aws_action_reads(const char *action);
