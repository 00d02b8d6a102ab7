"""The published service operations beyond reading, creating and patching: what is stored, checked and shown."""
import json
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


@pytest.mark.parametrize("entries, sentence", [
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
