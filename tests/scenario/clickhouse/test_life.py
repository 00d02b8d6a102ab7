"""Start, stop, crash: the command line, errors at start, orderly shutdown, data after kill -9."""
import random
import signal
import subprocess
import threading
import time

import pytest

from engine_server import PROGRAM, SLOW


def output(*args):
    r = subprocess.run([PROGRAM, *map(str, args)], capture_output=True, text=True, timeout=60)
    return r.returncode, r.stdout + r.stderr


def test_command_line(fresh):
    s = fresh()
    assert output("--version")[1].startswith("ownhouse-clickhouse ")
    code, text = output("--help")
    assert code == 0 and "max_concurrent_queries" in text and "(required)" in text
    assert output()[0] == 2
    assert output("--nonsense")[0] == 2
    assert output("--config", s.config_file, "--check-config") == (0, "the configuration is valid\n")


@pytest.mark.parametrize("change,says", [
    ({"library": "/nonexistent/libchdb.so"}, "run tools/fetch-chdb"),
    ({"users_file": "/nonexistent.json"}, "users file"),
    ({"listen": "0.0.0.0:8123"}, "loopback"),
    ({"no_such_key": "1"}, "no_such_key"),
    ({"max_connections": "0"}, "max_connections"),
    ({"data_path": "/proc/nope"}, "/proc/nope"),
])
def test_errors_at_start_say_what_to_do(fresh, change, says):
    s = fresh(**change)
    code, text = output("--config", s.config_file)
    assert code == 1 and any(says in line for line in text.splitlines() if not line.startswith("{"))


def test_truncated_library(fresh, tmp_path):
    cut = tmp_path / "libchdb.so"
    s = fresh()
    with open(s.config["library"], "rb") as f:
        cut.write_bytes(f.read(1 << 20))
    s.config["library"] = cut
    s.write_config()
    code, text = output("--config", s.config_file)
    assert code == 1 and "run tools/fetch-chdb" in text


def test_port_taken(fresh, tmp_path):
    s = fresh().start()
    other = fresh(listen=s.config["listen"], data_path=tmp_path / "other")
    code, text = output("--config", other.config_file)
    assert code == 1 and "cannot bind" in text and "another port" in text


def test_running_queries_may_end_at_shutdown(fresh):
    s, got = fresh().start(), []
    t = threading.Thread(target=lambda: got.append(s.ok("SELECT sleep(3)")))
    t.start()
    s.wait_running(1)
    assert s.stop() == 0
    t.join()
    assert got == ["0\n"]
    assert "stopped" in s.log_file.read_text()


def test_shutdown_is_bounded(fresh):
    s, got = fresh(shutdown_timeout_s=1).start(), []
    t = threading.Thread(target=lambda: got.append(s.query(SLOW)))
    t.start()
    s.wait_running(1)
    assert s.stop() == 0  # within the patience of stop()
    t.join()
    assert got[0].code == 394


def test_data_survive_restarts(fresh):
    s = fresh().start()
    s.ok("CREATE TABLE t (a UInt64) ENGINE = MergeTree ORDER BY a")
    for i in range(3):
        s.ok("INSERT INTO t SELECT number FROM numbers(1000)")
        assert s.stop() == 0
        s.start()
        assert s.ok("SELECT count() FROM t") == f"{1000 * (i + 1)}\n"


def test_kill_9_loses_no_acknowledged_insert(fresh):
    """Inserts from three clients while the server is killed, again and again: what was acknowledged is there."""
    seed = random.randrange(1 << 30)
    print("seed", seed)
    rng, s = random.Random(seed), fresh().start()
    s.ok("CREATE TABLE t (a UInt64, s String) ENGINE = MergeTree ORDER BY a")
    acknowledged, number, lock = set(), [0], threading.Lock()

    def insert(stop):
        while not stop.is_set():
            with lock:
                number[0] += 100
                first = number[0]
            data = "".join(f"{i},x\n" for i in range(first, first + 100)).encode()
            try:
                if s.query("INSERT INTO t FORMAT CSV", data).status == 200:
                    with lock:
                        acknowledged.update(range(first, first + 100))
            except Exception:
                time.sleep(0.02)

    for _ in range(5):
        stop = threading.Event()
        threads = [threading.Thread(target=insert, args=(stop,)) for _ in range(3)]
        [t.start() for t in threads]
        time.sleep(rng.uniform(0.2, 1.0))
        s.stop(signal.SIGKILL)
        stop.set()
        [t.join() for t in threads]
        s.start()
        present = set(map(int, s.ok("SELECT a FROM t").split()))
        assert acknowledged <= present
        assert s.ok("SELECT count() - uniqExact(a) FROM t") == "0\n"
        assert all(i // 100 * 100 in present for i in present)  # a block is there as a whole
    assert len(acknowledged) > 500


def test_backup(fresh, tmp_path):
    s = fresh(backup_path=tmp_path / "backups").start()
    s.ok("CREATE TABLE t (a UInt64) ENGINE = MergeTree ORDER BY a")
    s.ok("INSERT INTO t SELECT number FROM numbers(1000)")
    assert "BACKUP_CREATED" in s.ok("BACKUP DATABASE default TO File('one')")
    s.ok("DROP TABLE t SYNC")
    assert "RESTORED" in s.ok("RESTORE TABLE default.t FROM File('one')")
    assert s.ok("SELECT count() FROM t") == "1000\n"
    assert s.query("BACKUP DATABASE default TO File('/etc/out')").status >= 400
