"""Who may do what: every operation as every system role, as nobody and as another organization, and custom roles."""
import hashlib
import json
import re
import uuid

import pytest

from api_role import TOP, ApiRole

PREFIX = "0b5e0000-0000-4000-8000-0000000000"
ROLES = {"01": "Admin", "02": "Billing", "03": "Org API reader", "04": "Member", "05": "Service admin",
         "06": "Service reader", "07": "Service API admin", "08": "Service API reader",
         "09": "Basic service API reader", "0a": "Developer", "0b": "Query endpoints"}
NOBODY = str(uuid.UUID(int=5))

# Which roles may call which operation. Written here by hand and not read from openapi.json: a change of a permission
# there, or of a role in the program, must fail here.
ADMINS = {"01"}
LOOK_AT_ORGANIZATION = {"01", "02", "03", "04", "05", "06", "0a"}
LOOK_AT_BILLS = {"01", "02", "03"}
LOOK_AT_KEYS = {"01", "03"}
LOOK_AT_INFRASTRUCTURE = {"01", "03", "0a"}
LOOK_AT_SERVICES = {"01", "05", "06", "07", "08", "09", "0a"}
CHANGE_SERVICES = {"01", "05", "07"}
LOOK_INTO_SERVICES = LOOK_AT_SERVICES - {"09"}  # what the basic reader does not see
TABLE = {
    "organizationGetList": LOOK_AT_ORGANIZATION, "organizationGet": LOOK_AT_ORGANIZATION, "organizationUpdate": ADMINS,
    "organizationQuotasGetList": LOOK_AT_ORGANIZATION, "organizationQuotaGet": LOOK_AT_ORGANIZATION,
    "memberGetList": LOOK_AT_ORGANIZATION, "memberGet": LOOK_AT_ORGANIZATION, "memberUpdate": ADMINS, "memberDelete": ADMINS,
    "invitationGetList": LOOK_AT_ORGANIZATION, "invitationGet": LOOK_AT_ORGANIZATION,
    "invitationCreate": ADMINS, "invitationDelete": ADMINS,
    "usageCostGet": LOOK_AT_BILLS,
    "organizationRolesGetList": LOOK_AT_ORGANIZATION, "organizationRoleGet": LOOK_AT_ORGANIZATION,
    "organizationRolePost": ADMINS, "organizationRolePatch": ADMINS, "organizationRoleDelete": ADMINS,
    "activityGetList": LOOK_AT_ORGANIZATION, "activityGet": LOOK_AT_ORGANIZATION,
    "openapiKeyGetList": LOOK_AT_KEYS, "openapiKeyGet": LOOK_AT_KEYS,
    "openapiKeyCreate": ADMINS, "openapiKeyUpdate": ADMINS, "openapiKeyDelete": ADMINS,
    "instanceGetList": LOOK_AT_SERVICES, "instanceGet": LOOK_AT_SERVICES,
    "instanceCreate": CHANGE_SERVICES, "instanceUpdate": CHANGE_SERVICES, "instanceDelete": CHANGE_SERVICES,
    "instanceScalingUpdate": CHANGE_SERVICES, "instanceReplicaScalingUpdate": CHANGE_SERVICES,
    "scalingScheduleGet": LOOK_INTO_SERVICES, "scalingScheduleUpsert": CHANGE_SERVICES,
    "scalingScheduleDelete": CHANGE_SERVICES,
    "instancePrometheusGet": LOOK_AT_SERVICES, "organizationPrometheusGet": LOOK_AT_SERVICES,
    "serviceClickhouseSettingsListGet": LOOK_AT_SERVICES, "serviceClickhouseSettingsSchemaGet": LOOK_AT_SERVICES,
    "serviceClickhouseSettingGet": LOOK_AT_SERVICES, "serviceClickhouseSettingsUpdate": CHANGE_SERVICES,
    "serviceClickhouseSettingDelete": CHANGE_SERVICES,
    "organizationPrivateEndpointConfigGetList": LOOK_AT_ORGANIZATION,
    "instancePrivateEndpointConfigGet": LOOK_INTO_SERVICES, "instancePrivateEndpointCreate": CHANGE_SERVICES,
    "instanceQueryEndpointGet": LOOK_INTO_SERVICES, "instanceQueryEndpointUpsert": CHANGE_SERVICES,
    "instanceQueryEndpointDelete": CHANGE_SERVICES,
    "backupGetList": LOOK_INTO_SERVICES, "backupGet": LOOK_INTO_SERVICES, "backupCreate": CHANGE_SERVICES,
    "backupConfigurationGet": LOOK_INTO_SERVICES, "backupConfigurationUpdate": CHANGE_SERVICES,
    "backupBucketGet": LOOK_INTO_SERVICES, "backupBucketCreate": CHANGE_SERVICES, "backupBucketUpdate": CHANGE_SERVICES,
    "backupBucketDelete": CHANGE_SERVICES,
    "upgradeWindowGet": LOOK_AT_SERVICES, "upgradeWindowUpdate": CHANGE_SERVICES, "upgradeWindowDelete": CHANGE_SERVICES,
    "instanceStateUpdate": CHANGE_SERVICES, "instancePasswordUpdate": CHANGE_SERVICES,
    "organizationByocInfrastructureCreate": ADMINS, "organizationByocInfrastructureUpdate": ADMINS,
    "organizationByocInfrastructureDelete": ADMINS, "organizationByocInfrastructureGet": LOOK_AT_ORGANIZATION,
    "accountGetList": LOOK_AT_INFRASTRUCTURE, "accountGet": LOOK_AT_INFRASTRUCTURE,
    "accountArtefactGet": LOOK_AT_INFRASTRUCTURE, "accountCheckCreate": ADMINS, "accountCheckGet": LOOK_AT_INFRASTRUCTURE, "accountCreate": ADMINS, "accountDelete": ADMINS,
    "infrastructureGetList": LOOK_AT_INFRASTRUCTURE, "infrastructureGet": LOOK_AT_INFRASTRUCTURE,
    "infrastructureEnrolmentGet": LOOK_AT_INFRASTRUCTURE, "planRequest": ADMINS,
    "removalReportGet": LOOK_AT_INFRASTRUCTURE, "driftGetList": LOOK_AT_INFRASTRUCTURE, "driftCheck": ADMINS, "driftDecide": ADMINS,
    "planGetList": LOOK_AT_INFRASTRUCTURE, "planGet": LOOK_AT_INFRASTRUCTURE, "planApprove": ADMINS,
    "planDiscard": ADMINS, "agentGetList": LOOK_AT_INFRASTRUCTURE, "agentGet": LOOK_AT_INFRASTRUCTURE,
    "eventsGet": LOOK_AT_ORGANIZATION,
    "accessGrantGetList": LOOK_AT_INFRASTRUCTURE, "accessGrantGet": LOOK_AT_INFRASTRUCTURE,
    "accessGrantCreate": ADMINS, "accessGrantRevoke": ADMINS,
    "requestGetList": LOOK_AT_INFRASTRUCTURE, "requestGet": LOOK_AT_INFRASTRUCTURE, "requestCreate": ADMINS,
    "requestApprove": ADMINS, "preapprovalCreate": ADMINS, "consentGet": LOOK_AT_INFRASTRUCTURE,
}
# For people who are signed in, whatever their roles; never for keys.
PERSONAL = {"sessionGet", "sessionDelete", "sessionGetList", "sessionDeleteOthers", "sessionRevoke", "profileGet",
            "profileUpdate", "profilePasswordUpdate", "totpEnrol", "totpConfirm", "totpDisable", "recoveryCodesCreate"}
