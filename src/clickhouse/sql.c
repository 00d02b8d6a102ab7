/* Tokenizes ClickHouse statements far enough to route their data and results. */
#include "clickhouse/sql.h"

#include <strings.h>

enum token_type { T_END, T_WORD, T_QUOTED, T_STRING, T_NUMBER, T_PUNCT };

struct token {
    enum token_type type;
    size_t at, len;
    bool cut; /* touches the end of the text, so more text could make it longer */
};

struct scan {
    const char *text;
    size_t len, at;
    bool complete;
    struct sql *out;
    int *code;
    struct err *err;
};

static bool word_char(unsigned char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_' || c == '$' ||
           c >= 0x80;
}

static bool blank(char c)
{
    return c == ' ' || (c >= '\t' && c <= '\r');
}

/* Skips white space and comments; an unclosed block comment swallows the rest. */
static void skip_blank(struct scan *s)
{
    while (s->at < s->len) {
        const char *p = s->text + s->at;
        size_t left = s->len - s->at;
        if (blank(*p)) {
            s->at++;
        } else if ((left >= 2 && p[0] == '-' && p[1] == '-') ||
                   (p[0] == '#' && left >= 2 && (p[1] == ' ' || p[1] == '!'))) {
            const char *nl = memchr(p, '\n', left);
            s->at = nl ? (size_t)(nl - s->text) + 1 : s->len;
        } else if (left >= 2 && p[0] == '/' && p[1] == '*') {
            const char *close = left > 3 ? memmem(p + 2, left - 2, "*/", 2) : NULL;
            s->at = close ? (size_t)(close - s->text) + 2 : s->len;
        } else {
            return;
        }
    }
}

/* End of a quoted run that opens at s->at: a doubled quote and a backslash escape stay inside. */
static size_t quoted_end(const struct scan *s, char quote)
{
    for (size_t i = s->at + 1; i < s->len; i++) {
        if (s->text[i] == '\\') {
            i++;
        } else if (s->text[i] == quote) {
            if (i + 1 < s->len && s->text[i + 1] == quote)
                i++;
            else
                return i + 1;
        }
    }
    return s->len;
}

/* Length of the heredoc that opens at s->at ($tag$ ... $tag$), 0 if none does. */
static size_t heredoc_len(const struct scan *s)
{
    const char *p = s->text + s->at;
    size_t left = s->len - s->at, tag = 1;

    while (tag < left && p[tag] != '$' && word_char((unsigned char)p[tag]))
        tag++;
    if (tag >= left || p[tag] != '$')
        return 0;
    tag++;
    const char *close = memmem(p + tag, left - tag, p, tag);
    return close ? (size_t)(close - p) + tag : left;
}

static struct token next(struct scan *s)
{
    skip_blank(s);
    struct token t = {.at = s->at};
    if (s->at >= s->len)
        return t;
    unsigned char c = (unsigned char)s->text[s->at];
    size_t heredoc;

    if (c == '\'') {
        t.type = T_STRING;
        s->at = quoted_end(s, '\'');
    } else if (c == '`' || c == '"') {
        t.type = T_QUOTED;
        s->at = quoted_end(s, (char)c);
    } else if (c == '$' && (heredoc = heredoc_len(s))) {
        t.type = T_STRING;
        s->at += heredoc;
    } else if (word_char(c)) {
        t.type = c >= '0' && c <= '9' ? T_NUMBER : T_WORD;
        while (s->at < s->len && word_char((unsigned char)s->text[s->at]))
            s->at++;
    } else {
        t.type = T_PUNCT;
        s->at++;
    }
    t.len = s->at - t.at;
    t.cut = s->at == s->len;
    return t;
}

static bool is(const struct scan *s, struct token t, const char *word)
{
    return t.type == T_WORD && strlen(word) == t.len && strncasecmp(s->text + t.at, word, t.len) == 0;
}

static bool punct(const struct scan *s, struct token t, char c)
{
    return t.type == T_PUNCT && s->text[t.at] == c;
}

