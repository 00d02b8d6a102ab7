"""`ownhouse up` and its kin against the real system on this machine."""
import http.client
import json
import os
import random
import re
import shutil
import signal
import socket
import ssl
import subprocess
import time

import pytest

from full_system import BUILD, IS_ROOT, OWNHOUSE, TOP, wait_until

LONG = bool(os.environ.get("OWNHOUSE_TEST_LONG"))


def test_the_script_builds_all_that_is_installed():
    """Else a data plane lacks a program on machines where nobody ran ./test, and on those alone."""
    targets = json.loads(subprocess.run(["meson", "introspect", BUILD, "--targets"], capture_output=True, check=True).stdout)
    installed = {t["filename"][0] for t in targets if t["type"] == "executable" and t["installed"]}
    named = re.search(r"^programs=\((.*?)\)", (TOP / "up").read_text(), re.M | re.S)[1].split()
    assert {str(BUILD.resolve() / n) for n in named} == {n for n in installed if not n.endswith("/ownhouse-pod")}  # that is for clusters


# --- one running system -------------------------------------------------------------------------------------------


def test_the_answer_is_complete(system):
    answer = system.up()
    assert answer["url"] == f"https://localhost:{system.port}"
    assert answer["account"] == "laptop"
    assert answer["service"]["state"] == "running"
    assert answer["infrastructure"]["state"] == "infra-ready"
    assert answer["infrastructure"]["isolation"] == ("network-namespace" if system.isolated else "none")
    assert re.match(r"\d+\.\d+\.", answer["version"])
    assert answer["ownPort"] in range(system.service_port_base + 1, system.service_port_base + 21)


def test_a_second_up_changes_nothing(system):
    before, running = system.up(), system.pids("clickhouse")
    after = system.up()
    assert after["infrastructure"]["id"] == before["infrastructure"]["id"]
    assert after["infrastructure"]["plan"]["digest"] == before["infrastructure"]["plan"]["digest"]
    assert after["service"]["id"] == before["service"]["id"]
    assert system.pids("clickhouse") == running and running


def test_what_people_see(system):
    result = system.run(*system.up_words(), env={"LC_ALL": "C.UTF-8"})
    assert result.returncode == 0, result.stderr
    assert "\033" not in result.stdout and "\r" not in result.stdout
    lines = result.stdout.splitlines()
    for beginning in (" ✓ control   plane", " ✓ account   laptop", " ✓ plan      ", " ✓ link      connected",
                      " ✓ service   demo           running, ClickHouse 2", " query:  curl --cacert", " node:   NODE_EXTRA",
                      " next:   "):
        assert any(line.startswith(beginning) for line in lines), f"{beginning!r} is not in\n{result.stdout}"
    assert system.password() not in result.stdout
    ascii_lines = system.run(*system.up_words(), env={"LC_ALL": "C"}).stdout
    assert ascii_lines.isascii() and " ok control   plane" in ascii_lines


def test_the_printed_lines_work_when_pasted(system):
    lines = system.run(*system.up_words()).stdout.splitlines()
    for name in ("query", "node"):
        line = next(line.split(":  ", 1)[1].strip() for line in lines if line.startswith(f" {name}:"))
        if name == "node" and not shutil.which("node"):
            pytest.skip("skipped: node not available")
        result = subprocess.run(["bash", "-c", line], capture_output=True, text=True, timeout=60)
        assert re.match(r"\d+\.\d+\.", result.stdout), f"{line}\n{result.stdout}{result.stderr}"


def test_status_says_what_there_is(system):
    answer = system.ok("status")
    assert answer["controlPlane"]["url"].endswith(f":{system.port}") and answer["controlPlane"]["process"] > 1
    assert answer["policy"] == "open"
    infrastructure, = answer["infrastructures"]
    agent, = [a for a in infrastructure["agents"] if a["state"] == "enrolled"]
    assert agent["connected"] and agent["connectedSince"]
    assert [s["name"] for s in answer["services"]] == ["demo"]
    text = system.run("status").stdout
    for part in ("connected for", "isolation", "policy", "open", "demo", "running"):
        assert part in text
    if not system.isolated:
        assert "There is no network namespace" in text


def test_the_way_into_the_console(system):
    assert f"https://localhost:{system.port}/set-up#" in system.run(*system.up_words()).stdout
    token = system.ok("set-up")["setUpLink"].split("#")[1]
    status, answer = post(system, "/v1/setUp", {"token": token, "email": "me@example.org", "password": "four words or more"})
    assert status == 200 and answer["result"]["state"] == "signed-in"
    assert "setUpLink" not in system.up()  # somebody has signed in
    assert post(system, "/v1/session", {"email": "me@example.org", "password": "four words or more"})[0] == 200
    refused = system.run("set-up", "--email", "nobody@example.org")
    assert refused.returncode != 0 and "no account with the address nobody@example.org" in refused.stderr


def test_up_keeps_the_operators_settings(system):
    path = system.home / "control/control.conf"
    path.write_text(path.read_text() + "oidc_name = Kept\n")
    running = system.pids("ownhouse-control")
    system.up()
    assert path.read_text().count("oidc_name = Kept\n") == 1 and system.pids("ownhouse-control") == running


