"""DNS and ACME peers for tests: Knot as the primary of a zone that takes signed transfers and updates, pebble as the
certificate authority that asks it, and the agent's names role by itself. All on loopback addresses."""
import base64
import json
import os
import pathlib
import secrets
import shutil
import signal
import socket
import subprocess
import uuid

from full_system import free_ports
from waiting import wait_until

TOP = pathlib.Path(__file__).resolve().parents[2]
BUILD = pathlib.Path(os.environ.get("OWNHOUSE_BUILD", TOP / "build")).resolve()
AGENT = BUILD / "src/agent/ownhouse-agent"
ZONE = "cloud.example"
SYSTEM_CAS = "/etc/ssl/certs/ca-certificates.crt"


def find(program):
    return shutil.which(program, path=os.environ["PATH"] + ":/usr/sbin:/sbin")


def missing(*programs):
    """Reason to skip, or None."""
    absent = [p for p in programs if not find(p)]
    return f"skipped: {', '.join(absent)} not available" if absent else None


class Knot:
    """A primary for ZONE. keys: name -> base64 secret; the key `agent` may transfer and update."""

    def __init__(self, folder, zone=ZONE, records=""):
        self.folder, self.zone = pathlib.Path(folder), zone
        self.folder.mkdir(parents=True)
        self.port = free_ports(1)
        self.secret = base64.b64encode(secrets.token_bytes(32)).decode()
        self.key_file = self.folder / "agent.tsig"
        self.key_file.touch(0o600)
        self.key_file.write_text(f"hmac-sha256:agent:{self.secret}\n")
        (self.folder / "zone").write_text(f"""$ORIGIN {zone}.
$TTL 60
@ SOA ns hostmaster 1 3600 600 604800 60
@ NS ns
ns A 127.0.0.1
{records}
""")
        (self.folder / "knot.conf").write_text(f"""
server:
    rundir: {self.folder}
    listen: 127.0.0.1@{self.port}
database:
    storage: {self.folder}
log:
  - target: stdout
    any: info
key:
  - id: agent
    algorithm: hmac-sha256
    secret: {self.secret}
acl:
  - id: agent
    key: agent
    action: [transfer, update]
  - id: transfer
    address: 127.0.0.1
    action: transfer
zone:
  - domain: {zone}.
    storage: {self.folder}
    file: zone
    acl: [agent]
""")
        self.process = None
        self.start()

    def start(self):
        with open(self.folder / "log", "ab") as log:
            self.process = subprocess.Popen([find("knotd"), "-c", str(self.folder / "knot.conf")], stdout=log, stderr=log)
        wait_until("knot", 30, self.answers)

    def answers(self):
        assert self.process.poll() is None, (self.folder / "log").read_text()
        return self.dig("SOA", self.zone)

    def stop(self):
        if self.process and self.process.poll() is None:
            self.process.terminate()
            self.process.wait(30)

    def dig(self, kind, name):
        done = subprocess.run(["kdig", "@127.0.0.1", "-p", str(self.port), "+short", "+retry=0", "+time=2", kind, name],
                              capture_output=True, text=True)
        return sorted(done.stdout.split()) if done.returncode == 0 else []

    def all(self):
        """(name, type) -> sorted values, of everything but SOA and NS; by a transfer, as another program does it."""
        done = subprocess.run(["kdig", "@127.0.0.1", "-p", str(self.port), "+noall", "+answer", "-y",
                               f"hmac-sha256:agent:{self.secret}", "AXFR", self.zone], capture_output=True, text=True)
        out = {}
        for line in done.stdout.splitlines():
            if line and not line.startswith(";"):
                name, _, _, kind, value = line.split(None, 4)
                if kind not in ("SOA", "NS", "TSIG"):
                    out.setdefault((name.rstrip("."), kind), []).append(value)
        return {k: sorted(v) for k, v in out.items()}

    def update(self, *lines):
        """By Knot's own program."""
        text = "\n".join([f"server 127.0.0.1 {self.port}", f"zone {self.zone}.", *lines, "send", ""])
        subprocess.run(["knsupdate", "-y", f"hmac-sha256:agent:{self.secret}"], input=text, text=True, check=True)


