"""Engineers' access in tests: requests, the customer's signatures, sessions with their ports, what the ledger says of a grant, and the
gate's control socket."""
import contextlib
import http.client
import json
import os
import pathlib
import re
import signal
import socket
import subprocess

from full_system import BUILD, OWNHOUSE
from waiting import wait_until

SIGN = BUILD / "tests/scenario/programs/consent-sign"


def agent_home(s):
    return next(s.home.glob("accounts/laptop/*/agent"))


def leaves(s):
    """All leaves of the agent's own ledger, in their order."""
    out = {}
    log = agent_home(s) / "ledger/log"
    for path in [*log.glob("tile/entries/**/*"), *log.glob("tail-*")]:
        for m in re.finditer(rb'\{"body":.*?"type":"ownhouse/leaf","v":1\}', path.read_bytes() if path.is_file() else b"", re.S):
            leaf = json.loads(m.group(0))
            out[leaf["index"]] = leaf
    return [out[i] for i in sorted(out)]


def of_grant(s, grant):
    return [leaf for leaf in leaves(s) if leaf["body"].get("grant") == grant]


def request(s, *words, minutes=10):
    return s.ok("access", "request", "--reason", "a test", "--minutes", str(minutes), *words)


def sign(s, grant, key=None, deny=False):
    """The customer's approval of a request, as a file."""
    paper, out = s.root / f"{grant['id']}.request", s.root / f"{grant['id']}.approval"
    paper.write_text(json.dumps(grant["request"]))
    words = [str(SIGN), str(key or s.customer / "approver.key"), str(paper)] + (["deny"] if deny else [])
    out.write_text(subprocess.run(words, capture_output=True, text=True, check=True).stdout)
    return out


def approved(s, *words, **kwargs):
    grant = request(s, *words, **kwargs)
    return grant, sign(s, grant)


def sql(s, grant, approval, statement, *words):
    return s.run("connect", grant["id"], "--approval", str(approval), "--format", "TabSeparated", "--sql", statement, *words,
                 timeout=60)


class Session:
    """`ownhouse connect` with its ports."""

    def __init__(self, s, grant, approval, *words, env=None):
        papers = ["--approval", str(approval)] if approval else []
        self.process = subprocess.Popen([str(OWNHOUSE), "connect", grant["id"], *papers, "--home", str(s.home), "--json",
                                         *words], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
                                        env=dict(os.environ, **(env or {})))
        line = self.process.stdout.readline()
        assert '"ports"' in line, line
        self.ports = {p["target"]: p["port"] for p in json.loads(line)["ports"]}

    def ask(self, target, method, path, body=None, headers=None):
        connection = http.client.HTTPConnection("127.0.0.1", self.ports[target], timeout=60)
        connection.request(method, path, body=body, headers=headers or {})
        answer = connection.getresponse()
        text = answer.read()
        connection.close()
        return answer.status, text.decode(), answer

    def stop(self):
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGINT)
            self.process.wait(30)
        self.process.stdout.close()

    def ended(self):
        return self.process.wait(30)


def agent_config(s):
    """The configuration file that the agent runs with."""
    for pid in s.pids("--role gate"):
        words = pathlib.Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")
        return pathlib.Path(words[words.index(b"--config") + 1].decode())


def control(system, message):
    """One question to the gate's control socket, as the customer's own commands ask it."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as s:
        s.settimeout(30)
        s.connect(str(agent_home(system) / "run/gate-control.sock"))
        s.send(json.dumps(message).encode())
        while message["type"] in ("status", "lock", "unlock"):
            answer = json.loads(s.recv(200000))
            if answer["type"] == "status":
                return answer
        s.recv(200000)
        return None


def gate_answers(s):
    try:
        return control(s, {"type": "status"})
    except (OSError, ValueError):
        return None


def gate_knows(s):
    """Whether it answers, and was told by the operator of an engine to ask."""
    answer = gate_answers(s)
    return answer and answer["engines"]["known"]


def connected_since(s):
    """None while the link is down."""
    agents = s.api("GET", f"/infrastructures/{s.infrastructure}")[1]["result"]["agents"]
    return next((a["connectedSince"] for a in agents if a["connected"]), None)


@contextlib.contextmanager
def other_agent(s, settings="", env=None):
    """The agent's processes started anew by the test, with more settings or another environment, in the same network and on the same
    folder; workloads live on. Afterwards the machine starts its own again."""
    own = agent_config(s)
    config = s.home / "other-agent.conf"
    config.write_text(own.read_text() + settings)
    config.chmod(0o600)
    assert s.kill("ownhouse-agent supervise", signal.SIGSTOP)
    inside = ["nsenter", f"--net=/run/netns/{s.netns}"] if s.isolated else []
    program, roles, other, before = str(BUILD / "src/agent/ownhouse-agent"), f"--config {own}", None, connected_since(s)
    try:
        s.kill(f"ownhouse-agent run {roles}")
        wait_until("the machine's agent to be gone", 60, lambda: not [p for p in s.pids(roles) if "--role" in s.processes().get(p, "")])
        with open(s.root / "other-agent.log", "ab") as log:
            other = subprocess.Popen([*inside, program, "run", "--config", str(config)], stdout=log, stderr=log, stdin=subprocess.DEVNULL,
                                     env=dict(os.environ, **(env or {})), start_new_session=True)
        wait_until("the gate of the other agent", 60, lambda: other.poll() is not None or gate_knows(s))
        assert other.poll() is None, (s.root / "other-agent.log").read_text()[-2000:]
        wait_until("the other agent's link", 90, lambda: connected_since(s) not in (None, before))
        before = connected_since(s)
        yield
    finally:
        if other:
            other.kill()
            other.wait()
            wait_until("the other agent to be gone", 60, lambda: not s.pids(f"--config {config}"))
        config.unlink()
        s.kill("ownhouse-agent supervise", signal.SIGCONT)
        wait_until("the machine's own gate", 90, lambda: gate_knows(s))
        wait_until("the machine's own link", 90, lambda: connected_since(s) not in (None, before))
