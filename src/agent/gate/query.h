/* Which ClickHouse statements an engineer may send: an allow-list over tokens, closed by default. Pure.
 *
 * One SELECT (or WITH ... SELECT), sub-queries, UNION and JOIN included. After FROM and JOIN stands nothing but a known
 * view of ownhouse_diag (with GATE_QUERY_TEXT also of ownhouse_querytext), a sub-query or the name of a WITH query.
 * Every word is a keyword from a list, a function from a list, a column of a known view, or a name that the statement
 * itself gave with AS; what follows IN is a list of literals or a sub-query. No comments, no quoted names, no SETTINGS,
 * FORMAT, INTO, EXPLAIN, SHOW, no second statement, no table function. What the engine could understand otherwise than
 * this reader is refused: bytes outside ASCII but in strings, heredocs, parameters, maps. */
#pragma once

#include "base/err.h"

#define GATE_QUERY_MAX KIB(16) /* bytes of a statement */
#define GATE_QUERY_TOKENS_MAX 3000
#define GATE_QUERY_DEPTH_MAX 24  /* brackets within brackets */
#define GATE_QUERY_NAMES_MAX 100 /* names given with AS */

enum gate_query_class {
    GATE_QUERY_DIAG = 0,
    GATE_QUERY_TEXT = 1 << 0, /* ownhouse_querytext too */
};

/* -EACCES: not on the list; the sentence names the word and what to write instead. -EMSGSIZE: too long. -EINVAL: not a
 * statement (an open string or bracket). */
OH_MUST_CHECK int gate_query_check(const char *text, size_t len, unsigned classes, struct err *err);
