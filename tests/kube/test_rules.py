"""What the agent does to the cluster beyond running a service: which of its rights it uses, what it leaves alone, what it mends."""
import json

from agent import service
from cluster import ACCOUNT, NAMESPACE
from link_parts import wait_until

GROUPS = {"/api/v1": "", **{f"/apis/{g}/v1": g for g in ("apps", "policy", "networking.k8s.io", "rbac.authorization.k8s.io",
                                                        "coordination.k8s.io")}}


def rules(cluster):
    """(group, resource, verb) of every rule that the chart binds to the agent."""
    found = set()
    for path in ("/apis/rbac.authorization.k8s.io/v1/clusterroles/ownhouse-watch",
                 "/apis/rbac.authorization.k8s.io/v1/clusterroles/ownhouse-permissions",
                 "/apis/rbac.authorization.k8s.io/v1/clusterroles/ownhouse-workloads",
                 f"/apis/rbac.authorization.k8s.io/v1/namespaces/{NAMESPACE}/roles/ownhouse-lease"):
        for r in cluster.admin.get(path)["rules"]:
            found |= {(g, resource, verb) for g in r["apiGroups"] for resource in r["resources"] for verb in r["verbs"]}
    return found


def used(cluster):
    seen = set()
    for e in cluster.audit():
        ref, code = e.get("objectRef", {}), e.get("responseStatus", {}).get("code", 0)
        if e["user"]["username"] != ACCOUNT or "resource" not in ref:
            continue
        seen.add((ref.get("apiGroup", ""), ref["resource"], e["verb"]))
        if e["verb"] == "patch" and code == 201:  # server-side apply of what was not there
            seen.add((ref.get("apiGroup", ""), ref["resource"], "create"))
        if ref["resource"] == "rolebindings" and code == 201:  # the API server asks for this before it hands out a role
            seen.add(("rbac.authorization.k8s.io", "clusterroles", "bind"))
    return seen


def writes(cluster, infrastructure=None):
    return [e for e in cluster.audit() if e["verb"] in ("create", "update", "patch", "delete", "deletecollection") and
            e.get("objectRef", {}).get("resource") not in ("leases", None)]


def test_each_right_is_used_and_none_is_missing(new_agent, cluster):
    """The life of services under the chart's rules; afterwards the audit log and the rules say the same."""
    agent = new_agent()
    s, other = service(), service("other", ordinal=2)
    agent.want(s, other)
    agent.until(s["id"], "running")
    agent.until(other["id"], "running")
    # What is done twice makes a series of an event.
    for state in ("stopped", "running", "stopped", "running"):
        s["state"] = state
        agent.want(s, other)
        agent.until(s["id"], state)
    wait_until("the count of an event", 60, lambda: ("events.k8s.io", "events", "patch") in used(cluster))
    # The front goes with the last certificate: never. Its objects go when the agent has none to make, so they are removed as strangers:
    # a Deployment and a Service of ours that nobody wants.
    stray = json.dumps({"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {
        "name": "dns", "namespace": NAMESPACE, "labels": {"app.kubernetes.io/managed-by": "ownhouse", "ownhouse/workload": "dns",
                                                        "ownhouse/role": "dns", "ownhouse/infrastructure": agent.infrastructure}},
        "spec": {"replicas": 0, "selector": {"matchLabels": {"a": "b"}}, "template": {
            "metadata": {"labels": {"a": "b"}}, "spec": {"containers": [{"name": "c", "image": "stand.test/c:1"}]}}}})
    cluster.apply(stray)
    wait_until("what nobody wants to go", 60, lambda: cluster.admin.get(f"/apis/apps/v1/namespaces/{NAMESPACE}/deployments/dns") is None)
    for one in (s, other):
        one["state"] = "deleted"
    agent.want(s, other)
    agent.until(s["id"], "gone")
    # First without its data, so that the claim is removed for itself; then with them.
    s["deleteData"] = other["deleteData"] = True
    agent.want(s, other)
    wait_until("the namespaces to go", 90, lambda: not any(cluster.admin.get(f"/api/v1/namespaces/{agent.namespace(x)}") for x in (s, other)))
    agent.stop()
    unused = rules(cluster) - used(cluster)
    # Watches begin with a streamed list; a server without those is asked for lists in pages.
    assert {u for u in unused if u[2] != "list"} == set()
    # A binding that is just made takes a moment to count: what was refused must have been granted on a later try.
    mine = [e for e in cluster.audit() if e["user"]["username"] == ACCOUNT]

    def what(e):
        return e["verb"], e.get("objectRef", {}).get("namespace"), e.get("objectRef", {}).get("resource")
    granted = {what(e) for e in mine if e.get("responseStatus", {}).get("code", 500) < 300}
    assert {what(e) for e in mine if e.get("responseStatus", {}).get("code") == 403} - granted == set()


