"""Runs the agent's own pods as a kubelet would: of each pod in the agent's namespace the command and environment that it has in the
cluster, with our programs for the images. What is in its volumes lies in a folder of the test."""
import json
import os
import subprocess
import threading
import traceback

from cluster import BUILD, NAMESPACE

PROGRAM = BUILD / "src/agent/ownhouse-agent"
PODS = f"/api/v1/namespaces/{NAMESPACE}/pods"


class OwnPods:
    """configs: {image: agent.conf that stands for what is in it}; guard: kubeconfig of the guard's account."""

    def __init__(self, cluster, folder, configs, guard):
        self.cluster, self.folder, self.configs, self.guard = cluster, folder, configs, guard
        self.running, self.images, self.trouble = {}, [], ""  # pod uid -> (process, pod); every (name, image) that was started
        self.lock, self.ended = threading.Lock(), threading.Event()
        self.thread = threading.Thread(target=self.work, daemon=True)
        self.thread.start()

    def words(self, pod):
        c, = pod["spec"]["containers"]
        words = [str(PROGRAM), *c["command"][1:]]
        if c["command"][1] == "guard":
            return [*words, "--kubeconfig", str(self.guard)]
        assert "/etc/ownhouse/agent.conf" in words
        return [str(self.configs[c["image"]]) if w == "/etc/ownhouse/agent.conf" else w for w in words]

    @staticmethod
    def env(pod):
        c, = pod["spec"]["containers"]
        found = dict(os.environ)
        for e in c.get("env", []):
            value = pod
            for part in e.get("valueFrom", {}).get("fieldRef", {}).get("fieldPath", "").split("."):
                value = value.get(part) if part else e["value"]
            found[e["name"]] = value
        return found

    def start(self, pod):
        self.images.append((pod["metadata"]["name"], pod["spec"]["containers"][0]["image"]))
        return subprocess.Popen(self.words(pod), env=self.env(pod), stdin=subprocess.DEVNULL, stderr=open(self.folder / "agent.log", "ab"))

    def end(self, process):
        process.terminate()
        try:
            process.wait(60)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()

    def look(self):
        pods = {p["metadata"]["uid"]: p for p in self.cluster.admin.items(PODS)
                if p["spec"]["containers"][0].get("command", [""])[0] == "ownhouse-agent" and "deletionTimestamp" not in p["metadata"]
                and p.get("status", {}).get("phase") == "Running"}
        for uid in set(self.running) - set(pods):
            self.end(self.running.pop(uid)[0])
        for uid, pod in pods.items():
            process = self.running.get(uid, (None,))[0]
            if process and process.poll() is None:
                continue
            if process and process.returncode == 0 and pod["spec"]["restartPolicy"] == "OnFailure":
                self.cluster.kubectl("-n", NAMESPACE, "patch", "pod", pod["metadata"]["name"], "--subresource=status", "--type=merge", "-p",
                                     json.dumps({"status": {"phase": "Succeeded"}}), ok=False)
                continue
            self.running[uid] = self.start(pod), pod

    def work(self):
        while not self.ended.wait(0.2):
            try:
                with self.lock:
                    self.look()
            except Exception:  # the API server may be away; what stays wrong fails the test
                self.trouble = traceback.format_exc()

    def pid(self, what):
        """Of the program of a pod whose name begins so."""
        return next((process.pid for process, pod in self.running.values()
                     if pod["metadata"]["name"].startswith(what) and process.poll() is None), 0)

    def stop(self):
        self.ended.set()
        self.thread.join(90)
        for process, _ in self.running.values():
            self.end(process)
