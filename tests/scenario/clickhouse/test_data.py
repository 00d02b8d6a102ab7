"""Inserts and results: streaming, memory, broken connections, cancel, limits, where data lie."""
import gzip
import os
import socket
import subprocess
import threading
import time

import pytest

from engine_server import SLOW, Server
from waiting import until


def table(server, name, columns="a UInt64, s String", engine="MergeTree ORDER BY a"):
    server.ok(f"DROP TABLE IF EXISTS {name} SYNC")
    server.ok(f"CREATE TABLE {name} ({columns}) ENGINE = {engine}")


def rows(first, count):
    return "".join(f"{i},value-{i}\n" for i in range(first, first + count)).encode()


def test_insert_ways(server):
    table(server, "ways")
    server.ok("INSERT INTO ways VALUES (1, 'a'), (2, 'b')")
    server.ok("INSERT INTO ways (s, a) FORMAT JSONEachRow", b'{"a":3,"s":"c"}\n{"a":4}')
    server.ok('INSERT INTO ways FORMAT CSV\n5,"it;s"')
    server.ok("INSERT INTO ways SETTINGS async_insert = 1, wait_for_async_insert = 1 FORMAT TSV", b"6\tf\n")
    server.ok("INSERT INTO ways VALUES", b"(7, concat('x', 'y'))")
    server.ok("INSERT INTO ways SELECT number + 8, 'n' FROM numbers(2)")
    server.ok("INSERT INTO ways SELECT a + {plus:UInt8}, s FROM input('a UInt64, s String') FORMAT CSV", b"1,in\n",
              param_plus=9)
    server.ok("INSERT INTO ways FORMAT CSV", b"")
    assert server.ok("SELECT groupArray((a, s)) FROM (SELECT * FROM ways ORDER BY a)") == (
        "[(1,'a'),(2,'b'),(3,'c'),(4,''),(5,'it;s'),(6,'f'),(7,'xy'),(8,'n'),(9,'n'),(10,'in')]\n")
    r = server.query("INSERT INTO ways FORMAT CSV", b"20,x\n21,y\n")
    assert r.summary["written_rows"] == "2"


def test_insert_through_input_twice_in_a_session(server):
    table(server, "ins")
    for i in (1, 2):
        server.ok("INSERT INTO ins SELECT a, s FROM input('a UInt64, s String') FORMAT CSV", f"{i},x\n".encode(),
                  session_id="input")
    assert server.ok("SELECT sum(a) FROM ins") == "3\n"


def test_insert_errors(server):
    table(server, "bad")
    r = server.query("INSERT INTO bad FORMAT CSV", b"1,a\nx,b\n")
    assert r.status == 400 and r.code == 27 and "/dev/fd" not in r.text
    assert server.query("INSERT INTO nowhere FORMAT CSV", b"1,a\n").code == 60
    assert server.query("INSERT INTO bad (nocolumn) FORMAT CSV", b"1\n").code in (16, 47)
    assert server.query("INSERT INTO bad FORMAT NoSuch", b"1\n").code == 73
    big = rows(0, 300000) + b"x,y\n"  # fails while it is being streamed
    assert server.query("INSERT INTO bad FORMAT CSV", big).status == 400
    assert server.ok("SELECT count() FROM bad") == "0\n"


def test_compressed_inserts(server):
    table(server, "packed")
    data = rows(0, 200000)
    server.ok("INSERT INTO packed FORMAT CSV", gzip.compress(data, 1), headers={"Content-Encoding": "gzip"})
    packed = subprocess.run(["zstd", "-q", "-c"], input=data, capture_output=True, check=True).stdout
    server.ok("INSERT INTO packed FORMAT CSV", packed, headers={"Content-Encoding": "zstd"})
    assert server.ok("SELECT count(), uniqExact(a) FROM packed") == "400000\t200000\n"
    r = server.query("INSERT INTO packed FORMAT CSV", packed[:-100], headers={"Content-Encoding": "zstd"})
    assert (r.status, r.code) == (400, 271)
    r = server.query("INSERT INTO packed FORMAT CSV", b"not gzip at all", headers={"Content-Encoding": "gzip"})
    assert (r.status, r.code) == (400, 271)
    assert server.ok("SELECT count() FROM packed") == "400000\n"


def rss(server, field="VmRSS"):
    with open(f"/proc/{server.process.pid}/status") as f:
        return next(int(line.split()[1]) for line in f if line.startswith(field)) // 1024


