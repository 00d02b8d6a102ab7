"""The supervisor: what is wanted runs, what is not does not, and nobody is mistaken for a workload."""
import json
import os
import signal
import subprocess
import sys
import time

import pytest

from supervised import AGENT, Folder, alive, until

SH = "/bin/sh"
SLEEP = "/bin/sleep"
PYTHON = "/usr/bin/python3"
SERVER = "import http.server,sys; http.server.HTTPServer((sys.argv[1],int(sys.argv[2])),http.server.SimpleHTTPRequestHandler).serve_forever()"


@pytest.fixture
def folder(tmp_path):
    f = Folder(tmp_path / "runtime")
    yield f
    f.cleanup()


def sh(script):
    return [SH, "-c", script]


def test_starts_what_is_wanted_and_says_so(folder):
    folder.start()
    folder.want("a", [SLEEP, "1000"], labels=[{"name": "role", "value": "x"}], digest="a" * 64)
    have = folder.running("a")
    assert alive(have["pid"])
    assert have["digest"] == "a" * 64 and have["restarts"] == 0 and have["error"] == ""
    assert have["labels"] == {"role": "x"}
    assert os.getsid(have["pid"]) == have["pid"] != os.getsid(0)
    environ = open(f"/proc/{have['pid']}/environ").read().split("\0")
    assert "OWNHOUSE_INFRASTRUCTURE=i" in environ and "OWNHOUSE_WORKLOAD=a" in environ
    assert not any(e.startswith(("SSH_", "PYTEST", "USER=")) for e in environ)
    assert folder.stop() == 0
    assert not alive(have["pid"])
    assert folder.have("a")["state"] == "stopped" and folder.have("a")["pid"] == 0


def test_limits_and_privileges_of_a_workload(folder):
    folder.start()
    folder.want("a", sh("ulimit -n; ulimit -c; umask; pwd; ls -l /proc/self/fd | wc -l; exec sleep 100"), openFiles=4321)
    have = folder.running("a")
    lines = until(lambda: (lambda l: len(l) >= 5 and l)(folder.output("a").split()))
    assert lines[:2] == ["4321", "0"] and lines[2] in ("0027", "027") and lines[3] == str(folder.work("a"))
    assert int(lines[4]) <= 6  # total line, 0, 1, 2 and ls's own
    status = open(f"/proc/{have['pid']}/status").read()
    assert "NoNewPrivs:\t1" in status
    assert int(open(f"/proc/{have['pid']}/oom_score_adj").read()) >= 200


def test_a_killed_child_is_started_again(folder):
    folder.want("a", [SLEEP, "1000"])
    folder.start()
    first = folder.running("a")
    os.kill(first["pid"], signal.SIGKILL)
    second = until(lambda: (lambda h: h["state"] == "running" and h["restarts"] == 1 and h)(folder.have("a")))
    assert second["pid"] != first["pid"] and not alive(first["pid"])
    assert "signal 9" in folder.said()


def test_one_that_keeps_ending_is_failed_with_the_reason_and_backs_off(folder):
    folder.want("a", sh("echo no; exit 3"))
    folder.start()
    have = until(lambda: (lambda h: h and h["restarts"] >= 3 and h)(folder.have("a")))
    assert have["state"] in ("failed", "starting", "running")
    failed = folder.until_state("a", "failed")
    assert failed["error"] == "it ended with status 3"
    time.sleep(1)
    assert folder.have("a")["restarts"] <= 6  # 0.2 + 0.4 + 0.8 + 1.6 s


def test_a_missing_program_says_so_and_is_found_later(folder, tmp_path):
    program = tmp_path / "later"
    folder.want("a", [program])
    folder.start()
    have = folder.until_state("a", "failed")
    assert str(program) in have["error"] and "No such file" in have["error"]
    program.write_text("#!/bin/sh\nexec sleep 1000\n")
    program.chmod(0o755)
    folder.running("a")


