"""Signing in with an identity provider: the code flow against a real one (npm oidc-provider), end to end."""
import base64
import http.client
import json
import re
import ssl
import subprocess
import threading
import urllib.parse
import uuid

import pytest

from cryptography.hazmat.primitives.asymmetric import ec, rsa
from full_system import free_ports, wait_until
from identity_parts import PASSWORD, Browser, ControlPlane, certificate
from peers import PEERS, peer

SECRET = "client-secret-canary-0123456789abcdef"
PEOPLE = {
    "ada": {"email": "Ada@Example.org", "email_verified": True, "name": "Ada"},
    "bob": {"email": "bob@example.org", "email_verified": False, "name": "Bob"},
    "eve": {"email": "eve@example.org", "email_verified": True, "name": "Eve"},
    "mallory": {"email": "ada@example.org", "email_verified": True, "name": "Mallory"},
}


def number(n, size=None):
    return base64.urlsafe_b64encode(n.to_bytes(size or (n.bit_length() + 7) // 8, "big")).rstrip(b"=").decode()


def es256_key():
    kid = uuid.uuid4().hex
    k = ec.generate_private_key(ec.SECP256R1()).private_numbers()
    p = k.public_numbers
    return {"kty": "EC", "crv": "P-256", "alg": "ES256", "use": "sig", "kid": kid, "x": number(p.x, 32),
            "y": number(p.y, 32), "d": number(k.private_value, 32)}


def rs256_key():
    k = rsa.generate_private_key(65537, 2048).private_numbers()
    p = k.public_numbers
    return {"kty": "RSA", "alg": "RS256", "use": "sig", "kid": uuid.uuid4().hex, "n": number(p.n), "e": number(p.e),
            "d": number(k.d), "p": number(k.p), "q": number(k.q), "dp": number(k.dmp1), "dq": number(k.dmq1),
            "qi": number(k.iqmp)}


class Provider:
    def __init__(self, folder, redirect, keys):
        module = peer("oidc-provider")
        self.port = free_ports(1)
        self.certificate, key = certificate(folder)
        settings = {"clientId": "ownhouse", "clientSecret": SECRET, "redirectUri": redirect, "keys": keys, "claims": PEOPLE}
        self.process = subprocess.Popen(
            ["node", PEERS / "oidc-provider/provider.mjs", module, str(self.port), self.certificate, key],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        self.process.stdin.write(json.dumps(settings))
        self.process.stdin.close()
        said = self.process.stdout.readline()
        assert said == "ready\n", said + self.process.stderr.read()
        for stream in (self.process.stdout, self.process.stderr):  # it talks; nobody may wait for a full pipe
            threading.Thread(target=stream.read, daemon=True).start()

    @property
    def issuer(self):
        return f"https://localhost:{self.port}"

    def close(self):
        self.process.kill()
        self.process.wait()

    def visit(self, url, cookies, body=None):
        """One request of a person's browser to the provider: (status, location or text)."""
        parts = urllib.parse.urlsplit(url)
        connection = http.client.HTTPSConnection("localhost", self.port, timeout=30, context=ssl.create_default_context(
            cafile=str(self.certificate)))
        headers = {"Cookie": "; ".join(f"{k}={v}" for k, v in cookies.items())}
        if body:
            headers["Content-Type"] = "application/x-www-form-urlencoded"
        connection.request("POST" if body else "GET", parts.path + ("?" + parts.query if parts.query else ""),
                           body=body and urllib.parse.urlencode(body), headers=headers)
        response = connection.getresponse()
        text = response.read().decode()
        for line in response.headers.get_all("Set-Cookie") or []:
            name, value = line.split(";")[0].split("=", 1)
            cookies[name] = value
        connection.close()
        return response.status, response.headers.get("Location") or text

    def log_in(self, url, login, redirect):
        """Goes through the provider's pages as a person does; the parameters that it sends back."""
        cookies = {}
        for _ in range(12):
            status, answer = self.visit(url, cookies)
            while status in (302, 303):
                if answer.startswith(redirect):
                    return dict(urllib.parse.parse_qsl(urllib.parse.urlsplit(answer).query))
                url = urllib.parse.urljoin(url, answer)
                status, answer = self.visit(url, cookies)
            assert status == 200, answer
            action = urllib.parse.urljoin(url, re.search(r'action="([^"]+)"', answer)[1])
            prompt = re.search(r'name="prompt" value="(\w+)"', answer)[1]
            body = {"prompt": prompt, **({"login": login, "password": "x"} if prompt == "login" else {})}
            status, url = self.visit(action, cookies, body)
            assert status in (302, 303), url
            url = urllib.parse.urljoin(action, url)
        raise AssertionError("the provider does not come to an end")


@pytest.fixture(scope="module")
def parts(tmp_path_factory):
    folder = tmp_path_factory.mktemp("oidc")
    port = free_ports(1)
    redirect = f"https://localhost:{port}/oidc"
    provider = Provider(folder, redirect, [[es256_key()], [rs256_key()]])
    secret = folder / "secret"
    secret.write_text(SECRET)
    secret.chmod(0o600)
    try:
        control = ControlPlane(listen_port=port, oidc_issuer=provider.issuer, oidc_name="Example SSO", oidc_client_id="ownhouse",
                               oidc_client_secret_file=secret, oidc_ca_file=provider.certificate)
        control.redirect = redirect
        try:
            yield control, provider
        finally:
            control.close()
    finally:
        provider.close()


def begin(control, provider, login, one=None):
    one = one or Browser(control)
    url = one.post("/v1/session/oidc").result["url"]
    return one, provider.log_in(url, login, control.redirect)


def invite(control, email):
    return control.key("POST", "/invitations", {"email": email, "role": "developer"})["ownhouse"]["link"].split("#")[1]


def finish(one, back, **more):
    return one.post("/v1/session/oidc/finish", **{k: back[k] for k in ("code", "state", "iss") if k in back}, **more)


def test_whole_flow(parts):
    control, provider = parts
    assert Browser(control).get("/v1/signIn").result == {"password": True, "oidc": {"name": "Example SSO"}}
    one, back = begin(control, provider, "eve")
    refused = finish(one, back)
    assert refused.status == 403 and "ask for an invitation" in refused.error and not one.signed_in
    token = invite(control, "eve@example.org")
    one, back = begin(control, provider, "eve")
    signed_in = finish(one, back, invitation=token).result["signedIn"]
    profile = signed_in["profile"]
    assert signed_in["session"]["method"] == "oidc" and one.signed_in
    assert (profile["email"], profile["name"], profile["hasPassword"], profile["oidcLinked"]) == (
        "eve@example.org", "Eve", False, True)
    assert one.get("").status == 200 and one.call("PATCH", "/v1/profile", {"name": "Eve E."}).status == 200
    two, back = begin(control, provider, "eve")
    assert finish(two, back).result["signedIn"]["profile"]["id"] == profile["id"]
    assert Browser(control).sign_in("eve@example.org", "").status in (400, 401)  # there is no password
    types = [t for t, _, who in control.activities() if who == "eve@example.org"]
    assert types.count("user_login") == 2 and "organization_member_join" in types
    for file in control.folder.rglob("*"):
        assert not file.is_file() or SECRET.encode() not in file.read_bytes(), file


def test_an_account_is_found_by_an_address_that_is_vouched_for(parts):
    control, provider = parts
    one = Browser(control)
    one.post("/v1/invitation/accept", token=invite(control, "ada@example.org"), name="Ada", password=PASSWORD).result
    mine = one.get("/v1/profile").result["id"]
    two, back = begin(control, provider, "ada")
    assert finish(two, back).result["signedIn"]["profile"]["id"] == mine
    assert Browser(control).sign_in("ada@example.org").status == 200  # the password still counts
    three, back = begin(control, provider, "mallory")  # another person there, the same address
    assert finish(three, back).status == 403 and not three.signed_in
    Browser(control).post("/v1/invitation/accept", token=invite(control, "bob@example.org"), name="Bob",
                          password=PASSWORD).result
    four, back = begin(control, provider, "bob")  # nobody vouches for his address
    assert finish(four, back).status == 403 and not four.signed_in
    five, back = begin(control, provider, "eve")
    assert finish(five, back, invitation=invite(control, "other@example.org")).status == 403


def test_what_comes_back_must_belong_to_this_browser(parts):
    control, provider = parts
    one, back = begin(control, provider, "ada")
    stranger = Browser(control)
    assert finish(stranger, back).error.startswith("state: this browser did not start")
    stranger.post("/v1/session/oidc").result
    assert finish(stranger, back).error.startswith("state: is of another sign-in")
    assert finish(one, {**back, "state": "0" * 64}).error.startswith("state: is of another sign-in")
    assert finish(one, {**back, "iss": "https://evil.example"}).error.startswith("iss: ")
    assert finish(one, {**back, "code": "made up"}).status == 401
    other, theirs = begin(control, provider, "eve")
    stolen = finish(one, {**back, "code": theirs["code"]})  # another's code: PKCE binds it to their browser
    assert stolen.status == 401 and not one.signed_in
    one, back = begin(control, provider, "ada")
    assert finish(one, back).status == 200
    one.cookies = {k: v for k, v in one.cookies.items() if "session" not in k}
    assert finish(one, back).status in (400, 401) and not one.signed_in  # once


def test_new_keys_of_the_provider_are_taken_up(parts):
    control, provider = parts
    one, back = begin(control, provider, "ada")
    finish(one, back).result
    for _ in range(2):  # to RS256 and back to ES256
        provider.visit(f"{provider.issuer}/test/rotate", {})

        def works():
            two, again = begin(control, provider, "ada")
            return finish(two, again).status == 200
        wait_until("the new keys are taken up", 60, works, every=2)


def test_a_clock_that_is_off(parts):
    control, provider = parts
    try:
        for seconds, status in ((100, 200), (-100, 200), (400, 401)):
            provider.visit(f"{provider.issuer}/test/skew/{seconds}", {})
            one, back = begin(control, provider, "ada")
            answer = finish(one, back)
            assert answer.status == status, (seconds, answer.json)
        assert "clocks" in answer.error
    finally:
        provider.visit(f"{provider.issuer}/test/skew/0", {})


def test_a_provider_that_is_gone(parts):
    control, provider = parts
    one, back = begin(control, provider, "ada")
    provider.process.send_signal(19)  # stopped, not ended
    try:
        statuses = []
        thread = threading.Thread(target=lambda: statuses.append(finish(one, back).status))
        thread.start()
        assert Browser(control).get("/v1/signIn").status == 200  # nobody else waits
        thread.join(60)
        assert statuses == [503]
    finally:
        provider.process.send_signal(18)
