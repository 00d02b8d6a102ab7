/* YAML to JSON, for kubeconfig files, over libyaml's parser. */
#include "runtime/kubernetes/access.h"

#include <yaml.h>

#define DEPTH_MAX 32

struct level {
    json_t *node;
    char *key; /* of a mapping: waits for its value */
};

struct reader {
    struct level levels[DEPTH_MAX];
    int depth;
    json_t *root;
    struct err *err;
};

static int fail(struct reader *r, const yaml_event_t *e, const char *what)
{
    return err_set(r->err, -EINVAL, "line %zu: %s", e->start_mark.line + 1, what);
}

static int put(struct reader *r, const yaml_event_t *e, json_t *value)
{
    struct level *top = r->depth ? &r->levels[r->depth - 1] : NULL;
    if (!top) {
        if (r->root) {
            json_decref(value);
            return fail(r, e, "a second document follows");
        }
        r->root = value;
        return 0;
    }
    if (json_is_array(top->node))
        return json_array_append_new(top->node, value) < 0 ? fail(r, e, "text is not UTF-8") : 0;
    int n = json_object_set_new(top->node, top->key, value);
    free(TAKE_PTR(top->key));
    return n < 0 ? fail(r, e, "text is not UTF-8") : 0;
}

static bool whole_number(const char *text)
{
    size_t n = strlen(text), digits = strspn(text + (*text == '-'), "0123456789");
    return n && n <= 18 && digits && digits + (*text == '-') == n && (digits == 1 || text[*text == '-'] != '0');
}

static json_t *scalar(const yaml_event_t *e)
{
    const char *text = (const char *)e->data.scalar.value;
    if (strlen(text) != e->data.scalar.length)
        return NULL;
    if (e->data.scalar.style == YAML_PLAIN_SCALAR_STYLE) {
        if (!*text || !strcmp(text, "null") || !strcmp(text, "~"))
            return json_null();
        if (!strcmp(text, "true") || !strcmp(text, "false"))
            return json_boolean(*text == 't');
        if (whole_number(text))
            return json_integer(strtoll(text, NULL, 10));
    }
    return json_string(text);
}

static int on_scalar(struct reader *r, const yaml_event_t *e)
{
    struct level *top = r->depth ? &r->levels[r->depth - 1] : NULL;
    if (top && json_is_object(top->node) && !top->key) {
        const char *key = (const char *)e->data.scalar.value;
        if (strlen(key) != e->data.scalar.length)
            return fail(r, e, "a key holds a zero byte");
        if (json_object_get(top->node, key))
            return fail(r, e, "a key is there twice");
        top->key = mem_strdup(key);
        return 0;
    }
    json_t *value = scalar(e);
    return value ? put(r, e, value) : fail(r, e, "text is not UTF-8");
}

static int open_level(struct reader *r, const yaml_event_t *e, json_t *node)
{
    struct level *top = r->depth ? &r->levels[r->depth - 1] : NULL;
    if (r->depth == DEPTH_MAX || (top && json_is_object(top->node) && !top->key)) {
        json_decref(node);
        return fail(r, e, r->depth == DEPTH_MAX ? "nested too deeply" : "a key is not plain text");
    }
    int n = put(r, e, node);
    if (n == 0)
        r->levels[r->depth++] = (struct level){.node = node};
    return n;
}

/* 1: the document is complete. */
static int on_event(struct reader *r, const yaml_event_t *e)
{
    switch (e->type) {
    case YAML_STREAM_END_EVENT:
        return 1;
    case YAML_ALIAS_EVENT:
        return fail(r, e, "aliases are not understood");
    case YAML_SCALAR_EVENT:
        return e->data.scalar.anchor || e->data.scalar.tag ? fail(r, e, "anchors and tags are not understood")
                                                           : on_scalar(r, e);
    case YAML_SEQUENCE_START_EVENT:
        return e->data.sequence_start.anchor ? fail(r, e, "anchors are not understood")
                                             : open_level(r, e, json_array());
    case YAML_MAPPING_START_EVENT:
        return e->data.mapping_start.anchor ? fail(r, e, "anchors are not understood")
                                            : open_level(r, e, json_object());
    case YAML_SEQUENCE_END_EVENT:
    case YAML_MAPPING_END_EVENT:
        r->depth--;
        return 0;
    default:
        return 0;
    }
}

int kube_yaml(const char *text, size_t len, json_t **ret, struct err *err)
{
    struct err own = ERR_INIT;
    struct reader r = {.err = err ? err : &own};
    yaml_parser_t parser;
    int n = 0;
    if (!yaml_parser_initialize(&parser))
        abort();
    yaml_parser_set_input_string(&parser, (const unsigned char *)text, len);
    while (n == 0) {
        yaml_event_t e;
        if (!yaml_parser_parse(&parser, &e)) {
            n = err_set(r.err, -EINVAL, "line %zu: %s", parser.problem_mark.line + 1,
                        parser.problem ? parser.problem : "is not YAML");
            break;
        }
        n = on_event(&r, &e);
        yaml_event_delete(&e);
    }
    yaml_parser_delete(&parser);
    for (int i = 0; i < DEPTH_MAX; i++)
        free(r.levels[i].key);
    if (n == 1 && !r.root)
        n = err_set(r.err, -EINVAL, "is empty");
    if (n != 1) {
        json_decref(r.root);
        return n;
    }
    *ret = r.root;
    return 0;
}
