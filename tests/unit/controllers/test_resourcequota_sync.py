"""What makes the controller count a quota again, and what does not."""

from __future__ import annotations

from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import pytest

from k8slite.clock import SystemClock
from k8slite.controllers.pods import PODS, Pod
from k8slite.controllers.resourcequota.counting import own
from k8slite.controllers.resourcequota.sync import QUOTAS, QuotaSync, ResourceQuota
from k8slite.kinds.base import ResourceType
from k8slite.kinds.core import PartialObject

LEASES, SERVICES = own(("coordination.k8s.io", "leases")), own(("", "services"))
assert LEASES is not None and SERVICES is not None


class Informers:
    """Informers that tell what a test tells them."""

    def __init__(self) -> None:
        self.handlers: dict[ResourceType[Any], Callable[[Any, Any], None]] = {}
        self.objects: dict[str, Any] = {}

    def of(self, resource: ResourceType[Any]) -> Any:
        informer = Informer()
        informer.add_handler = lambda handler: self.handlers.__setitem__(resource, handler)
        informer.get = self.objects.get
        return informer


class Informer:
    add_handler: Any
    get: Any


class Queue:
    def __init__(self) -> None:
        self.at_once: list[str] = []
        self.later: list[str] = []

    def add(self, key: str) -> None:
        self.at_once.append(key)

    def add_after(self, key: str, seconds: float) -> None:
        self.later.append(key)


class NoCount:
    """A client over which nothing can be counted: the test is about who would."""

    async def request(self, *_: Any, **__: Any) -> Any:
        raise ConnectionError


def partial(resource: ResourceType[Any], revision: str) -> PartialObject:
    return PartialObject.model_validate(
        {"metadata": {"name": "one", "namespace": "default", "resourceVersion": revision}}
    )


def pod(revision: str, phase: str) -> Pod:
    return Pod.model_validate(
        {"metadata": {"name": "one", "namespace": "default", "resourceVersion": revision}, "status": {"phase": phase}}
    )


@pytest.fixture
async def rig() -> Any:
    informers = Informers()
    context = SimpleNamespace(clock=SystemClock(), informers=informers, client=NoCount())
    sync = QuotaSync(context)  # type: ignore[arg-type]
    hard = {"count/leases.coordination.k8s.io": "1", "services": "1", "pods": "1"}
    metadata = {"name": "q", "namespace": "default", "uid": "u"}
    quota = ResourceQuota.model_validate({"metadata": metadata, "spec": {"hard": hard}})
    informers.handlers[QUOTAS](None, quota)
    informers.objects["default/q"] = quota
    with pytest.raises(ConnectionError):
        await sync.sync("default/q")  # it listens to what the quota counts
    queue = sync.controller.queue = Queue()  # type: ignore[assignment]
    return SimpleNamespace(tell=informers.handlers, queue=queue)


async def test_what_only_changes_is_still_one(rig: Any) -> None:
    old, new = partial(LEASES, "1"), partial(LEASES, "2")
    rig.tell[LEASES](old, new)
    assert (rig.queue.at_once, rig.queue.later) == ([], [])
    rig.tell[LEASES](None, new)
    assert (rig.queue.at_once, rig.queue.later) == ([], ["default/q"])
    rig.tell[LEASES](new, None)
    assert rig.queue.at_once == ["default/q"]


async def test_what_may_use_less_than_before_is_counted_a_little_later(rig: Any) -> None:
    rig.tell[SERVICES](partial(SERVICES, "1"), partial(SERVICES, "2"))
    assert (rig.queue.at_once, rig.queue.later) == ([], ["default/q"])


async def test_a_pod_that_ends_is_given_back_at_once(rig: Any) -> None:
    rig.tell[PODS](pod("1", "Running"), pod("2", "Succeeded"))
    assert (rig.queue.at_once, rig.queue.later) == (["default/q"], [])
