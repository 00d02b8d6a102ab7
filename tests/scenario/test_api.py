"""The public API over its Unix socket: whole lives of what it manages, and everything that must be refused."""
import concurrent.futures
import hashlib
import json
import re
import signal
import socket
import subprocess
import time
import urllib.parse
import uuid

import pytest

from api_role import TOP, ApiRole, sha256_base64
from full_system import OWNHOUSE
from waiting import until

ADMIN = "0b5e0000-0000-4000-8000-000000000001"
SERVICE_READER = "0b5e0000-0000-4000-8000-000000000006"
NOTHING = "0b5e0000-0000-4000-8000-00000000000b"
NOBODY = str(uuid.UUID(int=5))


@pytest.fixture(scope="module")
def api():
    role = ApiRole()
    yield role
    role.close()


@pytest.fixture(scope="module")
def infra(api):
    infra = api.infrastructure("laptop", 20000, ready=True)
    api.enrol_agent(infra["id"])
    return infra


@pytest.fixture
def service(api, infra):
    answer = api.call("POST", "/services", {"name": "demo", "provider": "local", "region": "local"}).result
    yield answer["service"]
    api.sql("DELETE FROM service WHERE id = ?", answer["service"]["id"])


# --- the door ---------------------------------------------------------------------------------------------------


def test_every_answer_has_an_id_that_is_in_the_log(api):
    answer = api.call("GET", "/v1/organizations")
    assert uuid.UUID(answer.json["requestId"]) and answer.headers["X-Request-Id"] == answer.json["requestId"]
    assert answer.json["status"] == 200
    line = until(lambda: next((x for x in api.log.read_text().splitlines(True) if answer.json["requestId"] in x and x[-1] == "\n"), None))
    assert json.loads(line)["route"] == "/v1/organizations" and json.loads(line)["status"] == "200"


@pytest.mark.parametrize("key", [False, ("", ""), ("nobody", "x" * 43)])
def test_wrong_keys(api, key):
    answer = api.call("GET", "/v1/organizations", key=key)
    assert answer.status == 401 and "API key" in answer.error and "Basic" in answer.headers["WWW-Authenticate"]
    assert api.call("GET", "/v1/organizations", key=(api.key[0], "wrong")).status == 401


@pytest.mark.parametrize("value", ["Bearer x", "Basic", "Basic !!!", "Basic " + "A" * 4000, "Basic AAAA"])
def test_malformed_authorization(api, value):
    answer = api.call("GET", "/v1/organizations", key=False, headers={"Authorization": value})
    assert answer.status == 401 and "AAAA" not in answer.error


def test_a_refusal_that_quotes_a_cut_character(api):
    # 63 bytes and then one character of four: the sentence is cut in the middle of it.
    refused = api.call("PATCH", "", {"x" * 63 + "\U0001f600": 1})
    assert refused.status == 400 and refused.error.startswith("x" * 63 + "?") and refused.json["requestId"]


def test_unknown_paths_and_methods(api):
    for path in ["/v1/nothing", "/v1", "/v1//organizations", api.base + "/clickpipes", "/v1/organizations%00x"]:
        answer = api.call("GET", path)
        assert answer.status == 404 and answer.json["status"] == 404 and answer.json["requestId"], path
    answer = api.call("PUT", "/services", {})
    assert answer.status == 405 and answer.headers["Allow"] == "GET, POST, HEAD, OPTIONS"
    answer = api.call("OPTIONS", "/services", key=False)
    assert answer.status == 204 and answer.headers["Allow"] == "GET, POST, HEAD, OPTIONS"
    answer = api.call("HEAD", "/services")
    assert answer.status == 200 and answer.raw == b"" and int(answer.headers["Content-Length"]) > 10
    assert api.call("GET", "/v1/organizations/nonsense").error == "organizationId: must be a UUID"


def test_the_contract_is_served_and_is_the_one_in_the_repository(api):
    answer = api.call("GET", "/openapi.json", key=False)
    assert answer.status == 200 and answer.json == json.loads((TOP / "api/openapi.json").read_text())


@pytest.mark.parametrize("raw, sentence", [
    ("{", "the body: JSON is malformed"),
    ('{"name":"a","name":"b"}', "duplicate object key"),
    ("[" * 100 + "]" * 100, "nested deeper"),
    ('"\ud800"'.encode("utf-8", "surrogatepass"), "malformed"),
    ("[]", "the body: must be an object"),
    ("{}", "is required"),
    ('{"name":"a","provider":"local","region":"local","surprise":1}', "surprise: unknown field"),
    ('{"name":"' + "x" * 51 + '","provider":"local","region":"local"}', "name: must have at most 50 characters, not 51"),
])
def test_bad_bodies_are_one_clear_sentence(api, raw, sentence):
    answer = api.call("POST", "/services", raw=raw)
    assert answer.status == 400 and sentence in answer.error and "\n" not in answer.error


def test_body_limits(api):
    assert api.call("POST", "/services", raw=b" " * (1 << 20) + b" ").status == 413
    answer = api.call("POST", "/services", raw=iter([b" " * 65536] * 20), headers={"Transfer-Encoding": "chunked"})
    assert answer.status == 413
    assert api.call("POST", "/services", raw="{}", headers={"Content-Type": "text/plain"}).status == 415
    try:  # the connection may end before all of it is sent
        assert api.call("GET", "/services", headers={"X-Long": "x" * 100000}).status in (400, 431)
    except OSError:
        pass
    assert api.call("GET", "/services").status == 200


