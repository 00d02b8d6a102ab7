/* Decides whether an engineer's statement stays within the views made for diagnosis. */
#include "agent/gate/query.h"

#include "blueprint/diag.h"

#include <strings.h>

#define WORD_MAX 64

enum token_kind { TOKEN_END, TOKEN_WORD, TOKEN_NUMBER, TOKEN_STRING, TOKEN_OPERATOR };

struct token {
    enum token_kind kind;
    char text[WORD_MAX]; /* word as written, or the operator; "" for strings and numbers */
};

struct reader {
    const char *at, *end;
    size_t tokens;
};

/* What an open bracket holds. */
enum place {
    PLACE_EXPRESSION, /* arguments, a tuple */
    PLACE_SELECT,     /* a query: before its FROM, or after its tables */
    PLACE_TABLES,     /* a query: between FROM and what ends the list of tables */
    PLACE_LIST,       /* after IN: literals only */
};

struct check {
    struct reader reader;
    struct token now, next;
    unsigned classes;
    enum place places[GATE_QUERY_DEPTH_MAX + 1];
    size_t depth;
    char names[GATE_QUERY_NAMES_MAX][WORD_MAX]; /* given with AS */
    bool query[GATE_QUERY_NAMES_MAX];           /* ... to a query: WITH name AS (SELECT ...), and it has ended */
    size_t n_names;
    bool leading;        /* in the WITH that begins the statement */
    const char *named;   /* the given name right before an AS, NULL: something else stood there */
    const char *defines; /* the name of the query that this WITH is giving, NULL outside of one */
    struct err *err;
};

static const char *const keywords[] = {
    "all",       "and",       "any",      "asc",    "between", "by",        "case",   "cross", "current", "day",
    "desc",      "distinct",  "else",     "end",    "false",   "following", "full",   "group", "having",  "hour",
    "ilike",     "inner",     "interval", "is",     "last",    "left",      "like",   "limit", "minute",  "month",
    "not",       "null",      "nulls",    "offset", "on",      "or",        "order",  "outer", "over",    "partition",
    "preceding", "range",     "right",    "rollup", "row",     "rows",      "second", "then",  "ties",    "totals",
    "true",      "unbounded", "union",    "using",  "week",    "when",      "where",  "year",  "cube",    "first",
};

static const char *const functions[] = {
    "abs",
    "addDays",
    "addHours",
    "addMinutes",
    "addSeconds",
    "and",
    "any",
    "anyLast",
    "argMax",
    "argMin",
    "arrayElement",
    "arrayJoin",
    "avg",
    "avgIf",
    "bar",
    "ceil",
    "coalesce",
    "concat",
    "corr",
    "count",
    "countIf",
    "dateDiff",
    "dense_rank",
    "divide",
    "empty",
    "endsWith",
    "equals",
    "exp",
    "floor",
    "formatReadableQuantity",
    "formatReadableSize",
    "formatReadableTimeDelta",
    "greater",
    "greatest",
    "has",
    "hex",
    "if",
    "ifNull",
    "intDiv",
    "isNotNull",
    "isNull",
    "least",
    "length",
    "less",
    "log",
    "log10",
    "log2",
    "lower",
    "max",
    "maxIf",
    "median",
    "medianExact",
    "min",
    "minIf",
    "minus",
    "modulo",
    "multiIf",
    "multiply",
    "neighbor",
    "not",
    "notEmpty",
    "notEquals",
    "now",
    "nullIf",
    "or",
    "plus",
    "position",
    "pow",
    "quantile",
    "quantileExact",
    "quantiles",
    "rank",
    "replaceAll",
    "round",
    "row_number",
    "sqrt",
    "startsWith",
    "stddevPop",
    "substring",
    "subtractDays",
    "subtractHours",
    "subtractMinutes",
    "subtractSeconds",
    "sum",
    "sumIf",
    "toDate",
    "toDateTime",
    "toFloat64",
    "toHour",
    "toInt64",
    "toMinute",
    "toStartOfDay",
    "toStartOfFiveMinutes",
    "toStartOfHour",
    "toStartOfInterval",
    "toStartOfMinute",
    "toStartOfTenMinutes",
    "toString",
    "toUInt64",
    "toUnixTimestamp",
    "toYYYYMM",
    "toYYYYMMDD",
    "today",
    "topK",
    "tuple",
    "uniq",
    "uniqExact",
    "uniqIf",
    "upper",
    "varPop",
    "yesterday",
};

