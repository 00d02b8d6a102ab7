/* Makes a workload's NetworkPolicies, allowing only what its and others' texts declare, and its disruption budget. */
#include "runtime/kubernetes/render_internal.h"

static json_t *ports_of(const struct workload *w)
{
    json_t *ports = json_array();
    for (size_t i = 0; i < w->n_ports; i++)
        json_array_append_new(ports, json_pack("{s:s, s:i}", "protocol", "TCP", "port", w->ports[i].port));
    return ports;
}

/* Pods of one role, in our own namespace or in that of a service. */
static json_t *peer(const struct render *r, const char *namespace, const char *role)
{
    return json_pack("{s:{s:{s:s}}, s:{s:{s:s, s:s}}}", "namespaceSelector", "matchLabels",
                     "kubernetes.io/metadata.name", namespace, "podSelector", "matchLabels", "ownhouse/role", role,
                     "ownhouse/infrastructure", r->p->infrastructure);
}

static json_t *peer_of(const struct render *r, const struct workload *other)
{
    return peer(r, kube_namespace(other, r->p, r->a), workload_label(other, "role"));
}

static void add_once(json_t *list, json_t *item)
{
    size_t i;
    json_t *v;
    json_array_foreach(list, i, v) if (json_equal(v, item))
    {
        json_decref(item);
        return;
    }
    json_array_append_new(list, item);
}

/* Who may come in: whoever names us, and the agent, which asks for versions and health. */
static json_t *ingress_rules(struct render *r)
{
    json_t *rules = json_array(), *from = json_array();
    add_once(from, peer(r, r->p->namespace, "agent"));
    for (size_t i = 0; i < r->all->n; i++) {
        const struct workload *other = &r->all->items[i];
        if (workload_label(other, "role") && render_names(other, r->w->name))
            add_once(from, peer_of(r, other));
    }
    json_array_append_new(rules, json_pack("{s:o, s:o}", "from", from, "ports", ports_of(r->w)));
    if (strcmp(r->role, "ingress") && strcmp(r->role, "dns"))
        return rules;
    /* The front is open to the outside, but for its health port. */
    json_t *open = json_array();
    for (size_t i = 0; i < r->w->n_ports; i++) {
        if (!strcmp(r->w->ports[i].name, "health"))
            continue;
        json_array_append_new(open, json_pack("{s:s, s:i}", "protocol", "TCP", "port", r->w->ports[i].port));
        if (!strcmp(r->role, "dns"))
            json_array_append_new(open, json_pack("{s:s, s:i}", "protocol", "UDP", "port", r->w->ports[i].port));
    }
    json_array_append_new(rules, json_pack("{s:o}", "ports", open));
    return rules;
}

static json_t *egress_rules(struct render *r)
{
    json_t *rules = json_pack("[{s:[{s:s, s:i}, {s:s, s:i}]}]", "ports", "protocol", "UDP", "port", 53, "protocol",
                              "TCP", "port", 53);
    autojson json_t *done = json_array();
    for (size_t i = 0; i < r->all->n; i++) {
        const struct workload *other = &r->all->items[i];
        if (!workload_label(other, "role") || !render_names(r->w, other->name))
            continue;
        json_t *to = peer_of(r, other);
        size_t before = json_array_size(done);
        add_once(done, json_incref(to));
        if (json_array_size(done) > before)
            json_array_append_new(rules, json_pack("{s:[o], s:o}", "to", to, "ports", ports_of(other)));
        else
            json_decref(to);
    }
    if (strcmp(r->role, "clickhouse"))
        return rules;
    /* Object storage; never the node's own metadata and credentials, which answer on the link-local network, but the
     * pod's own credentials, which Amazon EKS Pod Identity gives there (Amazon EKS User Guide, "Pod Identity Agent").
     */
    json_array_append_new(rules, json_pack("{s:[{s:{s:s, s:[s]}}, {s:{s:s, s:[s]}}], s:[{s:s, s:i}]}", "to", "ipBlock",
                                           "cidr", "0.0.0.0/0", "except", "169.254.0.0/16", "ipBlock", "cidr", "::/0",
                                           "except", "fe80::/10", "ports", "protocol", "TCP", "port", 443));
    json_array_append_new(rules, json_pack("{s:[{s:{s:s}}, {s:{s:s}}], s:[{s:s, s:i}]}", "to", "ipBlock", "cidr",
                                           "169.254.170.23/32", "ipBlock", "cidr", "fd00:ec2::23/128", "ports",
                                           "protocol", "TCP", "port", 80));
    return rules;
}

static int add_default_deny(struct render *r)
{
    json_t *body =
        render_object(r, KUBE_NETWORK_POLICY, r->namespace, r->service ? "default-deny" : "ownhouse-deny", true);
    if (!body)
        return -EINVAL;
    /* In our own namespace the agent has a policy of the chart's; in a service's there is nothing but ours. */
    json_t *pods = r->service ? json_object() : render_selector("app.kubernetes.io/managed-by", KUBE_MANAGER);
    json_object_set_new(body, "spec",
                        json_pack("{s:o, s:[s, s]}", "podSelector", pods, "policyTypes", "Ingress", "Egress"));
    json_t *labels = json_object_get(json_object_get(body, "metadata"), "labels");
    if (!r->service)
        json_object_set_new(labels, "ownhouse/shared", json_string("place"));
    return 0;
}

static int add_budget(struct render *r)
{
    const char *name = r->service ? arena_printf(r->a, "clickhouse-%s", r->service) : r->w->name;
    json_t *body = render_object(r, KUBE_DISRUPTION_BUDGET, r->namespace, name, true);
    if (!body)
        return -EINVAL;
    json_t *labels = json_pack("{s:s}", "ownhouse/role", r->role);
    json_object_set_new(labels, "ownhouse/infrastructure", json_string(r->p->infrastructure));
    json_object_set_new(body, "spec",
                        json_pack("{s:i, s:{s:o}, s:s}", "maxUnavailable", 1, "selector", "matchLabels", labels,
                                  "unhealthyPodEvictionPolicy", "AlwaysAllow"));
    return 0;
}

int render_policy(struct render *r)
{
    int n;
    if ((n = add_default_deny(r)) < 0 || (n = add_budget(r)) < 0)
        return n;
    json_t *body = render_object(r, KUBE_NETWORK_POLICY, r->namespace, r->w->name, false);
    if (!body)
        return -EINVAL;
    json_object_set_new(body, "spec",
                        json_pack("{s:o, s:[s, s], s:o, s:o}", "podSelector",
                                  render_selector("ownhouse/workload", r->w->name), "policyTypes", "Ingress", "Egress",
                                  "ingress", ingress_rules(r), "egress", egress_rules(r)));
    return 0;
}
