"""The zone: every name this cluster answers for, kept up to date Service by Service."""

from __future__ import annotations

import ipaddress
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

TTL = 5
"""Seconds; short, because the addresses of headless Services change with every pod."""


@dataclass(frozen=True, slots=True, order=True)
class Record:
    """One resource record. Names are lower case without the final dot; `data` is as in a zone file, with it."""

    name: str
    type: str
    data: str


class Zone:
    """Records by name and type, and which names exist only because longer ones do.

    Invariant: the zone depends on what each owner put last, not on the order.
    """

    def __init__(self, domain: str, *, reverse: Iterable[str] = ()) -> None:
        self.domain = domain.lower().rstrip(".")
        self.generation = 1
        self._reverse = tuple(ipaddress.ip_network(cidr) for cidr in reverse)
        self._owned: dict[str, frozenset[Record]] = {}
        self._records: dict[str, dict[str, Counter[Record]]] = {}
        self._names: Counter[str] = Counter()

    def put(self, owner: str, records: frozenset[Record]) -> None:
        """Replace an owner's records; none removes it."""
        old = self._owned.pop(owner, frozenset())
        if records:
            self._owned[owner] = records
        if old == records:
            return
        self.generation += 1
        for record in old - records:
            self._remove(record)
        for record in records - old:
            self._add(record)

    def find(self, name: str) -> Mapping[str, Iterable[Record]] | None:
        """The records of a name by type: none if it only leads to longer names, None if it does not exist."""
        found = self._records.get(name)
        if found is None:
            return {} if name in self._names else None
        return {kind: sorted(records) for kind, records in found.items()}

    def covers(self, name: str) -> bool:
        """Whether a name is ours to answer, also if it does not exist."""
        if name == self.domain or name.endswith(f".{self.domain}") or name in self._records:
            return True
        address = _reverse_address(name)
        return address is not None and any(address in network for network in self._reverse)

    def _add(self, record: Record) -> None:
        self._records.setdefault(record.name, {}).setdefault(record.type, Counter())[record] += 1
        self._names.update(_ancestors(record.name, self.domain))

    def _remove(self, record: Record) -> None:
        types = self._records[record.name]
        records = types[record.type]
        records[record] -= 1
        if not records[record]:
            del records[record]
        if not records:
            del types[record.type]
        if not types:
            del self._records[record.name]
        for name in _ancestors(record.name, self.domain):
            self._names[name] -= 1
            if not self._names[name]:
                del self._names[name]


def _ancestors(name: str, domain: str) -> Iterable[str]:
    if not name.endswith(f".{domain}"):
        return
    while name != domain:
        _, _, name = name.partition(".")
        yield name


def reverse_name(address: str) -> str:
    """`10.96.0.1` as `1.0.96.10.in-addr.arpa`, and IPv6 likewise."""
    return ipaddress.ip_address(address).reverse_pointer


def _reverse_address(name: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    if name.endswith(".in-addr.arpa"):
        text = ".".join(reversed(name.removesuffix(".in-addr.arpa").split(".")))
    elif name.endswith(".ip6.arpa"):
        digits = "".join(reversed(name.removesuffix(".ip6.arpa").split(".")))
        text = ":".join(digits[start : start + 4] for start in range(0, len(digits), 4))
    else:
        return None
    try:
        return ipaddress.ip_address(text)
    except ValueError:
        return None
