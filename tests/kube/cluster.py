"""A Kubernetes cluster for tests, of the real API server, controllers and scheduler on loopback, and the agent's way into it.

What is real: etcd, kube-apiserver (RBAC, admission with Pod Security, audit log), kube-controller-manager, kube-scheduler. What is not:
nodes. tests/kube/cluster/kubelet.go says of pods what kubelets would say, and gives claims their volumes; no container runs."""
import base64
import http.client
import json
import os
import pathlib
import re
import secrets
import shutil
import signal
import ssl
import subprocess
import sys
import tempfile
import time
import urllib.parse

import pytest

TOP = pathlib.Path(__file__).resolve().parents[2]
sys.path.insert(0, str(TOP / "tests/scenario"))
from link_parts import free_port, openssl, wait_until  # noqa: E402
from peers import find_peer  # noqa: E402

BUILD = pathlib.Path(os.environ.get("OWNHOUSE_BUILD", TOP / "build")).resolve()
NAMESPACE = "ownhouse"
ACCOUNT = f"system:serviceaccount:{NAMESPACE}:ownhouse-agent"
GUARD = f"system:serviceaccount:{NAMESPACE}:ownhouse-guard"
AUDIT = """apiVersion: audit.k8s.io/v1
kind: Policy
omitStages: [RequestReceived, ResponseStarted]
rules:
- level: Metadata
  users: ["%s", "%s"]
- level: None
""" % (ACCOUNT, GUARD)


def chart_rbac():
    """The chart's rules, as the chart has them with a list of releases: its templates need no more than the namespace."""
    objects = []
    text = (TOP / "deploy/chart/templates/rbac.yaml").read_text()
    text = re.sub(r"\{\{- range \$role := list (.*?) \}\}\n(.*?)\{\{- end \}\}\n",
                  lambda m: "".join(m.group(2).replace("{{ $role }}", r) for r in re.findall(r'"(.*?)"', m.group(1))),
                  text, flags=re.S)
    text = re.sub(r"\{\{- if .Values.releases \}\}\n(.*?)\{\{- end \}\}\n", r"\1", text, flags=re.S)
    text = re.sub(r" *\{\{- with (.*?) \}\}\n(.*?)\{\{- end \}\}\n", "", text, flags=re.S)  # values that are empty by default
    text = re.sub(r"\{\{ \$?\.Release\.Namespace \}\}", NAMESPACE, text)
    admission = (TOP / "deploy/chart/templates/admission.yaml").read_text()
    admission = re.sub(r"\{\{- (if .*?|end) \}\}\n", "", admission).replace("{{ .Release.Namespace }}", NAMESPACE)
    for whole in (text, admission):
        assert "{{" not in whole, whole[whole.index("{{"):][:80]
        objects.append(whole)
    return "\n---\n".join(objects)


class Api:
    """JSON requests as one user."""

    def __init__(self, port, ca, cert=None, token=None):
        self.port, self.token = port, token
        self.context = ssl.create_default_context(cadata=pathlib.Path(ca).read_text())
        if cert:
            self.context.load_cert_chain(*cert)

    def ask(self, method, path, body=None, content_type="application/json", **query):
        c = http.client.HTTPSConnection("127.0.0.1", self.port, context=self.context, timeout=30)
        headers = {"Content-Type": content_type}
        if self.token:
            headers["Authorization"] = f"Bearer {self.token}"
        try:
            c.request(method, path + ("?" + urllib.parse.urlencode(query) if query else ""),
                      json.dumps(body) if body is not None else None, headers)
            r = c.getresponse()
            return r.status, json.loads(r.read() or b"{}")
        finally:
            c.close()

    def get(self, path, **query):
        status, body = self.ask("GET", path, **query)
        return body if status == 200 else None

    def items(self, path, **query):
        return self.get(path, **query)["items"]


