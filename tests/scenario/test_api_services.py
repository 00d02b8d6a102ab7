"""The published service operations beyond reading, creating and patching: what is stored, checked and shown."""
import concurrent.futures
import json
import time
import uuid

import pytest

from api_role import ApiRole

NOBODY = str(uuid.UUID(int=5))
AWS = {"provider": "aws", "region": "us-east-1"}


@pytest.fixture(scope="module")
def api():
    role = ApiRole()
    yield role
    role.close()


@pytest.fixture(scope="module")
def infra(api):
    infra = api.infrastructure("cloud", 20000, ready=True, region="us-east-1", standsFor="aws")
    api.enrol_agent(infra["id"])
    return infra


@pytest.fixture
def service(api, infra):
    made = api.call("POST", "/services", {"name": "demo", **AWS, "numReplicas": 1}).result["service"]
    yield made
    api.sql("DELETE FROM service")


def types_of(api, service):
    return [a["type"] for a in api.call("GET", "/activities").result if a.get("serviceId") == service["id"]]


# --- infrastructures that stand for a cloud -----------------------------------------------------------------------


def test_an_infrastructure_stands_for_a_cloud(api, infra, service):
    assert (infra["cloudProvider"], infra["regionId"]) == ("aws", "us-east-1")
    shown = api.call("GET", f"/infrastructures/{infra['id']}").result
    assert (shown["cloudProvider"], shown["accountProvider"]) == ("aws", "local")
    assert (service["provider"], service["region"], service["byocId"]) == ("aws", "us-east-1", infra["id"])
    https = next(e for e in service["endpoints"] if e["protocol"] == "https")
    assert https["port"] == 20000 and https["host"].endswith(".ownhouse.localhost")
    assert service["ownhouse"]["localPort"] == 20101
    assert api.call("POST", "/services", {"name": "x", "provider": "local", "region": "local"}).error.startswith(
        "byocId: no infrastructure of this provider and region is ready")
    assert api.call("POST", "/services", {"name": "x", "provider": "aws", "region": "eu-west-1"}).status == 400


def test_regions_must_be_of_the_cloud_that_is_stood_for(api, infra):
    account = api.call("POST", "/accounts", {"name": "gcp", "provider": "local", "config": {
        "httpsPort": 31000, "nativePort": 31001, "servicePortBase": 31100, "servicePortCount": 5,
        "standsFor": "gcp"}}).result
    for region in ("us-east-1", "local", "eastus"):
        refused = api.call("POST", "/byocInfrastructure", {"accountId": account["id"], "regionId": region})
        assert refused.error == "regionId: the account gcp stands for gcp, which does not have this region"
    made = api.call("POST", "/byocInfrastructure", {"accountId": account["id"], "regionId": "us-east1"}).result
    assert made["cloudProvider"] == "gcp"


# --- scaling ------------------------------------------------------------------------------------------------------


def test_replica_scaling(api, service):
    path = f"/services/{service['id']}"
    s = api.call("PATCH", path + "/replicaScaling", {"minReplicaMemoryGb": 16, "maxReplicaMemoryGb": 32, "numReplicas": 3,
                                                     "idleTimeoutMinutes": 20}).result
    assert (s["minReplicaMemoryGb"], s["maxReplicaMemoryGb"], s["numReplicas"], s["idleTimeoutMinutes"]) == (16, 32, 3, 20)
    assert (s["minTotalMemoryGb"], s["maxTotalMemoryGb"], s["autoscalingMode"]) == (48, 96, "vertical")
    assert s["currentScaling"]["effectiveMinReplicaMemoryGb"] == 16
    assert s["currentScaling"]["effectiveMaxReplicas"] == 1 and "3 replicas were asked for" in s["ownhouse"]["notice"]
    assert set(types_of(api, service)[:3]) == {"service_update_autoscaling_memory", "service_update_autoscaling_idling",
                                               "service_update_autoscaling_replicas"}
    before = api.call("GET", path).result
    assert api.call("PATCH", path + "/replicaScaling", {"numReplicas": 3}).result == before
    s = api.call("PATCH", path + "/replicaScaling", {"autoscalingMode": "horizontal", "minReplicas": 2, "maxReplicas": 5,
                                                     "minReplicaMemoryGb": 16, "maxReplicaMemoryGb": 16}).result
    assert (s["minReplicas"], s["maxReplicas"], s["replicaMemoryGb"]) == (2, 5, 16)
    assert not {"numReplicas", "minTotalMemoryGb"} & set(s)
    assert api.call("PATCH", path + "/scaling", {"minTotalMemoryGb": 24}).error.startswith("serviceId: the service scales")
    s = api.call("PATCH", path + "/replicaScaling", {"autoscalingMode": "vertical", "numReplicas": 2}).result
    assert s["numReplicas"] == 2 and s["minReplicaMemoryGb"] == 16 and "minReplicas" not in s
    s = api.call("PATCH", path + "/replicaScaling", {"minReplicas": 4, "maxReplicas": 4}).result
    assert s["numReplicas"] == 4 and "minReplicas" not in s
    s = api.call("PATCH", path + "/scaling", {"minTotalMemoryGb": 24, "maxTotalMemoryGb": 1068, "idleScaling": False}).result
    assert (s["minReplicaMemoryGb"], s["maxReplicaMemoryGb"], s["idleScaling"]) == (8, 356, False)


