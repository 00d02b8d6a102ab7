"""Engineers' access on a whole system: request, the customer's signature, sessions through the relay to the gate, records in the
ledger, and every way in which it ends."""
import base64
import contextlib
import http.client
import json
import os
import pathlib
import signal
import subprocess

import pytest

from access_parts import Session, agent_config, agent_home, approved, control, leaves, of_grant, request, sign, sql
from full_system import BUILD, IS_ROOT, wait_until


@pytest.fixture
def session(system):
    grant, approval = approved(system, "--target", "clickhouse.diag,cluster.view")
    s = Session(system, grant, approval)
    s.grant, s.approval = grant, approval
    yield s
    s.stop()


def test_request_signature_connect_query_record(system):
    grant, approval = approved(system)
    result = sql(system, grant, approval, "SELECT count() FROM ownhouse_diag.tables WHERE database = 'ownhouse_diag'")
    assert result.returncode == 0, result.stderr
    assert int(result.stdout) > 10
    found = of_grant(system, grant["id"])
    events = [leaf["body"]["event"] for leaf in found]
    assert events[:6] == ["grant-open", "certificate", "session-open", "user-made", "request", "result"]
    asked = next(leaf["body"] for leaf in found if leaf["body"]["event"] == "request")
    said = next(leaf["body"] for leaf in found if leaf["body"]["event"] == "result")
    assert asked["query"].startswith("SELECT count()") and asked["id"] == said["id"]
    assert said["bytes"] == len(result.stdout) and said["rows"] == 1 and said["status"] == 200
    import hashlib
    assert said["sha256"] == hashlib.sha256(result.stdout.encode()).hexdigest()


def test_the_customer_signs_with_the_command_and_may_take_it_back(system):
    grant = request(system)
    assert system.run("approve", grant["id"], "--yes").returncode == 0
    s = Session(system, grant, None)
    try:
        assert s.ask("clickhouse.diag", "POST", "/", "SELECT 1")[0] == 200
        result = system.run("deny", grant["id"], "--yes")
        assert result.returncode == 0, result.stderr
        assert s.ended() == 1
    finally:
        s.stop()
    again = system.run("connect", grant["id"], "--sql", "SELECT 1")
    assert again.returncode == 4, again.stdout


def test_what_cannot_be_recorded_does_not_happen(system, session):
    system.kill("--role ledger", signal.SIGSTOP)
    try:
        try:
            status, text, _ = session.ask("clickhouse.diag", "POST", "/", "SELECT 'canary-unrecorded'")
            assert status == 503 and "recorded" in text and "canary" not in text
        except (OSError, http.client.HTTPException):
            pass  # a gate that waited for more than one record is taken for dead: nothing comes either way
    finally:
        system.kill("--role ledger", signal.SIGCONT)
    again = wait_until("session or a new one", 60, lambda: sql(system, session.grant, session.approval, "SELECT 2").returncode == 0)
    assert again


def test_every_statement_of_the_gates_has_its_leaf_and_each_leaf_its_statement(system, session):
    """The leaves' ids are the engine's query ids, so an execution log and the ledger join on them."""
    for i in range(5):
        assert session.ask("clickhouse.diag", "POST", "/", f"SELECT {i}")[0] == 200
    found = [leaf["body"] for leaf in of_grant(system, session.grant["id"])]
    asked = [b["id"] for b in found if b["event"] == "request"]
    said = [b["id"] for b in found if b["event"] == "result"]
    assert len(asked) == 5 and sorted(asked) == sorted(said)
    log = next(system.home.glob("accounts/laptop/**/queries.log"))
    rows = {row["query_id"]: row for row in map(json.loads, log.read_text().splitlines())}
    assert {rows[i]["user"] for i in asked} == {f"ownhouse_grant_{session.grant['id']}"}

    def reconciled(path):
        return system.run("reconcile", "--query-log", str(path)).stdout
    # The customer's bucket has the leaves within seconds.
    wait_until("the leaves in the bucket", 90, lambda: "acts" in (said := reconciled(log)) and not any(i in said for i in rows))
    bent = system.root / "bent.log"
    hidden = asked[2]
    bent.write_text("".join(line + "\n" for line in log.read_text().splitlines() if hidden not in line) +
                    json.dumps(dict(rows[hidden], query_id="canary-query")) + "\n")
    found = reconciled(bent)
    assert f"statement {hidden} was recorded" in found and "query canary-query" in found


