"""Canaries: words put in as data, as a password and as query text must appear nowhere in the control plane: not in its
store, logs, keys, sockets' folder, nor in the memory of any of its processes; and nothing that the agent reports or
logs holds them. Each search is also made for a word that must be found, so that a search that finds
nothing ever would fail."""
import base64
import hashlib
import secrets
import shutil
import sqlite3
import subprocess

import pytest

from full_system import IS_ROOT, wait_until
from parts import CONTROL, parts


def call(system, method, path, body=None):
    status, answer = system.api(method, path, body)
    assert status == 200, answer
    return answer.get("result")


PREFIX = "canaryofownhouse"  # all words begin so: what does not hold this holds none of them


def spellings(word):
    """The word as it may lie in memory or in a file: as it is, base64 at each of three offsets, hex, UTF-16."""
    raw, found = word.encode(), {word.encode(), word.encode().hex().encode(), word.encode("utf-16-le")}
    for skip in range(3):
        text = base64.b64encode(b"\0" * skip + raw).rstrip(b"=")
        found.add(text[4 if skip else 0:-2])
    return found


def holds(data, word):
    return any(s in data for s in spellings(word))


def canaries(data, words, where):
    """A line for each word that the data hold."""
    return [f"{what} in {where}" for what, word in words.items() if holds(data, word)] if holds(data, PREFIX) else []


def files(*folders):
    """{path: its name and its content} of all plain files below."""
    return {path: str(path).encode() + b"\0" + path.read_bytes()
            for folder in folders for path in folder.rglob("*") if path.is_file()}


@pytest.fixture(scope="module")
def planted(system):
    """A system in which the canaries were used in every way a customer would; (system, {what: word}, service id)."""
    words = {what: PREFIX + secrets.token_hex(8) for what in
             ("row", "inserted text", "password", "query", "parameter", "wrong query", "wrong password", "table")}
    service, = call(system, "GET", "/services")
    system.select(f"CREATE TABLE {words['table']} (a String, b String) ENGINE = MergeTree ORDER BY a")
    answer = system.query(f"INSERT INTO {words['table']} FORMAT TabSeparated",
                          data=f"{words['row']}\t{words['inserted text']}\n".encode())
    assert answer.status == 200, answer.text
    digest = base64.b64encode(hashlib.sha256(words["password"].encode()).digest()).decode()
    call(system, "PATCH", f"/services/{service['id']}/password", {"newPasswordHash": digest})

    def ask(sql, **kwargs):
        return system.query(sql, password=words["password"], **kwargs)
    wait_until("the new password", 20, lambda: ask("SELECT 1").status == 200)
    for own_port in (None, service["ownhouse"]["localPort"]):
        assert words["row"] in ask(f"SELECT a, b, '{words['query']}' FROM {words['table']}", own_port=own_port).text
    assert ask("SELECT {p:String}", param_p=words["parameter"]).status == 200
    assert ask(f"SELECT nonsense_{words['wrong query']} FROM").status >= 400
    assert system.query("SELECT 1", password=words["wrong password"]).status in (401, 403)
    # A stop and a start make the agent report what it knows about the service.
    for command, state in (("stop", "stopped"), ("start", "running")):
        call(system, "PATCH", f"/services/{service['id']}/state", {"command": command})
        wait_until(state, 30, lambda: call(system, "GET", f"/services/{service['id']}")["state"] == state)
    wait_until("an answer", 30, lambda: words["row"] in ask(f"SELECT * FROM {words['table']}").text)
    return system, words, service["id"]


def core_of(pid, folder):
    """What gcore writes of a process, as bytes."""
    result = subprocess.run(["gcore", "-o", str(folder / "core"), str(pid)], capture_output=True, text=True,
                            timeout=120)
    path = folder / f"core.{pid}"
    assert path.exists(), result.stdout + result.stderr
    data = path.read_bytes()
    path.unlink()
    return data


def test_no_canary_reaches_the_control_plane(planted):
    system, words, service = planted
    found = files(system.home / "control")
    for part in ("store/control.db", "log/control.log", "keys/link-ca.key", "run/haproxy.cfg"):
        assert system.home / "control" / part in found, part
    # The service's id is known to be in the store, its infrastructure's in the log: the search sees what is there.
    assert any(holds(data, service) for path, data in found.items() if path.parent.name == "store")
    assert any(holds(data, system.infrastructure) for path, data in found.items() if path.parent.name == "log")
    seen = [line for path, data in found.items() for line in canaries(data, words, path)]
    # Rows that the agent sent, decoded by the store itself and not as they happen to lie in its pages.
    store = sqlite3.connect(f"file:{system.home}/control/store/control.db?mode=ro", uri=True)
    observed = "\n".join(body if isinstance(body, str) else body.decode() for body, in
                         store.execute("SELECT body FROM observed"))
    store.close()
    assert service in observed
    seen += canaries(observed.encode(), words, "the observed row")
    # What the data plane keeps apart from the database itself: logs and states of agent, ingress, gateway, supervisors.
    account = system.home / "accounts/laptop/laptop"
    kept = {path: data for path, data in files(account / "agent", account / "machine").items()
            if "buckets" not in path.parts and "data" not in path.parts}
    assert any(holds(data, service) for data in kept.values())
    seen += [line for path, data in kept.items() for line in canaries(data, words, path)]
    # The rows and their table are there, where they belong: this search finds them.
    there = [line for path, data in files(account / "buckets").items() for line in canaries(data, words, path)]
    assert {line.split(" in ")[0] for line in there} >= {"row", "inserted text", "table"}
    assert not seen


@pytest.mark.skipif(not IS_ROOT, reason="skipped: root not available, which reading the memory of processes needs")
@pytest.mark.skipif(not shutil.which("gcore"), reason="skipped: gdb not available")
def test_no_canary_in_the_memory_of_the_control_plane(planted, tmp_path):
    system, words, service = planted
    running, seen, searched = parts(system), [], {}
    for part in CONTROL:
        for pid in running[part]:
            core = core_of(pid, tmp_path)
            # Each knows where its own files are: a core without that would be no core.
            searched[part] = holds(core, str(system.home)), holds(core, service)
            seen += canaries(core, words, f"the memory of {part}")
    assert all(home for home, _ in searched.values()), searched
    assert any(knows for _, knows in searched.values()), searched
    # A process that is known to hold a canary is seen to: the same search is no blind one.
    with subprocess.Popen(["sh", "-c", "read line", words["row"]], stdin=subprocess.PIPE) as holder:
        assert canaries(core_of(holder.pid, tmp_path), words, "it") == ["row in it"]
    assert not seen
