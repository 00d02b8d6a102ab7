"""Our signatures beside botocore's, for requests that nobody chose."""
import base64
import datetime
import json
import os
import pathlib
import subprocess
import urllib.parse

import aws_peer

OWNHOUSE = pathlib.Path(os.environ["OWNHOUSE_BUILD"]) / "src/cli/ownhouse"
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


def parts(credential):
    """What a cluster's API would send to STS: the host and the signed parameters."""
    token = json.loads(credential)["status"]["token"]
    assert token.startswith("k8s-aws-v1.")
    text = token.removeprefix("k8s-aws-v1.")
    assert "=" not in text
    url = urllib.parse.urlsplit(base64.urlsafe_b64decode(text + "=" * (-len(text) % 4)).decode())
    return url.scheme, url.netloc, url.path, dict(urllib.parse.parse_qsl(url.query, strict_parsing=True))


def test_eks_tokens_are_those_of_the_aws_command_line(tmp_path):
    """Ours made for the second of theirs; without and with a session's token, and a region with other names."""
    keys = {"AWS_ACCESS_KEY_ID": "AKIAIOSFODNN7EXAMPLE", "AWS_SECRET_ACCESS_KEY": "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY"}
    for region, cluster, more in (("us-east-1", "oh-1a2b3c4d", {}), ("eu-central-1", "oh-5c000001", {"AWS_SESSION_TOKEN": "Fwo/G+x=="}),
                                  ("cn-north-1", "prod_A-1", {})):
        environment = aws_peer.environment(**keys, **more)
        theirs = subprocess.run([aws_peer.tool("aws"), "eks", "get-token", "--region", region, "--cluster-name", cluster],
                                env=environment, capture_output=True, text=True, timeout=120, check=True).stdout
        when = datetime.datetime.strptime(parts(theirs)[3]["X-Amz-Date"] + "+0000", "%Y%m%dT%H%M%SZ%z")
        ours = subprocess.run([BUILD / "tests/scenario/programs/aws-sign", region, cluster, str(int(when.timestamp()))],
                              env=environment, capture_output=True, text=True, timeout=60, check=True).stdout
        assert parts(ours) == parts(theirs), (ours, theirs)
        said = subprocess.run([OWNHOUSE, "account", "eks-token", cluster, "--region", region], env=environment,
                              capture_output=True, text=True, timeout=60)
        assert said.returncode == 0, said.stderr
        mine, other = parts(said.stdout), parts(theirs)
        assert mine[:3] == other[:3] and set(mine[3]) == set(other[3])
        assert {k for k in mine[3] if mine[3][k] != other[3][k]} <= {"X-Amz-Date", "X-Amz-Signature", "X-Amz-Credential"}
        credential = json.loads(said.stdout)
        assert credential["kind"] == "ExecCredential" and credential["apiVersion"] == json.loads(theirs)["apiVersion"]
    nobody = {k: v for k, v in aws_peer.environment().items() if not k.startswith("AWS_")}
    said = subprocess.run([OWNHOUSE, "account", "eks-token", "c", "--region", "us-east-1"], capture_output=True, text=True, timeout=60,
                          env={**nobody, "AWS_EC2_METADATA_DISABLED": "true", "HOME": str(tmp_path)})
    assert said.returncode != 0 and "no AWS keys" in said.stderr
