"""The link between control plane and agent: real signer, link role, HAProxy, enrolment and agent link, each hurt in turn."""
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

import pytest
from link_parts import HOUR, Agent, Control, Fake, Raw, free_port, openssl, wait_until

LONG = bool(os.environ.get("OWNHOUSE_TEST_LONG"))
DAY = 24 * HOUR


@pytest.fixture(scope="module")
def folder():
    with tempfile.TemporaryDirectory(prefix="oh-link-") as f:
        yield pathlib.Path(f)


@pytest.fixture(scope="module")
def control(folder):
    c = Control(folder / "control")
    yield c
    c.stop()


@pytest.fixture
def controls(folder):
    """make(name, ...) -> a control plane of the test's own, ended with it whatever happens."""
    made = []

    def make(name, **more):
        made.append(Control(folder / name, **more))
        return made[-1]

    yield make
    for c in made:
        c.stop()


@pytest.fixture
def agents(folder, request):
    """make(control) -> an enrolled agent; all end with the test."""
    made = []

    def make(control, enrol=True, infrastructure=None, env=None):
        a = Agent(control, folder / f"agent-{secrets.token_hex(4)}", infrastructure, env)
        made.append(a)
        if enrol:
            done = a.enrol()
            assert done.returncode == 0, done.stderr
        return a

    yield make
    for a in made:
        a.stop(signal.SIGKILL)


def row(control, agent, columns):
    return control.one(f"SELECT {columns} FROM agent WHERE id = ?", agent.identity()["agent"])


# ---- the ordinary day ----


def test_enrol_connect_report_and_end(control, agents):
    a = agents(control)
    key = (a.folder / "link/key.pem").stat()
    assert key.st_mode & 0o777 == 0o600
    a.start()
    status = a.connected()
    assert status["agent"] == a.identity()["agent"]
    assert status["infrastructure"] == a.infrastructure
    assert status["error"] == "" and status["notice"] == ""
    wait_until("presence", 5, lambda: row(control, a, "connected_since") is not None)
    # Behind HAProxy the address is the agent's own, not the front's.
    assert row(control, a, "address").startswith("127.0.0.1:")
    assert row(control, a, "version") == "0.1.0"
    a.say("report hello-there")
    wait_until("report stored", 5, lambda: "hello-there" in (control.one(
        "SELECT body FROM observed WHERE infrastructure_id = ?", a.infrastructure) or ""))
    assert wait_until("round trip", 5, lambda: a.status()["roundTripMs"] >= 0)
    assert a.stop() == 0
    wait_until("absence", 5, lambda: row(control, a, "connected_since") is None)


def test_fingerprint_is_printed_and_the_token_not_kept(control, agents):
    a = agents(control, enrol=False)
    token = control.token(a.infrastructure)
    done = a.enrol(token)
    assert done.returncode == 0 and len(done.stdout.strip()) == 64
    (a.folder / "token").unlink()
    for f in (a.folder / "link").iterdir():
        assert token not in f.read_text()
    for f in control.folder.rglob("*"):
        if f.is_file():
            assert token.encode() not in f.read_bytes(), f
    assert token not in control.text()


# ---- tokens ----