def test_bytes_that_are_not_http(api):
    for noise in [b"\0" * 1000, b"GET / HTTP/9.9\r\n\r\n", b"GET\r\n\r\n", b"POST /v1/organizations HTTP/1.1\r\n"
                  b"Host: x\r\nContent-Length: -5\r\n\r\n", b"\x16\x03\x01" * 50]:
        with socket.socket(socket.AF_UNIX) as s:
            s.settimeout(5)
            s.connect(str(api.socket))
            s.sendall(noise)
            s.shutdown(socket.SHUT_WR)
            while s.recv(65536):
                pass
    assert api.call("GET", "/services").status == 200


def test_one_connection_serves_many(api):
    c = api.connection()
    assert [api.call("GET", "/services", connection=c).status for _ in range(20)] == [200] * 20
    c.close()


# --- who may do what --------------------------------------------------------------------------------------------


def operations():
    paths = json.loads((TOP / "api/openapi.json").read_text())["paths"]
    for path, item in paths.items():
        for method, op in item.items():
            if op.get("security") != []:
                yield method.upper(), path, op


def fill(path, organization):
    return re.sub(r"\{\w+\}", NOBODY, path.replace("{organizationId}", organization))


def test_a_role_that_allows_nothing_is_refused_everywhere(api):
    _, key = api.new_key([NOTHING])
    for method, path, op in operations():
        answer = api.call(method, fill(path, api.organization), key=key)
        why = "not for API keys" if op["x-permission"] == "signed-in" else op["x-permission"]
        assert answer.status == 403 and why in answer.error, (method, path, answer.json)


def test_a_reader_of_services_reads_only_those(api, infra):
    _, key = api.new_key([SERVICE_READER])
    for method, path, op in operations():
        allowed = op["x-permission"].startswith("control-plane:service:view") or \
            op["x-permission"] == "control-plane:organization:view"
        status = api.call(method, fill(path, api.organization), key=key).status
        assert (status != 403) == allowed, (method, path, status)


def test_another_organization_is_answered_like_a_missing_one(api, service):
    other, key_id, secret = str(uuid.uuid4()), "k" * 20, "s" * 43
    api.sql("INSERT INTO organization (id, name, created_at) VALUES (?, 'other', 1)", other)
    api.sql("INSERT INTO api_key (id, key_id_hash, organization_id, name, secret_hash, suffix, state, roles, "
            "ip_access_list, created_at) VALUES (?, ?, ?, 'k', ?, 'kkkk', 'enabled', ?, ?, 1)", str(uuid.uuid4()),
            hashlib.sha256(key_id.encode()).hexdigest(), other, hashlib.sha256(secret.encode()).hexdigest(),
            json.dumps([ADMIN]), '[{"source":"anywhere"}]')
    for method, path, _ in operations():
        if "{organizationId}" in path:
            theirs = api.call(method, fill(path, api.organization), key=(key_id, secret))
            missing = api.call(method, fill(path, NOBODY), key=(key_id, secret))
            assert theirs.status == missing.status == 404 and theirs.error == missing.error, (method, path)
    own = f"/v1/organizations/{other}/services/"
    assert api.call("GET", own + service["id"], key=(key_id, secret)).error == \
        api.call("GET", own + NOBODY, key=(key_id, secret)).error
    assert api.call("DELETE", own + service["id"], key=(key_id, secret)).status == 404
    assert len(api.call("GET", "/v1/organizations", key=(key_id, secret)).result) == 1


def test_address_lists_go_by_what_haproxy_says(api):
    key, pair = api.new_key([ADMIN], ipAccessList=[{"source": "10.1.0.0/16", "description": "office"}])

    def status(address):
        return api.call("GET", "/v1/organizations", key=pair, headers=address and {"X-Forwarded-For": address}).status
    assert status("10.1.2.3") == 200
    assert status("10.2.2.3") == 403
    assert status(None) == 403
    assert status("10.1.2.3, 10.2.2.3") == 403  # only the last entry is HAProxy's
    assert status("10.1.2.3; DROP") == 403


def test_keys(api):
    secret = "made by the caller, never sent"
    answer = api.call("POST", "/keys", {"name": "mine", "roles": ["admin"], "hashData": {
        "keyIdHash": sha256_base64("my-key"), "keyIdSuffix": "-key", "keySecretHash": sha256_base64(secret)}}).result
    assert set(answer) == {"key"} and answer["key"]["keySuffix"] == "-key" and "usedAt" not in answer["key"]
    assert answer["key"]["roles"] == ["admin"] and answer["key"]["assignedRoles"][0]["roleName"] == "Admin"
    mine = ("my-key", secret)
    assert api.call("GET", "/v1/organizations", key=mine).status == 200
    path = "/keys/" + answer["key"]["id"]
    used = api.call("GET", path).result["usedAt"]
    assert used.endswith(":00.000Z")
    assert api.call("DELETE", path, key=mine).status == 400
    assert api.call("PATCH", path, {"state": "disabled"}).result["state"] == "disabled"
    assert api.call("GET", "/v1/organizations", key=mine).status == 401
    changed = api.call("PATCH", path, {"state": "enabled", "name": "renamed", "assignedRoleIds": [SERVICE_READER],
                                       "expireAt": "2999-01-01T00:00:00Z"}).result
    assert changed["name"] == "renamed" and changed["expireAt"].startswith("2999-")
    assert api.call("GET", "/keys", key=mine).status == 403
    assert api.call("PATCH", path, {"expireAt": "2001-01-01T00:00:00Z"}).error == "expireAt: must be in the future"
    assert api.call("PATCH", path, {"expireAt": None}).result["expireAt"] is None
    updates = {a.get("keyUpdateType") for a in api.call("GET", "/activities").result
               if a.get("targetKeyId") == answer["key"]["id"]}
    assert updates == {"created", "state-changed", "name-changed", "roles-v2-changed", "date-changed"}
    again = api.call("POST", "/keys", {"name": "twin", "roles": ["admin"], "hashData": {
        "keyIdHash": sha256_base64("my-key"), "keyIdSuffix": "-key", "keySecretHash": sha256_base64("x")}})
    assert again.status == 400 and "hashData.keyIdHash" in again.error
    assert api.call("POST", "/keys", {"name": "none"}).error.startswith("assignedRoleIds: is required")
    assert api.call("POST", "/keys", {"name": "no", "assignedRoleIds": [NOBODY]}).error.startswith("assignedRoleIds[0]")
    assert api.call("DELETE", path).status == 200
    assert api.call("GET", path).status == 404


