"""docs/access.md, pasted: from the request to the verified ledger."""
import os
import pathlib
import re
import subprocess

import pytest

from full_system import OWNHOUSE, TOP, System, engine_available


def test_the_walk_through_works_when_pasted():
    if not engine_available():
        pytest.skip("skipped: embedded engine not available")
    block = re.search(r"```bash\n(.*?)```", (TOP / "docs/access.md").read_text(), re.S).group(1)
    system = System()
    try:
        system.up()
        script = system.root / "paste"
        script.write_text("set -e\nownhouse() { " + f'"{OWNHOUSE}" "$@" --home "{system.home}"' + "; }\n" + block)
        done = subprocess.run(["bash", str(script)], capture_output=True, text=True, timeout=180, stdin=subprocess.DEVNULL,
                              env=dict(os.environ))
        assert done.returncode == 0, done.stdout + done.stderr
        assert "refused, as it should be" in done.stdout
        assert "ownhouse_diag.tables" in done.stdout  # the statement, in its leaf
    finally:
        system.purge()