def test_the_agent_may_not_work_where_it_is_not_at_home(agent, cluster):
    """The permission half is kept to namespaces of ours by the admission policy."""
    import urllib.parse
    from cluster import Api
    api = Api(cluster.port, cluster.dir / "ca.crt", token=cluster.token())
    binding = {"apiVersion": "rbac.authorization.k8s.io/v1", "kind": "RoleBinding", "metadata": {"name": "x", "namespace": "kube-system"},
               "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "ownhouse-workloads"},
               "subjects": [{"kind": "ServiceAccount", "name": "ownhouse-agent", "namespace": NAMESPACE}]}
    path = "/apis/rbac.authorization.k8s.io/v1/namespaces/kube-system/rolebindings"
    wait_until("the admission policy", 30, lambda: api.ask("POST", path, binding, dryRun="All")[0] == 422)
    assert "only namespaces called ownhouse-" in api.ask("POST", path, binding)[1]["message"]
    assert api.ask("DELETE", "/api/v1/namespaces/default")[0] in (403, 422)
    # Another role than the second cannot be handed out, not even at home.
    binding["roleRef"]["name"], binding["metadata"]["namespace"] = "cluster-admin", NAMESPACE
    assert api.ask("POST", path.replace("kube-system", NAMESPACE), binding)[0] == 403
    for path in ("/api/v1/secrets", "/api/v1/namespaces/kube-system/configmaps", f"/api/v1/namespaces/{NAMESPACE}/secrets"):
        assert api.ask("GET", path)[0] == 403
    assert api.ask("POST", f"/api/v1/namespaces/{NAMESPACE}/pods/x/exec")[0] == 403


def test_what_stands_is_not_written_again(agent, cluster):
    s = service()
    agent.want(s)
    agent.until(s["id"], "running")
    settled = wait_until("quiet", 60, lambda: quiet(cluster))
    agent.restart()
    wait_until("the agent's return", 60, lambda: agent.status().get("cluster", {}).get("leading") and
               agent.state(s["id"]).get("state") == "running")
    # A document that says the same in a new version changes nothing either.
    agent.want(s)
    wait_until("the document", 30, lambda: agent.status().get("desiredVersion") == agent.version)
    wait_until("quiet", 60, lambda: quiet(cluster))
    # The agent's own place has a new certificate: its Secret and generation, nothing of the service.
    after = [e for e in writes(cluster)[settled:] if e["objectRef"].get("namespace") == agent.namespace(s)]
    assert [(e["verb"], e["objectRef"]["resource"], e["objectRef"]["name"]) for e in after] == []


def quiet(cluster, state={}):
    """The number of writes once it has not changed for two seconds."""
    import time
    n = len(writes(cluster))
    if state.get("n") != n:
        state.update(n=n, since=time.monotonic())
    return n if time.monotonic() - state["since"] > 2 else 0


def test_an_upgraded_agent_restarts_nothing(agent, cluster):
    """What an agent of another version rendered otherwise is left alone while the workload is the same; the rest follows."""
    s = service()
    agent.want(s)
    agent.until(s["id"], "running")
    agent.stop()
    old = agent.set(s)
    for key in ("managedFields", "resourceVersion", "uid", "creationTimestamp", "generation"):
        old["metadata"].pop(key)
    old.pop("status")
    old["metadata"]["annotations"]["ownhouse/renderer"] = "0-of-an-older-agent"
    old["spec"]["template"]["spec"]["terminationGracePeriodSeconds"] = 41
    before = agent.pod(s)["metadata"]["uid"]
    cluster.kubectl("apply", "--server-side", "--force-conflicts", "--field-manager=ownhouse", "-f", "-", data=json.dumps(old))
    def rolled_out():
        pod, status = agent.pod(s), agent.set(s)["status"]
        return (pod and pod["metadata"]["uid"] != before and status.get("readyReplicas") == status.get("updatedReplicas") == 1
                and pod["metadata"]["labels"]["controller-revision-hash"] == status["updateRevision"] == status["currentRevision"])
    wait_until("the older agent's pod", 60, rolled_out)
    pod, generation = agent.pod(s)["metadata"]["uid"], agent.set(s)["metadata"]["generation"]
    for _ in range(2):  # the second start finds what the first left
        agent.start()
        wait_until("the note", 60, lambda: agent.set(s)["metadata"]["annotations"]["ownhouse/renderer"].startswith("2-"))
        wait_until("the agent", 60, lambda: agent.status().get("cluster", {}).get("leading"))
        agent.until(s["id"], "running")
        wait_until("quiet", 60, lambda: quiet(cluster))
        agent.stop()
        after = agent.set(s)
        assert after["metadata"]["generation"] == generation
        assert after["spec"]["template"]["spec"]["terminationGracePeriodSeconds"] == 41
        assert agent.pod(s)["metadata"]["uid"] == pod
    # The workload's own change brings the new rendering.
    agent.start()
    s["memoryGb"] = 16
    agent.want(s)
    wait_until("the new rendering", 60, lambda: agent.set(s)["spec"]["template"]["spec"]["terminationGracePeriodSeconds"] != 41)
    agent.until(s["id"], "running")