@pytest.mark.parametrize("body, sentence", [
    ({"minReplicaMemoryGb": 10}, "minReplicaMemoryGb: must be a multiple of 4"),
    ({"minReplicaMemoryGb": 4}, "minReplicaMemoryGb: must be at least 8"),
    ({"maxReplicaMemoryGb": 360}, "maxReplicaMemoryGb: must be at most 356"),
    ({"minReplicaMemoryGb": 64}, "minReplicaMemoryGb: must not be above maxReplicaMemoryGb"),
    ({"numReplicas": 0}, "numReplicas: must be at least 1"),
    ({"numReplicas": 21}, "numReplicas: must be at most 20"),
    ({"numReplicas": 2, "minReplicas": 2, "maxReplicas": 2}, "minReplicas: must not be given together with numReplicas"),
    ({"minReplicas": 2}, "maxReplicas: is required together with minReplicas"),
    ({"minReplicas": 2, "maxReplicas": 3}, "minReplicas: must equal maxReplicas with vertical autoscaling"),
    ({"minReplicas": 4, "maxReplicas": 3}, "minReplicas: must not be above maxReplicas"),
    ({"autoscalingMode": "horizontal"}, "minReplicas: is required with horizontal autoscaling"),
    ({"autoscalingMode": "horizontal", "numReplicas": 3}, "numReplicas: is for vertical autoscaling"),
    ({"autoscalingMode": "horizontal", "minReplicas": 1, "maxReplicas": 2, "maxReplicaMemoryGb": 16},
     "minReplicaMemoryGb: must equal maxReplicaMemoryGb"),
    ({"idleTimeoutMinutes": 4}, "idleTimeoutMinutes: must be at least 5"),
    ({"idleTimeoutMinutes": 5.5}, "idleTimeoutMinutes: must be a multiple of 1"),
    ({"replicas": 1}, "replicas: unknown field"),
])
def test_scaling_that_is_refused(api, service, body, sentence):
    answer = api.call("PATCH", f"/services/{service['id']}/replicaScaling", body)
    assert answer.status == 400 and answer.error.startswith(sentence), answer.json
    assert api.call("GET", f"/services/{service['id']}").result == service


def entry(**more):
    return {"name": "e", "weekdays": [1], "startHourUtc": 9, "endHourUtc": 17, **more}


def test_scaling_schedule(api, service):
    path = f"/services/{service['id']}/scalingSchedule"
    assert api.call("GET", path).error == "there is no such scaling schedule"
    assert api.call("DELETE", path).status == 404
    always = {"name": "Always", "weekdays": list(range(7)), "startHourUtc": 0, "endHourUtc": 24, "minReplicaMemoryGb": 16,
              "maxReplicaMemoryGb": 24, "numReplicas": 3, "idleScaling": False}
    made = api.call("POST", path, {"entries": [always]}).result
    one = made["entries"][0]
    assert one["isActiveNow"] and made["activeEntryId"] == one["id"] and (one["minReplicas"], one["maxReplicas"]) == (3, 3)
    assert made["baseConfig"] == {"autoscalingMode": "vertical", "minReplicaMemoryGb": 8, "maxReplicaMemoryGb": 8,
                                  "minReplicas": 1, "maxReplicas": 1, "idleScaling": True, "idleTimeoutMinutes": 15}
    shown = api.call("GET", f"/services/{service['id']}").result
    assert api.call("GET", path).result == shown["scalingSchedule"] == made
    assert shown["minReplicaMemoryGb"] == 8 and shown["numReplicas"] == 1
    now = shown["currentScaling"]
    assert (now["effectiveMinReplicaMemoryGb"], now["activeEntryId"]) == (16, one["id"])
    assert "3 replicas were asked for" in shown["ownhouse"]["notice"]
    assert types_of(api, service)[0] == "service_update_scaling_schedule"
    cleared = api.call("POST", path, {"entries": []}).result
    assert cleared == {"entries": [], "baseConfig": {}} and api.call("GET", path).status == 404
    api.call("POST", path, {"entries": [entry(), entry(weekdays=[1], startHourUtc=17, endHourUtc=9)]}).result
    assert api.call("DELETE", path).status == 200 and api.call("GET", path).status == 404
    assert "scalingSchedule" not in api.call("GET", f"/services/{service['id']}").result


