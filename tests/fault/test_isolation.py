"""The network of a whole system as `up` made it, tried by connecting: from another host on the data plane's network,
from inside the data plane, and with the control plane gone."""
import contextlib
import http.client
import os
import random
import resource
import signal
import socket
import ssl
import struct
import subprocess
import time

import pytest

from full_system import IS_ROOT, free_ports, tool, wait_until
from parts import CONTROL, parts
from test_local_network import PROXY_V2, connects, inside, listeners

pytestmark = pytest.mark.skipif(not IS_ROOT, reason="skipped: root not available, which network namespaces need")
NETWORK_ERRORS = (OSError, http.client.HTTPException)


def call(system, method, path, body=None):
    status, answer = system.api(method, path, body)
    assert status == 200, answer
    return answer.get("result")


def agent_conf(system):
    text = (system.home / "accounts/laptop/laptop/agent/agent.conf").read_text()
    return dict(line.split(" = ", 1) for line in text.splitlines() if " = " in line)


@pytest.fixture(scope="module")
def place(system):
    """Addresses of the data plane and its gateway, and a namespace that is another host on their network."""
    conf, tag = agent_conf(system), system.infrastructure[:8]
    gateway, name = conf["proxy_from"], f"oht-{tag}"
    address = gateway.rsplit(".", 1)[0] + ".77"
    for line in (f"ip netns add {name}", f"ip link add {name} type veth peer name eth0 netns {name}",
                 f"ip link set {name} master ohb-{tag} up", f"ip -n {name} addr add {address}/24 dev eth0",
                 f"ip -n {name} link set eth0 up", f"ip -n {name} link set lo up"):
        subprocess.run(line.split(), check=True)
    yield {"data": conf["public_address"], "gateway": gateway, "netns": name, "third": address}
    tool("ip", "netns", "delete", name)
    tool("ip", "link", "delete", name)


def scan(netns, address, ports, at_once=4000):
    """The ports that take a connection from inside that namespace."""
    def work():
        found = []
        for start in range(0, len(ports), at_once):
            sockets = {}
            for port in ports[start:start + at_once]:
                s = socket.socket()
                s.setblocking(False)
                s.connect_ex((address, port))
                sockets[s] = port
            time.sleep(1.0)
            for s, port in sockets.items():
                with contextlib.suppress(OSError):
                    s.getpeername()
                    found.append(port)
                s.close()
        return found
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(hard, at_once + 1000), hard))
    try:
        return inside(netns, work)
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


def test_another_host_finds_every_port_closed_but_the_ingress(system, place):
    own, = [s["ownhouse"]["localPort"] for s in call(system, "GET", "/services")]
    published = {8443, 9440, *range(system.service_port_base + 1, system.service_port_base + 21)}
    # Listeners that nobody published: only the network keeps them from being reached.
    loud = [p for p in (22, 80, 443, 8124, 9000, 9009, *random.sample(range(30000, 60000), 5))
            if p not in published]
    open_ = inside(system.netns, lambda: listeners("0.0.0.0", loud))
    try:
        assert set(loud) | {8443, own} <= set(scan(system.netns, place["data"], [*loud, 8443, own]))
        assert set(scan(place["netns"], place["data"], list(range(1, 65536)))) == {8443, own}
    finally:
        for s in open_:
            s.close()


def through_third(system, place, header=b""):
    """Status of a query from the other host straight to the ingress, the connection begun with these bytes; None when
    it is not answered as HTTPS."""
    def work():
        context = ssl.create_default_context(cafile=str(system.customer / "ca.pem"))
        with contextlib.suppress(*NETWORK_ERRORS):
            raw = socket.create_connection((place["data"], 8443), timeout=5)
            raw.sendall(header)
            name = "demo.laptop.ownhouse.localhost"
            connection = http.client.HTTPSConnection(name)
            connection.sock = context.wrap_socket(raw, server_hostname=name)
            connection.request("GET", "/?query=SELECT+1", headers={"X-ClickHouse-User": "default",
                                                                   "X-ClickHouse-Key": system.password()})
            with connection.getresponse() as response:
                return response.status
        return None
    return inside(place["netns"], work)


def proxied_as(source, place):
    """A PROXY v2 header that says that the client is `source`."""
    body = socket.inet_aton(source) + socket.inet_aton(place["data"]) + struct.pack("!HH", 1234, 8443)
    return PROXY_V2 + b"\x21\x11" + struct.pack("!H", len(body)) + body


