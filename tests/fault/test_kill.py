"""kill -9 of every process of a full system, in turn and at random, while services are made, stopped, started and
deleted. Whatever was acknowledged is so in the end, everything runs again without a human step (`ownhouse up` only
where the control plane's parent itself was killed), and nothing is left on the machine. OWNHOUSE_SEED repeats a run's
choices."""
import http.client
import json
import os
import random
import signal
import sqlite3
import threading
import time

import pytest

from full_system import tool, wait_until
from parts import ALL, ONCE, PAIRS, parts

LONG = bool(os.environ.get("OWNHOUSE_TEST_LONG"))
KILLS = 200 if LONG else 40
NAMES = ("red", "blue")
NETWORK_ERRORS = (OSError, http.client.HTTPException)


class World:
    """What was acknowledged, and the means to compare it with what is."""

    def __init__(self, system):
        self.system = system
        self.services = {}  # name: {"id", "want", "password", "port"}
        self.rows = []      # numbers whose insertion was acknowledged
        self.tried = 0
        self.ups = 0
        self.gone = []      # ids whose deletion was acknowledged
        self.upping = threading.Lock()

    def revive(self):
        """The one human step: the control plane's parent is nobody's child on a laptop."""
        with self.upping:
            if not parts(self.system).get("control parent"):
                self.system.up()
                self.ups += 1

    def call(self, method, path, body=None):
        """Repeats a call until it is answered; (status, result)."""
        deadline = time.monotonic() + 60
        while True:
            try:
                status, answer = self.system.api(method, path, body)
                if status < 500:
                    return status, (answer or {}).get("result"), answer
            except (*NETWORK_ERRORS, ValueError) as problem:
                answer = problem
            assert time.monotonic() < deadline, f"{method} {path} had no answer for 60 s: {answer}"
            self.revive()
            time.sleep(0.1)

    def listed(self):
        status, result, answer = self.call("GET", "/services")
        assert status == 200, answer
        return {s["name"]: s for s in result}

    def create(self, name):
        status, result, answer = self.call("POST", "/services", {"name": name, "provider": "local", "region": "local"})
        if status == 200:
            service, password = result["service"], result["password"]
        else:
            # An earlier try was carried out and its answer lost, with the password in it.
            service = self.listed().get(name)
            assert service, answer
            status, result, answer = self.call("PATCH", f"/services/{service['id']}/password")
            assert status == 200, answer
            password = result["password"]
        self.services[name] = {"id": service["id"], "want": "running", "password": password,
                               "port": service["ownhouse"]["localPort"]}

    def command(self, name, word):
        service = self.services[name]
        status, _, answer = self.call("PATCH", f"/services/{service['id']}/state", {"command": word})
        assert status == 200, answer
        service["want"] = "stopped" if word == "stop" else "running"

    def delete(self, name):
        service = self.services[name]
        status, _, answer = self.call("DELETE", f"/services/{service['id']}?deleteData=true")
        assert status in (200, 404), answer
        self.gone.append(service["id"])
        del self.services[name]

    def insert(self):
        """One row into the first service; counts only when it was acknowledged."""
        self.tried += 1
        try:
            demo = self.services["demo"]
            sql = f"INSERT INTO kept VALUES ({self.tried})"
            if self.system.query(sql, own_port=demo["port"], timeout=5).status == 200:
                self.rows.append(self.tried)
        except NETWORK_ERRORS:
            pass

    def step(self, chance):
        """One change of a service chosen at random; a word for it."""
        name = chance.choice(NAMES)
        if name not in self.services:
            self.create(name)
            return f"create {name}"
        running = self.services[name]["want"] == "running"
        word = chance.choice(("stop", "delete") if running else ("start", "start", "delete"))
        self.delete(name) if word == "delete" else self.command(name, word)
        return f"{word} {name}"

    def difference(self):
        """What is not yet as acknowledged, "" when all is."""
        listed = self.listed()
        if set(listed) != set(self.services):
            return f"services {sorted(listed)} instead of {sorted(self.services)}"
        for name, service in self.services.items():
            if listed[name]["id"] != service["id"]:
                return f"{name} is another service"
            if listed[name]["state"] != service["want"]:
                return f"{name} is {listed[name]['state']}, not {service['want']}"
        try:
            for name, service in self.services.items():
                if service["want"] == "running":
                    sql = "SELECT groupArray(n) FROM kept" if name == "demo" else "SELECT 1"
                    answer = self.system.query(sql, own_port=service["port"], password=service["password"], timeout=5)
                    if answer.status != 200:
                        return f"{name} answers {answer.status} {answer.text}"
                    if name == "demo" and not set(self.rows) <= set(json.loads(answer.text)):
                        return f"rows are missing: {sorted(set(self.rows) - set(json.loads(answer.text)))}"
        except NETWORK_ERRORS as problem:
            return f"{name}: {problem!r}"
        return self.wrong_processes()

    def wrong_processes(self):
        now = parts(self.system)
        for name in ONCE:
            if len(now.get(name, [])) != 1:
                return f"{name}: processes {now.get(name, [])}"
        for name in PAIRS:
            if not now.get(f"{name} worker"):
                return f"{name} worker: none"
        wanted = sum(s["want"] == "running" for s in self.services.values())
        if len(now.get("database", [])) != wanted:
            return f"database: processes {now.get('database', [])} instead of {wanted}"
        return ""

    def converge(self, after):
        began, last = time.monotonic(), "?"
        self.revive()
        while last:
            last = self.difference()
            assert not last or time.monotonic() < began + 120, f"120 s after {after}: {last}\n{self.system.logs(8)}"
            if last:
                time.sleep(0.15)
        return time.monotonic() - began