SNIFF = """import re, socket, sys
s = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(3))
print("ready", flush=True)
while True:
    for m in re.finditer(rb"Authorization: Basic ([A-Za-z0-9+/=]+)\\r", s.recv(65535)):
        print(m.group(1).decode(), flush=True)
"""


@contextlib.contextmanager
def overheard(system):
    """What is asked with passwords on the wires inside the data plane meanwhile: a function that gives {user: password}."""
    sniffer = subprocess.Popen(["ip", "netns", "exec", system.netns, "/usr/bin/python3", "-c", SNIFF], stdout=subprocess.PIPE)
    assert sniffer.stdout.readline() == b"ready\n"
    os.set_blocking(sniffer.stdout.fileno(), False)
    heard = {}

    def users():
        for line in (sniffer.stdout.read() or b"").split():
            user, _, password = base64.b64decode(line).decode().partition(":")
            heard[user] = password
        return heard
    try:
        yield users
    finally:
        sniffer.kill()
        sniffer.wait()
        sniffer.stdout.close()


@pytest.mark.skipif(not IS_ROOT, reason="skipped: root not available, which network namespaces need")
def test_a_grants_user_at_the_engine_is_gone_with_the_grant(system, session):
    """Its name and password, overheard inside the data plane, are good for reading until the revocation, and for nothing after it."""
    with overheard(system) as users:
        assert session.ask("clickhouse.diag", "POST", "/", "SELECT 1")[0] == 200
        name = f"ownhouse_grant_{session.grant['id']}"
        wait_until("the grant's user on the wire", 30, lambda: name in users() and "ownhouse_gate" in users())
        password, maker = users()[name], users()["ownhouse_gate"]
        assert system.query("SELECT 5", user=name, password=password).text == "5\n"
        assert system.query("CREATE TABLE canary (x Int8) ENGINE = Memory", user=name, password=password).status == 500
        # The gate's own user makes and drops such users, and can read nothing; nobody else can make one.
        assert "497" in system.query("SELECT 1", user="ownhouse_gate", password=maker).text
        forged = f"CREATE USER `{name}` IDENTIFIED WITH sha256_hash BY '{'0' * 64}' VALID UNTIL '2100-01-01T00:00:00Z'"
        assert system.query(forged, user=name, password=password).status != 200
        # An engine that has forgotten it is told again, without a word to the engineer.
        assert system.query(f"DROP USER IF EXISTS `{name}`", user="ownhouse_gate", password=maker).status == 200
        assert system.query("SELECT 5", user=name, password=password).status == 403
        assert session.ask("clickhouse.diag", "POST", "/", "SELECT 1")[0] == 200
        assert system.query("SELECT 5", user=name, password=password).status == 200
        assert system.run("access", "revoke", session.grant["id"]).returncode == 0
        gone = system.query("SELECT 5", user=name, password=password)
        assert gone.status == 403 and "516" in gone.text
    by_event = {leaf["body"]["event"]: leaf["body"] for leaf in of_grant(system, session.grant["id"])}
    assert by_event["user-made"]["user"] == by_event["user-drop"]["user"] == name
    assert by_event["grant-ended"]["usersDropped"] == 1 and by_event["grant-ended"]["usersLeft"] == 0
    written = [path for path in agent_home(system).parent.rglob("*") if path.is_file() and path.stat().st_size < 1 << 24 and
               password.encode() in path.read_bytes()]
    assert written == []  # the password was never on a disk


