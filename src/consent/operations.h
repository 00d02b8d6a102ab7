/* Every operation that a request can name: one table, read by the policy's parser, the agent and the command line.
 *
 * A policy says for each how many signatures of the customer and of the vendor it takes; what it does not say stands
 * here. "denied" there means never. Adding an operation is adding a line. */
#pragma once

#include "base/util.h"

enum operation_class {
    OPERATION_READ,        /* looks at something: engineers' access */
    OPERATION_HARMLESS,    /* changes what runs, not who can reach what */
    OPERATION_EXPOSING,    /* somebody could reach something afterwards that they could not before */
    OPERATION_DESTRUCTIVE, /* something cannot be had back */
    OPERATION_TRUST,       /* whom the data plane believes */
};

struct operation {
    const char *name;
    enum operation_class class;
    int open_customer, sealed_customer; /* signatures by default under each mode */
    const char *effect;                 /* what it does, a sentence without its subject's name */
};

/* Ends with a NULL name. */
extern const struct operation operations[];
const struct operation *operation_find(const char *name); /* NULL: no such operation */
extern const char *const operation_class_names[];
