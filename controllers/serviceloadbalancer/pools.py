"""The addresses that may be given to Services, and who has which: pure bookkeeping, no I/O.

What Services say in their status is the truth. What was promised to a Service and is not in its status yet counts as
much, until the Service is gone or says otherwise. Should two Services say the same address, the older one has it.
"""

from __future__ import annotations

import ipaddress
import itertools
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime

from k8slite.kinds.core import Service

Network = ipaddress.IPv4Network | ipaddress.IPv6Network
_EVER = datetime.max.replace(tzinfo=UTC)


@dataclass(frozen=True, slots=True, order=True)
class Claimant:
    """Who says that an address is his; the least of several is right."""

    created: datetime
    key: str
    uid: str

    @classmethod
    def of(cls, service: Service) -> Claimant:
        """A Service as a claimant."""
        return cls(service.metadata.creation_timestamp or _EVER, service.key, service.uid)


@dataclass(frozen=True, slots=True)
class Effect:
    """What a change means for others: the keys of those who say the same addresses, and whether one became free."""

    rivals: frozenset[str] = frozenset()
    freed: bool = False

    def __or__(self, other: Effect) -> Effect:
        return Effect(self.rivals | other.rivals, self.freed or other.freed)


@dataclass(slots=True)
class Pools:
    """The ranges, in the order in which they are used up."""

    networks: Sequence[Network]
    _claims: dict[str, set[Claimant]] = field(default_factory=dict)
    _held: dict[str, frozenset[str]] = field(default_factory=dict)
    _said: dict[str, frozenset[str]] = field(default_factory=dict)
    _promised: dict[str, frozenset[str]] = field(default_factory=dict)
    _cursors: dict[Network, int] = field(default_factory=dict)

    def __contains__(self, address: str) -> bool:
        """Whether an address can be given to anybody."""
        try:
            parsed = ipaddress.ip_address(address)
        except ValueError:
            return False
        return any(parsed in network and _usable(network, int(parsed)) for network in self.networks)

    def has(self, family: str) -> bool:
        """Whether there are addresses of that family at all."""
        return any(f"IPv{network.version}" == family for network in self.networks)

    def owner(self, address: str) -> str:
        """The UID of the Service that has it, empty if none has."""
        claims = self._claims.get(address)
        return min(claims).uid if claims else ""

    def free(self, address: str, service: Service) -> bool:
        """Whether the Service may have it."""
        return self.owner(address) in ("", service.uid)

    def promised(self, service: Service) -> frozenset[str]:
        """What it was given before, whether that was written or not."""
        return self._promised.get(service.uid, frozenset())

    def observe(self, old: Service | None, new: Service | None) -> Effect:
        """A Service changed, or is gone."""
        effect = Effect()
        if old is not None and (new is None or old.uid != new.uid):
            self._promised.pop(old.uid, None)
            effect |= self._say(old, frozenset())
        if new is not None:
            said = addresses_of(new) if new.spec.type == "LoadBalancer" else ()
            effect |= self._say(new, frozenset(said))
        return effect

    def promise(self, service: Service, addresses: Iterable[str]) -> Effect:
        """These are the Service's from now on, and no others but those that its status still says."""
        self._promised[service.uid] = frozenset(addresses)
        if not self._promised[service.uid]:
            del self._promised[service.uid]
        return self._claim(service)

    def pick(self, family: str) -> str | None:
        """A free address, the one after the last that was given, so that one that was let go rests a while."""
        for network in self.networks:
            if f"IPv{network.version}" != family:
                continue
            first = self._cursors.get(network, 0)
            for address in _from(network, first):
                text = str(address)
                if text not in self._claims:
                    self._cursors[network] = int(address) - int(network.network_address) + 1
                    return text
        return None

    def _say(self, service: Service, addresses: frozenset[str]) -> Effect:
        self._said[service.uid] = addresses
        if not addresses:
            del self._said[service.uid]
        return self._claim(service)

    def _claim(self, service: Service) -> Effect:
        """Bring the claims of a Service in step with what it says and was promised."""
        who = Claimant.of(service)
        before = self._held.get(service.uid, frozenset())
        wanted = self._said.get(service.uid, frozenset()) | self._promised.get(service.uid, frozenset())
        if before == wanted:
            return Effect()
        rivals: set[str] = set()
        for address in before - wanted:
            claims = self._claims[address]
            claims.discard(who)
            rivals |= {claimant.key for claimant in claims}
            if not claims:
                del self._claims[address]
        for address in wanted - before:
            claims = self._claims.setdefault(address, set())
            rivals |= {claimant.key for claimant in claims}
            claims.add(who)
        self._held[service.uid] = wanted
        if not wanted:
            del self._held[service.uid]
        return Effect(frozenset(rivals), freed=bool(before - wanted))


def addresses_of(service: Service) -> list[str]:
    """The addresses in a Service's status."""
    return [_canonical(entry.ip) for entry in service.status.load_balancer.ingress if entry.ip]


def _canonical(address: str) -> str:
    try:
        return str(ipaddress.ip_address(address))
    except ValueError:
        return address


def _usable(network: Network, address: int) -> bool:
    """Neither the network's own address nor, for IPv4, its broadcast address."""
    if network.num_addresses <= 2:
        return True
    last = int(network.broadcast_address) if network.version == 4 else -1
    return address not in (int(network.network_address), last)


def _from(network: Network, first: int) -> Iterator[ipaddress.IPv4Address | ipaddress.IPv6Address]:
    """The usable addresses, from the one of that number on and then from the beginning."""
    size = network.num_addresses
    for number in itertools.chain(range(first, size), range(min(first, size))):
        address = network[number]
        if _usable(network, int(address)):
            yield address
