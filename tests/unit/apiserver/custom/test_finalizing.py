"""The end of a definition, where two servers bring it about and the name is taken anew in between."""

from __future__ import annotations

import asyncio
from types import SimpleNamespace
from typing import Any

import pytest

from k8slite.apiserver.custom import finalizing
from k8slite.apiserver.strategies.definitions import FINALIZER
from k8slite.clock import SystemClock

NAME = "foos.example.com"
OLD = {"name": NAME, "uid": "old", "deletionTimestamp": "2024-01-01T00:00:00Z", "finalizers": [FINALIZER]}


class Others:
    """A registry whose cache still has the old definition when a write finds `found` in the store."""

    custom: dict[Any, Any] = {}
    clock = SystemClock()

    def __init__(self, found: dict[str, Any]) -> None:
        self.cached: dict[str, Any] | None = self._definition(OLD)
        self.found = self._definition(found)
        self.decided: list[Any] = []

    def find(self, *place: str) -> Any:
        return SimpleNamespace(cache=SimpleNamespace(get=self._get))

    async def change(self, served: Any, namespace: str, name: str, decide: Any, *, dry_run: bool) -> None:
        self.cached = None
        self.decided.append(await decide(self.found, 1))

    def _get(self, namespace: str, name: str) -> Any:
        return SimpleNamespace(document=self.cached) if self.cached is not None else None

    @staticmethod
    def _definition(meta: dict[str, Any]) -> dict[str, Any]:
        return {"metadata": dict(meta), "spec": {"group": "example.com", "names": {"plural": "foos"}}}


async def finished(registry: Any) -> None:
    finalizing.Finalizer(registry).begin(NAME)
    await asyncio.gather(*(task for task in asyncio.all_tasks() if task is not asyncio.current_task()))


@pytest.fixture(autouse=True)
def at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(finalizing, "_RETRY", 0)


async def test_a_definition_goes_when_its_objects_have_gone() -> None:
    registry = Others(OLD)
    await finished(registry)
    (decided,) = registry.decided
    assert isinstance(decided, finalizing.Removal)


@pytest.mark.parametrize("new", [{}, {"deletionTimestamp": "2024-01-02T00:00:00Z", "finalizers": [FINALIZER]}])
async def test_a_new_definition_of_the_same_name_is_left_alone(new: dict[str, Any]) -> None:
    registry = Others({"name": NAME, "uid": "new", **new})
    await finished(registry)
    assert registry.decided == []
