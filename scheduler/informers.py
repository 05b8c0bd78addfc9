"""The informers of a scheduler: one of each resource that anybody asks for, shared by all plugins of all profiles."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, TypeVar

from k8slite.client import Client
from k8slite.clock import Clock
from k8slite.informer import Informer
from k8slite.kinds.base import Object, ResourceType

K = TypeVar("K", bound=Object)


class Informers:
    """Makes informers until it runs them; what is asked for first is listed first."""

    def __init__(self, client: Client, *, clock: Clock) -> None:
        self._client = client
        self._clock = clock
        self._made: dict[tuple[str, type[Object]], Informer[Any]] = {}

    def of(self, resource: ResourceType[K]) -> Informer[K]:
        """The informer of a resource, one for each model that it is read with."""
        kind = (resource.path(), resource.model)
        if kind not in self._made:
            self._made[kind] = Informer(self._client, resource, clock=self._clock)
        return self._made[kind]

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Follow them all; the block begins when each has been listed, and ends with them."""
        failure: Exception | None = None
        async with asyncio.TaskGroup() as group:
            tasks = []
            for informer in self._made.values():
                tasks.append(group.create_task(informer.run()))
                await informer.wait_synced()
            try:
                yield
            except Exception as error:  # the group would wrap it
                failure = error
            finally:
                for task in tasks:
                    task.cancel()
        if failure is not None:
            raise failure
