"""The one store of objects: what every verb needs of every kind.

`Registry` holds the parts (store, cache, schemas, strategies, admission); `Served` binds one row of the catalogue to
its strategy and its place in the store. The verbs stand beside it: `reading.py`, `writing.py`, `deleting.py`.

Reads come from the watch cache, which is made consistent first unless the client allows stale answers. A change is a
loop: decide on the object in the cache, write on condition of its revision, and decide again if that was not the
latest. What was decided on a stale object is never an answer: a refusal is repeated on the latest one first.

Source: Kubernetes' apiserver, storage/etcd3 (GuaranteedUpdate).
"""

from __future__ import annotations

import random
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

from k8slite.catalogue import Catalogue, Resource
from k8slite.clock import Clock
from k8slite.errors import ApiError, method_not_allowed, no_such_path, not_found, service_unavailable
from k8slite.schema import Schemas

from . import conversions, documents
from .admission.chain import Chain
from .calls import Call
from .documents import Document
from .storage.base import Overtaken, Record, RevisionMismatch, Store, StoreUnavailable, Unless, stamp
from .strategies.base import Context, Strategy
from .strategies.simple import SimpleStrategy
from .watching.cache import ResourceCache, WatchCache
from .watching.objects import FieldReader

_ATTEMPTS = 50
GroupPlural = tuple[str, str]


@dataclass(frozen=True, eq=False)
class Served:
    """A resource as it is served: `resource` is the version asked for, `stored` the one in the store.

    `hub` is the version that admission and the strategy work on: the stored one of a built-in kind, the one asked for
    of a custom resource, whose schema is its version's own.
    """

    resource: Resource
    hub: Resource
    stored: Resource
    strategy: Strategy
    cache: ResourceCache
    converter: conversions.Converter | None = None
    """Of custom resources: leads from the stored version to the hub and back."""

    def key(self, namespace: str, name: str) -> str:
        """Where an object lies in the store."""
        return documents.key(self.stored.group, self.stored.plural, namespace if self.resource.namespaced else "", name)

    @cached_property
    def converts(self) -> bool:
        """Whether documents of the version asked for differ from the stored ones."""
        return self.stored.key != self.resource.key

    def is_plain(self, revision: int) -> bool:
        """Whether what was stored at that revision can be served byte for byte."""
        return not self.converts and (self.converter is None or self.converter.is_current(revision))

    @property
    def instant(self) -> bool:
        """Whether `present_now` may be used."""
        return self.converter is None or self.converter.instant

    def to_served(self, document: Document) -> Document:
        """A document of the hub in the version asked for; changes and returns it."""
        if self.hub.key != self.resource.key:
            conversions.of(self.resource).to_served(document)
            document["apiVersion"], document["kind"] = self.resource.api_version, self.resource.kind
        return document

    def to_hub(self, document: Document) -> Document:
        """A document of the version asked for in the hub's; changes and returns it."""
        if self.hub.key != self.resource.key:
            conversions.of(self.resource).to_stored(document)
            document["apiVersion"], document["kind"] = self.hub.api_version, self.hub.kind
        return document

    async def from_store(self, document: Document) -> Document:
        """A stored document in the hub's version; may change it. Raises ApiError."""
        if self.converter is None:
            return document
        return (await self.converter.convert([document], self.hub))[0]

    async def into_store(self, document: Document) -> Document:
        """A document of the hub's version as it is stored; the given one is not changed. Raises ApiError."""
        if self.converter is None or self.stored.key == self.hub.key:
            return document
        return (await self.converter.convert([documents.copy(document)], self.stored))[0]

    def present_now(self, document: Document) -> Document:
        """A stored document in the version asked for, if no webhook has to be asked; may change it."""
        if self.converter is not None:
            document = self.converter.convert_now(document, self.hub)
        return self.to_served(document)

    async def present(self, stored: list[Document]) -> list[Document]:
        """Stored documents in the version asked for; may change them. Raises ApiError."""
        if self.converter is not None and stored:
            stored = await self.converter.convert(stored, self.hub)
        return [self.to_served(document) for document in stored]

    async def served_bytes(self, value: bytes, revision: int) -> bytes:
        """An encoded document, stored at that revision, as it is served. Raises ApiError."""
        if self.is_plain(revision):
            return value
        return self.encode((await self.present([documents.decode(value)]))[0])

    def encode(self, document: Document) -> bytes:
        """A document of the version asked for, with the revision that it has (none if it was not stored)."""
        revision = document["metadata"].get("resourceVersion")
        encoded = documents.encode(document, self.resource)
        return stamp(encoded, int(revision)) if revision else documents.unstamped(encoded)

    def not_found(self, name: str) -> ApiError:
        """404 for an object of this kind."""
        return not_found(self.resource.plural, name, group=self.resource.group)


