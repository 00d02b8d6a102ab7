"""The console in Debian's Chromium against a real `ownhouse up`: tests/console/*.mjs, each a set of steps in order."""
import gzip
import json
import os
import pathlib
import shutil
import signal
import sqlite3
import subprocess
import threading
import time
import uuid

import pytest

from full_system import BUILD, TOP, wait_until
from peers import find_peer

RESULTS = TOP / "test-results/console"


def need_browser():
    if not shutil.which("chromium"):
        pytest.skip("skipped: chromium not available")
    if not shutil.which("node") or not (TOP / "console/node_modules/playwright-core").exists():
        pytest.skip("skipped: npm package playwright-core not available")
    if not (BUILD / "console/index.html").exists():
        pytest.skip("skipped: the console is not built")


def set_up_link(system):
    done = subprocess.run([BUILD / "src/control/ownhouse-control", "set-up-link", "--config",
                           system.home / "control/control.conf"], capture_output=True, text=True, check=True)
    return done.stdout.strip()


def steps(system, name, timeout=900, **env):
    """Runs tests/console/NAME.test.mjs; its output is in the failure."""
    RESULTS.mkdir(parents=True, exist_ok=True)
    done = subprocess.run(
        ["node", "--test", "--test-reporter=tap", str(TOP / f"tests/console/{name}.test.mjs")], capture_output=True,
        text=True, timeout=timeout, env=os.environ | {
            "OWNHOUSE_URL": f"https://localhost:{system.port}", "OWNHOUSE_RESULTS": str(RESULTS),
            "OWNHOUSE_EDGE": str(system.home / "control/keys/edge.pem"), **env})
    (RESULTS / f"{name}.log").write_text(done.stdout + done.stderr)
    assert done.returncode == 0, done.stdout[-8000:] + done.stderr[-2000:]
    assert "# fail 0" in done.stdout and "# pass 0" not in done.stdout


@pytest.fixture(scope="module")
def house(system):
    """The module's system once Ada has set it up; a dict of what the steps need to know."""
    need_browser()
    steps(system, "newcomer", OWNHOUSE_SET_UP=set_up_link(system))
    return system


def asked(system):
    """A request for access that waits for a signature, and an operation that was carried out; the same ones each time."""
    grants = system.api("GET", "/accessGrants")[1]["result"]
    if not grants:
        system.ok("access", "request", "--reason", "parts pile up", "--ticket", "T-1", "--minutes", "10", "--target",
                  "clickhouse.diag,cluster.view")
        system.ok("request", "service.restart", "--service", "demo", "--reason", "a test")
    requests = system.api("GET", "/requests")[1]["result"]
    wait_until("the agent to have judged both", 60, lambda: {r["state"] for r in system.api("GET", "/requests")[1][
        "result"]} >= {"waiting", "done"})
    return {"OWNHOUSE_REQUEST": next(r["id"] for r in requests if "access.clickhouse.diag" in r["operations"]),
            "OWNHOUSE_REQUEST_DONE": next(r["id"] for r in requests if "service.restart" in r["operations"])}


def known(system):
    services = system.api("GET", "/services")[1]["result"]
    infrastructure, = system.api("GET", "/infrastructures")[1]["result"]
    return {
        "OWNHOUSE_EMAIL": "ada@example.org", "OWNHOUSE_PASSWORD": "correct horse battery",
        "OWNHOUSE_HOME": str(system.home),
        "OWNHOUSE_SERVICE": next(s["id"] for s in services if s["name"] == "demo"),
        "OWNHOUSE_SPARE": next(s["id"] for s in services if s["name"] != "demo"),
        "OWNHOUSE_INFRASTRUCTURE": infrastructure["id"], "OWNHOUSE_PLAN": infrastructure["plan"]["id"],
        "OWNHOUSE_ROLE": "0b5e0000-0000-4000-8000-000000000005"}


def test_from_the_set_up_link_to_a_query(house):
    assert (RESULTS / "newcomer.log").read_text().count("\nok ") == 5  # the fixture has walked it


