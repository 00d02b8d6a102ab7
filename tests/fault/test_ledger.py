"""The ledger's disk full, and its writer killed again and again: nothing happens that is not recorded, services go on, and what
was recorded holds."""
import json
import os
import random
import shutil
import signal
import subprocess
import time

import pytest

from full_system import IS_ROOT, wait_until


def agent_of(system):
    (found,) = system.home.glob("accounts/laptop/*/agent")
    return found


def status(agent):
    return json.loads((agent / "run/status.json").read_text())


def writer(system):
    found = system.pids("--role ledger")
    return found[0] if found else None


def holds(system):
    return system.run("ledger", "verify").returncode == 0


def state(system, request):
    return system.ok("requests", request)["state"]


@pytest.mark.skipif(not IS_ROOT, reason="skipped: mounting a small tmpfs needs root")
def test_a_full_disk_stops_what_must_be_recorded_and_nothing_else(new_system):
    system = new_system()
    system.up()
    agent = agent_of(system)
    log = agent / "ledger/log"
    kept = agent.parent / "ledger-before"
    shutil.copytree(log, kept)
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=512k", "tmpfs", str(log)], check=True)
    try:
        shutil.copytree(kept, log, dirs_exist_ok=True)
        first = writer(system)
        os.kill(first, signal.SIGKILL)
        wait_until("another writer", 30, lambda: writer(system) not in (None, first))
        wait_until("it to answer", 30, lambda: status(agent).get("ledger", {}).get("size", 0) > 0)
        ballast = os.open(log / "ballast", os.O_WRONLY | os.O_CREAT)
        try:
            while True:
                os.write(ballast, b"x" * 4096)
        except OSError:
            os.close(ballast)

        def told():
            return "No space" in json.dumps(status(agent).get("ledger", {}))
        # It is full but for what is left of the log's last page. Then nothing can be recorded any more, so nothing is carried out.
        for n in range(12):
            request = system.ok("request", "service.restart", "--service", "demo", "--reason", f"full {n}")["id"]
            wait_until("its end, or the ledger's trouble", 90, lambda: told() or state(system, request) == "done")
            if told():
                break
        wait_until("the ledger's trouble to be told", 60, told)
        last = system.ok("request", "service.restart", "--service", "demo", "--reason", "last")["id"]
        assert state(system, last) != "done"
        assert system.query("SELECT 1").text.strip() == "1"
        (log / "ballast").unlink()
        wait_until("the requests to be done after all", 150, lambda: state(system, request) == state(system, last) == "done")
        wait_until("the ledger to hold", 60, lambda: holds(system))
    finally:
        subprocess.run(["umount", "-l", str(log)], check=False)


def test_a_writer_killed_while_it_writes_loses_nothing_that_it_answered_for(new_system):
    system = new_system()
    system.up()
    agent = agent_of(system)
    chance = random.Random(int(os.environ.get("OWNHOUSE_SEED", "7")))
    requests = []
    for _ in range(8):
        requests.append(system.ok("request", "service.drain", "--service", "demo", "--reason", "kill")["id"])
        time.sleep(chance.random() / 5)
        pid = writer(system)
        if pid:
            os.kill(pid, signal.SIGKILL)
        wait_until("the writer again", 60, lambda: writer(system) not in (None, pid))
    # The runtime cannot drain: each ends, in words, and has its leaves.
    wait_until("all to be finished", 180, lambda: all(state(system, one) in ("failed", "done") for one in requests))

    def all_there():
        if not holds(system):
            return False
        begun = {leaf["body"]["request"] for leaf in system.ok("ledger", "show", "--kind", "operation")}
        return begun.issuperset(requests)
    wait_until("a leaf of each", 120, all_there)
    assert status(agent)["ledger"]["trouble"] == ""
    assert system.query("SELECT 2").text.strip() == "2"