TABLE.update((name, set()) for name in PERSONAL)


@pytest.fixture(scope="module")
def api():
    role = ApiRole()
    yield role
    role.close()


@pytest.fixture(scope="module")
def services(api):
    infra = api.infrastructure("laptop", 20000, ready=True)
    api.enrol_agent(infra["id"])
    return [api.call("POST", "/services", {"name": name, "provider": "local", "region": "local"}).result["service"]["id"]
            for name in ("one", "two")]


def operations():
    for path, item in json.loads((TOP / "api/openapi.json").read_text())["paths"].items():
        for method, op in item.items():
            if op.get("security") != []:
                yield op["operationId"], method.upper(), path


def fill(path, organization):
    return re.sub(r"\{\w+\}", NOBODY, path.replace("{organizationId}", organization))


def test_the_table_has_every_operation():
    assert {op for op, _, _ in operations()} == set(TABLE)


@pytest.mark.parametrize("role", ROLES)
def test_every_operation_as_every_system_role(api, role):
    key, pair = api.new_key([PREFIX + role], name=ROLES[role])
    assert key["assignedRoles"] == [{"roleId": PREFIX + role, "roleName": ROLES[role], "roleType": "system"}]
    for op, method, path in operations():
        answer = api.call(method, fill(path, api.organization), key=pair)
        assert (answer.status != 403) == (role in TABLE[op]) and answer.status not in (401, 500), (op, answer.json)


