/* What AWS's resource types have in common: identity tags, phases, and EC2's way of naming things. */
#include "cloud/aws/resource.h"

const char *const aws_phase_names[] = {"inspect", "provision", "operate", "remove"};

struct aws_client *aws_phase_client(const struct plan_call *c, enum aws_phase phase, struct err *err)
{
    struct aws_client *client = aws_env_of(c)->clients[phase];
    if (!client)
        err_set(err, -EACCES, "the account has no %s role: attach it for this plan (ownhouse account verify says how)",
                aws_phase_names[phase]);
    return client;
}

int aws_do(const struct plan_call *c, enum aws_phase phase, const struct aws_request *q, json_t **ret, struct err *err)
{
    struct aws_client *client = aws_phase_client(c, phase, err);
    return client ? aws_call(client, q, ret, NULL, err) : -EACCES;
}

char *aws_identity(const struct plan_call *c)
{
    return mem_printf("%s.%s", c->type, c->name);
}

void aws_prefix(const char *infrastructure, char ret[16])
{
    snprintf(ret, 16, "oh-%.8s", infrastructure);
}

void aws_token(const struct plan_call *c, const json_t *want, char ret[PLAN_TOKEN_SIZE])
{
    autojson json_t *all = json_pack("{s:s, s:O?}", "token", c->token, "want", want);
    char digest[65];
    if (js_digest(all, digest, NULL) < 0)
        snprintf(digest, sizeof(digest), "%s", c->token);
    snprintf(ret, PLAN_TOKEN_SIZE, "%.32s", digest);
}

json_t *aws_tags_object(const struct plan_call *c, const json_t *want)
{
    autofree char *identity = aws_identity(c),
                  *name OH_CLEANUP(oh_freep) = mem_printf("ownhouse-%s-%s", aws_env_of(c)->name, c->name);
    json_t *tags = json_pack("{s:s, s:s, s:s}", AWS_TAG_INFRASTRUCTURE, c->infrastructure, AWS_TAG_RESOURCE, identity,
                             "Name", name);
    if (json_is_object(json_object_get(want, "tags")))
        json_object_update(tags, json_object_get(want, "tags"));
    return tags;
}

json_t *aws_tags(const struct plan_call *c, const json_t *want, const char *key, const char *value)
{
    autojson json_t *all = aws_tags_object(c, want);
    json_t *list = json_array(), *v;
    const char *name;
    json_object_foreach(all, name, v) json_array_append_new(list, json_pack("{s:s, s:O}", key, name, value, v));
    return list;
}

const char *aws_tag(const json_t *tags, const char *name)
{
    static const char *const keys[][2] = {{"key", "value"}, {"Key", "Value"}, {"TagKey", "TagValue"}};
    size_t i;
    json_t *t;
    if (json_is_object(tags) && json_is_string(json_object_get(tags, name)))
        return json_string_value(json_object_get(tags, name));
    json_array_foreach(tags, i, t)
    {
        for (size_t k = 0; k < ARRAY_SIZE(keys); k++)
            if (!strcmp(js_text_at(t, keys[k][0]), name))
                return js_text_at(t, keys[k][1]);
    }
    return "";
}

bool aws_is_ours(const struct plan_call *c, const json_t *tags)
{
    autofree char *identity = aws_identity(c);
    return !strcmp(aws_tag(tags, AWS_TAG_INFRASTRUCTURE), c->infrastructure) &&
           !strcmp(aws_tag(tags, AWS_TAG_RESOURCE), identity);
}

json_t *aws_kept_tags(const json_t *tags)
{
    json_t *kept = json_object(), *t;
    size_t i;
    json_array_foreach(tags, i, t)
    {
        if (!strncmp(js_text_at(t, "key"), "kubernetes.io/", 14))
            json_object_set(kept, js_text_at(t, "key"), json_object_get(t, "value"));
    }
    return kept;
}

static int by_text(const void *a, const void *b)
{
    return strcmp(*(const char *const *)a, *(const char *const *)b);
}

