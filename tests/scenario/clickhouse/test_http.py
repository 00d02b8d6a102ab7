"""The HTTP interface: pages, queries, parameters, formats, errors, users, compression, sessions."""
import gzip
import json
import re
import signal
import subprocess
import threading
import zlib

import pytest

from engine_server import PASSWORD, SLOW
from waiting import until


def zstd(data, *args):
    return subprocess.run(["zstd", "-q", "-c", *args], input=data, capture_output=True, check=True).stdout


def test_pages(server):
    for page in ("/ping", "/replicas_status", "/"):
        assert server.get(page, server.auth()).body == b"Ok.\n"
    assert server.get("/ping").status == 200
    assert server.request("HEAD", "/ping").status == 200
    assert server.get("/play").status == 404
    assert server.request("PUT", "/", b"", server.auth()).status == 405


def test_select_in_body_and_url(server):
    assert server.ok("SELECT 1") == "1\n"
    assert server.query("SELECT 2", method="GET").text == "2\n"
    assert server.ok("SELECT", " 3") == "3\n"  # joined with a line end
    assert server.ok("-- a comment\nSELECT 4 ;\n") == "4\n"
    assert server.request("HEAD", "/?query=SELECT%201", headers=server.auth()).status == 200


def test_headers(server):
    r = server.query("SELECT number FROM numbers(5)", query_id="my-id")
    assert r.headers["X-ClickHouse-Query-Id"] == "my-id"
    assert r.headers["X-ClickHouse-Format"] == "TabSeparated"
    assert r.headers["X-ClickHouse-Timezone"]
    assert r.headers["X-ClickHouse-Server-Display-Name"]
    assert re.fullmatch("[a-z]{16}", r.headers["X-ClickHouse-Exception-Tag"])
    assert r.headers["Content-Type"] == "text/tab-separated-values; charset=UTF-8"
    assert r.summary["read_rows"] == "5" and r.summary["result_rows"] == "5"


def test_formats(server):
    assert json.loads(server.ok("SELECT 1 AS a FORMAT JSON"))["data"] == [{"a": 1}]
    r = server.query("SELECT 1 AS a", default_format="JSONEachRow")
    assert r.text == '{"a":1}\n' and r.headers["X-ClickHouse-Format"] == "JSONEachRow"
    assert server.query("SELECT 1", headers={"X-ClickHouse-Format": "CSV"}).headers["X-ClickHouse-Format"] == "CSV"
    assert server.ok("SELECT 'x' SETTINGS max_threads = 1 FORMAT CSV") == '"x"\n'
    assert server.ok("SELECT 'x' FORMAT CSV SETTINGS max_threads = 1") == '"x"\n'
    assert server.ok("(SELECT 1) UNION ALL (SELECT 1) SETTINGS max_threads = 1") == "1\n1\n"
    assert server.query("SELECT 1 FORMAT NoSuch").code == 73
    big = json.loads(server.ok("SELECT number FROM numbers(300000) FORMAT JSON"))
    assert big["rows"] == 300000 and big["data"][-1] == {"number": 299999}  # one document, streamed
    assert server.ok("SELECT number FROM numbers(300000) FORMAT CSVWithNames").count("number") == 1
    assert server.query("SELECT 1 AS a FORMAT Parquet").body[:4] == b"PAR1"
    for sql in ("SHOW DATABASES", "EXPLAIN SELECT 1", "DESCRIBE (SELECT 1)", "EXISTS TABLE x", "FROM numbers(1) SELECT *"):
        assert server.ok(sql)


def test_parameters(server):
    assert server.ok("SELECT {a:UInt8} + 1", param_a="5") == "6\n"
    assert server.ok("SELECT {s:String}", param_s="it's \\\\ ok") == "it\\'s \\\\ ok\n"
    assert server.ok("SELECT {a:Array(UInt8)}", param_a="[1,2]") == "[1,2]\n"
    assert server.query("SELECT {missing:UInt8}").code == 456
    assert server.query("SELECT {a:UInt8}", param_a="x").code == 457


