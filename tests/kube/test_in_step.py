"""What replicas say of themselves decides the next step. No ClickHouse runs in these pods: a server of ours stands at the pods' addresses
and answers the operator's statements as the table of src/blueprint/operator_sql.c says that ClickHouse does."""
import http.server
import subprocess
import threading
import time

import pytest

from agent import service
from link_parts import wait_until
from test_replicas import images, parts, pods

USER = "ownhouse_operator"


class Replicas:
    """A server at the address of each pod of a service's replicas, addresses on the loopback device. row[k]: what replica k answers."""

    def __init__(self, agent, s):
        self.agent, self.s, self.servers, self.row, self.said = agent, s, {}, {}, []
        self.readonly = []  # tables of whom Keeper has forgotten, quoted
        self.tables, self.unsynced = [], set()  # replicated ones, quoted; (k, table): replica k cannot fetch its parts
        self.definitions = []  # of Replicated databases
        self.alone, self.databases = 0, {}  # tables that do not replicate; of replica k: who is away of Replicated databases
        self.ended = threading.Event()
        self.thread = threading.Thread(target=self.follow, daemon=True)
        self.thread.start()

    def follow(self):
        while not self.ended.wait(0.2):
            try:
                found = pods(self.agent, self.s, "clickhouse")
            except (OSError, KeyError, TypeError):
                continue
            for name, pod in found.items():
                ip = pod["status"].get("podIP")
                if ip and ip not in self.servers:
                    self.serve(ip, int(name.split("-")[-2]))

    def serve(self, ip, ordinal):
        subprocess.run(["ip", "address", "add", f"{ip}/32", "dev", "lo"], capture_output=True)
        replicas = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def log_message(self, *words):
                pass

            def do_POST(self):
                sql = self.rfile.read(int(self.headers.get("Content-Length", 0))).decode()
                replicas.said.append((ordinal, self.headers.get("X-ClickHouse-User"), bool(self.headers.get("X-ClickHouse-Key")), sql))
                if sql.startswith("SYSTEM RESTORE"):
                    replicas.readonly.remove(sql.split("REPLICA ")[1])
                    replicas.row[ordinal] = "0 1 1 a " if replicas.readonly else "0 0 1 a "
                if "WHERE is_readonly" in sql:
                    body = "".join(f"{t}\n" for t in replicas.readonly[:1]).encode()
                elif "WHERE name > '" in sql:
                    after = sql.split("WHERE name > '")[1].split("' ORDER")[0]
                    body = "".join(f"{t}\n" for t in [t for t in sorted(replicas.tables) if t > after][:1]).encode()
                elif sql.startswith("SYSTEM SYNC") and (ordinal, sql.split()[3]) in replicas.unsynced:
                    body = b"Code: 159. DB::Exception: SYNC REPLICA: command timed out. (TIMEOUT_EXCEEDED)\n"
                elif "system.databases" in sql:
                    after = sql.split("name > '")[1].split("' ORDER")[0]
                    body = "".join(f"{d}\n" for d in [d for d in sorted(replicas.definitions) if d.split(" UUID")[0] > after][:1]).encode()
                elif sql.startswith("CREATE DATABASE"):
                    body = b""
                    if sql.endswith(replicas.definitions[-1]):
                        replicas.row[ordinal] = "0 0 1 a "
                elif "NOT LIKE '.inner" in sql:
                    body = " ".join(replicas.row.get(ordinal, "0 0 1 a ").split(" ")[2:4]).encode() + b"\n"
                elif "total_rows" in sql:
                    body = b"%d\n" % replicas.alone
                elif "database_replica_name" in sql:
                    body = replicas.databases.get(ordinal, "").encode() + b"\n"
                else:
                    body = b"" if sql.startswith("SYSTEM") else replicas.row.get(ordinal, "0 0 1 a ").encode() + b"\n"
                self.send_response(200)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

        server = http.server.ThreadingHTTPServer((ip, 8123), Handler)
        server.daemon_threads = True
        threading.Thread(target=server.serve_forever, daemon=True).start()
        self.servers[ip] = server

    def close(self):
        self.ended.set()
        self.thread.join()
        for ip, server in self.servers.items():
            server.shutdown()
            server.server_close()
            subprocess.run(["ip", "address", "del", f"{ip}/32", "dev", "lo"], capture_output=True)


