/* Brings a database to this program's schema; used by store.c only. */
#pragma once

#include "store/migrations.h"
#include "store/store.h"

/* Checks the file is ours and its history of migrations is a prefix of `list`; with `may_change` applies what is
 * missing, each in its own transaction. Errors as store_open(). */
OH_MUST_CHECK int schema_apply(struct store *s, const char *path, const struct migration *list, size_t n,
                               bool may_change, struct err *err);

/* Several statements without parameters, inside the caller's transaction (store.c). */
OH_MUST_CHECK int store_script(struct store *s, const char *sql, struct err *err);
