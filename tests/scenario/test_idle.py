"""What a settled system does when nobody wants anything: next to nothing."""
import os
import time


def cpu_seconds(pid):
    """Processor time of a process and of all that it has waited for."""
    with open(f"/proc/{pid}/stat") as f:
        fields = f.read().rsplit(")", 1)[1].split()
    return sum(int(n) for n in fields[11:15]) / os.sysconf("SC_CLK_TCK")


def test_a_pass_does_not_ring_for_the_next(system):
    """The controller's passes once started each other: 40 % of a core for nothing."""
    (controller,) = system.pids("--role controller")
    time.sleep(3)
    before = cpu_seconds(controller)
    time.sleep(12)
    assert cpu_seconds(controller) - before < 0.6  # measured: 0.05 s; with the fault: 5 s
