"""The link's two ends for tests: a control plane of signer, link role and HAProxy, and agents of enrolment and link. The test
plays API and controller by writing rows, and the operator's place is taken by checks of signature and version alone."""
import hashlib
import json
import os
import pathlib
import queue
import random
import secrets
import shutil
import signal
import socket
import sqlite3
import ssl
import struct
import subprocess
import threading
import time
import uuid

from waiting import wait_until

TOP = pathlib.Path(__file__).resolve().parents[2]
BUILD = pathlib.Path(os.environ.get("OWNHOUSE_BUILD", TOP / "build")).resolve()
CONTROL = BUILD / "tests/scenario/programs/link-control"
AGENT = BUILD / "tests/scenario/programs/link-agent"
HOUR = 3600


def free_port():
    for _ in range(200):
        port = random.randrange(10000, 30000)
        with socket.socket() as s:
            s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                s.bind(("127.0.0.1", port))
            except OSError:
                continue
            return port
    raise RuntimeError("no free port")


def openssl(*words, data=None):
    return subprocess.run(["openssl", *words], input=data, capture_output=True, check=True).stdout


class Fake:
    """libfaketime's file: the wall clock of every program started with env(), moved while they run."""

    def __init__(self, folder):
        self.file = folder / "faketime"
        self.set(0)

    def set(self, seconds):
        new = self.file.with_suffix(".new")
        new.write_text(f"{seconds:+d}\n")
        os.replace(new, self.file)

    def env(self):
        return dict(os.environ, LD_PRELOAD="/usr/lib/x86_64-linux-gnu/faketime/libfaketimeMT.so.1",
                    FAKETIME_TIMESTAMP_FILE=str(self.file), FAKETIME_NO_CACHE="1", FAKETIME_DONT_FAKE_MONOTONIC="1",
                    FAKETIME_SKIP_CMDS="haproxy")  # its timers follow the wall clock: a jump may end what it passes on