# --- organizations, accounts, infrastructures, plans --------------------------------------------------------------


def test_organization(api):
    before = api.call("GET", "").result
    assert before == api.call("GET", "/v1/organizations").result[0]
    add = {"id": "vpce-1", "cloudProvider": "aws", "region": "eu-west-1", "description": "one"}
    changed = api.call("PATCH", "", {"name": "Renamed", "privateEndpoints": {"add": [add]}}).result
    assert changed["name"] == "Renamed" and changed["privateEndpoints"] == [add]
    assert api.call("PATCH", "", {"privateEndpoints": {"remove": [{"id": "vpce-1"}]}}).result["privateEndpoints"] == []
    assert api.call("PATCH", "", {"name": ""}).error == "name: must not be empty"


def test_accounts_do_not_share_ports(api, infra):
    def create(**config):
        return api.call("POST", "/accounts", {"name": "second", "provider": "local", "config": config})
    assert "taken by another account" in create(httpsPort=20000, nativePort=21001, servicePortBase=21100).error
    assert "taken by another account" in create(httpsPort=21000, nativePort=21001, servicePortBase=20140).error
    assert "control plane's own" in create(httpsPort=8443, nativePort=21001, servicePortBase=21100).error
    assert "overlaps" in create(httpsPort=21001, nativePort=21001, servicePortBase=21100).error
    assert "beyond port 65535" in create(servicePortBase=65500).error
    assert create(httpsPort=0).error == "config.httpsPort: must be at least 1"
    account = create(httpsPort=21000, nativePort=21001, servicePortBase=21100).result
    assert api.call("POST", "/accounts", {"name": "second", "provider": "local", "config": {
        "httpsPort": 22000, "nativePort": 22001, "servicePortBase": 22100}}).error.startswith("name: ")
    assert api.call("DELETE", f"/accounts/{account['id']}").status == 200
    assert api.call("GET", f"/accounts/{account['id']}").status == 404
    assert api.call("POST", "/accounts", {"name": "../up", "provider": "local"}).error.startswith("name: ")
    assert api.call("POST", "/accounts", {"name": "a", "provider": "oci"}).error.startswith("provider: ")
    assert api.call("POST", "/accounts", {"name": "a", "provider": "aws"}).error.startswith("config.accountId: ")


def test_the_artefact_of_an_account(api, infra, tmp_path):
    arn = "arn:aws:iam::210987654321:role/team/ownhouse+controller"
    account = api.call("POST", "/accounts", {"name": "cloud", "provider": "aws", "config": {"accountId": "123456789012"}}).result
    path = f"/accounts/{account['id']}/artefact"
    answer = api.call("GET", f"{path}?controllerArn={urllib.parse.quote(arn)}").result
    assert answer["externalId"] == account["config"]["externalId"] and answer["controllerArn"] == arn
    # The same as the command line writes without a control plane.
    subprocess.run([OWNHOUSE, "policy", "artefact", "cloud", "--external-id", answer["externalId"], "--controller-arn", arn,
                    "--out", tmp_path], check=True, capture_output=True)
    assert answer["cloudformation"] == json.loads((tmp_path / "cloudformation.json").read_text())
    assert answer["terraform"] == json.loads((tmp_path / "terraform/main.tf.json").read_text())
    phases = {r["phase"]: r for r in answer["roles"]}
    assert list(phases) == ["inspect", "provision", "operate", "remove"]
    assert phases["provision"]["name"] == "ownhouse-cloud-provision"
    assert "ec2:CreateVpc" in phases["provision"]["actions"] and "ec2:CreateVpc" not in phases["inspect"]["actions"]
    # A reviewer reads here every right that the artefact grants, and no other.
    granted = {phase: set() for phase in phases}
    for resource in answer["cloudformation"]["Resources"].values():
        for role in resource["Properties"].get("Roles", []) if resource["Type"] == "AWS::IAM::ManagedPolicy" else []:
            for statement in resource["Properties"]["PolicyDocument"]["Statement"]:
                if statement["Effect"] == "Allow":
                    action = statement["Action"]
                    granted[role["Ref"].removeprefix("Role").lower()] |= set([action] if isinstance(action, str) else action)
    assert {phase: set(role["actions"]) for phase, role in phases.items()} == granted
    for role in answer["roles"]:
        assert role["actions"] == sorted(set(role["actions"])) and role["policies"]
        assert not any(a in ("*", "s3:GetObject", "kms:Decrypt") for a in role["actions"]), role
    assert api.call("GET", path).status == 400
    for wrong in ("x", "arn:aws:iam::1:role/a", "arn:aws:sts::123456789012:assumed-role/a/b"):
        assert "must be the ARN" in api.call("GET", f"{path}?controllerArn={urllib.parse.quote(wrong)}").error
    local = api.call("GET", "/accounts").result[0]
    assert local["provider"] == "local"
    assert "only an account on AWS" in api.call("GET", f"/accounts/{local['id']}/artefact?controllerArn={urllib.parse.quote(arn)}").error
    assert api.call("GET", f"/accounts/{uuid.uuid4()}/artefact?controllerArn={urllib.parse.quote(arn)}").status == 404
    assert api.call("DELETE", f"/accounts/{account['id']}").status == 200


