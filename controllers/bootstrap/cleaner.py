"""Removes bootstrap tokens that have ended."""

from __future__ import annotations

from collections.abc import Sequence

from k8slite.controller import DONE, Controller, Result
from k8slite.errors import ApiError
from k8slite.kinds.core import Secret
from k8slite.kinds.resources import SECRETS

from ..context import Context, Runnable
from .plan import TYPE, expires, is_token


def build(context: Context) -> Sequence[Runnable]:
    """The controller."""
    return [TokenCleanerSync(context).controller]


class TokenCleanerSync:
    """Syncs Secrets that hold tokens."""

    def __init__(self, context: Context) -> None:
        self._context = context
        self._secrets = context.informers.of(SECRETS, field_selector=f"type={TYPE}")
        self.controller = Controller("token_cleaner", self.sync, clock=context.clock, workers=1)
        self._secrets.add_handler(self._changed)

    def _changed(self, old: Secret | None, new: Secret | None) -> None:
        if new is not None and is_token(new):
            self.controller.queue.add(new.key)
        elif old is not None:
            self.controller.queue.drop(old.key)

    async def sync(self, key: str) -> Result:
        """One Secret. Its revision counts: somebody may have given it more time in the last moment."""
        secret = self._secrets.get(key)
        end = expires(secret) if secret is not None else None
        if secret is None or end is None or secret.deleting:
            return DONE
        left = (end - self._context.clock.now()).total_seconds()
        if left > 0:
            return Result(left)
        try:
            await self._context.client.delete(
                SECRETS,
                secret.name,
                namespace=secret.namespace,
                uid=secret.uid,
                resource_version=secret.metadata.resource_version,
            )
        except ApiError as error:
            if error.code not in (404, 409):
                raise
        return DONE
