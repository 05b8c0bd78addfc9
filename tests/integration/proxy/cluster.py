"""A cluster that consists of the Services and EndpointSlices a test puts into it; the informers are real."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from k8slite.client import Client, Listing, WatchEvent
from k8slite.clock import SystemClock
from k8slite.informer import Informer
from k8slite.kinds.resources import ENDPOINT_SLICES, SERVICES
from k8slite.proxy.services.sync import SERVICE_INDEX, ServiceRules, slice_service
from k8slite.proxy.services.table import TableSettings

from .machine import BRIDGE


class Cluster(Client):
    """An API server's view for informers: what was put, and everything after."""

    def __init__(self) -> None:
        self._revision = itertools.count(1)
        self._watches: dict[str, asyncio.Queue[list[WatchEvent[Any]]]] = {}
        self._objects: dict[tuple[str, str], dict[str, Any]] = {}

    async def list(self, resource, **_):  # type: ignore[no-untyped-def, override]
        self._watches[resource.plural] = asyncio.Queue()
        items = [
            resource.model.model_validate(o) for (plural, _), o in self._objects.items() if plural == resource.plural
        ]
        return Listing(items, str(next(self._revision)))

    async def watch_batches(self, resource, **_):  # type: ignore[no-untyped-def, override]
        while True:
            yield await self._watches[resource.plural].get()

    def put(self, resource: Any, body: dict[str, Any]) -> None:
        body["metadata"]["resourceVersion"] = str(next(self._revision))
        body["metadata"].setdefault("namespace", "default")
        body["metadata"].setdefault("uid", body["metadata"]["name"])
        key = f"{body['metadata']['namespace']}/{body['metadata']['name']}"
        known = (resource.plural, key) in self._objects
        self._objects[resource.plural, key] = body
        if resource.plural in self._watches:
            event = WatchEvent("MODIFIED" if known else "ADDED", resource.model.model_validate(body))
            self._watches[resource.plural].put_nowait([event])

    def delete(self, resource: Any, name: str, namespace: str = "default") -> None:
        body = self._objects.pop((resource.plural, f"{namespace}/{name}"))
        body["metadata"]["resourceVersion"] = str(next(self._revision))
        self._watches[resource.plural].put_nowait([WatchEvent("DELETED", resource.model.model_validate(body))])

    def service(self, name: str, address: str, **spec: Any) -> None:
        """A Service on port 80 (`http`), unless `spec` says otherwise."""
        ports = spec.pop("ports", [{"name": "http", "port": 80, "protocol": "TCP"}])
        body = {"clusterIP": address, "clusterIPs": [address], "type": "ClusterIP", "ports": ports, **spec}
        self.put(SERVICES, {"metadata": {"name": name}, "spec": body})

    def endpoints(self, name: str, *endpoints: Any, ports: Any = None) -> None:
        """The endpoints of a Service: addresses, or whole endpoints; on port 8080 (`http`)."""
        self.put(
            ENDPOINT_SLICES,
            {
                "metadata": {"name": f"{name}-1", "labels": {"kubernetes.io/service-name": name}},
                "addressType": "IPv4",
                "ports": ports or [{"name": "http", "port": 8080, "protocol": "TCP"}],
                "endpoints": [{"addresses": [e]} if isinstance(e, str) else e for e in endpoints],
            },
        )


@asynccontextmanager
async def service_rules(cluster: Cluster, *, table: str = "k8slite") -> AsyncIterator[ServiceRules]:
    """The program's service part, running on this machine."""
    clock = SystemClock()
    services = Informer(cluster, SERVICES, clock=clock)
    slices = Informer(cluster, ENDPOINT_SLICES, clock=clock, indexers={SERVICE_INDEX: slice_service})
    settings = TableSettings(name=table, bridge=BRIDGE, cluster_cidr="10.42.0.0/16", service_cidr="10.96.0.0/16")
    rules = ServiceRules(services=services, slices=slices, settings=settings, nodes=["node-1"], clock=clock)
    tasks = [asyncio.ensure_future(each.run()) for each in (services, slices, rules)]
    try:
        async with asyncio.timeout(10):
            await rules.applied.wait()
        yield rules
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
