"""The fixtures of the scenarios, for tests that break things: one home of full systems, in tests/scenario."""
import importlib.util
import pathlib
import sys

SCENARIO = pathlib.Path(__file__).resolve().parents[1] / "scenario"
sys.path.insert(0, str(SCENARIO))
_spec = importlib.util.spec_from_file_location("scenario_fixtures", SCENARIO / "conftest.py")
_fixtures = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(_fixtures)
new_system, system = _fixtures.new_system, _fixtures.system
