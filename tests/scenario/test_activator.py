"""The activator behind the real HAProxy: who connects to a service without an engine is held and served once it is there, within
bounds, and nobody is held who may not come in."""
import os
import pathlib
import re
import resource
import signal
import socket
import threading
import time

import pytest

from rendered import BUILD, DOMAIN, Place, RENDER, find, read_answer, service, until

ACTIVATOR = BUILD / "src/agent/activator/ownhouse-activator"
pytestmark = [
    pytest.mark.skipif(not find("haproxy"), reason="haproxy is not installed"),
    pytest.mark.skipif(not RENDER.exists(), reason="the build has no blueprint-render"),
]
IDLE = {"idle": {"minutes": 5}}


class Control:
    """Who is waited for, as the agent hears it."""

    def __init__(self, address):
        self.socket = socket.create_connection((address, 8127), 10)
        self.lines, self.rest = [], b""

    def held(self, timeout=60):
        """The next list."""
        self.socket.settimeout(timeout)
        while b"\n" not in self.rest:
            part = self.socket.recv(65536)
            assert part, "the activator closed"
            self.rest += part
        line, self.rest = self.rest.split(b"\n", 1)
        words = line.decode().split(" ")
        assert words[0] == "held", line
        return [int(w) for w in words[1:]]


class Client(threading.Thread):
    def __init__(self, place, slug, **more):
        super().__init__(daemon=True)
        self.place, self.slug, self.more, self.answer, self.error = place, slug, more, None, None
        self.start()

    def run(self):
        try:
            with self.place.connect(server_name=f"{self.slug}.{DOMAIN}") as s:
                s.settimeout(120)
                body = self.more.get("body")
                lines = [f"{'POST' if body else 'GET'} {self.more.get('path', '/echo')} HTTP/1.1",
                         f"Host: {self.slug}.{DOMAIN}", "Connection: close"]
                lines += [f"Content-Length: {len(body)}"] if body else []
                s.sendall("\r\n".join([*lines, "", ""]).encode() + (body or b""))
                self.answer = read_answer(s)
        except (OSError, AssertionError) as e:
            self.error = e

    def done(self, timeout=120):
        self.join(timeout)
        assert not self.is_alive(), "never answered"
        return self.answer


@pytest.fixture
def place(tmp_path):
    p = Place(tmp_path)
    engines = []

    def run_engine(number):
        for _ in range(600):
            try:
                engines.append(p.engine(number))
                return engines[-1]
            except OSError:  # the one before has not let its port go
                time.sleep(0.1)
        raise AssertionError("the port does not become free")

    p.run_engine = run_engine
    p.controls = []

    def control():
        c = Control(p.address_of("activator"))
        p.controls.append(c)
        return c

    p.control = control
    yield p
    p.stop()
    for c in p.controls:
        c.socket.close()
    for engine in engines:
        try:
            engine.close()
        except OSError:
            pass


def start(place, services, hold=None, **changes):
    place.render(services)
    words = place.workloads["activator"]["arguments"]
    if hold:
        words[words.index("--hold") + 1] = str(hold)
    words += [w for name, value in changes.items() for w in ("--" + name.replace("_", "-"), str(value))]
    place.start("activator").start("ingress")
    return place




def test_a_connection_to_a_sleeping_service_is_held_and_served(place):
    start(place, [service(1, "a", **IDLE), service(2, "b", **IDLE)])
    control = place.control()
    assert control.held() == []
    client = Client(place, "b", path="/count", body=b"x" * 300000)
    assert control.held() == [2]
    assert client.is_alive() and not client.answer
    place.run_engine(2)
    status, _, text = client.done()
    assert status == 200 and text == "300000\n"
    assert control.held() == []
    # The ingress's own server takes the next ones.
    until(lambda: place.get("b")[0] == 200)
    until(lambda: "/r0 " in place.log().splitlines()[-1] or place.get("b")[0] != 200)


def test_one_that_falls_asleep_again_is_held_at_once(place):
    """A refused connection goes to the activator in the same request, not when the next checks have seen it."""
    start(place, [service(1, "a", **IDLE)])
    engine = place.run_engine(1)
    for _ in range(3):
        until(lambda: place.get("a")[0] == 200)
        until(lambda: (place.get("a")[0] == 200 and "/r0 " in place.log().splitlines()[-1]))
        engine.close()
        control = place.control()
        assert control.held() == []
        client = Client(place, "a")
        assert control.held() == [1]
        engine = place.run_engine(1)
        assert client.done()[0] == 200


def test_a_hundred_at_once_are_all_served(place):
    start(place, [service(1, "a", **IDLE)])
    control = place.control()
    assert control.held() == []
    clients = [Client(place, "a") for _ in range(100)]
    assert control.held() == [1]
    place.run_engine(1)
    assert [c.done()[0] for c in clients] == [200] * 100
    # It was asked for once: the list had it from the first to the last of them.
    assert control.held() == []


def taken(place):
    """Connections that the activator has from the ingress."""
    address = "%02X%02X%02X%02X:1FBD" % tuple(reversed([int(n) for n in place.address_of("activator").split(".")]))  # 8125
    rows = [line.split() for line in pathlib.Path("/proc/net/tcp").read_text().splitlines()[1:]]
    return sum(row[1] == address and row[3] == "01" for row in rows)


