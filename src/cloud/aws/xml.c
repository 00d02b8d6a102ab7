/* Turns XML answers into JSON trees with expat. */
#include "cloud/aws/xml.h"

#include "base/mem.h"

#include <expat.h>

struct level {
    char *name;
    json_t *children; /* object, or NULL while there is none */
    struct buf text;
};

struct reader {
    XML_Parser parser;
    struct level stack[XML_DEPTH_MAX];
    int depth;
    json_t *root;
    char *root_name;
    const char *refused;
};

static void refuse(struct reader *r, const char *why)
{
    if (!r->refused)
        r->refused = why;
    XML_StopParser(r->parser, XML_FALSE);
}

static void XMLCALL on_doctype(void *data, const XML_Char *a OH_UNUSED, const XML_Char *b OH_UNUSED,
                               const XML_Char *c OH_UNUSED, int d OH_UNUSED)
{
    refuse(data, "it has a document type declaration");
}

static const char *local_name(const char *name)
{
    const char *colon = strchr(name, ':');
    return colon ? colon + 1 : name;
}

static void XMLCALL on_start(void *data, const XML_Char *name, const XML_Char **attributes OH_UNUSED)
{
    struct reader *r = data;
    if (r->refused)
        return;
    if (r->depth == XML_DEPTH_MAX) {
        refuse(r, "it is too deep");
        return;
    }
    r->stack[r->depth++] = (struct level){.name = mem_strdup(local_name(name))};
}

static void add_child(json_t *object, const char *name, json_t *value)
{
    json_t *there = json_object_get(object, name);
    bool list = !strcmp(name, "item") || !strcmp(name, "member");
    if (!there && !list)
        json_object_set_new(object, name, value);
    else if (!there)
        json_object_set_new(object, name, json_pack("[o]", value));
    else if (list || (json_is_array(there) && json_object_get(object, "\x01")))
        json_array_append_new(there, value);
    else {
        json_object_set_new(object, name, json_pack("[O,o]", there, value));
        /* Says that arrays below were made of repeated names; removed at the element's end. */
        json_object_set_new(object, "\x01", json_true());
    }
}

static json_t *close_level(struct level *l)
{
    json_t *v;
    if (!l->children) {
        v = json_stringn(l->text.data ? l->text.data : "", l->text.len);
        return v ? v : json_string("");
    }
    json_object_del(l->children, "\x01");
    json_t *list = json_object_get(l->children, "item");
    if (!list)
        list = json_object_get(l->children, "member");
    v = list && json_object_size(l->children) == 1 ? json_incref(list) : json_incref(l->children);
    return v;
}

static void level_free(struct level *l)
{
    free(l->name);
    json_decref(l->children);
    buf_free(&l->text);
    *l = (struct level){0};
}

static void XMLCALL on_end(void *data, const XML_Char *name OH_UNUSED)
{
    struct reader *r = data;
    if (r->refused)
        return;
    struct level *l = &r->stack[--r->depth];
    json_t *v = close_level(l);
    if (r->depth == 0) {
        r->root = v;
        r->root_name = mem_strdup(l->name);
    } else {
        struct level *up = &r->stack[r->depth - 1];
        if (!up->children)
            up->children = json_object();
        add_child(up->children, l->name, v);
    }
    level_free(l);
}

static void XMLCALL on_text(void *data, const XML_Char *text, int len)
{
    struct reader *r = data;
    if (!r->refused && r->depth > 0)
        buf_add(&r->stack[r->depth - 1].text, text, (size_t)len);
}

int aws_xml_parse(const char *text, size_t len, size_t max, json_t **ret, char **ret_root, struct err *err)
{
    struct reader r = {0};
    if (len > max || len > INT32_MAX)
        return err_set(err, -EMSGSIZE, "the XML answer is longer than %zu bytes", max);
    r.parser = XML_ParserCreate(NULL);
    if (!r.parser)
        abort(); /* out of memory */
    XML_SetUserData(r.parser, &r);
    XML_SetElementHandler(r.parser, on_start, on_end);
    XML_SetCharacterDataHandler(r.parser, on_text);
    XML_SetStartDoctypeDeclHandler(r.parser, on_doctype);
    int result = 0;
    if (XML_Parse(r.parser, text, (int)len, 1) != XML_STATUS_OK)
        result = r.refused ? err_set(err, -EPROTO, "the XML answer is refused: %s", r.refused)
                           : err_set(err, -EINVAL, "the XML answer is not well-formed: line %lu: %s",
                                     (unsigned long)XML_GetCurrentLineNumber(r.parser),
                                     XML_ErrorString(XML_GetErrorCode(r.parser)));
    XML_ParserFree(r.parser);
    while (r.depth > 0)
        level_free(&r.stack[--r.depth]);
    if (result < 0)
        json_decref(r.root);
    else
        *ret = r.root;
    if (result == 0 && ret_root)
        *ret_root = TAKE_PTR(r.root_name);
    free(r.root_name);
    return result;
}

json_t *aws_xml_list(const json_t *obj, const char *key, const char *inner)
{
    json_t *v = json_object_get(obj, key);
    if (v && inner && json_is_object(v))
        v = json_object_get(v, inner);
    if (json_is_array(v))
        return json_incref(v);
    return json_is_object(v) || (json_is_string(v) && *json_string_value(v)) ? json_pack("[O]", v) : json_array();
}

void aws_xml_escape(struct buf *out, const char *text)
{
    for (; *text; text++) {
        const char *e = *text == '&'   ? "&amp;"
                        : *text == '<' ? "&lt;"
                        : *text == '>' ? "&gt;"
                        : *text == '"' ? "&quot;"
                                       : NULL;
        if (e)
            buf_adds(out, e);
        else
            buf_addc(out, *text);
    }
}
