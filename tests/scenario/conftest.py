"""Fixtures of full systems: `system` is started once a module and torn down with purge; `new_system` makes as many as a
test wants. What they are is in full_system.py."""
import pytest

from full_system import System, engine_available


@pytest.fixture
def new_system():
    """A function that makes systems; each is purged and checked at the end of the test."""
    if not engine_available():
        pytest.skip("skipped: embedded engine not available")
    made = []

    def make(**kwargs):
        made.append(System(**kwargs))
        return made[-1]

    yield make
    for system in made:
        system.purge()


@pytest.fixture(scope="module")
def system(request):
    """One running system for all tests of a module: they must leave it as they found it. A module whose STANDS_FOR says
    CLOUD/REGION has its infrastructure shown as that, for clients that know clouds only."""
    if not engine_available():
        pytest.skip("skipped: embedded engine not available")
    one = System(stands_for=getattr(request.module, "STANDS_FOR", None))
    try:
        one.up()
        yield one
    finally:
        one.purge()