def test_scheduled_settings(api, service):
    path = f"/services/{service['id']}/scalingSchedule"
    made = api.call("POST", path, {"entries": [entry(clickhouseSettings={"max_threads": 3, "join_use_nulls": True})]}).result
    assert made["entries"][0]["clickhouseSettings"] == {"max_threads": "3", "join_use_nulls": "1"}
    # Whoever may scale but not set settings for good may not set them by way of the schedule.
    role = api.call("POST", "/roles", {"name": "Scaler", "actors": [], "policies": [
        {"allowDeny": "ALLOW", "permissions": ["control-plane:service:view", "control-plane:service:manage-scaling-config"],
         "resources": [f"instance/{service['id']}"]}]}).result
    _, scaler = api.new_key([role["id"]], "scaler")
    assert api.call("POST", path, {"entries": [entry()]}, key=scaler).status == 200
    refused = api.call("POST", path, {"entries": [entry(clickhouseSettings={"max_threads": 3})]}, key=scaler)
    assert refused.status == 403 and refused.error.startswith("entries[0].clickhouseSettings: takes the permission"), refused.json


@pytest.mark.parametrize("entries, sentence", [
    ([entry(clickhouseSettings={"max_threads": "x"})], "entries[0].clickhouseSettings.max_threads: must be"),
    ([entry(clickhouseSettings={"users_config": "/etc"})], "entries[0].clickhouseSettings.users_config: is not a setting"),
    ([entry(clickhouseSettings=7)], "entries[0].clickhouseSettings: must be"),
    ([entry(), entry(startHourUtc=16, endHourUtc=18)], "entries[1]: overlaps with entries[0] on Monday at 16:00 UTC"),
    ([entry(weekdays=[6], startHourUtc=22, endHourUtc=4), entry(weekdays=[0], startHourUtc=3, endHourUtc=5)],
     "entries[1]: overlaps with entries[0] on Sunday at 03:00 UTC"),
    ([entry(endHourUtc=9)], "entries[0].endHourUtc: must differ from startHourUtc"),
    ([entry(weekdays=[7])], "entries[0].weekdays[0]: must be at most 6"),
    ([entry(weekdays=[])], "entries[0].weekdays: must have at least 1"),
    ([entry(startHourUtc=24)], "entries[0].startHourUtc: must be at most 23"),
    ([entry(idleTimeoutMinutes=1)], "entries[0].idleTimeoutMinutes: must be at least 5"),
    ([entry(minReplicaMemoryGb=16)], "entries[0].maxReplicaMemoryGb: is required together"),
    ([entry(autoscalingMode="horizontal", minReplicas=1, maxReplicas=2)], "entries[0].minReplicaMemoryGb: is required"),
    ([entry(autoscalingMode="horizontal", minReplicaMemoryGb=8, maxReplicaMemoryGb=8)], "entries[0].minReplicas: is required"),
    ([entry(numReplicas=21)], "entries[0].numReplicas: must be at most 20"),
    ([entry(numReplicas=2, minReplicas=2, maxReplicas=2)], "entries[0].minReplicas: must not be given together"),
    ([entry(name=" ")], "entries[0].name: must not be blank"),
])
def test_schedules_that_are_refused(api, service, entries, sentence):
    answer = api.call("POST", f"/services/{service['id']}/scalingSchedule", {"entries": entries})
    assert answer.status == 400 and answer.error.startswith(sentence), answer.json


