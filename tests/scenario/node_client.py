"""The official Node client from npm, for tests that speak to a service as an application does."""
import os
import pathlib
import shutil
import subprocess

CLIENT = "@clickhouse/client@1.23.1"
SUITE = pathlib.Path(__file__).parent / "clickhouse/client.test.js"


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


def run_suite(url, password, ca_file=None):
    """Runs client.test.js against a service; None when the client cannot be had, else the completed process."""
    folder = client_folder() if shutil.which("node") else None
    if not folder:
        return None
    env = os.environ | {"NODE_PATH": str(folder / "node_modules"), "CLICKHOUSE_PASSWORD": password,
                        "CLICKHOUSE_URL": url}
    if ca_file:
        env["NODE_EXTRA_CA_CERTS"] = str(ca_file)
    return subprocess.run(["node", "--test", "--test-reporter=tap", SUITE], env=env, text=True, capture_output=True,
                          timeout=300)