static struct token peek(const struct scan *s)
{
    struct scan copy = *s;
    return next(&copy);
}

static int refuse(struct scan *s, int code, const char *message)
{
    *s->code = code;
    return err_set(s->err, -EINVAL, "%s", message);
}

static bool named(const struct scan *s, struct token t, const char *name)
{
    size_t quote = t.type == T_QUOTED, len = strlen(name);
    return (t.type == T_WORD || quote) && t.len == len + 2 * quote && memcmp(s->text + t.at + quote, name, len) == 0;
}

/* `file` names a function when an opening bracket follows and no word that a table's name follows precedes. */
static bool file_function(const struct scan *s, struct token before, struct token t)
{
    static const char *const table_follows[] = {"INTO", "TABLE", "EXISTS", "VIEW", "DATABASE", "DICTIONARY"};
    if (!named(s, t, "file") || !punct(s, peek(s), '(') || punct(s, before, '.'))
        return false;
    for (size_t i = 0; i < ARRAY_SIZE(table_follows); i++)
        if (is(s, before, table_follows[i]))
            return false;
    return true;
}

/* ENGINE = File(...) and the like, SOURCE(FILE(...)), disk = disk(...): files of the server that no grant covers. */
static bool file_engine(const struct scan *s, struct token t)
{
    static const char *const engines[] = {"File",        "FileLog",      "Filesystem",
                                          "SQLite",      "IcebergLocal", "DeltaLakeLocal",
                                          "PaimonLocal", "Executable",   "ExecutablePool"};
    struct scan copy = *s;
    struct token name = next(&copy);

    if (is(s, t, "disk"))
        return punct(s, name, '=') && is(&copy, peek(&copy), "disk");
    if (is(s, t, "SOURCE") && punct(s, name, '(')) {
        name = next(&copy);
        return is(s, name, "FILE") || is(s, name, "EXECUTABLE") || is(s, name, "EXECUTABLE_POOL");
    }
    if (!is(s, t, "ENGINE"))
        return false;
    if (punct(s, name, '='))
        name = next(&copy);
    for (size_t i = 0; i < ARRAY_SIZE(engines); i++)
        if (named(s, name, engines[i]))
            return true;
    return named(s, name, "EmbeddedRocksDB") && punct(s, peek(&copy), '(');
}

/* What is refused wherever it stands. */
static int check_forbidden(struct scan *s, struct token before, struct token t)
{
    if (is(s, t, "OUTFILE") && is(s, before, "INTO"))
        return refuse(s, 358, "INTO OUTFILE is not allowed over HTTP: read the result from the response");
    if (is(s, t, "INFILE") && is(s, before, "FROM"))
        return refuse(s, 78, "FROM INFILE is not allowed over HTTP: send the data in the request's body");
    if (file_function(s, before, t))
        return refuse(s, 497, "the function file() is not allowed here: it would read the server's own files");
    if (s->out->kind == SQL_OTHER && file_engine(s, t))
        return refuse(s, 497,
                      "this engine, dictionary source or disk is not allowed here: it would use files of the "
                      "server; table data belong to the service's own storage");
    return 0;
}

static int depth_after(const struct scan *s, struct token t, int depth)
{
    if (t.type != T_PUNCT)
        return depth;
    char c = s->text[t.at];
    if (c == '(' || c == '[' || c == '{')
        return depth + 1;
    if (c == ')' || c == ']' || c == '}')
        return depth - 1;
    return depth;
}

static void take_format(struct scan *s, struct token keyword, struct token name)
{
    size_t skip = name.type == T_QUOTED && name.len >= 2 ? 1 : 0,
           n = MIN(name.len - 2 * skip, sizeof(s->out->format) - 1);
    memcpy(s->out->format, s->text + name.at + skip, n);
    s->out->format[n] = 0;
    s->out->format_at = keyword.at;
}

/* A word that can end an expression, so that a clause may begin after it. */
static bool clause_may_follow(const struct scan *s, struct token before)
{
    if (before.type == T_PUNCT)
        return strchr(")]}*", s->text[before.at]) != NULL;
    return before.type != T_END && !is(s, before, "AS") && !is(s, before, "FROM") && !is(s, before, "SELECT") &&
           !is(s, before, "BY") && !is(s, before, "JOIN") && !is(s, before, "TABLE") && !is(s, before, "DISTINCT");
}