def test_settings_and_database(server):
    assert server.ok("SELECT getSetting('max_threads')", max_threads=3) == "3\n"
    assert server.ok("SELECT getSetting('max_threads')", max_threads=1) == "1\n"
    assert server.ok("SELECT getSetting('implicit_select')") == "false\n"
    r = server.query("SELECT 1", no_such_setting=1)
    assert (r.status, r.code) == (404, 115)
    assert server.query("SELECT 1", max_threads="x").status == 400
    assert server.ok("SELECT currentDatabase()", database="system") == "system\n"
    assert server.query("SELECT currentDatabase()", headers={"X-ClickHouse-Database": "system"}).text == "system\n"
    r = server.query("SELECT 1", database="nowhere")
    assert (r.status, r.code) == (404, 81)
    # One request's settings do not reach the next one's.
    server.ok("SET max_threads = 7")
    assert server.ok("SELECT getSetting('max_threads')") != "7\n"


@pytest.mark.parametrize("sql,status,code,name", [
    ("SELEC 1", 400, 62, "SYNTAX_ERROR"),
    ("", 400, 62, "SYNTAX_ERROR"),
    ("SELECT 1; SELECT 2", 400, 62, "SYNTAX_ERROR"),
    ("exit", 400, 62, "SYNTAX_ERROR"),
    ("SELECT * FROM nowhere", 404, 60, "UNKNOWN_TABLE"),
    ("SELECT nothing", 404, 47, "UNKNOWN_IDENTIFIER"),
    ("SELECT nofunction()", 404, 46, "UNKNOWN_FUNCTION"),
    ("SELECT throwIf(1)", 500, 395, "FUNCTION_THROW_IF_VALUE_IS_NON_ZERO"),
    ("SELECT groupArray(number) FROM numbers(100000000) SETTINGS max_memory_usage = 10000000",
     500, 241, "MEMORY_LIMIT_EXCEEDED"),
    ("SELECT sleep(3) SETTINGS max_execution_time = 1, timeout_overflow_mode = 'throw'", 408, 159, "TIMEOUT_EXCEEDED"),
])
def test_errors(server, sql, status, code, name):
    r = server.query(sql)
    assert (r.status, r.code) == (status, code), r.text
    assert r.text.startswith(f"Code: {code}. DB::Exception: ") and f"({name})" in r.text
    assert r.text.endswith(")\n") and "(version 26." in r.text and r.text.count("DB::Exception") == 1
    assert r.headers["Content-Type"] == "text/plain; charset=UTF-8"


def test_names_of_our_codes_are_the_engines(server):
    """Codes that the server raises itself carry the names that the engine knows them by."""
    for r in (server.query(""), server.query("SELECT 1 INTO OUTFILE '/x'"), server.query("SYSTEM SHUTDOWN"),
              server.query("SELECT 1", session_id="none", session_check=1), server.query("SELECT 1", compress=1),
              server.query("SELECT 1", role="x"), server.query("SELECT 1", password="x"),
              server.query("SELECT 1", session_id="a", session_timeout=99999),
              server.query("INSERT INTO t FROM INFILE '/x' FORMAT CSV")):
        name = re.search(r"\(([A-Z_]+)\) \(version", r.text)[1]
        assert server.ok(f"SELECT errorCodeToName({r.code})") == name + "\n"


def test_what_reaches_the_servers_files_is_refused(server):
    canary = server.home / "canary"
    canary.write_text("canary-content")
    for sql in (f"SELECT file('{canary}')", f"SELECT * FROM file('{canary}', LineAsString)", f"SELECT * FROM '{canary}'",
                f"INSERT INTO FUNCTION file('{server.home}/out.csv') SELECT 1",
                f"SELECT 1 INTO OUTFILE '{server.home}/out.csv'",
                f"CREATE TABLE f (s String) ENGINE = File(LineAsString, '{canary}')",
                f"CREATE DATABASE f ENGINE = Filesystem('{server.home}')",
                f"CREATE TABLE f (s String) ENGINE = FileLog('{canary}', 'LineAsString')",
                "CREATE TABLE f (a int) ENGINE = MergeTree ORDER BY a SETTINGS disk = disk(type = object_storage, "
                f"object_storage_type = local, metadata_type = local, path = '{server.home}/d/')",
                f"SELECT * FROM sqlite('{canary}', 't')", f"SELECT * FROM filesystem('{server.home}')",
                f"SELECT * FROM url('file://{canary}', LineAsString)", f"SELECT * FROM icebergLocal('{server.home}')",
                f"INSERT INTO t FROM INFILE '{canary}' FORMAT LineAsString"):
        r = server.query(sql)
        assert r.status >= 400 and "canary-content" not in r.text, sql
    assert not (server.home / "out.csv").exists()
    for sql in ("SYSTEM SHUTDOWN", "SYSTEM KILL"):
        assert server.query(sql).code == 497
    assert server.get("/ping").status == 200


