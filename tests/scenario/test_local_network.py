"""The local cloud, looked at from outside: who can connect to what, what comes back after it was killed, what is left after
removal. Nothing here reads rules; everything connects. The data plane's programs are stood in for by listeners, the agent's
`run` by a sleeping process; supervisor, load balancer and gateway are the real ones."""
import contextlib
import ctypes
import json
import os
import pathlib
import random
import shutil
import signal
import socket
import struct
import subprocess
import sys
import tempfile
import threading
import time
import uuid

import pytest

from full_system import BUILD, IS_ROOT, free_ports, free_range, processes, tool, wait_until

PROGRAM = BUILD / "tests/scenario/programs/local-infra"
AGENT = BUILD / "src/agent/ownhouse-agent"
root_only = pytest.mark.skipif(not IS_ROOT, reason="skipped: not root")
LIBC = ctypes.CDLL(None, use_errno=True)
CLONE_NEWNET = 0x40000000
PROXY_V2 = b"\r\n\r\n\0\r\nQUIT\n"


def inside(netns, work):
    """Runs work() on a thread that is inside the network namespace; its answer or exception."""
    box = {}

    def run():
        fd = os.open(f"/run/netns/{netns}", os.O_RDONLY)
        try:
            if LIBC.setns(fd, CLONE_NEWNET):
                raise OSError(ctypes.get_errno(), "setns")
            box["answer"] = work()
        except BaseException as problem:  # handed to the caller's thread
            box["problem"] = problem
        finally:
            os.close(fd)

    thread = threading.Thread(target=run)
    thread.start()
    thread.join()
    if "problem" in box:
        raise box["problem"]
    return box["answer"]


def connects(address, port, source=None, timeout=0.7):
    with socket.socket() as s:
        s.settimeout(timeout)
        try:
            if source:
                s.bind((source, 0))
            s.connect((address, port))
            return True
        except OSError:
            return False


def listeners(address, ports):
    """Sockets that take connections and never answer."""
    made = []
    for port in ports:
        s = socket.socket()
        s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        s.bind((address, port))
        s.listen(64)
        made.append(s)
    return made


def read_proxy(listener, timeout=5):
    """Accepts one connection and gives (source address of its PROXY v2 header, first bytes after it)."""
    listener.settimeout(timeout)
    connection, _ = listener.accept()
    with connection:
        connection.settimeout(timeout)
        data = b""
        while len(data) < 16 or len(data) < 16 + struct.unpack("!H", data[14:16])[0] + 5:
            more = connection.recv(4096)
            assert more, f"closed after {data!r}"
            data += more
        assert data.startswith(PROXY_V2) and data[12] == 0x21 and data[13] == 0x11, data
        length = struct.unpack("!H", data[14:16])[0]
        return socket.inet_ntoa(data[16:20]), data[16 + length:]


