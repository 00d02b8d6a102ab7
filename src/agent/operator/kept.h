/* The last accepted desired document: checked, kept durably, and checked again when it is read back. */
#pragma once

#include "base/js.h"
#include "blueprint/desired.h"

struct kept_rules {
    const char *infrastructure; /* ours */
    unsigned char desired_key[ED25519_PUBLIC_SIZE];
};

struct kept {
    int64_t version; /* 0 = none yet */
    char digest[65]; /* SHA-256 of the document's bytes */
    struct desired *desired;
};
void kept_clear(struct kept *k);

/* Checks a document against the rules and against `last`. 1: the one already kept. 0: it may be taken; *ret owns the
 * parsed form. Errors as operator_offer_desired(). */
OH_MUST_CHECK int kept_check(const struct kept_rules *rules, const struct kept *last, int64_t version,
                             const char *document, size_t len, const char *signature_hex, struct kept *ret,
                             struct err *err);
/* Durable when it returns 0; after a failure the file of before stands. */
OH_MUST_CHECK int kept_save(const char *path, int64_t version, const char *document, size_t len,
                            const char *signature_hex, struct err *err);
/* -ENOENT without message: nothing kept. Anything else is wrong with the file: it is left in place. */
OH_MUST_CHECK int kept_load(const char *path, const struct kept_rules *rules, struct kept *ret, struct err *err);
