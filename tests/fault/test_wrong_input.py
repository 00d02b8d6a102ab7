"""Wrong input at the front door of a whole system, slow clients, a full disk below the control plane: one clear
sentence each, and nothing is harmed. (An agent's clock that is off: tests/scenario/test_link.py.)"""
import base64
import contextlib
import http.client
import json
import os
import re
import socket
import ssl
import subprocess
import time

import pytest

from full_system import IS_ROOT, wait_until
from parts import CONTROL, parts


class Front:
    """Raw bytes over TLS to the control plane's port."""

    def __init__(self, system, timeout=30):
        self.system = system
        secret = json.loads((system.home / "credentials.json").read_text())
        context = ssl.create_default_context(cafile=str(system.home / "control/keys/edge-ca.pem"))
        raw = socket.create_connection(("localhost", system.port), timeout=timeout)
        self.socket = context.wrap_socket(raw, server_hostname="localhost")
        self.path = f"/v1/organizations/{secret['organizationId']}/services"
        key = base64.b64encode(f"{secret['keyId']}:{secret['keySecret']}".encode()).decode()
        self.head = (f"Host: localhost\r\nAuthorization: Basic {key}\r\nContent-Type: application/json\r\n"
                     "Connection: close\r\n")

    def send(self, data):
        self.socket.sendall(data if isinstance(data, bytes) else data.encode())

    def post(self, body, extra=""):
        self.send(f"POST {self.path} HTTP/1.1\r\n{self.head}Content-Length: {len(body)}\r\n{extra}\r\n")
        # The answer may come, and the connection end, before all of it is sent.
        with contextlib.suppress(OSError):
            self.send(body)
        return self.answer()

    def answer(self):
        """(status, decoded body) of the answer; (0, "") when the connection ends without one."""
        try:
            response = http.client.HTTPResponse(self.socket)
            response.begin()
            body = response.read()
        except (OSError, http.client.HTTPException):
            return 0, ""
        finally:
            self.socket.close()
        if response.getheader("Content-Type", "").startswith("text/html"):
            # What HAProxy itself says before there is a request: its own sentence in its own form.
            return response.status, {"error": re.sub("<[^>]*>|\\n", " ", body.decode()).strip()}
        return response.status, json.loads(body) if body else ""


def one_sentence(text):
    assert text and "\n" not in text and len(text) < 300, text
    return text


def services(system):
    status, answer = system.api("GET", "/services")
    assert status == 200, answer
    return [(s["id"], s["name"], s["state"]) for s in answer["result"]]


@pytest.mark.parametrize("body, status, part", [
    (b'{"name":"a",', 400, "malformed"),
    (b'{"name":"a","name":"b","provider":"local","region":"local"}', 400, "duplicate"),
    (b'{"name":"a","provider":"local","region":"local","surprise":1}', 400, "surprise"),
    (b'{"name":"' + b"x" * 51 + b'","provider":"local","region":"local"}', 400, "name"),
    (b"[" * 5000, 400, "nested"),
    (b'{"name":"' + b"\xff\xfe" + b'"}', 400, "malformed"),
    (b'{"name":"' + b"x" * (3 << 20) + b'"}', 413, ""),
], ids=["cut short", "key twice", "unknown field", "long name", "deep", "no utf-8", "too large"])
def test_a_bad_body_is_told_in_one_sentence(system, body, status, part):
    before = services(system)
    got, answer = Front(system).post(body)
    assert got == status and part in one_sentence(answer["error"]), answer
    assert services(system) == before


@pytest.mark.parametrize("noise", [b"\0" * 2000, b"GET / HTTP/9.9\r\n\r\n", b"GET / HTTP/1.1\r\n\r\n", b"GET\r\n\r\n",
                                   b"G" * 100000, b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: -5\r\n\r\n",
                                   b"GET / HTTP/1.1\r\n" + b"X-A: b\r\n" * 3000 + b"\r\n"],
                         ids=["zeros", "version", "no host", "no version", "one word", "negative length",
                              "many fields"])
def test_what_is_no_request_is_refused(system, noise):
    front = Front(system)
    with contextlib.suppress(OSError):
        front.send(noise)
    status, answer = front.answer()
    assert status in (0, 400, 431, 505), answer
    if answer:
        one_sentence(answer["error"])
    assert services(system)


def test_slow_clients_are_given_up_and_keep_nobody_out(system):
    before = services(system)
    slow = [Front(system) for _ in range(40)]
    began = time.monotonic()
    for front in slow[:20]:  # heads that never end
        front.send(f"POST {front.path} HTTP/1.1\r\nHost: loc")
    for front in slow[20:]:  # a body of which one byte comes
        front.send(f"POST {front.path} HTTP/1.1\r\n{front.head}Content-Length: 50\r\n\r\n" + "{")
    for _ in range(5):
        asked = time.monotonic()
        assert services(system) == before
        assert time.monotonic() - asked < 60
    assert system.select("SELECT 1") == "1"
    status, answer = slow[0].answer()
    assert status in (0, 408) and time.monotonic() - began < 240
    if answer:
        one_sentence(answer["error"])
    for front in slow:
        front.socket.close()
    assert services(system) == before


@pytest.fixture
def small_disk(new_system):
    """A system whose control plane lives on a disk of 16 MiB."""
    if not IS_ROOT:
        pytest.skip("skipped: root not available, which mounting a small disk needs")
    system = new_system()
    folder = system.home / "control"
    folder.mkdir(parents=True, mode=0o700)
    os.chmod(system.home, 0o700)
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=16m,mode=700", "ownhouse-test", str(folder)], check=True)
    try:
        system.up()
        yield system
    finally:
        system.run("down")
        subprocess.run(["umount", "-l", str(folder)], check=True)


def fill(folder):
    """Takes all that is left of the disk."""
    path = folder / "filler"
    with open(path, "wb", buffering=0) as f:
        with contextlib.suppress(OSError):
            while True:
                f.write(b"\0" * 65536)
        with contextlib.suppress(OSError):
            while True:
                f.write(b"\0" * 512)
    return path


def test_a_full_disk_is_told_and_passes(small_disk):
    system, folder = small_disk, small_disk.home / "control"
    before = services(system)
    body = {"name": "full", "provider": "local", "region": "local"}
    filler = fill(folder)
    refused = 0
    for i in range(40):
        status, answer = system.api("POST", "/keys", {"name": f"key {i}", "roles": ["developer"]})
        if status >= 500:
            refused += 1
            assert "disk" in one_sentence(answer["error"]) or "space" in answer["error"], answer
            break
    assert refused, "nothing was refused: the disk was not full"
    result = system.run("services", "create", "full", timeout=60)
    assert result.returncode not in (0, -11), result.stdout
    one_sentence([line for line in result.stderr.splitlines() if not line.startswith("try: ")][0])
    # What is there can be read and queried, and nobody died of it.
    assert services(system) == before
    assert system.select("SELECT 1") == "1"
    assert not set(CONTROL) - set(parts(system))
    filler.unlink()
    status, answer = wait_until("space again", 20, lambda: (a := system.api("POST", "/services", body))[0] == 200 and a)
    path = f"/services/{answer['result']['service']['id']}"
    wait_until("running", 60, lambda: system.api("GET", path)[1]["result"]["state"] == "running")
    system.api("DELETE", path + "?deleteData=true")
    wait_until("deleted", 60, lambda: system.api("GET", path)[0] == 404)
    assert services(system) == before
