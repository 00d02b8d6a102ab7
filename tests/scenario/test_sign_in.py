"""People signing in, through the real front: set-up link, sessions, forged requests, authenticators, throttling, invitations."""
import re
import threading
import time
import uuid

import pytest

from full_system import wait_until
from identity_parts import PASSWORD, Browser, ControlPlane, totp

SESSION, DEVICE = "__Host-ownhouse-session", "__Host-ownhouse-device"
ADMIN = "admin@example.org"
WRONG = "the e-mail address, the password or the code is wrong"


@pytest.fixture(scope="module")
def control():
    one = ControlPlane()
    token = one.set_up_link().split("#")[1]
    Browser(one).post("/v1/setUp", token=token, email=ADMIN, name="Ada", password=PASSWORD).result
    yield one
    one.close()


@pytest.fixture
def browser(control):
    one = Browser(control)
    one.sign_in(ADMIN).result
    return one


def new_member(control, role="developer"):
    """Somebody invited and accepted: (address, browser)."""
    email = f"{uuid.uuid4().hex[:8]}@example.org"
    link = control.key("POST", "/invitations", {"email": email, "role": role})["ownhouse"]["link"]
    one = Browser(control)
    one.post("/v1/invitation/accept", token=link.split("#")[1], name="Guest", password=PASSWORD).result
    return email, one


def test_first_run():
    control = ControlPlane()
    try:
        link = control.set_up_link("--first")
        assert re.fullmatch(rf"https://localhost:{control.port}/set-up#[0-9A-Za-z]{{43}}", link)
        older, token = link.split("#")[1], control.set_up_link().split("#")[1]
        one = Browser(control)
        assert one.post("/v1/setUp", token=older, password=PASSWORD).error.startswith("token: the link is used up")
        for easy in ("short", "aaaaaaaaaaaaaaa", "Admin@Ownhouse.localhost"):
            assert one.post("/v1/setUp", token=token, password=easy).error.startswith("password: ")
        answer = one.post("/v1/setUp", token=token, email="Ada@Example.org", name="Ada", password=PASSWORD).result
        assert answer["state"] == "signed-in" and answer["signedIn"]["profile"]["email"] == "ada@example.org"
        assert answer["signedIn"]["organizations"][0]["assignedRoles"][0]["roleName"] == "Admin"
        assert one.post("/v1/setUp", token=token, password=PASSWORD).status == 400  # once
        assert control.set_up_link("--first") == ""
        first = control.credentials
        assert Browser(control).sign_in(first["email"], first["password"]).status == 401
        assert Browser(control).sign_in("ada@example.org").status == 200
        for secret in (token, PASSWORD, one.cookies[SESSION], one.cookies[DEVICE]):
            for file in control.folder.rglob("*"):
                assert not file.is_file() or secret.encode() not in file.read_bytes(), file
    finally:
        control.close()


def test_cookies_are_locked_up(control):
    one = Browser(control)
    one.sign_in(ADMIN).result
    assert len(one.set_cookies) == 2
    for line in one.set_cookies:
        parts = {p.strip().lower() for p in line.split(";")[1:]}
        assert line.startswith("__Host-") and {"path=/", "secure", "httponly", "samesite=strict"} <= parts, line
        assert not any(p.startswith("domain") for p in parts)


def test_a_session_has_its_members_rights(control, browser):
    assert browser.get("").result["id"] == control.organization
    assert [o["id"] for o in browser.get("/v1/organizations").result] == [control.organization]
    assert browser.call("PATCH", "", {"name": "By session"}).result["name"] == "By session"
    assert control.activities()[0] == ("organization_update_name", "", ADMIN)
    email, guest = new_member(control)
    assert guest.get("").status == 200 and guest.call("PATCH", "", {"name": "x"}).status == 403
    assert guest.get(f"/v1/organizations/{uuid.uuid4()}").error == "there is no such organization"
    user = guest.get("/v1/profile").result["id"]
    browser.call("PATCH", f"/members/{user}", {"role": "admin"}).result
    assert guest.call("PATCH", "", {"name": "By session"}).status == 200  # rights are looked up each time
    browser.call("DELETE", f"/members/{user}").result
    assert guest.get("").status == 404 and guest.signed_in and guest.get("/v1/organizations").result == []


