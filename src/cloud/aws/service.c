/* What one service adds to an infrastructure's graph in AWS: its identity and its name. Pure. */
#include "base/mem.h"
#include "cloud/aws/resource.h"

/* The Kubernetes runtime's names (runtime/kubernetes/render.c): namespace ownhouse-SERVICE, and the account of the
 * pods that run ClickHouse. */
#define NAMESPACE "ownhouse-%s"
#define ACCOUNT "clickhouse"
#define NAME_TTL 60

bool aws_of_service(const char *name)
{
    return !strncmp(name, AWS_SERVICE_PREFIX, sizeof(AWS_SERVICE_PREFIX) - 1);
}

const char *aws_service_namespace(const char *name, char ret[64])
{
    snprintf(ret, 64, NAMESPACE, aws_of_service(name) ? name + sizeof(AWS_SERVICE_PREFIX) - 1 : name);
    return ret;
}

enum aws_phase aws_service_phase(const struct plan_call *c, enum aws_phase usual)
{
    return aws_of_service(c->name) && aws_env_of(c)->clients[AWS_OPERATE] ? AWS_OPERATE : usual;
}

/* Its part of the data and backup buckets is no object of AWS: the artefact's data role reaches only the prefix that is
 * named as the namespace of the pod which took it up. */
static int add_identity(const struct aws_settings *s, const char *name, struct plan_graph *g, struct err *err)
{
    const char *const agent[] = {s->addons ? "aws_addon.eks-pod-identity-agent" : "aws_eks_cluster.main", NULL};
    char namespace[64];
    return plan_graph_add(g, "aws_pod_identity", name,
                          json_pack("{s:s, s:s, s:s}", "namespace", aws_service_namespace(name, namespace), "account",
                                    ACCOUNT, "role", s->data_role),
                          agent, err);
}

static int add_name(const struct aws_settings *s, const struct aws_service *service, const char *name, bool here,
                    struct plan_graph *g, struct err *err)
{
    return plan_graph_add(g, "aws_dns_record", name,
                          json_pack("{s:s, s:s++, s:s, s:i, s:[s]}", "zone", "${aws_hosted_zone.main.id}", "name",
                                    service->slug, ".", s->domain, "type", here ? "A" : "CNAME", "ttl", NAME_TTL,
                                    "values", here ? "127.0.0.1" : "${aws_ingress.main.host}"),
                          NULL, err);
}

int cloud_aws_services_add(const struct aws_settings *s, const struct aws_service *services, size_t n, bool here,
                           struct plan_graph *g, struct err *err)
{
    bool ingress = s->cluster && !here && !plan_graph_attributes(g, "aws_ingress.main");
    bool names = s->hosted_zone && (s->cluster || here);
    int r = ingress ? plan_graph_add(g, "aws_ingress", "main", json_object(), NULL, err) : 0;
    for (size_t i = 0; i < n && r == 0; i++) {
        autofree char *name = mem_printf(AWS_SERVICE_PREFIX "%s", services[i].id);
        if (s->cluster && s->pod_identities)
            r = add_identity(s, name, g, err);
        if (r == 0 && names)
            r = add_name(s, &services[i], name, here, g, err);
    }
    return r;
}
