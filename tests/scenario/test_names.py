"""The names role against programs that we did not write: Knot takes the records, pebble and uacme make the certificates,
moto stands for Route 53. What is somebody else's is never touched; what fails is said, and tried again."""
import json
import os
import pathlib
import stat
import subprocess
import time

import pytest

from names_parts import AGENT, ZONE, Knot, Names, Pebble, missing
from waiting import wait_until

DOMAIN = f"dp.{ZONE}"
no_knot = pytest.mark.skipif(bool(missing("knotd", "kdig", "knsupdate")), reason=str(missing("knotd", "kdig", "knsupdate")))
no_acme = pytest.mark.skipif(bool(missing("knotd", "kdig", "pebble", "uacme")) or os.geteuid() != 0,
                             reason=str(missing("knotd", "kdig", "pebble", "uacme") or
                                        "skipped: trusting a test authority needs a mount namespace, so root"))


@pytest.fixture
def peers(tmp_path):
    """Makes peers and ends them with the test."""
    made = []

    class Maker:
        folder = tmp_path

        def knot(self, **how):
            made.append(Knot(tmp_path / "knot", **how))
            return made[-1]

        def pebble(self, knot, **how):
            made.append(Pebble(tmp_path / "pebble", knot, **how))
            return made[-1]

        def names(self, knot, pebble=None, **settings):
            base = dict(dns_provider="rfc2136", dns_zone=ZONE, dns_server=f"127.0.0.1:{knot.port}",
                        dns_key_file=knot.key_file) if knot else {}
            if pebble:
                base.update(acme_directory=pebble.url, acme_settle=0)
            n = Names(tmp_path, ca=pebble and pebble.ca, env=settings.pop("env", None), **{**base, **settings})
            made.append(n)
            return n

    yield Maker()
    for one in reversed(made):
        one.stop()


def mark(n):
    return [f'"heritage=ownhouse,ownhouse/owner={n.infrastructure}"']


def ours(knot, n):
    """{(name, type): values} of the sets that bear our mark, without the marks."""
    records = knot.all()
    return {k: v for k, v in records.items()
            if records.get((f"_ownhouse-{k[1].lower()}.{k[0]}", "TXT")) == mark(n)}


def records(*slugs, kind="A", value="192.0.2.1"):
    values = [value] if isinstance(value, str) else sorted(value)
    return {(f"{s}.{DOMAIN}" if s else DOMAIN, kind): values for s in ("",) + slugs}


# ---- records ----


@no_knot
def test_records_follow_what_is_wanted(peers):
    knot = peers.knot()
    n = peers.names(knot).want("dev", "prod").start()
    n.until("dns", "ok")
    assert ours(knot, n) == records("dev", "prod")
    assert knot.dig("A", f"dev.{DOMAIN}") == ["192.0.2.1"]
    n.want("prod", "new", targets=["192.0.2.1", "192.0.2.2", "2001:db8::1"])
    wait_until("the change", 60, lambda: len(ours(knot, n)) == 6)
    both = ["192.0.2.1", "192.0.2.2"]
    assert ours(knot, n) == {**records("prod", "new", value=both), **records("prod", "new", kind="AAAA", value="2001:db8::1")}
    n.want("prod", targets=["lb.example.net"])  # a load balancer that has a name: an address gives way to an alias
    wait_until("the alias", 60, lambda: ours(knot, n) == records("prod", kind="CNAME", value="lb.example.net."))
    n.want(targets=[])
    wait_until("the end", 60, lambda: not ours(knot, n))
    left = knot.all()
    assert list(left) == [(f"ns.{ZONE}", "A")], left  # no mark is left behind either


@no_knot
def test_what_is_somebody_elses_stays(peers):
    """By hand; by another installation with its own mark; and a mark of ours beside a set that another has changed."""
    other = "heritage=ownhouse,ownhouse/owner=11111111-1111-4111-8111-111111111111"
    knot = peers.knot(records=f"""
dev.dp A 203.0.113.9
theirs.dp A 203.0.113.10
_ownhouse-a.theirs.dp TXT "{other}"
_ownhouse-a.gone.dp TXT "{other}"
gone.dp A 203.0.113.11
alias.dp CNAME elsewhere.example.
by-hand.dp TXT "a note"
""")
    before = knot.all()
    n = peers.names(knot).want("dev", "theirs", "alias", "free").start()
    state = n.until("dns", "conflict")
    assert state["conflicts"] == 3 and state["records"] == 2
    assert DOMAIN in state["error"] and "left alone" in state["error"]
    after = knot.all()
    assert {k: v for k, v in after.items() if k in before} == before
    assert ours(knot, n) == records("free")
    n.want(targets=[])
    wait_until("the end", 60, lambda: not ours(knot, n))
    assert knot.all() == before