@dataclass(frozen=True, slots=True)
class Custom:
    """How a custom resource is served: the version that is stored (it may not be served), strategies by version."""

    stored: Resource
    strategies: Mapping[str, Strategy]
    converter: conversions.Converter


Decide = Callable[[Document, int], Awaitable["Document | Removal"]]


class Removal:
    """A decision: the object goes. `final` is its last state."""

    def __init__(self, final: Document) -> None:
        self.final = final


class Registry:
    """The parts that verbs work with."""

    def __init__(
        self,
        *,
        store: Store,
        cache: WatchCache,
        catalogue: Catalogue,
        schemas: Schemas,
        strategies: dict[GroupPlural, Strategy],
        admission: Chain,
        clock: Clock,
        source: random.Random,
    ) -> None:
        self.store = store
        self._stale: Callable[[str], bool] | None = getattr(store, "stale", None)  # of one that encrypts
        self.cache = cache
        self.catalogue = catalogue
        self.schemas = schemas
        self.strategies = strategies
        self.admission = admission
        self.clock = clock
        self.source = source
        self._served: dict[tuple[str, str, str], Served] = {}
        self._generation = -1
        self._plain = SimpleStrategy()
        for resource in catalogue:
            stored = catalogue.stored(resource)
            place = (stored.group, stored.plural)
            if place in strategies:
                cache.resource(*place).index(strategies[place].selectable_fields)
        self.custom: dict[GroupPlural, Custom] = {}
        """The custom resources by group and plural."""

    def find(self, group: str, version: str, plural: str) -> Served:
        """The resource behind a path. Raises ApiError 404."""
        if self._generation != self.catalogue.generation:
            self._served.clear()
            self._generation = self.catalogue.generation
        served = self._served.get((group, version, plural))
        if served is None:
            resource = self.catalogue.by_path(group, version, plural)
            if resource is None:
                raise no_such_path()
            custom = self.custom.get((group, plural))
            if custom is not None:
                cache = self.cache.resource(group, plural)
                strategy = custom.strategies[version]
                served = Served(resource, resource, custom.stored, strategy, cache, custom.converter)
            else:
                stored = self.catalogue.stored(resource)
                place = (stored.group, stored.plural)
                # A group that serves another group's objects may have rules of its own for them.
                own = self.strategies.get((group, plural))
                strategy = own or self.strategies.get(place, self._plain)
                served = Served(resource, stored, stored, strategy, self.cache.resource(*place))
            self._served[(group, version, plural)] = served
        return served

    def at_rest(self, group: str, plural: str) -> Served:
        """A custom resource in the version that is stored, whether it is served or not. Raises ApiError 404."""
        custom = self.custom.get((group, plural))
        if custom is None:
            raise no_such_path()
        stored, cache = custom.stored, self.cache.resource(group, plural)
        return Served(stored, stored, stored, custom.strategies[stored.version], cache, custom.converter)

    def install(self, resources: Sequence[Resource], custom: Custom) -> None:
        """Serve a custom resource in these versions; all have one group and plural.

        Versions that were served before and are not among these are withdrawn. Their readers must be in the schemas.
        """
        group, plural = custom.stored.group, custom.stored.plural
        self.withdraw(group, plural)
        self.custom[group, plural] = custom
        fields = {
            field_of(resource, name): _read_as(resource, custom.converter, read)
            for resource in resources
            for name, read in custom.strategies[resource.version].selectable_fields.items()
        }
        self.cache.resource(group, plural).index(fields)
        for resource in resources:
            self.catalogue.add(resource)

    def withdraw(self, group: str, plural: str) -> None:
        """Serve a custom resource no longer. What is stored stays."""
        for resource in [row for row in self.catalogue if (row.group, row.plural) == (group, plural)]:
            self.catalogue.remove(resource)
        self.custom.pop((group, plural), None)

    def lookup(self, group: str, plural: str, namespace: str, name: str) -> Document | None:
        """Another object from the cache; it must not be changed."""
        entry = self.cache.resource(group, plural).get(namespace, name)
        return entry.document if entry is not None else None

    def context(self, call: Call) -> Context:
        """What hooks may know of a request."""
        return Context(
            user=call.user,
            now=self.clock.now(),
            namespace=call.info.namespace if call.resource.namespaced else "",
            dry_run=call.options.dry_run,
            lookup=self.lookup,
            warnings=call.warnings,
            annotations=call.annotations,
            leaving=call.leaving,
        )

    async def read(self, served: Served, namespace: str, name: str) -> Record:
        """The latest state of an object. Raises ApiError 404."""
        await self.cache.consistent()
        entry = served.cache.get(namespace if served.resource.namespaced else "", name)
        if entry is None:
            raise served.not_found(name)
        return Record(entry.key, entry.value, entry.revision)

    async def change(
        self,
        served: Served,
        namespace: str,
        name: str,
        decide: Decide,
        *,
        dry_run: bool,
        unless: Sequence[Unless] = (),
    ) -> tuple[bytes, bool]:
        """Carry out a decision on the latest state of an object; the new state and whether it was removed.

        `decide` gets the document in the hub's version and its revision, returns the new one (or a Removal), and may be
        called again for a newer state. `unless` is what the write is bound to, read once it is decided.
        Raises ApiError, 404 if there is no such object.
        """
        key = served.key(namespace, name)
        entry = served.cache.get(namespace if served.resource.namespaced else "", name)
        fresh = entry is None
        record = Record(entry.key, entry.value, entry.revision) if entry is not None else await self.latest(served, key)
        for _ in range(_ATTEMPTS):
            if record is None:
                raise served.not_found(name)
            try:
                new = await decide(await served.from_store(documents.decode(record.value)), record.revision)
            except ApiError:
                newer = None if fresh else await self.latest(served, key)
                if fresh or (newer is not None and newer.revision == record.revision):
                    raise
                record, fresh = newer, True
                continue
            removal = isinstance(new, Removal)
            final = await served.into_store(new.final if isinstance(new, Removal) else new)
            value = documents.encode_to_fit(final, served.stored)
            changed = not _holds(record, value)
            unchanged = not removal and not changed
            if unchanged and not fresh:
                newer = await self.latest(served, key)
                fresh = True
                if newer is None or newer.revision != record.revision:
                    record = newer
                    continue
            if unchanged and not (self._stale is not None and self._stale(key)):
                return record.value, False
            if dry_run:
                return stamp(value, record.revision), removal
            try:
                if not removal:
                    written = await self.store.update(key, value, expected=record.revision, unless=tuple(unless))
                    return written.value, False
                return await self._remove(key, value, changed, record.revision), True
            except RevisionMismatch as mismatch:
                record, fresh = mismatch.current, True
            except Overtaken:
                raise overtaken() from None
            except StoreUnavailable as error:
                raise service_unavailable(f"the store is not available: {error}") from error
        raise service_unavailable(f"{served.resource.qualified} {name!r} changes too fast")

    async def latest(self, served: Served, key: str) -> Record | None:
        """What the store itself holds at a key."""
        try:
            return await self.store.get(key)
        except StoreUnavailable as error:
            raise service_unavailable(f"the store is not available: {error}") from error

    async def _remove(self, key: str, value: bytes, changed: bool, revision: int) -> bytes:
        # A change that removes (the last finalizer goes) is not written on its own; the deletion tells all watchers.
        removed = await self.store.delete(key, expected=revision)
        return stamp(value, removed.revision) if changed else removed.value


