"""Noting on which day the token of a Secret was used last, as a label of the Secret, for whoever cleans old ones up.

It is written behind the request that used the token, once a day for each Secret; if it cannot be, the next day will do.

Source: Kubernetes documentation, "Managing Service Accounts".
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from typing import Any

from k8slite.errors import ApiError

from ..registry import Registry
from .legacy import LAST_USED

_MOST = 64
"""Writes under way; what comes on top is left for a later use."""
_log = logging.getLogger(__name__)


class LastUses:
    """Writes the label."""

    def __init__(self, registry: Callable[[], Registry]) -> None:
        self._registry = registry
        self._writing: set[asyncio.Task[None]] = set()

    def note(self, namespace: str, secret: str, day: str) -> None:
        """The Secret's token was used on that day."""
        if len(self._writing) < _MOST:
            task = asyncio.create_task(self._write(namespace, secret, day))
            self._writing.add(task)
            task.add_done_callback(self._writing.discard)

    async def close(self) -> None:
        """Give up what is not written yet."""
        for task in self._writing:
            task.cancel()
        await asyncio.gather(*self._writing, return_exceptions=True)

    async def _write(self, namespace: str, secret: str, day: str) -> None:
        async def decide(document: dict[str, Any], _: int) -> dict[str, Any]:
            labels = document["metadata"].setdefault("labels", {})
            labels[LAST_USED] = day
            return document

        registry = self._registry()
        try:
            await registry.change(registry.find("", "v1", "secrets"), namespace, secret, decide, dry_run=False)
        except ApiError as error:
            _log.info("the last use of secret %s/%s is not noted: %s", namespace, secret, error.message)