@no_knot
def test_a_hand_at_our_record_is_put_right(peers):
    knot = peers.knot()
    n = peers.names(knot).want("dev").start()
    n.until("dns", "ok")
    knot.update(f"del dev.{DOMAIN}. A", f"add dev.{DOMAIN}. 60 A 198.51.100.1")
    n.want("dev", "more")  # any pass looks at the whole
    wait_until("the record", 60, lambda: ours(knot, n) == records("dev", "more"))


@no_knot
def test_a_server_that_is_away_is_asked_again(peers):
    knot = peers.knot()
    knot.stop()
    n = peers.names(knot).want("dev").start()
    state = n.until("dns", "failed")
    assert "127.0.0.1" in state["error"] and "refused" in state["error"].lower()
    knot.start()
    n.until("dns", "ok")
    assert ours(knot, n) == records("dev")


@no_knot
def test_what_the_server_refuses_is_said_in_words(peers):
    knot = peers.knot()
    bad = peers.folder / "bad.tsig"

    def refused(line, mode=0o600, **settings):
        bad.touch(0o600)
        bad.write_text(line + "\n")
        bad.chmod(mode)
        n = peers.names(knot, dns_key_file=bad, **settings)
        n.want("dev").start()
        error = n.until("dns", "failed")["error"]
        n.stop()
        subprocess.run(["rm", "-rf", str(n.home)], check=True)
        return error

    secret = knot.secret
    assert "secret or algorithm" in refused(f"hmac-sha256:agent:{secret[:-8]}AAAAAAA=")
    assert "does not know the key" in refused(f"hmac-sha256:nobody:{secret}")
    assert "must be hmac-sha256" in refused(f"hmac-md5:agent:{secret}")
    assert "bad.tsig" in refused(f"hmac-sha256:agent:{secret}", mode=0o644)
    assert "does not lie in the zone" in refused(f"hmac-sha256:agent:{secret}", dns_zone="other.example")
    assert secret not in bad.parent.joinpath("knot/log").read_text()


@no_knot
def test_a_clock_that_is_wrong_is_named(peers):
    library = pathlib.Path("/usr/lib/x86_64-linux-gnu/faketime/libfaketimeMT.so.1")
    if not library.exists():
        pytest.skip("skipped: libfaketime not available")
    knot = peers.knot()
    n = peers.names(knot, env={"LD_PRELOAD": str(library), "FAKETIME": "-2d", "FAKETIME_DONT_FAKE_MONOTONIC": "1"})
    n.want("dev").start()
    assert "clock" in n.until("dns", "failed")["error"]
    assert not ours(knot, n)


# ---- certificates ----


def openssl(*words, data=None):
    return subprocess.run(["openssl", *words], input=data, capture_output=True, check=True, text=True).stdout


@no_acme
def test_a_certificate_by_acme(peers):
    knot = peers.knot()
    pebble = peers.pebble(knot)
    n = peers.names(knot, pebble, acme_contact="ops@customer.example").want("dev").start()
    n.until("acme", "ok", 120)
    path = n.home / "names/certificate.pem"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    names = openssl("x509", "-in", str(path), "-noout", "-ext", "subjectAltName")
    assert f"DNS:{DOMAIN}" in names and f"DNS:*.{DOMAIN}" in names
    chain = n.home / "chain.pem"
    blocks = path.read_text().split("-----END CERTIFICATE-----")
    chain.write_text("-----END CERTIFICATE-----".join(blocks[1:-1]) + "-----END CERTIFICATE-----\n")
    assert "OK" in openssl("verify", "-CAfile", str(pebble.root()), "-untrusted", str(chain), str(path))
    assert "PRIVATE KEY" in blocks[-1]
    assert not [k for k in knot.all() if "_acme-challenge" in k[0]]  # nor its mark
    account = list((n.home / "names").glob("acme-*/private/key.pem"))
    assert len(account) == 1 and stat.S_IMODE(account[0].stat().st_mode) & 0o077 == 0
    # A new start finds it and asks for nothing.
    n.stop()
    n.start().until("acme", "ok")
    time.sleep(1)
    assert n.log().count("is asked for by ACME") == 1


