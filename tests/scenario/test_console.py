"""The console in Debian's Chromium against a real `ownhouse up`: tests/console/*.mjs, each a set of steps in order."""
import os
import pathlib
import shutil
import subprocess

import pytest

from full_system import BUILD, TOP

RESULTS = TOP / "test-results/console"


def need_browser():
    if not shutil.which("chromium"):
        pytest.skip("skipped: chromium not available")
    if not shutil.which("node") or not (TOP / "console/node_modules/playwright-core").exists():
        pytest.skip("skipped: npm package playwright-core not available")
    if not (BUILD / "console/index.html").exists():
        pytest.skip("skipped: the console is not built")


def set_up_link(system):
    done = subprocess.run([BUILD / "src/control/ownhouse-control", "set-up-link", "--config",
                           system.home / "control/control.conf"], capture_output=True, text=True, check=True)
    return done.stdout.strip()


def steps(system, name, timeout=900, **env):
    """Runs tests/console/NAME.test.mjs; its output is in the failure."""
    RESULTS.mkdir(parents=True, exist_ok=True)
    done = subprocess.run(
        ["node", "--test", "--test-reporter=tap", str(TOP / f"tests/console/{name}.test.mjs")], capture_output=True,
        text=True, timeout=timeout, env=os.environ | {
            "OWNHOUSE_URL": f"https://localhost:{system.port}", "OWNHOUSE_RESULTS": str(RESULTS),
            "OWNHOUSE_EDGE": str(system.home / "control/keys/edge.pem"), **env})
    (RESULTS / f"{name}.log").write_text(done.stdout + done.stderr)
    assert done.returncode == 0, done.stdout[-8000:] + done.stderr[-2000:]
    assert "# fail 0" in done.stdout and "# pass 0" not in done.stdout


def test_from_the_set_up_link_to_a_query(new_system):
    need_browser()
    system = new_system()
    system.up()
    steps(system, "newcomer", OWNHOUSE_SET_UP=set_up_link(system), OWNHOUSE_HOME=str(system.home))
