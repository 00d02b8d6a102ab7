/* Turns requests into specifications. */
#include "control/api/service_spec.h"

#include "blueprint/desired.h"
#include "blueprint/names.h"
#include "control/api/merge.h"
#include "control/api/scaling_rules.h"

#define REPLICA_MEMORY_GB 8
#define IDLE_MINUTES 15
#define TAGS_MAX 50
#define PRIVATE_ENDPOINTS_MAX 256

/* Fields of the published API that say what this version cannot do. Values that ask for nothing are let through. */
static int refuse_unavailable(struct api_request *q)
{
    static const struct {
        const char *field, *reason;
    } all[] = {
        {"dataWarehouseId", "services that share their data are not available yet"},
        {"isReadonly", "read-only services are not available yet"},
        {"encryptionKey", "encryption with a key of one's own is not available yet"},
        {"encryptionAssumedRoleIdentifier", "encryption with a key of one's own is not available yet"},
        {"hasTransparentDataEncryption", "transparent data encryption is not available yet"},
        {"transparentDataEncryptionKeyId", "transparent data encryption is not available yet"},
        {"complianceType", "compliance types are not available"},
        {"tier", "the old size classes are not available; use minReplicaMemoryGb, maxReplicaMemoryGb and numReplicas"},
    };
    for (size_t i = 0; i < ARRAY_SIZE(all); i++) {
        const json_t *v = api_body(q, all[i].field);
        if (v && !json_is_false(v) && (!json_is_string(v) || *json_string_value(v)))
            return api_refuse(q, 400, "%s: %s", all[i].field, all[i].reason);
    }
    const char *profile = api_body_text(q, "profile");
    if (profile && strcmp(profile, "v1-default"))
        return api_refuse(q, 400, "profile: only v1-default is available");
    if (json_array_size(api_body(q, "privateEndpointIds")))
        return api_refuse(q, 400, "privateEndpointIds: create the service first, then add them with an update");
    return 0;
}

/* The old form counts the memory of three replicas. */
static void from_total(const json_t *body, const char *total, const char *field, json_t *wanted)
{
    const json_t *v = json_object_get(body, total);
    if (v && !json_object_get(wanted, field))
        json_object_set_new(wanted, field, json_integer((json_int_t)json_number_value(v) / 3));
}

static int set_scaling(struct api_request *q, json_t *spec, bool local)
{
    autojson json_t *wanted = json_copy(q->match.body);
    from_total(q->match.body, "minTotalMemoryGb", "minReplicaMemoryGb", wanted);
    from_total(q->match.body, "maxTotalMemoryGb", "maxReplicaMemoryGb", wanted);
    json_t *least = json_object_get(wanted, "minReplicaMemoryGb");
    if (least && !json_object_get(wanted, "maxReplicaMemoryGb"))
        json_object_set(wanted, "maxReplicaMemoryGb", least);
    json_object_set_new(spec, "autoscalingMode", json_string("vertical"));
    json_object_set_new(spec, "numReplicas", json_integer(local ? 1 : 3));
    json_object_set_new(spec, "minReplicaMemoryGb", json_integer(REPLICA_MEMORY_GB));
    json_object_set_new(spec, "maxReplicaMemoryGb", json_integer(REPLICA_MEMORY_GB));
    json_object_set_new(spec, "idleScaling", json_true());
    json_object_set_new(spec, "idleTimeoutMinutes", json_integer(IDLE_MINUTES));
    return scaling_rules_take(q, "", wanted, spec);
}

/* The contract knows one protocol here: mysql. It is kept; service_view() says that nothing serves it. */
static void set_endpoints(json_t *spec, const json_t *changes)
{
    const json_t *one;
    size_t i;
    json_array_foreach(changes, i, one)
    {
        json_object_set_new(spec, "mysql", json_boolean(json_is_true(json_object_get(one, "enabled"))));
    }
}

