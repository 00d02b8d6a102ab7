"""A controller that outlives its parent for a moment: the next one waits for its end instead of acting beside it."""
import os
import signal
import time

from full_system import wait_until
from parts import parts


def state_of(system, ident):
    status, answer = system.api("GET", f"/services/{ident}")
    assert status == 200, answer
    return answer["result"]["state"]


def order(system, ident, command):
    status, answer = system.api("PATCH", f"/services/{ident}/state", {"command": command})
    assert status == 200, answer


def test_the_next_controller_waits_for_the_last(new_system):
    system = new_system()
    system.up()
    status, answer = system.api("GET", "/services")
    assert status == 200
    ident = answer["result"][0]["id"]
    old, = parts(system)["controller"]
    os.kill(old, signal.SIGSTOP)
    try:
        os.kill(parts(system)["control parent"][0], signal.SIGKILL)
        system.up()
        assert len(parts(system)["controller"]) == 2
        # The new one has not taken over: what is asked for is accepted, and nothing acts on it yet.
        order(system, ident, "stop")
        time.sleep(4)
        assert state_of(system, ident) != "stopped"
        assert system.query("SELECT 1").status == 200
    finally:
        os.kill(old, signal.SIGCONT)
    wait_until("the new controller at work", 30, lambda: state_of(system, ident) == "stopped")
    assert old not in parts(system)["controller"]
    order(system, ident, "start")
    wait_until("an answer", 30, lambda: system.query("SELECT 1").status == 200)
