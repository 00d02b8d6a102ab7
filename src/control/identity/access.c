/* Weighs roles and policies. */
#include "control/identity/access.h"

#include "control/identity/roles.h"

#define INSTANCES "instance/"

static int add_policies(struct store *s, const char *organization, const char *role, json_t *out, struct err *err)
{
    autorows struct store_rows *rows = NULL;
    autojson json_t *policies = NULL;
    int r = store_query(s, "SELECT policies FROM custom_role WHERE id = $1 AND organization_id = $2",
                        STORE_ARGS(store_text(role), store_text(organization)), &rows, err);
    if (r == 0)
        r = store_next(rows, err);
    if (r <= 0)
        return r;
    const char *text = store_column_text(rows, 0);
    r = js_parse(text, strlen(text), MIB(4), &policies, err);
    if (r < 0)
        return err_wrap(err, -EIO, "stored role");
    json_array_extend(out, policies);
    return 0;
}

int access_policies(struct store *s, const char *organization, const json_t *role_ids, json_t **ret, struct err *err)
{
    autojson json_t *out = json_array();
    const json_t *id;
    size_t i;
    json_array_foreach(role_ids, i, id)
    {
        const char *text = json_string_value(id);
        if (!text || roles_by_id(text))
            continue;
        int r = add_policies(s, organization, text, out, err);
        if (r < 0)
            return r;
    }
    *ret = TAKE_PTR(out);
    return 0;
}

static bool lists(const json_t *texts, const char *wanted)
{
    const json_t *one;
    size_t i;
    json_array_foreach(texts, i, one)
    {
        if (json_is_string(one) && !strcmp(json_string_value(one), wanted))
            return true;
    }
    return false;
}

static bool covers(const char *pattern, const char *resource, bool denies)
{
    size_t len = strlen(pattern);
    if (!resource) /* a list: one service is enough to look into it, and only all of them close it */
        return denies ? !strcmp(pattern, INSTANCES "*") : !strncmp(pattern, INSTANCES, strlen(INSTANCES));
    if (len >= 2 && !strcmp(pattern + len - 2, "/*"))
        return !strncmp(pattern, resource, len - 1);
    return !strcmp(pattern, resource);
}

static bool policy_fits(const json_t *policy, const char *permission, const char *resource, bool denies)
{
    const char *kind = json_string_value(json_object_get(policy, "allowDeny"));
    const json_t *one;
    size_t i;
    if (!kind || !strcmp(kind, "DENY") != denies || !lists(json_object_get(policy, "permissions"), permission))
        return false;
    json_array_foreach(json_object_get(policy, "resources"), i, one)
    {
        if (json_is_string(one) && covers(json_string_value(one), resource, denies))
            return true;
    }
    return false;
}

static bool any_fits(const json_t *policies, const char *permission, const char *resource, bool denies)
{
    const json_t *one;
    size_t i;
    json_array_foreach(policies, i, one)
    {
        if (policy_fits(one, permission, resource, denies))
            return true;
    }
    return false;
}

bool access_allows(const json_t *role_ids, const json_t *policies, const char *permission, const char *resource)
{
    if (any_fits(policies, permission, resource, true))
        return false;
    return roles_allow(role_ids, permission) || any_fits(policies, permission, resource, false);
}
