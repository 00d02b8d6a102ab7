"""Fixtures of the embedded engine's tests; how to run them is said in engine_server.py."""
import pathlib
import signal

import pytest

from engine_server import PROGRAM, Server, library

HERE = pathlib.Path(__file__).parent


def pytest_collection_modifyitems(items):
    reason = None
    if not PROGRAM.exists():
        reason = f"skipped: {PROGRAM} is not built"
    elif not library():
        reason = "skipped: chdb library not available"
    for item in items:
        if reason and HERE in item.path.parents:
            item.add_marker(pytest.mark.skip(reason=reason))


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    s = Server(tmp_path_factory.mktemp("ch")).start()
    yield s
    s.stop(signal.SIGKILL)


@pytest.fixture
def fresh(tmp_path):
    """Makes servers in a directory of the test's own, and ends them."""
    made = []

    def make(**settings):
        s = Server(tmp_path, **settings)
        made.append(s)
        return s

    yield make
    for s in made:
        s.stop(signal.SIGKILL)