def test_over_the_limit_there_is_a_clear_answer(place):
    start(place, [service(1, "a", **IDLE), service(2, "b", **IDLE)], of_service=3)
    control = place.control()
    assert control.held() == []
    waiting = [Client(place, "a") for _ in range(3)]
    assert control.held() == [1]
    until(lambda: taken(place) == 3)
    status, headers, text = Client(place, "a", path="/count", body=b"x" * 100000).done()
    assert status == 503
    assert "Service a is waking up, and 3 connections wait for it" in text and headers["retry-after"] == "5"
    other = Client(place, "b")
    assert control.held() == [1, 2]
    place.run_engine(1), place.run_engine(2)
    assert other.done()[0] == 200
    assert all(c.done()[0] == 200 for c in waiting)


def test_over_the_limit_of_all_there_is_a_clear_answer_too(place):
    start(place, [service(1, "a", **IDLE), service(2, "b", **IDLE)], connections=8)
    control = place.control()
    assert control.held() == []
    waiting = [Client(place, "a") for _ in range(8)]
    assert control.held() == [1]
    until(lambda: taken(place) == 8)
    status, headers, text = Client(place, "b").done()
    assert status == 503 and "Too many connections wait" in text and headers["retry-after"] == "5"
    place.run_engine(1)
    assert [c.done()[0] for c in waiting] == [200] * 8


def test_without_descriptors_it_refuses_and_does_not_spin(place):
    """Whom it cannot even take is let go: nobody waits in a queue that nobody reads, and those who are held stay so."""
    start(place, [service(1, "a", **IDLE)])
    control = place.control()
    assert control.held() == []
    held = Client(place, "a")
    assert control.held() == [1]
    pid = place.children["activator"].pid
    before = resource.prlimit(pid, resource.RLIMIT_NOFILE)
    resource.prlimit(pid, resource.RLIMIT_NOFILE, (len(os.listdir(f"/proc/{pid}/fd")) + 2, before[1]))
    refused = [Client(place, "a") for _ in range(20)]
    until(lambda: sum(c.answer is not None or c.error is not None for c in refused) >= 15)
    ticks = lambda: sum(map(int, pathlib.Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[11:13]))  # noqa: E731
    spent = ticks()
    time.sleep(2)
    assert ticks() - spent < 100  # of 200
    resource.prlimit(pid, resource.RLIMIT_NOFILE, before)
    place.run_engine(1)
    assert held.done()[0] == 200


def test_a_wake_that_fails_ends_within_its_bound_and_is_asked_for_again(place):
    start(place, [service(1, "a", **IDLE)], hold=2)
    control = place.control()
    assert control.held() == []
    before = time.monotonic()
    client = Client(place, "a")
    assert control.held() == [1]
    status, headers, text = client.done()
    assert status == 503 and "did not wake within 2 seconds" in text and headers["retry-after"] == "10"
    assert time.monotonic() - before >= 2
    assert control.held() == []
    client = Client(place, "a")
    assert control.held() == [1]
    place.run_engine(1)
    assert client.done()[0] in (200, 503)  # 503: this machine took longer than its two seconds


def test_who_may_not_come_in_wakes_nobody(place):
    start(place, [service(1, "a", ipAccessList=["192.0.2.0/24"], **IDLE), service(2, "b", **IDLE)])
    control = place.control()
    assert control.held() == []
    status, _, text = place.get("a")
    assert status == 403 and "IP access list" in text
    client = Client(place, "b")
    assert control.held() == [2]  # and service 1 has not been in between
    place.run_engine(2)
    assert client.done()[0] == 200


def test_a_client_that_leaves_is_not_waited_for(place):
    start(place, [service(1, "a", **IDLE)])
    control = place.control()
    assert control.held() == []
    with place.connect(server_name=f"a.{DOMAIN}") as s:
        s.sendall(f"GET /echo HTTP/1.1\r\nHost: a.{DOMAIN}\r\n\r\n".encode())
        assert control.held() == [1]
    assert control.held() == []


def test_killed_while_it_holds_and_started_again(place):
    start(place, [service(1, "a", **IDLE)])
    control = place.control()
    assert control.held() == []
    client = Client(place, "a")
    assert control.held() == [1]
    child = place.children["activator"]
    os.kill(child.pid, signal.SIGKILL)
    child.wait()
    status, _, _ = client.done()
    assert status in (502, 503)  # told, not left waiting
    place.start("activator")
    client = Client(place, "a")
    again = place.control()
    until(lambda: again.held() == [1])
    place.run_engine(1)
    assert client.done()[0] == 200


def test_a_service_that_may_not_sleep_is_told_at_once(place):
    start(place, [service(1, "a"), service(2, "b", **IDLE)])
    status, headers, text = until(lambda: (r := place.get("a"))[0] == 503 and r)
    assert "does not answer yet" in text


def test_the_table_is_read_again(place):
    start(place, [service(1, "a", **IDLE)])
    place.render([service(1, "a", **IDLE), service(2, "c", **IDLE)])
    place.write("activator")
    place.reload("ingress")
    control = place.control()
    assert control.held() == []
    client = Client(place, "c")
    assert control.held() == [2]
    place.run_engine(2)
    assert client.done()[0] == 200


def test_its_memory_is_bounded_while_it_holds(place):
    """Requests of megabytes wait in their sockets, not in it."""
    start(place, [service(1, "a", **IDLE)])
    pid = place.children["activator"].pid
    rss = lambda: int(re.search(r"VmRSS:\s+(\d+)", pathlib.Path(f"/proc/{pid}/status").read_text())[1])  # noqa: E731
    before = rss()
    control = place.control()
    clients = [Client(place, "a", path="/count", body=b"x" * 2_000_000) for _ in range(40)]
    assert control.held() == []
    assert control.held() == [1]
    time.sleep(1)
    assert rss() - before < 4096, (before, rss())
    place.run_engine(1)
    assert [c.done()[2] for c in clients] == ["2000000\n"] * 40