def test_every_operation_as_nobody(api):
    for op, method, path in operations():
        assert api.call(method, fill(path, api.organization), key=False).status == 401, op


def test_every_operation_as_another_organization(api):
    other = str(uuid.uuid4())
    api.sql("INSERT INTO organization (id, name, created_at) VALUES (?, 'other', 1)", other)
    api.sql("INSERT INTO api_key (id, key_id_hash, organization_id, name, secret_hash, suffix, state, roles, "
            "ip_access_list, created_at) VALUES (?, ?, ?, 'k', ?, 'kkkk', 'enabled', ?, ?, 1)", str(uuid.uuid4()),
            hashlib.sha256(b"other").hexdigest(), other, hashlib.sha256(b"secret").hexdigest(),
            json.dumps([PREFIX + "01"]), '[{"source":"anywhere"}]')
    for op, method, path in operations():
        if "{" in path and op not in PERSONAL:
            theirs = api.call(method, fill(path, api.organization), key=("other", "secret"))
            missing = api.call(method, fill(path, NOBODY), key=("other", "secret"))
            assert theirs.status == missing.status == 404 and theirs.error == missing.error, op
    role = make(api, "theirs", [policy("ALLOW", ["control-plane:organization:view"], ["organization/*"])])
    for method in ("GET", "PATCH", "DELETE"):
        answer = api.call(method, f"/v1/organizations/{other}/roles/{role['id']}", method == "PATCH" and {"name": "y"} or None,
                          key=("other", "secret"))
        assert answer.status == 404 and answer.error == "there is no such role"
    refused = api.call("POST", f"/v1/organizations/{other}/keys", {"name": "x", "assignedRoleIds": [role["id"]]},
                       key=("other", "secret"))
    assert refused.error == "assignedRoleIds[0]: there is no such role"
    assert role["id"] not in str(api.call("GET", f"/v1/organizations/{other}/roles", key=("other", "secret")).result)


def policy(kind, permissions, resources, **more):
    return {"allowDeny": kind, "permissions": permissions, "resources": resources, **more}


def make(api, name, policies, actors=()):
    return api.call("POST", "/roles", {"name": name, "actors": list(actors), "policies": policies}).result


def types_of(api):
    return [a["type"] for a in api.call("GET", "/activities").result]


