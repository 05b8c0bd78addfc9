"""Taking an address or a port for good: a record in the store, which only one server can make.

The watch caches of several servers over one store lag behind each other, so that what a cache calls free may have just
been given out elsewhere. Whoever wants an item first creates its record, looks then whether any Service has it, and
writes its own on condition that the record is still as it made it (`Unless`); the record goes after the Service. An
address's record is its IPAddress object, which clients see; a node port's is the store's own.

Services are the truth, records only locks. A record that no Service stands behind, because its server ended between the
two writes, is taken over by the next who wants the item, and removed by the next server that starts; a Service without
a record (a user deleted it, or the cluster is older than records are) keeps what it has, and gets one again then.

Source: KEP-1880, Multiple Service CIDRs (IPAddress objects as locks).
"""

from __future__ import annotations

import asyncio
import contextlib
import ipaddress
import uuid
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta

import orjson

from k8slite.clock import timestamp

from .. import documents
from ..storage.base import KeyExists, Record, RevisionMismatch, Store, StoreError
from ..strategies.base import Document
from .holdings import Holdings, Item

_WRITING = timedelta(seconds=120)
"""A younger record may be of a write that is still under way."""
_MANAGER = "ipallocator.k8s.io"


@dataclass(frozen=True, slots=True)
class Claim:
    """An item that is ours: its record's key and revision."""

    item: Item
    key: str
    revision: int


@dataclass(frozen=True, slots=True)
class Finding:
    """What was not as it should be with a Service's address: an event's words."""

    reason: str
    message: str
    namespace: str
    name: str


class Claims:
    """The records of one store. Errors of the store itself pass through: the write that needs the item fails too."""

    def __init__(self, store: Store, *, holdings: Holdings, consistent: Callable[[], Awaitable[None]]) -> None:
        self._store = store
        self._holdings = holdings
        self._consistent = consistent
        self.undecided = False
        """Whether the last repair met claims that may be of writes under way."""

    async def take(self, item: Item, *, namespace: str, name: str, now: datetime) -> Claim | None:
        """Take an item for a Service; None if it is another's. Raises StoreError."""
        key, value = _key(item), _record(item, namespace=namespace, name=name, now=now)
        record = await self._create(key, value) or await self._take_over(item, key, value, now)
        if record is None:
            return None
        claim = Claim(item, key, record.revision)
        free = False
        try:
            free = not await self._holder(item)
        finally:
            if not free:
                await self.give_back([claim])
        return claim if free else None

    async def _holder(self, item: Item) -> str:
        """The key of the Service that has an item now, whatever server wrote it. Raises StoreError."""
        await self._consistent()
        return self._holdings.holder(item)

    async def give_back(self, claims: Iterable[Claim]) -> None:
        """Let go of what was taken for a write that failed."""
        await asyncio.gather(*(self._delete(claim.key, claim.revision) for claim in claims))

    async def release(self, items: Iterable[Item], *, before: int, now: datetime) -> None:
        """Let go of what a Service held, which was written last at revision `before`: its records are older.

        A younger one that was made long ago is one that a user has labelled since.
        """
        await asyncio.gather(*(self._release(item, before=before, now=now) for item in items))

    async def repair(self, now: datetime) -> list[Finding]:
        """Remove records that no Service stands behind, give those to Services that lack them. Raises StoreError."""
        found = [record for prefix in _PREFIXES for record in (await self._store.range(prefix)).records]
        await self._consistent()
        holders = self._holdings.holders()
        several = self._holdings.shared()
        wanted = {_key(item): item for item in holders}
        findings: list[Finding] = []
        self.undecided = False
        for record in found:
            item = wanted.pop(record.key, None)
            namespace, name = _parent(record.value)
            if item is None:
                if _abandoned(record.value, now):
                    await self._delete(record.key, record.revision)
                    findings += _leaked(record.key, namespace, name)
                else:
                    self.undecided = self.undecided or bool(name)
            elif name and not any((namespace, name) == _owner(key) for key in several[item]):
                findings += await self._correct(record, item, holders[item], now)
        for item in wanted.values():
            findings += await self._give_record(item, holders[item], now)
        return findings

    async def _give_record(self, item: Item, holder: str, now: datetime) -> list[Finding]:
        """Make the record that a Service lacks; not one whose Service went meanwhile."""
        namespace, name = _owner(holder)
        key = _key(item)
        made = await self._create(key, _record(item, namespace=namespace, name=name, now=now))
        if made is None:
            return []
        if not await self._holder(item):
            await self._delete(key, made.revision)
            return []
        if item[1]:
            return []
        message = f"Cluster IP [{_family(item[0])}]: {item[0]} is not allocated; repairing"
        return [Finding("ClusterIPNotAllocated", message, namespace, name)]

    async def _correct(self, record: Record, item: Item, holder: str, now: datetime) -> list[Finding]:
        """A record that names another Service than the one that has the item."""
        namespace, name = _owner(holder)
        try:
            value = _record(item, namespace=namespace, name=name, now=now)
            await self._store.update(record.key, value, expected=record.revision)
        except RevisionMismatch:
            return []
        if item[1]:
            return []
        message = f"IPAddress: {item[0]} for Service {namespace}/{name} has a wrong reference; cleaning up"
        return [Finding("IPAddressWrongReference", message, namespace, name)]

    async def _create(self, key: str, value: bytes) -> Record | None:
        try:
            return await self._store.create(key, value)
        except KeyExists:
            return None

    async def _take_over(self, item: Item, key: str, value: bytes, now: datetime) -> Record | None:
        there = await self._store.get(key)
        if there is None:
            return await self._create(key, value)
        if not _abandoned(there.value, now):
            return None
        if await self._holder(item):
            return None
        try:
            return await self._store.update(key, value, expected=there.revision)
        except RevisionMismatch:
            return None

    async def _release(self, item: Item, *, before: int, now: datetime) -> None:
        with contextlib.suppress(StoreError):  # the next who wants it takes it over
            there = await self._store.get(_key(item))
            if there is None:
                return
            if there.revision < before or (_abandoned(there.value, now) and not await self._holder(item)):
                await self._delete(there.key, there.revision)

    async def _delete(self, key: str, revision: int) -> None:
        with contextlib.suppress(StoreError):
            await self._store.delete(key, expected=revision)