def test_what_others_change_is_mended_and_what_others_add_is_left(agent, cluster):
    s = service()
    agent.want(s)
    agent.until(s["id"], "running")
    ns, name = agent.namespace(s), agent.workload(s)
    cluster.kubectl("-n", ns, "delete", "service", name)
    wait_until("the Service again", 60, lambda: cluster.admin.get(f"/api/v1/namespaces/{ns}/services/{name}"))
    cluster.kubectl("-n", ns, "patch", "networkpolicy", "default-deny", "--type=merge", "-p", '{"spec":{"ingress":[{}],"policyTypes":["Egress"]}}')
    path = f"/apis/networking.k8s.io/v1/namespaces/{ns}/networkpolicies/default-deny"
    wait_until("the closed network again", 60, lambda: sorted(cluster.admin.get(path)["spec"]["policyTypes"]) == ["Egress", "Ingress"])
    cluster.kubectl("-n", ns, "scale", "statefulset", name, "--replicas=3")
    wait_until("one replica again", 60, lambda: agent.set(s)["spec"]["replicas"] == 1)
    # Objects of others in the same namespace, and others' annotations on ours.
    cluster.kubectl("-n", ns, "create", "configmap", "theirs")
    cluster.kubectl("-n", ns, "annotate", "statefulset", name, "example.org/note=kept")
    s["memoryGb"] = 16
    agent.want(s)
    wait_until("the change", 60, lambda: agent.set(s)["spec"]["template"]["spec"]["containers"][0]["resources"]["requests"]["memory"] ==
               str(16 << 30) or agent.set(s)["spec"]["template"]["spec"]["containers"][0]["resources"]["requests"]["memory"] == "16Gi")
    agent.until(s["id"], "running")
    assert agent.set(s)["metadata"]["annotations"]["example.org/note"] == "kept"
    assert cluster.admin.get(f"/api/v1/namespaces/{ns}/configmaps/theirs")


def gib(text):
    return int(text[:-2]) << 30 if text.endswith("Gi") else int(text)


def test_a_larger_disk_grows_in_place_and_a_smaller_one_is_refused_in_words(new_agent, cluster):
    cluster.apply(json.dumps({"apiVersion": "storage.k8s.io/v1", "kind": "StorageClass", "metadata": {"name": "grows"},
                              "provisioner": "stand.test", "allowVolumeExpansion": True}))
    agent = new_agent(storage_class="grows")
    s = service()
    agent.want(s)
    agent.until(s["id"], "running")
    claim = f"/api/v1/namespaces/{agent.namespace(s)}/persistentvolumeclaims/data-{agent.workload(s)}"
    uid, size = agent.pod(s)["metadata"]["uid"], lambda: gib(cluster.admin.get(claim)["status"]["capacity"]["storage"])
    assert size() == 10 << 30
    agent.restart(volume_gib=20)
    wait_until("the larger disk", 60, lambda: size() == 20 << 30)
    agent.restart(volume_gib=5)
    wait_until("words", 60, lambda: "can not be less than" in agent.said())
    agent.restart(volume_gib=20)
    wait_until("the agent", 60, lambda: agent.status().get("cluster", {}).get("leading"))
    agent.until(s["id"], "running")
    assert agent.pod(s)["metadata"]["uid"] == uid and size() == 20 << 30
