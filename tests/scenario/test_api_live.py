"""The API in front of a whole system: through HAProxy, with the real controller and agent behind it."""
import base64
import http.client
import json
import ssl
import time

from full_system import free_ports, wait_until

READER = "0b5e0000-0000-4000-8000-000000000006"


def call(system, method, path, body=None):
    status, answer = system.api(method, path, body)
    assert status == 200, answer
    return answer.get("result")


def https(system, key, headers=None):
    context = ssl.create_default_context(cafile=str(system.home / "control/keys/edge-ca.pem"))
    c = http.client.HTTPSConnection("localhost", system.port, context=context, timeout=20)
    secret = base64.b64encode(":".join(key).encode()).decode()
    c.request("GET", "/v1/organizations", headers={"Authorization": f"Basic {secret}", **(headers or {})})
    response = c.getresponse()
    status, body = response.status, json.loads(response.read())
    c.close()
    return status, body


def test_a_forged_address_does_not_open_an_access_list(system):
    made = call(system, "POST", "/keys", {"name": "office", "roles": ["admin"],
                                          "ipAccessList": [{"source": "192.0.2.0/24"}]})
    key = (made["keyId"], made["keySecret"])
    for name in ("X-Forwarded-For", "Forwarded", "X-Real-IP", "x-forwarded-for"):
        status, answer = https(system, key, {name: "192.0.2.7"})
        assert status == 403 and "127.0.0.1" in answer["error"], (name, answer)
    call(system, "PATCH", f"/keys/{made['key']['id']}", {"ipAccessList": [{"source": "127.0.0.0/8"}]})
    assert https(system, key)[0] == 200
    call(system, "DELETE", f"/keys/{made['key']['id']}")


def test_a_discarded_plan_is_not_proposed_again_until_asked(system):
    ports = free_ports(10)
    account = call(system, "POST", "/accounts", {"name": "second", "provider": "local", "config": {
        "httpsPort": ports, "nativePort": ports + 1, "servicePortBase": ports + 2, "servicePortCount": 5}})
    infra = call(system, "POST", "/byocInfrastructure", {"accountId": "second", "regionId": "local"})
    path = f"/infrastructures/{infra['id']}"

    def proposed():
        plans = call(system, "GET", f"/plans?infrastructureId={infra['id']}&state=proposed")
        return plans and plans[0]
    plan = wait_until("a plan", 20, proposed)
    assert plan["kind"] == "apply" and plan["summary"]["create"] > 0
    assert call(system, "POST", f"/plans/{plan['id']}/discard")["state"] == "discarded"
    call(system, "PATCH", f"/byocInfrastructure/{infra['id']}", {"displayName": "rings the controller"})
    time.sleep(2)
    assert not proposed()
    call(system, "POST", path + "/plans", {"kind": "apply"})
    assert wait_until("the plan again", 20, proposed)["digest"] == plan["digest"]
    call(system, "DELETE", f"/byocInfrastructure/{infra['id']}")
    wait_until("nothing was made, so nothing is to be removed", 20,
               lambda: call(system, "GET", path)["state"] == "infra-terminated")
    call(system, "DELETE", f"/accounts/{account['id']}")


def test_a_discarded_removal_harms_nothing(system):
    infra = call(system, "GET", "/infrastructures")[0]
    call(system, "DELETE", f"/byocInfrastructure/{infra['id']}?deleteData=true")

    def removal():
        plans = call(system, "GET", f"/plans?infrastructureId={infra['id']}&state=proposed")
        return [p for p in plans if p["kind"] == "destroy"]
    plan = wait_until("a plan of removal", 20, removal)[0]
    assert plan["deleteData"] and plan["summary"]["destroy"] > 0
    call(system, "POST", f"/plans/{plan['id']}/discard")
    time.sleep(1)
    after = call(system, "GET", f"/infrastructures/{infra['id']}")
    assert (after["want"], after["state"], after["deleteData"]) == ("present", "infra-ready", False)
    assert system.select("SELECT 1") == "1"


def test_a_password_of_which_only_the_hash_was_sent(system):
    import hashlib
    service = call(system, "GET", "/services")[0]
    old, new = system.password(), "a password that never travelled"
    digest = base64.b64encode(hashlib.sha256(new.encode()).digest()).decode()
    assert call(system, "PATCH", f"/services/{service['id']}/password", {"newPasswordHash": digest}) == {}
    wait_until("the new password", 20, lambda: system.query("SELECT 1", password=new).status == 200)
    assert system.query("SELECT 1").status != 200
    digest = base64.b64encode(hashlib.sha256(old.encode()).digest()).decode()
    call(system, "PATCH", f"/services/{service['id']}/password", {"newPasswordHash": digest})
    wait_until("the old password again", 20, lambda: system.query("SELECT 1").status == 200)