@no_acme
def test_it_is_renewed_while_a_third_of_its_life_is_left(peers):
    knot = peers.knot()
    pebble = peers.pebble(knot, seconds=24)
    n = peers.names(knot, pebble).want("dev").start()
    path = n.home / "names/certificate.pem"
    wait_until("the first", 120, path.exists)
    seen = {}
    wait_until("two renewals", 240, lambda: seen.setdefault(path.read_text(), time.time()) and len(seen) == 3)
    assert len({text.split("-----BEGIN PRIVATE")[1] for text in seen}) == 3  # each with a key of its own
    assert n.state("acme")["state"] == "ok"


@no_acme
def test_a_leftover_challenge_is_taken_away(peers):
    """A start that was cut short in the middle of a challenge left its record: it bears our mark and goes."""
    knot = peers.knot()
    n = peers.names(knot)
    knot.update(f'add _acme-challenge.{DOMAIN}. 60 TXT "left"',
                f"add _ownhouse-txt._acme-challenge.{DOMAIN}. 60 TXT {mark(n)[0]}",
                f'add _acme-challenge.other.{DOMAIN}. 60 TXT "by hand"')
    n.want("dev").start().until("dns", "ok")
    assert [k for k in knot.all() if "_acme" in k[0]] == [(f"_acme-challenge.other.{DOMAIN}", "TXT")]


@no_acme
def test_an_authority_that_refuses_is_named(peers):
    """Here it asks a server that does not know the challenge; what ran before goes on."""
    knot = peers.knot()
    wrong = Knot(peers.folder / "wrong")
    try:
        pebble = peers.pebble(wrong)
        n = peers.names(knot, pebble).want("dev").start()
        state = n.until("acme", "failed", 180)
        assert "uacme" in state["error"]
        assert n.state("dns")["state"] == "ok"
        assert not [k for k in knot.all() if "_acme-challenge" in k[0]]
    finally:
        wrong.stop()


@no_acme
def test_no_secret_is_in_an_argument_or_an_environment(peers):
    """uacme and our hook are watched from outside while they work."""
    knot = peers.knot()
    pebble = peers.pebble(knot)
    n = peers.names(knot, pebble, acme_settle=2).want("dev").start()
    seen = set()

    def look():
        for entry in pathlib.Path("/proc").iterdir():
            try:
                if entry.name.isdigit() and str(n.home) in (words := (entry / "cmdline").read_text() + (
                        entry / "environ").read_text()):
                    seen.add(words)
            except OSError:
                pass
        return n.state("acme")["state"] == "ok"

    wait_until("the certificate", 120, look, every=0.02)
    told = "\n".join(seen)
    assert "uacme" in told and "dns-01" in told  # both were seen
    keys = [p.read_text() for p in (n.home / "names").glob("acme-*/private/**/key.pem")]
    assert keys and knot.secret not in told
    for key in keys:
        assert key.splitlines()[1] not in told


# ---- Route 53 ----


@pytest.fixture(scope="module")
def moto(tmp_path_factory):
    from aws_peer import Moto
    server = Moto(tmp_path_factory.mktemp("moto"))
    yield server
    server.close()


def zone_of(moto):
    from aws_peer import aws
    zone = aws(moto.url, "route53", "create-hosted-zone", "--name", f"{ZONE}.", "--caller-reference", str(time.time()))
    return zone["HostedZone"]["Id"].split("/")[-1]


def sets_of(moto, zone):
    from aws_peer import aws
    listed = aws(moto.url, "route53", "list-resource-record-sets", "--hosted-zone-id", zone)
    return {(s["Name"].rstrip("."), s["Type"]): sorted(r["Value"] for r in s["ResourceRecords"])
            for s in listed["ResourceRecordSets"] if s["Type"] not in ("NS", "SOA")}


