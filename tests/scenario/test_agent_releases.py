"""The agent's own program changes for a release of the signed list: tried on the operator, kept, or taken back."""
import hashlib
import json
import os
import pathlib
import shutil
import signal
import subprocess

import pytest

from link_parts import Control, openssl
from supervised import AGENT, Folder, alive
from waiting import wait_until

SLEEP = "/bin/sleep"
ENDS = b"#!/bin/sh\nexit 3\n"
HANGS = b"#!/bin/sh\nexec sleep 1000\n"


class Agent:
    """On the process runtime, with a release key in its bundle and a folder of releases."""

    def __init__(self, control, path):
        self.path, self.control = path, control
        self.home, self.config, self.log, self.programs = path / "home", path / "agent.conf", path / "agent.log", path / "programs"
        self.programs.mkdir()
        openssl("genpkey", "-algorithm", "ed25519", "-out", f"{path}/release.key")
        public = openssl("pkey", "-in", f"{path}/release.key", "-pubout", "-outform", "DER")[-32:].hex()
        (path / "bundle.json").write_text(json.dumps(control.bundle(releaseKey=public)))
        (path / "token").write_text(control.token(control.infrastructure()))
        (path / "token").chmod(0o600)
        self.config.write_text(f"home = {self.home}\nbundle = {path}/bundle.json\ntoken_file = {path}/token\nlog_level = debug\n"
                               f"releases = {path}/releases.json\nrelease_dir = {self.programs}\nrelease_patience = 600\n")
        self.config.chmod(0o600)
        self.installed = hashlib.sha256(pathlib.Path(AGENT).read_bytes()).hexdigest()
        self.folder = Folder(self.home / "runtime")
        self.process = None

    def run(self):
        self.process = subprocess.Popen([AGENT, "run", "--config", self.config], stderr=open(self.log, "ab"), stdin=subprocess.DEVNULL)
        Folder.waited.add(self.process.pid)
        wait_until("linked", 150, self.linked)
        return self

    def linked(self):
        return subprocess.run([AGENT, "status", "--linked", "--config", self.config], capture_output=True).returncode == 0

    def list(self, serial, *programs, agent=None, key=None):
        document = {"type": "ownhouse/releases", "v": 1, "serial": serial, "issuedAt": "2026-11-23T00:00:00.000Z", "images": [],
                    "programs": [self.installed, *programs]}
        text = json.dumps({**document, "agent": agent} if agent else document)
        (self.path / "statement").write_text(f"ownhouse-releases-v1\n{hashlib.sha256(text.encode()).hexdigest()}\n")
        signature = openssl("pkeyutl", "-sign", "-rawin", "-inkey", str(key or self.path / "release.key"), "-in", f"{self.path}/statement").hex()
        new = self.path / "releases.new"
        new.write_text(json.dumps({"v": 1, "document": text, "signature": signature}))
        os.replace(new, self.path / "releases.json")

    def release(self, content, name=None):
        """A program in the folder of releases."""
        digest = hashlib.sha256(content).hexdigest()
        new = self.programs / "new"
        new.write_bytes(content)
        new.chmod(0o755)
        os.replace(new, self.programs / (name or digest))
        return digest

    def pid(self, role):
        for pid in filter(str.isdigit, os.listdir("/proc")):
            try:
                words = open(f"/proc/{pid}/cmdline").read().split("\0")
            except OSError:
                continue
            if "--role" in words and role in words and str(self.config) in words and alive(int(pid)):
                return int(pid)
        return 0

    def runs(self, role):
        """SHA-256 of the program that the role is."""
        try:
            return hashlib.sha256(pathlib.Path(f"/proc/{self.pid(role)}/exe").read_bytes()).hexdigest()
        except OSError:
            return ""

    def last(self):
        try:
            return json.loads((self.home / "state/release.json").read_text())["last"]
        except (OSError, ValueError, KeyError):
            return {}

    def status(self):
        r = subprocess.run([AGENT, "status", "--json", "--config", self.config], capture_output=True, text=True)
        return json.loads(r.stdout or "{}")

    def told(self, result):
        """It is in the status that people see, and in the ledger."""
        wait_until("status", 150, lambda: (self.status().get("release") or {}).get("last", {}).get("result") == result)
        wait_until("ledger", 150, lambda: any(result.encode() in f.read_bytes() for f in (self.home / "ledger").rglob("*") if f.is_file()))

    def stop(self, how=signal.SIGTERM):
        if self.process and self.process.poll() is None:
            self.process.send_signal(how)
            self.process.wait(60)
        Folder.waited.discard(self.process.pid if self.process else 0)