class Cluster:
    def __init__(self, nodes=3):
        program = find_peer("kubernetes")
        if not program:
            pytest.skip("skipped: kubernetes not available (tests/peers/fetch kubernetes)")
        self.program = str(program)
        self.dir = pathlib.Path(tempfile.mkdtemp(prefix="ownhouse-kube-"))
        self.processes = {}
        self.port, self.etcd_port, self.peer_port = free_port(), free_port(), free_port()
        self.nodes = nodes
        try:
            self._certificates()
            self._start()
        except BaseException:
            self.stop()
            raise

    # ---- parts ----
    def _certificates(self):
        d = self.dir
        def make(*words):
            openssl(*words)
        make("req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "2", "-subj", "/CN=test-ca",
             "-keyout", f"{d}/ca.key", "-out", f"{d}/ca.crt")
        make("genrsa", "-out", f"{d}/sa.key", "2048")
        for name, subject, extension in (
                ("server", "/CN=kube-apiserver", "subjectAltName=IP:127.0.0.1,IP:10.96.0.1,DNS:kubernetes,DNS:other.name"),
                ("admin", "/O=system:masters/CN=admin", "extendedKeyUsage=clientAuth"),
                ("stand", "/O=system:masters/CN=kubelet", "extendedKeyUsage=clientAuth")):
            make("req", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-subj", subject, "-keyout", f"{d}/{name}.key",
                 "-out", f"{d}/{name}.csr")
            (d / "ext").write_text(extension)
            make("x509", "-req", "-in", f"{d}/{name}.csr", "-CA", f"{d}/ca.crt", "-CAkey", f"{d}/ca.key", "-CAcreateserial", "-days", "2",
                 "-extfile", f"{d}/ext", "-out", f"{d}/{name}.crt")
        for name in ("admin", "stand"):
            self.kubeconfig(d / f"{name}.conf", {"client-certificate": f"{d}/{name}.crt", "client-key": f"{d}/{name}.key"})
        (d / "audit.yaml").write_text(AUDIT)

    def kubeconfig(self, path, user, port=None, **cluster):
        path = pathlib.Path(path)
        ca = base64.b64encode((self.dir / "ca.crt").read_bytes()).decode()
        data = {"apiVersion": "v1", "kind": "Config", "current-context": "c", "preferences": {},
                "clusters": [{"name": "c", "cluster": {"server": f"https://127.0.0.1:{port or self.port}",
                                                       "certificate-authority-data": ca, **cluster}}],
                "users": [{"name": "u", "user": user}],
                "contexts": [{"name": "c", "context": {"cluster": "c", "user": "u", "namespace": NAMESPACE}}]}
        path.write_text(json.dumps(data))
        path.chmod(0o600)
        return path

    def spawn(self, name, *words):
        log = open(self.dir / f"{name}.log", "ab")
        self.processes[name] = subprocess.Popen([self.program, *words], stdout=log, stderr=log, stdin=subprocess.DEVNULL,
                                                env=dict(os.environ, GOMAXPROCS="2", GOGC="60"), cwd=self.dir)

    def _start(self):
        self.start_etcd()
        self.start_api()
        d = self.dir
        self.admin = Api(self.port, d / "ca.crt", (d / "admin.crt", d / "admin.key"))
        wait_until("the API server", 120, self.ready, 0.2)
        self.spawn("controllers", "controllers", f"--kubeconfig={d}/admin.conf", "--leader-elect=false", "--secure-port=0",
                   f"--service-account-private-key-file={d}/sa.key", f"--root-ca-file={d}/ca.crt", "--kube-api-qps=500",
                   "--kube-api-burst=1000", "--concurrent-statefulset-syncs=20", "--controllers=*,-tokencleaner,-bootstrapsigner",
                   "--pvclaimbinder-sync-period=2s", "--node-monitor-grace-period=5h")
        self.start_scheduler()
        self.spawn("stand", "kubelet", f"{d}/stand.conf", str(self.nodes))
        self.kubectl("create", "namespace", NAMESPACE)
        self.apply(chart_rbac())
        wait_until("the default service account", 60, lambda: self.admin.get(f"/api/v1/namespaces/{NAMESPACE}/serviceaccounts/default"))
        wait_until("nodes", 60, lambda: len(self.admin.items("/api/v1/nodes")) == self.nodes)

    def start_scheduler(self):
        d = self.dir
        self.spawn("scheduler", "scheduler", f"--kubeconfig={d}/admin.conf", "--leader-elect=false", "--secure-port=0",
                   "--kube-api-qps=500", "--kube-api-burst=1000")

    def start_etcd(self):
        self.spawn("etcd", "etcd", str(self.dir), f"http://127.0.0.1:{self.etcd_port}", f"http://127.0.0.1:{self.peer_port}")

    def start_api(self):
        d = self.dir
        self.spawn("apiserver", "apiserver", f"--etcd-servers=http://127.0.0.1:{self.etcd_port}", f"--secure-port={self.port}",
                   "--bind-address=127.0.0.1", "--advertise-address=127.0.0.1", f"--tls-cert-file={d}/server.crt",
                   f"--tls-private-key-file={d}/server.key", f"--client-ca-file={d}/ca.crt", "--authorization-mode=RBAC",
                   "--service-cluster-ip-range=10.96.0.0/16", "--service-account-issuer=https://kubernetes.default.svc",
                   f"--service-account-key-file={d}/sa.key", f"--service-account-signing-key-file={d}/sa.key",
                   "--endpoint-reconciler-type=none", "--enable-priority-and-fairness=false", f"--audit-policy-file={d}/audit.yaml",
                   f"--audit-log-path={d}/audit.log", "--max-requests-inflight=2000", "--max-mutating-requests-inflight=1000")

    def ready(self):
        for name, p in self.processes.items():
            assert p.poll() is None, f"{name} ended: " + (self.dir / f"{name}.log").read_text(errors="replace")[-1500:]
        try:
            return self.admin.ask("GET", "/readyz")[0] == 200
        except json.JSONDecodeError:
            return True
        except OSError:
            return False

    def stop_part(self, name, how=signal.SIGKILL):
        p = self.processes.pop(name)
        p.send_signal(how)
        p.wait(30)

    def stop(self):
        for name in ("stand", "scheduler", "controllers", "apiserver", "etcd"):
            if name in self.processes:
                self.stop_part(name)
        if os.environ.get("OWNHOUSE_KEEP"):
            print("kept", self.dir)
        else:
            shutil.rmtree(self.dir, ignore_errors=True)

    # ---- people's tools ----
    def kubectl(self, *words, data=None, ok=True):
        r = subprocess.run([self.program, "kubectl", "--kubeconfig", f"{self.dir}/admin.conf", *words], input=data, text=True,
                           capture_output=True, timeout=120)
        assert not ok or r.returncode == 0, r.stderr + r.stdout
        return r

    def apply(self, text):
        return self.kubectl("apply", "--server-side", "--force-conflicts", "-f", "-", data=text)

    def token(self, seconds=3600, namespace=NAMESPACE, account="ownhouse-agent"):
        status, body = self.admin.ask("POST", f"/api/v1/namespaces/{namespace}/serviceaccounts/{account}/token",
                                      {"apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest",
                                       "spec": {"expirationSeconds": seconds}})
        assert status == 201, body
        return body["status"]["token"]

    def audit(self):
        file = self.dir / "audit.log"
        return [json.loads(line) for line in file.read_text().splitlines()] if file.exists() else []

    def ours(self, path, infrastructure):
        return self.admin.items(path, labelSelector=f"app.kubernetes.io/managed-by=ownhouse,ownhouse/infrastructure={infrastructure}")
