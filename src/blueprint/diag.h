/* What engineers may read of a service's own state: definer views over system tables, with every column left out that
 * can carry a customer's literals, identifiers of people, secrets or text of queries.
 *
 * Two databases: `ownhouse_diag` for the target clickhouse.diag, and `ownhouse_querytext` for the louder target
 * clickhouse.querytext, which adds the normalised text of SELECTs (literals and quoted names blanked). Each view has
 * the definer `ownhouse_definer`, who cannot log in; its reader needs no right on system.* and gets none. Which columns
 * leak what was found by running the engine: table and column names stay (without them nothing can be diagnosed),
 * partition values, part names, predicates, expressions, comments, paths, exception texts, users and addresses go. */
#pragma once

#include "base/buf.h"

#define DIAG_DATABASE "ownhouse_diag"
#define DIAG_TEXT_DATABASE "ownhouse_querytext"
#define DIAG_DEFINER "ownhouse_definer"
#define DIAG_READER "ownhouse_gate" /* user of the gate; names_user_valid() keeps customers from taking it */

struct diag_column {
    const char *name;
    const char *expression; /* NULL: the column of that name */
};

struct diag_view {
    const char *name;
    const char *source; /* in `system` */
    bool text;          /* in DIAG_TEXT_DATABASE */
    bool server;        /* the source is there only on a real server, and there only after its first use */
    const struct diag_column *columns; /* ends with a NULL name */
};

extern const struct diag_view diag_views[];
extern const size_t diag_views_count;

/* The view of that name in that database, NULL if there is none. */
const struct diag_view *diag_find(const char *database, const char *name);

/* Appends the statements that make databases and views anew, one a line, each ending with `;` and a newline. Without
 * `server` only those whose source the embedded engine has. Idempotent. */
void diag_statements(bool server, struct buf *out);
