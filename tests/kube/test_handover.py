"""A service becomes smaller: what the replica that goes has is with those that stay before it stops. The replicas' words are those of the
stand-in of test_in_step.py; the objects are the real API server's."""
import signal
import time

from cluster import NAMESPACE
from link_parts import wait_until
from test_in_step import three  # noqa: F401: a fixture
from test_replicas import is_ready, parts, pods

A, B = "`default`.`a`", "`default`.`b`"


def told(three, words):  # noqa: F811
    return [(k, sql) for k, _, _, sql in list(three.said) if sql.startswith(words)]


def ingress_names(agent, replica):
    """Whether the configuration in the ingress's pod template names it."""
    front = agent.cluster.admin.get(f"/apis/apps/v1/namespaces/{NAMESPACE}/deployments/ingress") or \
        agent.cluster.admin.get(f"/apis/apps/v1/namespaces/{NAMESPACE}/statefulsets/ingress")
    assert front
    maps = agent.cluster.admin.items(f"/api/v1/namespaces/{NAMESPACE}/configmaps")
    texts = [t for m in maps if str(m["metadata"]["name"]) in str(front["spec"]["template"]["spec"]["volumes"])
             for t in (m.get("data") or {}).values()]
    assert any("backend service-" in t for t in texts), [m["metadata"]["name"] for m in maps]
    return any(f"server r{replica} " in t for t in texts)


def test_a_replica_hands_over_before_it_stops(three):  # noqa: F811
    agent, s = three.agent, three.s
    name = agent.workload(s, 2)
    three.tables, three.unsynced = [A, B], {(1, B)}
    pod = pods(agent, s, "clickhouse")[name + "-0"]["metadata"]["uid"]

    def still_serves():
        found = pods(agent, s, "clickhouse").get(name + "-0")
        return found and found["metadata"]["uid"] == pod and is_ready(found)

    def asked_twice():
        return told(three, "SYSTEM SYNC").count((1, f"SYSTEM SYNC REPLICA {B} LIGHTWEIGHT")) >= 2
    s["replicas"] = 2
    agent.want(s)
    wait_until("those that stay to be told", 180, asked_twice)
    # The ingress has let go of it before anybody was told to fetch; nobody was told to forget it; and it serves.
    assert not ingress_names(agent, 2) and still_serves()
    assert {x for x in told(three, "SYSTEM SYNC")} == {(k, f"SYSTEM SYNC REPLICA {t} LIGHTWEIGHT") for k in (0, 1) for t in (A, B)}
    assert not told(three, "SYSTEM DROP")
    # A changed mind: it is in use again, and is the same.
    s["replicas"] = 3
    agent.want(s)
    wait_until("three", 180, lambda: ingress_names(agent, 2) and agent.state(s["id"]).get("replicas") == 3 and
               agent.state(s["id"])["state"] == "running")
    assert still_serves()
    # Once more, and the agent dies in the middle: the next one begins anew.
    three.said.clear()
    s["replicas"] = 2
    agent.want(s)
    wait_until("those that stay to be told", 180, asked_twice)
    agent.stop(signal.SIGKILL)
    three.said.clear()
    agent.start()
    wait_until("those that stay to be told", 180, asked_twice)
    assert still_serves() and not told(three, "SYSTEM DROP")
    # What was missing is there: it goes. Then Keeper is told, of its tables first and of Replicated databases then.
    three.unsynced.clear()
    wait_until("it to go", 180, lambda: name not in parts(agent, s))
    assert not told(three, "SYSTEM DROP")
    three.databases = {0: "r2", 1: "r2"}
    three.row.update({0: "0 0 2 a r2", 1: "0 0 2 a r2"})
    wait_until("the words to Keeper", 180, lambda: told(three, "SYSTEM DROP REPLICA"))
    three.row.update({0: "0 0 2 a ", 1: "0 0 2 a "})
    wait_until("the words on databases", 180, lambda: told(three, "SYSTEM DROP DATABASE"))
    drops = [sql for _, sql in told(three, "") if "DROP" in sql]
    assert drops[0] == "SYSTEM DROP REPLICA 'r2'" and set(drops) == {drops[0], "SYSTEM DROP DATABASE REPLICA '1|r2'"}
    claims = f"/api/v1/namespaces/{agent.namespace(s)}/persistentvolumeclaims"
    assert f"data-{name}" in {c["metadata"]["name"] for c in agent.cluster.admin.items(claims)}


def test_a_service_that_becomes_one_of_one_replica_keeps_keeper(three):  # noqa: F811
    """Its replicated tables could not be written without. The one that stays is not restarted for it, and says whom to forget."""
    agent, s = three.agent, three.s
    three.alone = 2
    before = {n: p["metadata"]["uid"] for role in ("clickhouse", "keeper") for n, p in pods(agent, s, role).items()}
    s["replicas"] = 1
    agent.want(s)
    wait_until("one", 240, lambda: sorted(n.split("-")[0] for n in parts(agent, s)) == ["clickhouse"] + ["keeper"] * 3)
    events = agent.cluster.admin.items(f"/api/v1/namespaces/{agent.namespace(s)}/events")
    assert any("2 tables that do not replicate" in e.get("message", "") and "Its disk stays" in e["message"] for e in events), \
        [e.get("message") for e in events]
    agent.restart()  # which knows by what it sees and kept
    three.databases, three.row[0] = {0: "r1"}, "0 0 1 a r1"
    wait_until("the words to Keeper", 180, lambda: (0, "SYSTEM DROP REPLICA 'r1'") in told(three, "SYSTEM DROP"))
    end = time.monotonic() + 5
    while time.monotonic() < end:
        now = {n: p["metadata"]["uid"] for role in ("clickhouse", "keeper") for n, p in pods(agent, s, role).items()}
        stays = {n: u for n, u in before.items() if not n.startswith((agent.workload(s, 1), agent.workload(s, 2)))}
        assert now == stays, [e.get("message") for e in agent.cluster.admin.items(f"/api/v1/namespaces/{agent.namespace(s)}/events")]
        time.sleep(0.5)
    s.update(state="deleted", deleteData=True)
    agent.want(s)
    agent.until(s["id"], "gone")


def test_an_added_replica_gets_the_replicated_databases(three):  # noqa: F811
    """#1455, #1310: it would stand in the ingress without a table. Databases are made there, in the order of names, and nowhere else."""
    agent, s = three.agent, three.s
    made = "UUID '0a7b4c1e-5f0e-4a57-9c3b-2f0d9d1b6c1%d' ENGINE = Replicated('/clickhouse/databases/%s', '{shard}', '{replica}')"
    three.definitions = ["`a` " + made % (1, "a"), "`b` " + made % (2, "b") + " SETTINGS max_broken_tables_ratio = 1", "`c` " + made % (3, "c")]
    three.row[3] = "0 0 0 0 "
    s["replicas"] = 4
    agent.want(s)
    wait_until("its databases", 240, lambda: len(told(three, "CREATE")) == 2)
    assert told(three, "CREATE") == [(3, "CREATE DATABASE IF NOT EXISTS " + three.definitions[k]) for k in (0, 2)]
    wait_until("four", 180, lambda: agent.state(s["id"]).get("readyReplicas") == 4 and agent.state(s["id"])["state"] == "running")
    assert len(told(three, "CREATE")) == 2 and not told(three, "SYSTEM DROP")
