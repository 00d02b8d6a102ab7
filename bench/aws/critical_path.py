"""The longest chain of waits in a plan: what would be left if everything but AWS's own time took none.

usage: critical_path.py PLAN PACE apply|purge     (PLAN: what `aws-infra plan` prints; PACE: the strict server's, JSON)"""
import functools
import json
import sys

plan, pace = json.load(open(sys.argv[1])), json.loads(sys.argv[2])["pace"]
after = {c["resource"]: c["depends_on"] for c in plan["changes"]}
WAITS = {"aws_nat_gateway": "nat", "aws_eks_cluster": "cluster", "aws_node_group": "node-groups", "aws_addon": "addons",
         "aws_bootstrap": "bootstrap"}
# What AWS shows or lets pass only a while after it was made.
LATE = {"aws_vpc", "aws_subnet", "aws_internet_gateway", "aws_nat_gateway", "aws_route_table", "aws_security_group", "aws_vpc_endpoint",
        "aws_role"}


def wait(resource):
    kind = resource.split(".")[0]
    if sys.argv[3] == "purge":
        return pace["waits"].get(WAITS.get(kind, "") + "-delete", 0)
    return pace["waits"].get(WAITS.get(kind, ""), 0) + (pace["settle"] if kind in LATE else 0)


@functools.cache
def path(resource):
    """Removal goes the same edges the other way: the longest chain is as long."""
    longest = max((path(d) for d in after[resource]), default=(0, ()))
    return longest[0] + wait(resource), longest[1] + ((resource,) if wait(resource) else ())


seconds, chain = max(map(path, after))
print(f"{seconds:.1f} s ({', '.join(chain)})")
