"""Removes requests that nobody needs any more."""

from __future__ import annotations

from collections.abc import Sequence

from k8slite.controller import DONE, Controller, Result
from k8slite.errors import ApiError
from k8slite.kinds.certificates import CertificateSigningRequest
from k8slite.kinds.resources import CERTIFICATE_SIGNING_REQUESTS

from ..context import Context, Runnable
from .plan import removal


def build(context: Context) -> Sequence[Runnable]:
    """The controller."""
    return [CleaningSync(context).controller]


class CleaningSync:
    """Syncs requests: each is looked at when its time is up."""

    def __init__(self, context: Context) -> None:
        self._context = context
        self._requests = context.informers.of(CERTIFICATE_SIGNING_REQUESTS)
        self.controller = Controller("certificate_cleaning", self.sync, clock=context.clock, workers=1)
        self._requests.add_handler(self._changed)

    def _changed(self, old: CertificateSigningRequest | None, new: CertificateSigningRequest | None) -> None:
        if new is not None:
            self.controller.queue.add(new.key)
        elif old is not None:
            self.controller.queue.drop(old.key)

    async def sync(self, key: str) -> Result:
        """One request."""
        found = self._requests.get(key)
        due = removal(found) if found is not None and not found.deleting else None
        if found is None or due is None:
            return DONE
        left = (due - self._context.clock.now()).total_seconds()
        if left > 0:
            return Result(left)
        try:
            # Of this revision only: somebody may have decided in the last moment.
            revision = found.metadata.resource_version
            await self._context.client.delete(
                CERTIFICATE_SIGNING_REQUESTS, found.name, uid=found.uid, resource_version=revision
            )
        except ApiError as error:
            if error.code not in (404, 409):
                raise
        return DONE
