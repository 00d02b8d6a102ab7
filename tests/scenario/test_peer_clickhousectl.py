"""The official command line of ClickHouse Cloud against a whole system: it knows nothing of OwnHouse but a URL and a CA."""
import base64
import hashlib
import json
import os
import subprocess
import time

import pytest

from full_system import free_ports, wait_until
from peers import peer

STANDS_FOR = "aws/us-east-1"
READER = "0b5e0000-0000-4000-8000-000000000006"
MEMBER = "0b5e0000-0000-4000-8000-000000000004"


class CommandLine:
    def __init__(self, system, home):
        self.program, self.system, self.home = peer("clickhousectl"), system, home
        self.key = json.loads((system.home / "credentials.json").read_text())

    def run(self, *words, key=None, text=None, env=None):
        """The completed process of `clickhousectl cloud WORDS`; `env` has more variables."""
        key = key or self.key
        more = env or {}
        env = {"HOME": str(self.home), "PATH": os.environ["PATH"], "DO_NOT_TRACK": "1",
               "SSL_CERT_FILE": str(self.system.home / "control/keys/edge-ca.pem"),
               "CLICKHOUSE_CLOUD_API_KEY": key["keyId"], "CLICKHOUSE_CLOUD_API_SECRET": key["keySecret"], **more}
        url = f"https://localhost:{self.system.port}"
        return subprocess.run([self.program, "cloud", "--url", url, *words], env=env, cwd=self.home, input=text,
                              stdin=subprocess.DEVNULL if text is None else None, capture_output=True, text=True,
                              timeout=120)

    def text(self, *words, **more):
        done = self.run(*words, **more)
        assert done.returncode == 0, (words, done.stdout, done.stderr)
        return done.stdout

    def json(self, *words, **more):
        """The decoded answer; lists that it wraps are unwrapped."""
        answer = json.loads(self.text(*words, "--json", **more))
        return answer["result"] if isinstance(answer, dict) and "result" in answer else answer

    def refused(self, *words, **more):
        done = self.run(*words, **more)
        assert done.returncode != 0, (words, done.stdout)
        return done.stdout + done.stderr


@pytest.fixture(scope="module")
def ctl(system, tmp_path_factory):
    return CommandLine(system, tmp_path_factory.mktemp("clickhousectl"))


def service_state(ctl, service, state):
    return wait_until(f"the service is {state}", 60, lambda: ctl.json("service", "get", service)["state"] == state, 0.3)


def test_whole_life_of_a_service(system, ctl):
    made = ctl.json("service", "create", "--name", "peer", "--num-replicas", "1", "--min-replica-memory-gb", "8",
                    "--max-replica-memory-gb", "16", "--idle-timeout-minutes", "10", "--ip-allow", "127.0.0.0/8=here",
                    "--tag", "team=peers", "--tag", "plain", "--release-channel", "fast", "--enable-core-dumps", "true")
    service, password = made["service"], made["password"]
    ident = service["id"]
    assert (service["provider"], service["region"], service["state"]) == ("aws", "us-east-1", "provisioning")
    assert (service["minReplicaMemoryGb"], service["maxReplicaMemoryGb"]) == (8, 16)
    assert service["tags"] == [{"key": "team", "value": "peers"}, {"key": "plain"}]
    assert service["ipAccessList"] == [{"source": "127.0.0.0/8", "description": "here"}]
    service_state(ctl, ident, "running")
    # The load balancer may find the new server a moment after the service says that it runs.
    wait_until("the first answer", 30, lambda: system.query("SELECT 6 * 7", service="peer", password=password).status == 200)
    assert system.select("SELECT 6 * 7", service="peer", password=password) == "42"

    assert [s["name"] for s in ctl.json("service", "list", "--filter", "tag:team=peers")] == ["peer"]
    assert {s["name"] for s in ctl.json("service", "list")} == {"demo", "peer"}
    assert ctl.json("service", "get", "--name", "peer")["id"] == ident
    ctl.text("service", "update", ident, "--new-name", "renamed", "--add-ip-allow", "10.1.0.0/16=ten", "--add-tag",
             "more=1", "--release-channel", "slow", "--enable-endpoint", "mysql")
    ctl.text("service", "update", ident, "--remove-ip-allow", "10.1.0.0/16", "--disable-endpoint", "mysql",
             "--remove-tag", "plain", "--enable-core-dumps", "false")
    service = ctl.json("service", "get", ident)
    assert (service["name"], service["releaseChannel"], service["enableCoreDumps"]) == ("renamed", "slow", False)
    assert [e["source"] for e in service["ipAccessList"]] == ["127.0.0.0/8"]
    assert service["tags"] == [{"key": "team", "value": "peers"}, {"key": "more", "value": "1"}]
    assert "no service found" in ctl.refused("service", "get", "--name", "peer").lower()

    digest = base64.b64encode(hashlib.sha256(b"never sent").digest()).decode()
    ctl.text("service", "reset-password", ident, "--new-password-hash", digest)
    wait_until("the new password", 30, lambda: system.query("SELECT 1", service="peer", password="never sent").status == 200)
    generated = ctl.json("service", "reset-password", ident)["password"]
    wait_until("the made password", 30, lambda: system.query("SELECT 1", service="peer", password=generated).status == 200)

    ctl.text("service", "stop", ident)
    service_state(ctl, ident, "stopped")
    ctl.text("service", "start", ident)
    service_state(ctl, ident, "running")
    ctl.text("service", "wake", ident)
    ctl.text("service", "delete", ident, "--force")
    wait_until("the service is gone", 60, lambda: "renamed" not in {s["name"] for s in ctl.json("service", "list")}, 0.3)


