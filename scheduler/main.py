"""The scheduler program."""

from __future__ import annotations

import contextlib
import os
import random
import socket
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from k8slite.client import Client, ClientConfig
from k8slite.clock import SystemClock
from k8slite.config import SchedulerConfig
from k8slite.leader import lead
from k8slite.metrics import serve_metrics

from .decisions import Decisions
from .extenders.extender import Extender
from .framework import Handle
from .plugins import build
from .profile import Profile
from .scheduler import Scheduler
from .waiting import DEFAULT_BACKOFF, Backoff


async def serve(config: SchedulerConfig) -> None:
    """Schedule pods while holding the Lease; runs until cancelled. Raises LeadershipLost, ConfigError."""
    clock = SystemClock()
    identity = f"{socket.gethostname()}_{os.getpid()}_{random.getrandbits(32):08x}"
    async with contextlib.AsyncExitStack() as stack:
        client = await stack.enter_async_context(
            Client(replace(ClientConfig.from_kubeconfig(config.kubeconfig), user_agent="k8slite-scheduler"))
        )
        if config.metrics_port:
            await stack.enter_async_context(serve_metrics(config.metrics_port))

        decisions = Decisions(clock=clock)
        if config.port:
            from .server import serving  # a web server takes memory

            await stack.enter_async_context(serving(config, decisions))

        setup = configured(config.configuration) if config.configuration else Setup(_default(config.scheduler_name))
        scheduler = Scheduler(
            client,
            clock=clock,
            random=random.Random(),
            profiles=setup.profiles,
            decisions=decisions,
            extenders=setup.extenders,
            backoff=setup.backoff,
        )
        if setup.follows_at_once:
            await stack.enter_async_context(scheduler.following())
        await lead(
            client,
            name=setup.lease,
            namespace=setup.lease_namespace,
            identity=identity,
            config=config.leader_election,
            clock=clock,
            work=scheduler.run,
        )


@dataclass(frozen=True, slots=True)
class Setup:
    """What a KubeSchedulerConfiguration says beyond our own settings, and what holds without one."""

    profiles: Callable[[Handle], Mapping[str, Profile]]
    extenders: Sequence[Extender] = ()
    backoff: Backoff = DEFAULT_BACKOFF
    lease: str = "kube-scheduler"
    lease_namespace: str = "kube-system"
    follows_at_once: bool = False
    """Whether the cluster is followed while another scheduler still leads."""


def _default(name: str) -> Callable[[Handle], Mapping[str, Profile]]:
    return lambda handle: {name: build(handle)}


def configured(file: Path) -> Setup:
    """The setup that a file asks for. Raises ConfigError."""
    from .configuration.building import build_extenders, build_profiles  # the models of the whole file take memory
    from .configuration.reading import read_configuration

    configuration = read_configuration(file)
    wanted = configuration.wanted
    return Setup(
        lambda handle: build_profiles(handle, configuration),
        extenders=build_extenders(configuration),
        backoff=Backoff(wanted.pod_initial_backoff_seconds, wanted.pod_max_backoff_seconds),
        lease=wanted.leader_election.resource_name,
        lease_namespace=wanted.leader_election.resource_namespace,
        follows_at_once=not wanted.delay_cache_until_active,
    )