def address_record(address: str, *, namespace: str, name: str, now: datetime) -> Document:
    """The IPAddress of a Service's address."""
    family = f"IPv{ipaddress.ip_address(address).version}"
    labels = {"ipaddress.kubernetes.io/ip-family": family, "ipaddress.kubernetes.io/managed-by": _MANAGER}
    return {
        "kind": "IPAddress",
        "apiVersion": "networking.k8s.io/v1",
        "metadata": {
            "resourceVersion": "",
            "name": address,
            "uid": str(uuid.uuid4()),
            "generation": 1,
            "creationTimestamp": timestamp(now),
            "labels": labels,
        },
        "spec": {"parentRef": {"group": "", "resource": "services", "namespace": namespace, "name": name}},
    }


def _record(item: Item, *, namespace: str, name: str, now: datetime) -> bytes:
    record = address_record(item[0] if not item[1] else "0.0.0.0", namespace=namespace, name=name, now=now)
    if item[1]:
        record |= {"kind": "NodePort", "apiVersion": "internal.k8slite.io/v1"}
        record["metadata"] |= {"name": _port_name(item), "labels": {}}
    return orjson.dumps(record)


def _key(item: Item) -> str:
    if item[1]:
        return documents.key("internal.k8slite.io", "nodeports", "", _port_name(item))
    return documents.key("networking.k8s.io", "ipaddresses", "", item[0])


def _port_name(item: Item) -> str:
    return f"{item[0].lower()}-{item[1]}"


_PREFIXES = tuple(_key(item).rpartition("/")[0] + "/" for item in (("0.0.0.0", 0), ("TCP", 1)))


def _owner(key: str) -> tuple[str, str]:
    """Namespace and name of the Service of a key."""
    namespace, name = key.split("/")[-2:]
    return namespace, name


def _parent(value: bytes) -> tuple[str, str]:
    """Namespace and name of the Service that a record names; empty if it names something else."""
    parent = (orjson.loads(value).get("spec") or {}).get("parentRef") or {}
    if (parent.get("group") or "", parent.get("resource")) != ("", "services"):
        return "", ""
    return parent.get("namespace") or "", parent.get("name") or ""


def _leaked(key: str, namespace: str, name: str) -> list[Finding]:
    address = key.rpartition("/")[2]
    if key != _key((address, 0)):
        return []
    message = f"IPAddress: {address} for Service {namespace}/{name} appears to have leaked: cleaning up"
    return [Finding("IPAddressNotAllocated", message, namespace, name)]


def _family(address: str) -> str:
    return f"IPv{ipaddress.ip_address(address).version}"


def _abandoned(value: bytes, now: datetime) -> bool:
    """Whether a record that no Service stands behind may be taken: another kind of owner keeps its address."""
    record = orjson.loads(value)
    parent = (record.get("spec") or {}).get("parentRef") or {}
    if (parent.get("group") or "", parent.get("resource")) != ("", "services"):
        return False
    return datetime.fromisoformat(record["metadata"]["creationTimestamp"]) + _WRITING <= now
