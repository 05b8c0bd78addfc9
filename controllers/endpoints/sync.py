"""Keeps the Endpoints objects of Services that have a selector."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from k8slite.clock import timestamp
from k8slite.controller import DONE, Controller, Result
from k8slite.errors import ApiError
from k8slite.kinds.core import Service

from ..children import Ledger
from ..context import Context, Runnable
from ..endpointslice.model import TRIGGER_TIME
from ..service_pods import ServicePods
from . import plan
from .model import ENDPOINTS, ENDPOINTS_HEADS, Endpoints, subsets_to_wire

COMPONENT = "endpoint-controller"


def build(context: Context) -> Sequence[Runnable]:
    """The controller."""
    return [EndpointsSync(context).controller]


class EndpointsSync:
    """Syncs Services. The object has the Service's name, so that it can exist but once."""

    def __init__(self, context: Context) -> None:
        self._context = context
        config = context.config
        rest = config.endpoint_updates_batch_period
        self.controller = Controller("endpoint", self.sync, clock=context.clock, workers=config.workers, rest=rest)
        self._endpoints = context.informers.of(ENDPOINTS)
        self._pods = ServicePods(context, enqueue=self.controller.queue.add)
        self._ledger = Ledger(self._endpoints)
        self._gone: set[str] = set()
        """Services that were seen to go: their Endpoints go with them, whoever made those."""
        self._endpoints.add_handler(self._endpoints_changed)
        self._pods.services.add_handler(self._service_changed)

    def _endpoints_changed(self, old: Endpoints | None, new: Endpoints | None) -> None:
        item = new or old
        if item is not None and item.metadata.labels.get(plan.MANAGED_BY) == plan.MANAGER:
            self.controller.queue.add(item.key)

    def _service_changed(self, old: Service | None, new: Service | None) -> None:
        if new is not None:
            self._gone.discard(new.key)
        elif old is not None:
            self._gone.add(old.key)

    async def sync(self, key: str) -> Result:
        """One Service."""
        await self._ledger.settle(key)
        service = self._pods.services.get(key)
        present = self._endpoints.get(key)
        if service is None:
            if present is not None and self._goes_too(key, present):
                await self._delete(present)
            self._ledger.forget(key)
            self._gone.discard(key)
            return DONE
        if service.deleting or not service.spec.selector or service.spec.type == "ExternalName":
            return DONE
        trigger = self._pods.take_trigger(service)
        subsets, cut = plan.truncate(plan.subsets(service, self._pods.of(service)))
        labels = plan.labels(service)
        capacity = plan.TRUNCATED if cut else None
        if (
            present is not None
            and present.subsets == subsets
            and labels == present.metadata.labels
            and present.metadata.annotations.get(plan.OVER_CAPACITY) == capacity
        ):
            return DONE
        annotations = {TRIGGER_TIME: timestamp(trigger) if trigger else None, plan.OVER_CAPACITY: capacity}
        metadata: dict[str, Any] = {"annotations": annotations, "labels": labels}
        try:
            await self._write(service, present, metadata, subsets_to_wire(subsets))
        except BaseException as error:
            self._pods.put_trigger(key, trigger)
            if isinstance(error, ApiError):
                if error.namespace_goes:
                    return DONE
                self._complain(service, present, error)
            raise
        return DONE

    async def _write(
        self, service: Service, present: Endpoints | None, metadata: dict[str, Any], subsets: list[dict[str, Any]]
    ) -> None:
        client = self._context.client
        if present is None:
            metadata["annotations"] = {name: value for name, value in metadata["annotations"].items() if value}
            metadata |= {"name": service.name, "namespace": service.namespace}
            body = {"apiVersion": "v1", "kind": "Endpoints", "metadata": metadata, "subsets": subsets}
            made = await client.create(ENDPOINTS_HEADS, body, namespace=service.namespace)
        else:
            metadata["labels"] = dict.fromkeys(present.metadata.labels) | metadata["labels"]
            metadata["resourceVersion"] = present.metadata.resource_version
            body = {"metadata": metadata, "subsets": subsets}
            made = await client.patch(ENDPOINTS_HEADS, service.name, body, namespace=service.namespace)
        self._ledger.wrote(service.key, made)

    def _goes_too(self, key: str, present: Endpoints) -> bool:
        if plan.LEADER in present.metadata.annotations:
            return False
        return key in self._gone or present.metadata.labels.get(plan.MANAGED_BY) == plan.MANAGER

    async def _delete(self, present: Endpoints) -> None:
        try:
            await self._context.client.delete(ENDPOINTS, present.name, namespace=present.namespace, uid=present.uid)
        except ApiError as error:
            if error.code not in (404, 409):
                raise

    def _complain(self, service: Service, present: Endpoints | None, error: ApiError) -> None:
        if error.reason in ("Conflict", "AlreadyExists", "NotFound"):
            return
        if present is None:
            reason, done = "FailedToCreateEndpoint", f"create endpoint for service {service.key}"
        else:
            reason, done = "FailedToUpdateEndpoint", f"update endpoint {service.key}"
        about = present or service
        self._context.say(COMPONENT, about, reason, f"Failed to {done}: {error}", type="Warning")
