"""What the official Terraform provider for ClickHouse Cloud asks of the API, in its order, against a whole system.

Neither the provider nor Terraform can be built from the Go modules that are published (the provider's is not to be had, and
Terraform's asks for modules that lie beside it). So its side is played here from its documentation: for each resource the requests
of create, read, update, import and destroy, in its form (an api_url that ends in /v1, charset in Content-Type, fields that it always
sends such as isReadonly), and the state that it would keep. A plan without changes is a read whose state is the state before."""
import base64
import hashlib
import http.client
import json
import ssl

import pytest

from full_system import wait_until

STANDS_FOR = "aws/us-east-1"
NEVER_SENT = "terraform keeps this, nobody else"


class Status(Exception):
    def __init__(self, status, answer):
        super().__init__(f"status: {status}, body: {answer}")
        self.status, self.answer = status, answer


class Provider:
    """Its HTTP client: one answer that is not 200 is an error, 404 is "not found"."""

    def __init__(self, system):
        key = json.loads((system.home / "credentials.json").read_text())
        self.system, self.organization = system, key["organizationId"]
        self.secret = base64.b64encode(f"{key['keyId']}:{key['keySecret']}".encode()).decode()

    def ask(self, method, path, body=None):
        context = ssl.create_default_context(cafile=str(self.system.home / "control/keys/edge-ca.pem"))
        c = http.client.HTTPSConnection("localhost", self.system.port, context=context, timeout=30)
        headers = {"Authorization": f"Basic {self.secret}", "User-Agent": "terraform-provider-clickhouse/3.0.0 Commit/none",
                   "Accept-Encoding": "gzip"}
        if body is not None:
            headers["Content-Type"] = "application/json; charset=utf-8"
        c.request(method, f"/v1/organizations/{self.organization}{path}", None if body is None else json.dumps(body), headers)
        response = c.getresponse()
        text = response.read()
        c.close()
        if response.getheader("Content-Encoding") == "gzip":
            import gzip
            text = gzip.decompress(text)
        if response.status != 200:
            raise Status(response.status, text)
        return json.loads(text).get("result")

    def missing(self, path):
        try:
            self.ask("GET", path)
        except Status as error:
            return error.status == 404
        return False

    # --- clickhouse_service: a read asks four things ---

    def read_service(self, ident):
        path = f"/services/{ident}"
        service = self.ask("GET", path)
        private, backup = self.ask("GET", path + "/privateEndpointConfig"), self.ask("GET", path + "/backupConfiguration")
        assert isinstance(private["endpointServiceId"], str) and isinstance(private["privateDnsHostname"], str)
        try:
            query = self.ask("GET", path + "/serviceQueryEndpoint")
        except Status as error:
            assert error.status == 404
            query = None
        kept = ("id", "name", "provider", "region", "idleScaling", "idleTimeoutMinutes", "ipAccessList", "minReplicaMemoryGb",
                "maxReplicaMemoryGb", "numReplicas", "releaseChannel", "tags", "isReadonly", "isPrimary", "dataWarehouseId",
                "byocId", "endpoints", "privateEndpointIds", "hasTransparentDataEncryption")
        state = {name: service.get(name) for name in kept}
        state["backup"] = {k: v for k, v in backup.items() if k.startswith("backup")}
        state["query"] = query and {k: query[k] for k in ("roles", "openApiKeys", "allowedOrigins")}
        return state

    def wait(self, ident, state):
        wait_until(f"the service is {state}", 60, lambda: self.ask("GET", f"/services/{ident}")["state"] == state, 0.3)


@pytest.fixture(scope="module")
def provider(system):
    return Provider(system)


def hashes(password):
    once = hashlib.sha1(password.encode()).digest()
    return {"newPasswordHash": base64.b64encode(hashlib.sha256(password.encode()).digest()).decode(),
            "newDoubleSha1Hash": hashlib.sha1(once).hexdigest()}


@pytest.fixture(scope="module")
def service(provider):
    """apply: create with all that the resource has, as of version 3 of the provider; destroyed at the end."""
    made = provider.ask("POST", "/services", {
        "isReadonly": False, "name": "terraform", "provider": "aws", "region": "us-east-1", "idleScaling": True,
        "ipAccessList": [{"source": "127.0.0.0/8", "description": "here"}], "minReplicaMemoryGb": 8, "maxReplicaMemoryGb": 16,
        "numReplicas": 1, "idleTimeoutMinutes": 5, "endpoints": [{"protocol": "mysql", "enabled": False}],
        "tags": [{"key": "team", "value": "data"}]})
    ident = made["service"]["id"]
    provider.ask("PATCH", f"/services/{ident}/password", hashes(NEVER_SENT))
    provider.wait(ident, "running")
    provider.ask("PATCH", f"/services/{ident}/backupConfiguration",
                 {"backupPeriodInHours": 24, "backupRetentionPeriodInHours": 48, "backupStartTime": None})
    key = provider.ask("POST", "/keys", {"name": "query", "assignedRoleIds": []})["key"]["id"]
    provider.ask("POST", f"/services/{ident}/serviceQueryEndpoint",
                 {"roles": ["sql_console_read_only"], "openApiKeys": [key], "allowedOrigins": "https://example.org"})
    yield ident, key
    destroy(provider, ident)
    provider.ask("DELETE", f"/keys/{key}")


