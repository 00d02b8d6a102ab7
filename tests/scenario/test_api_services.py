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