/* True if `SETTINGS` at the current position opens a clause: a name and `=` follow. */
static bool settings_clause(const struct scan *s)
{
    struct scan copy = *s;
    struct token name = next(&copy), equals = next(&copy);
    return name.type == T_WORD && punct(&copy, equals, '=');
}

/* After the first statement only `;`, white space and comments may follow. */
static int after_statement(struct scan *s)
{
    struct token t = next(s);
    while (punct(s, t, ';'))
        t = next(s);
    if (t.type != T_END)
        return refuse(s, 62, "Syntax error (Multi-statements are not allowed): send one statement in a request");
    return 0;
}

/* Statements whose result may be formatted: finds the trailing FORMAT and SETTINGS clauses. */
static int scan_query(struct scan *s, bool with)
{
    struct token before = {.type = T_END}, t;
    int depth = 0;
    size_t settings_at = 0, settings_after_format = 0;

    s->out->end = s->at;
    for (t = next(s); t.type != T_END; before = t, t = next(s)) {
        if (check_forbidden(s, before, t) < 0)
            return -EINVAL;
        if (depth == 0 && punct(s, t, ';')) {
            if (after_statement(s) < 0)
                return -EINVAL;
            break;
        }
        s->out->end = t.at + t.len;
        depth = depth_after(s, t, depth);
        if (depth != 0 || t.type != T_WORD)
            continue;
        if (is(s, t, "FORMAT") && clause_may_follow(s, before)) {
            struct token name = peek(s);
            if (name.type == T_WORD || name.type == T_QUOTED)
                take_format(s, t, name);
        } else if (is(s, t, "SETTINGS") && clause_may_follow(s, before) && settings_clause(s)) {
            *(s->out->format_at ? &settings_after_format : &settings_at) = t.at;
        } else if (is(s, t, "SELECT") || is(s, t, "UNION") || is(s, t, "INTERSECT") || is(s, t, "EXCEPT")) {
            settings_at = settings_after_format = s->out->format_at = 0;
            s->out->format[0] = 0;
        } else if (with && is(s, t, "INSERT")) {
            s->out->kind = SQL_INSERT;
        }
    }
    s->out->lead_at = s->out->end;
    if (s->out->format_at)
        s->out->lead_at = s->out->format_at;
    if (settings_at && !settings_after_format)
        s->out->lead_at = settings_at;
    return 0;
}

/* Where data begin after `FORMAT name`: blanks are skipped, then one line end. */
static size_t data_start(const struct scan *s)
{
    size_t at = s->at;
    while (at < s->len && (s->text[at] == ' ' || s->text[at] == '\t' || s->text[at] == '\f'))
        at++;
    if (at < s->len && s->text[at] == '\r')
        at++;
    if (at < s->len && s->text[at] == '\n')
        at++;
    return at;
}

static int found_data(struct scan *s, size_t at)
{
    s->out->has_data = true;
    s->out->data_at = at;
    s->out->more = !s->complete && at >= s->len;
    if (!s->out->lead_at)
        s->out->lead_at = s->out->format_at;
    return 0;
}

/* `FORMAT name` of an INSERT: the clause is settled once something that is no part of the name follows. */
static int insert_format(struct scan *s, struct token keyword)
{
    struct token name = next(s);
    if ((name.type != T_WORD && name.type != T_QUOTED) || (name.cut && !s->complete)) {
        s->out->more = !s->complete;
        return 0;
    }
    take_format(s, keyword, name);
    if (!s->out->format[0])
        return 0; /* `` is no name; the engine says so */
    return found_data(s, data_start(s));
}

static void skip_table_name(struct scan *s)
{
    struct token t = next(s);
    if (is(s, t, "INTO"))
        t = next(s);
    if (is(s, t, "TABLE"))
        t = next(s);
    if (is(s, t, "FUNCTION"))
        t = next(s);
    while (t.type != T_END && punct(s, peek(s), '.')) {
        next(s);
        t = next(s);
    }
}