def propose(api, infrastructure, kind="apply", state="proposed"):
    """A plan as the controller stores it."""
    plan, digest = str(uuid.uuid4()), uuid.uuid4().hex * 2
    document = {"type": "ownhouse/plan", "v": 1, "kind": kind, "delete_data": False, "changes": [],
                "summary": {"create": 9, "change": 0, "replace": 0, "destroy": 0, "none": 1}}
    api.sql("INSERT INTO plan (id, infrastructure_id, kind, state, digest, document, created_at) VALUES "
            "(?, ?, ?, ?, ?, ?, ?)", plan, infrastructure, kind, state, digest, json.dumps(document),
            int(time.time() * 1000))
    return plan, digest


def test_plans_are_approved_by_digest(api):
    infra = api.infrastructure("plans", 23000)
    plan, digest = propose(api, infra["id"])
    seen = api.call("GET", f"/infrastructures/{infra['id']}").result["plan"]
    assert seen["id"] == plan and seen["summary"]["create"] == 9 and seen["approvedAt"] is None
    path = f"/plans/{plan}"
    assert api.call("POST", path + "/approve", {"digest": "0" * 64}).status == 409
    assert api.call("POST", path + "/approve", {"digest": "XYZ"}).status == 400
    assert api.call("GET", path).result["state"] == "proposed"
    bells = api.bells.read_text().count("bell")
    approved = api.call("POST", path + "/approve", {"digest": digest}).result
    assert approved["state"] == "approved" and approved["approvedBy"].startswith("API key")
    until(lambda: api.bells.read_text().count("bell") > bells)
    assert api.call("POST", path + "/approve", {"digest": digest}).result == approved
    assert api.call("POST", path + "/discard").status == 409
    for phase in ("begin", "done"):
        api.sql("INSERT INTO journal (plan_id, infrastructure_id, resource, action, phase, token, detail, at) VALUES "
                "(?, ?, 'local_network.main', 'create', ?, 't1', 'noise', 5)", plan, infra["id"], phase)
    steps = api.call("GET", path).result["steps"]
    assert [(s["resource"], s["phase"], s["detail"]) for s in steps] == [("local_network.main", "done", "")]
    assert [p["id"] for p in api.call("GET", f"/plans?infrastructureId={infra['id']}&state=approved").result] == [plan]
    assert api.call("GET", "/plans?state=nonsense").status == 400


def test_a_discarded_removal_leaves_the_infrastructure(api):
    infra = api.infrastructure("discard", 24000)
    one = f"/infrastructures/{infra['id']}"
    asked = api.call("POST", one + "/plans", {"kind": "destroy", "deleteData": True}).result
    assert (asked["want"], asked["deleteData"]) == ("absent", True)
    plan, _ = propose(api, infra["id"], "destroy")
    assert "being removed" in api.call("POST", "/services", {
        "name": "x", "provider": "local", "region": "local", "byocId": infra["id"]}).error
    assert api.call("POST", f"/plans/{plan}/discard", {}).result["state"] == "discarded"
    now = api.call("GET", one).result
    assert (now["want"], now["deleteData"]) == ("present", False)
    assert api.call("POST", f"/plans/{plan}/discard").status == 200
    assert api.call("POST", f"/plans/{plan}/approve", {"digest": now["plan"]["digest"]}).status == 409
    assert api.call("DELETE", f"/byocInfrastructure/{infra['id']}").status == 200
    assert api.call("GET", one).result["deleteData"] is False


def test_a_changed_wish_ends_proposals_of_the_earlier_one(api):
    """Found by the live tests: a removal that keeps data was approved although one that deletes them had been asked for
    meanwhile, and the asker waited for it for ever."""
    infra = api.infrastructure("wish", 29000)
    plan, digest = propose(api, infra["id"], "destroy")
    api.call("DELETE", f"/byocInfrastructure/{infra['id']}?deleteData=true")
    refused = api.call("POST", f"/plans/{plan}/approve", {"digest": digest})
    assert refused.status == 409 and "superseded" in refused.error
    plan, digest = propose(api, infra["id"], "destroy")
    api.call("POST", f"/infrastructures/{infra['id']}/plans", {"kind": "destroy", "deleteData": True})
    assert api.call("GET", f"/plans/{plan}").result["state"] == "proposed"  # the same wish again changes nothing
    api.call("POST", f"/infrastructures/{infra['id']}/plans", {"kind": "apply"})
    assert api.call("GET", f"/plans/{plan}").result["state"] == "superseded"


def test_infrastructures(api, infra):
    assert api.call("PATCH", f"/byocInfrastructure/{infra['id']}", {"displayName": "My laptop"}).result[
        "displayName"] == "My laptop"
    full = api.call("GET", f"/infrastructures/{infra['id']}").result
    assert full["name"] == "laptop" and full["domain"] == "laptop.ownhouse.localhost" and full["agents"]
    assert any(b["displayName"] == "My laptop" for b in api.call("GET", "").result["byocConfig"])
    another = api.call("POST", "/byocInfrastructure", {"accountId": "laptop", "regionId": "local"})
    assert "has an infrastructure already" in another.error
    assert "does not have this region" in api.call("POST", "/byocInfrastructure", {
        "accountId": "laptop", "regionId": "eu-west-1"}).error
    assert "no such account" in api.call("POST", "/byocInfrastructure", {
        "accountId": "nope", "regionId": "local"}).error
    assert api.call("DELETE", f"/accounts/{full['accountId']}").error.startswith("accountId: the account has 1")
    assert api.call("GET", f"/agents/{full['agents'][0]['id']}").result == full["agents"][0]
    assert api.call("GET", f"/agents/{NOBODY}").status == 404