def test_a_token_raced_a_hundred_ways_makes_one_agent(control, agents):
    infrastructure = control.infrastructure()
    token = control.token(infrastructure)
    racers = [agents(control, enrol=False, infrastructure=infrastructure) for _ in range(100)]
    running = [subprocess.Popen(r.enrol_words(token), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
               for r in racers]
    ends = [(p.communicate(timeout=120)[1], p.returncode) for p in running]
    assert sum(code == 0 for _, code in ends) == 1
    assert all("not accepted" in text for text, code in ends if code)
    assert control.one("SELECT count(*) FROM agent WHERE infrastructure_id = ?", infrastructure) == 1


def test_used_unknown_and_expired_tokens_sound_and_take_the_same(control, agents):
    used = control.token(infrastructure := control.infrastructure())
    agents(control, enrol=False, infrastructure=infrastructure).enrol(used)
    cases = {"used": used, "unknown": secrets.token_hex(32), "expired": control.token(infrastructure, lifetime=-1)}
    said, took = set(), dict.fromkeys(cases, 1000)
    one = agents(control, enrol=False)

    def alike():
        """The least of each, in turns, as often as the machine's other load asks for: what is longer by itself stays so."""
        for name, token in cases.items():
            begin = time.monotonic()
            done = one.enrol(token)
            took[name] = min(took[name], time.monotonic() - begin)
            assert done.returncode == 1
            said.add(done.stderr)
        return max(took.values()) - min(took.values()) < 0.1

    assert any(alike() for _ in range(30)), took
    assert len(said) == 1, said
    assert "make a new one" in said.pop()
    assert min(took.values()) >= 0.5


def test_a_crash_between_consumption_and_answer_locks_nobody_out(control, agents):
    a = agents(control, enrol=False)
    token = control.token(a.infrastructure)
    assert a.enrol(token).returncode == 0
    first = a.identity()["agent"]
    # As if the answer had been lost: the token is consumed, the key is there, nothing else.
    for name in ("certificate.pem", "agent.json", "bundle.json"):
        (a.folder / "link" / name).unlink()
    assert a.enrol(token).returncode == 0
    assert a.identity()["agent"] == first
    a.start().connected()


def test_killed_anywhere_during_enrolment_it_converges(control, agents):
    for i in range(60 if LONG else 12):
        a = agents(control, enrol=False)
        token = control.token(a.infrastructure)
        p = subprocess.Popen(a.enrol_words(token), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        time.sleep(i % 12 * 0.004)
        p.kill()
        p.wait()
        done = a.enrol(token)
        assert done.returncode == 0, done.stderr
        assert control.one("SELECT count(*) FROM agent WHERE infrastructure_id = ?", a.infrastructure) == 1


def test_a_second_enrolment_with_another_bundle_is_refused(control, agents):
    a = agents(control)
    assert a.enrol().returncode == 0  # the same bundle: nothing to do
    done = a.enrol(releaseKey="a" * 64)
    assert done.returncode == 1 and "another bundle" in done.stderr and "remove" in done.stderr


def test_a_readable_token_file_is_refused(control, agents):
    a = agents(control, enrol=False)
    words = a.enrol_words(control.token(a.infrastructure))
    os.chmod(a.folder / "token", 0o644)
    done = subprocess.run(words, capture_output=True, text=True)
    assert done.returncode == 1 and "chmod 600" in done.stderr


# ---- documents ----


def test_documents_come_down_and_only_good_ones_are_taken(control, agents):
    a, other = agents(control), agents(control)
    a.start().connected()
    wait_until("presence", 5, lambda: row(control, a, "connected_since"))

    def outcome(n):
        return wait_until("document", 10, lambda: len(a.desired()) >= n and a.desired()[n - 1])

    control.document(a.infrastructure, 5, services=3)
    assert outcome(1) == {"desired": 5, "accepted": True, "why": ""}
    # Unsigned, or signed by another key.
    control.document(a.infrastructure, 6, signature="0" * 128)
    assert outcome(2)["accepted"] is False and "signature" in outcome(2)["why"]
    # Another infrastructure's document, properly signed for that one.
    control.document(a.infrastructure, 7, inside=other.infrastructure, signed_for=other.infrastructure)
    assert outcome(3)["accepted"] is False and "signature" in outcome(3)["why"]
    # Signed for ours, but the text is another's.
    control.document(a.infrastructure, 8, inside=other.infrastructure)
    assert outcome(4)["accepted"] is False
    wait_until("the control plane hears of it", 5, lambda: "refused its desired document" in control.text())
    control.document(a.infrastructure, 9)
    assert outcome(5) == {"desired": 9, "accepted": True, "why": ""}
    wait_until("acknowledged", 5, lambda: control.one(
        "SELECT desired_version FROM observed WHERE infrastructure_id = ?", a.infrastructure) == 9)
    # An older one, whatever the store says: a control plane restored from an old backup.
    control.document(a.infrastructure, 4)
    a.stop()
    a.lines.clear()
    (a.folder / "link/accepted").write_text("3")
    a.start().connected()
    assert outcome(1)["desired"] == 4
    a.stop()
    (a.folder / "link/accepted").write_text("9")
    a.lines.clear()
    a.start().connected()
    time.sleep(1)
    assert a.desired() == []


def test_a_document_is_there_right_after_connecting(control, agents):
    a = agents(control)
    control.document(a.infrastructure, 1, services=1000)
    a.start().connected()
    assert wait_until("document", 10, a.desired)[0]["accepted"]


def test_an_agent_sees_only_its_own_infrastructure(control, agents):
    a, b = agents(control), agents(control)
    control.document(a.infrastructure, 1)
    control.document(b.infrastructure, 1)
    r = Raw(control, a)
    assert r.hello()["infrastructure"] == a.infrastructure
    message = r.receive()
    assert message["type"] == "desired" and b.infrastructure not in json.dumps(message)
    # What it reports is kept under its own name, whatever it claims.
    r.send({"type": "observed", "infrastructure": b.infrastructure, "desiredVersion": 1, "version": "raw",
            "isolation": "none", "services": [], "workloads": []})
    wait_until("report", 5, lambda: control.one("SELECT count(*) FROM observed WHERE infrastructure_id = ?",
                                                a.infrastructure))
    assert control.one("SELECT count(*) FROM observed WHERE infrastructure_id = ?", b.infrastructure) == 0
    r.close()


# ---- coming and going ----


def test_a_newer_connection_takes_the_place_of_the_older(control, agents):
    a = agents(control)
    r = Raw(control, a)
    assert r.hello()["type"] == "welcome"
    a.start().connected()
    last = r.receive()
    assert last["type"] == "error" and "newer connection" in last["message"]
    assert a.status()["connected"]
    r.close()


def revoke(control, a, bell):
    """Status once its link has ended, and after how long."""
    a.start().connected()
    wait_until("presence", 5, lambda: row(control, a, "connected_since"))
    begin = time.monotonic()
    control.one("UPDATE agent SET state = 'revoked' WHERE id = ?", a.identity()["agent"])
    if bell:
        control.ring()
    return a.disconnected(30), time.monotonic() - begin


def test_a_doorbell_makes_a_revocation_quick(control, agents):
    """Without one it takes until the next look, up to 5 s. The machine may stand still for as long: not each time."""
    assert any(revoke(control, agents(control), True)[1] < 2 for _ in range(5))


def test_revocation_ends_a_live_link_and_keeps_it_out(control, agents):
    a = agents(control)
    status, _ = revoke(control, a, False)
    assert "revoked" in status["error"]
    a.say("nudge")
    time.sleep(1)
    assert not a.status()["connected"]


def test_an_agent_whose_row_is_gone_is_shut_out(control, agents):
    a = agents(control)
    a.start().connected()
    wait_until("presence", 5, lambda: row(control, a, "connected_since"))
    control.ring()
    time.sleep(0.5)
    control.one("UPDATE enrolment_token SET agent_id = NULL WHERE agent_id = ?", a.identity()["agent"])
    control.one("DELETE FROM agent WHERE id = ?", a.identity()["agent"])
    control.ring()
    assert "not known here" in a.disconnected(3)["error"]


@pytest.mark.parametrize("child", ["link", "signer", "front"])
def test_killed_parts_of_the_control_plane_are_survived(control, agents, child):
    a = agents(control)
    a.start().connected()
    control.kill(child)
    if child != "signer":
        wait_until("news of the end", 10, lambda: len(a.events("link connected")) >= 2)
    a.connected(20)
    b = agents(control)  # enrolment works again too
    assert b.identity()
    if child == "link":
        wait_until("presence", 5, lambda: row(control, a, "connected_since"))


def test_an_orderly_restart_says_good_bye(control, agents):
    a = agents(control)
    a.start().connected()
    os.kill(control.pids["link"], signal.SIGTERM)
    wait_until("good-bye", 5, lambda: a.events("good-bye"))
    a.connected(15)


def test_an_agent_started_first_finds_its_control_plane_later(folder, agents, controls):
    c = controls("late")
    a = agents(c)
    c.stop()
    a.start()
    status = wait_until("an error", 10, lambda: (s := a.status())["error"] and s)
    assert "cannot connect" in status["error"] and str(c.port) in status["error"]
    c.start()
    a.connected(30)
    c.stop()


# ---- proxies ----


def tinyproxy(folder, port, credentials=None, idle=600):
    conf = folder / f"tinyproxy-{port}.conf"
    conf.write_text(f"Port {port}\nListen 127.0.0.1\nTimeout {idle}\nMaxClients 20\nConnectPort 0\n"
                    f"LogFile \"{folder}/tinyproxy-{port}.log\"\n".replace("ConnectPort 0\n", "") +
                    (f"BasicAuth {credentials[0]} {credentials[1]}\n" if credentials else ""))
    p = subprocess.Popen(["tinyproxy", "-d", "-c", str(conf)], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)

    def answers():
        with socket.socket() as s:
            return s.connect_ex(("127.0.0.1", port)) == 0
    wait_until("tinyproxy", 10, answers)
    return p


def test_through_an_http_proxy_with_credentials(control, agents, folder):
    port = free_port()
    proxy = tinyproxy(folder, port, ("agent", "s3cret"))
    try:
        a = agents(control, enrol=False)
        right, wrong = a.folder / "right", a.folder / "wrong"
        for file, text in ((right, "agent:s3cret\n"), (wrong, "agent:no\n")):
            file.touch(0o600)
            file.write_text(text)
        done = a.enrol(proxy=(f"127.0.0.1:{port}", str(right)))
        assert done.returncode == 0, done.stderr
        a.start(f"127.0.0.1:{port}", str(wrong))
        status = wait_until("refusal", 10, lambda: (s := a.status())["error"] and s)
        assert "credentials" in status["error"] and "s3cret" not in status["error"]
        a.stop()
        a.start(f"127.0.0.1:{port}", str(right)).connected()
        # It really goes that way: without the proxy, no link.
        proxy.kill()
        proxy.wait()
        a.disconnected()
        proxy = tinyproxy(folder, port, ("agent", "s3cret"))
        a.connected(30)
        os.chmod(right, 0o644)
        proxy.kill()
        proxy.wait()
        wait_until("refusal of the file", 20, lambda: "chmod 600" in a.status()["error"])
    finally:
        proxy.kill()
        proxy.wait()


def test_a_proxy_that_cuts_idle_connections_is_dialled_again(control, agents, folder):
    """It ends what was silent for 2 s, long before the link's own ping is due; the link comes back by itself each time."""
    port = free_port()
    proxy = tinyproxy(folder, port, idle=2)
    log = folder / f"tinyproxy-{port}.log"
    try:
        a = agents(control, enrol=False)
        done = a.enrol(proxy=(f"127.0.0.1:{port}",))
        assert done.returncode == 0, done.stderr
        a.start(f"127.0.0.1:{port}").connected()
        for _ in range(2):
            dials = log.read_text().count("CONNECT 127.0.0.1")
            assert dials > 0
            wait_until("the proxy to be dialled again", 120, lambda: log.read_text().count("CONNECT 127.0.0.1") > dials)
            a.connected(60)
    finally:
        proxy.kill()
        proxy.wait()


# ---- trust ----


def test_an_impostor_is_not_believed(folder, agents, controls):
    """Another control plane at the same address (CVE-2024-22030: pins, not names)."""
    c = controls("true")
    a = agents(c)
    a.start().connected()
    c.stop()
    impostor = controls("impostor", port=c.port)
    status = wait_until("refusal", 20, lambda: "TLS" in (s := a.status())["error"] and s)
    assert not status["connected"]
    assert impostor.one("SELECT count(*) FROM agent") == 0
    fresh = Agent(c, folder / "fresh")
    p = subprocess.Popen(fresh.enrol_words(secrets.token_hex(32)), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    time.sleep(3)
    p.kill()
    p.wait()
    assert not (fresh.folder / "link/certificate.pem").exists()
    assert "enrolment was not accepted" not in impostor.text()  # the token never went to it
    impostor.stop()
    c.start()
    a.connected(60)


def test_the_spare_authority_takes_over(folder, agents, controls):
    c = controls("spare")
    a = agents(c)
    a.start().connected()
    c.stop()
    keys = c.folder / "keys"
    for ext in ("key", "pem"):
        (keys / f"link-ca.{ext}").rename(keys / f"old.{ext}")
        (keys / f"link-ca-spare.{ext}").rename(keys / f"link-ca.{ext}")
        (keys / f"old.{ext}").rename(keys / f"link-ca-spare.{ext}")
    c.start()
    a.connected(30)


def rejected(build):
    """True when the server ends the connection before or right after the handshake."""
    try:
        r = build()
    except (ssl.SSLError, ConnectionError, OSError):
        return True
    try:
        answer = r.hello()
        return answer is None
    except (ssl.SSLError, ConnectionError, OSError):
        return True
    finally:
        r.close()


def test_only_our_certificates_open_the_link(control, agents, folder):
    a = agents(control)
    key, pem = folder / "foreign.key", folder / "foreign.pem"
    openssl("req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-keyout", str(key), "-out",
            str(pem), "-days", "1", "-subj", "/CN=x", "-addext", f"subjectAltName=URI:ownhouse:agent/{a.identity()['agent']}",
            "-addext", "extendedKeyUsage=clientAuth")
    assert not rejected(lambda: Raw(control, a))
    assert rejected(lambda: Raw(control))
    assert rejected(lambda: Raw(control, chain=(pem, key)))
    assert rejected(lambda: Raw(control, a, version=ssl.TLSVersion.TLSv1_2))
    # The server's own certificate is no client's.
    edge = control.folder / "keys/edge.pem"
    assert rejected(lambda: Raw(control, chain=(edge, edge)))


def test_enrolment_asks_for_no_certificate_and_serves_nothing_else(control, agents):
    agents(control)
    r = Raw(control, alpn="ownhouse-enrol/1")
    r.open()
    r.send({"type": "hello", "version": "raw", "desiredVersion": 0, "bootId": "raw"})
    assert "out of turn" in r.receive()["message"]
    assert r.receive() is None
    r.close()


# ---- hostile agents ----


@pytest.mark.parametrize("what", ["long early", "long", "not json", "duplicate key", "deep", "out of turn", "flood",
                                  "bad report"])
def test_hostile_messages_end_their_own_connection_only(control, agents, what):
    honest, a = agents(control), agents(control)
    honest.start().connected()
    r = Raw(control, a)
    if what != "long early":
        assert r.hello()["type"] == "welcome"
    else:
        r.open()
    report = {"type": "observed", "desiredVersion": 0, "version": "raw", "isolation": "none", "services": [],
              "workloads": []}
    try:
        if what == "long early":
            r.send(b"{" + b" " * 100, length=70000)
        elif what == "long":
            r.send(b"{", length=(1 << 20) + 1)
        elif what == "not json":
            r.send(b"nonsense")
        elif what == "duplicate key":
            r.send(b'{"type":"observed","type":"renew"}')
        elif what == "deep":
            r.send(b'{"type":' + b"[" * 5000 + b"]" * 5000 + b"}")
        elif what == "out of turn":
            r.send({"type": "enrol", "token": "a" * 64, "csr": "x", "name": "x"})
        elif what == "flood":
            for _ in range(200):
                r.send(report)
        elif what == "bad report":
            r.send(dict(report, services=[{"id": "../../x", "state": "running"}]))
    except (OSError, ssl.SSLError):
        pass
    message = r.receive()
    while message and message["type"] != "error":
        message = r.receive()
    assert message is None or len(message["message"]) > 10
    if what not in ("flood",):
        assert message is not None
    assert r.receive() is None
    r.close()
    assert honest.status()["connected"]


def test_more_streams_than_allowed_are_reset(control, agents):
    a = agents(control)
    r = Raw(control, a)
    assert r.hello()["type"] == "welcome"
    for stream in range(3, 41, 2):
        r.open(stream)
    r.send({"type": "observed", "desiredVersion": 0, "version": "raw", "isolation": "none", "services": [],
            "workloads": [{"name": "still-heard", "state": "running"}]})
    wait_until("report", 5, lambda: "still-heard" in (control.one(
        "SELECT body FROM observed WHERE infrastructure_id = ?", a.infrastructure) or ""))
    r.close()


def test_slow_handshakes_do_not_keep_others_out(control, agents):
    """CVE-2026-7776: a client that withholds its part may hold a place only for seconds, and only so many places."""
    a = agents(control)
    header = b"\r\n\r\n\x00\r\nQUIT\n" + struct.pack(">BBH4s4sHH", 0x21, 0x11, 12, socket.inet_aton("192.0.2.1"),
                                                    socket.inet_aton("192.0.2.2"), 1, 2)
    slow = []
    for _ in range(700):
        s = socket.socket(socket.AF_UNIX)
        s.connect(str(control.folder / "run/link.sock"))
        s.sendall(header)
        slow.append(s)
    a.start()
    a.connected(20)
    for s in slow:
        s.close()


# ---- time ----


def test_seventy_two_hours_without_a_control_plane(folder, agents, controls):
    fake = Fake(folder)
    c = controls("away", fake=fake)
    a = agents(c, env=fake.env())
    a.start().connected()
    end = a.certificate_end()
    assert abs(end - (time.time() + DAY)) < 60
    c.stop()
    a.disconnected()
    fake.set(72 * HOUR)
    c.start()
    a.say("nudge")
    a.connected(60)
    assert a.events("the certificate had expired"), a.lines
    assert a.certificate_end() > end + 47 * HOUR
    assert row(c, a, "certificate_not_after") / 1000 == a.certificate_end()
    # An agent that was switched off for the same time, on the same day.
    a.stop()
    fake.set(72 * HOUR + 29 * DAY)
    c.kill("link")
    a.start().connected(60)
    # 31 days after its end a certificate opens nothing; a person is told what to do.
    a.stop()
    fake.set(72 * HOUR + 29 * DAY + 33 * DAY)
    c.kill("link")
    a.start()
    status = wait_until("refusal", 30, lambda: "expired" in (s := a.status())["error"] and s)
    assert not status["connected"]


def test_renewal_at_two_thirds_without_a_break(folder, agents, controls):
    fake = Fake(folder)
    c = controls("renew", fake=fake)
    a = agents(c, env=fake.env())
    a.start().connected()
    end = a.certificate_end()
    fake.set(12 * HOUR)
    time.sleep(6)
    assert not a.events("renewed")
    fake.set(18 * HOUR)
    wait_until("renewal", 15, lambda: a.events("certificate renewed"))
    assert a.certificate_end() > end + 17 * HOUR
    # Past the old certificate's end the connection stands, since the new one carries it.
    fake.set(25 * HOUR)
    time.sleep(7)
    assert len(a.events("link connected")) == 1


def test_a_live_link_ends_with_its_certificate(folder, agents, controls):
    """Expiry is looked at by a timer, not at the next connect."""
    fake = Fake(folder)
    c = controls("expiry", fake=fake)
    a = agents(c, env=fake.env())
    r = Raw(c, a)
    assert r.hello()["type"] == "welcome"
    fake.set(25 * HOUR)
    message = r.receive()
    while message and message["type"] != "error":
        message = r.receive()
    assert message and "expired" in message["message"]
    r.close()
    # What remains to such a certificate: renewal, and nothing else.
    r = Raw(c, a)
    assert r.hello()["renewOnly"] is True
    r.send({"type": "observed", "desiredVersion": 0, "version": "raw", "isolation": "none", "services": [],
            "workloads": []})
    assert "can only renew" in r.receive()["message"]
    r.close()


@pytest.mark.parametrize("hours", [-1, 1])
def test_a_clock_an_hour_off_is_named_and_does_not_stop_the_link(control, agents, folder, hours):
    fake = Fake(folder)
    fake.set(hours * HOUR)
    a = agents(control, env=fake.env())
    a.start().connected()
    notice = a.status()["notice"]
    assert ("behind" if hours < 0 else "ahead") in notice and "NTP" in notice
    time.sleep(6)
    assert not a.events("renewed")  # and it does not renew for that
    assert a.status()["connected"]


def test_a_clock_a_year_off_is_blamed(control, agents, folder):
    fake = Fake(folder)
    a = agents(control, env=fake.env())
    fake.set(-365 * DAY)
    a.start().connected()  # what it was issued itself proves that it is later than its clock says
    a.stop()
    fake.set(20 * 365 * DAY)
    a.start()
    status = wait_until("refusal", 20, lambda: "clock" in (s := a.status())["error"] and s)
    assert not status["connected"]


# ---- the store and the network ----


def test_a_locked_store_delays_and_loses_nothing(control, agents):
    a, b = agents(control), agents(control)
    a.start().connected()
    wait_until("presence", 5, lambda: row(control, a, "connected_since"))
    db = control.db()
    db.execute("BEGIN IMMEDIATE")
    a.say("report while-locked")
    time.sleep(1)  # the report waits for the lock now
    r = Raw(control, b)
    assert r.hello()["type"] == "welcome"
    assert a.status()["connected"]
    db.execute("COMMIT")
    db.close()
    r.close()
    wait_until("report stored", 10, lambda: "while-locked" in control.one(
        "SELECT body FROM observed WHERE infrastructure_id = ?", a.infrastructure))
    assert len(a.events("link connected")) == 1


@pytest.mark.skipif(os.geteuid() != 0, reason="nft needs root")
def test_a_reset_and_a_silent_path_are_noticed(control, agents):
    a = agents(control)
    a.start().connected()
    table = f"oh_link_{secrets.token_hex(4)}"
    nft = ["nft", "-f", "-"]

    def rule(verdict):
        text = (f"table inet {table} {{\n chain c {{\n type filter hook output priority 0\n "
                f"tcp dport {control.port} {verdict}\n }}\n}}\n")
        subprocess.run(nft, input=text, text=True, check=True)
    try:
        rule("reject with tcp reset")
        a.say("report x")
        status = a.disconnected(40)
        assert status["error"]
        time.sleep(2)
        subprocess.run(["nft", "delete", "table", "inet", table], check=True)
        a.connected(30)
        if LONG:
            rule("drop")
            a.disconnected(60)  # a ping within 24 s, its answer missed for 20 s
            subprocess.run(["nft", "delete", "table", "inet", table], check=True)
            a.connected(90)
    finally:
        subprocess.run(["nft", "delete", "table", "inet", table], stderr=subprocess.DEVNULL)
