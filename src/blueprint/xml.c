/* Writes XML, indented and escaped. */
#include "blueprint/xml.h"

void xml_init(struct xml *x, struct buf *out)
{
    *x = (struct xml){.out = out};
}

static void indent(struct xml *x)
{
    buf_printf(x->out, "%*s", 4 * x->depth, "");
}

void xml_open(struct xml *x, const char *name)
{
    if (x->depth == XML_MAX_DEPTH)
        abort();
    indent(x);
    buf_printf(x->out, "<%s>\n", name);
    x->open[x->depth++] = name;
}

void xml_close(struct xml *x)
{
    if (x->depth == 0)
        abort();
    x->depth--;
    indent(x);
    buf_printf(x->out, "</%s>\n", x->open[x->depth]);
}

static void escaped(struct buf *out, const char *value)
{
    for (; *value; value++) {
        if (*value == '<')
            buf_adds(out, "&lt;");
        else if (*value == '>')
            buf_adds(out, "&gt;");
        else if (*value == '&')
            buf_adds(out, "&amp;");
        else
            buf_addc(out, *value);
    }
}

void xml_text(struct xml *x, const char *name, const char *value)
{
    indent(x);
    buf_printf(x->out, "<%s>", name);
    escaped(x->out, value);
    buf_printf(x->out, "</%s>\n", name);
}

void xml_int(struct xml *x, const char *name, int64_t value)
{
    char text[24];
    snprintf(text, sizeof(text), "%lld", (long long)value);
    xml_text(x, name, text);
}

void xml_true(struct xml *x, const char *name)
{
    xml_int(x, name, 1);
}

void xml_empty(struct xml *x, const char *name)
{
    indent(x);
    buf_printf(x->out, "<%s/>\n", name);
}

void xml_comment(struct xml *x, const char *text)
{
    indent(x);
    buf_printf(x->out, "<!-- %s -->\n", text);
}
