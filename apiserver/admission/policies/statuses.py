"""The status of validating policies: which generation was looked at, and what type checking found.

In Kubernetes the controller manager does this. Here it needs the type checker, which this server has. Any number of
servers may do it: a status is written for a generation that has none yet, and all find the same.

Source: Kubernetes' controller-manager, validatingadmissionpolicystatus/controller.go.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from dataclasses import replace

from k8slite.errors import ApiError

from ...cel.kinds import declared_kind
from ...cel.schemas import declared
from ...cel.types import DeclType
from ...openapi.custom import CustomSchemas
from ...registry import Registry
from ...storage.base import StoreError
from ...strategies.base import Document
from ...watching.signal import Signal
from ..matching import Gvk
from .configured import GROUP
from .type_checking import issues, kinds_to_check, warnings

_PLURAL = "validatingadmissionpolicies"
_RETRY = 1.0
_log = logging.getLogger(__name__)


class PolicyStatuses:
    """Follows the policies and writes their status. `published` holds the schemas of custom resources."""

    def __init__(self, registry: Registry, *, published: CustomSchemas) -> None:
        self._registry = registry
        self._published = published
        self._served = registry.find(GROUP, "v1", _PLURAL)
        self._wake = asyncio.Event()
        self._task: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Follow from now on. The cache must be filled."""
        self._task = asyncio.create_task(self._follow())

    async def stop(self) -> None:
        """Follow no longer."""
        if self._task is not None:
            self._task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._task

    async def _follow(self) -> None:
        signal = Signal(self._served.cache, self._wake.set)
        try:
            while True:
                self._wake.clear()
                signal.renew()
                try:
                    await self._sync()
                except (StoreError, ApiError) as error:
                    _log.warning("the status of admission policies cannot be written: %s", error)
                    asyncio.get_running_loop().call_later(_RETRY, self._wake.set)
                except Exception:  # the task must not end: no policy would be looked at any more
                    _log.exception("the status of admission policies cannot be written")
                    asyncio.get_running_loop().call_later(_RETRY, self._wake.set)
                await self._wake.wait()
        finally:
            signal.close()

    async def _sync(self) -> None:
        for entry in self._served.cache.select():
            policy = entry.document
            if not _is_due(policy):
                continue
            found = await self._warnings(policy)
            try:
                await self._write(entry.name, policy, found)
            except ApiError as error:
                if error.code != 404:  # it is gone
                    raise

    async def _warnings(self, policy: Document) -> list[Document]:
        spec, found = policy.get("spec") or {}, []
        for kind in kinds_to_check(spec, self._registry.catalogue):
            declared_ = self._type_of(kind)
            if declared_ is not None:
                found.append((kind, issues(spec, declared_, self._type_of)))
                await asyncio.sleep(0)  # each kind takes a while, and others wait
        return warnings(spec, found)

    async def _write(self, name: str, policy: Document, found: list[Document]) -> None:
        generation = policy["metadata"].get("generation")

        async def decide(current: Document, revision: int) -> Document:
            if current["metadata"].get("generation") == generation:
                status = current.setdefault("status", {})
                status["observedGeneration"] = generation
                status["typeChecking"] = {"expressionWarnings": found} if found else {}
            return current

        await self._registry.change(self._served, "", name, decide, dry_run=False)

    def _type_of(self, kind: Gvk) -> DeclType | None:
        facts = self._registry.schemas.type_of(*kind)
        if facts is not None:
            return declared_kind(facts)
        published = self._published.get(*kind)
        if published is None:
            return None
        found = declared(published.schema, root=True)
        if found is None:
            return None
        metadata = self._registry.schemas.type_of("", "v1", "ConfigMap")
        whole = declared_kind(metadata).fields["metadata"] if metadata is not None else found.fields["metadata"]
        return replace(found, fields={**found.fields, "metadata": whole})


def _is_due(policy: Document) -> bool:
    generation = policy["metadata"].get("generation") or 0
    return ((policy.get("status") or {}).get("observedGeneration") or 0) < generation
