"""Terraform and its AWS provider (tests/peers/terraform), against an AWS server of this machine."""
import json
import subprocess

import aws_peer
from peers import peer

# What the provider that can be had (1.60.0) does not know yet, by type: taken out before it looks at a module.
LATER = {"aws_launch_template": {"metadata_options"}}


class Terraform:
    def __init__(self, folder, module, url=None, services=()):
        self.program, self.folder = peer("terraform"), folder
        folder.mkdir(exist_ok=True)
        (folder / "rc").write_text('disable_checkpoint = true\nprovider_installation {\n  dev_overrides { "hashicorp/aws" = '
                                   f'"{self.program.parent / "provider"}" }}\n  direct {{}}\n}}\n')
        if url:
            module = {**module, "provider": {"aws": {
                "region": "us-east-1", "access_key": "a", "secret_key": "b", "s3_force_path_style": True,
                "skip_credentials_validation": True, "skip_metadata_api_check": True, "skip_get_ec2_platforms": True,
                "endpoints": [{s: url for s in services}]}}}
        (folder / "main.tf.json").write_text(json.dumps(module, indent=1))

    def __call__(self, *arguments, good=True, timeout=300):
        done = subprocess.run([self.program, *arguments], cwd=self.folder, capture_output=True, text=True, timeout=timeout,
                              env=aws_peer.environment(TF_CLI_CONFIG_FILE=str(self.folder / "rc"), TF_IN_AUTOMATION="1"))
        assert not good or done.returncode == 0, (done.stdout + done.stderr)[-3000:]
        return done.stdout


def known(module):
    """The module without what came later, and what was taken out."""
    module, out = json.loads(json.dumps(module)), set()
    for kind, names in LATER.items():
        for resource in module["resource"].get(kind, {}).values():
            out |= {name for name in names if resource.pop(name, None) is not None}
    return module, out
