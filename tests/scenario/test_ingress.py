"""The rendered ingress and name server as the real HAProxy and Knot run them: who is let in, where it leads, what is said
when nobody is behind, and that a reload loses nothing."""
import random
import signal
import socket
import ssl
import struct
import subprocess
import threading
import time

import pytest

from rendered import DOMAIN, Engine, Place, RENDER, certificate, find, service, until
from waiting import PATIENCE_S

pytestmark = [
    pytest.mark.skipif(not find("haproxy"), reason="haproxy is not installed"),
    pytest.mark.skipif(not RENDER.exists(), reason="the build has no blueprint-render"),
]


@pytest.fixture
def place(tmp_path):
    p = Place(tmp_path)
    engines = []
    p.run_engine = lambda number: engines.append(p.engine(number)) or engines[-1]
    p.engines = engines
    yield p
    p.stop()
    for engine in engines:
        try:
            engine.close()
        except OSError:
            pass


@pytest.fixture
def two(place):
    """Two services that run, behind an ingress that believes one load balancer (127.0.0.9)."""
    place.run_engine(1), place.run_engine(2)
    place.render([service(1, "a"), service(2, "b")], proxy_from=["127.0.0.9"]).start("ingress")
    until(lambda: place.get("a")[0] == 200 and place.get("b")[0] == 200)
    return place


def lines(answer):
    assert answer[0] == 200, answer
    return answer[2].splitlines()


def header(answer, name):
    return [line.split(":", 1)[1].strip() for line in lines(answer) if line.lower().startswith(name.lower() + ":")]


# ---- where a request leads ----


def test_names_lead_to_their_services(two):
    assert lines(two.get("a"))[0] == f"{two.net}.11"
    assert lines(two.get("b"))[0] == f"{two.net}.12"
    assert lines(two.get("B"))[0] == f"{two.net}.12"  # host names know no case
    assert lines(two.get("b", sni=False))[0] == f"{two.net}.12"  # clients that connect to an address send no server name


def test_a_service_has_a_port_of_its_own(two):
    assert lines(two.get("localhost.", port=20001, sni=False))[0] == f"{two.net}.11"
    assert lines(two.get("localhost.", port=20002, sni=False))[0] == f"{two.net}.12"


def test_unknown_names_are_told_so(two):
    status, _, text = two.get("nobody")
    assert status == 404 and "no service of this name" in text
    with two.connect(server_name=f"a.{DOMAIN}") as s:
        s.sendall(f"GET / HTTP/1.1\r\nHost: b.{DOMAIN}\r\nConnection: close\r\n\r\n".encode())
        answer = s.recv(65536).decode()
    assert answer.startswith("HTTP/1.1 421") and "different services" in answer


def test_only_http_1_1_and_modern_tls(two):
    context = ssl.create_default_context(cafile=str(two.ca))
    context.set_alpn_protocols(["h2", "http/1.1"])
    with context.wrap_socket(socket.create_connection((two.address, 8443), 5), server_hostname=f"a.{DOMAIN}") as s:
        assert s.selected_alpn_protocol() == "http/1.1" and s.version() == "TLSv1.3"
    old = ["openssl", "s_client", "-connect", f"{two.address}:8443", "-tls1_1", "-cipher", "ALL:@SECLEVEL=0"]
    answer = subprocess.run(old, stdin=subprocess.DEVNULL, capture_output=True, text=True)
    assert answer.returncode != 0 and "alert protocol version" in answer.stderr


# ---- who is let in ----


def test_a_forwarded_for_header_from_outside_is_dropped(two):
    answer = two.get("a", source="127.0.0.3", headers=["X-Forwarded-For: 192.0.2.1", "x-forwarded-for: 192.0.2.2",
                                                       "Forwarded: for=192.0.2.3", "X-Real-IP: 192.0.2.4"])
    assert header(answer, "X-Forwarded-For") == ["127.0.0.3"]
    assert "192.0.2" not in answer[2]