def test_upgrade_window(api, service):
    path = f"/services/{service['id']}/upgradeWindow"
    assert api.call("GET", path).error == "there is no such upgrade window" and api.call("DELETE", path).status == 404
    window = {"weekday": 3, "startHourUtc": 6, "duration": 6}
    assert api.call("PUT", path, {"weekday": 3, "startHourUtc": 6}).result == window
    assert api.call("GET", path).result == window and types_of(api, service)[0] == "service_update_upgrade_window"
    for bad in ({"weekday": 7, "startHourUtc": 6}, {"weekday": 1, "startHourUtc": 7}, {"weekday": 1}, {}):
        assert api.call("PUT", path, bad).status == 400
    assert api.call("DELETE", path).status == 200 and api.call("GET", path).status == 404


def test_nothing_more_is_changed_of_a_deleted_service(api, infra, service):
    path = f"/services/{service['id']}"
    assert api.call("DELETE", path).status == 200
    for method, rest, body in (("PATCH", "/replicaScaling", {"numReplicas": 2}), ("PATCH", "/scaling", {"numReplicas": 2}),
                               ("POST", "/scalingSchedule", {"entries": []}),
                               ("PUT", "/upgradeWindow", {"weekday": 1, "startHourUtc": 0})):
        assert api.call(method, path + rest, body).error == "serviceId: the service is being deleted"


# --- private endpoints --------------------------------------------------------------------------------------------


def test_private_endpoints(api, infra, service):
    path = f"/services/{service['id']}"
    made = api.call("POST", path + "/privateEndpoint", {"id": "vpce-1", "description": "office"}).result
    assert made == {"id": "vpce-1", "description": "office", "cloudProvider": "aws", "region": "us-east-1"}
    assert made in api.call("GET", "").result["privateEndpoints"]
    s = api.call("GET", path).result
    assert s["privateEndpointIds"] == ["vpce-1"] and s["availablePrivateEndpointIds"] == ["vpce-1"]
    generation = s["ownhouse"]["generation"]
    assert api.call("POST", path + "/privateEndpoint", {"id": "vpce-1", "description": "office"}).status == 200
    assert api.call("GET", path).result["ownhouse"]["generation"] == generation
    assert types_of(api, service)[0] == "service_update_private_endpoints"
    assert "organization_update_private_endpoints" in [a["type"] for a in api.call("GET", "/activities").result]
    far = {"id": "vpce-2", "cloudProvider": "aws", "region": "eu-west-1", "description": ""}
    api.call("PATCH", "", {"privateEndpoints": {"add": [far]}}).result
    assert api.call("POST", path + "/privateEndpoint", {"id": "vpce-2"}).error.startswith("id: the organization has this")
    assert api.call("GET", path).result["availablePrivateEndpointIds"] == ["vpce-1"]
    patched = api.call("PATCH", path, {"privateEndpointIds": {"add": ["vpce-3"], "remove": ["vpce-1"]}}).result
    assert patched["privateEndpointIds"] == ["vpce-3"]
    assert api.call("POST", path + "/privateEndpoint", {}).error == "id: is required"
    wrong = {"id": "x", "cloudProvider": "gcp", "region": "us-east-1"}
    assert api.call("PATCH", "", {"privateEndpoints": {"add": [wrong]}}).error.startswith("privateEndpoints.add[0].region: ")
    assert api.call("GET", path + "/privateEndpointConfig").result == {"endpointServiceId": "", "privateDnsHostname": ""}
    config = "/privateEndpointConfig?cloud_provider=aws&region_id="
    assert api.call("GET", config + "us-east-1").result == {"endpointServiceId": ""}
    assert api.call("GET", config + "eu-west-2").error.startswith("region_id: the organization has no infrastructure")
    assert api.call("GET", config + "mars").error.startswith("region_id: the provider aws does not")
    assert api.call("GET", "/privateEndpointConfig?cloud_provider=aws").error == "region_id: is required in the query"


# --- query endpoints and backups ----------------------------------------------------------------------------------