/* Names that AS may not give: they begin a clause, or are databases and tables elsewhere. */
static const char *const reserved[] = {
    "apply",        "array",     "as",       "asof",      "attach",
    "columns",      "cluster",   "default",  "describe",  "except",
    "exists",       "explain",   "fill",     "final",     "format",
    "from",         "global",    "in",       "infile",    "information_schema",
    "intersect",    "into",      "join",     "lateral",   "limits",
    "materialized", "outfile",   "parallel", "paste",     "prewhere",
    "qualify",      "recursive", "replace",  "sample",    "select",
    "semi",         "set",       "settings", "show",      "staleness",
    "step",         "system",    "table",    "temporary", "truncate",
    "values",       "view",      "window",   "with",
};

static bool listed(const char *const *list, size_t n, const char *word)
{
    for (size_t i = 0; i < n; i++)
        if (!strcasecmp(list[i], word))
            return true;
    return false;
}
#define LISTED(list, word) listed(list, ARRAY_SIZE(list), word)

static bool is(const struct token *t, const char *word)
{
    return t->kind == TOKEN_WORD && !strcasecmp(t->text, word);
}

static bool is_operator(const struct token *t, const char *text)
{
    return t->kind == TOKEN_OPERATOR && !strcmp(t->text, text);
}

static int refuse(struct check *c, const char *what, const char *advice)
{
    return err_set(c->err, -EACCES, "the statement is not on the gate's list: %.80s; %s", what, advice);
}

/* ---- tokens ---- */

static bool word_byte(char b)
{
    return (b >= 'a' && b <= 'z') || (b >= 'A' && b <= 'Z') || (b >= '0' && b <= '9') || b == '_';
}

static int read_string(struct check *c)
{
    struct reader *r = &c->reader;
    for (r->at++; r->at < r->end; r->at++) {
        if (*r->at == '\\') {
            if (++r->at == r->end)
                break;
        } else if (*r->at == '\'') {
            r->at++;
            if (r->at == r->end || *r->at != '\'')
                return 0;
        } else if (!*r->at) {
            break;
        }
    }
    return err_set(c->err, -EINVAL, "the statement has a string that does not end");
}

/* A number as written by people; anything else that begins with a digit is refused. */
static int read_number(struct check *c)
{
    struct reader *r = &c->reader;
    size_t points = 0;
    while (r->at < r->end && ((*r->at >= '0' && *r->at <= '9') || *r->at == '.')) {
        points += *r->at++ == '.';
    }
    if (points > 1 || (r->at < r->end && word_byte(*r->at)))
        return refuse(c, "a number in an unusual form", "write plain decimals such as 10 or 0.5");
    return 0;
}

static int read_word(struct check *c, struct token *t)
{
    struct reader *r = &c->reader;
    const char *start = r->at;
    while (r->at < r->end && word_byte(*r->at))
        r->at++;
    size_t n = (size_t)(r->at - start);
    if (n >= sizeof(t->text))
        return refuse(c, "a very long word", "names have at most 63 bytes");
    /* b'...' and x'...' are literals of another kind to the engine. */
    if (r->at < r->end && (*r->at == '\'' || *r->at == '"' || *r->at == '`'))
        return refuse(c, "a word right before a quote", "put a blank between them");
    memcpy(t->text, start, n);
    return 0;
}

static int read_operator(struct check *c, struct token *t)
{
    static const char *const two[] = {"<=", ">=", "<>", "!=", "==", "||", "->"};
    static const char one[] = "(),.*+-/%=<>[]";
    struct reader *r = &c->reader;
    size_t left = (size_t)(r->end - r->at);
    if (left >= 2 && (!memcmp(r->at, "--", 2) || !memcmp(r->at, "/*", 2)))
        return refuse(c, "a comment", "leave comments out");
    for (size_t i = 0; i < ARRAY_SIZE(two); i++)
        if (left >= 2 && !memcmp(r->at, two[i], 2)) {
            memcpy(t->text, two[i], 3);
            r->at += 2;
            return 0;
        }
    if (!strchr(one, *r->at) || !*r->at) {
        char what[32];
        bool shown = *r->at > ' ' && *r->at < 0x7f;
        snprintf(what, sizeof(what), shown ? "the character %c" : "a byte that is not plain ASCII",
                 shown ? *r->at : ' ');
        return refuse(c, what, "names are written without quotes, one statement without `;` at a time");
    }
    t->text[0] = *r->at++;
    return 0;
}

