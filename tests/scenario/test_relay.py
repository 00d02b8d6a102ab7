"""The relay between engineers' devices and gates: who may use it, what it passes on, and what hostile ends can do to it. The test plays
device, agent and gate by hand; nothing honest is between them but the control plane."""
import json
import os
import pathlib
import secrets
import signal
import socket
import ssl
import struct
import subprocess
import tempfile
import time
import uuid

import pytest
from link_parts import Agent, Control, Raw, openssl, wait_until


@pytest.fixture(scope="module")
def folder():
    with tempfile.TemporaryDirectory(prefix="oh-relay-") as f:
        yield pathlib.Path(f)


@pytest.fixture(scope="module")
def control(folder):
    c = Control(folder / "control")
    yield c
    c.stop()


@pytest.fixture
def agents(folder):
    made = []

    def make(control):
        a = Agent(control, folder / f"agent-{secrets.token_hex(4)}")
        made.append(a)
        done = a.enrol()
        assert done.returncode == 0, done.stderr
        return a

    yield make
    for a in made:
        a.stop(signal.SIGKILL)


class Device:
    """An engineer's device key."""

    def __init__(self, folder):
        self.key = folder / f"device-{secrets.token_hex(4)}.key"
        openssl("genpkey", "-algorithm", "ed25519", "-out", str(self.key))
        self.public = openssl("pkey", "-in", str(self.key), "-pubout", "-outform", "DER")[-32:].hex()

    def sign(self, text):
        path = self.key.with_suffix(".text")
        path.write_bytes(text)
        return openssl("pkeyutl", "-sign", "-inkey", str(self.key), "-rawin", "-in", str(path)).hex()


def grant(control, infrastructure, device, seconds=3600):
    ident = str(uuid.uuid4())
    now = int(time.time() * 1000)
    db = control.db()
    db.execute("INSERT INTO access_grant (id, organization_id, infrastructure_id, device_key, created_at, not_after) VALUES "
               "(?, 'o', ?, ?, ?, ?)", (ident, infrastructure, device.public, now, now + seconds * 1000))
    db.commit()
    db.close()
    return ident


def connect(control, ident, device, at=None, purpose="relay"):
    r = Raw(control, alpn="ownhouse-access/1")
    now = at or int(time.time() * 1000)
    r.open()
    r.send({"type": "connect", "grant": ident, "time": now,
            "signature": device.sign(f"ownhouse-device-v1\n{purpose}\n{ident}\n{now}\n\n".encode())})
    return r


def operations(control, agent):
    """An agent's operations stream in our hands."""
    r = Raw(control, agent)
    assert r.hello()["type"] == "welcome"
    wait_until("presence", 15, lambda: control.one("SELECT connected_since FROM agent WHERE id = ?", agent.identity()["agent"]))
    return r


def attach(control, agent, session):
    r = Raw(control, agent)
    r.open()
    r.send({"type": "attach", "session": session})
    return r


def joined(control, agent, ops, ident, device):
    d = connect(control, ident, device)
    offered = ops.receive()
    assert offered["type"] == "session"
    g = attach(control, agent, offered["session"])
    assert g.receive() == {"type": "joined"} and d.receive() == {"type": "joined"}
    return d, g


def data(r, want):
    """`want` bytes of the stream, after what was read with the messages."""
    while len(r.messages) < want:
        _, type_, flags, _, length = struct.unpack(">BBHII", r._take(12))
        if type_ == 0:
            r.messages += r._take(length)
            r.frame(1, 0, 1, length)
        elif type_ == 2 and flags & 1:
            r.frame(2, 2, 0, length)
    out, r.messages = r.messages[:want], r.messages[want:]
    return out


@pytest.fixture
def place(control, agents, folder):
    agent, device = agents(control), Device(folder)
    ops = operations(control, agent)
    yield agent, ops, device, grant(control, agent.infrastructure, device)
    ops.close()


def test_bytes_pass_both_ways_unaltered(control, place):
    agent, ops, device, ident = place
    d, g = joined(control, agent, ops, ident, device)
    sent = os.urandom(100_000)
    for a, b in ((d, g), (g, d)):
        for i in range(0, len(sent), 10_000):
            a.frame(0, 0, 1, len(sent[i:i + 10_000]), sent[i:i + 10_000])
        assert data(b, len(sent)) == sent
    d.close()
    assert g.receive() is None


