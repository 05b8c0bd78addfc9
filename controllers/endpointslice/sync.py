"""Keeps the EndpointSlices of Services that have a selector."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from k8slite import ownership
from k8slite.clock import timestamp
from k8slite.controller import DONE, Controller, Result
from k8slite.errors import ApiError
from k8slite.kinds.base import Object
from k8slite.kinds.core import Node, Service

from ..children import Ledger, all_of
from ..context import Context, Runnable
from ..service_pods import ServicePods
from .desired import Memory
from .model import (
    ENDPOINT_SLICE_HEADS,
    ENDPOINT_SLICES,
    TRIGGER_TIME,
    EndpointSlice,
    by_service,
    endpoints_to_wire,
    ports_to_wire,
)
from .plan import MANAGER, Content, Plan, plan, slice_labels
from .topology import automatic, cpus_of, zone_ratios

COMPONENT = "endpoint-slice-controller"


def build(context: Context) -> Sequence[Runnable]:
    """The controller."""
    return [EndpointSliceSync(context).controller]


class EndpointSliceSync:
    """Syncs Services."""

    def __init__(self, context: Context) -> None:
        self._context = context
        config = context.config
        self._limit = config.max_endpoints_per_slice
        self.controller = Controller(
            "endpoint_slice",
            self.sync,
            clock=context.clock,
            workers=config.workers,
            rest=config.endpointslice_updates_batch_period,
        )
        self._slices = context.informers.of(ENDPOINT_SLICES, service=by_service)
        self._pods = ServicePods(context, enqueue=self.controller.queue.add)
        self._ledger = Ledger(self._slices)
        self._echoes: dict[str, set[str]] = {}
        """The revisions of own writes that the cache has not shown yet: they are no reason to look again."""
        self._memories: dict[str, Memory] = {}
        self._automatic: set[str] = set()
        """Services whose hints follow the zones' shares of the CPUs."""
        self._ratios: Mapping[str, float] | None = None
        self._ratios_known = False
        self._slices.add_handler(self._slice_changed)
        self._pods.nodes.add_handler(self._node_changed)

    def _slice_changed(self, old: EndpointSlice | None, new: EndpointSlice | None) -> None:
        if new is not None and new.metadata.resource_version in self._echoes.get(new.service_key, ()):
            return
        for item in (old, new):
            if item is not None and item.managed_by(MANAGER) and (key := item.service_key):
                self.controller.queue.add(key)

    def _node_changed(self, old: Node | None, new: Node | None) -> None:
        if old is not None and new is not None and _weight(old) == _weight(new):
            return
        self._ratios_known = False
        for key in self._automatic:
            self.controller.queue.add(key)

    def _shares(self) -> Mapping[str, float] | None:
        if not self._ratios_known:
            self._ratios, self._ratios_known = zone_ratios(self._pods.nodes.list()), True
        return self._ratios

    async def sync(self, key: str) -> Result:
        """One Service."""
        service = self._pods.services.get(key)
        if service is None:  # its slices are the garbage collector's
            self._ledger.forget(key)
            self._echoes.pop(key, None)
            self._automatic.discard(key)
            self._memories.pop(key, None)
            return DONE
        if not service.spec.selector or service.spec.type == "ExternalName":
            self._memories.pop(key, None)
            return DONE
        deleted = await self._ledger.settle(key)
        self._echoes.pop(key, None)
        trigger = self._pods.take_trigger(service)
        labels = slice_labels(service)
        decided = plan(
            service=service,
            pods=self._pods.of(service),
            slices=[
                item
                for item in self._slices.by_index("service", key)
                if item.managed_by(MANAGER) and not item.deleting and item.uid not in deleted
            ],
            labels=labels,
            zone=self._pods.zone,
            ratios=self._shares() if automatic(service) else None,
            limit=self._limit,
            was_automatic=key in self._automatic,
            memory=self._memories.setdefault(key, Memory()),
        )
        (self._automatic.add if automatic(service) else self._automatic.discard)(key)
        for notice in decided.notices:
            self._context.say(COMPONENT, service, notice.reason, notice.message, type=notice.type)
        try:
            await self._carry_out(service, decided, labels, trigger)
        except BaseException as error:
            self._pods.put_trigger(key, trigger)
            if isinstance(error, ApiError):
                if error.namespace_goes:
                    return DONE
                self._complain(service, error)
            raise
        return DONE

    async def _carry_out(
        self, service: Service, decided: Plan, labels: dict[str, str], trigger: datetime | None
    ) -> None:
        """What comes before what goes, so that no reader misses an endpoint that is only written elsewhere."""
        await all_of(
            [
                *(self._create(service, content, labels, trigger) for content in decided.create),
                *(self._update(service, item, content, labels, trigger) for item, content in decided.update),
            ]
        )
        await all_of(self._delete(service, item) for item in decided.delete)

    async def _create(
        self, service: Service, content: Content, labels: dict[str, str], trigger: datetime | None
    ) -> None:
        def body(name: str) -> dict[str, Any]:
            return {
                "apiVersion": ENDPOINT_SLICES.api_version,
                "kind": ENDPOINT_SLICES.kind,
                "metadata": {
                    "name": name,
                    "generateName": f"{service.name}-",
                    "namespace": service.namespace,
                    "labels": labels,
                    "annotations": {TRIGGER_TIME: timestamp(trigger)} if trigger else {},
                    "ownerReferences": [ownership.controller_reference(service)],
                },
                "addressType": content.address_type,
                "ports": ports_to_wire(content.ports),
                "endpoints": endpoints_to_wire(content.endpoints),
            }

        self._wrote(service.key, await self._ledger.create(self._context, service, body, prefix=service.name))

    async def _update(
        self,
        service: Service,
        item: EndpointSlice,
        content: Content,
        labels: dict[str, str],
        trigger: datetime | None,
    ) -> None:
        metadata: dict[str, Any] = {
            "uid": item.uid,
            "resourceVersion": item.metadata.resource_version,
            "annotations": {TRIGGER_TIME: timestamp(trigger) if trigger else None},
        }
        if item.metadata.labels != labels:
            metadata["labels"] = dict.fromkeys(item.metadata.labels) | labels
        body: dict[str, Any] = {"metadata": metadata, "endpoints": endpoints_to_wire(content.endpoints)}
        if content.ports != item.ports:
            body["ports"] = ports_to_wire(content.ports)
        changed = await self._context.client.patch(ENDPOINT_SLICE_HEADS, item.name, body, namespace=item.namespace)
        self._ledger.wrote(service.key, changed)
        self._wrote(service.key, changed)

    def _wrote(self, key: str, item: Object) -> None:
        seen = self._slices.get(item.key)
        if seen is None or seen.metadata.resource_version != item.metadata.resource_version:
            self._echoes.setdefault(key, set()).add(item.metadata.resource_version)

    async def _delete(self, service: Service, item: EndpointSlice) -> None:
        try:
            await self._context.client.delete(ENDPOINT_SLICES, item.name, namespace=item.namespace, uid=item.uid)
        except ApiError as error:
            if error.code != 404:
                raise
        self._ledger.deleted(service.key, item)

    def _complain(self, service: Service, error: ApiError) -> None:
        if error.reason not in ("Conflict", "AlreadyExists", "NotFound"):
            message = f"Error updating Endpoint Slices for Service {service.key}: {error}"
            self._context.say(COMPONENT, service, "FailedToUpdateEndpointSlices", message, type="Warning")


def _weight(node: Node) -> tuple[object, ...]:
    """What of a node counts for the zones' shares."""
    return node.ready, node.metadata.labels, cpus_of(node)
