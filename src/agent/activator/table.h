/* The activator's table: which services there are and where their engines will be. Pure. */
#pragma once

#include "base/err.h"
#include "base/mem.h"

#define TABLE_MAX_BYTES MIB(4)
#define TABLE_MAX_HOSTS 32 /* of one service */

struct table_service {
    int ordinal;
    const char *slug;
    const char *hosts[TABLE_MAX_HOSTS]; /* addresses or names */
    size_t n_hosts;                     /* at least one */
};

struct table {
    struct arena *arena;
    struct table_service *items;
    size_t n;
};

/* Lines `ORDINAL SLUG HOST[,HOST...]`; empty lines and those that begin with '#' are passed over. -EINVAL names the
 * line: an ordinal out of 1..4095 or twice, a slug or host that is none, too many hosts. -EMSGSIZE over
 * TABLE_MAX_BYTES. */
OH_MUST_CHECK int table_parse(const char *text, size_t len, struct table *ret, struct err *err);
void table_free(struct table *t);
