"""Removes PodCertificateRequests, which kubelets make for pods: who signs answers within minutes, or never."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta

from k8slite.controller import DONE, Controller, Result
from k8slite.errors import ApiError
from k8slite.kinds.base import ResourceType
from k8slite.kinds.core import PartialObject

from ..context import Context, Runnable

POD_CERTIFICATE_REQUESTS = ResourceType(
    "certificates.k8s.io", "v1", "podcertificaterequests", "PodCertificateRequest", True, PartialObject
)
KEPT_FOR = timedelta(minutes=15)
"""How long a request is kept, whatever came of it."""


def build(context: Context) -> Sequence[Runnable]:
    """The controller."""
    return [PodRequestsSync(context).controller]


class PodRequestsSync:
    """Syncs requests: each is looked at when its time is up."""

    def __init__(self, context: Context) -> None:
        self._context = context
        self._requests = context.informers.of(POD_CERTIFICATE_REQUESTS)
        self.controller = Controller("podcertificaterequest_cleaning", self.sync, clock=context.clock, workers=1)
        self._requests.add_handler(self._changed)

    def _changed(self, old: PartialObject | None, new: PartialObject | None) -> None:
        if old is None and new is not None:
            self.controller.queue.add(new.key)
        elif new is None and old is not None:
            self.controller.queue.drop(old.key)

    async def sync(self, key: str) -> Result:
        """One request."""
        found = self._requests.get(key)
        if found is None or found.deleting or (made := found.metadata.creation_timestamp) is None:
            return DONE
        left = (made + KEPT_FOR - self._context.clock.now()).total_seconds()
        if left > 0:
            return Result(left)
        try:
            await self._context.client.delete(
                POD_CERTIFICATE_REQUESTS, found.name, namespace=found.namespace, uid=found.uid
            )
        except ApiError as error:
            if error.code not in (404, 409):
                raise
        return DONE
