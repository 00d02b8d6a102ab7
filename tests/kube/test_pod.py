"""ownhouse-pod, the first process of a container: signals, swapped files, exit status. Needs no cluster."""
import os
import signal
import subprocess

import pytest

from cluster import BUILD
from link_parts import wait_until

POD = BUILD / "src/runtime/ownhouse-pod"
# Says which signals it gets; ends at 12.
PROGRAM = """
trap 'echo got 1' HUP; trap 'echo got 10' USR1; trap 'echo got 12; exit 7' USR2
echo ready; while :; do sleep 0.05; done
"""


def swap(folder, name):
    (folder / name).mkdir()
    link = folder / "..new"
    os.symlink(name, link)
    os.rename(link, folder / "..data")


@pytest.fixture
def pod(tmp_path):
    swap(tmp_path, "..one")
    out = open(tmp_path / "out", "w")
    p = subprocess.Popen([POD, "--reload", "1", tmp_path, "--stop", "12", "--", "sh", "-c", PROGRAM], stdout=out, stderr=out)
    p.folder, p.said = tmp_path, lambda: (tmp_path / "out").read_text()
    wait_until("the program", 20, lambda: "ready" in p.said())
    yield p
    p.kill()
    p.wait()


def test_swapped_files_are_told_once(pod):
    swap(pod.folder, "..two")
    wait_until("the reload", 20, lambda: "got 1\n" in pod.said())
    swap(pod.folder, "..three")
    wait_until("the next", 20, lambda: pod.said().count("got 1\n") == 2)
    pod.send_signal(signal.SIGUSR1)
    wait_until("another signal", 20, lambda: "got 10\n" in pod.said())
    assert pod.said().count("got 1\n") == 2


def test_the_stop_signal_is_the_programs_own_and_so_is_the_status(pod):
    pod.send_signal(signal.SIGTERM)
    assert pod.wait(20) == 7 and "got 12\n" in pod.said()


def test_a_program_that_is_not_there():
    r = subprocess.run([POD, "--", "/nonexistent/program"], capture_output=True, text=True)
    assert r.returncode == 127 and "/nonexistent/program" in r.stderr
    assert subprocess.run([POD], capture_output=True).returncode == 2
