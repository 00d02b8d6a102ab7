"""ownhouse-agent as a whole: parent and roles, their deaths, and what people see of them."""
import json
import os
import re
import signal
import subprocess
import time

import pytest

from supervised import AGENT, Folder, alive, until

SLEEP = "/bin/sleep"


class Agent:
    """An agent without a bundle: its operator says so and waits, everything else does its work."""

    def __init__(self, path):
        self.home, self.config, self.log = path / "home", path / "agent.conf", path / "agent.log"
        self.config.write_text(f"home = {self.home}\nlog_level = debug\n")
        self.config.chmod(0o600)
        self.folder = Folder(self.home / "runtime")
        self.process = None

    def run(self):
        self.process = subprocess.Popen([AGENT, "run", "--config", self.config], stderr=open(self.log, "ab"))
        Folder.waited.add(self.process.pid)
        until(lambda: self.role("supervisor") and (self.home / "runtime/id").exists())
        return self

    def role(self, name):
        """Pid of the role's process, 0 if there is none."""
        for pid in filter(str.isdigit, os.listdir("/proc")):
            try:
                words = open(f"/proc/{pid}/cmdline").read().split("\0")
            except OSError:
                continue
            if "--role" in words and name in words and str(self.config) in words and alive(int(pid)):
                return int(pid)
        return 0

    def end(self, sig):
        self.process.send_signal(sig)
        code = self.process.wait(20)
        Folder.waited.discard(self.process.pid)
        return code

    def command(self, *words):
        return subprocess.run([AGENT, *words, "--config", self.config], capture_output=True, text=True, timeout=20)

    def cleanup(self):
        if self.process and self.process.poll() is None:
            self.process.kill()
            self.process.wait()
        until(lambda: not self.role("supervisor") and not self.role("operator"), 20)
        self.folder.cleanup()
        said = self.log.read_text(errors="replace") if self.log.exists() else ""
        assert "Sanitizer" not in said and "runtime error" not in said, said[-2000:]


@pytest.fixture
def agent(tmp_path):
    a = Agent(tmp_path)
    yield a
    a.cleanup()


def test_sigterm_stops_everything(agent):
    agent.run()
    agent.folder.want("a", [SLEEP, "1000"])
    pid = agent.folder.running("a")["pid"]
    assert agent.end(signal.SIGTERM) == 0
    assert not alive(pid) and not agent.role("supervisor") and not agent.role("operator")


@pytest.mark.parametrize("sig", [signal.SIGUSR2, signal.SIGKILL])
def test_workloads_outlive_the_agent(agent, sig):
    agent.run()
    agent.folder.want("a", [SLEEP, "1000"])
    pid = agent.folder.running("a")["pid"]
    agent.end(sig)
    until(lambda: not agent.role("supervisor") and not agent.role("operator"))
    assert alive(pid)
    agent.run()
    until(lambda: "adopted process" in agent.log.read_text())
    assert agent.folder.have("a")["pid"] == pid and agent.folder.have("a")["restarts"] == 0


def test_a_role_that_dies_comes_back(agent):
    agent.run()
    agent.folder.want("a", [SLEEP, "1000"])
    pid, supervisor = agent.folder.running("a")["pid"], agent.role("supervisor")
    os.kill(supervisor, signal.SIGKILL)
    until(lambda: agent.role("supervisor") not in (0, supervisor))
    until(lambda: "adopted process" in agent.log.read_text())
    assert agent.folder.have("a")["pid"] == pid


def test_two_agents_never_share_a_home(agent):
    agent.run()
    second = agent.command("run")
    assert second.returncode == 1 and "another agent runs on" in second.stderr


def test_one_that_is_not_enrolled_says_so_and_does_the_rest(agent):
    agent.run()
    until(lambda: "this agent is not enrolled and no bundle is configured" in agent.log.read_text())
    agent.folder.want("a", [SLEEP, "1000"])
    agent.folder.running("a")
    enrol = agent.command("enrol")
    assert enrol.returncode == 1 and "not enrolled" in enrol.stderr


def test_status(agent):
    assert agent.command("status").returncode == 3
    agent.run()
    agent.folder.want("a", [SLEEP, "1000"])
    agent.folder.want("b", ["/does/not/exist"])
    agent.folder.running("a"), agent.folder.until_state("b", "failed")
    text = agent.command("status")
    assert text.returncode == 0
    assert re.search(r"^agent +running$", text.stdout, re.M) and re.search(r"a +running$", text.stdout, re.M)
    assert re.search(r"b +failed: .*does/not/exist", text.stdout)
    status = json.loads(agent.command("status", "--json").stdout)
    assert status["running"] and status["supervised"]
    assert {w["name"]: w["state"] for w in status["workloads"]} == {"a": "running", "b": "failed"}
    agent.end(signal.SIGTERM)
    status = json.loads(agent.command("status", "--json").stdout)
    assert not status["running"] and not status["supervised"]


def test_configuration_is_checked(agent):
    assert agent.command("--check-config").stdout == "the configuration is fine\n"
    agent.config.chmod(0o666)
    refused = agent.command("run")
    assert refused.returncode == 1 and "chmod go-w" in refused.stderr
    agent.config.chmod(0o600)
    agent.config.write_text(f"home = {agent.home}\nlog_level = loud\n")
    refused = agent.command("--check-config")
    assert refused.returncode == 1 and "log_level: must be debug, info, warn or error" in refused.stderr
    agent.config.write_text(f"home = {agent.home}\n")
    agent.home.mkdir()
    agent.home.chmod(0o777)
    refused = agent.command("run")
    assert refused.returncode == 1 and "chmod 700" in refused.stderr
    agent.home.chmod(0o700)


def private_kib(pid):
    return sum(int(n) for n in re.findall(r"^Private_\w+: +(\d+) kB", open(f"/proc/{pid}/smaps_rollup").read(), re.M))


@pytest.mark.skipif(b"__asan_init" in AGENT.read_bytes(), reason="a sanitizer's shadow is not the agent's memory")
def test_parent_and_supervisor_stay_small(agent):
    agent.run()
    for i in range(100):
        agent.folder.want(f"w{i}", [SLEEP, "1000"], files=[{"path": "conf", "content": "x" * 20000}])
    until(lambda: all((agent.folder.have(f"w{i}") or {}).get("state") == "running" for i in range(100)), 60)
    sizes = {"parent": private_kib(agent.process.pid), "supervisor": private_kib(agent.role("supervisor"))}
    print(sizes)
    assert sum(sizes.values()) < 6 * 1024


def test_a_closed_pipe_is_not_the_end_of_a_role(agent):
    agent.run()
    ignored = int(re.search(r"SigIgn:\t(\w+)", open(f"/proc/{agent.role('supervisor')}/status").read())[1], 16)
    assert ignored >> (signal.SIGPIPE - 1) & 1
    agent.folder.want("a", [SLEEP, "1000"])
    pid = agent.folder.running("a")["pid"]
    assert re.search(r"SigIgn:\t0+\n", open(f"/proc/{pid}/status").read())
