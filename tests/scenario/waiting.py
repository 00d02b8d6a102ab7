"""Waiting for a condition: a slow machine costs time, never a failure."""
import time

PATIENCE_S = 150  # longer than one request that is given up after a minute; only what never comes fails


def wait_until(what, seconds, done, every=0.1, show=str):
    """Asks until done() is true and gives its answer; a failing assertion names what was waited for, and what show() says then."""
    seconds = max(seconds, PATIENCE_S)
    deadline = time.monotonic() + seconds
    while True:
        answer = done()
        if answer:
            return answer
        assert time.monotonic() < deadline, f"{what}: not within {seconds} s\n{show()}"
        time.sleep(every)


def until(what, seconds=PATIENCE_S, step=0.02):
    """As wait_until, for conditions that name themselves."""
    return wait_until(what, seconds, what, step)
