"""Makes cluster DNS known: the Service `kube-system/kube-dns` and an EndpointSlice that leads here.

`plan` says what is missing or wrong; the loop carries it out whenever either object changes, so that what somebody
deletes comes back.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import aiohttp

from k8slite.client import Client
from k8slite.clock import Clock
from k8slite.errors import ApiError
from k8slite.informer import Informer
from k8slite.kinds.base import Object, ResourceType
from k8slite.kinds.core import Service
from k8slite.kinds.discovery import EndpointSlice
from k8slite.kinds.resources import ENDPOINT_SLICES, SERVICES

log = logging.getLogger(__name__)

NAMESPACE = "kube-system"
NAME = "kube-dns"
_LABELS = {"k8s-app": NAME, "kubernetes.io/cluster-service": "true", "kubernetes.io/name": "CoreDNS"}
_FIRST_RETRY, _LAST_RETRY = 0.1, 5.0


@dataclass(frozen=True, slots=True)
class Registration:
    """Where cluster DNS is to be found."""

    cluster_ip: str
    addresses: tuple[str, ...]
    port: int

    @property
    def slice_name(self) -> str:
        """One slice a machine; its first address tells machines apart."""
        return f"{NAME}-{self.addresses[0].replace('.', '-').replace(':', '-')}"


@dataclass(frozen=True, slots=True)
class Write:
    """An object to create, or to patch if it exists."""

    resource: ResourceType[Any]
    name: str
    body: dict[str, Any]
    exists: bool


def plan(registration: Registration, *, service: Service | None, piece: EndpointSlice | None) -> Sequence[Write]:
    """What is to be written so that the two objects are as they should be."""
    writes: list[Write] = []
    ports = [("dns", "UDP"), ("dns-tcp", "TCP")]
    if service is None or [(p.name, p.protocol, p.port) for p in service.spec.ports] != [(*p, 53) for p in ports]:
        spec = {
            "type": "ClusterIP",
            "clusterIP": registration.cluster_ip,
            "ports": [
                {"name": name, "protocol": protocol, "port": 53, "targetPort": registration.port}
                for name, protocol in ports
            ],
        }
        body = _object(SERVICES, NAME, labels=_LABELS) | {"spec": spec}
        writes.append(Write(SERVICES, NAME, body, service is not None))
    want_ports = [{"name": name, "protocol": protocol, "port": registration.port} for name, protocol in ports]
    want_endpoints = [{"addresses": [each], "conditions": {"ready": True}} for each in registration.addresses]
    if (
        piece is None
        or piece.service_name != NAME
        or [port.to_wire() for port in piece.ports] != want_ports
        or [endpoint.addresses for endpoint in piece.endpoints] != [[each] for each in registration.addresses]
    ):
        labels = {
            "kubernetes.io/service-name": NAME,
            "endpointslice.kubernetes.io/managed-by": "k8slite-proxy",
        }
        body = _object(ENDPOINT_SLICES, registration.slice_name, labels=labels) | {
            "addressType": "IPv6" if ":" in registration.addresses[0] else "IPv4",
            "ports": want_ports,
            "endpoints": want_endpoints,
        }
        writes.append(Write(ENDPOINT_SLICES, registration.slice_name, body, piece is not None))
    return writes


def _object(resource: ResourceType[Any], name: str, *, labels: dict[str, str]) -> dict[str, Any]:
    return {
        "apiVersion": resource.api_version,
        "kind": resource.kind,
        "metadata": {"name": name, "namespace": NAMESPACE, "labels": labels},
    }


async def keep_registered(
    registration: Registration,
    *,
    client: Client,
    services: Informer[Service],
    slices: Informer[EndpointSlice],
    clock: Clock,
) -> None:
    """Write what `plan` asks for, now and after every change of the two objects, until cancelled."""
    changed = asyncio.Event()
    watched = {f"{NAMESPACE}/{NAME}", f"{NAMESPACE}/{registration.slice_name}"}

    def notice(old: Object | None, new: Object | None) -> None:
        found = new or old
        if found is not None and found.key in watched:
            changed.set()

    await services.wait_synced()
    await slices.wait_synced()
    services.add_handler(notice)
    slices.add_handler(notice)
    changed.set()
    delay = _FIRST_RETRY
    while True:
        await changed.wait()
        changed.clear()
        writes = plan(
            registration,
            service=services.get(f"{NAMESPACE}/{NAME}"),
            piece=slices.get(f"{NAMESPACE}/{registration.slice_name}"),
        )
        try:
            for write in writes:
                await _carry_out(write, client=client)
        except (ApiError, aiohttp.ClientError, OSError, TimeoutError) as error:
            # At the start of a cluster its namespaces come a little later than we do.
            log.info("register cluster DNS: %s; trying again in %.1f s", error, delay)
            await clock.sleep(delay)
            delay = min(delay * 2, _LAST_RETRY)
            changed.set()
        else:
            delay = _FIRST_RETRY


async def _carry_out(write: Write, *, client: Client) -> None:
    if write.exists:
        await client.patch(write.resource, write.name, write.body, namespace=NAMESPACE)
        return
    try:
        await client.create(write.resource, write.body, namespace=NAMESPACE)
    except ApiError as error:
        # Somebody was faster: the informer will bring what they wrote, and we look again.
        if error.code != 409:
            raise
