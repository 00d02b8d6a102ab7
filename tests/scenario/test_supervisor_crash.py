"""Supervisors that are killed: children live on, are adopted by the next one, and are neither lost nor doubled."""
import json
import os
import random
import shutil
import signal
import subprocess
import time

import pytest

from supervised import Folder, alive, until

SH = "/bin/sh"
SLEEP = "/bin/sleep"
LONG = os.environ.get("OWNHOUSE_TEST_LONG")


@pytest.fixture
def folder(tmp_path):
    f = Folder(tmp_path / "runtime")
    yield f
    f.cleanup()


def start_ticks(pid):
    return int(open(f"/proc/{pid}/stat").read().rsplit(")", 1)[1].split()[19])


def forge(folder, name, pid, **more):
    """have/NAME.json that names a process which is not the workload's."""
    have = folder.have(name)
    have.update({"pid": pid, "startTicks": start_ticks(pid), "state": "running", **more})
    (folder.path / "have" / f"{name}.json").write_text(json.dumps(have))


@pytest.mark.parametrize("how", ["kill", "leave"])
def test_children_live_on_and_are_adopted(folder, how):
    for name in "abc":
        folder.want(name, [SLEEP, "1000"])
    folder.start()
    before = {name: folder.running(name)["pid"] for name in "abc"}
    getattr(folder, how)()
    assert all(alive(pid) for pid in before.values())
    folder.start()
    until(lambda: folder.said().count("adopted process") == 3)
    time.sleep(0.3)
    assert {name: folder.have(name)["pid"] for name in "abc"} == before
    assert all(folder.have(name)["restarts"] == 0 for name in "abc")
    os.kill(before["a"], signal.SIGKILL)  # not a child of this supervisor, yet watched
    until(lambda: folder.have("a")["pid"] not in (0, before["a"]) and folder.have("a")["state"] == "running")
    assert folder.have("a")["restarts"] == 1
    folder.stop()
    until(lambda: folder.marked() == [])


def test_one_that_ended_meanwhile_is_started_again(folder):
    folder.want("a", [SLEEP, "1000"])
    folder.start()
    pid = folder.running("a")["pid"]
    folder.kill()
    os.kill(pid, signal.SIGKILL)
    until(lambda: not alive(pid))
    folder.start()
    until(lambda: folder.have("a")["pid"] not in (0, pid) and folder.have("a")["state"] == "running")


def test_a_reused_pid_is_neither_adopted_nor_killed(folder):
    folder.want("a", [SLEEP, "1000"])
    folder.start()
    own = folder.running("a")["pid"]
    folder.kill()
    os.kill(own, signal.SIGKILL)
    bystander = subprocess.Popen([SLEEP, "1000"], start_new_session=True)
    Folder.waited.add(bystander.pid)
    try:
        forge(folder, "a", bystander.pid)  # even its start time is right: as bad as it can get
        folder.start()
        have = until(lambda: (lambda h: h["state"] == "running" and h["pid"] not in (0, bystander.pid) and h)(
            folder.have("a")))
        assert bystander.poll() is None
        assert len(folder.marked("a")) == 1 and have["pid"] in folder.marked("a")
        folder.stop()
        assert bystander.poll() is None
    finally:
        bystander.kill()
        bystander.wait()


@pytest.mark.parametrize("field,value", [("startTicks", 1), ("boot", "0" * 36)])
def test_a_pid_of_another_time_or_boot_is_not_adopted(folder, field, value):
    folder.want("a", [SLEEP, "1000"])
    folder.start()
    own = folder.running("a")["pid"]
    folder.kill()
    forge(folder, "a", own, **{field: value})
    folder.start()
    # Ours by its marks, but not by the record: ended as a stray, and one in its place.
    until(lambda: folder.have("a")["pid"] not in (0, own) and folder.have("a")["state"] == "running")
    assert not alive(own) and len(folder.marked("a")) == 1


@pytest.mark.parametrize("how", ["missing", "garbage"])
def test_a_lost_record_neither_leaks_nor_doubles(folder, how):
    folder.want("a", [SH, "-c", "sleep 1000 & exec sleep 1001"])
    folder.start()
    folder.running("a")
    old = until(lambda: (lambda p: len(p) == 2 and p)(folder.marked("a")))
    folder.kill()
    have = folder.path / "have/a.json"
    have.unlink() if how == "missing" else have.write_text("{")
    folder.start()
    until(lambda: (folder.have("a") or {}).get("state") == "running" and not any(alive(p) for p in old)
          if have.exists() and have.read_text() != "{" else False)
    until(lambda: len(folder.marked("a")) == 2)


