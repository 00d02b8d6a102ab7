"""The ingress in a whole system: what the API says about access is in force at the door, however fast it changes."""
import ssl
import time

from full_system import wait_until

ALL = [{"source": "0.0.0.0/0"}, {"source": "::/0"}]


def call(system, method, path, body=None):
    status, answer = system.api(method, path, body)
    assert status == 200, answer
    return answer.get("result")


def demo(system):
    return next(s for s in call(system, "GET", "/services") if s["name"] == "demo")


def set_access(system, wanted):
    """Makes the service's IP access list be these entries."""
    service = demo(system)
    have = [{"source": e["source"]} for e in service["ipAccessList"]]
    change = {"add": [e for e in wanted if e not in have], "remove": [e for e in have if e not in wanted]}
    call(system, "PATCH", f"/services/{service['id']}", {"ipAccessList": change})


def answers(system):
    """Status and text of a query through the ingress."""
    answer = system.query("SELECT 1")
    return answer.status, answer.text


def test_an_access_list_is_in_force_at_the_door(system):
    own = demo(system)["ipAccessList"]
    set_access(system, [{"source": "192.0.2.0/24"}])
    wait_until("the refusal", 15, lambda: answers(system)[0] == 403)
    assert "127.0.0.1" in answers(system)[1]
    connection = system.connection()
    connection.request("GET", "/ping", headers={"X-Forwarded-For": "192.0.2.1", "Forwarded": "for=192.0.2.1"})
    assert connection.getresponse().status == 403
    set_access(system, [{"source": e["source"]} for e in own] or ALL)
    wait_until("the answer", 15, lambda: answers(system) == (200, "1\n"))


def refused_for(system, seconds):
    """True when every query of so many seconds is refused: an earlier change of the row may be in force for a moment."""
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        if answers(system)[0] != 403:
            return False
        time.sleep(0.1)
    return True


def test_the_last_of_many_quick_changes_holds(system):
    own = [{"source": e["source"]} for e in demo(system)["ipAccessList"]] or ALL
    try:
        for round_ in range(3):
            for i in range(5):
                set_access(system, [{"source": f"192.0.2.{round_ * 10 + i}"}] if i % 2 == 0 else own)
            wait_until("a lasting refusal", 30, lambda: refused_for(system, 2))
    finally:
        set_access(system, own)
    wait_until("the answer", 20, lambda: answers(system) == (200, "1\n"))


def test_the_certificate_names_what_clients_call(system):
    connection = system.connection()
    certificate = connection.sock.getpeercert()
    names = [value for kind, value in certificate["subjectAltName"] if kind == "DNS"]
    assert {"*.laptop.ownhouse.localhost", "laptop.ownhouse.localhost", "localhost"} <= set(names)
    assert ("IP Address", "127.0.0.1") in certificate["subjectAltName"]
    days = (ssl.cert_time_to_seconds(certificate["notAfter"]) - time.time()) / 86400
    assert 9 < days < 31
    connection.close()