def kill_one(system, part, chance):
    """Kills one process of that part; how many were killed."""
    pids = sorted(parts(system).get(part, []))
    if not pids:
        return 0
    try:
        os.kill(chance.choice(pids), signal.SIGKILL)
    except ProcessLookupError:
        return 0
    return 1


def prepared(new_system):
    system = new_system()
    system.up()
    world = World(system)
    demo = world.listed()["demo"]
    world.services["demo"] = {"id": demo["id"], "want": "running", "password": system.password(),
                              "port": demo["ownhouse"]["localPort"]}
    system.select("CREATE TABLE kept (n UInt64) ENGINE = MergeTree ORDER BY n")
    return world


def test_killed_everywhere_it_always_converges(new_system, capsys):
    seed = int(os.environ.get("OWNHOUSE_SEED", random.randrange(1 << 32)))
    with capsys.disabled():  # shown of good runs too
        print(f"seed {seed}")
    chance = random.Random(seed)
    world = prepared(new_system)
    system = world.system
    took = {}
    world.converge("up")
    # Every part in turn, with nothing else going on.
    for part in ALL:
        world.insert()
        assert kill_one(system, part, chance) == 1, part
        took[part] = world.converge(f"{part} was killed")
        print(f"{part}: {took[part]:.1f} s", flush=True)
    # Then at random while services change.
    kills = len(ALL)
    while kills < KILLS:
        victims = [chance.choice(ALL) for _ in range(min(chance.choice((1, 1, 2, 3)), KILLS - kills))]
        pauses = [chance.choice((0, 0.02, 0.1, 0.4, 1.2)) * chance.uniform(0.5, 1.5) for _ in victims]
        steps, problems = [], []

        def change():
            try:
                for _ in range(chance_of_steps.choice((1, 1, 2))):
                    steps.append(world.step(chance_of_steps))
                    world.insert()
            except BaseException as problem:  # shown by the thread that waits
                problems.append(problem)

        chance_of_steps = random.Random(chance.random())
        changing = threading.Thread(target=change)
        changing.start()
        for part, pause in zip(victims, pauses):
            time.sleep(pause)
            kills += kill_one(system, part, chance)
        changing.join()
        assert not problems, f"{victims} killed during {steps}: {problems[0]!r}\n{system.logs(8)}"
        seconds = world.converge(f"{victims} killed during {steps}, seed {seed}")
        print(f"{kills}: {', '.join(victims)} during {', '.join(steps)}: {seconds:.1f} s", flush=True)
    for name in NAMES:
        if name in world.services:
            world.delete(name)
    world.converge("the last deletions")
    assert world.rows, "no row was ever acknowledged"
    nothing_stayed(world)


def nothing_stayed(world):
    """No trace of deleted services: rows that still want something, workloads, data. Only their backups stay for a while
    (docs/backups.md)."""
    system = world.system
    store = sqlite3.connect(f"file:{system.home}/control/store/control.db?mode=ro", uri=True)
    for ident in world.gone:
        assert store.execute("SELECT count(*) FROM service WHERE id = ? AND state != 'terminated'",
                             (ident,)).fetchone() == (0,), ident
    # A repair may be under way when the last kill has just been answered; it must come to an end.
    wait_until("the last repair's end", 60, lambda: store.execute(
        "SELECT count(*) FROM plan WHERE state = 'applying'").fetchone() == (0,))
    store.close()

    def left():
        names = tool("find", str(system.home / "accounts"), "-name", "*-*-*-*-*").splitlines()
        return [name for name in names if any(ident in name for ident in world.gone) and "/buckets/backups/" not in name]
    assert tool("find", str(system.home / "accounts"), "-name", f"*{world.services['demo']['id']}*")
    try:
        wait_until("no file of a deleted service", 30, lambda: not left())
    except AssertionError:
        pytest.fail(f"files of deleted services stayed: {left()}")