def test_a_program_that_cannot_run_says_so(folder, tmp_path):
    program = tmp_path / "broken"
    program.write_text("#!/does/not/exist\n")
    program.chmod(0o755)
    folder.want("a", [program])
    folder.start()
    have = folder.until_state("a", "failed")
    assert "cannot run" in have["error"]


def test_stop_sends_the_signal_then_kills_the_group(folder):
    folder.want("a", sh("trap 'echo asked' TERM; sleep 1000 & while :; do wait; done"), stopGraceMs=300)
    folder.start()
    have = folder.running("a")
    until(lambda: len(folder.marked("a")) == 2)
    began = time.monotonic()
    folder.change_workload("a", stopped=True)
    folder.until_state("a", "stopped")
    assert 0.25 < time.monotonic() - began < 60
    assert "asked" in folder.output("a") and not alive(have["pid"]) and folder.marked("a") == []
    folder.change_workload("a", stopped=False)
    folder.running("a")


def test_what_a_dead_leader_left_behind_ends_too(folder):
    folder.want("a", sh("setsid sleep 1000 & sleep 1001 & exec sleep 1002"))
    folder.start()
    have = folder.running("a")
    old = until(lambda: (lambda p: len(p) == 3 and p)(folder.marked("a")))
    os.kill(have["pid"], signal.SIGKILL)
    until(lambda: folder.have("a")["restarts"] == 1 and folder.have("a")["state"] == "running")
    until(lambda: len(folder.marked("a")) == 3)
    assert not any(alive(pid) for pid in old)


def test_stops_in_reverse_order(folder, tmp_path):
    trace = tmp_path / "trace"
    for name, order in (("low", 1), ("high", 9)):
        folder.want(name, sh(f"trap 'sleep 0.2; echo {name} >> {trace}; exit 0' TERM; while :; do sleep 0.05; done"),
                    order=order)
    folder.start()
    folder.running("low"), folder.running("high")
    assert folder.stop() == 0
    assert trace.read_text().split() == ["high", "low"]


def test_starts_in_order_when_the_one_below_is_ready(folder):
    port = 41873
    probe = {"port": port, "path": "/", "periodMs": 100, "timeoutMs": 500, "failures": 2, "startupMs": 20000}
    folder.want("low", [SH, "-c", f"sleep 0.5; exec {PYTHON} -c '{SERVER}' 127.0.0.1 {port}"], order=1, probe=probe)
    folder.want("high", [SLEEP, "1000"], order=2)
    folder.start()
    folder.until_state("low", "starting")
    assert folder.have("high") is None or folder.have("high")["pid"] == 0
    high, low = folder.running("high", 20), folder.have("low")
    assert low["state"] == "running" and high["sinceMs"] >= low["sinceMs"]


def test_one_that_never_gets_ready_holds_others_back_for_its_time_only(folder):
    probe = {"port": 41874, "periodMs": 50, "timeoutMs": 100, "failures": 1, "startupMs": 700}
    folder.want("low", [SLEEP, "1000"], order=1, probe=probe)
    folder.want("high", [SLEEP, "1000"], order=2)
    folder.start()
    folder.running("high")
    low = until(lambda: (lambda h: h["state"] == "failed" and h)(folder.have("low")))
    assert low["error"] == "it was not ready on port 41874 within 700 ms"


def test_probe_tells_unready_from_running(folder, tmp_path):
    port = 41875
    script = tmp_path / "server.py"
    script.write_text(
        "import http.server,os,sys\n"
        "class H(http.server.BaseHTTPRequestHandler):\n"
        "    def do_GET(self):\n"
        "        self.send_response(503 if os.path.exists(sys.argv[2]) else 200); self.end_headers()\n"
        "    def log_message(self,*a): pass\n"
        "http.server.HTTPServer(('127.0.0.1',int(sys.argv[1])),H).serve_forever()\n"
    )
    sick = tmp_path / "sick"
    probe = {"port": port, "path": "/ping", "periodMs": 50, "timeoutMs": 500, "failures": 2, "startupMs": 20000}
    folder.want("a", [PYTHON, script, port, sick], probe=probe)
    folder.start()
    pid = folder.running("a")["pid"]
    sick.touch()
    have = folder.until_state("a", "unready")
    assert have["error"] == f"it does not answer on port {port}: it answered with status 503"
    sick.unlink()
    assert folder.running("a")["pid"] == pid