def test_query_endpoint(api, service):
    path = f"/services/{service['id']}/serviceQueryEndpoint"
    assert api.call("GET", path).error == "there is no such query endpoint" and api.call("DELETE", path).status == 404
    key, _ = api.new_key(["0b5e0000-0000-4000-8000-00000000000b"], name="queries")
    body = {"roles": ["sql_console_read_only"], "openApiKeys": [key["id"]], "allowedOrigins": "https://a.example, *.b.example"}
    made = api.call("POST", path, body).result
    assert uuid.UUID(made["id"]) and made == {**body, "id": made["id"]} and api.call("GET", path).result == made
    assert types_of(api, service)[0] == "service_update_query_endpoint"
    again = api.call("POST", path, {**body, "roles": ["sql_console_admin"], "allowedOrigins": ""}).result
    assert again["id"] == made["id"] and again["roles"] == ["sql_console_admin"]
    assert api.call("DELETE", f"/keys/{key['id']}").status == 200
    assert api.call("GET", path).result["openApiKeys"] == []
    for bad, sentence in (({"openApiKeys": [NOBODY]}, "openApiKeys[0]: there is no such API key"),
                          ({"openApiKeys": ["x"]}, "openApiKeys[0]: must be a UUID"),
                          ({"roles": ["king"]}, "roles[0]: must be one of"),
                          ({"allowedOrigins": "a b"}, "allowedOrigins: must be domains"),
                          ({"allowedOrigins": "a,,b"}, "allowedOrigins: must be domains")):
        assert api.call("POST", path, bad).error.startswith(sentence)
    assert api.call("DELETE", path).status == 200 and api.call("GET", path).status == 404


def test_backups(api, service):
    path = f"/services/{service['id']}"
    assert api.call("GET", path + "/backups").result == []
    assert api.call("GET", f"{path}/backups/{NOBODY}").error == "there is no such backup"
    assert api.call("GET", f"/services/{NOBODY}/backups").error == "there is no such service"
    path += "/backupConfiguration"
    default = {"backupPeriodInHours": 24, "backupRetentionPeriodInHours": 24}
    assert api.call("GET", path).result == default
    assert api.call("PATCH", path, {}).result == default and "service_update_backup_configuration" not in types_of(api, service)
    assert api.call("PATCH", path, {"backupPeriodInHours": 6}).result["backupPeriodInHours"] == 6
    assert types_of(api, service)[0] == "service_update_backup_configuration"
    daily = api.call("PATCH", path, {"backupStartTime": "04:30", "backupRetentionPeriodInHours": 168}).result
    assert daily == {"backupPeriodInHours": 24, "backupRetentionPeriodInHours": 168, "backupStartTime": "04:30"}
    assert api.call("PATCH", path, {"backupPeriodInHours": 12}).error.startswith("backupPeriodInHours: with backupStartTime")
    assert api.call("PATCH", path, {"backupPeriodInHours": 12, "backupStartTime": "01:00"}).status == 400
    assert api.call("PATCH", path, {"backupPeriodInHours": 12, "backupStartTime": None}).result["backupPeriodInHours"] == 12
    assert api.call("PATCH", path, {f: None for f in daily}).result == default
    for bad in ({"backupRetentionPeriodInHours": 25}, {"backupRetentionPeriodInHours": 1104}, {"backupStartTime": "24:00"},
                {"backupPeriodInHours": 0}, {"backupPeriodInHours": 1.5}):
        answer = api.call("PATCH", path, bad)
        assert answer.status == 400 and answer.error.startswith(next(iter(bad)) + ": must be"), answer.json


