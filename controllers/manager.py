"""Running controllers in one process over shared caches."""

from __future__ import annotations

import asyncio
import importlib
import logging
from collections.abc import Callable, Mapping, Sequence
from typing import cast

from k8slite.client import Client
from k8slite.clock import Clock
from k8slite.config import ControllerManagerConfig
from k8slite.controller import Controller
from k8slite.events import EventRecorder
from k8slite.metrics import RUNNING_CONTROLLERS, Checks

from . import registry
from .context import Context, Informers, Runnable

log = logging.getLogger(__name__)

STUCK = 600.0
"""Seconds after which a sync that has not ended is taken for one that never will."""

Build = Callable[[Context], Sequence[Runnable]]
"""What makes a controller, or several that share something."""


def load(wanted: Sequence[str]) -> dict[str, Build]:
    """What makes the controllers that are wanted, by name; what makes several stands under the first name only.

    It takes a while, so it comes before there is a lease to renew. Raises ConfigError for a name that is none.
    """
    made_by: dict[str, str] = {}
    for name in registry.enabled(wanted):
        made_by.setdefault(registry.CONTROLLERS[name], name)
    return {name: _load(entry) for entry, name in made_by.items()}


def _load(entry: str) -> Build:
    module, _, function = entry.partition(":")
    return cast(Build, getattr(importlib.import_module(f".{module}", __package__), function))


class Manager:
    """The controllers of one process. Raises ConfigError for one that there is not."""

    def __init__(self, client: Client, config: ControllerManagerConfig, *, clock: Clock) -> None:
        self._client = client
        self._config = config
        self._clock = clock
        self._builds = load(config.controllers)
        self._running: Mapping[str, Sequence[Runnable]] = {}

    def health(self) -> Checks:
        """Whether each controller that runs gets on with its work."""
        return {name: all(_gets_on(part) for part in parts) for name, parts in self._running.items()}

    async def run(self) -> None:
        """Run all until cancelled. No controller acts before every cache holds its first list."""
        recorder = EventRecorder(self._client, component="controller-manager", clock=self._clock)
        informers = Informers(self._client, clock=self._clock)
        context = Context(self._client, informers, recorder, self._clock, self._config)
        controllers = {name: list(build(context)) for name, build in self._builds.items()}
        async with asyncio.TaskGroup() as services:
            services.create_task(recorder.run())
            services.create_task(informers.run())
            await informers.wait_synced()
            log.info("caches are filled; %d controllers start", len(controllers))
            self._show(controllers)
            try:
                # An inner group, so that controllers end first: a sync that finishes may still need the caches.
                async with asyncio.TaskGroup() as group:
                    for parts in controllers.values():
                        for part in parts:
                            group.create_task(part.run())
            finally:
                self._show({})

    def _show(self, running: Mapping[str, Sequence[Runnable]]) -> None:
        self._running = running
        for name in self._builds:
            RUNNING_CONTROLLERS.labels(name, "kube-controller-manager").set(name in running)


def _gets_on(part: Runnable) -> bool:
    return not isinstance(part, Controller) or max(part.queue.working(), default=0.0) < STUCK


async def manage(client: Client, config: ControllerManagerConfig, *, clock: Clock) -> None:
    """Run all controllers that are enabled until cancelled."""
    await Manager(client, config, clock=clock).run()