/* input('structure'): where the call stands. */
static void take_input(struct scan *s, struct token name)
{
    struct scan copy = *s;
    struct token open = next(&copy), structure = next(&copy), close = structure;
    s->out->from_input = true;
    s->out->input_at = name.at;
    if (structure.type == T_STRING && s->text[structure.at] == '\'') {
        s->out->structure_at = structure.at;
        s->out->structure_len = structure.len;
        close = next(&copy);
    }
    s->out->input_end = punct(&copy, close, ')') ? close.at + 1 : open.at;
}

static int scan_insert(struct scan *s)
{
    struct token before = {.type = T_END}, t;
    int depth = 0;
    bool select = false, settled = false;

    s->out->end = s->at;
    skip_table_name(s);
    for (t = next(s); t.type != T_END; before = t, t = next(s)) {
        if (t.cut && !s->complete)
            break;
        if (check_forbidden(s, before, t) < 0)
            return -EINVAL;
        if (depth == 0 && punct(s, t, ';'))
            return after_statement(s);
        s->out->end = t.at + t.len;
        depth = depth_after(s, t, depth);
        if (t.type != T_WORD)
            continue;
        if (is(s, t, "SELECT") || is(s, t, "WITH") || is(s, t, "WATCH"))
            select = select || !(punct(s, peek(s), ',') || punct(s, peek(s), ')')); /* else a column of that name */
        if (select && is(s, t, "input") && punct(s, peek(s), '('))
            take_input(s, t);
        settled = !select || s->out->from_input;
        if (depth != 0 || !settled)
            continue;
        if (is(s, t, "FORMAT"))
            return insert_format(s, t);
        if (!select && is(s, t, "SETTINGS") && settings_clause(s)) {
            s->out->lead_at = t.at;
        } else if (!select && is(s, t, "VALUES")) {
            s->out->format_at = t.at;
            memcpy(s->out->format, "Values", 7);
            return found_data(s, s->at);
        }
    }
    s->out->more = !s->complete;
    return 0;
}

/* KILL ... WHERE query_id = 'x': remembers where, since the ids of the engine are not the clients'. */
static void find_kill_id(struct scan *s)
{
    struct scan copy = *s;
    struct token t;
    while ((t = next(&copy)).type != T_END) {
        if (!is(&copy, t, "query_id"))
            continue;
        struct token equals = next(&copy), value = next(&copy);
        if (!punct(&copy, equals, '=') || value.type != T_STRING || value.len < 2 || copy.text[value.at] != '\'' ||
            value.len - 2 >= sizeof(copy.out->kill_id) || memchr(copy.text + value.at, '\\', value.len))
            return;
        s->out->kill_at = t.at;
        s->out->kill_len = value.at + value.len - t.at;
        memcpy(s->out->kill_id, copy.text + value.at + 1, value.len - 2);
        s->out->kill_id[value.len - 2] = 0;
        return;
    }
}

static int check_system(struct scan *s)
{
    struct token t = peek(s);
    if (is(s, t, "SHUTDOWN") || is(s, t, "KILL"))
        return refuse(s, 497, "SYSTEM SHUTDOWN and SYSTEM KILL are not allowed: stop the service through OwnHouse");
    return 0;
}

static enum sql_kind kind_of(const struct scan *s, struct token first)
{
    static const struct {
        const char *word;
        enum sql_kind kind;
    } words[] = {
        {"SELECT", SQL_SELECT}, {"WITH", SQL_SELECT},   {"FROM", SQL_SELECT},  {"SHOW", SQL_SHOW},
        {"DESCRIBE", SQL_SHOW}, {"DESC", SQL_SHOW},     {"EXPLAIN", SQL_SHOW}, {"EXISTS", SQL_SHOW},
        {"CHECK", SQL_SHOW},    {"INSERT", SQL_INSERT}, {"SET", SQL_SESSION},  {"USE", SQL_SESSION},
        {"KILL", SQL_KILL},
    };
    for (size_t i = 0; i < ARRAY_SIZE(words); i++)
        if (is(s, first, words[i].word))
            return words[i].kind;
    return SQL_OTHER;
}