def test_forged_changes_are_refused(control, browser):
    body, own = {"name": "forged"}, control.origin
    for headers in ({}, {"Origin": own}, {"X-OwnHouse-CSRF": browser.csrf}, {"Origin": own, "X-OwnHouse-CSRF": "0" * 64},
                    {"Origin": "https://evil.example", "X-OwnHouse-CSRF": browser.csrf},
                    {"Origin": "null", "X-OwnHouse-CSRF": browser.csrf},
                    {"Origin": f"http://localhost:{control.port}", "X-OwnHouse-CSRF": browser.csrf},
                    {"Origin": own + ".evil.example", "X-OwnHouse-CSRF": browser.csrf}):
        assert browser.call("PATCH", "", body, headers, bare=True).status == 403, headers
    assert browser.get("").result["name"] != "forged"
    other = Browser(control)
    other.sign_in(ADMIN).result
    assert browser.call("PATCH", "", body, {"X-OwnHouse-CSRF": other.csrf}).status == 403  # of another session
    assert Browser(control).call("POST", "/v1/session", {"email": ADMIN, "password": PASSWORD},
                                 {"Origin": "https://evil.example"}).status == 403
    assert browser.call("POST", "/v1/session", headers={"Content-Type": "text/plain"}).status in (400, 415)


def test_nobody_and_rubbish_are_nobody(control):
    one = Browser(control)
    answer = one.get("/v1/session")
    assert answer.status == 401 and answer.headers["WWW-Authenticate"].startswith("Basic")
    answer = one.call("GET", "/v1/session", headers={"Sec-Fetch-Site": "same-origin"})
    assert answer.headers["WWW-Authenticate"].startswith("Session")  # no window of the browser's own
    for value in ("", "x", "a" * 43, "a" * 5000, "%00"):
        one.cookies = {SESSION: value}
        assert one.get("/v1/session").status == 401, value


def test_sessions_are_listed_and_ended(control):
    email, one = new_member(control)
    two, three = Browser(control), Browser(control)
    two.sign_in(email).result
    three.sign_in(email).result
    listed = one.get("/v1/sessions").result
    assert len(listed) == 3 and [s["current"] for s in listed].count(True) == 1
    assert {s["ipAddress"] for s in listed} == {one.address, two.address, three.address} and {s["method"] for s in listed} == {"password", "invitation"}
    mine = next(s for s in two.get("/v1/sessions").result if s["current"])
    stranger = Browser(control)
    stranger.sign_in(ADMIN).result
    assert stranger.call("DELETE", f"/v1/sessions/{mine['id']}").status == 404 and two.signed_in
    assert one.call("DELETE", f"/v1/sessions/{mine['id']}").status == 200 and not two.signed_in
    assert one.call("DELETE", "/v1/sessions").status == 200 and not three.signed_in and one.signed_in
    old = dict(one.cookies)
    one.call("DELETE", "/v1/session").result
    assert SESSION not in one.cookies
    one.cookies = old
    assert not one.signed_in
    types = [t for t, _, who in control.activities() if who == email]
    assert types[:3] == ["user_logout", "user_session_revoke", "user_session_revoke"]


def test_signing_in_gives_another_cookie(control, browser):
    before = browser.cookies[SESSION]
    browser.sign_in(ADMIN).result
    old = Browser(control)
    old.cookies = {SESSION: before}
    assert browser.cookies[SESSION] != before and not old.signed_in and browser.signed_in


def test_a_password_is_changed(control):
    email, one = new_member(control)
    two = Browser(control)
    two.sign_in(email).result
    before = one.cookies[SESSION]
    refused = one.post("/v1/profile/password", currentPassword="wrong wrong wrong", newPassword="another four words")
    assert refused.status == 403 and refused.error == WRONG and one.signed_in
    one.post("/v1/profile/password", currentPassword=PASSWORD, newPassword="another four words").result
    assert one.cookies[SESSION] != before and one.signed_in and not two.signed_in
    assert one.call("PATCH", "/v1/profile", {"name": "New name"}).result["name"] == "New name"  # the new token counts
    assert Browser(control).sign_in(email).status == 401
    assert Browser(control).sign_in(email, "another four words").status == 200
    assert ("user_password_update", "", email) in control.activities()


def enrol(one):
    enrolment = one.post("/v1/profile/totp", password=PASSWORD).result
    assert enrolment["secret"] in enrolment["otpauthUri"] and enrolment["otpauthUri"].startswith("otpauth://totp/OwnHouse:")
    assert one.get("/v1/profile").result["totpEnabled"] is False  # until a code was seen
    wrong = "%06d" % ((int(totp(enrolment["secret"])) + 1) % 1000000)
    if wrong not in [totp(enrolment["secret"], s) for s in (-1, 0, 1, 2)]:
        assert one.post("/v1/profile/totp/confirm", totpCode=wrong).status == 400
    confirmed = one.post("/v1/profile/totp/confirm", totpCode=totp(enrolment["secret"])).result
    return enrolment["secret"], confirmed["recoveryCodes"]


