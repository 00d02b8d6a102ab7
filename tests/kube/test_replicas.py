"""Services of several replicas: made with Keeper, changed one at a time behind the others, stopped when a change does no good."""
import time

from agent import service
from link_parts import wait_until

SETS = "/apis/apps/v1/namespaces/{}/statefulsets"


def parts(agent, s):
    return {o["metadata"]["name"]: o for o in agent.cluster.admin.items(SETS.format(agent.namespace(s)))}


def pods(agent, s, role):
    return {p["metadata"]["name"]: p for p in agent.cluster.admin.items(f"/api/v1/namespaces/{agent.namespace(s)}/pods",
                                                                      labelSelector=f"ownhouse/role={role}")}


def is_ready(pod):
    return not pod["metadata"].get("deletionTimestamp") and any(
        c["type"] == "Ready" and c["status"] == "True" for c in pod["status"].get("conditions", []))


def images(agent, s):
    return [o["spec"]["template"]["spec"]["containers"][0]["image"] for n, o in sorted(parts(agent, s).items()) if n.startswith("clickhouse-")]


def watch_while(agent, s, until, seconds=180):
    """The least number of ready replicas and members seen until the condition holds."""
    least, end = {"clickhouse": 99, "keeper": 99}, time.monotonic() + seconds
    while not until():
        assert time.monotonic() < end, f"not within {seconds} s"
        for role in least:
            least[role] = min(least[role], sum(map(is_ready, pods(agent, s, role).values())))
    return least


def test_three_replicas_are_changed_one_at_a_time(agent):
    s = service(replicas=3)
    agent.want(s)
    said = agent.until(s["id"], "running")
    assert (said["readyReplicas"], said["replicas"], said["notice"]) == (3, 3, "")
    made = parts(agent, s)
    assert sorted(n.split("-")[0] for n in made) == ["clickhouse"] * 3 + ["keeper"] * 3
    zones = {agent.cluster.admin.get(f"/api/v1/nodes/{p['spec']['nodeName']}")["metadata"]["labels"]["topology.kubernetes.io/zone"]
             for p in pods(agent, s, "clickhouse").values()}
    assert len(zones) == 3
    keepers = {n: p["metadata"]["uid"] for n, p in pods(agent, s, "keeper").items()}
    before = {n: p["metadata"]["uid"] for n, p in pods(agent, s, "clickhouse").items()}
    s["settings"] = {"keep_alive_timeout": "45"}
    agent.want(s)

    def changed():
        now = pods(agent, s, "clickhouse")
        return len(now) == 3 and all(is_ready(p) and p["metadata"]["uid"] != before[n] for n, p in now.items())
    least = watch_while(agent, s, changed)
    assert least["clickhouse"] >= 2 and least["keeper"] == 3
    assert {n: p["metadata"]["uid"] for n, p in pods(agent, s, "keeper").items()} == keepers
    agent.until(s["id"], "running")


def test_a_change_that_does_no_good_stops_at_the_first_replica(agent):
    """The image cannot be pulled; the first replica says so, the others serve on, and the next good image mends all."""
    s = service(replicas=3)
    agent.want(s)
    agent.until(s["id"], "running")
    agent.restart(clickhouse_image="stand.test/clickhouse:broken")
    wait_until("the first replica's turn", 120, lambda: images(agent, s).count("stand.test/clickhouse:broken") == 1)
    wait_until("the failed replica", 120, lambda: "ImagePullBackOff" in agent.state(s["id"]).get("error", "") and
               sum(map(is_ready, pods(agent, s, "clickhouse").values())) == 2)
    least = watch_while(agent, s, lambda t=time.monotonic(): time.monotonic() > t + 8)
    assert least["clickhouse"] == 2 and least["keeper"] >= 2
    assert images(agent, s).count("stand.test/clickhouse:broken") == 1
    assert agent.state(s["id"])["state"] == "degraded"
    agent.restart(clickhouse_image="stand.test/clickhouse:2")
    wait_until("the new image everywhere", 180, lambda: images(agent, s) == ["stand.test/clickhouse:2"] * 3)
    agent.until(s["id"], "running", 180)


def test_replicas_come_and_go_and_nothing_is_left(agent):
    s = service(replicas=2)
    agent.want(s)
    agent.until(s["id"], "running")
    uid = pods(agent, s, "clickhouse")[agent.workload(s) + "-0"]["metadata"]["uid"]
    s["replicas"] = 3
    agent.want(s)
    wait_until("three", 120, lambda: agent.state(s["id"]).get("readyReplicas") == 3 and agent.state(s["id"])["state"] == "running")
    # The list of replicas is changed in place: nobody was restarted for it.
    assert pods(agent, s, "clickhouse")[agent.workload(s) + "-0"]["metadata"]["uid"] == uid
    s["replicas"] = 2
    agent.want(s)
    # Nobody answers the operator's questions here, so that it goes when that was waited for (HANDOVER_MUTE_MS).
    wait_until("two", 240, lambda: agent.workload(s, 2) not in parts(agent, s))
    # The disk of the one that went is kept until its data may go.
    claims = f"/api/v1/namespaces/{agent.namespace(s)}/persistentvolumeclaims"
    assert f"data-{agent.workload(s, 2)}" in {c["metadata"]["name"] for c in agent.cluster.admin.items(claims)}
    s.update(state="stopped")
    agent.want(s)
    agent.until(s["id"], "stopped")
    s.update(state="deleted", deleteData=True)
    agent.want(s)
    wait_until("the namespace to go", 120, lambda: agent.cluster.admin.get(f"/api/v1/namespaces/{agent.namespace(s)}") is None, 0.2)
    agent.until(s["id"], "gone")