int sql_scan(const char *text, size_t len, bool complete, struct sql *ret, int *ret_code, struct err *err)
{
    struct scan s = {.text = text, .len = len, .complete = complete, .out = ret, .code = ret_code, .err = err};
    *ret = (struct sql){0};

    struct token first = next(&s);
    size_t start = first.at;
    bool bracket = false;
    while (punct(&s, first, '(')) {
        bracket = true;
        first = next(&s);
    }
    if (first.type == T_END || (first.cut && !complete)) {
        ret->more = !complete;
        return 0;
    }
    ret->kind = bracket ? SQL_SELECT : kind_of(&s, first);
    if (ret->kind == SQL_INSERT)
        return scan_insert(&s);
    if (!complete) {
        ret->more = true;
        return 0;
    }
    if (is(&s, first, "exit") || is(&s, first, "quit") || is(&s, first, "logout"))
        return refuse(&s, 62, "Syntax error: exit, quit and logout are words of the command-line client, not SQL");
    if (is(&s, first, "SYSTEM") && check_system(&s) < 0)
        return -EINVAL;
    if (ret->kind == SQL_KILL)
        find_kill_id(&s);
    bool with = is(&s, first, "WITH");
    s.at = start;
    return scan_query(&s, with);
}

void sql_lead_out(const struct sql *s, const char *text, int fd, struct buf *out)
{
    buf_add(out, text, s->lead_at);
    buf_printf(out, "\nINTO OUTFILE '/dev/fd/%d' APPEND COMPRESSION 'none' ", fd);
    buf_add(out, text + s->lead_at, s->end - s->lead_at);
}

void sql_lead_in(const struct sql *s, const char *text, int fd, struct buf *out)
{
    buf_add(out, text, s->lead_at);
    buf_printf(out, "\nFROM INFILE '/dev/fd/%d' COMPRESSION 'none' ", fd);
    buf_add(out, text + s->lead_at, s->format_at - s->lead_at);
    buf_printf(out, "FORMAT %s", s->format);
}

/* The text of a string literal: backslash and doubled quotes as ClickHouse reads them. */
static void unquote(const char *literal, size_t len, struct buf *out)
{
    for (size_t i = 1; i + 1 < len; i++) {
        char c = literal[i];
        if (c == '\'' || (c == '\\' && i + 2 < len)) {
            c = literal[++i];
            c = literal[i - 1] != '\\' ? c : c == 'n' ? '\n' : c == 't' ? '\t' : c;
        }
        buf_addc(out, c);
    }
}

int sql_input_table(const struct sql *s, const char *text, struct buf *out, int *ret_code, struct err *err)
{
    struct sql made;
    *ret_code = 36;
    if (!s->structure_len)
        return err_set(err, -EINVAL,
                       "input() needs the structure of the data as a string, as in "
                       "input('a UInt64, b String')");
    buf_adds(out, "CREATE TEMPORARY TABLE " SQL_INPUT_TABLE " (");
    unquote(text + s->structure_at, s->structure_len, out);
    buf_adds(out, ") ENGINE = Memory");
    return sql_scan(out->data, out->len, true, &made, ret_code, err); /* it came from outside: one statement only */
}

void sql_input_insert(const struct sql *s, struct buf *out)
{
    buf_printf(out, "INSERT INTO " SQL_INPUT_TABLE " FORMAT %s\n", s->format);
}

void sql_input_select(const struct sql *s, const char *text, struct buf *out)
{
    buf_add(out, text, s->input_at);
    buf_adds(out, SQL_INPUT_TABLE);
    buf_add(out, text + s->input_end, s->format_at - s->input_end);
}

const char *sql_kind_name(enum sql_kind kind)
{
    static const char *const names[] = {"None", "Select", "Show", "Insert", "Set", "KillQuery", "Other"};
    return names[kind];
}