def post(system, path, body):
    context = ssl.create_default_context(cafile=str(system.home / "control/keys/edge-ca.pem"))
    connection = http.client.HTTPSConnection("localhost", system.port, context=context, timeout=30)
    connection.request("POST", path, body=json.dumps(body), headers={"Content-Type": "application/json"})
    response = connection.getresponse()
    answer = json.loads(response.read())
    connection.close()
    return response.status, answer


def test_life_of_a_service(system):
    made = system.ok("services", "create", "second one")
    assert made["state"] == "running"
    port = made["ownhouse"]["localPort"]
    secret = (system.customer / "passwords/second%20one").read_text()

    def ask(password):
        return system.query("SELECT 1", own_port=port, password=password).status

    assert ask(secret) == 200
    assert system.ok("services", "stop", "second one")["state"] == "stopped"
    assert system.ok("services", "start", "second one")["state"] == "running"
    assert system.ok("services", "rename", "second one", "second")["name"] == "second"
    assert (system.customer / "passwords/second").read_text() == secret
    assert not (system.customer / "passwords/second%20one").exists()
    answer = system.ok("services", "password", "second")
    fresh = open(answer["passwordFile"]).read()
    assert fresh != secret
    wait_until("the new password", 20, lambda: ask(fresh) == 200)
    assert ask(secret) in (401, 403)
    result = subprocess.run([str(OWNHOUSE), "services", "password", "second", "--stdin", "--home", str(system.home)],
                            input="chosen by hand 1\n", text=True, capture_output=True)
    assert result.returncode == 0, result.stderr
    wait_until("the chosen password", 20, lambda: ask("chosen by hand 1") == 200)
    assert {s["name"] for s in system.ok("services", "list")} == {"demo", "second"}
    refused = system.run("services", "delete", "second")
    assert refused.returncode == 4 and system.run("services", "show", "second").returncode == 0
    system.ok("services", "delete", "second", "--delete-data", "--yes")
    assert system.run("services", "show", "second").returncode == 3
    assert not (system.customer / "passwords/second").exists()


def test_plan_show_and_apply_when_nothing_waits(system):
    plan = system.ok("plan", "show")
    assert plan["state"] == "applied" and re.fullmatch(r"[0-9a-f]{64}", plan["digest"])
    assert system.ok("plan", "apply")["changes"] == 0
    text = system.run("plan", "show").stdout
    assert plan["digest"] in text and "RESOURCE" in text


def test_logs_of_everything(system):
    for name in ("control", "demo", "ingress", "agent"):
        result = system.run("logs", name)
        assert result.returncode == 0, result.stderr
    assert system.run("logs", "nobody").returncode == 3


def test_no_secret_in_arguments_or_logs(system):
    secrets = [system.password(), json.loads((system.home / "credentials.json").read_text())["keySecret"]]
    for command in system.processes().values():
        assert not any(secret in command for secret in secrets)
    text = system.logs(lines=100000)
    assert text and not any(secret in text for secret in secrets)


def test_queries_go_on_without_the_control_plane(system):
    assert system.kill("ownhouse-control") > 0
    wait_until("the control plane to be gone", 20, lambda: not system.pids("ownhouse-control"))
    result = system.run("status")
    assert result.returncode == 5 and "NOT RUNNING" in result.stdout
    assert system.select("SELECT 40 + 2") == "42"
    assert system.up()["service"]["state"] == "running"


# --- systems of their own ---------------------------------------------------------------------------------------------


def test_data_survive_down_and_up(new_system):
    system = new_system()
    system.up()
    system.select("CREATE TABLE kept (n UInt64) ENGINE = MergeTree ORDER BY n")
    system.select("INSERT INTO kept SELECT number FROM numbers(1000)")
    answer = system.ok("down")
    assert answer["stopped"] > 0 and not answer["purged"]
    assert not system.processes()
    assert system.ok("down")["stopped"] == 0
    system.up()
    assert system.select("SELECT sum(n) FROM kept") == str(sum(range(1000)))