def test_the_load_balancer_names_the_client(two):
    assert header(two.get("a", source="127.0.0.9", proxy="192.0.2.7"), "X-Forwarded-For") == ["192.0.2.7"]
    assert header(two.get("a", source="127.0.0.9", proxy="2001:db8::7"), "X-Forwarded-For") == ["2001:db8::7"]


def test_nobody_else_can_name_another_address(two):
    with pytest.raises(OSError):  # the header is read as a broken TLS handshake
        two.get("a", source="127.0.0.3", proxy="192.0.2.7")
    with pytest.raises(OSError):  # and the load balancer cannot leave it out
        two.get("a", source="127.0.0.9")
    assert two.get("a", source="127.0.0.3")[0] == 200


def test_ip_access_lists_hold_for_true_addresses(two):
    listed = ["192.0.2.0/24", "198.51.100.7", "2001:db8:1::/48"]
    two.render([service(1, "a"), service(2, "b", ipAccessList=listed)], proxy_from=["127.0.0.9"]).reload("ingress")
    via = lambda address, **more: two.get("b", source="127.0.0.9", proxy=address, **more)  # noqa: E731
    until(lambda: two.get("b")[0] == 403)
    for good in ["192.0.2.1", "198.51.100.7", "2001:db8:1::9"]:
        assert via(good)[0] == 200
    for bad in ["192.0.3.1", "198.51.100.8", "2001:db8:2::9", "127.0.0.1"]:
        status, _, text = via(bad)
        assert status == 403 and bad in text and "IP access list of service b" in text
    assert two.get("b", headers=["X-Forwarded-For: 192.0.2.1"])[0] == 403
    assert via("192.0.3.1", port=20002)[0] == 403  # on the own port too
    assert two.get("a")[0] == 200


def test_an_empty_ip_access_list_lets_nobody_in(two):
    two.render([service(1, "a", ipAccessList=[]), service(2, "b")]).reload("ingress")
    until(lambda: two.get("a")[0] == 403)
    assert two.get("b")[0] == 200


def test_a_long_ip_access_list(two):
    listed = [f"192.0.2.{i}" for i in range(200)] + [f"2001:db8::{i:x}" for i in range(200)]
    two.render([service(1, "a", ipAccessList=listed)], proxy_from=["127.0.0.9"]).reload("ingress")
    until(lambda: two.get("a")[0] == 403)
    for address in ["192.0.2.0", "192.0.2.199", "2001:db8::0", "2001:db8::c7"]:
        assert two.get("a", source="127.0.0.9", proxy=address)[0] == 200
    assert two.get("a", source="127.0.0.9", proxy="192.0.2.200")[0] == 403


# ---- when nobody is behind ----


def test_a_service_that_starts_or_stops_says_so(place):
    place.render([service(1, "a"), service(2, "b", state="stopped")]).start("ingress")
    status, headers, text = until(lambda: (r := place.get("a"))[0] == 503 and r)
    assert "The service does not answer yet" in text and headers["retry-after"] == "5"
    status, headers, text = place.get("b")
    assert status == 503 and "Service b is stopped" in text and headers["retry-after"] == "60"
    engine = place.run_engine(1)
    until(lambda: place.get("a")[0] == 200)
    engine.close()
    until(lambda: "does not answer yet" in place.get("a")[2])


def test_an_engine_that_ends_early_is_told(place):
    """A connection closed before an answer: nobody knows whether the query ran, so it is not sent again."""
    place.render([service(1, "a")])
    asked = []
    listener = socket.create_server((f"{place.net}.11", 8123))

    def serve():
        while True:
            try:
                client, _ = listener.accept()
            except OSError:
                return
            with client:
                head = client.recv(65536)
                if b"/ping" in head:
                    client.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
                elif head:
                    asked.append(head)

    threading.Thread(target=serve, daemon=True).start()
    place.start("ingress")
    status, _, text = until(lambda: (r := place.get("a", body=b"INSERT"))[0] == 502 and r)
    listener.close()
    assert status == 502 and "The service closed the connection" in text
    assert len(asked) == 1


def test_a_head_is_bounded(two):
    assert two.get("a", path="/echo?query=" + "x" * 25000)[0] == 200
    assert two.get("a", path="/echo?query=" + "x" * 40000)[0] == 400
    assert two.get("a", headers=["X-A: b"] * 200)[0] == 400