def test_streaming_insert_and_result_have_bounded_memory(fresh):
    """3 GB in and 3 GB out pass by chunks: the server holds a few of the engine's blocks (78 MB here), never the whole."""
    s = fresh().start()
    s.ok("CREATE TABLE n (s String) ENGINE = Null")
    s.ok("INSERT INTO n FORMAT LineAsString", b"warm\n")
    before, chunk, sent = rss(s), (b"x" * 119 + b"\n") * 8192, 0

    def body():
        nonlocal sent
        while sent < 3_000_000_000:
            sent += len(chunk)
            yield chunk

    c = s.connection()
    c.request("POST", "/?query=INSERT+INTO+n+FORMAT+LineAsString", body(), s.auth(), encode_chunked=True)
    assert c.getresponse().status == 200
    after_insert = rss(s, "VmHWM")
    c = s.connection()
    c.request("POST", "/", b"SELECT repeat('y', 1199) FROM numbers(2500000)", s.auth())
    r, got = c.getresponse(), 0
    while piece := r.read(1 << 20):
        got += len(piece)
    assert got == 3_000_000_000
    assert after_insert - before < 1500, "insert"
    assert rss(s, "VmHWM") - before < 1500, "result"


def test_broken_off_insert_commits_nothing(server):
    table(server, "torn")
    for _ in range(3):
        c = socket.create_connection(("127.0.0.1", server.port))
        head = ("POST /?query=INSERT+INTO+torn+FORMAT+CSV HTTP/1.1\r\nHost: x\r\n"
                f"Authorization: {server.auth()['Authorization']}\r\nTransfer-Encoding: chunked\r\n\r\n")
        data = rows(0, 100000)
        c.sendall(head.encode() + b"%x\r\n" % len(data) + data + b"\r\n")
        time.sleep(0.2)
        c.close()
    server.wait_idle()
    assert server.ok("SELECT count() FROM torn") == "0\n"


@pytest.mark.parametrize("sql", [SLOW, "SELECT number FROM numbers(1000000000000)",
                                 "SELECT sleepEachRow(1) FROM numbers(1000) SETTINGS max_block_size = 1"])
def test_a_client_that_leaves_cancels_its_query(server, sql):
    c = server.connection()
    c.request("POST", "/", sql.encode(), server.auth())
    server.wait_running(1)
    known = len(server.executions())
    c.sock.close()
    c.close()
    server.wait_idle()
    until(lambda: 394 in [e["exception_code"] for e in server.executions()[known:]])


def test_concurrent_queries_side_by_side(server):
    threads, got = [], []
    for _ in range(8):
        t = threading.Thread(target=lambda: got.append(server.ok("SELECT sleep(3)")))
        t.start()
        threads.append(t)
    most = 0
    while any(t.is_alive() for t in threads):
        most = max(most, int(server.ok("SELECT count() FROM system.processes")) - 1)
    for t in threads:
        t.join()
    assert got == ["0\n"] * 8 and most > 1


def test_many_clients_hammer(server):
    """Inserts and reads from 16 connections: nothing is lost, doubled or left running."""
    table(server, "hammer")
    errors = []

    def work(n):
        try:
            for i in range(20):
                server.ok("INSERT INTO hammer FORMAT CSV", rows(n * 1000 + i * 10, 10))
                server.ok("SELECT count() FROM hammer")
        except AssertionError as e:
            errors.append(e)

    threads = [threading.Thread(target=work, args=(n,)) for n in range(16)]
    [t.start() for t in threads]
    [t.join() for t in threads]
    assert not errors
    assert server.ok("SELECT count(), uniqExact(a) FROM hammer") == "3200\t3200\n"
    server.wait_idle()


def test_requests_leave_nothing_behind(fresh):
    """Descriptors, threads and memory after hundreds of requests of all kinds are those of before."""
    s = fresh().start()
    s.ok("CREATE TABLE t (a UInt64, s String) ENGINE = Null")

    def work(n):
        for i in range(n):
            s.ok("SELECT number FROM numbers(300000)")
            s.ok("INSERT INTO t FORMAT CSV", rows(i, 1000))
            s.query("INSERT INTO t FORMAT CSV", b"x,\n")
            s.query("SELECT nothing")
            s.query("SELECT throwIf(number = 2000000) FROM numbers(3000000)", wait_end_of_query=1)
            s.query("SELECT 1", password="wrong")
            s.ok("SELECT 1", session_id="s", close_session=1)
            c = s.connection()
            c.request("POST", "/", b"SELECT number FROM numbers(100000000)", s.auth())
            c.getresponse().read(10)
            c.close()
        s.wait_idle()
        time.sleep(0.3)
        return len(os.listdir(f"/proc/{s.process.pid}/fd")), rss(s)

    fds, memory = work(25)
    later_fds, later_memory = work(75)
    assert later_fds < fds + 25  # one left by each round would be 75; the engine itself opens and closes some
    assert later_memory - memory < 60


