/* The grants that are open: what a customer's signatures allow one engineer, from when until when.
 *
 * A grant is a request for access (consent/request.h) whose signatures the data plane has checked itself, by its own
 * policy. It begins when it is first opened and ends a number of minutes later on CLOCK_BOOTTIME, wherever the wall
 * clock jumps. DIR/grants.json remembers each until it can be forgotten, so that a restart of the gate neither extends
 * one nor opens one that was ended; after a restart of the machine, where that clock begins anew, no grant that was
 * open before opens again. One thread. */
#pragma once

#include "consent/consent.h"

#include "base/clock.h"

#define GRANT_SERVICES_MAX 64
#define GRANTS_MAX 256       /* open at once */
#define GRANTS_KEPT_MAX 5000 /* remembered */
#define GRANT_SKEW_MS 120000 /* that device and gate may differ in time when a grant is first opened */

enum gate_target {
    GATE_CLICKHOUSE_DIAG,
    GATE_CLICKHOUSE_TEXT,
    GATE_PROMETHEUS,
    GATE_CLUSTER,
    GATE_TARGETS,
};
extern const char *const gate_target_names[GATE_TARGETS]; /* "clickhouse.diag" ... as after "access." in operations */

struct grant {
    char id[UUID_SIZE];
    unsigned targets; /* bit n = enum gate_target */
    char services[GRANT_SERVICES_MAX][UUID_SIZE];
    size_t n_services; /* 0: every service of the infrastructure */
    char by[201], reason[REQUEST_REASON_MAX + 1], ticket[201], preapproval[UUID_SIZE], digest[65];
    unsigned char device_key[ED25519_PUBLIC_SIZE];
    int64_t lasts_ms;
    int64_t opened_wall_ms, opened_ms, ends_ms; /* ends, opened: monotonic */
    int64_t certified_ms;                       /* monotonic: its newest certificate's end */
    char signers[400];                          /* names of those who signed, for the record */
    json_t *papers;                             /* request, approvals, preapproval: judged again now and then */
    struct grant *next;
};

struct grants_config {
    const char *dir;
    const char *infrastructure;
    const char *pin;     /* of the access authority: what signatures must name */
    const char *boot_id; /* of the machine */
    const struct clock *clock;
    /* The customer's policy as it stands now. */
    int (*policy)(struct policy **ret, void *user, struct err *err);
    void *user;
};

struct grants;

/* Texts are copied. -EINVAL: grants.json is damaged; nothing opens then. */
OH_MUST_CHECK int grants_new(const struct grants_config *config, struct grants **ret, struct err *err);
void grants_free(struct grants *g);

/* A device asks: {"request", "approvals", "preapproval"?, "csr", "time", "signature"} (api/access.md). *ret is the open
 * grant of that id if there is one, judged again, or a new one that is not yet open: record it, then grants_begin() or
 * grant_free(). -EACCES: not allowed, the sentence says why; -EINVAL malformed; -ETIME clocks differ; -ENOSPC. */
OH_MUST_CHECK int grants_judge(struct grants *g, const json_t *ask, struct grant **ret, bool *ret_new, struct err *err);
/* Durable on return: the clock runs. */
OH_MUST_CHECK int grants_begin(struct grants *g, struct grant *grant, struct err *err);
void grant_free(struct grant *grant);

struct grant *grants_find(const struct grants *g, const char *id); /* open ones only; NULL */
struct grant *grants_first(const struct grants *g);
/* Judges an open grant by the policy of now; -EACCES: it must end. */
OH_MUST_CHECK int grants_again(struct grants *g, const struct grant *grant, struct err *err);
/* Ended for good, opened or not: durable on return where the disk allows it, in memory in any case. */
OH_MUST_CHECK int grants_end(struct grants *g, const char *id, struct err *err);
bool grants_ended(const struct grants *g, const char *id);
/* Forgets the open grant in memory, after grants_end(). */
void grants_drop(struct grants *g, struct grant *grant);
