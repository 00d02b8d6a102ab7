"""What may leave the account: the customer's list of fields, enforced by the agent on a whole system, and the list of hosts and
ports, which is what the packet rules let through."""
import json
import sqlite3
import subprocess

import pytest

from full_system import IS_ROOT, wait_until


@pytest.fixture(scope="module")
def agent(system):
    (found,) = system.home.glob("accounts/laptop/*/agent")
    return found


def observed(system):
    """What the control plane has of the data plane, all of it."""
    with sqlite3.connect(f"file:{system.home}/control/store/control.db?mode=ro", uri=True, timeout=20) as store:
        (text,) = store.execute("SELECT body FROM observed").fetchone()
    return json.loads(text)


def service(system):
    return (observed(system)["services"] or [{}])[0]


def bodies(system, kind):
    return [leaf["body"] for leaf in system.ok("ledger", "show", "--kind", kind)]


def telemetry(agent):
    return json.loads((agent / "run/status.json").read_text())["telemetry"]


def test_withheld_fields_stay_and_the_ledger_says_since_when(system, agent):
    wait_until("all of it", 90, lambda: service(system).get("engineVersion") and len(service(system).get("metrics", {})) > 5
               and observed(system).get("caCertificate"))
    assert telemetry(agent)["withheld"] == []
    kept = "observed.services.metrics.ClickHouseMetrics_Query"
    known = {one["field"]: one["class"] for one in system.ok("egress", "fields")["fields"]}
    assert known["observed.services.id"] == "needed" and known[kept] == "allowed"
    names = [name for name, leaves in known.items() if leaves == "allowed" and name != kept]
    system.ok("egress", "narrow", *names)
    now = {one["field"]: one["class"] for one in system.ok("egress", "fields")["fields"]}
    assert now[kept] == "allowed" and all(now[name] == "withheld" for name in names)

    def narrow():
        report = observed(system)
        one = report["services"][0]
        return set(one.get("metrics", {})) <= {"ClickHouseMetrics_Query"} and "engineVersion" not in one \
            and "notice" not in one and "caCertificate" not in report and report["version"] == "withheld" \
            and all(work["name"] == "withheld" for work in report["workloads"])
    wait_until("only what is allowed", 90, narrow)
    assert service(system)["state"] == "running" and service(system)["replicas"] == 1
    assert set(telemetry(agent)["withheld"]) == set(names)
    wait_until("its leaf", 60, lambda: any(set(body["withheld"]) == set(names) for body in bodies(system, "telemetry")))
    assert system.query("SELECT 1").text.strip() == "1"


def test_a_list_that_cannot_be_used_lets_nothing_leave_but_what_is_needed(system, agent):
    path = agent / "policy/telemetry.json"
    path.write_text('{"type":"ownhouse/telemetry","v":1,"allow":["*","rows"]}')
    wait_until("the trouble to be told", 60, lambda: "rows" in telemetry(agent)["trouble"])
    wait_until("nothing but what is needed", 60, lambda: "metrics" not in service(system))
    assert service(system)["state"] == "running"
    system.ok("egress", "narrow")
    path.chmod(0o666)
    wait_until("a list that others may write to be refused", 60, lambda: "may write it" in telemetry(agent)["trouble"])
    path.chmod(0o600)
    wait_until("all of it again", 90, lambda: len(service(system).get("metrics", {})) > 5 and
               observed(system).get("caCertificate"))
    wait_until("the trouble to be gone", 60, lambda: telemetry(agent)["trouble"] == "")


def test_certificates_are_in_the_ledger(system):
    wait_until("both certificates", 60, lambda: {body["purpose"] for body in bodies(system, "certificate")} >=
               {"link", "services"})


def nft_ports(netns, chain):
    """{(address, port or first-last)} that this chain of the data plane's table lets through."""
    text = subprocess.run(["ip", "netns", "exec", netns, "nft", "-j", "list", "chain", "inet", "ownhouse", chain],
                          capture_output=True, text=True, check=True).stdout
    found = set()
    for item in json.loads(text)["nftables"]:
        expressions = item.get("rule", {}).get("expr", [])
        if not any("accept" in e for e in expressions):
            continue
        matches = {e["match"]["left"]["payload"]["protocol"] + e["match"]["left"]["payload"]["field"]: e["match"]["right"]
                   for e in expressions if "payload" in e.get("match", {}).get("left", {})}
        if "tcpdport" not in matches:
            # Nothing else has a way: loopback, answers to what was allowed, and echo requests from the bridge.
            words = json.dumps(expressions)
            assert '"lo"' in words or '"established"' in words or ("echo-request" in words and chain == "input"), words
            continue
        ports = matches["tcpdport"]
        for port in ports["set"] if isinstance(ports, dict) and "set" in ports else [ports]:
            first, last = port["range"] if isinstance(port, dict) else (port, port)
            found.add((matches["ipdaddr"], first, last))
    return found


@pytest.mark.skipif(not IS_ROOT, reason="skipped: root not available, which network namespaces need")
def test_the_list_of_hosts_is_what_the_packet_rules_let_through(system):
    answer = system.ok("egress", "hosts")
    assert answer["enforced"]
    listed = {"in": set(), "out": set()}
    for one in answer["openings"]:
        assert one["protocol"] == "tcp" and one["why"]
        listed[one["direction"]].add((one["host"], one["firstPort"], one["lastPort"]))
    assert listed["out"] == nft_ports(system.netns, "output") and len(listed["out"]) >= 1
    assert listed["in"] == nft_ports(system.netns, "input") and len(listed["in"]) >= 2
