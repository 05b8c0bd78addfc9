"""kill -9 of every program in turn, under load: all come back, nothing acknowledged is lost, containers run on."""

from __future__ import annotations

import json
import os
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from .cluster import Cluster, constant_load, eventually

PROGRAMS = ["scheduler", "controller-manager", "kubelet-1", "proxy", "apiserver"]


@pytest.fixture(scope="module", autouse=True)
def example(cluster: Cluster) -> None:
    cluster.apply_example()


@contextmanager
def writes(cluster: Cluster) -> Iterator[list[str]]:
    """Create ConfigMaps one after the other; the names of those that were acknowledged."""
    acknowledged: list[str] = []
    ended = threading.Event()

    def work() -> None:
        while not ended.is_set():
            name = f"written-{os.urandom(4).hex()}"
            metadata = {"name": name, "labels": {"by": "crash-test"}}
            manifest = json.dumps({"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata})
            if "created" in cluster.kubectl("create", "-f", "-", stdin=manifest, check=False):
                acknowledged.append(name)

    thread = threading.Thread(target=work)
    thread.start()
    try:
        yield acknowledged
    finally:
        ended.set()
        thread.join()


@pytest.mark.parametrize("program", PROGRAMS)
def test_a_killed_program_comes_back_and_nothing_is_lost(cluster: Cluster, program: str) -> None:
    before, pid = cluster.containers(), cluster.pid(program)
    with constant_load() as load, writes(cluster) as acknowledged:
        eventually(lambda: len(acknowledged) > 2, what="writes under way")
        os.kill(pid, signal.SIGKILL)
        eventually(lambda: cluster.pid(program) not in (0, pid), what=f"{program} started again")
        marker = len(acknowledged)
        eventually(lambda: len(acknowledged) > marker + 3, what="writes going on")
        eventually(lambda: "Ready" in cluster.kubectl("get", "nodes", "--no-headers").split(), what="the node Ready")
    present = {item["metadata"]["name"] for item in cluster.get("configmaps", "-l", "by=crash-test")["items"]}
    assert set(acknowledged) <= present
    assert load.failures == []
    assert cluster.containers() == before
    restarts = [c["restartCount"] for pod in cluster.pods("app=front") for c in pod["status"]["containerStatuses"]]
    assert restarts == [0, 0, 0]
    cluster.kubectl("scale", "deployment/back", "--replicas=2")
    cluster.kubectl("rollout", "status", "deployment/back", "--timeout=60s")
    cluster.kubectl("scale", "deployment/back", "--replicas=1")
    eventually(lambda: len(cluster.get("pods", "-l", "app=back")["items"]) == 1, what="back to one replica")


def test_a_killed_supervisor_takes_its_programs_along_and_up_brings_them_back(cluster: Cluster) -> None:
    before, pids = cluster.containers(), {name: cluster.pid(name) for name in PROGRAMS}
    with constant_load() as load:
        os.kill(cluster.status()["supervisor"]["pid"], signal.SIGKILL)
        cluster.up()
    assert not {cluster.pid(name) for name in PROGRAMS} & set(pids.values())
    assert load.failures == []
    assert cluster.containers() == before
    assert {c["restartCount"] for pod in cluster.pods("app=front") for c in pod["status"]["containerStatuses"]} == {0}
