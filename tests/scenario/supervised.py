"""A supervised folder and the real supervisor on it: what test_supervisor*.py share."""
import ctypes
import json
import os
import pathlib
import signal
import subprocess
import time
import uuid

from waiting import until

REPO = pathlib.Path(__file__).resolve().parents[2]
BUILD = pathlib.Path(os.environ.get("OWNHOUSE_BUILD", REPO / "build"))
AGENT = BUILD / "src/agent/ownhouse-agent"

# Orphans of a killed supervisor come to us as to an init; we reap them as an init would.
ctypes.CDLL(None).prctl(36, 1, 0, 0, 0)


def alive(pid):
    reap()
    try:
        return open(f"/proc/{pid}/stat").read().rsplit(")", 1)[1].split()[0] not in "ZX"
    except FileNotFoundError:
        return False


def reap():
    """Collects orphans that came to us, but never a supervisor that a test waits for."""
    try:
        for child in open(f"/proc/self/task/{os.getpid()}/children").read().split():
            if int(child) not in Folder.waited:
                try:
                    os.waitpid(int(child), os.WNOHANG)
                except ChildProcessError:
                    pass
    except OSError:
        pass


class Folder:
    waited = set()
    agent = AGENT

    def __init__(self, path):
        self.path = pathlib.Path(path)
        self.supervisor = None
        self.log = self.path.parent / (self.path.name + ".log")

    # ---- supervisor ----
    def start(self, wait=True):
        self.supervisor = subprocess.Popen(
            [AGENT, "supervise", "--dir", self.path], stderr=open(self.log, "ab"), stdin=subprocess.DEVNULL
        )
        Folder.waited.add(self.supervisor.pid)
        if wait:
            until(lambda: (self.path / "want").is_dir() and (self.path / "id").exists())
        return self

    def end(self, sig, seconds=15):
        self.supervisor.send_signal(sig)
        code = self.supervisor.wait(seconds)
        Folder.waited.discard(self.supervisor.pid)
        return code

    def stop(self):
        return self.end(signal.SIGTERM)

    def leave(self):
        return self.end(signal.SIGUSR2)

    def kill(self):
        return self.end(signal.SIGKILL)

    def said(self):
        return self.log.read_text(errors="replace") if self.log.exists() else ""

    def supervisors(self):
        """Pids of the supervisors of this folder, however they were started."""
        found = []
        for pid in filter(str.isdigit, os.listdir("/proc")):
            try:
                words = open(f"/proc/{pid}/cmdline").read().split("\0")
            except OSError:
                continue
            if words[0] == str(AGENT) and words[1:4] == ["supervise", "--dir", str(self.path)]:
                found.append(int(pid))
        return found

    # ---- placements ----
    def want(self, name, argv, order=0, files=(), remove="no", **more):
        top = {key: more.pop(key) for key in ("netns", "address", "logBytes", "logFiles", "folders", "executable",
                                              "infrastructure", "digest") if key in more}
        workload = {"name": name, "arguments": [str(a) for a in argv[1:]], "order": order, "files": list(files), **more}
        self.write(name, {"v": 1, "workload": workload, "executable": str(argv[0]), "digest": "", "infrastructure": "i",
                          "folders": {}, "logBytes": 16777216, "logFiles": 3, "remove": remove, **top})

    def write(self, name, placement):
        self.make()
        tmp = self.path / "want" / f"{name}.json.tmp{uuid.uuid4().hex}"
        tmp.write_text(placement if isinstance(placement, str) else json.dumps(placement))
        tmp.rename(self.path / "want" / f"{name}.json")

    def make(self):
        for part in ("want", "have", "kept", "jobs"):
            (self.path / part).mkdir(mode=0o700, parents=True, exist_ok=True)

    def wanted(self, name):
        return json.loads((self.path / "want" / f"{name}.json").read_text())

    def change(self, name, **top):
        placement = self.wanted(name)
        placement.update(top)
        self.write(name, placement)

    def change_workload(self, name, **fields):
        placement = self.wanted(name)
        placement["workload"].update(fields)
        self.write(name, placement)

    def forget(self, name, purge=False):
        self.change(name, remove="purge" if purge else "keep-data")

    # ---- what is ----
    def have(self, name):
        try:
            return json.loads((self.path / "have" / f"{name}.json").read_text())
        except FileNotFoundError:
            return None

    def until_state(self, name, state, seconds=10):
        return until(lambda: (lambda h: h and h["state"] == state and h)(self.have(name)), seconds)

    def running(self, name, seconds=10):
        return self.until_state(name, "running", seconds)

    def work(self, name, *below):
        return self.path.joinpath("jobs", name, *below)

    def output(self, name):
        path = self.work(name, "logs", "output.log")
        return path.read_text(errors="replace") if path.exists() else ""

    def marked(self, name=None):
        """Pids of living processes that carry this folder's mark."""
        reap()
        if not (self.path / "id").exists():
            return []
        place = f"OWNHOUSE_PLACE={(self.path / 'id').read_text().strip()}".encode()
        workload = f"OWNHOUSE_WORKLOAD={name}".encode()
        found = []
        for pid in filter(str.isdigit, os.listdir("/proc")):
            try:
                environ = open(f"/proc/{pid}/environ", "rb").read().split(b"\0")
            except OSError:
                continue
            if place in environ and (name is None or workload in environ):
                found.append(int(pid))
        return found

    def cleanup(self):
        if self.supervisor and self.supervisor.poll() is None:
            self.supervisor.kill()
            self.supervisor.wait()
        assert "Sanitizer" not in self.said() and "runtime error" not in self.said(), self.said()[-2000:]
        for _ in range(50):
            pids = self.marked()
            if not pids:
                return
            for pid in pids:
                try:
                    os.kill(pid, signal.SIGKILL)
                except ProcessLookupError:
                    pass
            time.sleep(0.02)