def test_orphans_of_a_workload_that_nobody_wants_end(folder):
    folder.want("a", [SLEEP, "1000"])
    folder.start()
    pid = folder.running("a")["pid"]
    folder.kill()
    (folder.path / "have/a.json").unlink()
    (folder.path / "want/a.json").unlink()
    folder.start()
    until(lambda: not alive(pid))


def test_wishes_that_changed_meanwhile_are_granted(folder, tmp_path):
    file = lambda content, how: {"path": "conf", "content": content, "onChange": how}
    folder.want("gone", [SLEEP, "1000"])
    folder.want("removed", [SLEEP, "1000"], volumes=[{"name": "data", "keep": True}])
    folder.want("stopped", [SLEEP, "1000"])
    folder.want("changed", [SLEEP, "1000"])
    folder.want("same", [SLEEP, "1000"])
    folder.want("reloaded", [SH, "-c", "trap 'echo again' HUP; while :; do sleep 0.02; done"],
                files=[file("1", "reload")], reloadSignal=1)
    folder.start()
    names = ("gone", "removed", "stopped", "changed", "same", "reloaded")
    pids = {name: folder.running(name)["pid"] for name in names}
    folder.kill()
    (folder.path / "want/gone.json").unlink()
    folder.forget("removed")
    folder.change_workload("stopped", stopped=True)
    folder.change_workload("changed", arguments=["1001"])
    folder.change_workload("reloaded", files=[file("2", "reload")])
    folder.want("new", [SLEEP, "1000"])
    folder.start()
    folder.running("new")
    folder.until_state("stopped", "stopped")
    until(lambda: folder.have("gone") is None and folder.have("removed") is None)
    until(lambda: folder.have("changed")["pid"] not in (0, pids["changed"]))
    until(lambda: folder.output("reloaded").split() == ["again"])
    assert folder.have("same")["pid"] == pids["same"] and folder.have("reloaded")["pid"] == pids["reloaded"]
    assert not any(alive(pids[name]) for name in ("gone", "removed", "stopped", "changed"))
    assert folder.work("removed", "volumes", "data").is_dir() and not folder.work("gone").exists()


def test_output_survives_its_supervisor(folder):
    folder.want("a", [SH, "-c", "i=0; while :; do i=$((i+1)); echo $i; sleep 0.01; done"])
    folder.start()
    folder.running("a")
    until(lambda: folder.output("a"))
    folder.kill()
    time.sleep(0.2)
    folder.start()
    until(lambda: "adopted" in folder.said())
    before = len(folder.output("a"))
    until(lambda: len(folder.output("a")) > before + 30)
    numbers = [int(n) for n in folder.output("a").rsplit("\n", 1)[0].split()]
    assert numbers == list(range(1, len(numbers) + 1))


def converged(folder, wanted):
    """Each wanted workload has exactly one leader, which runs what is asked; nothing else carries the mark."""
    for name, seconds in wanted.items():
        have = folder.have(name)
        if not have or have["state"] != "running" or not alive(have["pid"]):
            return False
        try:
            leaders = [p for p in folder.marked(name) if os.getsid(p) == p]
            words = open(f"/proc/{have['pid']}/cmdline").read().split("\0")
        except (ProcessLookupError, FileNotFoundError):
            return False
        if leaders != [have["pid"]] or words[1:2] != [str(seconds)]:
            return False
    return len(folder.marked()) == len(wanted)


@pytest.mark.parametrize("seed", range(3) if LONG else [int(os.environ.get("OWNHOUSE_SEED", "1"))])
def test_killed_at_random_it_always_converges(folder, seed):
    print("seed", seed)
    rng = random.Random(seed)
    names = ["a", "b", "c", "d", "e", "f"]
    wanted, asked = {}, 0
    for round in range(60 if LONG else 30):
        for _ in range(rng.randrange(1, 4)):
            name = rng.choice(names)
            asked += 1
            if name in wanted and rng.random() < 0.3:
                folder.forget(name, purge=rng.random() < 0.5)
                del wanted[name]
            else:
                wanted[name] = 1000 + asked
                folder.want(name, [SLEEP, wanted[name]], order=rng.randrange(3), volumes=[{"name": "data", "keep": True}])
        folder.start(wait=False)
        # Some die before they did anything, some in the middle of starting, some later.
        time.sleep(rng.choice([0, 0.002, 0.01, 0.03, 0.1]) * rng.random() * 2)
        if wanted and rng.random() < 0.3:
            victim = (folder.have(rng.choice(list(wanted))) or {}).get("pid")
            if victim and victim in folder.marked():
                os.kill(victim, signal.SIGKILL)
        folder.kill()
    folder.start()
    until(lambda: converged(folder, wanted), 30, 0.05)
    until(lambda: {p.stem for p in (folder.path / "have").glob("*.json")} == set(wanted))
    assert folder.stop() == 0
    until(lambda: folder.marked() == [])


