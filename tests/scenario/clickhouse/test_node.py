"""The official Node client (npm @clickhouse/client) against the server."""
import os
import pathlib
import shutil
import subprocess

import pytest

from engine_server import PASSWORD

CLIENT = "@clickhouse/client@1.23.1"
HERE = pathlib.Path(__file__).parent


def client_folder():
    """A folder whose node_modules has the client, fetched once by npm; None if that cannot be had."""
    if "OWNHOUSE_NODE" in os.environ:
        return pathlib.Path(os.environ["OWNHOUSE_NODE"])
    cache = pathlib.Path(os.environ.get("XDG_CACHE_HOME") or pathlib.Path.home() / ".cache")
    folder = cache / "ownhouse" / "node" / CLIENT.rpartition("@")[2]
    if not (folder / "node_modules/@clickhouse/client/package.json").exists():
        if not shutil.which("npm"):
            return None
        folder.mkdir(parents=True, exist_ok=True)
        fetched = subprocess.run(["npm", "install", "--prefix", folder, "--no-save", "--no-audit", "--no-fund",
                                  "--ignore-scripts", CLIENT], capture_output=True, timeout=300)
        if fetched.returncode:
            return None
    return folder


def test_official_node_client(server):
    folder = client_folder() if shutil.which("node") else None
    if not folder:
        pytest.skip("skipped: npm package @clickhouse/client not available")
    env = os.environ | {"NODE_PATH": str(folder / "node_modules"), "CLICKHOUSE_PASSWORD": PASSWORD,
                        "CLICKHOUSE_URL": f"http://127.0.0.1:{server.port}"}
    run = subprocess.run(["node", "--test", "--test-reporter=tap", HERE / "client.test.js"], env=env, text=True,
                         capture_output=True, timeout=300)
    assert run.returncode == 0, run.stdout + run.stderr
    assert "# fail 0" in run.stdout and "# pass 0" not in run.stdout
