"""The real agent, enrolled with a real signer and link role, on a cluster of cluster.py."""
import json
import os
import pathlib
import secrets
import signal
import subprocess
import time
import uuid

from cluster import BUILD, NAMESPACE, Cluster
from link_parts import Control, wait_until

PROGRAM = BUILD / "src/agent/ownhouse-agent"
HASH = "a" * 64


def service(slug="demo", **change):
    s = {"id": str(uuid.uuid4()), "name": slug, "slug": slug, "ordinal": 1, "state": "running", "deleteData": False, "replicas": 1,
         "memoryGb": 8, "users": [{"name": "default", "sha256": HASH}], "ipAccessList": ["0.0.0.0/0", "::/0"]}
    s.update(change)
    return s


class Agent:
    """control: shared; folder: this agent's own. `settings` are lines of agent.conf."""

    def __init__(self, cluster, control, folder, infrastructure=None, home=None, kubeconfig=None, **settings):
        self.cluster, self.control, self.folder = cluster, control, pathlib.Path(folder)
        self.folder.mkdir(parents=True, exist_ok=True)
        self.infrastructure = infrastructure or control.infrastructure()
        self.home, self.log = self.folder / "home", self.folder / "agent.log"
        self.config, self.token_file = self.folder / "agent.conf", self.folder / "cluster/token"
        self.token_file.parent.mkdir(exist_ok=True)
        self.renew_token()
        user = {"tokenFile": str(self.token_file)}
        self.kubeconfig = kubeconfig or cluster.kubeconfig(self.folder / "cluster/config", user)
        bundle, token = self.folder / "bundle.json", self.folder / "token"
        bundle.write_text(json.dumps(control.bundle()))
        token.write_text(control.token(self.infrastructure))
        token.chmod(0o600)
        lines = {"home": self.home, "bundle": bundle, "token_file": token, "runtime": "kubernetes", "kubeconfig": self.kubeconfig,
                 "namespace": NAMESPACE, "engine": "clickhouse", "clickhouse_image": "stand.test/clickhouse:1",
                 "haproxy_image": "stand.test/haproxy:1", "volume_gib": 10, "log_level": "debug"}
        lines.update(settings)
        self.write_config(lines)
        self.process, self.version = None, 0

    def write_config(self, lines):
        self.lines = lines
        self.config.write_text("".join(f"{k} = {v}\n" for k, v in lines.items()))
        self.config.chmod(0o600)

    def renew_token(self, seconds=3600):
        """As a kubelet does: a new file, swapped in."""
        new = self.token_file.with_suffix(".new")
        new.write_text(self.cluster.token(seconds))
        os.replace(new, self.token_file)

    def start(self, env=None):
        self.process = subprocess.Popen([PROGRAM, "run", "--config", self.config], stderr=open(self.log, "ab"), stdin=subprocess.DEVNULL,
                                        env=dict(os.environ, **(env or {})))
        return self

    def stop(self, how=signal.SIGTERM):
        if self.process and self.process.poll() is None:
            self.process.send_signal(how)
            self.process.wait(30)

    def restart(self, **settings):
        self.stop()
        self.write_config({**self.lines, **settings})
        return self.start()

    def operator_pid(self):
        for pid in filter(str.isdigit, os.listdir("/proc")):
            try:
                words = open(f"/proc/{pid}/cmdline").read().split("\0")
            except OSError:
                continue
            if "--role" in words and "operator" in words and str(self.config) in words:
                return int(pid)
        return 0

    def status(self):
        try:
            return json.loads((self.home / "run/status.json").read_text())
        except (OSError, ValueError):
            return {}

    def state(self, sid):
        for s in (self.status().get("observed") or {}).get("services", []):
            if s["id"] == sid:
                return s
        return {}

    def want(self, *services):
        """What the control plane sends: a signed document with these services."""
        self.version += 1
        body = json.dumps({"type": "ownhouse/desired", "v": 1, "infrastructure": self.infrastructure, "version": self.version,
                           "issuedAt": "2026-11-23T12:00:00.000Z", "domain": "d.example", "services": list(services)},
                          separators=(",", ":"), sort_keys=True)
        signature = self.control.sign(self.infrastructure, self.version, body)
        self.control.one("INSERT INTO desired_document (infrastructure_id, version, body, content_digest, signature, created_at)"
                         " VALUES (?, ?, ?, '', ?, 0) ON CONFLICT (infrastructure_id) DO UPDATE SET version = excluded.version,"
                         " body = excluded.body, signature = excluded.signature", self.infrastructure, self.version, body, signature)
        self.control.ring()

    def until(self, sid, state, seconds=120):
        return wait_until(f"service {state}", seconds, lambda: self.state(sid).get("state") == state and self.state(sid), 0.1)

    def workload(self, s, replica=0):
        return f"clickhouse-{s['id']}-{replica}"

    def namespace(self, s):
        return f"ownhouse-{s['id']}"

    def set(self, s):
        return self.cluster.admin.get(f"/apis/apps/v1/namespaces/{self.namespace(s)}/statefulsets/{self.workload(s)}")

    def pod(self, s):
        return self.cluster.admin.get(f"/api/v1/namespaces/{self.namespace(s)}/pods/{self.workload(s)}-0")

    def said(self):
        return self.log.read_text(errors="replace") if self.log.exists() else ""
