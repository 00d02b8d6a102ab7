"""Engineers' sessions when the network, the disk or a clock misbehaves: nothing is forwarded unrecorded, nothing is said to have
ended that has not, a grant ends with its minutes, and services go on."""
import contextlib
import http.client
import os
import pathlib
import re
import resource
import shutil
import subprocess
import time

import pytest

from access_parts import Session, agent_config, agent_home, approved, of_grant, other_agent, sql
from full_system import BUILD, IS_ROOT, wait_until

FAKETIME = next(iter(pathlib.Path("/usr/lib").glob("*/faketime/libfaketime.so.1")), None)


@pytest.fixture
def session(system):
    grant, approval = approved(system, "--target", "clickhouse.diag")
    s = Session(system, grant, approval)
    s.grant, s.approval = grant, approval
    yield s
    s.stop()


def events(system, grant):
    return [leaf["body"]["event"] for leaf in of_grant(system, grant["id"])]


def state(system, grant):
    status, answer = system.api("GET", f"/accessGrants/{grant['id']}")
    assert status == 200
    return answer["result"]["state"]


def writer(system):
    (pid,) = wait_until("one ledger role", 30, lambda: (found := system.pids("--role ledger")) and len(found) == 1 and found)
    return pid


def refused(session, text):
    """The statement was not carried out because it could not be recorded: said so, or the session was cut."""
    try:
        status, answer, _ = session.ask("clickhouse.diag", "POST", "/", f"SELECT '{text}'")
        return status == 503 and text not in answer
    except (OSError, http.client.HTTPException):
        return True


def not_recorded_nothing_forwarded(system, session, text):
    assert refused(session, text)
    assert system.query("SELECT 4").text.strip() == "4"
    assert text not in str([leaf["body"] for leaf in of_grant(system, session.grant["id"]) if leaf["kind"] == "access.result"])


def goes_on(system, session):
    wait_until("statements again", 90, lambda: sql(system, session.grant, session.approval, "SELECT 7").returncode == 0)
    wait_until("the ledger to hold", 60, lambda: system.run("ledger", "verify").returncode == 0)


def test_a_short_write_of_the_ledger_forwards_nothing(system, session):
    assert session.ask("clickhouse.diag", "POST", "/", "SELECT 1")[0] == 200
    pid = writer(system)
    before = resource.prlimit(pid, resource.RLIMIT_FSIZE)
    newest = max((agent_home(system) / "ledger/log").glob("tail-*"), key=lambda path: path.name)
    # The next leaf ends in the middle.
    resource.prlimit(pid, resource.RLIMIT_FSIZE, (newest.stat().st_size + 60, before[1]))
    try:
        not_recorded_nothing_forwarded(system, session, "canary-short-write")
    finally:
        with contextlib.suppress(ProcessLookupError):
            resource.prlimit(pid, resource.RLIMIT_FSIZE, before)
    goes_on(system, session)
    assert writer(system) == pid


@pytest.mark.parametrize("call", ["fdatasync", "pwrite64"])
def test_an_input_output_error_of_the_ledger_forwards_nothing(system, session, call):
    if not shutil.which("strace"):
        pytest.skip("skipped: strace not available")
    assert session.ask("clickhouse.diag", "POST", "/", "SELECT 1")[0] == 200
    tracer = subprocess.Popen(["strace", "-p", str(writer(system)), "-e", f"trace={call}", "-e", f"inject={call}:error=EIO"],
                              stderr=subprocess.PIPE, stdout=subprocess.DEVNULL, text=True)
    try:
        if "attached" not in tracer.stderr.readline():
            pytest.skip("skipped: strace may not attach here")
        not_recorded_nothing_forwarded(system, session, f"canary-{call}")
    finally:
        tracer.terminate()
        tracer.wait(30)
        tracer.stderr.close()
    goes_on(system, session)


CHAINS = {"out": 'chain o {\n type filter hook output priority -10\n oifname "eth0" tcp dport 443 drop\n}',
          "in": 'chain i {\n type filter hook input priority -10\n iifname "eth0" tcp sport 443 drop\n}'}