def test_networks_do_not_overlap_and_removed_ones_are_taken_up_again(api):
    def account(name, base):
        return api.call("POST", "/accounts", {"name": name, "provider": "local", "config": {
            "httpsPort": base, "nativePort": base + 1, "servicePortBase": base + 100, "servicePortCount": 5}}).result["id"]
    first, second = account("net-a", 25000), account("net-b", 26000)
    body = {"accountId": first, "regionId": "local", "displayName": "Net A", "vpcCidrRange": "10.200.0.0/16"}
    one = api.call("POST", "/byocInfrastructure", body).result
    clash = api.call("POST", "/byocInfrastructure", {"accountId": second, "regionId": "local",
                                                     "vpcCidrRange": "10.200.4.0/24"})
    assert clash.error.startswith("vpcCidrRange: overlaps")
    assert api.call("POST", "/byocInfrastructure", {"accountId": second, "regionId": "local",
                                                    "vpcCidrRange": "10.0.0.1/8"}).error.startswith("vpcCidrRange: must")
    api.sql("UPDATE infrastructure SET state = 'infra-terminated', want = 'absent' WHERE id = ?", one["id"])
    listed = {i["id"] for i in api.call("GET", "/infrastructures").result}
    assert one["id"] not in listed
    assert one["id"] in {i["id"] for i in api.call("GET", "/infrastructures?terminated=true").result}
    again = api.call("POST", "/byocInfrastructure", body).result
    assert again["id"] == one["id"] and again["state"] == "infra-provisioning"


def test_enrolment_material_holds_public_parts_only(api, infra):
    import subprocess
    path = f"/infrastructures/{infra['id']}/enrolment"
    keys = api.folder / "keys"
    (keys / "desired.pub").rename(keys / "away")
    assert api.call("GET", path).status == 503
    (keys / "away").rename(keys / "desired.pub")
    got = api.call("GET", path).result
    spki = subprocess.run(f"openssl x509 -in {keys}/link-ca.pem -pubkey -noout | openssl pkey -pubin -outform der "
                          "| sha256sum", shell=True, check=True, capture_output=True, text=True).stdout[:64]
    assert got["linkCa"]["spki"] == "sha256/" + spki and "PRIVATE" not in json.dumps(got)
    assert got["spareSpki"].startswith("sha256/") and got["spareSpki"] != got["linkCa"]["spki"]
    assert got["desiredKey"] == (keys / "desired.pub").read_text().strip()
    assert got["control"] == {"address": "localhost:8443", "serverName": "link.ownhouse"}


# --- services -----------------------------------------------------------------------------------------------------


def test_a_service_has_what_the_data_plane_needs(api, infra):
    answer = api.call("POST", "/services", {
        "name": "My Demo!", "provider": "local", "region": "local", "byocId": infra["id"], "minReplicaMemoryGb": 8,
        "maxReplicaMemoryGb": 16, "numReplicas": 3, "idleScaling": False, "idleTimeoutMinutes": 10,
        "ipAccessList": [{"source": "10.0.0.0/8", "description": "office"}],
        "tags": [{"key": "env", "value": "test"}], "endpoints": [{"protocol": "mysql", "enabled": False}]}).result
    s, password = answer["service"], answer["password"]
    row = dict(zip(("slug", "ordinal", "want", "state", "sha", "sha1", "generation", "spec"), api.sql(
        "SELECT slug, ordinal, want, state, password_sha256, password_double_sha1, generation, spec FROM service "
        "WHERE id = ?", s["id"])[0]))
    assert row["slug"] == "my-demo" and row["want"] == "running" and row["state"] == s["state"] == "provisioning"
    assert row["sha"] == hashlib.sha256(password.encode()).hexdigest()
    assert row["sha1"] == hashlib.sha1(hashlib.sha1(password.encode()).digest()).hexdigest()
    spec = json.loads(row["spec"])
    assert (spec["numReplicas"], spec["minReplicaMemoryGb"], spec["maxReplicaMemoryGb"]) == (3, 8, 16)
    assert s["numReplicas"] == 3 and s["currentScaling"]["effectiveMaxReplicas"] == 1
    assert "3 replicas were asked for" in s["ownhouse"]["notice"]
    assert s["ownhouse"]["localPort"] == 20100 + row["ordinal"]
    assert {"protocol": "https", "host": "my-demo.laptop.ownhouse.localhost", "port": 20000,
            "username": "default"} in s["endpoints"]
    assert api.call("GET", f"/services/{s['id']}").result == s
    assert s["id"] in [x["id"] for x in api.call("GET", "/services?filter=tag:env=test").result]
    assert s["id"] not in [x["id"] for x in api.call("GET", "/services?filter=tag:env=prod").result]
    api.sql("DELETE FROM service WHERE id = ?", s["id"])


def test_names_and_numbers_are_unique_and_reused(api, infra):
    made = [api.call("POST", "/services", {"name": n, "provider": "local", "region": "local"}).result["service"]
            for n in ("Same", "same", "SAME!", "日本", "ns1")]
    assert [s["ownhouse"]["slug"] for s in made] == ["same", "same-2", "same-3", "service", "ns1-2"]
    numbers = [s["ownhouse"]["ordinal"] for s in made]
    assert len(set(numbers)) == 5
    api.sql("DELETE FROM service WHERE id = ?", made[1]["id"])
    again = api.call("POST", "/services", {"name": "x", "provider": "local", "region": "local"}).result["service"]
    assert again["ownhouse"]["ordinal"] == numbers[1]
    api.sql("DELETE FROM service")


