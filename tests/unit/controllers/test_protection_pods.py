"""Asking for the pods of a namespace before claims go: seldom, and never too early."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from k8slite.controllers.pods import Pod
from k8slite.controllers.protection.live_pods import LivePods

from .storage import PersistentVolumeClaim, claim


@dataclass
class Api:
    """The client and the cache of pods: what is written, and how often it was asked for."""

    revision: int = 0
    items: list[Pod] = field(default_factory=list)
    asked: int = 0
    lists: int = 1

    @property
    def resource_version(self) -> str:
        return str(self.revision)

    async def list(self, resource: Any, *, namespace: str) -> Api:
        self.asked += 1
        return Api(self.revision, [pod for pod in self.items if pod.namespace == namespace])


def going(name: str, revision: int) -> PersistentVolumeClaim:
    found = claim(name)
    return found.model_copy(update={"metadata": found.metadata.model_copy(update={"resource_version": str(revision)})})


def user(name: str, of: str, *, node: str = "n1") -> Pod:
    volumes = [{"name": "v", "persistentVolumeClaim": {"claimName": of}}]
    spec = {"nodeName": node, "volumes": volumes}
    return Pod.model_validate({"metadata": {"name": name, "namespace": "default", "uid": name}, "spec": spec})


async def test_one_list_does_for_all_claims_that_went_before_it() -> None:
    api = Api(revision=100)
    live = LivePods(api, api)  # type: ignore[arg-type]
    for number in range(50):
        assert not await live.use(going(f"c{number}", 50 + number))
    assert api.asked == 1


async def test_a_list_that_is_older_than_a_claim_does_not_do() -> None:
    api = Api(revision=100)
    live = LivePods(api, api)  # type: ignore[arg-type]
    assert not await live.use(going("a", 99))
    api.revision, api.items = 102, [user("p", "b")]
    assert await live.use(going("b", 101))
    assert api.asked == 2


async def test_a_claim_that_was_named_is_asked_for_once_more() -> None:
    api = Api(revision=100, items=[user("p", "a"), user("q", "b", node="")])
    live = LivePods(api, api)  # type: ignore[arg-type]
    assert await live.use(going("a", 99))
    api.items = [user("q", "b")]  # the scheduler had not heard yet that b goes
    assert await live.use(going("b", 99))
    assert not await live.use(going("a", 99))
    assert api.asked == 2


async def test_a_store_that_was_replaced_is_asked_anew() -> None:
    api = Api(revision=100)
    live = LivePods(api, api)  # type: ignore[arg-type]
    assert not await live.use(going("a", 99))
    api.revision, api.lists, api.items = 7, 2, [user("p", "b")]
    assert await live.use(going("b", 5))