def test_system_roles(api):
    roles = {r["id"]: r for r in api.call("GET", "/roles").result if r["type"] == "system"}
    assert {i[-2:]: r["name"] for i, r in roles.items()} == ROLES
    billing = roles[PREFIX + "02"]
    assert billing == api.call("GET", f"/roles/{PREFIX}02").result
    assert set(billing["policies"][0]["permissions"]) == {"control-plane:organization:view-billing",
        "control-plane:organization:view", "control-plane:organization:manage-billing"}
    assert roles[PREFIX + "0b"]["policies"] == [] and billing["tenantId"] == "organization/" + api.organization
    path = f"/roles/{PREFIX}02"
    assert api.call("PATCH", path, {"name": "x"}).error.startswith("name: of a system role")
    assert api.call("PATCH", path, {"policies": []}).error.startswith("policies: of a system role")
    assert api.call("DELETE", path).error == "roleId: a system role cannot be deleted"
    key, pair = api.new_key([PREFIX + "0b"], name="actor")
    actors = billing["actors"] + ["apiKey/" + key["id"]]
    assert sorted(api.call("PATCH", path, {"actors": actors}).result["actors"]) == sorted(actors)
    assert api.call("GET", "", key=pair).status == 200
    api.call("PATCH", path, {"actors": billing["actors"]}).result
    assert api.call("GET", "", key=pair).status == 403
    assert "must keep a member with the role Admin" in api.call("PATCH", f"/roles/{PREFIX}01", {"actors": []}).error
    assert api.call("GET", "").status == 200  # the refused change took nothing from the keys either


def test_life_of_a_custom_role(api):
    key, pair = api.new_key([PREFIX + "0b"], name="custom")
    actor = "apiKey/" + key["id"]
    tags = {"grants": ["db"], "roleV2": "sql-console-readonly"}
    role = make(api, "Looks", [policy("ALLOW", ["control-plane:organization:view"], ["organization/*"], tags=tags)], [actor])
    assert role["type"] == "custom" and role["actors"] == [actor] and role["policies"][0]["tags"] == tags
    assert role["policies"][0]["roleId"] == role["id"] and role["ownerId"] == "organization/" + api.organization
    assert role in api.call("GET", "/roles").result and types_of(api)[:2] == ["openapi_key_update", "role_create"]
    assert api.call("GET", "/activities", key=pair).status == 200 and api.call("GET", "/keys", key=pair).status == 403
    assigned = api.call("GET", "/keys/" + key["id"]).result["assignedRoles"]
    assert {"roleId": role["id"], "roleName": "Looks", "roleType": "custom"} in assigned
    path = "/roles/" + role["id"]
    changed = api.call("PATCH", path, {"name": "Looks at keys", "policies": [
        policy("ALLOW", ["control-plane:organization:view-api-keys"], ["organization/" + api.organization])]}).result
    assert changed["name"] == "Looks at keys" and changed["actors"] == [actor] and types_of(api)[0] == "role_update"
    assert api.call("GET", "/activities", key=pair).status == 403 and api.call("GET", "/keys", key=pair).status == 200
    before = len(types_of(api))
    assert api.call("PATCH", path, {"name": "x", "actors": ["user/" + NOBODY]}).error == \
        f"actors: there is no member {NOBODY}"
    assert api.call("GET", path).result["name"] == "Looks at keys" and len(types_of(api)) == before
    assert api.call("DELETE", path).status == 200 and types_of(api)[0] == "role_delete"
    assert api.call("GET", path).status == 404 and api.call("GET", "/keys", key=pair).status == 403


@pytest.mark.parametrize("body, sentence", [
    ({"name": "admin"}, "name: a system role has this name"),
    ({"name": "twin"}, "name: there is a role with this name already"),
    ({"actors": ["nobody"]}, "actors[0]: must be user/UUID or apiKey/UUID"),
    ({"actors": ["apiKey/" + NOBODY]}, "actors: there is no API key"),
    ({"policies": [policy("ALLOW", ["control-plane:service:fly"], ["instance/*"])]},
     "policies[0].permissions[0]: there is no such permission"),
    ({"policies": [policy("ALLOW", ["control-plane:service:view"], ["organization/" + NOBODY])]},
     "policies[0].resources[0]: there is no such organization"),
    ({"policies": [policy("ALLOW", ["control-plane:service:view"], ["*"])]}, "policies[0].resources[0]: must be"),
    ({"policies": [policy("MAYBE", ["control-plane:service:view"], ["instance/*"])]}, "policies[0].allowDeny"),
    ({"policies": [policy("ALLOW", [], ["instance/*"])]}, "policies[0].permissions"),
])
def test_roles_that_are_refused(api, body, sentence):
    if not any(r["name"] == "twin" for r in api.call("GET", "/roles").result):
        make(api, "twin", [])
    answer = api.call("POST", "/roles", {"name": "new", "actors": [], "policies": [], **body})
    assert answer.status == 400 and answer.error.startswith(sentence), answer.json


