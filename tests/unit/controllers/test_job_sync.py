"""When a Job's status can be believed: another process may tell of pods that the cache shows as they were."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from k8slite.clock import VirtualClock
from k8slite.config import ControllerManagerConfig
from k8slite.controllers.children import BehindError
from k8slite.controllers.context import Context
from k8slite.controllers.job.sync import JobSync
from k8slite.controllers.job.terms import FINALIZER
from k8slite.controllers.pods import Pod
from k8slite.kinds.batch import Job


class FakeInformer:
    """A cache that has got so far, and gets no further."""

    def __init__(self, revision: int) -> None:
        self.revision = revision

    def add_handler(self, handler: Any) -> None:
        pass

    async def wait_for_revision(self, key: str, resource_version: str, *, timeout: float) -> bool:
        return self.revision >= int(resource_version)


class FakeClient:
    def __init__(self, pods: list[Pod]) -> None:
        self.pods = pods
        self.asked = 0

    async def list(self, resource: Any, *, namespace: str, label_selector: str) -> Any:
        self.asked += 1
        assert label_selector == "batch.kubernetes.io/controller-uid=uid-job"
        return SimpleNamespace(items=self.pods)


def controller(tmp_path, client: FakeClient, *, revision: int) -> JobSync:
    informer = FakeInformer(revision)
    informers = SimpleNamespace(of=lambda resource, **indexes: informer)
    config = ControllerManagerConfig(kubeconfig=tmp_path)
    return JobSync(Context(client, informers, None, VirtualClock(), config))  # type: ignore[arg-type]


def job(**status: Any) -> Job:
    metadata = {"name": "work", "namespace": "default", "uid": "uid-job", "resourceVersion": "10"}
    selector = {"matchLabels": {"batch.kubernetes.io/controller-uid": "uid-job"}}
    uncounted = {"uncountedTerminatedPods": {"succeeded": ["uid-a"]}}
    return Job.model_validate({"metadata": metadata, "spec": {"selector": selector}, "status": uncounted | status})


def pod(name: str, *, tracked: bool = True) -> Pod:
    owner = {"apiVersion": "batch/v1", "kind": "Job", "name": "work", "uid": "uid-job", "controller": True}
    metadata = {"name": name, "uid": f"uid-{name}", "ownerReferences": [owner]}
    return Pod.model_validate({"metadata": metadata | ({"finalizers": [FINALIZER]} if tracked else {})})


@pytest.mark.parametrize("cached", [[], [pod("a"), pod("b")], [pod("b")]])
async def test_a_cache_that_is_behind_is_not_counted_by(tmp_path, cached):
    client = FakeClient([pod("a")])
    syncing = controller(tmp_path, client, revision=9)
    with pytest.raises(BehindError):
        await syncing._make_sure(job(), cached)
    assert client.asked == 1


async def test_a_cache_that_shows_what_the_api_shows_will_do(tmp_path):
    client = FakeClient([pod("a"), pod("b", tracked=False)])
    syncing = controller(tmp_path, client, revision=9)
    await syncing._make_sure(job(), [pod("a")])
    assert client.asked == 1
    await syncing._make_sure(job(), [])
    assert client.asked == 1, "a status is made sure of once"
    await syncing._make_sure(job(failed=1), [pod("a")])
    assert client.asked == 2, "another one anew"


async def test_a_cache_that_has_reached_the_status_is_believed(tmp_path):
    client = FakeClient([])
    syncing = controller(tmp_path, client, revision=10)
    await syncing._make_sure(job(), [pod("a")])
    assert client.asked == 0