def test_the_lines_of_the_connect_dialog(house):
    """Run as they are; a client that is not on this machine is skipped by name, in connect-lines.log too."""
    clients = {name: str(find_peer(name) or "") for name in ("clickhouse-connect", "clickhouse-js", "clickhouse-jdbc")}
    steps(house, "connect-lines", OWNHOUSE_PEERS=json.dumps(clients), **known(house) | {"OWNHOUSE_SERVICE": known(house)["OWNHOUSE_SPARE"]})


def test_a_backup_is_restored_by_clicking(house):
    """Parts of a table of Ada's, the backup of them, and a new service with the same rows; it and the table go again."""
    house.select("CREATE TABLE parts_of_ada (id UInt64, note String) ENGINE = MergeTree ORDER BY id")
    for part in range(3):
        house.select(f"INSERT INTO parts_of_ada SELECT number + {part} * 1000, hex(number) FROM numbers(1000)")
    figures = house.select("SELECT count(), sum(cityHash64(*)) FROM parts_of_ada")
    assert figures.startswith("3000\t")
    try:
        steps(house, "restore", **known(house), OWNHOUSE_FIGURES=figures)
    finally:
        if any(s["name"] == "restored here" for s in house.api("GET", "/services")[1]["result"]):
            house.ok("services", "delete", "restored here", "--delete-data", "--yes")
        house.select("DROP TABLE parts_of_ada SYNC")


def backed_up(system):
    """At least one backup of the first service that can be restored."""
    path = f"/services/{known(system)['OWNHOUSE_SERVICE']}/back"

    def done():
        return [b for b in system.api("GET", path + "ups")[1]["result"] if b["status"] == "done"]

    if not done():
        assert system.api("POST", path + "upRequests")[0] == 200
        wait_until("a backup", 180, done, 0.3)


def test_every_screen_in_two_languages_and_themes(house):
    backed_up(house)
    steps(house, "screens", **known(house), **asked(house))


def test_lists_that_are_empty_refused_or_slow(house):
    steps(house, "lists", **known(house))


def drift_is(system, value):
    """What the account's owner wants: repair, or ask."""
    with sqlite3.connect(system.home / "control/store/control.db", timeout=30) as db:
        db.execute("UPDATE account SET config = json_set(config, '$.drift', ?)", (value,))


def test_settings_saved_and_drift_decided_by_clicking(house):
    wait_until("all is settled", 60, lambda: not house.ok("drift", "check", "laptop")["items"])
    conf = house.home / "accounts/laptop/laptop/agent/agent.conf"
    good = conf.read_text()
    bad = good.replace("log_level = info", "log_level = error")
    assert bad != good
    drift_is(house, "ask")
    try:
        conf.write_text(bad)
        steps(house, "changes", **known(house))
        wait_until("it is put back", 60, lambda: conf.read_text() == good)
    finally:
        drift_is(house, "repair")
    wait_until("the database has the setting", 60,
               lambda: house.query("SELECT getSetting('max_threads')").text.strip() == "3")
    wait_until("the link", 60, lambda: house.api("GET", "/infrastructures")[1]["result"][0]["agents"][0]["connected"])


def people(system):
    """One for each system role; `link` is empty for those who have come in by theirs."""
    there = {m["email"] for m in system.api("GET", "/members")[1]["result"]}
    found = []
    for role in (r for r in system.api("GET", "/roles")[1]["result"] if r["type"] == "system"):
        email, link = f"role-{role['id'][-2:]}@example.org", ""
        if email not in there:
            status, answer = system.api("POST", "/invitations", {"email": email, "assignedRoleIds": [role["id"]]})
            assert status == 200, answer
            link = answer["result"]["ownhouse"]["link"]
        found.append({"role": role["name"], "email": email, "link": link})
    return json.dumps(found)


def test_every_role(house):
    backed_up(house)
    steps(house, "roles", OWNHOUSE_PEOPLE=people(house), **known(house), **asked(house))


