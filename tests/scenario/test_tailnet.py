"""Engineers' sessions over a tailnet instead of the relay. A pair of virtual interfaces stands for the tailnet's path (without root:
loopback): the gate cannot tell them apart, TLS ends at it either way. Same signatures, same ends, same ledger."""
import contextlib
import json
import os
import random
import signal
import socket
import ssl
import subprocess
import threading

import pytest

from access_parts import Session, agent_config, approved, control, of_grant, other_agent, request, sign, sql
from full_system import BUILD, OWNHOUSE, free_ports, tool, wait_until


class Path:
    """The way from an engineer's device to the data plane: addresses of both ends."""

    def __init__(self, s):
        self.system, self.port, self.name = s, 8443, f"oht{random.randrange(16 ** 6):06x}"
        net = random.randrange(256)
        self.gate, self.device = (f"100.64.{net}.1", f"100.64.{net}.2") if s.isolated else ("127.0.0.1", "127.0.0.1")
        if not s.isolated:
            self.port = free_ports(1)

    @property
    def address(self):
        return f"{self.gate}:{self.port}"

    def __enter__(self):
        if not self.system.isolated:
            return self
        inside = self.inside()
        for words in (["ip", "link", "add", self.name, "type", "veth", "peer", "name", "tailscale0", "netns", self.system.netns],
                      ["ip", "addr", "add", f"{self.device}/30", "dev", self.name], ["ip", "link", "set", self.name, "up"],
                      [*inside, "ip", "addr", "add", f"{self.gate}/30", "dev", "tailscale0"],
                      [*inside, "ip", "link", "set", "tailscale0", "up"]):
            subprocess.run(words, check=True, capture_output=True)
        self.let_in()
        return self

    def inside(self):
        return ["ip", "netns", "exec", self.system.netns]

    def rules(self):
        listed = json.loads(tool(*self.inside(), "nft", "-j", "-a", "list", "chain", "inet", "ownhouse", "input"))
        return [entry["rule"]["handle"] for entry in listed["nftables"] if "rule" in entry and "tailscale0" in json.dumps(entry)]

    def let_in(self):
        """The laptop's packet rules let nothing in here: who wants the tailnet opens this one port of it. The laptop's control plane
        puts its own rules back when it finds others, so it is said anew before each dialling."""
        if self.system.isolated and not self.rules():
            subprocess.run([*self.inside(), "nft", "add", "rule", "inet", "ownhouse", "input", "iifname", "tailscale0", "ip", "daddr",
                            self.gate, "tcp", "dport", str(self.port), "accept"], check=True, capture_output=True)
        return self.address

    def __exit__(self, *_):
        if self.system.isolated:
            tool("ip", "link", "del", self.name)
            for handle in self.rules():
                tool(*self.inside(), "nft", "delete", "rule", "inet", "ownhouse", "input", "handle", str(handle))


@pytest.fixture(scope="module")
def tailnet(system):
    """The agent with gate_listen. The address comes up after the gate has begun to listen on it, as a tailnet's does."""
    path = Path(system)
    with other_agent(system, settings=f"\ngate_listen = {path.address}\n"), path:
        yield path


def via(system, tailnet, grant, approval, *words, **kwargs):
    return sql(system, grant, approval, "SELECT 1", "--via", tailnet.let_in(), *words, **kwargs)


def sources(system, grant):
    return [leaf["body"]["from"] for leaf in of_grant(system, grant["id"]) if leaf["body"]["event"] == "session-open"]


@pytest.fixture
def session(system, tailnet):
    grant, approval = approved(system, "--target", "clickhouse.diag,cluster.view")
    s = Session(system, grant, approval, "--via", tailnet.let_in())
    s.grant, s.approval = grant, approval
    yield s
    s.stop()


def listeners(system):
    inside = ["ip", "netns", "exec", system.netns] if system.isolated else []
    return tool(*inside, "ss", "-ltnp")


