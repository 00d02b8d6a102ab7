"""What other operators of ClickHouse were seen to do wrong and no other test holds; the whole list is docs/operator-failures.md. Numbers are of the
issues of Altinity's operator."""
import json
import re

from agent import service
from cluster import TOP
from link_parts import wait_until


def config_maps(agent, s):
    """Those named by their content. What a server takes up while it runs lies in one more, NAME-live."""
    names = [o["metadata"]["name"] for o in agent.cluster.ours(f"/api/v1/namespaces/{agent.namespace(s)}/configmaps", agent.infrastructure)]
    return sorted(n for n in names if n.startswith(agent.workload(s)) and not n.endswith("-live"))


def test_objects_stay_small_however_large_the_service(agent):
    """#1444: state kept in the cluster grew until the API refused it. Ours is not kept there."""
    s = service("n" * 60, replicas=12)  # and long names, which others cannot have
    agent.want(s)
    wait_until("twelve replicas", 180, lambda: agent.state(s["id"]).get("readyReplicas") == 12)
    for path in ("/apis/apps/v1/statefulsets", "/apis/apps/v1/deployments", "/api/v1/configmaps", "/api/v1/secrets", "/api/v1/services"):
        for o in agent.cluster.ours(path, agent.infrastructure):
            assert len(json.dumps(o)) < 64 << 10, (path, o["metadata"]["name"])


def test_a_pod_never_sees_the_files_of_another_image(agent):
    """#1926: the new configuration reached the old binary. Ours comes with the pod; the old one goes when the new pod is ready."""
    s = service()
    agent.want(s)
    agent.until(s["id"], "running")
    old = config_maps(agent, s)
    assert len(old) == 1
    s["memoryGb"] = 16
    agent.restart(clickhouse_image="stand.test/clickhouse:slow")
    agent.want(s)
    wait_until("both contents", 60, lambda: len(config_maps(agent, s)) == 2 and set(old) < set(config_maps(agent, s)))
    agent.restart(clickhouse_image="stand.test/clickhouse:2")
    agent.until(s["id"], "running")
    wait_until("the old content to go", 90, lambda: len(config_maps(agent, s)) == 1 and config_maps(agent, s) != old)


def test_a_service_that_never_started_can_be_deleted(new_agent):
    """A broken image must not hold up the deletion."""
    agent = new_agent(clickhouse_image="stand.test/clickhouse:broken")
    s = service()
    agent.want(s)
    wait_until("the failure", 60, lambda: "ImagePullBackOff" in agent.state(s["id"]).get("error", ""))
    s.update(state="deleted", deleteData=True)
    agent.want(s)
    wait_until("the namespace to go", 120, lambda: agent.cluster.admin.get(f"/api/v1/namespaces/{agent.namespace(s)}") is None, 0.2)
    agent.until(s["id"], "gone")


def test_keepers_disks_stay_without_consent(agent, cluster):
    """#1564: Keeper's disks were deleted with the service, and with them which parts every table has."""
    s = service(replicas=2)
    agent.want(s)
    agent.until(s["id"], "running", 240)
    path = f"/api/v1/namespaces/{agent.namespace(s)}/persistentvolumeclaims"
    before = {o["metadata"]["name"]: o["metadata"]["uid"] for o in cluster.admin.items(path)}
    assert sum("keeper-" in name for name in before) == 3
    s["state"] = "deleted"
    agent.want(s)
    agent.until(s["id"], "gone", 240)
    assert {o["metadata"]["name"]: o["metadata"]["uid"] for o in cluster.admin.items(path)} == before


def test_a_lost_disk_is_told_and_never_replaced_by_an_empty_one(agent, cluster):
    """#1310, #969: an empty volume in the place of a lost one looks like lost rows to everybody else."""
    s = service()
    agent.want(s)
    agent.until(s["id"], "running")
    path = f"/api/v1/namespaces/{agent.namespace(s)}/persistentvolumeclaims/data-{agent.workload(s)}"
    claim = cluster.admin.get(path)
    volume = claim["spec"]["volumeName"]
    cluster.kubectl("delete", "pv", volume, "--wait=false")
    cluster.kubectl("patch", "pv", volume, "--type=merge", "-p", '{"metadata":{"finalizers":null}}')
    wait_until("the claim to be lost", 90, lambda: cluster.admin.get(path)["status"]["phase"] == "Lost")
    wait_until("words", 60, lambda: "its disk is lost" in agent.state(s["id"]).get("error", ""))
    assert cluster.admin.get(path)["metadata"]["uid"] == claim["metadata"]["uid"]


def test_each_known_failure_names_a_test_that_is_there():
    text = (TOP / "docs/operator-failures.md").read_text()
    named = {n for line in text.splitlines() if line.startswith("|") for n in re.findall(r"`([a-z_0-9]{12,})`", line.split("|")[-2])}
    there = set()
    for path in (*TOP.glob("tests/**/test_*.py"), *TOP.glob("tests/unit/**/test_*.c")):
        there |= set(re.findall(r"^(?:def|static void) ([a-z_0-9]+)\(", path.read_text(), re.M))
    assert len(named) > 40 and named - there == set()
