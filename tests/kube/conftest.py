"""One cluster and one control plane for the whole run; each test has an agent, and an infrastructure, of its own."""
import pytest

from agent import Agent, service
from cluster import Cluster, NAMESPACE
from link_parts import Control, wait_until


@pytest.fixture(scope="session")
def cluster():
    one = Cluster()
    yield one
    one.stop()


@pytest.fixture(scope="session")
def control(tmp_path_factory, cluster):
    one = Control(tmp_path_factory.mktemp("control") / "state")
    yield one
    one.stop()


def clean(cluster, infrastructure):
    """What an agent made, as an administrator removes it."""
    selector = f"app.kubernetes.io/managed-by=ownhouse,ownhouse/infrastructure={infrastructure}"
    cluster.kubectl("delete", "statefulset,deployment,service,configmap,secret,networkpolicy,pdb,serviceaccount,lease", "-n", NAMESPACE,
                    "-l", selector, "--wait=false", ok=False)
    cluster.kubectl("delete", "namespace", "-l", selector, "--wait=false", ok=False)


@pytest.fixture
def new_agent(cluster, control, tmp_path):
    made = []

    def make(name="one", start=True, **settings):
        made.append(Agent(cluster, control, tmp_path / name, **settings))
        return made[-1].start() if start else made[-1]

    yield make
    for a in made:
        a.stop()
        said = a.said()
        assert "Sanitizer" not in said and "runtime error" not in said, said[-2000:]
    for infrastructure in {a.infrastructure for a in made}:
        clean(cluster, infrastructure)


@pytest.fixture
def agent(new_agent):
    return new_agent()
