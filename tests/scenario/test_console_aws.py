"""An AWS account by clicking in the console, in Debian's Chromium, against moto."""
import json

import pytest

import aws_peer
from aws_peer import aws
from full_system import System, engine_available
from test_console import need_browser, set_up_link, steps

ACCOUNT = "123456789012"
# What moto has no answer for; the strict server has (test_aws_strict.py).
FEATURES = {"addons": False, "podIdentities": False, "accessEntry": False, "bootstrap": False}


@pytest.fixture(scope="module")
def moto(tmp_path_factory):
    need_browser()
    server = aws_peer.Moto(tmp_path_factory.mktemp("moto"))
    yield server
    server.close()


@pytest.fixture(scope="module")
def system(moto):
    if not engine_available():
        pytest.skip("skipped: no ClickHouse engine available")
    aws(moto.url, "iam", "create-user", "--user-name", "controller")
    key = aws(moto.url, "iam", "create-access-key", "--user-name", "controller")["AccessKey"]
    s = System()
    try:
        s.home.mkdir(parents=True, exist_ok=True)
        keys = s.root / "aws-credentials"
        keys.touch(0o600)
        keys.write_text(f"[default]\naws_access_key_id = {key['AccessKeyId']}\naws_secret_access_key = {key['SecretAccessKey']}\n")
        (s.home / "aws.json").write_text(json.dumps({"endpoints": {"*": moto.url}, "credentialsFile": str(keys)}))
        s.up()
        yield s
    finally:
        (s.home / "aws.json").unlink(missing_ok=True)
        s.purge()


def test_from_an_account_to_an_applied_plan(system, moto):
    steps(system, "aws", OWNHOUSE_SET_UP=set_up_link(system), OWNHOUSE_AWS=str(aws_peer.tool("aws")), OWNHOUSE_AWS_URL=moto.url,
          OWNHOUSE_MORE=json.dumps({"features": FEATURES}), OWNHOUSE_CONTROLLER=f"arn:aws:iam::{ACCOUNT}:user/controller",
          **aws_peer.KEYS)