def test_a_user_that_cannot_be_dropped_is_named_and_dropped_later(system, session):
    """The engine does not answer while the grant ends: the end is told and recorded with what is left, and the rest follows."""
    assert session.ask("clickhouse.diag", "POST", "/", "SELECT 1")[0] == 200
    assert system.kill("ownhouse-clickhouse", signal.SIGSTOP)
    try:
        assert system.run("access", "revoke", session.grant["id"]).returncode == 0
        ended = next(leaf["body"] for leaf in of_grant(system, session.grant["id"]) if leaf["body"]["event"] == "grant-ended")
        assert ended["usersLeft"] == 1 and ended["usersDropped"] == 0
    finally:
        system.kill("ownhouse-clickhouse", signal.SIGCONT)
    wait_until("the user to be dropped", 90, lambda: any(leaf["body"]["event"] == "user-dropped"
                                                         for leaf in of_grant(system, session.grant["id"])))


def test_the_agents_connection_for_a_session_is_recorded(system, session):
    """The one message that goes beside the link names the session, and is a leaf like all that leave."""
    assert session.ask("clickhouse.diag", "POST", "/", "SELECT 1")[0] == 200
    found = [leaf["body"] for leaf in leaves(system) if leaf["kind"] == "egress" and leaf["body"]["message"] == "attach"]
    assert found and all(body["bytes"] == len(json.dumps({"session": "0" * 36, "type": "attach"}, separators=(",", ":")))
                         for body in found)


def test_without_the_customers_signature_nobody_gets_in(system):
    grant = request(system)
    result = system.run("connect", grant["id"], "--sql", "SELECT 1")
    assert result.returncode == 4 and "has signed" in result.stderr
    # A key that is not the customer's: the device does not believe it; told to believe it, the gate does not.
    other = system.root / "other.key"
    subprocess.run(["openssl", "genpkey", "-algorithm", "ed25519", "-out", str(other)], check=True, capture_output=True)
    os.chmod(other, 0o600)
    public = subprocess.run(["openssl", "pkey", "-in", str(other), "-pubout", "-outform", "DER"], check=True,
                            capture_output=True).stdout[-32:].hex()
    forged = sign(system, grant, other)
    assert sql(system, grant, forged, "SELECT 1").returncode == 4
    result = sql(system, grant, forged, "SELECT 1", "--approver", public)
    assert result.returncode == 4 and "not allowed" in result.stderr, result.stderr
    refused = [leaf for leaf in of_grant(system, grant["id"]) if leaf["kind"] == "access.denied"]
    assert refused and refused[-1]["body"]["event"] == "grant-refused"


def test_an_approval_is_good_for_one_request_only(system):
    grant, approval = approved(system, minutes=5)
    longer = request(system, minutes=480)
    result = sql(system, longer, approval, "SELECT 1")
    assert result.returncode == 4 and "has signed" in result.stderr


def test_a_request_altered_on_the_way_is_refused(system):
    """A control plane that changes what it carries: the database is its own."""
    import sqlite3
    grant, approval = approved(system, minutes=5)
    db = sqlite3.connect(system.home / "control/store/control.db", timeout=30)
    request_now = dict(grant["request"], minutes=480)
    db.execute("UPDATE access_grant SET request = ? WHERE id = ?", (json.dumps(request_now), grant["id"]))
    db.commit()
    db.close()
    result = sql(system, grant, approval, "SELECT 1")
    assert result.returncode == 4 and "has signed" in result.stderr


def test_what_is_not_on_the_list_is_refused_and_recorded(system, session):
    for statement in ("SELECT * FROM system.users", "SELECT hasColumnInTable('default', 'x', 'y')", "SELECT file('/etc/passwd')",
                      "SELECT 1 SETTINGS log_queries = 0", "INSERT INTO default.x VALUES (1)"):
        status, text, _ = session.ask("clickhouse.diag", "POST", "/", statement)
        assert status == 403 and "not on the gate's list" in text, statement
        last = [leaf["body"] for leaf in of_grant(system, session.grant["id"])][-1]
        assert last["event"] == "request-refused" and last["said"] == statement
    for path in ("/?query=SELECT+1&user=default", "/?query=SELECT+1&max_threads=64", "/?query=SELECT+1&query=SELECT+2",
                 "/?database=system&query=SELECT+1", "/dashboard", "//", "/?param_x=1&query=SELECT+1"):
        status, text, _ = session.ask("clickhouse.diag", "GET", path)
        assert status in (400, 403), (path, status, text)
    status, _, _ = session.ask("clickhouse.diag", "POST", "/", "SELECT 1", {"X-ClickHouse-User": "default",
                                                                             "X-ClickHouse-Key": system.password(),
                                                                             "X-ClickHouse-Database": "system"})
    assert status == 200  # headers of the client's never reach the engine


