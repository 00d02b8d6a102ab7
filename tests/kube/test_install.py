"""`ownhouse agent install`: the chart's objects on a real API server, as Helm would make them; what it waits for and what it says."""
import base64
import hashlib
import json
import os
import subprocess

import pytest

from cluster import BUILD, NAMESPACE, TOP, chart_rbac
from link_parts import openssl, wait_until
from peers import find_peer

PROGRAM = BUILD / "src/cli/ownhouse"
CHART = TOP / "deploy/chart"
DIGEST = "@sha256:" + "a" * 64
IMAGES = ["--image", f"stand.test/agent{DIGEST}", "--clickhouse-image", f"stand.test/clickhouse{DIGEST}",
          "--haproxy-image", f"stand.test/haproxy{DIGEST}"]


def run(*words, ok=True):
    r = subprocess.run([PROGRAM, "agent", *map(str, words)], capture_output=True, text=True, timeout=300, stdin=subprocess.DEVNULL)
    assert not ok or r.returncode == 0, r.stderr + r.stdout
    return r


def printed(*words):
    return json.loads(run("install", "--print", *IMAGES, *words).stdout)["items"]


def helm(*words):
    program = find_peer("helm")
    if not program:
        pytest.skip("skipped: helm not available (tests/peers/fetch helm)")
    r = subprocess.run([program, *map(str, words)], capture_output=True, text=True, timeout=120)
    assert r.returncode == 0, r.stdout + r.stderr
    return r.stdout


VALUES = {"releases": True, "engine": "chdb", "name": "two words", "proxy": "proxy.example:3128", "storageClass": "fast", "volumeGib": 7, "loadBalancer": False,
          "backupUrl": "https://s3.eu-west-1.amazonaws.com/ours/here", "backupRegion": "eu-west-1",
          "accountAnnotations": {"b.example/role": "one", "a.example/x": "two"}, "balancerAnnotations": {"c.example/d": "e"},
          "proxyFrom": "10.0.0.0/16 fd00::/8", "dnsProvider": "rfc2136", "dnsZone": "example.org", "dnsServer": "10.0.0.5:53",
          "dnsKeySecret": "zone.key", "dnsTarget": "lb.example.net", "dnsTtl": 30, "acmeDirectory": "https://acme.example/directory",
          "acmeContact": "ops@example.org", "agentAnnotations": {"eks.amazonaws.com/role-arn": "arn:aws:iam::1:role/names"},
          "priorityClass": "high", "stateStorageClass": "slow", "resources": {"requests": {"cpu": "1", "memory": "64Mi"}}}
HELM_IMAGES = ["--set", f"image=stand.test/agent{DIGEST},clickhouseImage=stand.test/clickhouse{DIGEST},"
               f"haproxyImage=stand.test/haproxy{DIGEST}"]


def test_helm_lint():
    assert "0 chart(s) failed" in helm("lint", "--strict", CHART, *HELM_IMAGES)


@pytest.mark.parametrize("values", [{}, VALUES, {"admissionPolicy": False}], ids=["defaults", "all", "no-admission"])
def test_helm_makes_the_same_objects(values, tmp_path, cluster):
    """Of each other's templates: what Helm's own engine makes of the chart, and what ours does."""
    file = tmp_path / "values.json"
    file.write_text(json.dumps(values))
    text = helm("template", "x", CHART, "--namespace", NAMESPACE, "--kube-version", "1.35.0", "-f", file, *HELM_IMAGES)
    listed = cluster.kubectl("create", "--dry-run=client", "--validate=false", "-o", "json", "-f", "-", data=text).stdout
    decoder, at, theirs = json.JSONDecoder(), 0, []
    while at < len(listed.rstrip()):
        o, at = decoder.raw_decode(listed, at)
        at += len(listed[at:]) - len(listed[at:].lstrip())
        theirs += o["items"] if o["kind"] == "List" else [o]
    ours = [o for o in printed("--values", file) if o["kind"] != "Namespace"]

    def key(o):
        # Each calculates the sum over its own writing of the values.
        annotations = o.get("spec", {}).get("template", {}).get("metadata", {}).get("annotations", {})
        assert len(annotations.pop("checksum/config", "")) in (0, 64)
        return o["kind"], o["metadata"]["name"]
    assert {key(o): o for o in ours} == {key(o): o for o in theirs}