def test_credentials(server):
    assert server.get("/?query=SELECT%201").status == 401
    assert 'Basic realm=' in server.get("/?query=SELECT%201").headers["WWW-Authenticate"]
    r = server.query("SELECT 1", password="wrong")
    # urlencode puts password= in the URL besides the header: both at once are refused
    r = server.request("POST", "/", b"SELECT 1", server.auth(password="wrong"))
    assert (r.status, r.code) == (403, 516)
    assert "wrong" not in r.text
    r = server.request("POST", "/", b"SELECT 1", server.auth(user="nobody"))
    assert (r.status, r.code) == (403, 516)
    good = {"X-ClickHouse-User": "default", "X-ClickHouse-Key": PASSWORD}
    assert server.request("POST", "/", b"SELECT 1", good).text == "1\n"
    assert server.request("POST", "/?user=default&password=correct+horse", b"SELECT 1").text == "1\n"
    assert server.request("POST", "/", b"SELECT 1", good | server.auth()).status == 403


def test_readonly(server):
    server.ok("CREATE TABLE IF NOT EXISTS ro (a int) ENGINE = Memory")
    r = server.query("INSERT INTO ro VALUES (1)", method="GET")
    assert r.code == 164
    assert server.query("DROP TABLE ro", method="GET").code == 164
    assert server.query("SELECT 1", method="GET", max_threads=1).status == 200
    assert server.query("SELECT 1", readonly=1).status == 200
    assert server.query("INSERT INTO ro VALUES (1)", readonly=1).code == 164
    for sql in ("INSERT INTO ro VALUES (1)", "DROP TABLE ro", "CREATE TABLE x (a int) ENGINE = Memory"):
        assert server.query(sql, user="reader").code == 164
    assert server.query("SET readonly = 0", user="reader").code == 164
    assert server.query("SELECT 1 SETTINGS readonly = 0", user="reader").code == 164
    assert server.query("SELECT count() FROM ro", user="reader", max_threads=1, readonly=0).status in (200, 500)
    assert server.query("INSERT INTO ro VALUES (1)", user="reader", readonly=0).status != 200
    assert server.ok("SELECT count() FROM ro") == "0\n"


def test_new_password_at_once(fresh):
    s = fresh().start()
    kept = s.connection()
    kept.request("POST", "/", b"SELECT 1", s.auth())
    assert kept.getresponse().read() == b"1\n"
    s.write_users({"default": "new one"})
    s.process.send_signal(signal.SIGHUP)
    until(lambda: s.request("POST", "/", b"SELECT 1", s.auth(password="new one")).status == 200)
    assert s.request("POST", "/", b"SELECT 1", s.auth()).status == 403
    kept.request("POST", "/", b"SELECT 2", s.auth(password="new one"))  # the same connection
    assert kept.getresponse().read() == b"2\n"
    (s.home / "users.json").write_text("{")  # a broken file changes nothing
    s.process.send_signal(signal.SIGHUP)
    until(lambda: "not reloaded" in s.log_file.read_text())
    assert s.request("POST", "/", b"SELECT 1", s.auth(password="new one")).status == 200


def test_compressed_responses(server):
    sql, want = "SELECT number FROM numbers({})", lambda n: "".join(f"{i}\n" for i in range(n)).encode()
    for n in (10, 600000):  # whole, and streamed
        r = server.query(sql.format(n), headers={"Accept-Encoding": "gzip"}, enable_http_compression=1)
        assert r.headers["Content-Encoding"] == "gzip" and gzip.decompress(r.body) == want(n)
        r = server.query(sql.format(n), headers={"Accept-Encoding": "zstd"}, enable_http_compression=1)
        assert r.headers["Content-Encoding"] == "zstd" and zstd(r.body, "-d") == want(n)
        r = server.query(sql.format(n), headers={"Accept-Encoding": "gzip"}, enable_http_compression=1, wait_end_of_query=1)
        assert gzip.decompress(r.body) == want(n)
    assert "Content-Encoding" not in server.query("SELECT 1", headers={"Accept-Encoding": "gzip"}).headers


def test_wait_end_of_query(server):
    r = server.query("SELECT number FROM numbers(2000000)", wait_end_of_query=1)
    assert r.headers["Content-Length"] == str(len(r.body)) and r.summary["read_rows"] == "2000000"
    r = server.query("SELECT throwIf(number = 3000000) FROM numbers(4000000)", wait_end_of_query=1)
    assert (r.status, r.code) == (500, 395)


