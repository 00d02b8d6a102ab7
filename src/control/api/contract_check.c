/* Requests and answers against the table of operations. */
#include "control/api/contract_internal.h"

#include <ctype.h>
#include <math.h>
#include <strings.h>

/* `public` is the first member. */
static const struct operation *operation_of(const struct contract_operation *op)
{
    return (const struct operation *)(const void *)op;
}

struct split {
    char *parts[CONTRACT_SEGMENTS + 1];
    size_t n;
};

/* Empty parts count: "/v1//x" is not "/v1/x". A single final slash is dropped. */
static void split_path(struct arena *a, const char *path, struct split *ret)
{
    char *rest = arena_strdup(a, path);
    ret->n = 0;
    size_t len = strlen(rest);
    if (len > 1 && rest[len - 1] == '/')
        rest[len - 1] = 0;
    if (*rest == '/')
        rest++;
    while (rest && ret->n <= CONTRACT_SEGMENTS)
        ret->parts[ret->n++] = strsep(&rest, "/");
}

static bool fits(const struct operation *op, const struct split *path)
{
    if (op->n_segments != path->n)
        return false;
    for (size_t i = 0; i < path->n; i++)
        if (op->segments[i] ? strcmp(op->segments[i], path->parts[i]) != 0 : !*path->parts[i])
            return false;
    return true;
}

static void lower(char *text)
{
    for (; *text; text++)
        *text = (char)tolower((unsigned char)*text);
}

static int take_path(const struct operation *op, const struct split *path, struct contract_match *ret, struct err *err)
{
    size_t n = 0;
    for (size_t i = 0; i < path->n; i++) {
        if (op->segments[i])
            continue;
        int r = schema_check_text(op->path_schemas[n], path->parts[i], op->public.parameters[n], err);
        if (r < 0)
            return r;
        if (!strcmp(schema_format(op->path_schemas[n]), "uuid"))
            lower(path->parts[i]);
        ret->path[n++] = path->parts[i];
    }
    return 0;
}

int contract_find(const struct contract *c, const char *method, const char *path, struct arena *arena,
                  struct contract_match *ret, struct err *err)
{
    struct split split;
    *ret = (struct contract_match){0};
    if (strlen(path) > CONTRACT_PATH_MAX)
        return err_set(err, -ENOENT, "there is nothing at this path");
    split_path(arena, path, &split);
    for (size_t i = 0; i < c->n_operations; i++) {
        const struct operation *op = &c->operations[i];
        if (!fits(op, &split))
            continue;
        if (!strcmp(op->public.method, method)) {
            ret->operation = &op->public;
            *ret->allow = 0; /* of a path with words where this one has a name */
            return take_path(op, &split, ret, err);
        }
        size_t len = strlen(ret->allow);
        snprintf(ret->allow + len, sizeof(ret->allow) - len, "%s%s", len ? ", " : "", op->public.method);
    }
    if (*ret->allow)
        return err_set(err, -EOPNOTSUPP, "this path takes %s only", ret->allow);
    return err_set(err, -ENOENT, "there is nothing at this path");
}

static int add_query(const struct query_parameter *p, const struct contract_pair *pair, json_t *into, struct err *err)
{
    const struct schema *items = p->schema;
    size_t max = 1;
    bool list = schema_is_array(p->schema, &items, &max);
    json_t *have = json_object_get(into, p->name);
    int r = schema_check_text(items, pair->value, p->name, err);
    if (r < 0)
        return r;
    if (list ? json_array_size(have) >= max : have != NULL)
        return err_set(err, -EINVAL, "%s: is given too often", p->name);
    if (list) {
        if (!have)
            json_object_set_new(into, p->name, have = json_array());
        json_array_append_new(have, json_string(pair->value));
    } else if (!strcmp(schema_format(p->schema), "boolean")) {
        json_object_set_new(into, p->name, json_boolean(!strcmp(pair->value, "true")));
    } else {
        char *copy = mem_strdup(pair->value);
        if (!strcmp(schema_format(p->schema), "uuid"))
            lower(copy);
        json_object_set_new(into, p->name, json_string(copy));
        free(copy);
    }
    return 0;
}