static int read_token(struct check *c, struct token *ret)
{
    struct reader *r = &c->reader;
    struct token t = {.kind = TOKEN_END};
    int result = 0;
    while (r->at < r->end && (*r->at == ' ' || *r->at == '\t' || *r->at == '\n' || *r->at == '\r'))
        r->at++;
    if (r->at < r->end) {
        if (++r->tokens > GATE_QUERY_TOKENS_MAX)
            return err_set(c->err, -EMSGSIZE, "the statement has more than %d words", GATE_QUERY_TOKENS_MAX);
        if (*r->at == '\'') {
            t.kind = TOKEN_STRING;
            result = read_string(c);
        } else if (*r->at >= '0' && *r->at <= '9') {
            t.kind = TOKEN_NUMBER;
            result = read_number(c);
        } else if (word_byte(*r->at)) {
            t.kind = TOKEN_WORD;
            result = read_word(c, &t);
        } else {
            t.kind = TOKEN_OPERATOR;
            result = read_operator(c, &t);
        }
    }
    *ret = t;
    return result;
}

static int advance(struct check *c)
{
    c->now = c->next;
    return read_token(c, &c->next);
}

/* ---- names ---- */

static bool known_column(const struct check *c, const char *word)
{
    for (size_t i = 0; i < diag_views_count; i++) {
        const struct diag_view *v = &diag_views[i];
        if (v->text && !(c->classes & GATE_QUERY_TEXT))
            continue;
        for (const struct diag_column *k = v->columns; k->name; k++)
            if (!strcmp(k->name, word))
                return true;
    }
    return false;
}

static const char *given_name(const struct check *c, const char *word)
{
    for (size_t i = 0; i < c->n_names; i++)
        if (!strcmp(c->names[i], word))
            return c->names[i];
    return NULL;
}

static bool given(const struct check *c, const char *word)
{
    return given_name(c, word) != NULL;
}

/* Only what the statement's first WITH gave, and only behind its query: in every other place the engine could take the
 * name for a table of the customer's, as in WITH users AS (SELECT * FROM users). */
static bool given_to_query(const struct check *c, const char *word)
{
    for (size_t i = 0; i < c->n_names; i++)
        if (c->query[i] && !strcmp(c->names[i], word))
            return true;
    return false;
}

static int give(struct check *c, const char *word)
{
    if (LISTED(reserved, word) || LISTED(keywords, word) || !strncasecmp(word, "ownhouse", 8))
        return refuse(c, word, "AS cannot give this name: take another");
    if (c->n_names == GATE_QUERY_NAMES_MAX)
        return refuse(c, "more than 100 names given with AS", "use fewer");
    memcpy(c->names[c->n_names++], word, WORD_MAX);
    return 0;
}

/* Names may be used before the place that gives them, so they are gathered first: AS name, and WITH name AS. */
static int gather(struct check *c)
{
    struct token before = {0};
    int r;
    while ((r = advance(c)) == 0 && c->now.kind != TOKEN_END) {
        if (is(&c->now, "as")) {
            if (c->next.kind == TOKEN_WORD)
                r = give(c, c->next.text);
            else if (is_operator(&c->next, "(") && before.kind == TOKEN_WORD)
                r = give(c, before.text);
        }
        if (r < 0)
            return r;
        before = c->now;
    }
    return r;
}

/* ---- the walk ---- */

static int open_bracket(struct check *c, enum place place)
{
    if (c->depth == GATE_QUERY_DEPTH_MAX)
        return err_set(c->err, -EMSGSIZE, "the statement has more than %d brackets within brackets",
                       GATE_QUERY_DEPTH_MAX);
    c->places[++c->depth] = place;
    return 0;
}

static bool begins_query(const struct token *t)
{
    return is(t, "select") || is(t, "with");
}

/* The query of WITH name AS ( ... ) has ended: from here on the name is a table. */
static void define(struct check *c)
{
    for (size_t i = 0; i < c->n_names; i++)
        c->query[i] |= !strcmp(c->names[i], c->defines);
    c->defines = NULL;
}

/* `now` is the bracket of WITH name AS ( ... ). */
static int take_definition(struct check *c)
{
    if (!begins_query(&c->next))
        return refuse(c, "a bracket after AS", "only a sub-query may stand there");
    if (!c->leading || c->depth || !c->named)
        return refuse(c, "a query with a name", "only the WITH that begins the statement can name queries");
    c->defines = c->named;
    return open_bracket(c, PLACE_SELECT);
}

