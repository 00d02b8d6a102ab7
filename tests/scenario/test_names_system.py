"""A whole system whose names and certificate come from others: the agent writes into Knot's zone, pebble asks Knot and issues by uacme, HAProxy
shows it, and curl, which trusts pebble alone, queries a service by the name that Knot answers."""
import os
import re
import signal
import subprocess
import threading
import time

import pytest

from full_system import OWNHOUSE, System, engine_available
from names_parts import Knot, Pebble, missing, trusting
from waiting import wait_until

ABSENT = missing("knotd", "kdig", "pebble", "uacme", "haproxy", "curl")
pytestmark = [
    pytest.mark.skipif(bool(ABSENT), reason=str(ABSENT)),
    pytest.mark.skipif(os.geteuid() != 0, reason="skipped: trusting a test authority needs a mount namespace, so root"),
    pytest.mark.skipif(not engine_available(), reason="skipped: no engine available"),
]
ZONE = "ownhouse.localhost"
HOST = f"demo.laptop.{ZONE}"


class Trusting(System):
    """As System, but the first `up` runs where the system's authorities are pebble's alone; all it starts inherits that."""

    ca = None

    def run(self, *words, timeout=240, env=None, **kwargs):
        if words[0] != "up":
            return super().run(*words, timeout=timeout, env=env, **kwargs)
        return subprocess.run(trusting(self.ca, [OWNHOUSE, *words, "--home", self.home]), capture_output=True, text=True,
                              stdin=subprocess.DEVNULL, timeout=timeout, env=dict(os.environ, **(env or {})), **kwargs)

    @property
    def agent_home(self):
        return self.home / "accounts/laptop/laptop/agent"

    def configure(self, **settings):
        """As an administrator does: lines in agent.conf.own, and the agent starts again while the services go on."""
        path = self.agent_home / "agent.conf.own"
        path.touch(0o600)
        path.write_text("".join(f"{k} = {v}\n" for k, v in settings.items()))
        old = self.pids("ownhouse-agent run")
        for pid in old:
            os.kill(pid, signal.SIGUSR2)
        wait_until("the agent's new start", 60, lambda: set(self.pids("ownhouse-agent run")) - set(old))


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    folder = tmp_path_factory.mktemp("names")
    knot = Knot(folder / "knot", zone=ZONE, records="theirs.laptop A 203.0.113.9")
    # Long enough for a machine under load to look at each, short enough for two renewals in a test.
    pebble = Pebble(folder / "pebble", knot, seconds=45)
    system = Trusting(isolated=False)
    system.ca = pebble.ca
    try:
        system.up()
        system.configure(dns_provider="rfc2136", dns_zone=ZONE, dns_server=f"127.0.0.1:{knot.port}",
                         dns_key_file=knot.key_file, acme_directory=pebble.url, acme_settle=0)
        yield system, knot, pebble
    finally:
        try:
            system.purge()
        finally:
            pebble.stop()
            knot.stop()


def infrastructure(system):
    return system.ok("status")["infrastructures"][0]


def curl(system, knot, pebble, sql, *words):
    """A client that trusts pebble's root alone, and knows of the service what Knot says."""
    address, = knot.dig("A", HOST)
    return subprocess.run(["curl", "-sS", "--cacert", str(pebble.root()), "--resolve", f"{HOST}:{system.ingress_port}:{address}",
                           "-u", f"default:{system.password()}", f"https://{HOST}:{system.ingress_port}/", "-d", sql, *words],
                          capture_output=True, text=True)


def serial(system):
    """Of the certificate that the door shows now."""
    shown = subprocess.run(["openssl", "s_client", "-connect", f"127.0.0.1:{system.ingress_port}", "-servername", HOST],
                           stdin=subprocess.DEVNULL, capture_output=True, text=True).stdout
    found = re.search("-----BEGIN CERTIFICATE-----.*?-----END CERTIFICATE-----", shown, re.S)
    return found and subprocess.run(["openssl", "x509", "-noout", "-serial"], input=found.group(), capture_output=True,
                                    text=True).stdout


