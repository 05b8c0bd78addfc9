"""Keeps the EndpointSlices of Services that have a selector."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from k8slite import ownership
from k8slite.controller import DONE, Controller, Result
from k8slite.kinds.core import Service
from k8slite.kinds.discovery import EndpointSlice
from k8slite.kinds.resources import ENDPOINT_SLICES

from ..children import Ledger
from ..context import Context, Runnable
from ..service_pods import ServicePods
from .plan import MANAGED_BY, MANAGER, Content, plan, slice_labels, to_wire


def build(context: Context) -> Sequence[Runnable]:
    """The controller."""
    return [EndpointSliceSync(context).controller]


def _by_service(item: EndpointSlice) -> Iterable[str]:
    return (f"{item.namespace}/{item.service_name}",)


class EndpointSliceSync:
    """Syncs Services."""

    def __init__(self, context: Context) -> None:
        self._context = context
        workers = context.config.workers
        self.controller = Controller("endpointslice", self.sync, clock=context.clock, workers=workers)
        self._pods = ServicePods(context, enqueue=self.controller.queue.add)
        self._slices = context.informers.of(ENDPOINT_SLICES, service=_by_service)
        self._ledger = Ledger(self._slices)
        self._slices.add_handler(self._slice_changed)

    def _slice_changed(self, old: EndpointSlice | None, new: EndpointSlice | None) -> None:
        for item in (old, new):
            if item is not None and item.service_name and _ours(item):
                self.controller.queue.add(f"{item.namespace}/{item.service_name}")

    async def sync(self, key: str) -> Result:
        """One Service."""
        service = self._pods.services.get(key)
        if service is None or service.deleting:
            self._ledger.forget(key)
            return DONE
        if not service.spec.selector or service.spec.type == "ExternalName":
            return DONE
        deleted = await self._ledger.settle(key)
        slices = [
            item
            for item in self._slices.by_index("service", key)
            if _ours(item) and not item.deleting and item.uid not in deleted
        ]
        labels = slice_labels(service)
        decided = plan(service=service, pods=self._pods.of(service), slices=slices, labels=labels, zone=self._pods.zone)
        for content in decided.create:
            await self._create(service, content, labels)
        for item, content in decided.update:
            await self._update(service, item, content, labels)
        for item in decided.delete:
            await self._context.client.delete(ENDPOINT_SLICES, item.name, namespace=item.namespace, uid=item.uid)
            self._ledger.deleted(key, item)
        return DONE

    async def _create(self, service: Service, content: Content, labels: dict[str, str]) -> None:
        def body(name: str) -> dict[str, Any]:
            return {
                "apiVersion": ENDPOINT_SLICES.api_version,
                "kind": ENDPOINT_SLICES.kind,
                "metadata": {
                    "name": name,
                    "generateName": f"{service.name}-",
                    "namespace": service.namespace,
                    "labels": labels,
                    "ownerReferences": [ownership.controller_reference(service)],
                },
                **to_wire(content),
            }

        await self._ledger.create(self._context, service, body, prefix=service.name)

    async def _update(self, service: Service, item: EndpointSlice, content: Content, labels: dict[str, str]) -> None:
        wire = to_wire(content)
        body = {
            "metadata": {
                "uid": item.uid,
                "resourceVersion": item.metadata.resource_version,
                "labels": dict.fromkeys(item.metadata.labels) | labels,
            },
            "endpoints": wire["endpoints"],
            "ports": wire["ports"],
        }
        changed = await self._context.client.patch(ENDPOINT_SLICES, item.name, body, namespace=item.namespace)
        self._ledger.wrote(service.key, changed)


def _ours(item: EndpointSlice) -> bool:
    return item.metadata.labels.get(MANAGED_BY) == MANAGER