@pytest.fixture
def quiet_service(ctl):
    """A service whose settings a test may change."""
    ident = ctl.json("service", "create", "--name", "settled", "--num-replicas", "1")["service"]["id"]
    service_state(ctl, ident, "running")
    yield ident
    ctl.text("service", "delete", ident, "--force")


def test_scaling_windows_and_schedules(ctl, quiet_service):
    ident = quiet_service
    ctl.text("service", "scale", ident, "--idle-scaling", "false", "--min-replica-memory-gb", "12",
             "--max-replica-memory-gb", "24", "--num-replicas", "1")
    service = ctl.json("service", "get", ident)
    assert (service["idleScaling"], service["minReplicaMemoryGb"], service["maxReplicaMemoryGb"]) == (False, 12, 24)
    ctl.text("service", "scale", ident, "--autoscaling-mode", "horizontal", "--min-replicas", "1", "--max-replicas", "3",
             "--min-replica-memory-gb", "16", "--max-replica-memory-gb", "16")
    service = ctl.json("service", "get", ident)
    assert (service["autoscalingMode"], service["minReplicas"], service["maxReplicas"]) == ("horizontal", 1, 3)
    ctl.text("service", "upgrade-window", "set", ident, "--weekday", "2", "--start-hour", "6")
    assert ctl.json("service", "upgrade-window", "get", ident) == {"weekday": 2, "startHourUtc": 6, "duration": 6}
    ctl.text("service", "upgrade-window", "delete", ident)
    assert "no such upgrade window" in ctl.refused("service", "upgrade-window", "get", ident)
    schedule = {"entries": [{"name": "mornings", "weekdays": [1, 2], "startHourUtc": 5, "endHourUtc": 9, "minReplicas": 2,
                             "maxReplicas": 2}]}
    ctl.text("service", "scaling-schedule", "set", ident, "--file", "-", text=json.dumps(schedule))
    assert [e["name"] for e in ctl.json("service", "scaling-schedule", "get", ident)["entries"]] == ["mornings"]
    schedule["entries"].append({**schedule["entries"][0], "name": "overlaps", "startHourUtc": 8, "endHourUtc": 10})
    assert "overlap" in ctl.refused("service", "scaling-schedule", "set", ident, "--file", "-", text=json.dumps(schedule))
    ctl.text("service", "scaling-schedule", "delete", ident)
    assert "no such scaling schedule" in ctl.refused("service", "scaling-schedule", "get", ident)


def test_settings_backups_and_query_endpoints(ctl, quiet_service):
    ident = quiet_service
    known = {s["name"] for s in ctl.json("service", "settings", "schema", ident)["settings"]}
    assert {"max_threads", "compatibility"} <= known
    ctl.text("service", "settings", "set", ident, "--setting", "max_threads=4", "--setting", 'compatibility="24.8"')
    assert ctl.json("service", "settings", "get", ident, "max_threads")["value"] == "4"
    assert "24.8" in ctl.text("service", "settings", "list", ident)
    assert "not a setting" in ctl.refused("service", "settings", "set", ident, "--setting", "no_such_thing=1")
    for name in ("max_threads", "compatibility"):
        ctl.text("service", "settings", "unset", ident, name)
    assert ctl.json("service", "settings", "list", ident)["settings"] == []

    ctl.text("service", "backup-config", "update", ident, "--backup-period-hours", "24", "--backup-start-time", "04:00")
    assert ctl.json("service", "backup-config", "get", ident)["backupStartTime"] == "04:00"
    ctl.text("service", "backup-config", "update", ident, "--clear-backup-start-time", "--backup-period-hours", "12")
    assert ctl.json("service", "backup-config", "get", ident)["backupPeriodInHours"] == 12
    assert ctl.json("backup", "list", ident) == []

    key = ctl.json("key", "create", "--name", "queries", "--ip-allow", "0.0.0.0/0")["key"]["id"]  # without a role
    ctl.text("service", "query-endpoint", "create", ident, "--role", "sql_console_read_only", "--open-api-key", key,
             "--allowed-origins", "https://example.org")
    endpoint = ctl.json("service", "query-endpoint", "get", ident)
    assert (endpoint["openApiKeys"], endpoint["allowedOrigins"]) == ([key], "https://example.org")
    ctl.text("service", "query-endpoint", "delete", ident)
    assert "no such query endpoint" in ctl.refused("service", "query-endpoint", "get", ident)
    ctl.text("key", "delete", key)
    assert isinstance(ctl.json("service", "private-endpoint", "get-config", ident)["endpointServiceId"], str)


