"""`ownhouse render`: golden files, the same ClickHouse on both runtimes, and what a real API server says to it."""
import base64
import json
import os
import re
import subprocess

import pytest

from agent import service
from cluster import BUILD, TOP

PROGRAM = BUILD / "src/cli/ownhouse"
GOLDEN = TOP / "tests/golden/kubernetes"


def render(path, *words):
    r = subprocess.run([PROGRAM, "render", *words, str(path)], capture_output=True, text=True)
    assert r.returncode == 0, r.stderr
    return json.loads(r.stdout)


def kubernetes(path, *words):
    return render(path, "--runtime", "kubernetes", *words)["items"]


@pytest.mark.parametrize("case", sorted(p.name[:-len(".in.json")] for p in GOLDEN.glob("*.in.json")))
def test_golden(case):
    """Rewritten with OWNHOUSE_GOLDEN=write; the difference is then for a person to read."""
    have = json.dumps(kubernetes(GOLDEN / f"{case}.in.json"), indent=1) + "\n"
    file = GOLDEN / f"{case}.json"
    if os.environ.get("OWNHOUSE_GOLDEN") == "write":
        file.write_text(have)
    assert have == file.read_text()


def test_the_same_document_gives_the_same_clickhouse_on_both_runtimes():
    """Files and arguments of each workload are the same texts but for where things lie."""
    path = GOLDEN / "one.in.json"
    for engine in ("clickhouse", "chdb"):
        items = kubernetes(path, "--engine", engine, "--secrets")
        for w in render(path, "--runtime", "process", "--engine", engine, "--secrets"):
            if w["name"] == "ingress":
                continue  # asks for names while it runs: see test_golden
            mapped = {"${files}": "/ownhouse/files", "${address}": "0.0.0.0", "${param:engine_library}": "/usr/lib/ownhouse/libchdb.so"}

            def expand(text):
                text = re.sub(r"\$\{volume:(\w+)\}", r"/ownhouse/volumes/\1", text)
                for name, value in mapped.items():
                    text = text.replace(name, value)
                return text.replace("$${", "${")
            files = {}
            for o in items:
                if o["kind"] in ("ConfigMap", "Secret") and o["metadata"]["labels"].get("ownhouse/workload") == w["name"]:
                    for key, value in o["data"].items():
                        files[key] = base64.b64decode(value).decode() if o["kind"] == "Secret" else value
            assert files == {f["path"].replace("/", "__"): expand(f["content"]) for f in w["files"]}
            sets = [o for o in items if o["kind"] == "StatefulSet" and o["metadata"]["name"] == w["name"]]
            container = sets[0]["spec"]["template"]["spec"]["containers"][0]
            assert container["args"] == [expand(a) for a in w["arguments"]] and container["command"][-1] == w["program"]


def test_nothing_secret_is_shown_unless_asked(tmp_path):
    secret = "b" * 64
    file = tmp_path / "s.json"
    file.write_text(json.dumps(service(users=[{"name": "default", "sha256": secret}])))
    hidden, shown = kubernetes(file), kubernetes(file, "--secrets")
    encoded = [base64.b64decode(v).decode() for o in shown if o["kind"] == "Secret" for v in o["data"].values()]
    assert any(secret in v for v in encoded)
    assert secret not in json.dumps(hidden) and {base64.b64decode(v) for o in hidden if o["kind"] == "Secret"
                                                 for v in o["data"].values()} == {b"(not shown)"}


def test_wrong_calls_are_told_in_words(tmp_path):
    for words, said in ((["--runtime", "vm", GOLDEN / "one.in.json"], "--runtime"), ([tmp_path / "none"], "there is no file")):
        r = subprocess.run([PROGRAM, "render", *words], capture_output=True, text=True)
        assert r.returncode in (2, 3) and said in r.stderr


def test_the_api_server_accepts_all_of_it(cluster):
    """Server-side dry run with validation of every field; namespaces must be there for that, so they are made first."""
    items = [o for case in sorted(GOLDEN.glob("*.in.json")) for o in kubernetes(case)]
    spaces = [o for o in items if o["kind"] == "Namespace"]
    cluster.apply(json.dumps({"apiVersion": "v1", "kind": "List", "items": spaces}))
    try:
        cluster.kubectl("apply", "--server-side", "--dry-run=server", "--validate=strict", "--field-manager=review", "-f", "-",
                        data=json.dumps({"apiVersion": "v1", "kind": "List", "items": [o for o in items if o["kind"] != "Namespace"]}))
    finally:
        for name in {o["metadata"]["name"] for o in spaces}:
            cluster.kubectl("delete", "namespace", name, "--wait=false")


def test_kubectl_diff_shows_nothing_after_convergence(new_agent, cluster, tmp_path):
    agent = new_agent(log_level="info")
    s = service()
    agent.want(s)
    agent.until(s["id"], "running")
    file = tmp_path / "s.json"
    file.write_text(json.dumps({"type": "ownhouse/desired", "v": 1, "infrastructure": agent.infrastructure, "version": 1,
                                "issuedAt": "2026-11-23T12:00:00.000Z", "domain": "d.example", "services": [s]}))
    ours = [o for o in kubernetes(file, "--secrets", "--volume-gib", "10", "--clickhouse-image", "stand.test/clickhouse:1",
                                  "--state", agent.home / "state")
            if agent.namespace(s) in (o["metadata"].get("namespace"), o["metadata"]["name"])]
    assert len(ours) == 12
    r = cluster.kubectl("diff", "--server-side", "--field-manager=ownhouse", "-f", "-",
                        data=json.dumps({"apiVersion": "v1", "kind": "List", "items": ours}), ok=False)
    assert (r.returncode, r.stdout) == (0, ""), r.stdout[:3000] + r.stderr
    ours[-1]["spec"]["replicas"] = 2
    assert cluster.kubectl("diff", "--server-side", "--field-manager=ownhouse", "-f", "-", data=json.dumps(ours[-1]),
                           ok=False).returncode == 1
