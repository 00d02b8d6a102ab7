"""The official Node client through the ingress: TLS by the data plane's authority, by the service's own port."""
import pytest

from node_client import run_suite


def test_official_node_client_through_the_ingress(system):
    port = system.ok("services", "show", "demo")["ownhouse"]["localPort"]
    run = run_suite(f"https://localhost:{port}", system.password(), system.customer / "ca.pem")
    if run is None:
        pytest.skip("skipped: npm package @clickhouse/client not available")
    assert run.returncode == 0, run.stdout + run.stderr
    assert "# fail 0" in run.stdout and "# pass 0" not in run.stdout