def test_what_may_not_be_is_told(tmp_path):
    file = tmp_path / "values.json"
    for values, said in (({"imag": "x"}, "no such value"), ({"volumeGib": "7"}, "another type"), ({"image": "x:latest"}, "by digest"),
                         ({"name": "a\nruntime = process"}, "one line"), ({"stateSize": "1Gi}"}, "letters, digits"),
                         ({"balancerAnnotations": {"a": "b c"}}, "without blanks")):
        file.write_text(json.dumps(values))
        r = run("install", "--print", "--values", file, *(w for w in IMAGES if "image" not in values or not w.startswith("--image")
                                                          and "agent" not in w), ok=False)
        assert r.returncode == 1 and said in r.stderr, (values, r.stderr)
    assert "name the image" in run("install", "--print", ok=False).stderr
    assert run("install", "--kubeconfig", tmp_path / "none", *IMAGES, ok=False).returncode == 3


def new_key(folder):
    openssl("genpkey", "-algorithm", "ed25519", "-out", f"{folder}/release.key")
    der = openssl("pkey", "-in", f"{folder}/release.key", "-pubout", "-outform", "DER")
    return folder / "release.key", der[-32:].hex()


def release_list(folder, key, serial, images, **more):
    """As the vendor makes it, with OpenSSL."""
    text = json.dumps({"type": "ownhouse/releases", "v": 1, "serial": serial, "issuedAt": "2026-11-23T00:00:00.000Z", "images": images,
                       "programs": [], **more})
    (folder / "statement").write_text(f"ownhouse-releases-v1\n{hashlib.sha256(text.encode()).hexdigest()}\n")
    signature = openssl("pkeyutl", "-sign", "-rawin", "-inkey", str(key), "-in", f"{folder}/statement").hex()
    (folder / "releases.new").write_text(json.dumps({"v": 1, "document": text, "signature": signature}))
    os.replace(folder / "releases.new", folder / "releases.json")
    return folder / "releases.json"


@pytest.fixture
def place(cluster):
    """The session's cluster with its rights as they were."""
    yield ["--kubeconfig", cluster.dir / "admin.conf", "--namespace", NAMESPACE]
    run("uninstall", "--kubeconfig", cluster.dir / "admin.conf", "--leave-services", ok=False)
    cluster.kubectl("delete", "pvc,secret", "-n", NAMESPACE, "--field-selector=metadata.name!=x", "-l", "!ownhouse/infrastructure",
                    "--wait=false", ok=False)
    cluster.apply(chart_rbac())


