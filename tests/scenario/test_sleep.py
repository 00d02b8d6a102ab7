"""A service that sleeps, in a whole system: its engine is stopped, its data stay, and whoever connects is served."""
import json
import os
import signal
import threading
import time

import pytest

from waiting import wait_until


class Sleeper:
    def __init__(self, system):
        self.system = system
        self.id = system.api("GET", "/services")[1]["result"][0]["id"]
        self.agent = next(system.home.glob("accounts/laptop/*/agent"))

    @property
    def state(self):
        return self.system.api("GET", f"/services/{self.id}")[1]["result"]["state"]

    def until(self, state):
        wait_until(f"the service is {state}", 60, lambda: self.state == state)

    def engines(self):
        return self.system.pids("ownhouse-clickhouse")

    def sleep(self):
        """Puts it to sleep as the agent remembers it: five minutes are too long for a test."""
        self.until("running")
        path = self.agent / "state/idle.json"
        records = json.loads(path.read_text())
        records[self.id]["asleep"] = True
        path.write_text(json.dumps(records))
        assert self.system.kill("--role operator") == 1
        self.until("idle")
        wait_until("the engine is stopped", 60, lambda: not self.engines())

    def starts(self):
        """How often the engine was started."""
        log = next(self.system.home.glob("accounts/laptop/*/machine/jobs/agent/logs")).glob("*")
        return sum(f'"clickhouse-{self.id}-0"' in line and "started as process" in line
                   for path in log for line in path.read_text().splitlines())

    def activities(self):
        return [a["type"] for a in self.system.api("GET", "/activities")[1]["result"] if a.get("serviceId") == self.id]


@pytest.fixture
def sleeper(system):
    one = Sleeper(system)
    one.until("running")
    wait_until("the activator runs", 60, lambda: system.pids("ownhouse-activator"))
    return one


def test_a_query_wakes_it_and_is_answered(system, sleeper):
    system.select("CREATE TABLE IF NOT EXISTS kept (a Int32) ENGINE = MergeTree ORDER BY a")
    system.select("INSERT INTO kept VALUES (7)")
    sleeper.sleep()
    assert system.select("SELECT a FROM kept", timeout=120) == "7"
    sleeper.until("running")
    assert len(sleeper.engines()) == 1
    assert {"service_idle", "service_awaken", "service_running"} <= set(sleeper.activities())


def test_a_hundred_connections_wake_it_once(system, sleeper):
    sleeper.sleep()
    before, answers = sleeper.starts(), []

    def ask():
        answers.append(system.query("SELECT 1", timeout=120).status)

    threads = [threading.Thread(target=ask) for _ in range(100)]
    for t in threads:
        t.start()
    for t in threads:
        t.join(150)
    assert answers == [200] * 100
    assert sleeper.starts() == before + 1


def test_the_command_wakes_it(system, sleeper):
    sleeper.sleep()
    status, answer = system.api("PATCH", f"/services/{sleeper.id}/state", {"command": "awake"})
    assert status == 200 and answer["result"]["state"] == "awaking"
    sleeper.until("running")
    assert system.select("SELECT 1") == "1"
    # The same command is not carried out again after the next sleep.
    sleeper.sleep()
    assert not sleeper.engines()
    assert system.select("SELECT 1", timeout=120) == "1"


def test_who_is_refused_does_not_wake_it(system, sleeper):
    path = f"/services/{sleeper.id}"
    listed = [e["source"] for e in system.api("GET", path)[1]["result"]["ipAccessList"]]
    change = {"ipAccessList": {"add": [{"source": "192.0.2.0/24", "description": ""}],
                               "remove": [{"source": s} for s in listed]}}
    assert system.api("PATCH", path, change)[0] == 200
    wait_until("the access list holds", 60, lambda: system.query("SELECT 1").status == 403)
    sleeper.sleep()
    before = sleeper.starts()
    for _ in range(5):
        assert system.query("SELECT 1").status == 403
    back = {"ipAccessList": {"add": [{"source": s, "description": "anywhere"} for s in listed],
                             "remove": [{"source": "192.0.2.0/24"}]}}
    assert system.api("PATCH", path, back)[0] == 200
    wait_until("it may be asked again", 60, lambda: system.query("SELECT 1", timeout=120).status == 200)
    assert sleeper.starts() == before + 1


def test_agent_and_activator_killed_while_it_sleeps(system, sleeper):
    sleeper.sleep()
    system.kill("--role operator")
    system.kill("ownhouse-activator")
    wait_until("both are back", 60, lambda: system.pids("ownhouse-activator") and system.pids("--role operator"))
    assert not sleeper.engines()
    wait_until("it wakes", 60, lambda: system.query("SELECT 1", timeout=120).status == 200)