def test_a_name_and_a_certificate_that_others_vouch_for(whole):
    system, knot, pebble = whole
    wait_until("the name", 120, lambda: knot.dig("A", HOST) == ["127.0.0.1"])
    wait_until("a query by it", 180, lambda: curl(system, knot, pebble, "SELECT 6 * 7").stdout == "42\n", every=0.5)
    assert knot.dig("A", f"theirs.laptop.{ZONE}") == ["203.0.113.9"]
    told = wait_until("the state in the API", 120, lambda: (i := infrastructure(system))["certificate"]
                      and i["certificate"]["source"] == "acme" and i["dns"] and i["dns"]["state"] == "ok" and i)
    assert told["certificate"]["notAfter"] and told["certificate"]["error"] == ""
    assert told["dns"] == {"state": "ok", "records": 2, "conflicts": 0, "error": ""}
    text = system.run("status").stdout
    assert "by ACME, until" in text and "names       ok" in text
    # The own authority's goes on where the other's does not reach: local names.
    assert system.query("SELECT 1", own_port=system.service_port_base + 1).status == 200


def test_a_renewal_breaks_no_connection(whole):
    """A query that runs over two renewals ends as it began, and no new connection fails meanwhile."""
    system, knot, pebble = whole
    wait_until("the certificate", 180, lambda: curl(system, knot, pebble, "SELECT 1").stdout == "1\n", every=0.5)
    seen, failed, done = {serial(system)}, [], {}

    def long_query():
        rows = "SELECT number, sleepEachRow(1) FROM numbers(75) SETTINGS max_block_size = 1, " \
               "function_sleep_max_microseconds_per_block = 200000000, max_execution_time = 0"
        done["answer"] = curl(system, knot, pebble, rows, "-N")

    runner = threading.Thread(target=long_query)
    runner.start()
    while runner.is_alive():
        if (now := serial(system)):
            seen.add(now)
        else:
            failed.append("no certificate is shown")
        answer = subprocess.run(["curl", "-sS", "-k", "--resolve", f"{HOST}:{system.ingress_port}:127.0.0.1",
                                 f"https://{HOST}:{system.ingress_port}/ping"], capture_output=True, text=True)
        if answer.stdout != "Ok.\n":
            failed.append(answer.stderr + answer.stdout)
        time.sleep(0.5)
    runner.join()
    assert done["answer"].returncode == 0, done["answer"].stderr
    assert done["answer"].stdout.splitlines() == [f"{n}\t0" for n in range(75)]
    assert len(seen) >= 3, f"not renewed twice: {seen}"
    assert not failed


def test_a_service_comes_and_goes_in_the_zone(whole):
    system, knot, _ = whole
    system.ok("services", "create", "more")
    name = f"more.laptop.{ZONE}"
    wait_until("its name", 120, lambda: knot.dig("A", name) == ["127.0.0.1"])
    system.ok("services", "delete", "more", "--delete-data", "--yes")
    wait_until("its end", 120, lambda: not knot.dig("A", name))
    assert not [k for k in knot.all() if k[0].endswith(name)]
    assert knot.dig("A", f"theirs.laptop.{ZONE}") == ["203.0.113.9"]


def test_without_the_authority_services_go_on(whole):
    """When it is gone for good the certificate ends: that is said, and the own authority's takes its place at the door."""
    system, _, pebble = whole
    pebble.stop()
    told = wait_until("the alarm", 180, lambda: (c := infrastructure(system)["certificate"])["state"] in ("failed", "expired")
                      and c)
    assert told["error"]
    wait_until("the own certificate", 120, lambda: system_shows_own(system))
    assert system.select("SELECT 1") == "1"
    assert "warn" in (text := system.run("status")).stderr.lower() or "certificate is" in text.stdout + text.stderr


def system_shows_own(system):
    try:
        return system.query("SELECT 1").status == 200  # trusts the data plane's authority alone
    except OSError:
        return False


