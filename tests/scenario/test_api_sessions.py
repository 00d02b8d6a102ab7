"""The table of roles and operations (test_api_roles.py) once more, for people in sessions instead of keys: every operation as
every system role, as a member of nothing, as a member of another organization, and without the token of changes."""
import hashlib
import json
import time
import uuid

import pytest

from api_role import ApiRole
from test_api_roles import NOBODY, PERSONAL, PREFIX, ROLES, TABLE, fill, operations

ORIGIN = {"Host": "localhost:8443", "Origin": "https://localhost:8443"}


@pytest.fixture(scope="module")
def api():
    role = ApiRole()
    yield role
    role.close()


class Person:
    """A user whose sessions are made in the store, so that hundreds of calls need no argon2."""

    def __init__(self, api, organization=None, roles=()):
        self.api, self.id = api, str(uuid.uuid4())
        api.sql("INSERT INTO user (id, email, name, password_hash, created_at) VALUES (?, ?, 'P', '', 1)", self.id,
                f"{self.id[:8]}@example.org")
        if organization:
            api.sql("INSERT INTO member (organization_id, user_id, roles, joined_at) VALUES (?, ?, ?, 1)", organization,
                    self.id, json.dumps(list(roles)))

    def call(self, method, path, body=None, token=True, **headers):
        """In a fresh session each time: some operations end it."""
        secret, now = uuid.uuid4().hex + "a" * 11, int(time.time() * 1000)
        self.api.sql("INSERT INTO session (id, token_hash, user_id, method, second_factor, address, user_agent, created_at, "
                     "seen_at, expires_at) VALUES (?, ?, ?, 'password', 0, '', '', ?, ?, ?)", str(uuid.uuid4()),
                     hashlib.sha256(secret.encode()).hexdigest(), self.id, now, now, now + 60000)
        headers = {"Cookie": f"__Host-ownhouse-session={secret}", **ORIGIN, **headers}
        if token:
            headers["X-OwnHouse-CSRF"] = hashlib.sha256(f"ownhouse csrf {secret}".encode()).hexdigest()
        return self.api.call(method, path, body, key=False, headers=headers)


@pytest.mark.parametrize("role", ROLES)
def test_every_operation_as_every_system_role(api, role):
    person = Person(api, api.organization, [PREFIX + role])
    for op, method, path in operations():
        answer = person.call(method, fill(path, api.organization))
        assert answer.status not in (401, 500), (op, answer.json)
        if op == "organizationGetList":  # a person may have several: those where they may look
            assert answer.status == 200 and bool(answer.result) == (role in TABLE[op])
        else:
            assert (answer.status != 403) == (op in PERSONAL or role in TABLE[op]), (op, answer.json)


def test_every_operation_as_a_member_of_nothing_and_of_another_organization(api):
    other = str(uuid.uuid4())
    api.sql("INSERT INTO organization (id, name, created_at) VALUES (?, 'other', 1)", other)
    for person in (Person(api), Person(api, other, [PREFIX + "01"])):
        for op, method, path in operations():
            if "{organizationId}" in path:
                theirs = person.call(method, fill(path, api.organization))
                missing = person.call(method, fill(path, NOBODY))
                assert theirs.status == missing.status == 404 and theirs.error == missing.error, op
            elif op == "organizationGetList":
                assert [o["id"] for o in person.call(method, path).result] in ([], [other])


def test_no_change_without_the_token(api):
    admin = Person(api, api.organization, [PREFIX + "01"])
    for op, method, path in operations():
        if method == "GET":
            assert admin.call(method, fill(path, api.organization), token=False).status != 403, op
            continue
        for answer in (admin.call(method, fill(path, api.organization), token=False),
                       admin.call(method, fill(path, api.organization), Origin="https://evil.example"),
                       admin.call(method, fill(path, api.organization), **{"Sec-Fetch-Site": "cross-site", "Origin": "null"})):
            assert answer.status == 403 and answer.error.startswith(("Origin: ", "X-OwnHouse-CSRF: ")), (op, answer.json)


def test_a_key_in_the_header_is_who_asks(api):
    person = Person(api, api.organization, [PREFIX + "04"])
    secret = "b" * 43
    now = int(time.time() * 1000)
    api.sql("INSERT INTO session (id, token_hash, user_id, method, second_factor, address, user_agent, created_at, seen_at, "
            "expires_at) VALUES (?, ?, ?, 'password', 0, '', '', ?, ?, ?)", str(uuid.uuid4()),
            hashlib.sha256(secret.encode()).hexdigest(), person.id, now, now, now + 60000)
    cookie = {"Cookie": f"__Host-ownhouse-session={secret}"}
    assert api.call("GET", "/keys", key=False, headers=cookie).status == 403
    assert api.call("GET", "/keys", headers=cookie).status == 200
    assert api.call("GET", "/keys", key=("wrong", "wrong"), headers=cookie).status == 401  # no falling back to the cookie
    assert api.call("GET", "/v1/session", headers=cookie).error == "this is for people who are signed in, not for API keys"


def test_a_custom_role_counts_in_sessions(api):
    role = api.call("POST", "/roles", {"name": "no keys", "actors": [], "policies": [
        {"allowDeny": "DENY", "permissions": ["control-plane:organization:view-api-keys"], "resources": ["organization/*"]}]}).result
    admin = Person(api, api.organization, [PREFIX + "01", role["id"]])
    assert admin.call("GET", "/keys").status == 403 and admin.call("GET", "/members").status == 200
    mine = admin.call("GET", "/v1/session").result["organizations"][0]
    assert "control-plane:organization:view-api-keys" not in mine["permissions"]
    assert "control-plane:organization:manage" in mine["permissions"]
    assert {r["roleName"] for r in mine["assignedRoles"]} == {"Admin", "no keys"}