def test_buckets_endpoints_and_metrics(ctl, quiet_service):
    ident = quiet_service
    # Of an AWS bucket the tool sends an external id, which is of a later edition of the published API.
    bucket = {"bucketProvider": "GCP", "bucketPath": "https://storage.googleapis.com/peers/backups", "accessKeyId": "GOOG1PEERS",
              "secretAccessKey": "not kept, only its digest"}
    made = ctl.json("backup", "bucket", "create", ident, "--file", "-", text=json.dumps(bucket))
    assert made["bucketPath"] == bucket["bucketPath"] and "secretAccessKey" not in made
    changed = {"bucketProvider": "GCP", "bucketPath": "https://storage.googleapis.com/peers/nightly", "accessKeyId": "GOOG1NIGHTLY",
               "secretAccessKey": "another"}
    ctl.text("backup", "bucket", "update", ident, "--file", "-", text=json.dumps(changed))
    kept = ctl.json("backup", "bucket", "get", ident)
    assert (kept["id"], kept["accessKeyId"], kept["bucketPath"]) == (made["id"], "GOOG1NIGHTLY", changed["bucketPath"])
    ctl.text("backup", "bucket", "delete", ident)
    assert "no such" in ctl.refused("backup", "bucket", "get", ident)
    assert "no such" in ctl.refused("backup", "get", ident, "00000000-0000-4000-8000-000000000000")

    ctl.text("service", "private-endpoint", "create", ident, "--endpoint-id", "vpce-0123456789abcdef0", "--description", "peers")
    assert ctl.json("service", "get", ident)["privateEndpointIds"] == ["vpce-0123456789abcdef0"]
    ctl.text("service", "update", ident, "--remove-private-endpoint-id", "vpce-0123456789abcdef0")
    assert ctl.json("service", "get", ident)["privateEndpointIds"] == []

    wait_until("metrics", 60, lambda: "ClickHouseMetrics_" in ctl.text("service", "prometheus", ident), every=1)
    everything, most = ctl.text("service", "prometheus", ident), ctl.text("service", "prometheus", ident, "--filtered-metrics", "true")
    assert "ClickHouse_ServiceInfo" in most and len(most) <= len(everything)
    assert ident in ctl.text("org", "prometheus", "--filtered-metrics", "true")


def test_infrastructures(system, ctl):
    ports = free_ports(10)
    status, account = system.api("POST", "/accounts", {"name": "peers", "provider": "local", "config": {
        "httpsPort": ports, "nativePort": ports + 1, "servicePortBase": ports + 2, "servicePortCount": 5,
        "standsFor": "aws"}})
    assert status == 200, account
    made = ctl.json("org", "byoc", "create", "--region", "us-east-1", "--account-id", "peers", "--display-name", "by the tool")
    assert (made["regionId"], made["displayName"]) == ("us-east-1", "by the tool"), made
    ctl.text("org", "byoc", "update", made["id"], "--new-name", "renamed by the tool")
    assert ctl.json("org", "byoc", "get", made["id"])["displayName"] == "renamed by the tool"
    assert "no such" in ctl.refused("org", "byoc", "get", "00000000-0000-4000-8000-000000000000")
    ctl.text("org", "byoc", "delete", made["id"])

    def gone():
        return system.api("GET", f"/infrastructures/{made['id']}")[1]["result"]["state"] == "infra-terminated"
    wait_until("nothing was made, so nothing is to be removed", 60, gone)
    assert system.api("DELETE", f"/accounts/{account['result']['id']}")[0] == 200


def test_what_is_wrong_is_said_in_words(ctl):
    assert "must be" in ctl.refused("service", "create", "--name", "x", "--min-replica-memory-gb", "8",
                                    "--max-replica-memory-gb", "400")
    assert "no infrastructure" in ctl.refused("service", "create", "--name", "x", "--region", "eu-west-1")
    stranger = {"keyId": "A" * 20, "keySecret": "b" * 43}
    done = ctl.run("org", "list", key=stranger)
    assert done.returncode == 4 and "API key is missing, wrong" in done.stderr  # 4: its code for credentials


