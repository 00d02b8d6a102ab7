"""docs/onboarding-aws.md, pasted: from an empty machine to a ready infrastructure in an account and to the proof that it is gone."""
import os
import re
import subprocess

import pytest

import aws_peer
from full_system import OWNHOUSE, TOP, System, engine_available


def test_every_line_works_when_pasted():
    if not engine_available():
        pytest.skip("skipped: embedded engine not available")
    aws_peer.tool("moto_server")  # or skipped
    blocks = re.findall(r"^```bash\n(.*?)^```$", (TOP / "docs/onboarding-aws.md").read_text(), re.M | re.S)
    assert len(blocks) >= 8
    system = System()
    system.home = system.root / "ownhouse"  # where the command itself puts it below XDG_DATA_HOME
    text = "\n".join(blocks).replace("5055", str(aws_peer.free_port()))
    for name in ("moto.log", "features.json"):
        assert f"/tmp/{name}" in text
        text = text.replace(f"/tmp/{name}", f"{system.root}/{name}")
    words = " ".join(system.up_words()[1:])
    script = system.root / "guide"
    # A command of its own ports for `up`, since this machine may have others running; else as it stands.
    script.write_text("set -euo pipefail\ntrap 'kill $(jobs -p) || true' EXIT\n"
                      f'ownhouse() {{ if [ "$1" = up ]; then "{OWNHOUSE}" up {words}; else "{OWNHOUSE}" "$@"; fi; }}\n' + text)
    env = {k: v for k, v in os.environ.items() if not k.startswith(("AWS_", "OWNHOUSE_HOME"))}
    try:
        done = subprocess.run(["bash", str(script)], capture_output=True, text=True, timeout=400, stdin=subprocess.DEVNULL,
                              cwd=TOP, env={**env, "XDG_DATA_HOME": str(system.root), "AWS_PAGER": ""})
        said = done.stdout + done.stderr
        assert done.returncode == 0, said[-6000:] + system.logs()
        assert "USD a month" in said and "Nothing has drifted" in said
        report = re.search(r"Of (\d+) resources ever made, (\d+) are gone", said)
        assert report and report[1] == report[2] and int(report[1]) > 40, said[-6000:]
    finally:
        for name in ("aws.json", "aws-keys"):  # the reader's own files
            (system.home / name).unlink(missing_ok=True)
        system.purge()
