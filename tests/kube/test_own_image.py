"""The agent's own image in a cluster: the release of the signed list is tried under the eyes of a guard of the image of before, and kept
or put back, whoever is killed meanwhile. The programs are run by own_pods.py as the pods' objects say."""
import base64
import json
import os
import signal

import pytest

from cluster import ACCOUNT, GUARD, NAMESPACE
from faults import Proxy
from link_parts import free_port, wait_until
from own_pods import OwnPods
from test_install import IMAGES, new_key, place, release_list, run  # noqa: F401

LONG = os.environ.get("OWNHOUSE_TEST_LONG")
SET = f"/apis/apps/v1/namespaces/{NAMESPACE}/statefulsets/ownhouse-agent"
POD = f"/api/v1/namespaces/{NAMESPACE}/pods/ownhouse-agent-0"
JOBS = f"/apis/batch/v1/namespaces/{NAMESPACE}/jobs"
OLD = IMAGES[1]
GOOD, DEAF = (f"stand.test/agent@sha256:{digit * 64}" for digit in "bc")  # the deaf one never has a link


class Place:
    """An agent that was installed with a list of releases, its pod run by the test."""

    def __init__(self, cluster, control, agent, words, folder, patience):
        self.cluster, self.agent, self.folder, self.serial, self.patience = cluster, agent, folder, 0, patience
        self.key, public = new_key(folder)
        bundle = agent.folder / "bundle.json"
        bundle.write_text(json.dumps(control.bundle(releaseKey=public)))
        self.list()
        values = folder / "values.json"
        values.write_text(json.dumps({"releasePatience": patience}))
        run("install", *words, "--bundle", bundle, "--token-file", agent.folder / "token", "--releases", folder / "releases.json", "--values",
            values, "--force", "--wait", 0, *IMAGES)
        held = cluster.admin.get(f"/api/v1/namespaces/{NAMESPACE}/secrets/ownhouse-bundle")["data"]["bundle.json"]
        (agent.folder / "whole.json").write_bytes(base64.b64decode(held))
        (agent.folder / "whole.json").chmod(0o600)
        text = cluster.admin.get(f"/api/v1/namespaces/{NAMESPACE}/configmaps/ownhouse-agent")["data"]["agent.conf"]
        for old, new in (("/var/lib/ownhouse/agent", str(agent.home)), ("/etc/ownhouse-bundle/bundle.json", str(agent.folder / "whole.json")),
                         ("/etc/ownhouse-bundle/releases.json", str(folder / "releases.json"))):
            assert old in text
            text = text.replace(old, new)
        self.proxies = {"ownhouse-agent": Proxy(cluster), "ownhouse-guard": Proxy(cluster)}
        for account in self.proxies:
            (folder / account).mkdir()
            (folder / account / "token").write_text(cluster.token(account=account))
            cluster.kubeconfig(folder / account / "config", {"tokenFile": str(folder / account / "token")}, port=self.proxies[account].port)
        configs = {}
        for image, more in ((OLD, ""), (GOOD, ""), (DEAF, f"control_address = 127.0.0.1:{free_port()}\n")):
            configs[image] = folder / f"agent-{image[-1]}.conf"
            configs[image].write_text(f"{text}kubeconfig = {folder}/ownhouse-agent/config\n{more}")
            configs[image].chmod(0o600)
        self.pods = OwnPods(cluster, folder, configs, folder / "ownhouse-guard/config")
        wait_until("the link", 150, self.linked, 0.2)

    def linked(self):
        status = self.agent.status()
        return status.get("link", {}).get("connected") and status["cluster"]["leading"] and status.get("observed")

    def list(self, image=None, images=(OLD, GOOD, DEAF), serial=None, key=None):
        self.serial += 1
        release_list(self.folder, key or self.key, serial or self.serial, [IMAGES[3], IMAGES[5], *images], **({"agentImage": image} if image else {}))

    def set(self):
        return self.cluster.admin.get(SET)

    def state(self):
        return json.loads(self.set()["metadata"].get("annotations", {}).get("ownhouse/release", "{}"))

    def image(self):
        return self.set()["spec"]["template"]["spec"]["containers"][0]["image"]

    def runs(self, image):
        """The pod of that image, its agent linked and leading."""
        pod = self.cluster.admin.get(POD) or {}
        return self.image() == image and pod and pod["spec"]["containers"][0]["image"] == image and self.linked()

    def until(self, state, seconds=240):
        wait_until(state, seconds, lambda: self.state().get("state") == state, 0.2)

    def told(self, result, image):
        """In the agent's status, in its ledger, and as an event of its StatefulSet."""
        wait_until("status", 150, lambda: (self.agent.status().get("release") or {}).get("last", {}).get("result") == result, 0.2)
        last = self.agent.status()["release"]["last"]
        assert last["image"] == image
        wait_until("the report", 60, lambda: (self.agent.status()["observed"].get("release") or {}) == {"what": image, **{
            k: last[k] for k in ("result", "why", "at")}}, 0.2)
        ledger = self.agent.home / "ledger"
        wait_until("ledger", 60, lambda: any(f'"result":"{result}"'.encode() in f.read_bytes() for f in ledger.rglob("*") if f.is_file()), 0.2)
        reason = {"taken": "Upgraded", "rolled-back": "RolledBack"}[result]
        wait_until("event", 60, lambda: any(e["reason"] == reason and image in e["note"] and e["regarding"]["name"] == "ownhouse-agent"
                                            for e in self.cluster.admin.items(f"/apis/events.k8s.io/v1/namespaces/{NAMESPACE}/events")), 0.2)
        return last

    def stop(self):
        self.pods.stop()
        for p in self.proxies.values():
            p.stop()