/* database.view; `now` is the database. */
static int take_view(struct check *c)
{
    char database[WORD_MAX];
    memcpy(database, c->now.text, WORD_MAX);
    int r = advance(c);
    if (r == 0 && is_operator(&c->now, "."))
        r = advance(c);
    if (r < 0)
        return r;
    const struct diag_view *v = diag_find(database, c->now.text);
    if (c->now.kind != TOKEN_WORD || !v)
        return refuse(c, "a table after FROM or JOIN", "only the views of " DIAG_DATABASE " can be read, by full name");
    if (v->text && !(c->classes & GATE_QUERY_TEXT))
        return refuse(c, "a view of " DIAG_TEXT_DATABASE, "this grant has no target clickhouse.querytext");
    if (is_operator(&c->next, "(") || is_operator(&c->next, "."))
        return refuse(c, "a view's name with more behind it", "write database.view and nothing else");
    return 0;
}

/* After FROM or JOIN; `now` is that word. */
static int take_table(struct check *c)
{
    int r = advance(c);
    if (r < 0)
        return r;
    if (is_operator(&c->now, "(")) {
        if (!begins_query(&c->next))
            return refuse(c, "a bracket after FROM or JOIN", "only a sub-query may stand there");
        return open_bracket(c, PLACE_SELECT);
    }
    if (is(&c->now, DIAG_DATABASE) || is(&c->now, DIAG_TEXT_DATABASE))
        return take_view(c);
    if (c->now.kind == TOKEN_WORD && given_to_query(c, c->now.text) && !is_operator(&c->next, ".") &&
        !is_operator(&c->next, "("))
        return 0;
    return refuse(c, c->now.kind == TOKEN_WORD ? c->now.text : "what stands after FROM or JOIN",
                  "only the views of " DIAG_DATABASE " can be read, by full name");
}

/* After IN: a bracket with literals or with a sub-query; a bare name would be a table to the engine. */
static int take_in(struct check *c)
{
    int r = advance(c);
    if (r == 0 && !is_operator(&c->now, "("))
        return refuse(c, "what stands after IN", "write IN (...) with literals or a sub-query");
    if (r < 0)
        return r;
    return open_bracket(c, begins_query(&c->next) ? PLACE_SELECT : PLACE_LIST);
}

static int take_name(struct check *c)
{
    const char *word = c->now.text;
    if (is_operator(&c->next, "(")) {
        if (LISTED(functions, word) || is(&c->now, "using") || is(&c->now, "over") || is(&c->now, "and") ||
            is(&c->now, "or") || is(&c->now, "not") || is(&c->now, "on") || is(&c->now, "where") ||
            is(&c->now, "having") || is(&c->now, "when") || is(&c->now, "then") || is(&c->now, "else") ||
            is(&c->now, "by") || is(&c->now, "between") || is(&c->now, "case") || is(&c->now, "distinct") ||
            is(&c->now, "all") || is(&c->now, "interval") || is(&c->now, "limit"))
            return 0;
        return refuse(c, word, "this function is not on the list");
    }
    if (is(&c->now, "partition") && !is(&c->next, "by"))
        return refuse(c, word, "values of partitions are not shown");
    if (!LISTED(keywords, word) && !known_column(c, word) && !given(c, word))
        return refuse(c, word, "it is no column of the views of " DIAG_DATABASE " and no name given with AS");
    if (!is_operator(&c->next, "."))
        return 0;
    /* alias.column: what stands behind the point must be a column, or `*`. */
    int r = given(c, word) ? advance(c) : refuse(c, word, "before a point stands a name given with AS");
    if (r == 0 && !is_operator(&c->next, "*") && !(c->next.kind == TOKEN_WORD && known_column(c, c->next.text)))
        return refuse(c, "what stands behind a point", "write NAME.column with a name given with AS");
    if (r == 0)
        r = advance(c);
    return r == 0 && (is_operator(&c->next, ".") || (c->now.kind == TOKEN_WORD && is_operator(&c->next, "(")))
               ? refuse(c, "a name of more than two parts", "write NAME.column")
               : r;
}

/* What ends the list of tables of a query. */
static bool ends_tables(const struct token *t)
{
    return is(t, "where") || is(t, "group") || is(t, "having") || is(t, "order") || is(t, "limit") || is(t, "union") ||
           is(t, "offset");
}

