"""Starts the embedded engine's server with the real engine, for the tests of this folder.

Run:  pytest tests/scenario/clickhouse
Environment:
  OWNHOUSE_BUILD   build directory of meson, default ./build
  OWNHOUSE_CHDB    libchdb.so (OWNHOUSE_ENGINE_LIBRARY, as ./test sets it, is taken as well); default: where
                   tools/fetch-chdb puts it. Without it all of this is skipped.
  OWNHOUSE_NODE    a directory with node_modules/@clickhouse/client; default: one in the cache, filled by npm
"""
import base64
import hashlib
import http.client
import json
import os
import pathlib
import signal
import socket
import subprocess
import time
import urllib.parse

from waiting import until

ROOT = pathlib.Path(__file__).resolve().parents[3]
PROGRAM = pathlib.Path(os.environ.get("OWNHOUSE_BUILD", ROOT / "build")) / "src/clickhouse/ownhouse-clickhouse"
PASSWORD = "correct horse"


def library():
    path = os.environ.get("OWNHOUSE_CHDB") or os.environ.get("OWNHOUSE_ENGINE_LIBRARY")
    if path:
        return path if os.path.exists(path) else None
    cache = pathlib.Path(os.environ.get("XDG_CACHE_HOME") or pathlib.Path.home() / ".cache") / "ownhouse/chdb"
    found = subprocess.run([ROOT / "tools/fetch-chdb", "--check", cache], capture_output=True, text=True)
    return found.stdout.strip() if found.returncode == 0 else None


class Reply:
    def __init__(self, response, body):
        self.status, self.headers, self.body = response.status, response.headers, body

    @property
    def text(self):
        return self.body.decode()

    @property
    def code(self):
        return int(self.headers.get("X-ClickHouse-Exception-Code", 0))

    @property
    def summary(self):
        return json.loads(self.headers["X-ClickHouse-Summary"])


class UnixConnection(http.client.HTTPConnection):
    def __init__(self, path, timeout):
        super().__init__("localhost", timeout=timeout)
        self.path = path

    def connect(self):
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(self.timeout)
        self.sock.connect(self.path)


class Server:
    """One server in a directory of its own."""

    def __init__(self, home, **settings):
        self.home = pathlib.Path(home)
        self.process = None
        with socket.socket() as s:
            s.bind(("127.0.0.1", 0))
            self.port = s.getsockname()[1]
        self.config = {
            "listen": f"127.0.0.1:{self.port}",
            "data_path": self.home / "data",
            "bucket_path": self.home / "bucket",
            "library": library(),
            "users_file": self.home / "users.json",
            "query_log": self.home / "query.log",
        } | settings
        self.write_users({"default": PASSWORD}, {"reader": PASSWORD})
        self.write_config()

    def write_config(self):
        self.config_file.write_text("".join(f"{k} = {v}\n" for k, v in self.config.items()))

    @property
    def config_file(self):
        return self.home / "server.conf"

    @property
    def log_file(self):
        return self.home / "server.log"

    def write_users(self, users, readers=None):
        def entry(name, password, readonly):
            return {"name": name, "sha256": hashlib.sha256(password.encode()).hexdigest(), "readonly": readonly}

        all_users = [entry(n, p, False) for n, p in users.items()]
        all_users += [entry(n, p, True) for n, p in (readers or {}).items()]
        (self.home / "users.json").write_text(json.dumps({"users": all_users}))

    def start(self, wait=True):
        log = open(self.log_file, "ab")
        self.process = subprocess.Popen([PROGRAM, "--config", self.config_file], stderr=log, stdout=log,
                                        stdin=subprocess.DEVNULL)
        if wait:
            self.wait_ready()
        return self

    def wait_ready(self):
        deadline = time.monotonic() + 30
        while time.monotonic() < deadline:
            assert self.process.poll() is None, self.log_file.read_text()
            try:
                if self.get("/ping").status == 200:
                    return
            except OSError:
                time.sleep(0.02)
        raise AssertionError("not ready in 30 s")

    def stop(self, sig=signal.SIGTERM, timeout=40):
        if self.process and self.process.poll() is None:
            self.process.send_signal(sig)
            self.process.wait(timeout)
        code = self.process.returncode if self.process else None
        self.process = None
        return code

    def connection(self, timeout=60):
        listen = str(self.config["listen"])
        if listen.startswith("/"):
            return UnixConnection(listen, timeout)
        return http.client.HTTPConnection("127.0.0.1", self.port, timeout=timeout)

    def request(self, method, target, body=None, headers=None, chunked=False):
        c = self.connection()
        try:
            c.request(method, target, body=body, headers=headers or {}, encode_chunked=chunked)
            response = c.getresponse()
            return Reply(response, response.read())
        finally:
            c.close()

    def get(self, target, headers=None):
        return self.request("GET", target, headers=headers)

    def auth(self, user="default", password=PASSWORD):
        return {"Authorization": "Basic " + base64.b64encode(f"{user}:{password}".encode()).decode()}

    def query(self, sql=None, data=None, user="default", password=PASSWORD, headers=None, method="POST", **params):
        """The statement in the body, or in the URL when there are data."""
        if data is not None or method != "POST":
            params = {"query": sql} | params
            sql = data
        target = "/?" + urllib.parse.urlencode(params)
        return self.request(method, target, sql, self.auth(user, password) | (headers or {}))

    def ok(self, sql, data=None, **params):
        reply = self.query(sql, data, **params)
        assert reply.status == 200, reply.text
        return reply.text

    def executions(self):
        path = self.home / "query.log"
        return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []

    def wait_running(self, others):
        """So many queries run on the engine, besides the question itself."""
        until(lambda: self.ok("SELECT count() FROM system.processes") == f"{1 + others}\n")

    def wait_idle(self):
        self.wait_running(0)


SLOW = "SELECT count() FROM numbers(1000000000000) WHERE NOT ignore(sipHash64(number))"