class Pebble:
    """A directory at .url, whose authority .ca signs nothing else; certificates live `seconds`."""

    def __init__(self, folder, dns, seconds=None):
        self.folder = pathlib.Path(folder)
        self.folder.mkdir(parents=True)
        base = free_ports(4)
        self.url = f"https://localhost:{base}/dir"
        self.management = f"https://localhost:{base + 1}"
        self.ca, key, leaf = self.folder / "ca.pem", self.folder / "key.pem", self.folder / "leaf.pem"
        self.run_openssl(key, leaf)
        config = {"listenAddress": f"127.0.0.1:{base}", "managementListenAddress": f"127.0.0.1:{base + 1}",
                  "certificate": str(leaf), "privateKey": str(key), "httpPort": base + 2, "tlsPort": base + 3,
                  "ocspResponderURL": "", "externalAccountBindingRequired": False}
        if seconds:
            config["certificateValidityPeriod"] = seconds
        (self.folder / "config.json").write_text(json.dumps({"pebble": config}))
        # Validations without pauses, every nonce taken, authorizations asked for anew each time.
        self.env = dict(os.environ, PEBBLE_VA_NOSLEEP="1", PEBBLE_WFE_NONCEREJECT="0", PEBBLE_AUTHZREUSE="0")
        self.words = [find("pebble"), "-config", str(self.folder / "config.json"), "-dnsserver", f"127.0.0.1:{dns.port}"]
        self.process, self.port = None, base
        self.start()

    def run_openssl(self, key, leaf):
        def openssl(*words):
            subprocess.run(["openssl", *words], check=True, capture_output=True, cwd=self.folder)
        openssl("req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-keyout", "ca.key",
                "-out", str(self.ca), "-subj", "/CN=directory", "-days", "3650")
        openssl("req", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-keyout", str(key), "-out",
                "leaf.csr", "-subj", "/CN=localhost")
        (self.folder / "ext").write_text("subjectAltName = DNS:localhost\n")
        openssl("x509", "-req", "-in", "leaf.csr", "-CA", str(self.ca), "-CAkey", "ca.key", "-CAcreateserial", "-out",
                str(leaf), "-extfile", "ext", "-days", "3650")

    def start(self):
        with open(self.folder / "log", "ab") as log:
            self.process = subprocess.Popen(self.words, stdout=log, stderr=log, env=self.env)
        wait_until("pebble", 30, self.answers)

    def answers(self):
        assert self.process.poll() is None, (self.folder / "log").read_text()
        try:
            socket.create_connection(("127.0.0.1", self.port), 1).close()
        except OSError:
            return False
        return True

    def root(self):
        """The authority that issues the certificates, in a file."""
        path = self.folder / "root.pem"
        done = subprocess.run(["curl", "-sS", "--fail", "--cacert", str(self.ca), f"{self.management}/roots/0"],
                              capture_output=True, check=True)
        path.write_bytes(done.stdout)
        return path

    def log(self):
        return (self.folder / "log").read_text()

    def stop(self):
        if self.process and self.process.poll() is None:
            self.process.kill()
            self.process.wait(30)


def trusting(ca, words):
    """The command in a mount namespace of its own, where the system's list of authorities is `ca`: uacme takes no other.
    """
    script = f'mount --bind "{ca}" {SYSTEM_CAS} && exec "$@"'
    return ["unshare", "-m", "sh", "-c", script, "sh", *map(str, words)]


class Names:
    """The names role as the parent starts it."""

    def __init__(self, folder, ca=None, env=None, **settings):
        self.home = pathlib.Path(folder) / "agent"
        for part in ("names", "wanted"):
            (self.home / part).mkdir(parents=True, mode=0o700)
        self.infrastructure = str(uuid.uuid4())
        self.config = self.home / "agent.conf"
        self.settings = settings
        self.ca, self.env = ca, env or {}
        self.process = None

    def start(self, **settings):
        self.settings.update(settings)
        self.config.touch(0o600)
        self.config.write_text(f"home = {self.home}\n" + "".join(f"{k} = {v}\n" for k, v in self.settings.items()))
        words = [str(AGENT), "--role", "names", "--config", str(self.config)]
        if self.ca:
            words = trusting(self.ca, words)
        with open(self.home / "log", "ab") as log:
            self.process = subprocess.Popen(words, stdout=log, stderr=log,
                                            env=dict(os.environ, OWNHOUSE_AGENT_FDS=",".join(["-1"] * 6), **self.env))
        return self

    def stop(self):
        if self.process and self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
            self.process.wait(30)

    def want(self, *slugs, targets=("192.0.2.1",), domain=f"dp.{ZONE}"):
        text = json.dumps({"v": 1, "infrastructure": self.infrastructure, "domain": domain,
                           "names": [f"{s}.{domain}" for s in slugs], "targets": list(targets)})
        fresh = self.home / "wanted/names.new"
        fresh.write_text(text)
        os.replace(fresh, self.home / "wanted/names.json")
        return self

    def state(self, part="dns"):
        path = self.home / "names/state.json"
        return json.loads(path.read_text())[part] if path.exists() else {"state": "none", "error": ""}

    def until(self, part, state, seconds=60):
        return wait_until(f"{part} {state}: {self.log()}", seconds, lambda: (s := self.state(part))["state"] == state and s)

    def log(self):
        return (self.home / "log").read_text()[-3000:] if (self.home / "log").exists() else ""
