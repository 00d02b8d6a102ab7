"""The life of a service in a cluster: made, changed, stopped, started, deleted, with and without its data."""
import json

from agent import service
from cluster import ACCOUNT, NAMESPACE
from link_parts import wait_until


def specs(cluster, infrastructure):
    """What people would see change: everything but status and bookkeeping."""
    seen = {}
    for path in ("/apis/apps/v1/statefulsets", "/apis/apps/v1/deployments", "/api/v1/services", "/api/v1/configmaps", "/api/v1/secrets",
                 "/apis/networking.k8s.io/v1/networkpolicies", "/apis/policy/v1/poddisruptionbudgets",
                 "/api/v1/persistentvolumeclaims", "/api/v1/serviceaccounts", "/api/v1/namespaces"):
        for o in cluster.ours(path, infrastructure):
            m = o["metadata"]
            generation = m.get("generation", 0) if "status" in o else m["resourceVersion"]
            seen[path, m.get("namespace"), m["name"]] = m["uid"], generation
    return seen


def test_a_service_runs_and_goes(agent, cluster):
    s = service()
    agent.want(s)
    said = agent.until(s["id"], "running")
    assert said["readyReplicas"] == 1 and not said["error"]
    made = agent.set(s)
    assert made["spec"]["replicas"] == 1 and made["status"]["readyReplicas"] == 1
    pod = agent.pod(s)
    assert pod["spec"]["securityContext"]["runAsNonRoot"] is True
    claim = cluster.admin.get(f"/api/v1/namespaces/{agent.namespace(s)}/persistentvolumeclaims/data-{agent.workload(s)}")
    assert claim["status"]["phase"] == "Bound" and claim["spec"]["resources"]["requests"]["storage"] == str(10 << 30)
    front = cluster.admin.get(f"/apis/apps/v1/namespaces/{NAMESPACE}/deployments/ingress")
    assert front["status"]["readyReplicas"] == 2
    wait_until("the load balancer's address", 30, lambda: agent.status()["cluster"]["loadBalancer"] == "192.0.2.10")

    # Stopped: nothing runs, the disk stays.
    s["state"] = "stopped"
    agent.want(s)
    agent.until(s["id"], "stopped")
    assert agent.pod(s) is None and agent.set(s)["spec"]["replicas"] == 0
    # Started again: on the same disk.
    s["state"] = "running"
    agent.want(s)
    agent.until(s["id"], "running")
    again = cluster.admin.get(f"/api/v1/namespaces/{agent.namespace(s)}/persistentvolumeclaims/data-{agent.workload(s)}")
    assert again["metadata"]["uid"] == claim["metadata"]["uid"]

    # Deleted without consent to delete data: the disk and its namespace stay, nothing else.
    s["state"] = "deleted"
    agent.want(s)
    agent.until(s["id"], "gone")
    assert agent.set(s) is None and agent.pod(s) is None
    assert cluster.admin.get(f"/api/v1/namespaces/{agent.namespace(s)}/persistentvolumeclaims/data-{agent.workload(s)}")
    # With it: all of it.
    s["deleteData"] = True
    agent.want(s)
    wait_until("the namespace to go", 90, lambda: cluster.admin.get(f"/api/v1/namespaces/{agent.namespace(s)}") is None, 0.2)
    agent.until(s["id"], "gone")
