"""schemathesis draws requests from our own description, valid and invalid, alone and in chains, and holds every answer of a
whole system against it."""
import fuzz_api
from peers import peer

STANDS_FOR = "aws/us-east-1"
SEED, SECONDS = 20261123, 60


def test_no_answer_is_outside_the_contract(system, tmp_path):
    roles = {role: system.pids(f"--role {role}") for role in ("api", "signer", "link")}
    done = fuzz_api.fuzz(peer("schemathesis"), system, {"provider": "aws", "region": "us-east-1"}, SEED, SECONDS, tmp_path)
    assert done.returncode == 0, done.stdout[-8000:] + done.stderr[-2000:]
    answers = fuzz_api.answers(tmp_path)
    statuses = {status for counted in answers.values() for status in counted}
    assert statuses >= {200, 400, 401, 404, 405} and max(statuses) < 500, statuses
    assert roles == {role: system.pids(f"--role {role}") for role in roles}, "a role has died meanwhile"
    # The run means something only as long as it gets through to the operations themselves.
    reached = {operation for operation, counted in answers.items() if counted[200]}
    assert len(reached) >= 30, sorted(reached)
    assert ("GET", "/v1/organizations/ID/services/ID") in reached and ("PATCH", "/v1/organizations/ID/services/ID") in reached
    assert system.select("SELECT 1") == "1", "the demo service did not survive"