def test_up_resumes_wherever_it_was_killed(new_system):
    """kill -9 of the command at random moments of a first start; then one run to the end, which must converge."""
    seed = int(os.environ.get("OWNHOUSE_SEED", random.randrange(1 << 32)))
    print(f"seed {seed}")
    chance = random.Random(seed)
    system = new_system()
    for _ in range(30 if LONG else 8):
        command = subprocess.Popen([str(OWNHOUSE), *system.up_words(), "--home", str(system.home)],
                                   stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        try:
            command.wait(timeout=chance.choice([0.02, 0.1, 0.3, 0.7, 1.5, 3]) * chance.uniform(0.5, 1.5))
        except subprocess.TimeoutExpired:
            command.send_signal(signal.SIGKILL)
            command.wait()
    answer = system.up()
    assert answer["service"]["state"] == "running"
    assert len(system.ok("services", "list")) == 1
    assert len(system.ok("status")["infrastructures"]) == 1


def test_purge_works_when_half_is_gone(new_system):
    """The control plane killed, its store and the settings removed: what is left on the machine is found by its mark."""
    system = new_system()
    system.up()
    ident = system.infrastructure
    system.kill("ownhouse-control")
    (system.home / "credentials.json").unlink()
    shutil.rmtree(system.home / "control/store", ignore_errors=True)
    result = system.run("down", "--purge", "--yes")
    assert result.returncode == 0, result.stderr
    assert not system.leftovers(ident)
    assert not system.home.exists()


# --- wrong input: one clear sentence, nothing harmed --------------------------------------------------------------------


def sentence(result, code=1):
    assert result.returncode == code, result.stdout + result.stderr
    lines = [line for line in result.stderr.splitlines() if not line.startswith("try: ")]
    assert len(lines) == 1 and lines[0].startswith("ownhouse: "), result.stderr
    return lines[0]


@pytest.mark.parametrize("which,option", [("port", "--port"), ("ingress_port", "--ingress-port"),
                                          ("native_port", "--native-port")])
def test_a_taken_port_is_named_with_its_holder(new_system, which, option):
    system = new_system()
    port = getattr(system, which)
    with socket.create_server(("127.0.0.1", port)):
        text = sentence(system.run(*system.up_words()))
    assert f"port {port}" in text and option in text and f"process {os.getpid()}" in text
    assert not system.processes()


def test_a_taken_service_port_is_named(new_system):
    system = new_system()
    with socket.create_server(("0.0.0.0", system.service_port_base + 7)):
        text = sentence(system.run(*system.up_words()))
    assert f"port {system.service_port_base + 7}" in text and "--service-ports" in text


@pytest.mark.skipif(not IS_ROOT, reason="skipped: root not available")
@pytest.mark.parametrize("program", ["haproxy", "knotd"])
def test_a_missing_program_is_named(new_system, program):
    system = new_system()
    path = shutil.which(program, path=os.environ["PATH"] + ":/usr/sbin")
    hidden = ["unshare", "-m", "sh", "-c", f'mount --bind /dev/null {path} && exec "$@"', "sh", str(OWNHOUSE)]
    result = subprocess.run([*hidden, *system.up_words(), "--home", str(system.home)], capture_output=True, text=True)
    text = sentence(result)
    assert program in text and "apt-get install" in text
    assert not system.home.exists()


def test_a_home_that_is_a_file_is_refused(new_system):
    system = new_system()
    system.home.write_text("not a folder")
    assert str(system.home) in sentence(system.run(*system.up_words()))
    assert system.home.read_text() == "not a folder"
    system.home.unlink()


def test_a_broken_store_is_named_and_left_alone(new_system):
    system = new_system()
    system.up()
    system.ok("down")
    store, = system.home.glob("control/store/*.db")
    saved = store.read_bytes()
    for extra in system.home.glob("control/store/*.db-*"):
        extra.unlink()
    store.write_bytes(b"this is no database" * 1000)
    text = sentence(system.run(*system.up_words()))
    assert "control.db" in text
    assert store.read_bytes() == b"this is no database" * 1000
    system.ok("down")
    store.write_bytes(saved)
    assert system.up()["service"]["state"] == "running"


def test_an_unreadable_certificate_is_named(new_system):
    system = new_system()
    system.up()
    ca = system.home / "control/keys/edge-ca.pem"
    saved = ca.read_text()
    ca.write_text("-----BEGIN CERTIFICATE-----\nnonsense\n-----END CERTIFICATE-----\n")
    result = system.run("services", "list")
    assert result.returncode in (1, 4) and str(ca) in result.stderr
    ca.write_text(saved)
    assert system.up()["service"]["state"] == "running"


@pytest.mark.skipif(not IS_ROOT, reason="skipped: root not available")
def test_a_full_disk_is_named_before_anything_starts(new_system):
    system = new_system()
    system.home.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=1m", "none", str(system.home)], check=True)
    try:
        text = sentence(system.run(*system.up_words()))
        assert str(system.home) in text and "MiB free" in text
        assert not system.processes() and not list(system.home.iterdir())
    finally:
        subprocess.run(["umount", str(system.home)], check=True)
        system.home.rmdir()


def test_a_lost_key_is_replaced(new_system):
    system = new_system()
    system.up()
    (system.home / "credentials.json").unlink()
    assert system.run("status").returncode == 3
    assert system.up()["service"]["state"] == "running"
    assert (system.home / "credentials.json").stat().st_mode & 0o777 == 0o600


def test_a_lost_password_is_replaced(new_system):
    system = new_system()
    system.up()
    (system.customer / "passwords/demo").unlink()
    assert system.up()["service"]["state"] == "running"
    assert system.select("SELECT 1") == "1"


def test_without_isolation_it_works_and_says_so(new_system):
    system = new_system(isolated=False)
    result = system.run(*system.up_words())
    assert result.returncode == 0, result.stderr + system.logs()
    assert "isolation: none" in result.stdout
    assert system.ok("status")["infrastructures"][0]["isolation"] == "none"
    assert system.select("SELECT 1") == "1"
