"""A whole control plane without data planes (all roles behind the real front), and browsers that sign in to it."""
import hashlib
import hmac
import base64
import http.client
import json
import os
import pathlib
import random
import shutil
import signal
import socket
import sqlite3
import ssl
import subprocess
import tempfile
import time

from full_system import free_ports, wait_until

TOP = pathlib.Path(__file__).resolve().parents[2]
BUILD = pathlib.Path(os.environ.get("OWNHOUSE_BUILD", TOP / "build")).resolve()
CONTROL = BUILD / "src/control/ownhouse-control"
PASSWORD = "four words or a manager"


def totp(secret, step=0, now=None):
    """The code of RFC 6238 that an authenticator shows, `step` steps away."""
    key = base64.b32decode(secret)
    counter = int((now or time.time()) // 30) + step
    mac = hmac.new(key, counter.to_bytes(8, "big"), "sha1").digest()
    at = mac[19] & 15
    return "%06d" % ((int.from_bytes(mac[at:at + 4], "big") & 0x7fffffff) % 1000000)


class Answer:
    def __init__(self, response, body):
        self.status, self.headers = response.status, response.headers
        self.json = json.loads(body) if body and "json" in response.headers.get("Content-Type", "") else None

    @property
    def result(self):
        assert self.status == 200, (self.status, self.json)
        return self.json.get("result")

    @property
    def error(self):
        return self.json["error"]


class ControlPlane:
    def __init__(self, **settings):
        self.folder = pathlib.Path(tempfile.mkdtemp(prefix="oh-identity-"))
        self.port = settings.get("listen_port") or free_ports(1)
        self.config = self.folder / "control.conf"
        self.log = self.folder / "control.out"
        self.process = None
        self.settings = {"state_dir": self.folder, "listen_port": self.port, **settings}
        self.configure()
        subprocess.run([CONTROL, "init", "--config", self.config, "--credentials", self.folder / "credentials.json"],
                       check=True)
        self.credentials = json.loads((self.folder / "credentials.json").read_text())
        self.organization = self.credentials["organizationId"]
        self.base = f"/v1/organizations/{self.organization}"
        self.start()

    @property
    def origin(self):
        return f"https://localhost:{self.port}"

    def configure(self, **settings):
        self.settings.update(settings)
        self.config.write_text("".join(f"{k} = {v}\n" for k, v in self.settings.items()))

    def start(self):
        env = dict(os.environ, OWNHOUSE_CHECK_ANSWERS="1")
        self.process = subprocess.Popen([CONTROL, "--config", self.config], stdout=open(self.log, "a"),
                                        stderr=subprocess.STDOUT, env=env)
        try:
            wait_until("the control plane answers", 60, self.answers)
        except BaseException:
            self.stop()
            raise

    def answers(self):
        assert self.process.poll() is None, self.log.read_text()
        try:
            return Browser(self).get("/v1/signIn").status == 200
        except OSError:
            return False

    def stop(self):
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
            self.process.wait(30)

    def restart(self):
        self.stop()
        self.start()

    def close(self):
        try:
            self.stop()
        finally:
            shutil.rmtree(self.folder, ignore_errors=True)

    def set_up_link(self, *words):
        done = subprocess.run([CONTROL, "set-up-link", "--config", self.config, *words], capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
        return done.stdout.strip()

    def sql(self, statement, *args):
        with sqlite3.connect(self.folder / "store/control.db", timeout=20, isolation_level=None) as db:
            return db.execute(statement, args).fetchall()

    def key(self, method, path, body=None):
        """One call with the administrator's key."""
        secret = base64.b64encode(f"{self.credentials['keyId']}:{self.credentials['keySecret']}".encode()).decode()
        return Browser(self).call(method, path if path.startswith("/v1") else self.base + path, body,
                                  {"Authorization": "Basic " + secret}).result

    def activities(self):
        return [(a["type"], a.get("details", ""), a["actorDetails"]) for a in self.key("GET", "/activities")]


class Browser:
    """Cookies, Origin and the token of changes, as the console in a browser handles them; each at an address of its own, so
    that what one does wrong is not counted on another."""

    def __init__(self, control):
        self.control, self.cookies, self.csrf, self.set_cookies = control, {}, None, []
        self.address = f"127.{random.randrange(1, 255)}.{random.randrange(256)}.{random.randrange(1, 255)}"

    def call(self, method, path, body=None, headers=None, bare=False):
        """bare: without Origin and token."""
        context = ssl.create_default_context(cafile=str(self.control.folder / "keys/edge-ca.pem"))
        connection = http.client.HTTPSConnection("localhost", self.control.port, context=context, timeout=60,
                                                 source_address=(self.address, 0))
        headers = dict(headers or {})
        if self.cookies:
            headers.setdefault("Cookie", "; ".join(f"{k}={v}" for k, v in self.cookies.items()))
        if not bare and method != "GET":
            headers.setdefault("Origin", self.control.origin)
            if self.csrf:
                headers.setdefault("X-OwnHouse-CSRF", self.csrf)
        if body is not None:
            headers["Content-Type"] = "application/json"
        path = path if path.startswith("/v1") else self.control.base + path
        connection.request(method, path, body=None if body is None else json.dumps(body), headers=headers)
        response = connection.getresponse()
        answer = Answer(response, response.read())
        connection.close()
        self.set_cookies = response.headers.get_all("Set-Cookie") or []
        for line in self.set_cookies:
            name, value = line.split(";")[0].split("=", 1)
            if value:
                self.cookies[name] = value
            else:
                self.cookies.pop(name, None)
        if answer.status == 200 and isinstance(answer.json.get("result"), dict):
            result = answer.json["result"]
            self.csrf = (result.get("signedIn") or result).get("csrfToken", self.csrf)
        return answer

    def get(self, path):
        return self.call("GET", path)

    def post(self, path, **body):
        return self.call("POST", path, body)

    def sign_in(self, email, password=PASSWORD, **more):
        return self.post("/v1/session", email=email, password=password, **more)

    @property
    def signed_in(self):
        return self.get("/v1/session").status == 200


def certificate(folder, name="localhost"):
    """A self-signed one: (certificate, key) files."""
    cert, key = folder / f"{name}.pem", folder / f"{name}.key"
    subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "2",
                    "-keyout", key, "-out", cert, "-subj", f"/CN={name}", "-addext", f"subjectAltName=DNS:{name}"],
                   check=True, capture_output=True)
    return cert, key
