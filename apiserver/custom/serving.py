"""Definitions followed in the watch cache, and what they define served: rows, readers, strategies, OpenAPI schemas.

Level-triggered: a definition is looked at when it changed; those that wait for names, when any of their group changed.
The status of a definition is written on condition of the revision that was decided on; whoever loses such a race sees
the winner's write and decides again. So any number of servers may do this over one store.

A definition whose names are accepted is served before its status says so: who reads `Established` finds it served.

Source: Kubernetes' apiextensions-apiserver, apiserver/customresource_handler.go and the controllers beside it.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

from k8slite.clock import timestamp
from k8slite.schema.structural_atoms import structural_atom

from .. import documents
from ..openapi.custom import CustomSchemas, Published
from ..registry import Custom, Registry
from ..storage.base import RevisionMismatch, StoreUnavailable
from . import conditions, definition
from .columns import columns_of
from .converter import Asked, CustomConverter
from .definition import GROUP, PLURAL, Definition, Version
from .finalizing import Finalizer
from .reader import CustomReader
from .rules import Rules
from .strategy import CustomStrategy
from .structural import Structural

log = logging.getLogger(__name__)
Document = dict[str, Any]

_SETTLING = 5.0
"""Seconds in which writes that began under the old schema, on any server, may still reach the store."""
_RETRY = 1.0


@dataclass(frozen=True, slots=True)
class _Installed:
    """A definition as it is served: `essence` is what it was made from."""

    essence: tuple[Document, Mapping[str, Any], str]
    definition: Definition
    converter: CustomConverter
    since: int


@dataclass(frozen=True, slots=True)
class _Seen:
    """What is kept of a definition that was looked at: `waits` if others have names that it wants."""

    revision: int
    accepted: Document
    waits: bool


class CustomResources:
    """Serves what definitions define. `published` tells OpenAPI their schemas.

    `webhook` makes, of a definition's `spec.conversion.webhook`, somebody who converts.
    """

    def __init__(self, registry: Registry, *, webhook: Callable[[Mapping[str, Any]], Asked]) -> None:
        self.published = CustomSchemas()
        self._registry = registry
        self._webhook = webhook
        self._cache = registry.cache.resource(GROUP, PLURAL)
        self._seen: dict[str, _Seen] = {}
        self._installed: dict[str, _Installed] = {}
        self._terminating: set[str] = set()
        self._finalizer = Finalizer(registry)
        self._task: asyncio.Task[None] | None = None
        self._timers: set[asyncio.TimerHandle] = set()

    async def start(self) -> None:
        """Serve what is stored, and follow from now on."""
        await self._sync()
        self._task = asyncio.create_task(self._follow())

    async def stop(self) -> None:
        """Follow no longer."""
        for timer in self._timers:
            timer.cancel()
        await self._finalizer.stop()
        if self._task is not None:
            self._task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._task

    async def _follow(self) -> None:
        while True:
            watcher = self._cache.watch()
            changed = asyncio.Event()
            watcher.on_ready = changed.set
            try:
                while not watcher.ended:
                    changed.clear()
                    watcher.skip()
                    await self._try_sync()
                    if not watcher.pending:
                        await changed.wait()
            finally:
                watcher.close()
            await asyncio.sleep(_RETRY)  # the cache was filled anew, or the server drains

    async def _try_sync(self) -> None:
        while True:
            try:
                await self._sync()
                return
            except StoreUnavailable as error:
                log.warning("the status of custom resource definitions cannot be written: %s", error)
                self._seen.clear()
                await asyncio.sleep(_RETRY)

    async def _sync(self) -> None:
        """Look at what changed, and at what waits for names in the same group. Raises StoreUnavailable."""
        entries = {entry.name: entry for entry in self._cache.select()}
        gone = {*self._seen, *self._installed} - entries.keys()
        seen = {name: known.revision for name, known in self._seen.items()}
        changed = [name for name, entry in entries.items() if seen.get(name) != entry.revision]
        for name in gone:
            self._seen.pop(name, None)
            self._withdraw(name)
        groups = {_group(name) for name in (*gone, *changed)}
        waiting = [name for name, known in self._seen.items() if known.waits and _group(name) in groups]
        due = {name: entries[name].document for name in dict.fromkeys((*changed, *waiting))}
        for document in due.values():
            self._see(document)
        # Whoever was established has its names, whatever the others want.
        for name in sorted(due, key=lambda name: (not conditions.is_served(due[name]), name)):
            try:
                self._see(await self._look_at(due[name]))
            except StoreUnavailable:
                raise
            except Exception:  # whatever is wrong with one definition, the others are served
                log.exception("%s cannot be served", name)

    def _see(self, document: Document) -> None:
        meta, accepted = document["metadata"], (document.get("status") or {}).get("acceptedNames") or {}
        waits = not definition.is_true(document, "NamesAccepted")
        self._seen[meta["name"]] = _Seen(int(meta["resourceVersion"]), accepted, waits)

    async def _look_at(self, document: Document) -> Document:
        """Serve a definition, tell its status, begin its end; the document as it is then."""
        name = document["metadata"]["name"]
        group = _group(name)
        others = [seen.accepted for other, seen in self._seen.items() if other != name and _group(other) == group]
        now = timestamp(self._registry.clock.now())
        decided = {**document, "status": conditions.status_of(document, others, now=now)}
        if conditions.is_served(decided):
            self._serve(decided)
        if decided != document:
            decided = await self._write(decided) or document
        if document["metadata"].get("deletionTimestamp"):
            self._finalizer.begin(name)
        return decided

    async def _write(self, document: Document) -> Document | None:
        """Write a definition if it is still the one that was read; None if not: another look is due then anyhow."""
        meta = document["metadata"]
        served = self._registry.find(GROUP, "v1", PLURAL)
        try:
            record = await self._registry.store.update(
                served.key("", meta["name"]),
                documents.encode(document, served.stored),
                expected=int(meta["resourceVersion"]),
            )
        except RevisionMismatch:
            return None
        return documents.decode(record.value)

    def _serve(self, document: Document) -> None:
        """Install what a definition defines, unless it is served so already."""
        meta = document["metadata"]
        name = meta["name"]
        read = definition.read(document, document["status"]["acceptedNames"])
        # Another server may have ended a definition of that name and a new one begun before this look.
        (self._terminating.add if read.terminating else self._terminating.discard)(name)
        essence = (document["spec"], read.names, read.uid)
        known = self._installed.get(name)
        if known is not None and known.essence == essence:
            if read.terminating and not known.definition.terminating:
                self._retell(read)
                self._installed[name] = replace(known, definition=read)
            return
        if any(self._is_builtin(read, version.name) for version in read.versions):
            log.warning("%s is not served: a built-in resource has its place", name)
            return
        same = known is not None and _stored_alike(known.definition, read)
        since = known.since if same and known is not None else int(meta["resourceVersion"])
        schemas = {version.name: Structural(version.schema) for version in read.versions}
        strategies = {version.name: self._strategy(read, version, schemas[version.name]) for version in read.versions}
        asked = None
        if read.conversion.get("strategy") == "Webhook":
            asked = self._webhook(read.conversion.get("webhook") or {})
        converter = CustomConverter(schemas, since=since, asked=asked)
        if known is not None and not same:
            self._settle(converter)
        self._forget(known)
        self._install(read, schemas, Custom(read.resource(read.stored), strategies, converter))
        if known is not None:
            self._registry.cache.resource(read.group, read.plural).end()
        self._installed[name] = _Installed(essence, read, converter, since)

    def _strategy(self, read: Definition, version: Version, schema: Structural) -> CustomStrategy:
        name = read.name
        return CustomStrategy(
            read,
            version,
            schema=schema,
            columns=columns_of(version.columns),
            expressions=Rules.compile(version.schema) or None,
            terminating=lambda: name in self._terminating,
        )

    def _install(self, read: Definition, schemas: Mapping[str, Structural], custom: Custom) -> None:
        registry = self._registry
        served = [(version, read.resource(version)) for version in read.versions if version.served]
        for version, resource in served:
            place = (read.group, version.name, resource.kind)
            reader = CustomReader(resource, schemas[version.name], atom=structural_atom(version.schema))
            registry.schemas.add(*place, reader)
            self.published.add(place, Published(version.schema, resource.list_kind, version.selectable))
        registry.install([resource for _, resource in served], custom)

    def _retell(self, read: Definition) -> None:
        """Have discovery say what a definition that is to go still offers; its watches go on."""
        for version in read.versions:
            if version.served and (read.group, read.plural) in self._registry.custom:
                self._registry.catalogue.add(read.resource(version))

    def _withdraw(self, name: str) -> None:
        """Serve a definition that is gone no longer."""
        self._terminating.discard(name)
        known = self._installed.pop(name, None)
        self._forget(known)
        if known is not None:
            self._registry.withdraw(known.definition.group, known.definition.plural)
            self._registry.cache.resource(known.definition.group, known.definition.plural).end()

    def _forget(self, known: _Installed | None) -> None:
        for version in known.definition.versions if known is not None else ():
            assert known is not None
            place = (known.definition.group, version.name, str(known.definition.names["kind"]))
            self._registry.schemas.remove(*place)
            self.published.remove(place)

    def _settle(self, converter: CustomConverter) -> None:
        """Trust nothing that is stored until the last write under the old schema must have arrived."""
        converter.doubt()

        def settled() -> None:
            self._timers.discard(timer)
            converter.settle(self._registry.cache.revision)

        timer = asyncio.get_running_loop().call_later(_SETTLING, settled)
        self._timers.add(timer)

    def _is_builtin(self, read: Definition, version: str) -> bool:
        known = self._registry.catalogue.by_path(read.group, version, read.plural)
        return known is not None and (read.group, read.plural) not in self._registry.custom


def _stored_alike(old: Definition, new: Definition) -> bool:
    """Whether what the old definition stored is as the new one would store it."""
    kept = (old.uid, old.names["kind"], old.stored.name, old.stored.schema)
    return kept == (new.uid, new.names["kind"], new.stored.name, new.stored.schema)


def _group(name: str) -> str:
    """The group of a definition, which is the second part of its name."""
    return name.partition(".")[2]