def test_files_modes_and_pruning(folder):
    file = lambda path, content, **more: {"path": path, "content": content, **more}
    folder.want("a", [SLEEP, "1000"], files=[file("etc/a", "1"), file("key", "k", secret=True), file("etc/old", "x")])
    folder.start()
    folder.running("a")
    base = folder.work("a", "files")
    assert (base / "etc/a").read_text() == "1" and (base / "etc/a").stat().st_mode & 0o777 == 0o644
    assert (base / "key").stat().st_mode & 0o777 == 0o600 and base.stat().st_mode & 0o777 == 0o700
    folder.change_workload("a", files=[file("etc/a", "2"), file("key/inner", "k")])
    until(lambda: (base / "key/inner").exists() and folder.have("a")["state"] == "running")
    assert (base / "etc/a").read_text() == "2" and not (base / "etc/old").exists()


def reloadable(content, other="o", arguments=("x",)):
    return [
        {"path": "conf", "content": content, "onChange": "reload"},
        {"path": "hint", "content": other, "onChange": "ignore"},
    ]


def test_reload_where_it_will_do_and_restart_where_not(folder):
    script = "trap 'cat \"$0/conf\"' HUP; while :; do sleep 0.02; done"
    argv = [SH, "-c", script, str(folder.work("a", "files"))]
    folder.want("a", argv, files=reloadable("one\n"), reloadSignal=1)
    folder.start()
    pid = folder.running("a")["pid"]
    time.sleep(0.1)
    folder.change_workload("a", files=reloadable("two\n"))
    until(lambda: folder.output("a").split() == ["two"])
    folder.change_workload("a", files=reloadable("two\n", "p"))
    until(lambda: folder.work("a", "files", "hint").read_text() == "p")
    time.sleep(0.2)
    assert folder.output("a").split() == ["two"] and folder.have("a")["pid"] == pid
    folder.change_workload("a", files=reloadable("three\n", "p"), reloadSignal=0)
    until(lambda: folder.have("a")["pid"] not in (0, pid) and folder.have("a")["state"] == "running")
    assert folder.have("a")["restarts"] == 0  # asked for


def test_changes_that_touch_nothing_running_restart_nothing(folder):
    folder.want("a", [SLEEP, "1000"], digest="a" * 64)
    folder.start()
    pid = folder.running("a")["pid"]
    folder.change_workload("a", labels=[{"name": "slug", "value": "new"}], stopGraceMs=50, order=7)
    folder.change("a", digest="b" * 64)
    have = until(lambda: (lambda h: h["digest"] == "b" * 64 and h)(folder.have("a")))
    assert have["pid"] == pid and have["labels"] == {"slug": "new"}


def test_more_open_files_need_no_restart(folder):
    folder.want("a", [SLEEP, "1000"], openFiles=1000)
    folder.start()
    pid = folder.running("a")["pid"]
    limit = lambda: int(open(f"/proc/{pid}/limits").read().split("Max open files")[1].split()[0])
    assert limit() == 1000
    folder.change_workload("a", openFiles=1500)
    until(lambda: limit() == 1500)
    assert folder.have("a")["pid"] == pid


def test_a_limit_that_may_not_be_given_is_no_obstacle(folder):
    folder.want("a", [SLEEP, "1000"], openFiles=99000000)
    folder.start()
    assert int(open(f"/proc/{folder.running('a')['pid']}/limits").read().split("Max open files")[1].split()[0]) > 1000


