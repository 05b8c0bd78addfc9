"""The proxy program: service rules and cluster DNS of one machine, fed by the same informers."""

from __future__ import annotations

import asyncio
import logging

from k8slite.client import Client, ClientConfig
from k8slite.clock import SystemClock
from k8slite.config import ProxyConfig
from k8slite.informer import Informer
from k8slite.kinds.resources import ENDPOINT_SLICES, SERVICES
from k8slite.metrics import serve_metrics

from .services.sync import SERVICE_INDEX, ServiceRules, slice_service
from .services.table import TableSettings

log = logging.getLogger(__name__)


async def serve(config: ProxyConfig) -> None:
    """Run until cancelled. Rules stay behind, so that traffic flows on; `cleanup` removes them."""
    clock = SystemClock()
    settings = TableSettings(
        name=config.table,
        bridge=config.bridge,
        cluster_cidr=config.cluster_cidr,
        service_cidr=config.service_cidr,
        node_port_addresses=tuple(config.node_port_addresses),
    )
    async with Client(ClientConfig.from_kubeconfig(config.kubeconfig)) as client, serve_metrics(config.metrics_port):
        services = Informer(client, SERVICES, clock=clock)
        slices = Informer(client, ENDPOINT_SLICES, clock=clock, indexers={SERVICE_INDEX: slice_service})
        rules = ServiceRules(services=services, slices=slices, settings=settings, nodes=config.node_names, clock=clock)
        async with asyncio.TaskGroup() as group:
            group.create_task(services.run())
            group.create_task(slices.run())
            group.create_task(rules.run())