def put(moto, zone, name, kind, value):
    from aws_peer import aws
    aws(moto.url, "route53", "change-resource-record-sets", "--hosted-zone-id", zone, "--change-batch", json.dumps(
        {"Changes": [{"Action": "CREATE", "ResourceRecordSet": {"Name": name, "Type": kind, "TTL": 60, "ResourceRecords": [
            {"Value": value}]}}]}))


def test_records_in_route53(peers, moto):
    from aws_peer import environment
    zone = zone_of(moto)
    put(moto, zone, f"theirs.{DOMAIN}", "A", "203.0.113.9")
    n = peers.names(None, dns_provider="route53", dns_zone=ZONE, dns_zone_id=zone, dns_endpoint=moto.url,
                    env=environment())
    n.want("dev", "theirs").start()
    assert n.until("dns", "conflict")["conflicts"] == 1
    own = {k: v for k, v in sets_of(moto, zone).items() if k[1] == "A"}
    assert own == {**records("dev"), (f"theirs.{DOMAIN}", "A"): ["203.0.113.9"]}
    assert sets_of(moto, zone)[(f"_ownhouse-a.dev.{DOMAIN}", "TXT")] == mark(n)
    n.want("new", targets=["lb.elb.amazonaws.com"])
    wait_until("the alias", 60, lambda: sets_of(moto, zone).get((f"new.{DOMAIN}", "CNAME")) == ["lb.elb.amazonaws.com"])
    n.want(targets=[])
    wait_until("the end", 60, lambda: list(sets_of(moto, zone)) == [(f"theirs.{DOMAIN}", "A")])


def test_a_challenge_in_route53(peers, moto):
    """As uacme calls the program: set twice for two names of one certificate, each taken away alone."""
    from aws_peer import environment
    zone = zone_of(moto)
    n = peers.names(None, dns_provider="route53", dns_zone=ZONE, dns_zone_id=zone, dns_endpoint=moto.url,
                    env=environment())
    n.want("dev").start().until("dns", "ok")
    name = (f"_acme-challenge.{DOMAIN}", "TXT")

    def hook(method, value, kind="dns-01"):
        return subprocess.run([str(AGENT), method, kind, DOMAIN, "token", value], capture_output=True, text=True,
                              env=environment(OWNHOUSE_ACME_CONFIG=str(n.config)))

    assert hook("begin", "one").returncode == 0 and hook("begin", "two").returncode == 0
    assert sets_of(moto, zone)[name] == ['"one"', '"two"']
    assert hook("done", "one").returncode == 0
    assert sets_of(moto, zone)[name] == ['"two"']
    assert hook("failed", "two").returncode == 0
    assert name not in sets_of(moto, zone)
    assert not [k for k in sets_of(moto, zone) if "_acme-challenge" in k[0]]
    assert hook("begin", "three", kind="http-01").returncode == 1  # declined
    put(moto, zone, name[0], "TXT", '"by hand"')
    refused = hook("begin", "four")
    assert refused.returncode == 1 and "left alone" in refused.stderr
    assert sets_of(moto, zone)[name] == ['"by hand"']


def agent_zone(zone):
    """The policy that the artefact gives the agent in a zone of its owner."""
    from test_aws_policy import TOP, resolved
    artefact = json.loads((TOP / "deploy/aws/cloudformation.json").read_text())["Resources"]["PolicyAgentZone"]["Properties"]
    return resolved(artefact["PolicyDocument"], AgentZone=zone)


def each_condition_is_needed(policy, asked):
    """What was asked is allowed; with a condition violated once it is denied, and without that condition it would not be."""
    from aws_guard import TYPES
    from test_aws_policy import simulate, violations
    policies = {"data": [policy]}
    cases = [{"phase": "data", "action": action, "resource": resource, "context": {
        "aws:PrincipalTag/kubernetes-namespace": "ownhouse", **({TYPES: list(types)} if types else {})}}
             for action, resource, types in sorted(asked)]
    said = simulate(policies, cases)
    assert said == ["Allowed"] * len(cases), list(zip(cases, said))
    trials = []
    for k, statement in enumerate(policy["Statement"]):
        listed = statement["Action"] if isinstance(statement["Action"], list) else [statement["Action"]]
        for operator, keys in statement["Condition"].items():
            trials += [({**bad}, {**bad, "without": [0, k, operator, key]}) for key in keys for case in cases
                       if case["action"] in listed and (key in case["context"]) for bad in violations(case, operator, key)]
        # Nor in another zone, nor of another change's kind of resource.
        trials += [({**case, "resource": "arn:aws:route53:::hostedzone/ZANOTHER"}, None) for case in cases
                   if case["action"] in listed and "hostedzone" in case["resource"]]
    assert len(trials) > 10 and "Allowed" not in simulate(policies, [bad for bad, _ in trials])
    assert set(simulate(policies, [free for _, free in trials if free])) == {"Allowed"}
    assert {a for a, _, _ in asked} == {a for s in policy["Statement"] for a in ([s["Action"]] if isinstance(s["Action"], str) else s["Action"])}