def test_backup_bucket_and_its_secrets(api, service):
    path = f"/services/{service['id']}/backupBucket"
    assert api.call("GET", path).error == "there is no such backup bucket"
    assert api.call("PATCH", path, {"bucketProvider": "AWS"}).status == api.call("DELETE", path).status == 404
    secret = "canary-" + uuid.uuid4().hex
    gcp = {"bucketProvider": "GCP", "bucketPath": "gs://b/c", "accessKeyId": "GOOG1"}
    once = {"Idempotency-Key": "bucket"}
    made = api.call("POST", path, {**gcp, "secretAccessKey": secret}, headers=once).result
    assert api.call("POST", path, {**gcp, "secretAccessKey": secret}, headers=once).result == made
    assert made == {**gcp, "id": made["id"]} and api.call("GET", path).result == made
    assert types_of(api, service)[0] == "service_update_backup_bucket"
    assert api.call("POST", path, {**gcp, "secretAccessKey": secret}).error.startswith("serviceId: the service has a backup")
    assert api.call("PATCH", path, {"bucketProvider": "GCP"}).error == "secretAccessKey: is required"
    before = len(types_of(api, service))
    assert api.call("PATCH", path, {"bucketProvider": "GCP", "secretAccessKey": secret}).result == made
    assert len(types_of(api, service)) == before
    assert api.call("PATCH", path, {"bucketProvider": "GCP", "secretAccessKey": secret + "2"}).result == made
    assert len(types_of(api, service)) == before + 1
    connection = {"bucketProvider": "AZURE", "connectionString": f"AccountKey={secret};"}
    assert api.call("PATCH", path, connection).error == "containerName: is required with the provider AZURE"
    assert api.call("PATCH", path, {**connection, "containerName": "c"}).result == {
        "id": made["id"], "bucketProvider": "AZURE", "containerName": "c"}
    aws = {"bucketProvider": "AWS", "bucketPath": "s3://b", "iamRoleArn": "arn:aws:iam::1:role/r", "iamRoleSessionName": "s"}
    assert api.call("PATCH", path, aws).result == {**aws, "id": made["id"]}
    assert "iamRoleSessionName" not in api.call("PATCH", path, {"bucketProvider": "AWS", "iamRoleSessionName": None}).result
    for file in api.folder.rglob("*"):
        assert not file.is_file() or secret.encode() not in file.read_bytes(), file
    for bad, sentence in (({}, "bucketProvider: must be one of AWS, GCP, AZURE"), ({**gcp, "bucketProvider": "IBM"}, "bucketProvider"),
                          (gcp, "secretAccessKey: is required"), ({**aws, "accessKeyId": "x"}, "accessKeyId: unknown field")):
        assert api.call("POST", path, bad).error.startswith(sentence)
    assert api.call("DELETE", path).status == 200 and api.call("GET", path).status == 404


# --- races, and what is out of scope ------------------------------------------------------------------------------


def test_concurrent_changes_do_not_lose_one_another(api, service):
    path = f"/services/{service['id']}"
    changes = [("PATCH", "", {"tags": {"add": [{"key": f"k{i}", "value": "v"}]}}) for i in range(20)]
    changes += [("PATCH", "", {"ipAccessList": {"add": [{"source": f"10.0.{i}.0/24"}]}}) for i in range(20)]
    changes += [("PATCH", "", {"privateEndpointIds": {"add": [f"vpce-{i}"]}}) for i in range(10)]
    changes += [("PATCH", "", {"name": "other"}), ("PATCH", "", {"releaseChannel": "slow"}),
                ("PATCH", "", {"enableCoreDumps": False}), ("PATCH", "/replicaScaling", {"numReplicas": 5}),
                ("PATCH", "/replicaScaling", {"idleTimeoutMinutes": 50}), ("PATCH", "/scaling", {"minTotalMemoryGb": 24}),
                ("PUT", "/upgradeWindow", {"weekday": 1, "startHourUtc": 0}), ("POST", "/scalingSchedule", {"entries": [entry()]}),
                ("PATCH", "/backupConfiguration", {"backupStartTime": "05:00"})]
    with concurrent.futures.ThreadPoolExecutor(16) as pool:
        answers = list(pool.map(lambda c: api.call(c[0], path + c[1], c[2]).status, changes))
    assert set(answers) == {200}
    s = api.call("GET", path).result
    assert {t["key"] for t in s["tags"]} == {f"k{i}" for i in range(20)} and len(s["privateEndpointIds"]) == 10
    assert {f"10.0.{i}.0/24" for i in range(20)} <= {e["source"] for e in s["ipAccessList"]}
    assert (s["name"], s["releaseChannel"], s["enableCoreDumps"], s["numReplicas"], s["idleTimeoutMinutes"]) == (
        "other", "slow", False, 5, 50)
    assert len(s["scalingSchedule"]["entries"]) == 1 and api.call("GET", path + "/upgradeWindow").status == 200
    assert api.call("GET", path + "/backupConfiguration").result["backupStartTime"] == "05:00"
    assert s["ownhouse"]["generation"] == 1 + len(changes) - 1  # minTotalMemoryGb was 24 already


def test_commands_that_cross_do_not_wedge(api, service):
    path = f"/services/{service['id']}"
    def command(word):
        return api.call("PATCH", path + "/state", {"command": word})
    with concurrent.futures.ThreadPoolExecutor(8) as pool:
        statuses = {a.status for a in pool.map(command, ["start", "stop"] * 20)}
    assert statuses == {200}
    assert command("stop").result["state"] == "stopping" and command("start").result["state"] == "starting"
    with concurrent.futures.ThreadPoolExecutor(8) as pool:
        calls = [lambda: api.call("DELETE", path), lambda: command("stop"), lambda: command("start")] * 8
        assert {a.status for a in pool.map(lambda f: f(), calls)} <= {200, 400}
    assert api.call("GET", path).result["state"] == "terminating"
    assert command("start").status == command("stop").status == 400


