"""Query endpoints through the ingress: the published form with curl, and by the official command line. The control plane
configures them and never sees what is asked."""
import base64
import json
import subprocess

import pytest

from full_system import wait_until
from test_peer_clickhousectl import CommandLine

STANDS_FOR = "aws/us-east-1"
SAVED = "6a0fd5ac-24f5-4b9a-9b7e-0123456789ab"
CANARY = "canary-4a6f2d0c"


class Reply:
    def __init__(self, status, headers, text):
        self.status, self.headers, self.text = status, headers, text


def curl(system, path, *words, key=None, body=None):
    """One request to demo's host through the ingress, by curl, the certificate checked."""
    host = "demo.laptop.ownhouse.localhost"
    command = ["curl", "-sS", "--max-time", "40", "--cacert", str(system.customer / "ca.pem"), "-D", "/dev/stderr",
               "--resolve", f"{host}:{system.ingress_port}:127.0.0.1", *words]
    command += ["--user", ":".join(key)] if key else []
    command += ["-H", "Content-Type: application/json", "-d", body if isinstance(body, str) else json.dumps(body)] \
        if body is not None else []
    done = subprocess.run([*command, f"https://{host}:{system.ingress_port}{path}"], capture_output=True, text=True,
                          timeout=60)
    assert done.returncode == 0, done.stderr
    head = done.stderr.replace("\r", "").strip().split("\n\n")[-1].splitlines()
    headers = {n.lower(): v.strip() for n, v in (line.split(":", 1) for line in head[1:] if ":" in line)}
    return Reply(int(head[0].split()[1]), headers, done.stdout)


def call(system, method, path, body=None):
    status, answer = system.api(method, path, body)
    assert status == 200, answer
    return answer.get("result")


@pytest.fixture(scope="module")
def service(system):
    return next(s["id"] for s in call(system, "GET", "/services") if s["name"] == "demo")


@pytest.fixture(scope="module")
def key(system):
    """A key that may nothing in the control plane: (key id, secret, id of the key)."""
    made = call(system, "POST", "/keys", {"name": "pages", "assignedRoleIds": []})
    return made["keyId"], made["keySecret"], made["key"]["id"]


def serve(system, service, key, role="sql_console_admin", origins=""):
    call(system, "POST", f"/services/{service}/serviceQueryEndpoint",
         {"roles": [role], "openApiKeys": [key[2]], "allowedOrigins": origins})


def ask(system, service, key, sql="SELECT 1", path="", *words):
    return curl(system, f"/service/{service}/run{path}", *words, key=key[:2], body={"sql": sql})


@pytest.fixture(scope="module")
def endpoint(system, service, key):
    serve(system, service, key, origins="https://app.example.org, *.pages.example")
    wait_until("the endpoint", 30, lambda: ask(system, service, key).status == 200)
    wait_until("the place for saved queries", 30, lambda: system.query("SELECT * FROM query_endpoints.saved").status == 200)
    system.select("INSERT INTO query_endpoints.saved (id, name, query) VALUES ({id:UUID}, 'years', "
                  "'SELECT number AS n, {name:String} AS name FROM numbers({count:UInt64}) WHERE has({those:Array(UInt64)}, n)')",
                  param_id=SAVED)
    return service


def test_a_saved_query_with_its_variables(system, endpoint, key):
    text = "tab\there, back\\slash, 'quotes'\nand a line"
    body = {"queryVariables": {"count": 5, "name": text, "those": [1, 3, 9]}}
    reply = curl(system, f"/run/{SAVED}?format=JSONEachRow", "-H", "x-clickhouse-endpoint-version: 2", key=key[:2], body=body)
    assert reply.status == 200, reply.text
    assert [json.loads(line) for line in reply.text.splitlines()] == [{"n": 1, "name": text}, {"n": 3, "name": text}]
    other = curl(system, f"/.api/query-endpoints/{SAVED}/run", key=key[:2], body={**body, "format": "CSV"})
    assert other.status == 200 and other.text.startswith("1,")
    by_get = curl(system, f"/run/{SAVED}?format=TSV&param_count=2&param_name=x&param_those=%5B1%5D", key=key[:2])
    assert (by_get.status, by_get.text) == (200, "1\tx\n")
    missing = curl(system, f"/run/{SAVED}", key=key[:2], body={})
    assert missing.status != 200 and 'is not set' in missing.text  # the engine's own words
    unknown = curl(system, "/run/00000000-0000-4000-8000-000000000000", key=key[:2], body={})
    assert unknown.status == 404 and "no saved query" in json.loads(unknown.text)["error"]
    refused = curl(system, f"/run/{SAVED}", key=key[:2], body={"sql": "SELECT 1"})
    assert refused.status == 400 and json.loads(refused.text)["error"].startswith("sql:")