def test_without_the_setting_the_gate_listens_nowhere(system):
    """Runs before the module's other agent is there."""
    (pid,) = system.pids("--role gate")
    assert f"pid={pid}," not in listeners(system)


def test_a_session_without_any_relay(system, tailnet):
    grant, approval = approved(system, "--target", "clickhouse.diag")
    system.kill("ownhouse-control --role link", signal.SIGSTOP)
    try:
        s = Session(system, grant, approval, "--via", tailnet.let_in())
        try:
            status, text, _ = s.ask("clickhouse.diag", "POST", "/", "SELECT count() > 0 AS some FROM ownhouse_diag.tables")
            assert (status, text.split()) == (200, ["some", "1"])
            assert s.ask("clickhouse.diag", "POST", "/", "SELECT * FROM system.users")[0] == 403
            assert control(system, {"type": "status"})["connections"] >= 1
        finally:
            s.stop()
    finally:
        system.kill("ownhouse-control --role link", signal.SIGCONT)
    found = [leaf["body"]["event"] for leaf in of_grant(system, grant["id"])]
    assert found[:5] == ["grant-open", "certificate", "session-open", "user-made", "request"] and "request-refused" in found
    (source,) = sources(system, grant)
    assert source.startswith(tailnet.device + ":")


def test_relay_and_tailnet_are_one_grant(system, tailnet, session):
    wait_until("the relay", 60, lambda: sql(system, session.grant, session.approval, "SELECT 7").returncode == 0)
    assert session.ask("clickhouse.diag", "POST", "/", "SELECT 1")[0] == 200
    wait_until("both in the ledger", 30, lambda: {s.split(":")[0] for s in sources(system, session.grant)} == {tailnet.device, "relay"})


def test_nobody_gets_in_without_the_customers_signature(system, tailnet):
    grant = request(system)
    result = system.run("connect", grant["id"], "--via", tailnet.let_in(), "--sql", "SELECT 1")
    assert result.returncode == 4 and "has signed" in result.stderr
    other = system.root / "stranger.key"
    subprocess.run(["openssl", "genpkey", "-algorithm", "ed25519", "-out", str(other)], check=True, capture_output=True)
    os.chmod(other, 0o600)
    public = subprocess.run(["openssl", "pkey", "-in", str(other), "-pubout", "-outform", "DER"], check=True,
                            capture_output=True).stdout[-32:].hex()
    result = via(system, tailnet, grant, sign(system, grant, other), "--approver", public)
    assert result.returncode == 4 and "not allowed" in result.stderr, result.stderr
    assert not sources(system, grant)


def certificate(folder):
    subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "2", "-keyout",
                    str(folder / "key.pem"), "-out", str(folder / "cert.pem"), "-subj", "/CN=x", "-addext",
                    "subjectAltName=DNS:gate.ownhouse,URI:ownhouse:grant/11111111-1111-4111-8111-111111111111"], check=True, capture_output=True)
    return folder / "cert.pem", folder / "key.pem"


def test_a_stranger_on_the_tailnet_gets_no_session(system, tailnet, tmp_path):
    """A certificate of one's own making, naming a grant; or none at all."""
    own = certificate(tmp_path)
    for chain in (own, None):
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
        context.set_alpn_protocols(["ownhouse-gate/1"])
        if chain:
            context.load_cert_chain(*chain)
        with pytest.raises((ssl.SSLError, OSError)):
            with socket.create_connection((tailnet.gate, tailnet.port), 30) as raw, context.wrap_socket(raw) as tls:
                assert tls.version() == "TLSv1.3"
                assert tls.recv(100) == b""  # TLS 1.3: the refusal comes with the first read
                raise OSError("closed")