def test_a_service_goes_to_the_one_ready_infrastructure(api, infra):
    body = {"name": "x", "provider": "aws", "region": "eu-west-1"}
    assert api.call("POST", "/services", body).error.startswith("byocId: no infrastructure")
    other = api.infrastructure("other", 27000, ready=True)
    body = {"name": "x", "provider": "local", "region": "local"}
    assert api.call("POST", "/services", body).error.startswith("byocId: several")
    assert api.call("POST", "/services", {**body, "provider": "aws", "byocId": other["id"]}).error.startswith("provider: ")
    made = api.call("POST", "/services", {**body, "byocId": other["id"]}).result["service"]
    assert made["byocId"] == other["id"]
    assert api.call("POST", "/services", {**body, "byocId": NOBODY}).error.startswith("byocId: there is no such")
    api.sql("DELETE FROM service")
    api.sql("UPDATE infrastructure SET state = 'infra-provisioning' WHERE id = ?", other["id"])


@pytest.mark.parametrize("field, value", [
    ("backupId", NOBODY), ("dataWarehouseId", NOBODY), ("isReadonly", True), ("encryptionKey", "k"),
    ("hasTransparentDataEncryption", True), ("complianceType", "hipaa"), ("profile", "v1-highmem-xs"),
    ("tier", "production"), ("privateEndpointIds", ["vpce-1"]), ("minReplicas", 1), ("numReplicas", 21),
    ("idleTimeoutMinutes", 4), ("minReplicaMemoryGb", 360), ("autoscalingMode", "horizontal")])
def test_what_cannot_be_had_is_refused_by_name(api, infra, field, value):
    answer = api.call("POST", "/services", {"name": "x", "provider": "local", "region": "local", field: value})
    assert answer.status == 400 and (field in answer.error or field in ("minReplicas", "autoscalingMode"))
    assert api.call("GET", "/services").result == []


def test_horizontal_scaling_is_kept_as_asked(api, infra):
    s = api.call("POST", "/services", {
        "name": "h", "provider": "local", "region": "local", "autoscalingMode": "horizontal", "minReplicas": 2,
        "maxReplicas": 4, "minReplicaMemoryGb": 16, "maxReplicaMemoryGb": 16}).result["service"]
    assert (s["minReplicas"], s["maxReplicas"], s["replicaMemoryGb"]) == (2, 4, 16) and "numReplicas" not in s
    api.sql("DELETE FROM service")


def test_networks_that_no_desired_document_can_hold_are_refused(api, service):
    """They would keep every service of the infrastructure from getting a new desired document."""
    path, new = f"/services/{service['id']}", {"name": "x", "provider": "local", "region": "local"}
    many = [{"source": f"10.0.{i // 250}.{i % 250}"} for i in range(1001)]
    for bad in ([{"source": "10.0.0.0/08"}], many, [{"source": "anywhere"}] * 501):
        answer = api.call("POST", "/services", {**new, "ipAccessList": bad})
        assert answer.status == 400 and answer.error.startswith("ipAccessList: ")
    for bad in ([{"source": "10.0.0.0/08"}], many):
        answer = api.call("PATCH", path, {"ipAccessList": {"add": bad}})
        assert answer.status == 400 and answer.error.startswith("ipAccessList: ")
    assert len(api.call("GET", path).result["ipAccessList"]) == 2
    assert api.call("PATCH", path, {"ipAccessList": {"add": many[:998]}}).status == 200


def test_patch(api, service):
    path = f"/services/{service['id']}"
    one, two = {"source": "10.0.0.0/8", "description": "a"}, {"source": "192.168.0.0/16", "description": "b"}
    s = api.call("PATCH", path, {"name": "renamed", "ipAccessList": {"add": [one, two], "remove": [
        {"source": "0.0.0.0/0"}, {"source": "::/0"}]}, "tags": {"add": [{"key": "a", "value": "1"}]},
        "releaseChannel": "fast", "enableCoreDumps": False}).result
    assert s["name"] == "renamed" and s["ipAccessList"] == [one, two] and s["releaseChannel"] == "fast"
    assert s["tags"] == [{"key": "a", "value": "1"}] and s["enableCoreDumps"] is False
    assert s["ownhouse"]["slug"] == "demo" and s["ownhouse"]["generation"] == 2
    assert api.call("PATCH", path, {}).result["ownhouse"]["generation"] == 2
    again = api.call("PATCH", path, {"ipAccessList": {"add": [{**one, "description": "new words"}]}}).result
    assert len(again["ipAccessList"]) == 2
    types = [a["type"] for a in api.call("GET", "/activities").result if a.get("serviceId") == service["id"]]
    assert sorted(types) == sorted(["service_create", "service_update_name", "service_update_ip_access_list",
                                    "service_update_tags", "service_update_release_channel",
                                    "service_update_core_dump", "service_update_ip_access_list"])
    tags = [{"key": f"k{i}", "value": "v"} for i in range(50)]
    assert api.call("PATCH", path, {"tags": {"add": tags}}).error == "tags: would be more than 50"
    assert api.call("GET", path).result == again


def test_states(api, service):
    path = f"/services/{service['id']}"

    def command(word):
        return api.call("PATCH", path + "/state", {"command": word})
    api.observe(service["id"], "running")
    assert api.call("GET", path).result["clickhouseVersion"] == "26.1.2.3"
    assert command("stop").result["state"] == "stopping"
    assert api.sql("SELECT want FROM service WHERE id = ?", service["id"]) == [("stopped",)]
    generation = command("stop").result["ownhouse"]["generation"]
    assert command("stop").result["ownhouse"]["generation"] == generation
    assert command("start").result["state"] == "starting"
    command("stop")
    api.observe(service["id"], "stopped")
    assert "use the command start" in command("awake").error
    assert command("jump").error == "command: must be one of start, stop, awake"
    assert command("start").result["state"] == "starting"
    assert api.call("DELETE", path).status == 200
    assert api.call("GET", path).result["state"] == "terminating"
    assert "not possible while" in command("start").error
    assert api.call("PATCH", path, {"name": "late"}).error == "serviceId: the service is being deleted"
    assert api.call("GET", path).result["ownhouse"]["deleteData"] is False
    assert api.call("DELETE", path + "?deleteData=true").status == 200
    assert api.call("GET", path).result["ownhouse"]["deleteData"] is True
    assert api.call("DELETE", path).status == 200
    assert api.call("GET", path).result["ownhouse"]["deleteData"] is True
    api.sql("UPDATE service SET state = 'terminated' WHERE id = ?", service["id"])
    assert api.call("GET", path).status == 404


