"""What failed attempts to sign in leave behind: a restart gives a guesser no fresh budget, and attempts that are nobody's do not
fill the store."""
import signal
import time

import pytest

from api_role import ApiRole

KEPT = 10000


@pytest.fixture
def api():
    role = ApiRole()
    yield role
    role.close()


def attempt(api, email, address):
    return api.call("POST", "/v1/session", {"email": email, "password": "certainly wrong"}, key=False,
                    headers={"Origin": "https://localhost", "X-Forwarded-For": address})


def slowed(api, address, tries):
    """Guesses at one unknown account after the other until the address must wait; how many were looked at."""
    for n in range(tries):
        answer = attempt(api, f"nobody-{n}@example.org", address)
        if answer.status == 429:
            return n
        assert answer.status == 401, answer.json
    raise AssertionError("never slowed")


def test_a_restart_gives_no_fresh_budget(api):
    for n in range(20):
        assert attempt(api, f"nobody-{n}@example.org", "192.0.2.9").status == 401
    api.stop(signal.SIGKILL)
    api.start()
    assert slowed(api, "192.0.2.9", 10) <= 9  # not the twenty of a new process
    assert attempt(api, "nobody@example.org", "198.51.100.9").status == 401
    assert api.sql("SELECT count(*) FROM unknown_sign_in")[0][0] >= 21


def test_attempts_at_nobody_are_bounded(api):
    now = int(time.time() * 1000)
    api.sql("WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < ?) INSERT INTO unknown_sign_in (address, "
            "user_agent, request_id, created_at) SELECT '192.0.2.1', '', 'r-' || i, ? + i FROM n", KEPT + 500, now - 7 * 86400000)
    assert attempt(api, "nobody@example.org", "192.0.2.9").status == 401
    count, oldest, newest = api.sql("SELECT count(*), min(created_at), max(created_at) FROM unknown_sign_in")[0]
    assert count == KEPT and oldest > now - 7 * 86400000 + 500 and newest >= now  # the newest stay
    assert api.sql("SELECT count(*) FROM activity WHERE type = 'user_login_failed'") == [(0,)]