def test_install_link_and_uninstall(place, cluster, control, new_agent, tmp_path):
    """Installed, its agent.conf run by the real agent, and removed; other tests' objects stay as they are."""
    agent = new_agent("a", start=False)
    bundle, token = agent.folder / "bundle.json", agent.folder / "token"
    key, public = new_key(tmp_path)
    bundle.write_text(json.dumps(control.bundle(releaseKey=public)))
    listed = release_list(tmp_path, key, 5, [IMAGES[3], IMAGES[5]])
    r = run("install", *place, "--bundle", bundle, "--token-file", token, "--releases", listed, "--force", "--wait", 120, *IMAGES)
    assert "up" in r.stdout
    assert base64.b64decode(cluster.admin.get(f"/api/v1/namespaces/{NAMESPACE}/secrets/ownhouse-bundle")["data"]["releases.json"]) == \
        listed.read_bytes()
    held = cluster.admin.get(f"/api/v1/namespaces/{NAMESPACE}/secrets/ownhouse-bundle")["data"]["bundle.json"]
    assert json.loads(base64.b64decode(held)) == {**json.loads(bundle.read_text()), "token": token.read_text().strip()}
    # Again: nothing is written anew.
    path = f"/apis/apps/v1/namespaces/{NAMESPACE}/statefulsets/ownhouse-agent"
    first = cluster.admin.get(path)
    values = tmp_path / "values.json"
    values.write_text('{"releases": true}')
    run("install", *place, "--values", values, "--wait", 0, *IMAGES)
    assert cluster.admin.get(path)["metadata"]["generation"] == first["metadata"]["generation"]
    # What the pod would read, but for its paths.
    text = cluster.admin.get(f"/api/v1/namespaces/{NAMESPACE}/configmaps/ownhouse-agent")["data"]["agent.conf"]
    (agent.folder / "whole.json").write_bytes(base64.b64decode(held))
    (agent.folder / "whole.json").chmod(0o600)
    for old, new in (("/var/lib/ownhouse/agent", str(agent.home)), ("/etc/ownhouse-bundle/bundle.json", str(agent.folder / "whole.json")),
                     ("/etc/ownhouse-bundle/releases.json", str(listed))):
        assert old in text
        text = text.replace(old, new)
    agent.config.write_text(text + f"kubeconfig = {agent.kubeconfig}\n")
    agent.start()
    probe = [BUILD / "src/agent/ownhouse-agent", "status", "--linked", "--config", agent.config]
    wait_until("the link", 90, lambda: subprocess.run(probe, capture_output=True).returncode == 0, 0.2)
    agent.stop()
    r = subprocess.run(probe, capture_output=True, text=True)
    assert r.returncode == 3 and "does not run" in r.stdout
    # An older list, and one without an image that is configured: the agent does nothing. Then a newer one that has it.
    for serial, images, said in ((4, [IMAGES[3], IMAGES[5]], "serial 4 is below 5"), (6, [IMAGES[3]], "haproxy_image")):
        release_list(tmp_path, key, serial, images)
        agent.start()
        wait_until("the refusal", 60, lambda: said in agent.said(), 0.2)
        assert subprocess.run(probe, capture_output=True).returncode == 3
        agent.stop()
    release_list(tmp_path, key, 6, [IMAGES[3], IMAGES[5]])
    agent.start()
    wait_until("the link again", 90, lambda: subprocess.run(probe, capture_output=True).returncode == 0, 0.2)
    agent.stop()
    # Not while there are services, then not without their keeper's disk.
    cluster.apply(json.dumps({"apiVersion": "v1", "kind": "Namespace", "metadata": {
        "name": "ownhouse-left", "labels": {"app.kubernetes.io/managed-by": "ownhouse", "ownhouse/infrastructure": agent.infrastructure}}}))
    r = run("uninstall", *place, ok=False)
    assert r.returncode == 1 and "--leave-services" in r.stderr and cluster.admin.get(path)
    r = run("uninstall", *place, "--leave-services", "--delete-state", ok=False)
    assert r.returncode == 4 and "was not made by" in r.stderr
    assert cluster.admin.get(path) is None
    assert cluster.admin.get("/apis/rbac.authorization.k8s.io/v1/clusterroles/ownhouse-watch") is None
    assert cluster.admin.get(f"/api/v1/namespaces/{NAMESPACE}/persistentvolumeclaims/state-ownhouse-agent-0")


def test_what_is_missing_is_said(place, cluster):
    """A pod that cannot run, and one that runs without its link."""
    bad = [w.replace("stand.test/agent", "stand.test/agent:broken") for w in IMAGES]
    r = run("install", *place, "--force", "--wait", 20, *bad, ok=False)
    assert r.returncode == 6 and "ImagePullBackOff" in r.stderr, r.stderr
    slow = [w.replace("stand.test/agent", "stand.test/agent:slow") for w in IMAGES]
    r = run("install", *place, "--wait", 0, *slow)
    pod = f"/api/v1/namespaces/{NAMESPACE}/pods/ownhouse-agent-0"
    wait_until("the other image", 60, lambda: ":slow" in json.dumps((cluster.admin.get(pod) or {}).get("spec", {})) and
               cluster.admin.get(pod).get("status", {}).get("containerStatuses"), 0.2)
    cluster.apply(json.dumps({"apiVersion": "v1", "kind": "Event", "metadata": {"name": "probe", "namespace": NAMESPACE},
                              "involvedObject": {"kind": "Pod", "namespace": NAMESPACE, "name": "ownhouse-agent-0"}, "type": "Warning",
                              "reason": "Unhealthy", "lastTimestamp": "2036-01-01T00:00:00Z", "source": {"component": "kubelet"},
                              "message": "Readiness probe failed: not linked to control.example: connection refused"}))
    r = run("install", *place, "--wait", 1, *slow, ok=False)
    assert r.returncode == 6 and "not linked to control.example" in r.stderr, r.stderr
    # The same command with what was wrong put right goes on.
    run("install", *place, "--wait", 120, *IMAGES)


def test_a_namespace_of_its_own_goes_with_its_state(cluster):
    words = ["--kubeconfig", cluster.dir / "admin.conf", "--namespace", "own-agent"]
    try:
        run("install", *words, "--force", "--wait", 120, *IMAGES)
        assert cluster.admin.get("/api/v1/namespaces/own-agent")["metadata"]["labels"]["ownhouse/installed-by"] == "ownhouse-install"
        run("uninstall", *words, "--leave-services", "--delete-state")
        wait_until("the namespace to go", 90, lambda: cluster.admin.get("/api/v1/namespaces/own-agent") is None, 0.2)
    finally:
        cluster.apply(chart_rbac())
