"""A controller that is killed, or whose call is hurt, at each of its API calls: the end is the same each time, nothing is there twice,
nothing is left (aws/every_call.py says how).

./test takes each kind of call that writes once, before and after it (a call that reads leaves what was there), and some calls by a seed
that is another one each day; OWNHOUSE_TEST_SEED takes up a former one. OWNHOUSE_TEST_LONG=1 takes every call and every kind of harm
(bench/RESULTS.md says what that found, and how long it took)."""
import collections
import json
import os
import random
import subprocess
import time

import pytest

import aws_peer
from test_aws_strict import ACCOUNT, NOTHING, PROGRAM, STEADY, WHOLE

LONG = os.environ.get("OWNHOUSE_TEST_LONG") == "1"
SEED = int(os.environ.get("OWNHOUSE_TEST_SEED", time.time() // 86400))
CALLS = 300  # fewer are made by no apply and no removal
EACH = 12  # in a run that goes on, every 12th call is hurt
ROLE = f"arn:aws:iam::{ACCOUNT}:role/ownhouse/ownhouse-prod-"
LIFE = {"accountId": ACCOUNT, "features": {"hostedZone": True, "flowLogs": True}, "peering": {"cidr": "10.99.0.0/16", "dns": True},
        "privateLink": {"principals": [f"arn:aws:iam::{ACCOUNT}:root"]},
        "artefact": {"dataRole": ROLE + "data", "bootstrapRole": ROLE + "bootstrap", "launchTemplate": "ownhouse-prod-bootstrap"}}


def hurt(folder, verb, kind, **more):
    """What each trial said, and what the whole says at its end."""
    work, out, spec = folder / "work", folder / "out", folder / "spec.json"
    work.mkdir()
    spec.write_text(json.dumps({"program": str(PROGRAM), "verb": verb, "kind": kind, "account": LIFE, "whole": WHOLE,
                                "nothing": NOTHING, "steady": STEADY, **more}))
    done = subprocess.run([aws_peer.tool("python"), aws_peer.HERE / "aws/every_call.py", spec, work, out], capture_output=True, text=True,
                          env=aws_peer.environment(MOTO_IAM_LOAD_MANAGED_POLICIES="true"), timeout=36000 if LONG else 900)
    assert done.returncode == 0, done.stderr[-3000:]
    said = [json.loads(line) for line in out.read_text().splitlines()]
    wrong = [s for s in said if s.get("wrong")]
    assert not wrong, f"seed {SEED}: {wrong[:3]}"
    return said


@pytest.mark.parametrize("verb", ["apply", "purge"])
def test_killed_before_and_after_a_call(tmp_path, verb):
    some = {} if LONG else {"kinds": True, "at": [[when, n] for n in random.Random(f"{SEED} {verb}").sample(range(1, CALLS), 2)
                                                  for when in ("before", "after")]}
    *trials, end = hurt(tmp_path, verb, "kill", jobs=2, **some)
    assert end["good"] and end["calls"] >= CALLS
    print(f"{verb}: {end}")
    if LONG:
        assert end["points"] == 2 * end["calls"] and end["trials"] + end["same"] == end["points"]
    assert len(trials) == end["trials"] and end["trials"] >= (100 if LONG else 30)
    # What writes, of every service: each is a kind, and tried (or the same instant is, after the call before it).
    writes = {"apply": {"CreateVpc", "CreateSubnet", "CreateNatGateway", "AllocateAddress", "CreateRole", "CreateKey", "CreateLogGroup",
                        "POST /clusters?", "POST /clusters/N/node-groups?", "POST /clusters/N/addons?", "RunInstances", "PUT /N?",
                        "POST /2013-04-01/hostedzone?", "CreateVpcPeeringConnection", "CreateVpcEndpointServiceConfiguration"},
              "purge": {"DeleteVpc", "DeleteSubnet", "DeleteNatGateway", "ReleaseAddress", "DeleteRole", "ScheduleKeyDeletion",
                        "DELETE /clusters/N?", "DELETE /clusters/N/node-groups/N?", "DELETE /clusters/N/addons/N?", "DELETE /N?",
                        "DeleteLogGroup", "DELETE /2013-04-01/hostedzone/N?", "DeleteVpcPeeringConnection"}}[verb]
    assert writes <= set(end["kinds"]), writes - set(end["kinds"])


HARMS = [(kind, verb) for kind in ("lose", "late", "error", "error-after", "throttle") for verb in ("apply", "purge")]


@pytest.mark.parametrize("kind, verb", HARMS if LONG else [random.Random(f"{SEED} harm").choice(HARMS)])
def test_answers_that_do_not_come_or_are_refusals(tmp_path, verb, kind):
    first = random.Random(f"{SEED} first").randrange(EACH)
    said = hurt(tmp_path, verb, kind, each=EACH, **({} if LONG else {"part": [first, EACH]}))
    assert len(said) == (EACH if LONG else 1)
    places = collections.Counter(tuple(p) for s in said for p in s["hurt"])
    print(f"{kind} {verb}: {len(said)} runs, {sum(s['calls'] for s in said)} calls, {len(places)} different ones hurt")
    assert len(places) >= (100 if LONG else 20)