@pytest.fixture
def three(agent):
    if subprocess.run(["ip", "address", "add", "192.0.2.77/32", "dev", "lo"], capture_output=True).returncode:
        pytest.skip("skipped: addresses on the loopback device cannot be set here")
    subprocess.run(["ip", "address", "del", "192.0.2.77/32", "dev", "lo"], check=True)
    s = service(replicas=3)
    agent.want(s)
    agent.until(s["id"], "running")
    r = Replicas(agent, s)
    wait_until("all to be asked", 90, lambda: {k for k, *_ in r.said} == {0, 1, 2})
    yield r
    r.close()


def changed(three):
    return [images(three.agent, three.s).count(i) for i in ("stand.test/clickhouse:1", "stand.test/clickhouse:2")]


def test_the_next_replica_waits_for_one_that_lags_or_lacks_tables(three):
    """#1310, #969 and every lagging replica: an answer to /ping is not enough."""
    agent, s = three.agent, three.s
    assert all(user == USER and key for _, user, key, _ in three.said)
    three.row[0] = "100 0 1 a "  # lags as soon as it was changed, while the others are in step
    agent.restart(clickhouse_image="stand.test/clickhouse:2")
    wait_until("somebody's change or nobody's", 120, lambda: changed(three)[1] <= 1 and
               sum(1 for k, *_ in three.said if k == 0) > 3)
    end = time.monotonic() + 25  # longer than one that says nothing is waited for
    while time.monotonic() < end:
        assert changed(three)[1] <= 1
        time.sleep(1)
    three.row[0] = "0 0 0 0 "  # it does not lag any more, and lacks the table that the others have
    end = time.monotonic() + 10
    while time.monotonic() < end:
        assert changed(three)[1] <= 1
        time.sleep(1)
    three.row[0] = "0 0 1 a "
    wait_until("all to be changed", 180, lambda: changed(three) == [0, 3])
    agent.until(s["id"], "running", 180)


def test_a_replica_that_went_is_forgotten_by_keeper(three):
    """#334: a registration that stays behind breaks whoever has the name next. Told to one that stays, once it is gone."""
    agent, s = three.agent, three.s
    three.row.update({0: "0 0 1 a r2", 1: "0 0 1 a r2"})
    time.sleep(3)  # while it is wanted it is only away
    s["replicas"] = 2
    agent.want(s)
    wait_until("two", 180, lambda: agent.workload(s, 2) not in parts(agent, s))
    drop = wait_until("the words to Keeper", 120, lambda: [x for x in three.said if x[3].startswith("SYSTEM DROP")])
    assert drop[0][0] == 0 and drop[0][3] == "SYSTEM DROP REPLICA 'r2'"
    three.row.update({0: "0 0 1 a ", 1: "0 0 1 a "})


def test_a_replica_rebuilt_without_its_disk_is_forgotten_so_that_it_can_begin_anew(three):
    """#334: code 253. It stands there without tables while Keeper holds its name as away."""
    three.row.update({0: "0 0 1 a r1", 1: "0 0 1 a ", 2: "0 0 1 a "})
    assert not [x for x in three.said if x[3].startswith("SYSTEM")]
    three.row[1] = "0 0 0 0 "
    three.agent.restart()  # it asks at once, where else it would within a minute
    drop = wait_until("the words to Keeper", 150, lambda: [x for x in three.said if x[3].startswith("SYSTEM")])
    assert drop[0][3] == "SYSTEM DROP REPLICA 'r1'" and drop[0][0] in (0, 2)


def test_a_replica_that_comes_back_onto_its_old_disk_is_registered_anew(three):
    """It went, Keeper forgot it, and its disk stayed: its tables cannot be written until they are registered again."""
    three.readonly = ["`default`.`a`", "`default`.`b`"]
    three.row[2] = "0 2 2 a "
    three.agent.restart()  # it asks at once
    restored = wait_until("both tables", 150, lambda: [x for x in three.said if x[3].startswith("SYSTEM")][1:] and
                          [x for x in three.said if x[3].startswith("SYSTEM")])
    assert [(x[0], x[3]) for x in restored] == [(2, "SYSTEM RESTORE REPLICA `default`.`a`"), (2, "SYSTEM RESTORE REPLICA `default`.`b`")]
    wait_until("its turn to be in step", 60, lambda: not three.readonly)
