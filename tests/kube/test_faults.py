"""The agent while the API server misbehaves, is away, or the agent itself is killed: afterwards all is as wanted, and nothing twice."""
import os
import random
import signal
import threading
import time

import pytest

from agent import service
from cluster import BUILD, NAMESPACE
from faults import Proxy, status
from link_parts import wait_until
from test_rules import quiet

LONG = os.environ.get("OWNHOUSE_TEST_LONG")
WALL_CLOCK = BUILD / "tests/scenario/programs/wall-clock.so"


@pytest.fixture
def proxy(cluster):
    p = Proxy(cluster)
    yield p
    p.rule, p.each_event = lambda method, path: None, lambda path: None
    p.cut_streams()
    p.stop()


@pytest.fixture
def behind(new_agent, cluster, proxy, tmp_path):
    """An agent whose way to the API server is the proxy."""
    a = new_agent(start=False)
    cluster.kubeconfig(a.kubeconfig, {"tokenFile": str(a.token_file)}, port=proxy.port)
    return a.start()


def check(agent, s):
    """The end of each test: exactly one of everything, as it is wanted now, ready."""
    def whole():
        made = agent.set(s)
        status, pods = made.get("status", {}), agent.cluster.admin.items(f"/api/v1/namespaces/{agent.namespace(s)}/pods")
        return (made["spec"]["replicas"] == 1 and status.get("observedGeneration") == made["metadata"]["generation"]
                and status.get("readyReplicas") == 1 and status.get("updateRevision") == status.get("currentRevision") and len(pods) == 1)
    agent.until(s["id"], "running", 180)  # what it said last may be from before a change
    wait_until("one pod of what is wanted now", 180, whole)
    agent.until(s["id"], "running", 180)


def test_watches_cut_every_second(behind, proxy):
    stop = threading.Event()

    def cut():
        while not stop.wait(1):
            proxy.cut_streams()
    threading.Thread(target=cut, daemon=True).start()
    s = service()
    behind.want(s)
    try:
        check(behind, s)
        s["state"] = "stopped"
        behind.want(s)
        behind.until(s["id"], "stopped", 180)
    finally:
        stop.set()


def test_a_storm_of_410(behind, proxy):
    """Every watch is told that its version is too old, now as a status, now as an event."""
    gone = status(410, "Expired", "too old resource version: 1 (2)")
    rng, until = random.Random(4), time.monotonic() + 6
    proxy.rule = lambda m, p: gone if time.monotonic() < until and "watch=1" in p and "resourceVersion=" in p and rng.random() < .7 else None
    proxy.each_event = lambda p: b'{"type":"ERROR","object":%s}\n' % gone[1] if time.monotonic() < until and rng.random() < .2 else None
    s = service()
    behind.want(s)
    check(behind, s)


def test_429_with_retry_after_is_waited_for(behind, proxy):
    told = {}

    def rule(method, path):
        if method == "PATCH" and path not in told:
            told[path] = time.monotonic()
            return *status(429, "TooManyRequests", "slow down"), [("Retry-After", "2")]
        if method == "PATCH" and path in told:
            assert time.monotonic() - told[path] >= 1.9
    proxy.rule = rule
    s = service()
    behind.want(s)
    check(behind, s)
    assert len(told) > 8 and behind.status()["cluster"]["retried"] >= len(told)
    assert "TooManyRequests" not in behind.said() and "429" not in behind.said()


def test_a_server_without_streamed_lists_is_listed_in_pages(behind, proxy):
    proxy.rule = lambda m, p: status(422, "Invalid", "sendInitialEvents: Forbidden") if "sendInitialEvents" in p else None
    s = service()
    behind.want(s)
    check(behind, s)
    behind.restart()
    check(behind, s)
    assert any("limit=" in p and "watch=1" not in p for _, p in proxy.seen)


