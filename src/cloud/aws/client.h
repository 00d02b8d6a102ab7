/* Calls of AWS services: the four wire protocols, signing, retries, pages.
 *
 * A client belongs to one region and one identity (the controller's own keys, or a role assumed with them) and may be
 * used by many threads. Reads are repeated here when throttled, when the answer was lost and after 5xx; writes only
 * when they were surely not done (throttled before they began), else the caller gets -EAGAIN and must look first.
 * Throttling slows all threads of the client: the gap between requests doubles, and shrinks as answers succeed. */
#pragma once

#include "base/clock.h"
#include "base/js.h"
#include "cloud/aws/credentials.h"

#include <stdatomic.h>

#define AWS_ANSWER_MAX MIB(16)
#define AWS_PAGES_MAX 1000

struct aws_client;

struct aws_config {
    const char *region;
    const json_t *endpoints; /* {"ec2": "http://...", "*": "..."}; NULL: AWS's own. Borrowed */
    struct aws_source source;
    /* A role to assume; NULL: act as the source itself. External id and policy may be NULL. */
    const char *role_arn, *external_id, *session_name, *session_policy;
    const struct clock *clock;
    const atomic_bool *cancel; /* ends waits with -ECANCELED; may be NULL */
    int attempts;              /* 0 = 6 */
    int pause_first_ms;        /* 0 = 100, doubling to 5 s */
    int timeout_ms;            /* of one request; 0 = 30 s */
};

/* Strings are copied, endpoints too. */
struct aws_client *aws_client_new(const struct aws_config *config);
void aws_client_free(struct aws_client *c); /* NULL is fine; keys are wiped */
static inline void aws_client_freep(struct aws_client **c)
{
    aws_client_free(*c);
}
#define autoaws OH_CLEANUP(aws_client_freep)
const char *aws_client_region(const struct aws_client *c);
/* "aws", "aws-cn" or "aws-us-gov", by region. */
const char *aws_client_partition(const struct aws_client *c);
unsigned aws_client_calls(const struct aws_client *c); /* requests sent so far */

/* What a call says; borrowed for the call. Query services (ec2, iam, sts, elasticloadbalancing) take `params`, an
 * object by wire names: arrays become Name.1 (ec2) or Name.member.1. JSON services (kms, logs, tagging, servicequotas)
 * send `params`. REST services (eks, s3, route53) take method, decoded path, decoded query and `params` (eks) or
 * `body`. */
struct aws_request {
    const char *service, *action;
    const json_t *params;
    const char *method, *path;
    const json_t *query; /* object of strings; arrays repeat the parameter */
    const char *body;    /* XML or text; NULL: none */
    bool repeatable;     /* a write that may safely be sent twice (it carries a token, or sets what is set already) */
};

struct aws_failure {
    int status;    /* HTTP; 0 when there was no answer */
    char code[96]; /* AWS's own, "" when it gave none */
    bool sent;     /* the request may have been carried out */
};

/* *ret (may be NULL) is the answer as a tree, a new reference; an empty object when there is no body. Failures by
 * AWS's code: -ENOENT not found, -EEXIST is there already, -EACCES refused, -EDQUOT a quota, -EAGAIN throttled, lost,
 * 5xx, or something else must go first, -EPROTO not an answer, -ECANCELED, else -EINVAL. The message begins with
 * service and action; `ret_why` may be NULL. */
OH_MUST_CHECK int aws_call(struct aws_client *c, const struct aws_request *q, json_t **ret, struct aws_failure *ret_why,
                           struct err *err);

/* All pages: `in` is the parameter that continues ("NextToken", "Marker"), `out` the answer's field with its value,
 * `list` the answer's list and `inner` its elements' name (aws_xml_list). *ret is a new array. */
struct aws_pages {
    const char *in, *out, *list, *inner;
};
OH_MUST_CHECK int aws_call_all(struct aws_client *c, const struct aws_request *q, const struct aws_pages *pages,
                               json_t **ret, struct err *err);

/* The same, sent once for all who ask it in one look (plan_call's `look`; 0: for itself): the others wait for the one
 * answer or failure. A failure is not kept: who asks again after it sends anew. */
OH_MUST_CHECK int aws_call_all_once(struct aws_client *c, unsigned look, const struct aws_request *q,
                                    const struct aws_pages *pages, json_t **ret, struct err *err);

/* Pure: AWS's error code and message of an answer; both arrays are always filled. For tests and fuzzing. */
void aws_error_parse(int status, const char *headers, const char *body, size_t len, char code[96], char message[256]);
/* The errno for a code; see aws_call. */
int aws_error_code(int status, const char *code);
/* Appends a query protocol's form. `list` is "" (ec2) or "member.". */
void aws_query_form(struct buf *out, const json_t *params, const char *list);

/* Keys of the client's identity as they are now, for EKS tokens. */
OH_MUST_CHECK int aws_client_keys(struct aws_client *c, struct aws_keys *ret, struct err *err);