/* What the desired document cannot say would keep every service of the infrastructure from getting a new one. */
static int check_access(struct api_request *q, const json_t *spec)
{
    size_t i, networks = 0;
    const json_t *entry;
    json_array_foreach(json_object_get(spec, "ipAccessList"), i, entry)
    {
        const char *source = json_string_value(json_object_get(entry, "source"));
        bool anywhere = !strcmp(source, "anywhere");
        networks += anywhere ? 2 : 1; /* of IPv4 and of IPv6 */
        if (!anywhere && !names_network_valid(source))
            return api_refuse(q, 400, "ipAccessList: %s is not a network that a service can check", source);
    }
    if (networks > DESIRED_MAX_NETWORKS)
        return api_refuse(q, 400, "ipAccessList: would have more than %d entries", DESIRED_MAX_NETWORKS);
    return 0;
}

static void copy(const struct api_request *q, json_t *spec, const char *name, json_t *fallback)
{
    json_t *v = api_body(q, name);
    if (v)
        json_object_set(spec, name, v);
    else
        json_object_set(spec, name, fallback);
    json_decref(fallback);
}

int service_spec_new(struct api_request *q, bool local, json_t **ret)
{
    autojson json_t *spec = json_object(), *tags = json_object();
    int r = refuse_unavailable(q);
    if (r == 0)
        r = set_scaling(q, spec, local);
    if (r < 0)
        return r;
    /* On a laptop only the machine itself can come; elsewhere nobody may until somebody is named. */
    copy(q, spec, "ipAccessList",
         local ? json_pack("[{s:s,s:s},{s:s,s:s}]", "source", "0.0.0.0/0", "description", "anywhere", "source", "::/0",
                           "description", "anywhere")
               : json_array());
    copy(q, spec, "releaseChannel", json_string("default"));
    copy(q, spec, "enableCoreDumps", json_true());
    json_object_set_new(spec, "privateEndpointIds", json_array());
    json_object_set_new(tags, "add", api_body(q, "tags") ? json_incref(api_body(q, "tags")) : json_array());
    merge_list(spec, "tags", "key", tags);
    set_endpoints(spec, api_body(q, "endpoints"));
    r = check_access(q, spec);
    if (r == 0)
        *ret = TAKE_PTR(spec);
    return r;
}

static unsigned patch_list(struct api_request *q, json_t *spec, const char *field, const char *key, unsigned flag)
{
    const json_t *patch = api_body(q, field);
    return patch && merge_list(spec, field, key, patch) ? flag : 0;
}

static unsigned patch_value(struct api_request *q, json_t *spec, const char *field, unsigned flag)
{
    json_t *v = api_body(q, field);
    if (!v || json_equal(v, json_object_get(spec, field)))
        return 0;
    json_object_set(spec, field, v);
    return flag;
}

int service_spec_patch(struct api_request *q, json_t *spec, unsigned *ret_changed)
{
    if (api_body(q, "transparentDataEncryptionKeyId"))
        return api_refuse(q, 400, "transparentDataEncryptionKeyId: transparent data encryption is not available yet");
    *ret_changed = patch_list(q, spec, "ipAccessList", "source", SPEC_IP_ACCESS_LIST) |
                   patch_list(q, spec, "privateEndpointIds", NULL, SPEC_PRIVATE_ENDPOINTS) |
                   patch_list(q, spec, "tags", "key", SPEC_TAGS) |
                   patch_value(q, spec, "releaseChannel", SPEC_RELEASE_CHANNEL) |
                   patch_value(q, spec, "enableCoreDumps", SPEC_CORE_DUMPS);
    bool mysql = json_is_true(json_object_get(spec, "mysql"));
    set_endpoints(spec, api_body(q, "endpoints"));
    if (mysql != json_is_true(json_object_get(spec, "mysql")))
        *ret_changed |= SPEC_ENDPOINTS;
    /* Limits that the request alone cannot break. */
    if (*ret_changed & SPEC_IP_ACCESS_LIST && check_access(q, spec) < 0)
        return -ECANCELED;
    if (json_array_size(json_object_get(spec, "tags")) > TAGS_MAX)
        return api_refuse(q, 400, "tags: would be more than %d", TAGS_MAX);
    if (json_array_size(json_object_get(spec, "privateEndpointIds")) > PRIVATE_ENDPOINTS_MAX)
        return api_refuse(q, 400, "privateEndpointIds: would be more than %d", PRIVATE_ENDPOINTS_MAX);
    return 0;
}
