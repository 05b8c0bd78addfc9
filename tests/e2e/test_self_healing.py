"""What breaks is replaced, and nobody is sent to what is not ready."""

from __future__ import annotations

import pytest

from .cluster import Cluster, constant_load, eventually, output


@pytest.fixture(scope="module", autouse=True)
def example(cluster: Cluster) -> None:
    cluster.apply_example()


def ready_addresses(cluster: Cluster) -> set[str]:
    slices = cluster.get("endpointslices", "-l", "kubernetes.io/service-name=front")["items"]
    endpoints = [endpoint for found in slices for endpoint in found.get("endpoints") or []]
    return {e["addresses"][0] for e in endpoints if e["conditions"].get("ready")}


def test_a_killed_container_is_started_again_and_counted(cluster: Cluster) -> None:
    pod = cluster.pods("app=front")[0]
    container = pod["status"]["containerStatuses"][0]["containerID"].removeprefix("docker://")
    output("docker", "kill", container)

    def restarted() -> bool:
        status = cluster.get("pod", pod["metadata"]["name"])["status"]["containerStatuses"][0]
        return bool(status["restartCount"] == 1 and status["ready"])

    eventually(restarted, what="one restart, ready again")
    state = cluster.get("pod", pod["metadata"]["name"])["status"]["containerStatuses"][0]["lastState"]
    assert state["terminated"]["exitCode"] == 137


def test_a_pod_that_is_not_ready_gets_no_traffic(cluster: Cluster) -> None:
    pod = cluster.pods("app=front")[0]
    name, address = pod["metadata"]["name"], pod["status"]["podIP"]
    cluster.kubectl("exec", name, "--", "rm", "/www/healthy")
    eventually(lambda: address not in ready_addresses(cluster), what="the pod withdrawn")
    assert len(ready_addresses(cluster)) == 2
    with constant_load() as load:
        eventually(lambda: load.served > 50, what="50 requests")
    assert load.failures == []
    cluster.kubectl("exec", name, "--", "touch", "/www/healthy")
    eventually(lambda: address in ready_addresses(cluster), what="the pod back")


def test_a_deleted_pod_is_replaced(cluster: Cluster) -> None:
    before = {pod["metadata"]["name"] for pod in cluster.pods("app=front")}
    victim = sorted(before)[0]
    cluster.kubectl("delete", "pod", victim, "--wait=false")

    def replaced() -> bool:
        now = cluster.ready_pods("app=front")
        names = {pod["metadata"]["name"] for pod in now}
        return len(names) == 3 and victim not in names

    eventually(replaced, what="three ready pods without the deleted one")


def test_a_crashing_container_backs_off(cluster: Cluster) -> None:
    cluster.kubectl("run", "crash", "--image=k8slite/example:1", "--", "sh", "-c", "exit 3")

    def backs_off() -> bool:
        status = cluster.get("pod", "crash")["status"]["containerStatuses"][0]
        return status["restartCount"] >= 1 and status["state"].get("waiting", {}).get("reason") == "CrashLoopBackOff"

    eventually(backs_off, what="CrashLoopBackOff")
    assert "CrashLoopBackOff" in cluster.kubectl("get", "pod", "crash")
    cluster.kubectl("delete", "pod", "crash", "--grace-period=1")