def test_life_of_an_authenticator(control):
    email, one = new_member(control)
    other = Browser(control)
    other.sign_in(email).result
    secret, codes = enrol(one)
    assert len(set(codes)) == 10 and one.signed_in and not other.signed_in
    stored = control.sql("SELECT totp_sealed FROM user WHERE email = ?", email)[0][0]
    raw = __import__("base64").b32decode(secret)
    for file in control.folder.rglob("*"):  # neither form of it, nor the codes, in any file
        data = file.read_bytes() if file.is_file() else b""
        assert secret.encode() not in data and raw not in data and codes[0].encode() not in data, file
    assert secret not in stored
    two = Browser(control)
    assert two.sign_in(email).result == {"state": "code-needed"} and SESSION not in two.cookies
    assert two.sign_in(email, "wrong wrong wrong", totpCode=totp(secret, 1)).error == WRONG
    assert two.sign_in(email, totpCode=totp(secret, -1)).error == WRONG  # older than the one that confirmed
    code = totp(secret, 1)  # a clock may be a step ahead; one behind is too late here
    assert two.sign_in(email, totpCode=code).result["signedIn"]["session"]["secondFactor"] is True
    assert Browser(control).sign_in(email, totpCode=code).error == WRONG  # each counts once
    three = Browser(control)
    assert three.sign_in(email, recoveryCode=codes[0].upper().replace("-", " ")).status == 200
    assert three.get("/v1/profile").result["recoveryCodesLeft"] == 9
    assert Browser(control).sign_in(email, recoveryCode=codes[0]).status == 401
    assert three.post("/v1/profile/totp", password=PASSWORD).status == 409
    fresh = three.post("/v1/profile/recoveryCodes", password=PASSWORD, recoveryCode=codes[1]).result["recoveryCodes"]
    assert not set(fresh) & set(codes)
    assert three.post("/v1/profile/totp/disable", password=PASSWORD).error.startswith("totpCode: is required")
    assert three.post("/v1/profile/totp/disable", password=PASSWORD, recoveryCode=codes[2]).status == 403
    three.post("/v1/profile/totp/disable", password=PASSWORD, recoveryCode=fresh[0]).result
    assert three.get("/v1/profile").result["totpEnabled"] is False and Browser(control).sign_in(email).status == 200
    kinds = [d for t, d, who in control.activities() if t == "organization_member_update_mfa_method" and who == email]
    assert kinds == ["authenticator off", "new recovery codes", "authenticator on"]


def test_a_set_up_link_is_the_way_back(control):
    email, one = new_member(control)
    enrol(one)
    token = control.set_up_link("--email", email).split("#")[1]
    two = Browser(control)
    two.post("/v1/setUp", token=token, password="quite another password").result
    assert not one.signed_in and two.get("/v1/profile").result["totpEnabled"] is False
    assert Browser(control).sign_in(email, "quite another password").result["state"] == "signed-in"


def test_who_exists_cannot_be_told(control):
    email, _ = new_member(control)
    known, unknown = Browser(control).sign_in(email, "wrong"), Browser(control).sign_in("nobody@example.org", "wrong")
    assert (known.status, known.error) == (unknown.status, unknown.error) == (401, WRONG)
    assert sorted(known.headers.keys()) == sorted(unknown.headers.keys())
    failed = [a for a in control.activities() if a[0] == "user_login_failed"]
    assert ("user_login_failed", "wrong password", email) in failed
    assert not any("nobody" in who for _, _, who in failed)  # what was typed may be a password


def guess(one, email):
    """Guesses until it must wait eight seconds or more: how many guesses were looked at."""
    looked_at, deadline = 0, time.monotonic() + 120
    while time.monotonic() < deadline:
        answer = one.sign_in(email, "wrong")
        assert answer.status in (401, 429)
        looked_at += answer.status == 401
        if answer.status == 429 and int(answer.headers["Retry-After"]) >= 5:
            return looked_at
        time.sleep(0.1)
    raise AssertionError("never slowed")


def test_guessing_is_slowed_and_the_owner_gets_in(control):
    email, owner = new_member(control)
    stranger = Browser(control)
    looked_at = guess(stranger, email)
    refused = stranger.sign_in(email)  # the right password too: there is no telling while it waits
    assert refused.status == 429 and int(refused.headers["Retry-After"]) >= 1 and "try again in" in refused.error
    # The same for who is nobody.
    assert guess(Browser(control), "nobody-%s@example.org" % uuid.uuid4().hex[:6]) == looked_at == 9
    known = Browser(control)
    known.address = stranger.address
    known.cookies = {DEVICE: owner.cookies[DEVICE]}
    assert known.sign_in(email).status == 200
    wait_until("the delay passes", 60, lambda: stranger.sign_in(email).status == 200, every=0.5)