@pytest.fixture
def make(cluster, control, new_agent, place, tmp_path):  # noqa: F811
    made = []

    def start(patience=3600):
        made.append(Place(cluster, control, new_agent("a", start=False), place, tmp_path, patience))
        return made[-1]
    yield start
    for p in made:
        p.stop()
        said = (tmp_path / "agent.log").read_text(errors="replace")
        assert "Sanitizer" not in said and "runtime error" not in said, said[-2000:]
    cluster.kubectl("delete", "jobs,pods", "-n", NAMESPACE, "-l", "app.kubernetes.io/name=ownhouse-agent-guard", "--wait=false", ok=False)


def rights(cluster, role):
    rules = cluster.admin.get(f"/apis/rbac.authorization.k8s.io/v1/namespaces/{NAMESPACE}/roles/{role}")["rules"]
    return {(g, resource, verb, *rule.get("resourceNames", [])) for rule in rules for g in rule["apiGroups"] for resource in rule["resources"]
            for verb in rule["verbs"]}


def test_a_good_release_stays(make, cluster):
    p = make()
    before, start = cluster.admin.get(POD)["metadata"]["uid"], len(cluster.audit())
    p.list(GOOD)
    p.until("taken")
    wait_until("the new image to run", 120, lambda: p.runs(GOOD), 0.2)
    assert cluster.admin.get(POD)["metadata"]["uid"] != before
    assert p.told("taken", GOOD)["why"] == ""
    # The guard was there first, of the image of before, confined as the agent is; it is done.
    guards = [(name, image) for name, image in p.pods.images if "guard" in name]
    assert [image for _, image in guards] == [OLD] and p.pods.images.index(guards[0]) < [i for _, i in p.pods.images].index(GOOD)
    wait_until("the guard's end", 60, lambda: [j.get("status", {}).get("succeeded") for j in cluster.admin.items(JOBS)] == [1], 0.2)
    pod, = (x for x in cluster.admin.items(f"/api/v1/namespaces/{NAMESPACE}/pods") if "guard" in x["metadata"]["name"])
    agent = p.set()["spec"]["template"]["spec"]
    assert pod["spec"]["serviceAccountName"] == "ownhouse-guard" and pod["spec"]["securityContext"] == agent["securityContext"]
    assert pod["spec"]["containers"][0]["securityContext"] == agent["containers"][0]["securityContext"]
    # Each right that this takes was used, and nothing was refused.
    asked = {ACCOUNT: set(), GUARD: set()}
    for e in cluster.audit()[start:]:
        ref = e.get("objectRef", {})
        assert e.get("responseStatus", {}).get("code") != 403, e
        asked[e["user"]["username"]].add((ref.get("apiGroup", ""), ref.get("resource"), e["verb"], *([ref["name"]] if ref.get("name") else [])))
    assert asked[GUARD] == rights(cluster, "ownhouse-guard")
    made = {(g, resource, verb) for g, resource, verb, *_ in asked[ACCOUNT]}
    assert rights(cluster, "ownhouse-upgrade") == {("batch", "jobs", "create")} <= made
    # Nobody looks at it any more.
    proxy = p.proxies["ownhouse-agent"]
    count = lambda what: sum(what in path for _, path in list(proxy.seen))  # noqa: E731
    looks, renewals = count("fieldSelector"), count("/leases/")
    wait_until("renewals of the lease", 120, lambda: count("/leases/") >= renewals + 3, 0.2)
    assert looks and count("fieldSelector") == looks


