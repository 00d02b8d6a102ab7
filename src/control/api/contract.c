/* Loads the OpenAPI file into a table of operations. */
#include "control/api/contract.h"

#include "control/api/contract_internal.h"

#include <ctype.h>

static const char *const methods[] = {"get", "put", "post", "delete", "patch"};

static char *upper(struct arena *a, const char *text)
{
    char *copy = arena_strdup(a, text);
    for (char *p = copy; *p; p++)
        *p = (char)toupper((unsigned char)*p);
    return copy;
}

static int split_template(struct contract *c, struct operation *op, const char *path, struct err *err)
{
    char *copy = arena_strdup(c->arena, path), *save = NULL;
    size_t parameters = 0;
    for (char *s = strtok_r(copy, "/", &save); s; s = strtok_r(NULL, "/", &save)) {
        size_t len = strlen(s);
        if (op->n_segments == CONTRACT_SEGMENTS)
            return err_set(err, -EINVAL, "%s: too many parts", path);
        if (s[0] == '{') {
            if (parameters == CONTRACT_PARAMETERS || s[len - 1] != '}')
                return err_set(err, -EINVAL, "%s: bad or too many parameters", path);
            s[len - 1] = 0;
            op->public.parameters[parameters++] = s + 1;
            op->segments[op->n_segments++] = NULL;
        } else {
            op->segments[op->n_segments++] = s;
        }
    }
    return 0;
}

/* {"$ref": "#/components/PART/NAME"} or the thing itself. */
static const json_t *resolve(const struct contract *c, const json_t *node)
{
    const char *ref = json_string_value(json_object_get(node, "$ref"));
    static const char prefix[] = "#/components/";
    char part[32];
    if (!ref)
        return node;
    const char *slash = strncmp(ref, prefix, strlen(prefix)) ? NULL : strchr(ref + strlen(prefix), '/');
    if (!slash)
        return NULL;
    snprintf(part, sizeof(part), "%.*s", (int)(slash - ref - (ptrdiff_t)strlen(prefix)), ref + strlen(prefix));
    return json_object_get(json_object_get(json_object_get(c->document, "components"), part), slash + 1);
}

static int add_path_parameter(struct operation *op, const char *name, const struct schema *s, struct err *err)
{
    for (size_t i = 0; i < CONTRACT_PARAMETERS && op->public.parameters[i]; i++)
        if (!strcmp(op->public.parameters[i], name)) {
            op->path_schemas[i] = s;
            return 0;
        }
    return err_set(err, -EINVAL, "%s: parameter %s is not in the path", op->public.id, name);
}

static int add_parameter(struct contract *c, struct operation *op, const json_t *node, struct err *err)
{
    const char *name = json_string_value(json_object_get(node, "name"));
    const char *in = json_string_value(json_object_get(node, "in"));
    const struct schema *s;
    if (!name || !in)
        return err_set(err, -EINVAL, "%s: a parameter without name or place", op->public.id);
    const char *where = arena_printf(c->arena, "%s %s", op->public.id, name);
    int r = schema_compile(c->schemas, json_object_get(node, "schema"), where, &s, err);
    if (r < 0)
        return r;
    if (!strcmp(in, "path"))
        return add_path_parameter(op, name, s, err);
    if (!strcmp(in, "header") && !strcmp(name, "Idempotency-Key")) {
        op->public.idempotent = true;
        op->idempotency = s;
        return 0;
    }
    if (strcmp(in, "query") || op->n_query == CONTRACT_QUERY)
        return err_set(err, -EINVAL, "%s: parameter %s is not one the server can check", op->public.id, name);
    op->query[op->n_query++] = (struct query_parameter){name, s, json_is_true(json_object_get(node, "required"))};
    return 0;
}

static const json_t *json_content(const json_t *node)
{
    return json_object_get(json_object_get(json_object_get(node, "content"), "application/json"), "schema");
}