def test_an_impostor_in_the_gates_place_is_not_believed(system, tailnet, tmp_path):
    grant, approval = approved(system)
    cert, key = certificate(tmp_path)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(cert, key)
    context.set_alpn_protocols(["ownhouse-gate-open/1"])
    heard = []

    def serve(listener):
        with contextlib.suppress(OSError):
            raw, _ = listener.accept()
            raw.settimeout(30)
            with context.wrap_socket(raw, server_side=True) as tls:
                heard.append(tls.recv(1000))

    with socket.create_server((tailnet.device, 0)) as listener:
        thread = threading.Thread(target=serve, args=(listener,))
        thread.start()
        result = sql(system, grant, approval, "SELECT 1", "--via", f"{tailnet.device}:{listener.getsockname()[1]}")
        thread.join(60)
    assert result.returncode != 0 and "the gate could not be reached" in result.stderr
    assert not any(heard)


def test_silent_connections_leave_room_for_the_relay(system, tailnet):
    """The tailnet's share of slow handshakes is half of the gate's: more wait unaccepted, and the relay's sessions still come."""
    grant, approval = approved(system)
    silent = []
    tailnet.let_in()
    try:
        for _ in range(60):
            s = socket.socket()
            s.setblocking(False)
            s.connect_ex((tailnet.gate, tailnet.port))
            silent.append(s)
        wait_until("the relay's session", 60, lambda: sql(system, grant, approval, "SELECT 1").returncode == 0)
        assert control(system, {"type": "status"})["connections"] <= 32
    finally:
        for s in silent:
            s.close()
    wait_until("the tailnet again", 60, lambda: via(system, tailnet, grant, approval).returncode == 0)


def test_the_customers_revocation_ends_it(system, tailnet, session):
    assert session.ask("clickhouse.diag", "POST", "/", "SELECT 1")[0] == 200
    done = subprocess.run([str(BUILD / "src/agent/ownhouse-agent"), "revoke", "--config", str(agent_config(system)), "--grant",
                           session.grant["id"]], capture_output=True, text=True, timeout=60)
    assert done.returncode == 0 and "nothing of it is left" in done.stdout, done.stderr
    assert session.ended() == 1
    assert via(system, tailnet, session.grant, session.approval).returncode == 4


def test_the_control_planes_revocation_ends_it(system, tailnet, session):
    assert session.ask("clickhouse.diag", "POST", "/", "SELECT 1")[0] == 200
    result = system.run("access", "revoke", session.grant["id"])
    assert result.returncode == 0 and "nothing of it is left" in result.stdout, result.stderr
    assert session.ended() == 1
    found = [leaf["body"]["event"] for leaf in of_grant(system, session.grant["id"])]
    assert "result" not in found[found.index("grant-ended"):]


def test_it_ends_with_its_minutes(system, tailnet):
    grant, approval = approved(system, minutes=1)
    s = Session(system, grant, approval, "--via", tailnet.let_in())
    try:
        assert s.ask("clickhouse.diag", "POST", "/", "SELECT 1")[0] == 200
        wait_until("the grant's end", 150, lambda: s.process.poll() is not None)
    finally:
        s.stop()
    (end,) = wait_until("the record", 60, lambda: [x["body"] for x in of_grant(system, grant["id"]) if x["body"]["event"] == "grant-ended"])
    assert 60000 <= end["lastedMs"] < 75000 and "time is over" in end["why"]
    assert via(system, tailnet, grant, approval).returncode == 4


def test_the_record_holds(system, tailnet):
    wait_until("the ledger to hold", 60, lambda: system.run("ledger", "verify").returncode == 0)


def test_a_wrong_address_is_named(system):
    for wrong in ("gate", "gate:", ":8443", "gate:0", "gate:99999", "gate:84x", "fd7a::1:8443"):
        result = subprocess.run([str(OWNHOUSE), "connect", "11111111-1111-4111-8111-111111111111", "--via", wrong, "--home", str(system.home)],
                                capture_output=True, text=True)
        assert result.returncode in (2, 3), (wrong, result.stderr)
