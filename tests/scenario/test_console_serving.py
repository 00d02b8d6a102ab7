"""The api role as the console's server: built files with their headers, and events to those who may hear them."""
import json
import os
import socket
import threading
import time

import pytest

from api_role import ApiRole

LOOK = "0b5e0000-0000-4000-8000-000000000006"  # Service reader
API_ONLY = "0b5e0000-0000-4000-8000-000000000008"  # Service API reader: no view of the organization


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("console")
    (folder / "assets").mkdir()
    (folder / "index.html").write_text("<!doctype html><title>page</title>")
    (folder / "assets/main-abc123.js").write_text("export {};")
    (folder / "favicon.svg").write_text("<svg/>")
    (folder / "assets/link.js").symlink_to("/etc/passwd")
    (folder.parent / "secret.txt").write_text("secret")
    return folder


@pytest.fixture(scope="module")
def api(folder):
    os.environ["OWNHOUSE_CONSOLE"] = str(folder)
    role = ApiRole()
    yield role
    os.environ.pop("OWNHOUSE_CONSOLE")
    role.close()


def fetch(api, path, method="GET"):
    c = api.connection()
    c.request(method, path)
    r = c.getresponse()
    body = r.read()
    c.close()
    return r.status, r.headers, body


def test_pages_and_files(api):
    for path in ("/", "/services", "/services/0b5e0000-0000-4000-8000-000000000006", "/index.html"):
        status, headers, body = fetch(api, path)
        assert status == 200 and b"<title>page</title>" in body and headers["Cache-Control"] == "no-cache"
        policy = headers["Content-Security-Policy"]
        assert "default-src 'none'" in policy and "unsafe" not in policy and "frame-ancestors 'none'" in policy
        assert headers["Referrer-Policy"] == "no-referrer"
    status, headers, body = fetch(api, "/assets/main-abc123.js")
    assert status == 200 and body == b"export {};" and "immutable" in headers["Cache-Control"]
    assert headers["Content-Type"].startswith("text/javascript")
    assert fetch(api, "/favicon.svg")[1]["Content-Type"] == "image/svg+xml"
    status, headers, body = fetch(api, "/", "HEAD")
    assert status == 200 and body == b""


@pytest.mark.parametrize("path", ["/assets/../../secret.txt", "/assets/%2e%2e/%2e%2e/secret.txt", "/../secret.txt",
                                  "/assets/link.js", "/assets/missing.js", "/secret.txt", "/assets/.hidden.js",
                                  "/a/b.js", "/assets//main-abc123.js", "/assets/a\\b.js".replace("\\", "%5c")])
def test_nothing_outside(api, path):
    status, _, body = fetch(api, path)
    assert status == 404 and b"secret" not in body and b"root:" not in body


def test_the_api_stays_the_apis(api):
    assert fetch(api, "/v1/nothing")[0] == 404 and fetch(api, "/v1")[0] == 404
    assert json.loads(fetch(api, "/openapi.json")[2])["openapi"]
    assert fetch(api, "/services", "POST")[0] == 404


def test_without_a_console_it_says_so():
    saved = os.environ.pop("OWNHOUSE_CONSOLE", None)
    role = ApiRole()
    try:
        status, _, body = fetch(role, "/")
        assert status == 200 and b"not built" in body
        assert fetch(role, "/assets/x.js")[0] == 404
    finally:
        role.close()
        if saved:
            os.environ["OWNHOUSE_CONSOLE"] = saved


class Stream:
    """An open stream of events; .numbers grows as they come."""

    def __init__(self, api, key=None):
        self.c = api.connection()
        self.c.timeout = 60
        import base64
        user, secret = key or api.key
        self.c.request("GET", api.base + "/events", headers={
            "Accept": "text/event-stream",
            "Authorization": "Basic " + base64.b64encode(f"{user}:{secret}".encode()).decode()})
        self.sock = self.c.sock
        self.answer = self.c.getresponse()
        self.numbers, self.ended = [], False
        if self.answer.status == 200:
            threading.Thread(target=self.read, daemon=True).start()

    def read(self):
        try:
            for line in self.answer:
                if line.startswith(b"data: "):
                    self.numbers.append(json.loads(line[6:])["sequence"])
        except (OSError, ValueError, AttributeError):  # http.client, closed under its reader
            pass
        self.ended = True

    def wait(self, count):
        deadline = time.monotonic() + 60
        while len(self.numbers) < count:
            assert time.monotonic() < deadline, self.numbers
            time.sleep(0.02)

    def close(self):
        self.sock.shutdown(socket.SHUT_RDWR)  # a mere close would wait for the thread that reads


def test_events_tell_of_changes(api):
    stream = Stream(api)
    assert stream.answer.headers["Content-Type"] == "text/event-stream"
    stream.wait(1)
    before = len(stream.numbers)
    api.call("PATCH", "", {"name": "Renamed"}, headers={})
    stream.wait(before + 1)
    before = len(stream.numbers)
    api.sql("UPDATE organization SET name = 'By another role'")
    stream.wait(before + 1)
    assert stream.numbers == sorted(set(stream.numbers))
    stream.close()


def test_asking_instead_of_listening(api):
    first = api.call("GET", "/events").result["sequence"]
    api.sql("UPDATE organization SET name = 'Asked'")
    deadline = time.monotonic() + 60
    while api.call("GET", "/events").result["sequence"] == first:
        assert time.monotonic() < deadline
        time.sleep(0.05)


def test_events_need_a_right(api):
    assert api.call("GET", "/events", key=False, headers={"Accept": "text/event-stream"}).status == 401
    _, key = api.new_key([API_ONLY])
    assert Stream(api, key).answer.status == 403


def test_streams_are_bounded_and_given_back(api):
    _, key = api.new_key([LOOK])
    streams = [Stream(api, key) for _ in range(8)]
    assert [s.answer.status for s in streams] == [200] * 8
    ninth = Stream(api, key)
    assert ninth.answer.status == 429 and "at most 8" in json.loads(ninth.answer.read())["error"]
    assert Stream(api).answer.status == 200  # others are not harmed
    for s in streams:
        s.wait(1)
        s.close()
    deadline = time.monotonic() + 60
    while Stream(api, key).answer.status != 200:  # the server finds by itself that the readers are gone
        assert time.monotonic() < deadline
        time.sleep(0.2)


def test_a_stop_ends_streams_at_once():
    role = ApiRole()
    try:
        streams = [Stream(role) for _ in range(5)]
        for s in streams:
            s.wait(1)
        assert role.stop() == 0
        deadline = time.monotonic() + 30
        while not all(s.ended for s in streams):
            assert time.monotonic() < deadline
            time.sleep(0.02)
        assert "error" not in role.log.read_text().lower().replace('"error":""', "")
    finally:
        role.close()