def test_a_thousand_services_and_a_hundred_infrastructures(house):
    """Rows that the controller never sees: it is held still meanwhile, so nothing of them is made."""
    controller, = house.pids("--role controller")
    os.kill(controller, signal.SIGSTOP)
    try:
        with sqlite3.connect(house.home / "control/store/control.db", timeout=30) as db:
            crowd(db)
        steps(house, "many", **known_of_many(house))
    finally:
        with sqlite3.connect(house.home / "control/store/control.db", timeout=30) as db:
            db.execute("DELETE FROM service WHERE name LIKE 'many %'")
            db.execute("DELETE FROM infrastructure WHERE display_name LIKE 'crowd %'")
        os.kill(controller, signal.SIGCONT)


def known_of_many(house):
    return {"OWNHOUSE_EMAIL": "ada@example.org", "OWNHOUSE_PASSWORD": "correct horse battery"}


def crowd(db):
    """100 infrastructures and, in the first of them, 1,000 services, like those that `up` has made."""
    db.row_factory = sqlite3.Row
    infrastructure = dict(db.execute("SELECT * FROM infrastructure LIMIT 1").fetchone())
    service = dict(db.execute("SELECT * FROM service WHERE name = 'demo'").fetchone())

    def insert(table, row):
        db.execute(f"INSERT INTO {table} ({', '.join(row)}) VALUES ({', '.join('?' * len(row))})", list(row.values()))

    first = None
    for i in range(100):
        name = f"crowd-{i:04}"
        insert("infrastructure", infrastructure | {"id": str(uuid.uuid4()), "name": name, "display_name": f"crowd {i:04}",
                                                   "domain": f"{name}.example"})
        first = first or db.execute("SELECT id FROM infrastructure WHERE name = ?", [name]).fetchone()[0]
    for i in range(1000):
        insert("service", service | {
            "id": str(uuid.uuid4()), "infrastructure_id": first, "name": f"many {i:04}", "slug": f"many-{i:04}",
            "ordinal": i + 1, "state": "stopped", "want": "stopped"})


def first_load():
    """Names of the files that the sign-in and the list of services need."""
    parts = json.loads((BUILD / "console-manifest/manifest.json").read_text())
    wanted, files = ["index.html"], {"index.html"}
    while wanted:
        part = parts[wanted.pop()]
        files |= {part["file"], *part.get("css", [])}
        wanted += [p for p in part.get("imports", []) if parts[p]["file"] not in files]
    return files


def test_the_first_load_is_small():
    """Compressed as HAProxy does it."""
    if not (BUILD / "console-manifest/manifest.json").exists():
        pytest.skip("skipped: the console is not built")
    files = first_load()
    assert any(f.endswith(".css") for f in files)
    size = sum(len(gzip.compress((BUILD / "console" / f).read_bytes(), 6)) for f in files)
    print(f"first load: {size / 1024:.0f} KiB compressed in {len(files)} files")
    assert size <= 250 * 1024


def test_what_goes_wrong_in_real_life(house):
    pid = int((house.home / "control/run/lock").read_text())

    def bring_back():
        while pathlib.Path(f"/proc/{pid}/exe").exists():  # a zombie has none
            time.sleep(0.2)
        house.up()

    helper = threading.Thread(target=bring_back, daemon=True)
    helper.start()
    status, answer = house.api("POST", "/invitations", {"email": f"cleo-{pid}@example.org", "assignedRoleIds": [
        "0b5e0000-0000-4000-8000-000000000005"]})
    assert status == 200, answer
    made = min((p for p in house.api("GET", "/plans")[1]["result"] if p["kind"] == "apply" and p["state"] == "applied"),
               key=lambda p: p["createdAt"])  # the one that has made everything; those of repairs come after it
    steps(house, "resilience", OWNHOUSE_INVITATION=answer["result"]["ownhouse"]["link"], **known(house) | {
        "OWNHOUSE_SERVICE": known(house)["OWNHOUSE_SPARE"], "OWNHOUSE_PLAN": made["id"]})
    helper.join(120)


