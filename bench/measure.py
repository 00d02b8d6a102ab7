"""What the measurements of a whole system share: figures, memory and processor time of processes, and what each is."""
import os
import pathlib
import sys
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent / "tests/scenario"))
import full_system  # noqa: E402
from full_system import BUILD, System, engine_available  # noqa: E402,F401


def figure(name, value, unit, about=""):
    print(f"{name} {value} {unit}{f' ({about})' if about else ''}", flush=True)


def note(text):
    print(text, file=sys.stderr, flush=True)


def system(service_ports=20):
    """A system of its own in a temporary folder, not yet up; the caller purges it."""
    if not engine_available():
        sys.exit("the embedded engine is not there: run tools/fetch-chdb")
    full_system.SERVICE_PORTS = service_ports
    return System()


def part_of(command):
    """Which part of the installation a command line is."""
    if "ownhouse-control" in command:
        return "control " + (command.split("--role ")[1].split()[0] if "--role" in command else "parent")
    if "ownhouse-agent supervise" in command:
        return "machine supervisor"
    if "ownhouse-agent" in command:
        return "agent " + (command.split("--role ")[1].split()[0] if "--role" in command else "parent")
    if "haproxy" in command:
        for folder, part in (("/control/run/", "control haproxy"), ("/ingress/files/", "ingress haproxy"),
                             ("/load-balancer/files/", "load balancer haproxy"), ("/gateway/files/", "gateway haproxy")):
            if folder in command:
                return part
    if "knotd" in command:
        return "dns knotd"
    return "engine" if "clickhouse" in command else command.split()[0]


def parts(one):
    """{part: [pid, ...]} of a running system; a part of HAProxy is its master and its worker."""
    found = {}
    for pid, command in one.processes().items():
        found.setdefault(part_of(command), []).append(pid)
    return found


def memory_kib(pid):
    """(resident, proportional, private) of one process; private includes what is swapped out."""
    text = pathlib.Path(f"/proc/{pid}/smaps_rollup").read_text()
    kib = {line.split(":")[0]: int(line.split()[1]) for line in text.splitlines()[1:]}
    return kib["Rss"], kib["Pss"], kib["Private_Clean"] + kib["Private_Dirty"] + kib["Swap"]


def cpu_ns(pid):
    """Processor time of all its threads so far, by the scheduler's own count (ticks are too coarse for quiet ones)."""
    return sum(int((task / "schedstat").read_text().split()[0]) for task in pathlib.Path(f"/proc/{pid}/task").iterdir())


def machine():
    """One line about where the figures are from."""
    text = pathlib.Path("/proc/meminfo").read_text()
    debian = pathlib.Path("/etc/debian_version").read_text().strip()
    model = next((line.split(": ")[1] for line in pathlib.Path("/proc/cpuinfo").read_text().splitlines()
                  if line.startswith("model name")), "unknown processor")
    return (f"{os.cpu_count()} cores ({model}), {int(text.split()[1]) / 1048576:.1f} GiB, Linux {os.uname().release}, "
            f"Debian {debian}, load {os.getloadavg()[0]:.1f}, {time.strftime('%Y-%m-%d %H:%M')}")
