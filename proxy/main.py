"""The proxy program: service rules and cluster DNS of one machine, fed by the same informers."""

from __future__ import annotations

import asyncio
import logging
from dataclasses import replace

from k8slite.client import Client, ClientConfig
from k8slite.clock import Clock, SystemClock
from k8slite.config import ProxyConfig
from k8slite.informer import Informer
from k8slite.kinds.core import Service
from k8slite.kinds.discovery import EndpointSlice
from k8slite.kinds.resources import ENDPOINT_SLICES, SERVICES
from k8slite.metrics import serve_metrics

from .dns.registration import Registration, keep_registered
from .dns.resolver import Resolver
from .dns.server import DnsServer
from .dns.sync import ZoneSync
from .dns.upstream import Upstream
from .dns.zone import Zone
from .services.sync import SERVICE_INDEX, ServiceRules, slice_service
from .services.table import TableSettings

log = logging.getLogger(__name__)

_DNS_RETRY = 5.0


async def serve(config: ProxyConfig) -> None:
    """Run until cancelled. Rules stay behind, so that traffic flows on; `cleanup` removes them."""
    clock = SystemClock()
    settings = TableSettings(
        name=config.table,
        bridge=config.bridge,
        cluster_cidr=config.cluster_cidr,
        service_cidr=config.service_cidr,
        node_port_addresses=tuple(config.node_port_addresses),
        load_balancer_cidrs=tuple(cidr for cidr in config.load_balancer_cidrs if ":" not in cidr),
    )
    async with (
        Client(replace(ClientConfig.from_kubeconfig(config.kubeconfig), user_agent="k8slite-proxy")) as client,
        serve_metrics(config.metrics_port),
    ):
        services = Informer(client, SERVICES, clock=clock)
        slices = Informer(client, ENDPOINT_SLICES, clock=clock, indexers={SERVICE_INDEX: slice_service})
        rules = ServiceRules(services=services, slices=slices, settings=settings, nodes=config.node_names, clock=clock)
        async with asyncio.TaskGroup() as group:
            group.create_task(services.run())
            group.create_task(slices.run())
            group.create_task(rules.run())
            if config.dns.enabled:
                group.create_task(_serve_dns(config, client=client, services=services, slices=slices, clock=clock))


async def _serve_dns(
    config: ProxyConfig,
    *,
    client: Client,
    services: Informer[Service],
    slices: Informer[EndpointSlice],
    clock: Clock,
) -> None:
    dns = config.dns
    zone = Zone(dns.cluster_domain, reverse=(config.cluster_cidr, config.service_cidr))
    upstream = Upstream(dns.upstream, resolv_conf=dns.resolv_conf, ourselves=(*dns.bind_addresses, dns.cluster_ip))
    # Nobody is answered before the zone is whole: a name that is only not there yet must not be denied.
    await ZoneSync(zone, services=services, slices=slices, server=dns.cluster_ip).start()
    server = DnsServer(Resolver(zone, upstream, clock=clock))
    registration = Registration(cluster_ip=dns.cluster_ip, addresses=tuple(dns.bind_addresses), port=dns.port)
    while True:
        try:
            async with server.listening(dns.bind_addresses, dns.port) as bound:
                log.info("cluster DNS answers on %s", ", ".join(f"{address}:{port}" for address, port in bound))
                await keep_registered(registration, client=client, services=services, slices=slices, clock=clock)
        except OSError as error:
            # A taken port is no reason to leave Services without rules.
            log.error("cluster DNS: %s", error)
            await clock.sleep(_DNS_RETRY)