json_t *aws_sorted(const json_t *list)
{
    size_t n = json_array_size(list);
    autofree const char **texts = mem_alloc((n + 1) * sizeof(*texts));
    json_t *out = json_array();
    for (size_t i = 0; i < n; i++)
        texts[i] = json_string_value(json_array_get(list, i));
    qsort(texts, n, sizeof(*texts), by_text);
    for (size_t i = 0; i < n; i++)
        json_array_append_new(out, json_string(texts[i]));
    return out;
}

bool aws_list_has(const json_t *list, const char *text)
{
    size_t i;
    json_t *v;
    json_array_foreach(list, i, v)
    {
        if (json_is_string(v) && !strcmp(json_string_value(v), text))
            return true;
    }
    return false;
}

/* --- EC2 --- */

int ec2_ask(const struct plan_call *c, enum aws_phase phase, const char *action, json_t *params, json_t **ret,
            struct err *err)
{
    autojson json_t *p = params;
    struct aws_request q = {.service = "ec2", .action = action, .params = p};
    return aws_do(c, phase, &q, ret, err);
}

int ec2_do(const struct plan_call *c, enum aws_phase phase, const char *action, json_t *params, struct err *err)
{
    return ec2_ask(c, phase, action, params, NULL, err);
}

static bool is_gone(const struct ec2_kind *k, const json_t *item)
{
    const json_t *v = k->state ? json_object_get(item, k->state) : NULL;
    const char *state = json_is_object(v) ? js_text_at(v, "code") : v ? json_string_value(v) : NULL;
    const char *at = state && *state ? strstr(k->gone, state) : NULL;
    size_t n = state ? strlen(state) : 0;
    return at && (at == k->gone || at[-1] == ' ') && (at[n] == ' ' || !at[n]);
}

/* All with the identity, by id. */
static int find_all(const struct plan_call *c, enum aws_phase phase, const struct ec2_kind *k, json_t **ret,
                    struct err *err)
{
    autofree char *identity = aws_identity(c);
    struct aws_client *client = aws_phase_client(c, phase, err);
    /* In a look at everything one listing serves all resources of the kind. */
    autojson json_t *params =
        c->look ? json_pack("{s:[{s:s, s:[s]}]}", "Filter", "Name", "tag:" AWS_TAG_INFRASTRUCTURE, "Value",
                            c->infrastructure)
                : json_pack("{s:[{s:s, s:[s]}, {s:s, s:[s]}]}", "Filter", "Name", "tag:" AWS_TAG_INFRASTRUCTURE,
                            "Value", c->infrastructure, "Name", "tag:" AWS_TAG_RESOURCE, "Value", identity);
    autojson json_t *items = NULL, *out OH_CLEANUP(js_decrefp) = json_array();
    struct aws_request q = {.service = "ec2", .action = k->describe, .params = params};
    struct aws_pages pages = {"NextToken", "nextToken", k->set, NULL};
    size_t i;
    json_t *item;
    if (!client)
        return -EACCES;
    int r = aws_call_all_once(client, c->look, &q, &pages, &items, err);
    if (r < 0)
        return r;
    json_array_foreach(items, i, item)
    {
        size_t at = 0;
        /* The filters are not taken on trust: what is found here may be changed and destroyed. */
        if (is_gone(k, item) || !aws_is_ours(c, json_object_get(item, "tagSet")))
            continue;
        while (at < json_array_size(out) &&
               strcmp(js_text_at(json_array_get(out, at), k->id), js_text_at(item, k->id)) < 0)
            at++;
        json_array_insert(out, at, item);
    }
    *ret = TAKE_PTR(out);
    return 0;
}

int ec2_find(const struct plan_call *c, const struct ec2_kind *k, json_t **ret, struct err *err)
{
    autojson json_t *all = NULL;
    int r = find_all(c, AWS_INSPECT, k, &all, err);
    if (r == 0)
        *ret = json_incref(json_array_get(all, 0));
    return r;
}

int ec2_observe(const struct plan_call *c, const struct ec2_kind *k, json_t *(*view)(const json_t *item), json_t **ret,
                struct err *err)
{
    autojson json_t *item = NULL;
    int r = ec2_find(c, k, &item, err);
    *ret = r == 0 && item ? view(item) : NULL;
    return r;
}

