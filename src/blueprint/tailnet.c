/* Writes what a tailnet must say of a gate. */
#include "blueprint/tailnet.h"

#include "base/mem.h"

static bool name_valid(const char *name)
{
    size_t len = strlen(name);
    return len && len <= TAILNET_NAME_MAX && *name >= 'a' && *name <= 'z' && name[len - 1] != '-' &&
           strspn(name, "abcdefghijklmnopqrstuvwxyz0123456789-") == len;
}

int tailnet_tags(const char *name, struct tailnet_tags *ret, struct err *err)
{
    if (!name_valid(name))
        return err_set(err, -EINVAL,
                       "the name in tags must be lower-case letters, digits and hyphens, begin with a letter and have "
                       "at most %d of them, not \"%.60s\"",
                       TAILNET_NAME_MAX, name);
    snprintf(ret->gate, sizeof(ret->gate), "tag:ownhouse-gate-%s", name);
    snprintf(ret->engineer, sizeof(ret->engineer), "tag:ownhouse-engineer-%s", name);
    snprintf(ret->provisioner, sizeof(ret->provisioner), "tag:ownhouse-provisioner");
    return 0;
}

/* Ports that must be shut at the gate's machine whatever is open: SSH, the ingress, ClickHouse, Prometheus, a kubelet.
 */
static const int shut[] = {22, 443, 8123, 9000, 9090, 9440, 10250};

static json_t *at_port(const char *tag, int port)
{
    return json_sprintf("%s:%d", tag, port);
}

static json_t *tests(const struct tailnet_tags *t, int port, bool open)
{
    json_t *accept = json_array(), *deny = json_array();
    json_array_append_new(open ? accept : deny, at_port(t->gate, port));
    for (size_t i = 0; i < ARRAY_SIZE(shut); i++)
        if (shut[i] != port)
            json_array_append_new(deny, at_port(t->gate, shut[i]));
    json_t *forth = json_pack("{ss so so}", "src", t->engineer, "accept", accept, "deny", deny);
    json_t *back = json_pack("{ss s[] s[oo]}", "src", t->gate, "accept", "deny", at_port(t->engineer, 22),
                             at_port(t->engineer, port));
    return json_pack("[oo]", forth, back);
}

json_t *tailnet_policy(const struct tailnet_tags *t, int port, bool open)
{
    json_t *grants = json_array();
    if (open)
        json_array_append_new(grants, json_pack("{s[s] s[s] s[o]}", "src", t->engineer, "dst", t->gate, "ip",
                                                json_sprintf("tcp:%d", port)));
    return json_pack("{s{s[] s[s] s[s]} so s[] s{} so}", "tagOwners", t->provisioner, t->gate, t->provisioner,
                     t->engineer, t->provisioner, "grants", grants, "nodeAttrs", "autoApprovers", "tests",
                     tests(t, port, open));
}

char *tailnet_policy_text(const struct tailnet_tags *t, int port, bool open)
{
    autojson json_t *policy = tailnet_policy(t, port, open);
    autofree char *json = json_dumps(policy, JSON_INDENT(2));
    return mem_printf(
        "// OwnHouse: engineers' devices to the gate over a tailnet. Rules are added up and none denies, so this\n"
        "// holds only if no other rule of the file reaches %s: `ownhouse tailnet check`.\n"
        "// %s\n%s\n",
        t->gate,
        open ? "OPEN: take the grant out again when the engineer's grant has ended."
             : "SHUT: no rule reaches the gate until `ownhouse tailnet policy --open` is put in.",
        json);
}

json_t *tailnet_key(const char *tag)
{
    return json_pack("{s{s{s{sb sb sb s[s]}}} si so}", "capabilities", "devices", "create", "reusable", 0, "ephemeral",
                     1, "preauthorized", 1, "tags", tag, "expirySeconds", TAILNET_KEY_SECONDS, "description",
                     json_sprintf("OwnHouse, once, %s", tag + strlen("tag:")));
}