def destroy(provider, ident):
    if provider.ask("GET", f"/services/{ident}")["state"] not in ("stopped", "stopping"):
        provider.ask("PATCH", f"/services/{ident}/state", {"command": "stop"})
    provider.wait(ident, "stopped")
    provider.ask("DELETE", f"/services/{ident}")
    wait_until("the service is not found", 60, lambda: provider.missing(f"/services/{ident}"), 0.3)


def test_apply_then_a_plan_without_changes(provider, service):
    ident, key = service
    state = provider.read_service(ident)
    wanted = {"name": "terraform", "provider": "aws", "region": "us-east-1", "idleScaling": True, "idleTimeoutMinutes": 5,
              "minReplicaMemoryGb": 8, "maxReplicaMemoryGb": 16, "numReplicas": 1, "isReadonly": False, "isPrimary": True,
              "ipAccessList": [{"source": "127.0.0.0/8", "description": "here"}], "tags": [{"key": "team", "value": "data"}],
              "query": {"roles": ["sql_console_read_only"], "openApiKeys": [key], "allowedOrigins": "https://example.org"}}
    assert {name: state[name] for name in wanted} == wanted
    assert state["backup"]["backupRetentionPeriodInHours"] == 48 and not state["backup"].get("backupStartTime")
    assert provider.read_service(ident) == state  # plan
    assert [e["protocol"] for e in state["endpoints"]][0] == "https"


def test_the_service_answers_with_the_password_of_which_only_hashes_were_sent(system, provider, service):
    wait_until("the password's hash arrives", 30,
               lambda: system.query("SELECT 1", service="terraform", password=NEVER_SENT).status == 200)
    assert system.select("SELECT 6 * 7", service="terraform", password=NEVER_SENT) == "42"
    assert system.query("SELECT 1", service="terraform", password="another").status != 200


def test_update_in_place(provider, service):
    ident, _ = service
    path, before = f"/services/{ident}", provider.read_service(ident)
    provider.ask("PATCH", path, {"name": "terraform 2", "releaseChannel": "fast", "ipAccessList": {
        "add": [{"source": "10.0.0.0/8", "description": "more"}],
        "remove": [{"source": "127.0.0.0/8", "description": "here"}]}})
    provider.ask("PATCH", path, {"tags": {"add": [{"key": "stage"}], "remove": [{"key": "team", "value": "data"}]}})
    provider.ask("PATCH", path, {"endpoints": [{"protocol": "mysql", "enabled": True}]})
    provider.ask("PATCH", path + "/replicaScaling", {"idleScaling": False, "minReplicaMemoryGb": 12, "maxReplicaMemoryGb": 24,
                                                     "numReplicas": 1})
    provider.ask("DELETE", path + "/serviceQueryEndpoint")
    after = provider.read_service(ident)
    changed = {name for name in after if after[name] != before[name]}
    assert changed == {"name", "releaseChannel", "ipAccessList", "tags", "idleScaling", "minReplicaMemoryGb",
                       "maxReplicaMemoryGb", "query"}
    assert after["ipAccessList"] == [{"source": "10.0.0.0/8", "description": "more"}] and after["query"] is None
    assert (after["idleScaling"], after["minReplicaMemoryGb"], after["maxReplicaMemoryGb"]) == (False, 12, 24)
    assert provider.read_service(ident) == after
    provider.ask("PATCH", path, {"name": "terraform", "ipAccessList": {"add": [{"source": "127.0.0.0/8", "description": "here"}]}})


def test_import_gives_the_state_of_apply(provider, service):
    ident, _ = service
    assert provider.read_service(ident)["name"] == "terraform"
    assert provider.missing("/services/00000000-0000-4000-8000-000000000000")


def test_upgrade_window(provider, service):
    path = f"/services/{service[0]}/upgradeWindow"
    assert provider.missing(path)  # asked before each create, so that one made by hand is not overwritten
    assert provider.ask("PUT", path, {"weekday": 3, "startHourUtc": 12}) == {"weekday": 3, "startHourUtc": 12, "duration": 6}
    assert provider.ask("GET", path) == {"weekday": 3, "startHourUtc": 12, "duration": 6}
    assert provider.ask("PUT", path, {"weekday": 0, "startHourUtc": 0})["weekday"] == 0
    provider.ask("DELETE", path)
    assert provider.missing(path)