def test_errors_of_the_server_are_tried_again(behind, proxy):
    rng, until = random.Random(1), time.monotonic() + 8

    def rule(method, path):
        if time.monotonic() > until or "leases" in path:
            return None
        x = rng.random()
        return "cut" if x < .15 else status(500, "InternalError", "etcd is unhappy") if x < .3 else None
    proxy.rule = rule
    s = service()
    behind.want(s)
    check(behind, s)


def test_api_server_gone_and_back(cluster, agent):
    """Nothing is stopped, nothing is said to be gone; what was asked for meanwhile is done afterwards."""
    s = service()
    agent.want(s)
    check(agent, s)
    pod = agent.pod(s)["metadata"]["uid"]
    cluster.stop_part("scheduler")  # it ends by itself when its view of the pods breaks, and a kubelet would start it again
    cluster.stop_part("apiserver")
    s["memoryGb"] = 16
    t = service("later", ordinal=2)
    agent.want(s, t)
    wait_until("trouble", 60, lambda: agent.status()["cluster"]["trouble"])
    time.sleep(200 if LONG else 25)  # beyond what a leader may go on without its lease
    assert not agent.status()["cluster"]["leading"] and agent.state(s["id"])["state"] in ("running", "degraded")
    cluster.start_api()
    wait_until("the API server", 120, cluster.ready, 0.2)
    cluster.start_scheduler()
    check(agent, t)
    check(agent, s)
    assert agent.pod(s)["metadata"]["uid"] != pod


def test_a_refused_token_is_read_again(cluster, new_agent):
    """The file was swapped; the agent learns of it by the 401."""
    agent = new_agent(start=False)
    agent.token_file.write_text("not-a-token")
    agent.start()
    s = service()
    agent.want(s)
    wait_until("the refusal", 60, lambda: "401" in agent.said() or "401" in agent.status().get("cluster", {}).get("trouble", ""))
    agent.renew_token()
    check(agent, s)


def test_a_token_that_expires_while_all_runs(behind, proxy):
    """Streams end and requests are refused until the new file is read; nothing of the service is touched."""
    s = service()
    behind.want(s)
    check(behind, s)
    pod = behind.pod(s)["metadata"]["uid"]
    proxy.expired.add(behind.token_file.read_text().strip())
    proxy.cut_streams()
    wait_until("the refusal", 60, lambda: "401" in behind.status()["cluster"]["trouble"] or "401" in behind.said())
    assert behind.state(s["id"])["state"] in ("running", "degraded")
    behind.renew_token()
    wait_until("the new token", 90, lambda: not behind.status()["cluster"]["trouble"] and behind.status()["cluster"]["leading"])
    s["ipAccessList"] = ["203.0.113.0/24"]
    behind.want(s)
    check(behind, s)
    assert behind.pod(s)["metadata"]["uid"] == pod


def test_conflicts_are_resolved(behind, proxy):
    """Each object, and the lease, is in conflict with somebody else's write at first."""
    told = {}

    def rule(method, path):
        path = path.split("?")[0]
        if method in ("PATCH", "PUT") and told.setdefault(path, 0) < 2:
            told[path] += 1
            return status(409, "Conflict", "the object has been modified; please apply your changes to the latest version and try again")
    proxy.rule = rule
    s = service()
    behind.want(s)
    check(behind, s)
    assert len(told) > 8 and any("leases" in p for p in told)