@pytest.fixture(scope="module")
def control(tmp_path_factory):
    c = Control(tmp_path_factory.mktemp("releases") / "control")
    yield c
    c.stop()


@pytest.fixture
def agent(control, tmp_path):
    a = Agent(control, tmp_path)
    a.list(1)
    yield a
    a.stop()
    a.folder.cleanup()
    said = a.log.read_text(errors="replace") if a.log.exists() else ""
    assert "Sanitizer" not in said and "runtime error" not in said, said[-2000:]


def test_a_release_is_taken_up_and_workloads_run_on(agent):
    agent.run()
    agent.folder.want("a", [SLEEP, "1000"])
    workload = agent.folder.running("a", 60)["pid"]
    fresh = agent.release(pathlib.Path(AGENT).read_bytes() + b"\nanother\n")
    agent.list(2, fresh, agent=fresh)
    wait_until("taken", 150, lambda: agent.last().get("result") == "taken")
    for role in ("operator", "supervisor", "ledger", "gate"):
        wait_until(role, 150, lambda: agent.runs(role) == fresh)
    wait_until("linked", 150, agent.linked)
    assert alive(workload) and agent.folder.have("a")["pid"] == workload
    agent.told("taken")
    # It holds beyond a restart of the whole, and an older list brings nothing back.
    agent.stop(signal.SIGUSR2)
    agent.run()
    assert agent.runs("operator") == fresh and alive(workload)
    agent.list(1, agent=agent.installed)
    wait_until("refused", 150, lambda: agent.last().get("result") == "refused")
    assert "serial 1 is below 2" in agent.last()["why"] and agent.runs("operator") == fresh


@pytest.mark.parametrize("program, why", [(ENDS, "ended again and again"), (HANGS, "within release_patience")])
def test_a_bad_release_is_taken_back_and_not_tried_again(agent, program, why):
    if program == HANGS:
        agent.config.write_text(agent.config.read_text().replace("release_patience = 600", "release_patience = 5"))
    agent.run()
    gate = agent.pid("gate")
    bad = agent.release(program)
    agent.list(2, bad, agent=bad)
    wait_until("taken back", 150, lambda: agent.last().get("result") == "rolled-back")
    assert agent.last()["program"] == bad and why in agent.last()["why"]
    wait_until("linked", 150, agent.linked)
    assert agent.runs("operator") == agent.installed and agent.pid("gate") == gate
    before = agent.last()
    agent.told("rolled-back")
    # The list still asks for it, and was looked at meanwhile; only another release is tried.
    assert bad in agent.status()["release"]["failed"] and agent.last() == before
    if program == ENDS:
        fresh = agent.release(pathlib.Path(AGENT).read_bytes() + b"\nmended\n")
        agent.list(3, bad, fresh, agent=fresh)
        wait_until("taken", 150, lambda: agent.last().get("result") == "taken")


def test_what_is_not_signed_or_not_that_program_is_refused(agent):
    agent.run()
    operator = agent.pid("operator")
    openssl("genpkey", "-algorithm", "ed25519", "-out", f"{agent.path}/stranger.key")
    fresh = agent.release(pathlib.Path(AGENT).read_bytes() + b"\nanother\n")
    agent.list(2, fresh, agent=fresh, key=agent.path / "stranger.key")
    wait_until("refused", 150, lambda: "release key" in agent.last().get("why", ""))
    # The folder's file is not what the list names.
    digest = hashlib.sha256(b"wished").hexdigest()
    shutil.copy(agent.programs / fresh, agent.programs / digest)
    agent.list(3, digest, agent=digest)
    wait_until("refused", 150, lambda: "it is not that release" in agent.last().get("why", ""))
    # Somebody else may write it.
    (agent.programs / fresh).chmod(0o777)
    agent.list(4, fresh, agent=fresh)
    wait_until("refused", 150, lambda: "others cannot write" in agent.last().get("why", ""))
    agent.told("refused")
    assert agent.pid("operator") == operator and agent.runs("operator") == agent.installed