def test_scheduled_scaling(provider, service):
    path = f"/services/{service[0]}/scalingSchedule"
    entries = [{"name": "Business hours", "weekdays": [1, 2, 3, 4, 5], "startHourUtc": 8, "endHourUtc": 18, "minReplicas": 3,
                "maxReplicas": 3, "idleScaling": False},
               {"name": "Overnight", "weekdays": [0, 1, 2, 3, 4, 5, 6], "startHourUtc": 22, "endHourUtc": 6, "minReplicas": 1,
                "maxReplicas": 1, "idleScaling": True, "idleTimeoutMinutes": 5}]
    assert provider.missing(path)
    made = provider.ask("POST", path, {"entries": entries})
    assert [{k: e[k] for k in entries[n]} for n, e in enumerate(made["entries"])] == entries
    read = provider.ask("GET", path)
    assert read == made and "minReplicaMemoryGb" in read["baseConfig"]
    changed = provider.ask("POST", path, {"entries": entries[:1]})  # replaces the whole
    assert [e["name"] for e in changed["entries"]] == ["Business hours"]
    provider.ask("DELETE", path)
    assert provider.missing(path)


def test_clickhouse_settings(provider, service):
    path = f"/services/{service[0]}/clickhouseSettings"
    schema = provider.ask("GET", path + "/schema")
    name = next(s["name"] for s in schema["settings"] if s["type"] == "integer" and "warning" not in s and "enum" not in s)
    done = provider.ask("PATCH", path, {"settings": {name: 4}})  # sent as an integer where the schema says so
    assert done["settings"] == {name: "4"}
    assert provider.ask("GET", path)["settings"] == [{"name": name, "value": "4"}]
    assert provider.ask("GET", f"{path}/{name}") == {"name": name, "value": "4"}
    provider.ask("DELETE", f"{path}/{name}")
    assert provider.ask("GET", path)["settings"] == [] and provider.missing(f"{path}/{name}")


def test_role_and_role_assignment(provider, service):
    organization = provider.organization
    policies = [{"allowDeny": "ALLOW", "permissions": ["control-plane:organization:create-api-keys"],
                 "resources": [f"organization/{organization}"]},
                {"allowDeny": "ALLOW", "permissions": ["control-plane:service:view-backups"],
                 "resources": [f"instance/{service[0]}"]},
                {"allowDeny": "ALLOW", "permissions": ["sql-console:database:access"], "resources": [f"instance/{service[0]}"],
                 "tags": {"roleV2": "sql-console-readonly"}}]
    role = provider.ask("POST", "/roles", {"name": "terraform", "actors": [], "policies": policies})
    path = f"/roles/{role['id']}"
    read = provider.ask("GET", path)
    assert [{k: p.get(k) for k in policies[n]} for n, p in enumerate(read["policies"])] == policies
    assert read["type"] == "custom" and read["tenantId"] and read["ownerId"]
    provider.ask("PATCH", path, {"name": "terraform 2", "policies": policies[:2]})
    assert len(provider.ask("GET", path)["policies"]) == 2
    member, key = provider.ask("GET", "/members")[0]["userId"], service[1]
    provider.ask("PATCH", path, {"actors": [f"user/{member}", f"apiKey/{key}"]})
    assert sorted(provider.ask("GET", path)["actors"]) == sorted([f"user/{member}", f"apiKey/{key}"])
    provider.ask("PATCH", path, {"actors": []})
    assert provider.ask("GET", path)["actors"] == []
    provider.ask("DELETE", path)
    assert provider.missing(path)


def test_organization_settings_and_private_endpoints(provider, service):
    before = provider.ask("GET", "")
    for wanted in (False, True):
        assert provider.ask("PATCH", "", {"enableCoreDumps": wanted})["enableCoreDumps"] is wanted
        assert provider.ask("GET", "")["enableCoreDumps"] is wanted
    endpoint = {"cloudProvider": "aws", "description": "from terraform", "id": "vpce-0123456789abcdef0", "region": "us-east-1"}
    assert provider.ask("PATCH", "", {"privateEndpoints": {"add": [endpoint]}})["privateEndpoints"] == [endpoint]
    assert "endpointServiceId" in provider.ask("GET", "/privateEndpointConfig?cloud_provider=aws&region_id=us-east-1")
    path = f"/services/{service[0]}"
    assert provider.ask("PATCH", path, {"privateEndpointIds": {"add": [endpoint["id"]]}})["privateEndpointIds"] == [endpoint["id"]]
    assert provider.ask("PATCH", path, {"privateEndpointIds": {"remove": [endpoint["id"]]}})["privateEndpointIds"] == []
    provider.ask("PATCH", "", {"privateEndpoints": {"remove": [endpoint]}, "enableCoreDumps": before["enableCoreDumps"]})
    assert provider.ask("GET", "")["privateEndpoints"] == []
