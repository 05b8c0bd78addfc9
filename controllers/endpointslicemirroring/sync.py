"""Keeps EndpointSlices that mirror the hand-made Endpoints of Services without a selector."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from k8slite import ownership
from k8slite.controller import DONE, Controller, Result
from k8slite.errors import ApiError
from k8slite.kinds.core import Service
from k8slite.kinds.resources import SERVICES

from ..children import Ledger, all_of
from ..context import Context, Runnable
from ..endpoints.model import ENDPOINTS, Endpoints
from ..endpointslice.model import ENDPOINT_SLICES, EndpointSlice, by_service, endpoints_to_wire, ports_to_wire
from ..endpointslice.plan import Content
from .plan import MANAGER, Mirror, mirrored, plan, slice_annotations, slice_labels

COMPONENT = "endpoint-slice-mirroring-controller"


def build(context: Context) -> Sequence[Runnable]:
    """The controller."""
    return [MirroringSync(context).controller]


class MirroringSync:
    """Syncs Endpoints; a Service has the key of its Endpoints."""

    def __init__(self, context: Context) -> None:
        self._context = context
        config = context.config
        self._limit = config.mirroring_max_endpoints_per_subset
        self.controller = Controller(
            "endpoint_slice_mirroring",
            self.sync,
            clock=context.clock,
            workers=config.workers,
            rest=config.mirroring_endpointslice_updates_batch_period,
        )
        self._slices = context.informers.of(ENDPOINT_SLICES, service=by_service)
        self._services = context.informers.of(SERVICES)
        self._endpoints = context.informers.of(ENDPOINTS)
        self._ledger = Ledger(self._slices)
        self._slices.add_handler(self._slice_changed)
        self._services.add_handler(self._service_changed)
        self._endpoints.add_handler(self._endpoints_changed)

    def _service_changed(self, old: Service | None, new: Service | None) -> None:
        selecting = [bool(item.spec.selector) for item in (old, new) if item is not None]
        if False in selecting and selecting != [False, False]:
            self._enqueue(old, new)

    def _endpoints_changed(self, old: Endpoints | None, new: Endpoints | None) -> None:
        """Those of a Service with a selector are the other controller's, but may have been made by hand before."""
        item = new or old
        service = self._services.get(item.key) if item is not None else None
        if service is None or not service.spec.selector:
            self._enqueue(old, new)

    def _slice_changed(self, old: EndpointSlice | None, new: EndpointSlice | None) -> None:
        for item in (old, new):
            if item is not None and item.managed_by(MANAGER) and (key := item.service_key):
                self.controller.queue.add(key)

    def _enqueue(self, *items: Service | Endpoints | None) -> None:
        for item in items:
            if item is not None:
                self.controller.queue.add(item.key)

    async def sync(self, key: str) -> Result:
        """The Endpoints of one Service."""
        deleted = await self._ledger.settle(key)
        endpoints, service = self._endpoints.get(key), self._services.get(key)
        slices = [
            item
            for item in self._slices.by_index("service", key)
            if item.managed_by(MANAGER) and not item.deleting and item.uid not in deleted
        ]
        if endpoints is None or not mirrored(endpoints, service):
            await self._delete(key, slices)
            if endpoints is None:
                self._ledger.forget(key)
            return DONE
        own = [item for item in slices if any(owner.uid == endpoints.uid for owner in item.metadata.owner_references)]
        decided = plan(endpoints=endpoints, slices=own, limit=self._limit)
        self._tell(endpoints, decided)
        try:
            await all_of(
                [
                    *(self._create(endpoints, content) for content in decided.create),
                    *(self._update(endpoints, item, content) for item, content in decided.update),
                ]
            )
            await self._delete(key, [*decided.delete, *(item for item in slices if item not in own)])
        except ApiError as error:
            if error.namespace_goes:
                return DONE
            raise
        return DONE

    def _tell(self, endpoints: Endpoints, decided: Mirror) -> None:
        if decided.invalid:
            message = f"Skipped {decided.invalid} invalid IP addresses when mirroring to EndpointSlices"
            self._context.say(COMPONENT, endpoints, "InvalidIPAddress", message, type="Warning")
        if decided.too_many:
            message = (
                f"A max of {self._limit} addresses can be mirrored to EndpointSlices per Endpoints subset. "
                f"{decided.too_many} addresses were skipped"
            )
            self._context.say(COMPONENT, endpoints, "TooManyAddressesToMirror", message, type="Warning")

    async def _create(self, endpoints: Endpoints, content: Content) -> None:
        def body(name: str) -> dict[str, Any]:
            return {
                "apiVersion": ENDPOINT_SLICES.api_version,
                "kind": ENDPOINT_SLICES.kind,
                "metadata": {
                    "name": name,
                    "generateName": f"{endpoints.name}-",
                    "namespace": endpoints.namespace,
                    "labels": slice_labels(endpoints),
                    "annotations": slice_annotations(endpoints),
                    "ownerReferences": [
                        ownership.controller_reference(endpoints) | {"apiVersion": "v1", "kind": "Endpoints"}
                    ],
                },
                "addressType": content.address_type,
                "ports": ports_to_wire(content.ports),
                "endpoints": endpoints_to_wire(content.endpoints),
            }

        await self._ledger.create(self._context, endpoints, body, prefix=endpoints.name)

    async def _update(self, endpoints: Endpoints, item: EndpointSlice, content: Content) -> None:
        present = item.metadata
        body = {
            "metadata": {
                "uid": item.uid,
                "resourceVersion": present.resource_version,
                "labels": dict.fromkeys(present.labels) | slice_labels(endpoints),
                "annotations": dict.fromkeys(present.annotations) | slice_annotations(endpoints),
            },
            "ports": ports_to_wire(content.ports),
            "endpoints": endpoints_to_wire(content.endpoints),
        }
        changed = await self._context.client.patch(ENDPOINT_SLICES, item.name, body, namespace=item.namespace)
        self._ledger.wrote(endpoints.key, changed)

    async def _delete(self, key: str, slices: Iterable[EndpointSlice]) -> None:
        async def one(item: EndpointSlice) -> None:
            try:
                await self._context.client.delete(ENDPOINT_SLICES, item.name, namespace=item.namespace, uid=item.uid)
            except ApiError as error:
                if error.code != 404:
                    raise
            self._ledger.deleted(key, item)

        await all_of(one(item) for item in slices)