int ec2_get(const struct plan_call *c, const struct ec2_kind *k, const char *id, json_t **ret, struct err *err)
{
    for (int64_t waited = 0, pause = 100;; waited += pause, pause = MIN(2 * pause, (int64_t)2000)) {
        struct err now = ERR_INIT;
        autojson json_t *answer = NULL, *list OH_CLEANUP(js_decrefp) = NULL;
        int r = ec2_ask(c, AWS_INSPECT, k->describe,
                        json_pack("{s:[s]}", k->describe_param ? k->describe_param : k->id_param, id), &answer, &now);
        if (r == 0)
            list = aws_xml_list(answer, k->set, NULL);
        if (r == 0 && json_array_size(list)) {
            *ret = json_incref(json_array_get(list, 0));
            return 0;
        }
        if (r < 0 && r != -ENOENT)
            return err_set(err, r, "%s", now.message);
        if (waited >= AWS_SETTLE_MS)
            return err_set(err, -EAGAIN, "EC2 does not show %s yet", id);
        if ((r = plan_pause(c, pause, err)) < 0)
            return r;
    }
}

int ec2_make(const struct plan_call *c, const struct ec2_kind *k, json_t *params, const json_t *want, json_t **ret,
             struct err *err)
{
    autojson json_t *answer = NULL;
    json_object_set_new(
        params, "TagSpecification",
        json_pack("[{s:s, s:o}]", "ResourceType", k->tag_type, "Tag", aws_tags(c, want, "Key", "Value")));
    int r = ec2_ask(c, AWS_PROVISION, k->create, params, &answer, err);
    if (r < 0)
        return r;
    json_t *made = *k->created ? json_object_get(answer, k->created) : answer;
    if (!*js_text_at(made, k->id))
        return err_set(err, -EPROTO, "ec2 %s: the answer has no %s", k->create, k->id);
    *ret = json_incref(made);
    return 0;
}

int ec2_create(const struct plan_call *c, const struct ec2_kind *k, json_t *params, const json_t *want, json_t **ret,
               struct err *err)
{
    autojson json_t *made = NULL;
    int r = ec2_make(c, k, params, want, &made, err);
    return r < 0 ? r : ec2_get(c, k, js_text_at(made, k->id), ret, err);
}

int ec2_destroy(const struct plan_call *c, const struct ec2_kind *k, struct err *err)
{
    autojson json_t *all = NULL;
    size_t i;
    json_t *item;
    int r = find_all(c, AWS_REMOVE, k, &all, err);
    if (r < 0)
        return r;
    json_array_foreach(all, i, item)
    {
        json_t *id = json_object_get(item, k->id);
        json_t *params = k->id_list ? json_pack("{s:[O]}", k->id_param, id) : json_pack("{s:O}", k->id_param, id);
        r = aws_absent_is_fine(ec2_do(c, AWS_REMOVE, k->destroy, params, err), err);
        if (r < 0)
            return r;
    }
    return 0;
}

int ec2_drop_leaked_interfaces(const struct plan_call *c, const char *filter, const char *id, struct err *err)
{
    char prefix[16];
    autojson json_t *answer = NULL, *list OH_CLEANUP(js_decrefp) = NULL;
    size_t i;
    json_t *item;
    aws_prefix(c->infrastructure, prefix);
    int r = ec2_ask(c, AWS_REMOVE, "DescribeNetworkInterfaces",
                    json_pack("{s:[{s:s, s:[s]}, {s:s, s:[s]}, {s:s, s:[s]}]}", "Filter", "Name", filter, "Value", id,
                              "Name", "status", "Value", "available", "Name", "tag:cluster.k8s.amazonaws.com/name",
                              "Value", prefix),
                    &answer, err);
    if (r < 0)
        return r;
    list = aws_xml_list(answer, "networkInterfaceSet", NULL);
    json_array_foreach(list, i, item)
    {
        r = aws_absent_is_fine(ec2_do(c, AWS_REMOVE, "DeleteNetworkInterface",
                                      json_pack("{s:s}", "NetworkInterfaceId", js_text_at(item, "networkInterfaceId")),
                                      err),
                               err);
        if (r < 0)
            return r;
    }
    return 0;
}