def test_deleting_where_no_agent_ever_was_leaves_nothing_to_wait_for(api):
    infra = api.infrastructure("lonely", 28000)
    s = api.call("POST", "/services", {"name": "x", "provider": "local", "region": "local",
                                       "byocId": infra["id"]}).result["service"]
    assert api.call("DELETE", f"/services/{s['id']}").status == 200
    assert api.call("GET", f"/services/{s['id']}").status == 404


def test_passwords(api, service):
    path = f"/services/{service['id']}/password"
    made = api.call("PATCH", path).result["password"]
    stored = api.sql("SELECT password_sha256, password_double_sha1 FROM service WHERE id = ?", service["id"])[0]
    assert stored[0] == hashlib.sha256(made.encode()).hexdigest() and len(stored[1]) == 40
    assert api.call("PATCH", path, {"newPasswordHash": sha256_base64("canary")}).result == {}
    assert api.sql("SELECT password_sha256, password_double_sha1 FROM service WHERE id = ?", service["id"])[0] == (
        hashlib.sha256(b"canary").hexdigest(), "")
    assert api.call("PATCH", path, {"newPasswordHash": sha256_base64("canary"), "newDoubleSha1Hash": "AB" * 20}).result == {}
    assert api.sql("SELECT password_double_sha1 FROM service WHERE id = ?", service["id"]) == [("ab" * 20,)]
    assert "base64" in api.call("PATCH", path, {"newPasswordHash": "canary"}).error


def test_secrets_stay_out_of_store_and_log(api, infra):
    answer = api.call("POST", "/services", {"name": "secret", "provider": "local", "region": "local"},
                      headers={"Idempotency-Key": "once-1", "User-Agent": "canary\x7fagent"}).result
    key, pair = api.new_key([ADMIN], name="secret key")
    password = api.call("PATCH", f"/services/{answer['service']['id']}/password").result["password"]
    secrets = [answer["password"], password, *pair, *api.key, api.credentials["password"]]
    texts = [p.read_bytes() for p in [*api.database.parent.iterdir(), api.log]]
    for secret in secrets:
        assert not any(secret.encode() in text for text in texts), secret
    assert any(key["id"].encode() in text for text in texts)
    api.sql("DELETE FROM service")


# --- repetition, races, crashes -------------------------------------------------------------------------------------


def test_idempotency(api, infra):
    body, headers = {"name": "once", "provider": "local", "region": "local"}, {"Idempotency-Key": "abc"}
    first = api.call("POST", "/services", body, headers=headers)
    second = api.call("POST", "/services", body, headers=headers)
    assert first.result["service"]["id"] == second.result["service"]["id"]
    assert "password" in first.result and "password" not in second.result
    assert len(api.call("GET", "/services").result) == 1
    other = api.call("POST", "/services", {**body, "name": "two"}, headers=headers)
    assert other.status == 400 and other.error.startswith("Idempotency-Key: ")
    assert api.call("POST", "/services", body, headers={"Idempotency-Key": "a b"}).status == 400
    failed = api.call("POST", "/services", {**body, "byocId": NOBODY}, headers={"Idempotency-Key": "later"})
    assert failed.status == 400
    assert api.call("POST", "/services", body, headers={"Idempotency-Key": "later"}).status == 200
    api.sql("DELETE FROM service")


def test_many_at_once(api, infra):
    with concurrent.futures.ThreadPoolExecutor(16) as pool:
        made = list(pool.map(lambda i: api.call("POST", "/services", {
            "name": "same", "provider": "local", "region": "local"}).result["service"], range(60)))
        assert len({s["ownhouse"]["ordinal"] for s in made}) == len({s["ownhouse"]["slug"] for s in made}) == 60
        path = f"/services/{made[0]['id']}"
        list(pool.map(lambda i: api.call("PATCH", path, {"tags": {"add": [{"key": f"k{i}", "value": "v"}]}}).result,
                      range(40)))
        tags = api.call("GET", path).result["tags"]
        assert {t["key"] for t in tags} == {f"k{i}" for i in range(40)}
        once = list(pool.map(lambda i: api.call("POST", "/services", {"name": "r", "provider": "local", "region": "local"},
                                                headers={"Idempotency-Key": "race"}).result["service"]["id"], range(16)))
        assert len(set(once)) == 1
    api.sql("DELETE FROM service")


def test_activities_say_who_what_and_from_where(api):
    answer = api.call("PATCH", "", {"name": f"N{time.time()}"}, headers={
        "X-Forwarded-For": "192.0.2.7", "User-Agent": "pytest/1"})
    newest = api.call("GET", "/activities").result[0]
    assert newest["type"] == "organization_update_name" and newest["actorIpAddress"] == "192.0.2.7"
    assert newest["requestId"] == answer.json["requestId"] and newest["userAgent"] == "pytest/1"
    assert newest["actorType"] == "api" and newest["actorDetails"] == "Administrator's first key"
    assert api.call("GET", f"/activities/{newest['id']}").result == newest
    assert api.call("GET", f"/activities?from_date={newest['createdAt']}").result[-1]["createdAt"] >= newest["createdAt"]
    assert api.call("GET", "/activities?to_date=2001-01-01T00:00:00Z").result == []
    today = newest["createdAt"][:10]  # a bare date is a whole day
    assert newest in api.call("GET", f"/activities?from_date={today}&to_date={today}").result
    assert api.call("GET", "/activities?to_date=2001-01-01").result == []
    assert api.call("GET", "/activities?from_date=yesterday").error.startswith("from_date: must be a date")