def test_another_host_cannot_claim_an_address(system, place):
    service, = call(system, "GET", "/services")
    path, own = f"/services/{service['id']}", [{"source": e["source"]} for e in service["ipAccessList"]]
    assert through_third(system, place) == 200
    call(system, "PATCH", path, {"ipAccessList": {"add": [{"source": "192.0.2.0/24"}], "remove": own}})
    try:
        wait_until("the list to be in force", 20, lambda: system.query("SELECT 1").status == 403)
        assert through_third(system, place) == 403
        assert through_third(system, place, proxied_as("192.0.2.7", place)) != 200
        # Its own true address it may have.
        call(system, "PATCH", path, {"ipAccessList": {"add": [{"source": place["third"] + "/32"}]}})
        wait_until("its true address", 20, lambda: through_third(system, place) == 200)
    finally:
        call(system, "PATCH", path, {"ipAccessList": {"add": own}})
    wait_until("the old list", 20, lambda: system.query("SELECT 1").status == 200)


def test_from_inside_nothing_can_be_reached_but_the_gateway(system, place):
    everywhere = listeners("0.0.0.0", [free_ports(1)])[0]
    port = everywhere.getsockname()[1]
    neighbour = inside(place["netns"], lambda: listeners("0.0.0.0", [443, port]))
    host = [a for a in tool("hostname", "-I").split() if "." in a]
    targets = [(a, p) for a in {*host, place["gateway"], "127.0.0.1"}
               for p in (port, system.port, system.ingress_port, 22, 53)]
    targets += [(place["third"], 443), (place["third"], port), ("192.0.2.1", 443), ("9.9.9.9", 443), ("9.9.9.9", 53)]
    try:
        # They can be reached, from elsewhere.
        assert all(connects(a, port) for a in {*host, "127.0.0.1"}) and connects("127.0.0.1", system.port)
        assert inside(place["netns"], lambda: connects(place["third"], 443) and connects(place["third"], port))
        assert inside(system.netns, lambda: [t for t in targets if connects(*t, timeout=0.3)]) == []
    finally:
        for s in (everywhere, *neighbour):
            s.close()

    def gateway():
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
        context.set_alpn_protocols(["ownhouse-link/1"])
        with socket.create_connection((place["gateway"], 443), timeout=5) as raw, context.wrap_socket(raw) as tls:
            return tls.version(), tls.selected_alpn_protocol()
    assert inside(system.netns, gateway) == ("TLSv1.3", "ownhouse-link/1")
    with pytest.raises(NETWORK_ERRORS):
        inside(place["netns"], gateway)


def answers(system):
    try:
        return system.query("SELECT 1", timeout=5).text.strip() == "1"
    except NETWORK_ERRORS:
        return False


def link_is_connected(system):
    agents = [a for i in system.ok("status")["infrastructures"] for a in i["agents"] if a["state"] == "enrolled"]
    return bool(agents) and all(a["connected"] for a in agents)


def test_the_data_plane_lives_alone_and_what_was_acknowledged_is_done_later(system):
    made = call(system, "POST", "/services", {"name": "later", "provider": "local", "region": "local"})["service"]
    path = f"/services/{made['id']}"
    wait_until("running", 60, lambda: call(system, "GET", path)["state"] == "running")
    call(system, "PATCH", path + "/state", {"command": "stop"})
    for part in CONTROL:
        for pid in parts(system).get(part, []):
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
    wait_until("the control plane to be gone", 20, lambda: not set(CONTROL) & set(parts(system)))
    assert answers(system)
    ends = time.monotonic() + (180 if os.environ.get("OWNHOUSE_TEST_LONG") else 10)
    while time.monotonic() < ends:
        for part in ("database", "ingress worker", "operator", "load balancer worker"):
            for pid in wait_until(f"the {part}", 45, lambda: parts(system).get(part)):
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
            wait_until(f"an answer after {part} was killed", 45, lambda: answers(system))
        time.sleep(2)
    assert not set(CONTROL) & set(parts(system))
    system.up()
    wait_until("the link", 70, lambda: link_is_connected(system))
    wait_until("stopped", 60, lambda: call(system, "GET", path)["state"] == "stopped")
    wait_until("one database", 20, lambda: len(parts(system).get("database", [])) == 1)
    assert answers(system)
    call(system, "DELETE", path + "?deleteData=true")
    wait_until("deleted", 60, lambda: system.api("GET", path)[0] == 404)