def test_a_slow_head_is_given_up(two):
    """Ten seconds, however the bytes trickle in."""
    start = time.monotonic()
    with two.connect(server_name=f"a.{DOMAIN}") as s:
        s.settimeout(20)
        s.sendall(b"GET / HTTP/1.1\r\n")
        ended = threading.Event()

        def trickle():
            try:
                while not ended.wait(1):
                    s.sendall(b"X-A: b\r\n")
            except OSError:
                pass

        thread = threading.Thread(target=trickle)
        thread.start()
        text = b""
        try:
            while part := s.recv(65536):
                text += part
        except OSError:
            pass
        ended.set()
        thread.join()
    assert text.startswith(b"HTTP/1.1 408")
    assert 8 < time.monotonic() - start < 60


# ---- data ----


def test_rows_come_as_they_are_made(two):
    with two.connect(server_name=f"a.{DOMAIN}") as s:
        s.settimeout(PATIENCE_S)
        s.sendall(f"GET /rows HTTP/1.1\r\nHost: a.{DOMAIN}\r\nConnection: close\r\n\r\n".encode())
        data = b""
        for i in range(3):  # none is made before the one in front of it has come
            two.engines[0].more.release()
            while b"row%d" % i not in data:
                part = s.recv(65536)
                assert part, data
                data += part


def test_a_large_insert_passes(two):
    assert lines(two.get("a", path="/count", body=b"x" * (32 << 20))) == [str(32 << 20)]


def test_a_client_that_leaves_cancels(place):
    engine = place.run_engine(1)
    place.render([service(1, "a")]).start("ingress")
    until(lambda: place.get("a")[0] == 200)
    with place.connect(server_name=f"a.{DOMAIN}") as s:
        s.sendall(f"GET /long HTTP/1.1\r\nHost: a.{DOMAIN}\r\n\r\n".encode())
        time.sleep(0.2)
        assert not engine.left.is_set()
    assert engine.left.wait(PATIENCE_S)


def test_logs_hold_no_query_text(two):
    two.get("a", path="/echo?query=SELECT%20canary17&password=canary17", headers=["Authorization: Basic canary17"])
    two.get("nobody", path="/echo?query=canary17")
    until(lambda: "/echo" in two.log())
    assert "canary17" not in two.log()


# ---- reload ----


def test_a_reload_drops_nothing(two):
    """A running answer ends as it began, new connections get the new certificate, and none fails meanwhile."""
    failed, served, ended = [], [], threading.Event()

    def knock():
        while not ended.is_set():
            try:
                assert two.get("b")[0] == 200
                served.append(1)
            except Exception as error:  # noqa: BLE001
                failed.append(repr(error))

    with two.connect(server_name=f"a.{DOMAIN}") as s:
        s.sendall(f"GET /rows HTTP/1.1\r\nHost: a.{DOMAIN}\r\nConnection: close\r\n\r\n".encode())
        before = ssl.get_server_certificate((two.address, 8443))
        old_ca = two.ca
        new_ca, two.pem = certificate(two.folder)
        both = two.folder / "both.pem"
        both.write_text(old_ca.read_text() + new_ca.read_text())
        two.ca = both
        knocker = threading.Thread(target=knock)
        knocker.start()
        for _ in range(3):
            two.render([service(1, "a"), service(2, "b")], proxy_from=["127.0.0.9"]).reload("ingress")
            two.engines[0].more.release()
        data = b""
        while part := s.recv(65536):
            data += part
        assert data.endswith(b"4\r\nrow2\r\n0\r\n\r\n")
    until(lambda: ssl.get_server_certificate((two.address, 8443)) != before)
    ended.set()
    knocker.join()
    assert len(served) > 10 and failed == []


