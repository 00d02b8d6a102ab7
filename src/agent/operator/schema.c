/* Reads Replicated databases at one replica and says how they are made at another. */
#include "agent/operator/schema.h"

#include "blueprint/operator_sql.h"

bool schema_lacks(const struct replica_view *v, int k, int64_t age_ms, int *ret_from)
{
    if (k >= v->wanted || !(v->serving & (1u << k)) || !v->said[k].known || age_ms >= SCHEMA_NEW_MS)
        return false;
    int from = k;
    for (int on = 0; on < v->wanted; on++)
        if ((v->serving & (1u << on)) && v->said[on].known && v->said[on].tables > v->said[from].tables)
            from = on;
    *ret_from = from;
    return from != k;
}

/* Of a text that begins with a quote, through the closing one; 0: it is not closed. */
static size_t quoted(const char *text, char with)
{
    size_t i = 1;
    if (*text != with)
        return 0;
    for (; text[i] && text[i] != with; i++)
        if (text[i] == '\\' && text[i + 1])
            i++;
    return text[i] ? i + 1 : 0;
}

static bool skip(const char **p, const char *word)
{
    size_t len = strlen(word);
    bool is = !strncmp(*p, word, len);
    *p += is ? len : 0;
    return is;
}

static bool skip_quoted(const char **p, char with)
{
    size_t len = quoted(*p, with);
    *p += len;
    return len > 0;
}

bool schema_is_definition(const char *text)
{
    const char *p = text;
    if (strlen(text) >= SCHEMA_TEXT_MAX || !skip_quoted(&p, '`') || !skip(&p, " UUID '") ||
        strspn(p, "0123456789abcdef-") != 36)
        return false;
    p += 36;
    if (!skip(&p, "' ENGINE = Replicated("))
        return false;
    for (int i = 0; i < 3; i++)
        if ((i && !skip(&p, ", ")) || !skip_quoted(&p, '\''))
            return false;
    return !strcmp(p, ")");
}

void schema_statement(const struct schema_turn *t, struct buf *out)
{
    autobuf struct buf after = BUF_INIT;
    autofree char *name = mem_strdup(t->text);
    name[*name ? quoted(name, '`') : 0] = '\0';
    buf_quote(&after, '\'', name);
    autofree char *sql =
        t->makes ? operator_sql_with("make-database", t->text) : operator_sql_with("next-database", after.data);
    buf_adds(out, sql);
}

void schema_heard(struct schema_turn *t, const char *answer)
{
    if (t->makes) {
        t->makes = false;
    } else if (!quoted(answer, '`')) {
        t->done = true;
    } else {
        snprintf(t->text, sizeof(t->text), "%s", answer);
        t->makes = schema_is_definition(answer);
    }
}