@pytest.mark.parametrize("what", ["unknown grant", "another key", "for the gate", "long ago", "expired", "revoked", "malformed"])
def test_who_cannot_prove_the_device_is_refused(control, place, folder, what):
    agent, ops, device, ident = place
    if what == "unknown grant":
        r = connect(control, str(uuid.uuid4()), device)
    elif what == "another key":
        r = connect(control, ident, Device(folder))
    elif what == "for the gate":
        r = connect(control, ident, device, purpose="gate")
    elif what == "long ago":
        r = connect(control, ident, device, at=int(time.time() * 1000) - 11 * 60_000)
    elif what == "expired":
        r = connect(control, grant(control, agent.infrastructure, device, seconds=-1), device)
    elif what == "revoked":
        db = control.db()
        db.execute("UPDATE access_grant SET revoked_at = 1 WHERE id = ?", (ident,))
        db.commit()
        db.close()
        r = connect(control, ident, device)
    else:
        r = Raw(control, alpn="ownhouse-access/1")
        r.open()
        r.send({"type": "connect", "grant": "x", "time": 1, "signature": "y"})
    answer = r.receive()
    assert answer["type"] == "error" and len(answer["message"]) > 10
    assert r.receive() is None


def test_a_device_can_say_nothing_else(control, place):
    for message in ({"type": "hello", "version": "raw", "desiredVersion": 0, "bootId": "raw"},
                    {"type": "attach", "session": str(uuid.uuid4())},
                    {"type": "enrol", "token": "a" * 64, "csr": "x", "name": "x"}, {"type": "cut", "grant": str(uuid.uuid4())}):
        r = Raw(control, alpn="ownhouse-access/1")
        r.open()
        r.send(message)
        assert r.receive()["type"] == "error"
        assert r.receive() is None


def test_another_tenants_agent_cannot_take_a_session(control, agents, place):
    agent, ops, device, ident = place
    other = agents(control)
    d = connect(control, ident, device)
    session = ops.receive()["session"]
    thief = attach(control, other, session)
    assert thief.receive()["type"] == "error"
    g = attach(control, agent, session)
    assert g.receive() == {"type": "joined"} and d.receive() == {"type": "joined"}
    again = attach(control, agent, session)
    assert again.receive()["type"] == "error"
    d.close()


def test_another_tenants_word_ends_no_grant(control, agents, place):
    agent, ops, device, ident = place
    other = operations(control, agents(control))
    other.send({"type": "cut", "grant": ident})
    other.send({"type": "observed", "desiredVersion": 0, "version": "raw", "isolation": "none", "services": [], "workloads": []})
    time.sleep(0.5)
    assert control.one("SELECT ended_at FROM access_grant WHERE id = ?", ident) is None
    ops.send({"type": "cut", "grant": ident})
    wait_until("cut", 15, lambda: control.one("SELECT ended_at FROM access_grant WHERE id = ?", ident))
    other.close()


def test_revocation_cuts_the_session_and_is_told_until_it_is_acknowledged(control, place):
    agent, ops, device, ident = place
    d, g = joined(control, agent, ops, ident, device)
    db = control.db()
    db.execute("UPDATE access_grant SET revoked_at = 1 WHERE id = ?", (ident,))
    db.commit()
    db.close()
    assert d.receive() is None and g.receive() is None
    for _ in range(2):
        assert ops.receive() == {"type": "revoke", "grant": ident}
    ops.send({"type": "cut", "grant": ident})
    wait_until("cut", 15, lambda: control.one("SELECT ended_at FROM access_grant WHERE id = ?", ident))


def test_an_agents_revocation_ends_its_sessions(control, place):
    agent, ops, device, ident = place
    d, g = joined(control, agent, ops, ident, device)
    db = control.db()
    db.execute("UPDATE agent SET state = 'revoked' WHERE id = ?", (agent.identity()["agent"],))
    db.commit()
    db.close()
    assert d.receive() is None and g.receive() is None


def test_bytes_before_the_answer_end_the_connection(control, place):
    agent, ops, device, ident = place
    d = connect(control, ident, device)
    ops.receive()
    d.frame(0, 0, 1, 4, b"\x16\x03\x01\x00")
    assert (d.receive() or {"type": "error"})["type"] == "error"


def test_a_grant_has_so_many_sessions_and_no_more(control, place):
    agent, ops, device, ident = place
    waiting = [connect(control, ident, device) for _ in range(4)]
    offered = [ops.receive() for _ in waiting]
    assert len({o["session"] for o in offered}) == 4
    fifth = connect(control, ident, device)
    assert "too many" in fifth.receive()["message"]
    for d in waiting:
        d.close()
    wait_until("room again", 30, lambda: joined_once(control, agent, ops, ident, device))


