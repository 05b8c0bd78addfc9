"""What Services hold, as the watch cache has it: only Services that changed since the last time are decoded."""

from __future__ import annotations

import ipaddress
from collections.abc import Iterator

from ..lookup import Rows
from ..strategies.base import Document

Item = tuple[str, int]
"""An address and 0, or a protocol and a node port."""


class Holdings:
    """Who has which item."""

    def __init__(self, services: Rows) -> None:
        self._services = services
        self._known: dict[str, tuple[int, frozenset[Item]]] = {}
        self._used: dict[Item, str] = {}
        self._changed = -1

    def holder(self, item: Item) -> str:
        """The key of the Service that has it, empty if none has."""
        rows = self._services
        if rows.changed != self._changed:
            self._refresh()
        return self._used.get(item, "")

    def holders(self) -> dict[Item, str]:
        """All that is held, with the key of the Service that holds it."""
        self.holder(("", 0))
        return dict(self._used)

    def shared(self) -> dict[Item, list[str]]:
        """All that is held, with the keys of all Services that say that they hold it."""
        self.holder(("", 0))
        found: dict[Item, list[str]] = {}
        for key, (_, items) in self._known.items():
            for item in items:
                found.setdefault(item, []).append(key)
        return found

    def _refresh(self) -> None:
        rows = self._services
        changed = rows.changed
        known: dict[str, tuple[int, frozenset[Item]]] = {}
        for entry in rows.select():
            before = self._known.get(entry.key)
            if before is None or before[0] != entry.revision:
                before = (entry.revision, frozenset(items_of(entry.document)))
            known[entry.key] = before
        self._known = known
        self._used = {item: key for key, (_, items) in known.items() for item in items}
        self._changed = changed


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