@pytest.mark.skipif(not shutil.which("strace"), reason="needs strace")
@pytest.mark.parametrize("call", ["clone", "rename", "sendto", "openat", "unlink", "mkdir"])
def test_killed_at_each_single_step_of_a_start(folder, call):
    """The supervisor dies on entering its n-th `call`, for every n until one start gets through."""
    for n in range(1, 200, 1 if LONG else {"openat": 9, "mkdir": 4}.get(call, 1)):
        folder.want("a", [SLEEP, 1000 + n], files=[{"path": "conf", "content": str(n), "secret": True}])
        folder.make()
        traced = subprocess.Popen(
            ["strace", "-o", "/dev/null", "-e", f"trace={call}", "-e", f"inject={call}:signal=KILL:when={n}",
             folder.agent, "supervise", "--dir", folder.path], stderr=subprocess.DEVNULL)
        Folder.waited.add(traced.pid)
        done = lambda: (folder.have("a") or {}).get("state") == "running" and converged(folder, {"a": 1000 + n})
        until(lambda: traced.poll() is not None or done(), 20)
        through = traced.poll() is None
        if through:
            for pid in folder.supervisors():
                os.kill(pid, signal.SIGKILL)
        traced.wait(20)
        Folder.waited.discard(traced.pid)
        if through:
            assert n > 1
            break
        folder.start()
        until(lambda: converged(folder, {"a": 1000 + n}), 20)
        folder.kill()
    else:
        assert call == "openat", f"still dying at {call} number {n}"  # a look over /proc opens a file a process


root = pytest.mark.skipif(os.geteuid() != 0, reason="needs root")


@root
def test_a_full_disk_harms_nothing_that_runs_and_passes(tmp_path):
    disk = tmp_path / "disk"
    disk.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", disk], check=True)
    folder = Folder(disk / "runtime")
    folder.log = tmp_path / "log"
    try:
        folder.want("a", [SLEEP, "1000"])
        folder.want("b", [SLEEP, "1000"])
        folder.start()
        a, b = folder.running("a")["pid"], folder.running("b")["pid"]
        fill = disk / "fill"
        with open(fill, "wb", buffering=0) as f:
            try:
                while True:
                    f.write(b"x" * 4096)
            except OSError:
                pass
        os.kill(a, signal.SIGKILL)
        until(lambda: "No space left" in folder.said())
        assert folder.supervisor.poll() is None and alive(b)
        fill.unlink()
        until(lambda: folder.have("a")["state"] == "running" and folder.have("a")["pid"] not in (0, a), 40)
        assert folder.have("b")["pid"] == b and folder.have("b")["restarts"] == 0
        assert len(folder.marked("a")) == 1
        assert folder.stop() == 0
    finally:
        folder.cleanup()
        subprocess.run(["umount", "-l", disk], check=True)


@root
def test_a_workload_in_a_network_namespace_is_probed_there(folder):
    ns = f"oh-test-{random.randrange(16**6):06x}"
    subprocess.run(["ip", "netns", "add", ns], check=True)
    try:
        subprocess.run(["ip", "-n", ns, "link", "set", "lo", "up"], check=True)
        server = ("import http.server as h; h.HTTPServer(('127.0.0.1', 41990), h.SimpleHTTPRequestHandler)"
                  ".serve_forever()")
        probe = {"port": 41990, "path": "/", "periodMs": 50, "timeoutMs": 500, "failures": 1, "startupMs": 20000}
        folder.want("in", ["/usr/bin/python3", "-c", server], netns=f"/run/netns/{ns}", probe=probe)
        folder.want("nowhere", [SLEEP, "1000"], netns="/run/netns/does-not-exist")
        folder.start()
        have = folder.running("in", 20)
        assert os.stat(f"/proc/{have['pid']}/ns/net").st_ino == os.stat(f"/run/netns/{ns}").st_ino
        assert os.stat(f"/proc/{folder.supervisor.pid}/ns/net").st_ino == os.stat("/proc/self/ns/net").st_ino
        assert "cannot open its network namespace" in folder.until_state("nowhere", "failed")["error"]
        folder.stop()
    finally:
        folder.cleanup()
        subprocess.run(["ip", "netns", "del", ns], check=True)