def test_statements_of_a_key(system, endpoint, key):
    assert ask(system, endpoint, key, "SELECT 6 * 7", "?format=TSV").text == "42\n"
    assert json.loads(ask(system, endpoint, key, "SELECT 6 * 7 AS n").text) == {"n": 42}
    assert ask(system, endpoint, key, "SELECT getSetting('max_threads')", "?format=TSV&max_threads=3").text == "3\n"
    slow = ask(system, endpoint, key, "SELECT sleepEachRow(1) FROM numbers(60) SETTINGS max_block_size = 1", "?request_timeout=1500")
    assert slow.status != 200 and "Timeout" in slow.text
    wrong = ask(system, endpoint, key, "SELEC")
    assert wrong.status == 400 and "Syntax error" in wrong.text
    other = ask(system, "00000000-0000-4000-8000-000000000000", key)
    assert other.status == 404 and endpoint in other.text
    assert curl(system, f"/service/{endpoint}/run", key=key[:2]).status == 405
    assert "JSON" in curl(system, f"/service/{endpoint}/run", key=key[:2], body="{").text
    old = ask(system, endpoint, key, "SELECT 1", "", "-H", "x-clickhouse-endpoint-version: 1")
    assert old.status == 400 and "version 2" in old.text
    assert "user:" in ask(system, endpoint, key, "SELECT 1", "?user=default").text


def test_who_may(system, endpoint, key):
    assert curl(system, f"/run/{SAVED}", body={}).status == 401
    assert curl(system, f"/run/{SAVED}", key=(key[0], "wrong"), body={}).status == 401
    assert curl(system, f"/run/{SAVED}", key=("default", system.password()), body={}).status == 401
    stranger = call(system, "POST", "/keys", {"name": "stranger", "roles": ["admin"]})
    assert ask(system, endpoint, (stranger["keyId"], stranger["keySecret"])).status == 401
    call(system, "DELETE", f"/keys/{stranger['key']['id']}")
    # The key opens nothing else: neither the engine's own interface nor the control plane.
    assert curl(system, "/?query=SELECT+1", key=key[:2]).status in (401, 403)


def test_pages_of_other_origins(system, endpoint, key):
    def page(origin, *words):
        return ask(system, endpoint, key, "SELECT 1", "", "-H", f"Origin: {origin}", *words)
    for origin in ("https://app.example.org", "https://a.pages.example"):
        reply = page(origin)
        assert reply.status == 200 and reply.headers["access-control-allow-origin"] == origin
        assert reply.headers["vary"] == "Origin"
        preflight = curl(system, f"/run/{SAVED}", "-X", "OPTIONS", "-H", f"Origin: {origin}", "-H",
                         "Access-Control-Request-Method: POST")
        assert preflight.status == 204 and preflight.headers["access-control-allow-origin"] == origin
        assert "Authorization" in preflight.headers["access-control-allow-headers"]
    for origin in ("https://pages.example", "http://app.example.org", "https://app.example.org.evil.example", "null"):
        reply = page(origin)
        assert reply.status == 403 and "access-control-allow-origin" not in reply.headers, origin