class Control:
    """folder: state. fake: programs run with a movable wall clock, without the sandbox (which hides its file)."""

    def __init__(self, folder, port=None, fake=None):
        self.folder, self.fake = pathlib.Path(folder), fake
        self.port = port or free_port()
        self.log = open(f"{folder}.log", "a")
        self.process = None
        self.start()
        self.db().executescript("""
            INSERT OR IGNORE INTO organization (id, name, created_at) VALUES ('o', 'o', 0);
            INSERT OR IGNORE INTO account (id, organization_id, name, provider, config, created_at)
              VALUES ('a', 'o', 'a', 'local', '{}', 0);""")

    def start(self):
        words = [str(CONTROL), str(self.folder), str(self.port)] + (["--bare"] if self.fake else [])
        self.process = subprocess.Popen(words, stdout=subprocess.PIPE, stderr=self.log, text=True,
                                        env=self.fake.env() if self.fake else None)
        self.pids = {}
        threading.Thread(target=self._read, args=(self.process,), daemon=True).start()
        try:
            wait_until("control plane", 30, self.answers)
        except BaseException:
            self.process.kill()
            raise

    def _read(self, process):
        for line in process.stdout:
            self.pids = json.loads(line)

    def answers(self):
        assert self.process.poll() is None, "link-control ended: " + pathlib.Path(f"{self.folder}.log").read_text()[-600:]
        for place in (("unix", str(self.folder / "run/link.sock")), ("tcp", self.port)):
            try:
                if place[0] == "unix":
                    with socket.socket(socket.AF_UNIX) as s:
                        s.connect(place[1])
                else:
                    socket.create_connection(("127.0.0.1", place[1]), 1).close()
            except OSError:
                return False
        return True

    def stop(self, how=signal.SIGTERM):
        if self.process and self.process.poll() is None:
            self.process.send_signal(how)
            self.process.wait(20)

    def kill(self, child):
        before = self.pids[child]
        os.kill(before, signal.SIGKILL)
        wait_until(f"{child} restarted", 10, lambda: self.pids.get(child) != before)
        wait_until("control plane", 20, self.answers)

    def ring(self):
        self.process.send_signal(signal.SIGUSR1)

    def text(self):
        return pathlib.Path(f"{self.folder}.log").read_text()

    # ---- what API and controller do ----

    def db(self):
        return sqlite3.connect(self.folder / "store/control.db", timeout=20, isolation_level=None)

    def one(self, sql, *values):
        db = self.db()
        try:
            row = db.execute(sql, values).fetchone()
            return row[0] if row and len(row) == 1 else row
        finally:
            db.close()

    def infrastructure(self):
        name = str(uuid.uuid4())
        self.one("INSERT INTO infrastructure (id, organization_id, account_id, name, display_name, provider, region, cidr,"
                 " zones, domain, config, state, want, created_at) VALUES (?, 'o', 'a', ?, 'x', 'local', 'l', '', '[]',"
                 " 'd.example', '{}', 'infra-ready', 'present', 0)", name, name)
        return name

    def token(self, infrastructure, lifetime=600, now=None):
        token = secrets.token_hex(32)
        now = int((now or time.time()) * 1000)
        self.one("INSERT INTO enrolment_token (hash, infrastructure_id, created_at, expires_at) VALUES (?, ?, ?, ?)",
                 hashlib.sha256(token.encode()).hexdigest(), infrastructure, now, now + lifetime * 1000)
        return token

    def bundle(self, **change):
        pem = (self.folder / "keys/link-ca.pem").read_text()
        b = {"v": 1, "control": {"address": f"127.0.0.1:{self.port}", "serverName": "link.ownhouse"},
             "linkCa": {"pem": pem, "spki": self.pin("link-ca")}, "spareSpki": self.pin("link-ca-spare"),
             "desiredKey": (self.folder / "keys/desired.pub").read_text().strip(), "releaseKey": "", "approverKeys": [],
             "policy": {"v": 1, "mode": "open"}}
        b.update(change)
        return b

    def pin(self, name):
        der = openssl("pkey", "-pubin", "-outform", "DER",
                      data=openssl("x509", "-in", str(self.folder / f"keys/{name}.pem"), "-pubkey", "-noout"))
        return "sha256/" + hashlib.sha256(der).hexdigest()

    def sign(self, infrastructure, version, body):
        text = f"ownhouse-desired-v1\n{infrastructure}\n{version}\n{hashlib.sha256(body.encode()).hexdigest()}\n"
        file = self.folder.parent / f"statement-{secrets.token_hex(4)}"
        file.write_text(text)
        try:
            return openssl("pkeyutl", "-sign", "-rawin", "-inkey", str(self.folder / "keys/desired.key"), "-in",
                           str(file)).hex()
        finally:
            file.unlink()

    def document(self, infrastructure, version, inside=None, signature=None, signed_for=None, services=0):
        """inside: infrastructure named in the text; signed_for: the one in the statement."""
        names = [{"id": str(uuid.uuid4()), "name": f"s{i}", "slug": f"s{i}", "ordinal": i + 1, "state": "running",
                  "deleteData": False, "replicas": 1, "memoryGb": 8,
                  "users": [{"name": "default", "sha256": "a" * 64}], "ipAccessList": ["0.0.0.0/0"]}
                 for i in range(services)]
        body = json.dumps({"type": "ownhouse/desired", "v": 1, "infrastructure": inside or infrastructure,
                           "version": version, "issuedAt": "2026-11-22T12:00:00.000Z", "domain": "d.example",
                           "services": names}, separators=(",", ":"), sort_keys=True)
        signature = signature or self.sign(signed_for or infrastructure, version, body)
        self.one("INSERT INTO desired_document (infrastructure_id, version, body, content_digest, signature, created_at)"
                 " VALUES (?, ?, ?, '', ?, 0) ON CONFLICT (infrastructure_id) DO UPDATE SET version = excluded.version,"
                 " body = excluded.body, signature = excluded.signature", infrastructure, version, body, signature)
        self.ring()


