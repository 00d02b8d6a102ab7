"""What the blueprint renders, put onto this machine without an agent: files written, references filled in, the real
HAProxy and Knot started on loopback addresses of their own, and engines in Python behind them."""
import json
import os
import pathlib
import random
import shutil
import signal
import socket
import ssl
import struct
import subprocess
import threading
import time

from waiting import PATIENCE_S, until

REPO = pathlib.Path(__file__).resolve().parents[2]
BUILD = pathlib.Path(os.environ.get("OWNHOUSE_BUILD", REPO / "build")).resolve()
RENDER = BUILD / "tests/scenario/programs/blueprint-render"
PATH = os.environ["PATH"] + ":/usr/sbin:/sbin"
DOMAIN = "laptop.test"
HASH = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"


def find(program):
    return shutil.which(program, path=PATH)


def certificate(folder, name="service"):
    """A self-signed certificate for the domain: (path, text with key)."""
    path = pathlib.Path(folder) / f"{name}-{random.randrange(10**9)}.pem"
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "2",
         "-subj", f"/CN={name}", "-addext", f"subjectAltName=DNS:*.{DOMAIN},DNS:localhost,IP:127.0.0.1",
         "-keyout", str(path) + ".key", "-out", str(path)], check=True, capture_output=True)
    text = path.read_text() + pathlib.Path(str(path) + ".key").read_text()
    return path, text


def service(number, slug, **changes):
    return {"id": f"{number:08d}-0000-4000-8000-000000000000", "name": slug, "slug": slug, "ordinal": number,
            "state": "running", "deleteData": False, "replicas": 1, "memoryGb": 1,
            "users": [{"name": "default", "sha256": HASH}], "ipAccessList": ["0.0.0.0/0", "::/0"], **changes}