static int check_query(const struct operation *op, const struct contract_request *q, json_t *into, struct err *err)
{
    for (size_t i = 0; i < q->n_query; i++) {
        const struct query_parameter *p = NULL;
        for (size_t j = 0; j < op->n_query; j++)
            if (!strcmp(op->query[j].name, q->query[i].name))
                p = &op->query[j];
        int r = p ? add_query(p, &q->query[i], into, err)
                  : err_set(err, -EINVAL, "%.64s: unknown query parameter", q->query[i].name);
        if (r < 0)
            return r;
    }
    for (size_t j = 0; j < op->n_query; j++)
        if (op->query[j].required && !json_object_get(into, op->query[j].name))
            return err_set(err, -EINVAL, "%s: is required in the query", op->query[j].name);
    return 0;
}

/* JSON knows one kind of number: 8.0 is 8. */
static void whole_numbers(json_t *v)
{
    const char *key;
    json_t *one;
    size_t i;
    if (json_is_object(v)) {
        json_object_foreach(v, key, one)
        {
            double n = json_is_real(one) ? json_real_value(one) : 0.5;
            if (floor(n) == n && fabs(n) < 9007199254740992.0)
                json_object_set_new(v, key, json_integer((json_int_t)n));
            else
                whole_numbers(one);
        }
    }
    json_array_foreach(v, i, one)
    {
        double n = json_is_real(one) ? json_real_value(one) : 0.5;
        if (floor(n) == n && fabs(n) < 9007199254740992.0)
            json_array_set_new(v, i, json_integer((json_int_t)n));
        else
            whole_numbers(one);
    }
}

static bool is_json_type(const char *value)
{
    size_t n = value ? strcspn(value, "; \t") : 0;
    return n == strlen("application/json") && !strncasecmp(value, "application/json", n);
}

static bool is_blank(const char *text, size_t len)
{
    for (size_t i = 0; i < len; i++)
        if (!strchr(" \t\r\n", text[i]) || !text[i])
            return false;
    return true;
}

static int check_body(const struct operation *op, const struct contract_request *q, json_t **ret, struct err *err)
{
    autojson json_t *v = NULL;
    if (q->body_len > CONTRACT_BODY_MAX)
        return err_set(err, -EMSGSIZE, "the body is larger than %zu bytes", CONTRACT_BODY_MAX);
    if (!q->body_len || is_blank(q->body, q->body_len)) {
        if (op->body_required)
            return err_set(err, -EINVAL, "the body: is required, a JSON object");
        *ret = json_object();
        return 0;
    }
    if (op->body && !is_json_type(q->content_type))
        return err_set(err, -EMEDIUMTYPE, "the body must have the Content-Type application/json");
    int r = js_parse(q->body, q->body_len, CONTRACT_BODY_MAX, &v, err);
    if (r < 0)
        return err_wrap(err, r, "the body");
    if (!op->body && json_is_object(v) && json_object_size(v) == 0) {
        *ret = TAKE_PTR(v);
        return 0;
    }
    if (!op->body)
        return err_set(err, -EINVAL, "the body: this operation takes none");
    r = schema_check(op->body, v, "the body", err);
    if (r < 0)
        return r;
    whole_numbers(v);
    *ret = TAKE_PTR(v);
    return 0;
}

int contract_check(const struct contract *c, const struct contract_request *request, struct contract_match *m,
                   struct err *err)
{
    const struct operation *op = operation_of(m->operation);
    int r = 0;
    m->query = json_object();
    if (request->idempotency_key && op->idempotency)
        r = schema_check_text(op->idempotency, request->idempotency_key, "Idempotency-Key", err);
    if (r == 0)
        r = check_query(op, request, m->query, err);
    return r < 0 ? r : check_body(op, request, &m->body, err);
}

void contract_match_free(struct contract_match *m)
{
    json_decref(m->query);
    json_decref(m->body);
    m->query = m->body = NULL;
}

int contract_check_answer(const struct contract *c, const struct contract_operation *op, int status,
                          const json_t *answer, struct err *err)
{
    const struct operation *o = operation_of(op);
    for (size_t i = 0; i < o->n_answers; i++)
        if (o->answers[i].status == status)
            return o->answers[i].schema ? schema_check(o->answers[i].schema, answer, "the answer", err) : 0;
    return err_set(err, -EINVAL, "%s answers %d, which the contract does not have", op->id, status);
}
