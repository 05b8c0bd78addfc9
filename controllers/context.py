"""What every controller is given: the API, the shared caches, time, chance and a voice."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from random import Random
from typing import Any, Literal, Protocol, cast

from k8slite.client import Client
from k8slite.clock import Clock
from k8slite.config import ControllerManagerConfig
from k8slite.events import EventRecorder
from k8slite.informer import Informer
from k8slite.kinds.base import K, Object, ResourceType


class Runnable(Protocol):
    """A controller, or a loop beside one: runs until cancelled."""

    async def run(self) -> None:
        """Run until cancelled."""
        ...


class Informers:
    """One informer for each resource, whoever asks for it: each object is watched and kept once a process."""

    def __init__(self, client: Client, *, clock: Clock) -> None:
        self._client = client
        self._clock = clock
        self._informers: dict[tuple[str, str, str], Informer[Any]] = {}
        self._tasks: dict[Informer[Any], asyncio.Task[None]] = {}
        self._group: asyncio.TaskGroup | None = None

    def of(
        self,
        resource: ResourceType[K],
        *,
        field_selector: str = "",
        **indexers: Callable[[K], Iterable[str]],
    ) -> Informer[K]:
        """The informer of a resource, with these indexes. The first to ask decides the model, so ask typed first."""
        key = (resource.group, resource.plural, field_selector)
        if key not in self._informers:
            made = Informer(self._client, resource, clock=self._clock, field_selector=field_selector)
            self._informers[key] = made
            if self._group is not None:
                self._start(made, self._group)
        informer = cast(Informer[K], self._informers[key])
        for name, indexer in indexers.items():
            if not informer.has_index(name):
                informer.add_indexer(name, indexer)
        return informer

    def drop(self, resource: ResourceType[Any]) -> None:
        """Stop watching a resource that is no longer served."""
        informer = self._informers.pop((resource.group, resource.plural, ""), None)
        if informer is not None and (task := self._tasks.pop(informer, None)):
            task.cancel()

    def known(self, resource: ResourceType[Any]) -> bool:
        """Whether somebody has asked for the resource."""
        return (resource.group, resource.plural, "") in self._informers

    async def wait_synced(self) -> None:
        """Return when all that were asked for hold their first list."""
        for informer in list(self._informers.values()):
            await informer.wait_synced()

    async def run(self) -> None:
        """Run all informers, and those asked for later, until cancelled; if one of them fails, all end."""
        try:
            async with asyncio.TaskGroup() as group:
                self._group = group
                for informer in self._informers.values():
                    self._start(informer, group)
                await asyncio.Event().wait()
        finally:
            self._group = None

    def _start(self, informer: Informer[Any], group: asyncio.TaskGroup) -> None:
        self._tasks[informer] = group.create_task(informer.run())


@dataclass(frozen=True, slots=True)
class Context:
    """What every controller is given."""

    client: Client
    informers: Informers
    events: EventRecorder
    clock: Clock
    config: ControllerManagerConfig
    random: Random = field(default_factory=Random)

    def say(
        self,
        component: str,
        about: Object,
        reason: str,
        message: str,
        *,
        type: Literal["Normal", "Warning"] = "Normal",
    ) -> None:
        """Record an event in the name of one controller."""
        self.events.record(about, reason=reason, message=message, type=type, component=component)


def by_controller(item: Object) -> Iterable[str]:
    """Index: the UID of an object's controller, or `orphans/<namespace>` if it has none."""
    controller = item.metadata.controller
    return (controller.uid if controller else f"orphans/{item.namespace}",)