class Infra:
    """One scratch infrastructure with a random id."""

    def __init__(self, isolated, outbound=()):
        self.dir = pathlib.Path(tempfile.mkdtemp(prefix="ownhouse-infra-"))
        self.id = str(uuid.uuid4())
        base = free_ports(12)
        self.https, self.native, self.services = base, base + 1, [base + 2 + i for i in range(4)]
        agent = self.dir / "agent.sh"
        # The real supervisor under the name it was started by; only the agent itself is left out.
        agent.write_text(f'#!/bin/bash\n[ "$1" = supervise ] && exec -a "$0" {AGENT} "$@"\nexec sleep 100000\n')
        agent.chmod(0o755)
        (self.dir / "bundle.json").write_text("{}")
        (self.dir / "control/run").mkdir(parents=True)
        self.front = socket.socket(socket.AF_UNIX)
        self.front.bind(str(self.dir / "control/run/front.sock"))
        self.front.listen(64)
        self.env = {"infrastructure": self.id, "name": "home", "domain": "laptop.ownhouse.localhost",
                    "account_dir": str(self.dir / "account"), "cidr": free_range(),
                    "isolated": isolated, "https_port": self.https, "native_port": self.native,
                    "service_port_base": self.services[0] - 1, "service_port_count": len(self.services),
                    "control_state_dir": str(self.dir / "control"), "control_address": "127.0.0.1:1",
                    "bundle": str(self.dir / "bundle.json"), "agent_program": str(agent),
                    "haproxy_program": shutil.which("haproxy", path=os.environ["PATH"] + ":/usr/sbin"),
                    "clickhouse_program": "/bin/true", "outbound": list(outbound)}
        self.write()

    def write(self):
        (self.dir / "env.json").write_text(json.dumps(self.env))

    def start(self, verb):
        return subprocess.Popen([PROGRAM, verb, self.dir], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)

    def try_(self, verb):
        return subprocess.run([PROGRAM, verb, self.dir], capture_output=True, text=True, timeout=120)

    def do(self, verb):
        result = self.try_(verb)
        assert result.returncode == 0, f"{verb}: {result.stderr}{self.logs()}"
        return json.loads(result.stdout) if result.stdout else None

    def logs(self):
        out = ""
        for path in self.dir.glob("account/home/machine/**/*.log*"):
            if path.is_file():
                out += f"--- {path}\n" + "\n".join(path.read_text(errors="replace").splitlines()[-8:]) + "\n"
        return out

    def changes(self):
        return {c["resource"]: c["action"] for c in self.do("plan")["changes"] if c["action"] != "none"}

    @property
    def tag(self):
        return self.id[:8]

    @property
    def netns(self):
        return "oh-" + self.tag

    def conf(self):
        text = (self.dir / "account/home/agent/agent.conf").read_text()
        return dict(line.split(" = ", 1) for line in text.splitlines() if " = " in line)

    @property
    def address(self):
        return self.conf()["public_address"]

    @property
    def gateway(self):
        return self.conf()["proxy_from"]

    def processes(self):
        mark = b"OWNHOUSE_INFRASTRUCTURE=" + self.id.encode()
        return [(pid, command) for pid, environ, command in processes() if mark in environ]

    def left(self):
        """All that the machine still has of it, apart from its folder."""
        found = [f"process {p}" for p in self.processes()]
        for what, words in (("namespace", ("ip", "netns", "list")), ("device", ("ip", "-o", "link")),
                            ("table", ("nft", "list", "tables"))):
            if self.tag in tool(*words):
                found.append(what)
        return found

    def close(self):
        self.front.close()
        for pid, _ in self.processes():
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        for words in (("ip", "netns", "delete", self.netns), ("ip", "link", "delete", "ohb-" + self.tag),
                      ("ip", "link", "delete", "ohv-" + self.tag), ("nft", "delete", "table", "bridge", "oh_" + self.tag)):
            tool(*words)
        shutil.rmtree(self.dir, ignore_errors=True)


@pytest.fixture
def infra(request):
    made = Infra(**getattr(request, "param", {"isolated": IS_ROOT}))
    yield made
    made.close()


@pytest.fixture
def third(infra):
    """Another host on the data plane's network: a namespace of its own with a cable to the bridge. (name, address)"""
    infra.do("apply")
    name = f"oht-{infra.tag}"
    address = infra.gateway.rsplit(".", 1)[0] + ".77"
    for line in (f"ip netns add {name}", f"ip link add oht-{infra.tag} type veth peer name eth0 netns {name}",
                 f"ip link set oht-{infra.tag} master ohb-{infra.tag} up", f"ip -n {name} addr add {address}/24 dev eth0",
                 f"ip -n {name} link set eth0 up", f"ip -n {name} link set lo up"):
        subprocess.run(line.split(), check=True)
    yield name, address
    tool("ip", "netns", "delete", name)