def change_policy(system, version, **fields):
    """Puts a new version of the customer's policy in force, signed by the laptop's approver key."""
    public = (system.customer / "approver.pub").read_text().strip()
    file = system.root / f"policy-{version}.json"
    file.write_text(json.dumps({"type": "ownhouse/policy", "v": 1, "version": version, "mode": "sealed", "quorum": 1,
                                "approvers": [{"name": "ada", "key": public}], **fields}))
    request = system.ok("request", "policy.change", "--policy", str(file), "--reason", "a test")["id"]
    wait_until("the agent to have seen the new policy", 60, lambda: system.ok("requests", request)["needCustomer"] == 1)
    system.ok("approve", request, "--yes")
    infrastructure, = system.api("GET", "/infrastructures")[1]["result"]
    path = f"/infrastructures/{infrastructure['id']}/consent"
    wait_until(f"policy {version} to be reported", 60,
               lambda: system.api("GET", path)[1]["result"]["policy"]["version"] == version)


def proposed_removal(system):
    """A plan that waits: nothing of it is ever approved here."""
    infrastructure, = system.api("GET", "/infrastructures")[1]["result"]
    assert system.api("POST", f"/infrastructures/{infrastructure['id']}/plans", {"kind": "destroy"})[0] == 200
    found = wait_until("a proposed plan", 60, lambda: system.api("GET", "/plans?state=proposed")[1]["result"])
    return found[0]["id"]


def signatures(system):
    known_ones = known(system)
    secret = system.root / "passphrase"
    secret.write_text("correct horse battery\n")
    secret.chmod(0o600)
    keys = {}
    for name in ("bob", "stranger"):
        file = system.root / f"{name}.key"
        keys[name] = system.ok("key", "new", str(file), "--passphrase-file", str(secret))["publicKey"]
    public = (system.customer / "approver.pub").read_text().strip()
    change_policy(system, 2, approvers=[{"name": "ada", "key": public}, {"name": "bob", "key": keys["bob"]}],
                  operations={"infrastructure.plan": {"customer": 2}})
    plan = proposed_removal(system)
    status, answer = system.api("POST", f"/plans/{plan}/approve", {
        "digest": system.api("GET", f"/plans/{plan}")[1]["result"]["digest"]})
    assert status == 409 and "2 customer signatures" in answer["error"], answer
    request, deny = (system.ok("access", "request", "--reason", why, "--minutes", "10")["id"] for why in ("yes", "no"))
    wait_until("the agent to have judged both", 60, lambda: all(
        system.ok("requests", one)["needCustomer"] == 1 for one in (request, deny)))
    bucket, = system.home.glob("accounts/laptop/*/buckets/ledger")
    steps(system, "consent", OWNHOUSE_PROGRAM=str(BUILD / "src/cli/ownhouse"), OWNHOUSE_LEDGER=str(bucket),
          OWNHOUSE_REQUEST=request, OWNHOUSE_REQUEST_DENY=deny, OWNHOUSE_PLAN_PROPOSED=plan,
          OWNHOUSE_KEY=str(system.customer / "approver.key"), OWNHOUSE_STRANGER=str(system.root / "stranger.key"),
          OWNHOUSE_PASSPHRASE=str(secret), **known_ones)
    change_policy(system, 3)


def test_signatures_by_hand_and_a_sealed_policy(house):
    """What follows is the removal, whose plan the command line signs."""
    signatures(house)


def test_the_report_of_a_removal(house):
    """The last of the module: nothing is left of its infrastructure."""
    env = known(house)
    plan = house.ok("plan", "destroy", "laptop", "--delete-data", "--yes")
    assert plan["removal"]["items"]
    steps(house, "removal", **env | {"OWNHOUSE_PLAN": plan["id"], "OWNHOUSE_MADE": str(len(plan["removal"]["items"]))})
    # Each role is shown it, or told why not.
    said = f"All {len(plan['removal']['items'])} resources that were ever made are gone"
    places = {to: said for to in (f"/plans/{plan['id']}", f"/infrastructures/{env['OWNHOUSE_INFRASTRUCTURE']}")}
    steps(house, "roles", OWNHOUSE_PEOPLE=people(house), OWNHOUSE_PLACES=json.dumps(places))