def test_the_front_stops_an_address_that_only_fails(control):
    one, other = Browser(control), Browser(control)
    answers = [one.post("/v1/invitation", token="x" * 43) for _ in range(140)]
    assert answers[-1].status == 429 and answers[-1].error.startswith("Too many requests from this address")
    assert one.get("/v1/signIn").status == 200  # what is no attempt goes on
    assert other.post("/v1/invitation", token="x" * 43).status == 404


def test_many_at_once_share_the_memory(control):
    email, _ = new_member(control)
    statuses = []

    def one():
        statuses.append(Browser(control).sign_in(email).status)
    threads = [threading.Thread(target=one) for _ in range(24)]
    [t.start() for t in threads]
    peak = 0
    while any(t.is_alive() for t in threads):
        peak = max(peak, api_memory(control))
        time.sleep(0.02)
    assert set(statuses) <= {200, 429, 503} and 200 in statuses
    assert peak < 64 * 1024 * 6, peak  # four threads hash at most, 64 MiB each, and what the role has anyway


def api_memory(control):
    """Resident KiB of the api role."""
    total = 0
    for pid in [int(p) for p in __import__("os").listdir("/proc") if p.isdigit()]:
        try:
            command = open(f"/proc/{pid}/cmdline").read()
            if "--role\0api" in command and str(control.config) in command:
                total += int(re.search(r"VmRSS:\s+(\d+)", open(f"/proc/{pid}/status").read())[1])
        except OSError:
            pass
    return total


def test_invitations_are_taken_up(control):
    email = f"{uuid.uuid4().hex[:8]}@example.org"
    made = control.key("POST", "/invitations", {"email": email.upper(), "role": "developer"})
    token, one = made["ownhouse"]["link"].split("#")[1], Browser(control)
    look = one.post("/v1/invitation", token=token).result
    assert look["email"] == email and look["hasAccount"] is False and look["expireAt"] == made["expireAt"]
    assert one.post("/v1/invitation", token="x" * 43).status == 404
    assert one.post("/v1/invitation/accept", token=token, password=PASSWORD).error.startswith("name: is required")
    assert one.post("/v1/invitation/accept", token=token, name="G", password="short").error.startswith("password: ")
    joined = one.post("/v1/invitation/accept", token=token, name="Grace", password=PASSWORD).result["signedIn"]
    assert joined["organizations"][0]["assignedRoles"][0]["roleName"] == "Developer" and joined["profile"]["name"] == "Grace"
    assert one.post("/v1/invitation/accept", token=token, name="G", password=PASSWORD).status == 404  # once
    assert ("organization_member_join", "", email) in control.activities()
    # Somebody who has an account already must prove that it is theirs.
    control.key("DELETE", f"/members/{joined['profile']['id']}")
    token = control.key("POST", "/invitations", {"email": email, "role": "admin"})["ownhouse"]["link"].split("#")[1]
    thief = Browser(control)
    assert thief.post("/v1/invitation", token=token).result["hasAccount"] is True
    assert thief.post("/v1/invitation/accept", token=token, name="T", password="a new password of mine").status == 401
    assert one.post("/v1/invitation/accept", token=token).result["signedIn"]["organizations"][0]["assignedRoles"][0][
        "roleName"] == "Admin"  # signed in: no password is asked for


def test_an_invitation_that_has_ended(control):
    email = f"{uuid.uuid4().hex[:8]}@example.org"
    made = control.key("POST", "/invitations", {"email": email, "role": "developer"})
    token = made["ownhouse"]["link"].split("#")[1]
    control.sql("UPDATE invitation SET expires_at = 1 WHERE id = ?", made["id"])
    assert Browser(control).post("/v1/invitation/accept", token=token, name="G", password=PASSWORD).status == 404
    assert control.sql("SELECT count(*) FROM user WHERE email = ?", email) == [(0,)]


def test_sessions_outlive_a_restart_and_end_by_age(control, browser):
    control.restart()
    assert browser.signed_in
    control.sql("UPDATE session SET expires_at = 1 WHERE id = ?", browser.get("/v1/session").result["session"]["id"])
    answer = browser.get("/v1/session")
    assert answer.status == 401 and answer.error == "the session has ended; sign in again"