@root_only
def test_only_the_published_ports_can_be_reached(infra, third):
    name, _ = third
    published = [8443, 9440, *infra.services]
    tempting = [21, 22, 25, 53, 80, 111, 443, 3306, 5432, 8080, 8123, 9000, 9009, 9100, 9181, 9363, 20001, 65535]
    tempting += [p for p in (8442, 8444, 9439, 9441, infra.services[0] - 1, infra.services[-1] + 1)]
    open_ = inside(infra.netns, lambda: listeners("0.0.0.0", published + tempting))
    try:
        # They do listen: from inside all of them answer.
        assert all(inside(infra.netns, lambda: [connects(infra.address, p) for p in published + tempting]))
        for port in published:
            assert inside(name, lambda: connects(infra.address, port)), f"published port {port}"
            assert connects(infra.address, port), f"published port {port}, from the host"
        many = tempting + random.sample(range(1, 65536), 40)
        if os.environ.get("OWNHOUSE_TEST_LONG"):
            many = list(range(1, 65536))
        closed = [p for p in many if p not in published]
        assert scan(name, infra.address, closed) == []
        assert scan(None, infra.address, closed) == []
    finally:
        for s in open_:
            s.close()


def scan(netns, address, ports):
    """The ports that answer, tried at once, 500 at a time."""
    def work():
        found = []
        for start in range(0, len(ports), 500):
            sockets = {}
            for port in ports[start:start + 500]:
                s = socket.socket()
                s.setblocking(False)
                s.connect_ex((address, port))
                sockets[s] = port
            time.sleep(1.0)
            for s, port in sockets.items():
                try:
                    s.getpeername()
                    found.append(port)
                except OSError:
                    pass
                s.close()
        return found
    return inside(netns, work) if netns else work()


@root_only
def test_the_load_balancer_says_who_the_client_is(infra, third):
    for outside, within in ((infra.https, 8443), (infra.native, 9440), (infra.services[2], infra.services[2])):
        listener = inside(infra.netns, lambda: listeners(infra.address, [within])[0])
        with listener, socket.create_connection(("127.0.0.1", outside), timeout=5) as client:
            client.sendall(b"hello")
            assert read_proxy(listener) == ("127.0.0.1", b"hello")


@root_only
def test_out_goes_only_to_the_gateway(infra, third):
    name, third_address = third
    host = tool("hostname", "-I").split()
    somebody = inside(name, lambda: listeners("0.0.0.0", [443, 9000]))
    mine = listeners("0.0.0.0", [free_ports(1)])
    port = mine[0].getsockname()[1]
    try:
        def outbound():
            refused = {"other host 443": connects(third_address, 443), "other host": connects(third_address, 9000),
                       "host by gateway": connects(infra.gateway, port), "host ssh": connects(infra.gateway, 22),
                       "internet": connects("192.0.2.123", 443), "public": connects("9.9.9.9", 443)}
            for address in host:
                if "." in address:
                    refused[f"host {address}"] = connects(address, port)
            for target in ((infra.gateway, 53), (infra.gateway, 443), ("9.9.9.9", 53)):
                with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as u:
                    try:
                        u.sendto(b"x", target)
                        refused[f"datagram {target}"] = True
                    except OSError:
                        refused[f"datagram {target}"] = False
            return [what for what, reached in refused.items() if reached]

        assert inside(infra.netns, outbound) == []

        def through():
            s = socket.create_connection((infra.gateway, 443), timeout=5)
            s.sendall(b"hello")
            return s
        with inside(infra.netns, through):
            assert read_proxy(infra.front) == (infra.address, b"hello")

        # Another host on the same network has no use of the way out.
        def alien():
            try:
                with socket.create_connection((infra.gateway, 443), timeout=1) as s:
                    s.sendall(b"hello")
                    return s.recv(1) != b""
            except OSError:
                return False
        assert not inside(name, alien)
        infra.front.settimeout(0.5)
        with pytest.raises(TimeoutError):
            infra.front.accept()
    finally:
        for s in somebody + mine:
            s.close()


