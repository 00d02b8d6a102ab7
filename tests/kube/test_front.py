"""What leads from outside to the services of a cluster: load balancers inside and outside, whose word about the client's address counts, and
the names in a zone of Knot's. What HAProxy does with a PROXY header and an access list is tested in tests/scenario/test_ingress.py; here it
is held that the cluster's pods get the very lines."""
import json
import subprocess

import pytest

from agent import service
from cluster import BUILD, NAMESPACE
from link_parts import wait_until
from names_parts import Knot, missing

INSIDE = "service.beta.kubernetes.io/aws-load-balancer-scheme"
HEADER = "service.beta.kubernetes.io/aws-load-balancer-proxy-protocol"
PROXIES = ["10.0.0.0/16", "fd00::/8"]


def front(cluster, name="ingress"):
    return cluster.admin.get(f"/api/v1/namespaces/{NAMESPACE}/services/{name}")


def haproxy_file(cluster):
    for o in cluster.admin.items(f"/api/v1/namespaces/{NAMESPACE}/configmaps", labelSelector="ownhouse/workload=ingress"):
        for name, text in o.get("data", {}).items():
            if "haproxy" in name and "frontend https" in text:
                return text
    return ""


def frontends(text):
    """Lines of the frontends that take customers, and of the services behind them."""
    lines, taken, inside = text.splitlines(), [], False
    for line in lines:
        if line and not line.startswith(" "):
            inside = line.startswith(("frontend https", "frontend native", "backend service-", "backend native-"))
        if inside and line.strip():
            taken.append(line.strip())
    return taken


def test_inside_and_outside(agent, cluster):
    """A second load balancer comes and goes by the settings, and the ingress's pods stay."""
    s = service()
    agent.want(s)
    agent.until(s["id"], "running")
    assert front(cluster, "ingress-private") is None

    def pods():
        return {p["metadata"]["uid"] for p in cluster.admin.items(f"/api/v1/namespaces/{NAMESPACE}/pods", labelSelector="ownhouse/workload=ingress")}
    before = pods()
    agent.restart(private_load_balancer="yes", private_balancer_annotations=f"{INSIDE}=internal", balancer_annotations=f"{HEADER}=*")
    wait_until("the second", 60, lambda: front(cluster, "ingress-private"))
    inside, outside = front(cluster, "ingress-private"), wait_until(
        "the annotation", 60, lambda: HEADER in front(cluster)["metadata"]["annotations"] and front(cluster))
    for o in (inside, outside):
        assert o["spec"]["type"] == "LoadBalancer" and o["spec"]["externalTrafficPolicy"] == "Local"
    assert inside["metadata"]["annotations"][INSIDE] == "internal" and INSIDE not in outside["metadata"]["annotations"]
    assert [(p["port"], p["targetPort"]) for p in inside["spec"]["ports"]] == [(p["port"], p["targetPort"]) for p in outside["spec"]["ports"]]
    assert inside["spec"]["selector"] == outside["spec"]["selector"]
    wait_until("both addresses", 60, lambda: agent.status()["cluster"]["privateLoadBalancer"] and agent.status()["cluster"]["loadBalancer"])
    agent.restart(private_load_balancer="no")
    wait_until("the second to go", 60, lambda: front(cluster, "ingress-private") is None)
    assert front(cluster) and pods() == before


def test_a_balancer_that_the_cloud_would_make_public_is_refused(new_agent):
    agent = new_agent(start=False, private_load_balancer="yes")
    agent.start()
    assert agent.process.wait(30) != 0
    assert "private_balancer_annotations: must say to the cloud" in agent.said()


def test_the_clients_true_address(new_agent, cluster, tmp_path):
    """PROXY headers of the load balancers are taken and required, nobody else's is believed, and access lists are by that address: the same
    lines that the process runtime's ingress has."""
    agent = new_agent(proxy_from=" ".join(PROXIES), balancer_annotations=f"{HEADER}=*")
    s = service(ipAccessList=["203.0.113.0/24", "2001:db8::/32"])
    agent.want(s)
    agent.until(s["id"], "running")
    text = wait_until("the list", 60, lambda: "203.0.113.0/24" in haproxy_file(cluster) and haproxy_file(cluster))
    assert front(cluster)["metadata"]["annotations"][HEADER] == "*"
    got = frontends(text)
    assert got.count("tcp-request connection expect-proxy layer4 if from_proxy") == 2  # HTTPS and native
    assert got.count(f"acl from_proxy src {' '.join(PROXIES)}") == 2
    document = {"type": "ownhouse/desired", "v": 1, "infrastructure": agent.infrastructure, "version": 1,
                "issuedAt": "2026-11-23T12:00:00.000Z", "domain": "d.example", "services": [s]}
    env = {"publicAddress": "", "engine": "server", "proxyFrom": PROXIES, "certificates": [{"name": "service", "pem": "x"}]}
    out = subprocess.run([BUILD / "tests/scenario/programs/blueprint-render"], input=json.dumps({"desired": document, "env": env}),
                         capture_output=True, text=True, check=True)
    same = next(w for w in json.loads(out.stdout) if w["name"] == "ingress")
    same = frontends(next(f["content"].replace("${files}", "/ownhouse/files") for f in same["files"] if f["path"] == "haproxy.cfg"))

    def access(lines):
        return [x for x in lines if x.startswith(("acl", "tcp-request", "http-request return status 403"))]
    assert access(got) == access(same) and any("203.0.113.0/24" in x for x in access(got))


@pytest.mark.skipif(bool(missing("knotd", "kdig")), reason=str(missing("knotd", "kdig")))
def test_names_lead_to_the_load_balancer(new_agent, cluster, tmp_path):
    """The names role beside the operator in a cluster: records of the domain and of the service at the Service's address; they go with it."""
    knot = Knot(tmp_path / "knot", zone="d.example")
    try:
        agent = new_agent(dns_provider="rfc2136", dns_zone="d.example", dns_server=f"127.0.0.1:{knot.port}", dns_key_file=knot.key_file)
        s = service()
        agent.want(s)
        agent.until(s["id"], "running")
        address = wait_until("the load balancer's address", 60, lambda: agent.status()["cluster"]["loadBalancer"])
        wait_until("the records", 60, lambda: knot.dig("A", "demo.d.example") == knot.dig("A", "d.example") == [address])
        wait_until("its state", 60, lambda: agent.status()["observed"]["dns"]["state"] == "ok")
        s.update(state="deleted")
        agent.want(s)
        wait_until("the name to go", 60, lambda: knot.dig("A", "demo.d.example") == [])
        assert knot.dig("A", "d.example") == [address]
    finally:
        knot.stop()