def test_a_reload_waits_until_it_can_be_heard(folder):
    """A signal right after the start used to end a program that had no handler yet."""
    script = "sleep 0.5; trap 'cat \"$0/conf\"' HUP; while :; do sleep 0.02; done"
    folder.want("a", [SH, "-c", script, str(folder.work("a", "files"))], files=reloadable("one\n"), reloadSignal=1)
    folder.start()
    pid = folder.running("a")["pid"]
    folder.change_workload("a", files=reloadable("two\n"))
    until(lambda: folder.output("a").split() == ["two"])
    assert folder.have("a")["pid"] == pid and folder.have("a")["restarts"] == 0


def test_a_broken_placement_harms_nothing_that_runs(folder):
    folder.want("a", [SLEEP, "1000"])
    folder.start()
    pid = folder.running("a")["pid"]
    good = folder.wanted("a")
    folder.write("a", '{"v": 1, "v": 2}')
    have = until(lambda: (lambda h: h["error"] and h)(folder.have("a")))
    assert have["pid"] == pid and have["state"] == "running" and "want/a.json" in have["error"]
    folder.write("b", "{")
    assert "want/b.json" in folder.until_state("b", "failed")["error"]
    folder.write("a", good)
    until(lambda: folder.have("a")["error"] == "")
    assert folder.have("a")["pid"] == pid


def test_removal_keeps_data_until_purged(folder, tmp_path):
    bucket = tmp_path / "buckets" / "data" / "a"
    volumes = [{"name": "keep", "keep": True}, {"name": "scratch"}, {"name": "cold", "bucket": "data"}]
    folder.want("a", [SLEEP, "1000"], volumes=volumes, folders={"cold": str(bucket)})
    folder.start()
    pid = folder.running("a")["pid"]
    assert bucket.is_dir()
    for path in (folder.work("a", "volumes", "keep"), folder.work("a", "volumes", "scratch"), bucket):
        (path / "row").write_text("1")
    folder.forget("a")
    until(lambda: folder.have("a") is None and not (folder.path / "want/a.json").exists())
    assert not alive(pid)
    assert folder.work("a", "volumes", "keep", "row").exists() and (bucket / "row").exists()
    assert not folder.work("a", "volumes", "scratch").exists() and not folder.work("a", "files").exists()
    kept = json.loads((folder.path / "kept/a.json").read_text())
    assert kept["folders"] == {"cold": str(bucket)}
    kept["remove"] = "purge"
    folder.write("a", kept)
    until(lambda: not (folder.path / "want/a.json").exists() and not (folder.path / "kept/a.json").exists())
    assert not folder.work("a").exists() and not bucket.exists() and bucket.parent.exists()


def test_two_supervisors_never_share_a_folder(folder):
    folder.want("a", [SLEEP, "1000"])
    folder.start()
    folder.running("a")
    second = subprocess.run([AGENT, "supervise", "--dir", folder.path], stderr=subprocess.PIPE, timeout=20)
    assert second.returncode == 1 and b"served by another supervisor" in second.stderr


def test_output_goes_to_a_log_that_rotates_while_it_is_written(folder):
    folder.want("a", sh("i=0; while [ $i -lt 60000 ]; do echo line $i; i=$((i+1)); done; exec sleep 1000"),
                logBytes=40960, logFiles=3)
    folder.start()
    folder.running("a")
    logs = folder.work("a", "logs")
    until(lambda: (logs / "output.log.1").exists(), 20)
    until(lambda: sum(f.stat().st_blocks * 512 for f in logs.glob("output.log*")) > 0)
    assert len(list(logs.glob("output.log.*"))) <= 4  # three kept, at most one in the making
    until(lambda: (logs / "output.log").stat().st_size <= 45000, 20)


def test_the_helps_and_refusals_of_the_command():
    run = lambda *argv: subprocess.run([AGENT, *argv], capture_output=True, text=True, timeout=20)
    assert run("--help").returncode == 0 and "supervise" in run("--help").stdout
    assert run("--version").stdout.startswith("ownhouse-agent ")
    assert run().returncode == 2 and run("dance").returncode == 2 and run("supervise").returncode == 2
    relative = run("supervise", "--dir", "here")
    assert relative.returncode == 1 and "absolute path" in relative.stderr
