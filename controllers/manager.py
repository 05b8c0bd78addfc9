"""Running controllers in one process over shared caches."""

from __future__ import annotations

import asyncio
import importlib
import logging
from collections.abc import Callable, Sequence
from typing import cast

from k8slite.client import Client
from k8slite.clock import Clock
from k8slite.config import ControllerManagerConfig
from k8slite.events import EventRecorder

from . import registry
from .context import Context, Informers, Runnable

log = logging.getLogger(__name__)

Build = Callable[[Context], Sequence[Runnable]]
"""What makes a controller, or several that share something."""


def load(wanted: Sequence[str]) -> list[Build]:
    """What makes the controllers that are wanted. It takes a while, so it comes before there is a lease to renew.

    Raises ConfigError for a name that is none.
    """
    entries = dict.fromkeys(registry.CONTROLLERS[name] for name in registry.enabled(wanted))
    return [_load(entry) for entry in entries]


def _load(entry: str) -> Build:
    module, _, function = entry.partition(":")
    return cast(Build, getattr(importlib.import_module(f".{module}", __package__), function))


def build(context: Context) -> list[Runnable]:
    """Everything that the configuration enables."""
    return [made for build in load(context.config.controllers) for made in build(context)]


async def manage(client: Client, config: ControllerManagerConfig, *, clock: Clock) -> None:
    """Run all enabled controllers until cancelled. No controller acts before every cache holds its first list."""
    recorder = EventRecorder(client, component="controller-manager", clock=clock)
    informers = Informers(client, clock=clock)
    context = Context(client, informers, recorder, clock, config)
    controllers = build(context)
    async with asyncio.TaskGroup() as services:
        services.create_task(recorder.run())
        services.create_task(informers.run())
        await informers.wait_synced()
        log.info("caches are filled; %d controllers start", len(controllers))
        # An inner group, so that controllers end first: a sync that finishes may still need the caches.
        async with asyncio.TaskGroup() as group:
            for controller in controllers:
                group.create_task(controller.run())