class Query(threading.Thread):
    """One that may take a while."""

    def __init__(self, system):
        super().__init__(daemon=True)
        self.system, self.status = system, None
        self.start()

    def run(self):
        try:
            self.status = self.system.query("SELECT 1", timeout=120).status
        except OSError:
            self.status = 0

    def done(self):
        self.join(150)
        assert not self.is_alive(), "never answered"
        return self.status


def held_by_activator(system):
    """Connections that it has taken for HTTP and not closed."""
    pid = system.pids("ownhouse-activator")[0]
    rows = [line.split() for line in open(f"/proc/{pid}/net/tcp").read().splitlines()[1:]]
    return sum(row[1].endswith(":1FBD") and row[3] == "01" for row in rows)  # 8125, established


def test_activator_killed_while_it_holds(system, sleeper):
    """Who was held is told, and the next one wakes it."""
    sleeper.sleep()
    operator = system.pids("--role operator")
    for pid in operator:
        os.kill(pid, signal.SIGSTOP)
    try:
        query = Query(system)
        wait_until("it holds", 60, lambda: held_by_activator(system))
        assert system.kill("ownhouse-activator") >= 1
        assert query.done() in (0, 502, 503)
    finally:
        for pid in operator:
            os.kill(pid, signal.SIGCONT)
    wait_until("it wakes", 120, lambda: system.query("SELECT 1", timeout=120).status == 200)


def test_operator_killed_while_it_wakes(system, sleeper):
    """The next one hears at once who is waited for, and nobody who waits notices."""
    sleeper.sleep()
    operator = system.pids("--role operator")
    for pid in operator:
        os.kill(pid, signal.SIGSTOP)  # so that it has heard nothing yet
    query = Query(system)
    wait_until("it holds", 60, lambda: held_by_activator(system))
    for pid in operator:
        os.kill(pid, signal.SIGKILL)
    assert query.done() == 200
    # And in the middle: the engine is on its way.
    sleeper.sleep()
    query = Query(system)
    wait_until("the engine starts", 60, sleeper.engines)
    system.kill("--role operator")
    assert query.done() == 200
    assert len(sleeper.engines()) == 1


def test_one_that_may_sleep_no_more_wakes(system, sleeper):
    sleeper.sleep()
    assert system.api("PATCH", f"/services/{sleeper.id}/replicaScaling", {"idleScaling": False})[0] == 200
    while sleeper.state != "running":
        assert system.query("SELECT 1", timeout=120).status == 200
    assert system.select("SELECT 1") == "1"  # from here on as before: nobody who connects meanwhile is refused
    wait_until("nobody needs the activator", 60, lambda: not system.pids("ownhouse-activator"))
    assert system.select("SELECT 1") == "1"
    assert system.api("PATCH", f"/services/{sleeper.id}/replicaScaling", {"idleScaling": True})[0] == 200


def test_what_an_entry_of_the_schedule_says_holds_in_its_hours(system, sleeper):
    """Another memory size, other settings, and no sleep: a sleeping service wakes when such an entry begins."""
    path = f"/services/{sleeper.id}/scalingSchedule"
    def threads():
        """None while the ingress has not seen yet that the engine is up: nobody holds connections where nothing may sleep."""
        answer = system.query("SELECT getSetting('max_threads')", timeout=120)
        return answer.text.strip() if answer.status == 200 else None
    before = wait_until("an answer", 60, threads)
    sleeper.sleep()
    entry = {"name": "now", "weekdays": list(range(7)), "startHourUtc": 0, "endHourUtc": 24, "numReplicas": 1,
             "minReplicaMemoryGb": 12, "maxReplicaMemoryGb": 12, "idleScaling": False, "clickhouseSettings": {"max_threads": 7}}
    assert system.api("POST", path, {"entries": [entry]})[0] == 200
    sleeper.until("running")
    wait_until("the settings of the entry", 60, lambda: threads() == "7")
    shown = system.api("GET", f"/services/{sleeper.id}")[1]["result"]["currentScaling"]
    assert shown["effectiveMinReplicaMemoryGb"] == 12 and shown["effectiveIdleScaling"] is False
    # Of another hour: not now.
    later = (time.gmtime().tm_hour + 4) % 24
    assert system.api("POST", path, {"entries": [{**entry, "startHourUtc": later, "endHourUtc": later + 1}]})[0] == 200
    wait_until("its own settings", 60, lambda: threads() == before)
    assert system.api("DELETE", path)[0] == 200


@pytest.mark.skipif(not os.environ.get("OWNHOUSE_TEST_LONG"), reason="takes six minutes: OWNHOUSE_TEST_LONG=1")
def test_it_falls_asleep_by_itself(system, sleeper):
    assert system.api("PATCH", f"/services/{sleeper.id}/replicaScaling", {"idleTimeoutMinutes": 5})[0] == 200
    last = time.monotonic()
    assert system.select("SELECT 1") == "1"
    wait_until("it sleeps", 600, lambda: sleeper.state == "idle")
    assert time.monotonic() - last >= 300
    assert system.select("SELECT 1", timeout=120) == "1"