def test_changes_are_in_force_soon(system, endpoint, key):
    call(system, "PATCH", f"/keys/{key[2]}", {"ipAccessList": [{"source": "192.0.2.0/24"}]})
    wait_until("the key's access list", 30, lambda: ask(system, endpoint, key).status == 403)
    call(system, "PATCH", f"/keys/{key[2]}", {"ipAccessList": [{"source": "127.0.0.0/8"}]})
    wait_until("the access list with us", 30, lambda: ask(system, endpoint, key).status == 200)
    call(system, "PATCH", f"/keys/{key[2]}", {"state": "disabled"})
    wait_until("the disabled key", 30, lambda: ask(system, endpoint, key).status == 401)
    call(system, "PATCH", f"/keys/{key[2]}", {"state": "enabled"})
    wait_until("the enabled key", 30, lambda: ask(system, endpoint, key).status == 200)

    serve(system, endpoint, key, role="sql_console_read_only")
    wait_until("the role that reads", 30,
               lambda: ask(system, endpoint, key, "CREATE TABLE IF NOT EXISTS default.q (n Int8) ORDER BY n").status != 200)
    assert ask(system, endpoint, key, "SELECT 1", "?readonly=0").status == 200
    denied = ask(system, endpoint, key, "INSERT INTO query_endpoints.saved (query) VALUES ('SELECT 1')", "?readonly=0")
    assert denied.status != 200 and "readonly" in denied.text

    call(system, "DELETE", f"/services/{endpoint}/serviceQueryEndpoint")
    wait_until("no endpoint", 30, lambda: ask(system, endpoint, key).status == 404)
    serve(system, endpoint, key, origins="https://app.example.org, *.pages.example")
    wait_until("the endpoint again", 30, lambda: ask(system, endpoint, key).status == 200)


def test_the_control_plane_never_sees_a_query(system, endpoint, key):
    assert ask(system, endpoint, key, f"SELECT '{CANARY}'").status == 200
    curl(system, f"/run/{SAVED}", key=key[:2], body={"queryVariables": {"name": CANARY}})
    found = [p for p in (system.home / "control").rglob("*") if p.is_file() and CANARY.encode() in p.read_bytes()]
    assert not found
    secret = base64.b64encode(":".join(key[:2]).encode())
    for path in system.home.rglob("*"):
        if path.is_file() and not path.is_symlink() and path.stat().st_size < 4 << 20:
            content = path.read_bytes()
            assert key[1].encode() not in content and secret not in content, path


def test_the_official_command_line_asks_here(system, endpoint, key, tmp_path):
    """Its own way of binding its key asks for /v1/whoami, which is of a later edition of the published API; a key that is
    bound already it uses as it is."""
    ctl = CommandLine(system, tmp_path)
    made = call(system, "POST", "/keys", {"name": "command line", "roles": ["developer"]})
    ctl.text("service", "query-endpoint", "create", endpoint, "--role", "sql_console_admin", "--open-api-key", key[2],
             "--open-api-key", made["key"]["id"], "--allowed-origins", "https://app.example.org, *.pages.example")
    wait_until("the second key", 30, lambda: ask(system, endpoint, (made["keyId"], made["keySecret"])).status == 200)
    authorities = tmp_path / "authorities.pem"
    authorities.write_text((system.home / "control/keys/edge-ca.pem").read_text() + (system.customer / "ca.pem").read_text())
    more = {"CLICKHOUSE_CLOUD_QUERY_HOST": f"https://localhost:{system.service_port_base + 1}",  # needs no name server
            "SSL_CERT_FILE": str(authorities)}

    def asks(sql, *words):
        return ctl.text("service", "query", "--id", endpoint, "--query", sql, *words, key=made, env=more).strip()
    assert asks("SELECT 6 * 7 AS n", "--format", "TSV") == "42"
    assert json.loads(asks("SELECT 6 * 7 AS n", "--format", "JSONEachRow")) == {"n": 42}
    assert asks("SELECT currentDatabase()", "--format", "TSV", "--database", "query_endpoints") == "query_endpoints"
    assert "Syntax error" in ctl.refused("service", "query", "--id", endpoint, "--query", "SELEC", key=made, env=more)
    call(system, "DELETE", f"/keys/{made['key']['id']}")
