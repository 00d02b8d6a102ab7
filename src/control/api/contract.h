/* The contract at the door: api/openapi.json, loaded once, finds the operation of a request and checks the request (and
 * in test builds the answer) against it. */
#pragma once

#include "base/js.h"
#include "base/mem.h"

#define CONTRACT_BODY_MAX MIB(1)
#define CONTRACT_PATH_MAX 512
#define CONTRACT_PARAMETERS 4

struct contract;

struct contract_operation {
    const char *id;                                  /* operationId */
    const char *method;                              /* upper case */
    const char *template;                            /* path with {names}, for logs */
    const char *permission;                          /* x-permission, "" = none needed */
    bool open;                                       /* needs no key */
    bool idempotent;                                 /* takes Idempotency-Key */
    const char *parameters[CONTRACT_PARAMETERS + 1]; /* names in the path, in order */
};

/* `text` need not outlive the call. -EINVAL names what is wrong with the file. */
OH_MUST_CHECK int contract_load(const char *text, size_t len, struct contract **ret, struct err *err);
void contract_free(struct contract *c); /* NULL is fine */
/* The n-th operation, NULL beyond the last. */
const struct contract_operation *contract_operation_at(const struct contract *c, size_t n);

struct contract_pair {
    const char *name, *value; /* decoded */
};

/* What came in. Texts are borrowed. */
struct contract_request {
    const char *method, *path; /* path decoded, without query */
    const struct contract_pair *query;
    size_t n_query;
    const char *content_type;    /* header's value or NULL */
    const char *idempotency_key; /* header's value or NULL */
    const char *body;
    size_t body_len;
};

/* What it means. */
struct contract_match {
    const struct contract_operation *operation;
    const char *path[CONTRACT_PARAMETERS]; /* values of operation->parameters; UUIDs in lower case */
    json_t *query;                         /* object: strings, booleans, lists of strings */
    json_t *body;                          /* as sent, whole numbers as integers; {} if there was none */
    char allow[64];                        /* after -EOPNOTSUPP: the methods there are */
};
void contract_match_free(struct contract_match *m);
#define automatch OH_CLEANUP(contract_match_free)

/* Finds the operation and takes the path apart. -ENOENT: no such path. -EOPNOTSUPP: another method. -EINVAL: a path
 * parameter is malformed. Strings are in the arena. */
OH_MUST_CHECK int contract_find(const struct contract *c, const char *method, const char *path, struct arena *arena,
                                struct contract_match *ret, struct err *err);
/* Checks the rest and fills query and body. -EMSGSIZE: body too large. -EMEDIUMTYPE: not JSON by its Content-Type.
 * -EINVAL: all else; the sentence begins with the field. */
OH_MUST_CHECK int contract_check(const struct contract *c, const struct contract_request *request,
                                 struct contract_match *m, struct err *err);
/* Is this what the file promises for this status? */
OH_MUST_CHECK int contract_check_answer(const struct contract *c, const struct contract_operation *op, int status,
                                        const json_t *answer, struct err *err);