def test_the_wall_clock_jumps(cluster, new_agent, tmp_path):
    """A day on, then weeks back, where not even the API server's certificate holds yet, then right again: leadership goes by the other clock,
    and nothing is made anew because of it."""
    clock = tmp_path / "clock"
    clock.write_text("0")
    agent = new_agent(start=False)
    agent.start(env={"LD_PRELOAD": str(WALL_CLOCK), "WALL_CLOCK_FILE": str(clock), "WALL_CLOCK_ROLE": "operator"})
    s = service()
    agent.want(s)
    check(agent, s)
    pod = agent.pod(s)["metadata"]["uid"]

    def lease():
        return cluster.admin.get(f"/apis/coordination.k8s.io/v1/namespaces/{NAMESPACE}/leases/ownhouse-agent")["spec"]
    transitions = lease()["leaseTransitions"]
    clock.write_text("86400")
    wait_until("a renewal by the clock that is ahead", 60, lambda: lease()["renewTime"] > time.strftime("%Y-%m-%dT%H", time.gmtime(time.time() + 80000)))
    assert agent.status()["cluster"]["leading"]
    s["ipAccessList"] = ["203.0.113.0/24"]
    agent.want(s)
    check(agent, s)
    clock.write_text(str(-40 * 86400))
    time.sleep(5)  # whatever it does by this clock
    clock.write_text("0")
    s["ipAccessList"] = ["198.51.100.0/24"]
    agent.want(s)
    wait_until("the lead", 120, lambda: agent.status()["cluster"]["leading"] and not agent.status()["cluster"]["trouble"])
    check(agent, s)
    assert agent.pod(s)["metadata"]["uid"] == pod and lease()["leaseTransitions"] == transitions


def test_two_agents_one_leads(cluster, control, new_agent):
    """Two agents of one infrastructure: one writes; when it is killed the other takes over, and nothing is made twice."""
    one = new_agent("one")
    s = service()
    one.want(s)
    check(one, s)
    two = new_agent("two", infrastructure=one.infrastructure)
    wait_until("the second to see the first", 60, lambda: two.status().get("cluster", {}).get("leader"))
    assert two.status()["cluster"]["leader"] == one.status()["cluster"]["leader"] and not two.status()["cluster"]["leading"]
    pod = one.pod(s)["metadata"]["uid"]
    os.kill(one.operator_pid(), signal.SIGKILL)
    one.stop(signal.SIGKILL)
    wait_until("the second to lead", 90, lambda: two.status()["cluster"]["leading"])
    lease = cluster.admin.get(f"/apis/coordination.k8s.io/v1/namespaces/{NAMESPACE}/leases/ownhouse-agent")
    assert lease["spec"]["leaseTransitions"] >= 1
    assert two.pod(s)["metadata"]["uid"] == pod


@pytest.mark.parametrize("n", range(1, 14) if LONG else (1, 3, 6, 11))
def test_kill_at_write(behind, proxy, n):
    """kill -9 right after the n-th write was taken by the server, before its answer came."""
    count = []

    def rule(method, path):
        if method == "PATCH" and len(count) < n:
            count.append(path)
            if len(count) == n:
                os.kill(behind.operator_pid(), signal.SIGKILL)
    s = service()
    proxy.rule = rule
    behind.want(s)
    wait_until("the write", 60, lambda: len(count) == n)
    check(behind, s)


@pytest.mark.parametrize("n", range(1, 12) if LONG else (2, 5))
@pytest.mark.parametrize("what", ["change", "deletion"])
def test_kill_at_write_of(behind, proxy, what, n):
    """The same in the middle of a change and of a deletion with its data."""
    s, count = service(), []
    behind.want(s)
    check(behind, s)

    def rule(method, path):
        if method in ("PATCH", "DELETE") and "events" not in path and len(count) < n:
            count.append(path)
            if len(count) == n:
                os.kill(behind.operator_pid(), signal.SIGKILL)
    proxy.rule = rule
    if what == "change":
        s["memoryGb"] = 16
        behind.want(s)
        wait_until("the change", 180, lambda: (behind.set(s)["spec"]["template"]["spec"]["containers"][0]["resources"]["requests"]["memory"]
                                              in (str(16 << 30), "16Gi")))
        check(behind, s)
    else:
        s.update(state="deleted", deleteData=True)
        behind.want(s)
        wait_until("the namespace to go", 180, lambda: behind.cluster.admin.get(f"/api/v1/namespaces/{behind.namespace(s)}") is None, 0.2)
        behind.until(s["id"], "gone", 180)
    assert count
