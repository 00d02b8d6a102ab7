"""The processes of one running installation by the part they are, so that a test can break each of them by name."""
import pathlib

# Part and what its command line holds; the first that fits counts. {home} is the installation's home folder.
PARTS = [
    ("api", "--role api --config {home}/control"),
    ("link", "--role link --config {home}/control"),
    ("controller", "--role controller --config {home}/control"),
    ("signer", "--role signer --config {home}/control"),
    ("control parent", "ownhouse-control --config {home}/control"),
    ("front", "{home}/control/run/haproxy.cfg"),
    ("machine supervisor", "ownhouse-agent supervise --dir {home}"),
    ("load balancer", "/load-balancer/files/haproxy.cfg"),
    ("gateway", "/gateway/files/haproxy.cfg"),
    ("operator", "--role operator --config {home}/accounts"),
    ("agent ledger", "--role ledger --config {home}/accounts"),
    ("agent supervisor", "--role supervisor --config {home}/accounts"),
    ("agent parent", "ownhouse-agent run --config {home}/accounts"),
    ("dns", "/dns/files/knot.conf"),
    ("ingress", "/ingress/files/haproxy.cfg"),
    ("database", "/clickhouse-"),
]
# HAProxy is a master and a worker, each of which is a part of its own.
PAIRS = ("front", "load balancer", "gateway", "ingress")
ONCE = [name for name, _ in PARTS if name not in (*PAIRS, "database")] + [f"{name} master" for name in PAIRS]
ALL = ONCE + [f"{name} worker" for name in PAIRS] + ["database"]
CONTROL = ("control parent", "api", "link", "controller", "signer", "front master", "front worker")


def parent_of(pid):
    """Process id of the parent, 0 when the process is gone."""
    try:
        stat = pathlib.Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return 0
    return int(stat[stat.rindex(")") + 2:].split()[1])


def parts(system):
    """{part: [pid, ...]} of what runs now."""
    found, pids = {}, {}
    for pid, command in system.processes().items():
        for name, words in PARTS:
            if words.format(home=system.home) in command:
                pids[pid] = name
                break
    for pid, name in pids.items():
        if name in PAIRS:
            name += " worker" if pids.get(parent_of(pid)) == name else " master"
        found.setdefault(name, []).append(pid)
    return found
