"""Our signatures beside botocore's, for requests that nobody chose."""
import json
import os
import pathlib
import subprocess

import aws_peer

BUILD = pathlib.Path(os.environ["OWNHOUSE_BUILD"])


def test_three_thousand_random_requests_are_signed_as_botocore_signs_them():
    seed = int(os.environ.get("OWNHOUSE_SEED", "20261123"))
    theirs = [json.loads(line) for line in aws_peer.python("aws/sign.py", seed, 3000).splitlines()]
    asked = "".join(json.dumps(one["request"]) + "\n" for one in theirs)
    done = subprocess.run([BUILD / "tests/scenario/programs/aws-sign"], input=asked, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    ours = [json.loads(line)["authorization"] for line in done.stdout.splitlines()]
    assert len(ours) == 3000
    wrong = [(t["request"], o, t["authorization"]) for o, t in zip(ours, theirs) if o != t["authorization"]]
    assert not wrong, f"seed {seed}: {len(wrong)} differ, the first: {wrong[0]}"
