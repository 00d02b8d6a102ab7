"""The api role alone: its own state folder, its Unix socket, and the store beside it for playing controller and agent."""
import base64
import hashlib
import http.client
import json
import os
import pathlib
import shutil
import signal
import socket
import sqlite3
import subprocess
import tempfile
import time
import uuid

TOP = pathlib.Path(__file__).resolve().parents[2]
BUILD = pathlib.Path(os.environ.get("OWNHOUSE_BUILD", TOP / "build")).resolve()
PROGRAM = BUILD / "tests/unit/control/api-role"


class Answer:
    def __init__(self, status, headers, body):
        self.status, self.headers, self.raw = status, headers, body
        self.json = json.loads(body) if body and "json" in headers.get("Content-Type", "") else None

    @property
    def result(self):
        assert self.status == 200, (self.status, self.json)
        return self.json.get("result")

    @property
    def error(self):
        return self.json["error"]


class UnixConnection(http.client.HTTPConnection):
    def __init__(self, path, timeout=20):
        super().__init__("localhost", timeout=timeout)
        self.unix_path = str(path)

    def connect(self):
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(self.timeout)
        self.sock.connect(self.unix_path)


class ApiRole:
    def __init__(self):
        self.folder = pathlib.Path(tempfile.mkdtemp(prefix="oh-api-"))
        self.database = self.folder / "store/control.db"
        self.socket = self.folder / "run/api.sock"
        self.log = self.folder / "api.log"
        self.bells = self.folder / "bells"
        credentials = self.folder / "credentials.json"
        subprocess.run([PROGRAM, self.folder, "init", credentials], check=True)
        self.credentials = json.loads(credentials.read_text())
        self.key = (self.credentials["keyId"], self.credentials["keySecret"])
        self.organization = self.credentials["organizationId"]
        self.base = f"/v1/organizations/{self.organization}"
        self.process = None
        self.start()

    def start(self):
        env = dict(os.environ, OWNHOUSE_CHECK_ANSWERS="1")
        self.process = subprocess.Popen([PROGRAM, self.folder, "serve"], stdout=open(self.bells, "a"),
                                        stderr=open(self.log, "a"), env=env)
        deadline = time.monotonic() + 10
        while True:
            try:
                with socket.socket(socket.AF_UNIX) as s:
                    s.connect(str(self.socket))
                if (self.folder / "keys/complete").exists():
                    return
                time.sleep(0.02)
            except OSError:
                assert self.process.poll() is None, self.log.read_text()
                assert time.monotonic() < deadline
                time.sleep(0.02)

    def stop(self, sig=signal.SIGTERM):
        self.process.send_signal(sig)
        return self.process.wait(15)

    def close(self):
        if self.process.poll() is None:
            self.stop(signal.SIGKILL)
        shutil.rmtree(self.folder, ignore_errors=True)

    def connection(self):
        return UnixConnection(self.socket)

    def call(self, method, path, body=None, key=None, headers=None, raw=None, connection=None):
        """path: below the organization unless it begins with /v1 or is /openapi.json. key: False = none."""
        c = connection or self.connection()
        headers = dict(headers or {})
        if key is not False:
            user, secret = key or self.key
            headers["Authorization"] = "Basic " + base64.b64encode(f"{user}:{secret}".encode()).decode()
        if body is not None:
            raw = json.dumps(body)
        if raw is not None:
            headers.setdefault("Content-Type", "application/json")
        if not path.startswith(("/v1", "/openapi.json")) or path == "/v1x":
            path = self.base + path
        c.request(method, path, body=raw, headers=headers, encode_chunked="Transfer-Encoding" in headers)
        r = c.getresponse()
        answer = Answer(r.status, r.headers, r.read())
        if not connection:
            c.close()
        return answer

    def sql(self, statement, *args):
        """One statement as the other roles would write it."""
        with sqlite3.connect(self.database, timeout=10, isolation_level=None) as db:
            db.execute("PRAGMA foreign_keys = ON")
            return db.execute(statement, args).fetchall()

    def new_key(self, role_ids, name="test", **more):
        answer = self.call("POST", "/keys", {"name": name, "assignedRoleIds": role_ids, **more}).result
        return answer["key"], (answer["keyId"], answer["keySecret"])

    def infrastructure(self, name, base, ready=False, region="local", **config):
        """An account with an infrastructure; ready: as the controller says when it has made it."""
        account = self.call("POST", "/accounts", {"name": name, "provider": "local", "config": {
            "httpsPort": base, "nativePort": base + 1, "servicePortBase": base + 100, "servicePortCount": 50,
            **config}}).result
        infra = self.call("POST", "/byocInfrastructure", {
            "accountId": account["id"], "regionId": region, "displayName": name}).result
        if ready:
            self.sql("UPDATE infrastructure SET state = 'infra-ready' WHERE id = ?", infra["id"])
        return infra

    def enrol_agent(self, infrastructure):
        agent = str(uuid.uuid4())
        self.sql("INSERT INTO agent (id, infrastructure_id, name, state, spki, certificate_not_after, enrolled_at) "
                 "VALUES (?, ?, 'machine', 'enrolled', 'x', 1, 1)", agent, infrastructure)
        return agent

    def observe(self, service, state, **more):
        """What the controller writes when the agent reports."""
        report = {"id": service, "state": state, "engineVersion": "26.1.2.3", "readyReplicas": 1, "replicas": 1,
                  "notice": "", "error": "", "restarts": 0, **more}
        self.sql("UPDATE service SET state = ?, observed = ? WHERE id = ?", state, json.dumps(report), service)


def sha256_base64(text):
    return base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()