def test_a_replica_that_stops_is_left_and_comes_back_without_an_error(place):
    """It closes its port first (as a server does that is told to stop): what it did not take goes to another one, and
    nobody sees it. Only whom its kernel had let in, and it had not yet, cannot be told whether the query ran."""
    one, other = Engine(f"{place.net}.11"), Engine(f"{place.net}.117")
    place.render([service(1, "a", replicas=2)], engine="server", joined=True).start("ingress")
    seen, failed, ended, stops = [], [], threading.Event(), 2

    def knock():
        while not ended.is_set():
            try:
                status, _, text = place.get("a")
                (seen if status == 200 else failed).append(text.splitlines()[0])
            except Exception as error:  # noqa: BLE001
                failed.append(repr(error))

    until(lambda: {lines(a)[0] for a in [place.get("a") for _ in range(4)] if a[0] == 200} == {one.address, other.address})
    knocker = threading.Thread(target=knock)
    knocker.start()
    for _ in range(stops):
        n = len(seen)
        one.close()
        until(lambda: len(seen) > n + 10 and set(seen[-5:]) == {other.address})
        one = Engine(one.address)
        until(lambda: one.address in seen[-3:])
    ended.set()
    knocker.join()
    other.close()
    one.close()
    assert len(failed) <= stops and all("Whether the query ran is not known" in text for text in failed), failed


def test_an_ingress_says_that_it_has_new_files_only_when_it_works_by_all_of_them(two):
    """Files that change while it reads them, without another signal, as when that one is lost."""
    crowd = [service(n, f"s{n}") for n in range(3, 150)]
    listed = {"second": ["192.0.2.1"]}
    files = {slug: two.render([service(1, "a", **({"ipAccessList": listed[slug]} if slug in listed else {})),
                               service(2, slug), *crowd]).workloads for slug in ["first", "second", "third"]}
    name_of = {next(f["content"] for f in w["ingress"]["files"] if f["path"] == "generation"): slug
               for slug, w in files.items()}
    works = {"first": [200, 200, 404, 404], "second": [403, 404, 200, 404], "third": [200, 404, 404, 200]}
    said, delay = [], 0.0005
    while said[-2:] != ["second", "second"]:  # from before it has opened its files until it has read them all
        two.workloads = files["first"]
        two.reload("ingress")
        two.workloads = files["second"]
        two.write("ingress")
        failures = two.log().count("Loading failure")
        two.children["ingress"].send_signal(signal.SIGUSR2)
        time.sleep(delay)
        two.workloads = files["third"]
        two.write("ingress")
        told = [time.monotonic()]

        def has_read():
            if time.monotonic() - told[-1] > 1:  # a signal that came before it was done with the reload in front is lost
                two.children["ingress"].send_signal(signal.SIGUSR2)
                told.append(time.monotonic())
            return name_of.get(two.generation(), "first") != "first" or two.log().count("Loading failure") > failures

        until(has_read)
        said.append(until(lambda: name_of.get(two.generation())))
        until(lambda: [two.get(slug)[0] for slug in ["a", *works]] == works.get(name_of.get(two.generation())))
        delay *= 1.2


def test_idle_connections_do_not_hold_an_old_worker(two):
    with two.connect(server_name=f"a.{DOMAIN}") as s:
        ask = f"GET /ping HTTP/1.1\r\nHost: a.{DOMAIN}\r\n\r\n".encode()
        s.sendall(ask)
        s.recv(65536)
        two.render([service(1, "a")]).reload("ingress")
        until(lambda: two.get("b")[0] == 404)
        s.settimeout(5)
        try:
            s.sendall(ask)
            assert b"200" in s.recv(65536)  # served to the end by the old worker, or closed: never an error
        except (BrokenPipeError, ConnectionResetError, AssertionError):
            pass
    assert two.get("a")[0] == 200


# ---- the native protocol ----


class Echo(threading.Thread):
    def __init__(self, address):
        super().__init__(daemon=True)
        self.listener = socket.create_server((address, 9000))
        self.start()

    def run(self):
        while True:
            try:
                client, _ = self.listener.accept()
            except OSError:
                return
            with client:
                client.settimeout(5)
                try:
                    if data := client.recv(100):
                        client.sendall(b"echo " + data)
                except OSError:
                    pass


