"""Full systems for tests and measurements: a private home folder with free ports, `ownhouse up`, queries through the
ingress, and a check afterwards that nothing was left on the machine. Everything talks to the real programs of the build
folder ($OWNHOUSE_BUILD, else build/). Fixtures are in conftest.py."""
import base64
import http.client
import json
import os
import pathlib
import random
import shutil
import signal
import socket
import ssl
import subprocess
import tempfile
import urllib.parse

from waiting import wait_until

TOP = pathlib.Path(__file__).resolve().parents[2]
BUILD = pathlib.Path(os.environ.get("OWNHOUSE_BUILD", TOP / "build")).resolve()
OWNHOUSE = BUILD / "src/cli/ownhouse"
SERVICE_PORTS = 20
MARK = b"OWNHOUSE_INFRASTRUCTURE="
IS_ROOT = os.geteuid() == 0


def port_is_free(port):
    with socket.socket() as s:
        s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            s.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True


CELL = 16
claims = []


def claim(base, count):
    """True: no other test on this machine asks for a port of these while this process lives."""
    mine = []
    for cell in range(base // CELL, (base + count - 1) // CELL + 1):
        s = socket.socket(socket.AF_UNIX)
        mine.append(s)
        try:
            s.bind(f"\0ownhouse-test-ports-{cell}")
        except OSError:
            for s in mine:
                s.close()
            return False
    claims.extend(mine)
    return True


def free_ports(count):
    """A run of free ports outside the range that the kernel gives to outgoing connections."""
    for _ in range(500):
        base = random.randrange(10000 // CELL, 30000 // CELL) * CELL
        if all(port_is_free(p) for p in range(base, base + count)) and claim(base, count):
            return base
    raise RuntimeError("no free ports")


def free_range():
    """A /16 below 10.0.0.0/8 that no route of this machine leads into, away from those that `ownhouse up` takes first: another
    infrastructure's data plane, or what a test that was killed has left, may have the /24 that comes of ours."""
    routes = [line.split()[1] for line in pathlib.Path("/proc/net/route").read_text().splitlines()[1:]]
    used = {int(r[4:6], 16) for r in routes if r[6:8] == "0A"}
    return f"10.{random.choice([n for n in range(128, 256) if n not in used])}.0.0/16"


def processes():
    """(pid, environment as bytes, command line as text) of every process that may be looked at."""
    for entry in pathlib.Path("/proc").iterdir():
        if not entry.name.isdigit():
            continue
        try:
            status = (entry / "stat").read_text()
            if status[status.rindex(")") + 2] in "ZX":
                continue
            environ = (entry / "environ").read_bytes()
            command = (entry / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace").strip()
        except (OSError, ValueError):
            continue
        yield int(entry.name), environ, command


def tool(*words):
    """Output of a system tool, "" when it fails (not root, no such table)."""
    env = dict(os.environ, PATH=os.environ["PATH"] + ":/usr/sbin:/sbin")
    return subprocess.run(words, capture_output=True, text=True, env=env).stdout


class Answer:
    def __init__(self, status, headers, body):
        self.status, self.headers, self.body = status, headers, body

    @property
    def text(self):
        return self.body.decode()


class System:
    """One installation. Ports: .port (control plane), .ingress_port, .native_port, .service_port_base."""

    def __init__(self, root=None, isolated=True, stands_for=None):
        self.root = pathlib.Path(root or tempfile.mkdtemp(prefix="ownhouse-system-"))
        self.home = self.root / "home"
        # A second infrastructure on this machine takes as many behind those of the first (local_ports() of cli/account.c).
        base = free_ports(2 * (3 + SERVICE_PORTS))
        self.port, self.ingress_port, self.native_port = base, base + 1, base + 2
        self.service_port_base = base + 2  # service number n has port base + n
        self.isolated = isolated and IS_ROOT
        self.stands_for = stands_for  # CLOUD/REGION that the infrastructure is shown as

    # --- the command ---

    def run(self, *words, timeout=240, env=None, **kwargs):
        """Runs the ownhouse command; a CompletedProcess with text."""
        return subprocess.run([str(OWNHOUSE), *words, "--home", str(self.home)], capture_output=True, text=True,
                              stdin=subprocess.DEVNULL, timeout=timeout, env=dict(os.environ, **(env or {})), **kwargs)

    def ok(self, *words, **kwargs):
        """Runs it with --json, expects success, gives the answer."""
        result = self.run(*words, "--json", **kwargs)
        assert result.returncode == 0, f"ownhouse {' '.join(words)}: {result.stderr}\n{self.logs()}"
        return json.loads(result.stdout)

    def up_words(self):
        words = ["up", "--port", str(self.port), "--ingress-port", str(self.ingress_port), "--native-port",
                 str(self.native_port), "--service-ports",
                 f"{self.service_port_base + 1}-{self.service_port_base + SERVICE_PORTS}"]
        words += ["--stands-for", self.stands_for] if self.stands_for else []
        return words + ([] if self.isolated or not IS_ROOT else ["--no-isolation"])

    def up(self, **kwargs):
        return self.ok(*self.up_words(), **kwargs)

    def logs(self, lines=15):
        """The ends of all logs, for failure messages."""
        out = []
        for path in [*self.home.glob("control/log/*"), *self.home.glob("accounts/*/*/**/*.log"),
                     *self.home.glob("accounts/*/*/**/logs/*")]:
            if path.is_file() and not path.suffix.lstrip(".").isdigit():
                tail = path.read_text(errors="replace").splitlines()[-lines:]
                out.append(f"--- {path}\n" + "\n".join(tail))
        return "\n".join(out)

    # --- what it left in its home folder ---

    @property
    def infrastructure(self):
        """Id of the infrastructure `laptop`, "" before there is one."""
        path = self.home / "settings.json"
        return json.loads(path.read_text()).get("infrastructure", "") if path.exists() else ""

    @property
    def customer(self):
        return self.home / "accounts/laptop/customer"

    def password(self, service="demo"):
        return (self.customer / "passwords" / service).read_text().strip()

    @property
    def netns(self):
        """Name of the data plane's network namespace."""
        return "oh-" + self.infrastructure[:8]

    # --- the API ---

    def api(self, method, path, body=None, below="/v1/organizations/{}"):
        """One call below /v1/organizations/ID, or the bare path with below=None; (status, decoded answer)."""
        credentials = json.loads((self.home / "credentials.json").read_text())
        context = ssl.create_default_context(cafile=str(self.home / "control/keys/edge-ca.pem"))
        connection = http.client.HTTPSConnection("localhost", self.port, context=context, timeout=30)
        secret = base64.b64encode(f"{credentials['keyId']}:{credentials['keySecret']}".encode()).decode()
        connection.request(method, (below or "").format(credentials["organizationId"]) + path,
                           body=None if body is None else json.dumps(body),
                           headers={"Authorization": f"Basic {secret}", "Content-Type": "application/json"})
        response = connection.getresponse()
        text = response.read()
        connection.close()
        return response.status, json.loads(text) if text else None

    # --- queries through the ingress ---

    def connection(self, service="demo", own_port=None, timeout=30):
        """HTTPS to the ingress, the certificate checked against the data plane's authority. By the service's host name,
        or with own_port by that port on localhost."""
        context = ssl.create_default_context(cafile=str(self.customer / "ca.pem"))
        host = "localhost" if own_port else f"{service}.laptop.ownhouse.localhost"
        raw = socket.create_connection(("127.0.0.1", own_port or self.ingress_port), timeout=timeout)
        connection = http.client.HTTPSConnection(host, own_port or self.ingress_port, timeout=timeout)
        connection.sock = context.wrap_socket(raw, server_hostname=host)
        return connection

    def query(self, sql, service="demo", user="default", password=None, own_port=None, timeout=30, data=None, **params):
        """An Answer; settings and param_* as keywords. With `data` the statement goes into the URL."""
        connection = self.connection(service, own_port, timeout)
        if data is not None:
            params["query"] = sql
        secret = base64.b64encode(f"{user}:{password or self.password(service)}".encode()).decode()
        connection.request("POST", "/?" + urllib.parse.urlencode(params), body=sql if data is None else data,
                           headers={"Authorization": f"Basic {secret}"})
        response = connection.getresponse()
        answer = Answer(response.status, dict(response.getheaders()), response.read())
        connection.close()
        return answer

    def select(self, sql, **kwargs):
        """The text of a query that must succeed, without the last newline."""
        answer = self.query(sql, **kwargs)
        assert answer.status == 200, answer.text
        return answer.text.rstrip("\n")

    # --- processes and what stays behind ---

    def processes(self):
        """{pid: command line} of everything that belongs to this installation."""
        home, ident = str(self.home), self.infrastructure.encode()
        return {pid: command for pid, environ, command in processes()
                if home in command or (ident and MARK + ident in environ.split(b"\0"))
                or f"OWNHOUSE_HOME={home}".encode() in environ.split(b"\0")}

    def pids(self, part):
        """Processes of this installation whose command line holds `part`."""
        return [pid for pid, command in self.processes().items() if part in command]

    def kill(self, part, sig=signal.SIGKILL):
        """Signals every process of this installation whose command line holds `part`; how many."""
        pids = self.pids(part)
        for pid in pids:
            try:
                os.kill(pid, sig)
            except ProcessLookupError:
                pass
        return len(pids)

    def leftovers(self, ident):
        """What is still on the machine of an infrastructure that should be gone."""
        found = [f"process {pid}: {command}" for pid, command in self.processes().items()]
        found += [f"process {pid}: {command}" for pid, environ, command in processes()
                  if ident and MARK + ident.encode() in environ.split(b"\0")]
        short = ident[:8]
        if IS_ROOT and short:
            found += [f"namespace {line}" for line in tool("ip", "netns", "list").splitlines() if short in line]
            found += [f"link {line}" for line in tool("ip", "-o", "link").splitlines() if short in line]
            found += [f"rules {line}" for line in tool("nft", "list", "tables").splitlines() if short in line]
        return sorted(set(found))

    def purge(self):
        """Removes everything as a user would, then checks that nothing is left."""
        ident = self.infrastructure
        result = self.run("down", "--purge", "--yes")
        logs = self.logs() if result.returncode else ""
        left = self.leftovers(ident)
        exists = self.home.exists()
        for pid in self.processes():
            os.kill(pid, signal.SIGKILL)
        shutil.rmtree(self.root, ignore_errors=True)
        assert result.returncode == 0, result.stderr + logs
        assert not left, "left behind after purge:\n" + "\n".join(left)
        assert not exists, "the home folder is still there"


def engine_available():
    if shutil.which("clickhouse"):
        return True
    library = os.environ.get("OWNHOUSE_ENGINE_LIBRARY")
    if not library:
        found = subprocess.run([str(TOP / "tools/fetch-chdb"), "--check",
                                str(pathlib.Path(os.environ.get("XDG_CACHE_HOME", pathlib.Path.home() / ".cache"))
                                    / "ownhouse/chdb")], capture_output=True, text=True)
        library = found.stdout.strip() if found.returncode == 0 else None
    return bool(library)