def joined_once(control, agent, ops, ident, device):
    d = connect(control, ident, device)
    d.tls.settimeout(0.5)
    offered = ops.receive()
    if not offered or offered["type"] != "session":
        return False
    g = attach(control, agent, offered["session"])
    done = g.receive() == {"type": "joined"}
    d.close()
    g.close()
    return done


def memory(control):
    text = pathlib.Path(f"/proc/{control.pids['link']}/status").read_text()
    return int(next(line for line in text.splitlines() if line.startswith("VmRSS")).split()[1])


def test_an_end_that_does_not_read_holds_no_more_than_a_window(control, place):
    agent, ops, device, ident = place
    d, g = joined(control, agent, ops, ident, device)
    before = memory(control)
    d.tls.settimeout(2)
    sent, piece = 0, b"x" * 16384
    credit = 256 * 1024
    try:
        # Beyond the credit that the relay gives, a frame breaks the protocol; up to it, all must wait without growing further.
        while sent + len(piece) <= credit:
            d.frame(0, 0, 1, len(piece), piece)
            sent += len(piece)
    except (OSError, ssl.SSLError):
        pass
    time.sleep(0.5)
    assert memory(control) - before < 4096
    d.frame(0, 0, 1, len(piece), piece * 1)
    for _ in range(64):
        try:
            d.frame(0, 0, 1, len(piece), piece)
        except (OSError, ssl.SSLError):
            break
    time.sleep(0.5)
    assert memory(control) - before < 4096
    d.close()
    g.close()


def new_credit(r):
    """What the relay gives within a moment."""
    r.tls.settimeout(0.05)
    total = 0
    try:
        while not total:
            _, type_, flags, _, length = struct.unpack(">BBHII", r._take(12))
            if type_ == 1:
                total += length
            elif type_ == 2 and flags & 1:
                r.frame(2, 2, 0, length)
    except TimeoutError:
        pass
    r.tls.settimeout(30)
    return total


def test_bulk_that_waits_for_its_taker_holds_little_and_gives_it_back(control, place, monkeypatch):
    """Four sessions whose devices answer pings late, as over a long path, and send all that they may, and whose far ends take less:
    windows must not grow for what waits."""
    agent, ops, device, ident = place
    frame, late = Raw.frame, []
    monkeypatch.setattr(Raw, "frame", lambda r, *words: late.append((r, words)) if words[0] == 2 else frame(r, *words))
    pairs = [joined(control, agent, ops, ident, device) for _ in range(4)]
    monkeypatch.undo()
    time.sleep(2)  # the round trip that they pretend
    for r, words in late:
        r.frame(*words)
    assert len(late) >= 8
    before, most, piece = memory(control), 0, b"x" * 16384
    credit, sent, taken = [240 * 1024] * 4, [0] * 4, [0] * 4
    while min(taken) < 4 << 20:
        for i, (d, g) in enumerate(pairs):
            while credit[i] >= len(piece):
                d.frame(0, 0, 1, len(piece), piece)
                credit[i] -= len(piece)
                sent[i] += len(piece)
            if sent[i] - taken[i] >= 65536:
                assert len(data(g, 65536)) == 65536
                taken[i] += 65536
            if credit[i] < len(piece):
                credit[i] += new_credit(d)
        most = max(most, memory(control))
    assert most - before < 8192, (before, most)
    for d, g in pairs:
        d.close()
        g.close()
    wait_until("what was held to be given back", 60, lambda: memory(control) - before < 2048)


@pytest.mark.parametrize("end", ["device", "agent"])
def test_a_reset_in_the_middle_of_a_frame_ends_the_other_end(control, place, end):
    agent, ops, device, ident = place
    d, g = joined(control, agent, ops, ident, device)
    hurt, other = (d, g) if end == "device" else (g, d)
    hurt.tls.sendall(struct.pack(">BBHII", 0, 0, 0, 1, 5000) + b"half")
    hurt.tls.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    hurt.tls.close()
    assert other.receive() is None


def test_the_link_roles_death_ends_sessions_and_new_ones_come(control, place, agents, folder):
    agent, ops, device, ident = place
    d, g = joined(control, agent, ops, ident, device)
    control.kill("link")
    assert d.receive() is None and g.receive() is None
    again = wait_until("link again", 30, lambda: reconnect(control, agent))
    d, g = joined(control, agent, again, ident, device)
    d.close()
    again.close()


def reconnect(control, agent):
    try:
        return operations(control, agent)
    except (OSError, ssl.SSLError, TypeError, AssertionError):
        return None