def setting(system, name, table="settings"):
    """What the engine says of itself; None while it restarts."""
    try:
        answer = system.query(f"SELECT value FROM system.{table} WHERE name = '{name}'")
    except OSError:
        return None
    return answer.text.strip() if answer.status == 200 else None


def test_settings_and_scaling_reach_the_engine(system):
    service = call(system, "GET", "/services")[0]
    path = f"/services/{service['id']}"
    before = setting(system, "max_ast_elements")
    memory = wait_until("the engine", 20, lambda: setting(system, "max_server_memory_usage", "server_settings"))
    assert before and memory == str(8 << 30)
    call(system, "PATCH", path + "/clickhouseSettings", {"settings": json.dumps({
        "max_ast_elements": 77777, "session_timezone": "Europe/Zurich", "parts_to_throw_insert": 4321})})
    wait_until("the setting", 60, lambda: setting(system, "max_ast_elements") == "77777")
    assert setting(system, "session_timezone") == "Europe/Zurich"
    assert setting(system, "parts_to_throw_insert", "merge_tree_settings") == "4321"
    assert system.select("SELECT toHour(toDateTime(0))") == "1"
    for name in ("max_ast_elements", "session_timezone", "parts_to_throw_insert"):
        call(system, "DELETE", f"{path}/clickhouseSettings/{name}")
    call(system, "POST", path + "/scalingSchedule", {"entries": [{
        "name": "always", "weekdays": [0, 1, 2, 3, 4, 5, 6], "startHourUtc": 0, "endHourUtc": 24,
        "minReplicaMemoryGb": 12, "maxReplicaMemoryGb": 16}]})
    wait_until("the schedule's memory", 60,
               lambda: setting(system, "max_server_memory_usage", "server_settings") == str(12 << 30))
    wait_until("the default", 60, lambda: setting(system, "max_ast_elements") == before)
    call(system, "DELETE", path + "/scalingSchedule")
    wait_until("the base's memory", 60,
               lambda: setting(system, "max_server_memory_usage", "server_settings") == memory)
    wait_until("running", 60, lambda: call(system, "GET", path)["state"] == "running")


def metrics(system, path):
    credentials = json.loads((system.home / "credentials.json").read_text())
    context = ssl.create_default_context(cafile=str(system.home / "control/keys/edge-ca.pem"))
    c = http.client.HTTPSConnection("localhost", system.port, context=context, timeout=20)
    secret = base64.b64encode(f"{credentials['keyId']}:{credentials['keySecret']}".encode()).decode()
    c.request("GET", f"/v1/organizations/{credentials['organizationId']}{path}", headers={"Authorization": f"Basic {secret}"})
    response = c.getresponse()
    text = response.read().decode()
    c.close()
    assert response.status == 200, text
    return {line.split("{")[0]: float(line.rsplit(" ", 1)[1]) for line in text.splitlines() if not line.startswith("#")}


def test_metrics_are_what_the_engine_counted(system):
    service = call(system, "GET", "/services")[0]
    path = f"/services/{service['id']}/prometheus"
    first = wait_until("metrics", 60, lambda: (m := metrics(system, path)).get("ClickHouseProfileEvents_Query") and m)
    assert first["ClickHouse_ServiceInfo"] == 1 and first["ClickHouseMetrics_MemoryTracking"] > 0
    system.select("CREATE TABLE IF NOT EXISTS counted (secret_column UInt64) ORDER BY tuple()")
    for _ in range(20):
        system.query("INSERT INTO counted VALUES (4711)")
    later = wait_until("what was done", 90, lambda: (m := metrics(system, path)) and m.get(
        "ClickHouseProfileEvents_InsertedRows", 0) >= first.get("ClickHouseProfileEvents_InsertedRows", 0) + 20 and m)
    assert later["ClickHouseProfileEvents_InsertQuery"] >= first.get("ClickHouseProfileEvents_InsertQuery", 0) + 20
    assert later["ClickHouseAsyncMetrics_TotalRowsOfMergeTreeTables"] >= 20
    assert set(metrics(system, path + "?filtered_metrics=true")) < set(later) == set(metrics(system, "/prometheus"))
    system.select("DROP TABLE counted")
    c = system.connection()  # the ingress does not lead to where the agent reads
    c.request("GET", "/metrics")
    assert c.getresponse().status in (401, 403, 404)
    c.close()
