"""Three nodes, of which one goes dark."""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest

from .cluster import NODE_PORT, Cluster, eventually, fetch, output
from .conftest import running

#: A short toleration: the default is five minutes, as on any cluster.
TOLERATIONS = [
    {"key": f"node.kubernetes.io/{word}", "operator": "Exists", "effect": "NoExecute", "tolerationSeconds": 2}
    for word in ("not-ready", "unreachable")
]


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    yield from running("e2e-nodes", tmp_path_factory.mktemp("home"), "--nodes", "3")


def test_pods_of_a_dead_node_move_to_the_others(cluster: Cluster) -> None:
    cluster.apply_example()
    patch = {"spec": {"template": {"spec": {"tolerations": TOLERATIONS}}}}
    cluster.kubectl("patch", "deployment", "front", "-p", json.dumps(patch))
    cluster.kubectl("rollout", "status", "deployment/front", "--timeout=120s")
    nodes = {pod["spec"]["nodeName"] for pod in cluster.pods("app=front")}
    dead = sorted(nodes)[0]
    cluster.k8slite("cluster", "stop", f"kubelet-{dead.rpartition('-')[2]}", "--name", cluster.name)
    containers = cluster.containers(node=dead)
    assert containers
    output("docker", "kill", *containers)

    eventually(lambda: f"{dead}" in not_ready(cluster), what=f"{dead} NotReady", timeout=90)

    def moved() -> bool:
        ready = cluster.ready_pods("app=front")
        return len(ready) == 3 and all(pod["spec"]["nodeName"] != dead for pod in ready)

    eventually(moved, what="three ready pods on the two other nodes", timeout=60)
    assert fetch(f"http://127.0.0.1:{NODE_PORT}/").startswith("Hello")

    cluster.k8slite("cluster", "start", f"kubelet-{dead.rpartition('-')[2]}", "--name", cluster.name)
    eventually(lambda: not not_ready(cluster), what="all nodes ready again", timeout=60)


def not_ready(cluster: Cluster) -> list[str]:
    lines = cluster.kubectl("get", "nodes", "--no-headers").splitlines()
    return [line.split()[0] for line in lines if line.split()[1] != "Ready"]