class Place:
    """Workloads on 127.A.B.x: the ingress and its health port on .1, the name server on .2, the activator on .3, engine n
    on .(10 + n)."""

    def __init__(self, folder):
        self.folder = pathlib.Path(folder)
        self.net = f"127.{random.randrange(64, 250)}.{random.randrange(1, 250)}"
        self.address, self.dns_address = f"{self.net}.1", f"{self.net}.2"
        self.version = 0
        self.children = {}
        self.ca, self.pem = certificate(folder)

    def render(self, services, engine="embedded", proxy_from=(), **place):
        self.version += 1
        desired = {"type": "ownhouse/desired", "v": 1, "infrastructure": "99999999-9999-4999-8999-999999999999",
                   "version": self.version, "issuedAt": "2026-11-22T12:00:00.000Z", "domain": DOMAIN,
                   "services": services}
        env = {"publicAddress": self.address, "clientAddress": "127.0.0.1", "engine": engine,
               "servicePortBase": 20000, "servicePortCount": 50, "proxyFrom": list(proxy_from),
               "certificates": [{"name": "service", "pem": self.pem}], **place}
        out = subprocess.run([RENDER], input=json.dumps({"desired": desired, "env": env}), capture_output=True,
                             text=True, check=True)
        self.workloads = {w["name"]: w for w in json.loads(out.stdout)}
        return self

    def expand(self, workload, text):
        home = self.folder / workload["name"]
        out = text.replace("${files}", f"{home}/files").replace("${run}", f"{home}/run")
        for other in self.workloads.values():
            slot = other["slot"]  # further replicas have addresses of their own, behind those of the first
            last = slot if slot < 16 else 10 + slot // 16 if slot % 16 == 0 else 100 + slot
            for reference in ("address", "ready"):
                out = out.replace("${%s:%s}" % (reference, other["name"]), f"{self.net}.{last}")
        out = out.replace("${address}", self.address_of(workload["name"]))
        assert "${" not in out.replace("$${", "")
        return out

    def address_of(self, name):
        return {"ingress": self.address, "activator": f"{self.net}.3"}.get(name, self.dns_address)

    def write(self, name):
        workload = self.workloads[name]
        home = self.folder / name
        (home / "run").mkdir(parents=True, exist_ok=True)
        wanted = [home / "files" / file["path"] for file in workload["files"]]
        for path, file in zip(wanted, workload["files"]):  # as the runtime does: in order, each at once, then the rest goes
            path.parent.mkdir(parents=True, exist_ok=True)
            (home / "new").write_bytes(self.expand(workload, file["content"]).encode())
            (home / "new").rename(path)
        for path in (home / "files").rglob("*"):
            if path.is_file() and path not in wanted:
                path.unlink()
        return home, workload

    def start(self, name):
        home, workload = self.write(name)
        log = open(home / "log", "ab")
        program = find(workload["program"]) or BUILD / "src/agent/activator" / workload["program"]
        words = [program] + [self.expand(workload, a) for a in workload["arguments"]]
        self.children[name] = subprocess.Popen(words, cwd=home, stdout=log, stderr=log, stdin=subprocess.DEVNULL,
                                               env={"PATH": PATH}, start_new_session=True)
        port = workload["probe"]["port"]
        until(lambda: self.answers(self.address_of(name), port))
        return self

    def reload(self, name):
        """Tells it as the runtime does; and the ingress again, as the operator does, until it has taken up its files."""
        _, workload = self.write(name)
        end = time.monotonic() + 20
        while True:
            self.children[name].send_signal(workload["reloadSignal"])
            if name != "ingress":
                return
            for _ in range(20):
                if self.generation() == (self.folder / name / "files/generation").read_text():
                    return
                time.sleep(0.05)
            assert time.monotonic() < end, self.log()

    def generation(self):
        try:
            with socket.create_connection((self.address, 8404), 2) as s:
                s.sendall(b"GET /generation HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
                return read_answer(s)[2]
        except (OSError, AssertionError):
            return ""

    def log(self, name="ingress"):
        return (self.folder / name / "log").read_text()

    @staticmethod
    def answers(address, port):
        try:
            socket.create_connection((address, port), 1).close()
            return True
        except OSError:
            return False

    def engine(self, number):
        return Engine(f"{self.net}.{10 + number}")

    def stop(self):
        for child in self.children.values():
            try:
                os.killpg(child.pid, signal.SIGKILL)
            except ProcessLookupError:
                pass
            child.wait()

    # ---- clients ----

    def connect(self, port=8443, source=None, proxy=None, server_name=None):
        """A TLS connection. proxy: (address, family) told in a PROXY v2 header in front."""
        raw = socket.create_connection((self.address, port), 5, source_address=(source, 0) if source else None)
        if proxy:
            raw.sendall(proxy_v2(proxy))
        context = ssl.create_default_context(cafile=str(self.ca))
        context.check_hostname = False
        if server_name is None:
            return context.wrap_socket(raw)
        return context.wrap_socket(raw, server_hostname=server_name)

    def get(self, slug, path="/echo", port=8443, source=None, proxy=None, headers=(), sni=True, body=None):
        """(status, headers, body) of one request."""
        host = slug if "." in slug else f"{slug}.{DOMAIN}"
        with self.connect(port, source, proxy, host if sni else None) as s:
            lines = [f"{'GET' if body is None else 'POST'} {path} HTTP/1.1", f"Host: {host}", "Connection: close"]
            if body is not None:
                lines.append(f"Content-Length: {len(body)}")
            s.sendall("\r\n".join([*lines, *headers, "", ""]).encode() + (body or b""))
            return read_answer(s)


def proxy_v2(address):
    """PROXY protocol version 2, section 2.2: the client's address, port 1111, to port 8443."""
    if ":" in address:
        body = socket.inet_pton(socket.AF_INET6, address) + socket.inet_pton(socket.AF_INET6, "::1")
        family = 0x21
    else:
        body = socket.inet_aton(address) + socket.inet_aton("127.0.0.1")
        family = 0x11
    body += struct.pack("!HH", 1111, 8443)
    return b"\r\n\r\n\0\r\nQUIT\n" + bytes([0x21, family]) + struct.pack("!H", len(body)) + body


def read_answer(s):
    data = b""
    while True:
        part = s.recv(65536)
        if not part:
            break
        data += part
    head, _, body = data.partition(b"\r\n\r\n")
    assert head, "no answer"
    lines = head.decode().split("\r\n")
    headers = {k.strip().lower(): v.strip() for k, v in (line.split(":", 1) for line in lines[1:])}
    return int(lines[0].split()[1]), headers, body.decode()


class Engine:
    """An HTTP server that says who asked it: /ping, /echo, /rows (three rows, each once .more is
    released), /long (until the client leaves), /count (bytes of the body)."""

    def __init__(self, address, port=8123):
        self.address, self.left, self.more = address, threading.Event(), threading.Semaphore(0)
        self.listener = socket.create_server((address, port))
        threading.Thread(target=self.accept, daemon=True).start()

    def accept(self):
        while True:
            try:
                client, _ = self.listener.accept()
            except OSError:
                return
            threading.Thread(target=self.serve, args=(client,), daemon=True).start()

    def serve(self, client):
        try:
            with client:
                self.answer(client)
        except OSError:
            pass

    def answer(self, client):
        head = b""
        while b"\r\n\r\n" not in head:
            part = client.recv(65536)
            if not part:
                return
            head += part
        head, _, rest = head.partition(b"\r\n\r\n")
        lines = head.decode().split("\r\n")
        path = lines[0].split()[1].split("?")[0]
        say = lambda text: client.sendall(  # noqa: E731
            b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: %d\r\n\r\n%s" % (len(text), text))
        if path == "/ping":
            say(b"Ok.\n")
        elif path == "/rows":
            client.sendall(b"HTTP/1.1 200 OK\r\nConnection: close\r\nTransfer-Encoding: chunked\r\n\r\n")
            for i in range(3):
                assert self.more.acquire(timeout=PATIENCE_S)
                client.sendall(b"4\r\nrow%d\r\n" % i)
            client.sendall(b"0\r\n\r\n")
        elif path == "/long":
            client.settimeout(10)
            try:
                if not client.recv(1):
                    self.left.set()
            except ConnectionResetError:
                self.left.set()
        elif path == "/count":
            length = next(int(line.split(":")[1]) for line in lines if line.lower().startswith("content-length"))
            n = len(rest)
            while n < length:
                n += len(client.recv(1 << 20))
            say(b"%d\n" % n)
        else:
            say(("\n".join([self.address, *lines[1:]]) + "\n").encode())

    def close(self):
        self.listener.shutdown(socket.SHUT_RDWR)
        self.listener.close()
