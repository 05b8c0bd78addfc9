"""Rolling updates under load, and the way back from a bad one."""

from __future__ import annotations

import pytest

from .cluster import Cluster, constant_load, eventually, fetch


@pytest.fixture(scope="module", autouse=True)
def example(cluster: Cluster) -> None:
    cluster.apply_example()


def images(cluster: Cluster) -> list[str]:
    return [pod["spec"]["containers"][0]["image"] for pod in cluster.pods("app=front")]


def test_a_new_image_rolls_out_without_one_failed_request(cluster: Cluster) -> None:
    with constant_load() as load:
        eventually(lambda: load.served > 20, what="the load under way")
        cluster.kubectl("set", "image", "deployment/front", "web=k8slite/example:2")
        cluster.kubectl("rollout", "status", "deployment/front", "--timeout=120s")
        eventually(lambda: len(images(cluster)) == 3, what="old pods gone", timeout=60)
    assert images(cluster) == ["k8slite/example:2"] * 3
    assert load.failures == []
    assert load.served > 100


def test_a_bad_image_stalls_while_the_old_pods_serve_and_undo_heals(cluster: Cluster) -> None:
    good = images(cluster)[0]
    with constant_load() as load:
        cluster.kubectl("set", "image", "deployment/front", "web=k8slite/no-such-image:9")

        def stalled() -> bool:
            waiting = [
                status["state"].get("waiting", {}).get("reason")
                for pod in cluster.pods("app=front")
                for status in pod["status"].get("containerStatuses", [])
            ]
            return bool({"ErrImagePull", "ImagePullBackOff"} & set(waiting))

        eventually(stalled, what="a pod that cannot pull its image")
        assert fetch().startswith("Hello")
        assert cluster.get("deployment", "front")["status"]["availableReplicas"] == 3
        cluster.kubectl("rollout", "undo", "deployment/front")
        cluster.kubectl("rollout", "status", "deployment/front", "--timeout=60s")
        eventually(lambda: images(cluster) == [good] * 3, what="three pods of the good image")
    assert load.failures == []


def test_history_knows_the_revisions(cluster: Cluster) -> None:
    text = cluster.kubectl("rollout", "history", "deployment/front")
    revisions = [line.split()[0] for line in text.splitlines() if line[:1].isdigit()]
    assert len(revisions) >= 2
    assert revisions == sorted(revisions, key=int)