@pytest.mark.parametrize("path", ["clickpipes", "clickstack/dashboards", "userDefinedFunctions", "udfs"])
def test_what_is_out_of_scope_is_not_there(api, service, path):
    for base in (f"/services/{service['id']}/", "/"):
        answer = api.call("GET", base + path)
        assert answer.status == 404 and answer.json["status"] == 404 and answer.error and answer.json["requestId"]
    assert api.call("GET", "/postgres").status == api.call("POST", "/postgres", {}).status == 404


# --- settings -----------------------------------------------------------------------------------------------------


def test_clickhouse_settings(api, service):
    path = f"/services/{service['id']}/clickhouseSettings"
    known = {s["name"]: s for s in api.call("GET", path + "/schema").result["settings"]}
    assert known["max_threads"]["type"] == "integer" and known["compatibility"]["type"] == "string"
    assert known["join_use_nulls"]["enum"] == [0, 1] and "restarts" in known["keep_alive_timeout"]["warning"]
    assert api.call("GET", path).result == {"settings": []}
    done = api.call("PATCH", path, {"settings": json.dumps({"max_threads": 4, "join_use_nulls": True,
                                                            "compatibility": "24.8"})}).result
    assert json.loads(done["settings"]) == {"max_threads": "4", "join_use_nulls": "1", "compatibility": "24.8"}
    assert [w["name"] for w in done["warnings"]] == ["compatibility"]
    assert types_of(api, service)[0] == "service_update_clickhouse_settings"
    generation = api.call("GET", f"/services/{service['id']}").result["ownhouse"]["generation"]
    assert generation == 2
    api.call("PATCH", path, {"settings": '{"max_threads": "4"}'}).result
    assert api.call("GET", f"/services/{service['id']}").result["ownhouse"]["generation"] == generation
    assert {"name": "max_threads", "value": "4"} in api.call("GET", path).result["settings"]
    assert api.call("GET", path + "/max_threads").result == {"name": "max_threads", "value": "4"}
    assert api.call("DELETE", path + "/max_threads").status == api.call("DELETE", path + "/max_threads").status == 200
    assert api.call("GET", path + "/max_threads").error == "the setting max_threads is not set; it has its default"
    assert len(api.call("GET", path).result["settings"]) == 2
    done = api.call("PATCH", path, {"settings": {"max_threads": 5}}).result  # as clickhousectl sends it
    assert done["settings"] == {"max_threads": "5"}
    api.call("DELETE", path + "/max_threads")
    assert api.call("GET", path + "/nothing").status == api.call("DELETE", path + "/nothing").status == 404
    assert api.call("DELETE", path + "/schema").status == 404


@pytest.mark.parametrize("settings, sentence", [
    ('{"allow_ddl": 0}', "settings.allow_ddl: is not a setting that can be changed"),
    ('{"max_threads": 4, "remote_url_allow_hosts": "x"}', "settings.remote_url_allow_hosts: is not a setting"),
    ('{"max_threads": 0}', "settings.max_threads: must be 1 to 512"),
    ('{"max_threads": 1.5}', "settings.max_threads: must be a whole number"),
    ('{"max_threads": null}', "settings.max_threads: must be a whole number"),
    ('{"compatibility": "</a>"}', "settings.compatibility: must be a ClickHouse version"),
    ('{"join_use_nulls": 2}', "settings.join_use_nulls: must be 0 or 1"),
    ('[]', "settings: must be a JSON object"), ("{", "settings: must be a JSON object"),
    ({"max_threads": 0}, "settings.max_threads: must be 1 to 512"), ([4], "settings: must be a string or an object"),
])
def test_settings_that_are_refused(api, service, settings, sentence):
    path = f"/services/{service['id']}/clickhouseSettings"
    answer = api.call("PATCH", path, {"settings": settings})
    assert answer.status == 400 and answer.error.startswith(sentence), answer.json
    assert api.call("GET", path).result == {"settings": []}


# --- metrics ------------------------------------------------------------------------------------------------------


