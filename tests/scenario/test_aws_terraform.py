"""The artefact's Terraform module in Terraform itself: it is valid, and what it makes is what the CloudFormation template makes."""
import ast
import json
import os
import pathlib
import subprocess

import pytest

import aws_peer
from terraform import LATER, Terraform, known

OWNHOUSE = pathlib.Path(os.environ["OWNHOUSE_BUILD"]) / "src/cli/ownhouse"
ACCOUNT, EXTERNAL = "123456789012", "0123456789abcdef0123456789abcdef"


@pytest.fixture(scope="module")
def artefact(tmp_path_factory):
    folder = tmp_path_factory.mktemp("artefact")
    subprocess.run([OWNHOUSE, "policy", "artefact", "prod", "--external-id", EXTERNAL, "--controller-arn",
                    f"arn:aws:iam::{ACCOUNT}:root", "--out", folder], check=True, capture_output=True)
    return folder


def test_terraform_finds_the_module_valid(artefact, tmp_path):
    module = json.loads((artefact / "terraform/main.tf.json").read_text())
    said = json.loads(Terraform(tmp_path / "whole", module)("validate", "-json", good=False))
    errors = [d["detail"] for d in said["diagnostics"] if d["severity"] == "error"]
    # All that this provider has to say against it is what it is too old for.
    assert errors == [f'No argument or block type is named "{name}".' for names in LATER.values() for name in names]
    without, taken = known(module)
    assert taken == {name for names in LATER.values() for name in names}
    assert json.loads(Terraform(tmp_path / "known", without)("validate", "-json"))["valid"]
    # And it would say if something else were wrong.
    without["resource"]["aws_iam_role"]["inspect"]["assume_role_polcy"] = without["resource"]["aws_iam_role"]["inspect"].pop(
        "assume_role_policy")
    assert not json.loads(Terraform(tmp_path / "wrong", without)("validate", "-json", good=False))["valid"]


def tree(document):
    """moto's CloudFormation keeps an inline policy as Python writes it."""
    return ast.literal_eval(document) if isinstance(document, str) else document


def made(url):
    """Roles with their trust and everything that is attached, policies' documents and launch templates, as AWS would say it."""
    calls = aws_peer.Calls(url)
    try:
        roles, policies = {}, {}
        for policy in calls("iam", "list_policies", Scope="Local", MaxItems=1000)["Policies"]:
            version = calls("iam", "get_policy_version", PolicyArn=policy["Arn"], VersionId=policy["DefaultVersionId"])
            policies[policy["Arn"]] = version["PolicyVersion"]["Document"]
        for role in calls("iam", "list_roles", MaxItems=1000)["Roles"]:
            name = role["RoleName"]
            role = calls("iam", "get_role", RoleName=name)["Role"]
            attached = calls("iam", "list_attached_role_policies", RoleName=name)["AttachedPolicies"]
            inline = {p: tree(calls("iam", "get_role_policy", RoleName=name, PolicyName=p)["PolicyDocument"])
                      for p in calls("iam", "list_role_policies", RoleName=name)["PolicyNames"]}
            roles[role["Arn"]] = {"trust": role["AssumeRolePolicyDocument"], "attached": sorted(p["PolicyArn"] for p in attached),
                                  "inline": inline, "boundary": role.get("PermissionsBoundary"),
                                  "session": role["MaxSessionDuration"]}
        templates = calls("ec2", "describe_launch_templates")["LaunchTemplates"]
        profiles = calls("iam", "list_instance_profiles", MaxItems=1000)["InstanceProfiles"]
        return {"roles": roles, "policies": policies, "templates": sorted(t["LaunchTemplateName"] for t in templates),
                "profiles": {p["Arn"]: [r["RoleName"] for r in p["Roles"]] for p in profiles}}
    finally:
        calls.close()


WISHES = {"make_network": ("MakeNetwork", False), "make_zone": ("MakeZone", True), "make_connections": ("MakeConnections", True),
          "delete_data": ("DeleteData", True)}
LONG = os.environ.get("OWNHOUSE_TEST_LONG") == "1"


@pytest.mark.parametrize("wishes", [(), tuple(WISHES)] if LONG else [tuple(WISHES)])
def test_terraform_and_cloudformation_make_the_same(artefact, tmp_path, wishes):
    (tmp_path / "one").mkdir()
    (tmp_path / "other").mkdir()
    module, _ = known(json.loads((artefact / "terraform/main.tf.json").read_text()))
    one, other = aws_peer.Moto(tmp_path / "one"), None
    try:
        other = aws_peer.Moto(tmp_path / "other")
        terraform = Terraform(tmp_path / "module", module, one.url, ("ec2", "iam", "sts"))
        variables = [f"-var={name}={json.dumps(WISHES[name][1])}" for name in wishes]
        terraform("apply", "-auto-approve", "-input=false", *variables)
        parameters = [f"ParameterKey={WISHES[n][0]},ParameterValue={json.dumps(WISHES[n][1])}" for n in wishes]
        aws_peer.aws(other.url, "cloudformation", "create-stack", "--stack-name", "policy", "--capabilities", "CAPABILITY_NAMED_IAM",
                     "--template-body", f"file://{artefact}/cloudformation.json", *(["--parameters", *parameters] if parameters else []))
        by_terraform, by_cloudformation = made(one.url), made(other.url)
        assert len(by_terraform["roles"]) >= 6 and len(by_terraform["policies"]) > 10
        assert by_terraform == by_cloudformation
        # Nothing is left to do, and it can all go again.
        terraform("plan", "-detailed-exitcode", "-input=false", *variables)
        terraform("destroy", "-auto-approve", "-input=false", *variables)
        assert not any(made(one.url).values())
    finally:
        one.close()
        if other:
            other.close()