def _holds(record: Record, value: bytes) -> bool:
    """Whether a record holds this document already, be its members in another order: the length is the same then."""
    stamped = stamp(value, record.revision)
    if len(stamped) != len(record.value):
        return False
    return stamped == record.value or documents.decode(stamped) == documents.decode(record.value)


def overtaken() -> ApiError:
    """What a write hears that came too late after its admission."""
    return service_unavailable("what admission had decided was overtaken: the write took too long", retry_after=1)


def field_of(resource: Resource, name: str) -> str:
    """What the cache calls a selectable field of a custom resource: its versions may differ in the value."""
    return f"{resource.version}:{name}"


def _read_as(resource: Resource, converter: conversions.Converter, read: FieldReader) -> FieldReader:
    """Reads a field of a version from what is stored. What only a webhook can convert is read as it is."""

    def value(document: Document) -> str:
        same = document["apiVersion"] == resource.api_version
        current = same and converter.is_current(int(document["metadata"]["resourceVersion"]))
        if current or not (same or converter.instant):
            return read(document)
        return read(converter.convert_now(documents.copy(document), resource))

    return value


def require_verb(resource: Resource, verb: str) -> None:
    """Raise ApiError 405 if the resource does not know the verb."""
    if verb not in resource.verbs:
        raise method_not_allowed(resource.plural, verb, group=resource.group)