static int take_word(struct check *c)
{
    enum place *place = &c->places[c->depth];
    if (*place == PLACE_LIST && !is(&c->now, "null") && !is(&c->now, "true") && !is(&c->now, "false"))
        return refuse(c, c->now.text, "IN (...) takes literals or a sub-query");
    if (is(&c->now, "select")) {
        c->leading = c->leading && c->depth;
        if (*place == PLACE_EXPRESSION)
            return refuse(c, "select", "a sub-query stands in its own brackets");
        *place = PLACE_SELECT;
        return 0;
    }
    if (is(&c->now, "from") || is(&c->now, "join")) {
        if (*place == PLACE_EXPRESSION || (is(&c->now, "join") && *place != PLACE_TABLES))
            return refuse(c, c->now.text, "it is out of place here");
        *place = PLACE_TABLES;
        return take_table(c);
    }
    if (is(&c->now, "in"))
        return take_in(c);
    if (is(&c->now, "with")) /* at the start of a query; and GROUP BY ... WITH TOTALS, ORDER BY ... WITH TIES */
        return *place == PLACE_EXPRESSION ? refuse(c, "with", "it is out of place here") : 0;
    if (is(&c->now, "as")) {
        /* The name behind it was looked at by gather(); a bracket is the query of WITH name AS (...). */
        int r = advance(c);
        if (r < 0)
            return r;
        if (is_operator(&c->now, "("))
            return take_definition(c);
        return c->now.kind == TOKEN_WORD && !is_operator(&c->next, "(") && !is_operator(&c->next, ".")
                   ? 0
                   : refuse(c, "what stands after AS", "write AS name");
    }
    if (*place == PLACE_TABLES && ends_tables(&c->now))
        *place = PLACE_SELECT;
    c->named = is(&c->next, "as") ? given_name(c, c->now.text) : NULL;
    return c->named ? 0 : take_name(c);
}

static int take_operator(struct check *c)
{
    if (is_operator(&c->now, "(") || is_operator(&c->now, "[")) {
        if (c->places[c->depth] == PLACE_TABLES && is_operator(&c->now, "(") && begins_query(&c->next))
            return refuse(c, "a sub-query in the conditions of a JOIN", "join sub-queries instead");
        if (c->places[c->depth] == PLACE_LIST)
            return open_bracket(c, begins_query(&c->next) ? PLACE_SELECT : PLACE_LIST);
        return open_bracket(c, begins_query(&c->next) ? PLACE_SELECT : PLACE_EXPRESSION);
    }
    if (is_operator(&c->now, ")") || is_operator(&c->now, "]")) {
        if (c->depth == 0)
            return err_set(c->err, -EINVAL, "the statement closes a bracket that is not open");
        if (--c->depth == 0 && c->defines)
            define(c);
        return 0;
    }
    if (is_operator(&c->now, ",") && c->places[c->depth] == PLACE_TABLES)
        return refuse(c, "a comma between tables", "write JOIN");
    if (is_operator(&c->now, "."))
        return refuse(c, "a point in an unusual place", "write NAME.column");
    return 0;
}

static int walk(struct check *c)
{
    int r = advance(c);
    if (r == 0 && !begins_query(&c->next))
        return refuse(c, c->next.kind == TOKEN_WORD ? c->next.text : "how it begins",
                      "it must be a SELECT, or WITH ... SELECT");
    while (r == 0 && (r = advance(c)) == 0 && c->now.kind != TOKEN_END) {
        if (c->now.kind == TOKEN_WORD)
            r = take_word(c);
        else if (c->now.kind == TOKEN_OPERATOR)
            r = take_operator(c);
    }
    if (r == 0 && c->depth)
        return err_set(c->err, -EINVAL, "the statement leaves a bracket open");
    return r;
}

int gate_query_check(const char *text, size_t len, unsigned classes, struct err *err)
{
    struct check c = {.reader = {text, text + len, 0}, .classes = classes, .err = err, .places = {PLACE_SELECT}};
    if (len > GATE_QUERY_MAX)
        return err_set(err, -EMSGSIZE, "the statement is longer than %zu bytes", GATE_QUERY_MAX);
    int r = advance(&c);
    c.leading = is(&c.next, "with");
    if (r == 0)
        r = gather(&c);
    if (r < 0)
        return r;
    c.reader = (struct reader){text, text + len, 0};
    c.next = c.now = (struct token){0};
    return walk(&c);
}