def test_a_release_without_a_link_is_put_back_and_not_tried_again(make, cluster):
    p = make(patience=15)
    p.list(DEAF)
    p.until("rolled-back")
    trial = p.state()["trial"]
    wait_until("the image of before", 150, lambda: p.runs(OLD), 0.2)
    assert "not up within 15 s" in p.told("rolled-back", DEAF)["why"] and (("ownhouse-agent-0", DEAF) in p.pods.images)
    # Not by the agent that runs, nor by one that starts.
    uid = cluster.admin.get(POD)["metadata"]["uid"]
    cluster.kubectl("-n", NAMESPACE, "delete", "pod", "ownhouse-agent-0", "--wait=false")
    wait_until("another pod", 60, lambda: (cluster.admin.get(POD) or {}).get("metadata", {}).get("uid") not in (None, uid), 0.2)
    wait_until("the agent", 150, lambda: p.runs(OLD) and p.agent.status().get("release", {}).get("last"), 0.2)
    assert p.state()["trial"] == trial and p.state()["state"] == "rolled-back"
    # Another list asks again.
    p.list(DEAF)
    wait_until("another trial", 150, lambda: p.state()["trial"] != trial, 0.2)


def test_what_the_key_did_not_sign_changes_nothing(make, cluster, tmp_path):
    p = make()
    other = tmp_path / "other"
    other.mkdir()
    stranger, _ = new_key(other)
    for change, said in (({"key": stranger}, "release key"), ({"serial": 1}, None), ({"images": (OLD,)}, "agentImage"),
                         ({"images": (GOOD,), "image": GOOD.split("@")[0]}, "agentImage")):
        if change.get("serial"):  # older than what was accepted when the agent started
            p.list(serial=9)
            p.serial = 9
            cluster.kubectl("-n", NAMESPACE, "delete", "pod", "ownhouse-agent-0", "--wait=false")
            wait_until("the newer list", 150, lambda: (p.agent.home / "state/releases.serial").read_text().strip() == "9", 0.2)
            wait_until("the link", 150, p.linked, 0.2)
            said = "serial 1 is below 9"
        p.list(**{"image": GOOD, **change})
        wait_until(said, 150, lambda: said in (p.agent.status().get("release") or {}).get("refused", {}).get("why", ""), 0.2)
    assert p.image() == OLD and not p.state() and not cluster.admin.items(JOBS)
    # Nor do images of agent.conf that the new agent would not work with.
    p.list(GOOD)
    p.until("taken")


def kill_at(p, account, writes, kill):
    """kill -9 when a write was passed on: each of `writes` by its number, counted in the account's own writes of the release."""
    seen = []

    def rule(method, path):
        if (method == "PATCH" and path.startswith(SET)) or (method == "POST" and path.startswith(JOBS)):
            seen.append(method)
            if len(seen) in writes:
                kill()
    p.proxies[account].rule = rule
    return seen


@pytest.mark.parametrize("image, state, patience", [(DEAF, "rolled-back", 15)] + ([(GOOD, "taken", 3600)] if LONG else []))
def test_the_guard_may_be_killed_at_each_write(make, image, state, patience):
    """That it is there, its bound, its verdict: after each it is killed, and goes on where it was."""
    p = make(patience)
    seen = kill_at(p, "ownhouse-guard", (1, 2, 3), lambda: os.kill(p.pods.pid("ownhouse-agent-guard"), signal.SIGKILL))
    p.list(image)
    p.until(state)
    wait_until("the image", 240, lambda: p.runs(image if state == "taken" else OLD), 0.2)
    p.told(state, image)
    assert len(seen) >= 3 and sum("guard" in name for name, _ in p.pods.images) >= 4
    wait_until("the guard's end", 60, lambda: not p.pods.pid("ownhouse-agent-guard"), 0.2)


@pytest.mark.parametrize("writes", [(1,), (2,), (3,), (4,), (1, 2, 3, 4)] if LONG else [(2, 3)])
def test_the_agent_may_be_killed_at_each_write(make, cluster, writes):
    """That it prepares, the guard's Job, the image, its health: after each its operator is killed."""
    p = make()
    seen = kill_at(p, "ownhouse-agent", writes, lambda: [os.kill(pid, signal.SIGKILL) for pid in operators(p)])
    p.list(GOOD)
    p.until("taken", 400)
    wait_until("the image", 240, lambda: p.runs(GOOD), 0.2)
    assert len(seen) >= 4 and len(cluster.admin.items(JOBS)) == 1


def operators(p):
    for pid in filter(str.isdigit, os.listdir("/proc")):
        try:
            words = open(f"/proc/{pid}/cmdline").read().split("\0")
        except OSError:
            continue
        if "--role" in words and "operator" in words and any(str(p.folder) in w for w in words):
            yield int(pid)


def test_another_image_meanwhile_is_left(make, cluster):
    """An administrator's image in the middle of a trial stays, and is not changed again for this list."""
    p = make()
    p.list(DEAF)
    p.until("trying")
    cluster.kubectl("-n", NAMESPACE, "set", "image", "statefulset/ownhouse-agent", f"agent={GOOD}")
    p.until("left")
    wait_until("the image", 150, lambda: p.runs(GOOD), 0.2)
    assert GOOD in p.state()["why"]