@no_acme
def test_names_and_a_certificate_with_no_more_rights_than_the_artefact_gives(peers, moto):
    """Records, a certificate by ACME, and their end, on a Route 53 where each request is judged by the artefact's AgentZone. The
    authority looks the challenge up at a real name server. None of the policy's rights and types goes unused."""
    from aws_guard import Guard
    from aws_peer import environment
    zone, knot = zone_of(moto), peers.knot()
    pebble = peers.pebble(knot)
    policy = agent_zone(zone)
    guard = Guard(moto, policy, knot)
    n = peers.names(None, dns_provider="route53", dns_zone=ZONE, dns_zone_id=zone, dns_endpoint=guard.url, env=environment(),
                    acme_directory=pebble.url, acme_settle=0)
    n.ca = pebble.ca
    try:
        n.want("dev", targets=["192.0.2.1", "2001:db8::1"]).start().until("dns", "ok")
        n.until("acme", "ok", 180)
        names = openssl("x509", "-in", str(n.home / "names/certificate.pem"), "-noout", "-ext", "subjectAltName")
        assert f"DNS:{DOMAIN}" in names and f"DNS:*.{DOMAIN}" in names
        assert not [k for k in sets_of(moto, zone) if "_acme-challenge" in k[0]]
        n.want("dev", targets=["lb.elb.amazonaws.com"])
        wait_until("the alias", 60, lambda: (f"dev.{DOMAIN}", "CNAME") in sets_of(moto, zone))
        n.want(targets=[])
        wait_until("the end", 60, lambda: not sets_of(moto, zone))
        assert not guard.denied and {t for _, _, types in guard.asked for t in types} == {"A", "AAAA", "CNAME", "TXT"}
        each_condition_is_needed(policy, guard.asked)
        # A pod of a service has the same role, but not the agent's namespace: nothing is done, and it is said why.
        guard.namespace = "ownhouse-5c000001"
        n.want("dev")
        state = n.until("dns", "failed")
        assert "AccessDenied" in state["error"] and guard.denied and not sets_of(moto, zone), state
    finally:
        n.stop()
        guard.stop()


def test_what_is_asked_of_route53_without_an_authority_is_allowed_too(peers, moto, tmp_path):
    """The same where no ACME server can run: the challenge is set as uacme sets it."""
    from aws_guard import Guard
    from aws_peer import environment
    zone = zone_of(moto)
    policy = agent_zone(zone)
    guard = Guard(moto, policy)
    n = peers.names(None, dns_provider="route53", dns_zone=ZONE, dns_zone_id=zone, dns_endpoint=guard.url, env=environment())
    try:
        n.want("dev", targets=["192.0.2.1", "2001:db8::1"]).start().until("dns", "ok")
        n.want("dev", targets=["lb.elb.amazonaws.com"])
        wait_until("the alias", 60, lambda: (f"dev.{DOMAIN}", "CNAME") in sets_of(moto, zone))
        for method in ("begin", "done"):
            done = subprocess.run([str(AGENT), method, "dns-01", DOMAIN, "token", "value"], capture_output=True, text=True,
                                  env=environment(OWNHOUSE_ACME_CONFIG=str(n.config)))
            assert done.returncode == 0, done.stderr
            assert ((f"_acme-challenge.{DOMAIN}", "TXT") in sets_of(moto, zone)) == (method == "begin")
        n.want(targets=[])
        wait_until("the end", 60, lambda: not sets_of(moto, zone))
        assert not guard.denied
        each_condition_is_needed(policy, guard.asked)
    finally:
        n.stop()
        guard.stop()