def native(place, name, **how):
    with place.connect(port=9440, server_name=name, **how) as s:
        s.sendall(b"hello")
        return s.recv(100)


def test_native_protocol_by_server_name(place):
    echo = Echo(f"{place.net}.11")
    place.render([service(1, "a"), service(2, "b", ipAccessList=["192.0.2.1"])], engine="server",
                 proxy_from=["127.0.0.9"]).start("ingress")
    until(lambda: place.answers(place.address, 9440))
    until(lambda: native(place, f"a.{DOMAIN}") == b"echo hello")
    assert native(place, f"a.{DOMAIN}", source="127.0.0.9", proxy="192.0.2.1") == b"echo hello"
    for refused in [f"nobody.{DOMAIN}", None, f"b.{DOMAIN}"]:
        try:
            assert native(place, refused) == b""
        except OSError:
            pass
    echo.listener.close()


def test_the_embedded_engine_has_no_native_port(two):
    assert not two.answers(two.address, 9440)
    assert "does not speak the native protocol" in (two.folder / "ingress/files/haproxy.cfg").read_text()


# ---- names ----


def ask_dns(address, name, kind=1):
    """(response code, addresses, serial) of one question over UDP, RFC 1035."""
    question = b"".join(bytes([len(x)]) + x.encode() for x in name.split(".")) + b"\0" + struct.pack("!HH", kind, 1)
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as s:
        s.settimeout(10)
        s.sendto(struct.pack("!HHHHHH", random.randrange(65536), 0, 1, 0, 0, 0) + question, (address, 5353))
        data = s.recv(1500)
    flags, _, answers = struct.unpack("!HHH", data[2:8])
    assert flags & 0x0400, "not authoritative"
    at, found, serial = 12 + len(question), [], None
    for _ in range(answers):
        at += 2  # every name here is a pointer
        type_, _, _, length = struct.unpack("!HHIH", data[at:at + 10])
        body = data[at + 10:at + 10 + length]
        if type_ == 1:
            found.append(socket.inet_ntoa(body))
        if type_ == 6:
            serial = struct.unpack("!I", body[-20:-16])[0]
        at += 10 + length
    return flags & 15, found, serial


@pytest.mark.skipif(not find("knotd"), reason="knot is not installed")
def test_the_zone_follows_the_document(place):
    place.render([service(1, "a"), service(2, "b", state="deleted"), service(3, "c", state="stopped")]).start("dns")
    until(lambda: ask_dns(place.dns_address, f"a.{DOMAIN}")[1] == ["127.0.0.1"])
    assert ask_dns(place.dns_address, f"c.{DOMAIN}")[1] == ["127.0.0.1"]  # leads to the words "is stopped"
    assert ask_dns(place.dns_address, DOMAIN, 6) == (0, [], 1)
    assert ask_dns(place.dns_address, f"b.{DOMAIN}")[0] == 3  # no such name
    place.render([service(2, "b")]).reload("dns")
    until(lambda: ask_dns(place.dns_address, f"b.{DOMAIN}")[1] == ["127.0.0.1"])
    assert ask_dns(place.dns_address, f"a.{DOMAIN}")[0] == 3
    assert ask_dns(place.dns_address, DOMAIN, 6)[2] == 2


@pytest.mark.skipif(not find("knotd"), reason="knot is not installed")
def test_the_name_server_answers_for_nothing_else(place):
    place.render([service(1, "a")]).start("dns")
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as s:
        s.settimeout(10)
        question = b"\7example\3com\0" + struct.pack("!HH", 1, 1)
        s.sendto(struct.pack("!HHHHHH", 7, 0x0100, 1, 0, 0, 0) + question, (place.dns_address, 5353))
        assert struct.unpack("!H", s.recv(1500)[2:4])[0] & 15 == 5  # refused


def test_what_was_rendered_is_what_haproxy_reads(two):
    home = two.folder / "ingress"
    check = subprocess.run([find("haproxy"), "-c", "-f", "files/haproxy.cfg"], cwd=home, capture_output=True, text=True)
    assert check.returncode == 0 and "warning" not in check.stderr.lower(), check.stderr
