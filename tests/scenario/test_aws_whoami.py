"""As whom a controller acts, from keys of a session: AWS names the role without its path, and a trust needs it."""
import json
import subprocess

import pytest

import aws_peer
from aws_peer import Calls
from full_system import BUILD

PROGRAM = BUILD / "tests/scenario/programs/aws-infra"
TRUST = {"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Principal": {"AWS": "*"}, "Action": "sts:AssumeRole"}]}


@pytest.fixture(scope="module")
def moto(tmp_path_factory):
    server = aws_peer.Moto(tmp_path_factory.mktemp("moto"))
    server.calls = Calls(server.url)
    yield server
    server.calls.close()
    server.close()


def whoami(folder, keys, **endpoints):
    folder.mkdir()
    (folder / "env.json").write_text(json.dumps({"infrastructure": {"region": "us-east-1"}, "endpoints": endpoints}))
    done = subprocess.run([PROGRAM, "whoami", folder], capture_output=True, text=True, timeout=120, env=aws_peer.environment(
        AWS_ACCESS_KEY_ID=keys["AccessKeyId"], AWS_SECRET_ACCESS_KEY=keys["SecretAccessKey"], AWS_SESSION_TOKEN=keys["SessionToken"]))
    assert done.returncode == 0, done.stderr
    row, = json.loads(done.stdout)
    return row


def session(moto, name, path):
    moto.calls("iam", "create_role", RoleName=name, Path=path, AssumeRolePolicyDocument=json.dumps(TRUST))
    answer = moto.calls("sts", "assume_role", RoleArn=f"arn:aws:iam::123456789012:role{path}{name}", RoleSessionName="controller")
    assert "/platform/" not in answer["AssumedRoleUser"]["Arn"], "a session's ARN has no path"
    return answer["Credentials"]


def test_the_path_is_asked_for(moto, tmp_path):
    row = whoami(tmp_path / "a", session(moto, "ownhouse-controller", "/platform/own/"), **{"*": moto.url})
    assert (row["outcome"], row["advice"]) == ("ok", ""), row
    assert row["found"] == "arn:aws:iam::123456789012:role/platform/own/ownhouse-controller"
    row = whoami(tmp_path / "b", session(moto, "plain", "/"), **{"*": moto.url})
    assert (row["found"], row["advice"]) == ("arn:aws:iam::123456789012:role/plain", ""), row


def test_where_it_cannot_be_asked_for_that_is_said(moto, tmp_path):
    keys = session(moto, "unseen", "/platform/")
    moto.calls("iam", "delete_role", RoleName="unseen")  # what IAM tells of it is as little as to who may not ask
    row = whoami(tmp_path / "a", keys, **{"*": moto.url})
    assert (row["outcome"], row["found"]) == ("ok", "arn:aws:iam::123456789012:role/unseen"), row
    assert "path is not seen" in row["advice"]
