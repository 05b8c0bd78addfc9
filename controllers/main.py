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

from .manager import load, manage

log = logging.getLogger(__name__)


async def serve(config: ControllerManagerConfig) -> None:
    """Run until cancelled; exit when another instance takes over, to begin anew. Raises ConfigError at once."""
    load(config.controllers)
    clock = SystemClock()
    async with contextlib.AsyncExitStack() as stack:
        client = await stack.enter_async_context(
            Client(replace(ClientConfig.from_kubeconfig(config.kubeconfig), user_agent="k8slite-controller-manager"))
        )
        if config.metrics_port:
            await stack.enter_async_context(serve_metrics(config.metrics_port))
        try:
            await lead(
                client,
                name="kube-controller-manager",
                identity=f"{socket.gethostname()}_{os.getpid()}_{secrets.token_hex(4)}",
                config=config.leader_election,
                clock=clock,
                work=lambda: manage(client, config, clock=clock),
            )
        except LeadershipLost as lost:
            log.error("%s", lost)
            raise SystemExit(1) from lost