def test_what_was_acknowledged_survives_kill_9():
    api = ApiRole()
    try:
        api.infrastructure("laptop", 20000, ready=True)
        for _ in range(3):
            known = []
            with concurrent.futures.ThreadPoolExecutor(4) as pool:
                def create(i):
                    try:
                        known.append(api.call("POST", "/services", {
                            "name": "x", "provider": "local", "region": "local"}).result["service"]["id"])
                    except (OSError, AssertionError):
                        pass
                futures = [pool.submit(create, i) for i in range(80)]
                while len(known) < 20:
                    time.sleep(0.005)
                api.stop(signal.SIGKILL)
                concurrent.futures.wait(futures)
            api.start()
            listed = {s["id"] for s in api.call("GET", "/services").result}
            assert set(known) <= listed
            created = api.sql("SELECT count(*) FROM activity WHERE type = 'service_create'")[0][0]
            assert created == len(listed)  # never a row without its activity, nor the other way round
    finally:
        api.close()


def test_a_stop_lets_requests_end_and_a_broken_store_is_told_at_the_start():
    api = ApiRole()
    try:
        assert api.call("GET", "/services").status == 200
        assert api.stop() == 0
        assert not api.socket.exists()
        api.database.write_bytes(b"garbage" * 1000)
        for extra in ("-wal", "-shm"):
            api.database.with_name(api.database.name + extra).unlink(missing_ok=True)
        with pytest.raises(AssertionError, match="damaged or not a database"):
            api.start()
        assert api.process.wait(5) == 1
    finally:
        api.close()


# --- quotas and usage -------------------------------------------------------------------------------------------


def test_quotas(api, service):
    quotas = {x["quotaCode"]: x for x in api.call("GET", "/quotas").result}
    assert set(quotas) == {"services-per-organization", "postgres-services-per-organization", "replicas-per-warehouse"}
    services = quotas["services-per-organization"]
    assert services["value"] == 2000 and services["usage"] == len(api.call("GET", "/services").result) >= 1
    assert quotas["replicas-per-warehouse"]["value"] == 20 and "usage" not in quotas["replicas-per-warehouse"]
    assert api.call("GET", "/quotas/services-per-organization").result == services
    assert api.call("GET", "/quotas/nothing").status == 404


def test_no_service_beyond_the_quota(api, infra):
    create = {"name": "one", "provider": "local", "region": "local", "byocId": infra["id"]}
    api.sql("INSERT INTO service (id, organization_id, infrastructure_id, name, slug, ordinal, state, want, spec, "
            "password_sha256, created_at, updated_at) WITH RECURSIVE n(i) AS (SELECT 1001 UNION ALL SELECT i + 1 FROM n "
            "WHERE i < 3000) SELECT 'many-' || i, ?, ?, 'n', 'many-' || i, i, 'stopped', 'stopped', '{}', 'x', 1, 1 FROM n",
            api.organization, infra["id"])
    try:
        refused = api.call("POST", "/services", create)
        assert refused.status == 400 and "may have 2000" in refused.error
        assert api.call("GET", "/quotas/services-per-organization").result["usage"] >= 2000
    finally:
        api.sql("DELETE FROM service WHERE id LIKE 'many-%'")
    made = api.call("POST", "/services", create).result["service"]
    api.sql("DELETE FROM service WHERE id = ?", made["id"])


def test_usage_cost_is_zero_for_each_day_asked(api, service):
    def day(ago):
        return time.strftime("%Y-%m-%d", time.gmtime(time.time() - ago * 86400))
    def cost(start, end, more=""):
        return api.call("GET", f"/usageCost?from_date={start}&to_date={end}{more}")
    api.sql("UPDATE service SET created_at = ? WHERE id = ?", int((time.time() - 2 * 86400) * 1000), service["id"])
    usage = cost(day(5), day(0)).result
    mine = [x for x in usage["costs"] if x["dataWarehouseId"] == service["id"]]
    assert [(x["date"], x["entityType"]) for x in mine] == [
        (day(ago), kind) for ago in (2, 1, 0) for kind in ("datawarehouse", "service")]
    assert [x["locked"] for x in mine] == [True] * 4 + [False] * 2
    assert usage["grandTotalCHC"] == 0 and all(x["totalCHC"] == 0 for x in mine)
    assert all(set(x["metrics"].values()) == {0} for x in mine)
    assert mine[0]["serviceId"] is None and set(mine[0]["metrics"]) == {"storageCHC", "backupCHC"}
    assert mine[1]["serviceId"] == service["id"] and "computeCHC" in mine[1]["metrics"]
    assert cost(day(3), day(4)).error == "to_date: must not be before from_date"
    assert cost(day(30), day(0)).status == 200
    assert cost(day(31), day(0)).error == "to_date: must be at most 30 days after from_date"
    assert cost(day(-1), day(-2)).result["costs"] == []  # days to come
    assert cost("yesterday", day(0)).status == 400 and api.call("GET", "/usageCost").status == 400
    api.call("PATCH", f"/services/{service['id']}", {"tags": {"add": [{"key": "env", "value": "a"}]}}).result
    assert len(cost(day(0), day(0), "&filter=tag:env=a").result["costs"]) == 2
    assert cost(day(0), day(0), "&filter=tag:env=b").result["costs"] == []
    assert cost(day(0), day(0), "&filter=name:x").status == 400
