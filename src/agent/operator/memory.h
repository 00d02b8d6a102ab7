/* What the operator's rules remember of each name (workload or service id) between steps. Internal to reconcile.c. */
#pragma once

#include "base/mem.h"

struct record {
    char *name;
    bool seen;                /* in this step */
    int failures;             /* in a row, of asking the runtime */
    int64_t not_before_ms;    /* after a failure */
    int64_t held_since_ms;    /* waits for the ingress to let go; -1 = does not */
    int64_t behind_since_ms;  /* answers, and is waited for to be in step; -1 = is not */
    int64_t leaving_since_ms; /* the ingress has let go of it, and it is wanted no more; -1 = is not so */
    int64_t mute_since_ms;    /* meanwhile: it is down, or nobody says what the others have; -1 = is not so */
    int64_t asked_ms;         /* removal asked for at; -1 = not */
    bool purge_asked;         /* with its data */
    bool was_running;         /* services: has been running since it last should */
    char error[256];          /* of the last failure */
};

struct reconcile_memory {
    struct record **items; /* sorted by name */
    size_t n, cap;
};

/* The record of that name, made if missing, marked as seen. Stays in place until forgotten. */
struct record *memory_record(struct reconcile_memory *m, const char *name);
void memory_begin(struct reconcile_memory *m); /* nothing is seen yet */
void memory_end(struct reconcile_memory *m);   /* forgets what was not seen */
