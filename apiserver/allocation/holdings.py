"""What Services hold, as the watch cache has it: only Services that changed since the last time are decoded."""

from __future__ import annotations

import ipaddress
from collections.abc import Iterator

from ..lookup import Followed
from ..strategies.base import Document

Item = tuple[str, int]
"""An address and 0, or a protocol and a node port."""


class Holdings:
    """Who has which item. What a change of one Service costs does not depend on how many there are."""

    def __init__(self, services: Followed) -> None:
        self._services = services
        self._items: dict[str, frozenset[Item]] = {}
        """What each Service holds, by its key."""
        self._holders: dict[Item, tuple[str, ...]] = {}
        """Whom each item belongs to, in the order of keys; more than one only by mistake."""
        self._seen = (-1, -1)
        """How often the cache had been filled, and its last change, when we looked last."""

    def holder(self, item: Item) -> str:
        """The key of the Service that has it, empty if none has."""
        keys = self._current().get(item)
        return keys[-1] if keys else ""

    def holders(self) -> dict[Item, str]:
        """All that is held, with the key of the Service that holds it."""
        return {item: keys[-1] for item, keys in self._current().items()}

    def shared(self) -> dict[Item, list[str]]:
        """All that is held, with the keys of all Services that say that they hold it."""
        return {item: list(keys) for item, keys in self._current().items()}

    def _current(self) -> dict[Item, tuple[str, ...]]:
        rows, (fills, revision) = self._services, self._seen
        now = rows.fills, rows.changed
        if now != self._seen:
            news = rows.since(revision) if fills == rows.fills else None
            if news is None:
                self._items, self._holders = {}, {}
                news = {entry.key: entry for entry in rows.select()}
            for key, entry in news.items():
                self._replace(key, frozenset(items_of(entry.document)) if entry is not None else frozenset())
            self._seen = now
        return self._holders

    def _replace(self, key: str, items: frozenset[Item]) -> None:
        before = self._items.pop(key, frozenset())
        if items:
            self._items[key] = items
        for item in before - items:
            rest = tuple(other for other in self._holders[item] if other != key)
            if rest:
                self._holders[item] = rest
            else:
                del self._holders[item]
        for item in items - before:
            self._holders[item] = tuple(sorted((*self._holders.get(item, ()), key)))


def canonical(address: str) -> str:
    """The one way to write an address: IPv6 has many, and each would pass for another address."""
    if ":" not in address:
        return address
    try:
        return str(ipaddress.ip_address(address))
    except ValueError:
        return address


def items_of(service: Document) -> Iterator[Item]:
    """What a Service holds."""
    spec = service.get("spec") or {}
    for address in spec.get("clusterIPs") or ():
        if address != "None":
            yield canonical(address), 0
    for port in spec.get("ports") or ():
        if port.get("nodePort"):
            yield port.get("protocol", "TCP"), port["nodePort"]
    if spec.get("healthCheckNodePort"):
        yield "TCP", spec["healthCheckNodePort"]