class Agent:
    def __init__(self, control, folder, infrastructure=None, env=None):
        self.control, self.folder, self.env = control, pathlib.Path(folder), env
        self.folder.mkdir(parents=True, exist_ok=True)
        self.infrastructure = infrastructure or control.infrastructure()
        self.process = None
        self.lines = []

    def enrol_words(self, token, proxy=(), **change):
        bundle, file = self.folder / "bundle.json", self.folder / "token"
        bundle.write_text(json.dumps(self.control.bundle(**change)))
        file.touch(0o600)
        file.write_text(token)
        return [str(AGENT), "enrol", str(self.folder / "link"), str(bundle), str(file), *proxy]

    def enrol(self, token=None, proxy=(), **change):
        words = self.enrol_words(token or self.control.token(self.infrastructure), proxy, **change)
        return subprocess.run(words, capture_output=True, text=True, timeout=60, env=self.env)

    def identity(self):
        return json.loads((self.folder / "link/agent.json").read_text())

    def start(self, *proxy):
        self.process = subprocess.Popen([str(AGENT), "run", str(self.folder / "link"), *proxy], stdin=subprocess.PIPE,
                                        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=self.env)
        self.statuses = queue.Queue()
        threading.Thread(target=self._read, args=(self.process,), daemon=True).start()
        return self

    def _read(self, process):
        for line in process.stdout:
            v = json.loads(line)
            self.statuses.put(v["status"]) if "status" in v else self.lines.append(v)

    def say(self, line):
        self.process.stdin.write(line + "\n")
        self.process.stdin.flush()

    def status(self):
        self.say("status")
        return self.statuses.get(timeout=10)

    def connected(self, seconds=15):
        return wait_until("agent connected", seconds, lambda: (s := self.status())["connected"] and s)

    def disconnected(self, seconds=15):
        return wait_until("agent disconnected", seconds, lambda: not (s := self.status())["connected"] and s)

    def events(self, text):
        return [v for v in self.lines if text in v.get("event", "")]

    def desired(self):
        return [v for v in self.lines if "desired" in v]

    def stop(self, how=None):
        """Returns the exit status; how=None: the orderly end."""
        if not self.process or self.process.poll() is not None:
            return None
        self.process.stdin.close() if how is None else self.process.send_signal(how)
        return self.process.wait(15)

    def certificate_end(self):
        text = openssl("x509", "-in", str(self.folder / "link/certificate.pem"), "-noout", "-enddate").decode()
        return ssl.cert_time_to_seconds(text.strip().split("=")[1])


class Raw:
    """A client of our own making on the link role's socket: TLS by Python, yamux by hand; for what no honest agent does."""

    def __init__(self, control, agent=None, alpn="ownhouse-link/1", front=True, version=ssl.TLSVersion.TLSv1_3,
                 chain=None):
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.load_verify_locations(control.folder / "keys/link-ca.pem")
        context.minimum_version, context.maximum_version = ssl.TLSVersion.TLSv1_2, version
        context.set_alpn_protocols([alpn])
        if agent or chain:
            files = chain or (agent.folder / "link/certificate.pem", agent.folder / "link/key.pem")
            context.load_cert_chain(*files)
        plain = socket.create_connection(("127.0.0.1", control.port), 10)
        plain.settimeout(30)
        self.tls = context.wrap_socket(plain, server_hostname="link.ownhouse")
        self.input = b""
        self.messages = b""

    def frame(self, type_, flags, stream, length, data=b""):
        self.tls.sendall(struct.pack(">BBHII", 0, type_, flags, stream, length) + data)

    def open(self, stream=1):
        self.frame(1, 1, stream, 0)

    def send(self, text, stream=1, length=None):
        data = text if isinstance(text, bytes) else json.dumps(text).encode()
        data = struct.pack(">I", len(data) if length is None else length) + data
        for i in range(0, len(data), 16384):
            piece = data[i:i + 16384]
            self.frame(0, 0, stream, len(piece), piece)

    def _take(self, n):
        while len(self.input) < n:
            more = self.tls.recv(65536)
            if not more:
                raise EOFError
            self.input += more
        out, self.input = self.input[:n], self.input[n:]
        return out

    def receive(self):
        """The next message; answers pings; None at the end."""
        try:
            while True:
                if len(self.messages) >= 4:
                    n = struct.unpack(">I", self.messages[:4])[0]
                    if len(self.messages) >= 4 + n:
                        text, self.messages = self.messages[4:4 + n], self.messages[4 + n:]
                        return json.loads(text)
                _, type_, flags, stream, length = struct.unpack(">BBHII", self._take(12))
                if type_ == 0:
                    self.messages += self._take(length)
                elif type_ == 2 and flags & 1:
                    self.frame(2, 2, 0, length)
                elif type_ == 3:
                    return None
        except (EOFError, OSError):
            return None

    def hello(self):
        self.open()
        self.send({"type": "hello", "version": "raw", "desiredVersion": 0, "bootId": "raw"})
        return self.receive()

    def close(self):
        self.tls.close()


def remove(folder):
    shutil.rmtree(folder, ignore_errors=True)
