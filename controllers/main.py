"""The controller manager: one program, of which one instance acts at a time."""

from __future__ import annotations

import contextlib
import logging
import os
import secrets
import socket
from dataclasses import replace

from k8slite.client import Client, ClientConfig
from k8slite.clock import SystemClock
from k8slite.config import ControllerManagerConfig
from k8slite.leader import LeadershipLost, lead
from k8slite.metrics import serve_metrics

from .manager import Manager

log = logging.getLogger(__name__)


async def serve(config: ControllerManagerConfig) -> None:
    """Run until cancelled; exit when another instance takes over, to begin anew. Raises ConfigError at once."""
    clock = SystemClock()
    async with contextlib.AsyncExitStack() as stack:
        access = replace(ClientConfig.from_kubeconfig(config.kubeconfig), user_agent="k8slite-controller-manager")
        client = await stack.enter_async_context(Client(access))
        manager = Manager(client, config, clock=clock)
        await stack.enter_async_context(serve_metrics(config.metrics_port, checks=manager.health))
        try:
            await lead(
                client,
                name="kube-controller-manager",
                identity=f"{socket.gethostname()}_{os.getpid()}_{secrets.token_hex(4)}",
                config=config.leader_election,
                clock=clock,
                work=manager.run,
            )
        except LeadershipLost as lost:
            log.error("%s", lost)
            raise SystemExit(1) from lost
