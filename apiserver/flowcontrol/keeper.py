"""Keeps the objects of flow control as they must be (`maintaining.py` says how), from the start on."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Sequence
from typing import Any

from k8slite.clock import timestamp
from k8slite.errors import ApiError

from ..documents import encode
from ..registry import Decide, Registry, Removal, Served
from ..storage.base import KeyExists, StoreError
from ..verbs import deleting
from ..verbs.metadata import new_uid
from ..wire.options import Options
from . import maintaining, objects

Document = dict[str, Any]

_RETRY = 1.0
"""Seconds until what the store refused is tried again."""
_KINDS: tuple[tuple[str, tuple[Document, ...]], ...] = (
    (objects.LEVELS, objects.PRIORITY_LEVELS),
    (objects.SCHEMAS, objects.FLOW_SCHEMAS),
)
_log = logging.getLogger(__name__)


class Keeper:
    """One server's keeping. Call `look` whenever an object of flow control has changed."""

    def __init__(self, registry: Registry) -> None:
        self._registry = registry
        self._task: asyncio.Task[None] | None = None
        self._again = False

    async def keep(self) -> None:
        """Look once, and write what has to be written. Raises ApiError, StoreError."""
        for plural, wanted in _KINDS:
            await self._keep(plural, wanted)
        await self._publish()

    def look(self) -> None:
        """Look soon. Writes that fail are tried again."""
        self._again = True
        if self._task is None or self._task.done():
            self._task = asyncio.create_task(self._run())

    async def stop(self) -> None:
        """Write nothing any more."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)

    async def _run(self) -> None:
        while self._again:
            self._again = False
            try:
                await self.keep()
            except (ApiError, StoreError) as error:
                _log.warning("the objects of flow control cannot be kept: %s", error)
                self._again = True
                await asyncio.sleep(_RETRY)

    def _served(self, plural: str) -> Served:
        return self._registry.find(objects.GROUP, "v1", plural)

    def _present(self, plural: str) -> dict[str, Document]:
        return {entry.name: entry.document for entry in self._served(plural).cache.select()}

    async def _keep(self, plural: str, wanted: Sequence[Document]) -> None:
        known = {document["metadata"]["name"]: document for document in wanted}
        plan = maintaining.plan(self._present(plural), wanted)
        await asyncio.gather(*(self._create(plural, document) for document in plan.create))
        for name in plan.mend:
            await self._mend(plural, known[name])
        for name in plan.remove:
            await self._remove(plural, name)

    async def _create(self, plural: str, document: Document) -> None:
        registry, served = self._registry, self._served(plural)
        metadata = document["metadata"]
        identity = {"uid": new_uid(registry.source), "creationTimestamp": timestamp(registry.clock.now())}
        whole = {**document, "metadata": {**metadata, **identity}}
        if plural == objects.SCHEMAS:
            whole = maintaining.with_condition(whole, self._present(objects.LEVELS), registry.clock.now())
        with contextlib.suppress(KeyExists):  # another server was faster
            await registry.store.create(served.key("", metadata["name"]), encode(whole, served.stored))

    async def _mend(self, plural: str, wanted: Document) -> None:
        async def decide(document: Document, revision: int) -> Document:
            return maintaining.mended(document, wanted) or document

        await self._change(plural, wanted["metadata"]["name"], decide)

    async def _remove(self, plural: str, name: str) -> None:
        strategy, now = self._served(plural).strategy, self._registry.clock.now()

        async def decide(document: Document, revision: int) -> Document | Removal:
            if not maintaining.is_obsolete(document):
                return document
            planned = deleting.plan(document, options=Options(), strategy=strategy, now=now)
            return Removal(planned.object) if planned.remove else planned.object

        await self._change(plural, name, decide)

    async def _publish(self) -> None:
        now, levels = self._registry.clock.now(), self._present(objects.LEVELS)

        async def decide(document: Document, revision: int) -> Document:
            return maintaining.with_condition(document, levels, now)

        for name, document in self._present(objects.SCHEMAS).items():
            if maintaining.with_condition(document, levels, now) is not document:
                await self._change(objects.SCHEMAS, name, decide)

    async def _change(self, plural: str, name: str, decide: Decide) -> None:
        try:
            await self._registry.change(self._served(plural), "", name, decide, dry_run=False)
        except ApiError as error:
            if error.reason != "NotFound":
                raise