def test_keys(ctl):
    made = ctl.json("key", "create", "--name", "peer key", "--role-id", READER, "--ip-allow", "127.0.0.0/8=here",
                    "--expires-at", "2099-01-01T00:00:00Z")
    ident = made["key"]["id"]
    assert ctl.json("service", "list", key=made)[0]["name"] == "demo"
    assert "control-plane:service:manage" in ctl.refused("service", "stop", "--name", "demo", key=made)
    ctl.text("key", "update", ident, "--new-name", "off", "--state", "disabled", "--clear-expiry", "--clear-ip-allow")
    key = ctl.json("key", "get", "--name", "off")
    assert (key["state"], key.get("expireAt"), key["ipAccessList"]) == ("disabled", None, [])
    assert [r["roleName"] for r in key["assignedRoles"]] == ["Service reader"] and "usedAt" in key
    assert ctl.run("service", "list", key=made).returncode != 0
    ctl.text("key", "update", ident, "--clear-roles")
    assert ctl.json("key", "get", ident)["assignedRoles"] == []
    ctl.text("key", "delete", ident)
    assert "off" not in {k["name"] for k in ctl.json("key", "list")}

    # A key whose secret the control plane never sees.
    own = {"keyId": f"peer{time.time_ns()}", "keySecret": "known to me alone"}
    digests = [base64.b64encode(hashlib.sha256(own[part].encode()).digest()).decode() for part in ("keyId", "keySecret")]
    ctl.text("key", "create", "--name", "hashed", "--role-id", READER, "--hash-key-id", digests[0],
             "--hash-key-id-suffix", own["keyId"][-4:], "--hash-key-secret", digests[1], "--ip-allow", "0.0.0.0/0")
    assert ctl.json("service", "list", key=own)[0]["name"] == "demo"
    ctl.text("key", "delete", "--name", "hashed")


def test_members_and_invitations(ctl):
    admin = ctl.json("member", "list")[0]
    assert ctl.json("member", "get", "--email", admin["email"])["userId"] == admin["userId"]
    for words in (("update", admin["userId"], "--role-id", MEMBER), ("update", admin["userId"], "--clear-roles"),
                  ("remove", admin["userId"])):
        assert "must keep a member with the role Admin" in ctl.refused("member", *words)
    ctl.text("invitation", "create", "--email", "Peer@Example.org", "--role-id", MEMBER)
    invitation = ctl.json("invitation", "get", "--email", "peer@example.org")
    assert [r["roleName"] for r in invitation["assignedRoles"]] == ["Member"]
    assert [i["id"] for i in ctl.json("invitation", "list")] == [invitation["id"]]
    ctl.text("invitation", "delete", invitation["id"])
    assert ctl.json("invitation", "list") == []


def test_roles(ctl):
    body = {"name": "peers", "actors": [], "policies": [
        {"allowDeny": "ALLOW", "permissions": ["control-plane:service:view"], "resources": ["instance/*"]}]}
    role = ctl.json("org", "role", "create", "--file", "-", text=json.dumps(body))
    body["name"] = "peers and more"
    body["policies"][0]["permissions"].append("control-plane:service:view-backups")
    ctl.text("org", "role", "update", role["id"], "--file", "-", text=json.dumps(body))
    changed = ctl.json("org", "role", "get", role["id"])
    assert changed["name"] == "peers and more" and len(changed["policies"][0]["permissions"]) == 2
    assert {"Admin", "peers and more"} <= {r["name"] for r in ctl.json("org", "role", "list")}
    ctl.text("org", "role", "delete", role["id"])
    assert "a system role cannot be deleted" in ctl.refused("org", "role", "delete", "--name", "Admin")


def test_organization_usage_and_activities(ctl):
    organization = ctl.json("org", "get")
    assert organization["byocConfig"][0]["state"] == "infra-ready"
    ctl.text("org", "update", "--new-name", "Peers", "--enable-core-dumps", "false")
    assert ctl.json("org", "list")[0]["name"] == "Peers"
    ctl.text("org", "update", "--new-name", organization["name"], "--enable-core-dumps", "true")
    assert ctl.json("org", "byoc", "get", organization["byocConfig"][0]["id"]) == organization["byocConfig"][0]
    quota = ctl.json("org", "quota", "get", "services-per-organization")
    assert quota in ctl.json("org", "quota", "list") and quota["usage"] >= 1
    today = time.strftime("%Y-%m-%d", time.gmtime())
    usage = ctl.json("org", "usage", "--from-date", today, "--to-date", today)
    assert usage["grandTotalCHC"] >= 0 and usage["costs"]
    activities = ctl.json("activity", "list", "--from-date", "2026-01-01", "--to-date", today)
    newest = next(a for a in activities if a["type"] == "organization_update_name")
    assert newest["userAgent"].startswith("clickhousectl/") and newest["actorType"] == "api"
    assert ctl.json("activity", "get", newest["id"]) == newest
