"""Changes and what they cost: what a running server takes up costs nothing; a replica that must go leaves the ingress first."""
import time

from agent import service
from link_parts import wait_until
from test_replicas import is_ready, pods, watch_while


def config(agent, s, name):
    found = agent.cluster.admin.get(f"/api/v1/namespaces/{agent.namespace(s)}/configmaps/{name}")
    return "\n".join(found["data"].values()) if found else ""


def test_a_reloadable_setting_restarts_nothing(agent):
    """system.server_settings calls these changeable without restart: another content of a file that is there already, and the same pod."""
    s = service()
    agent.want(s)
    agent.until(s["id"], "running")
    pod, generation = agent.pod(s)["metadata"]["uid"], agent.set(s)["metadata"]["generation"]
    live = agent.workload(s) + "-live"
    s["settings"] = {"mark_cache_size": "1073741824", "max_concurrent_queries": "77"}
    agent.want(s)
    wait_until("the file", 60, lambda: "<mark_cache_size>1073741824<" in config(agent, s, live) and
               "<max_concurrent_queries>77<" in config(agent, s, live))
    agent.until(s["id"], "running")
    assert agent.pod(s)["metadata"]["uid"] == pod and agent.set(s)["metadata"]["generation"] == generation
    # One that the server reads at its start only does.
    s["settings"]["keep_alive_timeout"] = "45"
    agent.want(s)
    wait_until("another pod", 90, lambda: (agent.pod(s) or {"metadata": {"uid": pod}})["metadata"]["uid"] != pod)
    agent.until(s["id"], "running")


def sliced(agent, s, name):
    """Who may be sent to under that name: the addresses that cluster DNS answers with."""
    items = agent.cluster.admin.items(f"/apis/discovery.k8s.io/v1/namespaces/{agent.namespace(s)}/endpointslices",
                                      labelSelector=f"kubernetes.io/service-name={name}")
    return sorted(a for i in items for e in i.get("endpoints") or [] if e["conditions"].get("ready") for a in e["addresses"])


def test_a_replica_leaves_the_ingress_before_it_stops(agent, cluster):
    """The name that the ingress sends to leads nowhere from the moment the pod is told to go, and again when it is ready; the name
    that replicas find each other by stays."""
    s = service(replicas=2)
    agent.want(s)
    agent.until(s["id"], "running")
    front = cluster.admin.get("/api/v1/namespaces/ownhouse/configmaps/ingress-live")
    for k in (0, 1):
        assert f"{agent.workload(s, k)}-ready.{agent.namespace(s)}.svc" in "\n".join(front["data"].values())
        wait_until("the ready name", 60, lambda: sliced(agent, s, agent.workload(s, k) + "-ready"))
    name = agent.workload(s, 1)
    pod = cluster.admin.get(f"/api/v1/namespaces/{agent.namespace(s)}/pods/{name}-0")
    spec = pod["spec"]
    leave = spec["containers"][0]["lifecycle"]["preStop"]["sleep"]["seconds"]
    assert leave == 15 and spec["terminationGracePeriodSeconds"] == 30 + leave + 5
    # A finalizer holds the pod where a kubelet would let it finish its queries.
    cluster.kubectl("-n", agent.namespace(s), "patch", "pod", name + "-0", "--type=merge", "-p", '{"metadata":{"finalizers":["test/held"]}}')
    cluster.kubectl("-n", agent.namespace(s), "delete", "pod", name + "-0", "--wait=false")
    wait_until("the ready name to lead nowhere", 60, lambda: sliced(agent, s, name + "-ready") == [])
    assert sliced(agent, s, agent.workload(s, 0) + "-ready")
    assert sliced(agent, s, name) == [pod["status"]["podIP"]]
    cluster.kubectl("-n", agent.namespace(s), "patch", "pod", name + "-0", "--type=merge", "-p", '{"metadata":{"finalizers":null}}')
    wait_until("the new pod under its name", 90, lambda: sliced(agent, s, name + "-ready"))
    agent.until(s["id"], "running")


def test_a_single_replica_has_no_other_to_leave_to(agent, cluster):
    s = service()
    agent.want(s)
    agent.until(s["id"], "running")
    names = {o["metadata"]["name"] for o in cluster.admin.items(f"/api/v1/namespaces/{agent.namespace(s)}/services")}
    assert names == {agent.workload(s)}
