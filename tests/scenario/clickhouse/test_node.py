"""The official Node client (npm @clickhouse/client) against the server."""
import pytest

from engine_server import PASSWORD
from node_client import run_suite


def test_official_node_client(server):
    run = run_suite(f"http://127.0.0.1:{server.port}", PASSWORD)
    if run is None:
        pytest.skip("skipped: npm package @clickhouse/client not available")
    assert run.returncode == 0, run.stdout + run.stderr
    assert "# fail 0" in run.stdout and "# pass 0" not in run.stdout