@contextlib.contextmanager
def parted(netns, ways):
    """Packets between data plane and control plane are lost without a word, in these directions."""
    rules = "\n".join(["table inet oh_parted {", *(CHAINS[way] for way in ways), "}", ""])
    inside = ["ip", "netns", "exec", netns, "nft"]
    subprocess.run([*inside, "-f", "-"], input=rules, text=True, check=True)
    try:
        yield
    finally:
        subprocess.run([*inside, "delete", "table", "inet", "oh_parted"], check=True)


@pytest.mark.skipif(not IS_ROOT, reason="skipped: root not available, which network namespaces need")
@pytest.mark.parametrize("ways", [("out",), ("in",), ("out", "in")], ids="-".join)
def test_a_partition_delays_a_revocation_and_nobody_says_otherwise(system, session, ways):
    assert session.ask("clickhouse.diag", "POST", "/", "SELECT 1")[0] == 200
    with parted(system.netns, ways):
        assert system.run("access", "revoke", session.grant["id"], "--no-wait").returncode == 0
        if "in" not in ways:
            # It is heard and done, and cannot be told.
            wait_until("the grant's end", 60, lambda: "grant-ended" in events(system, session.grant))
        assert system.query("SELECT 3").text.strip() == "3"
        time.sleep(2)  # room for a word that must not come: this bound can only be too kind
        assert state(system, session.grant) != "ended"
        if "in" in ways:
            assert "grant-ended" not in events(system, session.grant)
            # The customer's own switch needs no network.
            done = subprocess.run([str(BUILD / "src/agent/ownhouse-agent"), "revoke", "--config", str(agent_config(system)),
                                   "--grant", session.grant["id"]], capture_output=True, text=True, timeout=60)
            assert done.returncode == 0, done.stderr
            assert "grant-ended" in events(system, session.grant)
    wait_until("the control plane to hear of the end", 200, lambda: state(system, session.grant) == "ended")
    assert session.ended() == 1
    assert "result" not in events(system, session.grant)[events(system, session.grant).index("grant-ended"):]


@pytest.mark.skipif(not FAKETIME, reason="skipped: faketime not available")
@pytest.mark.parametrize("shift", ["+5m", "-5m"])
def test_a_device_whose_clock_is_off_is_told_so(system, shift):
    grant, approval = approved(system)
    env = dict(os.environ, LD_PRELOAD=str(FAKETIME), FAKETIME=shift, DONT_FAKE_MONOTONIC="1")
    done = system.run("connect", grant["id"], "--approval", str(approval), "--sql", "SELECT 1", env=env, timeout=60)
    assert done.returncode != 0 and "clock" in done.stderr, done.stderr
    assert "grant-open" not in events(system, grant)
    # The refusal used nothing up.
    assert sql(system, grant, approval, "SELECT 1").returncode == 0


WALL_CLOCK = BUILD / "tests/scenario/programs/wall-clock.so"
HOUR = 3600


def faked(shift):
    """Environment of a device whose wall clock follows a file."""
    return dict(LD_PRELOAD=str(FAKETIME), FAKETIME_TIMESTAMP_FILE=str(shift), FAKETIME_NO_CACHE="1", DONT_FAKE_MONOTONIC="1")