def test_the_engines_errors_tell_no_values(system, session):
    system.select("CREATE TABLE IF NOT EXISTS default.canary (card String) ENGINE = MergeTree ORDER BY card")
    status, text, _ = session.ask("clickhouse.diag", "POST", "/", "SELECT toUInt64('4111-1111-secret')")
    assert status == 400 and "4111" not in text and "CANNOT_PARSE" in text


def test_a_customers_table_cannot_be_read(system, session):
    system.select("CREATE TABLE IF NOT EXISTS default.tables (name String) ENGINE = MergeTree ORDER BY name")
    system.select("INSERT INTO default.tables VALUES ('canary-row')")
    for statement in ("SELECT * FROM default.tables", "SELECT name FROM tables", "SELECT 1 IN (SELECT name FROM default.tables)",
                      "WITH tables AS (SELECT * FROM tables) SELECT * FROM tables",
                      "SELECT name AS tables FROM ownhouse_diag.tables WHERE name IN tables"):
        status, text, _ = session.ask("clickhouse.diag", "POST", "/", statement)
        assert status in (400, 403) and "canary-row" not in text, statement


def test_targets_and_services_are_the_grants_alone(system):
    grant, approval = approved(system, "--target", "cluster.view")
    s = Session(system, grant, approval)
    try:
        assert set(s.ports) == {"cluster.view"}
        status, text, _ = s.ask("cluster.view", "GET", "/workloads")
        assert status == 200 and {w["role"] for w in json.loads(text)} >= {"ingress", "clickhouse"}
        assert "password" not in text and "sha256" not in text
        status, text, _ = s.ask("cluster.view", "GET", "/workloads/ingress/logs?lines=5")
        assert status == 200 and len(text.splitlines()) <= 5
        for method, path in (("GET", "/workloads/ingress/files"), ("GET", "/workloads/../logs"), ("POST", "/workloads"),
                             ("GET", "/workloads/ingress/exec"), ("GET", "/workloads/%69ngress/logs"), ("GET", "/secrets")):
            assert s.ask("cluster.view", method, path)[0] in (404, 405), path
    finally:
        s.stop()


def test_big_answers_leave_no_memory_behind(system, session):
    """Each is of more than a MiB and is read on one of twelve threads of the gate."""
    statement = "SELECT event, description, metric FROM ownhouse_diag.events CROSS JOIN ownhouse_diag.metrics LIMIT 9999"
    gate = system.pids("--role gate")[0]

    def held():
        return sum(int(line.split()[1]) for line in pathlib.Path(f"/proc/{gate}/smaps_rollup").read_text().splitlines()
                   if line.startswith(("Private_Dirty:", "Swap:")))

    before = held()
    for _ in range(30):
        status, text, _ = session.ask("clickhouse.diag", "POST", "/", statement)
        assert status == 200 and len(text) > 1 << 20, text[:200]
    wait_until("their memory to be given back", 60, lambda: held() < before + 4096)


def test_no_prometheus_is_said_plainly(system):
    grant, approval = approved(system, "--target", "prometheus.read")
    s = Session(system, grant, approval)
    try:
        status, text, _ = s.ask("prometheus.read", "GET", "/api/v1/query?query=up")
        assert status in (200, 503), text
        if status == 503:
            assert "no Prometheus" in text
        for path in ("/federate", "/api/v1/admin/tsdb/snapshot", "/api/v1/read", "/api/v1/../admin", "/api/v1/query%2f"):
            assert s.ask("prometheus.read", "GET", path)[0] == 403, path
    finally:
        s.stop()