def test_limits(fresh):
    s = fresh(max_concurrent_queries=2, max_query_bytes=100000, max_body_bytes=1000000, max_spool_bytes=2000000,
              max_sessions=1).start()
    def hold():
        while s.query("SELECT sleep(3)").code == 202:  # the question below may have its place for a moment
            pass

    threads = [threading.Thread(target=hold) for _ in range(2)]
    [t.start() for t in threads]
    until(lambda: s.query("SELECT 1").code == 202)
    assert s.get("/ping").status == 200
    [t.join() for t in threads]
    r = s.query("SELECT '" + "x" * 400000 + "'")
    assert (r.status, r.code) == (413, 229)
    s.ok("CREATE TABLE t (a UInt64, s String) ENGINE = MergeTree ORDER BY a")
    r = s.query("INSERT INTO t FORMAT CSV", rows(0, 100000))
    assert (r.status, r.code) == (413, 229)
    assert s.ok("SELECT count() FROM t") == "0\n"
    bomb = gzip.compress(b"0" * 50_000_000)
    assert s.query("INSERT INTO t FORMAT CSV", bomb, headers={"Content-Encoding": "gzip"}).status == 413
    assert s.query("SELECT number FROM numbers(1000000)", wait_end_of_query=1).code == 396
    s.ok("SELECT 1", session_id="one")
    assert s.query("SELECT 1", session_id="two").code == 700
    s.wait_idle()
    assert list((s.home / "data/tmp").iterdir()) == []


def test_data_lie_in_the_bucket(server):
    table(server, "placed")
    before = sum(f.stat().st_size for f in server.home.joinpath("bucket").rglob("*") if f.is_file())
    server.ok("INSERT INTO placed SELECT number, toString(cityHash64(number)) FROM numbers(200000)")
    after = sum(f.stat().st_size for f in server.home.joinpath("bucket").rglob("*") if f.is_file())
    on_disk = int(server.ok("SELECT sum(bytes_on_disk) FROM system.parts WHERE table = 'placed' AND active"))
    assert after - before >= on_disk * 0.9
    assert server.ok("SELECT disk_name, policy_name FROM system.parts, system.storage_policies LIMIT 1").startswith("bucket")
    metadata = sum(f.stat().st_size for f in server.home.joinpath("data").rglob("*") if f.is_file())
    assert metadata < on_disk / 2


def test_log_never_has_text_data_or_password(server):
    table(server, "quiet")
    server.ok("SELECT 'canary-text', {p:String}", param_p="canary-param")
    server.ok("INSERT INTO quiet FORMAT CSV", b"1,canary-data\n")
    server.query("SELECT canary_error")
    server.query("INSERT INTO quiet FORMAT CSV", b"canary-bad,1\n")
    server.request("POST", "/?user=default&password=canary-password", b"SELECT 1")
    for path in (server.log_file, server.home / "query.log"):
        assert b"canary" not in path.read_bytes()
    last = [e for e in server.executions() if e["kind"] == "Insert"][-2]
    assert last["written_rows"] == 1 and last["user"] == "default" and last["exception_code"] == 0


def test_unix_socket(fresh, tmp_path):
    path = str(tmp_path / "s.sock")
    s = fresh(listen=path, socket_mode="0600").start()
    assert s.ok("SELECT 1") == "1\n"
    assert os.stat(path).st_mode & 0o777 == 0o600
    s.stop()
    assert not os.path.exists(path)
    with socket.socket(socket.AF_UNIX) as stale:
        stale.bind(path)  # left by a crash: nobody answers
    s.start()
    assert s.ok("SELECT 1") == "1\n"


def test_two_servers_not_on_one_path(fresh, tmp_path):
    s = fresh().start()
    home = tmp_path / "second"
    home.mkdir()
    second = Server(home, data_path=s.config["data_path"])
    second.start(wait=False)
    assert second.process.wait(20) == 1
    assert f"in use by another ownhouse-clickhouse (process {s.process.pid})" in second.log_file.read_text()
    assert s.ok("SELECT 1") == "1\n"


def test_memory_limit_of_the_service(fresh):
    s = fresh(max_memory_bytes=700_000_000).start()
    r = s.query("SELECT groupArray(number) FROM numbers(200000000)")
    assert (r.status, r.code) == (500, 241)
    assert s.ok("SELECT 1") == "1\n"


def test_idle_time_out_is_for_silent_connections_only(fresh):
    s = fresh(idle_timeout_s=1).start()
    assert s.ok("SELECT sleepEachRow(1) FROM numbers(3)") == "0\n" * 3  # quiet, but working
    c = s.connection()
    c.request("POST", "/", b"SELECT sleepEachRow(1.5), repeat('x', 1000000) || repeat('y', 1000000) FROM numbers(3) "
              b"SETTINGS max_block_size = 1", s.auth())
    assert len(c.getresponse().read()) == 3 * 2000003  # quiet between pieces of a stream
    with socket.create_connection(("127.0.0.1", s.port)) as slow:
        slow.sendall(b"POST /?query=SEL")
        slow.settimeout(30)
        assert b"HTTP/1.1 2" not in slow.recv(1000)