def test_policies_of_single_services_and_denials(api, services):
    one, two = services
    def status(pair, method, service, body=None):
        return api.call(method, f"/services/{service}", body, key=pair).status
    view, manage = "control-plane:service:view", "control-plane:service:manage"
    only_one = make(api, "only one", [policy("ALLOW", [view, manage], [f"instance/{one}"])])
    _, pair = api.new_key([only_one["id"]], name="one")
    assert (status(pair, "GET", one), status(pair, "GET", two), status(pair, "GET", NOBODY)) == (200, 403, 403)
    assert (status(pair, "PATCH", one, {}), status(pair, "PATCH", two, {})) == (200, 403)
    assert [s["id"] for s in api.call("GET", "/services", key=pair).result] == [one]
    create = {"name": "three", "provider": "local", "region": "local"}
    assert api.call("POST", "/services", create, key=pair).status == 403
    not_one = make(api, "not one", [policy("DENY", [view], [f"instance/{one}"]),
                                    policy("DENY", ["control-plane:organization:manage"], ["organization/*"])])
    denied, pair = api.new_key([PREFIX + "01", not_one["id"]], name="all but one")
    assert (status(pair, "GET", one), status(pair, "GET", two), status(pair, "PATCH", one, {})) == (403, 200, 200)
    assert [s["id"] for s in api.call("GET", "/services", key=pair).result] == [two]
    assert api.call("PATCH", "", {}, key=pair).status == 403
    none = make(api, "none", [policy("DENY", [view], ["instance/*"])])
    _, pair = api.new_key([PREFIX + "05", none["id"]], name="none")
    assert api.call("GET", "/services", key=pair).status == 403 and status(pair, "PATCH", one, {}) == 200
    assert api.call("DELETE", "/roles/" + not_one["id"]).error.startswith("roleId: the role denies")
    assert api.call("PATCH", "/roles/" + not_one["id"], {"actors": []}).result["actors"] == []
    assert api.call("DELETE", "/roles/" + not_one["id"]).status == 200


def test_nobody_hands_on_more_than_they_have(api):
    keys = ["control-plane:organization:create-api-keys", "control-plane:organization:update-api-keys"]
    maker = make(api, "makes keys", [policy("ALLOW", keys, ["organization/*"])])
    limit = make(api, "limit", [policy("DENY", ["control-plane:service:view"], ["instance/*"])])
    mine, pair = api.new_key([maker["id"], limit["id"]], name="maker")
    def create(*roles, **more):
        body = {"name": "k", "assignedRoleIds": list(roles)} if roles else {"name": "k", **more}
        return api.call("POST", "/keys", body, key=pair)
    assert create(PREFIX + "01").status == create(maker["id"]).status == create(roles=["admin"]).status == 403
    assert create(limit["id"], maker["id"]).status == 200
    assert api.call("PATCH", "/keys/" + mine["id"], {"assignedRoleIds": [PREFIX + "01"]}, key=pair).status == 403
    assert api.call("PATCH", "/keys/" + mine["id"], {"name": "renamed"}, key=pair).status == 200