def test_exception_behind_rows(server):
    """A query that fails after rows were sent: the frame of servers since 25.11, and a broken-off body."""
    c = server.connection()
    c.request("POST", "/", b"SELECT throwIf(number = 3000000), number FROM numbers(4000000)", server.auth())
    r = c.getresponse()
    assert r.status == 200
    body, broken = b"", False
    try:
        while piece := r.read1(65536):
            body += piece
    except Exception:
        broken = True
    assert broken  # no clean end for those who do not look for the frame
    tag = r.headers["X-ClickHouse-Exception-Tag"].encode()
    m = re.search(rb"\r\n__exception__\r\n" + tag + rb"\r\n(.*\n)(\d+) " + tag + rb"\r\n__exception__\r\n$", body, re.S)
    assert m and int(m[2]) == len(m[1]) and m[1].startswith(b"Code: 395. DB::Exception: ")


def test_sessions(server):
    s = {"session_id": "s1"}
    server.ok("CREATE TEMPORARY TABLE tt (a UInt8)", **s)
    server.ok("INSERT INTO tt VALUES (5)", **s)
    server.ok("SET max_threads = 3", **s)
    assert server.ok("SELECT a, getSetting('max_threads') FROM tt", max_threads=1, **s) == "5\t1\n"
    assert server.ok("SELECT getSetting('max_threads')", **s) == "3\n"  # the URL's setting was of that request only
    assert server.ok("SELECT currentDatabase()", database="system", **s) == "system\n"
    assert server.ok("SELECT currentDatabase()", **s) == "default\n"
    server.ok("USE system", **s)
    assert server.ok("SELECT currentDatabase()", **s) == "system\n"
    assert server.query("SELECT * FROM tt").code == 60
    assert server.query("SELECT 1", method="GET", **s).status == 200
    server.ok("INSERT INTO tt VALUES (6)", **s)  # a GET before did not make the session read only
    assert server.query("INSERT INTO tt VALUES (6)", method="GET", **s).code == 164
    assert server.query("SELECT * FROM tt", user="reader", **s).code == 60  # of another user
    assert server.query("SELECT 1", session_id="unknown", session_check=1).code == 372
    assert server.query("SELECT 1", session_id="x", session_timeout=5000).code == 374
    server.ok("SELECT 1", close_session=1, **s)
    assert server.query("SELECT * FROM tt", **s).code == 60


def test_session_is_locked_and_times_out(server):
    t = threading.Thread(target=lambda: server.query(SLOW, session_id="lock", query_id="lock"))
    t.start()
    server.wait_running(1)
    assert server.query("SELECT 1", session_id="lock").code == 373
    server.ok("KILL QUERY WHERE query_id = 'lock'")
    t.join()
    server.ok("CREATE TEMPORARY TABLE t1 (a int)", session_id="short", session_timeout=1)
    again = lambda: server.query("SELECT * FROM t1", session_id="short", session_timeout=1)  # noqa: E731
    until(lambda: again().code == 60, step=4)  # each use begins its second anew


def test_query_id_is_unique_and_kills(server):
    got = []
    t = threading.Thread(target=lambda: got.append(server.query(SLOW, query_id="victim")))
    t.start()
    server.wait_running(1)
    assert server.query("SELECT 1", query_id="victim").code == 216
    assert server.query("SELECT 1", query_id="bad\nid").status == 400
    server.ok("KILL QUERY WHERE query_id = 'victim'")
    t.join()
    assert got[0].code == 394


def test_malformed_requests(server):
    assert server.request("POST", "/?query=%4", b"", server.auth()).status == 400
    assert server.request("POST", "/?a%3Bb=1", b"", server.auth()).status == 400
    many = "&".join(f"a{i}=1" for i in range(1100))
    assert server.request("POST", "/?" + many, b"SELECT 1", server.auth()).status == 400
    assert server.request("POST", "/?query=" + "x" * 1500000, b"", server.auth()).status in (400, 414)
    assert server.query("SELECT 1", headers={"Content-Encoding": "br"}).code == 48
    assert server.query("SELECT 1", compress=1).code == 48
    assert server.query("SELECT 1", default_format="A'B").status in (400, 404)
    assert server.ok("SELECT 1") == "1\n"


def test_zlib_deflate_request(server):
    assert server.request("POST", "/", zlib.compress(b"SELECT 5"), server.auth() | {"Content-Encoding": "deflate"}).text == "5\n"
