"""Keeps the Endpoints objects of Services that have a selector."""

from __future__ import annotations

from collections.abc import Sequence

from k8slite.controller import DONE, Controller, Result
from k8slite.errors import ApiError
from k8slite.kinds.core import Endpoints
from k8slite.kinds.resources import ENDPOINTS

from ..children import Ledger
from ..context import Context, Runnable
from ..service_pods import ServicePods
from . import plan

REST = 0.5
"""Seconds between two looks at one Service: proxies read EndpointSlices, and nobody else is in a hurry."""


def build(context: Context) -> Sequence[Runnable]:
    """The controller."""
    return [EndpointsSync(context).controller]


class EndpointsSync:
    """Syncs Services. The object has the Service's name, so that it can exist but once."""

    def __init__(self, context: Context) -> None:
        self._context = context
        workers = context.config.workers
        self.controller = Controller("endpoints", self.sync, clock=context.clock, workers=workers, rest=REST)
        self._pods = ServicePods(context, enqueue=self.controller.queue.add)
        self._endpoints = context.informers.of(ENDPOINTS)
        self._ledger = Ledger(self._endpoints)
        self._endpoints.add_handler(self._endpoints_changed)

    def _endpoints_changed(self, old: Endpoints | None, new: Endpoints | None) -> None:
        item = new or old
        if item is not None and item.metadata.labels.get(plan.MANAGED_BY) == plan.MANAGER:
            self.controller.queue.add(item.key)

    async def sync(self, key: str) -> Result:
        """One Service."""
        await self._ledger.settle(key)
        service = self._pods.services.get(key)
        present = self._endpoints.get(key)
        if service is None:
            self._ledger.forget(key)
            if present is not None and present.metadata.labels.get(plan.MANAGED_BY) == plan.MANAGER:
                await self._delete(present)
            return DONE
        if service.deleting or not service.spec.selector or service.spec.type == "ExternalName":
            return DONE
        subsets = plan.subsets(service, self._pods.of(service))
        labels = plan.labels(service)
        client = self._context.client
        if present is None:
            body = {
                "apiVersion": "v1",
                "kind": "Endpoints",
                "metadata": {"name": service.name, "namespace": service.namespace, "labels": labels},
                "subsets": plan.to_wire(subsets),
            }
            made = await client.create(ENDPOINTS, body, namespace=service.namespace)
            self._ledger.wrote(key, made)
        elif present.subsets != subsets or labels != present.metadata.labels:
            metadata = {
                "resourceVersion": present.metadata.resource_version,
                "labels": dict.fromkeys(present.metadata.labels) | labels,
            }
            patch = {
                "metadata": metadata,
                "subsets": plan.to_wire(subsets),
            }
            made = await client.patch(ENDPOINTS, service.name, patch, namespace=service.namespace)
            self._ledger.wrote(key, made)
        return DONE

    async def _delete(self, present: Endpoints) -> None:
        try:
            await self._context.client.delete(ENDPOINTS, present.name, namespace=present.namespace, uid=present.uid)
        except ApiError as error:
            if error.code not in (404, 409):
                raise
