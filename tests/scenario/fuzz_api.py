"""Runs schemathesis over the public API of a whole system, for a test of a minute and for bench/api-fuzz."""
import collections
import json
import os
import re
import subprocess

from peers import PEERS

# Left out: positive_data_acceptance (what a description allows may still be refused for what is there, such as a service
# without an infrastructure).
CHECKS = ("not_a_server_error,status_code_conformance,content_type_conformance,response_schema_conformance,"
          "response_headers_conformance,negative_data_rejection,unsupported_method,ignored_auth,use_after_free,"
          "ensure_resource_availability,missing_required_header")


def make(system, path, body):
    status, answer = system.api("POST", path, body)
    assert status == 200, (path, answer)
    return answer["result"]


def listed(system, path):
    status, answer = system.api("GET", path)
    assert status == 200, (path, answer)
    return [thing.get("id") or thing.get("userId") for thing in answer["result"]]


def known(system, place):
    """Ids for path parameters: lasting ones for what reads and changes, passing ones for what removes."""
    reader = "0b5e0000-0000-4000-8000-000000000006"

    def key(name):
        return make(system, "/keys", {"name": name, "assignedRoleIds": [reader]})["key"]["id"]

    def role(name):
        return make(system, "/roles", {"name": name, "actors": [], "policies": []})["id"]

    def invitation(name):
        return make(system, "/invitations", {"email": f"{name}@example.org", "assignedRoleIds": [reader]})["id"]
    credentials = json.loads((system.home / "credentials.json").read_text())
    guarded = [ident for path in ("/services", "/keys", "/members", "/accounts", "/infrastructures", "/plans")
               for ident in listed(system, path)]
    service = make(system, "/services", {"name": "lasting", **place})["service"]["id"]
    lasting = {"organizationId": [credentials["organizationId"]], "serviceId": [service],
               "keyId": [key("lasting")], "roleId": [role("lasting")], "invitationId": [invitation("lasting")],
               "userId": listed(system, "/members"), "accountId": listed(system, "/accounts"),
               "infrastructureId": listed(system, "/infrastructures"),
               "byocInfrastructureId": listed(system, "/infrastructures"), "planId": listed(system, "/plans"),
               "agentId": listed(system, "/agents"), "activityId": listed(system, "/activities"),
               "quotaCode": ["services-per-organization"]}
    passing = {"serviceId": [make(system, "/services", {"name": "passing", **place})["service"]["id"]],
               "keyId": [key(f"passing {i}") for i in range(8)], "roleId": [role(f"passing {i}") for i in range(8)],
               "invitationId": [invitation(f"passing{i}") for i in range(8)]}
    return {"lasting": lasting, "passing": passing, "guarded": guarded, "kept": [service], "place": place}


def fuzz(program, system, place, seed, seconds, folder):
    """The finished process; its reports are in the folder."""
    credentials = json.loads((system.home / "credentials.json").read_text())
    status, description = system.api("GET", "/openapi.json", below=None)
    assert status == 200
    (folder / "openapi.json").write_text(json.dumps(description))
    env = dict(os.environ, OWNHOUSE_FUZZ_KNOWN=json.dumps(known(system, place)), SCHEMATHESIS_HOOKS="hooks",
               PYTHONPATH=str(PEERS / "schemathesis"), PYTHONDONTWRITEBYTECODE="1")
    return subprocess.run(
        [program, "run", folder / "openapi.json", "--url", f"https://localhost:{system.port}", "--tls-verify",
         system.home / "control/keys/edge-ca.pem", "--auth", f"{credentials['keyId']}:{credentials['keySecret']}",
         "--checks", CHECKS, "--seed", str(seed), "--max-time", str(seconds), "--phases", "examples,coverage,fuzzing,stateful",
         "--continue-on-failure", "--request-timeout", "30", "--request-retries", "2", "--report", "junit,ndjson", "--report-dir", folder,
         "--warnings", "off"],
        env=env, cwd=folder, capture_output=True, text=True, timeout=seconds + 300)


def answers(folder):
    """How often which operation answered which status: {(method, path with ID for ids): {status: times}}."""
    counted = collections.defaultdict(collections.Counter)

    def walk(thing):
        if isinstance(thing, list):
            for one in thing:
                walk(one)
        elif isinstance(thing, dict):
            if "request" in thing and isinstance(thing.get("response"), dict):
                path = re.sub(r"^https?://[^/]+", "", thing["request"]["uri"]).partition("?")[0]
                path = re.sub(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", "ID", path)
                counted[thing["request"]["method"], path][thing["response"]["status_code"]] += 1
            else:
                for one in thing.values():
                    walk(one)
    for report in folder.glob("ndjson-*"):
        for line in report.read_text().splitlines():
            walk(json.loads(line))
    return counted