@root_only
def test_a_listed_target_can_be_reached_and_nothing_beside_it():
    address = next(a for a in tool("hostname", "-I").split() if "." in a)
    base = free_ports(2)
    infra = Infra(True, outbound=[f"{address}:{base}"])
    mine = listeners(address, [base, base + 1])
    try:
        infra.do("apply")
        assert infra.changes() == {}

        def use():
            s = socket.create_connection((address, base), timeout=5)
            s.sendall(b"hello")
            return s
        with inside(infra.netns, use):
            mine[0].settimeout(5)
            connection, _ = mine[0].accept()
            with connection:
                assert connection.recv(5) == b"hello"
        assert not inside(infra.netns, lambda: connects(address, base + 1))
        # The list is changed in place.
        infra.env["outbound"] = []
        infra.write()
        assert set(infra.changes()) == {"local_interface.main", "local_firewall.main", "local_egress_gateway.main"}
        infra.do("apply")
        assert not inside(infra.netns, lambda: connects(address, base))
        infra.do("purge")
        assert infra.left() == []
    finally:
        for s in mine:
            s.close()
        infra.close()


@root_only
def test_nobody_else_can_speak_for_the_gateway_or_the_data_plane(infra, third):
    name, _ = third
    bridge_mac = pathlib.Path(f"/sys/class/net/ohb-{infra.tag}/address").read_text().strip()

    def neighbour():
        return tool("ip", "-n", infra.netns, "neigh", "show", infra.gateway)

    def reach():
        with socket.create_connection((infra.gateway, 443), timeout=3):
            return True
    assert inside(infra.netns, reach)
    assert bridge_mac in neighbour()

    def spoof():
        """Says, by ARP, that the gateway and the data plane are here."""
        mac = pathlib.Path("/sys/class/net/eth0/address")
        own = subprocess.run(["ip", "netns", "exec", name, "cat", str(mac)], capture_output=True, text=True).stdout.strip()
        own = bytes.fromhex(own.replace(":", ""))
        with socket.socket(socket.AF_PACKET, socket.SOCK_RAW) as s:
            s.bind(("eth0", 0))
            for sender in (infra.gateway, infra.address):
                for op in (1, 2):
                    for target in (infra.gateway, infra.address):
                        s.send(b"\xff" * 6 + own + b"\x08\x06" + struct.pack("!HHBBH", 1, 0x0800, 6, 4, op) + own +
                               socket.inet_aton(sender) + b"\0" * 6 + socket.inet_aton(target))
        return True
    assert inside(name, spoof)
    time.sleep(0.3)
    assert bridge_mac in neighbour()
    assert inside(infra.netns, reach)
    listener = inside(infra.netns, lambda: listeners(infra.address, [8443])[0])
    with listener:
        assert connects(infra.address, 8443)
        subprocess.run(["ip", "-n", name, "addr", "add", f"{infra.gateway}/32", "dev", "lo"], check=True)
        assert not inside(name, lambda: connects(infra.address, 8443, source=infra.gateway))


@pytest.mark.parametrize("infra", [pytest.param({"isolated": True}, marks=root_only, id="isolated"),
                                   pytest.param({"isolated": False}, id="loopback")], indirect=True)
def test_made_once_kept_alive_and_gone_without_a_trace(infra):
    plan = infra.do("plan")
    assert bool(plan["notes"]) == (not infra.env["isolated"])
    infra.do("preflight")
    infra.do("apply")
    assert infra.changes() == {}
    before = infra.processes()
    infra.do("apply")
    assert infra.processes() == before
    infra.do("preflight")  # its own ports are no obstacle
    assert connects("127.0.0.1", infra.https)
    token = infra.dir / "account/home/agent/enrolment-token"
    assert token.stat().st_mode & 0o777 == 0o600

    # Whatever is killed comes back, one by one and all at once.
    for victims in [[p] for p in before] + [before]:
        for pid, _ in victims:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        # What its supervisor is still noticing looks well for a moment: ask for both.
        wait_until("everything runs again", 40, lambda: infra.try_("apply").returncode == 0 and infra.changes() == {} and
                   connects("127.0.0.1", infra.https), 0.3)
    wait_until("all processes", 10, lambda: len(infra.processes()) == len(before))
    names = sorted(c.split()[0].rsplit("/", 1)[-1] for _, c in infra.processes())
    assert names == sorted(c.split()[0].rsplit("/", 1)[-1] for _, c in before)

    bucket = infra.dir / "account/home/buckets/data"
    (bucket / "precious").write_text("x")
    result = infra.do("remove")
    assert {left["resource"] for left in result["leftovers"]} == {"local_bucket.data", "local_bucket.backups",
                                                                  "local_bucket.ledger", "local_disk.agent"}
    assert infra.left() == []
    assert (bucket / "precious").exists() and not token.exists()
    infra.do("purge")
    assert [str(p) for p in (infra.dir / "account").rglob("*") if p.is_file()] == []
    assert json.loads((infra.dir / "state.json").read_text())["records"] == {}


