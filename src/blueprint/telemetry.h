/* What messages of the link may leave the data plane with, field by field, and the customer's list that narrows it.
 *
 * The table is an allow-list: a message of another type is not sent, a field that is not in the table is left out,
 * whatever the customer's file says. Some fields are needed (without them there is no link, or no service can be told
 * from another); the rest leave only if the customer's list allows them. A field's name is its path from the message's
 * type, `observed.services.notice`; the counters of blueprint/metrics.h are `observed.services.metrics.<name>`.
 *
 * The customer's file, at most TELEMETRY_MAX_BYTES, strict:
 *   {"type":"ownhouse/telemetry","v":1,"allow":["hello.bootId","observed.services.metrics.*", ...]}
 * `allow` names fields that may be withheld and are not; a name that ends in `.*` stands for all below it, `*` for all.
 * It can only narrow: a name that is not in the table is refused.
 *
 * A withheld field is left out where the control plane can do without it, else it is the text "withheld". Pure. */
#pragma once

#include "base/js.h"

#define TELEMETRY_MAX_BYTES KIB(64)

enum telemetry_class { TELEMETRY_NEEDED, TELEMETRY_ALLOWED, TELEMETRY_WITHHELD };
extern const char *const telemetry_class_names[];

struct telemetry;

struct telemetry *telemetry_all(void);  /* without a file: the whole table */
struct telemetry *telemetry_none(void); /* nothing but what is needed: a file that cannot be used */
/* -EINVAL with a sentence that names the field. */
OH_MUST_CHECK int telemetry_parse(const char *text, size_t len, struct telemetry **ret, struct err *err);
void telemetry_free(struct telemetry *t); /* NULL is fine */
static inline void telemetry_freep(struct telemetry **t)
{
    telemetry_free(*t);
}
#define autotelemetry __attribute__((cleanup(telemetry_freep)))

/* A copy of the message with what may leave; new reference. -EPERM: a type that is not in the table. */
OH_MUST_CHECK int telemetry_narrow(const struct telemetry *t, const json_t *message, json_t **ret, struct err *err);

/* Each field of the table in its order. */
void telemetry_each(const struct telemetry *t,
                    void (*take)(const char *name, enum telemetry_class class, const char *what, void *data),
                    void *data);
/* The file's text that allows all but the `n` fields named (`.*` as above); free(). -EINVAL: no such field, or one that
 * is needed. */
OH_MUST_CHECK int telemetry_file(const char *const *without, size_t n, char **ret, struct err *err);
