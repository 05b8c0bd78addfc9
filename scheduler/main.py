"""The scheduler program."""

from __future__ import annotations

import contextlib
import os
import random
import socket
from collections.abc import Mapping
from dataclasses import replace

from k8slite.client import Client, ClientConfig
from k8slite.clock import SystemClock
from k8slite.config import SchedulerConfig
from k8slite.leader import lead
from k8slite.metrics import serve_metrics

from .decisions import Decisions
from .framework import Handle
from .plugins import build
from .profile import Profile
from .scheduler import Scheduler


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

        def profiles(handle: Handle) -> Mapping[str, Profile]:
            return {config.scheduler_name: build(handle)}

        async def work() -> None:
            await Scheduler(client, clock=clock, random=random.Random(), profiles=profiles, decisions=decisions).run()

        await lead(
            client,
            name="kube-scheduler",
            identity=identity,
            config=config.leader_election,
            clock=clock,
            work=work,
        )
