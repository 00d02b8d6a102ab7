"""A service in a cluster that sleeps: nothing of it runs, its disk stays, and a connection held by the activator brings it back. The
activator here is the real program, at its pod's address on the loopback device; in place of ClickHouse a server of ours answers."""
import http.server
import json
import os
import signal
import socket
import struct
import subprocess
import threading

import pytest

from agent import service
from cluster import BUILD, NAMESPACE
from link_parts import wait_until

ACTIVATOR = BUILD / "src/agent/activator/ownhouse-activator"
ENGINE = f"127.{1 + os.getpid() % 200}.{1 + os.getpid() // 200 % 200}.9"


class Engine(http.server.BaseHTTPRequestHandler):
    def log_message(self, *words):
        pass

    def do_GET(self):
        body = b"Ok.\n" if self.path == "/ping" else b"awake\n"
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.send_header("Connection", "close")
        self.end_headers()
        self.wfile.write(body)


def front(cluster):
    o = cluster.admin.get(f"/apis/apps/v1/namespaces/{NAMESPACE}/deployments/ingress")
    return o["metadata"]["uid"], o["metadata"]["generation"]


def activator_pod(cluster, agent):
    for p in cluster.ours(f"/api/v1/namespaces/{NAMESPACE}/pods", agent.infrastructure):
        if p["metadata"]["labels"].get("ownhouse/workload") == "activator" and p["status"].get("podIP"):
            return p["status"]["podIP"]
    return None


@pytest.fixture
def sleeper(agent, cluster, tmp_path):
    s = service(idle={"minutes": 5})
    agent.want(s)
    agent.until(s["id"], "running")
    ip = wait_until("the activator's pod", 60, lambda: activator_pod(cluster, agent))
    added = subprocess.run(["ip", "address", "add", f"{ip}/32", "dev", "lo"], capture_output=True, text=True)
    if added.returncode and "exists" not in added.stderr:
        pytest.skip("skipped: addresses on the loopback device cannot be set here")
    table = tmp_path / "activator/files/services"
    table.parent.mkdir(parents=True)
    table.write_text(f"1 demo {ENGINE}\n")
    child = subprocess.Popen([ACTIVATOR, "--listen", ip, "--table", table, "--hold", "180"], stdin=subprocess.DEVNULL)
    try:
        wait_until("the activator", 30, lambda: answers(ip))
        yield agent, s, ip
    finally:
        child.kill()
        child.wait()
        subprocess.run(["ip", "address", "del", f"{ip}/32", "dev", "lo"], capture_output=True)


def connect(ip, port):
    return socket.create_connection((ip, port), 180)


def answers(ip):
    try:
        connect(ip, 8127).close()
        return True
    except OSError:
        return False


def sleep(agent, s):
    """As the agent remembers it: five minutes are too long for a test."""
    path = wait_until("the agent's notes", 30, lambda: next(agent.home.rglob("idle.json"), None))
    agent.stop()
    path.write_text(json.dumps({s["id"]: {"asleep": True, "awakeMs": 0}}))
    agent.start()
    agent.until(s["id"], "idle")
    wait_until("no pod", 60, lambda: agent.pod(s) is None and agent.set(s)["spec"]["replicas"] == 0)


def held(ip):
    """A connection as the ingress makes it: the destination port is the service's ordinal."""
    c = connect(ip, 8125)
    head = b"\r\n\r\n\0\r\nQUIT\n" + b"\x21\x11" + struct.pack(">H4s4sHH", 12, b"\xc0\0\2\1", b"\xc0\0\2\2", 40000, 1)
    c.sendall(head + b"GET /x HTTP/1.1\r\nHost: demo\r\nConnection: close\r\n\r\n")
    return c


def test_a_held_connection_brings_the_pod_back(sleeper, cluster):
    agent, s, ip = sleeper
    claim = cluster.admin.get(f"/api/v1/namespaces/{agent.namespace(s)}/persistentvolumeclaims/data-{agent.workload(s)}")
    before = front(cluster)
    sleep(agent, s)
    with held(ip) as c:
        # Killed while it wakes: the next one hears at once who is waited for.
        os.kill(wait_until("the operator", 30, agent.operator_pid), signal.SIGKILL)
        wait_until("the pod", 120, lambda: (agent.pod(s) or {}).get("status", {}).get("phase") == "Running")
        server = http.server.ThreadingHTTPServer((ENGINE, 8123), Engine)
        threading.Thread(target=server.serve_forever, daemon=True).start()
        answer = b""
        while part := c.recv(65536):
            answer += part
        server.shutdown()
        server.server_close()
        assert answer.startswith(b"HTTP/1.") and b" 200 " in answer and answer.endswith(b"awake\n"), answer
    agent.until(s["id"], "running")
    # The ingress was not touched, and it is the same disk.
    assert front(cluster) == before
    again = cluster.admin.get(f"/api/v1/namespaces/{agent.namespace(s)}/persistentvolumeclaims/data-{agent.workload(s)}")
    assert again["metadata"]["uid"] == claim["metadata"]["uid"]


def test_a_request_to_wake_brings_it_back_and_one_that_may_sleep_no_more_has_no_activator(sleeper, cluster):
    agent, s, _ = sleeper
    sleep(agent, s)
    s["idle"] = {"minutes": 5, "awakeAsked": 7}
    agent.want(s)
    agent.until(s["id"], "running")
    del s["idle"]
    agent.want(s)
    path = f"/apis/apps/v1/namespaces/{NAMESPACE}/deployments/activator"
    wait_until("no activator", 120, lambda: cluster.admin.get(path) is None)
    agent.until(s["id"], "running")