@pytest.mark.skipif(not FAKETIME, reason="skipped: faketime not available")
@pytest.mark.skipif(not WALL_CLOCK.exists(), reason="skipped: a build without sanitizers not available")
def test_a_grant_ends_with_its_minutes_whatever_wall_clocks_do(system, tmp_path):
    """The gate's wall clock, and in a second session the device's, jump an hour each way meanwhile. The gate measures by CLOCK_BOOTTIME
    from the opening, and the ledger's own `mono` agrees. An opening while the gate's clock is off is refused and uses nothing up."""
    gate_shift, device_shift = tmp_path / "gate", tmp_path / "device"
    gate_shift.write_text("0")
    device_shift.write_text("+0")
    with other_agent(system, env={"LD_PRELOAD": str(WALL_CLOCK), "WALL_CLOCK_FILE": str(gate_shift)}):
        grants = [approved(system, minutes=1) for _ in range(2)]
        for off in (HOUR, -HOUR):
            gate_shift.write_text(str(off))
            refused_now = sql(system, *grants[0], "SELECT 1")
            assert refused_now.returncode != 0 and "clocks" in refused_now.stderr and re.search(r"3[56]\d\d s", refused_now.stderr)
            assert "grant-open" not in events(system, grants[0][0])
        gate_shift.write_text("0")
        opened = [Session(system, *grants[0]), Session(system, *grants[1], env=faked(device_shift))]
        try:
            for gate_jump, device_jump in ((HOUR, "+1h"), (-HOUR, "-1h"), (0, "+0")):
                for session in opened:
                    answer = session.ask("clickhouse.diag", "POST", "/", "SELECT 1")
                    assert answer[0] == 200, (answer[1], gate_jump)
                gate_shift.write_text(str(gate_jump))
                assert opened[0].ask("clickhouse.diag", "POST", "/", "SELECT 2")[0] == 200
                # The devices' clock jumps when the gate's is right again: one of the two is off, never both by the same hour.
                gate_shift.write_text("0")
                device_shift.write_text(device_jump)
            gate_shift.write_text(str(HOUR))
            for session, (grant, _) in zip(opened, grants):
                wait_until("the grant's end", 150, lambda: "grant-ended" in events(system, grant))
                assert session.ended() == 1
        finally:
            for session in opened:
                session.stop()
        gate_shift.write_text("0")
        for grant, approval in grants:
            by_event = {leaf["body"]["event"]: leaf for leaf in of_grant(system, grant["id"])}
            end = by_event["grant-ended"]
            assert re.search("time is over", end["body"]["why"])
            # Not a moment early; late by less than a second but for the load of this machine.
            slack = 1000 if os.environ.get("OWNHOUSE_TEST_LONG") else 15000
            assert 60000 <= end["body"]["lastedMs"] < 60000 + slack, end
            assert 60000 <= end["mono"] - by_event["grant-open"]["mono"] < 60000 + slack, end
            assert sql(system, grant, approval, "SELECT 1").returncode == 4
            told = [leaf["time"] for leaf in of_grant(system, grant["id"])]
            assert told == sorted(told)  # the ledger's role keeps its own time


def test_a_statement_that_still_runs_is_killed_with_its_grant(system):
    """The engine's own list of what runs says when it is gone: long before the statement's 30 s are over."""
    grant, approval = approved(system)
    session = Session(system, grant, approval)
    heavy = ("SELECT count() FROM ownhouse_diag.columns AS a CROSS JOIN ownhouse_diag.columns AS b CROSS JOIN ownhouse_diag.columns AS c "
             "WHERE a.name > concat(b.name, c.type)")

    def running():
        """How long it has run, in seconds; 0: it does not; None: the engine, busy with it, does not say."""
        answer = system.query("SELECT max(elapsed) FROM system.processes WHERE query LIKE concat('%concat(b', '.name, c.type)%')")
        return float(answer.text) if answer.status == 200 else None

    def ask():
        return subprocess.Popen(["curl", "-s", "-m", "90", "--data-binary", heavy,
                                 f"http://127.0.0.1:{session.ports['clickhouse.diag']}/"], stdout=subprocess.PIPE, text=True)
    said, asking = [], ask()

    def begun():
        nonlocal asking
        if asking.poll() is not None and len(said) < 5:  # a busy machine: it was answered that it cannot be run now
            said.append(asking.communicate()[0])
            asking = ask()
        return running() or len(said) == 5
    try:
        wait_until("the statement to run", 60, begun)
        assert running(), said
        done = subprocess.run([str(BUILD / "src/agent/ownhouse-agent"), "revoke", "--config", str(agent_config(system)), "--grant",
                               grant["id"]], capture_output=True, text=True, timeout=60)
        assert done.returncode == 0, done.stderr
        seen = [running()]
        wait_until("it to be gone", 60, lambda: seen.append(running()) or seen[-1] == 0)
        assert max((lasted for lasted in seen if lasted), default=0) < 25
        assert not asking.communicate(timeout=90)[0].strip().isdigit()
        assert "grant-ended" in events(system, grant)
    finally:
        asking.kill()
        asking.wait()
        session.stop()