def lines(answer):
    assert answer.status == 200 and answer.headers["Content-Type"].startswith("text/plain; version=0.0.4")
    return answer.raw.decode().splitlines()


def test_prometheus(api, infra, service):
    other = api.call("POST", "/services", {"name": 'quo"te\\', **AWS}).result["service"]
    api.observe(service["id"], "running")
    body = {"services": [{"id": service["id"], "state": "running", "metrics": {
        "ClickHouseMetrics_Query": 3, "ClickHouseProfileEvents_Merge": 4, "Secret": 5}}]}
    api.sql("INSERT INTO observed (infrastructure_id, agent_id, desired_version, body, received_at) VALUES (?, 'a', 1, ?, ?)",
            infra["id"], json.dumps(body), int(time.time() * 1000))
    labels = (f'clickhouse_org="{api.organization}",clickhouse_service="{service["id"]}",clickhouse_service_name="demo"')
    got = lines(api.call("GET", f"/services/{service['id']}/prometheus"))
    assert (f'ClickHouse_ServiceInfo{{{labels},clickhouse_cluster_status="running",clickhouse_version="26.1.2.3",'
            'scrape="full"} 1') in got
    assert f"ClickHouseMetrics_Query{{{labels}}} 3" in got and f"ClickHouseProfileEvents_Merge{{{labels}}} 4" in got
    assert "# TYPE ClickHouseMetrics_Query gauge" in got and "# TYPE ClickHouseProfileEvents_Merge counter" in got
    assert not any("Secret" in x or other["id"] in x for x in got)
    filtered = lines(api.call("GET", f"/services/{service['id']}/prometheus?filtered_metrics=true"))
    assert f"ClickHouseMetrics_Query{{{labels}}} 3" in filtered and not any("_Merge" in x for x in filtered)
    everything = lines(api.call("GET", "/prometheus"))
    assert any('clickhouse_service_name="quo\\"te\\\\"' in x for x in everything) and len(everything) == len(got) + 1
    assert api.call("GET", f"/services/{NOBODY}/prometheus").error == "there is no such service"
    assert api.call("GET", "/prometheus?filtered_metrics=maybe").status == 400
    role = api.call("POST", "/roles", {"name": "one", "actors": [], "policies": [{
        "allowDeny": "ALLOW", "permissions": ["control-plane:service:view"], "resources": [f"instance/{other['id']}"]}]}).result
    _, key = api.new_key([role["id"]], name="one")
    mine = lines(api.call("GET", "/prometheus", key=key))
    assert any(other["id"] in x for x in mine) and not any(service["id"] in x for x in mine)
    api.sql("UPDATE observed SET received_at = 1")  # from long ago: nothing is claimed of now
    assert [x for x in lines(api.call("GET", "/prometheus")) if "ClickHouseMetrics" in x] == []
    api.sql("DELETE FROM observed")


# --- lists --------------------------------------------------------------------------------------------------------


def test_a_list_is_never_older_than_what_it_lists(api, infra, service):
    """Lists keep the texts of views; whatever a view is made of must make a new one."""
    path = f"/services/{service['id']}"
    other = api.call("POST", "/services", {"name": "other", **AWS}).result["service"]

    def is_current():
        for _ in range(2):
            listed = api.call("GET", "/services").result
            assert listed == [api.call("GET", f"/services/{i}").result for i in (service["id"], other["id"])]
        return listed[0]
    is_current()
    api.call("PATCH", path, {"name": "renamed"}).result
    assert is_current()["name"] == "renamed"
    api.observe(service["id"], "running", notice="as the agent says")
    assert is_current()["ownhouse"]["notice"] == "as the agent says"
    api.call("PATCH", path + "/state", {"command": "stop"}).result
    assert is_current()["state"] == "stopping"
    api.call("PATCH", "", {"privateEndpoints": {"add": [{"id": "vpce-list", **{"cloudProvider": "aws", "region": "us-east-1"}}]}})
    assert "vpce-list" in is_current()["availablePrivateEndpointIds"]
    api.call("POST", path + "/scalingSchedule", {"entries": [entry()]}).result
    assert len(is_current()["scalingSchedule"]["entries"]) == 1
    api.call("DELETE", path + "/scalingSchedule")
    api.call("DELETE", path)
    assert is_current()["state"] == "terminating"
    api.call("DELETE", path + "?deleteData=true")
    assert is_current()["ownhouse"]["deleteData"] is True