def test_members(api):
    admin = api.call("GET", "/members").result[0]
    assert admin["email"] == "admin@ownhouse.localhost" and admin["role"] == "admin"
    assert [r["roleName"] for r in admin["assignedRoles"]] == ["Admin"]
    user, path = str(uuid.uuid4()), f"/members/{admin['userId']}"
    api.sql("INSERT INTO user (id, email, name, password_hash, created_at) VALUES (?, 'two@example.org', 'Two', 'x', 1)", user)
    assert api.call("GET", f"/members/{user}").status == 404  # a user, but not of this organization
    assert api.call("PATCH", f"/members/{user}", {"role": "admin"}).status == 404
    assert api.call("DELETE", f"/members/{user}").status == 404
    for refused in (api.call("PATCH", path, {"assignedRoleIds": [PREFIX + "04"]}), api.call("DELETE", path)):
        assert refused.status == 400 and "must keep a member with the role Admin" in refused.error
    assert api.call("GET", path).result == admin
    api.sql("INSERT INTO member (organization_id, user_id, roles, joined_at) VALUES (?, ?, ?, 2)", api.organization,
            user, json.dumps([PREFIX + "04"]))
    role = make(api, "of members", [])
    changed = api.call("PATCH", f"/members/{user}", {"assignedRoleIds": [role["id"], PREFIX + "02"]}).result
    assert [r["roleName"] for r in changed["assignedRoles"]] == ["of members", "Billing"] and changed["role"] == "developer"
    assert types_of(api)[0] == "organization_member_update_roles"
    assert api.call("GET", f"/roles/{role['id']}").result["actors"] == ["user/" + user]
    assert api.call("PATCH", f"/members/{user}", {"assignedRoleIds": []}).result["assignedRoles"] == []
    assert "must keep a member" in api.call("PATCH", path, {"assignedRoleIds": []}).error
    assert api.call("PATCH", f"/members/{user}", {"assignedRoleIds": [NOBODY]}).error.startswith("assignedRoleIds[0]")
    assert api.call("PATCH", f"/members/{user}", {"role": "admin"}).result["role"] == "admin"
    assert api.call("DELETE", f"/members/{user}").status == 200
    assert types_of(api)[0] == "organization_member_delete" and api.call("GET", "/members").result == [admin]


def test_invitations(api):
    body = {"email": "New@Example.org", "assignedRoleIds": [PREFIX + "04"]}
    made = api.call("POST", "/invitations", body, headers={"Idempotency-Key": "one"}).result
    own = made.pop("ownhouse")
    token = own["link"].split("#")[1]
    assert own["link"].startswith("https://localhost:8443/") and "no e-mail is sent" in own["notice"]
    assert made["email"] == "new@example.org" and made["assignedRoles"][0]["roleName"] == "Member"
    assert api.call("POST", "/invitations", body, headers={"Idempotency-Key": "one"}).result == made
    assert api.call("GET", "/invitations").result == [made]
    path = "/invitations/" + made["id"]
    assert api.call("GET", path).result == made and types_of(api)[0] == "organization_invite_create"
    for file in api.folder.rglob("*"):  # only its hash is kept
        assert not file.is_file() or token.encode() not in file.read_bytes(), file
    assert api.sql("SELECT token_hash FROM invitation") == [(hashlib.sha256(token.encode()).hexdigest(),)]
    assert api.call("POST", "/invitations", body).error.startswith("email: is invited already")
    member = {"email": "admin@ownhouse.localhost", "role": "admin"}
    assert api.call("POST", "/invitations", member).error == "email: is a member already"
    assert api.call("POST", "/invitations", {"email": "x@example.org"}).error.startswith("assignedRoleIds: is required")
    assert api.call("POST", "/invitations", {"email": "nobody", "role": "admin"}).error.startswith("email: must be")
    assert api.call("POST", "/invitations", {**body, "role": "admin"}).status == 400
    api.sql("UPDATE invitation SET expires_at = 1")
    assert api.call("GET", path).status == 404 and api.call("GET", "/invitations").result == []
    again = api.call("POST", "/invitations", body).result
    assert api.call("DELETE", "/invitations/" + again["id"]).status == 200
    assert types_of(api)[0] == "organization_invite_delete" and api.call("GET", "/invitations").result == []
    assert api.call("DELETE", "/invitations/" + again["id"]).status == 404