@pytest.mark.parametrize("infra", [pytest.param({"isolated": True}, marks=root_only, id="isolated"),
                                   pytest.param({"isolated": False}, id="loopback")], indirect=True)
def test_killed_at_any_point_it_goes_on(infra):
    """kill -9 of whoever applies or removes, at random, then once more to the end."""
    seed = int(os.environ.get("OWNHOUSE_TEST_SEED", "0")) or random.randrange(1, 1 << 30)
    print("seed", seed)
    dice = random.Random(seed)
    for _ in range(20 if os.environ.get("OWNHOUSE_TEST_LONG") else 4):
        for verb in ("apply", "purge"):
            for _ in range(3):
                victim = infra.start(verb)
                time.sleep(dice.random() * 0.8)
                victim.kill()
                victim.communicate()
            infra.do(verb)
            if verb == "apply":
                assert infra.changes() == {}
                kinds = [c for _, c in infra.processes() if "supervise --dir" in c]
                assert len(kinds) == 1, kinds
        assert infra.left() == []
        assert json.loads((infra.dir / "state.json").read_text())["records"] == {}


@root_only
def test_after_a_reboot_all_comes_back(infra):
    infra.do("apply")
    for pid, _ in infra.processes():
        os.kill(pid, signal.SIGKILL)
    for words in (("ip", "netns", "delete", infra.netns), ("ip", "link", "delete", "ohb-" + infra.tag),
                  ("nft", "delete", "table", "bridge", "oh_" + infra.tag)):
        tool(*words)
    wait_until("the cable is gone", 5, lambda: infra.tag not in tool("ip", "-o", "link"))
    infra.do("apply")
    assert infra.changes() == {}
    listener = inside(infra.netns, lambda: listeners(infra.address, [8443])[0])
    with listener, socket.create_connection(("127.0.0.1", infra.https), timeout=5) as client:
        client.sendall(b"hello")
        assert read_proxy(listener) == ("127.0.0.1", b"hello")
    infra.do("purge")
    assert infra.left() == []


@pytest.mark.parametrize("infra", [{"isolated": IS_ROOT}], indirect=True)
def test_new_settings_reach_the_agent_alone(infra):
    infra.do("apply")
    before = dict(infra.processes())
    infra.env["log_level"] = "debug"
    infra.write()
    assert infra.changes() == {"local_host.agent": "change"}
    infra.do("apply")
    assert infra.changes() == {} and infra.conf()["log_level"] == "debug"
    gone = [command for pid, command in before.items() if pid not in dict(infra.processes())]
    assert gone == ["sleep 100000"]


@pytest.mark.parametrize("infra", [{"isolated": IS_ROOT}], indirect=True)
def test_obstacles_are_named(infra):
    with socket.socket() as s:
        s.bind(("127.0.0.1", infra.services[1]))
        s.listen()
        said = infra.try_("preflight").stderr
        assert f"port {infra.services[1]} is taken by" in said and f"(process {os.getpid()})" in said
    if IS_ROOT:
        route = next(line.split()[0] for line in tool("ip", "-4", "route").splitlines() if line[0].isdigit())
        infra.env["cidr"] = route
        infra.write()
        assert "overlaps the route" in infra.try_("preflight").stderr
        infra.env["cidr"] = "10.99.0.0/16"
    infra.env["haproxy_program"] = "/nowhere/haproxy"
    infra.write()
    assert "haproxy_program: cannot run /nowhere/haproxy" in infra.try_("preflight").stderr
    infra.env.update(haproxy_program="/usr/sbin/haproxy", account_dir="/proc/nowhere")
    infra.write()
    assert "account_dir:" in infra.try_("preflight").stderr
