"""Programs that we did not write, for tests against them: tests/peers/PEER/fetch brings them, `./test` calls all of these
beforehand, and a test whose peer is not there is skipped by name."""
import pathlib
import subprocess

import pytest

PEERS = pathlib.Path(__file__).resolve().parents[1] / "peers"


def find_peer(name):
    """Path of what a peer provides, None when it is not there; never asks the network."""
    found = subprocess.run([PEERS / name / "fetch", "--check"], capture_output=True, text=True)
    return pathlib.Path(found.stdout.strip()) if found.returncode == 0 else None


def peer(name):
    """Path of what a peer provides; without it the test, or the module that asks while it is loaded, is skipped."""
    path = find_peer(name)
    if path is None:
        pytest.skip(f"skipped: {name} not available (tests/peers/fetch {name})", allow_module_level=True)
    return path