def test_revocation_ends_the_session_and_is_acknowledged(system, session):
    assert session.ask("clickhouse.diag", "POST", "/", "SELECT 1")[0] == 200
    result = system.run("access", "revoke", session.grant["id"])
    assert result.returncode == 0 and "nothing of it is left" in result.stdout, result.stderr
    assert session.ended() == 1
    end = of_grant(system, session.grant["id"])[-2:]
    assert "grant-ended" in [leaf["body"]["event"] for leaf in end]
    again = sql(system, session.grant, session.approval, "SELECT 1")
    assert again.returncode == 4


def test_the_customer_ends_a_grant_without_the_control_plane(system, session):
    system.kill("ownhouse-control --role link", signal.SIGSTOP)
    try:
        done = subprocess.run([str(BUILD / "src/agent/ownhouse-agent"), "revoke", "--config", str(agent_config(system)), "--grant",
                               session.grant["id"]], capture_output=True, text=True, timeout=60)
        assert done.returncode == 0 and "nothing of it is left" in done.stdout, done.stderr
        status = control(system, {"type": "status"})
        assert session.grant["id"] not in [g["id"] for g in status["grants"]]
        assert of_grant(system, session.grant["id"])[-1]["kind"] in ("access.end", "access.session")
    finally:
        system.kill("ownhouse-control --role link", signal.SIGCONT)
    assert session.ended() == 1


def test_a_lock_ends_all_and_lets_nobody_in(system, session):
    status = control(system, {"type": "lock"})
    assert status["locked"] and status["grants"] == []
    assert session.ended() == 1
    grant, approval = approved(system)
    result = sql(system, grant, approval, "SELECT 1")
    assert result.returncode == 4 and "locked" in result.stderr
    assert not control(system, {"type": "unlock"})["locked"]
    assert sql(system, grant, approval, "SELECT 1").returncode == 0


def test_a_key_taken_out_of_the_policy_ends_its_grants(system, session):
    bundle = json.loads((system.customer / "bundle.json").read_text())
    path = agent_home(system) / "policy/policy.json"
    policy = {"type": "ownhouse/policy", "v": 1, "version": 2, "mode": "open", "quorum": 1,
              "approvers": [{"name": "new", "key": "11" * 32}]}
    path.write_text(json.dumps(policy))
    os.chmod(path, 0o600)
    try:
        assert session.ended() == 1
        [end] = wait_until("its end in the ledger", 30, lambda: [
            leaf["body"] for leaf in of_grant(system, session.grant["id"]) if leaf["body"]["event"] == "grant-ended"])
        assert "not allowed" in end["why"] or "policy" in end["why"]
    finally:
        path.unlink()
    assert bundle["approverKeys"]


def test_a_restart_of_the_gate_ends_sessions_but_not_the_grants_clock(system, session):
    before = next(g for g in control(system, {"type": "status"})["grants"] if g["id"] == session.grant["id"])
    assert system.kill("--role gate") == 1
    assert session.ended() == 1
    wait_until("gate again", 30, lambda: (agent_home(system) / "run/gate-control.sock").exists() and len(system.pids("--role gate")) == 1)

    def again():
        result = sql(system, session.grant, session.approval, "SELECT 1")
        return result.returncode == 0
    wait_until("session after restart", 30, again)
    after = next(g for g in control(system, {"type": "status"})["grants"] if g["id"] == session.grant["id"])
    assert after["remainingMs"] < before["remainingMs"]


def test_the_relay_reads_nothing(system, session):
    """What a session says and hears is in no log, store or memory file of the control plane."""
    marker = "canary4711session"
    status, text, _ = session.ask("clickhouse.diag", "POST", "/", f"SELECT '{marker}' AS a")
    assert status == 200 and marker in text
    for path in (system.home / "control").rglob("*"):
        if path.is_file():
            assert marker.encode() not in path.read_bytes(), path
    for pid in system.pids("ownhouse-control --role link"):
        with open(f"/proc/{pid}/maps") as maps, open(f"/proc/{pid}/mem", "rb", 0) as memory:
            for line in maps:
                span, rights = line.split()[:2]
                if "r" not in rights or "w" not in rights:
                    continue
                start, end = (int(x, 16) for x in span.split("-"))
                try:
                    memory.seek(start)
                    assert marker.encode() not in memory.read(end - start)
                except (OSError, ValueError):
                    continue