static int add_body(struct contract *c, struct operation *op, const json_t *node, struct err *err)
{
    op->body_required = json_is_true(json_object_get(node, "required"));
    return schema_compile(c->schemas, json_content(node), op->public.id, &op->body, err);
}

static int add_responses(struct contract *c, struct operation *op, const json_t *all, struct err *err)
{
    const char *status;
    json_t *node;
    json_object_foreach((json_t *)(uintptr_t)all, status, node)
    {
        const json_t *response = resolve(c, node);
        if (op->n_answers == CONTRACT_ANSWERS)
            return err_set(err, -EINVAL, "%s: too many responses", op->public.id);
        struct answer *a = &op->answers[op->n_answers++];
        a->status = atoi(status);
        if (json_object_get(json_object_get(response, "content"), "text/plain"))
            continue; /* text has no schema to be checked against */
        int r = schema_compile(c->schemas, json_content(response), op->public.id, &a->schema, err);
        if (r < 0)
            return r;
    }
    return 0;
}

static int add_operation(struct contract *c, const char *path, const char *method, const json_t *node, struct err *err)
{
    struct operation *op = &c->operations[c->n_operations++];
    const char *permission = json_string_value(json_object_get(node, "x-permission"));
    const json_t *parameter, *security = json_object_get(node, "security");
    size_t i;
    op->public = (struct contract_operation){
        .id = json_string_value(json_object_get(node, "operationId")),
        .method = upper(c->arena, method),
        .template = path,
        .permission = permission ? permission : "",
        .open = json_is_array(security) && json_array_size(security) == 0,
    };
    if (!op->public.id)
        return err_set(err, -EINVAL, "%s %s: has no operationId", method, path);
    if (!op->public.open && !permission)
        return err_set(err, -EINVAL, "%s: has no x-permission", op->public.id);
    int r = split_template(c, op, path, err);
    json_array_foreach(json_object_get(node, "parameters"), i, parameter)
    {
        if (r == 0)
            r = add_parameter(c, op, resolve(c, parameter), err);
    }
    if (r == 0 && json_object_get(node, "requestBody"))
        r = add_body(c, op, json_object_get(node, "requestBody"), err);
    if (r == 0)
        r = add_responses(c, op, json_object_get(node, "responses"), err);
    for (i = 0; r == 0 && op->public.parameters[i]; i++)
        if (!op->path_schemas[i])
            r = err_set(err, -EINVAL, "%s: %s is not described", op->public.id, op->public.parameters[i]);
    return r;
}

static int add_operations(struct contract *c, struct err *err)
{
    json_t *paths = json_object_get(c->document, "paths"), *item;
    const char *path;
    c->operations = arena_alloc(c->arena, (json_object_size(paths) * ARRAY_SIZE(methods) + 1) * sizeof(*c->operations));
    json_object_foreach(paths, path, item)
    {
        for (size_t m = 0; m < ARRAY_SIZE(methods); m++) {
            const json_t *node = json_object_get(item, methods[m]);
            int r = node ? add_operation(c, path, methods[m], node, err) : 0;
            if (r < 0)
                return r;
        }
    }
    return c->n_operations ? 0 : err_set(err, -EINVAL, "has no paths");
}

int contract_load(const char *text, size_t len, struct contract **ret, struct err *err)
{
    struct contract *c = mem_alloc(sizeof(*c));
    c->arena = arena_new();
    int r = js_parse(text, len, MIB(4), &c->document, err);
    if (r == 0)
        r = schema_set_new(c->document, &c->schemas, err);
    if (r == 0)
        r = add_operations(c, err);
    if (r < 0) {
        contract_free(c);
        return err_wrap(err, r, "openapi.json");
    }
    *ret = c;
    return 0;
}

void contract_free(struct contract *c)
{
    if (!c)
        return;
    schema_set_free(c->schemas);
    json_decref(c->document);
    arena_free(c->arena);
    free(c);
}

const struct contract_operation *contract_operation_at(const struct contract *c, size_t n)
{
    return n < c->n_operations ? &c->operations[n].public : NULL;
}
