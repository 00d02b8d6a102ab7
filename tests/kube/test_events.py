"""What a person reads with kubectl describe: what the operator does to a replica and why, bounded."""
import json

from agent import service
from cluster import ACCOUNT
from link_parts import wait_until


def events(agent, s, reason=None):
    items = agent.cluster.admin.items(f"/apis/events.k8s.io/v1/namespaces/{agent.namespace(s)}/events")
    ours = [e for e in items if e.get("reportingController") == "ownhouse/agent"]
    return [e for e in ours if reason in (None, e["reason"])]


def test_describe_says_what_was_done_and_why(agent, cluster):
    s = service()
    agent.want(s)
    agent.until(s["id"], "running")
    placed = wait_until("Placing", 60, lambda: events(agent, s, "Placing"))[0]
    assert placed["regarding"]["kind"] == "StatefulSet" and placed["regarding"]["uid"] == agent.set(s)["metadata"]["uid"]
    s["memoryGb"] = 16
    agent.want(s)
    draining = wait_until("Draining", 60, lambda: events(agent, s, "Draining"))[0]
    assert draining["type"] == "Normal" and "memory" in draining["note"] and "30 s" in draining["note"]
    agent.until(s["id"], "running")
    wait_until("Running", 60, lambda: events(agent, s, "Running"))
    text = cluster.kubectl("-n", agent.namespace(s), "describe", "statefulset", agent.workload(s)).stdout
    assert "Draining" in text and "It leaves the ingress" in text and "ownhouse/agent" in text
    # Users are changed in place, and their hashes are nobody's business.
    s["users"] = [{"name": "default", "sha256": "b" * 64}]
    agent.want(s)
    wait_until("Changing", 60, lambda: any("users.xml" in e["note"] for e in events(agent, s, "Changing")))
    assert "bbbb" not in json.dumps(events(agent, s))


def test_what_is_said_again_becomes_a_count(agent, cluster):
    """Three times stopped and started: one event each, with a number."""
    s = service()
    agent.want(s)
    agent.until(s["id"], "running")
    for _ in range(3):
        for state in ("stopped", "running"):
            s["state"] = state
            agent.want(s)
            agent.until(s["id"], state)
    wait_until("a series", 90, lambda: any((e.get("series") or {}).get("count", 1) >= 2 for e in events(agent, s, "Stopping")))
    assert len(events(agent, s, "Stopping")) == 1 and len(events(agent, s, "Starting")) == 1


def test_a_failure_is_told_with_its_reason(new_agent, cluster):
    agent = new_agent(clickhouse_image="stand.test/clickhouse:broken")
    s = service()
    agent.want(s)
    said = wait_until("Failing", 90, lambda: events(agent, s, "Failing"))[0]
    assert said["type"] == "Warning" and "ImagePullBackOff" in said["note"]


def test_events_are_few(agent, cluster):
    """A service that changes again and again does not fill etcd: at most ten new events at once for one replica."""
    s = service()
    agent.want(s)
    agent.until(s["id"], "running")
    for n in range(16):
        s["users"] = [{"name": "default", "sha256": "%064x" % n}] + [{"name": f"u{i}", "sha256": "c" * 64} for i in range(n)]
        s["memoryGb"] = 8 + 8 * (n % 3)
        agent.want(s)
        wait_until("the document", 60, lambda: agent.status().get("desiredVersion") == agent.version)
    agent.until(s["id"], "running")
    made = [e for e in cluster.audit() if e["verb"] == "create" and e.get("objectRef", {}).get("resource") == "events" and
            e["user"]["username"] == ACCOUNT and e["objectRef"].get("namespace") == agent.namespace(s)]
    assert 0 < len(made) <= 12
