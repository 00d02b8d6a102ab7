/* Operations as loaded; shared by contract.c (loads) and contract_check.c (checks). */
#pragma once

#include "control/api/contract.h"
#include "control/api/schema.h"

#define CONTRACT_SEGMENTS 10
#define CONTRACT_QUERY 8
#define CONTRACT_ANSWERS 12

struct query_parameter {
    const char *name;
    const struct schema *schema;
    bool required;
};

struct answer {
    int status;
    const struct schema *schema; /* NULL: plain text */
};

struct operation {
    struct contract_operation public;
    const char *segments[CONTRACT_SEGMENTS]; /* NULL = a parameter */
    size_t n_segments;
    const struct schema *path_schemas[CONTRACT_PARAMETERS];
    struct query_parameter query[CONTRACT_QUERY];
    size_t n_query;
    const struct schema *idempotency;
    const struct schema *body; /* NULL = none */
    bool body_required;
    struct answer answers[CONTRACT_ANSWERS];
    size_t n_answers;
};

struct contract {
    struct arena *arena;
    json_t *document;
    struct schema_set *schemas;
    struct operation *operations;
    size_t n_operations;
};
