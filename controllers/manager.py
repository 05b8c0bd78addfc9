"""The controllers by name, and running them in one process over shared caches."""

from __future__ import annotations

import asyncio
import importlib
import logging
from collections.abc import Callable, Sequence
from types import ModuleType
from typing import cast

from k8slite.client import Client
from k8slite.clock import Clock
from k8slite.config import ConfigError, ControllerManagerConfig
from k8slite.events import EventRecorder

from .context import Context, Informers, Runnable

log = logging.getLogger(__name__)

CONTROLLERS = {
    "replicaset": "replicaset",
    "deployment": "deployment",
    "endpointslice": "endpointslice",
    "endpoints": "endpoints",
    "namespace": "namespace",
    "serviceaccount": "serviceaccount",
    "serviceaccount-token": "tokens",
    "root-ca": "rootca",
    "node-ipam": "nodeipam",
    "node-lifecycle": "nodelifecycle",
    "taint-eviction": "tainteviction",
    "pod-gc": "podgc",
    "job": "job",
    "protection": "protection",
    "resourcequota": "resourcequota",
    "disruption": "disruption",
    "clusterrole-aggregation": "clusterroles",
    "garbage": "garbage",
    "certificates": "certificates",
}
"""Each controller's name and its folder, whose `sync.build(context)` makes it."""


def enabled(wanted: Sequence[str]) -> list[str]:
    """The names that a list such as `["*", "-job"]` asks for. Raises ConfigError for a name that is none."""
    names = {item.removeprefix("-") for item in wanted} - {"*"}
    if unknown := sorted(names - CONTROLLERS.keys()):
        raise ConfigError(f"controllers: unknown {', '.join(unknown)}; there are {', '.join(sorted(CONTROLLERS))}")
    everything = "*" in wanted
    return [n for n in CONTROLLERS if f"-{n}" not in wanted and (everything or n in wanted)]


def load(wanted: Sequence[str]) -> list[ModuleType]:
    """The modules of these controllers. It takes a while, so it comes before there is a lease to renew.

    Raises ConfigError for a name that is none.
    """
    return [importlib.import_module(f".{CONTROLLERS[name]}.sync", __package__) for name in enabled(wanted)]


def build(context: Context) -> list[Runnable]:
    """Everything that the configuration enables."""
    made: list[Runnable] = []
    for module in load(context.config.controllers):
        made += cast(Callable[[Context], Sequence[Runnable]], module.build)(context)
    return made


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
